//! Short ways: output straight from stored bytes for the types queries return most, without a [`Datum`] or an
//! allocation, and input of plain numbers.

use bytes::BufMut;

use super::{Io, float, short};
use crate::datum::{Datum, Kind, Oid};
use crate::oid;
use crate::raw::{F32s, float4_slice};

fn fixed<const N: usize>(raw: &[u8]) -> Option<[u8; N]> {
    raw.try_into().ok()
}

/// Reads a number that is nothing but a sign and digits, as they mostly come; `None` for other types and texts.
pub fn digits_in(ty: Oid, text: &[u8]) -> Option<Datum> {
    if !matches!(ty, oid::INT2 | oid::INT4 | oid::INT8 | oid::FLOAT8) {
        return None;
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    // So many have room in a word, and a float is exact.
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let magnitude = digits.iter().try_fold(0i64, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })?;
    let negative = digits.len() < text.len();
    let number = if negative { -magnitude } else { magnitude };
    match ty {
        oid::INT2 => number.try_into().ok().map(Datum::Int2),
        oid::INT4 => number.try_into().ok().map(Datum::Int4),
        oid::INT8 => Some(Datum::Int8(number)),
        // There is a -0 among floats.
        _ => (number != 0 || !negative).then_some(Datum::Float8(number as f64)),
    }
}

/// Writes text; `None`, and nothing written, where the kind has no short way.
#[inline]
pub fn text_out(ty: Oid, kind: Kind, raw: &[u8], io: &Io<'_>, out: &mut Vec<u8>) -> Option<()> {
    let digits = io.style.extra_float_digits;
    match kind {
        Kind::Bool | Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Oid => {
            return short_out(ty, kind, raw, io, out);
        }
        Kind::Float8 | Kind::Point if short_out(ty, kind, raw, io, out).is_some() => (),
        Kind::Float4 => float::write4(f32::from_le_bytes(fixed(raw)?), digits, out),
        Kind::Float8 => float::write8(f64::from_le_bytes(fixed(raw)?), digits, out),
        Kind::Text | Kind::Bpchar | Kind::Jsonb => out.put_slice(raw),
        Kind::Point => {
            let ([x, y], []) = raw.as_chunks::<8>() else { return None };
            super::geo::write_point(f64::from_le_bytes(*x), f64::from_le_bytes(*y), digits, out);
        }
        Kind::Date => {
            crate::datetime::format::date(i32::from_le_bytes(fixed(raw)?), io.style, out);
        }
        Kind::Time => crate::datetime::format::time(i64::from_le_bytes(fixed(raw)?), out),
        Kind::Timestamp => {
            crate::datetime::format::timestamp(i64::from_le_bytes(fixed(raw)?), io.style, out);
        }
        Kind::TimestampTz => {
            crate::datetime::format::timestamptz(i64::from_le_bytes(fixed(raw)?), io.style, out);
        }
        Kind::Uuid => crate::raw::put_uuid(fixed(raw)?, out),
        Kind::Bytea => super::bytea::write(raw, io.style.bytea_output, out),
        Kind::Array => float4_text(float4_slice(raw)?, raw, digits, out)?,
        _ => return None,
    }
    Some(())
}

/// Writes a text of bounded length.
fn short_out(ty: Oid, kind: Kind, raw: &[u8], io: &Io<'_>, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    out.extend_from_slice(&[0; short::ROOM]);
    let length = short::write(ty, kind, raw, io.style, out.last_chunk_mut()?);
    out.truncate(start + length.unwrap_or(0));
    length.map(|_| ())
}

/// `{1,2.5}`; vectors whose subscripts do not begin at 1 take the long way.
fn float4_text(values: F32s<'_>, raw: &[u8], digits: i32, out: &mut Vec<u8>) -> Option<()> {
    if raw.get(12..16)? != 1i32.to_le_bytes() {
        return None;
    }
    out.reserve(values.len() * 10 + 2);
    out.put_u8(b'{');
    for (i, v) in values.iter().enumerate() {
        if i > 0 {
            out.put_u8(b',');
        }
        float::write4(v, digits, out);
    }
    out.put_u8(b'}');
    Some(())
}

/// Writes the binary format; `None`, and nothing written, where the kind has no short way.
#[inline]
pub fn binary_out(ty: Oid, kind: Kind, raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match kind {
        Kind::Bool => out.put_u8(u8::from(fixed::<1>(raw)? != [0])),
        Kind::Int2 => out.put_i16(i16::from_le_bytes(fixed(raw)?)),
        Kind::Int4 | Kind::Date | Kind::Oid | Kind::Float4 => {
            out.put_u32(u32::from_le_bytes(fixed(raw)?));
        }
        Kind::Int8 | Kind::Float8 | Kind::Time | Kind::Timestamp | Kind::TimestampTz => {
            out.put_u64(u64::from_le_bytes(fixed(raw)?));
        }
        Kind::Text if ty != oid::CHAR => out.put_slice(raw),
        Kind::Bpchar | Kind::Bytea | Kind::Uuid => out.put_slice(raw),
        Kind::Jsonb => {
            out.put_u8(1);
            out.put_slice(raw);
        }
        Kind::Point | Kind::Line | Kind::Circle | Kind::Lseg | Kind::Box => {
            let (words, _) = raw.as_chunks::<8>();
            words.iter().for_each(|w| out.put_u64(u64::from_le_bytes(*w)));
        }
        Kind::Interval => {
            let (micros, rest) = raw.split_first_chunk::<8>()?;
            let (days, months) = rest.split_first_chunk::<4>()?;
            out.put_i64(i64::from_le_bytes(*micros));
            out.put_i32(i32::from_le_bytes(*days));
            out.put_i32(i32::from_le_bytes(fixed(months)?));
        }
        Kind::Array => float4_binary(float4_slice(raw)?, raw, out)?,
        _ => return None,
    }
    Some(())
}

fn float4_binary(values: F32s<'_>, raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let lower = i32::from_le_bytes(fixed(raw.get(12..16)?)?);
    out.reserve(20 + values.len() * 8);
    out.put_i32(1);
    out.put_i32(0);
    out.put_u32(oid::FLOAT4);
    out.put_i32(i32::try_from(values.len()).ok()?);
    out.put_i32(lower);
    for v in values.iter() {
        out.put_i32(4);
        out.put_f32(v);
    }
    Some(())
}
