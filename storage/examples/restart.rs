//! How long a start takes: `restart load DIR [ROWS]` fills a directory and dies without a stop, `restart open DIR`
//! opens it, says how long that took, and stops cleanly (so that the next one says how long that takes).
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_storage::catalog::model::{
    Column, IndexDef, IndexKey, IndexMethod, Object, OnCommit, Persistence, Relation, RelationKind,
    TableDef, fixed,
};
use vicinity_storage::{Database, Isolation, Options, Progress};
use vicinity_types::array::Array;
use vicinity_types::geo::Point;
use vicinity_types::{Datum, Oid, Result, oid};

const DIM: usize = 80;
const VECTORS: Oid = 20_000;
const COURIERS: Oid = 20_100;

fn relation(oid: Oid, kind: RelationKind) -> Object {
    let name = format!("r{oid}");
    let (schema, owner) = (fixed::PUBLIC, fixed::SUPERUSER);
    Object::Relation(Arc::new(Relation { oid, name, schema, owner, kind }))
}

fn table(oid: Oid, columns: [(&str, Oid); 2]) -> Object {
    let columns = columns.iter().map(|(name, ty)| Column::new(name, *ty, -1)).collect();
    let kind = TableDef {
        persistence: Persistence::Permanent,
        columns,
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
    };
    relation(oid, RelationKind::Table(kind))
}

/// Adds an index and builds it.
fn index(
    db: &Arc<Database>,
    table: Oid,
    at: Oid,
    method: IndexMethod,
    column: i16,
    options: &[(&str, &str)],
) -> Result<()> {
    let began = Instant::now();
    let txn = db.begin(Isolation::ReadCommitted, false)?;
    let key = IndexKey { column, expr: None, opclass: 0, descending: false, nulls_first: false };
    let def = IndexDef {
        table,
        method,
        keys: vec![key],
        include: Vec::new(),
        predicate: None,
        unique: method == IndexMethod::Btree,
        primary: false,
        nulls_not_distinct: false,
        options: options.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        valid: false,
        parent: None,
    };
    txn.put(relation(table + at, RelationKind::Index(def)))?;
    db.build_index(&txn, table + at, &Arc::new(Progress::new()))?;
    txn.commit()?;
    println!("{method:?} built in {:.2} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn load(dir: &Path, rows: i64) -> Result<()> {
    let db = Database::open(dir, Options { checkpoint_bytes: u64::MAX, ..Options::default() })?;
    let txn = db.begin(Isolation::ReadCommitted, false)?;
    txn.put(table(VECTORS, [("id", oid::INT8), ("v", oid::FLOAT4_ARRAY)]))?;
    txn.put(table(COURIERS, [("id", oid::INT8), ("pos", oid::POINT)]))?;
    txn.commit()?;
    let mut random = StdRng::seed_from_u64(1);
    let mut row = |oid: Oid, id: i64| {
        let mut number = || random.random_range(0.0..1000.0);
        if oid == COURIERS {
            return [Datum::Int8(id), Datum::Point(Point { x: number(), y: number() })];
        }
        // A hundred clusters.
        let v = (0..DIM).map(|d| (id * 7919 % 100 * (d as i64 + 3) % 97) as f32);
        let v = v.map(|c| c + number() as f32 / 100.0).collect();
        [Datum::Int8(id), Datum::Array(Arc::new(Array::from_f32s(v)))]
    };
    let mut fill = |oid: Oid, ids: std::ops::Range<i64>| -> Result<()> {
        let t = db.table(oid, &db.catalog())?;
        for from in ids.clone().step_by(1000) {
            let txn = db.begin(Isolation::ReadCommitted, false)?;
            (from..(from + 1000).min(ids.end))
                .try_for_each(|id| t.insert(&txn, &row(oid, id)).map(drop))?;
            txn.commit()?;
        }
        Ok(())
    };
    fill(VECTORS, 0..rows)?;
    fill(COURIERS, 0..rows)?;
    index(&db, VECTORS, 1, IndexMethod::Btree, 1, &[])?;
    let options = [("dim", "80"), ("base_nb_num", "16"), ("ef_build", "40")];
    index(&db, VECTORS, 2, IndexMethod::Hnsw, 2, &options)?;
    let options =
        [("dimension", "80"), ("clustering_type", "1"), ("clustering_params", "100,1000")];
    index(&db, VECTORS, 3, IndexMethod::Ivfflat, 2, &options)?;
    index(&db, COURIERS, 1, IndexMethod::Btree, 1, &[])?;
    index(&db, COURIERS, 2, IndexMethod::Spatial, 2, &[])?;
    let began = Instant::now();
    let done = db.checkpoint()?;
    println!("checkpoint in {:.2} s: {done:?}", began.elapsed().as_secs_f64());
    // A tail: rows to be replayed, and a few vectors among them.
    fill(COURIERS, rows..rows * 3 / 2)?;
    fill(VECTORS, rows..rows + 1000)?;
    db.wal().wait_durable(db.wal().end())?;
    std::process::abort();
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let dir = Path::new(&args[2]);
    if args[1] == "load" {
        return load(dir, args.get(3).map_or(1_000_000, |n| n.parse().unwrap()));
    }
    let began = Instant::now();
    let db = Database::open(dir, Options::default())?;
    println!("opened in {:.2} s", began.elapsed().as_secs_f64());
    for oid in [VECTORS, COURIERS] {
        let t = db.table(oid, &db.catalog())?;
        let entries: Vec<usize> = t.indexes().iter().map(|i| t.index_size(i.oid).0).collect();
        println!("{} rows, entries of its indexes {entries:?}", t.stats().live);
    }
    let began = Instant::now();
    db.shutdown()?;
    println!("stopped in {:.2} s", began.elapsed().as_secs_f64());
    Ok(())
}
