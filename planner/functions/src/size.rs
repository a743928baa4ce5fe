//! `pg_column_size`: how many bytes PostgreSQL has for a value.

use serde_json::Value;
use vicinity_types::array::Array;
use vicinity_types::numeric::{Numeric, codec};
use vicinity_types::record::Record;
use vicinity_types::{Datum, Oid, oid};

use crate::type_by_oid;

/// What has a length before it: one byte of it where a row keeps it and it is short, else four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A column of a table.
    Row,
    /// Anywhere else.
    Memory,
}

/// The size of a value of a type; no domain.
pub fn column_size(value: &Datum, ty: Oid, place: Place) -> usize {
    match fixed(value, ty) {
        Some(len) => len,
        None => {
            let len = content(value);
            if place == Place::Row && len < 127 { len + 1 } else { len + 4 }
        }
    }
}

/// The size of a value without a length before it.
fn fixed(value: &Datum, ty: Oid) -> Option<usize> {
    // Of an enum's label, its number is kept.
    let ty = if matches!(value, Datum::Enum(_)) { oid::OID } else { ty };
    match (value, type_by_oid(ty)?.len) {
        // A C string ends with a zero.
        (Datum::Text(text), -2) => Some(text.len() + 1),
        (_, len) => usize::try_from(len).ok(),
    }
}

/// What stands behind the length.
fn content(value: &Datum) -> usize {
    match value {
        Datum::Text(text) | Datum::Bpchar(text) => text.len(),
        Datum::Bytea(bytes) => bytes.len(),
        Datum::Numeric(n) => numeric(n),
        Datum::Bits(bits) => 4 + bits.len().div_ceil(8),
        Datum::Jsonb(document) => match &document.0 {
            whole @ (Value::Array(_) | Value::Object(_)) => container(whole),
            scalar => container(&Value::Array(vec![scalar.clone()])),
        },
        Datum::Path(path) => 12 + 16 * path.points.len(),
        Datum::Polygon(polygon) => 36 + 16 * polygon.points.len(),
        Datum::Array(array) => elements(array),
        Datum::Record(row) => fields(row),
        Datum::Pase(pase) => 8 + 4 * pase.values.len(),
        _ => 0,
    }
}

fn numeric(n: &Numeric) -> usize {
    let mut sent = Vec::new();
    codec::binary_out(n, &mut sent);
    let number = |at: usize| {
        let bytes = sent.get(at..at + 2).and_then(|b| b.try_into().ok());
        bytes.map_or(0, i16::from_be_bytes)
    };
    let (weight, scale) = (number(2), number(6));
    let short = (-64..=63).contains(&weight) && (0..=63).contains(&scale);
    let header = if short || n.is_nan() || n.is_infinite() { 2 } else { 4 };
    header + sent.len().saturating_sub(8)
}

fn aligned(at: usize, to: usize) -> usize {
    at.next_multiple_of(to.max(1))
}

/// Where values of a type may begin.
fn alignment(ty: Oid) -> usize {
    match type_by_oid(ty).map(|info| info.align) {
        Some(b'c') => 1,
        Some(b's') => 2,
        Some(b'd') => 8,
        _ => 4,
    }
}

fn elements(array: &Array) -> usize {
    let nulls = array.iter().any(|v| v.is_null());
    let bitmap = if nulls { array.len().div_ceil(8) } else { 0 };
    let start = aligned(16 + 8 * array.dims.len() + bitmap, 8);
    let size = |v: &Datum| column_size(v, array.elem, Place::Memory);
    let align = alignment(array.elem);
    let end = array
        .iter()
        .filter(|v| !v.is_null())
        .fold(start, |at, v| aligned(aligned(at, align) + size(&v), align));
    end - 4
}

fn fields(row: &Record) -> usize {
    let nulls = row.fields.iter().any(|(_, v)| v.is_null());
    let bitmap = if nulls { row.fields.len().div_ceil(8) } else { 0 };
    let start = aligned(23 + bitmap, 8);
    let end = row.fields.iter().filter(|(_, v)| !v.is_null()).fold(start, |at, (ty, v)| {
        match fixed(v, *ty) {
            Some(len) => aligned(at, alignment(*ty)) + len,
            // Short ones begin anywhere.
            None => match column_size(v, *ty, Place::Row) {
                len if len <= 127 => at + len,
                len => aligned(at, alignment(*ty)) + len,
            },
        }
    });
    end - 4
}

/// An array or object of a document: a word, one for each key and value, and these.
fn container(value: &Value) -> usize {
    let mut end = 4;
    match value {
        Value::Array(items) => {
            end += 4 * items.len();
            items.iter().for_each(|item| end = behind(end, item));
        }
        Value::Object(members) => {
            end += 8 * members.len() + members.keys().map(String::len).sum::<usize>();
            members.values().for_each(|item| end = behind(end, item));
        }
        _ => {}
    }
    end
}

/// Where a value ends that begins behind `at`.
fn behind(at: usize, value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => at,
        Value::String(text) => at + text.len(),
        Value::Number(n) => aligned(at, 4) + 4 + numeric(&vicinity_types::jsonb::order::numeric(n)),
        nested => aligned(at, 4) + container(nested),
    }
}
