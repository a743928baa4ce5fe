//! PostgreSQL 15's own list of keywords.

use std::collections::HashMap;
use std::sync::LazyLock;

use vicinity_types::{Datum, Result};

use crate::registry::Rows;

const LIST: &str = include_str!("../../data/keywords.tsv");

/// What a keyword may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyword {
    /// `U` unreserved, `C` no name of a function or type, `T` no name but of those, `R` reserved.
    pub category: u8,
    /// Whether it can be a column's label without AS.
    pub bare_label: bool,
}

static BY_NAME: LazyLock<HashMap<&'static str, Keyword>> = LazyLock::new(|| {
    let keyword = |line: &'static str| {
        let mut columns = line.split('\t');
        let name = columns.next()?;
        let category = columns.next()?.bytes().next()?;
        Some((name, Keyword { category, bare_label: columns.next()? == "t" }))
    };
    LIST.lines().filter_map(keyword).collect()
});

/// The keyword a word in lower case is.
pub fn keyword(word: &str) -> Option<Keyword> {
    BY_NAME.get(word).copied()
}

fn keywords() -> Result<Rows> {
    Ok(Box::new(LIST.lines().map(|line| {
        let columns = line.split('\t').enumerate().map(|(i, text)| match i {
            2 => Datum::Bool(text == "t"),
            _ => Datum::text(text),
        });
        Ok(columns.collect())
    })))
}

sets! { pub(crate) KEYWORDS, _env;
    "pg_get_keywords" [] => keywords();
}
