//! Small tables for tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    unreachable_pub
)]

pub mod files;

use std::sync::Arc;

use vicinity_storage::catalog::model::{
    Column, IndexDef, IndexKey, IndexMethod, Object, OnCommit, Persistence, Relation, RelationKind,
    SequenceDef, TableDef, fixed,
};
use vicinity_storage::disk::sim::SimDisk;
use vicinity_storage::{
    Access, Database, Isolation, Options, Progress, Snapshot, Table, Transaction, pin,
};
use vicinity_types::{Datum, Oid, oid};

pub fn column(name: &str, ty: Oid) -> Column {
    Column::new(name, ty, -1)
}

pub fn table_object(
    oid: Oid,
    name: &str,
    persistence: Persistence,
    cols: &[(&str, Oid)],
) -> Object {
    Object::Relation(Arc::new(Relation {
        oid,
        name: name.to_owned(),
        schema: fixed::PUBLIC,
        owner: fixed::SUPERUSER,
        kind: RelationKind::Table(TableDef {
            persistence,
            columns: cols.iter().map(|(n, t)| column(n, *t)).collect(),
            constraints: Vec::new(),
            storage: 0,
            row_type: oid + 100_000,
            row_array_type: oid + 200_000,
            options: Vec::new(),
            on_commit: OnCommit::default(),
            materialized: None,
            parents: Vec::new(),
            partitioning: None,
            bound: None,
        }),
    }))
}

pub fn index_object(
    oid: Oid,
    name: &str,
    table: Oid,
    method: IndexMethod,
    columns: &[i16],
    unique: bool,
    options: &[(&str, &str)],
) -> Object {
    Object::Relation(Arc::new(Relation {
        oid,
        name: name.to_owned(),
        schema: fixed::PUBLIC,
        owner: fixed::SUPERUSER,
        kind: RelationKind::Index(IndexDef {
            table,
            method,
            keys: columns
                .iter()
                .map(|c| IndexKey {
                    column: *c,
                    expr: None,
                    opclass: 0,
                    descending: false,
                    nulls_first: false,
                })
                .collect(),
            include: Vec::new(),
            predicate: None,
            unique,
            primary: false,
            nulls_not_distinct: false,
            options: options.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect(),
            valid: false,
            parent: None,
        }),
    }))
}

/// A sequence that begins at 1.
pub fn sequence_object(oid: Oid) -> Object {
    let def = SequenceDef {
        type_oid: oid::INT8,
        start: 1,
        increment: 1,
        min: 1,
        max: i64::MAX,
        cache: 1,
        cycle: false,
        owned_by: None,
        identity: false,
    };
    Object::Relation(Arc::new(Relation {
        oid,
        name: format!("s{oid}"),
        schema: fixed::PUBLIC,
        owner: fixed::SUPERUSER,
        kind: RelationKind::Sequence(def),
    }))
}

pub const T: Oid = 20_000;
pub const PK: Oid = 20_001;

/// `create table t(id int4, v int4)` with a unique index on id.
pub fn make_table(db: &Arc<Database>) {
    make_table_of(db, Persistence::Permanent);
}

pub fn make_table_of(db: &Arc<Database>, persistence: Persistence) {
    let txn = begin(db);
    let cols = [("id", oid::INT4), ("v", oid::INT4)];
    txn.put(table_object(T, "t", persistence, &cols)).unwrap();
    txn.put(index_object(PK, "t_pkey", T, IndexMethod::Btree, &[1], true, &[])).unwrap();
    db.build_index(&txn, PK, &Arc::new(Progress::new())).unwrap();
    finish(db, txn);
}

pub fn open(disk: &SimDisk) -> Arc<Database> {
    Database::open_on(Arc::new(disk.clone()), options()).unwrap()
}

pub fn options() -> Options {
    Options { wal_segment_size: 1 << 16, vacuum: false, checkpoint_bytes: 0, ..Options::default() }
}

pub fn memory() -> Arc<Database> {
    open(&SimDisk::new())
}

pub fn begin(db: &Arc<Database>) -> Transaction {
    db.begin(Isolation::ReadCommitted, false).unwrap()
}

/// Commits and waits for the disk.
pub fn finish(db: &Database, txn: Transaction) {
    if let Some(lsn) = txn.commit().unwrap().lsn {
        db.wal().wait_durable(lsn).unwrap();
    }
}

pub fn table(db: &Arc<Database>) -> Arc<Table> {
    db.table(T, &db.catalog()).unwrap()
}

pub fn row(id: i32, v: i32) -> [Datum; 2] {
    [Datum::Int4(id), Datum::Int4(v)]
}

pub fn int(d: &Datum) -> i32 {
    match d {
        Datum::Int4(i) => *i,
        Datum::Null => i32::MIN,
        other => panic!("{other:?}"),
    }
}

/// All visible `(id, v)`, sorted.
pub fn all(t: &Arc<Table>, snapshot: Snapshot) -> Vec<(i32, i32)> {
    scan(t, Access::Seq, snapshot)
}

pub fn scan(t: &Arc<Table>, access: Access, snapshot: Snapshot) -> Vec<(i32, i32)> {
    let sorted = matches!(access, Access::Seq);
    let mut cursor = t.open(access, snapshot).unwrap();
    let mut out = Vec::new();
    let guard = pin();
    while let Some(row) = cursor.next(&guard, &mut |_| Ok(true)).unwrap() {
        out.push((int(&row.get(0)), int(&row.get(1))));
    }
    if sorted {
        out.sort_unstable();
    }
    out
}

/// What a fresh transaction sees.
pub fn seen(db: &Arc<Database>) -> Vec<(i32, i32)> {
    let txn = begin(db);
    let snapshot = txn.snapshot();
    all(&table(db), snapshot)
}

/// The row id of an id by the unique index.
pub fn find(t: &Arc<Table>, id: i32, snapshot: Snapshot) -> Option<u64> {
    let keys = &t.indexes()[0].index().unwrap().keys;
    let range = vicinity_storage::KeyRange::equal(keys, &[Datum::Int4(id)]);
    let mut cursor = t
        .open(Access::Btree { index: t.indexes()[0].oid, range, reverse: false }, snapshot)
        .unwrap();
    let guard = pin();
    cursor.next(&guard, &mut |_| Ok(true)).unwrap().map(|r| r.id)
}
