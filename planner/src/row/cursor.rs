//! A row plan being run.

mod sorted;

use std::cell::OnceCell;
use std::sync::Arc;

use vicinity_storage::{Row, Walk, pin};
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::aggregate;
use super::append::{self, Parts};
use super::emit::Giver;
use super::lock;
use super::merge::Merge;
use super::node::{Frame, Node, RowRef};
use super::plan::{Leaf, RowPlan};
use super::scan::{CompiledScan, Lookup, OpenScan, Origins};
use super::sort::SortNode;
use crate::context::ExecContext;
use crate::measure::Meter;
use crate::rows::RowSink;

/// Where a running plan stands.
enum State {
    One(bool),
    /// One row by its key; `None` when it was given.
    Lookup(Option<Lookup>),
    Scan(Box<OpenScan>),
    Rows(std::vec::IntoIter<Vec<Datum>>),
    /// Finished rows: nothing left to compute.
    Done(std::vec::IntoIter<Vec<Datum>>),
    Set(vicinity_functions::Rows),
    Parts(Parts),
    Merge(Box<Merge>),
}

/// A row plan being run.
pub struct RowCursor {
    plan: Arc<RowPlan>,
    ctx: ExecContext,
    params: Vec<Datum>,
    once: Vec<OnceCell<Datum>>,
    state: State,
    skip: u64,
    left: u64,
    /// Rows the filters turned away, for EXPLAIN.
    removed: u64,
    /// Rows found to be locked.
    found: u64,
    /// Only in a statement being measured.
    meter: Option<Box<Meter>>,
}

fn count(
    node: Option<&Node>,
    frame: &Frame<'_>,
    code: SqlState,
    what: &str,
) -> Result<Option<u64>> {
    let Some(node) = node else { return Ok(None) };
    match node.eval(frame)? {
        Datum::Null => Ok(None),
        value => match super::number::as_i64(&value) {
            Some(n) => u64::try_from(n)
                .map(Some)
                .map_err(|_| PgError::new(code, format!("{what} must not be negative"))),
            None => Err(PgError::internal(format!("{what} is no number"))),
        },
    }
}

impl RowCursor {
    /// Begins.
    pub fn open(plan: Arc<RowPlan>, ctx: ExecContext, params: Vec<Datum>) -> Result<RowCursor> {
        Self::open_for(plan, ctx, params, usize::MAX)
    }

    /// The same for somebody who will take no more than `most` rows.
    pub(super) fn open_for(
        plan: Arc<RowPlan>,
        ctx: ExecContext,
        params: Vec<Datum>,
        most: usize,
    ) -> Result<RowCursor> {
        if let Leaf::Family(family) = &plan.leaf {
            let most = most.min(plan.hint);
            return Self::open_for(family.plan(&ctx, &params, plan.place)?, ctx, params, most);
        }
        let meter = ctx.measure.as_ref().map(|m| Meter::begin(m, plan.place));
        let once = plan.cells();
        let frame = Frame { ctx: &ctx, params: &params, once: &once, row: RowRef::None };
        let offset_code = SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE;
        let skip = count(plan.offset.as_ref(), &frame, offset_code, "OFFSET")?.unwrap_or(0);
        let limit_code = SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE;
        let left = count(plan.limit.as_ref(), &frame, limit_code, "LIMIT")?.unwrap_or(u64::MAX);
        let left = left.min(u64::try_from(plan.hint.min(most)).unwrap_or(u64::MAX));
        let wanted = usize::try_from(left.saturating_add(skip)).unwrap_or(usize::MAX);
        let state = begin(&plan, &frame, wanted)?;
        let sorts = plan.order().is_some();
        let mut cursor =
            RowCursor { plan, ctx, params, once, state, skip, left, removed: 0, found: 0, meter };
        if sorts {
            cursor.sort(wanted)?;
        }
        if let Some(meter) = &mut cursor.meter {
            meter.pause(false);
        }
        Ok(cursor)
    }

    /// The statement's context.
    pub fn context(&self) -> &ExecContext {
        &self.ctx
    }

    /// Gives out up to `max` rows; how many, and whether that was all.
    pub fn fill<S: RowSink + ?Sized>(&mut self, sink: &mut S, max: usize) -> Result<(usize, bool)> {
        if self.meter.is_some() {
            return self.fill_measured(sink, max);
        }
        self.fill_chunks(sink, max)
    }

    fn fill_chunks<S: RowSink + ?Sized>(
        &mut self,
        sink: &mut S,
        max: usize,
    ) -> Result<(usize, bool)> {
        if matches!(self.state, State::Parts(_)) {
            return self.fill_parts(sink, max);
        }
        let mut given = 0;
        while given < max {
            if self.left == 0 {
                return Ok((given, true));
            }
            let chunk = (max - given).min(512);
            let before = given;
            let done = self.some(sink, chunk, &mut given)?;
            self.left -= (given - before) as u64;
            if done {
                return Ok((given, true));
            }
            self.ctx.check()?;
        }
        Ok((given, self.left == 0))
    }

    /// The same of plans one behind the other, whose rows are this one's.
    fn fill_parts<S: RowSink + ?Sized>(
        &mut self,
        sink: &mut S,
        max: usize,
    ) -> Result<(usize, bool)> {
        let RowCursor { plan, ctx, params, state, skip, left, .. } = self;
        let (Leaf::Append(append), State::Parts(parts)) = (&plan.leaf, state) else {
            return Ok((0, true));
        };
        let mut given = 0;
        while given < max && *left > 0 {
            let Some(cursor) = parts.running(append, ctx, params)? else {
                return Ok((given, true));
            };
            cursor.skip = *skip;
            cursor.left = cursor.left.min(*left);
            let (rows, done) = cursor.fill(sink, max - given)?;
            *skip = cursor.skip;
            *left -= rows as u64;
            given += rows;
            if done {
                parts.ended();
            }
            ctx.check()?;
        }
        Ok((given, *left == 0))
    }

    /// The same under a clock; the first row alone, for its time.
    fn fill_measured<S: RowSink + ?Sized>(
        &mut self,
        sink: &mut S,
        max: usize,
    ) -> Result<(usize, bool)> {
        let Some(mut meter) = self.meter.take() else { return self.fill_chunks(sink, max) };
        let mut given = 0;
        let mut done = false;
        while !done && given < max {
            let chunk = if meter.answered() { max - given } else { 1 };
            let skip = self.skip;
            meter.resume();
            let filled = self.fill_chunks(sink, chunk);
            meter.pause(true);
            let (rows, end) = filled?;
            (given, done) = (given + rows, end);
            meter.given += rows as u64;
            meter.skipped += skip - self.skip;
            meter.leaf.removed = self.removed;
            if self.plan.is_locking() {
                meter.locking = Some(self.found);
            }
            if let State::Scan(scan) = &self.state {
                meter.leaf.pages = scan.pages();
            }
        }
        self.meter = Some(meter);
        Ok((given, done))
    }

    /// Up to `chunk` rows under one guard; true at the end.
    fn some<S: RowSink + ?Sized>(
        &mut self,
        sink: &mut S,
        chunk: usize,
        given: &mut usize,
    ) -> Result<bool> {
        let RowCursor { plan, ctx, params, once, state, skip, left, removed, found, .. } = self;
        let frame = Frame { ctx, params, once, row: RowRef::None };
        let want = u64::try_from(chunk).unwrap_or(u64::MAX).min(*left);
        let mut giver = Giver { plan, frame, sink, skip, want, given };
        match state {
            State::One(ready) => {
                if std::mem::take(ready) && passes(plan, &frame)? {
                    giver.give(RowRef::None)?;
                }
                Ok(true)
            }
            State::Lookup(lookup) => {
                if let Some(lookup) = lookup.take() {
                    looked_up(plan, &lookup, &frame, removed, &mut |row| giver.give(row))?;
                }
                Ok(true)
            }
            State::Done(rows) => {
                for row in rows {
                    if !giver.give_done(row)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            State::Rows(rows) => {
                for row in rows {
                    let frame = frame.with_row(RowRef::Values(&row));
                    if !passes(plan, &frame)? {
                        *removed += 1;
                        continue;
                    }
                    if !giver.give(RowRef::Values(&row))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            State::Set(rows) => {
                for row in rows {
                    let row = row?;
                    let frame = frame.with_row(RowRef::Values(&row));
                    if !passes(plan, &frame)? {
                        *removed += 1;
                        if removed.is_multiple_of(1024) {
                            ctx.check()?;
                        }
                        continue;
                    }
                    if !giver.give(RowRef::Values(&row))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            State::Scan(scan) => {
                let mut seen = Seen { removed, found };
                scan_rows(plan, scan, &frame, &mut seen, |row| giver.give(row))
            }
            State::Merge(merge) => {
                while let Some(row) = merge.next(merge_order(plan), &frame)? {
                    let frame = frame.with_row(RowRef::Values(&row));
                    if !passes(plan, &frame)? {
                        *removed += 1;
                        continue;
                    }
                    if !giver.give(RowRef::Values(&row))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            // They give their rows themselves.
            State::Parts(_) => Ok(true),
        }
    }
}

/// Counts of a scan.
pub(super) struct Seen<'a> {
    /// Rows the filters turned away.
    pub(super) removed: &'a mut u64,
    /// Rows found to be locked.
    pub(super) found: &'a mut u64,
}

/// What merged rows are in order of.
fn merge_order(plan: &RowPlan) -> &[SortNode] {
    match &plan.leaf {
        Leaf::Append(append) => &append.order,
        _ => &[],
    }
}

fn begin(plan: &Arc<RowPlan>, frame: &Frame<'_>, wanted: usize) -> Result<State> {
    Ok(match &plan.leaf {
        Leaf::One(one) => State::One(*one),
        Leaf::Scan(scan) => match &scan.origins {
            Origins::Table(table) => {
                // Only a cursor counts what it touches.
                let counted = frame.ctx.measure.is_some();
                if scan.is_single() && plan.locks.is_none() && !counted {
                    return Ok(State::Lookup(scan.lookup(frame)?));
                }
                let wanted = if plan.sort.is_empty() { wanted.min(plan.pace) } else { usize::MAX };
                State::Scan(Box::new(scan.open(table, frame.ctx.snapshot, frame, wanted)?))
            }
            Origins::Virtual(source) => State::Set(source.rows(frame.ctx)?),
        },
        Leaf::Set { function, args } => {
            let args: Vec<Datum> = args.iter().map(|a| a.eval(frame)).collect::<Result<_>>()?;
            State::Set(function.call(frame.ctx, &args)?)
        }
        Leaf::Append(append) if append.direct => State::Parts(Parts::default()),
        Leaf::Append(append) => {
            let all = plan.sort.is_empty() && plan.filter.is_none();
            let most = if all { wanted } else { usize::MAX };
            State::Merge(Box::new(append::merged(append, frame, most)?))
        }
        // Opened for the tables it is about.
        Leaf::Family(_) => State::One(false),
        Leaf::Aggregate { inner, nodes, .. } => {
            let row = aggregate::run(inner, nodes, frame.ctx, frame.params)?;
            State::Rows(vec![row].into_iter())
        }
    })
}

#[inline]
pub(super) fn passes(plan: &RowPlan, frame: &Frame<'_>) -> Result<bool> {
    if let Leaf::Scan(scan) = &plan.leaf
        && let Some(filter) = &scan.filter
        && !filter.passes(frame)?
    {
        return Ok(false);
    }
    match &plan.filter {
        Some(filter) => filter.passes(frame),
        None => Ok(true),
    }
}

/// The same, counting: those looked at, and those turned away. The loop over rows that have nothing to pass stays short
/// without it.
#[inline(never)]
fn passes_counted(
    plan: &RowPlan,
    frame: &Frame<'_>,
    looked: &mut u32,
    removed: &mut u64,
) -> Result<bool> {
    *looked += 1;
    if looked.is_multiple_of(1024) {
        frame.ctx.check()?;
    }
    let ok = passes(plan, frame)?;
    *removed += u64::from(!ok);
    Ok(ok)
}

/// Gives the row under a key to `take`, if it is there and passes.
fn looked_up(
    plan: &RowPlan,
    lookup: &Lookup,
    frame: &Frame<'_>,
    removed: &mut u64,
    take: &mut dyn FnMut(RowRef<'_>) -> Result<bool>,
) -> Result<()> {
    let Leaf::Scan(CompiledScan { origins: Origins::Table(table), oid, .. }) = &plan.leaf else {
        return Ok(());
    };
    let guard = pin();
    let Some(row) = lookup.row(table, &frame.ctx.snapshot, &guard)? else { return Ok(()) };
    let row = RowRef::Stored(&row, *oid);
    if passes(plan, &frame.with_row(row))? {
        take(row)?;
    } else {
        *removed += 1;
    }
    Ok(())
}

/// Goes on with a scan until `take` says stop (false) or the scan ends (true).
fn scan_rows(
    plan: &RowPlan,
    scan: &mut OpenScan,
    frame: &Frame<'_>,
    seen: &mut Seen<'_>,
    mut take: impl FnMut(RowRef<'_>) -> Result<bool>,
) -> Result<bool> {
    let Leaf::Scan(compiled) = &plan.leaf else { return Ok(true) };
    if let Some(locks) = &plan.locks {
        return lock::locked_rows(plan, compiled, locks, scan, frame, seen, &mut take);
    }
    let unfiltered = compiled.filter.is_none() && plan.filter.is_none();
    let mut looked = 0u32;
    loop {
        let Some(cursor) = &mut scan.cursor else { return Ok(true) };
        let mut filter = |row: &Row<'_>| {
            if unfiltered {
                return Ok(true);
            }
            let row = RowRef::Stored(row, compiled.oid);
            passes_counted(plan, &frame.with_row(row), &mut looked, seen.removed)
        };
        let take = |row: &Row<'_>| take(RowRef::Stored(row, compiled.oid));
        match cursor.each(&pin(), &mut filter, take)? {
            Walk::Paused => {}
            Walk::Stopped => return Ok(false),
            Walk::Ended if !scan.advance()? => return Ok(true),
            Walk::Ended => {}
        }
    }
}
