//! Row values.

use crate::datum::{Datum, Oid};

/// A row or composite value.
#[derive(Clone, Debug)]
pub struct Record {
    /// The composite type, or `record` (2249) for an anonymous row.
    pub type_oid: Oid,
    /// The fields with their types.
    pub fields: Vec<(Oid, Datum)>,
}
