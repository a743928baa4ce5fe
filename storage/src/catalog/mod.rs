//! The catalog: what exists, under which name, in which version.
//!
//! A [`Catalog`] is a value: persistent maps that share what they have in common, so that a clone
//! costs nothing and a transaction's own version stands beside the committed one. DDL is a list of
//! [`change::Change`]s, each an object before and after; committing merges them onto whatever is
//! newest then, and fails where somebody else changed the same object.

pub mod acl;
pub mod change;
mod image;
mod lookup;
pub mod model;
pub(crate) mod names;
mod partitions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use imbl::{HashMap, OrdMap, OrdSet, Vector};
use vicinity_types::Oid;

pub use partitions::Partitions;

use model::{
    Acl, AclItem, Comment, DefaultAcl, Extension, Function, Object, Privileges, Relation, Role,
    Schema, SessionDefaults, Trigger, TypeDef, fixed,
};

/// The kinds of objects, for dropping and looking up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum ObjectKind {
    Schema,
    Relation,
    Type,
    Function,
    Extension,
    Trigger,
    Role,
}

/// A name within a schema.
type Name = (Oid, String);

/// One version of everything there is.
#[derive(Clone)]
pub struct Catalog {
    version: u64,
    schemas: OrdMap<Oid, Arc<Schema>>,
    relations: OrdMap<Oid, Arc<Relation>>,
    types: OrdMap<Oid, Arc<TypeDef>>,
    functions: OrdMap<Oid, Arc<Function>>,
    extensions: OrdMap<Oid, Arc<Extension>>,
    triggers: OrdMap<Oid, Arc<Trigger>>,
    roles: OrdMap<Oid, Arc<Role>>,
    /// By object, class and sub id, so that an object's comments are neighbours.
    comments: OrdMap<(Oid, Oid, i32), Arc<Comment>>,
    acls: OrdMap<(Oid, Oid, i32), Arc<Acl>>,
    /// By database and role.
    session_defaults: OrdMap<(Oid, Oid), Arc<SessionDefaults>>,
    /// By role, schema and kind.
    default_acls: OrdMap<(Oid, Oid, char), Arc<DefaultAcl>>,
    schema_names: HashMap<String, Oid>,
    relation_names: HashMap<Name, Oid>,
    type_names: HashMap<Name, Oid>,
    function_names: HashMap<Name, Vector<Oid>>,
    extension_names: HashMap<String, Oid>,
    role_names: HashMap<String, Oid>,
    indexes_of: HashMap<Oid, Vector<Oid>>,
    triggers_of: HashMap<Oid, Vector<Oid>>,
    sequences_of: HashMap<Oid, Vector<Oid>>,
    /// Table -> the tables that inherit from it, its partitions among them.
    children_of: HashMap<Oid, OrdSet<Oid>>,
    /// Partitioned table -> the state of its partitions.
    partitions: HashMap<Oid, Partitions>,
    /// Relation or type -> the relations that read it, refer to it or have a column of it.
    dependents: HashMap<Oid, Vector<Oid>>,
    /// Constraint -> its table.
    constraints: HashMap<Oid, Oid>,
    /// Row type or composite type -> its relation.
    row_types: HashMap<Oid, Oid>,
    /// Array type -> element type, for user types and row types.
    arrays: HashMap<Oid, Oid>,
}

/// Every version, committed or private, has a number of its own.
static NEXT_VERSION: AtomicU64 = AtomicU64::new(1);

fn next_version() -> u64 {
    NEXT_VERSION.fetch_add(1, Ordering::Relaxed)
}

impl Catalog {
    fn empty() -> Catalog {
        Catalog {
            version: next_version(),
            schemas: OrdMap::new(),
            relations: OrdMap::new(),
            types: OrdMap::new(),
            functions: OrdMap::new(),
            extensions: OrdMap::new(),
            triggers: OrdMap::new(),
            roles: OrdMap::new(),
            comments: OrdMap::new(),
            acls: OrdMap::new(),
            session_defaults: OrdMap::new(),
            default_acls: OrdMap::new(),
            schema_names: HashMap::new(),
            relation_names: HashMap::new(),
            type_names: HashMap::new(),
            function_names: HashMap::new(),
            extension_names: HashMap::new(),
            role_names: HashMap::new(),
            indexes_of: HashMap::new(),
            triggers_of: HashMap::new(),
            sequences_of: HashMap::new(),
            children_of: HashMap::new(),
            partitions: HashMap::new(),
            dependents: HashMap::new(),
            constraints: HashMap::new(),
            row_types: HashMap::new(),
            arrays: HashMap::new(),
        }
    }

    /// What a new database begins with.
    pub fn bootstrap() -> Catalog {
        let mut catalog = Catalog::empty();
        let owned = |oid, name: &str, owner| {
            Object::Schema(Arc::new(Schema { oid, name: name.to_owned(), owner }))
        };
        let schema = |oid, name: &str| owned(oid, name, fixed::SUPERUSER);
        let superuser = Role {
            superuser: true,
            login: true,
            create_db: true,
            create_role: true,
            replication: true,
            bypass_rls: true,
            ..Role::new(fixed::SUPERUSER, "postgres")
        };
        let plpgsql = Extension {
            oid: 13501,
            name: "plpgsql".to_owned(),
            schema: fixed::PG_CATALOG,
            owner: fixed::SUPERUSER,
            version: "1.0".to_owned(),
            relocatable: false,
        };
        let comment = |class, object, text: &str| {
            Object::Comment(Arc::new(Comment { class, object, sub: 0, text: text.to_owned() }))
        };
        for object in [
            schema(fixed::PG_CATALOG, "pg_catalog"),
            schema(fixed::PG_TOAST, "pg_toast"),
            owned(fixed::PUBLIC, "public", fixed::DATABASE_OWNER),
            schema(fixed::INFORMATION_SCHEMA, "information_schema"),
            Object::Role(Arc::new(superuser)),
            Object::Role(Arc::new(Role::new(fixed::DATABASE_OWNER, "pg_database_owner"))),
            Object::Role(Arc::new(Role::new(3375, "pg_read_all_stats"))),
            Object::Role(Arc::new(Role::new(4200, "pg_signal_backend"))),
            Object::Extension(Arc::new(plpgsql)),
            Object::Acl(Arc::new(open_to_all(fixed::PUBLIC, fixed::DATABASE_OWNER))),
            comment(2615, fixed::PG_CATALOG, "system catalog schema"),
            comment(2615, fixed::PG_TOAST, "reserved schema for TOAST tables"),
            comment(2615, fixed::PUBLIC, "standard public schema"),
            comment(3079, 13501, "PL/pgSQL procedural language"),
        ] {
            catalog.put(object);
        }
        catalog
    }

    /// Changes with every change to anything; no two different catalogs share one.
    pub fn version(&self) -> u64 {
        self.version
    }
}

/// Of a schema: its owner's rights, and that anybody finds what is in it.
fn open_to_all(schema: Oid, owner: Oid) -> Acl {
    let item = |grantee, privileges| AclItem {
        grantee,
        grantor: owner,
        privileges,
        options: Privileges::NONE,
    };
    Acl {
        class: 2615,
        object: schema,
        sub: 0,
        items: vec![item(owner, Privileges::SCHEMA), item(0, Privileges::USAGE)],
    }
}

/// Adds to a list kept per object.
fn list_add(lists: &mut HashMap<Oid, Vector<Oid>>, of: Oid, oid: Oid) {
    let list = lists.entry(of).or_default();
    if !list.contains(&oid) {
        list.push_back(oid);
    }
}

/// Takes from a list kept per object; forgets the list when empty.
fn list_remove<K: std::hash::Hash + Eq + Clone>(
    lists: &mut HashMap<K, Vector<Oid>>,
    of: &K,
    oid: Oid,
) {
    if let Some(list) = lists.get_mut(of) {
        list.retain(|have| *have != oid);
        if list.is_empty() {
            lists.remove(of);
        }
    }
}
