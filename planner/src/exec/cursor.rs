//! DECLARE, FETCH, MOVE and CLOSE.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast::{self, Expr, Ident, SelectItem, SetExpr, Statement as Ast, TableFactor};
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, oid};

use super::outcome::{Outcome, Rows, Tag, done};
use super::{dml, name, transaction};
use crate::context::ExecContext;
use crate::portal::{About, CursorOptions, Handle, Portal, RowIds, cannot_be_run};
use crate::query::QueryPlan;
use crate::rows::{Collect, Discard};
use crate::session::plan_query;
use crate::sql::{Declare, Fetch};

fn refused(message: &str, detail: &str) -> PgError {
    PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail)
}

/// A statement's parameters: their types and values.
#[derive(Default)]
pub(crate) struct Given<'a> {
    pub(crate) types: &'a [Oid],
    pub(crate) values: Vec<Datum>,
}

/// `DECLARE`
pub(crate) fn declare(
    ctx: &ExecContext,
    d: &Declare,
    in_block: bool,
    given: Given<'_>,
) -> Result<Outcome> {
    if !d.hold && !in_block {
        return Err(transaction::needs_block("DECLARE CURSOR"));
    }
    let locks = !d.query.locks.is_empty();
    if d.hold && locks {
        return Err(refused(
            "DECLARE CURSOR WITH HOLD ... FOR UPDATE is not supported",
            "Holdable cursors must be READ ONLY.",
        ));
    }
    if d.scroll == Some(true) && locks {
        return Err(refused(
            "DECLARE SCROLL CURSOR ... FOR UPDATE is not supported",
            "Scrollable cursors must be READ ONLY.",
        ));
    }
    if dml::is_write(&Ast::Query(d.query.clone())) {
        return Err(PgError::new(
            SqlState(*b"42P11"),
            "DECLARE CURSOR must not contain data-modifying statements in WITH",
        ));
    }
    let own = name::ident(&d.name);
    ctx.session.portals().check_free(&own)?;
    let (plan, ids) = plan(ctx, &d.query, given.types)?;
    let about = About {
        text: d.text.clone(),
        options: CursorOptions { binary: d.binary, scroll: d.scroll, hold: d.hold },
        created: ctx.session.statement_time(),
    };
    let portal = Portal::cursor(ctx, Arc::new(plan), given.values, about, ids)?;
    ctx.session.portals().insert(&own, portal)?;
    Ok(done("DECLARE CURSOR"))
}

/// A cursor's plan. Where its rows are those of one table, the row's table and id come behind its
/// columns, so that `WHERE CURRENT OF` can find it.
fn plan(ctx: &ExecContext, query: &ast::Query, types: &[Oid]) -> Result<(QueryPlan, RowIds)> {
    let known = |(plan, params): (QueryPlan, Vec<_>)| match params.len() == types.len() {
        true => Ok(plan),
        false => Err(PgError::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1")),
    };
    if let Some((with_id, ids)) = with_row_id(query)
        && let Ok(found) = plan_query(ctx, &with_id, types)
        && found.0.columns.last().is_some_and(|c| c.ty.oid == oid::TID)
        && is_updatable(&found.0)
    {
        return Ok((known(found)?, ids));
    }
    Ok((known(plan_query(ctx, query, types)?)?, RowIds::None))
}

/// Whether rows come as they are found, so that they are still there: sorted ones are not, unless they are locked.
pub(crate) fn is_updatable(plan: &QueryPlan) -> bool {
    fn sorts(plan: &LogicalPlan) -> bool {
        matches!(plan, LogicalPlan::Sort(_)) || plan.inputs().into_iter().any(sorts)
    }
    plan.is_locking() || !sorts(&plan.logical)
}

/// The query with its table's `tableoid` and `ctid` behind its columns, if it reads one table plainly.
pub(crate) fn with_row_id(query: &ast::Query) -> Option<(ast::Query, RowIds)> {
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let [from] = select.from.as_slice() else { return None };
    let TableFactor::Table { name: table, alias, args: None, .. } = &from.relation else {
        return None;
    };
    let grouped = !matches!(&select.group_by, ast::GroupByExpr::Expressions(e, m) if e.is_empty() && m.is_empty());
    if !from.joins.is_empty() || select.distinct.is_some() || select.having.is_some() || grouped {
        return None;
    }
    let own = match alias {
        Some(alias) => name::ident(&alias.name),
        None => name::last(table),
    };
    let ids = if crate::sql::is_only(table) { RowIds::Table } else { RowIds::Family };
    for id in ["tableoid", "ctid"] {
        let parts = vec![Ident::with_quote('"', &own), Ident::new(id)];
        select.projection.push(SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)));
    }
    Some((query, ids))
}

/// The portal that FETCH, MOVE and CLOSE name.
pub(crate) fn find(ctx: &ExecContext, name: &str) -> Result<Handle> {
    ctx.session.portals().find(name)
}

/// `FETCH` and `MOVE`, the rows in memory.
pub(super) fn fetch(ctx: &ExecContext, f: &Fetch) -> Result<Outcome> {
    let own = name::ident(&f.name);
    let portal = find(ctx, &own)?;
    let mut portal = portal.try_lock().ok_or_else(|| cannot_be_run(&own))?;
    let walk = portal.walk(ctx, &own)?;
    if f.moves {
        let count = walk.fetch(f.direction, true, &mut Discard)?;
        return Ok(Tag::counted("MOVE", count).into());
    }
    let mut sink = Collect::default();
    let count = walk.fetch(f.direction, false, &mut sink)?;
    let columns = walk.columns().iter().map(|c| (c.name.clone(), c.ty)).collect();
    Ok(Outcome { tag: Tag::counted("FETCH", count), rows: Some(Rows { columns, rows: sink.rows }) })
}

/// `CLOSE`
pub(super) fn close(ctx: &ExecContext, given: Option<&Ident>) -> Result<Outcome> {
    let mut portals = ctx.session.portals();
    let Some(given) = given else {
        portals.close_all();
        return Ok(done("CLOSE CURSOR ALL"));
    };
    let own = name::ident(given);
    portals.find(&own)?;
    portals.close(&own);
    Ok(done("CLOSE CURSOR"))
}
