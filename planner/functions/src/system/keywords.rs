//! `pg_get_keywords`: PostgreSQL 15's own list.

use vicinity_types::{Datum, Result};

use crate::registry::Rows;

fn keywords() -> Result<Rows> {
    let lines = include_str!("../../data/keywords.tsv").lines();
    Ok(Box::new(lines.map(|line| {
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
