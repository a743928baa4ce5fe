//! Rounding, scales, factorial, `width_bucket`.

use vicinity_types::Datum::{Int4, Int8, Numeric as Num};
use vicinity_types::numeric::Numeric;
use vicinity_types::{PgError, Result, SqlState};

use crate::number::int::int4_range;

fn scale_of(n: i32) -> i64 {
    i64::from(n).clamp(-2000, 2000)
}

fn min_scale(a: &Numeric) -> Option<i32> {
    a.min_scale().and_then(|scale| i32::try_from(scale).ok())
}

fn trim_scale(a: &Numeric) -> Numeric {
    a.min_scale().map_or_else(|| a.clone(), |scale| a.trunc(scale))
}

fn width_bucket(operand: &Numeric, low: &Numeric, high: &Numeric, count: i32) -> Result<i32> {
    let refuse = |what| Err(PgError::new(SqlState(*b"2201G"), what));
    if count <= 0 {
        return refuse("count must be greater than zero");
    }
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return refuse("operand, lower bound, and upper bound cannot be NaN");
    }
    if low.is_infinite() || high.is_infinite() {
        return refuse("lower and upper bounds must be finite");
    }
    if low == high {
        return refuse("lower bound cannot equal upper bound");
    }
    let rising = low < high;
    if if rising { operand < low } else { operand > low } {
        return Ok(0);
    }
    if if rising { operand >= high } else { operand <= high } {
        return count.checked_add(1).ok_or_else(int4_range);
    }
    let (part, whole) = if rising {
        (operand.sub(low)?, high.sub(low)?)
    } else {
        (low.sub(operand)?, low.sub(high)?)
    };
    let share = part.mul(&Numeric::from(count))?.div(&whole)?;
    let bucket = share.floor().parts().and_then(|(n, _)| i32::try_from(n).ok());
    Ok(bucket.ok_or_else(int4_range)?.min(count - 1) + 1)
}

/// The number of digits after the point as shown.
fn scale(a: &Numeric) -> Option<i32> {
    a.parts().and_then(|(_, scale)| i32::try_from(scale).ok())
}

scalars! { pub(crate) FUNCTIONS, env;
    "numeric_round" [Num(a), Int4(n)] => a.round(scale_of(*n));
    "round(numeric)" [Num(a)] => a.round(0);
    "numeric_trunc" [Num(a), Int4(n)] => a.trunc(scale_of(*n));
    "trunc(numeric)" [Num(a)] => a.trunc(0);
    "numeric_ceil" [Num(a)] => a.ceil();
    "numeric_floor" [Num(a)] => a.floor();
    "numeric_scale" [Num(a)] => scale(a);
    "numeric_min_scale" [Num(a)] => min_scale(a);
    "numeric_trim_scale" [Num(a)] => trim_scale(a);
    "numeric_fac" [Int8(n)] => Numeric::factorial(*n);
    "width_bucket_numeric" [Num(a), Num(low), Num(high), Int4(n)] => width_bucket(a, low, high, *n);
}
