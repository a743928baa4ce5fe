//! Row values.

use std::sync::Arc;

use crate::datum::{Datum, Oid};

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
}

impl Record {
    /// A row whose fields have no names of their own.
    pub fn new(type_oid: Oid, fields: Vec<(Oid, Datum)>) -> Record {
        Record { type_oid, fields, names: None }
    }

    /// The same row with names for its fields.
    #[must_use]
    pub fn named(mut self, names: Option<Arc<[String]>>) -> Record {
        self.names = names;
        self
    }
}
