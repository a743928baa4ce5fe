//! Text and `bytea`.
//!
//! Character classes and case follow the C locale, as `lc_ctype = C` does: only ASCII letters have
//! a case. Positions and lengths count characters.

mod are;
pub(crate) mod basic;
pub(crate) mod bytes;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod format;
pub(crate) mod like;
pub(crate) mod normal;
pub(crate) mod pattern;
pub(crate) mod regexp;
pub(crate) mod search;

/// The byte offset of a character index; the text's length past its end.
pub(crate) fn offset(text: &str, chars: usize) -> usize {
    if text.is_ascii() {
        return chars.min(text.len());
    }
    text.char_indices().nth(chars).map_or(text.len(), |(i, _)| i)
}

/// How many characters.
pub(crate) fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// A count as `int4`.
pub(crate) fn int4(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The text between two byte offsets; empty where they are no character boundaries.
pub(crate) fn slice(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to.max(from)).unwrap_or("")
}
