//! Rows as text: `(1,,"a b")`.

use std::sync::Arc;

use bytes::BufMut;

use super::style::Field;
use super::{Io, is_space};
use crate::datum::{Datum, Oid};
use crate::error::{PgError, Result, SqlState};
use crate::record::Record;

/// Reads a value of a composite type.
pub fn parse(ty: Oid, fields: &[Field], text: &str, io: &Io<'_>) -> Result<Datum> {
    let bad = |detail: &str| {
        PgError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("malformed record literal: \"{text}\""),
        )
        .detail(detail)
    };
    let body = text.trim_start_matches(is_space);
    let mut rest = body.strip_prefix('(').ok_or_else(|| bad("Missing left parenthesis."))?;
    let mut values = Vec::with_capacity(fields.len());
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix(',').ok_or_else(|| bad("Too few columns."))?;
        }
        let value = if rest.starts_with([',', ')']) {
            Datum::Null
        } else {
            let (item, after) = column(rest).ok_or_else(|| bad("Unexpected end of input."))?;
            rest = after;
            super::text_in(field.ty, field.typmod, &item, io)?
        };
        values.push((field.ty, value));
    }
    if rest.starts_with(',') {
        return Err(bad("Too many columns."));
    }
    let rest = rest.strip_prefix(')').ok_or_else(|| bad("Too many columns."))?;
    if !rest.chars().all(is_space) {
        return Err(bad("Junk after right parenthesis."));
    }
    Ok(Datum::Record(Arc::new(Record::new(ty, values)?)))
}

/// A column's text without quotes and escapes, and what follows it.
fn column(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut quoted = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            ',' | ')' if !quoted => return Some((out, text.get(at..)?)),
            '\\' => out.push(chars.next()?.1),
            '"' if quoted && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                out.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            c => out.push(c),
        }
    }
    None
}

/// Writes a row.
pub fn write(r: &Record, io: &Io<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut scratch = Vec::new();
    let begin = out.len();
    out.put_u8(b'(');
    for (i, (ty, value)) in r.fields.iter().enumerate() {
        if i > 0 {
            out.put_u8(b',');
        }
        if value.is_null() {
            continue;
        }
        scratch.clear();
        super::text_out(*ty, value, io, &mut scratch)?;
        quote_into(&scratch, out);
        super::check_length(out.len() - begin)?;
    }
    out.put_u8(b')');
    Ok(())
}

fn quote_into(text: &[u8], out: &mut Vec<u8>) {
    let special =
        |b: &u8| matches!(b, b'"' | b'\\' | b'(' | b')' | b',') || is_space(char::from(*b));
    if !text.is_empty() && !text.iter().any(special) {
        return out.put_slice(text);
    }
    out.put_u8(b'"');
    for b in text {
        if matches!(b, b'"' | b'\\') {
            out.put_u8(*b);
        }
        out.put_u8(*b);
    }
    out.put_u8(b'"');
}
