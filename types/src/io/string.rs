//! Strings: lengths of varchar and char, names, `"char"`.

use std::sync::Arc;

use crate::error::{PgError, Result, SqlState};
use crate::typname::VARHDRSZ;

/// Bytes a name may have.
pub const MAX_NAME: usize = 63;

/// Text is UTF-8 without zero bytes: `22021` names the first wrong bytes.
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    let wrong = |bytes: &[u8]| {
        let shown: Vec<String> = bytes.iter().map(|b| format!("0x{b:02x}")).collect();
        PgError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => match bytes.contains(&0) {
            false => Ok(text),
            true => Err(wrong(&[0])),
        },
        Err(e) => {
            let tail = bytes.get(e.valid_up_to()..).unwrap_or_default();
            // PostgreSQL shows the whole character its first byte announces, as far as it is there.
            let width = match tail.first() {
                Some(0xc0..=0xdf) => 2,
                Some(0xe0..=0xef) => 3,
                Some(0xf0..=0xf7) => 4,
                _ => 1,
            };
            Err(wrong(tail.get(..width.min(tail.len())).unwrap_or_default()))
        }
    }
}

/// Rejects the one character PostgreSQL's text cannot hold.
pub fn checked(text: &str) -> Result<&str> {
    if text.as_bytes().contains(&0) {
        return Err(PgError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(text)
}

/// Cuts a name to 63 bytes, at a character.
pub fn truncate_name(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_NAME)).unwrap_or(text)
}

/// Reads a `"char"`: the first byte, or the one whose octal number `\nnn` is.
pub fn parse_char(text: &str) -> String {
    char_text(char_byte(text))
}

/// A `"char"` is held as it is written: a byte that is no ASCII as `\nnn`, zero as nothing.
pub fn char_text(byte: u8) -> String {
    match byte {
        0 => String::new(),
        0x80.. => format!("\\{byte:03o}"),
        ascii => char::from(ascii).to_string(),
    }
}

/// The byte that a `"char"` is.
pub fn char_byte(text: &str) -> u8 {
    let digit = |d: u8| (b'0'..b'8').contains(&d).then(|| u32::from(d - b'0'));
    let octal = match text.as_bytes() {
        [b'\\', a, b, c] => digit(*a).zip(digit(*b)).zip(digit(*c)),
        _ => None,
    };
    match octal {
        // Beyond eight bits is nothing.
        Some(((a, b), c)) => ((a << 6 | b << 3 | c) & 0xff) as u8,
        None => text.bytes().next().unwrap_or(0),
    }
}

/// The length a character modifier stands for.
fn limit_of(typmod: i32) -> usize {
    usize::try_from(typmod.saturating_sub(VARHDRSZ)).unwrap_or(0)
}

/// The text up to `limit` characters, and what is beyond.
fn split_chars(text: &str, limit: usize) -> (&str, &str) {
    if text.len() <= limit {
        return (text, "");
    }
    let at = text.char_indices().nth(limit).map_or(text.len(), |(at, _)| at);
    text.split_at_checked(at).unwrap_or((text, ""))
}

fn too_long(name: &str, limit: usize) -> PgError {
    PgError::new(
        SqlState::STRING_DATA_RIGHT_TRUNCATION,
        format!("value too long for type {name}({limit})"),
    )
}

/// Brings text to `varchar(n)`: blanks beyond the length go, other characters only by an explicit cast.
pub fn fit_varchar(text: Arc<str>, typmod: i32, explicit: bool) -> Result<Arc<str>> {
    let limit = limit_of(typmod);
    let (kept, beyond) = split_chars(&text, limit);
    if beyond.is_empty() {
        return Ok(text);
    }
    if !explicit && beyond.bytes().any(|b| b != b' ') {
        return Err(too_long("character varying", limit));
    }
    Ok(Arc::from(kept))
}

/// Brings text to `char(n)`: as [`fit_varchar`], then padded with blanks.
pub fn fit_bpchar(text: &str, typmod: i32, explicit: bool) -> Result<Arc<str>> {
    let limit = limit_of(typmod);
    let (kept, beyond) = split_chars(text, limit);
    if !explicit && beyond.bytes().any(|b| b != b' ') {
        return Err(too_long("character", limit));
    }
    let missing = limit.saturating_sub(kept.chars().count());
    if missing == 0 {
        return Ok(Arc::from(kept));
    }
    let mut padded = String::with_capacity(kept.len() + missing);
    padded.push_str(kept);
    padded.extend(std::iter::repeat_n(' ', missing));
    Ok(Arc::from(padded))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn wrong_text_is_named() {
        let e = utf8(b"a\xe4bc").unwrap_err();
        assert_eq!(e.message(), "invalid byte sequence for encoding \"UTF8\": 0xe4 0x62 0x63");
    }
}
