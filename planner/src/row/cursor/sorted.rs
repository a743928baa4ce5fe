//! A row plan run to its end for its rows in order.

use std::cell::Cell;

use vicinity_types::{Datum, Result};

use super::super::node::{Frame, RowRef};
use super::super::plan::RowPlan;
use super::super::sort::{SortNode, Sorter};
use super::{RowCursor, Seen, State, looked_up, merge_order, passes, scan_rows};

impl RowCursor {
    /// Runs the plan to its end and turns it into its sorted rows. Where rows come in order of the first key, the end
    /// is where that key is past the last row wanted.
    pub(super) fn sort(&mut self, wanted: usize) -> Result<()> {
        let mut sorter = Sorter::new(Some(wanted).filter(|n| *n <= 1_000_000));
        let RowCursor { plan, ctx, params, once, state, removed, found, meter, .. } = self;
        let Some((keys, in_order)) = plan.order() else { return Ok(()) };
        let mut edge = Edge { key: keys.first().filter(|_| in_order), left: wanted, value: None };
        let frame = Frame { ctx, params, once, row: RowRef::None };
        let outputs = |row: &Frame<'_>| {
            plan.outputs.iter().map(|(node, _)| node.eval(row)).collect::<Result<Vec<_>>>()
        };
        let mut budget = 0u32;
        let over = Cell::new(false);
        let mut keep = |row: RowRef<'_>| -> Result<bool> {
            let frame = frame.with_row(row);
            if edge.is_past(&frame)? {
                over.set(true);
                return Ok(false);
            }
            sorter.push(keys, &frame, || outputs(&frame))?;
            budget += 1;
            Ok(!budget.is_multiple_of(512))
        };
        let mut seen = Seen { removed, found };
        match meter {
            None => each_row(plan, state, &frame, &mut seen, &over, &mut keep)?,
            Some(meter) => {
                // What is spent on keeping rows is the sort's, the rest the scan's.
                let clock = meter.measure().clone();
                let (began, mut keeping, mut first) = (clock.now(), 0, None);
                let mut timed = |row: RowRef<'_>| {
                    let before = clock.now();
                    first.get_or_insert(before.saturating_sub(began));
                    let more = keep(row);
                    keeping += clock.now().saturating_sub(before);
                    more
                };
                each_row(plan, state, &frame, &mut seen, &over, &mut timed)?;
                let scan = clock.now().saturating_sub(began).saturating_sub(keeping);
                meter.leaf.rows = sorter.seen();
                meter.leaf.removed = *seen.removed;
                meter.locking = plan.is_locking().then_some(*seen.found);
                if let State::Scan(scan) = state {
                    meter.leaf.pages = scan.pages();
                }
                let space = sorter.space();
                let rows = sorter.finish();
                meter.sorted(first.unwrap_or(scan), scan, space);
                self.state = State::Done(rows.into_iter());
                return Ok(());
            }
        }
        self.state = State::Done(sorter.finish().into_iter());
        Ok(())
    }
}

/// Gives every row that passes to `keep`, to the end or until it is `over`.
fn each_row(
    plan: &RowPlan,
    state: &mut State,
    frame: &Frame<'_>,
    seen: &mut Seen<'_>,
    over: &Cell<bool>,
    keep: &mut dyn FnMut(RowRef<'_>) -> Result<bool>,
) -> Result<()> {
    let mut offer = |values: &[Datum], removed: &mut u64| -> Result<()> {
        let row = RowRef::Values(values);
        if passes(plan, &frame.with_row(row))? {
            keep(row)?;
        } else {
            *removed += 1;
        }
        Ok(())
    };
    match state {
        State::Scan(scan) => {
            while !scan_rows(plan, scan, frame, seen, &mut *keep)? && !over.get() {
                frame.ctx.check()?;
            }
        }
        State::One(ready) => {
            if std::mem::take(ready) && passes(plan, frame)? {
                keep(RowRef::None)?;
            }
        }
        State::Lookup(lookup) => {
            if let Some(lookup) = lookup.take() {
                looked_up(plan, &lookup, frame, seen.removed, keep)?;
            }
        }
        State::Rows(rows) | State::Done(rows) => {
            for row in rows {
                offer(&row, seen.removed)?;
            }
        }
        State::Merge(merge) => {
            let mut rows = 0u32;
            while let Some(row) = merge.next(merge_order(plan), frame)? {
                offer(&row, seen.removed)?;
                rows = rows.wrapping_add(1);
                if rows.is_multiple_of(1024) {
                    frame.ctx.check()?;
                }
            }
        }
        State::Parts(_) => {}
        State::Set(rows) => {
            for (i, row) in rows.enumerate() {
                offer(&row?, seen.removed)?;
                if i % 1024 == 1023 {
                    frame.ctx.check()?;
                }
            }
        }
    }
    Ok(())
}

/// Where an order by the first key alone may stop: behind the rows that tie with the last one wanted.
struct Edge<'p> {
    /// The first key, if rows come in its order.
    key: Option<&'p SortNode>,
    /// Rows still wanted.
    left: usize,
    /// The key of the last row wanted.
    value: Option<Datum>,
}

impl Edge<'_> {
    /// Takes the next row; whether it and all behind it are beyond the edge.
    fn is_past(&mut self, frame: &Frame<'_>) -> Result<bool> {
        let Some(key) = self.key else { return Ok(false) };
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return Ok(false);
        }
        let value = key.node.eval(frame)?;
        match &self.value {
            None => {
                self.value = Some(value);
                Ok(false)
            }
            Some(Datum::Null) => Ok(false),
            Some(edge) => Ok(value.is_null() || vicinity_types::compare(&value, edge).is_gt()),
        }
    }
}
