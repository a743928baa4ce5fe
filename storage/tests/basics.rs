//! One transaction at a time, and a restart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use vicinity_storage::disk::sim::SimDisk;
use vicinity_storage::{Insert, Write};

#[test]
fn rows_come_and_go_and_come_back_after_a_crash() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    let t = table(&db);
    let txn = begin(&db);
    for i in 0..100 {
        t.insert(&txn, &row(i, i * 10)).unwrap();
    }
    assert_eq!(seen(&db), []);
    assert_eq!(all(&t, txn.snapshot()).len(), 100);
    finish(&db, txn);
    assert_eq!(seen(&db).len(), 100);

    let txn = begin(&db);
    let s = txn.snapshot();
    for i in 0..50 {
        let r = find(&t, i, s).unwrap();
        assert_eq!(t.delete(&txn, &s, r).unwrap(), Write::Done);
    }
    for i in 50..100 {
        let r = find(&t, i, s).unwrap();
        assert_eq!(t.update(&txn, &s, r, &row(i, -i)).unwrap(), Write::Done);
    }
    finish(&db, txn);
    let expected: Vec<_> = (50..100).map(|i| (i, -i)).collect();
    assert_eq!(seen(&db), expected);

    let again = open(&disk.crash(1));
    assert_eq!(seen(&again), expected);
    let t = table(&again);
    let txn = begin(&again);
    assert!(find(&t, 49, txn.snapshot()).is_none());
    let r = find(&t, 50, txn.snapshot()).unwrap();
    assert_eq!(t.insert_unless_conflict(&txn, &row(50, 0), &[]).unwrap(), Insert::Conflict(r));
    let e = t.insert(&txn, &row(51, 0)).unwrap_err();
    assert_eq!(e.message(), "duplicate key value violates unique constraint \"t_pkey\"");
    assert_eq!(e.report().detail.as_deref(), Some("Key (id)=(51) already exists."));
    assert_eq!(e.report().constraint.as_deref(), Some("t_pkey"));
}

#[test]
fn savepoints_take_back_rows_and_catalog_changes() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    let t = table(&db);
    let txn = begin(&db);
    t.insert(&txn, &row(1, 1)).unwrap();
    let sp = txn.savepoint();
    t.insert(&txn, &row(2, 2)).unwrap();
    let s = txn.snapshot();
    let r = find(&t, 1, s).unwrap();
    t.update(&txn, &s, r, &row(9, 9)).unwrap();
    txn.rollback_to(&sp).unwrap();
    t.insert(&txn, &row(2, 3)).unwrap();
    assert_eq!(all(&t, txn.snapshot()), [(1, 1), (2, 3)]);
    let s = txn.snapshot();
    assert!(find(&t, 9, s).is_none());
    finish(&db, txn);
    assert_eq!(seen(&db), [(1, 1), (2, 3)]);
    assert_eq!(seen(&open(&disk.crash(2))), [(1, 1), (2, 3)]);
}

#[test]
fn a_dropped_transaction_leaves_nothing() {
    let db = memory();
    make_table(&db);
    let t = table(&db);
    let txn = begin(&db);
    t.insert(&txn, &row(1, 1)).unwrap();
    drop(txn);
    assert_eq!(seen(&db), []);
    let txn = begin(&db);
    t.insert(&txn, &row(1, 2)).unwrap();
    finish(&db, txn);
    assert_eq!(seen(&db), [(1, 2)]);
}

#[test]
fn lookups_agree_with_scans_of_one_key() {
    let db = memory();
    make_table(&db);
    let t = table(&db);
    let txn = begin(&db);
    for i in 0..20 {
        t.insert(&txn, &row(i, i)).unwrap();
    }
    finish(&db, txn);
    let old = db.begin(vicinity_storage::Isolation::RepeatableRead, true).unwrap();
    let before = old.snapshot();
    let txn = begin(&db);
    let s = txn.snapshot();
    for i in 0..10 {
        let r = find(&t, i, s).unwrap();
        t.update(&txn, &s, r, &row(i + 100, i)).unwrap();
    }
    finish(&db, txn);
    let txn = begin(&db);
    let after = txn.snapshot();
    let keys = &t.indexes()[0].index().unwrap().keys;
    let guard = vicinity_storage::pin();
    for i in 0..120 {
        let range = vicinity_storage::KeyRange::equal(keys, &[vicinity_types::Datum::Int4(i)]);
        let std::ops::Bound::Included(key) = range.lower else { panic!() };
        for s in [before, after] {
            let got = t.lookup(PK, &key, &s, &guard).unwrap().map(|r| r.id);
            assert_eq!(got, find(&t, i, s));
        }
    }
}
