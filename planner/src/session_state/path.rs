//! Where names are looked for, and which ways plans may take.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Relation, fixed};
use vicinity_types::{Oid, Result};

use super::SessionState;
use crate::exec::settings::Settings;
use crate::{authority, names};

/// Ways through a table that a session has left (`SET enable_indexscan` and the like).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Steering {
    /// No index is read.
    pub no_index: bool,
    /// An index that gives an order is taken for that alone: sorts or sequential scans are off.
    pub in_order: bool,
}

impl Steering {
    fn of(settings: &Settings) -> Steering {
        let off = |name| settings.get(name) == Some("off");
        Steering {
            no_index: off("enable_indexscan"),
            in_order: off("enable_sort") || off("enable_seqscan"),
        }
    }
}

/// `search_path` taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SearchPath {
    /// Schema names as given, `"$user"` included.
    pub names: Vec<String>,
    /// Which ways plans may take.
    steering: Steering,
    /// What distinguishes one path from another in cache keys.
    pub key: u64,
}

impl SearchPath {
    /// Plans are of one role too: what it may do is looked at when they are made; and of one steering.
    pub(super) fn of(settings: &Settings, user: &str) -> SearchPath {
        let names = settings.search_path();
        let mut hasher = DefaultHasher::new();
        names.hash(&mut hasher);
        user.hash(&mut hasher);
        let steering = Steering::of(settings);
        steering.hash(&mut hasher);
        SearchPath { names, steering, key: hasher.finish() }
    }
}

impl SessionState {
    /// The search path as set.
    pub fn search_path(&self) -> Arc<SearchPath> {
        self.path.load_full()
    }

    /// Which ways through tables plans may take.
    pub fn steering(&self) -> Steering {
        self.path.load().steering
    }

    /// What `search_path` and the session's own schemas contribute to a plan's cache key.
    pub fn path_key(&self) -> u64 {
        let path = self.path.load();
        path.key ^ u64::from(self.temp_schema.load(Ordering::Relaxed)).rotate_left(40)
    }

    /// The schemas searched, in order: temporary tables, `pg_catalog` unless the path names it, then
    /// the path. Names that are no schema are passed over.
    pub fn search_path_oids(&self, catalog: &Catalog) -> Vec<Oid> {
        let path = self.path.load();
        let user = self.current_user.load();
        let mut found: Vec<Oid> = Vec::new();
        for name in &path.names {
            if let Some(oid) = self.usable_schema(catalog, name, &user)
                && !found.contains(&oid)
            {
                found.push(oid);
            }
        }
        if !found.contains(&fixed::PG_CATALOG) {
            found.insert(0, fixed::PG_CATALOG);
        }
        let temp = self.temp_schema.load(Ordering::Relaxed);
        if temp != 0 && !found.contains(&temp) {
            found.insert(0, temp);
        }
        found
    }

    /// Where `CREATE TABLE name` goes: the first schema of the path that exists.
    pub fn creation_schema(&self, catalog: &Catalog) -> Option<Oid> {
        let path = self.path.load();
        let user = self.current_user.load();
        path.names.iter().find_map(|name| self.usable_schema(catalog, name, &user))
    }

    /// The schema that a name of the path means, unless it may not be used.
    fn usable_schema(&self, catalog: &Catalog, name: &str, user: &str) -> Option<Oid> {
        let oid = self.schema_oid(catalog, if name == "$user" { user } else { name })?;
        authority::may_use_schema(catalog, self, oid).then_some(oid)
    }

    /// The relation a possibly qualified, possibly quoted name means, as `'name'::regclass` reads it.
    pub fn find_relation(&self, catalog: &Catalog, name: &str) -> Result<Option<Arc<Relation>>> {
        let parts = names::split_identifier(name)?;
        Ok(match parts.as_slice() {
            [name] => self
                .search_path_oids(catalog)
                .into_iter()
                .find_map(|schema| catalog.relation_named(schema, name).cloned()),
            [schema, name] | [_, schema, name] => self
                .schema_oid(catalog, schema)
                .and_then(|schema| catalog.relation_named(schema, name).cloned()),
            _ => None,
        })
    }

    /// A schema by name, `pg_temp` being the session's own.
    pub fn schema_oid(&self, catalog: &Catalog, name: &str) -> Option<Oid> {
        match name {
            "pg_temp" => Some(self.temp_schema.load(Ordering::Relaxed)).filter(|o| *o != 0),
            _ => catalog.schema_named(name).map(|s| s.oid),
        }
    }

    /// The session's temporary schema, 0 before it has one.
    pub fn temp_schema(&self) -> Oid {
        self.temp_schema.load(Ordering::Relaxed)
    }

    /// The session got its temporary schema (or lost it, 0).
    pub fn set_temp_schema(&self, schema: Oid) {
        self.temp_schema.store(schema, Ordering::Relaxed);
    }
}
