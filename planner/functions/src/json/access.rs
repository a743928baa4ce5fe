//! `->`, `->>`, `#>`, `#>>` and the like on `json`.

use vicinity_types::Datum::{self, Array as Arr, Int4, Null, Text};
use vicinity_types::array::Array;
use vicinity_types::{PgError, Result, SqlState};

use super::scan::{Shape, as_text, items, members, shape};

/// The value of a key, the last of several.
pub(crate) fn field<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    if shape(json) != Shape::Object {
        return None;
    }
    members(json).into_iter().rev().find(|(k, _)| k == key).map(|(_, v)| v)
}

/// An element by position from 0, or from the end if negative.
pub(crate) fn element(json: &str, index: i32) -> Option<&str> {
    if shape(json) != Shape::Array {
        return None;
    }
    let items = items(json);
    place(index, items.len()).and_then(|i| items.get(i).copied())
}

/// A position from either end.
pub(crate) fn place(index: i32, len: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(i) => Some(i),
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

fn path<'a>(json: &'a str, steps: &Array) -> Option<&'a str> {
    let mut at = json.trim();
    for step in steps.iter() {
        let Text(step) = step else { return None };
        at = match shape(at) {
            Shape::Object => field(at, &step)?,
            Shape::Array => element(at, step.trim().parse().ok()?)?,
            _ => return None,
        };
    }
    Some(at)
}

fn length(json: &str) -> Result<i32> {
    let refuse = |what| Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, what));
    match shape(json) {
        Shape::Array => Ok(crate::text::int4(items(json).len())),
        Shape::Object => refuse("cannot get array length of a non-array"),
        _ => refuse("cannot get array length of a scalar"),
    }
}

/// Objects without their null members, at any depth, in compact form.
fn strip_nulls(json: &str, out: &mut String) {
    match shape(json) {
        Shape::Object => {
            out.push('{');
            let kept = members(json).into_iter().filter(|(_, v)| shape(v) != Shape::Null);
            for (i, (key, value)) in kept.enumerate() {
                if i > 0 {
                    out.push(',');
                }
                super::write::string(&key, out);
                out.push(':');
                strip_nulls(value, out);
            }
            out.push('}');
        }
        Shape::Array => {
            out.push('[');
            for (i, item) in items(json).into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                strip_nulls(item, out);
            }
            out.push(']');
        }
        Shape::String => super::write::string(&super::scan::unquote(json), out),
        _ => out.push_str(json.trim()),
    }
}

fn stripped(json: &str) -> String {
    let mut out = String::new();
    strip_nulls(json, &mut out);
    out
}

fn shown(json: Option<&str>) -> Datum {
    json.map_or(Null, Datum::text)
}

fn shown_text(json: Option<&str>) -> Datum {
    json.and_then(as_text).map_or(Null, Datum::text)
}

scalars! { pub(crate) ACCESS, env;
    "json_object_field" [Text(j), Text(k)] => shown(field(j, k));
    "json_object_field_text" [Text(j), Text(k)] => shown_text(field(j, k));
    "json_array_element" [Text(j), Int4(n)] => shown(element(j, *n));
    "json_array_element_text" [Text(j), Int4(n)] => shown_text(element(j, *n));
    "json_extract_path" [Text(j), Arr(p)] => shown(path(j, p));
    "json_extract_path_text" [Text(j), Arr(p)] => shown_text(path(j, p));
    "json_array_length" [Text(j)] => length(j);
    "json_typeof" [Text(j)] => shape(j).name();
    "json_strip_nulls" [Text(j)] => stripped(j);
}
