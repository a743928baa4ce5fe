//! Boxes, circles and polygons through a spatial index, which has the box around each: candidates between bounds or by
//! the distance of that box, and the version the snapshot sees (invariants *hints*, *ordered*, *never-short*).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crossbeam_epoch::Guard;
use vicinity_indexes::Boxes;
use vicinity_indexes::spatial::{Entry, NearestBoxes};
use vicinity_types::geo::Point;
use vicinity_types::{Datum, Result};

use super::cursor::Filter;
use super::{Row, Table};
use crate::mvcc::{RowId, Snapshot};
use crate::store::index::IndexStore;
use crate::store::place::Place;

/// Candidates asked for at first where no limit says, and at most at once.
const SOME: usize = 64;
const MOST: usize = 1 << 14;

/// Rows with a box between bounds. What is in the index by an older or newer box comes up too: the filter has the whole
/// condition.
pub(super) struct BoxScan {
    rows: Vec<RowId>,
    at: usize,
    blocks: u64,
}

impl BoxScan {
    pub(super) fn new(index: &Boxes, low: &[f64; 4], high: &[f64; 4]) -> BoxScan {
        let mut rows = Vec::new();
        let blocks = index.within(low, high, &mut rows);
        // A row with several entries comes up several times.
        rows.sort_unstable();
        rows.dedup();
        BoxScan { rows, at: 0, blocks }
    }

    /// See [`Cursor::pages`](super::Cursor::pages).
    pub(super) fn pages(&self) -> u64 {
        self.blocks + self.at as u64
    }

    pub(super) fn next<'g>(
        &mut self,
        table: &Table,
        snapshot: &Snapshot,
        guard: &'g Guard,
        filter: &mut Filter<'_>,
    ) -> Result<Option<Row<'g>>> {
        while let Some(id) = self.rows.get(self.at) {
            self.at += 1;
            if let Some(row) = table.fetch(*id, snapshot, guard)?
                && filter(&row)?
            {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

/// What rows are ordered by: how far their values are from a point.
#[derive(Clone, Copy, Debug)]
pub struct Near {
    /// The point.
    pub point: Point,
    /// The operator. A value is never nearer than the box around it.
    pub distance: fn(&Datum, Point) -> Result<f64>,
}

/// Rows by the distance of their values, those equally far by id. The index knows how near a value may be; it waits
/// until nothing that was not looked at can be as near.
pub(super) struct NearScan {
    boxes: Arc<Boxes>,
    index: Arc<IndexStore>,
    near: Near,
    search: NearestBoxes,
    /// Candidates, the nearest first.
    batch: Vec<Entry<4>>,
    at: usize,
    wanted: usize,
    more: bool,
    /// Rows that pass the filter, by the bits of their distance, which order as it does.
    waiting: BinaryHeap<Reverse<(u64, RowId)>>,
    /// Next row of the last phase, those without a value; `None` if they are not wanted.
    without: Option<RowId>,
    last: Option<f64>,
    fetched: u64,
}

impl NearScan {
    /// `limit` rows are wanted; `nulls` if rows without a value come last.
    pub(super) fn new(
        boxes: Arc<Boxes>,
        index: &Arc<IndexStore>,
        near: Near,
        (low, high): ([f64; 4], [f64; 4]),
        limit: usize,
        nulls: bool,
    ) -> NearScan {
        NearScan {
            boxes,
            index: index.clone(),
            near,
            search: NearestBoxes::new([near.point.x, near.point.y], low, high),
            batch: Vec::new(),
            at: 0,
            wanted: limit.saturating_add(limit / 4 + 4).min(if limit == usize::MAX {
                SOME
            } else {
                MOST
            }),
            more: true,
            waiting: BinaryHeap::new(),
            without: nulls.then_some(0),
            last: None,
            fetched: 0,
        }
    }

    /// See [`Cursor::pages`](super::Cursor::pages).
    pub(super) fn pages(&self) -> u64 {
        self.search.blocks() + self.fetched
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
            if self.at >= self.batch.len() && self.more {
                self.more = self.search.next_batch(&self.boxes, self.wanted, &mut self.batch);
                self.wanted = self.wanted.saturating_mul(4).min(MOST);
                self.at = 0;
                continue;
            }
            let candidate = self.batch.get(self.at).copied();
            if let Some(Reverse((bits, row))) = self.waiting.peek().copied() {
                let distance = f64::from_bits(bits);
                if candidate.is_none_or(|c| distance < self.search.bound(&c.at)) {
                    self.waiting.pop();
                    self.last = Some(distance);
                    // Its version stays as long as the snapshot is held.
                    return table.fetch(row, snapshot, guard);
                }
            }
            let Some(candidate) = candidate else { break };
            self.at += 1;
            self.look_at(&candidate, table, snapshot, guard, filter)?;
        }
        self.last = None;
        self.next_without(table, snapshot, guard, filter)
    }

    /// Puts a candidate's row in order, if it is wanted and the entry is of the version that is seen.
    fn look_at(
        &mut self,
        candidate: &Entry<4>,
        table: &Table,
        snapshot: &Snapshot,
        guard: &Guard,
        filter: &mut Filter<'_>,
    ) -> Result<()> {
        self.fetched += 1;
        let Some(row) = table.fetch(candidate.row, snapshot, guard)? else { return Ok(()) };
        let Some(value) = self.index.value(row.layout, row.bytes)? else { return Ok(()) };
        if Place::of_value(&value)?.same(&Place::Box(candidate.at)) && filter(&row)? {
            let distance = (self.near.distance)(&value, self.near.point)?.abs();
            self.waiting.push(Reverse((distance.to_bits(), row.id)));
        }
        Ok(())
    }

    /// Rows whose value is NULL are in no index; they come last, as ORDER BY has them.
    fn next_without<'g>(
        &mut self,
        table: &Table,
        snapshot: &Snapshot,
        guard: &'g Guard,
        filter: &mut Filter<'_>,
    ) -> Result<Option<Row<'g>>> {
        let Some(next) = &mut self.without else { return Ok(None) };
        while *next < table.store.rows.end() {
            let id = *next;
            *next += 1;
            self.fetched += 1;
            if let Some(row) = table.pass(id, snapshot, guard)?
                && self.index.value(row.layout, row.bytes)?.is_none()
                && filter(&row)?
            {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}
