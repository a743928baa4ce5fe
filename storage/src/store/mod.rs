//! A table's storage: its rows, the indexes kept on them, and what is known about both.
//!
//! The catalog says which storage a table has now; TRUNCATE and rewrites give it a new one. Writers
//! keep up **every** index that is attached to the storage, also those that their version of the
//! catalog does not know yet (an index being built by another session).

pub(crate) mod build;
pub(crate) mod columns;
pub(crate) mod computed;
pub(crate) mod index;
pub(crate) mod place;
pub(crate) mod rebuild;
pub(crate) mod vacuum;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use vicinity_indexes::Apart;
use vicinity_types::tuple::{Tuple, TupleDesc};
use vicinity_types::{Oid, Result};

use crate::catalog::Catalog;
use crate::catalog::model::{Persistence, TableDef};
use crate::mvcc::RowId;
use crate::mvcc::rows::Rows;
use index::IndexStore;

/// How a tuple's bytes are read.
#[derive(Debug)]
pub struct Layout {
    /// All columns, dropped ones included.
    pub desc: TupleDesc,
    /// The raw values of columns that a row written before them does not have.
    pub missing: Vec<Option<Vec<u8>>>,
}

impl Layout {
    pub(crate) fn of(def: &TableDef, catalog: &Catalog) -> Layout {
        let kinds = def.columns.iter().map(|c| catalog.kind_of(c.type_oid)).collect();
        let missing = def.columns.iter().map(|c| c.missing.clone()).collect();
        Layout { desc: TupleDesc::new(kinds), missing }
    }

    /// A column's raw value; `None` is NULL.
    #[inline]
    pub(crate) fn raw<'a>(&'a self, bytes: &'a [u8], column: usize) -> Option<&'a [u8]> {
        let tuple = Tuple::new(&self.desc, bytes);
        if column < tuple.stored_columns() {
            tuple.raw(column)
        } else {
            self.missing.get(column)?.as_deref()
        }
    }
}

/// Counters as `pg_stat_all_tables` and `pg_class` want them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Rows alive in the newest committed state, about (`n_live_tup`, `reltuples`).
    pub live: u64,
    /// Rows and versions that wait for the vacuum (`n_dead_tup`).
    pub dead: u64,
    /// Rows inserted, updated and deleted by committed transactions since start.
    pub inserted: u64,
    /// See `inserted`.
    pub updated: u64,
    /// See `inserted`.
    pub deleted: u64,
    /// Bytes of row versions and slots.
    pub bytes: u64,
    /// Sequential scans begun.
    pub seq_scans: u64,
    /// Index scans begun, over all indexes.
    pub index_scans: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) live: AtomicI64,
    pub(crate) inserted: AtomicU64,
    pub(crate) updated: AtomicU64,
    pub(crate) deleted: AtomicU64,
    pub(crate) seq_scans: AtomicU64,
    pub(crate) index_scans: AtomicU64,
}

/// One table storage.
pub(crate) struct Store {
    pub(crate) id: u64,
    pub(crate) table: Oid,
    pub(crate) persistence: Persistence,
    pub(crate) rows: Rows,
    /// The widest layout so far; rows may have fewer columns, never more.
    pub(crate) layout: ArcSwap<Layout>,
    indexes: ArcSwap<Vec<Arc<IndexStore>>>,
    /// Writers share it while they put a row and its entries in; whoever attaches an index or ends
    /// its build takes it alone, for a moment.
    pub(crate) gate: Apart<RwLock<()>>,
    /// Rows with versions whose index entries must go with them, in the order they were reported.
    pub(crate) garbage: Apart<Mutex<VecDeque<RowId>>>,
    pub(crate) counters: Apart<Counters>,
    /// Whether a commit wrote to it since the last checkpoint.
    touched: AtomicBool,
    /// Whether no table has it any more: what is written to it is lost.
    retired: AtomicBool,
}

impl Store {
    /// The database forgets it.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// A storage over rows that are there, or none.
    pub(crate) fn new(
        id: u64,
        table: Oid,
        persistence: Persistence,
        layout: Layout,
        rows: Rows,
    ) -> Store {
        Store {
            id,
            table,
            persistence,
            rows,
            layout: ArcSwap::from_pointee(layout),
            indexes: ArcSwap::from_pointee(Vec::new()),
            gate: Apart::default(),
            garbage: Apart::default(),
            counters: Apart::default(),
            touched: AtomicBool::new(true),
            retired: AtomicBool::new(false),
        }
    }

    /// Whether its changes go to the WAL.
    pub(crate) fn logged(&self) -> bool {
        self.persistence == Persistence::Permanent
    }

    /// A commit writes to it; said under the lock that commits and checkpoints' cuts share.
    #[inline]
    pub(crate) fn touch(&self) {
        if !self.touched.load(Ordering::Relaxed) {
            self.touched.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a commit wrote to it since this was asked last.
    pub(crate) fn take_touched(&self) -> bool {
        self.touched.swap(false, Ordering::Relaxed)
    }

    /// All attached indexes.
    pub(crate) fn indexes(&self) -> arc_swap::Guard<Arc<Vec<Arc<IndexStore>>>> {
        self.indexes.load()
    }

    pub(crate) fn index(&self, oid: Oid) -> Option<Arc<IndexStore>> {
        self.indexes.load().iter().find(|i| i.oid == oid).cloned()
    }

    /// Adds an index (in place of one with the same id): writers that begin from now on keep it up.
    pub(crate) fn attach(&self, index: Arc<IndexStore>) {
        let _alone = self.gate.write();
        let mut list: Vec<_> = self.indexes.load().as_ref().clone();
        list.retain(|i| i.oid != index.oid);
        list.push(index);
        self.indexes.store(Arc::new(list));
    }

    /// Forgets an index.
    pub(crate) fn detach(&self, oid: Oid) {
        let _alone = self.gate.write();
        let mut list: Vec<_> = self.indexes.load().as_ref().clone();
        list.retain(|i| i.oid != oid);
        self.indexes.store(Arc::new(list));
    }

    /// Leaves a row for the vacuum.
    pub(crate) fn report_garbage(&self, row: RowId) {
        self.garbage.lock().push_back(row);
    }

    pub(crate) fn stats(&self) -> TableStats {
        let c = &self.counters;
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        TableStats {
            live: u64::try_from(c.live.load(Ordering::Relaxed)).unwrap_or(0),
            dead: self.garbage.lock().len() as u64,
            inserted: count(&c.inserted),
            updated: count(&c.updated),
            deleted: count(&c.deleted),
            bytes: self.rows.bytes() + self.rows.end() * 8,
            seq_scans: count(&c.seq_scans),
            index_scans: count(&c.index_scans),
        }
    }

    /// Takes a changed table definition over.
    pub(crate) fn set_layout(&self, layout: Layout) -> Result<()> {
        // Rows may still be read through the old one.
        let old = self.layout.swap(Arc::new(layout));
        crossbeam_epoch::pin().defer(move || drop(old));
        Ok(())
    }
}
