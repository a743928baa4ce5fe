//! Looking into `jsonb`, and casts out of it.

use serde_json::Value;
use vicinity_types::Datum::{self, Array as Arr, Int4, Jsonb as Doc, Null, Text};
use vicinity_types::array::Array;
use vicinity_types::jsonb::{Jsonb, order, print};
use vicinity_types::numeric::Numeric;
use vicinity_types::{PgError, Result, SqlState};

use super::access::place;

pub(crate) fn doc(value: &Value) -> Datum {
    Doc(std::sync::Arc::new(Jsonb(value.clone())))
}

/// A value as `->>` shows it.
pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(s) => Some(s.clone()),
        other => Some(print::to_string(other)),
    }
}

fn field<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.as_object()?.get(key)
}

fn element(value: &Value, index: i32) -> Option<&Value> {
    let items = value.as_array()?;
    items.get(place(index, items.len())?)
}

/// An element of a whole document: a scalar alone is kept as an array of one.
fn root_element(value: &Value, index: i32) -> Option<&Value> {
    if scalar(value) {
        return place(index, 1).filter(|at| *at == 0).map(|_| value);
    }
    element(value, index)
}

fn path<'a>(value: &'a Value, steps: &Array) -> Option<&'a Value> {
    let mut at = value;
    for step in steps.iter() {
        let Text(step) = step else { return None };
        at = match at {
            Value::Object(_) => field(at, &step)?,
            Value::Array(_) => element(at, step.trim().parse().ok()?)?,
            _ => return None,
        };
    }
    Some(at)
}

/// Scalars are equal as values: numbers by value, not by digits.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    order::compare(&Jsonb(a.clone()), &Jsonb(b.clone())).is_eq()
}

fn scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// `a @> b`. At the top level an array contains a scalar that is among its elements.
fn contains(a: &Value, b: &Value, top: bool) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            y.iter().all(|(key, value)| x.get(key).is_some_and(|have| contains(have, value, false)))
        }
        (Value::Array(x), Value::Array(y)) => {
            y.iter().all(|value| x.iter().any(|have| contains(have, value, false)))
        }
        (Value::Array(x), value) if top && scalar(value) => {
            x.iter().any(|have| scalar(have) && same(have, value))
        }
        (x, y) if scalar(x) && scalar(y) => same(x, y),
        _ => false,
    }
}

fn exists(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(map) => map.contains_key(key),
        Value::Array(items) => items.iter().any(|i| i.as_str() == Some(key)),
        Value::String(s) => s == key,
        _ => false,
    }
}

fn keys(list: &Array) -> impl Iterator<Item = std::sync::Arc<str>> + '_ {
    list.iter().filter_map(|k| match k {
        Text(k) => Some(k),
        _ => None,
    })
}

fn length(value: &Value) -> Result<i32> {
    let refuse = |what| Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, what));
    match value {
        Value::Array(items) => Ok(crate::text::int4(items.len())),
        Value::Object(_) => refuse("cannot get array length of a non-array"),
        _ => refuse("cannot get array length of a scalar"),
    }
}

pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn strip_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| (k.clone(), strip_nulls(v)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(strip_nulls).collect()),
        other => other.clone(),
    }
}

fn cannot_cast(value: &Value, to: &str) -> PgError {
    let what = match value {
        Value::Object(_) => "jsonb object",
        Value::Array(_) => "jsonb array",
        Value::String(_) => "jsonb string",
        Value::Number(_) => "jsonb numeric",
        Value::Bool(_) => "jsonb boolean",
        Value::Null => "jsonb null",
    };
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("cannot cast {what} to type {to}"))
}

fn number(value: &Value, to: &str) -> Result<Numeric> {
    match value {
        Value::Number(n) => Ok(order::numeric(n)),
        other => Err(cannot_cast(other, to)),
    }
}

fn boolean(value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| cannot_cast(value, "boolean"))
}

fn shown(value: Option<&Value>) -> Datum {
    value.map_or(Null, doc)
}

fn shown_text(value: Option<&Value>) -> Datum {
    value.and_then(as_text).map_or(Null, Datum::text)
}

scalars! { pub(crate) BINARY, env;
    "jsonb_object_field" [Doc(j), Text(k)] => shown(field(&j.0, k));
    "jsonb_object_field_text" [Doc(j), Text(k)] => shown_text(field(&j.0, k));
    "jsonb_array_element" [Doc(j), Int4(n)] => shown(root_element(&j.0, *n));
    "jsonb_array_element_text" [Doc(j), Int4(n)] => shown_text(root_element(&j.0, *n));
    "jsonb_extract_path" [Doc(j), Arr(p)] => shown(path(&j.0, p));
    "jsonb_extract_path_text" [Doc(j), Arr(p)] => shown_text(path(&j.0, p));
    "jsonb_contains" [Doc(a), Doc(b)] => contains(&a.0, &b.0, true);
    "jsonb_contained" [Doc(a), Doc(b)] => contains(&b.0, &a.0, true);
    "jsonb_exists" [Doc(j), Text(k)] => exists(&j.0, k);
    "jsonb_exists_any" [Doc(j), Arr(k)] => keys(k).any(|k| exists(&j.0, &k));
    "jsonb_exists_all" [Doc(j), Arr(k)] => keys(k).all(|k| exists(&j.0, &k));
    "jsonb_array_length" [Doc(j)] => length(&j.0);
    "jsonb_typeof" [Doc(j)] => type_name(&j.0);
    "jsonb_strip_nulls" [Doc(j)] => doc(&strip_nulls(&j.0));
    "jsonb_pretty" [Doc(j)] => print::pretty(&j.0);
    "jsonb_bool" [Doc(j)] => boolean(&j.0);
    "jsonb_numeric" [Doc(j)] => number(&j.0, "numeric");
    "jsonb_int2" [Doc(j)] => number(&j.0, "smallint").and_then(|n| n.to_i16());
    "jsonb_int4" [Doc(j)] => number(&j.0, "integer").and_then(|n| n.to_i32());
    "jsonb_int8" [Doc(j)] => number(&j.0, "bigint").and_then(|n| n.to_i64());
    "jsonb_float4" [Doc(j)] => number(&j.0, "real").and_then(|n| n.to_f32());
    "jsonb_float8" [Doc(j)] => number(&j.0, "double precision").and_then(|n| n.to_f64());
}
