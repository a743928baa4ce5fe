//! Going through the rows of a query, back and forth.
//!
//! A position is before the first row (0), on a row (its number), or behind the last. Rows come
//! from a cursor that goes forward only. Where going back was asked for (SCROLL, WITH HOLD), or the
//! query would not give the same rows again, rows are kept as they come; else it is run again under
//! the same snapshot, up to the place.

use std::sync::Arc;

use vicinity_storage::{RowId, SnapshotHold};
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use super::ids::{Ids, RowIds};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::query::{Cursor, QueryPlan};
use crate::rows::{Collect, Discard, OutputColumn, RowSink};
use crate::sql::{ALL, Direction};

/// How to go back.
pub(super) enum Back {
    /// Not at all.
    No,
    /// To rows that are kept.
    Kept(Vec<Vec<Datum>>),
    /// By running the query again.
    Again {
        plan: Arc<QueryPlan>,
        ctx: Box<ExecContext>,
        params: Vec<Datum>,
        _snapshot: SnapshotHold,
    },
}

/// A position in a query's rows.
pub struct Walk {
    columns: Vec<OutputColumn>,
    cursor: Cursor,
    /// Rows the cursor has given.
    read: u64,
    /// The number of rows, once the cursor gave its last.
    total: Option<u64>,
    at: u64,
    back: Back,
    /// What stands behind the columns that are shown.
    pub(super) ids: Ids,
    /// The row at the position: its table, and its id.
    id: Option<(Oid, RowId)>,
}

fn forward_only() -> PgError {
    PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
        .hint("Declare it with SCROLL option to enable backward scan.")
}

impl Walk {
    /// Before the first row of a cursor. `columns` are those that are shown.
    pub(super) fn new(cursor: Cursor, columns: Vec<OutputColumn>, back: Back, ids: Ids) -> Walk {
        Walk { columns, cursor, read: 0, total: None, at: 0, back, ids, id: None }
    }

    /// The columns of its rows.
    pub fn columns(&self) -> &[OutputColumn] {
        &self.columns
    }

    /// Whether it goes back.
    pub fn is_scrollable(&self) -> bool {
        !matches!(self.back, Back::No)
    }

    fn on_row(&self) -> bool {
        self.at > 0 && self.total.is_none_or(|total| self.at <= total)
    }

    /// The row at the position, for `WHERE CURRENT OF`.
    pub(super) fn current(&self) -> Option<(Oid, RowId)> {
        self.id.filter(|_| self.on_row())
    }

    /// Gives the rows of a direction to `sink`; how many there were. MOVE has a sink that takes
    /// nothing.
    pub fn fetch(&mut self, to: Direction, moves: bool, sink: &mut dyn RowSink) -> Result<u64> {
        match to {
            Direction::Forward(n) if n < 0 => self.backward(n.unsigned_abs(), sink),
            Direction::Backward(n) if n < 0 => self.forward(n.unsigned_abs(), sink),
            Direction::Forward(0) | Direction::Backward(0) | Direction::Relative(0) => {
                match (self.on_row(), moves) {
                    (false, _) => Ok(0),
                    (true, true) => Ok(1),
                    (true, false) => self.again(sink),
                }
            }
            Direction::Forward(n) => self.forward(n.unsigned_abs(), sink),
            // Every row from here to the first, itself not counted.
            Direction::Backward(n) => self.backward(n.unsigned_abs(), sink),
            Direction::Absolute(n) => self.absolute(n, sink),
            Direction::Relative(n) if n > 0 => {
                self.forward(n.unsigned_abs() - 1, &mut Discard)?;
                self.forward(1, sink)
            }
            Direction::Relative(n) => {
                self.backward(n.unsigned_abs() - 1, &mut Discard)?;
                self.backward(1, sink)
            }
        }
    }

    fn absolute(&mut self, n: i64, sink: &mut dyn RowSink) -> Result<u64> {
        if n < 0 {
            self.forward(ALL.unsigned_abs(), &mut Discard)?;
            let back = n.unsigned_abs();
            self.backward(back - 1, &mut Discard)?;
            return self.backward(1, sink);
        }
        let n = n.unsigned_abs();
        if n <= self.at {
            self.rewind()?;
        }
        if n == 0 {
            return Ok(0);
        }
        let gap = n - 1 - self.at;
        self.forward(gap, &mut Discard)?;
        self.forward(1, sink)
    }

    fn rewind(&mut self) -> Result<()> {
        if self.at > 0 && matches!(self.back, Back::No) {
            return Err(forward_only());
        }
        (self.at, self.id) = (0, None);
        Ok(())
    }

    /// The next `n` rows.
    pub fn forward(&mut self, n: u64, sink: &mut dyn RowSink) -> Result<u64> {
        if n == 0 || self.total.is_some_and(|total| self.at > total) {
            return Ok(0);
        }
        let mut given = 0;
        if let Back::Kept(rows) = &mut self.back {
            let from = usize::try_from(self.at).unwrap_or(usize::MAX);
            let most = usize::try_from(n).unwrap_or(usize::MAX);
            for row in rows.iter().skip(from).take(most) {
                self.id = give(&self.columns, self.ids, row, sink)?;
                given += 1;
            }
            while given < n && self.total.is_none() {
                let mut found = Collect::default();
                let ask = usize::try_from(n - given).unwrap_or(usize::MAX).min(256);
                let done = self.cursor.fill(&mut found, ask)?.done;
                for row in found.rows {
                    self.id = give(&self.columns, self.ids, &row, sink)?;
                    rows.push(row);
                    given += 1;
                    self.read += 1;
                }
                if done {
                    self.total = Some(self.read);
                }
            }
        } else {
            self.catch_up()?;
            let mut tap = Tap { sink, ids: self.ids.of.columns(), left: 0, table: 0, id: None };
            while given < n && self.total.is_none() {
                let ask = usize::try_from(n - given).unwrap_or(usize::MAX);
                let fetched = self.cursor.fill(&mut tap, ask)?;
                let rows = u64::try_from(fetched.rows).unwrap_or(0);
                given += rows;
                self.read += rows;
                if fetched.done {
                    self.total = Some(self.read);
                }
            }
            self.id = tap.id.or(self.id.take()).filter(|_| given > 0);
        }
        self.at += given;
        if given < n {
            (self.at, self.id) = (self.at + 1, None);
        }
        Ok(given)
    }

    /// Brings the cursor to the position, after going back.
    fn catch_up(&mut self) -> Result<()> {
        if self.read == self.at || self.total.is_some_and(|t| self.at > t) {
            return Ok(());
        }
        self.run_again()?;
        self.skip(self.at)
    }

    fn run_again(&mut self) -> Result<()> {
        let Back::Again { plan, ctx, params, .. } = &self.back else {
            return Err(forward_only());
        };
        self.cursor = plan.open((**ctx).clone(), params.clone())?;
        (self.read, self.total) = (0, None);
        Ok(())
    }

    fn skip(&mut self, to: u64) -> Result<()> {
        while self.read < to {
            let ask = usize::try_from(to - self.read).unwrap_or(usize::MAX);
            let fetched = self.cursor.fill(&mut Discard, ask)?;
            self.read += u64::try_from(fetched.rows).unwrap_or(0);
            if fetched.done {
                self.total = Some(self.read);
                break;
            }
        }
        Ok(())
    }

    /// Rows `from` to `to`, both counted, which were read before.
    fn earlier(&mut self, from: u64, to: u64) -> Result<Vec<Vec<Datum>>> {
        let first = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        let count = usize::try_from((to + 1).saturating_sub(from)).unwrap_or(0);
        if let Back::Kept(rows) = &self.back {
            return Ok(rows.iter().skip(first).take(count).cloned().collect());
        }
        self.run_again()?;
        self.skip(from.saturating_sub(1))?;
        let mut found = Collect::default();
        while found.rows.len() < count {
            let ask = count - found.rows.len();
            let fetched = self.cursor.fill(&mut found, ask)?;
            self.read += u64::try_from(fetched.rows).unwrap_or(0);
            if fetched.done {
                break;
            }
        }
        Ok(found.rows)
    }

    /// The row at the position once more.
    fn again(&mut self, sink: &mut dyn RowSink) -> Result<u64> {
        if matches!(self.back, Back::No) {
            return Err(forward_only());
        }
        let rows = self.earlier(self.at, self.at)?;
        for row in &rows {
            self.id = give(&self.columns, self.ids, row, sink)?;
        }
        Ok(u64::try_from(rows.len()).unwrap_or(0))
    }

    /// The `n` rows before the position, nearest first.
    fn backward(&mut self, n: u64, sink: &mut dyn RowSink) -> Result<u64> {
        if n == 0 {
            return Ok(0);
        }
        if matches!(self.back, Back::No) {
            return Err(forward_only());
        }
        if self.at == 0 {
            return Ok(0);
        }
        let last = self.at - 1;
        let first = self.at.saturating_sub(n).max(1);
        let rows = if last == 0 { Vec::new() } else { self.earlier(first, last)? };
        for row in rows.iter().rev() {
            self.id = give(&self.columns, self.ids, row, sink)?;
        }
        let given = u64::try_from(rows.len()).unwrap_or(0);
        self.at = if given < n { 0 } else { first };
        if self.at == 0 {
            self.id = None;
        }
        Ok(given)
    }

    /// The transaction ends: what is left of the rows is read, and nothing of it is needed further.
    pub(super) fn hold(&mut self) -> Result<()> {
        let Back::Kept(rows) = &mut self.back else {
            return Err(PgError::internal("a holdable cursor keeps its rows"));
        };
        let mut found = Collect::default();
        found.rows = std::mem::take(rows);
        while self.total.is_none() {
            let fetched = self.cursor.fill(&mut found, usize::MAX)?;
            self.read += u64::try_from(fetched.rows).unwrap_or(0);
            if fetched.done {
                self.total = Some(self.read);
            }
        }
        *rows = found.rows;
        self.cursor = Cursor::memory(Vec::new(), Vec::new());
        Ok(())
    }
}

/// Gives a kept row to a sink; what it says about where it is.
fn give(
    columns: &[OutputColumn],
    ids: Ids,
    row: &[Datum],
    sink: &mut dyn RowSink,
) -> Result<Option<(Oid, RowId)>> {
    sink.begin(columns.len());
    for (column, value) in columns.iter().zip(row) {
        sink.datum(column.ty, value.clone())?;
    }
    sink.end()?;
    Ok(match row.get(columns.len()..) {
        Some([Datum::Oid(table), Datum::Tid(id)]) if ids.of != RowIds::None => Some((*table, *id)),
        _ => None,
    })
}

/// Passes rows on, but for the ids behind them.
struct Tap<'s> {
    sink: &'s mut dyn RowSink,
    /// So many columns are ids.
    ids: usize,
    left: usize,
    table: Oid,
    id: Option<(Oid, RowId)>,
}

impl Tap<'_> {
    /// Whether the next column is an id.
    fn at_id(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left < self.ids
    }

    fn take(&mut self, value: &Datum) {
        match value {
            Datum::Oid(table) => self.table = *table,
            Datum::Tid(id) => self.id = Some((self.table, *id)),
            _ => {}
        }
    }
}

impl RowSink for Tap<'_> {
    fn begin(&mut self, columns: usize) {
        self.left = columns;
        self.sink.begin(columns.saturating_sub(self.ids));
    }

    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        if !self.at_id() {
            return self.sink.raw(ty, value);
        }
        if let Some(value) = value {
            self.take(&vicinity_types::raw::decode(ty.kind, value)?);
        }
        Ok(())
    }

    fn datum(&mut self, ty: PgType, value: Datum) -> Result<()> {
        if !self.at_id() {
            return self.sink.datum(ty, value);
        }
        self.take(&value);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.sink.end()
    }
}
