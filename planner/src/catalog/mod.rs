//! `pg_catalog` and `information_schema`: system tables computed from the catalog of the moment.
//!
//! A [`VirtualTable`] has PostgreSQL 15's own columns (data/system_columns.tsv) and a function that
//! gives its rows for one snapshot of the catalog; to the binder it is a relation, to the lanes a
//! table like any other. Nothing here knows which client asks.

mod access;
mod cluster;
mod constraint;
pub mod definition;
mod depend;
pub mod functions;
mod partition;
mod relations;
mod routines;
mod row;
mod stats;
mod trigger;
mod types;
mod views;
mod zones;

use std::collections::HashMap;
use std::sync::OnceLock;

use vicinity_storage::catalog::model::fixed;
use vicinity_types::{Datum, Oid, Result};

use crate::context::ExecContext;

/// A column of a system table.
#[derive(Debug)]
pub struct VirtualColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub type_oid: Oid,
    /// NOT NULL in PostgreSQL's own declaration.
    pub not_null: bool,
}

/// Gives a system table's rows, each as wide as its columns.
pub type RowsFn = fn(&ExecContext, &VirtualTable) -> Result<Vec<Vec<Datum>>>;

/// A system table or view.
#[derive(Debug)]
pub struct VirtualTable {
    /// PostgreSQL's own id.
    pub oid: Oid,
    /// [`fixed::PG_CATALOG`] or [`fixed::INFORMATION_SCHEMA`].
    pub schema: Oid,
    /// Its name.
    pub name: &'static str,
    /// `pg_class.relkind`: `r` or `v`.
    pub kind: char,
    /// Its columns.
    pub columns: Vec<VirtualColumn>,
    /// What fills it.
    pub rows: RowsFn,
    /// The query of a view that is written in SQL: it is bound like a user's.
    pub query: Option<&'static str>,
}

/// All system tables, in the order of their names.
pub fn tables() -> &'static [VirtualTable] {
    static TABLES: OnceLock<Vec<VirtualTable>> = OnceLock::new();
    TABLES.get_or_init(load)
}

/// The system table of a name in `pg_catalog` or `information_schema`.
pub fn lookup(schema: Oid, name: &str) -> Option<&'static VirtualTable> {
    static BY_NAME: OnceLock<HashMap<(Oid, &'static str), &'static VirtualTable>> = OnceLock::new();
    BY_NAME
        .get_or_init(|| tables().iter().map(|t| ((t.schema, t.name), t)).collect())
        .get(&(schema, name))
        .copied()
}

/// The system table of an id.
pub fn lookup_oid(oid: Oid) -> Option<&'static VirtualTable> {
    static BY_OID: OnceLock<HashMap<Oid, &'static VirtualTable>> = OnceLock::new();
    BY_OID.get_or_init(|| tables().iter().map(|t| (t.oid, t)).collect()).get(&oid).copied()
}

/// The id of a catalog in `pg_catalog`, as `classid` columns hold it.
pub fn class_oid(name: &str) -> Oid {
    lookup(fixed::PG_CATALOG, name).map_or(0, |t| t.oid)
}

fn load() -> Vec<VirtualTable> {
    let mut tables: Vec<VirtualTable> = Vec::new();
    let queries = queries();
    for line in include_str!("../../data/system_columns.tsv").lines() {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [schema, name, oid, kind, _, column, type_oid, _, not_null] = fields.as_slice() else {
            continue;
        };
        let schema = match *schema {
            "pg_catalog" => fixed::PG_CATALOG,
            _ => fixed::INFORMATION_SCHEMA,
        };
        if tables.last().is_none_or(|t| t.name != *name || t.schema != schema) {
            tables.push(VirtualTable {
                oid: oid.parse().unwrap_or(0),
                schema,
                name,
                kind: kind.chars().next().unwrap_or('r'),
                columns: Vec::new(),
                rows: rows_of(name),
                query: queries.get(name).copied().filter(|_| schema != fixed::PG_CATALOG),
            });
        }
        if let Some(table) = tables.last_mut() {
            table.columns.push(VirtualColumn {
                name: column,
                type_oid: known_type(type_oid),
                not_null: *not_null == "t",
            });
        }
    }
    tables
}

/// PostgreSQL's own queries of the views of `information_schema`, by name.
fn queries() -> HashMap<&'static str, &'static str> {
    let all = include_str!("../../data/information_schema.sql");
    let parts = all.split("-- ").filter_map(|part| part.split_once('\n'));
    parts.map(|(name, query)| (name, query.trim().trim_end_matches(';'))).collect()
}

/// Types this server lacks (planner statistics) occur only in columns that stay NULL.
fn known_type(oid: &str) -> Oid {
    let oid = oid.parse().unwrap_or(0);
    if vicinity_types::oid::kind(oid).is_some() { oid } else { vicinity_types::oid::TEXT }
}

fn rows_of(name: &str) -> RowsFn {
    let found = relations::rows_of(name)
        .or_else(|| partition::rows_of(name))
        .or_else(|| types::rows_of(name))
        .or_else(|| routines::rows_of(name))
        .or_else(|| access::rows_of(name))
        .or_else(|| cluster::rows_of(name))
        .or_else(|| stats::rows_of(name))
        .or_else(|| zones::rows_of(name))
        .or_else(|| views::rows_of(name));
    found.unwrap_or(nothing)
}

/// Catalogs of things that do not exist here (publications, text search, foreign servers) are
/// empty, as they are in a PostgreSQL where nobody made any.
fn nothing(_: &ExecContext, _: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    Ok(Vec::new())
}
