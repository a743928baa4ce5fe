//! The checker of SERIALIZABLE: transactions run in pieces, side by side, and those that commit must have seen, and
//! left behind, what they would have run one after the other, in some order.
//! `VICINITY_CHECK_SECONDS` makes it run longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_indexes::spatial::Region;
use vicinity_storage::catalog::model::{IndexMethod, Persistence};
use vicinity_storage::{
    Access, Database, Insert, Isolation, KeyRange, Progress, Snapshot, Table, Transaction, Write,
    pin,
};
use vicinity_types::array::Array;
use vicinity_types::geo::Point;
use vicinity_types::{Datum, PgError, SqlState, oid};

const BY_V: u32 = 20_010;
const BY_POS: u32 = 20_011;
const BY_VEC: u32 = 20_012;
const IDS: i32 = 8;

/// What a transaction does. Places lie on a line, and no two writes have the same.
#[derive(Clone, Debug)]
enum Op {
    Get(i32),
    All,
    /// Values between two, some of them.
    Range {
        low: i32,
        high: i32,
        reverse: bool,
        limit: usize,
    },
    /// Rows with a value.
    Equal {
        v: i32,
        limit: usize,
    },
    Near {
        x: f64,
        limit: usize,
    },
    Within {
        low: f64,
        high: f64,
    },
    Alike {
        x: f64,
        limit: usize,
    },
    Update {
        id: i32,
        v: i32,
        x: f64,
    },
    Insert {
        id: i32,
        v: i32,
        x: f64,
    },
    Delete(i32),
}

/// What rows there are: a value and a place each.
type State = BTreeMap<i32, (i32, f64)>;

impl Op {
    fn any(random: &mut StdRng, writes: bool) -> Op {
        let id = random.random_range(0..IDS);
        let v = random.random_range(0..6);
        let x = random.random_range(-100.0..100.0);
        let limit = if random.random_bool(0.5) { usize::MAX } else { random.random_range(1..4) };
        match random.random_range(0..if writes { 14 } else { 7 }) {
            0 => Op::Get(id),
            1 => Op::All,
            2 => Op::Range { low: v, high: v + 2, reverse: random.random(), limit },
            3 => Op::Equal { v, limit },
            4 => Op::Near { x, limit },
            5 => Op::Within { low: x, high: x + 30.0 },
            6 => Op::Alike { x, limit },
            7..=10 => Op::Update { id, v, x },
            11 | 12 => Op::Insert { id, v, x },
            _ => Op::Delete(id),
        }
    }

    /// The row it writes.
    fn target(&self) -> Option<i32> {
        match self {
            Op::Update { id, .. } | Op::Insert { id, .. } | Op::Delete(id) => Some(*id),
            _ => None,
        }
    }

    /// What it answers alone, and what it does.
    fn alone(&self, state: &mut State) -> String {
        let rows: Vec<(i32, i32, f64)> = state.iter().map(|(id, (v, x))| (*id, *v, *x)).collect();
        let nearest = |x: f64, limit: usize| {
            let mut rows = rows.clone();
            rows.sort_by(|a, b| (a.2 - x).abs().total_cmp(&(b.2 - x).abs()));
            format!("{:?}", rows.iter().take(limit).map(|r| r.0).collect::<Vec<_>>())
        };
        match *self {
            Op::Get(id) => format!("{:?}", state.get(&id)),
            Op::All => format!("{rows:?}"),
            Op::Range { low, high, reverse, limit } => {
                let mut found: Vec<i32> =
                    rows.iter().map(|r| r.1).filter(|v| (low..=high).contains(v)).collect();
                found.sort_unstable();
                if reverse {
                    found.reverse();
                }
                found.truncate(limit);
                format!("{found:?}")
            }
            Op::Equal { v, limit } => {
                format!("{}", rows.iter().filter(|r| r.1 == v).count().min(limit))
            }
            Op::Near { x, limit } | Op::Alike { x, limit } => nearest(x, limit),
            Op::Within { low, high } => {
                let found = rows.iter().filter(|r| low <= r.2 && r.2 <= high).map(|r| r.0);
                format!("{:?}", found.collect::<Vec<_>>())
            }
            Op::Update { id, v, x } => match state.get_mut(&id) {
                Some(row) => {
                    *row = (v, x);
                    "done".to_owned()
                }
                None => "none".to_owned(),
            },
            Op::Insert { id, v, x } => match state.contains_key(&id) {
                true => "there".to_owned(),
                false => {
                    state.insert(id, (v, x));
                    "done".to_owned()
                }
            },
            Op::Delete(id) => if state.remove(&id).is_some() { "done" } else { "none" }.to_owned(),
        }
    }

    /// The same as a statement of a transaction.
    fn run(&self, t: &Arc<Table>, txn: &Transaction) -> Result<String, PgError> {
        let s = txn.snapshot();
        Ok(match *self {
            Op::Get(id) => {
                let key = key(t, PK, id);
                let guard = pin();
                let row = t.lookup(PK, &key, &s, &guard)?;
                format!("{:?}", row.map(|r| value(&r)))
            }
            Op::All => {
                let mut rows = ids(t, Access::Seq, s, usize::MAX)?;
                rows.sort_by_key(|r| r.0);
                format!("{rows:?}")
            }
            Op::Range { low, high, reverse, limit } => {
                let keys = &index(t, BY_V).index().unwrap().keys;
                let (low, high) = (Datum::Int4(low), Datum::Int4(high));
                let range =
                    KeyRange::within(keys, &[], Bound::Included(&low), Bound::Included(&high));
                let found = ids(t, Access::Btree { index: BY_V, range, reverse }, s, limit)?;
                format!("{:?}", found.iter().map(|r| r.1).collect::<Vec<_>>())
            }
            Op::Equal { v, limit } => {
                let range = KeyRange::prefix(key(t, BY_V, v));
                let access = Access::Btree { index: BY_V, range, reverse: false };
                format!("{}", ids(t, access, s, limit)?.len())
            }
            Op::Near { x, limit } => {
                let access =
                    Access::Points { index: BY_POS, region: None, near: Some([x, 0.0]), limit };
                let found = ids(t, access, s, limit)?;
                format!("{:?}", found.iter().map(|r| r.0).collect::<Vec<_>>())
            }
            Op::Within { low, high } => {
                let region = Some(Region::all().in_box([low, -1.0], [high, 1.0]));
                let access =
                    Access::Points { index: BY_POS, region, near: None, limit: usize::MAX };
                let mut found: Vec<i32> =
                    ids(t, access, s, usize::MAX)?.iter().map(|r| r.0).collect();
                found.sort_unstable();
                format!("{found:?}")
            }
            Op::Alike { x, limit } => {
                let query = Arc::from([x as f32, 0.0]);
                let access = Access::Vector { index: BY_VEC, query, extra: 1000, limit };
                let found = ids(t, access, s, limit)?;
                format!("{:?}", found.iter().map(|r| r.0).collect::<Vec<_>>())
            }
            Op::Update { id, v, x } => match sought(t, id, s)? {
                Some(r) => wrote(t.update(txn, &s, r, &tuple(id, v, x))?),
                None => "none".to_owned(),
            },
            Op::Insert { id, v, x } => {
                match t.insert_unless_conflict(txn, &tuple(id, v, x), &[])? {
                    Insert::Inserted(_) => "done".to_owned(),
                    Insert::Conflict(row) if t.fetch(row, &s, &pin())?.is_some() => {
                        "there".to_owned()
                    }
                    Insert::Conflict(_) => return Err(vicinity_storage::concurrent_update()),
                }
            }
            Op::Delete(id) => match sought(t, id, s)? {
                Some(r) => wrote(t.delete(txn, &s, r)?),
                None => "none".to_owned(),
            },
        })
    }
}

fn wrote(write: Write) -> String {
    assert_eq!(write, Write::Done);
    "done".to_owned()
}

fn index(t: &Arc<Table>, oid: u32) -> &vicinity_storage::catalog::model::Relation {
    t.indexes().iter().find(|i| i.oid == oid).unwrap()
}

fn key(t: &Arc<Table>, oid: u32, value: i32) -> Vec<u8> {
    KeyRange::key(&index(t, oid).index().unwrap().keys, &[Datum::Int4(value)])
}

/// The row id of an id.
fn sought(t: &Arc<Table>, id: i32, s: Snapshot) -> Result<Option<u64>, PgError> {
    Ok(t.lookup(PK, &key(t, PK, id), &s, &pin())?.map(|r| r.id))
}

fn value(row: &vicinity_storage::Row<'_>) -> (i32, f64) {
    let Datum::Point(p) = row.get(2) else { panic!("no point") };
    (int(&row.get(1)), p.x)
}

fn tuple(id: i32, v: i32, x: f64) -> [Datum; 4] {
    // The same place in both.
    let vec = Datum::Array(Arc::new(Array::from_f32s(vec![x as f32, 0.0])));
    [Datum::Int4(id), Datum::Int4(v), Datum::Point(Point { x, y: 0.0 }), vec]
}

/// Rows of a scan: id, value, place.
fn ids(
    t: &Arc<Table>,
    access: Access,
    s: Snapshot,
    limit: usize,
) -> Result<Vec<(i32, i32, f64)>, PgError> {
    let mut cursor = t.open(access, s)?;
    let guard = pin();
    let mut out = Vec::new();
    while out.len() < limit
        && let Some(row) = cursor.next(&guard, &mut |_| Ok(true))?
    {
        let (v, x) = value(&row);
        out.push((int(&row.get(0)), v, x));
    }
    Ok(out)
}

fn make(db: &Arc<Database>) {
    let txn = begin(db);
    let cols =
        [("id", oid::INT4), ("v", oid::INT4), ("pos", oid::POINT), ("vec", oid::FLOAT4_ARRAY)];
    txn.put(table_object(T, "t", Persistence::Permanent, &cols)).unwrap();
    let clusters: &[(&str, &str)] =
        &[("dimension", "2"), ("clustering_type", "1"), ("clustering_params", "1000,2")];
    for (oid, method, column, unique, options) in [
        (PK, IndexMethod::Btree, 1, true, &[] as &[(&str, &str)]),
        (BY_V, IndexMethod::Btree, 2, false, &[]),
        (BY_POS, IndexMethod::Spatial, 3, false, &[]),
        (BY_VEC, IndexMethod::Ivfflat, 4, false, clusters),
    ] {
        let name = format!("i{oid}");
        txn.put(index_object(oid, &name, T, method, &[column], unique, options)).unwrap();
        db.build_index(&txn, oid, &Arc::new(Progress::new())).unwrap();
    }
    finish(db, txn);
}

fn now(db: &Arc<Database>) -> State {
    let txn = begin(db);
    let rows = ids(&table(db), Access::Seq, txn.snapshot(), usize::MAX).unwrap();
    rows.into_iter().map(|(id, v, x)| (id, (v, x))).collect()
}

/// A transaction on its way.
struct Run {
    txn: Option<Transaction>,
    todo: Vec<Op>,
    done: Vec<(Op, String)>,
    committed: bool,
}

/// Whether there is an order in which the transactions alone answer and do the same.
fn in_some_order(runs: &[Run], left: &mut Vec<usize>, state: &State, end: &State) -> bool {
    if left.is_empty() {
        return state == end;
    }
    for at in 0..left.len() {
        let run = left.remove(at);
        let mut then = state.clone();
        let same = runs[run].done.iter().all(|(op, answer)| op.alone(&mut then) == *answer);
        let found = same && in_some_order(runs, left, &then, end);
        left.insert(at, run);
        if found {
            return true;
        }
    }
    false
}

#[derive(Default)]
struct Count {
    committed: usize,
    cancelled: usize,
    wrong: usize,
}

/// One history; false if no order explains it.
fn history(db: &Arc<Database>, iso: Isolation, random: &mut StdRng, count: &mut Count) -> bool {
    let t = table(db);
    let fill = begin(db);
    for id in 0..IDS {
        if random.random_bool(0.5) {
            fill.snapshot();
            let (v, x) = (random.random_range(0..6), random.random_range(-100.0..100.0));
            t.insert_unless_conflict(&fill, &tuple(id, v, x), &[]).unwrap();
        }
    }
    finish(db, fill);
    let before = now(db);
    let mut runs: Vec<Run> = (0..random.random_range(2..6))
        .map(|_| {
            let writes = random.random_bool(0.8);
            let read_only = !writes && random.random();
            let todo = (0..random.random_range(1..5)).map(|_| Op::any(random, writes)).collect();
            let txn = Some(db.begin(iso, read_only).unwrap());
            Run { txn, todo, done: Vec::new(), committed: false }
        })
        .collect();
    let mut dirty: BTreeMap<i32, usize> = BTreeMap::new();
    while runs.iter().any(|r| r.txn.is_some()) {
        let at = random.random_range(0..runs.len());
        let run = &mut runs[at];
        let Some(txn) = &run.txn else { continue };
        let Some(op) = run.todo.pop() else {
            let outcome = txn.commit();
            run.committed = outcome.is_ok();
            assert!(outcome.is_ok_and(|_| true) || iso == Isolation::Serializable);
            run.txn = None;
            dirty.retain(|_, by| *by != at);
            continue;
        };
        // It would wait.
        if op.target().is_some_and(|id| dirty.get(&id).is_some_and(|by| *by != at)) {
            continue;
        }
        match op.run(&t, txn) {
            Ok(answer) => {
                dirty.extend(op.target().map(|id| (id, at)));
                run.done.push((op, answer));
            }
            Err(e) => {
                assert_eq!(e.code(), SqlState::SERIALIZATION_FAILURE, "{op:?}: {e}");
                run.txn = None;
                dirty.retain(|_, by| *by != at);
            }
        }
    }
    let mut committed: Vec<usize> = (0..runs.len()).filter(|at| runs[*at].committed).collect();
    count.committed += committed.len();
    count.cancelled += runs.len() - committed.len();
    let end = now(db);
    let fine = in_some_order(&runs, &mut committed, &before, &end);
    if !fine && iso == Isolation::Serializable {
        for at in committed {
            println!("{at}: {:?}", runs[at].done);
        }
        println!("{before:?}\n{end:?}");
    }
    fine
}

fn check(iso: Isolation, seed: u64, time: Duration) -> Count {
    let db = memory();
    make(&db);
    let mut random = StdRng::seed_from_u64(seed);
    let mut count = Count::default();
    let began = Instant::now();
    let mut histories = 0;
    while histories < 300 || began.elapsed() < time {
        if !history(&db, iso, &mut random, &mut count) {
            count.wrong += 1;
            assert!(iso != Isolation::Serializable, "history {histories} of seed {seed}");
        }
        histories += 1;
    }
    count
}

fn seconds() -> Duration {
    let asked = std::env::var("VICINITY_CHECK_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(asked.unwrap_or(1))
}

#[test]
fn what_commits_could_have_run_one_after_the_other() {
    for seed in 0..4 {
        let count = check(Isolation::Serializable, seed, seconds());
        println!("{} committed, {} cancelled", count.committed, count.cancelled);
        assert!(count.committed > count.cancelled);
    }
}

/// The checker finds what it is there for.
#[test]
fn snapshots_alone_are_not_serializable() {
    let count = check(Isolation::RepeatableRead, 7, Duration::ZERO);
    println!("{} committed, {} cancelled, {} wrong", count.committed, count.cancelled, count.wrong);
    assert!(count.wrong > 0);
}

/// One row is read or written by each of more transactions than are known in full; a long one beside them reads what
/// they have written, and writes what they have read.
#[test]
fn a_long_transaction_beside_very_many_is_cancelled_all_the_same() {
    let db = memory();
    make(&db);
    let t = table(&db);
    let fill = begin(&db);
    for id in 0..2 {
        t.insert(&fill, &tuple(id, 0, f64::from(id))).unwrap();
    }
    finish(&db, fill);
    let long = db.begin(Isolation::Serializable, false).unwrap();
    Op::Get(7).run(&t, &long).unwrap();
    for v in 0..2500 {
        let short = db.begin(Isolation::Serializable, false).unwrap();
        Op::Get(0).run(&t, &short).unwrap();
        Op::Update { id: 1, v, x: 1.0 }.run(&t, &short).unwrap();
        short.commit().unwrap();
    }
    let outcome = Op::Get(1)
        .run(&t, &long)
        .and_then(|_| Op::Update { id: 0, v: 1, x: 0.0 }.run(&t, &long))
        .and_then(|_| long.commit().map(|_| String::new()));
    assert_eq!(outcome.unwrap_err().code(), SqlState::SERIALIZATION_FAILURE);
    drop(long);
    // Nothing is left of it.
    assert!(db.reads().is_empty());
    let next = db.begin(Isolation::Serializable, false).unwrap();
    Op::Update { id: 0, v: 2, x: 0.0 }.run(&t, &next).unwrap();
    next.commit().unwrap();
}
