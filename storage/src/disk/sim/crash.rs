//! What is left of unsynced changes.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Change, FileState, Names, State, parent, put};

/// What a disk writes at once.
const SECTOR: usize = 512;

/// Seeded chance, the same on every machine.
#[derive(Clone)]
pub(super) struct Dice(u64);

impl Default for Dice {
    fn default() -> Dice {
        Dice::new(1)
    }
}

impl Dice {
    fn new(seed: u64) -> Dice {
        // Seeds in a row give sequences that have nothing in common.
        let mixed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Dice((mixed ^ mixed >> 29) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// How much of what was not synced stays.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    Nothing,
    Everything,
    /// All changes up to some one, which is torn.
    First,
    /// Of every change what chance says.
    Some,
}

impl Keep {
    pub(super) fn roll(dice: &mut Dice) -> Keep {
        match dice.below(6) {
            0 => Keep::Nothing,
            1 => Keep::Everything,
            2 | 3 => Keep::First,
            _ => Keep::Some,
        }
    }
}

/// What becomes of one change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Whole,
    Torn,
    Lost,
}

/// What becomes of each of so many changes in a row.
fn fates(keep: Keep, count: usize, dice: &mut Dice) -> Vec<Fate> {
    let torn = dice.below(count as u64 + 1) as usize;
    let fate = |i: usize, dice: &mut Dice| match keep {
        Keep::Nothing => Fate::Lost,
        Keep::Everything => Fate::Whole,
        Keep::First if i < torn => Fate::Whole,
        Keep::First if i == torn => Fate::Torn,
        Keep::First => Fate::Lost,
        Keep::Some => match dice.below(3) {
            0 => Fate::Whole,
            1 => Fate::Torn,
            _ => Fate::Lost,
        },
    };
    (0..count).map(|i| fate(i, dice)).collect()
}

impl State {
    /// The disk that a stopped machine leaves.
    pub(super) fn after_crash(&self, seed: u64) -> State {
        let mut dice = Dice::new(seed);
        let keep = Keep::roll(&mut dice);
        let mut names = self.lasting.clone();
        for (change, fate) in self.renamed.iter().zip(fates(keep, self.renamed.len(), &mut dice)) {
            if fate == Fate::Whole || (fate == Fate::Torn && dice.one_in(2)) {
                names.apply(change);
            }
        }
        let Names { files, dirs } = &mut names;
        files.retain(|path, _| parent(path) == "." || dirs.contains(parent(path)));
        let mut left = HashMap::new();
        for inode in names.files.values() {
            let Some(file) = self.files.get(inode) else { continue };
            let mut file = file.clone();
            // What one file keeps says nothing about another.
            let keep = if dice.one_in(2) { keep } else { Keep::roll(&mut dice) };
            file.settle(keep, &mut dice);
            file.current = file.synced.clone();
            file.blocks = file.blocks.min(file.current.len() as u64);
            left.insert(*inode, file);
        }
        State {
            files: left,
            lasting: names.clone(),
            names,
            next_inode: self.next_inode,
            dice,
            ..State::default()
        }
    }
}

impl State {
    /// The disk that a killed process leaves.
    pub(super) fn after_kill(&self) -> State {
        State {
            files: self.files.clone(),
            names: self.names.clone(),
            lasting: self.lasting.clone(),
            renamed: self.renamed.clone(),
            next_inode: self.next_inode,
            dice: self.dice.clone(),
            ..State::default()
        }
    }
}

impl FileState {
    /// Some of what was not synced lasts, the rest never will.
    pub(super) fn settle(&mut self, keep: Keep, dice: &mut Dice) {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return;
        }
        let bytes = Arc::make_mut(&mut self.synced);
        let fates = fates(keep, pending.len(), dice);
        for (change, fate) in pending.iter().zip(fates) {
            match (change, fate) {
                (_, Fate::Lost) => {}
                (Change::Length(_), Fate::Torn) if dice.one_in(2) => {}
                (Change::Length(len), _) => bytes.resize(*len as usize, 0),
                (Change::Write(offset, write), Fate::Whole) => put(bytes, *offset, write),
                (Change::Write(offset, write), Fate::Torn) => tear(bytes, *offset, write, dice),
            }
        }
    }
}

/// Parts of a write stay. That the file got longer by it may be lost too.
fn tear(bytes: &mut Vec<u8>, offset: u64, write: &[u8], dice: &mut Dice) {
    let before = bytes.len();
    let cut = dice.below(write.len() as u64 + 1) as usize;
    let (head, tail) = write.split_at_checked(cut).unwrap_or((write, &[]));
    match dice.below(4) {
        0 => put(bytes, offset, head),
        1 => put(bytes, offset + cut as u64, tail),
        _ => {
            let mut at = offset;
            let mut rest = write;
            while !rest.is_empty() {
                let whole = SECTOR - at as usize % SECTOR;
                let (sector, after) = rest.split_at_checked(whole).unwrap_or((rest, &[]));
                if dice.one_in(2) {
                    put(bytes, at, sector);
                }
                at += sector.len() as u64;
                rest = after;
            }
        }
    }
    if dice.one_in(4) {
        bytes.truncate(before);
    }
}
