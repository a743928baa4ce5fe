//! What a statement gives back besides errors.

use std::fmt;

use vicinity_types::Datum;

use crate::call::PgType;

/// A command tag: `CREATE TABLE`, `INSERT 0 3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The words, an INSERT's zero included.
    pub text: &'static str,
    /// Rows, for statements that count them.
    pub count: Option<u64>,
}

impl Tag {
    /// A tag without a count.
    pub const fn new(text: &'static str) -> Tag {
        Tag { text, count: None }
    }

    /// A tag with a count.
    pub const fn counted(text: &'static str, count: u64) -> Tag {
        Tag { text, count: Some(count) }
    }

    /// As the client is told it: every write ends with one.
    pub fn to_text(self) -> String {
        let mut text = String::with_capacity(self.text.len() + 21);
        text.push_str(self.text);
        if let Some(count) = self.count {
            text.push(' ');
            text.push_str(itoa::Buffer::new().format(count));
        }
        text
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// A small result held in memory: SHOW, FETCH.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Names and types of the columns.
    pub columns: Vec<(String, PgType)>,
    /// The rows.
    pub rows: Vec<Vec<Datum>>,
}

/// How a statement ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What to tell the client.
    pub tag: Tag,
    /// Rows, of statements that give some.
    pub rows: Option<Rows>,
}

impl From<Tag> for Outcome {
    fn from(tag: Tag) -> Outcome {
        Outcome { tag, rows: None }
    }
}

/// Done, with a fixed tag.
pub(crate) fn done(text: &'static str) -> Outcome {
    Outcome { tag: Tag::new(text), rows: None }
}
