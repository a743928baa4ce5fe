//! Data directories changed at random, with checksums that are right again: a server starts with what it finds, or says
//! what is wrong with it. See `fuzz/README.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(unreachable_pub)]

mod common;
#[path = "../../types/tests/mutator/mod.rs"]
mod mutator;

use std::alloc::System;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cap::Cap;
use common::files::{Files, disk_of, files, load, save};
use common::*;
use mutator::{Mutator, rounds};
use vicinity_storage::catalog::model::{IndexMethod, Persistence};
use vicinity_storage::disk::sim::SimDisk;
use vicinity_storage::{Access, Database, ObjectKind, Options, Progress, pin};
use vicinity_types::array::Array;
use vicinity_types::geo::Point;
use vicinity_types::{Datum, oid};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// What a start takes, whatever there is to read.
const FREE: usize = 96 << 20;
/// And for each byte of the log.
const EACH: usize = 8192;

/// Bytes before a record's or block's body: its length and checksum.
const FRAME: usize = 8;
/// Bytes before what the checksum of a manifest is of; the last four are the checksum.
const MANIFEST: usize = 12;

fn corpus() -> std::path::PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/data").into()
}

/// Options of databases that are looked at for a moment.
fn small() -> Options {
    Options { wal_segment_size: 1 << 12, vacuum: false, checkpoint_bytes: 0, ..Options::default() }
}

/// What happened in each log of the corpus.
const LOGS: [(&str, fn(&Arc<Database>)); 4] = [
    ("rows", write_rows),
    ("chunks", write_chunks),
    ("objects", write_objects),
    ("checkpoint", write_checkpoint),
];

fn write_checkpoint(db: &Arc<Database>) {
    write_rows(db);
    db.checkpoint().unwrap();
    let txn = begin(db);
    let s = txn.snapshot();
    table(db).delete(&txn, &s, find(&table(db), 3, s).unwrap()).unwrap();
    finish(db, txn);
}

fn write_rows(db: &Arc<Database>) {
    let txn = begin(db);
    let cols =
        [("id", oid::INT4), ("pos", oid::POINT), ("vec", oid::FLOAT4_ARRAY), ("n", oid::NUMERIC)];
    txn.put(table_object(T, "t", Persistence::Permanent, &cols)).unwrap();
    for (oid, method, column) in [
        (PK, IndexMethod::Btree, 1),
        (20_002, IndexMethod::Spatial, 2),
        (20_003, IndexMethod::Hnsw, 3),
        (20_004, IndexMethod::Btree, 4),
    ] {
        let options: &[_] = if method == IndexMethod::Hnsw { &[("dim", "2")] } else { &[] };
        txn.put(index_object(oid, &format!("i{oid}"), T, method, &[column], oid == PK, options))
            .unwrap();
        db.build_index(&txn, oid, &Arc::new(Progress::new())).unwrap();
    }
    finish(db, txn);
    let txn = begin(db);
    let values = |id: i32| {
        let v = id as f32;
        [
            Datum::Int4(id),
            Datum::Point(Point { x: f64::from(id), y: 0.5 }),
            Datum::Array(Arc::new(Array::from_f32s(vec![v, -v]))),
            Datum::Null,
        ]
    };
    for id in 0..6 {
        table(db).insert(&txn, &values(id)).unwrap();
    }
    finish(db, txn);
    let txn = begin(db);
    let s = txn.snapshot();
    table(db).update(&txn, &s, find(&table(db), 1, s).unwrap(), &values(100)).unwrap();
    table(db).delete(&txn, &s, find(&table(db), 2, s).unwrap()).unwrap();
    finish(db, txn);
}

fn write_chunks(db: &Arc<Database>) {
    let txn = begin(db);
    let cols = [("id", oid::INT4), ("v", oid::TEXT)];
    txn.put(table_object(T, "t", Persistence::Permanent, &cols)).unwrap();
    txn.put(index_object(PK, "t_pkey", T, IndexMethod::Btree, &[1], true, &[])).unwrap();
    db.build_index(&txn, PK, &Arc::new(Progress::new())).unwrap();
    finish(db, txn);
    let txn = begin(db);
    let long = |id: i32| [Datum::Int4(id), Datum::text("x".repeat(90_000))];
    table(db).insert(&txn, &[Datum::Int4(1), Datum::text("kept")]).unwrap();
    let before = txn.savepoint();
    for id in 2..5 {
        table(db).insert(&txn, &long(id)).unwrap();
    }
    txn.rollback_to(&before).unwrap();
    table(db).insert(&txn, &[Datum::Int4(2), Datum::text("kept too")]).unwrap();
    finish(db, txn);
}

fn write_objects(db: &Arc<Database>) {
    make_table(db);
    let txn = begin(db);
    table(db).insert(&txn, &row(1, 1)).unwrap();
    txn.truncate(T).unwrap();
    db.table(T, &txn.catalog()).unwrap().insert(&txn, &row(2, 2)).unwrap();
    let cols = [("a", oid::TEXT_ARRAY), ("b", oid::TIMESTAMPTZ)];
    txn.put(table_object(20_010, "u", Persistence::Unlogged, &cols)).unwrap();
    finish(db, txn);
    let txn = begin(db);
    txn.drop_object(ObjectKind::Relation, 20_010).unwrap();
    finish(db, txn);
}

fn make(write: fn(&Arc<Database>)) -> Files {
    let disk = SimDisk::new();
    let options = Options { wal_segment_size: 1 << 20, ..small() };
    let db = Database::open_on(Arc::new(disk.clone()), options).unwrap();
    write(&db);
    drop(db);
    files(&disk)
}

/// Starts on a disk that has these files, and looks at everything.
fn start(files: &Files) -> vicinity_types::Result<usize> {
    let db = Database::open_on(Arc::new(disk_of(files)), small())?;
    let mut rows = 0;
    let catalog = db.catalog();
    let tables = catalog.relations().filter(|r| r.table().is_some()).map(|r| r.oid);
    for oid in tables.collect::<Vec<_>>() {
        let txn = begin(&db);
        let t = db.table(oid, &catalog)?;
        let mut cursor = t.open(Access::Seq, txn.snapshot())?;
        let guard = pin();
        while let Some(row) = cursor.next(&guard, &mut |_| Ok(true))? {
            rows += 1;
            drop(row.values());
        }
    }
    Ok(rows)
}

/// Bytes before the first record or block of a file.
fn header(path: &str) -> usize {
    if path.starts_with("wal") { 24 } else { 40 }
}

/// Where the bodies of the records, or blocks, are.
fn bodies(path: &str, bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut all, mut at) = (Vec::new(), header(path));
    while let Some(len) = bytes.get(at..at + 4).map(|b| u32::from_le_bytes(b.try_into().unwrap())) {
        let body = at + FRAME;
        if len == 0 || bytes.len() < body + len as usize {
            break;
        }
        all.push((body, len as usize));
        at = body + len as usize;
    }
    all
}

/// Changes a file at random; mostly so that its checksums are right.
fn change(chance: &mut Mutator, path: &str, bytes: &mut Vec<u8>, other: &[u8]) {
    if chance.below(5) == 0 {
        return chance.bytes(bytes, other);
    }
    if path == "CHECKPOINT" {
        let mut body = bytes.split_off(MANIFEST);
        chance.bytes(&mut body, other);
        bytes[MANIFEST - 4..].copy_from_slice(&crc32fast::hash(&body).to_le_bytes());
        return bytes.extend(body);
    }
    let places = bodies(path, bytes);
    if places.is_empty() {
        return chance.bytes(bytes, other);
    }
    let (at, len) = *chance.pick(&places);
    let mut body = bytes[at..at + len].to_vec();
    chance.bytes(&mut body, other);
    bytes[at - 8..at - 4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    bytes[at - 4..at].copy_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.splice(at..at + len, body);
}

// One test: memory is counted for the whole process.
#[test]
fn any_data_directory_is_read_or_refused() {
    if std::env::var_os("VICINITY_FUZZ_RECORD").is_some() {
        let _ = std::fs::remove_dir_all(corpus());
        LOGS.iter().for_each(|(name, write)| save(&corpus().join(name), &make(*write)));
    }
    let all: Vec<Files> = LOGS.iter().map(|(name, _)| load(&corpus().join(name))).collect();
    // Files of another version would be refused, and nothing tried: record the corpus anew.
    let rows: Vec<usize> =
        all.iter().map(|files| start(files).expect("the corpus is of this format")).collect();
    assert_eq!(rows, [5, 2, 1, 4]);
    std::panic::set_hook(Box::new(|_| {}));
    for round in 0..rounds(600) {
        let mut chance = Mutator::new(round);
        let mut files = chance.pick(&all).clone();
        let other = chance.pick(&all);
        let other = chance.pick(other).1.clone();
        let at = chance.below(files.len());
        let (path, bytes) = &mut files[at];
        change(&mut chance, path, bytes, &other);
        let len: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        let before = MEMORY.total_allocated();
        let outcome = catch_unwind(AssertUnwindSafe(|| start(&files).is_ok()));
        let taken = MEMORY.total_allocated() - before;
        assert!(outcome.is_ok(), "round {round}: panic");
        assert!(taken < FREE + EACH * len, "round {round}: {taken} bytes for {len}");
    }
}
