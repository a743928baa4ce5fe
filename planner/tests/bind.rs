//! Queries against what PostgreSQL 15 says of their columns: name and type, or the error.
//!
//! `bind/queries.txt` holds a query a paragraph, its columns (or `error CODE message`) indented under
//! it, written by a real PostgreSQL. `bind/psql.sql` holds what psql 15 sends for its backslash
//! commands: all of it must bind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use vicinity_planner::bind::{Binder, ParamTypes};
use vicinity_planner::names::type_name_in;
use vicinity_planner::session_state::SessionState;
use vicinity_planner::sql::{self, Statement};
use vicinity_storage::catalog::model::{
    Column, Constraint, ConstraintKind, Object, OnCommit, Persistence, Relation, RelationKind,
    TableDef, ViewDef, fixed,
};
use vicinity_storage::{Catalog, Database, Isolation, Options};
use vicinity_types::{Oid, Result, oid};

fn column(name: &str, type_oid: Oid, typmod: i32) -> Column {
    Column::new(name, type_oid, typmod)
}

fn table(oid: Oid, name: &str, columns: Vec<Column>) -> Object {
    let key = Constraint {
        oid: oid + 3,
        name: format!("{name}_pkey"),
        columns: vec![1],
        kind: ConstraintKind::PrimaryKey { index: 0 },
        deferrable: false,
        deferred: false,
        validated: true,
        inherited: 0,
        local: true,
        no_inherit: false,
    };
    let def = TableDef {
        persistence: Persistence::Permanent,
        columns,
        constraints: vec![key],
        storage: 0,
        row_type: oid + 1,
        row_array_type: oid + 2,
        options: Vec::new(),
        on_commit: OnCommit::default(),
        materialized: None,
        parents: Vec::new(),
        partitioning: None,
        bound: None,
    };
    relation(oid, name, RelationKind::Table(def))
}

fn relation(oid: Oid, name: &str, kind: RelationKind) -> Object {
    Object::Relation(Arc::new(Relation {
        oid,
        name: name.to_owned(),
        schema: fixed::PUBLIC,
        owner: fixed::SUPERUSER,
        kind,
    }))
}

fn catalog() -> (Arc<Catalog>, Arc<Database>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path(), Options { sync: false, ..Options::default() }).unwrap();
    let txn = db.begin(Isolation::ReadCommitted, false).unwrap();
    let t = vec![
        column("id", oid::INT4, -1),
        column("uid", oid::INT4, -1),
        column("name", oid::TEXT, -1),
        column("v", oid::VARCHAR, 14),
        column("pos", oid::POINT, -1),
        column("vec", oid::FLOAT4_ARRAY, -1),
        column("d", oid::DATE, -1),
        column("ts", oid::TIMESTAMPTZ, -1),
        column("n", oid::NUMERIC, ((10 << 16) | 2) + 4),
        column("b", oid::BOOL, -1),
        column("j", oid::JSONB, -1),
        column("big", oid::INT8, -1),
        column("f8", oid::FLOAT8, -1),
    ];
    let u = vec![
        column("id", oid::INT4, -1),
        column("t_id", oid::INT4, -1),
        column("label", oid::TEXT, -1),
    ];
    let view = ViewDef {
        columns: vec![column("id", oid::INT4, -1), column("name", oid::TEXT, -1)],
        query: "SELECT t.id, t.name FROM t WHERE t.id > 3".to_owned(),
        depends_on: vec![20_000],
        row_type: 20_021,
        options: Vec::new(),
    };
    txn.put(table(20_000, "t", t)).unwrap();
    txn.put(table(20_010, "u", u)).unwrap();
    txn.put(relation(20_020, "vw", RelationKind::View(view))).unwrap();
    let catalog = txn.catalog();
    (catalog, db, dir)
}

fn described(catalog: &Arc<Catalog>, sql: &str) -> Result<Vec<String>> {
    let session = SessionState::new("postgres", "binder_t", 1);
    let parsed = sql::parse(sql)?;
    let Statement::Sql(statement) = &*parsed[0].stmt else { panic!("{sql}") };
    let sqlparser::ast::Statement::Query(query) = statement.as_ref() else { panic!("{sql}") };
    let mut binder =
        Binder::new(catalog, &session, ParamTypes::declared(&[])).with_source(parsed[0].source());
    let bound = binder.query(query)?;
    assert_eq!(bound.plan.schema().fields().len(), bound.columns.len(), "{sql}");
    for (field, column) in bound.plan.schema().fields().iter().zip(&bound.columns) {
        assert_eq!(field.data_type(), &column.ty.arrow(), "{sql}: {}", column.name);
    }
    let shown = |c: &vicinity_planner::bind::OutputColumn| {
        format!("{} {}", c.name, type_name_in(catalog, Some(&session), c.ty.oid, Some(c.ty.typmod)))
    };
    Ok(bound.columns.iter().map(shown).collect())
}

#[test]
fn columns_are_named_and_typed_as_in_postgres() {
    let (catalog, _db, _dir) = catalog();
    let mut wrong = String::new();
    for case in include_str!("bind/queries.txt").split("\n\n").filter(|c| !c.trim().is_empty()) {
        let (sql, expected) = case.split_once('\n').unwrap();
        let expected: Vec<&str> = expected.lines().map(str::trim).collect();
        let got = match described(&catalog, sql) {
            Ok(columns) => columns,
            Err(e) => vec![format!("error {} {}", e.code(), e.message())],
        };
        if got != expected {
            wrong += &format!("{sql}\n  expected {expected:?}\n  got      {got:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn psql_queries_bind() {
    let (catalog, _db, _dir) = catalog();
    let mut wrong = String::new();
    for sql in include_str!("bind/psql.sql").split(";\n").filter(|s| !s.trim().is_empty()) {
        if let Err(e) = described(&catalog, sql) {
            wrong += &format!("{sql}\n  {e} {:?}\n", e.report().position);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
