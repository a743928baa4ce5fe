//! A position between entries that survives everything that happens to the tree.
//!
//! The cursor copies one leaf's block at a time and remembers the fence where that leaf ended: entries beyond it are
//! looked for from the root again.
#![allow(clippy::indexing_slicing)] // positions are bounded by the block they were counted in

use std::ops::Bound;
use std::sync::Arc;

use crossbeam_epoch as epoch;

use super::Btree;
use super::inner::Fence;
use super::leaf::Leaf;
use crate::RowId;

/// A position in a [`Btree`]. Entries that are there from its creation to its passing come out once each, in order;
/// entries added or removed meanwhile may or may not.
pub struct BtreeCursor {
    tree: Arc<Btree>,
    /// A copy of a leaf, and the entries of it that are left.
    block: Vec<u8>,
    from: usize,
    to: usize,
    /// The entry that [`BtreeCursor::next`] returned last.
    current: usize,
    key: Vec<u8>,
    /// Where to go on: forward, entries from here; backward, entries below here (`None` = from the end).
    next: Option<Fence>,
    /// No leaf is left behind the copied one.
    done: bool,
    /// Where to stop: forward, below this; backward, at or above this.
    stop: Option<Fence>,
    reverse: bool,
    /// Blocks read.
    blocks: u64,
}

/// The least key above all keys that start with `prefix`; `None` if there is none.
fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|b| *b != u8::MAX)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}

fn fence(key: Vec<u8>) -> Fence {
    Fence { key: key.into(), row: 0 }
}

impl BtreeCursor {
    pub(super) fn new(
        tree: Arc<Btree>,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
        reverse: bool,
    ) -> Self {
        let mut empty = false;
        let low = match lower {
            Bound::Included(key) => Some(fence(key)),
            Bound::Excluded(key) => {
                let next = after(&key);
                empty |= next.is_none() && !key.is_empty();
                // The empty prefix is what every key starts with.
                empty |= key.is_empty();
                next.map(fence)
            }
            Bound::Unbounded => None,
        };
        let high = match upper {
            Bound::Included(key) => after(&key).map(fence),
            Bound::Excluded(key) => Some(fence(key)),
            Bound::Unbounded => None,
        };
        let (next, stop) = if reverse { (high, low) } else { (low, high) };
        BtreeCursor {
            tree,
            block: Vec::new(),
            from: 0,
            to: 0,
            current: 0,
            key: Vec::new(),
            next,
            done: empty,
            stop,
            reverse,
            blocks: 0,
        }
    }

    /// The next entry's row, in key order (reverse order for a reverse cursor).
    #[allow(clippy::should_implement_trait)] // `key` borrows the cursor between calls
    pub fn next(&mut self) -> Option<RowId> {
        while self.from == self.to {
            if self.done {
                return None;
            }
            self.load();
        }
        if self.reverse {
            self.to -= 1;
            self.current = self.to;
        } else {
            self.current = self.from;
            self.from += 1;
        }
        Some(Leaf::new(&self.block).row(self.current))
    }

    /// The key of the entry that [`BtreeCursor::next`] returned last.
    pub fn key(&mut self) -> &[u8] {
        self.key.clear();
        if !self.block.is_empty() {
            Leaf::new(&self.block).key(self.current, &mut self.key);
        }
        &self.key
    }

    /// Blocks of the tree read so far: every leaf, and the inner nodes on the way to it.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Copies the next leaf.
    fn load(&mut self) {
        let guard = epoch::pin();
        let at = |leaf: &Leaf<'_>, fence: &Option<Fence>, none: usize| match fence {
            Some(f) => leaf.lower_bound(&f.key, f.row),
            None => none,
        };
        let (block, beyond, blocks) = if self.reverse {
            self.tree.leaf_before(self.next.as_ref(), &guard)
        } else {
            self.tree.leaf_from(self.next.as_ref(), &guard)
        };
        self.blocks += blocks;
        let leaf = Leaf::new(block);
        if self.reverse {
            self.from = at(&leaf, &self.stop, 0);
            self.to = at(&leaf, &self.next, leaf.len()).max(self.from);
            // Entries at or above `stop` are in this leaf or the next ones only if it begins above it.
            self.done = beyond.is_none_or(|b| self.stop.as_ref().is_some_and(|s| b <= s));
        } else {
            self.from = at(&leaf, &self.next, 0);
            self.to = at(&leaf, &self.stop, leaf.len()).max(self.from);
            self.done = beyond.is_none_or(|b| self.stop.as_ref().is_some_and(|s| b >= s));
        }
        self.next = beyond.cloned();
        self.block.clear();
        self.block.extend_from_slice(block);
    }
}
