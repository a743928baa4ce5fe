//! Nearest rows through a vector index: candidates, the version the snapshot sees, the exact distance
//! from the stored vector, and then the order (invariants *hints*, *ordered*, *never-short*).

use std::sync::Arc;

use crossbeam_epoch::Guard;
use hashbrown::HashSet;
use vicinity_indexes::{Candidate, CandidateStream, SearchParams, VectorIndex};
use vicinity_types::Result;
use vicinity_types::pase::squared_distance;

use super::cursor::Filter;
use super::{Row, Table};
use crate::mvcc::{RowId, Snapshot};
use crate::store::index::IndexStore;

/// A row that passed everything and waits for its turn.
struct Found {
    distance: f64,
    row: RowId,
}

pub(super) struct VectorScan {
    stream: Box<dyn CandidateStream>,
    index: Arc<IndexStore>,
    query: Arc<[f32]>,
    /// Rows to gather before the next ones are handed out.
    wanted: usize,
    /// A row with several entries comes up several times.
    seen: HashSet<RowId>,
    batch: Vec<Candidate>,
    /// Farthest first.
    found: Vec<Found>,
    exhausted: bool,
    /// How far the stream has come. A row farther away waits: its candidate was the entry of another version, and what
    /// lies between has not come up yet.
    frontier: f64,
    /// Next row of the last phase: those without a vector.
    without: RowId,
    scratch: Vec<f32>,
    last: Option<f64>,
    /// Rows fetched.
    fetched: u64,
}

impl VectorScan {
    pub(super) fn begin(
        vectors: Arc<dyn VectorIndex>,
        index: Arc<IndexStore>,
        query: Arc<[f32]>,
        extra: i32,
        limit: usize,
    ) -> Result<VectorScan> {
        let limit = limit.max(1);
        let params = SearchParams {
            limit: if limit == usize::MAX { 0 } else { limit },
            extra,
            filter: None,
        };
        Ok(VectorScan {
            stream: vectors.search(&query, params)?,
            index,
            query,
            wanted: limit,
            seen: HashSet::new(),
            batch: Vec::new(),
            found: Vec::new(),
            exhausted: false,
            frontier: f64::NEG_INFINITY,
            without: 0,
            scratch: Vec::new(),
            last: None,
            fetched: 0,
        })
    }

    /// See [`Cursor::pages`](super::Cursor::pages).
    pub(super) fn pages(&self) -> u64 {
        self.stream.pages() + self.fetched
    }

    pub(super) fn distance(&self) -> Option<f64> {
        self.last
    }

    pub(super) fn next<'g>(
        &mut self,
        table: &Table,
        snapshot: &Snapshot,
        guard: &'g Guard,
        filter: &mut Filter<'_>,
    ) -> Result<Option<Row<'g>>> {
        loop {
            while self.found.last().is_some_and(|f| self.is_reached(f))
                && let Some(found) = self.found.pop()
            {
                if let Some(row) = table.fetch(found.row, snapshot, guard)? {
                    self.last = Some(found.distance);
                    return Ok(Some(row));
                }
            }
            if self.exhausted {
                self.last = None;
                return self.next_without(table, snapshot, guard, filter);
            }
            self.gather(table, snapshot, guard, filter)?;
        }
    }

    fn is_reached(&self, found: &Found) -> bool {
        self.exhausted || found.distance <= self.frontier
    }

    /// Takes candidates until enough rows passed or there are no more, and puts them in order.
    fn gather(
        &mut self,
        table: &Table,
        snapshot: &Snapshot,
        guard: &Guard,
        filter: &mut Filter<'_>,
    ) -> Result<()> {
        while !self.exhausted {
            self.batch.clear();
            self.exhausted = !self.stream.next_batch(&mut self.batch);
            for candidate in &self.batch {
                self.frontier = self.frontier.max(reach(candidate.approx));
                if !self.seen.insert(candidate.row) {
                    continue;
                }
                self.fetched += 1;
                let Some(row) = table.fetch(candidate.row, snapshot, guard)? else { continue };
                let query = &self.query;
                let distance =
                    self.index.vector(row.layout, row.bytes, &mut self.scratch, |v| {
                        squared_distance(v, query)
                    })?;
                if let Some(distance) = distance
                    && filter(&row)?
                {
                    self.found.push(Found { distance, row: candidate.row });
                }
            }
            if self.found.iter().filter(|f| self.is_reached(f)).count() >= self.wanted {
                break;
            }
        }
        self.found
            .sort_unstable_by(|a, b| b.distance.total_cmp(&a.distance).then(b.row.cmp(&a.row)));
        self.wanted = self.wanted.saturating_mul(2);
        Ok(())
    }

    /// Rows whose vector is NULL are in no index; they come last, as ORDER BY has them.
    fn next_without<'g>(
        &mut self,
        table: &Table,
        snapshot: &Snapshot,
        guard: &'g Guard,
        filter: &mut Filter<'_>,
    ) -> Result<Option<Row<'g>>> {
        let Some((column, _)) = self.index.column() else { return Ok(None) };
        while self.without < table.store.rows.end() {
            let id = self.without;
            self.without += 1;
            self.fetched += 1;
            if let Some(row) = table.pass(id, snapshot, guard)?
                && row.raw(column).is_none()
                && filter(&row)?
            {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

/// What an approximate distance reaches: a little farther, as it is in single precision.
fn reach(approx: f32) -> f64 {
    if approx.is_nan() { f64::INFINITY } else { f64::from(approx) * (1.0 + 1e-5) }
}
