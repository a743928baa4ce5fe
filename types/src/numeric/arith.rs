//! Addition to square root, with PostgreSQL's rules for how many digits a result shows.

use num_bigint::BigInt;
use num_traits::{Signed, Zero};

use super::codec::base10000;
use super::{MAX_SCALE, Numeric, digit_count, overflow, pow10};
use crate::error::{PgError, Result, SqlState};

/// Significant digits an inexact result has at least.
pub(crate) const MIN_SIG_DIGITS: i64 = 16;
/// Digits after the point an inexact result has at most.
pub(crate) const MAX_DISPLAY_SCALE: i64 = 1000;

/// `division by zero`
pub fn division_by_zero() -> PgError {
    PgError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// The display scale of an inexact result that is to have `wanted` digits after the point.
pub(crate) fn display_scale(wanted: i64, operands: &[i64]) -> i64 {
    let most = operands.iter().copied().max().unwrap_or(0);
    wanted.max(most).clamp(0, MAX_DISPLAY_SCALE)
}

/// Digits and scale of both operands, brought to the same scale.
fn aligned(a: (BigInt, i64), b: (BigInt, i64)) -> (BigInt, BigInt, i64) {
    let scale = a.1.max(b.1);
    let shift = |(digits, have): (BigInt, i64)| {
        if have == scale {
            digits
        } else {
            digits * pow10(u64::try_from(scale - have).unwrap_or(0))
        }
    };
    (shift(a), shift(b), scale)
}

/// `numerator / denominator`, rounded half away from zero.
pub(crate) fn divide_rounded(numerator: &BigInt, denominator: &BigInt) -> BigInt {
    let quotient = numerator / denominator;
    let rest = numerator - &quotient * denominator;
    if rest.abs() * 2u32 < denominator.abs() {
        return quotient;
    }
    if numerator.is_negative() == denominator.is_negative() { quotient + 1 } else { quotient - 1 }
}

/// Position of the first base-10,000 digit and that digit, as PostgreSQL normalises numbers.
pub(crate) fn leading(digits: &BigInt, scale: i64) -> (i64, u16) {
    let (groups, weight) = base10000(digits, scale);
    (weight, groups.first().copied().unwrap_or(0))
}

impl Numeric {
    /// `-self`
    #[must_use]
    pub fn neg(&self) -> Numeric {
        match self {
            Numeric::NaN => Numeric::NaN,
            Numeric::Infinity => Numeric::NegInfinity,
            Numeric::NegInfinity => Numeric::Infinity,
            Numeric::Finite(d) => Numeric::Finite(-d.clone()),
        }
    }

    /// The magnitude.
    #[must_use]
    pub fn abs(&self) -> Numeric {
        if self.signum() < 0 { self.neg() } else { self.clone() }
    }

    /// `self + other`
    pub fn add(&self, other: &Numeric) -> Result<Numeric> {
        match (self.parts(), other.parts()) {
            (Some(a), Some(b)) => {
                let (a, b, scale) = aligned(a, b);
                Numeric::new(a + b, scale).checked()
            }
            _ => Ok(match (self, other) {
                (Numeric::NaN, _) | (_, Numeric::NaN) => Numeric::NaN,
                (Numeric::Infinity, Numeric::NegInfinity)
                | (Numeric::NegInfinity, Numeric::Infinity) => Numeric::NaN,
                (Numeric::Finite(_), infinite) | (infinite, _) => infinite.clone(),
            }),
        }
    }

    /// `self - other`
    pub fn sub(&self, other: &Numeric) -> Result<Numeric> {
        self.add(&other.neg())
    }

    /// `self * other`
    pub fn mul(&self, other: &Numeric) -> Result<Numeric> {
        match (self.parts(), other.parts()) {
            (Some((a, sa)), Some((b, sb))) => {
                let product = Numeric::new(a * b, sa + sb);
                let fits = sa + sb <= MAX_SCALE;
                if fits { product } else { product.round(MAX_SCALE) }.checked()
            }
            _ => Ok(self.infinite_by_sign(other)),
        }
    }

    /// Product or quotient with an infinity: NaN with 0 or NaN, otherwise by the signs.
    fn infinite_by_sign(&self, other: &Numeric) -> Numeric {
        match self.signum() * other.signum() {
            _ if self.is_nan() || other.is_nan() => Numeric::NaN,
            0 => Numeric::NaN,
            1 => Numeric::Infinity,
            _ => Numeric::NegInfinity,
        }
    }

    /// What division and remainder share: the answers that need no digits.
    fn divide_special(&self, other: &Numeric) -> Option<Result<Numeric>> {
        if self.is_nan() || other.is_nan() {
            return Some(Ok(Numeric::NaN));
        }
        other.is_zero().then(|| Err(division_by_zero()))
    }

    /// `self / other`: at least 16 significant digits, and no fewer after the point than either.
    pub fn div(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(answer) = self.divide_special(other) {
            return answer;
        }
        match (self.parts(), other.parts()) {
            (Some((a, sa)), Some((b, sb))) => {
                let scale = div_scale((&a, sa), (&b, sb));
                quotient(a, sa, b, sb, scale).checked()
            }
            (Some(_), None) => Ok(Numeric::from(0)),
            (None, Some(_)) => Ok(self.infinite_by_sign(other)),
            (None, None) => Ok(Numeric::NaN),
        }
    }

    /// `div(self, other)`: the quotient's whole part.
    pub fn div_trunc(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(answer) = self.divide_special(other) {
            return answer;
        }
        match (self.parts(), other.parts()) {
            (Some(a), Some(b)) => {
                let (a, b, _) = aligned(a, b);
                Numeric::new(a / b, 0).checked()
            }
            (Some(_), None) => Ok(Numeric::from(0)),
            (None, Some(_)) => Ok(self.infinite_by_sign(other)),
            (None, None) => Ok(Numeric::NaN),
        }
    }

    /// `self % other`, with the sign of `self`.
    pub fn rem(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(answer) = self.divide_special(other) {
            return answer;
        }
        match (self.parts(), other.parts()) {
            (Some(a), Some(b)) => {
                let (a, b, scale) = aligned(a, b);
                Ok(Numeric::new(a % b, scale))
            }
            (Some(_), None) => Ok(self.clone()),
            (None, _) => Ok(Numeric::NaN),
        }
    }

    /// `sqrt(self)`
    pub fn sqrt(&self) -> Result<Numeric> {
        if self.is_nan() || matches!(self, Numeric::Infinity) {
            return Ok(self.clone());
        }
        if self.signum() < 0 {
            return Err(PgError::new(
                SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
                "cannot take square root of a negative number",
            ));
        }
        let (digits, scale) = self.parts().unwrap_or_default();
        let (weight, _) = leading(&digits, scale);
        // As C truncates: the halving rounds towards zero.
        let result_weight = (weight + 1) * 4 / 2 - 1;
        let result_scale = display_scale(MIN_SIG_DIGITS - result_weight, &[scale]);
        // One more digit than shown decides the rounding: roots are exact or irrational.
        let shift = 2 * (result_scale + 1) - scale;
        let scaled = if shift >= 0 {
            digits * pow10(u64::try_from(shift).unwrap_or(0))
        } else {
            digits / pow10(u64::try_from(-shift).unwrap_or(0))
        };
        Ok(Numeric::new(scaled.sqrt(), result_scale + 1).round(result_scale))
    }

    /// `gcd(self, other)`
    pub fn gcd(&self, other: &Numeric) -> Result<Numeric> {
        let (Some(a), Some(b)) = (self.parts(), other.parts()) else { return Ok(Numeric::NaN) };
        let (mut a, mut b, scale) = aligned(a, b);
        while !b.is_zero() {
            (a, b) = (b.clone(), a % b);
        }
        Ok(Numeric::new(a.abs(), scale))
    }

    /// `lcm(self, other)`
    pub fn lcm(&self, other: &Numeric) -> Result<Numeric> {
        let (Some(a), Some(b)) = (self.parts(), other.parts()) else { return Ok(Numeric::NaN) };
        let (a, b, scale) = aligned(a, b);
        if a.is_zero() || b.is_zero() {
            return Ok(Numeric::new(BigInt::zero(), scale));
        }
        let gcd = self.gcd(other)?.parts().unwrap_or_default().0;
        Numeric::new((&a / gcd * b).abs(), scale).checked()
    }

    /// `factorial(n)`
    pub fn factorial(n: i64) -> Result<Numeric> {
        if n < 0 {
            return Err(PgError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "factorial of a negative number is undefined",
            ));
        }
        if n > 32_177 {
            return Err(overflow());
        }
        let product = (2..=n).fold(BigInt::from(1), |product, k| product * k);
        Numeric::new(product, 0).checked()
    }

    /// Digits after the point the value needs: `min_scale`.
    pub fn min_scale(&self) -> Option<i64> {
        let (digits, scale) = self.parts()?;
        if digits.is_zero() {
            return Some(0);
        }
        let text = digits.magnitude().to_str_radix(10);
        let zeros = text.len() - text.trim_end_matches('0').len();
        Some((scale - i64::try_from(zeros).unwrap_or(0)).max(0))
    }
}

/// PostgreSQL's `select_div_scale`.
pub(crate) fn div_scale(a: (&BigInt, i64), b: (&BigInt, i64)) -> i64 {
    let ((weight1, first1), (weight2, first2)) = (leading(a.0, a.1), leading(b.0, b.1));
    let mut weight = weight1 - weight2;
    if first1 <= first2 {
        weight -= 1;
    }
    display_scale(MIN_SIG_DIGITS - weight * 4, &[a.1, b.1])
}

/// A quotient of digits with scales, rounded to `scale`.
pub(crate) fn quotient(a: BigInt, sa: i64, b: BigInt, sb: i64, scale: i64) -> Numeric {
    let shift = scale - sa + sb;
    let (a, b) = if shift >= 0 {
        (a * pow10(u64::try_from(shift).unwrap_or(0)), b)
    } else {
        (a, b * pow10(u64::try_from(-shift).unwrap_or(0)))
    };
    Numeric::new(divide_rounded(&a, &b), scale)
}

/// The power of ten of a number's first digit.
pub(crate) fn magnitude(digits: &BigInt, scale: i64) -> i64 {
    digit_count(digits) - scale - 1
}
