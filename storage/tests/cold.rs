//! Tables larger than `memory_limit`: every row is there whatever left memory, and the files go when nobody needs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_storage::disk::Disk;
use vicinity_storage::disk::sim::{Fault, SimDisk};
use vicinity_storage::{Access, Database, Isolation, KeyRange, Options, Snapshot, Walk, pin};
use vicinity_types::SqlState;

const LIMIT: u64 = 256 << 10;
/// About ten times the limit.
const ROWS: i32 = 60_000;

fn small() -> Options {
    Options { memory_limit: LIMIT, ..options() }
}

fn open_small(disk: &SimDisk) -> Arc<Database> {
    Database::open_on(Arc::new(disk.clone()), small()).unwrap()
}

/// Rows `(id, id)`, swept in between.
fn load(db: &Arc<Database>, ids: std::ops::Range<i32>, at_once: i32) {
    let t = table(db);
    let mut txn = begin(db);
    for id in ids {
        t.insert(&txn, &row(id, id)).unwrap();
        if (id + 1) % at_once == 0 {
            finish(db, std::mem::replace(&mut txn, begin(db)));
        }
        if id % 1000 == 0 {
            db.sweep_step().unwrap();
        }
    }
    finish(db, txn);
    db.sweep_step().unwrap();
}

fn loaded(disk: &SimDisk, at_once: i32) -> Arc<Database> {
    let db = open_small(disk);
    make_table(&db);
    load(&db, 0..ROWS, at_once);
    db
}

fn change(db: &Arc<Database>, id: i32, v: Option<i32>) {
    let (txn, t) = (begin(db), table(db));
    let s = txn.snapshot();
    let r = find(&t, id, s).unwrap();
    match v {
        Some(v) => t.update(&txn, &s, r, &row(id, v)).unwrap(),
        None => t.delete(&txn, &s, r).unwrap(),
    };
    finish(db, txn);
}

/// Goes through all rows as statements do, under one guard after the other.
fn walk(db: &Arc<Database>, snapshot: Snapshot) -> BTreeMap<i32, i32> {
    let mut cursor = table(db).open(Access::Seq, snapshot).unwrap();
    let mut found = BTreeMap::new();
    loop {
        let guard = pin();
        let took = cursor.each(&guard, &mut |_| Ok(true), |row| {
            assert_eq!(found.insert(int(&row.get(0)), int(&row.get(1))), None);
            Ok(true)
        });
        if took.unwrap() == Walk::Ended {
            return found;
        }
    }
}

fn cold_files(disk: &SimDisk) -> usize {
    // What is to go goes when the epoch has advanced.
    for _ in 0..1000 {
        pin().flush();
    }
    disk.list("cold").unwrap().len()
}

fn same() -> BTreeMap<i32, i32> {
    (0..ROWS).map(|id| (id, id)).collect()
}

#[test]
fn ten_times_the_limit_is_all_there() {
    for at_once in [10, 500, i32::MAX] {
        let disk = SimDisk::new();
        let db = loaded(&disk, at_once);
        assert!(db.resident_bytes().unwrap() <= LIMIT, "{at_once}: {:?}", db.resident_bytes());
        assert!(table(&db).stats().bytes > 8 * LIMIT);
        assert_eq!(walk(&db, begin(&db).snapshot()), same());
        for id in (0..ROWS).step_by(97) {
            let t = table(&db);
            let s = begin(&db).snapshot();
            let r = find(&t, id, s).unwrap();
            assert_eq!(t.fetch(r, &s, &pin()).unwrap().map(|r| int(&r.get(1))), Some(id));
        }
        db.sweep_step().unwrap();
        assert!(db.resident_bytes().unwrap() <= LIMIT);
        db.shutdown().unwrap();
        drop(db);
        let again = open_small(&disk);
        assert!(again.resident_bytes().unwrap() <= 2 * LIMIT, "{:?}", again.resident_bytes());
        assert_eq!(walk(&again, begin(&again).snapshot()), same());
        let crashed = open_small(&disk.crash(1));
        assert_eq!(walk(&crashed, begin(&crashed).snapshot()), same());
    }
}

#[test]
fn what_is_looked_up_stays_in_memory() {
    let db = loaded(&SimDisk::new(), 1000);
    let hot: Vec<i32> = (0..ROWS).step_by(100).collect();
    let t = table(&db);
    let look = |ids: &[i32]| {
        let s = begin(&db).snapshot();
        ids.iter().for_each(|id| assert!(find(&t, *id, s).is_some()));
    };
    look(&hot);
    let before = db.resident_bytes().unwrap();
    for id in 1..200 {
        look(&hot);
        look(&[id * 100 + 7]);
        db.sweep_step().unwrap();
    }
    // They were there each time: only what was looked up once came and went.
    assert!(db.resident_bytes().unwrap() <= before.max(LIMIT));
    look(&hot);
    assert!(db.resident_bytes().unwrap() <= before.max(LIMIT));
}

#[test]
fn changes_of_cold_rows_are_as_those_of_others() {
    let mut random = StdRng::seed_from_u64(7);
    let disk = SimDisk::new();
    let db = loaded(&disk, 1000);
    let mut model = same();
    let old = db.begin(Isolation::RepeatableRead, false).unwrap();
    let old_snapshot = old.snapshot();
    for n in 0..8_000 {
        let id = random.random_range(0..ROWS);
        let v = if random.random_bool(0.1) { None } else { Some(n) };
        if model.remove(&id).is_some() {
            change(&db, id, v);
            model.extend(v.map(|v| (id, v)));
        }
        if n % 500 == 0 {
            db.sweep_step().unwrap();
            db.vacuum_step();
        }
    }
    assert_eq!(walk(&db, begin(&db).snapshot()), model);
    assert_eq!(walk(&db, old_snapshot), same());
    drop(old);
    for _ in 0..100 {
        db.vacuum_step();
    }
    db.sweep_step().unwrap();
    assert!(db.resident_bytes().unwrap() <= LIMIT, "{:?}", db.resident_bytes());
    assert_eq!(walk(&db, begin(&db).snapshot()), model);
    let crashed = open_small(&disk.crash(3));
    assert_eq!(walk(&crashed, begin(&crashed).snapshot()), model);
}

#[test]
fn rows_leave_before_their_transaction_ends() {
    let disk = SimDisk::new();
    let db = open_small(&disk);
    make_table(&db);
    let (kept, gone) = (begin(&db), begin(&db));
    let t = table(&db);
    for id in 0..ROWS {
        t.insert(if id % 2 == 0 { &kept } else { &gone }, &row(id, id)).unwrap();
        if id % 1000 == 0 {
            db.sweep_step().unwrap();
        }
    }
    db.sweep_step().unwrap();
    assert!(db.resident_bytes().unwrap() <= LIMIT);
    assert!(walk(&db, begin(&db).snapshot()).is_empty());
    assert_eq!(walk(&db, kept.snapshot()).len(), ROWS as usize / 2);
    let before = begin(&db);
    let before = (before.snapshot(), before);
    gone.rollback();
    finish(&db, kept);
    let even: BTreeMap<i32, i32> = (0..ROWS).step_by(2).map(|id| (id, id)).collect();
    assert!(walk(&db, before.0).is_empty());
    assert_eq!(walk(&db, begin(&db).snapshot()), even);
    load_again(&db);
    let crashed = open_small(&disk.crash(5));
    assert_eq!(walk(&crashed, begin(&crashed).snapshot()), same());
}

/// The ids that were rolled back can be had, and the others not.
fn load_again(db: &Arc<Database>) {
    let (txn, t) = (begin(db), table(db));
    for id in (1..ROWS).step_by(2) {
        t.insert(&txn, &row(id, id)).unwrap();
    }
    finish(db, txn);
    let txn = begin(db);
    let taken = t.insert(&txn, &row(4, 4)).unwrap_err();
    assert_eq!(taken.code(), SqlState::UNIQUE_VIOLATION);
    txn.rollback();
}

#[test]
fn files_go_with_their_rows() {
    let disk = SimDisk::new();
    let db = loaded(&disk, 1000);
    assert!(cold_files(&disk) >= 1);
    // Many times every row: what is written again and again does not add up.
    for round in 1..=12 {
        for first in (0..ROWS).step_by(1000) {
            let (txn, t) = (begin(&db), table(&db));
            let s = txn.snapshot();
            for id in first..first + 1000 {
                let r = find(&t, id, s).unwrap();
                t.update(&txn, &s, r, &row(id, id + round)).unwrap();
            }
            finish(&db, txn);
            db.vacuum_step();
            db.sweep_step().unwrap();
        }
        assert!(cold_files(&disk) <= 3, "{} files", cold_files(&disk));
    }
    let expected: BTreeMap<i32, i32> = (0..ROWS).map(|id| (id, id + 12)).collect();
    assert_eq!(walk(&db, begin(&db).snapshot()), expected);
    drop(db);
    let db = open_small(&disk);
    assert_eq!(walk(&db, begin(&db).snapshot()), expected);
    drop(db);
    let unlimited = open(&disk);
    assert_eq!(walk(&unlimited, begin(&unlimited).snapshot()), expected);
}

#[test]
fn a_full_disk_keeps_rows_in_memory() {
    let disk = SimDisk::new();
    let db = open_small(&disk);
    make_table(&db);
    let (txn, t) = (begin(&db), table(&db));
    for id in 0..ROWS {
        t.insert(&txn, &row(id, id)).unwrap();
    }
    finish(&db, txn);
    disk.set_room(Some(0));
    assert_eq!(db.sweep_step().unwrap_err().code(), SqlState::DISK_FULL);
    assert_eq!(walk(&db, begin(&db).snapshot()), same());
    disk.set_room(None);
    db.sweep_step().unwrap();
    assert!(db.resident_bytes().unwrap() <= LIMIT);
    assert_eq!(walk(&db, begin(&db).snapshot()), same());
}

/// Damages every block there is, or makes it whole again.
fn damage(disk: &SimDisk) {
    for name in disk.list("cold").unwrap() {
        disk.tamper(&format!("cold/{name}"), |bytes| {
            for at in (100..bytes.len()).step_by(4096) {
                bytes[at] ^= 1;
            }
        });
    }
}

#[test]
fn rows_that_cannot_be_read_are_taken_back() {
    for heals in [false, true] {
        let disk = SimDisk::new();
        let db = open_small(&disk);
        make_table(&db);
        let (txn, t) = (begin(&db), table(&db));
        let nothing = txn.savepoint();
        for id in 0..ROWS {
            t.insert(&txn, &row(id, id)).unwrap();
            if id % 1000 == 0 {
                db.sweep_step().unwrap();
            }
        }
        db.sweep_step().unwrap();
        damage(&disk);
        txn.rollback_to(&nothing).unwrap();
        if heals {
            damage(&disk);
        }
        drop(txn);
        assert!(walk(&db, begin(&db).snapshot()).is_empty());
        // Their keys are free.
        let expected: BTreeMap<i32, i32> = (0..ROWS).step_by(97).map(|id| (id, 1)).collect();
        let txn = begin(&db);
        for (id, v) in &expected {
            t.insert(&txn, &row(*id, *v)).unwrap();
        }
        finish(&db, txn);
        assert_eq!(walk(&db, begin(&db).snapshot()), expected);
        let s = begin(&db).snapshot();
        let range = KeyRange::all();
        let by_key = scan(&t, Access::Btree { index: PK, range, reverse: false }, s);
        assert_eq!(by_key.into_iter().collect::<BTreeMap<_, _>>(), expected);
        db.shutdown().unwrap();
        let again = open_small(&disk.killed());
        assert_eq!(walk(&again, begin(&again).snapshot()), expected);
    }
}

#[test]
fn a_damaged_file_is_an_error_of_who_reads_it() {
    let disk = SimDisk::new();
    let db = loaded(&disk, 1000);
    damage(&disk);
    let (t, s) = (table(&db), begin(&db).snapshot());
    let mut failed = 0;
    for r in (0..t.row_end()).step_by(1009) {
        match t.fetch(r, &s, &pin()) {
            Ok(row) => assert!(row.is_some()),
            Err(e) => {
                assert_eq!(e.code(), SqlState::DATA_CORRUPTED);
                failed += 1;
            }
        }
    }
    assert!(failed > 0);
    let txn = begin(&db);
    t.insert(&txn, &row(ROWS, 1)).unwrap();
    finish(&db, txn);
    // The log has them all.
    let again = open_small(&disk.killed());
    assert_eq!(walk(&again, begin(&again).snapshot()).len(), ROWS as usize + 1);
}

#[test]
fn sweeping_beside_writers_and_readers_loses_nothing() {
    let disk = SimDisk::new();
    let limited = Options { memory_limit: 64 << 10, vacuum: true, ..options() };
    let db = Database::open_on(Arc::new(disk.clone()), limited).unwrap();
    make_table(&db);
    const EACH: i32 = 8_000;
    std::thread::scope(|scope| {
        for part in 0..3 {
            let db = &db;
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(part as u64);
                for n in 0..EACH {
                    let (txn, t) = (begin(db), table(db));
                    t.insert(&txn, &row(part * EACH + n, 0)).unwrap();
                    if n % 7 == 0 {
                        txn.rollback();
                        let txn = begin(db);
                        t.insert(&txn, &row(part * EACH + n, 0)).unwrap();
                        txn.commit().unwrap();
                    } else {
                        txn.commit().unwrap();
                    }
                    change(db, part * EACH + random.random_range(0..=n), Some(n));
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let mut least = 0;
                while least < 3 * EACH as usize {
                    let found = walk(&db, begin(&db).snapshot()).len();
                    assert!(found >= least, "{found} rows behind {least}");
                    least = found;
                }
            });
        }
    });
    let ids: Vec<i32> = walk(&db, begin(&db).snapshot()).into_keys().collect();
    assert_eq!(ids, (0..3 * EACH).collect::<Vec<_>>());
    let shown = walk(&db, begin(&db).snapshot());
    db.shutdown().unwrap();
    drop(db);
    let again = open_small(&disk);
    assert_eq!(walk(&again, begin(&again).snapshot()), shown);
}

#[test]
fn a_failing_disk_ends_no_reader() {
    let disk = SimDisk::new();
    let db = loaded(&disk, 1000);
    disk.fault_after(0, Fault::Error);
    let outcome = db.sweep_step();
    disk.clear_faults();
    let _ = outcome;
    assert_eq!(walk(&db, begin(&db).snapshot()), same());
}
