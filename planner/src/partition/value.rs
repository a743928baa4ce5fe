//! Values that a filter compares with a column of a partition key: of the column's own type, or of another one of its
//! family (`date` and `timestamp`, integers, floats).

use vicinity_types::{Datum, Kind, Oid, oid};

use crate::context::ExecContext;
use crate::row::number::as_i64;

/// Where a value is among those of the column's type.
pub(super) enum Value {
    Known(Datum),
    /// Right behind this one, and none of them.
    After(Datum),
    /// Before all of them.
    Below,
    /// Behind all of them.
    Above,
    Null,
    Unknown,
}

/// Whether values of two kinds are compared within one family, each held as it is.
pub(crate) fn is_family(a: Kind, b: Kind) -> bool {
    let whole = |k| matches!(k, Kind::Int2 | Kind::Int4 | Kind::Int8);
    let float = |k| matches!(k, Kind::Float4 | Kind::Float8);
    whole(a) && whole(b) || float(a) && float(b) || is_time(a) && is_time(b)
}

fn is_time(kind: Kind) -> bool {
    matches!(kind, Kind::Date | Kind::Timestamp | Kind::TimestampTz)
}

/// Whether a comparison of two kinds depends on the session's time zone.
pub(crate) fn asks_zone(a: Kind, b: Kind) -> bool {
    a != b && is_time(a) && is_time(b) && (a == Kind::TimestampTz || b == Kind::TimestampTz)
}

/// A value among those of a kind.
pub(super) fn as_key(ctx: &ExecContext, value: Datum, kind: Kind) -> Value {
    match (&value, kind) {
        (Datum::Null, _) => Value::Null,
        (value, kind) if value.kind() == Some(kind) => Value::Known(value.clone()),
        (_, Kind::Int2 | Kind::Int4 | Kind::Int8) => whole(&value, kind),
        (Datum::Float4(v), Kind::Float8) => Value::Known(Datum::Float8(f64::from(*v))),
        (Datum::Float8(v), Kind::Float4) => narrow(*v),
        (value, kind) => value.kind().map_or(Value::Unknown, |own| time(ctx, value, own, kind)),
    }
}

fn whole(value: &Datum, kind: Kind) -> Value {
    let Some(n) = as_i64(value) else { return Value::Unknown };
    let held = match kind {
        Kind::Int2 => i16::try_from(n).ok().map(Datum::Int2),
        Kind::Int4 => i32::try_from(n).ok().map(Datum::Int4),
        _ => Some(Datum::Int8(n)),
    };
    match held {
        Some(held) => Value::Known(held),
        None if n < 0 => Value::Below,
        None => Value::Above,
    }
}

fn narrow(v: f64) -> Value {
    let near = v as f32;
    if v.is_nan() || f64::from(near) == v {
        return Value::Known(Datum::Float4(near));
    }
    let below = if f64::from(near) < v { near } else { near.next_down() };
    Value::After(Datum::Float4(below))
}

/// A date or time as another kind of them: there and back, for what cannot be said in it.
fn time(ctx: &ExecContext, value: &Datum, own: Kind, kind: Kind) -> Value {
    let there = cast(ctx, value, own, kind);
    let back = there.as_ref().and_then(|key| cast(ctx, key, kind, own));
    let (Some(key), Some(back)) = (there, back) else { return Value::Unknown };
    let order = |other: &Datum| vicinity_types::compare(other, value);
    if order(&back).is_eq() {
        return Value::Known(key);
    }
    // A day is whole only if the value is before the next one: where clocks change it may not be.
    let next = match &key {
        Datum::Date(day) => day.checked_add(1).map(Datum::Date),
        _ => None,
    };
    let behind = next.and_then(|next| cast(ctx, &next, kind, own));
    match behind.is_some_and(|b| order(&back).is_lt() && order(&b).is_gt()) {
        true => Value::After(key),
        false => Value::Unknown,
    }
}

fn cast(ctx: &ExecContext, value: &Datum, from: Kind, to: Kind) -> Option<Datum> {
    let found = vicinity_functions::cast(type_of(from)?, type_of(to)?)?;
    let src = vicinity_functions::proc_by_oid(found.func)?.src;
    vicinity_functions::scalar(src)?(ctx, std::slice::from_ref(value)).ok()
}

fn type_of(kind: Kind) -> Option<Oid> {
    match kind {
        Kind::Date => Some(oid::DATE),
        Kind::Timestamp => Some(oid::TIMESTAMP),
        Kind::TimestampTz => Some(oid::TIMESTAMPTZ),
        _ => None,
    }
}
