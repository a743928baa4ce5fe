//! Catalog changes inside a transaction, and the storages, indexes and sequences behind them.

use std::sync::Arc;

use vicinity_types::{Oid, PgError, Result, SqlState};

use super::locks::{LockKey, LockMode};
use super::relation_lock::RelationLock;
use super::undo::Undo;
use super::{Inner, Transaction};
use crate::catalog::change::{Change, Key};
use crate::catalog::model::{IndexDef, Object, Relation, RelationKind, TableDef};
use crate::catalog::names::{Name, new_names};
use crate::catalog::{Catalog, ObjectKind};
use crate::mvcc::rows::Rows;
use crate::store::index::IndexStore;
use crate::store::{Layout, Store};

impl Transaction {
    /// A fresh object id.
    pub fn new_oid(&self) -> Oid {
        self.place.db.new_oid()
    }

    /// A fresh storage id for [`TableDef::storage`].
    pub fn new_storage(&self) -> u64 {
        self.place.db.new_storage()
    }

    /// Creates or replaces an object. A table with a storage id that is new (or 0: one is given) gets
    /// an empty row storage, with its indexes; an index gets an empty structure, to be filled by
    /// `Database::build_index` unless the table never had a row. Replacing a table, or
    /// anything that hangs on it, waits for its writers; a new name waits for who gives it, too, and what it needs for
    /// who drops that.
    pub fn put(&self, object: Object) -> Result<()> {
        let object = self.prepare(object);
        self.lock_for(&object, false)?;
        self.share_needed(self.catalog().get(&Key::of(&object)).as_ref(), &object)?;
        let waited = self.lock_names(&object)?;
        self.assign_xid()?;
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let key = Key::of(&object);
        let before = self.catalog_locked(inner).get(&key);
        let changed = self.change(inner, Change { key, before, after: Some(object.clone()) });
        changed.map_err(|e| waited.map_or(e, |name| name.taken()))?;
        if let Object::Relation(r) = &object {
            self.realise(inner, r)?;
        }
        Ok(())
    }

    /// Takes the names that the object does not have already, waiting for who has taken them and not ended; the first
    /// that was waited for.
    fn lock_names(&self, object: &Object) -> Result<Option<Name>> {
        let before = self.catalog().get(&Key::of(object));
        let mut waited = None;
        for name in new_names(before.as_ref(), object) {
            let key = LockKey::Name(name.hashed());
            let mut free = true;
            while let Err(holder) = self.try_lock(key, LockMode::Exclusive)? {
                free = false;
                self.wait_for(holder)?;
            }
            if !free && waited.is_none() {
                waited = Some(name);
            }
        }
        Ok(waited)
    }

    /// Drops an object. Nothing that depends on it is dropped with it, but for the comments on it.
    pub fn drop_object(&self, kind: ObjectKind, oid: Oid) -> Result<()> {
        self.drop_key(Key::new(kind, oid))
    }

    /// Drops a comment.
    pub fn drop_comment(&self, class: Oid, object: Oid, sub: i32) -> Result<()> {
        self.drop_key(Key::Comment { class, object, sub })
    }

    /// Drops an object's list of rights: its defaults hold again.
    pub fn drop_acl(&self, class: Oid, object: Oid, sub: i32) -> Result<()> {
        self.drop_key(Key::Acl { class, object, sub })
    }

    /// `ALTER ROLE ... RESET ALL`
    pub fn drop_session_defaults(&self, database: Oid, role: Oid) -> Result<()> {
        self.drop_key(Key::SessionDefaults { database, role })
    }

    /// Drops a list that objects begin with.
    pub fn drop_default_acl(&self, role: Oid, schema: Oid, kind: char) -> Result<()> {
        self.drop_key(Key::DefaultAcl { role, schema, kind })
    }

    fn drop_key(&self, key: Key) -> Result<()> {
        let Some(object) = self.catalog().get(&key) else {
            return Err(PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("object {} does not exist", key.oid()),
            ));
        };
        self.lock_for(&object, true)?;
        match key {
            Key::Schema(oid) => self.lock_object(ObjectKind::Schema, oid)?,
            Key::Role(oid) => self.lock_object(ObjectKind::Role, oid)?,
            _ => {}
        }
        self.assign_xid()?;
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let before = self.catalog_locked(inner).get(&key);
        self.change(inner, Change { key, before, after: None })
    }

    /// TRUNCATE: the table goes on with a new, empty storage. Transactions that still read the old
    /// one through an older catalog go on reading it.
    pub fn truncate(&self, table: Oid) -> Result<()> {
        self.lock_relation(table, RelationLock::AccessExclusive)?;
        let relation = self.catalog().relation(table).cloned();
        let Some(relation) = relation else { return Err(no_table(table)) };
        let mut next = (*relation).clone();
        let RelationKind::Table(def) = &mut next.kind else { return Err(no_table(table)) };
        def.storage = self.new_storage();
        self.put(Object::Relation(Arc::new(next)))
    }

    fn prepare(&self, object: Object) -> Object {
        let Object::Relation(r) = &object else { return object };
        let RelationKind::Table(def) = &r.kind else { return object };
        if def.storage != 0 {
            self.place.db.storage_in_use(def.storage);
            return object;
        }
        let def = TableDef { storage: self.new_storage(), ..def.clone() };
        Object::Relation(Arc::new(Relation { kind: RelationKind::Table(def), ..(**r).clone() }))
    }

    /// The least that must be locked before an object is replaced or dropped, whatever the statement
    /// has locked already: nobody uses rows of a table that is rewritten or goes, nobody writes to one
    /// that gets a trigger, and two changes of one relation come one after the other.
    fn lock_for(&self, object: &Object, dropped: bool) -> Result<()> {
        let (relation, mode) = match object {
            Object::Relation(r) => (r.oid, self.lock_of_change(r, dropped)),
            Object::Trigger(t) => (t.table, RelationLock::ShareRowExclusive),
            _ => return Ok(()),
        };
        let Some(before) = self.catalog().relation(relation).cloned() else { return Ok(()) };
        self.lock_relation(relation, mode)?;
        match (before.table(), object) {
            (Some(_), Object::Relation(_)) if dropped => self.watch_truncate(relation),
            (Some(a), Object::Relation(next))
                if next.table().is_some_and(|b| a.storage != b.storage) =>
            {
                self.watch_truncate(relation)
            }
            _ => Ok(()),
        }
    }

    fn lock_of_change(&self, next: &Relation, dropped: bool) -> RelationLock {
        let catalog = self.catalog();
        let Some(before) = catalog.relation(next.oid) else {
            return RelationLock::AccessExclusive;
        };
        match (before.table(), next.table()) {
            _ if dropped => RelationLock::AccessExclusive,
            _ if before.sequence() != next.sequence() => RelationLock::ShareRowExclusive,
            (Some(a), Some(b)) if a.storage != b.storage || a.columns.len() != b.columns.len() => {
                RelationLock::AccessExclusive
            }
            _ => RelationLock::ShareUpdateExclusive,
        }
    }

    pub(super) fn change(&self, inner: &mut Inner, change: Change) -> Result<()> {
        let latest = self.place.db.catalog().version();
        let mut next: Catalog = (*self.catalog_locked(inner)).clone();
        next.apply(&change)?;
        inner.changes.push(change);
        inner.undo.push(Undo::Change);
        inner.catalog = Some((latest, Arc::new(next)));
        Ok(())
    }

    /// Makes what stands behind a relation.
    fn realise(&self, inner: &mut Inner, relation: &Arc<Relation>) -> Result<()> {
        let catalog = self.catalog_locked(inner);
        match &relation.kind {
            RelationKind::Table(def) => self.realise_table(inner, relation.oid, def, &catalog),
            RelationKind::Index(def) => self.realise_index(inner, relation.oid, def, &catalog),
            RelationKind::Sequence(def) => {
                self.define_sequence(inner, relation.oid, def);
                Ok(())
            }
            RelationKind::View(_) | RelationKind::Composite(_) => Ok(()),
        }
    }

    fn realise_table(
        &self,
        inner: &mut Inner,
        oid: Oid,
        def: &TableDef,
        catalog: &Arc<Catalog>,
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
            self.place.db.compile_expressions(&made, index_def, catalog)?;
            made.set_body(made.empty_body()?);
            store.attach(Arc::new(made));
        }
        self.place.db.add_store(Arc::new(store));
        inner.undo.push(Undo::NewStore(def.storage));
        Ok(())
    }

    fn realise_index(
        &self,
        inner: &mut Inner,
        oid: Oid,
        def: &IndexDef,
        catalog: &Arc<Catalog>,
    ) -> Result<()> {
        let table = catalog.relation(def.table).ok_or_else(|| no_table(def.table))?;
        let table = table.table().ok_or_else(|| no_table(def.table))?;
        let store = self.place.db.store(table.storage).ok_or_else(|| no_table(def.table))?;
        if store.index(oid).is_some() {
            return Ok(());
        }
        let made = IndexStore::new(oid, def, table, catalog)?;
        self.place.db.compile_expressions(&made, def, catalog)?;
        if store.rows.end() == 0 {
            made.set_body(made.empty_body()?);
        }
        store.attach(Arc::new(made));
        inner.undo.push(Undo::Attach { store: store.id, index: oid });
        Ok(())
    }
}

pub(crate) fn no_table(oid: Oid) -> PgError {
    PgError::new(SqlState::UNDEFINED_TABLE, format!("relation with OID {oid} does not exist"))
}
