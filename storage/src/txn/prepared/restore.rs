//! What a start makes of the file of a prepared transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vicinity_indexes::Progress;
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::locks::{LockKey, LockMode};
use super::super::log::{Op, Ops, TxnLog};
use super::super::object_lock::needed_now;
use super::super::undo::Undo;
use super::super::{Change1, Inner, Touched, Transaction};
use super::effect::{self, Effect};
use super::file::Image;
use super::{PreparedInfo, Registry, Stage};
use crate::catalog::change::{Change, Key, LoggedChange};
use crate::catalog::model::{IndexDef, Object, RelationKind, TableDef};
use crate::catalog::names::{Name, new_names};
use crate::catalog::{Catalog, ObjectKind};
use crate::database::Database;
use crate::mvcc::place::SnapshotPlace;
use crate::mvcc::rows::Rows;
use crate::mvcc::version::{KEYS_CHANGED, MOVED, NewVersion, TOMBSTONE, UNCOMMITTED};
use crate::mvcc::{RowId, Xid, pin};
use crate::sequence::Sequence;
use crate::store::build::rebuild;
use crate::store::index::IndexStore;
use crate::store::rebuild::Job;
use crate::store::{Layout, Store};
use crate::wal::record::decode_changes;

fn damaged(what: &str) -> PgError {
    PgError::new(SqlState::DATA_CORRUPTED, format!("a prepared transaction does not fit: {what}"))
}

/// The transaction is there again. `unlogged`: the rows of unlogged tables are.
pub(crate) fn restore(db: &Arc<Database>, image: Image, unlogged: bool) -> Result<()> {
    let place = SnapshotPlace::open(db)?;
    let info = PreparedInfo {
        xid: image.xid,
        name: image.name.clone(),
        owner: image.owner,
        at: image.at,
        extra: image.extra.clone(),
        place: place.slot,
    };
    let txn = Transaction::begin(place, image.isolation, false);
    txn.take_back(&image, unlogged)?;
    db.prepared.protect(image.xid, &txn.inner.lock().changes);
    db.prepared.add(info, txn.suspend(), !unlogged)
}

impl Transaction {
    fn take_back(&self, image: &Image, unlogged: bool) -> Result<()> {
        let core = &self.place.db.core;
        core.clock.resume(image.xid, self.owner)?;
        self.xid.store(image.xid, Ordering::Relaxed);
        for (relation, mode) in &image.relations {
            self.lock_relation(*relation, *mode)?;
        }
        if let Some(watched) = &image.watched {
            let clock = &core.clock;
            let id = clock.serializable.resume(clock, self.place.slot, image.xid, watched);
            self.watched.store(id, Ordering::Relaxed);
        }
        let (names, objects) = self.take_back_changes(&image.changes)?;
        for (kind, oid) in objects {
            self.share_object(kind, oid)?;
        }
        for name in names {
            self.try_lock(LockKey::Name(name.hashed()), LockMode::Exclusive)?
                .map_err(|_| damaged("a name is given twice"))?;
        }
        self.take_back_rows(image, unlogged)?;
        let db = &self.place.db;
        let is_lost = |storage| !unlogged && db.store(storage).is_some_and(|s| !s.logged());
        for (store, row, mode) in image.rows.iter().filter(|(storage, ..)| !is_lost(*storage)) {
            self.try_lock(LockKey::Row(*store, *row), *mode)?
                .map_err(|_| damaged("a row is locked twice"))?;
        }
        let mut inner = self.inner.lock();
        inner.log = TxnLog::after(image.position);
        inner.prepared = true;
        Ok(())
    }

    /// Makes its changes of the catalog, and what stands behind them; the names they give, and what must not go.
    fn take_back_changes(&self, changes: &[u8]) -> Result<(Vec<Name>, Vec<(ObjectKind, Oid)>)> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let (mut relations, mut states, mut names) = (HashSet::new(), Vec::new(), Vec::new());
        let mut objects = Vec::new();
        for change in decode_changes(changes)? {
            let (key, after) = match change {
                LoggedChange::Put(object) => (Key::of(&object), Some(object)),
                LoggedChange::Drop(key) => (key, None),
                LoggedChange::Sequence(oid, state) => {
                    states.push((oid, state));
                    continue;
                }
            };
            if let Key::Relation(oid) = key {
                relations.insert(oid);
            }
            if let Some(Object::Relation(relation)) = &after
                && let Some(table) = relation.table()
            {
                // Also of those that it dropped, or gave other rows to: its commit will name them.
                self.place.db.storage_in_use(table.storage);
            }
            let before = self.catalog_locked(inner).get(&key);
            if let Some(object) = &after {
                names.extend(new_names(before.as_ref(), object));
                objects.extend(needed_now(before.as_ref(), object));
            }
            self.change(inner, Change { key, before, after })?;
        }
        let catalog = self.catalog_locked(inner);
        let changed = || relations.iter().filter_map(|oid| catalog.relation(*oid));
        for relation in changed() {
            if let RelationKind::Table(def) = &relation.kind {
                self.take_back_table(inner, relation.oid, def, &catalog)?;
            }
        }
        for relation in changed() {
            if let RelationKind::Index(def) = &relation.kind {
                self.take_back_index(inner, relation.oid, def, &catalog)?;
            }
        }
        for (oid, state) in states {
            // It may have been dropped afterwards.
            let Some(def) = catalog.relation(oid).and_then(|r| r.sequence()) else { continue };
            self.put_sequence(inner, oid, Sequence::standing_at(oid, def, state, None));
        }
        self.place.db.oids_in_use(catalog.max_oid());
        Ok((names, objects))
    }

    fn take_back_table(
        &self,
        inner: &mut Inner,
        oid: Oid,
        def: &TableDef,
        catalog: &Catalog,
    ) -> Result<()> {
        let layout = Layout::of(def, catalog);
        if let Some(store) = self.place.db.store(def.storage) {
            return store.set_layout(layout);
        }
        let rows = Rows::new(self.place.db.cold.clone());
        let store = Store::new(def.storage, oid, def.persistence, layout, rows);
        for index in catalog.indexes_of(oid) {
            let Some(index_def) = index.index() else { continue };
            let made = IndexStore::new(index.oid, index_def, def, catalog)?;
            // What an expression means is not known yet.
            if !made.lacks_expressions() {
                made.set_body(made.empty_body()?);
            }
            store.attach(Arc::new(made));
        }
        self.place.db.add_store(Arc::new(store));
        inner.undo.push(Undo::NewStore(def.storage));
        Ok(())
    }

    fn take_back_index(
        &self,
        inner: &mut Inner,
        oid: Oid,
        def: &IndexDef,
        catalog: &Catalog,
    ) -> Result<()> {
        let missing = || damaged("an index is of no table");
        let table = catalog.relation(def.table).and_then(|t| t.table()).ok_or_else(missing)?;
        let store = self.place.db.store(table.storage).ok_or_else(missing)?;
        if store.index(oid).is_some() {
            return Ok(());
        }
        let made = Arc::new(IndexStore::new(oid, def, table, catalog)?);
        store.attach(made.clone());
        inner.undo.push(Undo::Attach { store: store.id, index: oid });
        if made.lacks_expressions() {
            return Ok(());
        }
        rebuild(&store, &made, &self.place.db.core.clock, &Progress::new())
    }

    /// Puts its versions on the rows.
    fn take_back_rows(&self, image: &Image, unlogged: bool) -> Result<()> {
        let db = &self.place.db;
        let is_kept = |store: &Arc<Store>| store.logged() || unlogged;
        let mut inner = self.inner.lock();
        // What else it wrote to is gone: tables that it made and dropped, unlogged ones after a crash.
        let mut places = HashMap::new();
        for counts in &image.stores {
            let Some(store) = db.store(counts.storage).filter(is_kept) else { continue };
            places.insert(counts.storage, inner.stores.len());
            let n = |n: u64| i64::try_from(n).unwrap_or(0);
            let (inserted, updated, deleted) =
                (n(counts.inserted), n(counts.updated), n(counts.deleted));
            inner.stores.push(Touched { store, inserted, updated, deleted });
        }
        claim(&image.ops, &inner, &places)?;
        let mut ops = Ops::new(0, &image.ops);
        while let Some((_, op)) = ops.next()? {
            if let Some(at) = places.get(&op.store()) {
                put(&mut inner, image.xid, *at, &op)?;
            }
        }
        Ok(())
    }
}

/// Nobody else gets the row ids of its inserts.
fn claim(ops: &[u8], inner: &Inner, places: &HashMap<u64, usize>) -> Result<()> {
    let mut inserts: HashMap<usize, HashSet<RowId>> = HashMap::new();
    let mut ops = Ops::new(0, ops);
    while let Some((_, op)) = ops.next()? {
        if let Op::Insert { store, row, .. } = op
            && let Some(at) = places.get(&store)
        {
            inserts.entry(*at).or_default().insert(row);
        }
    }
    for (at, rows) in inserts {
        if let Some(touched) = inner.stores.get(at) {
            touched.store.rows.claim(&rows)?;
        }
    }
    Ok(())
}

/// Puts one version on its row, and its entries into the indexes.
fn put(inner: &mut Inner, xid: Xid, at: usize, op: &Op<'_>) -> Result<()> {
    let Some(store) = inner.stores.get(at).map(|t| t.store.clone()) else { return Ok(()) };
    let (row, tuple, change) = match *op {
        Op::Insert { row, tuple, .. } => (row, tuple, None),
        Op::Update { row, tuple, .. } => (row, tuple, Some(Change1::Update)),
        Op::Delete { row, .. } => (row, &[][..], Some(Change1::Delete)),
        Op::Leave { row, .. } => (row, &[][..], Some(Change1::Leave)),
    };
    let (guard, layout, indexes) = (pin(), store.layout.load(), store.indexes());
    let lock = store.rows.lock(row);
    let before = lock.head(&guard)?;
    let changed = |index: &Arc<IndexStore>| match (change, before) {
        (None, _) => true,
        (Some(Change1::Update), Some(old)) => {
            index.lacks_expressions() || !index.same_entry(&layout, old.bytes(), tuple)
        }
        _ => false,
    };
    let changed: Vec<&Arc<IndexStore>> = indexes.iter().filter(|i| changed(i)).collect();
    let flags = match change {
        Some(Change1::Delete) => TOMBSTONE,
        Some(Change1::Leave) => MOVED,
        Some(Change1::Update) if !changed.is_empty() => KEYS_CHANGED,
        Some(Change1::Update) | None => 0,
    };
    if before.is_some() != change.is_some() {
        return Err(damaged("a row is missing, or there already"));
    }
    let version = NewVersion::new(xid | UNCOMMITTED, 0, flags, tuple)?;
    match change {
        None => {
            store.rows.install(row, version)?;
            inner.note_insert(at, row);
        }
        Some(change) => {
            lock.push(version)?;
            inner.undo.push(Undo::Push { store: at, row, change });
        }
    }
    drop(lock);
    let mut key = Vec::new();
    for index in &changed {
        index.add(&layout, tuple, row, &mut key)?;
    }
    if flags != 0 {
        store.report_garbage(row);
    }
    Ok(())
}

impl Registry {
    /// Indexes that compute something were built just now: what prepared transactions have of them follows. Those
    /// that are prepared themselves are built.
    pub(crate) fn index_again(&self, db: &Database, built: &[Job]) {
        let all = self.all.lock();
        for entry in all.values() {
            let Stage::Prepared(left) = &entry.stage else { continue };
            let xid = left.xid();
            for job in built {
                add_entries(&left.inner, xid, &job.store, &job.index);
            }
            if let Err(e) = build_own(db, &left.inner, xid) {
                tracing::error!("an index of prepared transaction {xid} cannot be built: {e}");
            }
        }
    }
}

/// Builds the prepared indexes that compute something.
fn build_own(db: &Database, inner: &Inner, xid: Xid) -> Result<()> {
    let Some((_, catalog)) = &inner.catalog else { return Ok(()) };
    for change in &inner.changes {
        let Some(relation) = catalog.relation(change.key.oid()) else { continue };
        let Some(def) = relation.index().filter(|d| d.is_computed()) else { continue };
        let table = catalog.relation(def.table).and_then(|t| t.table());
        let Some(store) = table.and_then(|t| db.store(t.storage)) else { continue };
        let Some(index) = store.index(relation.oid).filter(|i| i.lacks_expressions()) else {
            continue;
        };
        db.compile_expressions(&index, def, catalog)?;
        rebuild(&store, &index, &db.core.clock, &Progress::new())?;
        add_entries(inner, xid, &store, &index);
    }
    Ok(())
}

/// Adds what a transaction's rows have of an index.
fn add_entries(inner: &Inner, xid: Xid, store: &Arc<Store>, index: &IndexStore) {
    let layout = store.layout.load();
    let mut key = Vec::new();
    let added = effect::each(&inner.undo, &inner.stores, xid, &mut |touched, row, effect| {
        if !Arc::ptr_eq(&touched.store, store) {
            return Ok(());
        }
        match effect {
            Effect::Insert(tuple) | Effect::Update(tuple) => {
                index.add(&layout, tuple, row, &mut key)
            }
            Effect::Delete | Effect::Leave => Ok(()),
        }
    });
    if let Err(e) = added {
        tracing::error!("index {} lacks entries of transaction {xid}: {e}", index.oid);
    }
}
