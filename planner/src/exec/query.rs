//! Queries inside other statements: CREATE TABLE AS and views.

use std::borrow::Cow;

use sqlparser::ast::Query;
use vicinity_storage::RelationLock;
use vicinity_types::{Datum, Oid, Result};

use crate::bind::{Binder, BoundQuery, ParamTypes};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::query::QueryPlan;
use crate::rows::{Collect, OutputColumn};
use crate::uses::Uses;

/// A column of a query's result.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) ty: PgType,
}

/// A bound query.
pub(crate) struct Bound {
    pub(crate) columns: Vec<Output>,
    pub(crate) relations: Vec<Oid>,
    bound: BoundQuery,
}

impl Bound {
    /// Whether it reads a column of a relation.
    pub(crate) fn reads(&self, relation: Oid, number: i16) -> bool {
        self.bound.uses.columns_of(relation).any(|n| n == number)
    }

    /// What it names.
    pub(crate) fn uses(&self) -> &Uses {
        &self.bound.uses
    }
}

/// Binds a query that goes on to be run or kept: what it reads is locked first.
pub(crate) fn bind(ctx: &ExecContext, query: &Query) -> Result<Bound> {
    let mut ctx = Cow::Borrowed(ctx);
    loop {
        let bound = meaning(&ctx, query)?;
        let own = bound.bound.uses.list().iter().filter(|u| u.role.is_none());
        for relation in own.map(|u| u.relation) {
            ctx.txn.lock_relation(relation, RelationLock::AccessShare)?;
        }
        if ctx.txn.catalog().version() == ctx.catalog.version() {
            return Ok(bound);
        }
        ctx.to_mut().catalog = ctx.txn.catalog();
    }
}

/// What a query means now, for who looks at no more than that.
pub(crate) fn meaning(ctx: &ExecContext, query: &Query) -> Result<Bound> {
    let bound = Binder::of(ctx, ParamTypes::none()).query(query)?;
    let output = |c: &OutputColumn| Output { name: c.name.clone(), ty: c.ty };
    let columns = bound.columns.iter().map(output).collect();
    // What its views read is theirs.
    let own = bound.uses.list().iter().filter(|u| u.role.is_none());
    let relations = own.map(|u| u.relation).collect();
    Ok(Bound { columns, relations, bound })
}

/// Whether a query meant something before a change, and does no more.
pub(crate) fn lost_meaning(before: &ExecContext, now: &ExecContext, query: &Query) -> bool {
    meaning(now, query).is_err() && meaning(before, query).is_ok()
}

/// What a query gives, without running it.
pub(crate) fn describe(ctx: &ExecContext, query: &Query) -> Result<Bound> {
    bind(ctx, query)
}

/// Plans a query.
pub(crate) fn plan(ctx: &ExecContext, query: &Bound) -> Result<QueryPlan> {
    QueryPlan::of(ctx, query.bound.clone())
}

/// Runs a plan; every row goes to `f` until it says to stop.
pub(crate) fn run(
    ctx: &ExecContext,
    plan: &QueryPlan,
    f: &mut dyn FnMut(&[Datum]) -> Result<bool>,
) -> Result<()> {
    const CHUNK: usize = 1024;
    let mut cursor = plan.open(ctx.clone(), Vec::new())?;
    loop {
        let mut rows = Collect::default();
        let done = cursor.fill(&mut rows, CHUNK)?.done;
        for row in &rows.rows {
            if !f(row)? {
                return Ok(());
            }
        }
        if done {
            return Ok(());
        }
        ctx.check()?;
    }
}
