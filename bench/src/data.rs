//! The vectors of a bench run: the PASE document's, or a file's.
#![allow(clippy::indexing_slicing)] // a bench over data it made itself

use std::ops::Range;
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use vicinity_indexes::{RowId, VectorSource};
use vicinity_types::{PgError, Result};

/// Rows of one dimension, one behind the other; the row id is the position.
pub(crate) struct Data {
    pub(crate) dim: usize,
    values: Vec<f32>,
}

/// The first rows of the data.
pub(crate) struct Source<'a>(&'a Data, usize);

impl VectorSource for Source<'_> {
    fn len_hint(&self) -> usize {
        self.1
    }

    fn for_each(&self, f: &mut dyn FnMut(RowId, &[f32]) -> Result<()>) -> Result<()> {
        (0..self.1 as u64).try_for_each(|row| f(row, self.0.row(row)))
    }
}

impl Data {
    /// What the document's DO block inserts: 100 centres uniform in 0..10000 with 80 dimensions, around each a
    /// hundredth of the rows, each dimension u * (0.9 .. 1.1).
    pub(crate) fn document(rows: usize, seed: u64) -> Self {
        let mut data = Data { dim: 80, values: Vec::with_capacity(rows * 80) };
        data.add_document(rows, seed);
        data
    }

    fn add_document(&mut self, rows: usize, seed: u64) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let per_cluster = rows.div_ceil(100).max(1);
        let mut centre = Vec::new();
        for row in 0..rows {
            if row % per_cluster == 0 {
                centre = (0..80).map(|_| (rng.random::<f64>() * 10000.0).trunc()).collect();
            }
            let around = centre.iter().map(|u| (u * (1.1 - 0.2 * rng.random::<f64>())) as f32);
            self.values.extend(around);
        }
    }

    /// As many rows again behind these: new clusters, or for other data the same rows slightly changed.
    pub(crate) fn again(&self, seed: u64) -> Self {
        let mut values = self.values.clone();
        values.reserve_exact(self.values.len());
        let mut data = Data { dim: self.dim, values };
        if self.dim == 80 {
            data.add_document(self.len(), seed);
        } else {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            data.values.extend(self.values.iter().map(|x| x * rng.random_range(0.9..1.1)));
        }
        data
    }

    /// The first `dim` numbers of each line, separated by white space.
    pub(crate) fn read(path: &Path, dim: usize) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| PgError::internal(format!("{}: {e}", path.display())))?;
        let mut data = Data { dim, values: Vec::new() };
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            let before = data.values.len();
            let numbers = line.split_whitespace().flat_map(str::parse::<f32>);
            data.values.extend(numbers.take(dim));
            if data.values.len() != before + dim {
                return Err(PgError::internal("a line has too few numbers"));
            }
        }
        Ok(data)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    pub(crate) fn row(&self, row: RowId) -> &[f32] {
        &self.values[row as usize * self.dim..][..self.dim]
    }

    pub(crate) fn ids(&self, range: Range<usize>) -> Vec<RowId> {
        range.map(|i| i as RowId).collect()
    }

    pub(crate) fn source(&self, rows: usize) -> Source<'_> {
        Source(self, rows)
    }

    /// Stored rows with 8 dimensions changed by up to 10%.
    pub(crate) fn queries(&self, count: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let query = |_| {
            let mut q = self.row(rng.random_range(0..self.len()) as RowId).to_vec();
            for _ in 0..8 {
                let d = rng.random_range(0..self.dim);
                q[d] *= rng.random_range(0.9..1.1);
            }
            q
        };
        (0..count).map(query).collect()
    }

    /// The squared distances of the k nearest among `rows`, in order.
    pub(crate) fn truth(&self, queries: &[Vec<f32>], rows: &[RowId], k: usize) -> Vec<Vec<f32>> {
        let one = |q: &Vec<f32>| {
            let mut all: Vec<f32> = rows.iter().map(|r| l2(q, self.row(*r))).collect();
            let k = k.min(all.len());
            if k > 0 && k < all.len() {
                all.select_nth_unstable_by(k - 1, f32::total_cmp);
            }
            all.truncate(k);
            all.sort_unstable_by(f32::total_cmp);
            all
        };
        queries.par_iter().map(one).collect()
    }
}

/// How many of the distances found are as near as the k nearest.
pub(crate) fn hits(found: impl Iterator<Item = f32>, truth: &[f32]) -> usize {
    let far = truth.last().copied().unwrap_or(0.0) * 1.000_001;
    found.filter(|d| *d <= far).count()
}

/// Squared distance.
pub(crate) fn l2(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    for (a, b) in a.chunks(16).zip(b.chunks(16)) {
        for ((s, a), b) in sums.iter_mut().zip(a).zip(b) {
            *s += (a - b) * (a - b);
        }
    }
    sums.iter().sum()
}

/// A place on the map.
pub(crate) type At = [f64; 2];

/// The places of airports in OpenFlights' format, on a map of a million by a million around the origin.
pub(crate) fn cities(path: &Path) -> Result<Vec<At>> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|e| PgError::internal(format!("{}: {e}", path.display())))?;
    let place = |line: &str| {
        // Names may have commas in them; what follows the coordinates has none.
        let mut fields = line.rsplit(',').skip(6);
        let (longitude, latitude) = (fields.next()?, fields.next()?);
        let scaled = |v: &str, range: f64| Some(v.parse::<f64>().ok()? / range * 500_000.0);
        Some([scaled(longitude, 180.0)?, scaled(latitude, 90.0)?])
    };
    Ok(text.lines().filter_map(place).collect())
}
