//! Scans: a position in a table or one of its indexes that hands out visible rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_epoch::Guard;
use vicinity_indexes::spatial::{Nearest, Region};
use vicinity_indexes::{BtreeCursor, PAGE};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::boxes::{BoxScan, Near, NearScan};
use super::spatial::PointScan;
use super::union::Union;
use super::vector::VectorScan;
use super::{KeyRange, Row, Table};
use crate::mvcc::version::HEADER;
use crate::mvcc::{RowId, Snapshot};
use crate::store::index::{Body, IndexStore, Keyed};
use crate::txn::serializable::Noted;
use crate::txn::serializable::predicate::Limit;

/// How a scan goes through a table.
#[derive(Clone, Debug)]
pub enum Access {
    /// All rows, in no order that means anything.
    Seq,
    /// The rows with ids in `from..to`: a part of a sequential scan.
    Range {
        /// First id.
        from: RowId,
        /// Behind the last id; `RowId::MAX` for the end of the table.
        to: RowId,
    },
    /// One row.
    Row(RowId),
    /// The rows whose key lies in a range, in key order.
    Btree {
        /// The index.
        index: Oid,
        /// Over its encoded keys.
        range: KeyRange,
        /// From the last key to the first.
        reverse: bool,
    },
    /// All rows by their vector's Euclidean distance, nearest first; NULL vectors last.
    Vector {
        /// The index.
        index: Oid,
        /// What to be near to.
        query: Arc<[f32]>,
        /// ef or permille, as `pase` has it; 0 is the index's default.
        extra: i32,
        /// Rows wanted, OFFSET included; `usize::MAX` if all. Further ones can be had.
        limit: usize,
    },
    /// Rows whose point lies in a region, by the distance from a point if there is one, nearest first; then NULL
    /// points last, unless there is a region.
    Points {
        /// The index.
        index: Oid,
        /// Where; `None` is everywhere.
        region: Option<Region>,
        /// What to be near to; without one the order means nothing.
        near: Option<[f64; 2]>,
        /// Rows wanted, OFFSET included; `usize::MAX` if all. Further ones can be had.
        limit: usize,
    },
    /// At least the rows whose value lies in a box (low x, low y, high x, high y) between bounds; nearest first, and then
    /// NULLs, unless there are bounds, or in no order.
    Boxes {
        /// The index.
        index: Oid,
        /// The least coordinates of the box.
        low: [f64; 4],
        /// The largest coordinates of the box.
        high: [f64; 4],
        /// What to be near to.
        near: Option<Near>,
        /// Rows wanted, OFFSET included; `usize::MAX` if all. Further ones can be had.
        limit: usize,
    },
    /// The rows of any of these, each once: all are scans of points around one point, or all scans of boxes, in one
    /// order if any.
    Union(Vec<Access>),
}

/// How [`Cursor::each`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// There may be more rows: go on, under another guard.
    Paused,
    /// Whoever took the rows had enough.
    Stopped,
    /// There are no more.
    Ended,
}

/// Rows a scan goes past under one guard.
const STRETCH: u64 = 4096;

/// A filter over visible rows.
pub type Filter<'f> = dyn FnMut(&Row<'_>) -> Result<bool> + 'f;

/// A scan's position. Owns what it needs; may be kept over an await, without a guard.
pub struct Cursor {
    table: Arc<Table>,
    snapshot: Snapshot,
    state: State,
    /// What a transaction at SERIALIZABLE has noted of it.
    noted: Option<Box<Noted>>,
}

enum State {
    Rows { from: RowId, next: RowId, end: RowId, bytes: u64 },
    Btree { cursor: BtreeCursor, index: Arc<IndexStore>, key: Vec<u8>, fetched: u64, reverse: bool },
    Vector(Box<VectorScan>),
    Points(Box<PointScan>),
    Boxes(BoxScan),
    Near(Box<NearScan>),
    Union(Union),
}

/// Whether bounds of boxes leave nothing out.
pub(super) fn is_everywhere(low: &[f64; 4], high: &[f64; 4]) -> bool {
    low.iter().all(|v| *v == f64::NEG_INFINITY) && high.iter().all(|v| *v == f64::INFINITY)
}

fn not_ready() -> PgError {
    PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "index is not ready")
}

impl Table {
    /// Begins a scan. The snapshot's versions stay until the cursor is dropped.
    pub fn open(self: &Arc<Self>, access: Access, snapshot: Snapshot) -> Result<Cursor> {
        let counters = &self.store.counters;
        let noted = if snapshot.watched { self.reads(&access, &snapshot) } else { None };
        let state = match access {
            Access::Seq => {
                counters.seq_scans.fetch_add(1, Ordering::Relaxed);
                State::Rows { from: 0, next: 0, end: self.store.rows.end(), bytes: 0 }
            }
            Access::Range { from, to } => {
                State::Rows { from, next: from, end: to.min(self.store.rows.end()), bytes: 0 }
            }
            Access::Row(row) => {
                State::Rows { from: row, next: row, end: row.saturating_add(1), bytes: 0 }
            }
            Access::Btree { index, range, reverse } => {
                counters.index_scans.fetch_add(1, Ordering::Relaxed);
                let index = self.store.index(index).ok_or_else(not_ready)?;
                let cursor = match &**index.body() {
                    Body::Btree(b) => b.range(range.lower, range.upper, reverse),
                    _ => return Err(not_ready()),
                };
                State::Btree { cursor, index, key: Vec::new(), fetched: 0, reverse }
            }
            Access::Vector { index, query, extra, limit } => {
                counters.index_scans.fetch_add(1, Ordering::Relaxed);
                let index = self.store.index(index).ok_or_else(not_ready)?;
                let body = index.body();
                let Body::Vector(v) = &**body else { return Err(not_ready()) };
                let scan = VectorScan::begin(v.clone(), index.clone(), query, extra, limit)?;
                drop(body);
                State::Vector(Box::new(scan))
            }
            Access::Points { index, region, near, limit } => {
                counters.index_scans.fetch_add(1, Ordering::Relaxed);
                let indexes = self.store.indexes();
                let index = indexes.iter().find(|i| i.oid == index).ok_or_else(not_ready)?;
                let body = index.body();
                let Body::Points(points) = &**body else { return Err(not_ready()) };
                let nulls = near.is_some() && region.is_none();
                let region = region.unwrap_or_else(Region::all);
                let search = Nearest::new(near.unwrap_or_else(|| region.center()), region);
                let scan = PointScan::new(self, points.clone(), index, search, limit, nulls);
                State::Points(Box::new(scan))
            }
            Access::Boxes { index, low, high, near, limit } => {
                counters.index_scans.fetch_add(1, Ordering::Relaxed);
                let index = self.store.index(index).ok_or_else(not_ready)?;
                let body = index.body();
                let Body::Boxes(boxes) = &**body else { return Err(not_ready()) };
                match near {
                    Some(near) => {
                        let (boxes, nulls) = (boxes.clone(), is_everywhere(&low, &high));
                        let scan = NearScan::new(boxes, &index, near, (low, high), limit, nulls);
                        State::Near(Box::new(scan))
                    }
                    None => State::Boxes(BoxScan::new(boxes, &low, &high)),
                }
            }
            Access::Union(parts) => {
                let open = |part| self.open(part, snapshot);
                State::Union(Union::new(parts.into_iter().map(open).collect::<Result<_>>()?))
            }
        };
        self.core.clock.share(snapshot.slot());
        Ok(Cursor { table: self.clone(), snapshot, state, noted })
    }
}

impl Table {
    /// The visible row under a whole key of a unique index: a scan of one step, without a cursor.
    /// `key` is [`KeyRange::key`]; its bytes are compared with each candidate's.
    #[inline]
    pub fn lookup<'g>(
        &self,
        index: Oid,
        key: &[u8],
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Result<Option<Row<'g>>> {
        self.store.counters.index_scans.fetch_add(1, Ordering::Relaxed);
        let indexes = self.store.indexes();
        let index = indexes.iter().find(|i| i.oid == index).ok_or_else(not_ready)?;
        let body = index.body();
        let Body::Btree(btree) = &**body else { return Err(not_ready()) };
        if snapshot.watched {
            self.reads_key(index.oid, key, snapshot);
        }
        let mut found = Ok(None);
        let mut theirs = Vec::with_capacity(key.len());
        btree.get(key, |id| {
            let row = match self.fetch(id, snapshot, guard) {
                Ok(Some(row)) => row,
                Ok(None) => return true,
                Err(e) => {
                    found = Err(e);
                    return false;
                }
            };
            match index.key(row.layout, row.bytes, &mut theirs) {
                Ok(keyed) if keyed != Keyed::Absent && theirs == key => found = Ok(Some(row)),
                Ok(_) => return true,
                Err(e) => found = Err(e),
            }
            false
        });
        if snapshot.watched {
            self.core.clock.serializable.check(snapshot)?;
        }
        found
    }
}

impl Cursor {
    /// The table it goes through.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The next visible row that passes the filter. A row comes out at most once.
    #[inline]
    pub fn next<'g>(
        &mut self,
        guard: &'g Guard,
        filter: &mut impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<Option<Row<'g>>> {
        let row = self.step(guard, filter, &mut u64::MAX.clone())?;
        if self.snapshot.watched {
            self.came_to(row.is_none())?;
        }
        Ok(row)
    }

    #[inline]
    fn step<'g>(
        &mut self,
        guard: &'g Guard,
        filter: &mut impl FnMut(&Row<'_>) -> Result<bool>,
        left: &mut u64,
    ) -> Result<Option<Row<'g>>> {
        let table = &*self.table;
        match &mut self.state {
            State::Rows { next, end, bytes, .. } => {
                while *next < *end && *left > 0 {
                    let id = *next;
                    *next += 1;
                    *left -= 1;
                    let Some(row) = table.pass(id, &self.snapshot, guard)? else { continue };
                    *bytes += (HEADER + row.bytes.len()) as u64;
                    if filter(&row)? {
                        return Ok(Some(row));
                    }
                }
                Ok(None)
            }
            State::Btree { cursor, index, key, fetched, .. } => {
                while *left > 0
                    && let Some(id) = cursor.next()
                {
                    *fetched += 1;
                    *left -= 1;
                    let Some(row) = table.fetch(id, &self.snapshot, guard)? else { continue };
                    // The entry may stand for an older or newer version than the visible one.
                    let keyed = index.key(row.layout, row.bytes, key)?;
                    if keyed != Keyed::Absent && key == cursor.key() && filter(&row)? {
                        return Ok(Some(row));
                    }
                }
                Ok(None)
            }
            State::Vector(scan) => scan.next(table, &self.snapshot, guard, filter),
            State::Points(scan) => {
                let mut next = None;
                scan.each(table, &self.snapshot, guard, filter, |row| {
                    next = Some(*row);
                    Ok(false)
                })?;
                Ok(next)
            }
            State::Boxes(scan) => scan.next(table, &self.snapshot, guard, filter),
            State::Near(scan) => scan.next(table, &self.snapshot, guard, filter),
            State::Union(scan) => scan.next(table, &self.snapshot, guard, filter),
        }
    }

    /// Calls `take` with each further visible row that passes the filter, until that returns false, or to the end; in
    /// between it comes back for a fresh guard, under which memory can be freed.
    #[inline]
    pub fn each<'g>(
        &mut self,
        guard: &'g Guard,
        filter: &mut impl FnMut(&Row<'_>) -> Result<bool>,
        mut take: impl FnMut(&Row<'g>) -> Result<bool>,
    ) -> Result<Walk> {
        if let State::Points(scan) = &mut self.state {
            let ended = scan.each(&self.table, &self.snapshot, guard, filter, take)?;
            if self.snapshot.watched {
                self.came_to(ended)?;
            }
            return Ok(if ended { Walk::Ended } else { Walk::Stopped });
        }
        let mut left = STRETCH;
        while let Some(row) = self.step(guard, filter, &mut left)? {
            if self.snapshot.watched {
                self.came_to(false)?;
            }
            if !take(&row)? {
                return Ok(Walk::Stopped);
            }
        }
        if left == 0 {
            return Ok(Walk::Paused);
        }
        if self.snapshot.watched {
            self.came_to(true)?;
        }
        Ok(Walk::Ended)
    }

    /// Rows of a transaction at SERIALIZABLE are good as long as it may commit.
    #[cold]
    fn came_to(&mut self, end: bool) -> Result<()> {
        if end {
            // It has read all it was to read.
            self.noted = None;
        }
        self.table.core.clock.serializable.check(&self.snapshot)
    }

    /// The scan is over, or nobody asks on: what it has read ends with the last row.
    #[cold]
    fn stop_at(&mut self, noted: Noted) {
        let limit = match &mut self.state {
            State::Btree { cursor, reverse, .. } => {
                let key = cursor.key().to_vec();
                if *reverse { Limit::Lower(key) } else { Limit::Upper(key) }
            }
            State::Vector(_) | State::Points(_) => match self.distance() {
                Some(distance) => Limit::Distance(distance),
                None => return,
            },
            State::Rows { .. } | State::Boxes(_) | State::Near(_) | State::Union(_) => return,
        };
        self.table.core.clock.serializable.read_until(self.table.oid(), noted, limit);
    }

    /// Pages touched so far. Rows and indexes are in memory; a page is what PostgreSQL would count a
    /// buffer for: every block of a btree read, every vertex of a graph whose links were followed,
    /// every row fetched by its id, and 8 KiB of whatever is read one after the other (the slots and
    /// tuples of a sequential scan, the codes of an inverted list).
    pub fn pages(&self) -> u64 {
        match &self.state {
            State::Rows { from, next, bytes, .. } => {
                let slots = next.saturating_sub(*from) * size_of::<usize>() as u64;
                (slots + bytes).div_ceil(PAGE)
            }
            State::Btree { cursor, fetched, .. } => cursor.blocks() + fetched,
            State::Vector(scan) => scan.pages(),
            State::Points(scan) => scan.pages(),
            State::Boxes(scan) => scan.pages(),
            State::Near(scan) => scan.pages(),
            State::Union(scan) => scan.pages(),
        }
    }

    /// The distance of the row handed out last: the exact squared Euclidean one of a vector scan, that of `<->` of a
    /// spatial scan; `None` for other scans and for NULLs.
    pub fn distance(&self) -> Option<f64> {
        match &self.state {
            State::Vector(scan) => scan.distance(),
            State::Points(scan) => scan.distance(),
            State::Near(scan) => scan.distance(),
            State::Union(scan) => scan.distance(),
            _ => None,
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if let Some(noted) = self.noted.take() {
            self.stop_at(*noted);
        }
        self.table.core.clock.close_snapshots(self.snapshot.slot());
    }
}
