//! The default btree order of each kind.
//!
//! NaN sorts last, text bytewise (the C collation; `character(n)` without the blanks at
//! its end), numeric by value, intervals by the time they
//! span, arrays and records element by element. Kinds PostgreSQL has no btree order for (geometry,
//! pase) get some total order, so that nothing that sorts or hashes needs a special case.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::array::Array;
use crate::datum::{Datum, TimeTz};
use crate::geo::Point;
use crate::interval::Interval;
use crate::record::Record;

/// Compares two values of one kind. NULL sorts last and equals NULL.
pub fn compare(a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
        (Datum::Int4(a), Datum::Int4(b)) | (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b))
        | (Datum::Time(a), Datum::Time(b))
        | (Datum::Enum(a), Datum::Enum(b))
        | (Datum::Timestamp(a), Datum::Timestamp(b))
        | (Datum::TimestampTz(a), Datum::TimestampTz(b)) => a.cmp(b),
        (Datum::Float4(a), Datum::Float4(b)) => float4(*a, *b),
        (Datum::Float8(a), Datum::Float8(b)) => float8(*a, *b),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Datum::Bpchar(a), Datum::Bpchar(b)) => unpadded(a).cmp(unpadded(b)),
        (Datum::Bytea(a), Datum::Bytea(b)) => a.cmp(b),
        (Datum::TimeTz(a), Datum::TimeTz(b)) => timetz(a, b),
        (Datum::Interval(a), Datum::Interval(b)) => span(a).cmp(&span(b)),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
        (Datum::Tid(a), Datum::Tid(b)) => a.cmp(b),
        (Datum::Jsonb(a), Datum::Jsonb(b)) => crate::jsonb::order::compare(a, b),
        (Datum::Bits(a), Datum::Bits(b)) => a.compare(b),
        (Datum::Array(a), Datum::Array(b)) => arrays(a, b),
        (Datum::Record(a), Datum::Record(b)) => records(a, b),
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Greater,
        (_, Datum::Null) => Ordering::Less,
        _ => geometry(a, b),
    }
}

/// Whether two values of one kind are equal by [`compare`].
pub fn equal(a: &Datum, b: &Datum) -> bool {
    compare(a, b) == Ordering::Equal
}

/// Hashes a value so that equal values hash alike.
pub fn hash(d: &Datum, state: &mut impl Hasher) {
    match d {
        Datum::Null => state.write_u8(0),
        Datum::Bool(v) => v.hash(state),
        Datum::Int2(v) => v.hash(state),
        Datum::Int4(v) | Datum::Date(v) => v.hash(state),
        Datum::Int8(v)
        | Datum::Time(v)
        | Datum::Timestamp(v)
        | Datum::TimestampTz(v)
        | Datum::Enum(v) => v.hash(state),
        Datum::Float4(v) => canonical4(*v).to_bits().hash(state),
        Datum::Float8(v) => canonical8(*v).to_bits().hash(state),
        Datum::Text(v) => v.hash(state),
        Datum::Bytea(v) => v.hash(state),
        Datum::Uuid(v) => v.hash(state),
        Datum::Oid(v) => v.hash(state),
        Datum::Tid(v) => v.hash(state),
        Datum::Interval(v) => span(v).hash(state),
        _ => {
            let mut key = Vec::new();
            crate::key::encode_key(d, false, false, &mut key);
            key.hash(state);
        }
    }
}

/// What counts of a `character(n)` where it is compared, measured or becomes `text`.
pub fn unpadded(text: &str) -> &str {
    text.trim_end_matches(' ')
}

/// Orders float8: numbers, then NaN; -0 equals 0.
pub fn float8(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Orders float4: numbers, then NaN; -0 equals 0.
pub fn float4(a: f32, b: f32) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// One representative of each class of equal float8 values: one zero, one NaN.
pub(crate) fn canonical8(v: f64) -> f64 {
    if v.is_nan() { f64::NAN } else { v + 0.0 }
}

/// One representative of each class of equal float4 values.
pub(crate) fn canonical4(v: f32) -> f32 {
    if v.is_nan() { f32::NAN } else { v + 0.0 }
}

/// An interval's length in microseconds, months of 30 days and days of 24 hours.
pub fn span(i: &Interval) -> i128 {
    let days = i128::from(i.months) * 30 + i128::from(i.days);
    days * 86_400_000_000 + i128::from(i.micros)
}

/// By the moment in UTC, then by zone.
fn timetz(a: &TimeTz, b: &TimeTz) -> Ordering {
    timetz_utc(a).cmp(&timetz_utc(b)).then(a.zone.cmp(&b.zone))
}

pub(crate) fn timetz_utc(t: &TimeTz) -> i64 {
    t.micros.saturating_add(i64::from(t.zone) * 1_000_000)
}

fn arrays(a: &Array, b: &Array) -> Ordering {
    let elements = match (a.as_f32s(), b.as_f32s()) {
        (Some(x), Some(y)) => first_difference(x.iter().zip(y).map(|(x, y)| float4(*x, *y))),
        _ => first_difference(a.iter().zip(b.iter()).map(|(x, y)| compare(&x, &y))),
    };
    elements
        .then_with(|| a.len().cmp(&b.len()))
        .then_with(|| a.dims.len().cmp(&b.dims.len()))
        .then_with(|| {
            let lengths = a.dims.iter().zip(&b.dims).map(|(x, y)| x.len.cmp(&y.len));
            first_difference(lengths)
        })
        .then_with(|| {
            let bounds = a.dims.iter().zip(&b.dims).map(|(x, y)| x.lower.cmp(&y.lower));
            first_difference(bounds)
        })
}

fn records(a: &Record, b: &Record) -> Ordering {
    let fields = a.fields.iter().zip(&b.fields).map(|((_, x), (_, y))| compare(x, y));
    first_difference(fields).then_with(|| a.fields.len().cmp(&b.fields.len()))
}

fn first_difference(mut parts: impl Iterator<Item = Ordering>) -> Ordering {
    parts.find(|o| *o != Ordering::Equal).unwrap_or(Ordering::Equal)
}

fn geometry(a: &Datum, b: &Datum) -> Ordering {
    let (Some(ka), Some(kb)) = (a.kind(), b.kind()) else { return Ordering::Equal };
    if ka != kb {
        return ka.code().cmp(&kb.code());
    }
    let (x, y) = (numbers(a), numbers(b));
    first_difference(x.iter().zip(&y).map(|(x, y)| float8(*x, *y))).then(x.len().cmp(&y.len()))
}

/// All numbers of a geometric value or pase, in the order they are compared.
pub(crate) fn numbers(d: &Datum) -> Vec<f64> {
    let points = |points: &[Point]| points.iter().flat_map(|p| [p.x, p.y]).collect::<Vec<f64>>();
    match d {
        Datum::Point(p) => vec![p.x, p.y],
        Datum::Lseg(l) => points(&[l.a, l.b]),
        Datum::Box(b) => points(&[b.high, b.low]),
        Datum::Line(l) => vec![l.a, l.b, l.c],
        Datum::Circle(c) => vec![c.center.x, c.center.y, c.radius],
        Datum::Polygon(p) => points(&p.points),
        Datum::Path(p) => {
            let mut all = vec![f64::from(u8::from(p.closed))];
            all.extend(points(&p.points));
            all
        }
        Datum::Pase(p) => {
            let mut all: Vec<f64> = p.values.iter().map(|v| f64::from(*v)).collect();
            all.extend([f64::from(p.extra), f64::from(p.ds)]);
            all
        }
        _ => Vec::new(),
    }
}
