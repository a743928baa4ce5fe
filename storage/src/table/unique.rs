//! Unique indexes: one living row per key, whoever wrote it and whenever they commit.
//!
//! Looking for an equal key and adding the own entry is one step under the key's lock, and the row is
//! linked before: of two writers with one key, the second finds the first one's entry and waits for
//! its transaction. NULLs are equal to nothing, unless the index says otherwise.

use parking_lot::RwLockReadGuard;
use vicinity_types::{Datum, Result};

use super::Table;
use super::write::Keys;
use crate::mvcc::clock::Stamp;
use crate::mvcc::version::VersionRef;
use crate::mvcc::{RowId, Xid, pin};
use crate::store::columns::Stored;
use crate::store::index::{Body, IndexStore, Keyed};
use crate::txn::{Transaction, Writer};

/// What has the key already.
enum Conflict {
    Row(RowId),
    Wait(Xid),
    Again,
}

impl Table {
    /// Adds a linked row's entry to a unique index, or says which row has the key. Waits for writers
    /// of that key without the gate.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn add_unique<'a>(
        &'a self,
        txn: &Transaction,
        w: Writer,
        index: &IndexStore,
        row: RowId,
        tuple: &[u8],
        keys: &mut Keys,
        gate: &mut Option<RwLockReadGuard<'a, ()>>,
    ) -> Result<Option<RowId>> {
        let keyed = if index.may_wait() {
            let row = Stored { layout: &self.layout, bytes: tuple };
            self.without_gate(gate, || index.key_of(&row, &mut keys.own))?
        } else {
            index.key(&self.layout, tuple, &mut keys.own)?
        };
        match keyed {
            Keyed::Absent => return Ok(None),
            Keyed::WithNull if !index.nulls_not_distinct => {
                index.add_key(&keys.own, row);
                return Ok(None);
            }
            Keyed::WithNull | Keyed::Whole => {}
        }
        loop {
            let held = index.lock_key(&keys.own);
            match self.conflict(index, keys, Some(row), w.xid)? {
                None => {
                    index.add_key(&keys.own, row);
                    return Ok(None);
                }
                Some(Conflict::Row(other)) => return Ok(Some(other)),
                Some(Conflict::Wait(xid)) => {
                    drop(held);
                    gate.take();
                    txn.wait_for(xid).map_err(|e| self.while_doing(e, "inserting index", row))?;
                    *gate = Some(self.store.gate.read());
                }
                Some(Conflict::Again) => std::thread::yield_now(),
            }
        }
    }

    /// Adds a linked row's entry to an index that is not unique.
    pub(super) fn add_plain<'a>(
        &'a self,
        index: &IndexStore,
        row: RowId,
        tuple: &[u8],
        keys: &mut Keys,
        gate: &mut Option<RwLockReadGuard<'a, ()>>,
    ) -> Result<()> {
        if !index.may_wait() {
            return index.add(&self.layout, tuple, row, &mut keys.own);
        }
        let entry = self.without_gate(gate, || index.entry_of(&self.layout, tuple))?;
        if let Some(entry) = entry {
            index.add_entry(row, entry);
        }
        Ok(())
    }

    /// What users' functions do may take any time, and wait for somebody who waits for the gate. Nobody begins to build
    /// an index meanwhile: that is kept out by the lock on the table.
    fn without_gate<'a, T>(
        &'a self,
        gate: &mut Option<RwLockReadGuard<'a, ()>>,
        f: impl FnOnce() -> T,
    ) -> T {
        gate.take();
        let result = f();
        *gate = Some(self.store.gate.read());
        result
    }

    /// A living row that has the key of these values in one of the unique indexes asked about. Waits for
    /// writers of that key.
    pub(super) fn find_conflict(
        &self,
        txn: &Transaction,
        values: &[Datum],
        keys: &mut Keys,
        asked: impl Fn(&IndexStore) -> bool,
    ) -> Result<Option<RowId>> {
        let xid = txn.xid().unwrap_or(0);
        for index in self.store.indexes().iter().filter(|i| i.unique && asked(i)) {
            match index.key_of(&values, &mut keys.own)? {
                Keyed::Absent => continue,
                Keyed::WithNull if !index.nulls_not_distinct => continue,
                Keyed::WithNull | Keyed::Whole => {}
            }
            loop {
                match self.conflict(index, keys, None, xid)? {
                    None => break,
                    Some(Conflict::Row(other)) => return Ok(Some(other)),
                    Some(Conflict::Wait(other)) => txn.wait_for(other)?,
                    Some(Conflict::Again) => std::thread::yield_now(),
                }
            }
        }
        Ok(None)
    }

    /// Looks for another row with the key, in the newest state there is.
    fn conflict(
        &self,
        index: &IndexStore,
        keys: &mut Keys,
        me: Option<RowId>,
        xid: Xid,
    ) -> Result<Option<Conflict>> {
        let body = index.body();
        let Body::Btree(btree) = &**body else { return Ok(None) };
        let guard = pin();
        let mut found = Ok(None);
        let Keys { own, theirs } = keys;
        btree.get(own, |row| {
            if me != Some(row) {
                let head = self.store.rows.head(row, &guard);
                found = head.and_then(|head| match head {
                    Some(head) => self.stands(index, row, head, xid, own, theirs),
                    None => Ok(None),
                });
            }
            matches!(found, Ok(None))
        });
        found
    }

    /// Whether a row stands in the way of one with the key `own`.
    fn stands(
        &self,
        index: &IndexStore,
        row: RowId,
        head: VersionRef<'_>,
        xid: Xid,
        own: &[u8],
        theirs: &mut Vec<u8>,
    ) -> Result<Option<Conflict>> {
        Ok(match self.core.clock.resolve(head) {
            Stamp::Running(x) if x != xid => Some(Conflict::Wait(x)),
            Stamp::Aborted => Some(Conflict::Again),
            _ if head.is_tombstone() => None,
            _ => {
                let keyed = index.key(&self.layout, head.bytes(), theirs)?;
                let same = keyed != Keyed::Absent && theirs == own;
                same.then_some(Conflict::Row(row))
            }
        })
    }
}
