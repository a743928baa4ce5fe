//! The btree order of jsonb: Object > Array > Boolean > Number > String > NULL; longer containers
//! above shorter ones, then element by element. An empty array at the top sorts below everything.

use std::cmp::Ordering;

use serde_json::Value;

use super::Jsonb;
use crate::numeric::Numeric;

/// Compares two documents.
pub fn compare(a: &Jsonb, b: &Jsonb) -> Ordering {
    match (is_empty_array(&a.0), is_empty_array(&b.0)) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => values(&a.0, &b.0),
    }
}

fn is_empty_array(v: &Value) -> bool {
    matches!(v, Value::Array(items) if items.is_empty())
}

fn rank(v: &Value) -> u8 {
    match v {
        Value::Null => 1,
        Value::String(_) => 2,
        Value::Number(_) => 3,
        Value::Bool(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    }
}

fn values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Number(a), Value::Number(b)) => numeric(a).cmp(&numeric(b)),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let items = || a.iter().zip(b).map(|(x, y)| values(x, y));
            a.len().cmp(&b.len()).then_with(|| first_difference(items()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let pairs = || {
                a.iter().zip(b).map(|((ka, va), (kb, vb))| {
                    ka.as_bytes().cmp(kb.as_bytes()).then_with(|| values(va, vb))
                })
            };
            a.len().cmp(&b.len()).then_with(|| first_difference(pairs()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn first_difference(mut parts: impl Iterator<Item = Ordering>) -> Ordering {
    parts.find(|o| *o != Ordering::Equal).unwrap_or(Ordering::Equal)
}

/// A JSON number as numeric.
pub fn numeric(n: &serde_json::Number) -> Numeric {
    crate::numeric::text::parse(n.as_str()).unwrap_or(Numeric::NaN)
}

/// The memcomparable form.
pub fn encode_key(doc: &Jsonb, out: &mut Vec<u8>) {
    if is_empty_array(&doc.0) {
        return out.push(0);
    }
    value_key(&doc.0, out);
}

fn value_key(v: &Value, out: &mut Vec<u8>) {
    out.push(rank(v));
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    match v {
        Value::Null => {}
        Value::String(s) => crate::key::put_bytes(s.as_bytes(), out),
        Value::Number(n) => crate::numeric::codec::encode_key(&numeric(n), out),
        Value::Bool(b) => out.push(u8::from(*b)),
        Value::Array(items) => {
            out.extend_from_slice(&count(items.len()));
            items.iter().for_each(|item| value_key(item, out));
        }
        Value::Object(map) => {
            out.extend_from_slice(&count(map.len()));
            for (k, v) in map {
                crate::key::put_bytes(k.as_bytes(), out);
                value_key(v, out);
            }
        }
    }
}
