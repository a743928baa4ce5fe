//! Names that an object needs for itself, as PostgreSQL's unique indexes on its catalog have them.

use std::hash::{DefaultHasher, Hash, Hasher};

use vicinity_types::{Oid, PgError, SqlState};

use super::model::{Object, RelationKind};

/// A key of a unique index on a table of PostgreSQL's catalog.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    table: &'static str,
    index: &'static str,
    /// Columns and values, as errors say them.
    key: String,
}

impl Name {
    /// A number that no other name is likely to have.
    pub(crate) fn hashed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// What PostgreSQL says to who had to wait for somebody that took the name.
    pub(crate) fn taken(&self) -> PgError {
        let Name { table, index, key } = self;
        let text = format!("duplicate key value violates unique constraint \"{index}\"");
        PgError::new(SqlState::UNIQUE_VIOLATION, text)
            .detail(format!("Key {key} already exists."))
            .constraint("pg_catalog", table, index)
    }
}

/// The names of an object that it did not have before, in the order in which PostgreSQL enters them.
pub(crate) fn new_names(before: Option<&Object>, object: &Object) -> Vec<Name> {
    let had = before.map_or_else(Vec::new, names);
    names(object).into_iter().filter(|name| !had.contains(name)).collect()
}

fn names(object: &Object) -> Vec<Name> {
    let one = |table, index, key| vec![Name { table, index, key }];
    match object {
        Object::Schema(o) => {
            one("pg_namespace", "pg_namespace_nspname_index", format!("(nspname)=({})", o.name))
        }
        Object::Relation(o) => {
            let mut names = Vec::new();
            if !matches!(o.kind, RelationKind::Index(_) | RelationKind::Sequence(_)) {
                names.push(type_name(&o.name, o.schema));
            }
            let key = format!("(relname, relnamespace)=({}, {})", o.name, o.schema);
            names.push(Name { table: "pg_class", index: "pg_class_relname_nsp_index", key });
            names
        }
        Object::Type(o) => vec![type_name(&o.name, o.schema)],
        Object::Function(o) => {
            let types: Vec<String> = o.input_types().iter().map(Oid::to_string).collect();
            let values = format!("({}, {}, {})", o.name, types.join(" "), o.schema);
            let key = format!("(proname, proargtypes, pronamespace)={values}");
            one("pg_proc", "pg_proc_proname_args_nsp_index", key)
        }
        Object::Extension(o) => {
            one("pg_extension", "pg_extension_name_index", format!("(extname)=({})", o.name))
        }
        Object::Role(o) => {
            one("pg_authid", "pg_authid_rolname_index", format!("(rolname)=({})", o.name))
        }
        Object::Trigger(o) => {
            let key = format!("(tgrelid, tgname)=({}, {})", o.table, o.name);
            one("pg_trigger", "pg_trigger_tgrelid_tgname_index", key)
        }
        Object::Comment(_)
        | Object::Acl(_)
        | Object::SessionDefaults(_)
        | Object::DefaultAcl(_) => Vec::new(),
    }
}

fn type_name(name: &str, schema: Oid) -> Name {
    let key = format!("(typname, typnamespace)=({name}, {schema})");
    Name { table: "pg_type", index: "pg_type_typname_nsp_index", key }
}
