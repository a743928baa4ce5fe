//! The keys of an index: columns and expressions, with their names, types and operator classes.

use std::sync::Arc;

use sqlparser::ast::{Expr, Ident};
use vicinity_storage::catalog::model::{
    AttrNumber, IndexKey, IndexMethod, KeyExpr, Relation, TableDef,
};
use vicinity_types::{Kind, Oid, PgError, Result, SqlState, oid};

use super::super::dml::{self, table_def};
use super::super::name;
use super::super::stored::{self, Place};
use super::opclass::{self, Method};
use crate::context::ExecContext;
use crate::sql::{self, CreateIndex};

fn column(table: &TableDef, wanted: &str) -> Result<AttrNumber> {
    let at = table.columns.iter().position(|c| !c.dropped && c.name == wanted);
    at.and_then(|at| i16::try_from(at + 1).ok()).ok_or_else(|| {
        PgError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{wanted}\" does not exist"))
    })
}

fn type_of(table: &TableDef, number: AttrNumber) -> Oid {
    let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
    table.columns.get(at).map_or(0, |c| c.type_oid)
}

/// The names of an index's attributes (`ChooseIndexColumnNames`): columns' own, expressions' as in a
/// select list, numbered where one comes again.
pub(crate) fn names(ctx: &ExecContext, c: &CreateIndex) -> Vec<String> {
    let binder = dml::binder(ctx);
    let keys = c.keys.iter().map(|k| match &k.expr {
        Expr::Identifier(own) => name::ident(own),
        other => match binder.column_name(other) {
            found if found == "?column?" => "expr".to_owned(),
            found => found,
        },
    });
    let mut out: Vec<String> = Vec::new();
    for own in keys.chain(c.include.iter().map(name::ident)) {
        let free = |n: &String| !out.contains(n);
        let numbered = (1..).map(|i| format!("{own}{i}"));
        if let Some(found) = std::iter::once(own.clone()).chain(numbered).find(free) {
            out.push(found);
        }
    }
    out
}

/// INCLUDE columns.
pub(crate) fn include(def: &TableDef, given: &[Ident]) -> Result<Vec<AttrNumber>> {
    let found = |i| column(def, &name::ident(i)).map_err(|e| e.or_at(name::ident_at(i)));
    given.iter().map(found).collect()
}

/// What a key is over, and its type.
fn source(
    ctx: &ExecContext,
    table: &Arc<Relation>,
    written: &Expr,
    own: &str,
    place: Place,
) -> Result<(AttrNumber, Option<KeyExpr>, Oid)> {
    let def = table_def(table)?;
    if let Expr::Identifier(own) = written {
        let number = column(def, &name::ident(own))?;
        return Ok((number, None, type_of(def, number)));
    }
    let bound = stored::define(ctx, table, written, place)?;
    let sql = stored::text(ctx, table, written, &bound, place)?;
    let ty = if bound.ty.oid == oid::UNKNOWN { oid::TEXT } else { bound.ty.oid };
    let pseudo = vicinity_functions::type_by_oid(ty).is_some_and(|t| t.kind == b'p');
    if pseudo {
        let shown = ctx.type_name(ty, None);
        return Err(PgError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("column \"{own}\" has pseudo-type {shown}"),
        ));
    }
    let expr = KeyExpr { sql, type_oid: ty, typmod: bound.ty.typmod, name: own.to_owned() };
    Ok((0, Some(expr), ty))
}

fn check_order(method: &Method, k: &sql::IndexKey) -> Result<()> {
    let lacks = |what: &str| {
        Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("access method \"{}\" does not support {what} options", method.name),
        ))
    };
    if method.kind != IndexMethod::Btree && k.descending {
        return lacks("ASC/DESC");
    }
    if method.kind != IndexMethod::Btree && k.nulls_first.is_some() {
        return lacks("NULLS FIRST/LAST");
    }
    Ok(())
}

/// The keys, looked up; `place`: of an index, or of a partitioned table.
pub(crate) fn keys(
    ctx: &ExecContext,
    table: &Arc<Relation>,
    method: &Method,
    given: &[sql::IndexKey],
    named: &[String],
    place: Place,
) -> Result<Vec<IndexKey>> {
    let mut out = Vec::with_capacity(given.len());
    for (k, own) in given.iter().zip(named) {
        if !k.opclass_options.is_empty() {
            return Err(PgError::unsupported("operator class parameters"));
        }
        let (column, expr, ty) = source(ctx, table, &k.expr, own, place)?;
        if let Some(collation) = &k.collation {
            super::table::check_collation(ctx, collation, ty).map_err(PgError::without_position)?;
        }
        if expr.is_some() && matches!(method.kind, IndexMethod::Hnsw | IndexMethod::Ivfflat) {
            return Err(PgError::unsupported(format!(
                "access method \"{}\" over an expression",
                method.name
            )));
        }
        let class = match &k.opclass {
            Some(class) => opclass::named(ctx, method, class, ty)?,
            None => opclass::default(ctx, method.oid, method.name, ty)?,
        };
        let kind = ctx.catalog.kind_of(ty);
        let placed = matches!(kind, Kind::Point | Kind::Box | Kind::Circle | Kind::Polygon);
        if method.kind == IndexMethod::Spatial && !placed {
            let shown = ctx.type_name(ty, None);
            let what = format!("access method \"{}\" over type {shown}", method.name);
            return Err(PgError::unsupported(what));
        }
        check_order(method, k)?;
        out.push(IndexKey {
            column,
            expr,
            opclass: class,
            descending: k.descending,
            nulls_first: k.nulls_first.unwrap_or(k.descending),
        });
    }
    if out.len() > 32 {
        return Err(PgError::new(
            SqlState::TOO_MANY_COLUMNS,
            "cannot use more than 32 columns in an index",
        ));
    }
    Ok(out)
}
