//! What must be there: the effects of committed transactions, one after the other.

use std::collections::{BTreeMap, BTreeSet};

use vicinity_storage::Lsn;
use vicinity_types::Oid;

use crate::tables::{Content, Kind};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableState {
    pub unlogged: bool,
    pub indexes: BTreeMap<Oid, Kind>,
    pub rows: BTreeMap<i32, Content>,
}

/// Between which values the next one of a sequence must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequenceState {
    pub least: i64,
    pub most: i64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub tables: BTreeMap<Oid, TableState>,
    pub sequences: BTreeMap<Oid, SequenceState>,
    /// Prepared transactions by name, and what they will have done.
    pub prepared: BTreeMap<String, Vec<Effect>>,
}

/// What a transaction does, step by step.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Create(Oid, bool),
    Drop(Oid),
    Truncate(Oid),
    AddIndex(Oid, Oid, Kind),
    DropIndex(Oid, Oid),
    Set(Oid, i32, Option<Content>),
    /// A sequence's next value, set by the transaction.
    Sequence(Oid, i64),
    DropSequence(Oid),
    /// A transaction was prepared that does this.
    Prepare(String, Vec<Effect>),
    /// It is not prepared any more.
    End(String),
}

impl Effect {
    /// The sequence it sets or drops.
    pub fn sequence(&self) -> Option<Oid> {
        match self {
            Effect::Sequence(oid, _) | Effect::DropSequence(oid) => Some(*oid),
            _ => None,
        }
    }
}

/// What happened, in the order of the log.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A commit; `None` if it has nothing to say to the log.
    Commit(Option<Lsn>, Vec<Effect>),
    /// A sequence's value was handed out; it may be told when the log lasts up to here.
    Told(Oid, i64, Option<Lsn>),
}

impl State {
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Create(oid, unlogged) => {
                let table = TableState { unlogged: *unlogged, ..TableState::default() };
                self.tables.insert(*oid, table);
            }
            Effect::Drop(oid) => drop(self.tables.remove(oid)),
            Effect::Truncate(oid) => self.with(*oid, |t| t.rows.clear()),
            Effect::AddIndex(oid, index, kind) => {
                self.with(*oid, |t| {
                    t.indexes.insert(*index, *kind);
                });
            }
            Effect::DropIndex(oid, index) => self.with(*oid, |t| {
                t.indexes.remove(index);
            }),
            Effect::Set(oid, id, Some(content)) => {
                self.with(*oid, |t| {
                    t.rows.insert(*id, *content);
                });
            }
            Effect::Set(oid, id, None) => self.with(*oid, |t| {
                t.rows.remove(id);
            }),
            Effect::Sequence(oid, next) => {
                self.sequences.insert(*oid, SequenceState { least: *next, most: *next });
            }
            Effect::DropSequence(oid) => drop(self.sequences.remove(oid)),
            Effect::Prepare(name, effects) => {
                self.prepared.insert(name.clone(), effects.clone());
            }
            Effect::End(name) => drop(self.prepared.remove(name)),
        }
    }

    fn with(&mut self, oid: Oid, f: impl FnOnce(&mut TableState)) {
        if let Some(table) = self.tables.get_mut(&oid) {
            f(table);
        }
    }

    fn told(&mut self, oid: Oid, value: i64, lasting: bool) {
        if let Some(s) = self.sequences.get_mut(&oid) {
            // Up to 32 values are in the log ahead of the one that was handed out.
            s.most = s.most.max(value + 32);
            if lasting {
                s.least = s.least.max(value + 1);
            }
        }
    }

    pub fn enter(&mut self, entry: &Entry, durable: Lsn) {
        match entry {
            Entry::Commit(_, effects) => effects.iter().for_each(|e| self.apply(e)),
            Entry::Told(oid, value, lsn) => {
                self.told(*oid, *value, lsn.is_none_or(|lsn| lsn <= durable));
            }
        }
    }

    /// Rows of unlogged tables do not survive a crash.
    pub fn forget_unlogged(&mut self) {
        let unlogged = self.tables.iter_mut().filter(|(_, t)| t.unlogged);
        let mut gone: BTreeSet<Oid> = BTreeSet::new();
        for (oid, table) in unlogged {
            table.rows.clear();
            gone.insert(*oid);
        }
        for effects in self.prepared.values_mut() {
            gone.extend(effects.iter().filter_map(|e| match e {
                Effect::Create(oid, true) => Some(*oid),
                _ => None,
            }));
            effects.retain(|e| !matches!(e, Effect::Set(oid, ..) if gone.contains(oid)));
        }
    }

    /// A prepared transaction is committed.
    pub fn commit(&mut self, name: &str) {
        for effect in self.prepared.remove(name).unwrap_or_default() {
            self.apply(&effect);
        }
    }

    /// The state when a prepared transaction is taken to have been rolled back.
    pub fn without(&self, name: &str) -> Option<State> {
        let mut state = self.clone();
        state.prepared.remove(name).map(|_| state)
    }
}

/// The states that may be found after a crash: with all that was acknowledged, and of what was not, nothing, or any part
/// that has no gaps.
pub fn possible(base: &State, entries: &[Entry], durable: Lsn) -> Vec<State> {
    let is_lasting = |e: &Entry| match e {
        Entry::Commit(lsn, _) => lsn.is_some_and(|lsn| lsn <= durable),
        Entry::Told(..) => false,
    };
    // A commit that only waits for a sequence's record may last before others that came first.
    let is_open = |e: &Entry| matches!(e, Entry::Commit(Some(lsn), _) if *lsn > durable);
    let open = entries.iter().position(is_open).unwrap_or(entries.len());
    let sure = entries[..open].iter().rposition(is_lasting).map_or(0, |at| at + 1);
    let mut state = base.clone();
    entries[..sure].iter().for_each(|e| state.enter(e, durable));
    let mut all = vec![ahead(&state, &entries[sure..], durable)];
    for (i, entry) in entries[sure..].iter().enumerate() {
        state.enter(entry, durable);
        if matches!(entry, Entry::Commit(Some(_), _)) {
            all.push(ahead(&state, &entries[sure + i + 1..], durable));
        }
    }
    all.iter_mut().for_each(State::forget_unlogged);
    all
}

/// Values told of later stay told where the sequence is still the same: their record came before them.
fn ahead(state: &State, later: &[Entry], durable: Lsn) -> State {
    let mut state = state.clone();
    let mut changed = Vec::new();
    for entry in later {
        match entry {
            Entry::Commit(_, effects) => {
                changed.extend(effects.iter().filter_map(Effect::sequence))
            }
            Entry::Told(oid, ..) if changed.contains(oid) => {}
            Entry::Told(..) => state.enter(entry, durable),
        }
    }
    state
}
