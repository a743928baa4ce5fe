//! One execution of an UPDATE or DELETE, row by row.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

use vicinity_storage::{RowId, Snapshot, Table, Write, pin};
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::super::layout::extend;
use super::{CHUNK, Change, Values};
use crate::context::ExecContext;
use crate::exec::after::Queue;
use crate::row::{Frame, Node, RowRef};
use crate::rows::{Collect, RowSink};

/// One execution.
pub(super) struct Changer<'a> {
    pub(super) change: &'a Change,
    pub(super) ctx: &'a ExecContext,
    pub(super) params: &'a [Datum],
    pub(super) table: Arc<Table>,
    /// Rows this execution wrote, where triggers may write to them before it does.
    pub(super) mine: HashSet<RowId>,
    pub(super) once: Vec<OnceCell<Datum>>,
    pub(super) sink: &'a mut dyn RowSink,
    /// What the rows leave for the statement's end.
    pub(super) queue: &'a mut Queue,
    pub(super) count: u64,
}

/// A BEFORE trigger wrote to the very row that is to be written.
fn modified_by_trigger(change: &Change) -> PgError {
    let done = if change.delete { "deleted" } else { "updated" };
    PgError::new(
        SqlState(*b"27000"),
        format!(
            "tuple to be {done} was already modified by an operation triggered by the current \
             command"
        ),
    )
    .hint(
        "Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other \
         rows.",
    )
}

impl Changer<'_> {
    /// All rows are done. Gives their number.
    pub(super) fn finish(self) -> Result<u64> {
        if let Some(t) = &self.change.triggers {
            t.after_statement(self.ctx, self.queue)?;
        }
        Ok(self.count)
    }

    fn frame<'f>(&'f self, row: &'f [Datum]) -> Frame<'f> {
        Frame { ctx: self.ctx, params: self.params, once: &self.once, row: RowRef::Values(row) }
    }

    /// The id of the row a cursor is on.
    pub(super) fn current(&self, name: &Node) -> Result<RowId> {
        let name = match name.eval(&self.frame(&[]))? {
            Datum::Text(name) => name,
            _ => return Err(PgError::new(SqlState::INVALID_CURSOR_NAME, "cursor has no name")),
        };
        let portal = self.ctx.session.portals().find(&name)?;
        let Some(portal) = portal.try_lock() else {
            return Err(crate::portal::cannot_be_run(&name));
        };
        portal.current(&name, &self.change.rules.relation)
    }

    /// Changes one row that the query found.
    pub(super) fn one(&mut self, mut found: Vec<Datum>) -> Result<()> {
        let Some(Datum::Tid(row)) = found.first() else { return Ok(()) };
        let row: RowId = *row;
        let mut snapshot = self.ctx.snapshot;
        loop {
            match self.write(row, &snapshot, &found)? {
                Write::AlreadyMine if self.is_foreign(row) => {
                    return Err(modified_by_trigger(self.change));
                }
                Write::Done | Write::Gone | Write::AlreadyMine => return Ok(()),
                Write::Concurrent => {}
            }
            // Somebody else committed a newer version: look at that one.
            snapshot = self.ctx.txn.snapshot();
            match self.again(row, &snapshot, found)? {
                Some(newer) => found = newer,
                None => return Ok(()),
            }
            self.ctx.check()?;
        }
    }

    /// Whether a row that was written since the statement began was written by a trigger.
    fn is_foreign(&self, row: RowId) -> bool {
        let fires = self.change.triggers.as_ref().is_some_and(|t| t.has_before_row());
        fires && !self.mine.contains(&row)
    }

    /// Whether a newer version still passes; the query's row for it.
    fn again(
        &self,
        row: RowId,
        snapshot: &Snapshot,
        found: Vec<Datum>,
    ) -> Result<Option<Vec<Datum>>> {
        if let Values::Row { recheck, filtered, .. } = &self.change.values
            && (recheck.is_some() || !filtered)
        {
            let Some(condition) = recheck else { return Ok(Some(found)) };
            let Some(mut values) = self.fetch(row, snapshot) else { return Ok(None) };
            extend(&mut values, row, self.change.rules.relation.oid);
            return Ok(condition.passes(&self.frame(&values))?.then_some(found));
        }
        let ctx = ExecContext { snapshot: *snapshot, ..self.ctx.clone() };
        let mut cursor = self.change.plan.open(ctx.clone(), self.params.to_vec())?;
        loop {
            let mut rows = Collect::default();
            let done = cursor.fill(&mut rows, CHUNK)?.done;
            let same = |r: &Vec<Datum>| matches!(r.first(), Some(Datum::Tid(t)) if *t == row);
            if let Some(found) = rows.rows.into_iter().find(same) {
                return Ok(Some(found));
            }
            if done {
                return Ok(None);
            }
        }
    }

    fn fetch(&self, row: RowId, snapshot: &Snapshot) -> Option<Vec<Datum>> {
        let guard = pin();
        self.table.fetch(row, snapshot, &guard).map(|r| r.values())
    }

    fn write(&mut self, row: RowId, snapshot: &Snapshot, found: &[Datum]) -> Result<Write> {
        let change = self.change;
        let Some(old) = self.fetch(row, snapshot) else { return Ok(Write::Gone) };
        if change.delete {
            if let Some(t) = &change.triggers
                && !t.before_delete(self.ctx, &old)?
            {
                return Ok(Write::Done);
            }
            let write = self.table.delete(&self.ctx.txn, snapshot, row)?;
            if write == Write::Done {
                self.wrote(row, &old, None)?;
                self.done(row, old, found)?;
            }
            return Ok(write);
        }
        let mut new = self.new_values(row, &old, found)?;
        if let Some(t) = &change.triggers {
            match t.before_update(self.ctx, &old, new)? {
                Some(changed) => new = changed,
                None => return Ok(Write::Done),
            }
        }
        change.rules.apply(self.ctx, &mut new)?;
        let write = self.table.update(&self.ctx.txn, snapshot, row, &new)?;
        if write == Write::Done {
            self.wrote(row, &old, Some(&new))?;
            self.done(row, new, found)?;
        }
        Ok(write)
    }

    /// Notes a row for the statement's end.
    fn wrote(&mut self, row: RowId, old: &[Datum], new: Option<&[Datum]>) -> Result<()> {
        let triggers = self.change.triggers.as_ref();
        if triggers.is_some_and(|t| t.has_before_row()) {
            self.mine.insert(row);
        }
        self.queue.written(self.ctx, &self.change.rules.keys, triggers, Some(old), new)
    }

    fn new_values(&self, row: RowId, old: &[Datum], found: &[Datum]) -> Result<Vec<Datum>> {
        let mut new = old.to_vec();
        let mut extended = old.to_vec();
        let (nodes, source) = match &self.change.values {
            Values::Row { nodes, .. } => {
                extend(&mut extended, row, self.change.rules.relation.oid);
                (nodes, extended.as_slice())
            }
            Values::Query { nodes } => (nodes, found),
        };
        let frame = self.frame(source);
        for (at, node) in nodes {
            let value = node.eval(&frame)?;
            if let Some(slot) = new.get_mut(*at) {
                *slot = value;
            }
        }
        Ok(new)
    }

    /// Counts a row and gives it to RETURNING.
    fn done(&mut self, row: RowId, mut values: Vec<Datum>, found: &[Datum]) -> Result<()> {
        self.count += 1;
        if let Some(returning) = &self.change.returning {
            extend(&mut values, row, self.change.rules.relation.oid);
            values.extend_from_slice(found.get(self.change.beside.clone()).unwrap_or_default());
            returning.emit(self.ctx, self.params, &values, self.sink)?;
        }
        Ok(())
    }
}
