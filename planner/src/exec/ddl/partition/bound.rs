//! Bounds: FOR VALUES, and what of it is free.

use std::sync::Arc;

use sqlparser::ast::{self, ForValues, PartitionBoundValue};
use vicinity_storage::catalog::model::{Limit, PartitionBound, Partitioning, Relation, Strategy};
use vicinity_types::{Datum, Oid, Result, SqlState, raw};

use super::wrong;
use crate::bind::Scope;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::dml::{self, RowExpr, table_def};
use crate::exec::name;
use crate::exec::stored::Place;
use crate::partition::{self, Bounds, show};

/// A bound for a partition about to be made, the others' seen to.
pub(crate) fn new_bound(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    own: &str,
    given: &ForValues,
) -> Result<PartitionBound> {
    let made = bound(ctx, parent, given)?;
    check_free(ctx, parent, own, &made)?;
    Ok(made)
}

/// `FOR VALUES`, for a partition of `parent`.
fn bound(ctx: &ExecContext, parent: &Relation, given: &ForValues) -> Result<PartitionBound> {
    let by = table_def(parent)?.partitioning.as_ref().ok_or_else(|| {
        wrong(
            SqlState::INVALID_OBJECT_DEFINITION,
            format!("\"{}\" is not partitioned", parent.name),
        )
    })?;
    let misfit = |what: &str| {
        let text = format!("invalid bound specification for a {what} partition");
        Err(wrong(SqlState::INVALID_TABLE_DEFINITION, text))
    };
    match (by.strategy, given) {
        (Strategy::Hash, ForValues::Default) => Err(wrong(
            SqlState::INVALID_TABLE_DEFINITION,
            "a hash-partitioned table may not have a default partition",
        )),
        (_, ForValues::Default) => Ok(PartitionBound::Default),
        (Strategy::List, ForValues::In(values)) => {
            let types = partition::key_types(parent, by);
            let ty = types.first().copied().unwrap_or((0, -1));
            let own = show::key_names(parent, by).into_iter().next().unwrap_or_default();
            let mut out: Vec<Option<Vec<u8>>> = Vec::with_capacity(values.len());
            for e in values {
                let v = value(ctx, e, ty, &own)?;
                let v = (!v.is_null()).then(|| stored(&v));
                if !out.contains(&v) {
                    out.push(v);
                }
            }
            Ok(PartitionBound::List(out))
        }
        (Strategy::Range, ForValues::From { from, to }) => {
            let from = limits(ctx, parent, by, from, true)?;
            let to = limits(ctx, parent, by, to, false)?;
            Ok(PartitionBound::Range { from, to })
        }
        (Strategy::Hash, ForValues::With { modulus, remainder }) => {
            let number = |n: &u64| u32::try_from(*n).unwrap_or(u32::MAX);
            let (modulus, remainder) = (number(modulus), number(remainder));
            if modulus == 0 {
                let text = "modulus for hash partition must be an integer value greater than zero";
                return Err(wrong(SqlState::INVALID_TABLE_DEFINITION, text));
            }
            if remainder >= modulus {
                let text = "remainder for hash partition must be less than modulus";
                return Err(wrong(SqlState::INVALID_TABLE_DEFINITION, text));
            }
            Ok(PartitionBound::Hash { modulus, remainder })
        }
        (Strategy::List, _) => misfit("list"),
        (Strategy::Range, _) => misfit("range"),
        (Strategy::Hash, _) => misfit("hash"),
    }
}

/// One end of a range.
fn limits(
    ctx: &ExecContext,
    parent: &Relation,
    by: &Partitioning,
    given: &[PartitionBoundValue],
    from: bool,
) -> Result<Vec<Limit>> {
    let word = if from { "FROM" } else { "TO" };
    if given.len() != by.keys.len() {
        let text = format!("{word} must specify exactly one value per partitioning column");
        return Err(wrong(SqlState::INVALID_TABLE_DEFINITION, text));
    }
    let types = partition::key_types(parent, by);
    let names = show::key_names(parent, by);
    let mut out: Vec<Limit> = Vec::with_capacity(given.len());
    for ((value_, ty), own) in given.iter().zip(types).zip(&names) {
        let limit = match value_ {
            PartitionBoundValue::MinValue => Limit::Min,
            PartitionBoundValue::MaxValue => Limit::Max,
            other if is_unbounded(other) && from => Limit::Min,
            other if is_unbounded(other) => Limit::Max,
            PartitionBoundValue::Expr(e) => match value(ctx, e, ty, own)? {
                Datum::Null => {
                    let text = "cannot specify NULL in range bound";
                    return Err(wrong(SqlState::INVALID_OBJECT_DEFINITION, text));
                }
                v => Limit::At(stored(&v)),
            },
        };
        let before = out.last().filter(|b| !matches!(b, Limit::At(_)));
        if let Some(before) = before.filter(|b| **b != limit) {
            let word = if *before == Limit::Min { "MINVALUE" } else { "MAXVALUE" };
            return Err(wrong(
                SqlState::DATATYPE_MISMATCH,
                format!("every bound following {word} must also be {word}"),
            ));
        }
        out.push(limit);
    }
    Ok(out)
}

/// `unbounded`, as it was before there were MINVALUE and MAXVALUE.
fn is_unbounded(value: &PartitionBoundValue) -> bool {
    matches!(value, PartitionBoundValue::Expr(ast::Expr::Identifier(i))
        if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("unbounded"))
}

/// A bound's value, in the type of its column of the key.
fn value(
    ctx: &ExecContext,
    expr: &ast::Expr,
    (ty, typmod): (Oid, i32),
    column: &str,
) -> Result<Datum> {
    if matches!(expr, ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)) {
        return Err(wrong(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot use column reference in partition bound expression",
        )
        .or_at(name::position(expr)));
    }
    let ctx = &ctx.next_statement();
    let kind = ctx.catalog.kind_of(ty);
    let ty = PgType::with_kind(ty, typmod, kind);
    let mut binder = dml::binder(ctx);
    let bound = binder.expr_at(expr, &Scope::empty(), Place::PartitionBound)?;
    let bound = binder.coerce_assign(bound, ty, column).map_err(|e| {
        if e.code() != SqlState::DATATYPE_MISMATCH {
            return e;
        }
        let shown = ctx.type_name(ty.oid, Some(typmod));
        let text =
            format!("specified value cannot be cast to type {shown} for column \"{column}\"");
        wrong(SqlState::DATATYPE_MISMATCH, text)
    })?;
    RowExpr::compile(&bound, kind, None)?.eval(ctx, &[])
}

fn stored(value: &Datum) -> Vec<u8> {
    let mut out = Vec::new();
    raw::encode(value, &mut out);
    out
}

/// A new bound must leave the others theirs.
fn check_free(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    own: &str,
    bound: &PartitionBound,
) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let bounds = partition::bounds(&ctx.engine, &catalog, parent)?;
    if let PartitionBound::Range { from, to } = bound
        && bounds.is_empty_range(from, to)?
    {
        let (from, to) = (show::limits(ctx, parent, from), show::limits(ctx, parent, to));
        return Err(wrong(
            SqlState::INVALID_OBJECT_DEFINITION,
            format!("empty range bound specified for partition \"{own}\""),
        )
        .detail(format!(
            "Specified lower bound {from} is greater than or equal to upper bound {to}."
        )));
    }
    if let PartitionBound::Hash { modulus, remainder } = bound {
        check_modulus(ctx, &bounds, *modulus, *remainder)?;
    }
    let Some(other) = bounds.clash(bound)? else { return Ok(()) };
    let other = catalog.relation(other).map_or("", |r| r.name.as_str());
    let text = match bound {
        PartitionBound::Default => {
            format!("partition \"{own}\" conflicts with existing default partition \"{other}\"")
        }
        _ => format!("partition \"{own}\" would overlap partition \"{other}\""),
    };
    Err(wrong(SqlState::INVALID_OBJECT_DEFINITION, text))
}

/// Each modulus is a factor of the next larger one.
fn check_modulus(ctx: &ExecContext, bounds: &Bounds, modulus: u32, remainder: u32) -> Result<()> {
    let own =
        |child: Oid| ctx.txn.catalog().relation(child).map_or_else(String::new, |r| r.name.clone());
    let modulus = u64::from(modulus);
    let (before, after) = bounds.beside(modulus, u64::from(remainder));
    let detail = match (before, after) {
        (Some((other, child)), _) if modulus % other != 0 => format!(
            "The new modulus {modulus} is not divisible by {other}, the modulus of existing \
             partition \"{}\".",
            own(child)
        ),
        (_, Some((other, child))) if other % modulus != 0 => format!(
            "The new modulus {modulus} is not a factor of {other}, the modulus of existing \
             partition \"{}\".",
            own(child)
        ),
        _ => return Ok(()),
    };
    let text = "every hash partition modulus must be a factor of the next larger modulus";
    Err(wrong(SqlState::INVALID_OBJECT_DEFINITION, text).detail(detail))
}
