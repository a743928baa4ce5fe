//! `sqrt`, `exp`, `ln`, `log` and `power`, with the scales PostgreSQL chooses for their results.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};
use vicinity_types::Datum::Numeric as Num;
use vicinity_types::numeric::Numeric::{Infinity, NaN, NegInfinity};
use vicinity_types::numeric::{MAX_SCALE, Numeric, digit_count, overflow};
use vicinity_types::{PgError, Result, SqlState};

use super::arithmetic::{absolute, divide, multiply};
use super::cast::approximate;
use super::fixed::Fixed;
use super::{MAX_DISPLAY_SCALE, MIN_SIGNIFICANT, rescale, rounded, ten, weight};

/// Results of more digits than this overflow (or underflow to zero).
const MAX_RESULT_SCALE: f64 = 2000.0;

fn refuse_log(what: &str) -> PgError {
    PgError::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, what)
}

fn refuse_power(what: &str) -> PgError {
    PgError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, what)
}

fn sqrt(a: &Numeric) -> Result<Numeric> {
    if a.signum() < 0 {
        return Err(refuse_power("cannot take square root of a negative number"));
    }
    let Some((digits, scale)) = a.parts() else { return Ok(a.clone()) };
    let (weight, _) = weight(&digits, scale);
    let root_weight = if weight >= 0 { weight * 4 / 2 + 1 } else { 1 - (1 - weight * 4) / 2 };
    let result = (MIN_SIGNIFICANT - root_weight).max(scale).clamp(0, MAX_DISPLAY_SCALE);
    Ok(sqrt_at(digits, scale, result))
}

/// The root of `digits / 10^scale`, rounded to a scale.
pub(crate) fn sqrt_at(digits: BigInt, scale: i64, result: i64) -> Numeric {
    // Two guard digits decide the rounding: a root is never exactly halfway.
    let working = (result + 2).max(scale.div_euclid(2) + 1);
    let root = (digits * ten(2 * working - scale)).sqrt();
    rounded(&root, working, result)
}

/// The decimal position of the first digit of ln(a), as PostgreSQL estimates it.
fn ln_weight(a: &Numeric) -> i64 {
    let Some((digits, scale)) = a.parts() else { return 0 };
    if digits.is_zero() || digits.is_negative() {
        return 0;
    }
    let near_one = digits >= &BigInt::from(9) * ten(scale) / 10u32
        && digits.clone() * 10u32 <= BigInt::from(11) * ten(scale)
        && digits.clone() * 10u32 >= BigInt::from(9) * ten(scale);
    if near_one {
        let difference = digits - ten(scale);
        if difference.is_zero() {
            return 0;
        }
        let (w, first) = weight(&difference, scale);
        return w * 4 + (first as f64).log10() as i64;
    }
    // Two base-10000 digits are enough for the estimate.
    let (w, first) = weight(&digits, scale);
    let mut leading = first as f64;
    let mut power = w * 4;
    let shift = scale + power - 4;
    if shift < 0 || digit_count(&digits) > shift {
        let two = if shift >= 0 { &digits / ten(shift) } else { &digits * ten(-shift) };
        leading = two.to_f64().unwrap_or(leading);
        power -= 4;
    }
    let ln = leading.ln() + power as f64 * std::f64::consts::LN_10;
    ln.abs().log10() as i64
}

/// ln of a positive number, as units of 10^-places.
fn ln_units(a: &Numeric, places: i64) -> BigInt {
    let Some((digits, scale)) = a.parts() else { return BigInt::ZERO };
    // Small arguments need their leading zeroes as extra places.
    let extra = (scale - digit_count(&digits)).max(0) + 12;
    let working = (places + extra).max(scale);
    let units = Fixed::new(working).ln(&rescale(digits, scale, working));
    super::divide_round(&units, &ten(working - places))
}

fn check_log(a: &Numeric) -> Result<()> {
    match a.signum() {
        0 => Err(refuse_log("cannot take logarithm of zero")),
        -1 => Err(refuse_log("cannot take logarithm of a negative number")),
        _ => Ok(()),
    }
}

fn ln(a: &Numeric) -> Result<Numeric> {
    check_log(a)?;
    if a.parts().is_none() {
        return Ok(a.clone());
    }
    let scale = (MIN_SIGNIFICANT - ln_weight(a)).max(a.scale()).clamp(0, MAX_DISPLAY_SCALE);
    Ok(rounded(&ln_units(a, scale + 8), scale + 8, scale))
}

pub(crate) fn log(base: &Numeric, a: &Numeric) -> Result<Numeric> {
    if base.is_nan() || a.is_nan() {
        return Ok(NaN);
    }
    check_log(base)?;
    check_log(a)?;
    match (base, a) {
        (Infinity, Infinity) => return Ok(NaN),
        (Infinity, _) => return Ok(Numeric::from(0)),
        (_, Infinity) => return Ok(Infinity),
        _ => {}
    }
    let weight = ln_weight(a) - ln_weight(base);
    let scale =
        (MIN_SIGNIFICANT - weight).max(base.scale()).max(a.scale()).clamp(0, MAX_DISPLAY_SCALE);
    let places = scale + 12 + ln_weight(base).abs() + ln_weight(a).abs();
    let (over, under) = (ln_units(a, places), ln_units(base, places));
    if under.is_zero() {
        return Err(crate::number::int::division_by_zero());
    }
    Ok(rounded(&(over * ten(places) / under), places, scale))
}

/// e to a power given in units of 10^-places, rounded to a scale.
fn exp_units(units: &BigInt, places: i64, scale: i64) -> Numeric {
    // Squaring loses digits in proportion to the result's size: carry them from the start.
    let size = (units / ten(places)).to_i64().unwrap_or(0).abs() / 2 + 16;
    let working = (scale + size + 12).max(places);
    let value = Fixed::new(working).exp(&rescale(units.clone(), places, working));
    rounded(&value, working, scale)
}

fn exp(a: &Numeric) -> Result<Numeric> {
    let Some((digits, own_scale)) = a.parts() else {
        return Ok(if matches!(a, NegInfinity) { Numeric::from(0) } else { a.clone() });
    };
    let exact = approximate(a);
    let value = (exact * std::f64::consts::LOG10_E).clamp(-MAX_RESULT_SCALE, MAX_RESULT_SCALE);
    let scale = (MIN_SIGNIFICANT - value as i64).max(own_scale).clamp(0, MAX_DISPLAY_SCALE);
    if exact.abs() >= MAX_RESULT_SCALE * 3.0 {
        if exact > 0.0 {
            return Err(overflow());
        }
        return Ok(Numeric::new(BigInt::ZERO, scale));
    }
    Ok(exp_units(&digits, own_scale, scale))
}

fn is_integer(a: &Numeric) -> Option<BigInt> {
    let (digits, scale) = a.parts()?;
    let unit = ten(scale);
    (&digits % &unit).is_zero().then(|| digits / unit)
}

fn special_power(a: &Numeric, b: &Numeric) -> Result<Option<Numeric>> {
    let one = Numeric::from(1);
    if a.is_nan() || b.is_nan() {
        let is_one = b.is_zero() || (*a == one && b.is_nan());
        return Ok(Some(if is_one { one } else { NaN }));
    }
    if a.is_zero() && b.signum() < 0 {
        return Err(refuse_power("zero raised to a negative power is undefined"));
    }
    if a.is_infinite() || b.is_infinite() {
        return Ok(Some(infinite_power(a, b)?));
    }
    if a.signum() < 0 && is_integer(b).is_none() {
        return Err(refuse_power(
            "a negative number raised to a non-integer power yields a complex result",
        ));
    }
    Ok(None)
}

fn infinite_power(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    let (zero, one) = (Numeric::from(0), Numeric::from(1));
    if *a == one || b.is_zero() {
        return Ok(one);
    }
    if a.is_zero() {
        return Ok(zero);
    }
    if b.is_infinite() {
        let magnitude = absolute(a);
        return Ok(if magnitude == one {
            one
        } else if (magnitude > one) == (b.signum() > 0) {
            Infinity
        } else {
            zero
        });
    }
    if matches!(a, Infinity) {
        return Ok(if b.signum() > 0 { Infinity } else { zero });
    }
    let Some(exponent) = is_integer(b) else {
        return Err(refuse_power(
            "a negative number raised to a non-integer power yields a complex result",
        ));
    };
    if b.signum() < 0 {
        return Ok(zero);
    }
    Ok(if exponent.bit(0) { NegInfinity } else { Infinity })
}

/// A whole exponent: exact products, rounded once.
fn integer_power(a: &Numeric, exponent: i64, scale: i64) -> Result<Numeric> {
    let one = Numeric::from(1);
    match exponent {
        0 => return Ok(Numeric::new(ten(scale), scale)),
        1 => return Ok(a.round(scale)),
        -1 => return quotient(&one, a, scale),
        2 => return multiply(a, a).map(|p| p.round(scale)),
        _ => {}
    }
    let Some((digits, own_scale)) = a.parts() else { return Ok(NaN) };
    if digits.is_zero() {
        return Ok(Numeric::new(BigInt::ZERO, scale));
    }
    // The size of the result decides on overflow, and on the digits to keep on the way.
    let (w, first) = weight(&digits, own_scale);
    let size = exponent as f64 * ((first as f64).log10() + (w * 4) as f64);
    if size > (131_072 + 4) as f64 {
        return Err(overflow());
    }
    if size + 1.0 < -(MAX_SCALE as f64) {
        return Ok(Numeric::new(BigInt::ZERO, scale));
    }
    let keep = (scale + size.abs() as i64 + 24).max(0);
    let working = keep + 8 + exponent.unsigned_abs().ilog10() as i64;
    let (mut base, mut result) = ((digits, own_scale), (BigInt::one(), 0i64));
    let mut left = exponent.unsigned_abs();
    let product = |x: &(BigInt, i64), y: &(BigInt, i64)| {
        let (d, s) = (&x.0 * &y.0, x.1 + y.1);
        // Digits beyond the significant ones needed are dropped.
        let excess = (digit_count(&d) - (working + 40 + size.abs() as i64)).min(s).max(0);
        (d / ten(excess), s - excess)
    };
    while left > 0 {
        if left & 1 == 1 {
            result = product(&result, &base);
        }
        left >>= 1;
        if left > 0 {
            base = product(&base, &base);
        }
    }
    if exponent < 0 {
        let (d, s) = result;
        if d.is_zero() {
            return Err(overflow());
        }
        return rounded(&(ten(working + s) / d), working, scale).checked();
    }
    rounded(&result.0, result.1, scale).checked()
}

fn quotient(a: &Numeric, b: &Numeric, scale: i64) -> Result<Numeric> {
    let (Some((m, s)), Some((n, t))) = (a.parts(), b.parts()) else { return divide(a, b) };
    if n.is_zero() {
        return Err(crate::number::int::division_by_zero());
    }
    Ok(Numeric::new(super::divide_round(&(m * ten(scale + t)), &(n * ten(s))), scale))
}

fn power(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    if let Some(special) = special_power(a, b)? {
        return Ok(special);
    }
    if let Some(exponent) = is_integer(b).and_then(|e| e.to_i32()) {
        let scale = MIN_SIGNIFICANT.max(a.scale()).min(MAX_DISPLAY_SCALE);
        return integer_power(a, i64::from(exponent), scale);
    }
    if a.is_zero() {
        return Ok(Numeric::new(BigInt::ZERO, MIN_SIGNIFICANT));
    }
    let Some((exponent, exponent_scale)) = b.parts() else { return Ok(NaN) };
    let negative = a.signum() < 0 && is_integer(b).is_some_and(|e| e.bit(0));
    let base = absolute(a);
    let value = approximate(b) * ln_approximate(&base);
    if value.abs() > MAX_RESULT_SCALE * 3.01 {
        if value > 0.0 {
            return Err(overflow());
        }
        return Ok(Numeric::new(BigInt::ZERO, MAX_DISPLAY_SCALE));
    }
    let size = (value * std::f64::consts::LOG10_E) as i64;
    let scale = (MIN_SIGNIFICANT - size).max(a.scale()).max(b.scale()).clamp(0, MAX_DISPLAY_SCALE);
    let places = scale + size.abs() + 24 + digit_count(&exponent);
    let units = ln_units(&base, places) * exponent / ten(exponent_scale);
    let result = exp_units(&units, places, scale);
    Ok(if negative { super::arithmetic::negate(&result) } else { result })
}

/// ln in double precision, for any size of number.
fn ln_approximate(a: &Numeric) -> f64 {
    ln_units(a, 20).to_f64().unwrap_or(0.0) / 1e20
}

scalars! { pub(crate) TRANSCENDENTAL, env;
    "numeric_sqrt" [Num(a)] => sqrt(a);
    "numeric_exp" [Num(a)] => exp(a);
    "numeric_ln" [Num(a)] => ln(a);
    "numeric_log" [Num(b), Num(a)] => log(b, a);
    "log(numeric)" | "log10(numeric)" [Num(a)] => log(&Numeric::from(10), a);
    "numeric_power" [Num(a), Num(b)] => power(a, b);
}
