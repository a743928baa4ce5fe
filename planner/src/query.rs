//! A query made ready to run, and its running: the row lane where its shape allows, else the batch
//! lane.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use vicinity_types::{Datum, Kind, Oid, PgError, Result, oid};

use crate::bind::BoundQuery;
use crate::call::{PgType, callable_of, internal};
use crate::context::ExecContext;
use crate::df::lock_rows::lock_rows_of;
use crate::df::physical::physical;
use crate::df::run::BatchCursor;
use crate::measure::{self, Place};
use crate::parts::Parts;
use crate::push::family_locks::{FamilyLocks, Taken};
use crate::row::{RowCursor, RowPlan};
use crate::rows::{Collect, OutputColumn, RowSink};
use crate::session_state::Lane;
use crate::uses::Uses;

/// A query, planned once and run many times.
pub struct QueryPlan {
    /// The optimised plan with its scans in place, parameters still open.
    pub logical: LogicalPlan,
    /// What comes out.
    pub columns: Vec<OutputColumn>,
    kinds: Vec<Kind>,
    row: Option<Arc<RowPlan>>,
    /// Tells it from all other plans: figures of EXPLAIN ANALYZE are kept by it.
    id: u64,
    /// Whether rows are locked as they pass.
    locks: bool,
    /// Whether it looks at rows of tables.
    reads: bool,
    /// What runs once before or beside it.
    parts: Parts,
    /// What it asks of relations.
    uses: Uses,
    /// Tables it reads through those they inherit from.
    families: FamilyLocks,
}

impl QueryPlan {
    /// Plans a bound query for `ctx`'s catalog; `params` are the parameters' types.
    pub fn new(
        ctx: &ExecContext,
        plan: LogicalPlan,
        columns: Vec<OutputColumn>,
        params: &[Oid],
    ) -> Result<QueryPlan> {
        let kinds: Vec<Kind> = params.iter().map(|ty| ctx.catalog.kind_of(*ty)).collect();
        let logical = crate::df::optimize(plan, ctx)?;
        let id = measure::new_number();
        let row = RowPlan::compile(&logical, &columns, &kinds, ctx, Place::root(id))?.map(Arc::new);
        let locks = logical.exists(|node| Ok(lock_rows_of(node).is_some())).map_err(internal)?;
        let reads = has_leaves(&logical).map_err(internal)?;
        let families = FamilyLocks::of(&logical, &kinds)?;
        Ok(QueryPlan {
            logical,
            columns,
            kinds,
            row,
            id,
            locks,
            reads,
            parts: Parts::default(),
            uses: Uses::default(),
            families,
        })
    }

    /// Plans what a binder gave for a query.
    pub fn of(ctx: &ExecContext, bound: BoundQuery) -> Result<QueryPlan> {
        let plan = QueryPlan::new(ctx, bound.plan, bound.columns, &bound.params)?;
        let parts = Parts::plan(ctx, bound.parts, &bound.params)?;
        let uses = bound.uses.judged(&ctx.catalog, &ctx.session);
        Ok(QueryPlan { parts, uses, ..plan })
    }

    /// The row lane's plan, if the query has one.
    pub fn row_plan(&self) -> Option<&Arc<RowPlan>> {
        self.row.as_ref()
    }

    /// What runs once before or beside it.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// How the parameters are held.
    pub fn param_kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// What it asks of relations.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Whether it reads tables through those they inherit from.
    #[inline]
    pub(crate) fn has_families(&self) -> bool {
        !self.families.is_empty() || self.parts.read().any(|plan| !plan.families.is_empty())
    }

    /// Locks the tables it reads through those they inherit from, as `uses` locks these; whether all were to be had,
    /// and nothing has changed.
    pub(crate) fn lock_families(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        uses: &Uses,
    ) -> Result<bool> {
        let mut at_once = true;
        for plan in std::iter::once(self).chain(self.parts.read()) {
            if !plan.families.is_empty() {
                at_once &= plan.families.take(ctx, params, uses)? == Taken::AtOnce;
            }
        }
        Ok(at_once)
    }

    /// The same for who cannot plan it anew.
    fn hold_families(&self, ctx: &ExecContext, params: &[Datum]) -> Result<()> {
        self.uses.lock(&ctx.txn)?;
        self.families.take_unchanged(ctx, params, &self.uses)
    }

    /// Whether it looks at rows of tables.
    pub fn reads_data(&self) -> bool {
        // Those of subqueries that run by themselves are not in the plan.
        self.reads || !self.parts.is_empty() || !self.uses.is_empty()
    }

    /// Whether it means the same under any catalog: built-in functions over values of built-in types,
    /// nothing that is known by its id.
    pub fn is_timeless(&self) -> bool {
        if !self.is_scalar() {
            return false;
        }
        let mut timeless = self.columns.iter().all(|c| c.ty.oid < oid::FIRST_USER);
        let walked = self.logical.apply_with_subqueries(|node| {
            node.apply_expressions(|e| {
                timeless &= !e.exists(|e| Ok(!is_timeless(e)))?;
                Ok(TreeNodeRecursion::Continue)
            })
        });
        timeless && walked.is_ok()
    }

    /// Whether it gives exactly one row: an expression and nothing to read.
    pub fn is_scalar(&self) -> bool {
        self.parts.is_empty() && self.row.as_ref().is_some_and(|r| r.is_scalar())
    }

    /// Whether it may run on a connection's own task (invariant *no-starvation*).
    pub fn is_short(&self) -> bool {
        self.parts.is_empty() && self.row.as_ref().is_some_and(|r| r.is_short())
    }

    /// Whether its rows are locked as they come out.
    pub fn is_locking(&self) -> bool {
        self.locks
    }

    /// Where its root stands among measured nodes.
    pub(crate) fn place(&self) -> Place {
        Place::root(self.id)
    }

    /// The plan of the row lane if an execution now would run it.
    pub(crate) fn row_now(&self, ctx: &ExecContext) -> Option<&Arc<RowPlan>> {
        self.row.as_ref().filter(|_| ctx.session.lane() != Lane::Batch)
    }

    /// The batch lane's plan for an execution, its nodes wrapped to be measured.
    pub(crate) fn instrumented(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        physical(&self.logical, ctx, &Arc::from(params), &self.kinds, Some(self.place()))
    }

    /// Begins an execution.
    pub fn open(&self, ctx: ExecContext, params: Vec<Datum>) -> Result<Cursor> {
        if !self.families.is_empty() {
            self.hold_families(&ctx, &params)?;
        }
        self.open_held(ctx, params)
    }

    /// The same where tables that it reads through others are locked.
    pub(crate) fn open_held(&self, ctx: ExecContext, params: Vec<Datum>) -> Result<Cursor> {
        self.uses.begin(&ctx.txn, "SELECT")?;
        let ctx = self.parts.begin(Cow::Owned(ctx), &params)?.into_owned();
        let inner = match (self.row_now(&ctx), ctx.session.lane()) {
            (Some(plan), _) => Inner::Row(RowCursor::open(plan.clone(), ctx, params)?),
            (None, Lane::Row) => {
                return Err(PgError::unsupported("this statement in the row lane"));
            }
            (None, _) => {
                let place = ctx.measure.as_ref().map(|_| self.place());
                let plan = physical(&self.logical, &ctx, &Arc::from(params), &self.kinds, place)?;
                let types = self.columns.iter().map(|c| c.ty).collect();
                Inner::Batch(Box::new(BatchCursor::open(&plan, types, ctx)?))
            }
        };
        Ok(Cursor { inner })
    }

    /// Runs it to the end; every row.
    pub fn rows(&self, ctx: &ExecContext, params: Vec<Datum>) -> Result<Vec<Vec<Datum>>> {
        let mut sink = Collect::default();
        let mut cursor = self.open(ctx.clone(), params)?;
        while !cursor.fill(&mut sink, usize::MAX)?.done {}
        Ok(sink.rows)
    }

    /// Runs it for its first row's first value; NULL if there is no row.
    pub fn scalar(&self, ctx: &ExecContext, params: &[Datum]) -> Result<Datum> {
        if let Some(plan) = self.row_now(ctx).filter(|_| self.parts.is_empty()) {
            if !self.families.is_empty() {
                self.hold_families(ctx, params)?;
            }
            self.uses.begin(&ctx.txn, "SELECT")?;
            return plan.scalar(ctx, params);
        }
        let mut sink = Collect::default();
        self.open(ctx.clone(), params.to_vec())?.fill(&mut sink, 1)?;
        Ok(sink.rows.into_iter().next().and_then(|r| r.into_iter().next()).unwrap_or_default())
    }
}

/// Whether rows come from anywhere but the plan itself.
fn has_leaves(plan: &LogicalPlan) -> datafusion::common::Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        let free = matches!(node, LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_));
        found |= node.inputs().is_empty() && !free;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn is_timeless(expr: &Expr) -> bool {
    if let Some((callable, _)) = callable_of(expr) {
        let built_in = |t: &PgType| t.oid < oid::FIRST_USER;
        let types = callable.args().iter().all(built_in) && built_in(&callable.ret());
        return types && callable.source().is_some();
    }
    !matches!(expr, Expr::Literal(ScalarValue::UInt32(_), _) | Expr::ScalarSubquery(_))
}

// Kept by value: a short query must not pay for a box.
#[allow(clippy::large_enum_variant)]
enum Inner {
    Row(RowCursor),
    Batch(Box<BatchCursor>),
    Memory { rows: std::vec::IntoIter<Vec<Datum>>, columns: Vec<OutputColumn> },
}

/// What a call to [`Cursor::fill`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Rows given out.
    pub rows: usize,
    /// Whether those were the last.
    pub done: bool,
}

/// A query being run.
pub struct Cursor {
    inner: Inner,
}

impl Cursor {
    /// A cursor over rows in memory.
    pub fn memory(columns: Vec<OutputColumn>, rows: Vec<Vec<Datum>>) -> Cursor {
        Cursor { inner: Inner::Memory { rows: rows.into_iter(), columns } }
    }

    /// Gives up to `max` rows to `sink`.
    pub fn fill<S: RowSink + ?Sized>(&mut self, mut sink: &mut S, max: usize) -> Result<Fetched> {
        let (rows, done) = match &mut self.inner {
            Inner::Row(cursor) => cursor.fill(sink, max)?,
            Inner::Batch(cursor) => cursor.fill(&mut sink, max)?,
            Inner::Memory { rows, columns } => {
                let mut given = 0;
                while given < max {
                    let Some(row) = rows.next() else { break };
                    sink.begin(columns.len());
                    for (value, column) in row.into_iter().zip(columns.iter()) {
                        sink.datum(column.ty, value)?;
                    }
                    sink.end()?;
                    given += 1;
                }
                (given, rows.len() == 0)
            }
        };
        Ok(Fetched { rows, done })
    }

    /// The next row.
    pub fn next_row(&mut self) -> Result<Option<Vec<Datum>>> {
        let mut sink = Collect::default();
        self.fill(&mut sink, 1)?;
        Ok(sink.rows.pop())
    }
}
