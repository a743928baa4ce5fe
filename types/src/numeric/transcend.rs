//! exp, ln, log and power.
//!
//! PostgreSQL chooses the digits a result shows from an estimate of its size and computes them all;
//! so do these, on integers scaled by a power of ten with guard digits below those shown.

use num_bigint::{BigInt, Sign};
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::arith::{
    MAX_DISPLAY_SCALE, MIN_SIG_DIGITS, display_scale, divide_rounded, leading, magnitude,
};
use super::codec::base10000;
use super::{Numeric, digit_count, overflow, pow10};
use crate::error::{PgError, Result, SqlState};

/// Digits computed beyond those a result shows.
const GUARD: i64 = 12;
const LN_10: f64 = std::f64::consts::LN_10;
/// As many digits as PostgreSQL writes: they decide how many a result shows.
#[allow(clippy::approx_constant)]
const LOG10_E: f64 = 0.434_294_481_903_252;

/// A number as an integer times a power of ten.
#[derive(Clone)]
struct Fixed {
    digits: BigInt,
    scale: i64,
}

impl Fixed {
    fn rescaled(&self, scale: i64) -> BigInt {
        let shift = scale - self.scale;
        let factor = pow10(shift.unsigned_abs());
        if shift >= 0 { &self.digits * factor } else { divide_rounded(&self.digits, &factor) }
    }

    fn to_f64(&self) -> f64 {
        approximate(&self.digits, self.scale)
    }
}

/// A float near `digits / 10^scale`.
fn approximate(digits: &BigInt, scale: i64) -> f64 {
    let excess = (digit_count(digits) - 20).max(0);
    let head = digits / pow10(excess.unsigned_abs());
    let exponent = i32::try_from(excess - scale).unwrap_or(i32::MAX);
    format!("{head}e{exponent}").parse().unwrap_or(0.0)
}

/// e^x for x scaled by `10^p`, with about `p` digits after the point right.
fn exp_fixed(x: &BigInt, p: i64) -> BigInt {
    let negative = x.is_negative();
    let x = x.abs();
    // Halve until below 1/256; each squaring afterwards doubles the error.
    let bits = (x.bits().cast_signed() - pow10(p.unsigned_abs()).bits().cast_signed() + 8).max(0);
    let whole = approximate(&x, p) * LOG10_E;
    let extra = (whole as i64).clamp(0, 8000) + bits / 3 + 6;
    let work = p + extra;
    let one = pow10(work.unsigned_abs());
    let reduced = (x * pow10(extra.unsigned_abs())) >> bits.unsigned_abs();
    let (mut sum, mut term, mut n) = (one.clone(), one.clone(), 1u32);
    while !term.is_zero() {
        term = &term * &reduced / &one / n;
        sum += &term;
        n += 1;
    }
    for _ in 0..bits {
        sum = &sum * &sum / &one;
    }
    if negative {
        sum = &one * &one / sum;
    }
    divide_rounded(&sum, &pow10(extra.unsigned_abs()))
}

/// ln(x) for a positive number, scaled by `10^p`.
fn ln_fixed(x: &Fixed, p: i64) -> BigInt {
    // x = m * 10^k with m in [1, 10)
    let k = magnitude(&x.digits, x.scale);
    let work = p + 10 + digit_count(&BigInt::from(k));
    let m = Fixed { digits: x.digits.clone(), scale: x.scale + k };
    let near_one = (x.to_f64() - 1.0).abs() < 0.11;
    let ln = if near_one {
        ln_mantissa(&x.rescaled(work), work)
    } else {
        let ten = BigInt::from(10) * pow10(work.unsigned_abs());
        let ln_ten = if k == 0 { BigInt::zero() } else { ln_mantissa(&ten, work) };
        ln_mantissa(&m.rescaled(work), work) + ln_ten * k
    };
    divide_rounded(&ln, &pow10((work - p).unsigned_abs()))
}

/// ln of a number near 1 to 10, scaled by `10^p`: square roots bring it next to 1, where the series
/// of the inverse hyperbolic tangent takes over.
fn ln_mantissa(x: &BigInt, p: i64) -> BigInt {
    let guard = 8;
    let one = pow10((p + guard).unsigned_abs());
    let mut y = x * pow10(guard.unsigned_abs());
    let mut doublings = 0u32;
    let limit = &one / 50u32;
    while (&y - &one).abs() > limit {
        y = (&y * &one).sqrt();
        doublings += 1;
    }
    let z = (&y - &one) * &one / (&y + &one);
    let square = &z * &z / &one;
    let (mut sum, mut power, mut n) = (z.clone(), z, 1u32);
    while !power.is_zero() {
        power = &power * &square / &one;
        n += 2;
        sum += &power / n;
    }
    (sum << (doublings + 1)) / pow10(guard.unsigned_abs())
}

/// PostgreSQL's `estimate_ln_dweight`: the power of ten of ln(x)'s first digit, about.
fn ln_weight(digits: &BigInt, scale: i64) -> i64 {
    let value = approximate(digits, scale);
    if (0.9..=1.1).contains(&value) {
        let difference = digits - pow10(scale.unsigned_abs());
        if difference.is_zero() {
            return 0;
        }
        let (weight, first) = leading(&difference, scale);
        return weight * 4 + i64::from(first.max(1).ilog10());
    }
    let (groups, weight) = base10000(digits, scale);
    let mut head = groups.first().copied().map_or(0.0, f64::from);
    let mut exponent = weight * 4;
    if let Some(second) = groups.get(1) {
        head = head * 10_000.0 + f64::from(*second);
        exponent -= 4;
    }
    let ln = head.ln() + exponent as f64 * LN_10;
    ln.abs().log10() as i64
}

fn bad_logarithm(what: &str) -> PgError {
    PgError::new(
        SqlState::INVALID_ARGUMENT_FOR_LOGARITHM,
        format!("cannot take logarithm of {what}"),
    )
}

fn check_logarithm(n: &Numeric) -> Result<()> {
    match n.signum() {
        0 => Err(bad_logarithm("zero")),
        -1 => Err(bad_logarithm("a negative number")),
        _ => Ok(()),
    }
}

impl Numeric {
    /// `exp(self)`
    pub fn exp(&self) -> Result<Numeric> {
        let Some((digits, scale)) = self.parts() else {
            let zero = matches!(self, Numeric::NegInfinity);
            return Ok(if zero { Numeric::from(0) } else { self.clone() });
        };
        let approximate = approximate(&digits, scale);
        let weight = (approximate * LOG10_E).clamp(-2000.0, 2000.0) as i64;
        let result_scale = display_scale(MIN_SIG_DIGITS - weight, &[scale]);
        exp_scaled(&Fixed { digits, scale }, approximate, result_scale)
    }

    /// `ln(self)`
    pub fn ln(&self) -> Result<Numeric> {
        if self.is_nan() {
            return Ok(Numeric::NaN);
        }
        check_logarithm(self)?;
        let Some((digits, scale)) = self.parts() else { return Ok(Numeric::Infinity) };
        let result_scale = display_scale(MIN_SIG_DIGITS - ln_weight(&digits, scale), &[scale]);
        let ln = ln_fixed(&Fixed { digits, scale }, result_scale + GUARD);
        Ok(Numeric::new(ln, result_scale + GUARD).round(result_scale))
    }

    /// `log(base, self)`
    pub fn log(&self, base: &Numeric) -> Result<Numeric> {
        if self.is_nan() || base.is_nan() {
            return Ok(Numeric::NaN);
        }
        check_logarithm(base)?;
        check_logarithm(self)?;
        let (Some((bd, bs)), Some((nd, ns))) = (base.parts(), self.parts()) else {
            return Ok(match (base.parts(), self.parts()) {
                (Some(_), _) => Numeric::Infinity,
                (None, Some(_)) => Numeric::from(0),
                (None, None) => Numeric::NaN,
            });
        };
        let (base_weight, number_weight) = (ln_weight(&bd, bs), ln_weight(&nd, ns));
        let weight = number_weight - base_weight;
        let result_scale = display_scale(MIN_SIG_DIGITS - weight, &[bs, ns]);
        // Enough digits in both logarithms for every digit of the quotient.
        let p = result_scale + weight.abs() + base_weight.abs() + number_weight.abs() + GUARD;
        let ln_base = ln_fixed(&Fixed { digits: bd, scale: bs }, p);
        let ln_number = ln_fixed(&Fixed { digits: nd, scale: ns }, p);
        if ln_base.is_zero() {
            return Err(super::arith::division_by_zero());
        }
        Ok(super::arith::quotient(ln_number, p, ln_base, p, result_scale))
    }

    /// `log(self)`, to base 10.
    pub fn log10(&self) -> Result<Numeric> {
        self.log(&Numeric::from(10))
    }

    /// `power(self, exponent)`
    pub fn power(&self, exponent: &Numeric) -> Result<Numeric> {
        if let Some(answer) = power_special(self, exponent) {
            return answer;
        }
        let (base, exp) = (self.parts().unwrap_or_default(), exponent.parts().unwrap_or_default());
        let whole = whole_exponent(&exp.0, exp.1);
        if let Some(n) = whole.as_ref().and_then(ToPrimitive::to_i32) {
            let scale = display_scale(MIN_SIG_DIGITS, &[base.1]);
            return power_int(self, n, scale)?.checked();
        }
        if base.0.is_zero() {
            return Ok(Numeric::new(BigInt::zero(), MIN_SIG_DIGITS));
        }
        let negative = base.0.is_negative() && whole.as_ref().is_some_and(|n| n.bit(0));
        let base = Fixed { digits: base.0.abs(), scale: base.1 };
        let result = power_real(&base, &Fixed { digits: exp.0, scale: exp.1 })?;
        if negative { Ok(result.neg()) } else { Ok(result) }
    }
}

/// e^x rounded to `scale` digits after the point.
fn exp_scaled(x: &Fixed, approximate: f64, scale: i64) -> Result<Numeric> {
    // The limits of PostgreSQL's exp_var.
    if approximate.abs() >= 6000.0 {
        if approximate > 0.0 {
            return Err(overflow());
        }
        return Ok(Numeric::new(BigInt::zero(), scale));
    }
    let p = scale + GUARD;
    Numeric::new(exp_fixed(&x.rescaled(p.max(x.scale)), p.max(x.scale)), p.max(x.scale))
        .round(scale)
        .checked()
}

/// The exponent as an integer, if it is one.
fn whole_exponent(digits: &BigInt, scale: i64) -> Option<BigInt> {
    let unit = pow10(scale.unsigned_abs());
    (digits % &unit).is_zero().then(|| digits / unit)
}

fn bad_power(message: &str) -> PgError {
    PgError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message)
}

/// Powers that need no digits, and those that are no number.
fn power_special(base: &Numeric, exp: &Numeric) -> Option<Result<Numeric>> {
    let one = || Numeric::from(1);
    let is_one = |n: &Numeric| *n == one();
    if base.is_nan() || exp.is_nan() {
        let defined = exp.is_zero() || is_one(base);
        return Some(Ok(if defined { one() } else { Numeric::NaN }));
    }
    let whole = exp.parts().and_then(|(d, s)| whole_exponent(&d, s));
    if base.is_zero() && exp.signum() < 0 {
        return Some(Err(bad_power("zero raised to a negative power is undefined")));
    }
    if base.signum() < 0 && !exp.is_infinite() && whole.is_none() {
        return Some(Err(bad_power(
            "a negative number raised to a non-integer power yields a complex result",
        )));
    }
    if !base.is_infinite() && !exp.is_infinite() {
        return None;
    }
    if is_one(base) || exp.is_zero() {
        return Some(Ok(one()));
    }
    if exp.is_infinite() {
        let magnitude = base.abs();
        let grows = magnitude > one();
        let answer = if magnitude == one() {
            one()
        } else if grows == (exp.signum() > 0) {
            Numeric::Infinity
        } else {
            Numeric::from(0)
        };
        return Some(Ok(answer));
    }
    let odd = whole.is_some_and(|n| n.bit(0));
    Some(Ok(match (exp.signum() < 0, base.signum() < 0 && odd) {
        (true, _) => Numeric::from(0),
        (false, true) => Numeric::NegInfinity,
        (false, false) => Numeric::Infinity,
    }))
}

/// `base^n` rounded to `scale`, carrying only the digits that matter.
fn power_int(base: &Numeric, n: i32, scale: i64) -> Result<Numeric> {
    let (digits, base_scale) = base.parts().unwrap_or_default();
    match n {
        0 => return Ok(Numeric::from(1).round(scale)),
        1 => return Ok(base.round(scale)),
        2 => return Ok(base.mul(base)?.round(scale)),
        _ => {}
    }
    if digits.is_zero() {
        return Ok(Numeric::new(digits, scale));
    }
    let head = approximate(&digits.abs(), digit_count(&digits) - 1).log10();
    let size = f64::from(n) * (head + magnitude(&digits, base_scale) as f64);
    if size > 393_204.0 {
        return Err(overflow());
    }
    if size + 1.0 < -(scale as f64) || size + 1.0 < -(MAX_DISPLAY_SCALE as f64) {
        return Ok(Numeric::new(BigInt::zero(), scale));
    }
    // Every multiplication loses a unit in the last place at most.
    let significant = (size as i64).max(0) + scale + 20 + 2 * i64::from(n.unsigned_abs().ilog2());
    let (result, result_scale) =
        power_floating(digits.abs(), base_scale, n.unsigned_abs(), significant);
    let negative = digits.sign() == Sign::Minus && n % 2 != 0;
    let result = if negative { -result } else { result };
    if n < 0 {
        return Ok(super::arith::quotient(BigInt::one(), 0, result, result_scale, scale));
    }
    let fixed = Fixed { digits: result, scale: result_scale };
    Ok(Numeric::new(fixed.rescaled(scale), scale))
}

/// Square and multiply, cutting every product to `significant` digits.
fn power_floating(base: BigInt, scale: i64, n: u32, significant: i64) -> (BigInt, i64) {
    let cut = |(digits, scale): (BigInt, i64)| {
        let excess = digit_count(&digits) - significant;
        if excess <= 0 {
            return (digits, scale);
        }
        (divide_rounded(&digits, &pow10(excess.unsigned_abs())), scale - excess)
    };
    let (mut square, mut result) = ((base, scale), (BigInt::one(), 0));
    let mut left = n;
    while left > 0 {
        if left & 1 == 1 {
            result = cut((&result.0 * &square.0, result.1 + square.1));
        }
        left >>= 1;
        if left > 0 {
            square = cut((&square.0 * &square.0, square.1 * 2));
        }
    }
    result
}

/// `base^exp` by way of the logarithm.
fn power_real(base: &Fixed, exp: &Fixed) -> Result<Numeric> {
    let weight = ln_weight(&base.digits, base.scale);
    let estimate_scale = (8 - weight).max(0) + 8;
    let ln = Fixed { digits: ln_fixed(base, estimate_scale), scale: estimate_scale };
    let approximate = ln.to_f64() * exp.to_f64();
    if approximate.abs() > 2000.0 * 3.01 {
        if approximate > 0.0 {
            return Err(overflow());
        }
        return Ok(Numeric::new(BigInt::zero(), MAX_DISPLAY_SCALE));
    }
    let result_weight = (approximate * LOG10_E) as i64;
    let scale = display_scale(MIN_SIG_DIGITS - result_weight, &[base.scale, exp.scale]);
    // An error in the logarithm grows by the exponent and by the result.
    let p = scale
        + result_weight.max(0)
        + magnitude(&exp.digits, exp.scale).max(0)
        + weight.abs()
        + GUARD;
    let ln = ln_fixed(base, p);
    let product = Fixed { digits: ln * &exp.digits, scale: p + exp.scale };
    exp_scaled(&Fixed { digits: product.rescaled(p), scale: p }, approximate, scale)
}
