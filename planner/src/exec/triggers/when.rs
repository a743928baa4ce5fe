//! WHEN: a condition over the rows `old` and `new`, bound, and written as the catalog keeps it.

use std::sync::Arc;

use sqlparser::ast::{Expr, Ident};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::Result;

use super::super::dml::{Layout, binder};
use super::super::written::RowNames;
use super::super::{canon, name};
use crate::bind::Place;
use crate::call::Typed;
use crate::context::ExecContext;
use crate::session_state::SessionState;
use crate::{names, sql};

/// The rows WHEN speaks of.
pub(crate) fn layout(ctx: &ExecContext, relation: &Arc<Relation>) -> Result<Layout> {
    let mut layout = Layout::default();
    if relation.table().is_some() {
        layout.add_table(&ctx.catalog, relation, "old", None)?;
        layout.add_table(&ctx.catalog, relation, "new", None)?;
    }
    Ok(layout)
}

/// WHEN, bound.
pub(super) fn condition(ctx: &ExecContext, relation: &Arc<Relation>, when: &Expr) -> Result<Typed> {
    let layout = layout(ctx, relation)?;
    binder(ctx).condition_at(when, layout.scope(), "WHEN", Place::TriggerWhen)
}

/// A column of either row, or the row.
fn column(relation: &Relation, catalog: &Catalog, parts: &[Ident]) -> Option<String> {
    let [row, own @ ..] = parts else { return None };
    let row = names::quote(&name::ident(row));
    let [own] = own else { return own.is_empty().then(|| format!("{row}.*")) };
    let own = name::ident(own);
    let at = relation.columns()?.iter().position(|c| !c.dropped && c.name == own);
    let now = catalog.relation(relation.oid).and_then(|r| r.columns()?.get(at?));
    let own = now.map_or(own, |c| c.name.clone());
    Some(format!("{row}.{}", names::quote(&own)))
}

/// WHEN with names as `catalog` has them, shortened by the search path of `path`.
pub(crate) fn written_condition(
    ctx: &ExecContext,
    relation: &Arc<Relation>,
    when: &Expr,
    catalog: &Catalog,
    path: Option<&SessionState>,
    pretty: bool,
) -> Option<String> {
    let layout = &layout(ctx, relation).ok()?;
    let column = &|parts: &[Ident]| column(relation, catalog, parts);
    RowNames { ctx, layout, catalog, path, column }.writer(pretty).expr(when)
}

/// The text of WHEN that the catalog keeps: as PostgreSQL prints it, as far as that reads back as the
/// same; else as it was written.
pub(crate) fn condition_text(
    ctx: &ExecContext,
    relation: &Arc<Relation>,
    when: &Expr,
) -> Result<String> {
    let bound = condition(ctx, relation, when)?;
    let same = |text: &String| {
        let again = sql::parse_expression(text).and_then(|e| condition(ctx, relation, &e));
        again.is_ok_and(|again| again.expr == bound.expr)
    };
    let made = written_condition(ctx, relation, when, &ctx.catalog, None, false).filter(same);
    Ok(made.unwrap_or_else(|| canon::expr(when)))
}

/// WHEN as the session sees it.
pub(crate) fn shown_condition(
    ctx: &ExecContext,
    relation: &Arc<Relation>,
    kept: &str,
    pretty: bool,
) -> String {
    let parsed = sql::parse_expression(kept).ok();
    let path = Some(&*ctx.session);
    parsed
        .and_then(|e| written_condition(ctx, relation, &e, &ctx.catalog, path, pretty))
        .unwrap_or_else(|| kept.to_owned())
}
