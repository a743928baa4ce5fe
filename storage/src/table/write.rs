//! INSERT, UPDATE and DELETE of one row.
//!
//! The order matters for invariant *hints*: a version is linked before its index entries are added,
//! so that the vacuum, which removes an entry only if no linked version has its key, never takes
//! one away that is needed.

use std::cell::RefCell;
use std::sync::Arc;

use crossbeam_epoch::Guard;
use smallvec::SmallVec;
use vicinity_types::tuple::encode_tuple;
use vicinity_types::{Datum, Oid, Result};

use super::Table;
use super::error::{concurrent_delete, concurrent_move, concurrent_update};
use crate::mvcc::clock::Stamp;
use crate::mvcc::rows::RowLock;
use crate::mvcc::version::{KEYS_CHANGED, MOVED, NewVersion, TOMBSTONE, VersionRef};
use crate::mvcc::{RowId, Snapshot, Xid, pin};
use crate::store::index::IndexStore;
use crate::txn::{Change1, Transaction, Writer};

/// What became of an insert that may meet an equal key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// It is in.
    Inserted(RowId),
    /// This row, committed or our own, has the key. It may be newer than the statement's snapshot.
    Conflict(RowId),
}

/// What became of an update or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It is done.
    Done,
    /// Another transaction committed a newer version: look again with a newer snapshot (READ
    /// COMMITTED).
    Concurrent,
    /// The row was deleted.
    Gone,
    /// The same statement, or something it called, wrote the row already.
    AlreadyMine,
}

/// What stands in the way of changing a row.
pub(super) enum Obstacle {
    Answer(Write),
    Wait(Xid),
    /// The head is a version that is just being taken back: look again.
    Again,
    /// Another transaction committed a newer version, or that the row is gone, behind a snapshot that lasts.
    Behind {
        gone: bool,
    },
}

#[derive(Default)]
pub(super) struct Scratch {
    tuple: Vec<u8>,
    pub(super) keys: Keys,
}

/// Room for a row's key, and for that of another row which may have the same.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) own: Vec<u8>,
    pub(super) theirs: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Runs with this thread's buffers; nested use gets fresh ones.
fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut scratch = SCRATCH.take();
    let result = f(&mut scratch);
    if scratch.tuple.capacity() > 1 << 20 {
        scratch.tuple = Vec::new();
    }
    SCRATCH.set(scratch);
    result
}

impl Table {
    /// Inserts a row, one value per column of [`Table::desc`] (NULL for dropped ones).
    pub fn insert(&self, txn: &Transaction, values: &[Datum]) -> Result<RowId> {
        with_scratch(|s| {
            let (row, refused) = self.insert_with(txn, values, &[], s)?;
            match refused {
                None => Ok(row),
                Some((_, index)) => Err(self.refuse(txn, index, None, &s.tuple)),
            }
        })
    }

    /// Inserts a row unless an equal key exists in one of the unique indexes `arbiters` (all, if
    /// none is named). Other unique indexes still raise errors.
    pub fn insert_unless_conflict(
        &self,
        txn: &Transaction,
        values: &[Datum],
        arbiters: &[Oid],
    ) -> Result<Insert> {
        with_scratch(|s| {
            let arbitrates = |i: &IndexStore| arbiters.is_empty() || arbiters.contains(&i.oid);
            // Usually a conflict is found before anything was written.
            if let Some(other) = self.find_conflict(txn, values, &mut s.keys, arbitrates)? {
                return self.meets(txn, other);
            }
            let (row, refused) = self.insert_with(txn, values, arbiters, s)?;
            match refused {
                None => Ok(Insert::Inserted(row)),
                Some((other, index)) if arbiters.is_empty() || arbiters.contains(&index) => {
                    self.meets(txn, other)
                }
                Some((_, index)) => Err(self.refuse(txn, index, None, &s.tuple)),
            }
        })
    }

    /// Inserts, or takes the row back and says which row and index refused it.
    fn insert_with(
        &self,
        txn: &Transaction,
        values: &[Datum],
        _arbiters: &[Oid],
        s: &mut Scratch,
    ) -> Result<(RowId, Option<(RowId, Oid)>)> {
        s.tuple.clear();
        encode_tuple(&self.layout.desc, values, &mut s.tuple)?;
        let w = txn.writer(&self.store)?;
        self.store.rows.wait_for_room();
        let mut gate = Some(self.store.gate.read());
        let version = NewVersion::new(w.stamp(), w.cid, 0, &s.tuple)?;
        let row = self.store.rows.allocate()?;
        self.store.rows.install(row, version)?;
        let log = txn.wrote_insert(w, row, &s.tuple)?;
        let indexes = self.store.indexes();
        for index in indexes.iter() {
            if !index.unique {
                self.add_plain(index, row, &s.tuple, &mut s.keys, &mut gate)?;
                continue;
            }
            let other = self.add_unique(txn, w, index, row, &s.tuple, &mut s.keys, &mut gate)?;
            if let Some(other) = other {
                drop(gate.take());
                txn.undo_last_insert(row, log);
                return Ok((row, Some((other, index.oid))));
            }
        }
        if txn.is_watched() {
            self.wrote(txn, Some(row), None, Some(&s.tuple))?;
        }
        Ok((row, None))
    }

    /// Replaces a row that the snapshot sees.
    pub fn update(
        &self,
        txn: &Transaction,
        snapshot: &Snapshot,
        row: RowId,
        values: &[Datum],
    ) -> Result<Write> {
        with_scratch(|s| {
            s.tuple.clear();
            encode_tuple(&self.layout.desc, values, &mut s.tuple)?;
            self.change(txn, snapshot, row, Change1::Update, s)
        })
    }

    /// Deletes a row that the snapshot sees.
    pub fn delete(&self, txn: &Transaction, snapshot: &Snapshot, row: RowId) -> Result<Write> {
        with_scratch(|s| {
            s.tuple.clear();
            self.change(txn, snapshot, row, Change1::Delete, s)
        })
    }

    /// Deletes a row that the snapshot sees because it goes to another partition: who waits for it is told so.
    pub fn leave(&self, txn: &Transaction, snapshot: &Snapshot, row: RowId) -> Result<Write> {
        with_scratch(|s| {
            s.tuple.clear();
            self.change(txn, snapshot, row, Change1::Leave, s)
        })
    }

    fn change(
        &self,
        txn: &Transaction,
        snapshot: &Snapshot,
        row: RowId,
        change: Change1,
        s: &mut Scratch,
    ) -> Result<Write> {
        let w = txn.writer(&self.store)?;
        self.store.rows.wait_for_room();
        let what = if change == Change1::Update { "updating" } else { "deleting" };
        loop {
            let mut gate = Some(self.store.gate.read());
            let guard = pin();
            let lock = self.store.rows.lock(row);
            let indexes = self.store.indexes();
            let keeps =
                |head: VersionRef<'_>| change == Change1::Update && self.keeps_keys(head, &s.tuple);
            let obstacle = match self.obstacle(txn, snapshot, w.xid, &lock, row, &guard, &keeps)? {
                Ok(head) => {
                    let changed = self.push(w, &lock, head, &indexes, change, &s.tuple)?;
                    if changed.is_empty() && change == Change1::Update {
                        lock.prune_behind(head, &self.core.clock, &guard);
                    }
                    drop(lock);
                    let logged = txn.wrote_change(w, row, change, &s.tuple);
                    let changed = indexes.iter().filter(|i| changed.contains(&i.oid));
                    let old = head.bytes();
                    self.add_changed(txn, w, row, logged, changed, old, s, &mut gate)?;
                    if txn.is_watched() {
                        let new = (change == Change1::Update).then_some(s.tuple.as_slice());
                        self.wrote(txn, Some(row), Some(old), new)?;
                    }
                    return Ok(Write::Done);
                }
                Err(obstacle) => obstacle,
            };
            drop(lock);
            drop(guard);
            drop(gate);
            match obstacle {
                Obstacle::Answer(answer) => return Ok(answer),
                Obstacle::Wait(xid) => {
                    txn.wait_for(xid).map_err(|e| self.while_doing(e, what, row))?;
                }
                Obstacle::Again => std::thread::yield_now(),
                Obstacle::Behind { gone: true } => return Err(concurrent_delete()),
                Obstacle::Behind { gone: false } => return Err(concurrent_update()),
            }
        }
    }

    /// Whether a new tuple has the keys of the old one: what foreign keys may refer to.
    pub(super) fn keeps_keys(&self, old: VersionRef<'_>, new: &[u8]) -> bool {
        let indexes = self.store.indexes();
        let mut keys = indexes.iter().filter(|i| i.is_key());
        keys.all(|i| i.same_entry(&self.layout, old.bytes(), new))
    }

    /// The head of a row this transaction may change, or what it must do instead. `keeps` is whether
    /// the change leaves the keys of the row as they are.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn obstacle<'g>(
        &self,
        txn: &Transaction,
        snapshot: &Snapshot,
        xid: Xid,
        lock: &RowLock<'_>,
        row: RowId,
        guard: &'g Guard,
        keeps: &dyn Fn(VersionRef<'_>) -> bool,
    ) -> Result<Result<VersionRef<'g>, Obstacle>> {
        let Some(head) = lock.head(guard)? else {
            return Ok(Err(Obstacle::Answer(Write::Gone)));
        };
        let answer = |a| Ok(Err(Obstacle::Answer(a)));
        match self.core.clock.resolve(head) {
            Stamp::Running(x) if x == xid => {
                if head.cid() >= snapshot.cid {
                    return answer(Write::AlreadyMine);
                }
                if head.is_tombstone() {
                    return answer(Write::Gone);
                }
            }
            Stamp::Running(x) => return Ok(Err(Obstacle::Wait(x))),
            Stamp::Aborted => return Ok(Err(Obstacle::Again)),
            Stamp::Committed(ts) => {
                let newer = ts > snapshot.ts;
                if newer && txn.isolation().is_snapshot() {
                    let gone = head.is_tombstone() && !head.is_moved();
                    return Ok(Err(Obstacle::Behind { gone }));
                }
                if newer && head.is_moved() {
                    return Err(concurrent_move());
                }
                if head.is_tombstone() {
                    return answer(Write::Gone);
                }
                if newer {
                    return answer(Write::Concurrent);
                }
            }
        }
        Ok(match self.core.locks.row_blocker(self.store.id, row, xid, &|| keeps(head)) {
            Some(blocker) => Err(Obstacle::Wait(blocker)),
            None => Ok(head),
        })
    }

    /// Links the new version. Returns the indexes whose key changed.
    fn push(
        &self,
        w: Writer,
        lock: &RowLock<'_>,
        head: VersionRef<'_>,
        indexes: &[Arc<IndexStore>],
        change: Change1,
        tuple: &[u8],
    ) -> Result<SmallVec<[Oid; 4]>> {
        let mut changed = SmallVec::new();
        let mut flags = 0;
        match change {
            Change1::Delete => flags = TOMBSTONE,
            Change1::Leave => flags = MOVED,
            Change1::Update => {
                let old = head.bytes();
                for index in indexes {
                    if !index.same_entry(&self.layout, old, tuple) {
                        changed.push(index.oid);
                        flags = KEYS_CHANGED;
                    }
                }
            }
        }
        lock.push(NewVersion::new(w.stamp(), w.cid, flags, tuple)?)?;
        Ok(changed)
    }

    /// After an update: entries under the new keys, and word to the vacuum about the old ones.
    ///
    /// Taking the version back takes its entries away, and a vector index would take the nearest one
    /// the row has if it is not there: they are added even where the update has failed, and those of
    /// the unique indexes, which may refuse, come last.
    #[allow(clippy::too_many_arguments)]
    fn add_changed<'a, 'i>(
        &'a self,
        txn: &Transaction,
        w: Writer,
        row: RowId,
        mut outcome: Result<()>,
        changed: impl Iterator<Item = &'i Arc<IndexStore>> + Clone,
        old: &[u8],
        s: &mut Scratch,
        gate: &mut Option<parking_lot::RwLockReadGuard<'a, ()>>,
    ) -> Result<()> {
        let deleted = s.tuple.is_empty();
        let mut some = false;
        for index in changed.clone() {
            some = true;
            if !index.unique {
                let added = self.add_plain(index, row, &s.tuple, &mut s.keys, gate);
                outcome = outcome.and(added);
            }
        }
        if deleted || some {
            self.store.report_garbage(row);
        }
        outcome?;
        for index in changed.filter(|i| i.unique) {
            if self.add_unique(txn, w, index, row, &s.tuple, &mut s.keys, gate)?.is_some() {
                return Err(self.refuse(txn, index.oid, Some(old), &s.tuple));
            }
        }
        Ok(())
    }
}
