//! `json_each`, `json_array_elements`, `json_object_keys` and their `jsonb` and text forms.

use serde_json::Value;
use vicinity_types::Datum::{self, Jsonb as Doc, Null, Text};
use vicinity_types::{PgError, Result, SqlState};

use super::binary::{as_text as binary_text, doc};
use super::scan::{Shape, as_text, items, members, shape};
use crate::registry::Rows;

fn refuse(what: String) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, what)
}

fn rows(rows: Vec<Vec<Datum>>) -> Result<Rows> {
    Ok(Box::new(rows.into_iter().map(Ok)))
}

fn optional(text: Option<String>) -> Datum {
    text.map_or(Null, Datum::text)
}

fn object(json: &str) -> Result<Vec<(String, &str)>> {
    match shape(json) {
        Shape::Object => Ok(members(json)),
        Shape::Array => Err(refuse("cannot deconstruct an array as an object".to_owned())),
        _ => Err(refuse("cannot deconstruct a scalar".to_owned())),
    }
}

fn each(json: &str, text: bool) -> Result<Rows> {
    let shown = |v: &str| if text { optional(as_text(v)) } else { Datum::text(v) };
    let found = object(json)?;
    rows(found.iter().map(|(k, v)| vec![Datum::text(k), shown(v)]).collect())
}

fn keys(json: &str) -> Result<Rows> {
    let what = match shape(json) {
        Shape::Object => {
            return rows(members(json).iter().map(|(k, _)| vec![Datum::text(k)]).collect());
        }
        Shape::Array => "an array",
        _ => "a scalar",
    };
    Err(refuse(format!("cannot call json_object_keys on {what}")))
}

fn elements(json: &str, text: bool) -> Result<Rows> {
    let name = if text { "json_array_elements_text" } else { "json_array_elements" };
    match shape(json) {
        Shape::Array => {}
        Shape::Object => return Err(refuse(format!("cannot call {name} on a non-array"))),
        _ => return Err(refuse(format!("cannot call {name} on a scalar"))),
    }
    let shown = |v: &&str| if text { optional(as_text(v)) } else { Datum::text(*v) };
    rows(items(json).iter().map(|v| vec![shown(v)]).collect())
}

fn binary_each(value: &Value, text: bool) -> Result<Rows> {
    let name = if text { "jsonb_each_text" } else { "jsonb_each" };
    let Value::Object(map) = value else {
        return Err(refuse(format!("cannot call {name} on a non-object")));
    };
    let shown = |v: &Value| if text { optional(binary_text(v)) } else { doc(v) };
    rows(map.iter().map(|(k, v)| vec![Datum::text(k), shown(v)]).collect())
}

fn binary_keys(value: &Value) -> Result<Rows> {
    let what = match value {
        Value::Object(map) => return rows(map.keys().map(|k| vec![Datum::text(k)]).collect()),
        Value::Array(_) => "an array",
        _ => "a scalar",
    };
    Err(refuse(format!("cannot call jsonb_object_keys on {what}")))
}

fn binary_elements(value: &Value, text: bool) -> Result<Rows> {
    let Value::Array(items) = value else {
        let what = if value.is_object() { "an object" } else { "a scalar" };
        return Err(refuse(format!("cannot extract elements from {what}")));
    };
    let shown = |v: &Value| if text { optional(binary_text(v)) } else { doc(v) };
    rows(items.iter().map(|v| vec![shown(v)]).collect())
}

sets! { pub(crate) SETS, env;
    "json_each" [Text(j)] => each(j, false);
    "json_each_text" [Text(j)] => each(j, true);
    "json_object_keys" [Text(j)] => keys(j);
    "json_array_elements" [Text(j)] => elements(j, false);
    "json_array_elements_text" [Text(j)] => elements(j, true);
    "jsonb_each" [Doc(j)] => binary_each(&j.0, false);
    "jsonb_each_text" [Doc(j)] => binary_each(&j.0, true);
    "jsonb_object_keys" [Doc(j)] => binary_keys(&j.0);
    "jsonb_array_elements" [Doc(j)] => binary_elements(&j.0, false);
    "jsonb_array_elements_text" [Doc(j)] => binary_elements(&j.0, true);
}
