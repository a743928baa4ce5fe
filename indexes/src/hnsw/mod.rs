//! `pase_hnsw`: a neighbour graph over codes.
//!
//! ```text
//!   Core (read lock: search, insert, remove; write lock: grow, free slots, recode)
//!    +- coder       codes <-> vectors
//!    +- graph       slots: code, row id, links, next copy (atomics, lock-free to read)
//!    +- landmarks   where searches enter
//!   entries         row id -> slots
//! ```
//!
//! One flat layer; what the upper layers of the HNSW paper are for, the landmarks do (see `landmarks`). Rows are linked
//! in random order when the index is built, and a last pass links what no landmark leads to.

mod beam;
mod graph;
mod image;
mod landmarks;
mod link;
mod region;
mod stream;
mod upkeep;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use vicinity_types::pase::check_same_dimensions;
use vicinity_types::{PgError, Result, SqlState};

use crate::vector::image::reconcile;
use crate::vector::{
    CandidateStream, Coder, Learning, RowVectors, SearchParams, Survey, VectorIndex, VectorSource,
    check_dim,
};
use crate::{Phase, Progress, RowId, step_aside};
use beam::Beam;
use graph::{DEAD, Graph};
use landmarks::Landmarks;
use stream::HnswStream;
use upkeep::Vacuum;

/// The options of `pase_hnsw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HnswOptions {
    /// `dim`: dimensions of every vector.
    pub dim: usize,
    /// `base_nb_num`: neighbours a new node links to; twice as many are kept.
    pub m: usize,
    /// `ef_build`: beam width when linking.
    pub ef_build: usize,
    /// `ef_search`: beam width of a search that names none.
    pub ef_search: usize,
    /// `base64_encoded`: the column is text holding base64 of little-endian float4.
    pub base64_encoded: bool,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for HnswOptions {
    fn default() -> Self {
        HnswOptions { dim: 256, m: 16, ef_build: 40, ef_search: 50, base64_encoded: false, seed: 1 }
    }
}

/// A neighbour graph.
pub struct Hnsw {
    options: HnswOptions,
    core: RwLock<Core>,
    /// Slots by row id; a row may have several.
    entries: Mutex<HashTable<u32>>,
    hasher: RandomState,
    free: Mutex<Vec<u32>>,
    vacuum: Mutex<Vacuum>,
    beams: Mutex<Vec<Beam>>,
    len: AtomicUsize,
    changes: AtomicU64,
    learning: Learning,
}

struct Core {
    coder: Coder,
    graph: Graph,
    landmarks: RwLock<Landmarks>,
    /// Grows when codes change, so that a stream does not compare old distances with new ones.
    generation: u64,
}

impl Hnsw {
    /// An index without entries.
    pub fn new(options: HnswOptions) -> Self {
        let coder = Coder::exact(options.dim);
        Self::with(options, coder)
    }

    fn with(options: HnswOptions, coder: Coder) -> Self {
        let graph = Graph::new(coder.stride(), 2 * options.m);
        let core = Core { coder, graph, landmarks: RwLock::default(), generation: 0 };
        Hnsw {
            options,
            core: RwLock::new(core),
            entries: Mutex::default(),
            hasher: RandomState::new(),
            free: Mutex::default(),
            vacuum: Mutex::default(),
            beams: Mutex::default(),
            len: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            learning: Learning::new(),
        }
    }

    /// Builds from all rows of a source: two passes over it.
    pub fn build(
        source: &dyn VectorSource,
        options: HnswOptions,
        progress: &Progress,
    ) -> Result<Self> {
        let survey = Survey::take(source, options.dim, 0, options.seed, progress)?;
        let index = Self::with(options, survey.coder());
        index.load(source, survey.count, progress)?;
        let core = index.core.read();
        let mut order: Vec<u32> = (0..core.graph.len() as u32).collect();
        order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(index.options.seed));
        progress.start(Phase::Linking, order.len() as u64);
        let marks = Landmarks::target(order.len());
        let (first, others) = order.split_at(marks.min(order.len()));
        let link = |id: &u32, marks: usize| {
            index.link(&core, *id, marks);
            step_aside();
        };
        first.iter().for_each(|id| link(id, usize::MAX));
        others.par_chunks(256).try_for_each(|ids| {
            progress.check()?;
            ids.iter().for_each(|id| link(id, 0));
            progress.advance(ids.len() as u64);
            Ok(())
        })?;
        progress.start(Phase::Checking, order.len() as u64);
        index.connect(&core, progress)?;
        drop(core);
        Ok(index)
    }

    /// Codes and row ids of all rows into slots, not linked yet.
    fn load(&self, source: &dyn VectorSource, count: usize, progress: &Progress) -> Result<()> {
        progress.start(Phase::Loading, count as u64);
        let mut core = self.core.write();
        let mut code = vec![0u8; core.coder.stride()];
        self.entries.lock().reserve(count, |_| 0);
        source.for_each(&mut |row, v| {
            check_dim(self.options.dim, v.len())?;
            let id = match core.graph.next_slot() {
                Some(id) => id,
                None => {
                    progress.check()?;
                    core.graph.grow();
                    core.graph.next_slot().ok_or_else(too_many)?
                }
            };
            core.coder.encode(v, &mut code);
            core.graph.set_code(id, &code);
            self.publish(&core, id, row);
            Ok(())
        })
    }

    /// Makes a slot an entry of `row`.
    fn publish(&self, core: &Core, id: u32, row: RowId) {
        core.graph.set_row(id, row);
        let hash = |id: &u32| self.hasher.hash_one(core.graph.row(*id));
        self.entries.lock().insert_unique(self.hasher.hash_one(row), id, hash);
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes a row's entry a dead one.
    fn kill(&self, core: &Core, entries: &mut HashTable<u32>, row: RowId, id: u32) {
        if let Ok(entry) = entries.find_entry(self.hasher.hash_one(row), |e| *e == id) {
            entry.remove();
        }
        core.graph.set_row(id, DEAD);
        self.len.fetch_sub(1, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls `f` with a slot nobody uses, under the read lock.
    fn with_slot<T>(&self, f: impl FnOnce(&Core, u32) -> T) -> Result<T> {
        loop {
            let core = self.core.read();
            let reused = self.free.lock().pop();
            if let Some(id) = reused.or_else(|| core.graph.next_slot()) {
                return Ok(f(&core, id));
            }
            let had = core.graph.len();
            drop(core);
            let mut core = self.core.write();
            if core.graph.len() == had {
                if had > u32::MAX as usize / 2 {
                    return Err(too_many());
                }
                core.graph.grow();
            }
        }
    }

    /// Search state to use and to [`Hnsw::give_back`].
    fn beam(&self) -> Beam {
        self.beams.lock().pop().unwrap_or_default()
    }

    fn give_back(&self, mut beam: Beam) {
        beam.clear();
        if beam.rest.capacity() < 1 << 16 {
            self.beams.lock().push(beam);
        }
    }

    /// The options it was made with.
    pub fn options(&self) -> &HnswOptions {
        &self.options
    }
}

fn too_many() -> PgError {
    PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "index is limited to 2147483647 entries")
}

impl VectorIndex for Hnsw {
    fn insert(&self, row: RowId, vector: &[f32]) -> Result<()> {
        check_dim(self.options.dim, vector.len())?;
        self.learning.make_room(&self.core, vector, self.len());
        self.changes.fetch_add(1, Ordering::Relaxed);
        let exact = self.with_slot(|core, id| {
            let mut code = vec![0u8; core.coder.stride()];
            core.coder.encode(vector, &mut code);
            core.graph.set_code(id, &code);
            self.publish(core, id, row);
            self.link(core, id, Landmarks::target(self.len()));
            core.coder.is_exact()
        })?;
        if exact && self.learning.is_due(self.len()) {
            self.learning.train(&self.core, self.len(), self.options.seed);
        }
        Ok(())
    }

    fn remove(&self, row: RowId, vector: &[f32]) -> bool {
        if vector.len() != self.options.dim {
            return false;
        }
        let core = self.core.read();
        let query = core.coder.query(vector);
        let distance = |id: u32| core.coder.distance(&query, core.graph.code(id));
        let mut entries = self.entries.lock();
        let hash = self.hasher.hash_one(row);
        let mine = entries.iter_hash(hash).copied().filter(|id| core.graph.row(*id) == row);
        let nearest = mine.min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        let Some(id) = nearest else { return false };
        self.kill(&core, &mut entries, row, id);
        drop(entries);
        drop(core);
        self.sweep(id);
        true
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn memory(&self) -> usize {
        let core = self.core.read();
        let entries = self.entries.lock().capacity() * 5;
        core.graph.memory() + core.landmarks.read().memory() + entries
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
        let slots = (0..core.graph.len() as u32).map(|id| (core.graph.row(id), u64::from(id)));
        let entries = slots.filter(|(row, _)| *row < DEAD).collect();
        let same = |id: u64, v: &[f32], buffer: &mut Vec<u8>| {
            core.coder.stands_for(core.graph.code(id as u32), v, buffer)
        };
        let found = reconcile(entries, rows, same)?;
        drop(core);
        for id in found.stale {
            let id = id as u32;
            let core = self.core.read();
            let row = core.graph.row(id);
            self.kill(&core, &mut self.entries.lock(), row, id);
            drop(core);
            self.sweep(id);
        }
        Ok(found.missing)
    }

    fn search(
        self: Arc<Self>,
        query: &[f32],
        params: SearchParams,
    ) -> Result<Box<dyn CandidateStream>> {
        check_same_dimensions(self.options.dim, query.len())?;
        let ef = match usize::try_from(params.extra) {
            Ok(0) => self.options.ef_search,
            Ok(ef) => ef,
            Err(_) => {
                return Err(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("extra[{}] is illegal, should not be negative", params.extra),
                ));
            }
        };
        Ok(Box::new(HnswStream::new(self, query, ef, params)))
    }
}
