//! The stream of a graph search.
//!
//! The first batches are the pool of a search as wide as asked; then the search resumes twice as wide with what fell
//! out of the pool. When that has seen much of the index, or the graph has no more to give, every slot not yet seen is
//! compared: so every live entry comes out (invariant *never-short*).
#![allow(clippy::indexing_slicing)] // positions in vectors of its own

use std::sync::Arc;

use super::beam::{Beam, Near};
use super::graph::DEAD;
use super::{Core, Hnsw};
use crate::vector::{Candidate, CandidateStream, PAGE, Query, RowFilter, SearchParams};

/// The graph is left for a plain scan when this share of it was met.
const SCAN_SHARE: usize = 8;

/// A search is at least this wide, whatever ef it asks for: less saves some 70 us and takes recall@10 on a million rows
/// of the PASE document's data from 0.99 to 0.96.
const LEAST_WIDTH: usize = 160;

/// The far end of a pool has gaps: a search is that many times as wide as what it is likely to give.
const SPARE: usize = 2;

/// A pool wider than this costs more to keep in order than comparing every slot.
const MOST_WIDTH: usize = 4096;

pub(super) struct HnswStream {
    index: Arc<Hnsw>,
    vector: Box<[f32]>,
    query: Query,
    generation: u64,
    filter: Option<RowFilter>,
    beam: Option<Beam>,
    state: State,
    width: usize,
    batch: usize,
    /// Pool entries that came out.
    passed: usize,
    /// Vertices whose links were read.
    vertices: u64,
    /// Bytes of codes read in a scan.
    scanned: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Begin,
    Graph,
    /// The pool's `rest` holds everything that has not come out.
    Scan,
    End,
}

impl HnswStream {
    pub(super) fn new(index: Arc<Hnsw>, vector: &[f32], ef: usize, params: SearchParams) -> Self {
        let core = index.core.read();
        let (query, generation) = (core.coder.query(vector), core.generation);
        drop(core);
        let batch =
            params.limit.saturating_add(params.limit / 2).saturating_add(24).clamp(40, 1 << 20);
        HnswStream {
            vector: vector.into(),
            query,
            generation,
            filter: params.filter,
            beam: Some(index.beam()),
            state: State::Begin,
            width: ef.max(batch.saturating_mul(SPARE)).max(LEAST_WIDTH),
            batch,
            passed: 0,
            vertices: 0,
            scanned: 0,
            index,
        }
    }

    /// Appends up to a batch of the pool's entries that may be shown.
    fn emit(&mut self, core: &Core, beam: &Beam, out: &mut Vec<Candidate>) -> bool {
        let scale = core.coder.scale();
        let before = out.len();
        while self.passed < beam.pool.len() && out.len() - before < self.batch {
            let near = beam.pool[self.passed];
            self.passed += 1;
            let row = core.graph.row(near.id);
            if row < DEAD && self.filter.as_ref().is_none_or(|f| f(row)) {
                out.push(Candidate { row, approx: near.distance * scale });
            }
        }
        out.len() > before
    }

    /// Fills the pool anew, all of whose entries came out.
    fn refill(&mut self, core: &Core, beam: &mut Beam) {
        self.passed = 0;
        match self.state {
            State::Begin if self.width > MOST_WIDTH => {
                beam.clear();
                self.scan(core, beam);
            }
            State::Begin => {
                beam.enter(core, &self.query, self.width);
                beam.run(core, &self.query, self.width);
                self.state = State::Graph;
            }
            State::Graph => {
                beam.pool.clear();
                self.width *= 2;
                let seen = beam.visited.len();
                let enough = self.width > MOST_WIDTH || seen * SCAN_SHARE > core.graph.len();
                if enough || beam.rest.is_empty() {
                    self.scan(core, beam);
                    return;
                }
                take_nearest(&mut beam.rest, self.width, &mut beam.pool);
                beam.run(core, &self.query, self.width);
            }
            State::Scan => {
                beam.pool.clear();
                take_nearest(&mut beam.rest, self.batch, &mut beam.pool);
                if beam.pool.is_empty() {
                    self.state = State::End;
                }
            }
            State::End => beam.pool.clear(),
        }
    }

    /// Compares every slot that the search has not met, and leaves the graph.
    fn scan(&mut self, core: &Core, beam: &mut Beam) {
        for id in 0..core.graph.len() as u32 {
            if core.graph.row(id) < DEAD && !beam.visited.contains(id) {
                let distance = core.coder.distance(&self.query, core.graph.code(id));
                beam.rest.push(Near { distance, id, expanded: true });
            }
        }
        self.scanned += (core.graph.len() * core.coder.stride()) as u64;
        self.state = State::Scan;
        self.refill(core, beam);
    }
}

/// Moves the `n` nearest of `from` to `to`, in order.
fn take_nearest(from: &mut Vec<Near>, n: usize, to: &mut Vec<Near>) {
    let farthest_first = |a: &Near, b: &Near| b.distance.total_cmp(&a.distance);
    let keep = from.len().saturating_sub(n);
    if keep > 0 {
        from.select_nth_unstable_by(keep, farthest_first);
    }
    to.extend(from.drain(keep..));
    to.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance));
}

impl CandidateStream for HnswStream {
    fn next_batch(&mut self, out: &mut Vec<Candidate>) -> bool {
        let Some(mut beam) = self.beam.take() else { return false };
        let index = Arc::clone(&self.index);
        let core = index.core.read();
        if core.generation != self.generation {
            // Distances are in new units: begin again, as wide as it has become.
            self.generation = core.generation;
            self.query = core.coder.query(&self.vector);
            self.state = State::Begin;
            self.passed = 0;
            beam.clear();
        }
        while !self.emit(&core, &beam, out) && self.state != State::End {
            self.refill(&core, &mut beam);
        }
        if self.state != State::Begin {
            self.batch = (self.batch * 2).min(1 << 20);
        }
        self.vertices += std::mem::take(&mut beam.expanded);
        self.beam = Some(beam);
        self.state != State::End
    }

    fn pages(&self) -> u64 {
        self.vertices + self.scanned.div_ceil(PAGE)
    }
}

impl Drop for HnswStream {
    fn drop(&mut self) {
        if let Some(beam) = self.beam.take() {
            self.index.give_back(beam);
        }
    }
}
