//! Ranges over the key of an index.

use std::ops::Bound;

use vicinity_types::{Datum, key};

use crate::catalog::model::IndexKey;

/// Bounds over encoded key prefixes: `Included(p)` takes in every key that starts with `p`,
/// `Excluded(p)` leaves them all out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it begins in index order.
    pub lower: Bound<Vec<u8>>,
    /// Where it ends in index order.
    pub upper: Bound<Vec<u8>>,
}

impl KeyRange {
    /// The whole index.
    pub fn all() -> KeyRange {
        KeyRange { lower: Bound::Unbounded, upper: Bound::Unbounded }
    }

    /// All keys that begin with these bytes.
    pub fn prefix(key: Vec<u8>) -> KeyRange {
        KeyRange { lower: Bound::Included(key.clone()), upper: Bound::Included(key) }
    }

    /// All keys whose leading columns have these values.
    pub fn equal(keys: &[IndexKey], values: &[Datum]) -> KeyRange {
        KeyRange::prefix(KeyRange::key(keys, values))
    }

    /// The bytes all keys begin with whose leading columns have these values.
    pub fn key(keys: &[IndexKey], values: &[Datum]) -> Vec<u8> {
        encode_prefix(keys, values)
    }

    /// Leading columns equal to `values`, the next column within bounds **in value order**; NULLs of
    /// that column are left out, as every comparison leaves them out.
    pub fn within(
        keys: &[IndexKey],
        values: &[Datum],
        low: Bound<&Datum>,
        high: Bound<&Datum>,
    ) -> KeyRange {
        let head = encode_prefix(keys, values);
        let Some(k) = keys.get(values.len()) else { return KeyRange::prefix(head) };
        let bound = |value: &Datum| {
            let mut bytes = head.clone();
            key::encode_key(value, k.descending, k.nulls_first, &mut bytes);
            bytes
        };
        let (low, high) = if k.descending { (high, low) } else { (low, high) };
        let nulls = bound(&Datum::Null);
        let lower = match low {
            Bound::Included(v) => Bound::Included(bound(v)),
            Bound::Excluded(v) => Bound::Excluded(bound(v)),
            Bound::Unbounded if k.nulls_first => Bound::Excluded(nulls.clone()),
            Bound::Unbounded => Bound::Included(head.clone()),
        };
        let upper = match high {
            Bound::Included(v) => Bound::Included(bound(v)),
            Bound::Excluded(v) => Bound::Excluded(bound(v)),
            Bound::Unbounded if k.nulls_first => Bound::Included(head),
            Bound::Unbounded => Bound::Excluded(nulls),
        };
        KeyRange { lower, upper }
    }
}

/// The key bytes of leading columns.
pub(crate) fn encode_prefix(keys: &[IndexKey], values: &[Datum]) -> Vec<u8> {
    let mut out = Vec::new();
    for (k, v) in keys.iter().zip(values) {
        key::encode_key(v, k.descending, k.nulls_first, &mut out);
    }
    out
}
