//! What a stopped machine leaves, one scenario a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use vicinity_storage::catalog::model::{IndexMethod, Object, Persistence, RelationKind};
use vicinity_storage::disk::{
    Disk,
    sim::{Fault, SimDisk},
};
use vicinity_storage::{Database, ObjectKind, Options, Transaction};
use vicinity_types::{Datum, SqlState, oid};

#[test]
fn nothing_unacknowledged_is_half_there() {
    for seed in 0..200 {
        let disk = SimDisk::new();
        let db = open(&disk);
        make_table(&db);
        let t = table(&db);
        let mut acknowledged = Vec::new();
        for n in 0..5 {
            let txn = begin(&db);
            for i in 0..10 {
                t.insert(&txn, &row(n * 10 + i, 0)).unwrap();
            }
            if n < 3 {
                finish(&db, txn);
                acknowledged.push(n);
            } else {
                txn.commit().unwrap();
            }
        }
        // Let the writer get somewhere, or not.
        if seed % 2 == 0 {
            std::thread::yield_now();
        }
        let again = open(&disk.crash(seed));
        let rows = seen(&again);
        assert_eq!(rows.len() % 10, 0, "a transaction is there whole or not at all");
        assert!(rows.len() >= acknowledged.len() * 10);
        // And the log goes on behind the repaired tail.
        let txn = begin(&again);
        table(&again).insert(&txn, &row(1000, 1)).unwrap();
        finish(&again, txn);
    }
}

/// After a sync that failed the next one says that all is well, and nothing lasts.
#[test]
fn a_start_whose_sync_failed_is_followed_by_another() {
    let rows = |txn: &Transaction, n: i32| {
        let t = table(txn.database());
        for i in 0..5 {
            t.insert(txn, &row(n * 5 + i, n)).unwrap();
        }
    };
    for (stop, fault, seed) in
        (0..4).flat_map(|a| (0..8).flat_map(move |b| (0..6).map(move |c| (a, b, c))))
    {
        let disk = SimDisk::new();
        let db = open(&disk);
        make_table(&db);
        // Killed while it is written.
        disk.fault_after(stop, Fault::Stop);
        let txn = begin(&db);
        rows(&txn, 0);
        if let Ok(ticket) = txn.commit() {
            let _ = db.wal().wait_durable(ticket.lsn.unwrap());
        }
        let disk = disk.killed();
        disk.fault_after(fault, Fault::Error);
        let first = Database::open_on(Arc::new(disk.clone()), options());
        disk.clear_faults();
        let disk = disk.killed();
        drop(first);
        let db = open(&disk);
        let txn = begin(&db);
        rows(&txn, 1);
        finish(&db, txn);
        let there = seen(&db).len();
        assert!([5, 10].contains(&there));
        assert_eq!(seen(&open(&disk.crash(seed))).len(), there, "{stop}, {fault}, {seed}");
    }
}

#[test]
fn a_disk_that_lies_about_syncs_is_caught_by_this_test() {
    let lost = (0..50).any(|seed| {
        let disk = SimDisk::new();
        let db = open(&disk);
        make_table(&db);
        disk.lie_about_syncs();
        let txn = begin(&db);
        table(&db).insert(&txn, &row(1, 1)).unwrap();
        finish(&db, txn);
        seen(&open(&disk.crash(seed))).is_empty()
    });
    assert!(lost);
}

#[test]
fn many_restarts_in_a_row() {
    let mut disk = SimDisk::new();
    for n in 0..30 {
        let db = open(&disk);
        if n == 0 {
            make_table(&db);
        }
        assert_eq!(seen(&db).len(), n);
        let txn = begin(&db);
        table(&db).insert(&txn, &row(i32::try_from(n).unwrap(), 0)).unwrap();
        finish(&db, txn);
        if n % 3 == 0 {
            db.shutdown().unwrap();
        }
        disk = disk.crash(n as u64);
    }
}

#[test]
fn a_long_transaction_streams_and_takes_parts_back() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    let t = table(&db);
    let txn = begin(&db);
    let lost = begin(&db);
    for i in 0..20_000 {
        t.insert(&txn, &row(i, 1)).unwrap();
        t.insert(&lost, &row(100_000 + i, 1)).unwrap();
    }
    let sp = txn.savepoint();
    for i in 20_000..60_000 {
        t.insert(&txn, &row(i, 2)).unwrap();
    }
    txn.rollback_to(&sp).unwrap();
    for i in 20_000..20_010 {
        t.insert(&txn, &row(i, 3)).unwrap();
    }
    finish(&db, txn);
    let before = seen(&db);
    assert_eq!(before.len(), 20_010);
    assert_eq!(seen(&open(&disk.crash(3))), before);
    drop(lost);
}

#[test]
fn unlogged_rows_survive_a_clean_stop_only() {
    let disk = SimDisk::new();
    let db = open(&disk);
    let txn = begin(&db);
    let cols = [("id", oid::INT4), ("v", oid::INT4)];
    txn.put(table_object(T, "t", Persistence::Unlogged, &cols)).unwrap();
    txn.put(table_object(30_000, "tmp", Persistence::Temporary, &cols)).unwrap();
    finish(&db, txn);
    let txn = begin(&db);
    table(&db).insert(&txn, &row(1, 1)).unwrap();
    finish(&db, txn);
    assert_eq!(seen(&open(&disk.crash(1))), []);
    db.shutdown().unwrap();
    let stopped = disk.crash(2);
    let again = open(&stopped);
    assert_eq!(seen(&again), [(1, 1)]);
    assert!(again.catalog().relation(30_000).is_none());
    assert_eq!(seen(&open(&stopped.crash(3))), []);
}

#[test]
fn sequences_never_go_back() {
    let disk = SimDisk::new();
    let db = open(&disk);
    let txn = begin(&db);
    txn.put(sequence_object(T)).unwrap();
    for _ in 0..40 {
        next(&txn);
    }
    finish(&db, txn);
    let again = open(&disk.crash(1));
    let txn = begin(&again);
    assert!(next(&txn) > 40);
}

fn next(txn: &Transaction) -> i64 {
    txn.use_sequence(T).unwrap().nextval("s").unwrap()
}

#[test]
fn a_restart_comes_with_its_commit() {
    let disk = SimDisk::new();
    let db = open(&disk);
    let txn = begin(&db);
    txn.put(sequence_object(T)).unwrap();
    assert_eq!(next(&txn), 1);
    finish(&db, txn);

    let txn = begin(&db);
    let before = txn.savepoint();
    txn.restart_sequence(T, 100).unwrap();
    assert_eq!((next(&txn), next(&txn)), (100, 101));
    let reader = begin(&db);
    assert_eq!(reader.sequence(T).unwrap().state().last, 1);
    txn.rollback_to(&before).unwrap();
    assert_eq!(next(&txn), 2);
    txn.restart_sequence(T, 500).unwrap();
    assert_eq!(next(&txn), 500);
    // What the log says at this moment is not what was never committed.
    db.wal().wait_durable(db.wal().end()).unwrap();
    let crashed = open(&disk.crash(1));
    assert!(next(&begin(&crashed)) < 100);
    txn.rollback();

    let txn = begin(&db);
    assert_eq!(next(&txn), 3);
    txn.restart_sequence(T, 1000).unwrap();
    assert_eq!(next(&txn), 1000);
    finish(&db, txn);
    assert_eq!(next(&begin(&open(&disk.crash(2)))), 1001);
    assert_eq!(next(&begin(&db)), 1001);
}

#[test]
fn truncate_and_drop_leave_no_rows_behind() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    let txn = begin(&db);
    table(&db).insert(&txn, &row(1, 1)).unwrap();
    finish(&db, txn);
    let txn = begin(&db);
    txn.truncate(T).unwrap();
    let t = db.table(T, &txn.catalog()).unwrap();
    t.insert(&txn, &row(1, 2)).unwrap();
    drop(txn);
    assert_eq!(seen(&db), [(1, 1)]);
    let txn = begin(&db);
    txn.truncate(T).unwrap();
    let t = db.table(T, &txn.catalog()).unwrap();
    t.insert(&txn, &row(1, 3)).unwrap();
    finish(&db, txn);
    assert_eq!(seen(&db), [(1, 3)]);
    let again = open(&disk.crash(1));
    assert_eq!(seen(&again), [(1, 3)]);
    let txn = begin(&again);
    txn.drop_object(ObjectKind::Relation, PK).unwrap();
    txn.drop_object(ObjectKind::Relation, T).unwrap();
    finish(&again, txn);
    assert!(again.table(T, &again.catalog()).is_err());
}

#[test]
fn a_half_built_index_is_gone() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    let txn = begin(&db);
    txn.put(index_object(20_002, "i", T, IndexMethod::Btree, &[2], false, &[])).unwrap();
    // Committed before its build, as a careless caller might.
    finish(&db, txn);
    assert!(db.catalog().relation(20_002).is_some());
    assert!(open(&disk.crash(1)).catalog().relation(20_002).is_none());
}

#[test]
fn a_failed_sync_refuses_the_commit_and_every_later_one() {
    let disk = SimDisk::new();
    let told = Arc::new(AtomicBool::new(false));
    let tell = told.clone();
    let options = Options {
        on_fatal: Some(Arc::new(move |_: &str| tell.store(true, Ordering::SeqCst))),
        ..options()
    };
    let db = Database::open_on(Arc::new(disk.clone()), options).unwrap();
    make_table(&db);
    disk.fail_syncs_after(0);
    let txn = begin(&db);
    table(&db).insert(&txn, &row(1, 1)).unwrap();
    let lsn = txn.commit().unwrap().lsn.unwrap();
    let e = db.wal().wait_durable(lsn).unwrap_err();
    assert_eq!(e.code(), SqlState::IO_ERROR);
    let txn = begin(&db);
    table(&db).insert(&txn, &row(2, 1)).unwrap();
    assert!(txn.commit().is_err());
    while !told.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
}

#[test]
fn a_damaged_middle_is_an_error_and_another_format_too() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    for i in 0..3000 {
        let txn = begin(&db);
        table(&db).insert(&txn, &row(i, 1)).unwrap();
        txn.commit().unwrap();
    }
    db.shutdown().unwrap();
    assert!(disk.list("wal").unwrap().len() > 1);
    let first = format!("wal/{}", disk.list("wal").unwrap()[0]);
    disk.tamper(&first, |bytes| bytes[100] ^= 1);
    let e = Database::open_on(Arc::new(disk.clone()), options()).err().unwrap();
    assert_eq!(e.code(), SqlState::DATA_CORRUPTED);

    let disk = SimDisk::new();
    drop(open(&disk));
    disk.tamper("FORMAT", |bytes| *bytes = b"vicinity 9\n".to_vec());
    let e = Database::open_on(Arc::new(disk), options()).err().unwrap();
    assert_eq!(e.message(), "the data directory was written by an incompatible version");
}

#[test]
fn somebody_elses_directory_is_left_alone() {
    let disk = SimDisk::new();
    disk.open("notes.txt", true).unwrap();
    let e = Database::open_on(Arc::new(disk.clone()), options()).err().unwrap();
    assert!(e.message().contains("is not empty"), "{e}");
    assert_eq!(disk.list(".").unwrap(), ["notes.txt"]);
}

#[test]
fn one_server_per_directory() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path(), Options::default()).unwrap();
    let e = Database::open(dir.path(), Options::default()).err().unwrap();
    assert_eq!(e.message(), "the data directory is in use by another server");
    make_table(&db);
    db.shutdown().unwrap();
    drop(db);
    let db = Database::open(dir.path(), Options::default()).unwrap();
    assert!(db.catalog().relation(T).is_some());
}

#[test]
fn added_columns_have_their_missing_value() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    let txn = begin(&db);
    table(&db).insert(&txn, &row(1, 1)).unwrap();
    finish(&db, txn);
    let old = table(&db);
    let txn = begin(&db);
    let mut next = (**db.catalog().relation(T).unwrap()).clone();
    let RelationKind::Table(def) = &mut next.kind else { panic!() };
    let mut added = column("w", oid::INT4);
    let mut raw = Vec::new();
    vicinity_types::raw::encode(&Datum::Int4(42), &mut raw);
    added.missing = Some(raw);
    def.columns.push(added);
    txn.put(Object::Relation(Arc::new(next))).unwrap();
    finish(&db, txn);
    let check = |db: &Arc<Database>| {
        let txn = begin(db);
        let s = txn.snapshot();
        let t = table(db);
        let guard = vicinity_storage::pin();
        let mut got = Vec::new();
        let mut cursor = t.open(vicinity_storage::Access::Seq, s).unwrap();
        while let Some(r) = cursor.next(&guard, &mut |_| Ok(true)).unwrap() {
            got.push((int(&r.get(0)), int(&r.get(2))));
        }
        got
    };
    let txn = begin(&db);
    let three = [Datum::Int4(2), Datum::Int4(2), Datum::Int4(7)];
    table(&db).insert(&txn, &three).unwrap();
    finish(&db, txn);
    assert_eq!(check(&db), [(1, 42), (2, 7)]);
    // A statement planned before still reads the wider rows.
    let txn = begin(&db);
    assert_eq!(all(&old, txn.snapshot()), [(1, 1), (2, 2)]);
    assert_eq!(check(&open(&disk.crash(1))), [(1, 42), (2, 7)]);
}

/// Commits rows `first..first + count`, or says why not.
fn add_rows(db: &Arc<Database>, first: i32, count: i32) -> Result<(), SqlState> {
    let txn = begin(db);
    let t = table(db);
    let written = (first..first + count).try_for_each(|i| t.insert(&txn, &row(i, 0)).map(drop));
    let ticket = written.and_then(|()| txn.commit()).map_err(|e| e.code())?;
    ticket.lsn.map_or(Ok(()), |lsn| db.wal().wait_durable(lsn)).map_err(|e| e.code())
}

#[test]
fn a_start_needs_no_room() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    add_rows(&db, 0, 3).unwrap();
    drop(db);
    let there = vec![(0, 0), (1, 0), (2, 0)];
    for seed in 0..3 {
        disk.set_room(Some(0));
        let db = open(&disk);
        assert_eq!(seen(&db), there);
        assert_eq!(add_rows(&db, 10, 1), Err(SqlState::DISK_FULL));
        drop(db);
        assert_eq!(seen(&open(&disk.crash(seed))), there);
    }
    disk.set_room(Some(0));
    let db = open(&disk);
    assert_eq!(add_rows(&db, 10, 1), Err(SqlState::DISK_FULL));
    disk.set_room(None);
    add_rows(&db, 10, 1).unwrap();
    drop(db);
    assert_eq!(seen(&open(&disk)), [there, vec![(10, 0)]].concat());
}

#[test]
fn a_full_disk_is_an_error_that_passes() {
    for seed in 0..20 {
        let disk = SimDisk::new();
        let db = open(&disk);
        make_table(&db);
        let mut there = Vec::new();
        let mut add = |first: i32, count: i32| match add_rows(&db, first, count) {
            Ok(()) => {
                there.extend((first..first + count).map(|i| (i, 0)));
                true
            }
            Err(code) => {
                assert_eq!(code, SqlState::DISK_FULL);
                false
            }
        };
        assert!(add(0, 1));
        disk.set_room(Some(10_000 * seed));
        let full = (1..200).find(|n| !add(n * 1000, 500)).expect("the disk is full in the end");
        // What could not be committed is nowhere to be seen; what is small may still go on.
        assert!(!add(500_000, 20_000));
        disk.set_room(None);
        assert!(add(full * 1000, 500) && add(500_000, 20_000) && add(900_000, 1));
        there.sort_unstable();
        assert_eq!(seen(&db), there);
        assert_eq!(seen(&open(&disk.crash(seed))), there);
    }
}

#[test]
fn what_a_killed_server_wrote_lasts_once_it_was_seen() {
    for steps in 0..30 {
        let disk = SimDisk::new();
        disk.fault_after(steps, Fault::Stop);
        // Killed in the middle of whatever comes at this step: the files are as it left them, synced or not.
        if let Ok(db) = Database::open_on(Arc::new(disk.clone()), options()) {
            let txn = begin(&db);
            let cols = [("id", oid::INT4), ("v", oid::INT4)];
            txn.put(table_object(T, "t", Persistence::Permanent, &cols)).unwrap();
            drop(txn.commit().map(|ticket| db.wal().wait_durable(ticket.lsn.unwrap())));
        }
        let disk = disk.killed();
        let db = open(&disk);
        let found = db.catalog().relation(T).is_some();
        let txn = begin(&db);
        txn.put(sequence_object(30_000)).unwrap();
        finish(&db, txn);
        for seed in 0..10 {
            let catalog = open(&disk.crash(seed)).catalog();
            assert_eq!(catalog.relation(T).is_some(), found, "killed at step {steps}");
            assert!(catalog.relation(30_000).is_some());
        }
    }
}

#[test]
fn a_rollback_to_a_savepoint_needs_no_room() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    let t = table(&db);
    let txn = begin(&db);
    t.insert(&txn, &row(1, 1)).unwrap();
    let before = txn.savepoint();
    for i in 100..30_000 {
        t.insert(&txn, &row(i, 1)).unwrap();
    }
    disk.set_room(Some(0));
    let statement = txn.savepoint();
    let full = (30_000..200_000).find_map(|i| t.insert(&txn, &row(i, 1)).err()).unwrap();
    assert_eq!(full.code(), SqlState::DISK_FULL);
    txn.rollback_to(&statement).unwrap();
    txn.rollback_to(&before).unwrap();
    disk.set_room(None);
    finish(&db, txn);
    assert_eq!(seen(&db), [(1, 1)]);
    assert_eq!(seen(&open(&disk.crash(1))), [(1, 1)]);
}
