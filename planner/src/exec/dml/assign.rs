//! SET: columns and what they are to be, in UPDATE and ON CONFLICT.

use std::borrow::Cow;

use sqlparser::ast::{self, AccessExpr, Assignment, AssignmentTarget, Expr};
use vicinity_storage::catalog::model::{Identity, Relation};
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::super::name;
use super::change::select;
use super::layout::columns;
use super::rules::bind_default;
use super::target::{Place, is_default, place};
use crate::bind::{Binder, Part, Scope};
use crate::call::{PgType, Typed};
use crate::context::ExecContext;

/// One column's new value.
pub(super) struct Assign {
    pub(super) at: usize,
    pub(super) value: Typed,
}

impl Assign {
    pub(super) fn into_pair(self) -> (usize, Typed) {
        (self.at, self.value)
    }
}

fn check_assignable(relation: &Relation, at: usize) -> Result<()> {
    let Some(c) = columns(relation).get(at) else { return Ok(()) };
    let detail = if c.identity == Some(Identity::Always) {
        format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", c.name)
    } else if c.generated.is_some() {
        format!("Column \"{}\" is a generated column.", c.name)
    } else {
        return Ok(());
    };
    Err(PgError::new(
        SqlState::GENERATED_ALWAYS,
        format!("column \"{}\" can only be updated to DEFAULT", c.name),
    )
    .detail(detail))
}

/// Single assignments: `(a, b) = (1, 2)` and `(a, b) = (SELECT 1, 2)` taken apart.
fn assignments_of(list: &[Assignment]) -> Result<Vec<(&ast::ObjectName, Cow<'_, Expr>)>> {
    let mut out = Vec::new();
    for a in list {
        let names = match &a.target {
            AssignmentTarget::ColumnName(own) => {
                out.push((own, Cow::Borrowed(&a.value)));
                continue;
            }
            AssignmentTarget::Tuple(names) => names,
        };
        let position = name::position(&a.value);
        match &a.value {
            Expr::Subquery(query) => {
                for (i, own) in names.iter().enumerate() {
                    let column = column_of(query, i, names.len()).map_err(|e| e.or_at(position))?;
                    out.push((own, Cow::Owned(column)));
                }
                continue;
            }
            Expr::Tuple(values) => {
                pair(names, values.iter(), &mut out).map_err(|e| e.or_at(position))?;
            }
            Expr::Function(f) if name::last(&f.name) == "row" => {
                let given = arguments(f).and_then(|values| pair(names, values, &mut out));
                given.map_err(|e| e.or_at(position))?;
            }
            _ => {
                return Err(PgError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() \
                     expression",
                )
                .or_at(position));
            }
        }
    }
    Ok(out)
}

fn pair<'s>(
    names: &'s [ast::ObjectName],
    values: impl IntoIterator<Item = &'s Expr>,
    out: &mut Vec<(&'s ast::ObjectName, Cow<'s, Expr>)>,
) -> Result<()> {
    let values: Vec<&Expr> = values.into_iter().collect();
    if names.len() != values.len() {
        return Err(uneven());
    }
    out.extend(names.iter().zip(values.into_iter().map(Cow::Borrowed)));
    Ok(())
}

fn uneven() -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, "number of columns does not match number of values")
}

fn arguments(f: &ast::Function) -> Result<Vec<&Expr>> {
    let ast::FunctionArguments::List(list) = &f.args else { return Err(uneven()) };
    let mut out = Vec::with_capacity(list.args.len());
    for argument in &list.args {
        match argument {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => out.push(e),
            _ => return Err(uneven()),
        }
    }
    Ok(out)
}

/// One column of a subquery, as a subquery: `(SELECT ci FROM (query) AS columns (c0, ...))`.
fn column_of(query: &ast::Query, at: usize, width: usize) -> Result<Expr> {
    let given = match &*query.body {
        ast::SetExpr::Select(s) => s.projection.len(),
        ast::SetExpr::Values(v) => v.rows.first().map_or(width, |r| r.len()),
        _ => width,
    };
    if given != width {
        return Err(uneven());
    }
    let own = |i: usize| ast::Ident::with_quote('"', format!("c{i}"));
    let column = |i| ast::TableAliasColumnDef { name: own(i), data_type: None };
    let alias = ast::TableAlias {
        name: ast::Ident::with_quote('"', "columns"),
        columns: (0..width).map(column).collect(),
        explicit: true,
        at: None,
    };
    let derived = ast::TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query.clone()),
        alias: Some(alias),
        sample: None,
    };
    let from = ast::TableWithJoins { relation: derived, joins: Vec::new() };
    let item = ast::SelectItem::UnnamedExpr(Expr::Identifier(own(at)));
    Ok(Expr::Subquery(Box::new(select(vec![item], vec![from], None)?)))
}

/// A column or a part of one, and what is assigned to it; `None` for DEFAULT.
pub(super) struct Target<'s> {
    pub(super) place: Place,
    pub(super) value: Option<Cow<'s, Expr>>,
}

/// What is assigned to, no column twice.
pub(super) fn targets<'s>(relation: &Relation, list: &'s [Assignment]) -> Result<Vec<Target<'s>>> {
    let mut out: Vec<Target<'_>> = Vec::new();
    for (own, value) in assignments_of(list)? {
        let place = place(relation, own)?;
        if out.iter().any(|have| have.place.meets(&place)) {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("multiple assignments to same column \"{}\"", place.name),
            ));
        }
        if is_default(&value) {
            check_whole(&place)?;
            out.push(Target { place, value: None });
            continue;
        }
        check_assignable(relation, place.at)?;
        out.push(Target { place, value: Some(value) });
    }
    Ok(out)
}

/// A part of a column has no default.
pub(super) fn check_whole(place: &Place) -> Result<()> {
    let text = match place.path.first() {
        None => return Ok(()),
        Some(AccessExpr::Subscript(_)) => "cannot set an array element to DEFAULT",
        Some(AccessExpr::Dot(_)) => "cannot set a subfield to DEFAULT",
    };
    Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text).or_at(place.position))
}

/// The new value of the column that a value goes to, or to a part of which it goes: `old` is what the
/// column has otherwise.
pub(super) fn placed(
    binder: &mut Binder<'_>,
    place: &Place,
    ty: PgType,
    old: Option<Typed>,
    (value, position): (Typed, Option<usize>),
    scope: &Scope,
) -> Result<Typed> {
    if place.path.is_empty() {
        return binder.coerce_assign(value, ty, &place.name).map_err(|e| e.or_at(position));
    }
    let old = match old {
        Some(old) => old,
        None => Typed::new(crate::call::literal(&Datum::Null, ty)?, ty),
    };
    let part = Part { column: &place.name, path: &place.path, value, place: position };
    binder.store(old, part, scope).map_err(|e| e.or_at(place.position))
}

pub(super) fn default_value(
    ctx: &ExecContext,
    relation: &Relation,
    at: usize,
    ty: PgType,
) -> Result<Typed> {
    match bind_default(ctx, relation, at)? {
        Some(value) => Ok(value),
        None => Ok(Typed::new(crate::call::literal(&Datum::Null, ty)?, ty)),
    }
}

/// Binds SET over a scope, whose first item is the table.
pub(super) fn bind_assignments(
    ctx: &ExecContext,
    binder: &mut Binder<'_>,
    relation: &Relation,
    types: &[PgType],
    list: &[Target<'_>],
    scope: &Scope,
) -> Result<Vec<Assign>> {
    let mut out: Vec<Assign> = Vec::new();
    for Target { place, value } in list {
        let at = place.at;
        let Some(ty) = types.get(at).copied() else { continue };
        let value = match value {
            None => default_value(ctx, relation, at, ty)?,
            Some(e) => {
                let value = (binder.expr_in(e, scope, "UPDATE")?, name::position(&**e));
                let before = out.iter().position(|a| a.at == at).map(|i| out.remove(i).value);
                let old = before.or_else(|| column_of_item(scope, at));
                placed(binder, place, ty, old, value, scope)?
            }
        };
        out.push(Assign { at, value });
    }
    Ok(out)
}

/// What a column of a scope's first item is.
fn column_of_item(scope: &Scope, at: usize) -> Option<Typed> {
    let number = i16::try_from(at + 1).ok()?;
    let column = scope.items.first()?.columns.iter().find(|c| c.attr == number && !c.hidden)?;
    Some(column.typed())
}
