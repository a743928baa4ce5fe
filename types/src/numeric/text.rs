//! Numeric's text form.

use num_bigint::{BigInt, Sign};

use super::{MAX_INTEGER_DIGITS, MAX_SCALE, Numeric, overflow};
use crate::error::{PgError, Result};

/// Writes a value with all digits of its display scale.
pub fn write(n: &Numeric, out: &mut impl bytes::BufMut) {
    let d = match n {
        Numeric::NaN => return out.put_slice(b"NaN"),
        Numeric::Infinity => return out.put_slice(b"Infinity"),
        Numeric::NegInfinity => return out.put_slice(b"-Infinity"),
        Numeric::Finite(d) => d,
    };
    let (digits, scale) = d.as_bigint_and_scale();
    if digits.sign() == Sign::Minus {
        out.put_u8(b'-');
    }
    match u64::try_from(digits.magnitude()) {
        Ok(small) => write_digits(itoa::Buffer::new().format(small), scale, out),
        Err(_) => write_digits(&digits.magnitude().to_str_radix(10), scale, out),
    }
}

/// Sets the point `scale` digits from the right; a negative scale appends zeros.
fn write_digits(digits: &str, scale: i64, out: &mut impl bytes::BufMut) {
    if scale < 0 {
        out.put_slice(digits.as_bytes());
        return out.put_bytes(b'0', usize::try_from(-scale).unwrap_or(0));
    }
    let scale = usize::try_from(scale).unwrap_or(0);
    let split = digits.len().saturating_sub(scale);
    let (whole, fraction) = digits.split_at(split);
    out.put_slice(if whole.is_empty() { b"0" } else { whole.as_bytes() });
    if scale > 0 {
        out.put_u8(b'.');
        out.put_bytes(b'0', scale - fraction.len());
        out.put_slice(fraction.as_bytes());
    }
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::new();
        write(self, &mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

/// Reads a value, keeping as many digits after the point as were written.
pub fn parse(text: &str) -> Result<Numeric> {
    let trimmed = text.trim_matches(crate::io::is_space);
    let invalid = || PgError::invalid_input("numeric", text);
    let (negative, body) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, trimmed.get(1..).unwrap_or("")),
        Some(b'+') => (false, trimmed.get(1..).unwrap_or("")),
        _ => (false, trimmed),
    };
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return special(trimmed, negative, body).ok_or_else(invalid);
    }
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (body.get(..at).unwrap_or(""), Some(body.get(at + 1..).unwrap_or(""))),
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return Err(invalid());
    }
    let exponent = exponent.map_or(Ok(Some(0)), |e| parse_exponent(e).ok_or_else(invalid))?;
    let exponent = exponent.ok_or_else(overflow)?;
    finish(negative, whole, fraction, exponent)
}

/// `Some(None)` where the exponent is well formed but absurd.
#[allow(clippy::option_option)]
fn parse_exponent(text: &str) -> Option<Option<i64>> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let limit = i64::from(i32::MAX / 2);
    Some(text.parse::<i64>().ok().filter(|e| e.abs() < limit))
}

fn special(whole: &str, negative: bool, body: &str) -> Option<Numeric> {
    if whole.eq_ignore_ascii_case("nan") {
        return Some(Numeric::NaN);
    }
    if !body.eq_ignore_ascii_case("infinity") && !body.eq_ignore_ascii_case("inf") {
        return None;
    }
    Some(if negative { Numeric::NegInfinity } else { Numeric::Infinity })
}

fn finish(negative: bool, whole: &str, fraction: &str, exponent: i64) -> Result<Numeric> {
    let digits = format!("{whole}{fraction}");
    let length = |s: &str| i64::try_from(s.len()).unwrap_or(i64::MAX / 4);
    let significant = digits.trim_start_matches('0');
    let scale = length(fraction) - exponent;
    if scale > MAX_SCALE {
        return Err(overflow());
    }
    if significant.is_empty() {
        return Ok(Numeric::new(BigInt::default(), scale.max(0)));
    }
    if length(significant) - scale > MAX_INTEGER_DIGITS {
        return Err(overflow());
    }
    let magnitude = parse_digits(significant);
    Ok(Numeric::new(if negative { -magnitude } else { magnitude }, scale))
}

fn parse_digits(digits: &str) -> BigInt {
    match digits.parse::<u64>() {
        Ok(n) => BigInt::from(n),
        Err(_) => BigInt::parse_bytes(digits.as_bytes(), 10).unwrap_or_default(),
    }
}
