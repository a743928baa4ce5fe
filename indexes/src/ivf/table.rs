//! Centroids, laid out so that many vectors are compared with all of them at memory speed.
#![allow(clippy::indexing_slicing)] // lengths are the table's own; outside vectors pass `check_dim` first

use rayon::prelude::*;

use super::kmeans::SMALL;
use crate::aside::step_aside;
use crate::vector::{LANES, ROWS, kernels};

/// Centroids in blocks of [`LANES`], dimension by dimension, and the halves of their squared norms.
pub(crate) struct Table {
    dim: usize,
    len: usize,
    /// `blocks[(b * dim + d) * LANES + lane]`.
    blocks: Vec<f32>,
    half_norms: Vec<f32>,
}

impl Table {
    pub(crate) fn new(dim: usize, values: &[f32]) -> Self {
        let mut table = Table { dim, len: 0, blocks: Vec::new(), half_norms: Vec::new() };
        for v in values.chunks_exact(dim) {
            table.push(v);
        }
        table
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, v: &[f32]) {
        if self.len.is_multiple_of(LANES) {
            self.blocks.resize(self.blocks.len() + self.dim * LANES, 0.0);
            // Lanes without a centroid are farther than any.
            self.half_norms.resize(self.half_norms.len() + LANES, f32::INFINITY);
        }
        self.len += 1;
        self.set(self.len - 1, v);
    }

    pub(crate) fn set(&mut self, i: usize, v: &[f32]) {
        let (block, lane) = (i / LANES, i % LANES);
        for (d, x) in v.iter().enumerate() {
            self.blocks[(block * self.dim + d) * LANES + lane] = *x;
        }
        self.half_norms[i] = v.iter().map(|x| x * x).sum::<f32>() / 2.0;
    }

    /// All centroids, one behind the other.
    pub(crate) fn values(&self) -> Vec<f32> {
        (0..self.len).flat_map(|i| self.get(i)).collect()
    }

    pub(crate) fn get(&self, i: usize) -> Vec<f32> {
        let (block, lane) = (i / LANES, i % LANES);
        (0..self.dim).map(|d| self.blocks[(block * self.dim + d) * LANES + lane]).collect()
    }

    /// Calls `f(row, block, half squared distances - half |v|^2)` for up to [`ROWS`] vectors.
    #[inline]
    fn compare(&self, rows: &[&[f32]; ROWS], mut f: impl FnMut(usize, usize, &[f32; LANES])) {
        let mut dots = [[0f32; LANES]; ROWS];
        let blocks = self.blocks.chunks_exact(self.dim * LANES);
        for ((b, block), norms) in blocks.enumerate().zip(self.half_norms.chunks_exact(LANES)) {
            kernels().dots(rows, block, &mut dots);
            for (r, dots) in dots.iter_mut().enumerate() {
                for (d, n) in dots.iter_mut().zip(norms) {
                    *d = n - *d;
                }
                f(r, b, dots);
            }
        }
    }

    /// The nearest centroid of each vector, and the squared distance to it.
    pub(crate) fn nearest(&self, vectors: &[f32], out: &mut [(u32, f32)]) {
        for (rows, out) in vectors.chunks(ROWS * self.dim).zip(out.chunks_mut(ROWS)) {
            let mut slices = [&rows[..self.dim]; ROWS];
            for (s, row) in slices.iter_mut().zip(rows.chunks_exact(self.dim)) {
                *s = row;
            }
            let mut best = [(f32::INFINITY, 0usize); ROWS];
            self.compare(&slices, |r, b, ds| {
                // The minimum first (it vectorises), its place only when it wins.
                let least = ds.iter().copied().fold(f32::INFINITY, f32::min);
                if least < best[r].0 {
                    let lane = ds.iter().position(|d| *d == least).unwrap_or(0);
                    best[r] = (least, b * LANES + lane);
                }
            });
            for ((o, (d, c)), v) in out.iter_mut().zip(best).zip(&slices) {
                let norm: f32 = v.iter().map(|x| x * x).sum();
                *o = (u32::try_from(c).unwrap_or(0), (2.0 * d + norm).max(0.0));
            }
        }
    }

    /// [`Table::nearest`] on all threads of the pool, if there are many vectors.
    pub(crate) fn nearest_parallel(&self, vectors: &[f32]) -> Vec<(u32, f32)> {
        const AT_ONCE: usize = 64 * ROWS;
        let mut out = vec![(0, 0.0); vectors.len() / self.dim];
        if out.len() <= SMALL {
            self.nearest(vectors, &mut out);
            return out;
        }
        vectors.par_chunks(AT_ONCE * self.dim).zip(out.par_chunks_mut(AT_ONCE)).for_each(
            |(v, o)| {
                self.nearest(v, o);
                step_aside();
            },
        );
        out
    }

    /// The nearest centroid of one vector; it must have one.
    pub(crate) fn nearest_one(&self, v: &[f32]) -> usize {
        let all = self.all(v);
        all.iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |a| a.1 as usize)
    }

    /// All centroids with a key that grows with their distance to `v`; not in order.
    pub(crate) fn all(&self, v: &[f32]) -> Vec<(f32, u32)> {
        let mut dots = vec![0f32; self.half_norms.len()];
        kernels().dots_one(v, &self.blocks, &mut dots);
        let keys = self.half_norms.iter().zip(dots).map(|(n, d)| n - d);
        keys.zip(0u32..).take(self.len).collect()
    }

    pub(crate) fn memory(&self) -> usize {
        (self.blocks.capacity() + self.half_norms.capacity()) * 4
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn nearest_is_nearest() {
        let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(3);
        for (dim, k, n) in [(1, 1, 5), (7, 20, 50), (80, 33, 100)] {
            let cs: Vec<f32> = (0..k * dim).map(|_| rng.random_range(-10.0..10.0)).collect();
            let vs: Vec<f32> = (0..n * dim).map(|_| rng.random_range(-10.0..10.0)).collect();
            let table = Table::new(dim, &cs);
            let got = table.nearest_parallel(&vs);
            for (v, (c, d)) in vs.chunks(dim).zip(got) {
                let l2 = |c: &[f32]| v.iter().zip(c).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
                let best = cs.chunks(dim).map(l2).fold(f32::INFINITY, f32::min);
                assert!(l2(&table.get(c as usize)) <= best * 1.001 + 1e-3);
                assert!((d - best).abs() <= best * 0.01 + 1e-2);
                let all = table.all(v);
                assert_eq!(all.len(), k);
                let first = all.iter().min_by(|a, b| a.0.total_cmp(&b.0)).map(|a| a.1);
                assert_eq!(first, Some(c));
            }
        }
    }
}
