//! Changing a catalog: one object at a time, as a difference that can be merged and replayed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::model::{ConstraintKind, Object, Relation, RelationKind};
use super::{Catalog, ObjectKind, list_add, list_remove, next_version};
use crate::sequence::SequenceState;

/// Which object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub(crate) enum Key {
    Schema(Oid),
    Relation(Oid),
    Type(Oid),
    Function(Oid),
    Extension(Oid),
    Trigger(Oid),
    Role(Oid),
    Comment { class: Oid, object: Oid, sub: i32 },
    Acl { class: Oid, object: Oid, sub: i32 },
    SessionDefaults { database: Oid, role: Oid },
    DefaultAcl { role: Oid, schema: Oid, kind: char },
}

impl Key {
    pub(crate) fn new(kind: ObjectKind, oid: Oid) -> Key {
        match kind {
            ObjectKind::Schema => Key::Schema(oid),
            ObjectKind::Relation => Key::Relation(oid),
            ObjectKind::Type => Key::Type(oid),
            ObjectKind::Function => Key::Function(oid),
            ObjectKind::Extension => Key::Extension(oid),
            ObjectKind::Trigger => Key::Trigger(oid),
            ObjectKind::Role => Key::Role(oid),
        }
    }

    pub(crate) fn of(object: &Object) -> Key {
        match object {
            Object::Schema(o) => Key::Schema(o.oid),
            Object::Relation(o) => Key::Relation(o.oid),
            Object::Type(o) => Key::Type(o.oid),
            Object::Function(o) => Key::Function(o.oid),
            Object::Extension(o) => Key::Extension(o.oid),
            Object::Trigger(o) => Key::Trigger(o.oid),
            Object::Role(o) => Key::Role(o.oid),
            Object::Comment(o) => Key::Comment { class: o.class, object: o.object, sub: o.sub },
            Object::Acl(o) => Key::Acl { class: o.class, object: o.object, sub: o.sub },
            Object::SessionDefaults(o) => {
                Key::SessionDefaults { database: o.database, role: o.role }
            }
            Object::DefaultAcl(o) => {
                Key::DefaultAcl { role: o.role, schema: o.schema, kind: o.kind }
            }
        }
    }

    /// The object's id (of a comment or a list of rights: of what it is about).
    pub(crate) fn oid(&self) -> Oid {
        match *self {
            Key::Schema(o)
            | Key::Relation(o)
            | Key::Type(o)
            | Key::Function(o)
            | Key::Extension(o)
            | Key::Trigger(o)
            | Key::Role(o) => o,
            Key::Comment { object, .. } | Key::Acl { object, .. } => object,
            Key::SessionDefaults { role, .. } | Key::DefaultAcl { role, .. } => role,
        }
    }
}

/// One object before and after.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) before: Option<Object>,
    pub(crate) after: Option<Object>,
}

/// A change as the WAL holds it.
#[derive(Serialize, Deserialize)]
pub(crate) enum LoggedChange {
    Put(Object),
    Drop(Key),
    /// A sequence that the transaction made, changed or restarted stands here.
    Sequence(Oid, SequenceState),
}

impl LoggedChange {
    /// The object's id, as [`Key::oid`].
    pub(crate) fn oid(&self) -> Oid {
        match self {
            LoggedChange::Put(object) => Key::of(object).oid(),
            LoggedChange::Drop(key) => key.oid(),
            LoggedChange::Sequence(oid, _) => *oid,
        }
    }
}

fn same(a: &Option<Object>, b: &Option<Object>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(Object::Schema(a)), Some(Object::Schema(b))) => Arc::ptr_eq(a, b),
        (Some(Object::Relation(a)), Some(Object::Relation(b))) => Arc::ptr_eq(a, b),
        (Some(Object::Type(a)), Some(Object::Type(b))) => Arc::ptr_eq(a, b),
        (Some(Object::Function(a)), Some(Object::Function(b))) => Arc::ptr_eq(a, b),
        (Some(Object::Extension(a)), Some(Object::Extension(b))) => Arc::ptr_eq(a, b),
        (Some(Object::Trigger(a)), Some(Object::Trigger(b))) => Arc::ptr_eq(a, b),
        (Some(Object::Role(a)), Some(Object::Role(b))) => Arc::ptr_eq(a, b),
        (Some(Object::Comment(a)), Some(Object::Comment(b))) => Arc::ptr_eq(a, b),
        (Some(Object::Acl(a)), Some(Object::Acl(b))) => Arc::ptr_eq(a, b),
        (Some(Object::SessionDefaults(a)), Some(Object::SessionDefaults(b))) => Arc::ptr_eq(a, b),
        (Some(Object::DefaultAcl(a)), Some(Object::DefaultAcl(b))) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// Relations and types of users that a relation is made over.
fn mentions(relation: &Relation) -> Vec<Oid> {
    let (columns, mut out) = match &relation.kind {
        RelationKind::Table(t) => {
            let mut on: Vec<Oid> =
                t.materialized.as_ref().map_or_else(Vec::new, |m| m.depends_on.clone());
            on.extend(t.constraints.iter().filter_map(|c| match &c.kind {
                ConstraintKind::ForeignKey(f) if f.table != relation.oid => Some(f.table),
                _ => None,
            }));
            (&t.columns[..], on)
        }
        RelationKind::View(v) => (&v.columns[..], v.depends_on.clone()),
        RelationKind::Composite(c) => (&c[..], Vec::new()),
        RelationKind::Index(_) | RelationKind::Sequence(_) => (&[][..], Vec::new()),
    };
    let live = columns.iter().filter(|c| !c.dropped && c.type_oid >= oid::FIRST_USER);
    out.extend(live.map(|c| c.type_oid));
    out.sort_unstable();
    out.dedup();
    out
}

impl Catalog {
    /// The object under a key.
    pub(crate) fn get(&self, key: &Key) -> Option<Object> {
        Some(match *key {
            Key::Schema(o) => Object::Schema(self.schemas.get(&o)?.clone()),
            Key::Relation(o) => Object::Relation(self.relations.get(&o)?.clone()),
            Key::Type(o) => Object::Type(self.types.get(&o)?.clone()),
            Key::Function(o) => Object::Function(self.functions.get(&o)?.clone()),
            Key::Extension(o) => Object::Extension(self.extensions.get(&o)?.clone()),
            Key::Trigger(o) => Object::Trigger(self.triggers.get(&o)?.clone()),
            Key::Role(o) => Object::Role(self.roles.get(&o)?.clone()),
            Key::Comment { class, object, sub } => {
                Object::Comment(self.comments.get(&(object, class, sub))?.clone())
            }
            Key::Acl { class, object, sub } => {
                Object::Acl(self.acls.get(&(object, class, sub))?.clone())
            }
            Key::SessionDefaults { database, role } => {
                Object::SessionDefaults(self.session_defaults.get(&(database, role))?.clone())
            }
            Key::DefaultAcl { role, schema, kind } => {
                Object::DefaultAcl(self.default_acls.get(&(role, schema, kind))?.clone())
            }
        })
    }

    /// Merges one change, if the object still is what the change began from and its new name is free.
    pub(crate) fn apply(&mut self, change: &Change) -> Result<()> {
        if !same(&self.get(&change.key), &change.before) {
            return Err(PgError::internal("tuple concurrently updated"));
        }
        match &change.after {
            Some(object) => {
                self.check_name(object)?;
                self.put(object.clone());
            }
            None => self.drop(&change.key),
        }
        Ok(())
    }

    /// An error if another object has the object's name.
    fn check_name(&self, object: &Object) -> Result<()> {
        let taken = |code, text: String| Err(PgError::new(code, text));
        let other = |have: Option<Oid>, oid| have.is_some_and(|have| have != oid);
        match object {
            Object::Schema(o) if other(self.schema_names.get(&o.name).copied(), o.oid) => {
                let text = format!("schema \"{}\" already exists", o.name);
                taken(SqlState::DUPLICATE_SCHEMA, text)
            }
            Object::Relation(o)
                if other(self.relation_names.get(&(o.schema, o.name.clone())).copied(), o.oid) =>
            {
                let text = format!("relation \"{}\" already exists", o.name);
                taken(SqlState::DUPLICATE_TABLE, text)
            }
            Object::Type(o)
                if other(self.type_names.get(&(o.schema, o.name.clone())).copied(), o.oid) =>
            {
                let text = format!("type \"{}\" already exists", o.name);
                taken(SqlState::DUPLICATE_OBJECT, text)
            }
            Object::Extension(o) if other(self.extension_names.get(&o.name).copied(), o.oid) => {
                let text = format!("extension \"{}\" already exists", o.name);
                taken(SqlState::DUPLICATE_OBJECT, text)
            }
            Object::Role(o) if other(self.role_names.get(&o.name).copied(), o.oid) => {
                let text = format!("role \"{}\" already exists", o.name);
                taken(SqlState::DUPLICATE_OBJECT, text)
            }
            Object::Function(o) => {
                let types = o.input_types();
                let clash = self
                    .functions_in(o.schema, &o.name)
                    .any(|f| f.oid != o.oid && f.input_types() == types);
                if !clash {
                    return Ok(());
                }
                let text =
                    format!("function \"{}\" already exists with same argument types", o.name);
                taken(SqlState::DUPLICATE_FUNCTION, text)
            }
            Object::Trigger(o) => {
                let clash = self.triggers_of(o.table).any(|t| t.oid != o.oid && t.name == o.name);
                if !clash {
                    return Ok(());
                }
                let table = self.relation(o.table).map_or("", |t| t.name.as_str());
                let text =
                    format!("trigger \"{}\" for relation \"{table}\" already exists", o.name);
                taken(SqlState::DUPLICATE_OBJECT, text)
            }
            _ => Ok(()),
        }
    }

    /// Puts an object in place of the one with its key, unchecked.
    pub(crate) fn put(&mut self, object: Object) {
        let key = Key::of(&object);
        let old = self.get(&key);
        if let Some(old) = &old {
            self.unlink(old);
        }
        self.version = next_version();
        self.note_partition(old.as_ref(), Some(&object));
        match object {
            Object::Schema(o) => {
                self.schema_names.insert(o.name.clone(), o.oid);
                self.schemas.insert(o.oid, o);
            }
            Object::Relation(o) => self.link_relation(o),
            Object::Type(o) => {
                self.type_names.insert((o.schema, o.name.clone()), o.oid);
                if o.array_oid != 0 {
                    self.arrays.insert(o.array_oid, o.oid);
                }
                self.types.insert(o.oid, o);
            }
            Object::Function(o) => {
                let list = self.function_names.entry((o.schema, o.name.clone())).or_default();
                list.push_back(o.oid);
                self.functions.insert(o.oid, o);
            }
            Object::Extension(o) => {
                self.extension_names.insert(o.name.clone(), o.oid);
                self.extensions.insert(o.oid, o);
            }
            Object::Trigger(o) => {
                list_add(&mut self.triggers_of, o.table, o.oid);
                self.triggers.insert(o.oid, o);
            }
            Object::Role(o) => {
                self.role_names.insert(o.name.clone(), o.oid);
                self.roles.insert(o.oid, o);
            }
            Object::Comment(o) => {
                self.comments.insert((o.object, o.class, o.sub), o);
            }
            Object::Acl(o) => {
                self.acls.insert((o.object, o.class, o.sub), o);
            }
            Object::SessionDefaults(o) => {
                self.session_defaults.insert((o.database, o.role), o);
            }
            Object::DefaultAcl(o) => {
                self.default_acls.insert((o.role, o.schema, o.kind), o);
            }
        }
    }

    fn link_relation(&mut self, o: Arc<Relation>) {
        self.relation_names.insert((o.schema, o.name.clone()), o.oid);
        for on in mentions(&o) {
            list_add(&mut self.dependents, on, o.oid);
        }
        for c in o.table().map_or(&[][..], |t| &t.constraints) {
            self.constraints.insert(c.oid, o.oid);
        }
        match &o.kind {
            RelationKind::Table(t) => {
                self.row_types.insert(t.row_type, o.oid);
                self.arrays.insert(t.row_array_type, t.row_type);
                for parent in &t.parents {
                    self.children_of.entry(*parent).or_default().insert(o.oid);
                }
            }
            RelationKind::View(v) => {
                self.row_types.insert(v.row_type, o.oid);
            }
            RelationKind::Index(i) => list_add(&mut self.indexes_of, i.table, o.oid),
            RelationKind::Sequence(s) => {
                if let Some((table, _)) = s.owned_by {
                    list_add(&mut self.sequences_of, table, o.oid);
                }
            }
            RelationKind::Composite(_) => {}
        }
        self.relations.insert(o.oid, o);
    }

    /// Takes an object's names and list entries away; the object itself stays.
    fn unlink(&mut self, object: &Object) {
        match object {
            Object::Schema(o) => {
                self.schema_names.remove(&o.name);
            }
            Object::Relation(o) => {
                self.relation_names.remove(&(o.schema, o.name.clone()));
                for on in mentions(o) {
                    list_remove(&mut self.dependents, &on, o.oid);
                }
                for c in o.table().map_or(&[][..], |t| &t.constraints) {
                    self.constraints.remove(&c.oid);
                }
                match &o.kind {
                    RelationKind::Table(t) => {
                        self.row_types.remove(&t.row_type);
                        self.arrays.remove(&t.row_array_type);
                        for parent in &t.parents {
                            if let Some(children) = self.children_of.get_mut(parent) {
                                children.remove(&o.oid);
                            }
                        }
                    }
                    RelationKind::View(v) => {
                        self.row_types.remove(&v.row_type);
                    }
                    RelationKind::Index(i) => list_remove(&mut self.indexes_of, &i.table, o.oid),
                    RelationKind::Sequence(s) => {
                        if let Some((table, _)) = s.owned_by {
                            list_remove(&mut self.sequences_of, &table, o.oid);
                        }
                    }
                    RelationKind::Composite(_) => {}
                }
            }
            Object::Type(o) => {
                self.type_names.remove(&(o.schema, o.name.clone()));
                self.arrays.remove(&o.array_oid);
            }
            Object::Function(o) => {
                list_remove(&mut self.function_names, &(o.schema, o.name.clone()), o.oid);
            }
            Object::Extension(o) => {
                self.extension_names.remove(&o.name);
            }
            Object::Trigger(o) => list_remove(&mut self.triggers_of, &o.table, o.oid),
            Object::Role(o) => {
                self.role_names.remove(&o.name);
            }
            Object::Comment(_)
            | Object::Acl(_)
            | Object::SessionDefaults(_)
            | Object::DefaultAcl(_) => {}
        }
    }

    /// Takes an object out, with the comments and rights on it.
    pub(crate) fn drop(&mut self, key: &Key) {
        let Some(old) = self.get(key) else { return };
        self.unlink(&old);
        self.version = next_version();
        self.note_partition(Some(&old), None);
        let class = match *key {
            Key::Schema(o) => self.schemas.remove(&o).map(|_| 2615),
            Key::Relation(o) => {
                self.partitions.remove(&o);
                self.relations.remove(&o).map(|_| 1259)
            }
            Key::Type(o) => self.types.remove(&o).map(|_| 1247),
            Key::Function(o) => self.functions.remove(&o).map(|_| 1255),
            Key::Extension(o) => self.extensions.remove(&o).map(|_| 3079),
            Key::Trigger(o) => self.triggers.remove(&o).map(|_| 2620),
            Key::Role(o) => self.roles.remove(&o).map(|_| 1260),
            Key::Comment { class, object, sub } => {
                self.comments.remove(&(object, class, sub));
                None
            }
            Key::Acl { class, object, sub } => {
                self.acls.remove(&(object, class, sub));
                None
            }
            Key::SessionDefaults { database, role } => {
                self.session_defaults.remove(&(database, role));
                None
            }
            Key::DefaultAcl { role, schema, kind } => {
                self.default_acls.remove(&(role, schema, kind));
                None
            }
        };
        let Some(class) = class else { return };
        let oid = key.oid();
        let about = (oid, class, i32::MIN)..=(oid, class, i32::MAX);
        let comments: Vec<_> = self.comments.range(about.clone()).map(|(k, _)| *k).collect();
        for key in comments {
            self.comments.remove(&key);
        }
        let acls: Vec<_> = self.acls.range(about).map(|(k, _)| *k).collect();
        for key in acls {
            self.acls.remove(&key);
        }
        if let Key::Role(role) = *key {
            let all: Vec<_> =
                self.session_defaults.keys().filter(|k| k.1 == role).copied().collect();
            for key in all {
                self.session_defaults.remove(&key);
            }
        }
        if let Key::Schema(schema) = *key {
            let all: Vec<_> = self.default_acls.keys().filter(|k| k.1 == schema).copied().collect();
            for key in all {
                self.default_acls.remove(&key);
            }
        }
    }

    /// The greatest id in use, so that a restarted server goes on behind it.
    pub(crate) fn max_oid(&self) -> Oid {
        let last = |map: Option<&Oid>| map.copied().unwrap_or(0);
        let mut max = [
            last(self.schemas.get_max().map(|(k, _)| k)),
            last(self.relations.get_max().map(|(k, _)| k)),
            last(self.types.get_max().map(|(k, _)| k)),
            last(self.functions.get_max().map(|(k, _)| k)),
            last(self.extensions.get_max().map(|(k, _)| k)),
            last(self.triggers.get_max().map(|(k, _)| k)),
            last(self.roles.get_max().map(|(k, _)| k)),
            self.default_acls.values().map(|d| d.oid).max().unwrap_or(0),
        ]
        .into_iter()
        .max()
        .unwrap_or(0);
        for (array, elem) in &self.arrays {
            max = max.max(*array).max(*elem);
        }
        for oid in self.row_types.keys() {
            max = max.max(*oid);
        }
        for relation in self.relations.values() {
            if let RelationKind::Table(t) = &relation.kind {
                max = t.constraints.iter().map(|c| c.oid).fold(max, Oid::max);
            }
        }
        max
    }
}
