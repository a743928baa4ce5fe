//! Many threads: money moves between accounts, and none is lost or made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_storage::catalog::model::IndexMethod;
use vicinity_storage::disk::sim::SimDisk;
use vicinity_storage::{Access, Database, Isolation, KeyRange, Options, Progress, Write, pin};
use vicinity_types::{Datum, Result};

const ACCOUNTS: i32 = 20;

fn total(db: &Arc<Database>) -> i64 {
    seen(db).iter().map(|(_, v)| i64::from(*v)).sum()
}

/// Moves an amount, looking again where another came first.
fn transfer(db: &Arc<Database>, from: i32, to: i32, amount: i32, iso: Isolation) -> Result<()> {
    let txn = db.begin(iso, false)?;
    let t = table(db);
    for (id, d) in [(from, -amount), (to, amount)] {
        loop {
            let s = txn.snapshot();
            let r = find(&t, id, s).unwrap();
            let have = t.fetch(r, &s, &pin()).unwrap().map(|r| int(&r.get(1))).unwrap();
            match t.update(&txn, &s, r, &row(id, have + d))? {
                Write::Done => break,
                Write::Concurrent => {}
                other => panic!("{other:?}"),
            }
        }
    }
    finish(db, txn);
    Ok(())
}

#[test]
fn transfers_keep_the_sum_through_waits_deadlocks_vacuum_and_a_crash() {
    let disk = SimDisk::new();
    let options = Options { vacuum: true, ..options() };
    let db = Database::open_on(Arc::new(disk.clone()), options).unwrap();
    make_table(&db);
    let txn = begin(&db);
    for id in 0..ACCOUNTS {
        table(&db).insert(&txn, &row(id, 100)).unwrap();
    }
    finish(&db, txn);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for n in 0..4u64 {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(n);
                let mut done = 0;
                while !stop.load(Ordering::Relaxed) {
                    let from = random.random_range(0..ACCOUNTS);
                    let to = (from + random.random_range(1..ACCOUNTS)) % ACCOUNTS;
                    let iso = if n % 2 == 0 {
                        Isolation::ReadCommitted
                    } else {
                        Isolation::RepeatableRead
                    };
                    match transfer(db, from, to, 1, iso) {
                        Ok(()) => done += 1,
                        Err(e) => {
                            let code = e.code();
                            assert!(["40001", "40P01"].contains(&code.as_str()), "{e}");
                        }
                    }
                }
                assert!(done > 0);
            });
        }
        scope.spawn(|| {
            for _ in 0..100 {
                assert_eq!(total(&db), i64::from(ACCOUNTS) * 100);
                std::thread::sleep(Duration::from_millis(5));
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    assert_eq!(total(&db), i64::from(ACCOUNTS) * 100);
    let again = open(&disk.crash(7));
    assert_eq!(total(&again), i64::from(ACCOUNTS) * 100);
}

#[test]
fn an_index_built_beside_writers_has_every_row() {
    let db =
        Database::open_on(Arc::new(SimDisk::new()), Options { vacuum: true, ..options() }).unwrap();
    make_table(&db);
    let stop = AtomicBool::new(false);
    const BY_V: u32 = 20_002;
    const MOST: i32 = 30_000;
    std::thread::scope(|scope| {
        for n in 0..3 {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(n);
                let mut next = i32::try_from(n).unwrap() * 1_000_000;
                while !stop.load(Ordering::Relaxed) {
                    let txn = begin(db);
                    let t = table(db);
                    let base = i32::try_from(n).unwrap() * 1_000_000;
                    // Every build reads all of the table: it does not grow for ever.
                    if next < base + MOST {
                        t.insert(&txn, &row(next, random.random_range(0..1000))).unwrap();
                        next += 1;
                    }
                    let s = txn.snapshot();
                    let id = random.random_range(base..next);
                    if let Some(r) = find(&t, id, s) {
                        let w = if random.random_bool(0.3) {
                            t.delete(&txn, &s, r).unwrap()
                        } else {
                            let v = random.random_range(0..1000);
                            t.update(&txn, &s, r, &row(id, v)).unwrap()
                        };
                        assert_eq!(w, Write::Done);
                    }
                    if random.random_bool(0.9) {
                        txn.commit().unwrap();
                    }
                }
            });
        }
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(30));
            let txn = begin(&db);
            txn.put(index_object(BY_V, "t_v", T, IndexMethod::Btree, &[2], false, &[])).unwrap();
            db.build_index(&txn, BY_V, &Arc::new(Progress::new())).unwrap();
            txn.commit().unwrap();
            let txn = begin(&db);
            let s = txn.snapshot();
            let t = table(&db);
            let access = Access::Btree { index: BY_V, range: KeyRange::all(), reverse: false };
            let mut by_index = scan(&t, access, s);
            assert!(by_index.iter().map(|(_, v)| v).is_sorted());
            by_index.sort_unstable();
            assert_eq!(by_index, all(&t, s));
            drop(txn);
            let txn = begin(&db);
            txn.drop_object(vicinity_storage::ObjectKind::Relation, BY_V).unwrap();
            txn.commit().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn nobody_waits_behind_a_build_that_waits_for_an_older_writer() {
    let db = memory();
    make_table(&db);
    const BY_V: u32 = 20_002;
    let older = begin(&db);
    table(&db).insert(&older, &row(1, 1)).unwrap();
    std::thread::scope(|scope| {
        let built = scope.spawn(|| {
            let txn = begin(&db);
            txn.put(index_object(BY_V, "t_v", T, IndexMethod::Btree, &[2], false, &[])).unwrap();
            db.build_index(&txn, BY_V, &Arc::new(Progress::new())).unwrap();
            txn.commit().unwrap();
        });
        while db.progress().is_empty() {
            std::thread::yield_now();
        }
        for id in 2..5 {
            let txn = begin(&db);
            table(&db).insert(&txn, &row(id, id)).unwrap();
            txn.commit().unwrap();
        }
        assert!(!built.is_finished(), "it waits for who wrote before it");
        table(&db).insert(&older, &row(5, 5)).unwrap();
        older.commit().unwrap();
        built.join().unwrap();
    });
    let (txn, t) = (begin(&db), table(&db));
    let access = Access::Btree { index: BY_V, range: KeyRange::all(), reverse: false };
    let rows: Vec<_> = (1..6).map(|id| (id, id)).collect();
    assert_eq!(scan(&t, access, txn.snapshot()), rows);
}

#[test]
fn a_build_has_its_turn_where_somebody_always_writes() {
    let db = memory();
    make_table(&db);
    const BY_V: u32 = 20_002;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for n in 0..3 {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || {
                for id in (0..).map(|id| 3 * id + n) {
                    let txn = begin(db);
                    table(db).insert(&txn, &row(id, id)).unwrap();
                    std::thread::sleep(Duration::from_millis(30));
                    txn.commit().unwrap();
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(50));
        let txn = begin(&db);
        txn.put(index_object(BY_V, "t_v", T, IndexMethod::Btree, &[2], false, &[])).unwrap();
        db.build_index(&txn, BY_V, &Arc::new(Progress::new())).unwrap();
        txn.commit().unwrap();
        stop.store(true, Ordering::Relaxed);
    });
    let (txn, t) = (begin(&db), table(&db));
    let access = Access::Btree { index: BY_V, range: KeyRange::all(), reverse: false };
    assert_eq!(scan(&t, access, txn.snapshot()), all(&t, txn.snapshot()));
}

#[test]
fn two_that_wait_for_each_other_get_an_error() {
    let db = memory();
    make_table(&db);
    let txn = begin(&db);
    for id in 0..2 {
        table(&db).insert(&txn, &row(id, 0)).unwrap();
    }
    finish(&db, txn);
    let barrier = std::sync::Barrier::new(2);
    let errors: Vec<_> = std::thread::scope(|scope| {
        let run = |first: i32, pid: i32| {
            let (db, barrier) = (&db, &barrier);
            scope.spawn(move || {
                let txn = begin(db);
                txn.set_process(pid);
                let t = table(db);
                let s = txn.snapshot();
                let of = |id| find(&t, id, s).unwrap();
                t.update(&txn, &s, of(first), &row(first, 1)).unwrap();
                barrier.wait();
                t.update(&txn, &s, of(1 - first), &row(1 - first, 1)).err()
            })
        };
        let threads = [run(0, 11), run(1, 22)];
        threads.into_iter().filter_map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(errors.len(), 1);
    let e = &errors[0];
    assert_eq!(e.message(), "deadlock detected");
    assert!(e.report().detail.as_ref().unwrap().contains("waits for ShareLock on transaction"));
    assert!(e.report().context.as_ref().unwrap().starts_with("while updating tuple (0,"));
}

#[test]
fn who_only_stands_in_a_queue_is_passed() {
    use vicinity_storage::RelationLock::{AccessExclusive, AccessShare};
    let db = memory();
    let (a, b) = (30_000, 30_001);
    let waiting = |n| {
        while db.locks().iter().filter(|lock| !lock.granted).count() < n {
            std::thread::yield_now();
        }
    };
    let first = begin(&db);
    first.lock_relation(a, AccessShare).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| begin(&db).lock_relation(a, AccessExclusive));
        waiting(1);
        let third = scope.spawn(|| {
            let txn = begin(&db);
            txn.lock_relation(b, AccessShare)?;
            txn.lock_relation(a, AccessShare)
        });
        waiting(2);
        // It waits for the third, that for the second because of the queue alone, and that for the first.
        first.lock_relation(b, AccessExclusive).unwrap();
        third.join().unwrap().unwrap();
        assert!(!second.is_finished());
        drop(first);
        second.join().unwrap().unwrap();
    });
}

#[test]
fn a_duplicate_waits_for_the_first_writer() {
    let db = memory();
    make_table(&db);
    for commit in [false, true] {
        let first = begin(&db);
        let t = table(&db);
        t.insert(&first, &row(7, 1)).unwrap();
        let outcome = std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let txn = begin(&db);
                let got = table(&db).insert(&txn, &row(7, 2)).map_err(|e| e.code());
                drop(txn);
                got
            });
            std::thread::sleep(Duration::from_millis(30));
            assert!(!second.is_finished());
            if commit {
                first.commit().unwrap();
            } else {
                drop(first);
            }
            second.join().unwrap()
        });
        assert_eq!(outcome.is_err(), commit);
    }
    assert_eq!(seen(&db), [(7, 1)]);
    let _ = Datum::Null;
}
