//! The stream of an inverted-list search.
//!
//! Lists are taken in stages: first the share of clusters the query asks for, then twice as many more, and so on. A
//! stage's entries come out by distance, a batch at a time; the state between batches is only the last distance and
//! row that came out, and the lists are scanned again for what lies beyond. Most queries need one batch.
#![allow(clippy::indexing_slicing)] // positions are bounded by the lists they were counted in

use std::sync::Arc;

use super::{Core, Ivfflat};
use crate::RowId;
use crate::vector::{Candidate, CandidateStream, PAGE, Query, RowFilter, SearchParams};

/// A search looks at this many entries at least, whatever share of the clusters it asks for: in a small index a share
/// of few clusters may be next to nothing, and this many cost about 20 us.
const MIN_SCAN: usize = 4096;

/// Distance as ordered bits, then row: distances are never negative, so their bits order as they do.
type Key = (u32, RowId);

pub(super) struct IvfStream {
    index: Arc<Ivfflat>,
    vector: Box<[f32]>,
    query: Query,
    generation: u64,
    filter: Option<RowFilter>,
    /// Lists; the stages so far come first, each in order.
    order: Vec<(f32, u32)>,
    /// The lists of this stage: `order[stage.0..stage.1]`.
    stage: (usize, usize),
    /// The last entry of this stage that came out.
    last: Option<Key>,
    batch: usize,
    scratch: Vec<f32>,
    heap: Vec<Key>,
    /// Bytes of centroids and codes read.
    read: u64,
}

impl IvfStream {
    pub(super) fn new(
        index: Arc<Ivfflat>,
        query: &[f32],
        permille: usize,
        params: SearchParams,
    ) -> Self {
        let core = index.core.read();
        let coded = core.coder.query(query);
        let mut order = core.table.all(query);
        let generation = core.generation;
        let mut probes = (order.len() * permille).div_ceil(1000).min(order.len());
        sort_range(&mut order, 0, probes);
        while probes < order.len() && core.entries(&order[..probes]) < MIN_SCAN {
            let more = (probes + probes.max(1)).min(order.len());
            sort_range(&mut order, probes, more);
            probes = more;
        }
        let read = size_of_val(query) as u64 * order.len() as u64;
        drop(core);
        IvfStream {
            index,
            vector: query.into(),
            query: coded,
            generation,
            filter: params.filter,
            order,
            stage: (0, probes),
            last: None,
            // Codes rank nearly as well as the vectors: a few more than asked make up for it.
            batch: params
                .limit
                .saturating_add(params.limit / 2)
                .saturating_add(24)
                .clamp(40, 1 << 20),
            scratch: Vec::new(),
            heap: Vec::new(),
            read,
        }
    }

    /// Collects the next `self.batch` entries of the stage in order; true if the stage has more.
    fn scan(&mut self, core: &Core) -> bool {
        let stride = core.coder.stride();
        let last = self.last;
        let mut most: Key = (u32::MAX, RowId::MAX);
        let mut more = false;
        self.heap.clear();
        for (_, list) in &self.order[self.stage.0..self.stage.1] {
            let list = core.lists[*list as usize].read();
            let codes = &list.codes[..list.rows.len() * stride];
            self.read += codes.len() as u64;
            core.coder.distances(&self.query, codes, &mut self.scratch);
            for (d, row) in self.scratch.iter().zip(&list.rows) {
                let key = (d.to_bits(), *row);
                if key.0 > most.0 || last.is_some_and(|l| key <= l) {
                    continue;
                }
                if self.filter.as_ref().is_some_and(|f| !f(*row)) {
                    continue;
                }
                self.heap.push(key);
                if self.heap.len() >= 2 * self.batch {
                    self.heap.select_nth_unstable(self.batch);
                    most = self.heap[self.batch];
                    self.heap.truncate(self.batch);
                    more = true;
                }
            }
        }
        self.heap.sort_unstable();
        more |= self.heap.len() > self.batch;
        self.heap.truncate(self.batch);
        more
    }

    /// Moves on to the next lists; false if there are none.
    fn next_stage(&mut self, core: &Core) -> bool {
        // Lists that were split off since; some of their entries may have come out already.
        for new in self.order.len()..core.lists.len() {
            self.order.push((f32::INFINITY, new as u32));
        }
        let (_, end) = self.stage;
        if end == self.order.len() {
            return false;
        }
        let next = (end + (end * 2).max(1)).min(self.order.len());
        sort_range(&mut self.order, end, next);
        self.stage = (end, next);
        self.last = None;
        true
    }
}

impl Core {
    /// Entries in these lists.
    fn entries(&self, lists: &[(f32, u32)]) -> usize {
        lists.iter().map(|(_, i)| self.lists[*i as usize].read().rows.len()).sum()
    }
}

/// Brings the nearest of `order[from..]` to `order[from..to]`, in order.
fn sort_range(order: &mut [(f32, u32)], from: usize, to: usize) {
    let rest = &mut order[from..];
    if to - from < rest.len() && to > from {
        rest.select_nth_unstable_by(to - from - 1, |a, b| a.0.total_cmp(&b.0));
    }
    rest[..to - from].sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
}

impl CandidateStream for IvfStream {
    fn next_batch(&mut self, out: &mut Vec<Candidate>) -> bool {
        let index = Arc::clone(&self.index);
        let core = index.core.read();
        if core.generation != self.generation {
            // Distances are in new units: the stage begins again.
            self.generation = core.generation;
            self.query = core.coder.query(&self.vector);
            self.last = None;
        }
        loop {
            let more = self.scan(&core);
            let scale = core.coder.scale();
            let found = self
                .heap
                .iter()
                .map(|(d, row)| Candidate { row: *row, approx: f32::from_bits(*d) * scale });
            out.extend(found);
            self.last = self.heap.last().copied().or(self.last);
            if !more && !self.next_stage(&core) {
                return false;
            }
            if !self.heap.is_empty() {
                self.batch = (self.batch * 2).min(1 << 20);
                return true;
            }
        }
    }

    fn pages(&self) -> u64 {
        self.read.div_ceil(PAGE)
    }
}
