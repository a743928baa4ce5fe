//! The four operations, modulo, comparison to other numbers.

use std::sync::Arc;

use num_traits::{Signed, Zero};
use vicinity_types::Datum::Numeric as Num;
use vicinity_types::Result;
use vicinity_types::numeric::Numeric::{Infinity, NaN, NegInfinity};
use vicinity_types::numeric::{MAX_SCALE, Numeric};

use super::{MAX_DISPLAY_SCALE, MIN_SIGNIFICANT, divide_round, rescale, rounded, ten, weight};
use crate::number::int::division_by_zero;

/// The infinity of a sign.
pub(crate) fn infinity(sign: i32) -> Numeric {
    if sign < 0 { NegInfinity } else { Infinity }
}

pub(crate) fn negate(a: &Numeric) -> Numeric {
    match a {
        NaN => NaN,
        Infinity => NegInfinity,
        NegInfinity => Infinity,
        Numeric::Finite(d) => Numeric::Finite(-d),
    }
}

pub(crate) fn absolute(a: &Numeric) -> Numeric {
    if a.signum() < 0 { negate(a) } else { a.clone() }
}

pub(crate) fn add(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    match (a, b) {
        (NaN, _) | (_, NaN) | (Infinity, NegInfinity) | (NegInfinity, Infinity) => Ok(NaN),
        (Infinity | NegInfinity, _) => Ok(a.clone()),
        (_, Infinity | NegInfinity) => Ok(b.clone()),
        (Numeric::Finite(x), Numeric::Finite(y)) => {
            let (Some((m, s)), Some((n, t))) = (a.parts(), b.parts()) else {
                return Numeric::Finite(x + y).checked();
            };
            let scale = s.max(t);
            Numeric::new(rescale(m, s, scale) + rescale(n, t, scale), scale).checked()
        }
    }
}

pub(crate) fn subtract(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    add(a, &negate(b))
}

pub(crate) fn multiply(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    match (a.parts(), b.parts()) {
        (Some((m, s)), Some((n, t))) => {
            let (digits, scale) = (m * n, s + t);
            rounded(&digits, scale, scale.min(MAX_SCALE)).checked()
        }
        _ if a.is_nan() || b.is_nan() || a.is_zero() || b.is_zero() => Ok(NaN),
        _ => Ok(infinity(a.signum() * b.signum())),
    }
}

/// Quotients that involve an infinity or NaN; `Some(None)` is not one.
fn special_quotient(a: &Numeric, b: &Numeric) -> Result<Option<Numeric>> {
    if a.is_nan() || b.is_nan() || (a.is_infinite() && b.is_infinite()) {
        return Ok(Some(NaN));
    }
    if b.is_zero() {
        return Err(division_by_zero());
    }
    if a.is_infinite() {
        return Ok(Some(infinity(a.signum() * b.signum())));
    }
    Ok(b.is_infinite().then(|| Numeric::from(0)))
}

/// The scale that gives a quotient at least 16 significant digits and no less than its operands'.
pub(crate) fn quotient_scale(a: (&num_bigint::BigInt, i64), b: (&num_bigint::BigInt, i64)) -> i64 {
    let ((weight_a, first_a), (weight_b, first_b)) = (weight(a.0, a.1), weight(b.0, b.1));
    let mut quotient_weight = weight_a - weight_b;
    if first_a <= first_b {
        quotient_weight -= 1;
    }
    (MIN_SIGNIFICANT - quotient_weight * 4).max(a.1).max(b.1).clamp(0, MAX_DISPLAY_SCALE)
}

pub(crate) fn divide(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    if let Some(special) = special_quotient(a, b)? {
        return Ok(special);
    }
    let (Some((m, s)), Some((n, t))) = (a.parts(), b.parts()) else { return Ok(NaN) };
    let scale = quotient_scale((&m, s), (&n, t));
    Ok(Numeric::new(divide_round(&(m * ten(scale + t)), &(n * ten(s))), scale))
        .and_then(Numeric::checked)
}

pub(crate) fn divide_truncating(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    if let Some(special) = special_quotient(a, b)? {
        return Ok(special);
    }
    let (Some((m, s)), Some((n, t))) = (a.parts(), b.parts()) else { return Ok(NaN) };
    let scale = s.max(t);
    Numeric::new(rescale(m, s, scale) / rescale(n, t, scale), 0).checked()
}

pub(crate) fn modulo(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    if a.is_nan() || b.is_nan() || (a.is_infinite() && !b.is_zero()) {
        return Ok(NaN);
    }
    if b.is_zero() {
        return Err(division_by_zero());
    }
    if b.is_infinite() {
        return Ok(a.clone());
    }
    let (Some((m, s)), Some((n, t))) = (a.parts(), b.parts()) else { return Ok(NaN) };
    let scale = s.max(t);
    Ok(Numeric::new(rescale(m, s, scale) % rescale(n, t, scale), scale))
}

fn gcd(a: &Numeric, b: &Numeric) -> Numeric {
    let (Some((m, s)), Some((n, t))) = (a.parts(), b.parts()) else { return NaN };
    let scale = s.max(t);
    let (mut m, mut n) = (rescale(m, s, scale).abs(), rescale(n, t, scale).abs());
    while !n.is_zero() {
        (m, n) = (n.clone(), m % n);
    }
    Numeric::new(m, scale)
}

fn lcm(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    let (Some((m, s)), Some((n, t))) = (a.parts(), b.parts()) else { return Ok(NaN) };
    let scale = s.max(t);
    if m.is_zero() || n.is_zero() {
        return Ok(Numeric::new(num_bigint::BigInt::ZERO, scale));
    }
    let Some((divisor, _)) = gcd(a, b).parts() else { return Ok(NaN) };
    let (m, n) = (rescale(m, s, scale), rescale(n, t, scale));
    Numeric::new((m / divisor * n).abs(), scale).checked()
}

fn larger(a: &Arc<Numeric>, b: &Arc<Numeric>) -> Arc<Numeric> {
    if a > b { a.clone() } else { b.clone() }
}

fn smaller(a: &Arc<Numeric>, b: &Arc<Numeric>) -> Arc<Numeric> {
    if a < b { a.clone() } else { b.clone() }
}

scalars! { pub(crate) ARITHMETIC, env;
    "numeric_add" [Num(a), Num(b)] => add(a, b);
    "numeric_sub" [Num(a), Num(b)] => subtract(a, b);
    "numeric_mul" [Num(a), Num(b)] => multiply(a, b);
    "numeric_div" [Num(a), Num(b)] => divide(a, b);
    "numeric_div_trunc" [Num(a), Num(b)] => divide_truncating(a, b);
    "numeric_mod" [Num(a), Num(b)] => modulo(a, b);
    "numeric_uminus" [Num(a)] => negate(a);
    "numeric_uplus" [Num(a)] => a.clone();
    "numeric_abs" [Num(a)] => absolute(a);
    "numeric_sign" [Num(a)] => if a.is_nan() { NaN } else { Numeric::from(a.signum()) };
    "numeric_inc" [Num(a)] => add(a, &Numeric::from(1));
    "numeric_gcd" [Num(a), Num(b)] => gcd(a, b);
    "numeric_lcm" [Num(a), Num(b)] => lcm(a, b);
    "numeric_larger" [Num(a), Num(b)] => larger(a, b);
    "numeric_smaller" [Num(a), Num(b)] => smaller(a, b);
    "numeric_eq" [Num(a), Num(b)] => a == b;
    "numeric_ne" [Num(a), Num(b)] => a != b;
    "numeric_lt" [Num(a), Num(b)] => a < b;
    "numeric_le" [Num(a), Num(b)] => a <= b;
    "numeric_gt" [Num(a), Num(b)] => a > b;
    "numeric_ge" [Num(a), Num(b)] => a >= b;
    "numeric_cmp" [Num(a), Num(b)] => a.cmp(b) as i32;
}
