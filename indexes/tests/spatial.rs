//! The spatial index against sequential search, alone and under concurrent use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_indexes::spatial::{Batch, Entry, Found, Nearest, Region};
use vicinity_indexes::{Boxes, Points, RowId};
use vicinity_types::geo::hypotenuse;

type At = [f64; 2];

/// Coordinates of few values, so that many are equal, and of all sorts.
fn coordinate() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-20i32..20).prop_map(f64::from),
        4 => -1e6..1e6f64,
        1 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308, 1e-308, 5e-324, 1e155, 1e-155,
        ]),
    ]
}

fn finite() -> impl Strategy<Value = f64> {
    coordinate().prop_filter("finite", |v| v.is_finite())
}

fn point() -> impl Strategy<Value = At> {
    [coordinate(), coordinate()]
}

/// The operations of a model: false removes.
fn changes() -> impl Strategy<Value = Vec<(bool, At, RowId)>> {
    prop::collection::vec((prop::bool::weighted(0.7), point(), 0..40u64), 0..600)
}

#[derive(Clone, Debug)]
enum Part {
    All,
    Circle(At, f64),
    Box(At, At),
    Both(At, f64, At, At),
}

fn part() -> impl Strategy<Value = Part> {
    let radius = || {
        let extreme = prop::sample::select(vec![0.0, f64::INFINITY, 1e155, 1e308, 5e-324]);
        prop_oneof![0.0..40.0f64, extreme, 0.0..1e7f64]
    };
    prop_oneof![
        Just(Part::All),
        (point(), radius()).prop_map(|(c, r)| Part::Circle(c, r)),
        (point(), point()).prop_map(|(a, b)| Part::Box(a, b)),
        (point(), radius(), point(), point()).prop_map(|(c, r, a, b)| Part::Both(c, r, a, b)),
    ]
}

impl Part {
    fn region(&self) -> Region {
        match self {
            Part::All => Region::all(),
            Part::Circle(c, r) => Region::all().in_circle(*c, *r).unwrap(),
            Part::Box(a, b) => Region::all().in_box(*a, *b),
            Part::Both(c, r, a, b) => Region::all().in_box(*a, *b).in_circle(*c, *r).unwrap(),
        }
    }

    fn holds(&self, p: At) -> bool {
        let circle = |c: &At, r: f64| hypotenuse(c[0] - p[0], c[1] - p[1]) <= r;
        let inside = |a: &At, b: &At| (0..2).all(|i| a[i] <= p[i] && p[i] <= b[i]);
        match self {
            Part::All => true,
            Part::Circle(c, r) => circle(c, *r),
            Part::Box(a, b) => inside(a, b),
            Part::Both(c, r, a, b) => circle(c, *r) && inside(a, b),
        }
    }
}

fn all(index: &Points, search: &mut Nearest, k: usize) -> Vec<Found> {
    let (mut out, mut batch) = (Vec::new(), Batch::default());
    loop {
        let more = search.next_batch(index, k, |_| (), &mut batch);
        out.extend(batch.from(0));
        if !more {
            return out;
        }
    }
}

type Key = (u64, RowId, [u64; 2]);

fn key(distance: f64, row: RowId, at: At) -> Key {
    (distance.to_bits(), row, at.map(f64::to_bits))
}

fn model(entries: &BTreeSet<(RowId, [u64; 2])>, q: At, part: &Part) -> Vec<Key> {
    let mut out: Vec<Key> = entries
        .iter()
        .map(|(row, bits)| (*row, bits.map(f64::from_bits)))
        .filter(|(_, p)| part.holds(*p))
        .map(|(row, p)| key(hypotenuse(p[0] - q[0], p[1] - q[1]), row, p))
        .collect();
    out.sort_unstable();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn searches_find_what_a_scan_finds(
        changes in changes(),
        bulk in prop::bool::ANY,
        q in point(),
        centered in prop::bool::ANY,
        part in part(),
        k in 1..50usize,
    ) {
        // A circle around the point that is asked about has a way of its own.
        let q = match part {
            Part::Circle(center, _) | Part::Both(center, ..) if centered => center,
            _ => q,
        };
        let mut entries = BTreeSet::new();
        let index = if bulk {
            for (_, at, row) in &changes {
                entries.insert((*row, at.map(f64::to_bits)));
            }
            let list = entries.iter();
            Points::build(list.map(|(row, at)| Entry { at: at.map(f64::from_bits), row: *row }).collect())
        } else {
            Points::new()
        };
        for (add, at, row) in &changes {
            let own = (*row, at.map(f64::to_bits));
            if *add && !bulk {
                prop_assert_eq!(index.insert(*at, *row), entries.insert(own));
            } else {
                prop_assert_eq!(index.remove(*at, *row), entries.remove(&own));
            }
        }
        prop_assert_eq!(index.len(), entries.len());
        let mut search = Nearest::new(q, part.region());
        let found = all(&index, &mut search, k);
        let found: Vec<Key> = found.iter().map(|f| key(search.distance(f.at), f.row, f.at)).collect();
        prop_assert_eq!(found, model(&entries, q, &part));
    }

    #[test]
    fn boxes_between_bounds_are_found(
        boxes in prop::collection::vec([finite(), finite(), finite(), finite()], 0..400),
        low in [finite(), finite(), finite(), finite()],
        size in [0.0..50.0f64, 0.0..50.0f64, 0.0..50.0f64, 0.0..50.0f64],
    ) {
        let index = Boxes::new();
        for (row, at) in boxes.iter().enumerate() {
            index.insert(*at, row as u64);
        }
        let high: [f64; 4] = std::array::from_fn(|i| low[i] + size[i]);
        let mut found = Vec::new();
        index.within(&low, &high, &mut found);
        found.sort_unstable();
        let inside = |at: &[f64; 4]| (0..4).all(|i| low[i] <= at[i] && at[i] <= high[i]);
        let expected: Vec<RowId> =
            (0..boxes.len() as u64).filter(|r| inside(&boxes[*r as usize])).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn equal_points_are_told_apart_by_their_rows() {
    let index = Points::new();
    for row in 0..5_000 {
        assert!(index.insert([1.0, 2.0], row));
        assert!(!index.insert([1.0, 2.0], row));
    }
    let found = all(&index, &mut Nearest::new([0.0, 0.0], Region::all()), 7);
    assert!(found.iter().map(|f| f.row).eq(0..5_000));
    for row in (0..5_000).rev() {
        assert!(index.remove([1.0, 2.0], row));
    }
    assert!(index.is_empty());
}

/// Crowds next to nothing: how far one has to go is not what the first leaf lets one think.
#[test]
fn crowds_of_any_density_are_searched_to_the_end() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut entries = BTreeSet::new();
    let towns: Vec<(At, f64)> = (0..12)
        .map(|i| {
            let town = [rng.random_range(-1e3..1e3), rng.random_range(-1e3..1e3)];
            (town, 10f64.powi(i % 6 - 4))
        })
        .collect();
    for row in 0..6_000 {
        let (town, wide) = towns[rng.random_range(0..towns.len())];
        let at = town.map(|v| v + rng.random_range(-wide..wide));
        entries.insert((row, at.map(f64::to_bits)));
    }
    let list = entries.iter();
    let index = Points::build(
        list.map(|(row, at)| Entry { at: at.map(f64::from_bits), row: *row }).collect(),
    );
    for case in 0..300 {
        let (town, wide) = towns[case % towns.len()];
        let away = [0.0, 0.5, 1.1, 5.0][case % 4] * wide;
        let q = town.map(|v| v + rng.random_range(-1.0..1.0) * away);
        let k = [1, 10, 113, 600, 7_000][case % 5];
        let part = match case % 3 {
            0 => Part::All,
            1 => Part::Circle(q, wide * 20.0),
            _ => Part::Circle(q.map(|v| v + wide), wide * 3.0),
        };
        let mut found = Batch::default();
        let mut search = Nearest::new(q, part.region());
        search.next_batch(&index, k, |_| (), &mut found);
        let mut expected = model(&entries, q, &part);
        expected.truncate(k);
        let found: Vec<Key> =
            found.from(0).map(|f| key(search.distance(f.at), f.row, f.at)).collect();
        assert_eq!(found, expected, "case {case}");
    }
}

/// Writers move points about while readers look: points that stay are always found, and in order.
#[test]
fn readers_never_miss_what_stays() {
    const STAY: u64 = 2_000;
    let index = Points::new();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let stay: Vec<At> =
        (0..STAY).map(|_| [rng.random_range(0.0..100.0), rng.random_range(0.0..100.0)]).collect();
    for (row, at) in stay.iter().enumerate() {
        index.insert(*at, row as u64);
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (index, stay, over) = (&index, &stay, &over);
        for w in 0..2u64 {
            scope.spawn(move || {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(w);
                let mut held = std::collections::VecDeque::new();
                while !over.load(Ordering::Relaxed) {
                    let row = STAY + w * 1_000_000 + rng.random_range(0..100_000u64);
                    // Crowds come and go, so that leaves split and merge.
                    let crowd = f64::from(rng.random_range(0..4u32)) * 25.0;
                    let at = [crowd + rng.random_range(0.0..0.5), rng.random_range(0.0..100.0)];
                    if index.insert(at, row) {
                        held.push_back((at, row));
                    }
                    let many = if rng.random_bool(0.001) { 0 } else { 5_000 };
                    while held.len() > many {
                        let (at, row) = held.pop_front().unwrap();
                        assert!(index.remove(at, row));
                    }
                }
            });
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(99);
        for _ in 0..400 {
            let q = [rng.random_range(0.0..100.0), rng.random_range(0.0..100.0)];
            let region = Region::all().in_circle(q, 20.0).unwrap();
            let mut search = Nearest::new(q, region);
            let found = all(index, &mut search, 300);
            let order = |f: &Found| key(search.distance(f.at), f.row, f.at);
            assert!(found.windows(2).all(|w| order(&w[0]) < order(&w[1])));
            let rows: Vec<u64> = found.iter().map(|f| f.row).filter(|r| *r < STAY).collect();
            let near = |at: &At| hypotenuse(at[0] - q[0], at[1] - q[1]);
            let mut expected: Vec<u64> =
                (0..STAY).filter(|r| near(&stay[*r as usize]) <= 20.0).collect();
            expected.sort_by(|a, b| {
                near(&stay[*a as usize]).total_cmp(&near(&stay[*b as usize])).then(a.cmp(b))
            });
            assert_eq!(rows, expected);
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// A slot that is emptied at one point and filled at another, while the row that fills it stays at the first one as well:
/// a reader may see the new row at the old coordinates, and must not give that entry twice.
#[test]
fn an_entry_comes_out_once_beside_a_slot_that_is_filled() {
    let index = Points::new();
    let (first, second) = ([1.0, 1.0], [2.0, 2.0]);
    index.insert(first, 1);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (index, over) = (&index, &over);
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                for (at, row) in [(first, 2), (second, 1)] {
                    assert!(index.insert(at, row));
                    assert!(index.remove(at, row));
                }
            }
        });
        let twice = (0..1_000_000).any(|_| {
            let found = all(index, &mut Nearest::new([0.0, 0.0], Region::all()), 10);
            found.iter().filter(|f| f.row == 1 && f.at == first).count() != 1
        });
        over.store(true, Ordering::Relaxed);
        assert!(!twice);
    });
}
