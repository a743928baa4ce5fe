//! Rows of any of several scans, each once, in the order that all of them have.

use crossbeam_epoch::Guard;
use vicinity_types::Result;

use super::cursor::{Cursor, Filter};
use super::{Row, Table};
use crate::mvcc::{RowId, Snapshot};

/// How rows are ordered: by distance, whose bits order as it does, where there is one, then by id.
type Place = (u64, RowId);

/// Scans whose rows come by distance, those equally far by id, or all by id.
pub(super) struct Union {
    parts: Vec<Part>,
    /// The distance of the row handed out last.
    last: Option<f64>,
}

struct Part {
    cursor: Cursor,
    /// Its next row; `None` at the end.
    head: Option<Place>,
    /// Whether that was handed out.
    given: bool,
}

impl Part {
    fn advance(&mut self, guard: &Guard, filter: &mut Filter<'_>) -> Result<()> {
        let row = self.cursor.next(guard, &mut |row| filter(row))?.map(|row| row.id);
        self.head = row.map(|row| (self.cursor.distance().map_or(0, f64::to_bits), row));
        self.given = false;
        Ok(())
    }
}

impl Union {
    pub(super) fn new(cursors: Vec<Cursor>) -> Union {
        let part = |cursor| Part { cursor, head: None, given: true };
        Union { parts: cursors.into_iter().map(part).collect(), last: None }
    }

    pub(super) fn distance(&self) -> Option<f64> {
        self.last
    }

    /// See [`Cursor::pages`].
    pub(super) fn pages(&self) -> u64 {
        self.parts.iter().map(|part| part.cursor.pages()).sum()
    }

    pub(super) fn next<'g>(
        &mut self,
        table: &Table,
        snapshot: &Snapshot,
        guard: &'g Guard,
        filter: &mut Filter<'_>,
    ) -> Result<Option<Row<'g>>> {
        for part in self.parts.iter_mut().filter(|part| part.given) {
            part.advance(guard, filter)?;
        }
        let Some(first) = self.parts.iter().filter_map(|part| part.head).min() else {
            return Ok(None);
        };
        let mut last = None;
        for part in self.parts.iter_mut().filter(|part| part.head == Some(first)) {
            part.given = true;
            last = part.cursor.distance();
        }
        self.last = last;
        // Its version stays as long as the snapshot is held.
        table.fetch(first.1, snapshot, guard)
    }
}
