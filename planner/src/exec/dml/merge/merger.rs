//! One execution of a MERGE, row by row.

use std::cell::OnceCell;
use std::sync::Arc;

use vicinity_storage::{Snapshot, Write};
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::super::change::{At, Changer};
use super::super::insert::Inserter;
use super::super::leaf::Leaf;
use super::{CHUNK, Merge, When};
use crate::context::ExecContext;
use crate::exec::after::Queue;
use crate::row::{Frame, RowRef};
use crate::rows::{Collect, RowSink};

/// Where the source's columns begin in the query's rows.
pub(super) const SOURCE: usize = 2;

pub(super) struct Merger<'a> {
    merge: &'a Merge,
    ctx: &'a ExecContext,
    params: &'a [Datum],
    once: Vec<OnceCell<Datum>>,
    /// Changes the rows that are there; which of the actions it does is said for each of them.
    changer: Changer<'a>,
    inserted: u64,
}

/// Two rows of the source met the same row of the target.
fn twice() -> PgError {
    PgError::new(SqlState::CARDINALITY_VIOLATION, "MERGE command cannot affect row a second time")
        .hint("Ensure that not more than one source row matches any one target row.")
}

impl<'a> Merger<'a> {
    pub(super) fn new(
        merge: &'a Merge,
        ctx: &'a ExecContext,
        params: &'a [Datum],
        queue: &'a mut Queue,
        sink: &'a mut dyn RowSink,
    ) -> Result<Merger<'a>> {
        let once = vec![OnceCell::new(); merge.cells];
        let changer = Changer::new(ctx, params, once.clone(), sink, queue);
        Ok(Merger { merge, ctx, params, once, changer, inserted: 0 })
    }

    /// All rows are done. Gives their number.
    pub(super) fn finish(self) -> u64 {
        self.inserted + self.changer.count
    }

    /// Does with one row of the query what is to be done.
    pub(super) fn one(&mut self, found: Vec<Datum>) -> Result<()> {
        let (Some(Datum::Tid(row)), Some(Datum::Oid(oid))) = (found.first(), found.get(1)) else {
            return self.unmatched(&found);
        };
        let (row, oid) = (*row, *oid);
        let family = self.merge.matched.iter().find_map(|w| w.action.as_ref()?.family());
        let own: Arc<Leaf> = match family {
            Some(family) if oid != self.merge.rules().relation.oid => {
                family.leaves.get(self.ctx, oid)?
            }
            _ => self.merge.leaf.clone(),
        };
        self.matched(&At { leaf: &own, row }, found)
    }

    fn matched(&mut self, at: &At<'_>, mut found: Vec<Datum>) -> Result<()> {
        let mut snapshot = self.ctx.snapshot;
        loop {
            let write = match at.fetch(&snapshot)? {
                None => Write::Gone,
                Some(values) => {
                    let own = at.leaf.map.target_of(&values);
                    let row = at.written(&own, found.get(SOURCE..).unwrap_or_default());
                    let row = RowRef::Written(&row);
                    let Some(change) = self.chosen(&self.merge.matched, row)? else {
                        return Ok(());
                    };
                    let write = self.changer.write(change, at, &snapshot, &found)?;
                    if write == Write::AlreadyMine {
                        return Err(self.changer.foreign(change, at).unwrap_or_else(twice));
                    }
                    write
                }
            };
            match write {
                Write::Done | Write::AlreadyMine => return Ok(()),
                Write::Gone => return self.unmatched(&found),
                Write::Concurrent => {}
            }
            // Somebody else committed a newer version: it may match no more.
            snapshot = self.ctx.txn.snapshot();
            match self.again(&snapshot, &found)? {
                Some(newer) => found = newer,
                None => return self.unmatched(&found),
            }
            self.ctx.check()?;
        }
    }

    /// The action whose condition is the first to hold; `None` for nothing to do.
    fn chosen<A>(&self, whens: &'a [When<A>], row: RowRef<'_>) -> Result<Option<&'a A>> {
        for when in whens {
            let (ctx, params, once) = (self.ctx, self.params, &self.once);
            let frame = Frame { ctx, params, once, row };
            let holds = match &when.condition {
                Some(condition) => condition.passes(&frame)?,
                None => true,
            };
            if holds {
                return Ok(when.action.as_ref());
            }
        }
        Ok(None)
    }

    /// The query's row for the same rows of both sides, as they are now.
    fn again(&self, snapshot: &Snapshot, found: &[Datum]) -> Result<Option<Vec<Datum>>> {
        let alike = |(a, b): (&Datum, &Datum)| match (a.is_null(), b.is_null()) {
            (false, false) => vicinity_types::equal(a, b),
            (a, b) => a == b,
        };
        let ctx = ExecContext { snapshot: *snapshot, ..self.ctx.clone() };
        let mut cursor = self.merge.plan.open(ctx, self.params.to_vec())?;
        loop {
            let mut rows = Collect::default();
            let done = cursor.fill(&mut rows, CHUNK)?.done;
            let same = |row: &Vec<Datum>| row.iter().zip(found).all(alike);
            if let Some(found) = rows.rows.into_iter().find(same) {
                return Ok(Some(found));
            }
            if done {
                return Ok(None);
            }
        }
    }

    /// A row of the source that has none of the target.
    fn unmatched(&mut self, found: &[Datum]) -> Result<()> {
        let source = found.get(SOURCE..).unwrap_or_default();
        let Some(insert) = self.chosen(&self.merge.unmatched, RowRef::Values(source))? else {
            return Ok(());
        };
        let (ctx, params) = (self.ctx, self.params);
        let queue = std::mem::take(self.changer.queue);
        let sink = &mut *self.changer.sink;
        let mut inserter = Inserter::new(insert, ctx, params, sink, queue);
        inserter.row_of(source)?;
        let (count, queue) = inserter.into_parts();
        self.inserted += count;
        *self.changer.queue = queue;
        Ok(())
    }
}
