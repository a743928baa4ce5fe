//! `json_populate_record`, `json_to_record` and their forms: documents as rows.

use std::sync::Arc;

use serde_json::Value;
use vicinity_types::array::Array;
use vicinity_types::io::{Field, TypeShape};
use vicinity_types::jsonb::{Jsonb, parse, print};
use vicinity_types::record::Record;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, oid, text_in};

use super::scan::{Shape, items, members, shape};
use crate::call::Signature;
use crate::env::Env;
use crate::registry::Rows;

/// The columns of a composite type.
fn columns_of(env: &dyn Env, ty: Oid) -> Result<Arc<[Field]>> {
    match env.io().names.type_info(ty).map(|info| info.shape) {
        Some(TypeShape::Composite(fields)) => Ok(fields),
        _ => Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            "first argument of json_populate_record must be a row type",
        )),
    }
}

/// The text of a document, `jsonb` printed.
fn text_of(doc: &Datum) -> Option<String> {
    match doc {
        Datum::Text(text) => Some(text.as_ref().to_owned()),
        Datum::Jsonb(doc) => Some(print::to_string(&doc.0)),
        _ => None,
    }
}

/// A JSON value as a column's type.
fn column(env: &dyn Env, ty: Oid, typmod: i32, json: &str) -> Result<Datum> {
    let io = env.io();
    match (shape(json), ty) {
        (Shape::Null, oid::JSONB) => Ok(Datum::Jsonb(Arc::new(Jsonb(Value::Null)))),
        (Shape::Null, oid::JSON) => Ok(Datum::text("null")),
        (Shape::Null, _) => Ok(Datum::Null),
        (_, oid::JSON) => Ok(Datum::text(json)),
        (_, oid::JSONB) => Ok(Datum::Jsonb(Arc::new(parse::jsonb(json)?))),
        (Shape::Array, ty) => match oid::element_of(ty) {
            Some(elem) => {
                let values = items(json)
                    .into_iter()
                    .map(|item| column(env, elem, typmod, item))
                    .collect::<Result<Vec<_>>>()?;
                Ok(Datum::Array(Arc::new(Array::from_datums(elem, values))))
            }
            None => text_in(ty, typmod, json, &io),
        },
        (Shape::Object, ty) => match columns_of(env, ty) {
            Ok(fields) => row(env, ty, &fields, json, None).map(|r| Datum::Record(Arc::new(r))),
            Err(_) => text_in(ty, typmod, json, &io),
        },
        (Shape::String, ty) => text_in(ty, typmod, &super::scan::unquote(json), &io),
        (_, ty) => text_in(ty, typmod, json.trim(), &io),
    }
}

/// An object as a row; members it lacks come from `base`.
fn row(
    env: &dyn Env,
    ty: Oid,
    fields: &[Field],
    json: &str,
    base: Option<&Record>,
) -> Result<Record> {
    let met = match shape(json) {
        Shape::Object => None,
        Shape::Array => Some("an array"),
        _ => Some("a scalar"),
    };
    if let Some(met) = met {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("cannot call populate_composite on {met}"),
        ));
    }
    let found = members(json);
    let value = |(i, field): (usize, &Field)| {
        let member = found.iter().rev().find(|(key, _)| *key == field.name);
        let datum = match member {
            Some((_, json)) => column(env, field.ty, field.typmod, json)?,
            None => base.and_then(|b| b.fields.get(i)).map_or(Datum::Null, |(_, v)| v.clone()),
        };
        Ok((field.ty, datum))
    };
    let fields = fields.iter().enumerate().map(value).collect::<Result<_>>()?;
    Record::new(ty, fields)
}

fn base_of(base: &Datum) -> Option<&Record> {
    match base {
        Datum::Record(r) => Some(r),
        _ => None,
    }
}

fn populate(env: &dyn Env, types: &Signature, base: &Datum, doc: &Datum) -> Result<Datum> {
    let Some(json) = text_of(doc) else { return Ok(base.clone()) };
    let ty = types.arg(0);
    let fields = columns_of(env, ty)?;
    Ok(Datum::Record(Arc::new(row(env, ty, &fields, &json, base_of(base))?)))
}

fn values(record: Record) -> Vec<Datum> {
    record.fields.into_iter().map(|(_, v)| v).collect()
}

/// The rows of a function that returns `record` for a column list: `json_to_record`,
/// `json_to_recordset`, `json_populate_record(set)` and the same of `jsonb`. `columns` is the column
/// definition list, or the columns of the row type of the first argument.
pub fn record_rows(
    env: &dyn Env,
    src: &str,
    columns: &[Field],
    args: &[Datum],
) -> Option<Result<Rows>> {
    let (base, doc, set) = match (src, args) {
        ("json_to_record" | "jsonb_to_record", [doc]) => (None, doc, false),
        ("json_to_recordset" | "jsonb_to_recordset", [doc]) => (None, doc, true),
        ("json_populate_record" | "jsonb_populate_record", [base, doc, ..]) => {
            (base_of(base), doc, false)
        }
        ("json_populate_recordset" | "jsonb_populate_recordset", [base, doc, ..]) => {
            (base_of(base), doc, true)
        }
        _ => return None,
    };
    Some(rows(env, src, columns, base, (doc, set)))
}

fn rows(
    env: &dyn Env,
    src: &str,
    columns: &[Field],
    base: Option<&Record>,
    (doc, set): (&Datum, bool),
) -> Result<Rows> {
    let Some(json) = text_of(doc) else { return crate::registry::no_rows() };
    let documents = match (set, shape(&json)) {
        (false, _) => vec![json.as_str()],
        (true, Shape::Array) => items(&json),
        (true, other) => {
            let met = match other {
                _ if src.starts_with("jsonb") => "a non-array",
                Shape::Object => "an object",
                _ => "a scalar",
            };
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("cannot call {src} on {met}"),
            ));
        }
    };
    let made = documents
        .into_iter()
        .map(|json| row(env, oid::RECORD, columns, json, base).map(values))
        .collect::<Result<Vec<_>>>()?;
    Ok(Box::new(made.into_iter().map(Ok)))
}

/// Whether [`record_rows`] knows a function.
pub fn gives_rows(src: &str) -> bool {
    matches!(
        src,
        "json_to_record"
            | "jsonb_to_record"
            | "json_to_recordset"
            | "jsonb_to_recordset"
            | "json_populate_recordset"
            | "jsonb_populate_recordset"
    )
}

typed_scalars! { pub(crate) RECORD, env, types;
    "json_populate_record" | "jsonb_populate_record" [base, doc] => populate(env, types, base, doc),
        [base, doc, _] => populate(env, types, base, doc);
}
