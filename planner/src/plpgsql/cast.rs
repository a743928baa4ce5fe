//! Assignment conversions between variables' types.

use vicinity_types::{Datum, Kind, Result, io, oid};

use super::frame::same_type;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::inner;

/// Converts a value as an assignment does: by an assignment cast where there is one, else through
/// text, as PL/pgSQL always allowed.
pub(super) fn assign(ctx: &ExecContext, value: Datum, from: PgType, to: PgType) -> Result<Datum> {
    if same_type(from, to) {
        return Ok(value);
    }
    if value.is_null() {
        return inner::null_of(ctx, to);
    }
    if from.kind == Kind::Record && to.kind == Kind::Record {
        return Ok(value);
    }
    if let Some(converted) = inner::convert(ctx, &value, from, to)? {
        return Ok(converted);
    }
    let text = to_text(ctx, &value, from)?.unwrap_or_default();
    let Some(base) = inner::made_of(ctx, to) else {
        return io::text_in(to.oid, to.typmod, &text, &ctx.io());
    };
    let read = io::text_in(base.oid, base.typmod, &text, &ctx.io())?;
    Ok(inner::convert(ctx, &read, base, to)?.unwrap_or(read))
}

/// A value's text; `None` for NULL.
pub(super) fn to_text(ctx: &ExecContext, value: &Datum, ty: PgType) -> Result<Option<String>> {
    Ok(match value {
        Datum::Null => None,
        Datum::Text(s) => Some(s.to_string()),
        Datum::Bool(b) if ty.oid == oid::BOOL => Some(if *b { "t" } else { "f" }.to_owned()),
        _ => Some(io::as_text(ty.oid, value, &ctx.io())?),
    })
}
