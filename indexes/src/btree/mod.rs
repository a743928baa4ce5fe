//! An ordered map from memcomparable key bytes and row id: a B+tree whose readers take no locks.
//!
//! Entries are ordered by key bytes, then row id; a key may have many rows. Bounds and lookups take key *prefixes*:
//! an entry matches the prefix `p` when its key starts with `p`, so a two-column index answers for its first column
//! with that column's bytes alone.
//!
//! ```text
//!            root ── Inner ─┬─ Inner ─┬─ leaf block (immutable bytes, see `leaf`)
//!                           │         └─ leaf block
//!                           └─ Inner ─── ...
//! ```
//!
//! A leaf is never changed: a writer copies it with the change and swaps the pointer to it in its parent, under the
//! parent's lock. A node that gets another number of children is replaced as a whole, under the tree's one `shape`
//! lock and, for parents of leaves, their own. So a reader, pinned to an epoch, always sees every node whole, and two
//! invariants carry all the rest:
//!
//! - what is reachable under a separator's interval is all there is in that interval;
//! - locks are taken in the order `shape`, parent; never two parents at once.
#![allow(clippy::indexing_slicing)] // positions in arrays of its own

mod cell;
mod cursor;
mod image;
mod inner;
mod leaf;
mod shape;

use std::cell::RefCell;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_epoch::{self as epoch, Guard};
use parking_lot::Mutex;

use crate::{Apart, RowId};
use cell::{InnerSlot, LeafSlot};
pub use cursor::BtreeCursor;
use inner::{Children, Fence, Inner};
use leaf::Leaf;

/// Most entries of a leaf, and most bytes if it has more than a few.
const LEAF_ENTRIES: usize = 128;
const LEAF_BYTES: usize = 2048;
const LEAF_FEW: usize = 4;
/// Most children of an inner node.
const CHILDREN: usize = 128;

thread_local! {
    /// The block being made.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The map. All calls may run at once from many threads.
pub struct Btree {
    root: InnerSlot,
    /// Held to change the number of children of any node.
    shape: Mutex<()>,
    len: Apart<AtomicUsize>,
}

impl Default for Btree {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Btree {
    fn drop(&mut self) {
        let guard = epoch::pin();
        self.root.load(&guard).retire_children(&guard);
        self.root.retire(&guard);
    }
}

/// Whether a block is to be split.
fn too_big(block: &[u8]) -> bool {
    let n = Leaf::new(block).len();
    n > LEAF_ENTRIES || block.len() > LEAF_BYTES && n > LEAF_FEW
}

impl Btree {
    /// An empty map.
    pub fn new() -> Self {
        let mut block = Vec::new();
        leaf::build::<&[u8]>(&[], &mut block);
        let leaves = Children::Leaves(Box::new([LeafSlot::new(&block)]));
        Btree {
            root: InnerSlot::new(Inner::new(Vec::new(), leaves)),
            shape: Mutex::default(),
            len: Apart::default(),
        }
    }

    /// A map of entries that come in order (key, then row); others are inserted one by one.
    pub fn bulk_load<K: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, RowId)>) -> Self {
        shape::bulk_load(entries)
    }

    /// The parent of the leaf that (key, row) belongs to, and where the next parent begins.
    #[inline]
    fn parent<'g>(
        &self,
        key: &[u8],
        row: RowId,
        guard: &'g Guard,
    ) -> (&'g Inner, &'g [LeafSlot], Option<&'g Fence>) {
        let mut node = self.root.load(guard);
        let mut beyond = None;
        loop {
            match &node.children {
                Children::Leaves(leaves) => return (node, leaves, beyond),
                Children::Inners(inners) => {
                    let i = node.child(key, row);
                    beyond = node.fences.get(i).or(beyond);
                    node = inners[i].load(guard);
                }
            }
        }
    }

    /// The leaf that entries from `start` on begin in, where the next leaf begins, and how many blocks the way took.
    fn leaf_from<'g>(
        &self,
        start: Option<&Fence>,
        guard: &'g Guard,
    ) -> (&'g [u8], Option<&'g Fence>, u64) {
        let mut node = self.root.load(guard);
        let mut beyond = None;
        let mut blocks = 1;
        loop {
            blocks += 1;
            let i = start.map_or(0, |s| node.child(&s.key, s.row));
            beyond = node.fences.get(i).or(beyond);
            match &node.children {
                Children::Leaves(leaves) => return (leaves[i].load(guard), beyond, blocks),
                Children::Inners(inners) => node = inners[i].load(guard),
            }
        }
    }

    /// The leaf that entries below `end` end in, where it begins, and how many blocks the way took.
    fn leaf_before<'g>(
        &self,
        end: Option<&Fence>,
        guard: &'g Guard,
    ) -> (&'g [u8], Option<&'g Fence>, u64) {
        let mut node = self.root.load(guard);
        let mut beyond = None;
        let mut blocks = 1;
        loop {
            blocks += 1;
            let i = end.map_or(node.len() - 1, |e| node.child_before(&e.key, e.row));
            beyond = if i > 0 { node.fences.get(i - 1) } else { beyond };
            match &node.children {
                Children::Leaves(leaves) => return (leaves[i].load(guard), beyond, blocks),
                Children::Inners(inners) => node = inners[i].load(guard),
            }
        }
    }

    /// Replaces the leaf of (key, row) by what `change` makes of it (false: nothing), unless the tree's shape would
    /// have to change for it (`None`).
    fn change_leaf(
        &self,
        key: &[u8],
        row: RowId,
        change: impl Fn(&Leaf<'_>, usize, &mut Vec<u8>) -> bool,
        fits: impl Fn(&[u8]) -> bool,
    ) -> Option<bool> {
        let guard = epoch::pin();
        SCRATCH.with_borrow_mut(|block| {
            loop {
                let (node, leaves, _) = self.parent(key, row, &guard);
                let obsolete = node.obsolete.lock();
                if *obsolete {
                    continue;
                }
                let slot = &leaves[node.child(key, row)];
                let leaf = Leaf::new(slot.load(&guard));
                if !change(&leaf, leaf.lower_bound(key, row), block) {
                    return Some(false);
                }
                if !fits(block) {
                    return None;
                }
                slot.replace(block, &guard);
                return Some(true);
            }
        })
    }

    /// Adds an entry; false if it was there.
    pub fn insert(&self, key: &[u8], row: RowId) -> bool {
        let add = |leaf: &Leaf<'_>, at: usize, block: &mut Vec<u8>| {
            let new = !leaf.is(at, key, row);
            if new {
                leaf.with(at, key, row, block);
            }
            new
        };
        let done = self.change_leaf(key, row, add, |block| !too_big(block));
        let added = done.unwrap_or_else(|| self.insert_and_split(key, row));
        if added {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        added
    }

    /// Removes an entry; false if it was not there.
    pub fn remove(&self, key: &[u8], row: RowId) -> bool {
        let cut = |leaf: &Leaf<'_>, at: usize, block: &mut Vec<u8>| {
            let there = leaf.is(at, key, row);
            if there {
                leaf.without(at, block);
            }
            there
        };
        let small = std::cell::Cell::new(false);
        let keep = |block: &[u8]| {
            small.set(Leaf::new(block).len() < LEAF_ENTRIES / 8);
            true
        };
        let removed = self.change_leaf(key, row, cut, keep) == Some(true);
        if removed {
            self.len.fetch_sub(1, Ordering::Relaxed);
            if small.get() {
                self.merge_around(key, row);
            }
        }
        removed
    }

    /// Calls `f` with the rows whose key starts with `prefix`, in order, until it returns false.
    #[inline]
    pub fn get(&self, prefix: &[u8], mut f: impl FnMut(RowId) -> bool) {
        let guard = epoch::pin();
        let (node, leaves, above) = self.parent(prefix, 0, &guard);
        let child = node.child(prefix, 0);
        let leaf = Leaf::new(leaves[child].load(&guard));
        for i in leaf.lower_bound(prefix, 0)..leaf.len() {
            if !leaf.starts_with(i, prefix) || !f(leaf.row(i)) {
                return;
            }
        }
        // Most often the leaf's end is not the end of the prefix, unless the next leaf begins above it.
        // The fence is of the same look at the tree as the leaf: by now leaves may have been merged.
        let Some(beyond) = node.fences.get(child).or(above) else { return };
        if beyond.key.starts_with(prefix) || &*beyond.key <= prefix {
            self.get_beyond(prefix, beyond, f, &guard);
        }
    }

    /// The part of [`Btree::get`] behind the first leaf, which ends at `beyond`.
    #[cold]
    fn get_beyond(
        &self,
        prefix: &[u8],
        beyond: &Fence,
        mut f: impl FnMut(RowId) -> bool,
        guard: &Guard,
    ) {
        let mut next = Some(beyond);
        while let Some(fence) = next {
            let (block, beyond, _) = self.leaf_from(Some(fence), guard);
            let leaf = Leaf::new(block);
            for i in leaf.lower_bound(&fence.key, fence.row)..leaf.len() {
                if !leaf.starts_with(i, prefix) || !f(leaf.row(i)) {
                    return;
                }
            }
            next = beyond;
        }
    }

    /// The first row whose key starts with `prefix`.
    #[inline]
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
        BtreeCursor::new(Arc::clone(self), lower, upper, reverse)
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// No entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held; walks the whole tree.
    pub fn memory(&self) -> usize {
        let guard = epoch::pin();
        self.root.load(&guard).memory(&guard)
    }
}
