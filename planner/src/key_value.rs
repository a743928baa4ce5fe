//! Values that a filter compares with a key, of an index or of a partitioned table: of the key's own type, or of another
//! one of its family (`date` and `timestamp`, integers, floats).

use std::ops::Bound;

use vicinity_types::{Datum, Kind, Oid, compare, oid};

use crate::context::ExecContext;
use crate::row::number::as_i64;

/// Where a value is among those of the key's type.
pub(crate) enum Value {
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

impl Value {
    /// The value, if it is one of the key's type.
    pub(crate) fn known(self) -> Option<Datum> {
        match self {
            Value::Known(value) => Some(value),
            _ => None,
        }
    }

    /// The low or the high bound of the keys that a comparison with it leaves; `None` if it leaves none.
    pub(crate) fn bound(self, inclusive: bool, low: bool) -> Option<Bound<Datum>> {
        match (self, low) {
            (Value::Known(value), _) if inclusive => Some(Bound::Included(value)),
            (Value::Known(value), _) | (Value::After(value), true) => Some(Bound::Excluded(value)),
            (Value::After(value), false) => Some(Bound::Included(value)),
            (Value::Null, _) | (Value::Above, true) | (Value::Below, false) => None,
            (Value::Below, true) | (Value::Above, false) | (Value::Unknown, _) => {
                Some(Bound::Unbounded)
            }
        }
    }
}

/// Whether values of two kinds are compared within one family, each held as it is.
pub(crate) fn is_family(a: Kind, b: Kind) -> bool {
    let float = |k| matches!(k, Kind::Float4 | Kind::Float8);
    is_whole(a) && is_whole(b) || float(a) && float(b) || is_time(a) && is_time(b)
}

/// Whether values of a kind are integers.
pub(crate) fn is_whole(kind: Kind) -> bool {
    matches!(kind, Kind::Int2 | Kind::Int4 | Kind::Int8)
}

fn is_time(kind: Kind) -> bool {
    matches!(kind, Kind::Date | Kind::Timestamp | Kind::TimestampTz)
}

/// Whether a comparison of two kinds depends on the session's time zone.
pub(crate) fn asks_zone(a: Kind, b: Kind) -> bool {
    a != b && is_time(a) && is_time(b) && (a == Kind::TimestampTz || b == Kind::TimestampTz)
}

/// A value among those of a kind.
pub(crate) fn as_key(ctx: &ExecContext, value: Datum, kind: Kind) -> Value {
    let Some(own) = value.kind() else { return Value::Null };
    if own == kind {
        return Value::Known(value);
    }
    match (&value, kind) {
        (_, Kind::Int2 | Kind::Int4 | Kind::Int8) => whole(&value, kind),
        (Datum::Float4(v), Kind::Float8) => Value::Known(Datum::Float8(f64::from(*v))),
        (Datum::Float8(v), Kind::Float4) => narrow(*v),
        (value, kind) if is_time(own) && is_time(kind) => time(ctx, value, own, kind),
        _ => Value::Unknown,
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

/// Of dates and times, the one that says less is converted to compare them: a key here, unless it says more.
fn time(ctx: &ExecContext, value: &Datum, own: Kind, kind: Kind) -> Value {
    let rank = |kind| match kind {
        Kind::Date => 0,
        Kind::Timestamp => 1,
        _ => 2,
    };
    let Some(near) = cast(ctx, value, own, kind) else { return beyond(value, kind) };
    if rank(own) < rank(kind) {
        return Value::Known(near);
    }
    let side = |key: &Datum| match cast(ctx, key, kind, own) {
        Some(converted) => compare(&converted, value),
        None => compare(key, &near),
    };
    if side(&near).is_eq() {
        return Value::Known(near);
    }
    // Where clocks are set back or forth, what a value becomes need not become the value again.
    let key = last_before(&near, |key| side(key).is_gt());
    if side(&key).is_eq() { Value::Known(key) } else { Value::After(key) }
}

/// The last date or timestamp that is not after something, less than two days from another one.
fn last_before(near: &Datum, is_after: impl Fn(&Datum) -> bool) -> Datum {
    let (middle, day) = match near {
        Datum::Date(day) => (i64::from(*day), 1),
        Datum::Timestamp(at) => (*at, 86_400_000_000),
        _ => return near.clone(),
    };
    let key = |n: i64| match near {
        Datum::Date(_) => Datum::Date(i32::try_from(n).unwrap_or(i32::MAX)),
        _ => Datum::Timestamp(n),
    };
    let (mut low, mut high) = (middle.saturating_sub(2 * day), middle.saturating_add(2 * day));
    while high - low > 1 {
        let between = low + (high - low) / 2;
        match is_after(&key(between)) {
            true => high = between,
            false => low = between,
        }
    }
    key(low)
}

/// A value that none of a kind is equal to, though it is finite: next to one of the infinities.
fn beyond(value: &Datum, kind: Kind) -> Value {
    let early = match value {
        Datum::Date(day) => *day < 0,
        Datum::Timestamp(at) | Datum::TimestampTz(at) => *at < 0,
        _ => return Value::Unknown,
    };
    match (kind, early) {
        (Kind::Timestamp, true) => Value::After(Datum::Timestamp(i64::MIN)),
        (Kind::Timestamp, false) => Value::After(Datum::Timestamp(i64::MAX - 1)),
        (Kind::TimestampTz, true) => Value::After(Datum::TimestampTz(i64::MIN)),
        (Kind::TimestampTz, false) => Value::After(Datum::TimestampTz(i64::MAX - 1)),
        _ => Value::Unknown,
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
