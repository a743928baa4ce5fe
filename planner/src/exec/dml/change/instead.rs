//! One execution of an UPDATE or DELETE of a view: its query gives the old rows, and its triggers do
//! the rest.

use std::cell::OnceCell;

use vicinity_types::{Datum, PgError, Result};

use super::{CHUNK, Change, Values};
use crate::context::ExecContext;
use crate::exec::after::Queue;
use crate::exec::triggers::Triggers;
use crate::row::{Frame, RowRef};
use crate::rows::{Collect, RowSink};

impl Change {
    pub(super) fn run_instead(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        sink: &mut dyn RowSink,
        queue: &mut Queue,
    ) -> Result<u64> {
        let triggers = self.triggers();
        let triggers = triggers.ok_or_else(|| PgError::internal("the view has no triggers"))?;
        triggers.before_statement(ctx)?;
        let mut count = 0;
        let mut cursor = self.plan.open(ctx.clone(), params.to_vec())?;
        loop {
            let mut found = Collect::default();
            let done = cursor.fill(&mut found, CHUNK)?.done;
            for row in found.rows {
                let Some(mut written) = self.instead(triggers, ctx, params, &row)? else {
                    continue;
                };
                count += 1;
                if let Some(returning) = &self.returning {
                    written.extend_from_slice(self.beside(&row));
                    returning.emit(ctx, params, &written, sink)?;
                }
            }
            if done {
                triggers.after_statement(ctx, queue)?;
                return Ok(count);
            }
            ctx.check()?;
        }
    }

    /// Lets the triggers have a row that the query found, which is the old one first. Gives what
    /// RETURNING shows of it.
    fn instead(
        &self,
        triggers: &Triggers,
        ctx: &ExecContext,
        params: &[Datum],
        found: &[Datum],
    ) -> Result<Option<Vec<Datum>>> {
        let old = found.get(..self.leaf.rules.types.len()).unwrap_or_default();
        if self.delete {
            return triggers.instead(ctx, Some(old), None);
        }
        let (Values::Row { nodes, .. } | Values::Query { nodes }) = &self.values;
        let once: [OnceCell<Datum>; 0] = [];
        let frame = Frame { ctx, params, once: &once, row: RowRef::Values(found) };
        let mut new = old.to_vec();
        for (at, node) in nodes {
            let value = node.eval(&frame)?;
            if let Some(slot) = new.get_mut(*at) {
                *slot = value;
            }
        }
        triggers.instead(ctx, Some(old), Some(new))
    }
}
