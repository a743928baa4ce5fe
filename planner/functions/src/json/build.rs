//! Making `json` and `jsonb` from SQL values.

use vicinity_types::Datum::{self, Array as Arr, Bool, Null, Record as Row, Text};
use vicinity_types::array::Array;
use vicinity_types::jsonb::{Jsonb, parse};
use vicinity_types::{PgError, Result, SqlState};

use super::write::{self, key, string, value};
use crate::call::Signature;
use crate::env::Env;

fn refuse(what: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, what)
}

fn object(env: &dyn Env, types: &Signature, args: &[Datum]) -> Result<String> {
    if !args.len().is_multiple_of(2) {
        return Err(refuse("argument list must have even number of elements").hint(
            "The arguments of json_build_object() must consist of alternating keys and values.",
        ));
    }
    let mut out = String::from("{");
    for (i, pair) in args.chunks(2).enumerate() {
        let [name, datum] = pair else { break };
        if name.is_null() {
            return Err(refuse(format!("argument {} cannot be null", 2 * i + 1))
                .hint("Object keys should be text."));
        }
        if i > 0 {
            out.push_str(", ");
        }
        string(&key(env, types.arg(2 * i), name)?, &mut out);
        out.push_str(" : ");
        value(env, types.arg(2 * i + 1), datum, false, &mut out);
    }
    out.push('}');
    Ok(out)
}

fn list(env: &dyn Env, types: &Signature, args: &[Datum]) -> String {
    let items: Vec<String> =
        args.iter().enumerate().map(|(i, v)| write::text(env, types.arg(i), v)).collect();
    format!("[{}]", items.join(", "))
}

/// `json_object(text[])` and `json_object(keys, values)`.
fn from_texts(keys: &Array, values: Option<&Array>) -> Result<String> {
    let subscripts = |what: &str| Err(PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, what));
    let texts = |a: &Array| a.iter().collect::<Vec<Datum>>();
    let (keys, values): (Vec<Datum>, Vec<Datum>) = match values {
        Some(values) => {
            if keys.dims.len() > 1 || values.dims.len() > 1 {
                return subscripts("wrong number of array subscripts");
            }
            if keys.len() != values.len() {
                return subscripts("mismatched array dimensions");
            }
            (texts(keys), texts(values))
        }
        None => {
            match keys.dims.as_slice() {
                [] | [_] if keys.len().is_multiple_of(2) => {}
                [_] => return subscripts("array must have even number of elements"),
                [_, columns] if columns.len == 2 => {}
                [_, _] => return subscripts("array must have two columns"),
                _ => return subscripts("wrong number of array subscripts"),
            }
            let flat = texts(keys);
            (
                flat.iter().step_by(2).cloned().collect(),
                flat.iter().skip(1).step_by(2).cloned().collect(),
            )
        }
    };
    let mut out = String::from("{");
    for (i, (name, datum)) in keys.iter().zip(&values).enumerate() {
        let Text(name) = name else {
            return Err(PgError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "null value not allowed for object key",
            ));
        };
        if i > 0 {
            out.push_str(", ");
        }
        string(name, &mut out);
        out.push_str(" : ");
        match datum {
            Text(text) => string(text, &mut out),
            _ => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(out)
}

fn jsonb(text: &str) -> Result<Jsonb> {
    parse::jsonb(text)
}

fn array(env: &dyn Env, a: &Array, feeds: bool) -> String {
    let mut out = String::new();
    write::array(env, a, feeds, &mut out);
    out
}

scalars! { pub(crate) PLAIN, env;
    "array_to_json" [Arr(a)] => array(env, a, false);
    "array_to_json_pretty" [Arr(a), Bool(p)] => array(env, a, *p);
    "row_to_json" [r @ Row(_)] => write::text(env, 0, r);
    "row_to_json_pretty" [Row(r), Bool(p)] => { let mut out = String::new(); write::record(env, r, *p, &mut out); out };
    "json_build_array_noargs" [] => "[]";
    "json_build_object_noargs" [] => "{}";
    "jsonb_build_array_noargs" [] => jsonb("[]");
    "jsonb_build_object_noargs" [] => jsonb("{}");
    "json_object" [Arr(k)] => from_texts(k, None);
    "json_object_two_arg" [Arr(k), Arr(v)] => from_texts(k, Some(v));
    "jsonb_object" [Arr(k)] => from_texts(k, None).and_then(|t| jsonb(&t));
    "jsonb_object_two_arg" [Arr(k), Arr(v)] => from_texts(k, Some(v)).and_then(|t| jsonb(&t));
}

typed_scalars! { pub(crate) TYPED, env, types;
    "to_json" [Null] => Null, [v] => write::text(env, types.arg(0), v);
    "to_jsonb" [Null] => Null, [v] => jsonb(&write::text(env, types.arg(0), v));
    "json_build_object" [args @ ..] => object(env, types, args);
    "json_build_array" [args @ ..] => list(env, types, args);
    "jsonb_build_object" [args @ ..] => object(env, types, args).and_then(|t| jsonb(&t));
    "jsonb_build_array" [args @ ..] => jsonb(&list(env, types, args));
}
