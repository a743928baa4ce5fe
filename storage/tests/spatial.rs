//! The checker of spatial scans: writers move points while readers compare every answer of the index with a sequential
//! scan in the same snapshot. `VICINITY_CHECK_SECONDS` makes it run longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_indexes::spatial::Region;
use vicinity_storage::catalog::model::{IndexMethod, Persistence};
use vicinity_storage::disk::sim::SimDisk;
use vicinity_storage::{
    Access, Database, Isolation, Options, Progress, Snapshot, Table, Write, pin,
};
use vicinity_types::geo::{Point, Rect, hypotenuse};
use vicinity_types::{Datum, Oid, oid};

const POS: Oid = 20_006;

fn make(db: &Arc<Database>, ty: Oid, persistence: Persistence) {
    let txn = begin(db);
    txn.put(table_object(T, "t", persistence, &[("id", oid::INT4), ("pos", ty)])).unwrap();
    txn.put(index_object(PK, "t_pkey", T, IndexMethod::Btree, &[1], true, &[])).unwrap();
    db.build_index(&txn, PK, &Arc::new(Progress::new())).unwrap();
    finish(db, txn);
}

fn index(db: &Arc<Database>) {
    let txn = begin(db);
    txn.put(index_object(POS, "t_pos", T, IndexMethod::Spatial, &[2], false, &[])).unwrap();
    db.build_index(&txn, POS, &Arc::new(Progress::new())).unwrap();
    finish(db, txn);
}

/// Middles of rings and crossings of streets.
fn hub(random: &mut StdRng) -> [f64; 2] {
    [0; 2].map(|_| f64::from(random.random_range(-1..=1)) * 64.0)
}

/// In a crowd: nearly as far from the middle as many others, or on a street through the middle. Cells are cut at
/// coordinates of entries, so that borders of cells are as far away as what is in them.
fn crowded(random: &mut StdRng) -> [f64; 2] {
    let [x, y] = hub(random);
    let little = match random.random_range(0..4) {
        0 => 0.0,
        _ => 10f64.powf(random.random_range(-15.0..-2.0)),
    };
    let away = f64::from(random.random_range(1..6)) * 2.0 * (1.0 + little);
    match random.random_range(0..4) {
        0 => [x + away, y],
        1 => [x, y - away],
        _ => {
            let (sine, cosine) = random.random_range(0.0..std::f64::consts::TAU).sin_cos();
            [x + away * cosine, y + away * sine]
        }
    }
}

/// Where points are: evenly, or in a few towns; some in crowds, some at no place a map has.
fn place(random: &mut StdRng, skewed: bool) -> Datum {
    if random.random_bool(0.3) {
        let [x, y] = crowded(random);
        return Datum::Point(Point { x, y });
    }
    let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e300];
    let mut coordinate = |town: f64| {
        if random.random_bool(0.01) {
            return strange[random.random_range(0..strange.len())];
        }
        let v = if skewed {
            let r: f64 = random.random_range(-1.0..1.0);
            town + r * r * r * 0.5
        } else {
            random.random_range(-100.0..100.0)
        };
        // Few places, so that many points share one.
        if random.random_bool(0.3) { v.round() } else { v }
    };
    let town = f64::from(37 * (coordinate(0.0) as i32 % 5));
    let (x, y) = (coordinate(town), coordinate(-town));
    if random.random_bool(0.02) { Datum::Null } else { Datum::Point(Point { x, y }) }
}

fn point(d: &Datum) -> Option<[f64; 2]> {
    match d {
        Datum::Point(p) => Some([p.x, p.y]),
        _ => None,
    }
}

/// Distance and id; NULL last.
type Near = (Option<u64>, i32);

fn order(a: &Near, b: &Near) -> std::cmp::Ordering {
    (a.0.is_none(), a.0, a.1).cmp(&(b.0.is_none(), b.0, b.1))
}

/// What of the rows is wanted: what is left out makes a scan go on beyond what it took for enough.
fn is_in(part: i32, id: i32) -> bool {
    id % 5 < part
}

fn by_index(
    t: &Arc<Table>,
    s: Snapshot,
    q: [f64; 2],
    region: Option<Region>,
    limit: usize,
    part: i32,
) -> Vec<Near> {
    let access = Access::Points { index: POS, region, near: Some(q), limit };
    let mut cursor = t.open(access, s).unwrap();
    let mut out = Vec::new();
    while out.len() < limit {
        // A guard for some rows, as a client that fetches would have it.
        let guard = pin();
        let wanted = cursor.next(&guard, &mut |r| Ok(is_in(part, int(&r.get(0)))));
        let Some(row) = wanted.unwrap() else { break };
        out.push((cursor.distance().map(f64::to_bits), int(&row.get(0))));
    }
    out
}

fn by_scan(
    t: &Arc<Table>,
    s: Snapshot,
    q: [f64; 2],
    within: &dyn Fn([f64; 2]) -> bool,
    part: i32,
) -> Vec<Near> {
    let mut cursor = t.open(Access::Seq, s).unwrap();
    let guard = pin();
    let mut out = Vec::new();
    while let Some(row) = cursor.next(&guard, &mut |r| Ok(is_in(part, int(&r.get(0))))).unwrap() {
        let near = match point(&row.get(1)) {
            Some(p) if within(p) => Some(hypotenuse(p[0] - q[0], p[1] - q[1]).to_bits()),
            Some(_) => continue,
            None => None,
        };
        out.push((near, int(&row.get(0))));
    }
    out.sort_by(order);
    out
}

/// Equal, rows of one distance being a set: the last distance may be cut anywhere.
fn same(got: &[Near], want: &[Near], limit: usize) {
    assert_eq!(got.len(), want.len().min(limit));
    assert!(got.windows(2).all(|w| (w[0].0.is_none(), w[0].0) <= (w[1].0.is_none(), w[1].0)));
    let distances = |rows: &[Near]| rows.iter().map(|r| r.0).collect::<Vec<_>>();
    assert_eq!(distances(got), distances(&want[..got.len()]));
    let edge = got.last().map(|r| r.0);
    let inner = |rows: &[Near]| {
        let mut rows: Vec<Near> = rows.iter().filter(|r| Some(r.0) != edge).copied().collect();
        rows.sort_by(order);
        rows
    };
    assert_eq!(inner(got), inner(&want[..got.len()]));
    let all: std::collections::HashSet<Near> = want.iter().copied().collect();
    let mut seen = std::collections::HashSet::new();
    assert!(got.iter().all(|r| all.contains(r) && seen.insert(r.1)), "no row twice");
}

fn check(t: &Arc<Table>, s: Snapshot, random: &mut StdRng, skewed: bool) {
    let q = match random.random_range(0..3) {
        0 => hub(random),
        _ => point(&place(random, skewed)).unwrap_or([0.0, 0.0]),
    };
    let limit = match random.random_range(0..8) {
        0 => usize::MAX,
        _ => 10f64.powf(random.random_range(0.0..3.0)) as usize,
    };
    let part = random.random_range(1..=5);
    if random.random_bool(0.5) {
        let want = by_scan(t, s, q, &|_| true, part);
        same(&by_index(t, s, q, None, limit, part), &want, limit);
        return;
    }
    let center = if random.random_bool(0.5) { q } else { [1.0, 2.0] };
    // Whole numbers have crowds on the border.
    let radius = random.random_range(0.0..80.0f64);
    let radius = if random.random() { radius.round() } else { radius };
    let region = Region::all().in_circle(center, radius).unwrap();
    let inside = |p: [f64; 2]| hypotenuse(center[0] - p[0], center[1] - p[1]) <= radius;
    let mut want = by_scan(t, s, q, &inside, part);
    want.retain(|r| r.0.is_some());
    same(&by_index(t, s, q, Some(region), limit, part), &want, limit);
}

fn moves(db: &Arc<Database>, over: &AtomicBool, seed: u64, rows: i32, skewed: bool) {
    let mut random = StdRng::seed_from_u64(seed);
    let t = table(db);
    while !over.load(Ordering::Relaxed) {
        let txn = begin(db);
        let s = txn.snapshot();
        let mut done = true;
        for _ in 0..random.random_range(1..4) {
            let id = random.random_range(0..rows);
            let pos = place(&mut random, skewed);
            // Other writers may be first, or wait for this one: that is their test.
            done &= match find(&t, id, s) {
                Some(row) if random.random_bool(0.1) => t.delete(&txn, &s, row).is_ok(),
                Some(row) => t.update(&txn, &s, row, &[Datum::Int4(id), pos]).is_ok(),
                None => t.insert(&txn, &[Datum::Int4(id), pos]).is_ok(),
            };
            if !done || random.random_bool(0.5) {
                break;
            }
        }
        if done && random.random_bool(0.8) {
            let _ = txn.commit();
        }
    }
}

fn run(skewed: bool) {
    let seconds = std::env::var("VICINITY_CHECK_SECONDS").ok().and_then(|s| s.parse().ok());
    let until = Instant::now() + Duration::from_secs_f64(seconds.unwrap_or(3.0));
    let options = Options { vacuum: true, ..options() };
    let db = Database::open_on(Arc::new(SimDisk::new()), options).unwrap();
    make(&db, oid::POINT, Persistence::Unlogged);
    let rows = 3_000;
    let mut random = StdRng::seed_from_u64(5);
    let txn = begin(&db);
    for id in 0..rows {
        table(&db).insert(&txn, &[Datum::Int4(id), place(&mut random, skewed)]).unwrap();
    }
    finish(&db, txn);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let (db, over) = (&db, &over);
            scope.spawn(move || moves(db, over, seed, rows, skewed));
        }
        // Built while they write.
        index(&db);
        let t = table(&db);
        while Instant::now() < until {
            let txn = db.begin(Isolation::RepeatableRead, false).unwrap();
            let s = txn.snapshot();
            for _ in 0..random.random_range(1..20) {
                let checked = std::panic::AssertUnwindSafe(|| check(&t, s, &mut random, skewed));
                if let Err(failed) = std::panic::catch_unwind(checked) {
                    over.store(true, Ordering::Relaxed);
                    std::panic::resume_unwind(failed);
                }
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn scans_of_evenly_spread_points_agree_with_sequential_ones() {
    run(false);
}

#[test]
fn scans_of_crowded_points_agree_with_sequential_ones() {
    run(true);
}

#[test]
fn an_index_is_there_again_after_a_crash() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make(&db, oid::POINT, Persistence::Permanent);
    index(&db);
    let mut random = StdRng::seed_from_u64(8);
    let txn = begin(&db);
    for id in 0..500 {
        table(&db).insert(&txn, &[Datum::Int4(id), place(&mut random, false)]).unwrap();
    }
    finish(&db, txn);
    let db = open(&disk.crash(1));
    let t = table(&db);
    let txn = begin(&db);
    for _ in 0..50 {
        check(&t, txn.snapshot(), &mut random, false);
    }
}

#[test]
fn what_is_rolled_back_or_vacuumed_leaves_no_entry() {
    let db = memory();
    make(&db, oid::POINT, Persistence::Permanent);
    index(&db);
    let at = |x: f64| Datum::Point(Point { x, y: 0.0 });
    let txn = begin(&db);
    let row = table(&db).insert(&txn, &[Datum::Int4(1), at(1.0)]).unwrap();
    finish(&db, txn);
    let t = table(&db);
    let txn = begin(&db);
    let s = txn.snapshot();
    assert_eq!(t.update(&txn, &s, row, &[Datum::Int4(1), at(2.0)]).unwrap(), Write::Done);
    assert_eq!(t.index_size(POS).0, 2);
    drop(txn);
    assert_eq!(t.index_size(POS).0, 1);
    for x in [3.0, 4.0, 3.0] {
        let txn = begin(&db);
        let s = txn.snapshot();
        t.update(&txn, &s, row, &[Datum::Int4(1), at(x)]).unwrap();
        finish(&db, txn);
    }
    db.vacuum_step();
    assert_eq!(t.index_size(POS).0, 1);
}

#[test]
fn a_row_of_boxes_comes_out_once() {
    let db = memory();
    make(&db, oid::BOX, Persistence::Permanent);
    index(&db);
    let rect = |x: f64| {
        let corner = |x| Point { x, y: x };
        Datum::Box(Arc::new(Rect { high: corner(x + 1.0), low: corner(x) }))
    };
    let t = table(&db);
    let txn = begin(&db);
    let rows: Vec<u64> =
        (0..300).map(|i| t.insert(&txn, &[Datum::Int4(i), rect(f64::from(i))]).unwrap()).collect();
    finish(&db, txn);
    let txn = begin(&db);
    let s = txn.snapshot();
    for (i, row) in rows.iter().enumerate() {
        let i = i as i32;
        t.update(&txn, &s, *row, &[Datum::Int4(i), rect(f64::from(i) + 0.5)]).unwrap();
    }
    finish(&db, txn);
    let txn = begin(&db);
    let low = [f64::NEG_INFINITY, f64::NEG_INFINITY, 10.0, 10.0];
    let high = [20.0, 20.0, f64::INFINITY, f64::INFINITY];
    let mut cursor = t
        .open(
            Access::Boxes { index: POS, low, high, near: None, limit: usize::MAX },
            txn.snapshot(),
        )
        .unwrap();
    let guard = pin();
    let mut found = Vec::new();
    while let Some(row) = cursor.next(&guard, &mut |_| Ok(true)).unwrap() {
        found.push(int(&row.get(0)));
    }
    // Nine reaches into it by its newer box, twenty by its older one: the filter would tell.
    assert_eq!(found, (9..=20).collect::<Vec<_>>());
}
