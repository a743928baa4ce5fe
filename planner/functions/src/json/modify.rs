//! Changing `jsonb`: `||`, `-`, `#-`, `jsonb_set`, `jsonb_insert`.

use serde_json::Value;
use vicinity_types::Datum::{self, Array as Arr, Bool, Int4, Jsonb as Doc, Null, Text};
use vicinity_types::array::Array;
use vicinity_types::jsonb::{Jsonb, normalize};
use vicinity_types::{PgError, Result, SqlState};

use super::access::place;

fn refuse(what: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, what)
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        other => std::slice::from_ref(other),
    }
}

/// Two objects become one; otherwise what is no array counts as an array of itself.
fn concatenate(a: &Value, b: &Value) -> Jsonb {
    if let (Value::Object(x), Value::Object(y)) = (a, b) {
        let mut both = x.clone();
        both.extend(y.clone());
        return Jsonb(normalize(Value::Object(both)));
    }
    Jsonb(Value::Array([items(a), items(b)].concat()))
}

fn delete_keys(value: &Value, gone: &dyn Fn(&str) -> bool) -> Result<Jsonb> {
    Ok(Jsonb(match value {
        Value::Object(map) => Value::Object(
            map.iter().filter(|(k, _)| !gone(k)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        ),
        Value::Array(items) => {
            Value::Array(items.iter().filter(|i| !i.as_str().is_some_and(gone)).cloned().collect())
        }
        _ => return Err(refuse("cannot delete from scalar")),
    }))
}

fn delete_index(value: &Value, index: i32) -> Result<Jsonb> {
    match value {
        Value::Array(items) => {
            let mut items = items.clone();
            if let Some(at) = place(index, items.len()).filter(|at| *at < items.len()) {
                items.remove(at);
            }
            Ok(Jsonb(Value::Array(items)))
        }
        Value::Object(_) => Err(refuse("cannot delete from object using integer index")),
        _ => Err(refuse("cannot delete from scalar")),
    }
}

fn delete_listed(value: &Value, list: &Array) -> Result<Jsonb> {
    let keys: Vec<Datum> = list.iter().collect();
    let gone = |key: &str| keys.iter().any(|k| matches!(k, Text(t) if t.as_ref() == key));
    delete_keys(value, &gone)
}

/// What happens at the end of a path.
#[derive(Clone, Copy)]
struct Change<'a> {
    new: Option<&'a Value>,
    create: bool,
    /// Insert, before or after, instead of replacing.
    insert: bool,
    after: bool,
}

/// A step of a path into an array.
fn index_at(step: &str, depth: usize) -> Result<i32> {
    step.trim().parse().map_err(|_| {
        PgError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("path element at position {} is not an integer: \"{step}\"", depth + 1),
        )
    })
}

fn change(
    value: &mut Value,
    steps: &[Option<String>],
    depth: usize,
    how: Change<'_>,
) -> Result<()> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    let Some(step) = step else {
        return Err(PgError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            format!("path element at position {} is null", depth + 1),
        ));
    };
    match value {
        Value::Object(map) => {
            if !rest.is_empty() {
                return match map.get_mut(step) {
                    Some(inner) => change(inner, rest, depth + 1, how),
                    None => Ok(()),
                };
            }
            match (how.new, map.contains_key(step)) {
                (None, _) => {
                    map.shift_remove(step);
                }
                (Some(_), true) if how.insert => {
                    return Err(refuse("cannot replace existing key")
                        .hint("Try using the function jsonb_set to replace key value."));
                }
                (Some(new), true) => {
                    map.insert(step.clone(), new.clone());
                }
                (Some(new), false) if how.create || how.insert => {
                    map.insert(step.clone(), new.clone());
                }
                (Some(_), false) => {}
            }
            Ok(())
        }
        Value::Array(items) => {
            let index = index_at(step, depth)?;
            let at = place(index, items.len());
            if !rest.is_empty() {
                return match at.and_then(|at| items.get_mut(at)) {
                    Some(inner) => change(inner, rest, depth + 1, how),
                    None => Ok(()),
                };
            }
            let inside = at.filter(|at| *at < items.len());
            match (how.new, inside) {
                (None, Some(at)) => {
                    items.remove(at);
                }
                (None, None) => {}
                (Some(new), Some(at)) if how.insert => {
                    items.insert(at + usize::from(how.after), new.clone());
                }
                (Some(new), Some(at)) => {
                    if let Some(item) = items.get_mut(at) {
                        *item = new.clone();
                    }
                }
                (Some(new), None) if how.create || how.insert => {
                    // Past either end: at that end.
                    let at = if index < 0 { 0 } else { items.len() };
                    items.insert(at, new.clone());
                }
                (Some(_), None) => {}
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn steps(path: &Array) -> Result<Vec<Option<String>>> {
    if path.dims.len() > 1 {
        return Err(PgError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "wrong number of array subscripts",
        ));
    }
    let step = |v: Datum| match v {
        Text(t) => Some(t.as_ref().to_owned()),
        _ => None,
    };
    Ok(path.iter().map(step).collect())
}

fn changed(value: &Value, path: &Array, how: Change<'_>, verb: &str) -> Result<Jsonb> {
    let steps = steps(path)?;
    let empty = match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => return Err(refuse(format!("cannot {verb} scalar"))),
    };
    // where there is nothing to change and nothing to add, the path is not looked at
    if empty && !how.create {
        return Ok(Jsonb(value.clone()));
    }
    let mut value = value.clone();
    change(&mut value, &steps, 0, how)?;
    Ok(Jsonb(normalize(value)))
}

fn set(value: &Value, path: &Array, new: &Value, create: bool) -> Result<Jsonb> {
    changed(
        value,
        path,
        Change { new: Some(new), create, insert: false, after: false },
        "set path in",
    )
}

fn insert(value: &Value, path: &Array, new: &Value, after: bool) -> Result<Jsonb> {
    changed(
        value,
        path,
        Change { new: Some(new), create: true, insert: true, after },
        "set path in",
    )
}

fn delete_path(value: &Value, path: &Array) -> Result<Jsonb> {
    let how = Change { new: None, create: false, insert: false, after: false };
    changed(value, path, how, "delete path in")
}

/// `jsonb_set_lax`: what a NULL value does is an argument.
fn set_lax(value: &Value, path: &Array, create: bool, treatment: &str) -> Result<Datum> {
    let jsonb = |j: Jsonb| Doc(std::sync::Arc::new(j));
    match treatment {
        "raise_exception" => Err(PgError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "JSON value must not be null",
        )
        .detail("Exception was raised because null_value_treatment is \"raise_exception\".")
        .hint("To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.")),
        "use_json_null" => set(value, path, &Value::Null, create).map(jsonb),
        "delete_key" => delete_path(value, path).map(jsonb),
        "return_target" => Ok(jsonb(Jsonb(value.clone()))),
        _ => Err(refuse(
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
        )),
    }
}

/// `document['key'][0] = new`: what is missing on the way is made, and so is the document where
/// there is none: an array if `list`.
pub fn store_path(
    document: Option<&Value>,
    list: bool,
    path: &[String],
    new: Value,
) -> Result<Jsonb> {
    let mut value = document.cloned().unwrap_or_else(|| {
        if list { Value::Array(Vec::new()) } else { Value::Object(serde_json::Map::new()) }
    });
    store(&mut value, path, 0, new)?;
    Ok(Jsonb(normalize(value)))
}

fn store(value: &mut Value, path: &[String], depth: usize, new: Value) -> Result<()> {
    let Some((step, rest)) = path.split_first() else {
        *value = new;
        return Ok(());
    };
    match value {
        Value::Object(map) => match map.get_mut(step) {
            Some(inner) => store(inner, rest, depth + 1, new),
            None => {
                map.insert(step.clone(), nested(rest, new));
                Ok(())
            }
        },
        Value::Array(items) => {
            let index = index_at(step, depth)?;
            let Some(at) = place(index, items.len()) else {
                let text =
                    format!("path element at position {} is out of range: {index}", depth + 1);
                return Err(refuse(text));
            };
            match items.get_mut(at) {
                Some(inner) => store(inner, rest, depth + 1, new),
                None => {
                    items.resize(at, Value::Null);
                    items.push(nested(rest, new));
                    Ok(())
                }
            }
        }
        _ => Err(refuse("cannot replace existing key")
            .detail("The path assumes key is a composite object, but it is a scalar value.")),
    }
}

/// A value at the end of a path of its own.
fn nested(path: &[String], new: Value) -> Value {
    path.iter().rev().fold(new, |inner, step| match step.trim().parse::<i32>() {
        Ok(index) => {
            let mut items = vec![Value::Null; usize::try_from(index).unwrap_or(0)];
            items.push(inner);
            Value::Array(items)
        }
        Err(_) => Value::Object(std::iter::once((step.clone(), inner)).collect()),
    })
}

scalars! { pub(crate) MODIFY, env;
    "jsonb_concat" [Doc(a), Doc(b)] => concatenate(&a.0, &b.0);
    "jsonb_delete" [Doc(j), Text(k)] => delete_keys(&j.0, &|key| key == k.as_ref());
    "jsonb_delete_idx" [Doc(j), Int4(n)] => delete_index(&j.0, *n);
    "jsonb_delete_array" [Doc(j), Arr(k)] => delete_listed(&j.0, k);
    "jsonb_delete_path" [Doc(j), Arr(p)] => delete_path(&j.0, p);
    "jsonb_set" [Doc(j), Arr(p), Doc(v), Bool(c)] => set(&j.0, p, &v.0, *c);
    "jsonb_insert" [Doc(j), Arr(p), Doc(v), Bool(a)] => insert(&j.0, p, &v.0, *a);
    "jsonb_set_lax" [Doc(j), Arr(p), Doc(v), Bool(c), _] => set(&j.0, p, &v.0, *c),
        [Doc(j), Arr(p), Null, Bool(c), Text(t)] => set_lax(&j.0, p, *c, t),
        [..] => Null;
}
