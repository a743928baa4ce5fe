//! Reading the catalog extracts: COPY's text format with a header line.
//!
//! The files are part of the program, so a malformed field is a bug that the tests catch; the
//! readers fall back to zero values instead of failing.

use std::str::FromStr;

use vicinity_types::Oid;

/// One row, read field by field from the left.
pub(super) struct Row {
    fields: std::str::Split<'static, char>,
}

/// The rows of a file after its header.
pub(super) fn rows(text: &'static str) -> impl Iterator<Item = Row> {
    text.lines().skip(1).map(|line| Row { fields: line.split('\t') })
}

impl Row {
    /// The next field; `None` for NULL or past the end.
    pub(super) fn opt(&mut self) -> Option<&'static str> {
        match self.fields.next() {
            None | Some("\\N") => None,
            Some(field) if field.contains('\\') => Some(unescape(field)),
            field => field,
        }
    }

    /// The next field, empty for NULL.
    pub(super) fn text(&mut self) -> &'static str {
        self.opt().unwrap_or("")
    }

    /// The next field as a number.
    pub(super) fn number<T: FromStr + Default>(&mut self) -> T {
        self.text().parse().unwrap_or_default()
    }

    /// The next field as an object id.
    pub(super) fn oid(&mut self) -> Oid {
        self.number()
    }

    /// The next field as a `bool`.
    pub(super) fn flag(&mut self) -> bool {
        self.text() == "t"
    }

    /// The next field as a `"char"`.
    pub(super) fn byte(&mut self) -> u8 {
        self.text().bytes().next().unwrap_or(0)
    }

    /// The next field as a list of ids, `oidvector` style.
    pub(super) fn oids(&mut self) -> Vec<Oid> {
        self.text().split(' ').filter_map(|id| id.parse().ok()).collect()
    }

    /// The next field as a list, empty for NULL.
    pub(super) fn list(&mut self, separator: char) -> Vec<&'static str> {
        self.opt().map(|text| text.split(separator).collect()).unwrap_or_default()
    }
}

fn unescape(field: &'static str) -> &'static str {
    let mut text = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            (c, false) => text.push(c),
        }
    }
    Box::leak(text.into_boxed_str())
}
