//! Any value as JSON text: `to_json` and what builds on it.

use vicinity_types::array::{Array, Dim};
use vicinity_types::io::{DateStyle, IoStyle, TypeShape, to_text};
use vicinity_types::jsonb::print;
use vicinity_types::record::Record;
use vicinity_types::{Datum, Io, Oid, PgError, Result, SqlState, oid};

use crate::env::Env;

/// A JSON string with its quotes.
pub(crate) fn string(text: &str, out: &mut String) {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    print::write_string(text, &mut quoted);
    out.push_str(&String::from_utf8_lossy(&quoted));
}

/// ISO 8601 with a `T`, whatever DateStyle says.
fn iso(env: &dyn Env, ty: Oid, value: &Datum) -> String {
    let io = env.io();
    let style = IoStyle { date_style: DateStyle::default(), ..io.style.clone() };
    let text = to_text(ty, value, &Io { style: &style, names: io.names });
    let mut text = text.replacen(' ', "T", 1);
    // An offset always has its minutes.
    if matches!(value, Datum::TimestampTz(_) | Datum::TimeTz(_)) {
        let tail = text.rfind(['+', '-']).filter(|at| *at > 9).unwrap_or(text.len());
        if text.len() - tail == 3 {
            text.push_str(":00");
        }
    }
    text
}

/// Writes a value as JSON. `feeds` puts a line between the elements of arrays and records.
pub(crate) fn value(env: &dyn Env, ty: Oid, value: &Datum, feeds: bool, out: &mut String) {
    match value {
        Datum::Null => out.push_str("null"),
        Datum::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) if ty != oid::PG_LSN => {
            out.push_str(&to_text(ty, value, &env.io()));
        }
        Datum::Float4(_) | Datum::Float8(_) | Datum::Numeric(_) => {
            let text = to_text(ty, value, &env.io());
            // NaN and the infinities are no JSON numbers.
            if text.bytes().any(|b| b.is_ascii_alphabetic() && b != b'e') {
                string(&text, out);
            } else {
                out.push_str(&text);
            }
        }
        Datum::Text(text) if ty == oid::JSON => out.push_str(text),
        Datum::Text(text) | Datum::Bpchar(text) => string(text, out),
        Datum::Jsonb(doc) => out.push_str(&print::to_string(&doc.0)),
        Datum::Date(_) | Datum::Timestamp(_) | Datum::TimestampTz(_) => {
            string(&iso(env, ty, value), out);
        }
        Datum::Array(a) if !matches!(ty, oid::INT2VECTOR | oid::OIDVECTOR) => {
            array(env, a, feeds, out);
        }
        Datum::Record(r) => record(env, r, feeds, out),
        value => string(&to_text(ty, value, &env.io()), out),
    }
}

/// Arrays nest by dimension; only the outermost level has line feeds.
pub(crate) fn array(env: &dyn Env, a: &Array, feeds: bool, out: &mut String) {
    if a.is_empty() {
        out.push_str("[]");
        return;
    }
    let mut values = a.iter();
    level(env, a.elem, &a.dims, &mut values, feeds, out);
}

fn level(
    env: &dyn Env,
    elem: Oid,
    dims: &[Dim],
    values: &mut dyn Iterator<Item = Datum>,
    feeds: bool,
    out: &mut String,
) {
    let Some((dim, inner)) = dims.split_first() else { return };
    out.push('[');
    for i in 0..dim.len {
        if i > 0 {
            out.push_str(if feeds { ",\n " } else { "," });
        }
        if inner.is_empty() {
            value(env, elem, &values.next().unwrap_or_default(), false, out);
        } else {
            level(env, elem, inner, values, false, out);
        }
    }
    out.push(']');
}

/// The names of a row's columns.
pub(crate) fn field_names(env: &dyn Env, record: &Record) -> Vec<String> {
    if let Some(info) = env.io().names.type_info(record.type_oid)
        && let TypeShape::Composite(fields) = info.shape
    {
        return fields.iter().map(|f| f.name.clone()).collect();
    }
    if let Some(names) = &record.names {
        return names.to_vec();
    }
    (1..=record.fields.len()).map(|i| format!("f{i}")).collect()
}

pub(crate) fn record(env: &dyn Env, r: &Record, feeds: bool, out: &mut String) {
    let names = field_names(env, r);
    out.push('{');
    for (i, ((ty, field), name)) in r.fields.iter().zip(names).enumerate() {
        if i > 0 {
            out.push_str(if feeds { ",\n " } else { "," });
        }
        string(&name, out);
        out.push(':');
        value(env, *ty, field, false, out);
    }
    out.push('}');
}

/// A value's JSON as a string.
pub(crate) fn text(env: &dyn Env, ty: Oid, datum: &Datum) -> String {
    let mut out = String::new();
    value(env, ty, datum, false, &mut out);
    out
}

/// An object's key: any scalar, as text.
pub(crate) fn key(env: &dyn Env, ty: Oid, datum: &Datum) -> Result<String> {
    match datum {
        Datum::Null => {
            Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, "field name must not be null"))
        }
        Datum::Array(_) | Datum::Record(_) | Datum::Jsonb(_) => Err(not_scalar()),
        Datum::Text(_) if ty == oid::JSON => Err(not_scalar()),
        Datum::Bool(b) => Ok(if *b { "true" } else { "false" }.to_owned()),
        Datum::Date(_) | Datum::Timestamp(_) | Datum::TimestampTz(_) => Ok(iso(env, ty, datum)),
        datum => Ok(to_text(ty, datum, &env.io())),
    }
}

fn not_scalar() -> PgError {
    PgError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        "key value must be scalar, not array, composite, or json",
    )
}
