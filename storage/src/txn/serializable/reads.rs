//! What transactions have read (PostgreSQL's SIREAD locks): tables, rows, keys and parts of indexes.
//!
//! Bounded: a transaction that reads many things of one table has read the table, and so has one that
//! notes something when all of them together have noted too much.

use std::collections::BTreeMap;
use std::ops::Bound;

use hashbrown::HashMap;
use smallvec::SmallVec;
use vicinity_types::Oid;

use super::predicate::{Limit, Predicate};
use super::{Id, Seq};
use crate::mvcc::RowId;
use crate::store::index::Entry;
use crate::table::KeyRange;

/// Notes of one transaction on one table, by weight, before they become one on the table.
const OF_TABLE: usize = 1024;
/// Weight of a part of an index, which every writer compares.
const PART: usize = 16;
/// Notes of all transactions.
const OF_ALL: usize = 1 << 18;

/// What is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// All of a table.
    Table,
    /// A row.
    Row(RowId),
    /// All keys of an index that begin so.
    Key(Oid, Box<[u8]>),
    /// A part of an index.
    Part(Oid, Predicate),
}

impl Target {
    /// A range of a btree's keys.
    pub(crate) fn range(index: Oid, range: &KeyRange) -> Target {
        match (&range.lower, &range.upper) {
            (Bound::Included(low), Bound::Included(high)) if low == high => {
                Target::Key(index, low.as_slice().into())
            }
            _ => Target::Part(index, Predicate::Range(range.clone())),
        }
    }
}

/// A note that may become smaller.
#[derive(Debug)]
pub(crate) struct Noted {
    id: Id,
    held: Held,
}

/// An index's entry of a row, before and after a write.
pub(crate) struct Changed {
    pub(crate) index: Oid,
    pub(crate) entries: SmallVec<[Option<Entry>; 2]>,
}

type Readers = SmallVec<[Id; 2]>;

/// What a transaction has noted of a table.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Row(RowId),
    Key(Oid, Box<[u8]>),
    Part(Oid, u64),
}

impl Held {
    fn weight(&self) -> usize {
        if matches!(self, Held::Part(..)) { PART } else { 1 }
    }
}

/// What is noted of an index.
#[derive(Default)]
struct OfIndex {
    keys: HashMap<Box<[u8]>, Readers>,
    /// How many of `keys` have which length.
    lengths: BTreeMap<usize, usize>,
    parts: HashMap<u64, (Id, Predicate)>,
}

/// What is noted of a table.
#[derive(Default)]
struct OfTable {
    whole: Readers,
    /// Something of it was read by transactions that are known by this only: the last of them.
    old: Seq,
    rows: HashMap<RowId, Readers>,
    indexes: HashMap<Oid, OfIndex>,
    held: HashMap<Id, Vec<Held>>,
}

/// All notes.
#[derive(Default)]
pub(super) struct Reads {
    tables: HashMap<Oid, OfTable>,
    count: usize,
    next: u64,
}

/// Who has read what a writer writes.
#[derive(Default)]
pub(super) struct Found {
    pub(super) readers: SmallVec<[Id; 8]>,
    /// See [`OfTable::old`].
    pub(super) old: Seq,
}

fn leave(readers: &mut Readers, id: Id) {
    readers.retain(|have| *have != id);
}

impl OfIndex {
    fn drop_key(&mut self, key: &[u8], id: Id) {
        let Some(readers) = self.keys.get_mut(key) else { return };
        leave(readers, id);
        if readers.is_empty() {
            self.keys.remove(key);
            if let Some(count) = self.lengths.get_mut(&key.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&key.len());
                }
            }
        }
    }

    fn add_key(&mut self, key: &[u8], id: Id) -> bool {
        match self.keys.get_mut(key) {
            Some(readers) if readers.contains(&id) => return false,
            Some(readers) => readers.push(id),
            None => {
                self.keys.insert(key.into(), Readers::from_elem(id, 1));
                *self.lengths.entry(key.len()).or_default() += 1;
            }
        }
        true
    }

    fn find(&self, entry: Option<&Entry>, found: &mut SmallVec<[Id; 8]>) {
        if let Some(Entry::Key(key)) = entry {
            let prefixes = self.lengths.keys().filter_map(|length| key.get(..*length));
            found.extend(prefixes.filter_map(|p| self.keys.get(p)).flatten().copied());
        }
        let parts = self.parts.values().filter(|(_, p)| p.covers(entry));
        found.extend(parts.map(|(id, _)| *id));
    }
}

impl OfTable {
    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.old == 0 && self.held.is_empty()
    }

    /// Notes something that is not all of the table, and is not noted yet.
    fn add(&mut self, id: Id, target: Target, next: &mut u64) -> Option<Held> {
        let held = match target {
            Target::Table => return None,
            Target::Row(row) => {
                let readers = self.rows.entry(row).or_default();
                if readers.contains(&id) {
                    return None;
                }
                readers.push(id);
                Held::Row(row)
            }
            Target::Key(index, key) => {
                if !self.indexes.entry(index).or_default().add_key(&key, id) {
                    return None;
                }
                Held::Key(index, key)
            }
            Target::Part(index, predicate) => {
                let parts = &mut self.indexes.entry(index).or_default().parts;
                if parts.values().any(|(have, p)| *have == id && *p == predicate) {
                    return None;
                }
                *next += 1;
                parts.insert(*next, (id, predicate));
                Held::Part(index, *next)
            }
        };
        self.held.entry(id).or_default().push(held.clone());
        Some(held)
    }

    /// Takes a note away, but for its place among those of its transaction.
    fn remove(&mut self, id: Id, held: &Held) {
        match held {
            Held::Row(row) => {
                if let Some(readers) = self.rows.get_mut(row) {
                    leave(readers, id);
                    if readers.is_empty() {
                        self.rows.remove(row);
                    }
                }
            }
            Held::Key(index, key) => {
                if let Some(of) = self.indexes.get_mut(index) {
                    of.drop_key(key, id);
                }
            }
            Held::Part(index, part) => {
                if let Some(of) = self.indexes.get_mut(index) {
                    of.parts.remove(part);
                }
            }
        }
        let (Held::Key(index, _) | Held::Part(index, _)) = held else { return };
        if self.indexes.get(index).is_some_and(|i| i.keys.is_empty() && i.parts.is_empty()) {
            self.indexes.remove(index);
        }
    }

    /// Takes all notes of a transaction away that are not on the whole table; how many there were.
    fn clear(&mut self, id: Id) -> usize {
        let held = self.held.remove(&id).unwrap_or_default();
        for one in &held {
            self.remove(id, one);
        }
        held.len()
    }
}

impl Reads {
    /// Notes something; whether it is the first of its transaction on the table, and what was noted.
    pub(super) fn note(&mut self, id: Id, table: Oid, target: Target) -> (bool, Option<Noted>) {
        let of = self.tables.entry(table).or_default();
        if of.whole.contains(&id) {
            return (false, None);
        }
        let first = !of.held.contains_key(&id);
        let before: usize = of.held.get(&id).into_iter().flatten().map(Held::weight).sum();
        if target == Target::Table || before >= OF_TABLE || self.count >= OF_ALL {
            self.count -= of.clear(id);
            of.whole.push(id);
            return (first, None);
        }
        let held = of.add(id, target, &mut self.next);
        self.count += usize::from(held.is_some());
        (first, held.map(|held| Noted { id, held }))
    }

    /// Makes a note smaller: less was read.
    pub(super) fn narrow(&mut self, table: Oid, noted: Noted, limit: Limit) {
        let Noted { id, held } = noted;
        let Some(of) = self.tables.get_mut(&table) else { return };
        let Some(all) = of.held.get_mut(&id) else { return };
        let Some(at) = all.iter().position(|have| *have == held) else { return };
        all.swap_remove(at);
        let (index, predicate) = match &held {
            Held::Row(_) => return,
            Held::Key(index, key) => (*index, Predicate::Range(KeyRange::prefix(key.to_vec()))),
            Held::Part(index, part) => {
                let of = of.indexes.get(index);
                let Some((_, p)) = of.and_then(|i| i.parts.get(part)) else { return };
                (*index, p.clone())
            }
        };
        of.remove(id, &held);
        self.count -= 1;
        let smaller = Target::Part(index, predicate.until(limit));
        let kept = of.add(id, smaller, &mut self.next).is_some();
        self.count += usize::from(kept);
    }

    /// Indexes of a table that something was noted of.
    pub(super) fn indexes(&self, table: Oid) -> Vec<Oid> {
        self.tables.get(&table).map_or_else(Vec::new, |of| of.indexes.keys().copied().collect())
    }

    /// Who has read a row, or where it was or is.
    pub(super) fn find(&self, table: Oid, row: Option<RowId>, entries: &[Changed]) -> Found {
        let mut found = Found::default();
        let Some(of) = self.tables.get(&table) else { return found };
        found.old = of.old;
        found.readers.extend_from_slice(&of.whole);
        if let Some(readers) = row.and_then(|row| of.rows.get(&row)) {
            found.readers.extend_from_slice(readers);
        }
        for changed in entries {
            let Some(of) = of.indexes.get(&changed.index) else { continue };
            for entry in &changed.entries {
                of.find(entry.as_ref(), &mut found.readers);
            }
        }
        found
    }

    /// Who has read anything of a table.
    pub(super) fn of_table(&self, table: Oid) -> Found {
        let Some(of) = self.tables.get(&table) else { return Found::default() };
        let readers = of.whole.iter().chain(of.held.keys()).copied().collect();
        Found { readers, old: of.old }
    }

    /// All who have read something of a table have read all of it.
    pub(super) fn promote_all(&mut self, table: Oid) {
        let Some(of) = self.tables.get_mut(&table) else { return };
        let ids: Vec<Id> = of.held.keys().copied().collect();
        for id in ids {
            self.count -= of.clear(id);
            if !of.whole.contains(&id) {
                of.whole.push(id);
            }
        }
    }

    /// Forgets what a transaction has read of a table. Its commit's number is kept if it is given.
    pub(super) fn forget(&mut self, id: Id, table: Oid, keep: Seq) {
        let Some(of) = self.tables.get_mut(&table) else { return };
        self.count -= of.clear(id);
        leave(&mut of.whole, id);
        of.old = of.old.max(keep);
        if of.is_empty() {
            self.tables.remove(&table);
        }
    }

    /// Forgets what was read by transactions that committed up to here and are known by that only.
    pub(super) fn forget_old(&mut self, through: Seq) {
        self.tables.retain(|_, of| {
            if of.old <= through {
                of.old = 0;
            }
            !of.is_empty()
        });
    }

    /// All notes, whose they are and on which table.
    pub(super) fn list(&self) -> Vec<(Id, Oid, Target)> {
        let mut all = Vec::new();
        for (table, of) in &self.tables {
            all.extend(of.whole.iter().map(|id| (*id, *table, Target::Table)));
            for (id, held) in &of.held {
                all.extend(held.iter().filter_map(|held| {
                    let target = match held {
                        Held::Row(row) => Target::Row(*row),
                        Held::Key(index, key) => Target::Key(*index, key.clone()),
                        Held::Part(index, part) => {
                            let part = of.indexes.get(index)?.parts.get(part)?;
                            Target::Part(*index, part.1.clone())
                        }
                    };
                    Some((*id, *table, target))
                }));
            }
        }
        all
    }
}
