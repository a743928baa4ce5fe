//! An ordered map from memcomparable key bytes and row id.
//!
//! Entries are ordered by key bytes, then row id; a key may have many rows. Bounds and lookups take key *prefixes*:
//! an entry matches the prefix `p` when its key starts with `p`, so a two-column index answers for its first column
//! with that column's bytes alone.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::RowId;

/// The map. All calls may run at once from many threads.
#[derive(Default)]
pub struct Btree {
    set: RwLock<BTreeSet<(Box<[u8]>, RowId)>>,
}

impl Btree {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces an empty map by entries that come in order (key, then row).
    pub fn bulk_load<K: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, RowId)>) -> Self {
        let set = entries.into_iter().map(|(k, r)| (k.as_ref().into(), r)).collect();
        Btree { set: RwLock::new(set) }
    }

    /// Adds an entry; false if it was there.
    pub fn insert(&self, key: &[u8], row: RowId) -> bool {
        self.set.write().insert((key.into(), row))
    }

    /// Removes an entry; false if it was not there.
    pub fn remove(&self, key: &[u8], row: RowId) -> bool {
        self.set.write().remove(&(key.into(), row))
    }

    /// Calls `f` with the rows whose key starts with `prefix`, in order, until it returns false.
    pub fn get(&self, prefix: &[u8], mut f: impl FnMut(RowId) -> bool) {
        for (key, row) in self.set.read().range((Box::from(prefix), 0)..) {
            if !key.starts_with(prefix) || !f(*row) {
                return;
            }
        }
    }

    /// The first row whose key starts with `prefix`.
    pub fn get_one(&self, prefix: &[u8]) -> Option<RowId> {
        let mut found = None;
        self.get(prefix, |row| {
            found = Some(row);
            false
        });
        found
    }

    /// A cursor over the entries between two prefixes. `Included(p)` takes in every key that starts with `p`,
    /// `Excluded(p)` leaves them all out.
    pub fn range(
        self: &Arc<Self>,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
        reverse: bool,
    ) -> BtreeCursor {
        let in_range = |key: &[u8]| {
            let head = |p: &Vec<u8>| key.get(..p.len()).unwrap_or(key).to_vec();
            (match &lower {
                Bound::Included(p) => head(p) >= *p,
                Bound::Excluded(p) => head(p) > *p,
                Bound::Unbounded => true,
            }) && (match &upper {
                Bound::Included(p) => head(p) <= *p,
                Bound::Excluded(p) => head(p) < *p,
                Bound::Unbounded => true,
            })
        };
        let mut left: Vec<_> =
            self.set.read().iter().filter(|(k, _)| in_range(k)).cloned().collect();
        if !reverse {
            left.reverse();
        }
        BtreeCursor { left, key: Box::default() }
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.set.read().len()
    }

    /// No entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.set.read().iter().map(|(k, _)| k.len() + 32).sum()
    }
}

/// A position in a [`Btree`] that outlives changes: entries that are there from its creation to its passing come out
/// once each; entries added or removed meanwhile may or may not.
pub struct BtreeCursor {
    left: Vec<(Box<[u8]>, RowId)>,
    key: Box<[u8]>,
}

impl BtreeCursor {
    /// The next entry's row, in key order (reverse order for a reverse cursor).
    pub fn next(&mut self) -> Option<RowId> {
        let (key, row) = self.left.pop()?;
        self.key = key;
        Some(row)
    }

    /// The key of the entry that [`BtreeCursor::next`] returned last.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}
