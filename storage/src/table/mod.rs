//! Tables as statements use them: rows in, rows out, by id, in order of an index, or all of them.

mod boxes;
mod cursor;
mod error;
mod layout;
mod range;
mod row_lock;
mod spatial;
mod union;
mod unique;
mod vector;
mod watch;
mod write;

use std::sync::Arc;

use crossbeam_epoch::Guard;
use vicinity_types::tuple::{Tuple, TupleDesc};
use vicinity_types::{Datum, Oid, Result};

use crate::catalog::model::{Relation, TableDef};
use crate::database::Core;
use crate::mvcc::version::VersionRef;
use crate::mvcc::{RowId, Snapshot, pin};
use crate::store::{Layout, Store, TableStats};
use crate::txn::Transaction;
pub use boxes::Near;
pub use cursor::{Access, Cursor, Filter, Walk};
pub use error::concurrent_update;
use layout::SharedLayout;
pub use range::KeyRange;
pub use row_lock::{LockOutcome, LockWait};
pub use write::{Insert, Write};

/// A table in one version of the catalog, on its storage. Cheap to clone and to keep in a plan.
pub struct Table {
    core: Arc<Core>,
    relation: Arc<Relation>,
    /// Its indexes in that catalog.
    indexes: Vec<Arc<Relation>>,
    layout: SharedLayout,
    store: Arc<Store>,
}

/// A visible row. Lives as long as the guard it was read under.
#[derive(Clone, Copy)]
pub struct Row<'g> {
    /// Its id, the same for life.
    pub id: RowId,
    bytes: &'g [u8],
    layout: &'g Layout,
}

impl<'g> Row<'g> {
    /// Its columns as stored: those added after it was written are missing, see [`Row::raw`].
    #[inline]
    pub fn tuple(&self) -> Tuple<'g> {
        Tuple::new(&self.layout.desc, self.bytes)
    }

    /// A column's raw value (`vicinity_types::raw`); `None` is NULL. Columns younger than the row have
    /// the value they were added with.
    #[inline]
    pub fn raw(&self, column: usize) -> Option<&'g [u8]> {
        self.layout.raw(self.bytes, column)
    }

    /// A column's value.
    #[inline]
    pub fn get(&self, column: usize) -> Datum {
        let tuple = self.tuple();
        if column < tuple.stored_columns() {
            return tuple.get(column);
        }
        let kind = self.layout.desc.kinds().get(column);
        match (self.raw(column), kind) {
            (Some(raw), Some(kind)) => {
                vicinity_types::raw::decode(*kind, raw).unwrap_or(Datum::Null)
            }
            _ => Datum::Null,
        }
    }

    /// All columns, dropped ones included.
    pub fn values(&self) -> Vec<Datum> {
        let (tuple, width) = (self.tuple(), self.layout.desc.len());
        if tuple.stored_columns() == width {
            return tuple.values();
        }
        (0..width).map(|i| self.get(i)).collect()
    }
}

impl Table {
    pub(crate) fn new(
        core: Arc<Core>,
        relation: Arc<Relation>,
        indexes: Vec<Arc<Relation>>,
        layout: Layout,
        store: Arc<Store>,
    ) -> Table {
        Table { core, relation, indexes, layout: SharedLayout::new(layout), store }
    }

    /// Whether this is the table as a catalog describes it.
    pub(crate) fn matches<'a>(
        &self,
        relation: &Arc<Relation>,
        mut indexes: impl Iterator<Item = &'a Arc<Relation>>,
    ) -> bool {
        Arc::ptr_eq(&self.relation, relation)
            && self.indexes.iter().all(|i| indexes.next().is_some_and(|j| Arc::ptr_eq(i, j)))
            && indexes.next().is_none()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Its id.
    pub fn oid(&self) -> Oid {
        self.relation.oid
    }

    /// Its description.
    pub fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// Its definition.
    pub fn def(&self) -> Option<&TableDef> {
        self.relation.table()
    }

    /// Its indexes in the catalog it was opened with.
    pub fn indexes(&self) -> &[Arc<Relation>] {
        &self.indexes
    }

    /// How its tuples are laid out: every column, dropped ones included.
    pub fn desc(&self) -> &TupleDesc {
        &self.layout.desc
    }

    /// Whether an index can answer queries now.
    pub fn index_ready(&self, index: Oid) -> bool {
        self.store.index(index).is_some_and(|i| i.ready())
    }

    /// Entries and bytes of an index.
    pub fn index_size(&self, index: Oid) -> (usize, usize) {
        self.store.index(index).map_or((0, 0), |i| (i.len(), i.memory()))
    }

    /// Bytes an index takes.
    pub fn index_memory(&self, index: Oid) -> u64 {
        self.store.index(index).map_or(0, |i| i.memory() as u64)
    }

    /// Counters for the planner, EXPLAIN and the statistics views.
    pub fn stats(&self) -> TableStats {
        self.store.stats()
    }

    /// A row by id, if the snapshot sees it.
    // Called in loops over rows.
    #[inline(always)]
    pub fn fetch<'g>(
        &self,
        row: RowId,
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Result<Option<Row<'g>>> {
        let head = self.store.rows.look_up(row, guard)?;
        Ok(self.shown(row, head, snapshot, guard))
    }

    /// The same on the way through all rows: one that is not in memory stays where it is.
    #[inline]
    fn pass<'g>(
        &self,
        row: RowId,
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Result<Option<Row<'g>>> {
        let head = self.store.rows.head(row, guard)?;
        Ok(self.shown(row, head, snapshot, guard))
    }

    // Called in loops over rows: by a call they would go through memory.
    #[inline(always)]
    fn shown<'g>(
        &self,
        row: RowId,
        head: Option<VersionRef<'g>>,
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Option<Row<'g>> {
        let v = snapshot.visible(head, &self.core.clock, guard)?;
        Some(self.row(row, v.bytes(), guard))
    }

    /// Whether a snapshot sees a row as it is now: neither others nor the transaction itself, since,
    /// have made or changed it.
    pub fn sees_newest(&self, txn: &Transaction, row: RowId, snapshot: &Snapshot) -> Result<bool> {
        let guard = pin();
        let head = self.store.rows.head(row, &guard)?;
        let seen = snapshot.visible(head, &self.core.clock, &guard);
        txn.with_latest(|latest| {
            Ok(match (latest.visible(head, &self.core.clock, &guard), seen) {
                (Some(newest), Some(seen)) => std::ptr::eq(newest.bytes(), seen.bytes()),
                (newest, _) => newest.is_none(),
            })
        })
    }

    /// A visible version as a row.
    #[inline(always)]
    fn row<'g>(&self, id: RowId, bytes: &'g [u8], guard: &'g Guard) -> Row<'g> {
        let layout = self.layout.under(guard);
        let row = Row { id, bytes, layout };
        if row.tuple().stored_columns() <= layout.desc.len() {
            return row;
        }
        Row { layout: self.newest_layout(guard), ..row }
    }

    /// ALTER TABLE ADD COLUMN went by since this table was opened.
    #[cold]
    fn newest_layout<'g>(&self, guard: &'g Guard) -> &'g Layout {
        layout::under(&self.store.layout, guard)
    }

    /// One past the highest row id: the end of a scan by ranges of row ids.
    pub fn row_end(&self) -> RowId {
        self.store.rows.end()
    }
}
