//! `generate_series`, `generate_subscripts`, `unnest`.

use std::cmp::Ordering;
use std::sync::Arc;

use vicinity_types::Datum::{
    self, Array as Arr, Bool, Int4, Int8, Interval as Iv, Numeric as Num, Timestamp, TimestampTz,
};
use vicinity_types::array::Array;
use vicinity_types::interval::Interval;
use vicinity_types::numeric::Numeric;
use vicinity_types::{PgError, Result, SqlState, Zone};

use crate::datetime::arithmetic::{add, add_tz};
use crate::registry::Rows;

fn refuse(what: &str) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, what)
}

fn zero_step() -> PgError {
    refuse("step size cannot equal zero")
}

/// Whole numbers; a step past the type's range ends the series.
fn whole<T>(start: T, end: T, step: T, make: fn(T) -> Datum) -> Result<Rows>
where
    T: Copy + Ord + Default + Send + 'static + num_traits::CheckedAdd,
{
    let rising = match step.cmp(&T::default()) {
        Ordering::Equal => return Err(zero_step()),
        order => order.is_gt(),
    };
    let mut next = Some(start);
    Ok(Box::new(std::iter::from_fn(move || {
        let value = next.filter(|v| if rising { *v <= end } else { *v >= end })?;
        next = value.checked_add(&step);
        Some(Ok(vec![make(value)]))
    })))
}

fn numeric(start: &Numeric, end: &Numeric, step: &Numeric) -> Result<Rows> {
    for (what, value) in [("start", start), ("stop", end), ("step", step)] {
        let special = if value.is_nan() {
            "NaN"
        } else if value.is_infinite() {
            "infinity"
        } else {
            continue;
        };
        let noun = if what == "step" { "step size" } else { what };
        let noun = if what == "step" { noun.to_owned() } else { format!("{noun} value") };
        return Err(refuse(&format!("{noun} cannot be {special}")));
    }
    if step.is_zero() {
        return Err(zero_step());
    }
    let rising = step.signum() > 0;
    let (end, step) = (end.clone(), step.clone());
    let mut next = Some(start.clone());
    Ok(Box::new(std::iter::from_fn(move || {
        let value = next.take().filter(|v| if rising { *v <= end } else { *v >= end })?;
        match value.add(&step) {
            Ok(following) => next = Some(following),
            Err(e) => return Some(Err(e)),
        }
        Some(Ok(vec![Num(Arc::new(value))]))
    })))
}

/// Moments a step apart; `zone` is known for `timestamptz`.
fn moments(start: i64, end: i64, step: Interval, zone: Option<Arc<Zone>>) -> Result<Rows> {
    let rising = match vicinity_types::compare(&Iv(step), &Iv(Interval::default())) {
        Ordering::Equal => return Err(zero_step()),
        order => order.is_gt(),
    };
    let mut next = Some(start);
    Ok(Box::new(std::iter::from_fn(move || {
        let value = next.take().filter(|v| if rising { *v <= end } else { *v >= end })?;
        let (following, row) = match &zone {
            Some(zone) => (add_tz(value, &step, zone), TimestampTz(value)),
            None => (add(value, &step), Timestamp(value)),
        };
        match following {
            // An infinite moment stays where it is.
            Ok(following) if following == value => {}
            Ok(following) => next = Some(following),
            Err(e) => return Some(Err(e)),
        }
        Some(Ok(vec![row]))
    })))
}

fn subscripts(a: &Array, n: i32, reverse: bool) -> Result<Rows> {
    let dim = usize::try_from(n - 1).ok().and_then(|n| a.dims.get(n).copied());
    let Some(dim) = dim else { return crate::registry::no_rows() };
    let (low, high) = (dim.lower, dim.lower.saturating_add(dim.len - 1));
    if reverse { whole(high, low, -1, Int4) } else { whole(low, high, 1, Int4) }
}

fn elements(a: Arc<Array>) -> Result<Rows> {
    let count = a.len();
    Ok(Box::new((0..count).map(move |i| Ok(vec![a.get(i)]))))
}

/// `information_schema._pg_expandarray`: elements with their places.
fn numbered(a: Arc<Array>) -> Result<Rows> {
    let count = i32::try_from(a.len()).unwrap_or(i32::MAX);
    let place = |i: i32| usize::try_from(i).unwrap_or(0);
    Ok(Box::new((0..count).map(move |i| Ok(vec![a.get(place(i)), Int4(i + 1)]))))
}

sets! { pub(crate) SERIES, env;
    "generate_series_int4" [Int4(a), Int4(b)] => whole(*a, *b, 1, Int4);
    "generate_series_step_int4" [Int4(a), Int4(b), Int4(s)] => whole(*a, *b, *s, Int4);
    "generate_series_int8" [Int8(a), Int8(b)] => whole(*a, *b, 1, Int8);
    "generate_series_step_int8" [Int8(a), Int8(b), Int8(s)] => whole(*a, *b, *s, Int8);
    "generate_series_numeric" [Num(a), Num(b)] => numeric(a, b, &Numeric::from(1));
    "generate_series_step_numeric" [Num(a), Num(b), Num(s)] => numeric(a, b, s);
    "generate_series_timestamp" [Timestamp(a), Timestamp(b), Iv(s)] => moments(*a, *b, *s, None);
    "generate_series_timestamptz" [TimestampTz(a), TimestampTz(b), Iv(s)] => moments(*a, *b, *s, Some(env.io().style.time_zone.clone()));
    "generate_subscripts_nodir" [Arr(a), Int4(n)] => subscripts(a, *n, false);
    "generate_subscripts" [Arr(a), Int4(n), Bool(r)] => subscripts(a, *n, *r);
    "array_unnest" [Arr(a)] => elements(a.clone());
    "_pg_expandarray" [Arr(a)] => numbered(a.clone());
}
