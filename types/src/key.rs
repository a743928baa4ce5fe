//! Memcomparable keys: the order of the bytes is the order of the values.
//!
//! A key column is a lead byte (NULL or not) and, unless NULL, a body that ends itself: fixed width,
//! or closed by a terminator no content can contain. So columns concatenate, a key of the first
//! columns is a prefix of the whole, and `memcmp` is the comparison. For descending columns the body
//! is inverted, which keeps it self-delimiting.

use crate::array::Array;
use crate::compare::{canonical4, canonical8, numbers, span, timetz_utc, unpadded};
use crate::datum::Datum;
use crate::record::Record;

const NULL_FIRST: u8 = 0;
const VALUE: u8 = 1;
const NULL_LAST: u8 = 2;

/// Appends one column of a key.
pub fn encode_key(value: &Datum, descending: bool, nulls_first: bool, out: &mut Vec<u8>) {
    if value.is_null() {
        return out.push(if nulls_first { NULL_FIRST } else { NULL_LAST });
    }
    out.push(VALUE);
    let start = out.len();
    body(value, out);
    if descending {
        out.iter_mut().skip(start).for_each(|b| *b = !*b);
    }
}

/// The lead byte of a column that is not NULL: the start of the range of all such keys.
pub const NOT_NULL_PREFIX: u8 = VALUE;

fn body(value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Null => {}
        Datum::Bool(v) => out.push(u8::from(*v)),
        Datum::Int2(v) => out.extend_from_slice(&(v.cast_unsigned() ^ 0x8000).to_be_bytes()),
        Datum::Int4(v) | Datum::Date(v) => put_i32(*v, out),
        Datum::Int8(v)
        | Datum::Time(v)
        | Datum::Timestamp(v)
        | Datum::TimestampTz(v)
        | Datum::Enum(v) => put_i64(*v, out),
        Datum::Float4(v) => put_f32(*v, out),
        Datum::Float8(v) => put_f64(*v, out),
        Datum::Numeric(v) => crate::numeric::codec::encode_key(v, out),
        Datum::Text(v) => put_bytes(v.as_bytes(), out),
        Datum::Bpchar(v) => put_bytes(unpadded(v).as_bytes(), out),
        Datum::Bytea(v) => put_bytes(v, out),
        Datum::TimeTz(v) => {
            put_i64(timetz_utc(v), out);
            put_i32(v.zone, out);
        }
        Datum::Interval(v) => {
            let biased = span(v).cast_unsigned() ^ (1 << 127);
            out.extend_from_slice(&biased.to_be_bytes());
        }
        Datum::Uuid(v) => out.extend_from_slice(v),
        Datum::Oid(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Tid(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Jsonb(v) => crate::jsonb::order::encode_key(v, out),
        Datum::Bits(v) => {
            put_bytes(v.bytes(), out);
            out.extend_from_slice(&u32::try_from(v.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
        Datum::Array(v) => array(v, out),
        Datum::Record(v) => record(v, out),
        Datum::Point(_)
        | Datum::Lseg(_)
        | Datum::Box(_)
        | Datum::Line(_)
        | Datum::Circle(_)
        | Datum::Path(_)
        | Datum::Polygon(_)
        | Datum::Pase(_) => {
            for n in numbers(value) {
                out.push(VALUE);
                put_f64(n, out);
            }
            out.push(0);
        }
    }
}

fn put_i32(v: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(&(v.cast_unsigned() ^ (1 << 31)).to_be_bytes());
}

fn put_i64(v: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&(v.cast_unsigned() ^ (1 << 63)).to_be_bytes());
}

/// Positive numbers get the sign bit, negative ones are inverted; NaN ends up above infinity.
fn put_f64(v: f64, out: &mut Vec<u8>) {
    let bits = canonical8(v).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    out.extend_from_slice(&ordered.to_be_bytes());
}

fn put_f32(v: f32, out: &mut Vec<u8>) {
    let bits = canonical4(v).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    out.extend_from_slice(&ordered.to_be_bytes());
}

/// Bytes of any content: 0 becomes 0 255, the end is 0 0.
pub(crate) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    for (i, run) in bytes.split(|b| *b == 0).enumerate() {
        if i > 0 {
            out.extend_from_slice(&[0, 0xff]);
        }
        out.extend_from_slice(run);
    }
    out.extend_from_slice(&[0, 0]);
}

fn array(a: &Array, out: &mut Vec<u8>) {
    match a.as_f32s() {
        Some(values) => {
            for v in values {
                out.push(VALUE);
                put_f32(*v, out);
            }
        }
        None => a.iter().for_each(|d| encode_key(&d, false, false, out)),
    }
    out.push(0);
    put_i32(i32::try_from(a.dims.len()).unwrap_or(i32::MAX), out);
    a.dims.iter().for_each(|d| put_i32(d.len, out));
    a.dims.iter().for_each(|d| put_i32(d.lower, out));
}

fn record(r: &Record, out: &mut Vec<u8>) {
    r.fields.iter().for_each(|(_, d)| encode_key(d, false, false, out));
    out.push(0);
}
