//! Two-phase commit: what was prepared is there after any crash, and nothing else is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use vicinity_storage::catalog::model::{IndexMethod, Persistence};
use vicinity_storage::disk::Disk;
use vicinity_storage::disk::sim::{Fault, SimDisk};
use vicinity_storage::{
    Access, Database, Isolation, KeyRange, LockMode, LockOutcome, LockWait, Prepare, Progress,
    RelationLock, Transaction, Write,
};
use vicinity_types::{Datum, PgError, Result, oid};

fn how(name: &str) -> Prepare {
    let extra = name.as_bytes().to_vec();
    Prepare { name: name.to_owned(), owner: 10, at: 7, most: 5, temporary: 0, extra }
}

fn names(db: &Database) -> Vec<String> {
    db.prepared_transactions().into_iter().map(|p| p.name).collect()
}

fn commit(db: &Arc<Database>, name: &str) -> Result<()> {
    db.commit_prepared(name, |_| Ok(()))
}

fn roll_back(db: &Arc<Database>, name: &str) -> Result<()> {
    db.rollback_prepared(name, |_| Ok(()))
}

const BEFORE: [(i32, i32); 4] = [(1, 1), (2, 2), (3, 3), (4, 4)];
const AFTER: [(i32, i32); 4] = [(1, 10), (3, 3), (7, 4), (10, 10)];

/// A table with [`BEFORE`] in it.
fn filled(disk: &SimDisk) -> Arc<Database> {
    let db = open(disk);
    make_table(&db);
    let (txn, t) = (begin(&db), table(&db));
    for (id, v) in BEFORE {
        t.insert(&txn, &row(id, v)).unwrap();
    }
    finish(&db, txn);
    db
}

fn update(txn: &Transaction, id: i32, to: [Datum; 2]) -> Result<Write> {
    let (t, s) = (table(txn.database()), txn.snapshot());
    t.update(txn, &s, find(&t, id, s).unwrap(), &to)
}

/// Makes it [`AFTER`], with detours, and locks a row.
fn work(db: &Arc<Database>) -> Transaction {
    let (txn, t) = (begin(db), table(db));
    t.insert(&txn, &row(10, 9)).unwrap();
    t.insert(&txn, &row(11, 9)).unwrap();
    assert_eq!(update(&txn, 10, row(10, 10)).unwrap(), Write::Done);
    assert_eq!(update(&txn, 1, row(1, 9)).unwrap(), Write::Done);
    assert_eq!(update(&txn, 1, row(1, 10)).unwrap(), Write::Done);
    assert_eq!(update(&txn, 4, row(7, 4)).unwrap(), Write::Done);
    let before = txn.savepoint();
    t.insert(&txn, &row(12, 9)).unwrap();
    assert_eq!(update(&txn, 3, row(3, 9)).unwrap(), Write::Done);
    txn.rollback_to(&before).unwrap();
    for id in [2, 11] {
        let s = txn.snapshot();
        assert_eq!(t.delete(&txn, &s, find(&t, id, s).unwrap()).unwrap(), Write::Done);
    }
    let s = txn.snapshot();
    let locked =
        t.lock_row(&txn, &s, find(&t, 3, s).unwrap(), LockMode::Exclusive, LockWait::Block);
    assert_eq!(locked.unwrap(), LockOutcome::Locked);
    txn
}

fn code(e: PgError) -> String {
    e.code().as_str().to_owned()
}

/// A transaction that does not wait.
fn impatient(db: &Arc<Database>) -> Transaction {
    let txn = begin(db);
    txn.set_lock_timeout(Some(Duration::ZERO));
    txn
}

/// Nobody sees it, and everybody would wait for it.
fn is_prepared(db: &Arc<Database>) {
    assert_eq!(names(db), ["p"]);
    let info = &db.prepared_transactions()[0];
    assert_eq!((info.owner, info.at, info.extra.as_slice()), (10, 7, &b"p"[..]));
    assert_eq!(seen(db), BEFORE);
    let busy = |work: &dyn Fn(&Transaction) -> Result<()>| {
        assert_eq!(code(work(&impatient(db)).unwrap_err()), "55P03");
    };
    busy(&|txn| update(txn, 1, row(1, 5)).map(drop));
    busy(&|txn| update(txn, 2, row(2, 5)).map(drop));
    busy(&|txn| update(txn, 3, row(3, 5)).map(drop));
    busy(&|txn| table(db).insert(txn, &row(10, 5)).map(drop));
    busy(&|txn| table(db).insert(txn, &row(7, 5)).map(drop));
    busy(&|txn| txn.lock_relation(T, RelationLock::Share));
    // The rows it inserted have their ids to themselves.
    let txn = impatient(db);
    for id in 20..30 {
        table(db).insert(&txn, &row(id, 1)).unwrap();
    }
    txn.rollback();
}

/// Nobody waits for anybody any more.
fn is_free(db: &Arc<Database>) {
    assert!(names(db).is_empty());
    let txn = impatient(db);
    update(&txn, 1, row(1, 5)).unwrap();
    update(&txn, 3, row(3, 5)).unwrap();
    txn.lock_relation(T, RelationLock::AccessExclusive).unwrap();
    txn.rollback();
    let txn = begin(db);
    let by_key: Vec<i32> =
        scan(&table(db), everything(), txn.snapshot()).into_iter().map(|(id, _)| id).collect();
    let in_rows: Vec<i32> = seen(db).into_iter().map(|(id, _)| id).collect();
    assert_eq!(by_key, in_rows);
}

fn everything() -> Access {
    let range = KeyRange { lower: std::ops::Bound::Unbounded, upper: std::ops::Bound::Unbounded };
    Access::Btree { index: PK, range, reverse: false }
}

#[test]
fn it_waits_across_crashes() {
    for stop in [false, true] {
        for commits in [false, true] {
            let mut disk = SimDisk::new();
            let mut db = filled(&disk);
            let txn = work(&db);
            txn.prepare_transaction(&how("p")).unwrap();
            drop(txn);
            is_prepared(&db);
            for n in 0..3 {
                if stop {
                    db.shutdown().unwrap();
                }
                if n == 1 && !stop {
                    db.checkpoint().unwrap();
                }
                disk = disk.crash(n);
                db = open(&disk);
                is_prepared(&db);
            }
            match commits {
                true => commit(&db, "p").unwrap(),
                false => roll_back(&db, "p").unwrap(),
            }
            let want = if commits { AFTER } else { BEFORE };
            assert_eq!(seen(&db), want);
            is_free(&db);
            for n in 0..3 {
                if n == 1 {
                    db.checkpoint().unwrap();
                }
                disk = disk.crash(n);
                db = open(&disk);
                assert_eq!(seen(&db), want);
                is_free(&db);
            }
        }
    }
}

/// Runs `work` on disks that stop at its every step, and `check` over what is there then.
fn at_every_step(
    make: impl Fn(&SimDisk) -> Arc<Database>,
    work: impl Fn(&Arc<Database>) -> Result<()>,
    check: impl Fn(&Arc<Database>, bool),
) {
    for step in 0.. {
        let disk = SimDisk::new();
        let db = make(&disk);
        disk.fault_after(step, Fault::Stop);
        let done = work(&db).is_ok();
        for seed in 0..3 {
            check(&open(&disk.crash(seed)), done);
        }
        if !disk.faults_happened() {
            assert!(done);
            assert!(step > 1);
            return;
        }
    }
}

#[test]
fn a_crash_while_it_is_prepared() {
    at_every_step(
        filled,
        |db| work(db).prepare_transaction(&how("p")),
        |db, done| {
            if done || !names(db).is_empty() {
                is_prepared(db);
                commit(db, "p").unwrap();
                assert_eq!(seen(db), AFTER);
            } else {
                assert_eq!(seen(db), BEFORE);
            }
            is_free(db);
        },
    );
}

fn prepared(disk: &SimDisk) -> Arc<Database> {
    let db = filled(disk);
    work(&db).prepare_transaction(&how("p")).unwrap();
    db
}

/// The same, of a server that has found it.
fn found(disk: &SimDisk) -> Arc<Database> {
    prepared(disk).shutdown().unwrap();
    open(disk)
}

#[test]
fn a_crash_while_it_commits() {
    for make in [prepared, found] {
        at_every_step(
            make,
            |db| commit(db, "p"),
            |db, done| {
                if done || names(db).is_empty() {
                    assert_eq!(seen(db), AFTER);
                    is_free(db);
                    db.checkpoint().unwrap();
                } else {
                    is_prepared(db);
                    roll_back(db, "p").unwrap();
                    assert_eq!(seen(db), BEFORE);
                    is_free(db);
                }
            },
        );
    }
}

/// A killed server's commit record may have been read by the next one, and not last.
#[test]
fn a_crash_while_a_start_reads_of_its_commit() {
    let check = |db: &Arc<Database>| {
        if names(db).is_empty() {
            assert_eq!(seen(db), AFTER);
            is_free(db);
        } else {
            is_prepared(db);
        }
    };
    for commit_step in 0.. {
        let disk = SimDisk::new();
        let db = prepared(&disk);
        disk.fault_after(commit_step, Fault::Stop);
        let done = commit(&db, "p").is_ok();
        for start_step in 0.. {
            let disk = disk.killed();
            disk.fault_after(start_step, Fault::Stop);
            let started = Database::open_on(Arc::new(disk.clone()), common::options()).is_ok();
            (0..3).for_each(|seed| check(&open(&disk.crash(seed))));
            if !disk.faults_happened() {
                assert!(started);
                break;
            }
        }
        if !disk.faults_happened() {
            assert!(done);
            return;
        }
    }
}

#[test]
fn a_crash_while_it_is_rolled_back() {
    for make in [prepared, found] {
        at_every_step(
            make,
            |db| roll_back(db, "p"),
            |db, done| {
                if !done && !names(db).is_empty() {
                    is_prepared(db);
                    commit(db, "p").unwrap();
                    assert_eq!(seen(db), AFTER);
                } else {
                    assert_eq!(seen(db), BEFORE);
                }
                is_free(db);
            },
        );
    }
}

#[test]
fn a_crash_while_the_log_is_let_go_that_has_its_commit() {
    let committed = |disk: &SimDisk| {
        let db = prepared(disk);
        commit(&db, "p").unwrap();
        db
    };
    let checkpoints = |db: &Arc<Database>| {
        db.checkpoint()?;
        let txn = begin(db);
        table(db).insert(&txn, &row(40, 1))?;
        if let Some(lsn) = txn.commit()?.lsn {
            db.wal().wait_durable(lsn)?;
        }
        db.checkpoint().map(drop)
    };
    at_every_step(committed, checkpoints, |db, _| {
        let mut rows = seen(db);
        rows.retain(|(id, _)| *id != 40);
        assert_eq!(rows, AFTER);
        is_free(db);
    });
}

#[test]
fn a_long_one_keeps_no_log() {
    let mut disk = SimDisk::new();
    let mut db = filled(&disk);
    let (txn, t) = (begin(&db), table(&db));
    for id in 100..40_100 {
        t.insert(&txn, &row(id, 1)).unwrap();
    }
    let before = txn.savepoint();
    for id in 50_000..90_000 {
        t.insert(&txn, &row(id, 1)).unwrap();
    }
    txn.rollback_to(&before).unwrap();
    txn.prepare_transaction(&how("p")).unwrap();
    let segments = |disk: &SimDisk| disk.list("wal").unwrap().len();
    let many = segments(&disk);
    db.checkpoint().unwrap();
    assert!(segments(&disk) < many);
    for again in [false, true] {
        if again {
            disk = disk.crash(1);
            db = open(&disk);
        }
        assert_eq!(seen(&db), BEFORE);
        if again {
            commit(&db, "p").unwrap();
        }
    }
    assert_eq!(seen(&db).len(), 40_004);
    assert_eq!(seen(&open(&disk.crash(2))).len(), 40_004);
    db.checkpoint().unwrap();
    assert!(segments(&disk) < many);
    assert_eq!(seen(&open(&disk.crash(3))).len(), 40_004);
}

#[test]
fn a_full_disk_leaves_it_as_it_is() {
    let disk = SimDisk::new();
    let db = filled(&disk);
    let (txn, t) = (begin(&db), table(&db));
    for id in 100..40_100 {
        t.insert(&txn, &row(id, 1)).unwrap();
    }
    disk.set_room(Some(1000));
    // What cannot be prepared is rolled back.
    let refused = work(&db);
    refused.rollback();
    assert_eq!(code(txn.prepare_transaction(&how("p")).unwrap_err()), "53100");
    assert!(names(&db).is_empty());
    assert_eq!(seen(&db), BEFORE);
    disk.set_room(None);
    is_free(&db);
    let txn = begin(&db);
    for id in 100..40_100 {
        t.insert(&txn, &row(id, 1)).unwrap();
    }
    txn.prepare_transaction(&how("p")).unwrap();
    disk.set_room(Some(1000));
    assert_eq!(code(commit(&db, "p").unwrap_err()), "53100");
    assert_eq!(names(&db), ["p"]);
    assert_eq!(seen(&db), BEFORE);
    disk.set_room(None);
    commit(&db, "p").unwrap();
    assert_eq!(seen(&db).len(), 40_004);
    assert_eq!(seen(&open(&disk.crash(1))).len(), 40_004);
}

const U: u32 = 30_000;

#[test]
fn definitions_wait_too() {
    for commits in [false, true] {
        for crashes in [false, true] {
            let mut disk = SimDisk::new();
            let mut db = filled(&disk);
            let txn = begin(&db);
            let cols = [("id", oid::INT4), ("v", oid::INT4)];
            txn.put(table_object(U, "u", Persistence::Permanent, &cols)).unwrap();
            txn.put(index_object(U + 1, "u_id", U, IndexMethod::Btree, &[1], true, &[])).unwrap();
            db.build_index(&txn, U + 1, &Arc::new(Progress::new())).unwrap();
            txn.put(sequence_object(U + 2)).unwrap();
            txn.sequence(U + 2).unwrap().nextval("s").unwrap();
            txn.put(index_object(U + 3, "t_v", T, IndexMethod::Btree, &[2], false, &[])).unwrap();
            db.build_index(&txn, U + 3, &Arc::new(Progress::new())).unwrap();
            txn.snapshot();
            let u = db.table(U, &txn.catalog()).unwrap();
            u.insert(&txn, &row(1, 1)).unwrap();
            table(&db).insert(&txn, &row(50, 2)).unwrap();
            txn.prepare_transaction(&how("p")).unwrap();
            if crashes {
                disk = disk.crash(1);
                db = open(&disk);
                assert!(db.new_oid() > U + 3);
            }
            // Nobody can make it impossible: its names wait for it.
            let other = impatient(&db);
            let same_name = table_object(U + 9, "u", Persistence::Permanent, &cols);
            assert_eq!(code(other.put(same_name).unwrap_err()), "55P03");
            drop(other);
            assert!(db.catalog().relation(U).is_none());
            if !commits {
                roll_back(&db, "p").unwrap();
                assert!(db.catalog().relation(U).is_none());
                assert!(db.catalog().relation(U + 3).is_none());
                assert_eq!(seen(&db), BEFORE);
                is_free(&db);
                continue;
            }
            commit(&db, "p").unwrap();
            for last in [false, true] {
                if last {
                    db = open(&disk.crash(2));
                }
                let txn = begin(&db);
                let u = db.table(U, &db.catalog()).unwrap();
                assert_eq!(all(&u, txn.snapshot()), [(1, 1)]);
                assert_eq!(code(u.insert(&txn, &row(1, 2)).unwrap_err()), "23505");
                let txn = begin(&db);
                let range = KeyRange {
                    lower: std::ops::Bound::Unbounded,
                    upper: std::ops::Bound::Unbounded,
                };
                let by_v = Access::Btree { index: U + 3, range, reverse: false };
                let found = scan(&table(&db), by_v, txn.snapshot());
                assert_eq!(found, [(1, 1), (2, 2), (50, 2), (3, 3), (4, 4)]);
                let next = txn.use_sequence(U + 2).unwrap().nextval("s").unwrap();
                assert!(next > 1);
            }
        }
    }
}

#[test]
fn truncated_tables_wait_too() {
    for commits in [false, true] {
        let disk = SimDisk::new();
        let db = filled(&disk);
        let txn = begin(&db);
        txn.truncate(T).unwrap();
        txn.snapshot();
        db.table(T, &txn.catalog()).unwrap().insert(&txn, &row(5, 5)).unwrap();
        txn.prepare_transaction(&how("p")).unwrap();
        db.checkpoint().unwrap();
        let disk = disk.crash(1);
        let db = open(&disk);
        assert_eq!(seen(&db), BEFORE);
        if commits {
            commit(&db, "p").unwrap();
            assert_eq!(seen(&db), [(5, 5)]);
            assert_eq!(seen(&open(&disk.crash(1))), [(5, 5)]);
        } else {
            roll_back(&db, "p").unwrap();
            assert_eq!(seen(&db), BEFORE);
            assert_eq!(seen(&open(&disk.crash(1))), BEFORE);
        }
    }
}

#[test]
fn a_commit_that_failed_for_want_of_room_takes_nothing_from_a_later_one() {
    const ROWS: i32 = 30_000;
    let disk = SimDisk::new();
    let db = filled(&disk);
    let (txn, t) = (begin(&db), table(&db));
    for id in 100..100 + ROWS {
        t.insert(&txn, &row(id, id)).unwrap();
    }
    txn.prepare_transaction(&how("p")).unwrap();
    // Some of what it says fits, and not all.
    for _ in 0..3 {
        disk.set_room(Some(300_000));
        assert_eq!(code(commit(&db, "p").unwrap_err()), "53100");
    }
    disk.set_room(None);
    db.wal().wait_durable(db.wal().end()).unwrap();
    let disk = disk.killed();
    let db = open(&disk);
    commit(&db, "p").unwrap();
    assert_eq!(seen(&db).len(), BEFORE.len() + ROWS as usize);
    let db = open(&disk.crash(1));
    assert_eq!(seen(&db).len(), BEFORE.len() + ROWS as usize);
}

#[test]
fn sequences_that_were_set_and_dropped_are_no_matter() {
    let disk = SimDisk::new();
    let db = filled(&disk);
    let txn = begin(&db);
    txn.put(sequence_object(30_000)).unwrap();
    finish(&db, txn);
    let txn = begin(&db);
    txn.restart_sequence(30_000, 5).unwrap();
    txn.drop_object(vicinity_storage::ObjectKind::Relation, 30_000).unwrap();
    txn.prepare_transaction(&how("p")).unwrap();
    let db = open(&disk.crash(1));
    commit(&db, "p").unwrap();
    assert!(db.catalog().relation(30_000).is_none());
}

#[test]
fn a_table_made_and_dropped_has_its_rows_to_itself() {
    let disk = SimDisk::new();
    let db = open(&disk);
    let cols = [("id", oid::INT4), ("v", oid::INT4)];
    let txn = begin(&db);
    txn.put(table_object(30_000, "own", Persistence::Permanent, &cols)).unwrap();
    let own = db.table(30_000, &txn.catalog()).unwrap();
    own.insert(&txn, &row(1, 1)).unwrap();
    txn.drop_object(vicinity_storage::ObjectKind::Relation, 30_000).unwrap();
    txn.prepare_transaction(&how("p")).unwrap();
    let disk = disk.crash(1);
    let db = open(&disk);
    make_table(&db);
    let txn = begin(&db);
    table(&db).insert(&txn, &row(7, 7)).unwrap();
    finish(&db, txn);
    commit(&db, "p").unwrap();
    assert_eq!(seen(&db), [(7, 7)]);
    assert_eq!(seen(&open(&disk.crash(2))), [(7, 7)]);
}

#[test]
fn unlogged_rows_wait_for_a_clean_stop() {
    for clean in [false, true] {
        let disk = SimDisk::new();
        let db = open(&disk);
        make_table_of(&db, Persistence::Unlogged);
        let txn = begin(&db);
        table(&db).insert(&txn, &row(1, 1)).unwrap();
        finish(&db, txn);
        let txn = begin(&db);
        update(&txn, 1, row(1, 2)).unwrap();
        table(&db).insert(&txn, &row(2, 2)).unwrap();
        txn.prepare_transaction(&how("p")).unwrap();
        if clean {
            db.shutdown().unwrap();
        }
        let db = open(&disk.crash(1));
        commit(&db, "p").unwrap();
        let want: &[(i32, i32)] = if clean { &[(1, 2), (2, 2)] } else { &[] };
        assert_eq!(seen(&db), want);
    }
}

#[test]
fn unlogged_rows_that_a_crash_took_do_not_come_again() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table_of(&db, Persistence::Unlogged);
    let txn = begin(&db);
    for id in 1..4 {
        table(&db).insert(&txn, &row(id, id)).unwrap();
    }
    finish(&db, txn);
    let txn = begin(&db);
    update(&txn, 1, row(1, 10)).unwrap();
    update(&txn, 3, row(3, 30)).unwrap();
    txn.prepare_transaction(&how("p")).unwrap();
    let disk = disk.crash(1);
    let db = open(&disk);
    // It has the place of the first.
    let txn = begin(&db);
    table(&db).insert(&txn, &row(7, 7)).unwrap();
    finish(&db, txn);
    db.shutdown().unwrap();
    let db = open(&disk.killed());
    assert_eq!(names(&db), ["p"]);
    assert_eq!(seen(&db), [(7, 7)]);
    commit(&db, "p").unwrap();
    assert_eq!(seen(&db), [(7, 7)]);
}

#[test]
fn a_stop_without_room_leaves_it_as_it_is() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table_of(&db, Persistence::Unlogged);
    let txn = begin(&db);
    table(&db).insert(&txn, &row(1, 1)).unwrap();
    txn.prepare_transaction(&how("p")).unwrap();
    // The rows are gone: its file is written again where others' are to be kept.
    let disk = disk.crash(1);
    let db = open(&disk);
    disk.set_room(Some(0));
    assert_eq!(code(db.shutdown().unwrap_err()), "53100");
    disk.set_room(None);
    let db = open(&disk.killed());
    assert_eq!(names(&db), ["p"]);
    commit(&db, "p").unwrap();
    assert_eq!(seen(&db), []);
}

#[test]
fn a_serializable_one_stays_in_the_way() {
    for crashes in [false, true] {
        let disk = SimDisk::new();
        let mut db = filled(&disk);
        let txn = db.begin(Isolation::Serializable, false).unwrap();
        assert_eq!(all(&table(&db), txn.snapshot()).len(), 4);
        table(&db).insert(&txn, &row(50, 1)).unwrap();
        let other = db.begin(Isolation::Serializable, false).unwrap();
        let early = other.snapshot();
        txn.prepare_transaction(&how("p")).unwrap();
        if crashes {
            drop(other);
            db = open(&disk.crash(1));
            let other = db.begin(Isolation::Serializable, false).unwrap();
            skew(&db, other, None);
        } else {
            skew(&db, other, Some(early));
        }
        commit(&db, "p").unwrap();
        assert_eq!(seen(&db).len(), 5);
    }
}

/// Reads what the prepared one writes, and writes what it has read.
fn skew(db: &Arc<Database>, other: Transaction, early: Option<vicinity_storage::Snapshot>) {
    let snapshot = early.unwrap_or_else(|| other.snapshot());
    let t = table(db);
    let outcome = t
        .open(Access::Seq, snapshot)
        .and_then(|mut cursor| {
            let guard = vicinity_storage::pin();
            while cursor.next(&guard, &mut |_| Ok(true))?.is_some() {}
            Ok(())
        })
        .and_then(|()| t.insert(&other, &row(60, 1)))
        .and_then(|_| other.commit());
    assert_eq!(code(outcome.unwrap_err()), "40001");
}

#[test]
fn names_are_unique_and_few() {
    let disk = SimDisk::new();
    let db = filled(&disk);
    let refused = |how: Prepare| {
        let txn = begin(&db);
        txn.assign_xid().unwrap();
        code(txn.prepare_transaction(&how).unwrap_err())
    };
    assert_eq!(refused(how(&"x".repeat(200))), "22023");
    assert_eq!(refused(Prepare { most: 0, ..how("x") }), "55000");
    begin(&db).prepare_transaction(&how("a")).unwrap();
    assert_eq!(refused(how("a")), "42710");
    begin(&db).prepare_transaction(&how(&"y".repeat(199))).unwrap();
    assert_eq!(refused(Prepare { most: 2, ..how("b") }), "53200");
    assert_eq!(code(commit(&db, "nobody").unwrap_err()), "42704");
    let no = |_: &vicinity_storage::PreparedInfo| {
        Err(PgError::new(vicinity_types::SqlState::INSUFFICIENT_PRIVILEGE, "no"))
    };
    assert_eq!(code(db.commit_prepared("a", no).unwrap_err()), "42501");
    assert_eq!(code(db.rollback_prepared("a", no).unwrap_err()), "42501");
    // One that wrote nothing is there until it is ended, and then for good.
    let disk = disk.crash(1);
    let db = open(&disk);
    assert_eq!(names(&db).len(), 2);
    commit(&db, "a").unwrap();
    for seed in 0..5 {
        assert_eq!(names(&open(&disk.crash(seed))).len(), 1);
    }
}

#[test]
fn temporary_tables_cannot_wait() {
    let db = memory();
    let txn = begin(&db);
    let cols = [("id", oid::INT4)];
    txn.put(table_object(U, "u", Persistence::Temporary, &cols)).unwrap();
    finish(&db, txn);
    let txn = begin(&db);
    txn.lock_relation(U, RelationLock::AccessShare).unwrap();
    assert_eq!(code(txn.prepare_transaction(&how("p")).unwrap_err()), "0A000");
    assert!(names(&db).is_empty());
}
