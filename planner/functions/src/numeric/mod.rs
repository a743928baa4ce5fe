//! `numeric`: the arithmetic is the type's own ([`vicinity_types::numeric`]); here are its names.

pub(crate) mod arithmetic;
pub(crate) mod cast;
pub(crate) mod functions;

use num_bigint::BigInt;
use num_traits::Signed;
use vicinity_types::numeric::{Numeric, pow10};

/// 10 to a power that may not be negative.
pub(crate) fn ten(n: i64) -> BigInt {
    pow10(u64::try_from(n).unwrap_or(0))
}

/// `a / b` rounded half away from zero.
pub(crate) fn divide_round(a: &BigInt, b: &BigInt) -> BigInt {
    let (quotient, remainder) = (a / b, a % b);
    let up = u32::from(remainder.abs() * 2u32 >= b.abs());
    if a.is_negative() == b.is_negative() { quotient + up } else { quotient - up }
}

/// The square root of a number that is not negative, rounded to a scale of the caller's choice.
pub(crate) fn sqrt_at(n: &Numeric, scale: i64) -> Numeric {
    let Some((digits, own)) = n.parts() else { return n.clone() };
    // Two guard digits decide the rounding: a root is never exactly halfway.
    let working = (scale + 2).max(own.div_euclid(2) + 1);
    let root = (digits * ten(2 * working - own)).sqrt();
    Numeric::new(divide_round(&root, &ten(working - scale)), scale)
}
