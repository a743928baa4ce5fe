//! The rows of an INSERT, bound to the columns they go to.

use datafusion::logical_expr::Expr as Plan;
use sqlparser::ast::{self, Expr};
use vicinity_storage::catalog::model::{Identity, Relation};
use vicinity_types::{PgError, Result, SqlState};

use super::super::layout::table_def;
use super::super::target::{is_default, place};
use crate::bind::{Binder, Scope};
use crate::call::{PgType, Typed};
use crate::exec::name;
use crate::sql::carried::{Overriding, overriding};

/// Clauses other servers have.
pub(super) fn refuse(i: &ast::Insert) -> Result<()> {
    let refused = [
        (i.or.is_some() || i.ignore || i.replace_into, "INSERT OR REPLACE"),
        (i.overwrite, "INSERT OVERWRITE"),
        (!i.assignments.is_empty(), "INSERT ... SET"),
        (i.partitioned.is_some() || !i.after_columns.is_empty(), "PARTITION"),
        (i.output.is_some(), "OUTPUT"),
        (i.insert_alias.is_some(), "INSERT ... AS row alias"),
        (i.settings.is_some() || i.format_clause.is_some(), "INSERT ... FORMAT"),
    ];
    match refused.iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(PgError::unsupported(what)),
        None => Ok(()),
    }
}

/// The columns given values, in order.
pub(super) fn columns_of(relation: &Relation, i: &ast::Insert) -> Result<Vec<usize>> {
    let def = table_def(relation)?;
    let mut given = i.columns.iter().filter(|c| overriding(c).is_none()).peekable();
    if given.peek().is_none() {
        let live = def.columns.iter().enumerate().filter(|(_, c)| !c.dropped);
        return Ok(live.map(|(at, _)| at).collect());
    }
    let mut out = Vec::new();
    for column in given {
        let at = place(relation, column)?;
        if out.contains(&at) {
            return Err(PgError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", name::last(column)),
            )
            .or_at(name::position(column)));
        }
        out.push(at);
    }
    Ok(out)
}

/// GENERATED ALWAYS columns take nothing but DEFAULT, unless OVERRIDING says so. False if the value
/// given to an identity column is not to be used.
fn check_writable(relation: &Relation, at: usize, clause: Option<Overriding>) -> Result<bool> {
    let Some(c) = table_def(relation)?.columns.get(at) else { return Ok(true) };
    match clause {
        Some(Overriding::System) if c.identity.is_some() => return Ok(true),
        Some(Overriding::User) if c.identity.is_some() => return Ok(false),
        _ => {}
    }
    let always = |detail: String| {
        PgError::new(
            SqlState::GENERATED_ALWAYS,
            format!("cannot insert a non-DEFAULT value into column \"{}\"", c.name),
        )
        .detail(detail)
    };
    if c.identity == Some(Identity::Always) {
        return Err(always(format!(
            "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
            c.name
        ))
        .hint("Use OVERRIDING SYSTEM VALUE to override."));
    }
    if c.generated.is_some() {
        return Err(always(format!("Column \"{}\" is a generated column.", c.name)));
    }
    Ok(true)
}

/// The columns given values.
pub(super) struct Target {
    pub(super) columns: Vec<usize>,
    /// They were listed.
    pub(super) explicit: bool,
    pub(super) overriding: Option<Overriding>,
}

/// Rows of values, bound; `None` in place of a default.
pub(super) type Bound = Vec<Vec<(usize, Option<Typed>)>>;

/// Where the rows come from, bound.
pub(super) enum BoundSource {
    Rows(Bound),
    Query(crate::bind::BoundQuery, Vec<(usize, Typed)>),
}

fn too_many(expressions: bool) -> PgError {
    PgError::new(
        SqlState::SYNTAX_ERROR,
        if expressions {
            "INSERT has more expressions than target columns"
        } else {
            "INSERT has more target columns than expressions"
        },
    )
}

pub(super) fn bind_rows(
    binder: &mut Binder<'_>,
    relation: &Relation,
    types: &[PgType],
    target: &Target,
    rows: &[Vec<Expr>],
) -> Result<Bound> {
    let Target { columns, explicit, .. } = target;
    let def = table_def(relation)?;
    let width = rows.first().map_or(0, Vec::len);
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        if row.len() != width {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "VALUES lists must all be the same length",
            ));
        }
        if row.len() > columns.len() {
            let at = row.get(columns.len()).and_then(name::position);
            return Err(too_many(true).or_at(at));
        }
        if *explicit && row.len() < columns.len() {
            return Err(too_many(false));
        }
        let mut cells = Vec::with_capacity(row.len());
        for (expr, at) in row.iter().zip(columns) {
            let (Some(c), Some(ty)) = (def.columns.get(*at), types.get(*at)) else { continue };
            if is_default(expr) {
                cells.push((*at, None));
                continue;
            }
            if !check_writable(relation, *at, target.overriding)? {
                cells.push((*at, None));
                continue;
            }
            let value = binder.expr_over(expr, &Scope::empty())?;
            let value = binder
                .coerce_assign(value, *ty, &c.name)
                .map_err(|e| e.or_at(name::position(expr)))?;
            cells.push((*at, Some(value)));
        }
        out.push(cells);
    }
    Ok(out)
}

pub(super) fn bind_query(
    binder: &mut Binder<'_>,
    relation: &Relation,
    types: &[PgType],
    target: &Target,
    query: &ast::Query,
) -> Result<BoundSource> {
    let Target { columns, explicit, .. } = target;
    let def = table_def(relation)?;
    let targets: Vec<PgType> = columns.iter().filter_map(|at| types.get(*at).copied()).collect();
    let bound = binder.query_into(query, &targets)?;
    if bound.columns.len() > columns.len() {
        return Err(too_many(true));
    }
    if *explicit && bound.columns.len() < columns.len() {
        return Err(too_many(false));
    }
    let mut values = Vec::new();
    for (i, (column, at)) in bound.columns.iter().zip(columns).enumerate() {
        let (Some(c), Some(ty)) = (def.columns.get(*at), types.get(*at)) else { continue };
        if !check_writable(relation, *at, target.overriding)? {
            continue;
        }
        let (qualifier, field) = bound.plan.schema().qualified_field(i);
        let value = Typed::new(Plan::Column((qualifier, field).into()), column.ty);
        values.push((*at, binder.coerce_assign(value, *ty, &c.name)?));
    }
    Ok(BoundSource::Query(bound, values))
}

/// Whether a query is nothing but VALUES.
pub(super) fn plain_values(q: &ast::Query) -> bool {
    q.with.is_none()
        && q.order_by.is_none()
        && q.limit_clause.is_none()
        && q.fetch.is_none()
        && q.locks.is_empty()
}
