//! Taking back: a whole transaction, or what came after a savepoint.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vicinity_types::{Oid, Result};

use super::locks::LockKey;
use super::relation_lock::RelationLock;
use super::{Change1, Inner, Savepoint, Transaction};
use crate::mvcc::{RowId, pin};
use crate::sequence::Sequence;
use crate::store::Store;

/// One step that can be taken back. Steps are undone newest first.
pub(super) enum Undo {
    /// Rows `first..first + count` of the n-th storage are new.
    Insert { store: usize, first: RowId, count: u64 },
    /// A version was pushed on an existing row.
    Push { store: usize, row: RowId, change: Change1 },
    /// A row's lock was taken.
    Lock(LockKey),
    /// A relation's lock was taken from the table of locks.
    RelationLock(Oid, RelationLock),
    /// The last of the catalog changes was made.
    Change,
    /// A storage was made.
    NewStore(u64),
    /// An index was attached to a storage.
    Attach { store: u64, index: Oid },
    /// The transaction got a copy of a sequence, in the place of one it may have had.
    Sequence(Oid, Option<Arc<Sequence>>),
}

impl Inner {
    /// Notes a new row; neighbours share one entry.
    pub(super) fn note_insert(&mut self, store: usize, row: RowId) {
        if self.undo.len() > self.floor
            && let Some(Undo::Insert { store: s, first, count }) = self.undo.last_mut()
            && *s == store
            && *first + *count == row
        {
            *count += 1;
            return;
        }
        self.undo.push(Undo::Insert { store, first: row, count: 1 });
    }
}

impl Transaction {
    /// A place to come back to.
    pub fn savepoint(&self) -> Savepoint {
        let mut inner = self.inner.lock();
        inner.floor = inner.undo.len();
        Savepoint {
            undo: inner.undo.len(),
            log: inner.log.position(),
            stores: inner.stores.len(),
            locks: self.place.held.mark(),
            read_only: self.read_only(),
            nesting: self.nesting.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    /// Takes back everything after the savepoint, which stays.
    pub fn rollback_to(&self, savepoint: &Savepoint) -> Result<()> {
        self.leave(savepoint, savepoint.nesting);
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        self.undo_to(inner, savepoint.undo);
        // Locks go with what was done under them; the next write takes them again.
        inner.stores.truncate(savepoint.stores);
        self.place.held.release_to(savepoint.locks);
        self.place.db.core.relations.wake();
        inner.floor = inner.undo.len();
        inner.log.rewind(savepoint.log);
        Ok(())
    }

    /// Forgets a savepoint; what came after it stays, but for READ ONLY.
    pub fn release(&self, savepoint: Savepoint) {
        self.leave(&savepoint, savepoint.nesting - 1);
    }

    fn leave(&self, savepoint: &Savepoint, nesting: u32) {
        self.nesting.store(nesting, Ordering::Relaxed);
        self.read_only.store(savepoint.read_only, Ordering::Relaxed);
    }

    /// Rolls everything back and gives all locks free.
    pub fn rollback(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.abort();
        }
    }

    pub(super) fn abort(&self) {
        self.watch_end();
        let xid = self.xid.load(Ordering::Relaxed);
        if xid == 0 {
            // Nothing was written, locked or changed.
            self.unlock_relations();
            return self.place.db.core.clock.idle(self.place.slot);
        }
        let mut guard = self.inner.lock();
        self.undo_to(&mut guard, 0);
        *guard = Inner::default();
        drop(guard);
        self.place.db.core.clock.finish(xid, None);
        self.unlock_relations();
        self.place.db.core.clock.idle(self.place.slot);
    }

    fn undo_to(&self, inner: &mut Inner, to: usize) {
        let mut changed = false;
        while inner.undo.len() > to {
            match inner.undo.pop() {
                Some(Undo::Insert { store, first, count }) => {
                    if let Some(t) = inner.stores.get_mut(store) {
                        t.inserted -= i64::try_from(count).unwrap_or(0);
                        for row in (first..first + count).rev() {
                            undo_row(&t.store, row);
                        }
                    }
                }
                Some(Undo::Push { store, row, change }) => {
                    if let Some(t) = inner.stores.get_mut(store) {
                        match change {
                            Change1::Update => t.updated -= 1,
                            Change1::Delete | Change1::Leave => t.deleted -= 1,
                        }
                        undo_row(&t.store, row);
                    }
                }
                Some(Undo::Lock(key)) => {
                    inner.locks.retain(|k| *k != key);
                    self.place.db.core.locks.release(key, self.xid.load(Ordering::Relaxed));
                }
                Some(Undo::RelationLock(relation, mode)) => {
                    inner.relations.retain(|have| *have != (relation, mode));
                    self.place.db.core.relations.release(&self.place.held, relation, mode);
                }
                Some(Undo::Change) => {
                    inner.changes.pop();
                    changed = true;
                }
                Some(Undo::NewStore(id)) => self.place.db.forget_store(id),
                Some(Undo::Attach { store, index }) => {
                    if let Some(store) = self.place.db.store(store) {
                        store.detach(index);
                    }
                }
                Some(Undo::Sequence(oid, before)) => {
                    inner.sequences.retain(|(have, _)| *have != oid);
                    inner.sequences.extend(before.map(|sequence| (oid, sequence)));
                }
                None => {}
            }
        }
        if changed {
            inner.catalog = None;
        }
    }

    /// Takes back the last step alone, an insert of this row that was noted at `log`.
    pub(crate) fn undo_last_insert(&self, row: RowId, log: u64) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let Some(Undo::Insert { store, first, count }) = inner.undo.last_mut() else { return };
        if *first + *count != row + 1 {
            return;
        }
        *count -= 1;
        let (store, empty) = (*store, *count == 0);
        if empty {
            inner.undo.pop();
        }
        if let Some(t) = inner.stores.get_mut(store) {
            t.inserted -= 1;
            undo_row(&t.store, row);
        }
        inner.log.rewind(log);
    }
}

/// Takes the newest version of a row off, with the index entries that only it had.
fn undo_row(store: &Store, row: RowId) {
    let guard = pin();
    let _gate = store.gate.read();
    let lock = store.rows.lock(row);
    let head = match lock.head(&guard) {
        Ok(Some(head)) => head,
        Ok(None) => return,
        Err(e) => {
            // It cannot be read back into memory. Rows in files have one version, so it goes whole, and nobody waits for
            // it. Which entries indexes have of it is not known: the row's id is not given out again.
            tracing::warn!(storage = store.id, row, "a row is taken back unread: {e}");
            return lock.forget(&guard);
        }
    };
    let bytes = head.bytes();
    let layout = store.layout.load();
    for index in store.indexes().iter() {
        if head.is_tombstone() {
            break;
        }
        let mut at = head.older(&guard);
        let mut shared = false;
        while let Some(v) = at {
            shared |= !v.is_tombstone() && index.same_entry(&layout, bytes, v.bytes());
            at = v.older(&guard);
        }
        if !shared && let Err(e) = index.remove(&layout, bytes, row) {
            tracing::warn!(index = index.oid, row, "index entry stays behind: {e}");
        }
    }
    let empty = lock.pop(&guard);
    drop(lock);
    if empty.is_ok_and(|empty| empty) {
        store.rows.release(row);
    }
}
