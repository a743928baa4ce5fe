//! `in_range`: support functions of btree families for window frames of RANGE with an offset.
//!
//! `in_range(value, base, offset, sub, less)` is whether `value <= base ± offset` (`less`) or
//! `value >= base ± offset`, where `±` is minus if `sub`. Sums beyond a type's range are beyond every
//! value of it.

use vicinity_types::Datum::{
    Bool, Date, Float4, Float8, Int2, Int4, Int8, Interval as Span, Numeric as Num, Time, TimeTz,
    Timestamp, TimestampTz,
};
use vicinity_types::interval::Interval;
use vicinity_types::numeric::Numeric;
use vicinity_types::{Datum, PgError, Result, SqlState, compare};

use crate::datetime::{arithmetic, interval};
use crate::number::float::order;

fn invalid() -> PgError {
    PgError::new(
        SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
        "invalid preceding or following size in window function",
    )
}

fn side(order: std::cmp::Ordering, less: bool) -> bool {
    if less { order.is_le() } else { order.is_ge() }
}

fn ints(value: i64, base: i64, offset: i64, sub: bool, less: bool) -> Result<bool> {
    if offset < 0 {
        return Err(invalid());
    }
    let (base, offset) = (i128::from(base), i128::from(offset));
    let bound = if sub { base - offset } else { base + offset };
    Ok(side(i128::from(value).cmp(&bound), less))
}

fn floats(value: f64, base: f64, offset: f64, sub: bool, less: bool) -> Result<bool> {
    if offset.is_nan() || offset < 0.0 {
        return Err(invalid());
    }
    if value.is_nan() {
        return Ok(base.is_nan() || !less);
    }
    if base.is_nan() {
        return Ok(less);
    }
    let bound = if sub { base - offset } else { base + offset };
    // infinity less infinity: the frame has no end on that side
    Ok(bound.is_nan() || side(order(value, bound), less))
}

fn numerics(
    value: &Numeric,
    base: &Numeric,
    offset: &Numeric,
    sub: bool,
    less: bool,
) -> Result<bool> {
    if offset.is_nan() || offset.signum() < 0 {
        return Err(invalid());
    }
    if value.is_nan() {
        return Ok(base.is_nan() || !less);
    }
    if base.is_nan() {
        return Ok(less);
    }
    let bound = if sub { base.sub(offset)? } else { base.add(offset)? };
    Ok(bound.is_nan() || side(value.cmp(&bound), less))
}

fn zero_or_more(offset: &Interval) -> Result<()> {
    let zero = Interval { months: 0, days: 0, micros: 0 };
    let negative = compare(&Span(*offset), &Span(zero)).is_lt();
    if negative { Err(invalid()) } else { Ok(()) }
}

fn moments(value: i64, base: i64, offset: &Interval, sub: bool, less: bool) -> Result<bool> {
    zero_or_more(offset)?;
    let bound = if sub {
        arithmetic::subtract_interval(base, offset)?
    } else {
        arithmetic::add(base, offset)?
    };
    Ok(side(value.cmp(&bound), less))
}

/// Days alone count for the time of a day: months and days of the offset mean nothing.
fn times(value: &Datum, base: i64, offset: &Interval, sub: bool, less: bool) -> Result<bool> {
    if offset.micros < 0 {
        return Err(invalid());
    }
    let base = i128::from(base);
    let offset = i128::from(offset.micros);
    let bound = if sub { base - offset } else { base + offset };
    let value = match value {
        Time(t) => i128::from(*t),
        TimeTz(t) => i128::from(t.micros) + i128::from(t.zone) * 1_000_000,
        _ => return Err(PgError::internal("in_range of no time")),
    };
    Ok(side(value.cmp(&bound), less))
}

scalars! { pub(crate) IN_RANGE, env;
    "in_range_int8_int8" | "in_range_int4_int8" | "in_range_int4_int4" | "in_range_int4_int2" | "in_range_int2_int8" | "in_range_int2_int4" | "in_range_int2_int2"
        [Int8(v), Int8(b), Int8(o), Bool(s), Bool(l)] => ints(*v, *b, *o, *s, *l),
        [Int4(v), Int4(b), Int8(o), Bool(s), Bool(l)] => ints((*v).into(), (*b).into(), *o, *s, *l),
        [Int4(v), Int4(b), Int4(o), Bool(s), Bool(l)] => ints((*v).into(), (*b).into(), (*o).into(), *s, *l),
        [Int4(v), Int4(b), Int2(o), Bool(s), Bool(l)] => ints((*v).into(), (*b).into(), (*o).into(), *s, *l),
        [Int2(v), Int2(b), Int8(o), Bool(s), Bool(l)] => ints((*v).into(), (*b).into(), *o, *s, *l),
        [Int2(v), Int2(b), Int4(o), Bool(s), Bool(l)] => ints((*v).into(), (*b).into(), (*o).into(), *s, *l),
        [Int2(v), Int2(b), Int2(o), Bool(s), Bool(l)] => ints((*v).into(), (*b).into(), (*o).into(), *s, *l);
    "in_range_float8_float8" | "in_range_float4_float8"
        [Float8(v), Float8(b), Float8(o), Bool(s), Bool(l)] => floats(*v, *b, *o, *s, *l),
        [Float4(v), Float4(b), Float8(o), Bool(s), Bool(l)] => floats((*v).into(), (*b).into(), *o, *s, *l);
    "in_range_numeric_numeric" [Num(v), Num(b), Num(o), Bool(s), Bool(l)] => numerics(v, b, o, *s, *l);
    "in_range_date_interval" [Date(v), Date(b), Span(o), Bool(s), Bool(l)] => {
        let midnight = |d: i32| i64::from(d).saturating_mul(86_400_000_000);
        moments(midnight(*v), midnight(*b), o, *s, *l)
    };
    "in_range_timestamp_interval" [Timestamp(v), Timestamp(b), Span(o), Bool(s), Bool(l)] => moments(*v, *b, o, *s, *l);
    "in_range_timestamptz_interval" [TimestampTz(v), TimestampTz(b), Span(o), Bool(s), Bool(l)] => {
        zero_or_more(o).and_then(|()| {
            let offset = if *s { interval::negate(o)? } else { *o };
            let bound = arithmetic::add_tz(*b, &offset, &env.io().style.time_zone)?;
            Ok(side(v.cmp(&bound), *l))
        })
    };
    "in_range_interval_interval" [v, Span(b), Span(o), Bool(s), Bool(l)] => {
        zero_or_more(o).and_then(|()| {
            let bound = if *s { interval::subtract(b, o)? } else { interval::add(b, o)? };
            Ok(side(compare(v, &Span(bound)), *l))
        })
    };
    "in_range_time_interval" [v, Time(b), Span(o), Bool(s), Bool(l)] => times(v, *b, o, *s, *l);
    "in_range_timetz_interval" [v, TimeTz(b), Span(o), Bool(s), Bool(l)] => times(v, b.micros + i64::from(b.zone) * 1_000_000, o, *s, *l);
}
