//! Building an index over a table that goes on being written.
//!
//! 1. Wait for the transactions that have written to the table, letting others begin to write while that takes long, and
//!    in that moment set the index to *building* and take a snapshot: every version is now either in the snapshot (or our
//!    own), or its writer will leave word in the pending list.
//! 2. Build from the snapshot.
//! 3. Add the older versions that older snapshots still see.
//! 4. Put the pending changes in ([`catch_up`]).
//!
//! The catalog says the index is valid only from our commit on: a crash before leaves no half-built
//! index.

mod catch_up;

use std::collections::HashMap as StdHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;
use vicinity_indexes::options::MethodOptions;
use vicinity_indexes::{
    Btree, Hnsw, Ivfflat, Phase, Progress, VectorIndex, VectorSource, count_step, step_aside,
};
use vicinity_types::{Oid, PgError, Result};

use super::index::{Body, Entry, IndexStore, Keyed, Pending};
use super::place::Place;
use super::{Layout, Store};
use crate::catalog::model::{IndexDef, Object, Relation, RelationKind};
use crate::database::Database;
use crate::mvcc::clock::{Clock, Stamp};
use crate::mvcc::place::OwnPlace;
use crate::mvcc::{RowId, Snapshot, pin, rest_at};
use crate::table::Table;
use crate::txn::Transaction;
use crate::txn::relation_lock::RelationLock;

/// Running builds.
#[derive(Default)]
pub(crate) struct Builds {
    next: AtomicU64,
    running: Mutex<StdHashMap<u64, BuildInfo>>,
}

/// One running index build, for `pg_stat_progress_create_index`.
#[derive(Clone)]
pub struct BuildInfo {
    /// The process given with `Transaction::set_process`.
    pub pid: i32,
    /// The table.
    pub table: Oid,
    /// The index.
    pub index: Oid,
    /// How far it is.
    pub progress: Arc<Progress>,
}

/// Rows between two reports of progress.
const STEP: u64 = 512;
/// Rows read by one thread at a time.
const PART: u64 = 1 << 16;

impl Database {
    /// The index builds that run now.
    pub fn progress(&self) -> Vec<BuildInfo> {
        self.builds.running.lock().values().cloned().collect()
    }

    /// Fills an index that the transaction put (or builds one anew: REINDEX, which keeps writers out),
    /// and marks it valid. Runs for as long as it takes; writers go on.
    pub fn build_index(
        self: &Arc<Self>,
        txn: &Transaction,
        index: Oid,
        progress: &Arc<Progress>,
    ) -> Result<()> {
        let missing = || PgError::internal(format!("index {index} does not exist"));
        let catalog = txn.catalog();
        let relation = catalog.relation(index).ok_or_else(missing)?.clone();
        let def = relation.index().ok_or_else(missing)?;
        let table = self.table(def.table, &catalog)?;
        let info =
            BuildInfo { pid: txn.process(), table: def.table, index, progress: progress.clone() };
        let id = self.builds.next.fetch_add(1, Ordering::Relaxed);
        self.builds.running.lock().insert(id, info);
        let outcome = self.build(txn, &table, index, progress);
        self.builds.running.lock().remove(&id);
        outcome?;
        if def.valid {
            return Ok(());
        }
        let def = IndexDef { valid: true, ..def.clone() };
        let valid = Relation { kind: RelationKind::Index(def), ..(*relation).clone() };
        txn.put(Object::Relation(Arc::new(valid)))
    }

    fn build(&self, txn: &Transaction, table: &Table, oid: Oid, progress: &Progress) -> Result<()> {
        let store = table.store();
        let index = store.index(oid).ok_or_else(|| PgError::internal("index is not attached"))?;
        if index.ready() && store.rows.end() == 0 {
            return Ok(());
        }
        let rebuilt = index.ready();
        let before = txn.savepoint();
        if rebuilt {
            txn.lock_relation(store.table, RelationLock::Share)?;
        } else {
            txn.lock_relation_in_passing(store.table, RelationLock::Share)?;
        }
        let place = OwnPlace::take(&self.core.clock)?;
        let building = if rebuilt { Arc::new(index.blank()) } else { index };
        let pending = Arc::new(Mutex::new(Vec::new()));
        {
            let _alone = store.gate.write();
            building.set_body(Body::Building(pending.clone()));
        }
        if !rebuilt {
            // Writers go on. (If we held the lock before, for other reasons, we still do.)
            txn.rollback_to(&before)?;
        }
        let xid = txn.xid().unwrap_or(0);
        let snapshot = Snapshot::unwatched(place.ts, xid, u32::MAX, place.slot);
        let source = Source {
            store,
            index: &building,
            layout: store.layout.load_full(),
            clock: &self.core.clock,
            snapshot,
            end: store.rows.end(),
            progress,
        };
        let made =
            source.make(txn, table).and_then(|body| source.finish(txn, table, &pending, body));
        drop(place);
        match made {
            Ok(()) if rebuilt => store.attach(building),
            Ok(()) => {}
            Err(e) => {
                building.set_body(Body::Unbuilt);
                return Err(e);
            }
        }
        Ok(())
    }
}

/// The rows an index is built from.
struct Source<'a> {
    store: &'a Store,
    index: &'a IndexStore,
    layout: Arc<Layout>,
    clock: &'a Clock,
    snapshot: Snapshot,
    end: RowId,
    progress: &'a Progress,
}

impl VectorSource for Source<'_> {
    fn len_hint(&self) -> usize {
        let live = self.store.counters.live.load(Ordering::Relaxed);
        usize::try_from(live).unwrap_or(0).min(self.end as usize)
    }

    fn for_each(&self, f: &mut dyn FnMut(RowId, &[f32]) -> Result<()>) -> Result<()> {
        let mut scratch = Vec::new();
        self.each_row(&mut |row, bytes| {
            self.index.vector(&self.layout, bytes, &mut scratch, |v| f(row, v))?.transpose()?;
            Ok(())
        })
    }
}

impl Source<'_> {
    /// Every row the snapshot sees.
    fn each_row(&self, f: &mut dyn FnMut(RowId, &[u8]) -> Result<()>) -> Result<()> {
        self.rows_in(0..self.end, f)
    }

    /// Every row with such an id the snapshot sees.
    fn rows_in(
        &self,
        ids: std::ops::Range<RowId>,
        f: &mut dyn FnMut(RowId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut guard = pin();
        for row in ids {
            if rest_at(row, &mut guard) {
                self.progress.check()?;
            }
            let head = self.store.rows.head(row, &guard)?;
            if let Some(v) = self.snapshot.visible(head, self.clock, &guard) {
                f(row, v.bytes())?;
            }
        }
        Ok(())
    }

    /// The places of all rows, read and put in order by all cores.
    fn make_spatial(&self) -> Result<Body> {
        self.progress.start(Phase::Loading, self.len_hint() as u64);
        let parts = (0..self.end.div_ceil(PART)).into_par_iter().map(|part| {
            let mut places: Vec<(RowId, Place)> = Vec::new();
            let ids = part * PART..((part + 1) * PART).min(self.end);
            self.rows_in(ids, &mut |row, bytes| {
                places.extend(self.index.place(&self.layout, bytes)?.map(|p| (row, p)));
                Ok(())
            })?;
            self.progress.advance(places.len() as u64);
            Ok(places)
        });
        let parts: Vec<Vec<(RowId, Place)>> = parts.collect::<Result<_>>()?;
        let mut places = Vec::with_capacity(parts.iter().map(Vec::len).sum());
        for part in parts {
            places.extend(part);
            step_aside();
        }
        self.index.spatial_body(places)
    }

    fn make(&self, txn: &Transaction, table: &Table) -> Result<Body> {
        if self.index.is_spatial() {
            return self.make_spatial();
        }
        match self.index.vector_options()? {
            None => self.make_btree(txn, table),
            Some(MethodOptions::Hnsw(o)) => {
                Ok(Body::Vector(Arc::new(Hnsw::build(self, o, self.progress)?)))
            }
            Some(MethodOptions::Ivfflat(o)) => {
                Ok(Body::Vector(Arc::new(Ivfflat::build(self, o, self.progress)?)))
            }
        }
    }

    fn make_btree(&self, txn: &Transaction, table: &Table) -> Result<Body> {
        let mut keys = Keys::default();
        let mut key = Vec::new();
        self.progress.start(Phase::Loading, self.len_hint() as u64);
        self.each_row(&mut |row, bytes| {
            let keyed = self.index.key(&self.layout, bytes, &mut key)?;
            keys.push(&key, row, keyed);
            if row % STEP == 0 {
                self.progress.advance(STEP);
            }
            Ok(())
        })?;
        keys.sort();
        if self.index.unique
            && let Some(row) = keys.duplicate(self.index.nulls_not_distinct)
        {
            let guard = pin();
            let head = self.store.rows.head(row, &guard)?;
            let bytes = self.snapshot.visible(head, self.clock, &guard).map(|v| v.bytes());
            return Err(table.cannot_be_unique(txn, self.index.oid, bytes.unwrap_or_default()));
        }
        Ok(Body::Btree(Arc::new(Btree::bulk_load(keys.iter()))))
    }

    /// Steps 3 and 4.
    fn finish(
        &self,
        txn: &Transaction,
        table: &Table,
        pending: &Mutex<Vec<Pending>>,
        body: Body,
    ) -> Result<()> {
        self.add_older(&body)?;
        self.catch_up(txn, table, pending, body)
    }

    /// Entries of versions that only snapshots older than ours see, or nobody: whoever takes a version away takes its
    /// entry out of the index.
    fn add_older(&self, body: &Body) -> Result<()> {
        let mut guard = pin();
        for row in 0..self.end {
            rest_at(row, &mut guard);
            let Some(head) = self.store.rows.head(row, &guard)? else { continue };
            let shown = self.snapshot.visible(Some(head), self.clock, &guard);
            let mut at = Some(head);
            while let Some(v) = at {
                // Our own are as good as committed: they will be, or the index goes with them.
                let old = match self.clock.resolve(v) {
                    Stamp::Committed(ts) => ts <= self.snapshot.ts,
                    Stamp::Running(xid) => xid == self.snapshot.xid,
                    Stamp::Aborted => false,
                };
                let same = shown
                    .is_some_and(|s| self.index.same_entry(&self.layout, s.bytes(), v.bytes()));
                if old
                    && !v.is_tombstone()
                    && !same
                    && let Some(entry) = self.index.entry(&self.layout, v.bytes())?
                {
                    add(body, row, &entry)?;
                }
                at = v.older(&guard);
            }
        }
        Ok(())
    }
}

fn add(body: &Body, row: RowId, entry: &Entry) -> Result<()> {
    match (body, entry) {
        (Body::Btree(b), Entry::Key(k)) => {
            b.insert(k, row);
            Ok(())
        }
        (Body::Vector(v), Entry::Vector(x)) => v.insert(row, x),
        (body, Entry::Place(place)) => {
            place.add(body, row);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Keys to be sorted, their bytes in one place.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    entries: Vec<KeyEntry>,
}

#[derive(Clone, Copy)]
struct KeyEntry {
    at: usize,
    len: u32,
    null: bool,
    row: RowId,
}

impl Keys {
    fn push(&mut self, key: &[u8], row: RowId, keyed: Keyed) {
        if keyed == Keyed::Absent {
            return;
        }
        let null = keyed == Keyed::WithNull;
        let at = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.entries.push(KeyEntry { at, len: key.len() as u32, null, row });
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.par_sort_unstable_by(|a, b| {
            count_step();
            a.key(bytes).cmp(b.key(bytes)).then(a.row.cmp(&b.row))
        });
    }

    /// A row whose key another has too.
    fn duplicate(&self, nulls_equal: bool) -> Option<RowId> {
        self.entries.windows(2).find_map(|pair| match pair {
            [a, b] if a.key(&self.bytes) == b.key(&self.bytes) && (nulls_equal || !a.null) => {
                Some(b.row)
            }
            _ => None,
        })
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], RowId)> {
        self.entries.iter().map(|e| (e.key(&self.bytes), e.row))
    }
}

impl KeyEntry {
    fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.at..self.at + self.len as usize).unwrap_or_default()
    }
}

/// After recovery: an index over rows that have one committed version each.
pub(crate) fn rebuild(
    store: &Store,
    index: &IndexStore,
    clock: &Clock,
    progress: &Progress,
) -> Result<()> {
    let source = Source {
        store,
        index,
        layout: store.layout.load_full(),
        clock,
        snapshot: Snapshot { ts: 1, xid: 0, cid: 0, slot: u16::MAX, watched: false },
        end: store.rows.end(),
        progress,
    };
    let body = if store.rows.end() == 0 {
        index.empty_body()?
    } else if index.is_spatial() {
        source.make_spatial()?
    } else {
        match index.vector_options()? {
            Some(MethodOptions::Hnsw(o)) => {
                Body::Vector(Arc::new(Hnsw::build(&source, o, progress)?) as Arc<dyn VectorIndex>)
            }
            Some(MethodOptions::Ivfflat(o)) => {
                Body::Vector(Arc::new(Ivfflat::build(&source, o, progress)?))
            }
            None => {
                progress.start(Phase::Loading, source.end);
                let (mut keys, mut key) = (Keys::default(), Vec::new());
                source.each_row(&mut |row, bytes| {
                    let keyed = index.key(&source.layout, bytes, &mut key)?;
                    keys.push(&key, row, keyed);
                    if row % STEP == 0 {
                        progress.advance(STEP);
                    }
                    Ok(())
                })?;
                keys.sort();
                Body::Btree(Arc::new(Btree::bulk_load(keys.iter())))
            }
        }
    };
    index.set_body(body);
    Ok(())
}
