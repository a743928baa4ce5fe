//! Floating point: shortest text that reads back exactly, laid out as PostgreSQL does.

use bytes::BufMut;

use super::is_space;
use crate::error::{PgError, Result, SqlState};

/// Reads a float8.
pub fn parse8(text: &str) -> Result<f64> {
    parse(text, "double precision", |body| {
        let v: f64 = hexadecimal(body).or_else(|| body.parse().ok())?;
        Some((v, v.is_infinite() || v == 0.0))
    })
}

/// Reads a float4.
pub fn parse4(text: &str) -> Result<f32> {
    parse(text, "real", |body| {
        let v: f32 = hexadecimal(body).map(|v| v as f32).or_else(|| body.parse().ok())?;
        Some((v, v.is_infinite() || v == 0.0))
    })
}

fn parse<T>(text: &str, name: &str, read: impl Fn(&str) -> Option<(T, bool)>) -> Result<T> {
    let body = text.trim_matches(is_space);
    let invalid = || PgError::invalid_input(name, text);
    let unsigned = body.strip_prefix(['+', '-']).unwrap_or(body);
    let number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let is_word = || ["nan", "infinity", "inf"].iter().any(|w| unsigned.eq_ignore_ascii_case(w));
    if !number && !is_word() {
        return Err(invalid());
    }
    let (value, extreme) = read(body).ok_or_else(invalid)?;
    if number && extreme {
        let marks = if hexadecimal_digits(unsigned).is_some() { ['p', 'P'] } else { ['e', 'E'] };
        let mantissa = unsigned.split(marks).next().unwrap_or("");
        let written_zero = mantissa.bytes().all(|b| matches!(b, b'0' | b'.' | b'x' | b'X'));
        if !written_zero {
            return Err(PgError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("\"{body}\" is out of range for type {name}"),
            ));
        }
    }
    Ok(value)
}

/// What stands after `0x`.
fn hexadecimal_digits(unsigned: &str) -> Option<&str> {
    unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"))
}

/// Length of the hexadecimal number `text` begins with, as `strtod` reads it: `0x1.8p-3`; 0 for none.
pub(crate) fn hexadecimal_length(text: &str) -> usize {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let Some(body) = hexadecimal_digits(unsigned) else { return 0 };
    let bytes = body.as_bytes();
    let run = |from: usize, is: fn(&u8) -> bool| {
        from + bytes.iter().skip(from).take_while(|b| is(b)).count()
    };
    let whole = run(0, u8::is_ascii_hexdigit);
    let mut end = whole;
    if bytes.get(whole) == Some(&b'.') {
        end = run(whole + 1, u8::is_ascii_hexdigit);
    }
    if end == 0 || (whole == 0 && end == 1) {
        return 0;
    }
    if matches!(bytes.get(end), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let digits = run(end + 1 + sign, u8::is_ascii_digit);
        if digits > end + 1 + sign {
            end = digits;
        }
    }
    text.len() - body.len() + end
}

/// The value of a text that is a hexadecimal number as a whole.
fn hexadecimal(text: &str) -> Option<f64> {
    if text.is_empty() || hexadecimal_length(text) != text.len() {
        return None;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) =
        hexadecimal_digits(unsigned)?.split_once(['p', 'P']).unwrap_or((unsigned.get(2..)?, "0"));
    let mut exponent: i64 =
        exponent.parse().unwrap_or(if exponent.starts_with('-') { -1_000_000 } else { 1_000_000 });
    let (mut value, mut fraction) = (0u64, false);
    for c in mantissa.chars() {
        let Some(digit) = c.to_digit(16) else {
            fraction = true;
            continue;
        };
        exponent -= if fraction { 4 } else { 0 };
        if value >> 60 == 0 {
            value = value << 4 | u64::from(digit);
        } else {
            // What does not fit only says on which side of the middle the value is.
            value |= u64::from(digit != 0);
            exponent += 4;
        }
    }
    // In steps, as 2^exponent may be no number itself.
    let mut result = value as f64;
    while exponent != 0 && result != 0.0 && result.is_finite() {
        let step = exponent.clamp(-1000, 1000);
        result *= 2f64.powi(i32::try_from(step).unwrap_or(0));
        exponent -= step;
    }
    Some(if text.starts_with('-') { -result } else { result })
}

/// Writes a float8. With `extra_float_digits` above 0, the shortest text that reads back exactly;
/// otherwise 15 digits and that many more, as `%g` does.
pub fn write8(v: f64, extra_float_digits: i32, out: &mut Vec<u8>) {
    if !v.is_finite() {
        return special(v.is_nan(), v.is_sign_negative(), out);
    }
    if extra_float_digits > 0 {
        shortest8(v, out)
    } else {
        general(v, 15 + extra_float_digits, out)
    }
}

/// Writes a float4; see [`write8`].
pub fn write4(v: f32, extra_float_digits: i32, out: &mut Vec<u8>) {
    if !v.is_finite() {
        return special(v.is_nan(), v.is_sign_negative(), out);
    }
    if extra_float_digits > 0 {
        shortest4(v, out);
    } else {
        general(f64::from(v), 6 + extra_float_digits, out);
    }
}

fn special(nan: bool, negative: bool, out: &mut Vec<u8>) {
    out.put_slice(match (nan, negative) {
        (true, _) => b"NaN".as_slice(),
        (false, false) => b"Infinity",
        (false, true) => b"-Infinity",
    });
}

/// `%.{digits}g`
fn general(v: f64, digits: i32, out: &mut Vec<u8>) {
    let digits = usize::try_from(digits.max(1)).unwrap_or(1);
    let text = format!("{:.*e}", digits - 1, v.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut parts = Decimal::new(v.is_sign_negative(), exponent.parse().unwrap_or(0));
    parts.push_digits(mantissa.as_bytes());
    parts.write(i32::try_from(digits).unwrap_or(i32::MAX), out);
}

/// A float8 on its way to be written as the shortest text.
pub(super) struct Shortest8(zmij::Buffer);

/// A number that is written without an exponent.
pub(super) enum Plain<'a> {
    Whole(i64),
    Text(&'a str),
}

impl Shortest8 {
    pub(super) fn new() -> Shortest8 {
        Shortest8(zmij::Buffer::new())
    }

    /// A number that is written plainly.
    // Called in loops over rows.
    #[inline(always)]
    pub(super) fn plain(&mut self, v: f64) -> Option<Plain<'_>> {
        if !(1e-4..1e15).contains(&v.abs()) {
            // -0 is the one whole number with a sign that an integer does not have.
            return (v == 0.0 && v.is_sign_positive()).then_some(Plain::Whole(0));
        }
        // zmij marks whole numbers; others it writes as here.
        Some(if v.trunc() == v {
            Plain::Whole(v as i64)
        } else {
            Plain::Text(self.0.format_finite(v))
        })
    }
}

fn shortest8(v: f64, out: &mut Vec<u8>) {
    match Shortest8::new().plain(v) {
        Some(Plain::Whole(whole)) => {
            return out.put_slice(itoa::Buffer::new().format(whole).as_bytes());
        }
        Some(Plain::Text(text)) => return out.put_slice(text.as_bytes()),
        None => (),
    }
    let mut parts = Decimal::from_text(zmij::Buffer::new().format_finite(v));
    let bits = v.abs().to_bits();
    if on_boundary(bits, 52, 1074, &parts) {
        let inside = |p: &Decimal| p.value() == Some(v) && !on_boundary(bits, 52, 1074, p);
        parts = (15..=17).map(|n| with_precision(v, n)).find(inside).unwrap_or(parts);
    }
    parts.write(15, out);
}

fn shortest4(v: f32, out: &mut Vec<u8>) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(v);
    if (1e-4..1e6).contains(&v.abs()) {
        return out.put_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
    }
    let mut parts = Decimal::from_text(text);
    let bits = u64::from(v.abs().to_bits());
    if on_boundary(bits, 23, 149, &parts) {
        let inside = |p: &Decimal| p.value() == Some(v) && !on_boundary(bits, 23, 149, p);
        let candidates = (6..=9).map(|n| with_precision(f64::from(v), n));
        parts = candidates.into_iter().find(inside).unwrap_or(parts);
    }
    parts.write(6, out);
}

fn with_precision(v: f64, digits: usize) -> Decimal {
    let text = format!("{v:.*e}", digits - 1);
    Decimal::from_text(&text)
}

/// Whether the digits lie exactly half way to a neighbouring float. PostgreSQL does not use such
/// digits, though they read back (ties go to even): 1e23 is written 9.999999999999999e+22.
fn on_boundary(bits: u64, mantissa_bits: u32, min_exponent: i32, d: &Decimal) -> bool {
    let mantissa = bits & ((1 << mantissa_bits) - 1);
    let biased = i32::try_from(bits >> mantissa_bits).unwrap_or(0);
    let (m, e) = match biased {
        0 => (mantissa, -min_exponent),
        _ => (mantissa | 1 << mantissa_bits, biased - 1 - min_exponent),
    };
    // Odd mantissas never read back from the middle; and the middle of small numbers has more
    // digits than any shortest text.
    if m % 2 == 1 || m == 0 || e < -4 {
        return false;
    }
    let (digits, ten) = d.scaled();
    // The gap below a power of two is half as wide.
    let narrow = mantissa == 0 && biased > 1;
    let below =
        if narrow { (u128::from(m) * 4 - 1, e - 2) } else { (u128::from(m) * 2 - 1, e - 1) };
    let halves = [(u128::from(m) * 2 + 1, e - 1), below];
    halves.iter().any(|(half, two)| same(u128::from(digits), ten, *half, *two))
}

/// Whether `digits * 10^ten == odd * 2^two`.
fn same(digits: u128, ten: i32, odd: u128, two: i32) -> bool {
    let five = |n: i32| 5u128.checked_pow(u32::try_from(n).unwrap_or(u32::MAX));
    let (left, right) = if ten >= 0 {
        (five(ten).and_then(|f| digits.checked_mul(f)), Some(odd))
    } else {
        (Some(digits), five(-ten).and_then(|f| odd.checked_mul(f)))
    };
    let (Some(left), Some(right)) = (left, right) else { return false };
    if left == 0 {
        return false;
    }
    let (l, r) = (left.trailing_zeros(), right.trailing_zeros());
    let twos = i64::from(l) + i64::from(ten) == i64::from(r) + i64::from(two);
    twos && left >> l == right >> r
}

/// Significant digits and the exponent of the first.
#[derive(Clone)]
struct Decimal {
    negative: bool,
    digits: [u8; 40],
    len: usize,
    exponent: i32,
}

impl Decimal {
    fn new(negative: bool, exponent: i32) -> Decimal {
        Decimal { negative, digits: [0; 40], len: 0, exponent }
    }

    fn push_digits(&mut self, text: &[u8]) {
        for b in text.iter().filter(|b| b.is_ascii_digit()) {
            if let Some(slot) = self.digits.get_mut(self.len) {
                *slot = *b;
                self.len += 1;
            }
        }
        while self.len > 1 && self.digits.get(self.len - 1) == Some(&b'0') {
            self.len -= 1;
        }
    }

    /// Takes apart `123.45`, `0.00012` and `1.2345e-7`.
    fn from_text(text: &str) -> Decimal {
        let negative = text.starts_with('-');
        let (mantissa, exponent) = text
            .trim_start_matches('-')
            .split_once('e')
            .unwrap_or((text.trim_start_matches('-'), "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let length = |s: &str| i32::try_from(s.len()).unwrap_or(0);
        let mut d = Decimal::new(negative, exponent);
        if whole == "0" {
            let significant = fraction.trim_start_matches('0');
            d.exponent -= length(fraction) - length(significant) + 1;
            d.push_digits(significant.as_bytes());
            if d.len == 0 {
                d.exponent = 0;
                d.push_digits(b"0");
            }
        } else {
            d.exponent += length(whole) - 1;
            let mut all = [0u8; 40];
            let mut n = 0;
            for b in whole.bytes().chain(fraction.bytes()) {
                if let Some(slot) = all.get_mut(n) {
                    *slot = b;
                    n += 1;
                }
            }
            d.push_digits(all.get(..n).unwrap_or(&[]));
        }
        d
    }

    fn slice(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or(&[])
    }

    /// The digits as a whole number, and the power of ten it is to be multiplied with.
    fn scaled(&self) -> (u64, i32) {
        let digits = self
            .slice()
            .iter()
            .fold(0u64, |n, d| n.wrapping_mul(10).wrapping_add(u64::from(d - b'0')));
        (digits, self.exponent - i32::try_from(self.len).unwrap_or(0) + 1)
    }

    fn value<T: std::str::FromStr>(&self) -> Option<T> {
        let (digits, ten) = self.scaled();
        format!("{}{digits}e{ten}", if self.negative { "-" } else { "" }).parse().ok()
    }

    /// Exponents below -4 and from `limit` on are written out.
    fn write(&self, limit: i32, out: &mut Vec<u8>) {
        if self.negative {
            out.put_u8(b'-');
        }
        let digits = self.slice();
        if self.exponent < -4 || self.exponent >= limit {
            return self.write_exponent(digits, out);
        }
        if self.exponent < 0 {
            out.put_slice(b"0.");
            for _ in 1..-self.exponent {
                out.put_u8(b'0');
            }
            return out.put_slice(digits);
        }
        let whole = usize::try_from(self.exponent).unwrap_or(0) + 1;
        match digits.split_at_checked(whole) {
            Some((whole, [])) => out.put_slice(whole),
            Some((whole, fraction)) => {
                out.put_slice(whole);
                out.put_u8(b'.');
                out.put_slice(fraction);
            }
            None => {
                out.put_slice(digits);
                out.put_bytes(b'0', whole - digits.len());
            }
        }
    }

    fn write_exponent(&self, digits: &[u8], out: &mut Vec<u8>) {
        if let Some((first, rest)) = digits.split_first() {
            out.put_u8(*first);
            if !rest.is_empty() {
                out.put_u8(b'.');
                out.put_slice(rest);
            }
        }
        out.put_slice(if self.exponent < 0 { b"e-" } else { b"e+" });
        let magnitude = self.exponent.unsigned_abs();
        if magnitude < 10 {
            out.put_u8(b'0');
        }
        out.put_slice(itoa::Buffer::new().format(magnitude).as_bytes());
    }
}
