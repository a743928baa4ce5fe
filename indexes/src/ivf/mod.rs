//! `pase_ivfflat`: inverted lists of codes around centroids.
//!
//! ```text
//!   Core (read lock: search, insert, remove; write lock: split a list, widen or retrain the codes)
//!    +- coder      codes <-> vectors, one for all lists
//!    +- table      centroids
//!    +- lists[i]   own lock; rows[] and codes[] side by side, no order, removal moves the last entry
//! ```
//!
//! A list that grows far beyond the others is split in two, so that rows unlike those the index was built from (or an
//! index made on an empty table) get centroids of their own.
#![allow(clippy::indexing_slicing)] // list numbers come from the table that has as many; vectors pass `check_dim`

mod image;
mod kmeans;
mod search;
mod table;
mod upkeep;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;
use rayon::prelude::*;
use vicinity_types::pase::check_same_dimensions;
use vicinity_types::{PgError, Result, SqlState};

use crate::vector::image::reconcile;
use crate::vector::{
    CandidateStream, Coder, Learning, Metric, RowVectors, SearchParams, Survey, VectorIndex,
    VectorSource, check_dim,
};
use crate::{Centroids, Phase, Progress, RowId};
use search::IvfStream;
use table::Table;

/// Where the centroids come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clustering {
    /// `clustering_type = 0`: a file on the server.
    External {
        /// `clustering_params`.
        path: PathBuf,
    },
    /// `clustering_type = 1`: k-means over a sample.
    Internal {
        /// Share of the rows to sample, in thousandths.
        sample_permille: u32,
        /// How many.
        k: usize,
    },
}

/// The options of `pase_ivfflat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IvfOptions {
    /// `dimension`: dimensions of every vector.
    pub dim: usize,
    /// `distance_type`.
    pub metric: Metric,
    /// `clustering_type` and `clustering_params`.
    pub clustering: Clustering,
    /// `base64_encoded`: the column is text holding base64 of little-endian float4.
    pub base64_encoded: bool,
    /// `omp_thread_num` when `open_omp = 1`: most threads of a build; 0 = all cores.
    pub threads: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for IvfOptions {
    fn default() -> Self {
        IvfOptions {
            dim: 256,
            metric: Metric::L2,
            clustering: Clustering::Internal { sample_permille: 100, k: 1000 },
            base64_encoded: false,
            threads: 0,
            seed: 1,
        }
    }
}

/// Sample vectors per centroid that are enough for k-means.
const SAMPLE_PER_CENTROID: usize = 256;
/// Rows that a build encodes at once.
const BATCH: usize = 16 * 1024;

/// Inverted lists around centroids.
pub struct Ivfflat {
    options: IvfOptions,
    core: RwLock<Core>,
    len: AtomicUsize,
    changes: AtomicU64,
    learning: Learning,
}

struct Core {
    coder: Coder,
    table: Table,
    lists: Vec<RwLock<List>>,
    /// Grows when codes change, so that a stream does not compare old distances with new ones.
    generation: u64,
}

/// Entries near one centroid.
#[derive(Default)]
struct List {
    rows: Vec<RowId>,
    codes: Vec<u8>,
    /// No split before this length: it was tried in vain (copies of one vector).
    split_at: usize,
}

impl List {
    fn push(&mut self, row: RowId, code: &[u8]) {
        if self.rows.len() == self.rows.capacity() {
            let more = self.rows.len() / 8 + 8;
            self.rows.reserve_exact(more);
            self.codes.reserve_exact(more * code.len());
        }
        self.rows.push(row);
        self.codes.extend_from_slice(code);
    }

    fn swap_remove(&mut self, i: usize, stride: usize) {
        let last = self.rows.len() - 1;
        self.rows.swap_remove(i);
        self.codes.copy_within(last * stride.., i * stride);
        self.codes.truncate(last * stride);
        if self.rows.capacity() > 2 * last + 64 {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.rows.shrink_to_fit();
        self.codes.shrink_to_fit();
    }
}

impl Ivfflat {
    /// An index without entries; with external clustering it reads the file.
    pub fn new(options: IvfOptions) -> Result<Self> {
        let centroids = match &options.clustering {
            Clustering::External { path } => Centroids::load(path, options.dim)?.values,
            Clustering::Internal { .. } => Vec::new(),
        };
        let coder = Coder::exact(options.dim);
        Ok(Self::with(options, coder, &centroids))
    }

    fn with(options: IvfOptions, coder: Coder, centroids: &[f32]) -> Self {
        let table = Table::new(options.dim, centroids);
        let lists = (0..table.len()).map(|_| RwLock::default()).collect();
        Ivfflat {
            options,
            core: RwLock::new(Core { coder, table, lists, generation: 0 }),
            len: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            learning: Learning::new(),
        }
    }

    /// Builds from all rows of a source: two passes over it.
    pub fn build(
        source: &dyn VectorSource,
        options: IvfOptions,
        progress: &Progress,
    ) -> Result<Self> {
        if options.threads == 0 {
            return Self::build_here(source, options, progress);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
        let pool =
            pool.map_err(|e| PgError::internal(format!("could not start build threads: {e}")))?;
        pool.install(|| Self::build_here(source, options, progress))
    }

    fn build_here(
        source: &dyn VectorSource,
        options: IvfOptions,
        progress: &Progress,
    ) -> Result<Self> {
        let (dim, seed) = (options.dim, options.seed);
        let (survey, centroids) = match &options.clustering {
            Clustering::External { path } => {
                let centroids = Centroids::load(path, dim)?.values;
                (Survey::take(source, dim, 0, seed, progress)?, centroids)
            }
            Clustering::Internal { sample_permille, k } => {
                let asked = source.len_hint() as u64 * u64::from(*sample_permille) / 1000;
                let want = (asked as usize).clamp(*k, k.saturating_mul(SAMPLE_PER_CENTROID));
                let survey = Survey::take(source, dim, want, seed, progress)?;
                let sample = survey.sample.len().min(want * dim);
                progress.start(Phase::Clustering, 0);
                let sample = &survey.sample[..sample];
                let centroids = kmeans::kmeans(sample, dim, *k, seed, progress)?;
                (survey, centroids)
            }
        };
        let index = Self::with(options, survey.coder(), &centroids);
        progress.start(Phase::Loading, survey.count as u64);
        drop(survey);
        index.load(source, progress)?;
        Ok(index)
    }

    /// The second pass: every row into its list.
    fn load(&self, source: &dyn VectorSource, progress: &Progress) -> Result<()> {
        let dim = self.options.dim;
        let (mut rows, mut vectors) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH * dim));
        source.for_each(&mut |row, v| {
            check_dim(dim, v.len())?;
            rows.push(row);
            vectors.extend_from_slice(v);
            if rows.len() == BATCH {
                progress.check()?;
                self.load_batch(&rows, &vectors)?;
                progress.advance(BATCH as u64);
                rows.clear();
                vectors.clear();
            }
            Ok(())
        })?;
        self.load_batch(&rows, &vectors)?;
        let core = self.core.read();
        core.lists.par_iter().for_each(|l| l.write().shrink());
        Ok(())
    }

    fn load_batch(&self, rows: &[RowId], vectors: &[f32]) -> Result<()> {
        let dim = self.options.dim;
        let core = self.core.read();
        if core.lists.is_empty() {
            // Nothing finite to make centroids of.
            drop(core);
            let mut all = rows.iter().zip(vectors.chunks_exact(dim));
            return all.try_for_each(|(row, v)| self.insert(*row, v));
        }
        let stride = core.coder.stride();
        let mut codes = vec![0u8; rows.len() * stride];
        codes
            .par_chunks_mut(stride)
            .zip(vectors.par_chunks(dim))
            .for_each(|(code, v)| core.coder.encode(v, code));
        let nearest = core.table.nearest_parallel(vectors);
        for ((row, code), (list, _)) in rows.iter().zip(codes.chunks_exact(stride)).zip(nearest) {
            core.lists[list as usize].write().push(*row, code);
        }
        self.len.fetch_add(rows.len(), Ordering::Relaxed);
        Ok(())
    }

    /// The options it was made with.
    pub fn options(&self) -> &IvfOptions {
        &self.options
    }
}

impl VectorIndex for Ivfflat {
    fn insert(&self, row: RowId, vector: &[f32]) -> Result<()> {
        check_dim(self.options.dim, vector.len())?;
        self.learning.make_room(&self.core, vector, self.len());
        let mut core = self.core.read();
        if core.lists.is_empty() {
            drop(core);
            let mut first = self.core.write();
            if first.lists.is_empty() {
                first.table.push(vector);
                first.lists.push(RwLock::default());
            }
            drop(first);
            core = self.core.read();
        }
        let mut code = vec![0u8; core.coder.stride()];
        core.coder.encode(vector, &mut code);
        let i = core.table.nearest_one(vector);
        let mut list = core.lists[i].write();
        list.push(row, &code);
        self.changes.fetch_add(1, Ordering::Relaxed);
        let len = self.len.fetch_add(1, Ordering::Relaxed) + 1;
        let split = list.rows.len() > self.split_len(core.lists.len()).max(list.split_at);
        let train = core.coder.is_exact() && self.learning.is_due(len);
        drop(list);
        drop(core);
        if split {
            self.split(i);
        }
        if train {
            self.learning.train(&self.core, self.len(), self.options.seed);
        }
        Ok(())
    }

    fn remove(&self, row: RowId, vector: &[f32]) -> bool {
        if vector.len() != self.options.dim {
            return false;
        }
        let core = self.core.read();
        let Some(i) = self.find(&core, row, vector) else { return false };
        let stride = core.coder.stride();
        let query = core.coder.query(vector);
        let mut list = core.lists[i].write();
        let codes = &list.codes;
        let distance = |at: &usize| core.coder.distance(&query, &codes[at * stride..][..stride]);
        let at = (0..list.rows.len())
            .filter(|at| list.rows[*at] == row)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let Some(at) = at else { return false };
        list.swap_remove(at, stride);
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.len.fetch_sub(1, Ordering::Relaxed);
        true
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn memory(&self) -> usize {
        let core = self.core.read();
        let lists = core.lists.iter().map(|l| {
            let l = l.read();
            size_of::<RwLock<List>>() + l.rows.capacity() * size_of::<RowId>() + l.codes.capacity()
        });
        lists.sum::<usize>() + core.table.memory()
    }

    fn dim(&self) -> usize {
        self.options.dim
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    fn write_image(&self, out: &mut dyn io::Write) -> io::Result<Option<usize>> {
        self.write(out)
    }

    fn reconcile(&self, rows: &dyn RowVectors) -> Result<Vec<RowId>> {
        let core = self.core.read();
        let stride = core.coder.stride();
        let lists: Vec<_> = core.lists.iter().map(RwLock::read).collect();
        let same = |place: u64, v: &[f32], buffer: &mut Vec<u8>| {
            let (list, at) = ((place >> 32) as usize, (place & 0xffff_ffff) as usize);
            core.coder.stands_for(&lists[list].codes[at * stride..][..stride], v, buffer)
        };
        let found = reconcile(self.places(), rows, same)?;
        drop(lists);
        drop(core);
        self.remove_places(found.stale);
        Ok(found.missing)
    }

    fn search(
        self: Arc<Self>,
        query: &[f32],
        params: SearchParams,
    ) -> Result<Box<dyn CandidateStream>> {
        check_same_dimensions(self.options.dim, query.len())?;
        let permille = match params.extra {
            0 => 20,
            p @ 1..=1000 => p.unsigned_abs() as usize,
            _ => {
                return Err(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("extra[{}] is illegal, should in (0, 1000]", params.extra),
                ));
            }
        };
        Ok(Box::new(IvfStream::new(self, query, permille, params)))
    }
}
