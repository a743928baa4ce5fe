//! The tree against a model, and under concurrent use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_indexes::{Btree, RowId};

type Entry = (Vec<u8>, RowId);

/// As the key encoder writes an int4.
fn int(v: u32) -> Vec<u8> {
    let mut key = vec![1];
    key.extend_from_slice(&(v ^ 1 << 31).to_be_bytes());
    key
}

fn all(
    tree: &Arc<Btree>,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    reverse: bool,
) -> Vec<Entry> {
    let mut cursor = tree.range(lower, upper, reverse);
    let mut out = Vec::new();
    while let Some(row) = cursor.next() {
        out.push((cursor.key().to_vec(), row));
    }
    out
}

fn model_range(
    model: &BTreeSet<Entry>,
    lower: &Bound<Vec<u8>>,
    upper: &Bound<Vec<u8>>,
) -> Vec<Entry> {
    let head = |k: &Vec<u8>, p: &Vec<u8>| k[..p.len().min(k.len())].to_vec();
    let inside = |k: &Vec<u8>| {
        (match lower {
            Bound::Included(p) => k >= p,
            Bound::Excluded(p) => k > p && head(k, p) != *p,
            Bound::Unbounded => true,
        }) && match upper {
            Bound::Included(p) => head(k, p) <= *p,
            Bound::Excluded(p) => k < p,
            Bound::Unbounded => true,
        }
    };
    model.iter().filter(|e| inside(&e.0)).cloned().collect()
}

fn same(tree: &Arc<Btree>, model: &BTreeSet<Entry>) {
    assert_eq!(tree.len(), model.len());
    let forward = all(tree, Bound::Unbounded, Bound::Unbounded, false);
    assert_eq!(forward, model.iter().cloned().collect::<Vec<_>>());
    let backward = all(tree, Bound::Unbounded, Bound::Unbounded, true);
    assert_eq!(backward, model.iter().rev().cloned().collect::<Vec<_>>());
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..4),
        proptest::collection::vec(any::<u8>(), 0..40),
        (0u32..500).prop_map(int),
        (0usize..3).prop_map(|n| vec![7; n * 700]),
    ]
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
        Just(Bound::Unbounded)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn like_a_btree_set(
        ops in proptest::collection::vec((0u8..5, key(), 0u64..6), 1..1500),
        bounds in proptest::collection::vec((bound(), bound()), 8),
        bulk in any::<bool>(),
    ) {
        let mut model = BTreeSet::new();
        let tree = if bulk {
            model.extend(ops.iter().take(ops.len() / 2).map(|(_, k, r)| (k.clone(), *r)));
            Arc::new(Btree::bulk_load(model.iter().cloned()))
        } else {
            Arc::new(Btree::new())
        };
        for (op, key, row) in &ops {
            if *op < 3 {
                prop_assert_eq!(tree.insert(key, *row), model.insert((key.clone(), *row)));
            } else {
                prop_assert_eq!(tree.remove(key, *row), model.remove(&(key.clone(), *row)));
            }
        }
        same(&tree, &model);
        for (lower, upper) in &bounds {
            let want = model_range(&model, lower, upper);
            let mut back = all(&tree, lower.clone(), upper.clone(), true);
            back.reverse();
            prop_assert_eq!(&all(&tree, lower.clone(), upper.clone(), false), &want);
            prop_assert_eq!(&back, &want);
        }
        for (_, key, _) in ops.iter().take(50) {
            let mut rows = Vec::new();
            tree.get(key, |row| { rows.push(row); true });
            let want: Vec<RowId> =
                model.iter().filter(|e| e.0.starts_with(key)).map(|e| e.1).collect();
            prop_assert_eq!(tree.get_one(key), want.first().copied());
            prop_assert_eq!(rows, want);
        }
    }
}

#[test]
fn many_entries_in_every_order() {
    let n = 60_000u32;
    let mut order: Vec<u32> = (0..n).collect();
    for how in ["ascending", "descending", "random"] {
        match how {
            "descending" => order.reverse(),
            "random" => order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(1)),
            _ => {}
        }
        let tree = Arc::new(Btree::new());
        for i in &order {
            assert!(tree.insert(&int(*i), u64::from(*i) * 3));
            assert!(!tree.insert(&int(*i), u64::from(*i) * 3));
        }
        assert_eq!(tree.len(), n as usize);
        let per_entry = tree.memory() / n as usize;
        assert!(per_entry <= 24, "{how}: {per_entry} bytes an entry");
        for i in 0..n {
            assert_eq!(tree.get_one(&int(i)), Some(u64::from(i) * 3));
        }
        assert_eq!(tree.get_one(&int(n)), None);
        for i in &order {
            assert!(tree.remove(&int(*i), u64::from(*i) * 3), "{how} {i}");
        }
        same(&tree, &BTreeSet::new());
        assert!(tree.memory() < 4096, "{how}: {} bytes left", tree.memory());
        assert!(tree.insert(&int(1), 1));
        assert_eq!(tree.get_one(&int(1)), Some(1));
    }
}

#[test]
fn one_key_with_many_rows() {
    let tree = Arc::new(Btree::new());
    let mut model = BTreeSet::new();
    for i in 0..5000u64 {
        let row = i * 7919 % 5000;
        tree.insert(b"same", row);
        model.insert((b"same".to_vec(), row));
    }
    same(&tree, &model);
    let mut rows = Vec::new();
    tree.get(b"same", |r| {
        rows.push(r);
        true
    });
    assert_eq!(rows, (0..5000).collect::<Vec<_>>());
    for row in 0..4990 {
        assert!(tree.remove(b"same", row));
    }
    assert_eq!(tree.get_one(b"same"), Some(4990));
}

#[test]
fn bulk_loaded_trees_are_small_and_sorted() {
    let n = 300_000u32;
    let tree = Arc::new(Btree::bulk_load((0..n).map(|i| (int(i), u64::from(i)))));
    assert_eq!(tree.len(), n as usize);
    assert!(tree.memory() / n as usize <= 16, "{}", tree.memory());
    let out = all(&tree, Bound::Included(int(1000)), Bound::Excluded(int(200_000)), false);
    assert_eq!(out.len(), 199_000);
    assert!(out.windows(2).all(|w| w[0] < w[1]));
}

#[test]
fn a_cursor_survives_changes() {
    let tree = Arc::new(Btree::new());
    (0..20_000).for_each(|i| {
        tree.insert(&int(i), u64::from(i));
    });
    for reverse in [false, true] {
        let mut cursor = tree.range(Bound::Unbounded, Bound::Unbounded, reverse);
        let mut seen = Vec::new();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        while let Some(row) = cursor.next() {
            seen.push(row);
            // Odd rows come and go; even ones stay.
            let i = rng.random_range(0..10_000u32) * 2 + 1;
            if !tree.remove(&int(i), u64::from(i)) {
                tree.insert(&int(i), u64::from(i));
            }
        }
        if reverse {
            seen.reverse();
        }
        assert!(seen.windows(2).all(|w| w[0] < w[1]));
        let even: Vec<u64> = seen.into_iter().filter(|r| r % 2 == 0).collect();
        assert_eq!(even, (0..10_000).map(|i| i * 2).collect::<Vec<_>>());
    }
}

/// Writers work on rows of their own; readers must always find the rows that stay, alone and in ranges.
#[test]
fn concurrent_readers_and_writers() {
    let tree = Arc::new(Btree::new());
    let n = 30_000u32;
    (0..n).filter(|i| i % 3 == 0).for_each(|i| {
        tree.insert(&int(i), u64::from(i));
    });
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let writers: Vec<_> = (1..3)
            .map(|w| {
                let tree = &tree;
                s.spawn(move || {
                    let mine: Vec<u32> = (0..n).filter(|i| i % 3 == w).collect();
                    for _ in 0..6 {
                        mine.iter().for_each(|i| assert!(tree.insert(&int(*i), u64::from(*i))));
                        mine.iter().for_each(|i| assert!(tree.remove(&int(*i), u64::from(*i))));
                    }
                    mine.iter().for_each(|i| assert!(tree.insert(&int(*i), u64::from(*i))));
                })
            })
            .collect();
        for seed in 0..2 {
            let (tree, stop) = (&tree, &stop);
            s.spawn(move || {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                while !stop.load(Ordering::Relaxed) {
                    let i = rng.random_range(0..n / 3) * 3;
                    assert_eq!(tree.get_one(&int(i)), Some(u64::from(i)));
                    let (lower, upper) = (Bound::Included(int(i)), Bound::Excluded(int(i + 3000)));
                    let part = all(tree, lower, upper, i % 2 == 0);
                    let kept = part.iter().filter(|e| e.1 % 3 == 0).count();
                    assert_eq!(kept, ((i + 3000).min(n) - i) as usize / 3);
                }
            });
        }
        writers.into_iter().for_each(|w| w.join().unwrap());
        stop.store(true, Ordering::Relaxed);
    });
    same(&tree, &(0..n).map(|i| (int(i), u64::from(i))).collect());
}
