//! What reading and writing tells of transactions at SERIALIZABLE: see [`crate::txn::serializable`].

use smallvec::smallvec;
use vicinity_types::{Oid, PgError, Result};

use super::cursor::{Access, is_everywhere};
use super::{Insert, Table};
use crate::catalog::model::Persistence;
use crate::mvcc::{RowId, Snapshot};
use crate::store::index::Entry;
use crate::txn::Transaction;
use crate::txn::serializable::predicate::Predicate;
use crate::txn::serializable::{Changed, Noted, Serializable, Target};

impl Table {
    fn watch(&self) -> &Serializable {
        &self.core.clock.serializable
    }

    /// Rows that only their own session sees depend on nobody.
    fn is_shared(&self) -> bool {
        self.store.persistence != Persistence::Temporary
    }

    /// Notes what a scan is about to read. What a union reads, its parts do.
    #[cold]
    pub(super) fn reads(&self, access: &Access, snapshot: &Snapshot) -> Option<Box<Noted>> {
        let target = match access {
            Access::Seq | Access::Range { .. } => Target::Table,
            Access::Row(row) => Target::Row(*row),
            Access::Btree { index, range, .. } => Target::range(*index, range),
            Access::Vector { index, query, .. } => {
                Target::Part(*index, Predicate::Vectors { query: query.clone(), within: None })
            }
            Access::Points { index, region, near, .. } => {
                let nulls = near.is_some() && region.is_none();
                let near = near.map(|at| (at, f64::INFINITY));
                Target::Part(*index, Predicate::Points { region: *region, near, nulls })
            }
            Access::Boxes { index, low, high, near, .. } => {
                let nulls = near.is_some() && is_everywhere(low, high);
                Target::Part(*index, Predicate::Boxes { low: *low, high: *high, nulls })
            }
            Access::Union(_) => return None,
        };
        self.note(snapshot, target)
    }

    /// Notes that a key is about to be looked up.
    #[cold]
    pub(super) fn reads_key(&self, index: Oid, key: &[u8], snapshot: &Snapshot) {
        self.note(snapshot, Target::Key(index, key.into()));
    }

    fn note(&self, snapshot: &Snapshot, target: Target) -> Option<Box<Noted>> {
        if !self.is_shared() {
            return None;
        }
        // Neighbours in a graph are not found for certain, however new they are.
        let unsure = matches!(target, Target::Part(_, Predicate::Vectors { .. }));
        let noted = self.watch().reads(snapshot, self.oid(), target);
        if unsure {
            self.watch().reads_all_of(snapshot, self.oid());
        }
        noted
    }

    /// An insert meets a row that has its key already: it has read that row.
    pub(super) fn meets(&self, txn: &Transaction, other: RowId) -> Result<Insert> {
        if txn.is_watched() && self.is_shared() {
            txn.watch_read(self.oid(), Target::Row(other))?;
        }
        Ok(Insert::Conflict(other))
    }

    /// A row was written: its bytes before and after.
    #[cold]
    pub(super) fn wrote(
        &self,
        txn: &Transaction,
        row: Option<RowId>,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<()> {
        if !self.is_shared() {
            return Ok(());
        }
        let mut entries = Vec::new();
        for oid in self.watch().indexes_read(self.oid()) {
            let Some(index) = self.store.index(oid) else { continue };
            let entry = |bytes: Option<&[u8]>| -> Result<Option<Option<Entry>>> {
                bytes.map(|bytes| index.entry(&self.layout, bytes)).transpose()
            };
            let mut changed = Changed { index: oid, entries: smallvec![] };
            changed.entries.extend(entry(old)?);
            changed.entries.extend(entry(new)?);
            entries.push(changed);
        }
        txn.watch_write(self.oid(), row, &entries)
    }

    /// A key is there already. That others have looked for it goes before: the transaction might
    /// succeed if it is run again.
    pub(super) fn refuse(
        &self,
        txn: &Transaction,
        index: Oid,
        old: Option<&[u8]>,
        new: &[u8],
    ) -> PgError {
        let lost =
            if txn.is_watched() { self.wrote(txn, None, old, Some(new)).err() } else { None };
        lost.unwrap_or_else(|| self.duplicate_key(txn, index, new))
    }
}
