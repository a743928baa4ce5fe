//! CREATE TABLE AS and SELECT INTO.

use sqlparser::ast::{self, Query};
use vicinity_types::Result;

use super::super::outcome::{Outcome, Tag, done};
use super::super::query;
use super::{table, view};
use crate::context::ExecContext;
use crate::query::QueryPlan;

/// The query of CREATE TABLE AS, planned.
pub(crate) struct Source {
    bound: query::Bound,
    /// Its plan.
    pub(crate) plan: QueryPlan,
}

/// Plans the query.
pub(crate) fn plan(ctx: &ExecContext, source: &Query) -> Result<Source> {
    let bound = query::bind(ctx, source)?;
    // What it waited for may have changed.
    let plan = query::plan(&ctx.next_statement(), &bound)?;
    Ok(Source { bound, plan })
}

/// Runs CREATE TABLE ... AS query.
pub(crate) fn create(
    ctx: &ExecContext,
    t: &ast::CreateTable,
    source: &Query,
    unlogged: bool,
    no_data: bool,
) -> Result<Outcome> {
    table::refuse_clauses(t)?;
    let (schema, own) = table::place(ctx, t.temporary, &t.name)?;
    if table::exists(ctx, schema, &own, t.if_not_exists)? {
        return Ok(done("CREATE TABLE AS"));
    }
    let source = plan(ctx, source)?;
    fill(&ctx.next_statement(), t, &source, unlogged, no_data)
}

/// Makes the table and puts the query's rows into it.
pub(crate) fn fill(
    ctx: &ExecContext,
    t: &ast::CreateTable,
    source: &Source,
    unlogged: bool,
    no_data: bool,
) -> Result<Outcome> {
    let (schema, own) = table::place(ctx, t.temporary, &t.name)?;
    let names: Vec<_> = t.columns.iter().map(|c| c.name.clone()).collect();
    let columns = view::columns(ctx, &names, &source.bound.columns, "table")?;
    let draft = table::draft(schema, own, columns)?;
    let options = table::storage_options(&t.table_options)?;
    let oid = table::finish(ctx, draft, table::persistence(t.temporary, unlogged), options)?;
    table::on_commit(ctx, oid, t.temporary, t.on_commit)?;
    if no_data {
        return Ok(done("CREATE TABLE AS"));
    }
    let catalog = ctx.txn.catalog();
    let target = ctx.engine.db.table(oid, &catalog)?;
    let mut count = 0u64;
    query::run(ctx, &source.plan, &mut |row| {
        target.insert(&ctx.txn, row)?;
        count += 1;
        Ok(true)
    })?;
    Ok(Tag::counted("SELECT", count).into())
}
