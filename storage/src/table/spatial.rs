//! Points through a spatial index: candidates by distance or by region, and the version the snapshot sees
//! (invariants *hints*, *ordered*, *never-short*).

use std::sync::Arc;

use crossbeam_epoch::Guard;
use vicinity_indexes::Points;
use vicinity_indexes::spatial::{Batch, Nearest};
use vicinity_types::Result;
use vicinity_types::tuple::Fixed;

use super::cursor::Filter;
use super::{Row, Table};
use crate::mvcc::{RowId, Snapshot};
use crate::store::index::IndexStore;
use crate::store::place::{Place, numbers};

/// Candidates asked for at first where no limit says, and at most at once.
const SOME: usize = 256;
const MOST: usize = 1 << 16;
/// So many candidates ahead the cache is asked for a row: as many as it gets at once.
const AHEAD: usize = 16;

/// Where a row's point is.
enum Source {
    Column {
        index: usize,
        fixed: Option<Fixed>,
    },
    /// The index computes it.
    Computed(Arc<IndexStore>),
}

impl Source {
    fn of(index: &Arc<IndexStore>, table: &Table) -> Source {
        match index.column() {
            Some((index, _)) => Source::Column { index, fixed: table.desc().fixed(index) },
            None => Source::Computed(index.clone()),
        }
    }

    fn point(&self, row: &Row<'_>) -> Result<Option<[f64; 2]>> {
        match self {
            Source::Column { index, .. } => Ok(row.raw(*index).and_then(numbers::<2>)),
            Source::Computed(index) => match index.place(row.layout, row.bytes)? {
                Some(Place::Point(at)) => Ok(Some(at)),
                _ => Ok(None),
            },
        }
    }

    /// Whether a row's point is, bit for bit, this one.
    #[inline(always)]
    fn is_at(&self, row: &Row<'_>, [x, y]: [f64; 2]) -> Result<bool> {
        if let Source::Column { fixed: Some(fixed), .. } = self
            && let Some(([own_x, own_y], [])) =
                row.tuple().whole().and_then(|whole| whole.at(*fixed)).map(<[u8]>::as_chunks)
        {
            return Ok(*own_x == x.to_le_bytes() && *own_y == y.to_le_bytes());
        }
        Ok(self.point(row)?.map(|own| own.map(f64::to_bits)) == Some([x, y].map(f64::to_bits)))
    }
}

/// Points by their distance.
pub(super) struct PointScan {
    index: Arc<Points>,
    source: Source,
    search: Nearest,
    wanted: usize,
    batch: Batch,
    at: usize,
    more: bool,
    /// Next row of the last phase, those without a point; `None` if they are not wanted.
    without: Option<RowId>,
    /// Where the row handed out last is; `None` for rows without a point.
    last: Option<[f64; 2]>,
    fetched: u64,
}

impl PointScan {
    /// `limit` rows are wanted; `nulls` if rows without a point come last.
    pub(super) fn new(
        table: &Table,
        points: Arc<Points>,
        index: &Arc<IndexStore>,
        search: Nearest,
        limit: usize,
        nulls: bool,
    ) -> PointScan {
        // Some candidates stand for versions that are gone: about as many as there are entries more than rows.
        let rows = table.store.rows.end().saturating_sub(table.store.rows.free_ids() as u64);
        let gone = points.len().saturating_sub(usize::try_from(rows).unwrap_or(usize::MAX));
        let wanted = if limit == usize::MAX {
            SOME
        } else {
            let share = 2.0 * gone as f64 / points.len().max(1) as f64;
            limit.saturating_add(limit / 32 + 1 + (limit as f64 * share) as usize)
        };
        PointScan {
            index: points,
            source: Source::of(index, table),
            search,
            wanted: wanted.min(MOST),
            batch: Batch::default(),
            at: 0,
            more: true,
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
        self.last.map(|at| self.search.distance(at))
    }

    /// See [`Cursor::each`](super::Cursor::each).
    #[inline]
    pub(super) fn each<'g>(
        &mut self,
        table: &Table,
        snapshot: &Snapshot,
        guard: &'g Guard,
        filter: &mut impl FnMut(&Row<'_>) -> Result<bool>,
        mut take: impl FnMut(&Row<'g>) -> Result<bool>,
    ) -> Result<bool> {
        loop {
            while let Some(found) = self.batch.get(self.at) {
                if let Some(ahead) = self.batch.get(self.at + AHEAD) {
                    table.store.rows.prefetch_head(ahead.row);
                }
                self.at += 1;
                self.fetched += 1;
                let Some(row) = table.fetch(found.row, snapshot, guard)? else { continue };
                // The entry may stand for an older or newer version than the visible one.
                if self.source.is_at(&row, found.at)? && filter(&row)? {
                    self.last = Some(found.at);
                    if !take(&row)? {
                        return Ok(false);
                    }
                }
            }
            if !self.more {
                self.last = None;
                while let Some(row) = self.next_without(table, snapshot, guard, filter)? {
                    if !take(&row)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
            self.look(table);
        }
    }

    /// Gets the next candidates.
    fn look(&mut self, table: &Table) {
        let rows = &table.store.rows;
        let mut room = SOME;
        let soon = |row| {
            if room > 0 {
                room -= 1;
                rows.prefetch_slot(row);
            }
        };
        self.more = self.search.next_batch(&self.index, self.wanted, soon, &mut self.batch);
        self.wanted = self.wanted.saturating_mul(4).min(MOST);
        self.at = 0;
        self.batch.from(0).take(AHEAD).for_each(|found| rows.prefetch_head(found.row));
    }

    /// Rows whose point is NULL are in no index; they come last, as ORDER BY has them.
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
                && self.source.point(&row)?.is_none()
                && filter(&row)?
            {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}
