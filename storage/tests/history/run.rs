//! Making histories.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_storage::catalog::model::{IndexMethod, Persistence};
use vicinity_storage::{
    Access, Database, Insert, Isolation, KeyRange, Options, Progress, Row, Table, Transaction,
    Write, pin,
};
use vicinity_types::{Datum, PgError, Result, oid};

use crate::common::{PK, T, begin, finish, index_object, int, options, table, table_object};
use vicinity_storage::disk::sim::SimDisk;

pub type Key = i32;
/// A number that was appended.
pub type Mark = u64;

/// What a transaction did, and what it saw.
#[derive(Clone, Debug)]
pub enum Step {
    Read(Key, Vec<Mark>),
    Append(Key, Mark),
}

#[derive(Debug)]
pub struct Done {
    pub committed: bool,
    pub steps: Vec<Step>,
    /// Moments before it began and after it had ended.
    pub time: (u64, u64),
}

const KEYS: Key = 6;
const THREADS: u64 = 4;
const EACH: usize = 60;

/// Runs transactions side by side. The last one reads everything.
pub fn history(seed: u64, isolation: Isolation) -> Vec<Done> {
    let options = Options { vacuum: true, ..options() };
    let db = Database::open_on(Arc::new(SimDisk::new()), options).unwrap();
    let txn = begin(&db);
    let cols = [("id", oid::INT4), ("list", oid::TEXT)];
    txn.put(table_object(T, "t", Persistence::Permanent, &cols)).unwrap();
    txn.put(index_object(PK, "t_pkey", T, IndexMethod::Btree, &[1], true, &[])).unwrap();
    db.build_index(&txn, PK, &Arc::new(Progress::new())).unwrap();
    finish(&db, txn);
    let clock = AtomicU64::new(0);
    let work = |thread: u64| {
        let mut random = StdRng::seed_from_u64(seed * THREADS + thread);
        let mut done = Vec::new();
        for n in 0..EACH {
            let first = (thread * EACH as u64 + n as u64 + 1) * 16;
            done.push(transaction(&db, isolation, first, &clock, &mut random));
        }
        done
    };
    let mut all: Vec<Done> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || work(n))).collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    all.push(look(&db, &clock));
    all
}

/// One that reads every key.
fn look(db: &Arc<Database>, clock: &AtomicU64) -> Done {
    let began = clock.fetch_add(1, Ordering::SeqCst);
    let txn = db.begin(Isolation::RepeatableRead, true).unwrap();
    let steps = scan(&txn).unwrap();
    drop(txn);
    Done { committed: true, steps, time: (began, clock.fetch_add(1, Ordering::SeqCst)) }
}

fn transaction(
    db: &Arc<Database>,
    isolation: Isolation,
    first: Mark,
    clock: &AtomicU64,
    random: &mut StdRng,
) -> Done {
    let began = clock.fetch_add(1, Ordering::SeqCst);
    let txn = db.begin(isolation, false).unwrap();
    txn.set_lock_timeout(Some(Duration::from_secs(20)));
    let mut steps = Vec::new();
    let outcome = (|| -> Result<bool> {
        for n in 0..random.random_range(1..6) {
            let key = random.random_range(0..KEYS);
            match random.random_range(0..10) {
                0..4 => steps.push(Step::Read(key, read(&txn, key)?)),
                4..5 => steps.extend(scan(&txn)?),
                _ => {
                    // Noted before it is tried: what fails may not be seen either.
                    steps.push(Step::Append(key, first + n));
                    append(&txn, key, first + n)?;
                }
            }
            // Others get between the steps.
            for _ in 0..random.random_range(0..3) {
                std::thread::yield_now();
            }
        }
        Ok(random.random_bool(0.9))
    })();
    let committed = match outcome {
        Ok(true) => txn.commit().map_err(|e| tolerate(&e)).is_ok(),
        Ok(false) => false,
        Err(e) => {
            tolerate(&e);
            false
        }
    };
    drop(txn);
    Done { committed, steps, time: (began, clock.fetch_add(1, Ordering::SeqCst)) }
}

fn tolerate(e: &PgError) {
    assert!(["40001", "40P01", "23505"].contains(&e.code().as_str()), "{e}");
}

fn list(row: &Row<'_>) -> Vec<Mark> {
    match row.get(1) {
        Datum::Text(text) => text.split(',').map(|n| n.parse().unwrap()).collect(),
        other => panic!("{other:?}"),
    }
}

fn values(key: Key, list: &[Mark]) -> [Datum; 2] {
    let text: Vec<String> = list.iter().map(Mark::to_string).collect();
    [Datum::Int4(key), Datum::text(text.join(","))]
}

fn of(txn: &Transaction) -> Arc<Table> {
    table(txn.database())
}

fn key_range(t: &Table, key: Key) -> KeyRange {
    KeyRange::equal(&t.indexes()[0].index().unwrap().keys, &[Datum::Int4(key)])
}

/// What a statement finds under a key.
fn find(
    txn: &Transaction,
    t: &Arc<Table>,
    key: Key,
) -> Result<Option<(u64, Vec<Mark>, vicinity_storage::Snapshot)>> {
    let s = txn.snapshot();
    let access = Access::Btree { index: PK, range: key_range(t, key), reverse: false };
    let mut cursor = t.open(access, s)?;
    let guard = pin();
    let row = cursor.next(&guard, &mut |_| Ok(true))?;
    Ok(row.map(|row| (row.id, list(&row), s)))
}

fn read(txn: &Transaction, key: Key) -> Result<Vec<Mark>> {
    Ok(find(txn, &of(txn), key)?.map_or_else(Vec::new, |(_, list, _)| list))
}

fn scan(txn: &Transaction) -> Result<Vec<Step>> {
    let t = of(txn);
    let mut cursor = t.open(Access::Seq, txn.snapshot())?;
    let guard = pin();
    let mut all: Vec<Vec<Mark>> = vec![Vec::new(); KEYS as usize];
    while let Some(row) = cursor.next(&guard, &mut |_| Ok(true))? {
        all[int(&row.get(0)) as usize] = list(&row);
    }
    Ok((0..).zip(all).map(|(key, list)| Step::Read(key, list)).collect())
}

/// `insert into t values (key, mark) on conflict (id) do update set list = list || mark`
fn append(txn: &Transaction, key: Key, mark: Mark) -> Result<()> {
    let t = of(txn);
    loop {
        if let Some((row, mut list, s)) = find(txn, &t, key)? {
            list.push(mark);
            match t.update(txn, &s, row, &values(key, &list))? {
                Write::Done => return Ok(()),
                Write::Concurrent | Write::Gone => continue,
                Write::AlreadyMine => panic!("a statement met itself"),
            }
        }
        txn.snapshot();
        match t.insert_unless_conflict(txn, &values(key, &[mark]), &[PK])? {
            Insert::Inserted(_) => return Ok(()),
            // Somebody was faster; their row is not there for a snapshot that is older.
            Insert::Conflict(_) if txn.isolation().is_snapshot() => {
                return Err(vicinity_storage::concurrent_update());
            }
            Insert::Conflict(_) => {}
        }
    }
}
