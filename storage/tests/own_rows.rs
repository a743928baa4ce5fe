//! Many threads insert, look up and delete keys beside each other's in the same leaves, which split and
//! merge all the time: nobody may miss a row of its own, or see one it deleted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_storage::disk::sim::SimDisk;
use vicinity_storage::{Database, KeyRange, Options, Snapshot, Table, Write, pin};
use vicinity_types::Datum;

const THREADS: i32 = 6;

/// What both ways through the unique index say of a key.
fn both(t: &Arc<Table>, id: i32, snapshot: Snapshot) -> (bool, bool) {
    let scanned = find(t, id, snapshot).is_some();
    let keys = &t.indexes()[0].index().unwrap().keys;
    let key = KeyRange::key(keys, &[Datum::Int4(id)]);
    let guard = pin();
    let looked = t.lookup(t.indexes()[0].oid, &key, &snapshot, &guard).unwrap();
    (scanned, looked.is_some_and(|r| int(&r.get(0)) == id))
}

/// One thread's keys are those of its number modulo the number of threads, of a range that is now and
/// then emptied and filled: neighbours in a leaf belong to different threads.
fn work(db: &Arc<Database>, me: i32, keys: i32, until: Instant, rounds: &AtomicU64) {
    let mut random = StdRng::seed_from_u64(u64::try_from(me).unwrap());
    let mut mine: BTreeSet<i32> = BTreeSet::new();
    let mut growing = true;
    while Instant::now() < until {
        if random.random_range(0..400) == 0 {
            growing = !growing;
        }
        let id = random.random_range(0..keys) * THREADS + me;
        let there = mine.contains(&id);
        let txn = begin(db);
        let t = table(db);
        let snapshot = txn.snapshot();
        assert_eq!(both(&t, id, snapshot), (there, there), "key {id} before");
        if there && (!growing || random.random_range(0..4) == 0) {
            let row = find(&t, id, snapshot).expect("a row of its own");
            assert_eq!(t.delete(&txn, &snapshot, row).unwrap(), Write::Done);
            mine.remove(&id);
        } else if !there && (growing || random.random_range(0..4) == 0) {
            t.insert(&txn, &row(id, me)).unwrap();
            mine.insert(id);
        }
        if random.random() {
            // Its own uncommitted change, one command later.
            let now = mine.contains(&id);
            assert_eq!(both(&t, id, txn.snapshot()), (now, now), "key {id} within");
        }
        txn.commit().unwrap();
        let txn = begin(db);
        let now = mine.contains(&id);
        assert_eq!(both(&table(db), id, txn.snapshot()), (now, now), "key {id} after");
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn nobody_misses_a_row_of_its_own() {
    // A few leaves that split and merge at once, and many.
    for keys in [40, 4000] {
        let options = Options { vacuum: true, ..options() };
        let db = Database::open_on(Arc::new(SimDisk::new()), options).unwrap();
        make_table(&db);
        let until = Instant::now() + Duration::from_secs(3);
        let rounds = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for me in 0..THREADS {
                let (db, rounds) = (&db, &rounds);
                scope.spawn(move || work(db, me, keys, until, rounds));
            }
        });
        assert!(rounds.load(Ordering::Relaxed) > 1000);
        db.shutdown().unwrap();
    }
}
