//! MERGE: a query joins the source with the target, and what each of its rows does to the target is
//! what the first action does whose condition it meets.

mod merger;
mod prepare;

use std::sync::Arc;

use vicinity_types::{Datum, Result};

use super::change::Change;
use super::insert::Insert;
use super::leaf::Leaf;
use super::rules::Rules;
use super::shown::Shown;
use crate::context::ExecContext;
use crate::exec::after::Queue;
use crate::exec::triggers::Triggers;
use crate::query::QueryPlan;
use crate::row::Node;
use crate::rows::{Collect, Discard};
use merger::Merger;
pub(super) use prepare::prepare;

/// Rows found before the target is changed.
const CHUNK: usize = 512;

/// A prepared MERGE. Its query gives the id of the target's row, and its table, both NULL where there
/// is none; then the source's columns.
pub(super) struct Merge {
    leaf: Arc<Leaf>,
    plan: Arc<QueryPlan>,
    /// What is done with rows of the target.
    matched: Vec<When<Change>>,
    /// What is done with rows of the source alone.
    unmatched: Vec<When<Insert>>,
    /// How many values are computed once.
    cells: usize,
    shown: Shown,
}

/// WHEN ... THEN.
struct When<A> {
    condition: Option<Node>,
    /// `None` for DO NOTHING.
    action: Option<A>,
}

impl Merge {
    pub(super) fn rules(&self) -> &Rules {
        &self.leaf.rules
    }

    pub(super) fn plan(&self) -> &QueryPlan {
        &self.plan
    }

    pub(super) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// What fires for the statement: for each kind of action that there is.
    pub(super) fn triggers(&self) -> impl DoubleEndedIterator<Item = &Arc<Triggers>> {
        let changes = |delete: bool| {
            self.matched.iter().filter_map(|w| w.action.as_ref()).any(|c| c.deletes() == delete)
        };
        let inserts = self.unmatched.iter().any(|w| w.action.is_some());
        let leaf = &self.leaf;
        [
            leaf.insert.as_ref().filter(|_| inserts),
            leaf.update.as_ref().filter(|_| changes(false)),
            leaf.delete.as_ref().filter(|_| changes(true)),
        ]
        .into_iter()
        .flatten()
    }

    pub(super) fn run(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        queue: &mut Queue,
    ) -> Result<u64> {
        for t in self.triggers() {
            t.before_statement(ctx)?;
        }
        let mut discard = Discard;
        let mut merger = Merger::new(self, ctx, params, queue, &mut discard)?;
        let mut cursor = self.plan.open(ctx.clone(), params.to_vec())?;
        loop {
            let mut found = Collect::default();
            let done = cursor.fill(&mut found, CHUNK)?.done;
            for row in found.rows {
                merger.one(row)?;
            }
            if done {
                break;
            }
            ctx.check()?;
        }
        let count = merger.finish();
        for t in self.triggers().rev() {
            t.after_statement(ctx, queue)?;
        }
        Ok(count)
    }
}
