//! `jsonb`: object keys in PostgreSQL's order (shorter first, then bytewise), last duplicate wins.

pub mod order;
pub mod parse;
pub mod print;

/// A `jsonb` document.
///
/// Objects keep their keys in PostgreSQL's storage order and numbers the text numeric's output
/// has; [`parse::jsonb`] sees to both, and [`normalize`] does for values made elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Jsonb(pub serde_json::Value);

/// Puts a value made by hand into jsonb's form: key order and number text.
pub fn normalize(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            parse::object(map.into_iter().map(|(k, v)| (k, normalize(v))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(normalize).collect()),
        Value::Number(n) => parse::number(n.as_str()).unwrap_or(Value::Number(n)),
        other => other,
    }
}
