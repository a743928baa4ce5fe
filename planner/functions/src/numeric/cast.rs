//! `numeric` from and to the other numbers.

use bigdecimal::num_traits::ToPrimitive;
use vicinity_types::Datum::{Float4, Float8, Int2, Int4, Int8, Numeric as Num};
use vicinity_types::numeric::{Numeric, round, text};
use vicinity_types::{PgError, Result, SqlState};

use crate::number::float::narrow;
use crate::number::int::{int2_range, int4_range, int8_range};

/// Rounds half away from zero; `None` past `int8`.
fn whole(a: &Numeric) -> Option<i64> {
    a.round(0).parts()?.0.to_i64()
}

/// To an integer type by its name in messages.
pub(crate) fn integer<T: TryFrom<i64>>(
    a: &Numeric,
    name: &str,
    range: fn() -> PgError,
) -> Result<T> {
    let refuse = |what: &str| {
        Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot convert {what} to {name}"),
        ))
    };
    match a {
        Numeric::NaN => refuse("NaN"),
        Numeric::Infinity | Numeric::NegInfinity => refuse("infinity"),
        Numeric::Finite(_) => whole(a).and_then(|n| T::try_from(n).ok()).ok_or_else(range),
    }
}

/// The nearest `float8`, infinite when there is none: the caller decides whether that is an error.
pub(crate) fn approximate(a: &Numeric) -> f64 {
    match a {
        Numeric::NaN => f64::NAN,
        Numeric::Infinity => f64::INFINITY,
        Numeric::NegInfinity => f64::NEG_INFINITY,
        Numeric::Finite(d) => {
            let (digits, scale) = d.as_bigint_and_exponent();
            format!("{digits}e{}", -scale).parse().unwrap_or(f64::NAN)
        }
    }
}

/// To `float8`, refusing what it cannot hold.
pub(crate) fn float8(a: &Numeric) -> Result<f64> {
    let value = approximate(a);
    if value.is_infinite() && !a.is_infinite() {
        let mut shown = bytes::BytesMut::new();
        text::write(a, &mut shown);
        return Err(PgError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!(
                "\"{}\" is out of range for type double precision",
                String::from_utf8_lossy(&shown)
            ),
        ));
    }
    Ok(value)
}

/// With the digits the float type has for sure: 15 or 6.
pub(crate) fn from_float(value: f64, digits: usize) -> Numeric {
    if value.is_nan() {
        return Numeric::NaN;
    }
    if value.is_infinite() {
        return if value > 0.0 { Numeric::Infinity } else { Numeric::NegInfinity };
    }
    let shown = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    text::parse(&format!("{mantissa}e{exponent}")).unwrap_or(Numeric::NaN)
}

scalars! { pub(crate) CAST, env;
    "int2_numeric" [Int2(a)] => Numeric::from(i64::from(*a));
    "int4_numeric" [Int4(a)] => Numeric::from(*a);
    "int8_numeric" [Int8(a)] => Numeric::from(*a);
    "float4_numeric" [Float4(a)] => from_float(f64::from(*a), 6);
    "float8_numeric" [Float8(a)] => from_float(*a, 15);
    "numeric_int2" [Num(a)] => integer::<i16>(a, "smallint", int2_range);
    "numeric_int4" [Num(a)] => integer::<i32>(a, "integer", int4_range);
    "numeric_int8" [Num(a)] => integer::<i64>(a, "bigint", int8_range);
    "numeric_float4" [Num(a)] => float8(a).and_then(narrow);
    "numeric_float8" [Num(a)] => float8(a);
    "numeric" [Num(a), Int4(m)] => round::apply_typmod(a.as_ref().clone(), *m);
    "numrange_subdiff" [Num(a), Num(b)] => super::arithmetic::subtract(a, b).map(|d| approximate(&d));
}
