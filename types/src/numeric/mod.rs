//! `numeric`: arbitrary precision with a display scale, NaN and the infinities.

pub mod arith;
pub mod codec;
pub mod convert;
pub mod round;
pub mod text;
pub mod transcend;

use std::cmp::Ordering;

use bigdecimal::BigDecimal;
use num_bigint::{BigInt, Sign};
use num_traits::{Signed, Zero};

use crate::error::{PgError, Result};

/// Digits allowed before the decimal point.
pub const MAX_INTEGER_DIGITS: i64 = 131_072;
/// Digits allowed after the decimal point, and the largest display scale.
pub const MAX_SCALE: i64 = 16_383;

/// A `numeric` value.
#[derive(Clone, Debug)]
pub enum Numeric {
    /// Not a number; sorts above everything.
    NaN,
    /// `-Infinity`
    NegInfinity,
    /// `Infinity`
    Infinity,
    /// A finite value; the decimal's exponent is the display scale, never negative.
    Finite(BigDecimal),
}

impl Numeric {
    /// `digits / 10^scale`, shown with `scale` digits after the point.
    pub fn new(digits: BigInt, scale: i64) -> Numeric {
        if scale < 0 {
            let factor = pow10(u64::try_from(-scale).unwrap_or(0));
            return Numeric::Finite(BigDecimal::new(digits * factor, 0));
        }
        Numeric::Finite(BigDecimal::new(digits, scale))
    }

    /// Digits and display scale of a finite value.
    pub fn parts(&self) -> Option<(BigInt, i64)> {
        match self {
            Numeric::Finite(d) => {
                let (digits, scale) = d.as_bigint_and_exponent();
                if scale >= 0 {
                    Some((digits, scale))
                } else {
                    Some((digits * pow10(u64::try_from(-scale).unwrap_or(0)), 0))
                }
            }
            _ => None,
        }
    }

    /// Digits shown after the point; 0 for the special values.
    pub fn scale(&self) -> i64 {
        match self {
            Numeric::Finite(d) => d.fractional_digit_count().max(0),
            _ => 0,
        }
    }

    /// -1, 0 or 1; NaN counts as positive.
    pub fn signum(&self) -> i32 {
        match self {
            Numeric::NaN | Numeric::Infinity => 1,
            Numeric::NegInfinity => -1,
            Numeric::Finite(d) => match d.sign() {
                Sign::Minus => -1,
                Sign::NoSign => 0,
                Sign::Plus => 1,
            },
        }
    }

    /// Whether this is NaN.
    pub fn is_nan(&self) -> bool {
        matches!(self, Numeric::NaN)
    }

    /// Whether this is one of the infinities.
    pub fn is_infinite(&self) -> bool {
        matches!(self, Numeric::Infinity | Numeric::NegInfinity)
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        self.signum() == 0
    }

    /// Rejects results with more digits before the point than PostgreSQL can hold.
    pub fn checked(self) -> Result<Numeric> {
        if let Numeric::Finite(d) = &self {
            let bits = d.as_bigint_and_exponent().0.bits();
            // 131072 digits take over 435,000 bits: smaller numbers need no closer look.
            if bits > 400_000 && integer_digits(d) > MAX_INTEGER_DIGITS {
                return Err(overflow());
            }
        }
        Ok(self)
    }
}

/// `value overflows numeric format`
pub fn overflow() -> PgError {
    PgError::new(
        crate::error::SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value overflows numeric format",
    )
}

/// 10 to the power of `n`.
pub fn pow10(n: u64) -> BigInt {
    if n < 19 {
        return BigInt::from(10u64.pow(u32::try_from(n).unwrap_or(0)));
    }
    num_traits::pow(BigInt::from(10u32), usize::try_from(n).unwrap_or(usize::MAX))
}

/// Decimal digits of `n` without its sign; 0 has none.
pub fn digit_count(n: &BigInt) -> i64 {
    if n.is_zero() {
        return 0;
    }
    let bits = n.bits();
    if bits <= 63 {
        let small = n.magnitude().iter_u64_digits().next().unwrap_or(0);
        return i64::from(small.ilog10()) + 1;
    }
    // Within one of the truth by the bit count, then decided by one comparison.
    let guess = (bits - 1) * 30_103 / 100_000;
    let mut count = i64::try_from(guess).unwrap_or(i64::MAX);
    let magnitude = n.abs();
    while magnitude >= pow10(u64::try_from(count).unwrap_or(0)) {
        count += 1;
    }
    count
}

/// Digits before the decimal point, negative for the zeros after it.
pub fn integer_digits(d: &BigDecimal) -> i64 {
    let (digits, scale) = d.as_bigint_and_exponent();
    digit_count(&digits) - scale
}

impl Ord for Numeric {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Numeric::Finite(a), Numeric::Finite(b)) => a.cmp(b),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

fn rank(n: &Numeric) -> u8 {
    match n {
        Numeric::NegInfinity => 0,
        Numeric::Finite(_) => 1,
        Numeric::Infinity => 2,
        Numeric::NaN => 3,
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl From<i64> for Numeric {
    fn from(n: i64) -> Self {
        Numeric::new(BigInt::from(n), 0)
    }
}

impl From<i32> for Numeric {
    fn from(n: i32) -> Self {
        Numeric::from(i64::from(n))
    }
}
