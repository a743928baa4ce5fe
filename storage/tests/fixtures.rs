//! Data directories as every version wrote them (`tests/fixtures`): they are read, and what writes them today writes the
//! same bytes. Where a format gets a new version, its directories are recorded under new names
//! (`VICINITY_FIXTURES_RECORD=1`), and the old ones stay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(unreachable_pub)]

mod common;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use common::files::{Files, disk_of, files, load, save};
use common::*;
use vicinity_storage::catalog::model::{IndexMethod, Persistence};
use vicinity_storage::disk::sim::SimDisk;
use vicinity_storage::{Access, Database, KeyRange, Options, Progress, pin};
use vicinity_types::array::Array;
use vicinity_types::geo::Point;
use vicinity_types::{Datum, Oid, oid};

const SEQUENCE: Oid = 20_050;
const SPATIAL: Oid = 20_002;
const HNSW: Oid = 20_003;
const IVFFLAT: Oid = 20_004;
const SCRATCH: Oid = 20_100;

/// The directories, and how they come to be; `None`: nothing writes them any more.
const ALL: [(&str, Option<fn(&Arc<Database>)>); 6] = [
    ("2-log", Some(log)),
    ("2-exact", Some(exact)),
    ("2-manifest-2", Some(checkpoint)),
    ("2-stopped", Some(stop)),
    ("2-checkpoint", None),
    ("1-log", None),
];

fn root(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

fn values(id: i32) -> [Datum; 4] {
    let (x, y) = ((id * 7 % 31) as f32, (id * 13 % 29) as f32);
    [
        Datum::Int4(id),
        Datum::Point(Point { x: f64::from(x), y: f64::from(y) }),
        Datum::Array(Arc::new(Array::from_f32s(vec![x, y]))),
        if id % 5 == 0 { Datum::Null } else { Datum::text(format!("number {id}")) },
    ]
}

fn define(db: &Arc<Database>) {
    let cols =
        [("id", oid::INT4), ("pos", oid::POINT), ("vec", oid::FLOAT4_ARRAY), ("note", oid::TEXT)];
    let txn = begin(db);
    txn.put(table_object(T, "t", Persistence::Permanent, &cols)).unwrap();
    txn.put(table_object(SCRATCH, "scratch", Persistence::Unlogged, &cols)).unwrap();
    txn.put(sequence_object(SEQUENCE)).unwrap();
    let vectors: [&[(&str, &str)]; 2] = [
        &[("dim", "2"), ("base_nb_num", "4")],
        &[("dimension", "2"), ("clustering_type", "1"), ("clustering_params", "1000,4")],
    ];
    for (oid, method, column, options) in [
        (PK, IndexMethod::Btree, 1, &[][..]),
        (SPATIAL, IndexMethod::Spatial, 2, &[]),
        (HNSW, IndexMethod::Hnsw, 3, vectors[0]),
        (IVFFLAT, IndexMethod::Ivfflat, 3, vectors[1]),
    ] {
        txn.put(index_object(oid, &format!("i{oid}"), T, method, &[column], oid == PK, options))
            .unwrap();
        db.build_index(&txn, oid, &Arc::new(Progress::new())).unwrap();
    }
    finish(db, txn);
}

fn insert(db: &Arc<Database>, table: Oid, ids: std::ops::Range<i32>) {
    let txn = begin(db);
    let t = db.table(table, &db.catalog()).unwrap();
    for id in ids {
        t.insert(&txn, &values(id)).unwrap();
    }
    finish(db, txn);
}

/// Every kind of record: chunks and what is void of them, commits with changes and without, a sequence.
fn log(db: &Arc<Database>) {
    define(db);
    insert(db, T, 0..10);
    let txn = begin(db);
    let (t, s) = (table(db), txn.snapshot());
    t.update(&txn, &s, find(&t, 1, s).unwrap(), &values(21)).unwrap();
    t.delete(&txn, &s, find(&t, 2, s).unwrap()).unwrap();
    finish(db, txn);
    let txn = begin(db);
    txn.use_sequence(SEQUENCE).unwrap().nextval("s").unwrap();
    let before = txn.savepoint();
    let [_, pos, vec, _] = values(30);
    let long = [Datum::Int4(30), pos, vec, Datum::text("x".repeat(263_000))];
    t.insert(&txn, &long).unwrap();
    txn.rollback_to(&before).unwrap();
    t.insert(&txn, &values(31)).unwrap();
    finish(db, txn);
    // Of nobody.
    let txn = begin(db);
    t.insert(&txn, &values(40)).unwrap();
}

/// Rows and vector indexes in files, and a log behind.
fn checkpoint(db: &Arc<Database>) {
    define(db);
    insert(db, T, 0..1000);
    db.checkpoint().unwrap();
    insert(db, T, 1000..1003);
}

/// A clean stop, which leaves indexes as they are.
fn exact(db: &Arc<Database>) {
    define(db);
    insert(db, T, 0..300);
    db.checkpoint().unwrap();
    db.shutdown().unwrap();
}

/// A clean stop, which keeps unlogged tables.
fn stop(db: &Arc<Database>) {
    define(db);
    insert(db, T, 0..5);
    insert(db, SCRATCH, 0..5);
    db.shutdown().unwrap();
}

fn make(name: &str, write: fn(&Arc<Database>)) -> Files {
    let disk = SimDisk::new();
    let checkpoint_bytes = if name == "2-exact" { 1 << 40 } else { 0 };
    let small = Options { checkpoint_bytes, index_image_entries: 20, ..options() };
    let options = Options { wal_segment_size: 1 << 20, ..small };
    let db = Database::open_on(Arc::new(disk.clone()), options).unwrap();
    write(&db);
    drop(db);
    files(&disk)
}

/// All that is in a database, as text: rows as tables and as indexes give them.
fn text(db: &Arc<Database>) -> String {
    let mut out = String::new();
    let txn = begin(db);
    let guard = pin();
    let vector =
        |index| Access::Vector { index, query: [15.0, 15.0].into(), extra: 1000, limit: 5 };
    let near = Some([15.0, 15.0]);
    let accesses = [
        (T, Access::Seq),
        (SCRATCH, Access::Seq),
        (T, Access::Btree { index: PK, range: KeyRange::all(), reverse: true }),
        (T, Access::Points { index: SPATIAL, region: None, near, limit: 10 }),
        (T, vector(HNSW)),
        (T, vector(IVFFLAT)),
    ];
    for (table, access) in accesses {
        let name = format!("{access:?}");
        let name = name.split([' ', '{']).next().unwrap();
        let mut cursor =
            db.table(table, &db.catalog()).unwrap().open(access, txn.snapshot()).unwrap();
        let mut rows = 0;
        while let Some(row) = cursor.next(&guard, &mut |_| Ok(true)).unwrap() {
            rows += 1;
            if rows <= 10 {
                writeln!(out, "{table} {name} {} {:?}", row.id, row.values()).unwrap();
            }
        }
        writeln!(out, "{table} {name}: {rows} rows").unwrap();
    }
    let next = txn.use_sequence(SEQUENCE).unwrap().nextval("s").unwrap();
    writeln!(out, "sequence: {next}").unwrap();
    out
}

#[test]
fn what_every_version_wrote_is_read_and_written() {
    for (name, write) in ALL {
        let made = write.map(|write| make(name, write));
        if std::env::var_os("VICINITY_FIXTURES_RECORD").is_some()
            && let Some(made) = &made
        {
            let _ = std::fs::remove_dir_all(root(name));
            save(&root(name), made);
            std::fs::write(root(name).with_extension("txt"), text(&open(&disk_of(made)))).unwrap();
        }
        let kept = load(&root(name));
        let want = std::fs::read_to_string(root(name).with_extension("txt")).unwrap();
        let got = text(&open(&disk_of(&kept)));
        assert!(got == want, "{name} reads as\n{got}");
        let Some(made) = made else { continue };
        let names = |files: &Files| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&made), names(&kept), "{name}");
        for ((path, made), (_, kept)) in made.iter().zip(&kept) {
            assert!(made == kept, "{name}/{path} is written otherwise");
        }
    }
}
