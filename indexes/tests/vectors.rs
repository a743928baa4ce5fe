//! Both vector indexes against brute force: recall, never-short, deletes, concurrency.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_indexes::{
    Candidate, Clustering, Hnsw, HnswOptions, IvfOptions, Ivfflat, Progress, RowId, SearchParams,
    VectorIndex, VectorSource,
};
use vicinity_types::Result;

struct Rows {
    dim: usize,
    values: Vec<f32>,
}

impl Rows {
    fn random(n: usize, dim: usize, seed: u64) -> Rows {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Rows { dim, values: (0..n * dim).map(|_| rng.random_range(-50.0..50.0)).collect() }
    }

    /// Tight clusters, one after another.
    fn clusters(n: usize, dim: usize, clusters: usize, seed: u64) -> Rows {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut values = Vec::new();
        for _ in 0..clusters {
            let c: Vec<f32> = (0..dim).map(|_| rng.random_range(0.0..10000.0)).collect();
            for _ in 0..n / clusters {
                values.extend(c.iter().map(|x| x * rng.random_range(0.9..1.1)));
            }
        }
        Rows { dim, values }
    }

    fn sift() -> Option<Rows> {
        let text = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/sift-5k-128d.tsv"
        ));
        let values = text
            .ok()?
            .lines()
            .flat_map(|l| l.split('\t').take(128).map(|x| x.parse().unwrap()).collect::<Vec<f32>>())
            .collect();
        Some(Rows { dim: 128, values })
    }

    fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    fn row(&self, i: u64) -> &[f32] {
        &self.values[i as usize * self.dim..][..self.dim]
    }

    fn nearest(&self, q: &[f32], live: impl Fn(u64) -> bool, k: usize) -> Vec<(f32, u64)> {
        let mut all: Vec<(f32, u64)> =
            (0..self.len() as u64).filter(|i| live(*i)).map(|i| (l2(self.row(i), q), i)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.truncate(k);
        all
    }
}

impl VectorSource for Rows {
    fn len_hint(&self) -> usize {
        self.len()
    }
    fn for_each(&self, f: &mut dyn FnMut(RowId, &[f32]) -> Result<()>) -> Result<()> {
        (0..self.len() as u64).try_for_each(|i| f(i, self.row(i)))
    }
}

fn l2(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn hnsw(dim: usize) -> HnswOptions {
    HnswOptions { dim, ..Default::default() }
}

fn ivf(dim: usize, k: usize) -> IvfOptions {
    let clustering = Clustering::Internal { sample_permille: 1000, k };
    IvfOptions { dim, clustering, ..Default::default() }
}

fn built(rows: &Rows, k: usize) -> [Arc<dyn VectorIndex>; 2] {
    let p = Progress::new();
    [
        Arc::new(Hnsw::build(rows, hnsw(rows.dim), &p).unwrap()),
        Arc::new(Ivfflat::build(rows, ivf(rows.dim, k), &p).unwrap()),
    ]
}

fn empty(dim: usize, k: usize) -> [Arc<dyn VectorIndex>; 2] {
    [Arc::new(Hnsw::new(hnsw(dim))), Arc::new(Ivfflat::new(ivf(dim, k)).unwrap())]
}

fn params(limit: usize, extra: i32) -> SearchParams {
    SearchParams { limit, extra, filter: None }
}

/// The k nearest of the first batch, reranked as a scan would.
fn top(index: &Arc<dyn VectorIndex>, rows: &Rows, q: &[f32], k: usize, extra: i32) -> Vec<f32> {
    let mut out = Vec::new();
    let mut stream = Arc::clone(index).search(q, params(k, extra)).unwrap();
    while out.len() < k && stream.next_batch(&mut out) {}
    let mut ds: Vec<f32> = out.iter().map(|c| l2(rows.row(c.row), q)).collect();
    ds.sort_by(f32::total_cmp);
    ds.truncate(k);
    ds
}

fn everything(index: &Arc<dyn VectorIndex>, q: &[f32], limit: usize) -> Vec<Candidate> {
    let mut stream = Arc::clone(index).search(q, params(limit, 0)).unwrap();
    let mut out = Vec::new();
    let mut batches = 0;
    while stream.next_batch(&mut out) {
        batches += 1;
        assert!(batches < 10_000, "batches must grow");
    }
    out
}

fn recall(
    index: &Arc<dyn VectorIndex>,
    rows: &Rows,
    live: impl Fn(u64) -> bool + Copy,
    extra: i32,
) -> f64 {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(99);
    let (mut hit, mut all) = (0, 0);
    for _ in 0..100 {
        let mut q = rows.row(rng.random_range(0..rows.len() as u64)).to_vec();
        for _ in 0..8 {
            let d = rng.random_range(0..rows.dim);
            q[d] *= rng.random_range(0.9..1.1);
        }
        let truth = rows.nearest(&q, live, 10);
        let far = truth.last().unwrap().0 * 1.000_01;
        hit += top(index, rows, &q, 10, extra).iter().filter(|d| **d <= far).count();
        all += truth.len();
    }
    hit as f64 / all as f64
}

#[test]
fn recall_on_sift() {
    let Some(rows) = Rows::sift() else { return };
    let [hnsw, ivf] = built(&rows, 70);
    let (a, b) = (recall(&hnsw, &rows, |_| true, 80), recall(&ivf, &rows, |_| true, 0));
    assert!(a >= 0.99 && b >= 0.99, "hnsw {a}, ivfflat {b}");
}

#[test]
fn recall_on_clusters_built_and_inserted() {
    let rows = Rows::clusters(20_000, 32, 50, 1);
    for (index, extra) in built(&rows, 140).into_iter().zip([80, 30]) {
        let r = recall(&index, &rows, |_| true, extra);
        assert!(r >= 0.99, "built {r}");
    }
    for (index, extra) in empty(32, 140).into_iter().zip([80, 30]) {
        (0..rows.len() as u64).for_each(|i| index.insert(i, rows.row(i)).unwrap());
        let r = recall(&index, &rows, |_| true, extra);
        assert!(r >= 0.98, "inserted {r}");
    }
}

#[test]
fn streams_are_never_short() {
    let rows = Rows::clusters(3000, 16, 30, 2);
    for index in built(&rows, 50) {
        assert_eq!(index.len(), 3000);
        for limit in [0, 10, 1000, 100_000] {
            let all = everything(&index, rows.row(7), limit);
            let ids: HashSet<u64> = all.iter().map(|c| c.row).collect();
            assert_eq!((all.len(), ids.len()), (3000, 3000), "limit {limit}");
        }
    }
}

#[test]
fn approximate_distances_are_near_the_true_ones() {
    let rows = Rows::random(1000, 24, 3);
    for index in built(&rows, 20) {
        for c in everything(&index, rows.row(3), 10) {
            let d = l2(rows.row(c.row), rows.row(3));
            assert!((c.approx - d).abs() < d * 0.05 + 5.0, "{} {d}", c.approx);
        }
    }
}

#[test]
fn deleted_rows_stay_away_and_recall_holds() {
    let rows = Rows::clusters(10_000, 32, 20, 4);
    for (index, extra) in built(&rows, 100).into_iter().zip([80, 50]) {
        let before = index.memory();
        for i in (0..10_000u64).filter(|i| i % 2 == 1) {
            assert!(index.remove(i, rows.row(i)));
            assert!(!index.remove(i, rows.row(i)));
        }
        assert_eq!(index.len(), 5000);
        let all = everything(&index, rows.row(5), 10);
        assert!(all.iter().all(|c| c.row % 2 == 0));
        assert_eq!(all.iter().map(|c| c.row).collect::<HashSet<_>>().len(), 5000);
        let r = recall(&index, &rows, |i| i % 2 == 0, extra);
        assert!(r >= 0.99, "{r}");
        for i in (0..10_000u64).filter(|i| i % 2 == 1) {
            index.insert(i, rows.row(i)).unwrap();
        }
        let r = recall(&index, &rows, |_| true, extra);
        assert!(r >= 0.985, "{r}");
        assert!(index.memory() < before + before / 3, "{} {before}", index.memory());
    }
}

#[test]
fn a_row_may_have_two_entries_and_the_right_one_goes() {
    let rows = Rows::random(500, 8, 5);
    for index in built(&rows, 10) {
        let moved: Vec<f32> = rows.row(3).iter().map(|x| -x + 1.0).collect();
        index.insert(3, &moved).unwrap();
        assert_eq!(index.len(), 501);
        assert!(index.remove(3, rows.row(3)));
        let near = everything(&index, &moved, 1)[0];
        assert_eq!(near.row, 3);
        assert_eq!(everything(&index, rows.row(3), 1).iter().filter(|c| c.row == 3).count(), 1);
        assert!(everything(&index, rows.row(3), 1)[0].row != 3);
    }
}

#[test]
fn filters_and_errors() {
    let rows = Rows::random(2000, 8, 6);
    for index in built(&rows, 20) {
        let mut params = params(10, 0);
        params.filter = Some(Arc::new(|row| row % 100 == 0));
        let mut stream = Arc::clone(&index).search(rows.row(1), params).unwrap();
        let mut out = Vec::new();
        while stream.next_batch(&mut out) {}
        assert_eq!(out.iter().map(|c| c.row).collect::<HashSet<_>>().len(), 20);

        let e = index.insert(1, &[1.0]).unwrap_err();
        assert_eq!(e.code().as_str(), "22000");
        assert!(e.message().contains('8') && e.message().contains('1'));
        assert!(Arc::clone(&index).search(&[1.0; 9], SearchParams::default()).is_err());
        let e = Arc::clone(&index)
            .search(&[1.0; 8], SearchParams { extra: -1, ..Default::default() })
            .err()
            .unwrap();
        assert_eq!(e.code().as_str(), "22023");
    }
}

#[test]
fn strange_values() {
    let odd = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE];
    for index in empty(2, 4) {
        for (i, a) in odd.iter().enumerate() {
            for (j, b) in odd.iter().enumerate() {
                index.insert((i * 10 + j) as u64, &[*a, *b]).unwrap();
            }
        }
        for q in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, f32::MAX]] {
            assert_eq!(everything(&index, &q, 3).len(), odd.len() * odd.len());
        }
    }
    // The same vector over and over.
    for index in empty(4, 10) {
        (0..3000).for_each(|i| index.insert(i, &[1.0; 4]).unwrap());
        assert_eq!(everything(&index, &[1.0; 4], 3).len(), 3000);
    }
    // Nothing at all.
    let none = Rows { dim: 3, values: vec![] };
    for index in built(&none, 5) {
        assert!(everything(&index, &[1.0; 3], 3).is_empty());
        index.insert(1, &[1.0; 3]).unwrap();
        assert_eq!(everything(&index, &[1.0; 3], 3).len(), 1);
    }
}

#[test]
fn one_thread_and_one_seed_give_one_index() {
    let rows = Rows::clusters(3000, 16, 10, 8);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (a, b) = pool.install(|| (built(&rows, 30), built(&rows, 30)));
    for (a, b) in a.iter().zip(&b) {
        for i in 0..20 {
            assert_eq!(everything(a, rows.row(i * 100), 10), everything(b, rows.row(i * 100), 10));
        }
    }
}

#[test]
fn a_cancelled_build_stops() {
    let rows = Rows::random(20_000, 8, 9);
    let progress = Progress::new();
    progress.cancel();
    let e = Hnsw::build(&rows, hnsw(8), &progress).err().unwrap();
    assert_eq!(e.code().as_str(), "57014");
    assert!(Ivfflat::build(&rows, ivf(8, 10), &progress).is_err());
}

/// Rows below `keep` are never removed and must come out of every stream while others come and go.
#[test]
fn concurrent_inserts_removes_and_searches() {
    let rows = Rows::clusters(40_000, 12, 40, 10);
    let keep = 3000u64;
    for index in empty(12, 60) {
        (0..keep).for_each(|i| index.insert(i, rows.row(i)).unwrap());
        let stop = AtomicBool::new(false);
        std::thread::scope(|s| {
            for t in 0..2u64 {
                let (index, rows) = (&index, &rows);
                s.spawn(move || {
                    let mine = (keep..40_000).filter(|i| i % 2 == t);
                    for i in mine {
                        index.insert(i, rows.row(i)).unwrap();
                        if i % 3 == 0 {
                            assert!(index.remove(i, rows.row(i)));
                        }
                    }
                });
            }
            for t in 0..2u64 {
                let (index, rows, stop) = (&index, &rows, &stop);
                s.spawn(move || {
                    let mut q = t;
                    while !stop.load(Ordering::Relaxed) {
                        q = (q * 7919 + 13) % 40_000;
                        let all = everything(index, rows.row(q), 10);
                        let ids: HashSet<u64> = all.iter().map(|c| c.row).collect();
                        let kept = (0..keep).filter(|i| ids.contains(i)).count();
                        assert_eq!(kept, keep as usize);
                        stop.store(index.len() > 26_000, Ordering::Relaxed);
                    }
                });
            }
        });
        let live = |i: u64| i < keep || !i.is_multiple_of(3);
        let want: HashSet<u64> = (0..40_000).filter(|i| live(*i)).collect();
        let got: Vec<u64> = everything(&index, rows.row(1), 10).iter().map(|c| c.row).collect();
        assert_eq!(got.len(), want.len());
        assert_eq!(got.into_iter().collect::<HashSet<_>>(), want);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Any sequence of inserts and removes leaves exactly the model's rows, each once, in every stream.
    #[test]
    fn like_a_model(ops in proptest::collection::vec((any::<bool>(), 0u64..200, 0u8..20), 1..600)) {
        for index in empty(3, 8) {
            let mut model: Vec<(u64, u8)> = Vec::new();
            for (add, row, v) in &ops {
                let vector = [f32::from(*v), f32::from(v % 7), 1.0];
                if *add && !model.iter().any(|m| m.0 == *row) {
                    index.insert(*row, &vector).unwrap();
                    model.push((*row, *v));
                } else if let Some(at) = model.iter().position(|m| m.0 == *row) {
                    let (row, v) = model.swap_remove(at);
                    prop_assert!(index.remove(row, &[f32::from(v), f32::from(v % 7), 1.0]));
                }
            }
            let mut want: Vec<u64> = model.iter().map(|m| m.0).collect();
            let mut got: Vec<u64> =
                everything(&index, &[5.0, 3.0, 1.0], 5).iter().map(|c| c.row).collect();
            want.sort_unstable();
            got.sort_unstable();
            prop_assert_eq!(got, want);
        }
    }
}
