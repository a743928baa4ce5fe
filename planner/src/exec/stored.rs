//! Expressions over one table that the catalog keeps: index keys and predicates, checks, generated
//! columns. They are bound where they are made, for their errors and for the text that is kept.

use std::sync::Arc;

use datafusion::common::Column as PlanColumn;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;
use sqlparser::ast::{Expr as Ast, Ident};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{ConstraintKind, Relation, RelationKind};
use vicinity_types::{PgError, Result, SqlState};

use super::canon;
use super::dml::{Layout, bare_name, binder, default_value, table_def};
use super::written::{RowNames, table_column};
pub(crate) use crate::bind::Place;
use crate::bind::{Binder, ParamTypes};
use crate::call::{PgType, Typed, callable_of, internal};
use crate::context::ExecContext;
use crate::session_state::SessionState;
use crate::sql;

impl Place {
    /// What an expression that may give another answer tomorrow is told.
    fn not_immutable(self) -> Option<&'static str> {
        match self {
            Place::IndexExpression => {
                Some("functions in index expression must be marked IMMUTABLE")
            }
            Place::IndexPredicate => Some("functions in index predicate must be marked IMMUTABLE"),
            Place::PartitionKey => {
                Some("functions in partition key expression must be marked IMMUTABLE")
            }
            Place::Generated => Some("generation expression is not immutable"),
            _ => None,
        }
    }
}

/// Binds an expression that is to be kept: what may give another answer tomorrow is an error (42P17)
/// where answers are kept too.
pub(crate) fn define(
    ctx: &ExecContext,
    relation: &Arc<Relation>,
    expr: &Ast,
    place: Place,
) -> Result<Typed> {
    let bound = bind(ctx, relation, expr, place)?;
    if let Some(text) = place.not_immutable()
        && !is_immutable(&bound.expr)
    {
        return Err(PgError::new(SqlState::INVALID_OBJECT_DEFINITION, text));
    }
    if place == Place::PartitionKey && !bound.expr.any_column_refs() {
        let text = "cannot use constant expression as partition key";
        return Err(PgError::new(SqlState::INVALID_OBJECT_DEFINITION, text));
    }
    Ok(bound)
}

/// Binds an expression over a table's row.
pub(crate) fn bind(
    ctx: &ExecContext,
    relation: &Arc<Relation>,
    expr: &Ast,
    place: Place,
) -> Result<Typed> {
    let layout = Layout::of_table(&ctx.catalog, relation, None)?;
    let mut binder = binder(ctx);
    match place {
        Place::IndexPredicate => binder.condition_at(expr, layout.scope(), "WHERE", place),
        Place::Check => binder.condition_at(expr, layout.scope(), "CHECK", place),
        _ => binder.expr_at(expr, layout.scope(), place),
    }
}

/// A stored expression of a table read again, columns unqualified; for those who only compare.
pub(crate) fn read(
    catalog: &Catalog,
    session: &SessionState,
    relation: &Relation,
    text: &str,
) -> Result<Expr> {
    // The layout holds the relation's columns, not the relation.
    let relation = Arc::new(relation.clone());
    let layout = Layout::of_table(catalog, &relation, None)?;
    let catalog = Arc::new(catalog.clone());
    let mut binder = Binder::new(&catalog, session, ParamTypes::none());
    plain(&binder.expr_over(&sql::parse_expression(text)?, layout.scope())?.expr)
}

fn is_immutable(expr: &Expr) -> bool {
    let changing = expr.exists(|e| Ok(callable_of(e).is_some_and(|(c, _)| !c.immutable())));
    !changing.unwrap_or(true)
}

/// An expression whose columns are named as the table names them, without a qualifier: two of them
/// are equal if they say the same.
pub(crate) fn plain(expr: &Expr) -> Result<Expr> {
    let done = expr.clone().transform_up(|e| {
        Ok(match e {
            Expr::Column(c) => {
                Transformed::yes(Expr::Column(PlanColumn::new_unqualified(bare_name(&c.name))))
            }
            Expr::Alias(a) => Transformed::yes(*a.expr),
            e => Transformed::no(e),
        })
    });
    Ok(done.map_err(internal)?.data)
}

/// The text the catalog keeps: as PostgreSQL prints the bound expression, as far as that text reads
/// back as the same; else as it was written.
pub(crate) fn text(
    ctx: &ExecContext,
    relation: &Arc<Relation>,
    written: &Ast,
    bound: &Typed,
    place: Place,
) -> Result<String> {
    let expr = plain(&bound.expr)?;
    let reads_back = |text: &String| {
        sql::parse_expression(text)
            .and_then(|again| bind(ctx, relation, &again, place))
            .and_then(|again| plain(&again.expr))
            .is_ok_and(|again| again == expr)
    };
    let made = write(ctx, Some(relation), written, &ctx.catalog, None, false).filter(reads_back);
    Ok(made.unwrap_or_else(|| canon::expr(written)))
}

/// An expression over a table's row, or over nothing, with names as `catalog` has them, shortened by
/// the search path of `path`; `pretty`: without the parentheses that the precedence makes needless.
pub(crate) fn write(
    ctx: &ExecContext,
    relation: Option<&Arc<Relation>>,
    expr: &Ast,
    catalog: &Catalog,
    path: Option<&SessionState>,
    pretty: bool,
) -> Option<String> {
    let layout = match relation {
        Some(r) if r.table().is_some() => Layout::of_table(&ctx.catalog, r, None).ok()?,
        _ => Layout::default(),
    };
    let column = &|parts: &[Ident]| table_column(&layout, catalog, parts);
    RowNames { ctx, layout: &layout, catalog, path, column }.writer(pretty).expr(expr)
}

/// A stored expression as the session sees it: `pg_get_expr`.
pub(crate) fn shown(
    ctx: &ExecContext,
    relation: Option<&Arc<Relation>>,
    text: &str,
    pretty: bool,
) -> String {
    let made = sql::parse_expression(text)
        .ok()
        .and_then(|e| write(ctx, relation, &e, &ctx.catalog, Some(&ctx.session), pretty));
    made.unwrap_or_else(|| text.to_owned())
}

/// A column's default as the catalog keeps it; a string is a value of the column's type.
pub(crate) fn default(ctx: &ExecContext, given: &Ast, ty: PgType) -> String {
    let bound = |e: &Ast| {
        let value = default_value(ctx, e, ty, "").ok()?;
        plain(&value.expr).ok()
    };
    // There is no row whose columns it could name.
    let (layout, column) = (&Layout::default(), &|_: &[Ident]| None);
    let names = RowNames { ctx, layout, catalog: &ctx.catalog, path: None, column };
    let made = names.writer(false).default(given, ty).filter(|text| {
        let again = sql::parse_expression(text).ok().and_then(|e| bound(&e));
        again.is_some() && again == bound(given)
    });
    made.unwrap_or_else(|| {
        canon::default(given, &crate::names::type_name_in(&ctx.catalog, None, ty.oid, Some(-1)))
    })
}

/// Checks and generated columns of a table about to be put, in the text they are kept as.
pub(crate) fn rewrite_texts(ctx: &ExecContext, relation: Relation) -> Result<Relation> {
    let known = Arc::new(relation.clone());
    let kept = |kept: &str, place: Place| -> Result<String> {
        let expr = sql::parse_expression(kept)?;
        // Errors are told where the table is validated, in its own order.
        Ok(match bind(ctx, &known, &expr, place) {
            Ok(bound) => text(ctx, &known, &expr, &bound, place)?,
            Err(_) => kept.to_owned(),
        })
    };
    let mut next = relation;
    if let RelationKind::Table(t) = &mut next.kind {
        for c in &mut t.constraints {
            if let ConstraintKind::Check { expr } = &mut c.kind {
                *expr = kept(expr, Place::Check)?;
            }
        }
        for c in t.columns.iter_mut().filter(|c| !c.dropped) {
            if let Some(expr) = &mut c.generated {
                *expr = kept(expr, Place::Generated)?;
            }
        }
    }
    Ok(next)
}

/// The columns an expression reads, zero-based.
pub(crate) fn columns(relation: &Relation, expr: &Ast) -> Result<Vec<usize>> {
    let def = table_def(relation)?;
    let mut out = Vec::new();
    for name in canon::columns_of(expr) {
        match def.columns.iter().position(|c| !c.dropped && c.name == name) {
            Some(at) => out.push(at),
            // The row as a whole.
            None if name == relation.name => out.extend(0..def.columns.len()),
            None => {}
        }
    }
    out.sort_unstable();
    out.dedup();
    Ok(out)
}

/// A check over the values of a domain's base type, written like [`write()`].
pub(crate) fn write_check(
    ctx: &ExecContext,
    base: PgType,
    expr: &Ast,
    catalog: &Catalog,
    path: Option<&SessionState>,
    pretty: bool,
) -> Option<String> {
    // The value is all that has a name.
    let (layout, column) = (&crate::domain::layout(base), &|_: &[Ident]| Some("VALUE".to_owned()));
    RowNames { ctx, layout, catalog, path, column }.writer(pretty).expr(expr)
}
