//! Length, case, trimming, padding, cutting and joining of text.

use std::sync::Arc;

use vicinity_types::Datum::{Bpchar, Int4, Int8, Text};
use vicinity_types::compare::unpadded;
use vicinity_types::io::MAX_TEXT;
use vicinity_types::{PgError, Result, SqlState};

use super::{int4, length, offset, slice};
use crate::number::int::int4_range;
use crate::out::check_size;

#[cold]
fn too_long() -> PgError {
    PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

/// `substring(text, from, for)` with its SQL rules: the window may begin before the text.
pub(crate) fn window(from: i32, len: Option<i32>) -> Result<(usize, Option<usize>)> {
    let start = usize::try_from(from.saturating_sub(1)).unwrap_or(0);
    let Some(len) = len else { return Ok((start, None)) };
    if len < 0 {
        return Err(PgError::new(
            SqlState::SUBSTRING_ERROR,
            "negative substring length not allowed",
        ));
    }
    let end = i64::from(from) - 1 + i64::from(len);
    let end = usize::try_from(end).unwrap_or(0);
    Ok((start, Some(end.saturating_sub(start))))
}

fn substring(text: &Arc<str>, from: i32, len: Option<i32>) -> Result<Arc<str>> {
    let (start, count) = window(from, len)?;
    let begin = offset(text, start);
    let rest = slice(text, begin, text.len());
    let cut = count.map_or(rest, |n| slice(rest, 0, offset(rest, n)));
    Ok(if cut.len() == text.len() { text.clone() } else { Arc::from(cut) })
}

fn left(text: &str, n: i32) -> &str {
    let keep = match usize::try_from(n) {
        Ok(n) => n,
        Err(_) => length(text).saturating_sub(n.unsigned_abs() as usize),
    };
    slice(text, 0, offset(text, keep))
}

fn right(text: &str, n: i32) -> &str {
    let skip = match usize::try_from(n) {
        Ok(n) => length(text).saturating_sub(n),
        Err(_) => n.unsigned_abs() as usize,
    };
    slice(text, offset(text, skip), text.len())
}

/// `initcap`: a letter after anything but a letter or digit is a capital.
fn initcap(text: &str) -> String {
    let mut inside = false;
    let capitalise = |c: char| {
        let mapped = if inside { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
        inside = c.is_ascii_alphanumeric();
        mapped
    };
    text.chars().map(capitalise).collect()
}

fn trim<'t>(text: &'t str, set: &str, start: bool, end: bool) -> &'t str {
    let mut text = text;
    if start {
        text = text.trim_start_matches(|c| set.contains(c));
    }
    if end {
        text = text.trim_end_matches(|c| set.contains(c));
    }
    text
}

/// The longest character in bytes: what PostgreSQL counts on before it pads.
const WIDEST: usize = 4;

/// The characters that bring a text to a width, cut from a repeated filling.
fn padding(missing: usize, fill: &str) -> String {
    let one = length(fill);
    fill.repeat(missing / one) + slice(fill, 0, offset(fill, missing % one))
}

fn pad(text: &str, width: i32, fill: &str, before: bool) -> Result<String> {
    let width = usize::try_from(width).unwrap_or(0);
    let have = length(text);
    let result = if fill.is_empty() { have.min(width) } else { width };
    if result * WIDEST + 4 > MAX_TEXT {
        return Err(too_long());
    }
    if have >= result {
        return Ok(slice(text, 0, offset(text, width)).to_owned());
    }
    let fill = padding(width - have, fill);
    Ok(if before { fill + text } else { text.to_owned() + &fill })
}

fn repeat(text: &str, n: i32) -> Result<String> {
    let n = usize::try_from(n).unwrap_or(0);
    if n.saturating_mul(text.len()) > MAX_TEXT {
        return Err(too_long());
    }
    Ok(text.repeat(n))
}

fn translate(text: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    let map = |c: char| match from.chars().position(|f| f == c) {
        None => Some(c),
        Some(i) => to.get(i).copied(),
    };
    text.chars().filter_map(map).collect()
}

fn overlay(text: &str, new: &str, from: i32, len: i32) -> Result<String> {
    if from <= 0 {
        return Err(PgError::new(
            SqlState::SUBSTRING_ERROR,
            "negative substring length not allowed",
        ));
    }
    let resume = from.checked_add(len).ok_or_else(int4_range)?;
    let head = offset(text, usize::try_from(from - 1).unwrap_or(0));
    let tail = offset(text, usize::try_from(resume.saturating_sub(1)).unwrap_or(0));
    Ok([slice(text, 0, head), new, slice(text, tail, text.len())].concat())
}

fn chr(code: i32) -> Result<String> {
    let refuse = |what: String| Err(PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, what));
    if code < 0 {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "character number must be positive",
        ));
    }
    if code == 0 {
        return refuse("null character not permitted".to_owned());
    }
    let code = code.unsigned_abs();
    if code > 0x0010_FFFF {
        return refuse(format!("requested character too large for encoding: {code}"));
    }
    match char::from_u32(code) {
        Some(c) => Ok(c.to_string()),
        None => refuse(format!("requested character not valid for encoding: {code}")),
    }
}

fn concat(a: &str, b: &str) -> Result<Arc<str>> {
    check_size(a.len() + b.len())?;
    Ok(Arc::from([a, b].concat()))
}

/// `repeat` for blanks that `bpchar` and the like count.
fn ascii(text: &str) -> i32 {
    text.chars().next().map_or(0, |c| c as i32)
}

scalars! { pub(crate) BASIC, env;
    "textlen" [Text(a)] => int4(length(a));
    "bpcharlen" [Bpchar(a)] => int4(length(unpadded(a)));
    "textoctetlen" | "bpcharoctetlen" [Text(a) | Bpchar(a)] => int4(a.len());
    "bit_length(text)" [Text(a)] => int4(a.len()).checked_mul(8).ok_or_else(int4_range);
    "textcat" [Text(a), Text(b)] => concat(a, b);
    "nameconcatoid" [Text(a), vicinity_types::Datum::Oid(b)] => nameconcatoid(a, *b);
    "lower" [Text(a)] => a.to_ascii_lowercase();
    "upper" [Text(a)] => a.to_ascii_uppercase();
    "initcap" [Text(a)] => initcap(a);
    "text_substr" [Text(a), Int4(from), Int4(len)] => substring(a, *from, Some(*len));
    "text_substr_no_len" [Text(a), Int4(from)] => substring(a, *from, None);
    "text_left" [Text(a), Int4(n)] => left(a, *n);
    "text_right" [Text(a), Int4(n)] => right(a, *n);
    "text_reverse" [Text(a)] => a.chars().rev().collect::<String>();
    "btrim" [Text(a), Text(set)] => trim(a, set, true, true);
    "btrim1" [Text(a)] => trim(a, " ", true, true);
    "ltrim" [Text(a), Text(set)] => trim(a, set, true, false);
    "ltrim1" [Text(a)] => trim(a, " ", true, false);
    "rtrim" [Text(a), Text(set)] => trim(a, set, false, true);
    "rtrim1" [Text(a) | Bpchar(a)] => trim(a, " ", false, true);
    "lpad" [Text(a), Int4(n), Text(fill)] => pad(a, *n, fill, true);
    "rpad" [Text(a), Int4(n), Text(fill)] => pad(a, *n, fill, false);
    "lpad(text,integer)" [Text(a), Int4(n)] => pad(a, *n, " ", true);
    "rpad(text,integer)" [Text(a), Int4(n)] => pad(a, *n, " ", false);
    "repeat" [Text(a), Int4(n)] => repeat(a, *n);
    "translate" [Text(a), Text(from), Text(to)] => translate(a, from, to);
    "textoverlay" [Text(a), Text(new), Int4(from), Int4(len)] => overlay(a, new, *from, *len);
    "textoverlay_no_len" [Text(a), Text(new), Int4(from)] => overlay(a, new, *from, int4(length(new)));
    "ascii" [Text(a)] => ascii(a);
    "chr" [Int4(code)] => chr(*code);
    "to_hex32" [Int4(n)] => format!("{n:x}");
    "to_hex64" [Int8(n)] => format!("{n:x}");
}

/// A unique name: the id never falls to the cut at 63 bytes.
fn nameconcatoid(name: &str, id: u32) -> String {
    let suffix = format!("_{id}");
    let keep = super::convert::name(name, 63 - suffix.len());
    format!("{keep}{suffix}")
}
