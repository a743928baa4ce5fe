//! jsonb's text: `{"a": 1, "b": [true, null]}`.

use bytes::BufMut;
use serde_json::Value;

/// Writes a document as PostgreSQL does: a space after `:` and `,`.
pub fn write(v: &Value, out: &mut impl BufMut) {
    match v {
        Value::Null => out.put_slice(b"null"),
        Value::Bool(true) => out.put_slice(b"true"),
        Value::Bool(false) => out.put_slice(b"false"),
        Value::Number(n) => out.put_slice(n.as_str().as_bytes()),
        Value::String(s) => write_string(s, out),
        Value::Array(items) => {
            out.put_u8(b'[');
            for (i, item) in items.iter().enumerate() {
                separator(i, out);
                write(item, out);
            }
            out.put_u8(b']');
        }
        Value::Object(map) => {
            out.put_u8(b'{');
            for (i, (key, item)) in map.iter().enumerate() {
                separator(i, out);
                write_string(key, out);
                out.put_slice(b": ");
                write(item, out);
            }
            out.put_u8(b'}');
        }
    }
}

fn separator(i: usize, out: &mut impl BufMut) {
    if i > 0 {
        out.put_slice(b", ");
    }
}

/// Writes a JSON string with the escapes PostgreSQL uses.
pub fn write_string(s: &str, out: &mut impl BufMut) {
    out.put_u8(b'"');
    for c in s.chars() {
        match c {
            '\u{8}' => out.put_slice(b"\\b"),
            '\u{c}' => out.put_slice(b"\\f"),
            '\n' => out.put_slice(b"\\n"),
            '\r' => out.put_slice(b"\\r"),
            '\t' => out.put_slice(b"\\t"),
            '"' => out.put_slice(b"\\\""),
            '\\' => out.put_slice(b"\\\\"),
            c if c < ' ' => out.put_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.put_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.put_u8(b'"');
}

/// A document's text.
pub fn to_string(v: &Value) -> String {
    let mut out = Vec::new();
    write(v, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// A document's text over several lines, four spaces a level: `jsonb_pretty`.
pub fn pretty(v: &Value) -> String {
    let mut out = Vec::new();
    write_pretty(v, 0, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn write_pretty(v: &Value, level: usize, out: &mut Vec<u8>) {
    let indent = |level: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', level * 4));
    };
    match v {
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                indent(level + 1, out);
                write_pretty(item, level + 1, out);
            }
            indent(level, out);
            out.push(b']');
        }
        Value::Object(map) => {
            out.push(b'{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                indent(level + 1, out);
                write_string(key, out);
                out.extend_from_slice(b": ");
                write_pretty(item, level + 1, out);
            }
            indent(level, out);
            out.push(b'}');
        }
        scalar => write(scalar, out),
    }
}
