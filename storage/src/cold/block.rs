//! Some versions of one storage, written together.
//!
//! ```text
//!  crc of the rest: u32   0: u32   bytes: u64   storage: u64
//!  per record: row id: u64, then the version as it lies in memory (see [`crate::mvcc::version`]), up to a whole word
//! ```
//!
//! In the machine's own order of bytes: no other machine ever reads it.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_epoch::Guard;

use crate::mvcc::version::VersionRef;
use crate::mvcc::{RowId, pin};

/// A block in memory. What it is made of is freed after the guards of the time when it is dropped, so that who read of it
/// under one of them needs not keep it.
pub(crate) struct Block(Box<[AtomicU64]>);

impl Block {
    pub(crate) fn words(&self) -> &[AtomicU64] {
        &self.0
    }

    pub(super) fn bytes(&self) -> u64 {
        size_of_val(&*self.0) as u64
    }

    /// The storage it is of.
    pub(super) fn storage(&self) -> u64 {
        self.0.get(2).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let words = std::mem::take(&mut self.0);
        let guard = pin();
        guard.defer(move || drop(words));
        guard.flush();
    }
}

/// A block is full when it is this long.
pub(super) const BLOCK: usize = 64 << 10;
pub(super) const HEADER: usize = 24;
const WORD: usize = 8;

/// A block being filled.
pub(super) struct Draft {
    bytes: Vec<u8>,
    /// Where each record begins, in words.
    words: Vec<usize>,
}

impl Draft {
    pub(super) fn new() -> Draft {
        Draft { bytes: vec![0; HEADER], words: Vec::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BLOCK
    }

    /// `stamp` is the version's.
    pub(super) fn push(&mut self, row: RowId, v: VersionRef<'_>, stamp: u64) {
        self.bytes.extend_from_slice(&row.to_ne_bytes());
        self.words.push(self.bytes.len() / WORD);
        v.put(stamp, &mut self.bytes);
    }

    /// Where each record begins, and the bytes to be written.
    pub(super) fn end(mut self, storage: u64) -> (Vec<usize>, Vec<u8>) {
        let len = self.bytes.len() as u64;
        let numbers = [0, len, storage];
        let numbers = numbers.into_iter().flat_map(u64::to_ne_bytes);
        self.bytes.iter_mut().zip(numbers).for_each(|(place, byte)| *place = byte);
        let crc = crc32fast::hash(self.bytes.get(4..).unwrap_or_default());
        self.bytes.iter_mut().zip(crc.to_ne_bytes()).for_each(|(place, byte)| *place = byte);
        (self.words, self.bytes)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

/// The length of a block that begins so.
pub(super) fn len(header: &[u8]) -> Option<usize> {
    usize::try_from(number(header, 8)?)
        .ok()
        .filter(|len| *len >= HEADER && len.is_multiple_of(WORD))
}

/// The block that these bytes are, if they are as they were written.
pub(super) fn read(bytes: &[u8]) -> Option<Block> {
    let crc = bytes.get(..4)?.try_into().ok().map(u32::from_ne_bytes)?;
    if crc32fast::hash(bytes.get(4..)?) != crc {
        return None;
    }
    let words = bytes.chunks_exact(WORD).map(|word| AtomicU64::new(number(word, 0).unwrap_or(0)));
    Some(Block(words.collect()))
}

/// Calls `f` with each record: the row, the version, and the word it begins at.
pub(super) fn each<'g>(
    block: &Block,
    guard: &'g Guard,
    mut f: impl FnMut(RowId, VersionRef<'g>, usize),
) {
    let mut word = HEADER / WORD;
    while let Some(row) = block.0.get(word) {
        let Some(v) = VersionRef::in_block(block, word + 1, guard) else { return };
        f(row.load(Ordering::Relaxed), v, word + 1);
        word += 1 + v.size().div_ceil(WORD);
    }
}
