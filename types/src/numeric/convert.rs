//! Between numeric and the machine's numbers.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::Numeric;
use crate::error::{PgError, Result, SqlState};

fn cannot_convert(n: &Numeric, name: &str) -> PgError {
    let what = if n.is_nan() { "NaN" } else { "infinity" };
    PgError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("cannot convert {what} to {name}"))
}

impl Numeric {
    /// Rounds to an integer type whose SQL name is `name`; `bigint out of range` and so on.
    fn to_integer<T: TryFrom<i64>>(&self, name: &str) -> Result<T> {
        let rounded = self.round(0);
        let (digits, _) = rounded.parts().ok_or_else(|| cannot_convert(self, name))?;
        let small = digits.to_i64().and_then(|n| T::try_from(n).ok());
        small.ok_or_else(|| PgError::out_of_range(name))
    }

    /// Rounds to int2.
    pub fn to_i16(&self) -> Result<i16> {
        self.to_integer("smallint")
    }

    /// Rounds to int4.
    pub fn to_i32(&self) -> Result<i32> {
        self.to_integer("integer")
    }

    /// Rounds to int8.
    pub fn to_i64(&self) -> Result<i64> {
        self.to_integer("bigint")
    }

    /// The nearest float8; an error where there is none.
    pub fn to_f64(&self) -> Result<f64> {
        match self {
            Numeric::NaN => Ok(f64::NAN),
            Numeric::Infinity => Ok(f64::INFINITY),
            Numeric::NegInfinity => Ok(f64::NEG_INFINITY),
            Numeric::Finite(_) => crate::io::float::parse8(&self.to_string()),
        }
    }

    /// The nearest float4; an error where there is none.
    pub fn to_f32(&self) -> Result<f32> {
        match self {
            Numeric::NaN => Ok(f32::NAN),
            Numeric::Infinity => Ok(f32::INFINITY),
            Numeric::NegInfinity => Ok(f32::NEG_INFINITY),
            Numeric::Finite(_) => crate::io::float::parse4(&self.to_string()),
        }
    }

    /// A float8 by its first 15 digits, as PostgreSQL casts.
    pub fn from_f64(v: f64) -> Numeric {
        from_digits(v, 15)
    }

    /// A float4 by its first 6 digits, as PostgreSQL casts.
    pub fn from_f32(v: f32) -> Numeric {
        from_digits(f64::from(v), 6)
    }
}

fn from_digits(v: f64, digits: usize) -> Numeric {
    if v.is_nan() {
        return Numeric::NaN;
    }
    if v.is_infinite() {
        return if v > 0.0 { Numeric::Infinity } else { Numeric::NegInfinity };
    }
    let text = format!("{v:.*e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let kept = all.trim_end_matches('0');
    let dropped = i64::try_from(all.len() - kept.len()).unwrap_or(0);
    let digits = BigInt::parse_bytes(kept.as_bytes(), 10).unwrap_or_default();
    if kept.trim_start_matches('-').is_empty() {
        return Numeric::from(0);
    }
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let scale = i64::try_from(fraction.len()).unwrap_or(0) - dropped - exponent;
    Numeric::new(digits, scale)
}

impl From<u64> for Numeric {
    fn from(n: u64) -> Self {
        Numeric::new(BigInt::from(n), 0)
    }
}

impl From<i128> for Numeric {
    fn from(n: i128) -> Self {
        Numeric::new(BigInt::from(n), 0)
    }
}
