//! Points, and boxes as points of four dimensions, in a tree made for movement.
//!
//! The plane is cut in two, and each part again, at coordinates taken from the data, until a part has few entries:
//! cells are small where entries are many, whatever the skew, and there are no bounds to the plane. A cell is a leaf
//! whose entries are changed in place ([`leaf`]), so moving an entry is one slot filled and one emptied.
//!
//! ```text
//!          Inner x < 12.5
//!          /            \
//!     Inner y < 3      leaf       leaf: rows [64], x [64], y [64], a lock for writers
//!      /      \
//!    leaf    leaf
//! ```
//!
//! A version chain keeps the old position of a row for older snapshots, so a move adds the new entry and leaves the old
//! one to the vacuum: an entry is a row id **and** its coordinates, and the scan compares the coordinates with those of
//! the version it sees (invariant *hints*). That is also why there is no way from a row to its cell: the coordinates
//! are the way.
//!
//! Readers are pinned to an epoch and take no locks. Writers lock the leaf. A full leaf is replaced by two, a nearly
//! empty one goes into its neighbour, and a branch grown too deep (data that come in order) is built anew, under the
//! tree's one `shape` lock: locks are taken in the order `shape`, leaf, and nobody waits for `shape` with a leaf
//! locked. Entries equal in all coordinates are told apart by their rows, which are one more axis to cut at.
//!
//! Coordinates that are infinite or NaN have no place in the plane: such entries are kept aside, in a btree under
//! their bits.

mod cell;
mod image;
mod lanes;
mod leaf;
mod nearest;
mod nearest_boxes;
mod region;
mod shape;

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_epoch::{self as epoch, Guard};
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{Apart, Btree, RowId, count_step, step_aside};
use cell::{Link, Seen};
use leaf::{CAPACITY, Leaf, Put};
pub use nearest::{Batch, Found, Nearest};
pub use nearest_boxes::NearestBoxes;
pub use region::Region;

/// Points of the plane.
pub type Points = Spatial<2>;
/// Boxes: low x, low y, high x, high y.
pub type Boxes = Spatial<4>;

/// A leaf with fewer entries looks for a neighbour to go into.
const FEW: usize = CAPACITY / 8;

/// A row and where it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<const D: usize> {
    /// The coordinates.
    pub at: [f64; D],
    /// The row.
    pub row: RowId,
}

/// Where a part is cut in two: what is less goes into the first half.
#[derive(Clone, Copy, Debug)]
enum Cut {
    At { axis: u8, value: f64 },
    Row(RowId),
}

impl Cut {
    #[inline]
    fn is_second<const D: usize>(&self, entry: &Entry<D>) -> bool {
        match *self {
            Cut::At { axis, value } => entry.at.get(usize::from(axis)).is_none_or(|v| *v >= value),
            Cut::Row(row) => entry.row >= row,
        }
    }
}

/// Two of them in a cache line, none in two: most of a way down is waiting for these lines.
#[repr(align(32))]
struct Inner<const D: usize> {
    cut: Cut,
    below: [Link<D>; 2],
}

impl<const D: usize> Inner<D> {
    #[inline]
    fn of(&self, entry: &Entry<D>) -> &Link<D> {
        let [first, second] = &self.below;
        if self.cut.is_second(entry) { second } else { first }
    }
}

/// A node not yet, or no longer, in a tree.
enum Node<const D: usize> {
    Inner(Box<Inner<D>>),
    Leaf(Box<Leaf<D>>),
}

/// The index. All calls may run at once from many threads.
pub struct Spatial<const D: usize> {
    root: Link<D>,
    /// Held to replace a node.
    shape: Mutex<()>,
    len: Apart<AtomicUsize>,
    /// Entries with a coordinate that is not finite.
    odd: Arc<Btree>,
}

impl<const D: usize> Default for Spatial<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const D: usize> Drop for Spatial<D> {
    fn drop(&mut self) {
        let guard = epoch::pin();
        self.root.retire_all(&guard);
    }
}

impl<const D: usize> Spatial<D> {
    /// An empty index.
    pub fn new() -> Self {
        Self::build(Vec::new())
    }

    /// An index of these entries, no two of them the same; made on all cores.
    pub fn build(mut entries: Vec<Entry<D>>) -> Self {
        let odd = Btree::new();
        let mut kept = 0;
        entries.retain(|e| {
            count_step();
            let finite = e.at.iter().all(|v| v.is_finite());
            if !finite {
                odd.insert(&odd_key(&e.at), e.row);
            }
            kept += usize::from(finite);
            finite
        });
        Spatial {
            root: Link::new(shape::built(&mut entries, step_aside)),
            shape: Mutex::default(),
            len: Apart(AtomicUsize::new(kept)),
            odd: Arc::new(odd),
        }
    }

    /// The leaf an entry belongs to.
    #[inline]
    fn leaf<'g>(&self, entry: &Entry<D>, guard: &'g Guard) -> &'g Leaf<D> {
        let mut node = self.root.load(guard);
        loop {
            match node {
                Seen::Inner(inner) => node = inner.of(entry).load(guard),
                Seen::Leaf(leaf) => {
                    leaf.prefetch_rows();
                    return leaf;
                }
            }
        }
    }

    /// Asks the cache for the leaves that entries at these places are in: all of them go down side by side, so that
    /// one waits for memory while the others do.
    pub fn prefetch(&self, places: impl Iterator<Item = [f64; D]>) {
        let guard = epoch::pin();
        let root = self.root.load(&guard);
        let mut ways: SmallVec<[(Entry<D>, Seen<'_, D>); 16]> =
            places.map(|at| (Entry { at, row: 0 }, root)).collect();
        while !ways.is_empty() {
            ways.retain(|(entry, node)| {
                let Seen::Inner(inner) = node else { return false };
                let link = inner.of(entry);
                *node = link.load(&guard);
                match node {
                    Seen::Inner(_) => link.prefetch(&guard),
                    Seen::Leaf(leaf) => leaf.prefetch_rows(),
                }
                true
            });
        }
    }

    /// Adds an entry; false if it was there.
    pub fn insert(&self, at: [f64; D], row: RowId) -> bool {
        let entry = Entry { at, row };
        if !at.iter().all(|v| v.is_finite()) {
            return self.odd.insert(&odd_key(&at), row);
        }
        let guard = epoch::pin();
        loop {
            let leaf = self.leaf(&entry, &guard);
            let replaced = leaf.replaced.lock();
            if *replaced {
                drop(replaced);
                // Whoever replaces it holds this lock until the way down leads past it.
                drop(self.shape.lock());
                continue;
            }
            match leaf.put(&entry) {
                Put::There => return false,
                Put::Added => break,
                Put::Full => {
                    drop(replaced);
                    self.split(&entry, &guard);
                }
            }
        }
        self.len.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Removes an entry; false if it was not there.
    pub fn remove(&self, at: [f64; D], row: RowId) -> bool {
        let entry = Entry { at, row };
        if !at.iter().all(|v| v.is_finite()) {
            return self.odd.remove(&odd_key(&at), row);
        }
        let guard = epoch::pin();
        let left = loop {
            let leaf = self.leaf(&entry, &guard);
            let replaced = leaf.replaced.lock();
            if !*replaced {
                match leaf.take(&entry) {
                    Some(left) => break left,
                    None => return false,
                }
            }
            drop(replaced);
            drop(self.shape.lock());
        };
        self.len.fetch_sub(1, Ordering::Relaxed);
        if left < FEW {
            self.merge(&entry, &guard);
        }
        true
    }

    /// Rows of entries whose coordinates all lie between `low` and `high`, and of those that are not finite; the number
    /// of blocks read. A row may come out several times.
    pub fn within(&self, low: &[f64; D], high: &[f64; D], out: &mut Vec<RowId>) -> u64 {
        let guard = epoch::pin();
        let mut blocks = 0;
        let mut stack = vec![&self.root];
        while let Some(link) = stack.pop() {
            blocks += 1;
            match link.load(&guard) {
                Seen::Inner(Inner { cut: Cut::At { axis, value }, below: [first, second] }) => {
                    let axis = usize::from(*axis);
                    if high.get(axis).is_none_or(|h| h >= value) {
                        stack.push(second);
                    }
                    if low.get(axis).is_none_or(|l| l < value) {
                        stack.push(first);
                    }
                }
                Seen::Inner(Inner { cut: Cut::Row(_), below }) => stack.extend(below),
                Seen::Leaf(leaf) => leaf.each(|at, slot| {
                    let inside = at.iter().zip(low).zip(high).all(|((v, l), h)| l <= v && v <= h);
                    if inside && let Some(row) = slot.row() {
                        out.push(row);
                    }
                }),
            }
        }
        self.each_odd(|_, row| out.push(row));
        blocks
    }

    /// Calls `f` with every entry that is not finite.
    fn each_odd(&self, mut f: impl FnMut([f64; D], RowId)) {
        if self.odd.is_empty() {
            return;
        }
        let mut cursor = self.odd.range(Bound::Unbounded, Bound::Unbounded, false);
        while let Some(row) = cursor.next() {
            let mut at = [0.0; D];
            let (words, _) = cursor.key().as_chunks::<8>();
            for (v, word) in at.iter_mut().zip(words) {
                *v = f64::from_bits(u64::from_be_bytes(*word));
            }
            f(at, row);
        }
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed) + self.odd.len()
    }

    /// No entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held; walks the whole tree.
    pub fn memory(&self) -> usize {
        let guard = epoch::pin();
        let mut bytes = size_of::<Self>();
        let mut stack = vec![&self.root];
        while let Some(link) = stack.pop() {
            match link.load(&guard) {
                Seen::Inner(inner) => {
                    bytes += size_of::<Inner<D>>();
                    stack.extend(&inner.below);
                }
                Seen::Leaf(_) => bytes += size_of::<Leaf<D>>(),
            }
        }
        bytes + self.odd.memory()
    }
}

/// The key of an entry that is kept aside.
fn odd_key<const D: usize>(at: &[f64; D]) -> Vec<u8> {
    at.iter().flat_map(|v| v.to_bits().to_be_bytes()).collect()
}
