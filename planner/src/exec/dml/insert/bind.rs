//! The rows of an INSERT, bound to the columns they go to.

use datafusion::logical_expr::{Expr as Plan, LogicalPlan};
use sqlparser::ast::{self, Expr};
use vicinity_storage::catalog::model::{Column, Identity, Relation};
use vicinity_types::{PgError, Result, SqlState};

use super::super::assign::{check_whole, placed};
use super::super::layout::columns;
use super::super::target::{Place, is_default, place};
use crate::bind::{Binder, Scope, VALUES};
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

/// The columns given values, in order: all of them where none is listed.
fn columns_of(relation: &Relation, listed: &[ast::ObjectName]) -> Result<Vec<Place>> {
    let mut given = listed.iter().filter(|c| overriding(c).is_none()).peekable();
    if given.peek().is_none() {
        let live = columns(relation).iter().enumerate().filter(|(_, c)| !c.dropped);
        let whole = |(at, c): (usize, &Column)| Place {
            at,
            name: c.name.clone(),
            path: Vec::new(),
            position: None,
        };
        return Ok(live.map(whole).collect());
    }
    let mut out: Vec<Place> = Vec::new();
    for column in given {
        let to = place(relation, column)?;
        if out.iter().any(|have| have.meets(&to)) {
            return Err(PgError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", to.name),
            )
            .or_at(to.position));
        }
        out.push(to);
    }
    Ok(out)
}

/// GENERATED ALWAYS columns take nothing but DEFAULT, unless OVERRIDING says so. False if the value
/// given to an identity column is not to be used.
fn check_writable(relation: &Relation, at: usize, clause: Option<Overriding>) -> Result<bool> {
    let Some(c) = columns(relation).get(at) else { return Ok(true) };
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
pub(in super::super) struct Listed {
    pub(in super::super) columns: Vec<Place>,
    /// They were listed.
    explicit: bool,
    overriding: Option<Overriding>,
}

impl Listed {
    pub(in super::super) fn of(relation: &Relation, listed: &[ast::ObjectName]) -> Result<Listed> {
        Ok(Listed {
            columns: columns_of(relation, listed)?,
            explicit: listed.iter().any(|c| overriding(c).is_none()),
            overriding: listed.iter().find_map(overriding),
        })
    }

    /// Binds one row of VALUES over names.
    pub(in super::super) fn bind_row(
        &self,
        binder: &mut Binder<'_>,
        relation: &Relation,
        types: &[PgType],
        row: &[Expr],
        scope: &Scope,
    ) -> Result<BoundRow> {
        if row.len() > self.columns.len() {
            let at = row.get(self.columns.len()).and_then(name::position);
            return Err(too_many(true).or_at(at));
        }
        if self.explicit && row.len() < self.columns.len() {
            let behind = self.columns.get(row.len()).and_then(|place| place.position);
            return Err(too_many(false).or_at(behind));
        }
        let mut cells: BoundRow = Vec::with_capacity(row.len());
        for (expr, to) in row.iter().zip(&self.columns) {
            let Some(ty) = types.get(to.at).copied() else { continue };
            if is_default(expr) {
                check_whole(to)?;
                cells.push((to.at, None));
                continue;
            }
            if !check_writable(relation, to.at, self.overriding)? {
                cells.push((to.at, None));
                continue;
            }
            let value = (binder.expr_in(expr, scope, VALUES)?, name::position(expr));
            let before = cells.iter().position(|(at, _)| *at == to.at);
            let old = before.and_then(|i| cells.remove(i).1);
            let value = placed(binder, to, ty, old, value, scope)?;
            cells.push((to.at, Some(value)));
        }
        Ok(cells)
    }
}

/// A row of values, bound; `None` in place of a default.
pub(in super::super) type BoundRow = Vec<(usize, Option<Typed>)>;

/// Rows of them.
pub(super) type Bound = Vec<BoundRow>;

/// Where the rows come from, bound.
pub(super) enum BoundSource {
    Rows(Bound),
    /// One row over a plan, which gives what its sets hold.
    Sets(LogicalPlan, BoundRow),
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
    target: &Listed,
    rows: &[Vec<Expr>],
) -> Result<BoundSource> {
    if let [row] = rows {
        let scope = Scope::empty();
        let (row, sets) =
            binder.only_row(|me| target.bind_row(me, relation, types, row, &scope))?;
        return Ok(match sets {
            Some(plan) => BoundSource::Sets(plan, row),
            None => BoundSource::Rows(vec![row]),
        });
    }
    let width = rows.first().map_or(0, Vec::len);
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        if row.len() != width {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "VALUES lists must all be the same length",
            ));
        }
        out.push(target.bind_row(binder, relation, types, row, &Scope::empty())?);
    }
    Ok(BoundSource::Rows(out))
}

pub(super) fn bind_query(
    binder: &mut Binder<'_>,
    relation: &Relation,
    types: &[PgType],
    target: &Listed,
    query: &ast::Query,
) -> Result<BoundSource> {
    let Listed { columns, explicit, .. } = target;
    let wanted = |to: &Place, binder: &mut Binder<'_>| {
        let column = types.get(to.at).copied()?;
        Some(binder.part_type(column, &to.path, &Scope::empty()))
    };
    let targets: Vec<PgType> = columns.iter().filter_map(|to| wanted(to, binder)).collect();
    let bound = binder.query_into(query, &targets)?;
    if bound.columns.len() > columns.len() {
        return Err(too_many(true));
    }
    if *explicit && bound.columns.len() < columns.len() {
        return Err(too_many(false));
    }
    let mut values: Vec<(usize, Typed)> = Vec::new();
    for (i, (column, to)) in bound.columns.iter().zip(columns).enumerate() {
        let Some(ty) = types.get(to.at).copied() else { continue };
        if !check_writable(relation, to.at, target.overriding)? {
            continue;
        }
        let (qualifier, field) = bound.plan.schema().qualified_field(i);
        let value = Typed::new(Plan::Column((qualifier, field).into()), column.ty);
        let before = values.iter().position(|(at, _)| *at == to.at);
        let old = before.map(|i| values.remove(i).1);
        values.push((to.at, placed(binder, to, ty, old, (value, None), &Scope::empty())?));
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
