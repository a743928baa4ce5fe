//! Finding, replacing and splitting by plain text.

use vicinity_types::Datum::{self, Int4, Null, Text};
use vicinity_types::array::Array;
use vicinity_types::{PgError, Result, SqlState, oid};

use super::{int4, length, slice};
use crate::registry::Rows;

fn position(text: &str, needle: &str) -> i32 {
    text.find(needle).map_or(0, |at| int4(length(slice(text, 0, at)) + 1))
}

fn replace(text: &str, from: &str, to: &str) -> String {
    if from.is_empty() { text.to_owned() } else { text.replace(from, to) }
}

fn split_part<'t>(text: &'t str, separator: &str, n: i32) -> Result<&'t str> {
    if n == 0 {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "field position must not be zero",
        ));
    }
    if separator.is_empty() {
        return Ok(if n == 1 || n == -1 { text } else { "" });
    }
    let index = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX) - 1;
    let part = if n > 0 {
        text.split(separator).nth(index)
    } else {
        // From the end the parts are the same ones, also where separators could overlap.
        let parts: Vec<&str> = text.split(separator).collect();
        parts.iter().rev().nth(index).copied()
    };
    Ok(part.unwrap_or(""))
}

/// The parts of a text: a NULL separator cuts every character, an empty one nothing.
fn parts(text: &str, separator: &Datum, null: Option<&str>) -> Vec<Datum> {
    let part = |p: &str| if Some(p) == null { Null } else { Datum::text(p) };
    if text.is_empty() {
        return Vec::new();
    }
    match separator {
        Text(separator) if separator.is_empty() => vec![part(text)],
        Text(separator) => text.split(separator.as_ref()).map(part).collect(),
        _ => text.chars().map(|c| part(c.encode_utf8(&mut [0; 4]))).collect(),
    }
}

fn to_array(text: &str, separator: &Datum, null: Option<&str>) -> Array {
    Array::from_datums(oid::TEXT, parts(text, separator, null))
}

fn to_table(text: &str, separator: &Datum, null: Option<&str>) -> Result<Rows> {
    Ok(Box::new(parts(text, separator, null).into_iter().map(|p| Ok(vec![p]))))
}

/// `\XXXX`, `\+XXXXXX`, `\uXXXX`, `\UXXXXXXXX` and `\\`.
fn unistr(text: &str) -> Result<String> {
    let refuse = || {
        PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
            .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut units: Vec<u16> = Vec::new();
    while let Some(at) = rest.find('\\') {
        out.push_str(slice(rest, 0, at));
        let tail = slice(rest, at + 1, rest.len());
        if let Some(after) = tail.strip_prefix('\\') {
            out.push('\\');
            rest = after;
            continue;
        }
        let (skip, digits) = match tail.as_bytes().first() {
            Some(b'+') => (1, 6),
            Some(b'u') => (1, 4),
            Some(b'U') => (1, 8),
            _ => (0, 4),
        };
        let code = tail.get(skip..skip + digits).ok_or_else(refuse)?;
        if !code.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        let code = u32::from_str_radix(code, 16).map_err(|_| refuse())?;
        rest = slice(tail, skip + digits, tail.len());
        match (char::from_u32(code), u16::try_from(code)) {
            (Some(c), _) if units.is_empty() => out.push(c),
            (None, Ok(unit)) => {
                units.push(unit);
                if let [_, _] = units.as_slice() {
                    out.push_str(&String::from_utf16(&units).map_err(|_| surrogate())?);
                    units.clear();
                }
            }
            _ => return Err(surrogate()),
        }
    }
    if !units.is_empty() {
        return Err(surrogate());
    }
    out.push_str(rest);
    Ok(out)
}

fn surrogate() -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair")
}

scalars! { pub(crate) SEARCH, env;
    "textpos" [Text(a), Text(b)] => position(a, b);
    "replace_text" [Text(a), Text(from), Text(to)] => replace(a, from, to);
    "split_part" [Text(a), Text(s), Int4(n)] => split_part(a, s, *n);
    "text_starts_with" [Text(a), Text(b)] => a.starts_with(b.as_ref());
    "unistr" [Text(a)] => unistr(a);
    "text_to_array" [Text(a), s] => to_array(a, s, None), [_, _] => Null;
    "text_to_array_null" [Text(a), s, Text(n)] => to_array(a, s, Some(n)),
        [Text(a), s, Null] => to_array(a, s, None),
        [_, _, _] => Null;
}

sets! { pub(crate) SETS, env;
    "text_to_table" [Text(a), s] => to_table(a, s, None), [_, _] => crate::registry::no_rows();
    "text_to_table_null" [Text(a), s, Text(n)] => to_table(a, s, Some(n)),
        [Text(a), s, Null] => to_table(a, s, None),
        [_, _, _] => crate::registry::no_rows();
}
