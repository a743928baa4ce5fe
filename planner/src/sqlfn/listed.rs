//! Functions that return `record`, where the call lists the columns.

use vicinity_types::record::Record;
use vicinity_types::{Datum, Kind, Oid, PgError, Result, SqlState};

use super::{Function, at_least_one, columns_mismatch, fitted, given, run, typed};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::resolve::Context;
use crate::resolve::cast::{CastPath, pathway};
use crate::resolve::types::Types;

/// Rows of the columns that the call lists: those of the last statement, which must fit before anything runs, or the
/// fields of the one record that it gives.
pub(super) fn rows(
    ctx: &ExecContext,
    function: &Function,
    columns: &[PgType],
    args: &[Datum],
) -> Result<Vec<Vec<Datum>>> {
    let types: Vec<PgType> = given(function).collect();
    let records = matches!(types.as_slice(), [one] if one.kind == Kind::Record);
    if !records {
        let found: Vec<Oid> = types.iter().map(|ty| typed(*ty)).collect();
        check(ctx, function, columns, &found)
            .map_err(|e| e.context(format!("SQL function \"{}\" during startup", function.name)))?;
    }
    let mut rows = Vec::new();
    run(ctx, function, args, &mut |row| {
        rows.push(match records {
            true => row,
            false => {
                fitted(ctx, function, row.into_iter().zip(given(function)).collect(), columns)?
            }
        });
        Ok(function.returns_set)
    })?;
    if records {
        let each = rows.into_iter().map(|row| spread(ctx, &row, columns));
        rows = each.collect::<Result<_>>()?;
    }
    Ok(at_least_one(function, columns, rows))
}

/// The fields of a record as the columns that the call lists, which they must be: they are not converted.
fn spread(ctx: &ExecContext, row: &[Datum], columns: &[PgType]) -> Result<Vec<Datum>> {
    let Some(Datum::Record(record)) = row.first() else {
        return Ok(vec![Datum::Null; columns.len()]);
    };
    if let Some(detail) = record_mismatch(ctx, record, columns) {
        let text = "function return row and query-specified return row do not match";
        return Err(PgError::new(SqlState::DATATYPE_MISMATCH, text).detail(detail));
    }
    Ok(record.fields.iter().map(|(_, value)| value.clone()).collect())
}

/// What is wrong with a record for the columns that the call lists.
fn record_mismatch(ctx: &ExecContext, record: &Record, columns: &[PgType]) -> Option<String> {
    let (has, expects) = (record.fields.len(), columns.len());
    if has != expects {
        let s = if has == 1 { "" } else { "s" };
        return Some(format!(
            "Returned row contains {has} attribute{s}, but query expects {expects}."
        ));
    }
    let types = Types::of(ctx);
    let same = |from: Oid, to: Oid| {
        let relabelled = || pathway(&types, from, to, Context::Implicit);
        from == to || types.base(to) == to && matches!(relabelled(), Some(CastPath::Relabel))
    };
    for (at, ((from, _), to)) in (1_usize..).zip(record.fields.iter().zip(columns)) {
        let from = typed(PgType::new(*from));
        if !same(from, to.oid) {
            let (from, to) = (types.name(from), types.name(to.oid));
            return Some(format!(
                "Returned type {from} at ordinal position {at}, but query expects {to}."
            ));
        }
    }
    None
}

/// What the function gives must fit the columns that are wanted.
pub(super) fn check(
    ctx: &ExecContext,
    function: &Function,
    columns: &[PgType],
    found: &[Oid],
) -> Result<()> {
    let Some(detail) = columns_mismatch(&Types::of(ctx), columns, found) else { return Ok(()) };
    let name = ctx.type_name(function.returns.oid, None);
    let text = format!("return type mismatch in function declared to return {name}");
    Err(PgError::new(SqlState::INVALID_FUNCTION_DEFINITION, text).detail(detail))
}
