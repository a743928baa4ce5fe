//! `numeric`: arithmetic with PostgreSQL's result scales, powers and logarithms, casts.

pub(crate) mod arithmetic;
pub(crate) mod cast;
mod fixed;
pub(crate) mod functions;
pub(crate) mod transcendental;

use num_bigint::BigInt;
use vicinity_types::numeric::{Numeric, digit_count, pow10};

/// Significant digits a quotient or root has at least.
pub(crate) const MIN_SIGNIFICANT: i64 = 16;
/// The largest scale a function chooses by itself.
pub(crate) const MAX_DISPLAY_SCALE: i64 = 1000;

/// 10 to a power that may not be negative.
pub(crate) fn ten(n: i64) -> BigInt {
    pow10(u64::try_from(n).unwrap_or(0))
}

/// Digits brought to a larger scale.
pub(crate) fn rescale(digits: BigInt, from: i64, to: i64) -> BigInt {
    if to > from { digits * ten(to - from) } else { digits }
}

/// Where PostgreSQL's base-10000 form starts: the power of 10000 of the first digit, and that digit.
pub(crate) fn weight(digits: &BigInt, scale: i64) -> (i64, i64) {
    let count = digit_count(digits);
    if count == 0 {
        return (0, 0);
    }
    let weight = (count - scale - 1).div_euclid(4);
    let shift = scale + weight * 4;
    let first = if shift >= 0 {
        digits.magnitude() / ten(shift).magnitude()
    } else {
        digits.magnitude() * ten(-shift).magnitude()
    };
    (weight, i64::try_from(first).unwrap_or(9999))
}

/// `a / b` rounded half away from zero.
pub(crate) fn divide_round(a: &BigInt, b: &BigInt) -> BigInt {
    use num_traits::Signed;
    let (quotient, remainder) = (a / b, a % b);
    let twice = remainder.abs() * 2u32;
    let up = match twice.cmp(&b.abs()) {
        std::cmp::Ordering::Greater | std::cmp::Ordering::Equal => 1,
        std::cmp::Ordering::Less => 0,
    };
    if a.is_negative() == b.is_negative() { quotient + up } else { quotient - up }
}

/// A finite number from digits at a working scale, rounded to a scale.
pub(crate) fn rounded(digits: &BigInt, scale: i64, to: i64) -> Numeric {
    if to >= scale {
        return Numeric::new(rescale(digits.clone(), scale, to), to);
    }
    Numeric::new(divide_round(digits, &ten(scale - to)), to)
}
