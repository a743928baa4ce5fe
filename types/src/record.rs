//! Row values.

use std::sync::Arc;

use crate::array::Elements;
use crate::datum::{Datum, Oid};
use crate::error::{PgError, Result, SqlState};

/// How deep rows may stand in rows: whatever walks over a value, to drop it too, goes down as far.
pub const MAX_DEPTH: usize = 1000;

/// A row or composite value.
#[derive(Clone, Debug)]
pub struct Record {
    /// The composite type, or `record` (2249) for an anonymous row.
    pub type_oid: Oid,
    /// The fields with their types.
    pub fields: Vec<(Oid, Datum)>,
    /// The fields' names, where the row has them from a query; a composite type knows its own, and
    /// `ROW(..)` has none.
    pub names: Option<Arc<[String]>>,
    /// How many rows are in one another, this one included.
    depth: usize,
}

impl Record {
    /// A row whose fields have no names of their own; 54001 if rows nest too deeply.
    pub fn new(type_oid: Oid, fields: Vec<(Oid, Datum)>) -> Result<Record> {
        let depth = 1 + fields.iter().map(|(_, field)| depth_of(field)).max().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err(PgError::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                "stack depth limit exceeded",
            ));
        }
        Ok(Record { type_oid, fields, names: None, depth })
    }

    /// The same row with names for its fields.
    #[must_use]
    pub fn named(mut self, names: Option<Arc<[String]>>) -> Record {
        self.names = names;
        self
    }
}

fn depth_of(value: &Datum) -> usize {
    match value {
        Datum::Record(r) => r.depth,
        Datum::Array(a) => match &a.elements {
            Elements::Datums(all)
                if matches!(all.first(), Some(Datum::Record(_) | Datum::Null)) =>
            {
                all.iter().map(depth_of).max().unwrap_or(0)
            }
            _ => 0,
        },
        _ => 0,
    }
}
