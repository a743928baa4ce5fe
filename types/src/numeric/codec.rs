//! Numeric's byte forms: stored (`raw`), ordered (`key`) and the protocol's base 10,000.

use num_bigint::{BigInt, Sign};
use num_traits::Zero;

use super::{Numeric, pow10};
use crate::error::{PgError, Result, SqlState};

const NAN: u8 = 0;
const NEG_INFINITY: u8 = 1;
const INFINITY: u8 = 2;
const FINITE: u8 = 3;

/// Stored form: a tag, then scale (u16) and the signed digits, little-endian.
pub fn encode_raw(n: &Numeric, out: &mut Vec<u8>) {
    match n {
        Numeric::NaN => out.push(NAN),
        Numeric::NegInfinity => out.push(NEG_INFINITY),
        Numeric::Infinity => out.push(INFINITY),
        Numeric::Finite(_) => {
            let (digits, scale) = n.parts().unwrap_or_default();
            out.push(FINITE);
            out.extend_from_slice(&u16::try_from(scale).unwrap_or(u16::MAX).to_le_bytes());
            out.extend_from_slice(&digits.to_signed_bytes_le());
        }
    }
}

/// Reads the stored form; `None` where the bytes are not one.
pub fn decode_raw(bytes: &[u8]) -> Option<Numeric> {
    let (tag, rest) = bytes.split_first()?;
    Some(match *tag {
        NAN => Numeric::NaN,
        NEG_INFINITY => Numeric::NegInfinity,
        INFINITY => Numeric::Infinity,
        FINITE => {
            let (scale, digits) = rest.split_first_chunk::<2>()?;
            let digits = match <[u8; 8]>::try_from(digits) {
                Ok(eight) => BigInt::from(i64::from_le_bytes(eight)),
                Err(_) => BigInt::from_signed_bytes_le(digits),
            };
            Numeric::new(digits, i64::from(u16::from_le_bytes(*scale)))
        }
        _ => return None,
    })
}

/// Ordered form: a class byte; for non-zero numbers the decimal exponent and the digits in pairs,
/// ended by a byte below any pair; all of it inverted for negative numbers.
pub fn encode_key(n: &Numeric, out: &mut Vec<u8>) {
    let (digits, scale) = match n {
        Numeric::NegInfinity => return out.push(1),
        Numeric::Infinity => return out.push(5),
        Numeric::NaN => return out.push(6),
        Numeric::Finite(_) => n.parts().unwrap_or_default(),
    };
    let negative = match digits.sign() {
        Sign::NoSign => return out.push(3),
        Sign::Minus => true,
        Sign::Plus => false,
    };
    out.push(if negative { 2 } else { 4 });
    let start = out.len();
    let text = digits.magnitude().to_str_radix(10);
    let exponent = i64::try_from(text.len()).unwrap_or(i64::MAX) - scale;
    let exponent = i32::try_from(exponent).unwrap_or(i32::MAX);
    out.extend_from_slice(&(exponent.cast_unsigned() ^ 0x8000_0000).to_be_bytes());
    for pair in text.trim_end_matches('0').as_bytes().chunks(2) {
        let tens = pair.first().map_or(0, |d| d - b'0');
        let ones = pair.get(1).map_or(0, |d| d - b'0');
        out.push(tens * 10 + ones + 1);
    }
    out.push(0);
    if negative {
        out.iter_mut().skip(start).for_each(|b| *b = !*b);
    }
}

const SIGN_POS: u16 = 0x0000;
const SIGN_NEG: u16 = 0x4000;
const SIGN_NAN: u16 = 0xC000;
const SIGN_PINF: u16 = 0xD000;
const SIGN_NINF: u16 = 0xF000;

/// The protocol's form: digit count, weight, sign, display scale, then base-10,000 digits.
pub fn binary_out(n: &Numeric, out: &mut impl bytes::BufMut) {
    let special = match n {
        Numeric::NaN => Some(SIGN_NAN),
        Numeric::Infinity => Some(SIGN_PINF),
        Numeric::NegInfinity => Some(SIGN_NINF),
        Numeric::Finite(_) => None,
    };
    if let Some(sign) = special {
        out.put_slice(&[0, 0, 0, 0]);
        out.put_u16(sign);
        // PostgreSQL reads a display scale out of the infinities' header bits, and sends it.
        out.put_u16(if sign == SIGN_NAN { 0 } else { 0x20 });
        return;
    }
    let (digits, scale) = n.parts().unwrap_or_default();
    let (groups, weight) = base10000(&digits, scale);
    out.put_u16(u16::try_from(groups.len()).unwrap_or(u16::MAX));
    out.put_i16(i16::try_from(weight).unwrap_or(i16::MAX));
    out.put_u16(if digits.sign() == Sign::Minus { SIGN_NEG } else { SIGN_POS });
    out.put_u16(u16::try_from(scale).unwrap_or(u16::MAX));
    for group in groups {
        out.put_u16(group);
    }
}

/// Base-10,000 digits without zeros at either end, and the power of 10,000 of the first.
pub fn base10000(digits: &BigInt, scale: i64) -> (Vec<u16>, i64) {
    if digits.is_zero() {
        return (Vec::new(), 0);
    }
    let text = digits.magnitude().to_str_radix(10);
    let fraction_groups = (scale + 3) / 4;
    let pad_right = usize::try_from(fraction_groups * 4 - scale).unwrap_or(0);
    let pad_left = (4 - (text.len() + pad_right) % 4) % 4;
    let all = "0".repeat(pad_left) + &text + &"0".repeat(pad_right);
    let group = |c: &[u8]| c.iter().fold(0u16, |n, d| n * 10 + u16::from(d - b'0'));
    let groups: Vec<u16> = all.as_bytes().chunks(4).map(group).collect();
    let first_weight = i64::try_from(groups.len()).unwrap_or(0) - fraction_groups - 1;
    let leading = groups.iter().take_while(|g| **g == 0).count();
    let mut kept: Vec<u16> = groups.into_iter().skip(leading).collect();
    while kept.last() == Some(&0) {
        kept.pop();
    }
    (kept, first_weight - i64::try_from(leading).unwrap_or(0))
}

/// Reads the protocol's form.
pub fn binary_in(bytes: &[u8]) -> Result<Numeric> {
    let short = || PgError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message");
    let bad = |what: &str| {
        PgError::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("invalid {what} in external \"numeric\" value"),
        )
    };
    let mut words = bytes.chunks(2).map(|c| <[u8; 2]>::try_from(c).map(u16::from_be_bytes));
    let mut next = || words.next().and_then(|w| w.ok()).ok_or_else(short);
    let (count, weight, sign, scale) = (next()?, next()?.cast_signed(), next()?, next()?);
    match sign {
        SIGN_NAN => return Ok(Numeric::NaN),
        SIGN_PINF => return Ok(Numeric::Infinity),
        SIGN_NINF => return Ok(Numeric::NegInfinity),
        SIGN_POS | SIGN_NEG => {}
        _ => return Err(bad("sign")),
    }
    if scale & 0x3FFF != scale {
        return Err(bad("scale"));
    }
    let mut text = String::with_capacity(usize::from(count) * 4 + 1);
    for _ in 0..count {
        let group = next()?;
        if group >= 10_000 {
            return Err(bad("digit"));
        }
        text.push_str(&format!("{group:04}"));
    }
    let magnitude = BigInt::parse_bytes(text.as_bytes(), 10).unwrap_or_default();
    // The digits end at 10,000^(weight - count + 1); bring them to the display scale.
    let end = (i64::from(weight) - i64::from(count) + 1) * 4;
    let shift = end + i64::from(scale);
    let digits = if shift >= 0 {
        magnitude * pow10(u64::try_from(shift).unwrap_or(0))
    } else {
        magnitude / pow10(u64::try_from(-shift).unwrap_or(0))
    };
    let digits = if sign == SIGN_NEG { -digits } else { digits };
    Ok(Numeric::new(digits, i64::from(scale)))
}
