//! A leaf: a few entries, coordinate by coordinate, changed in place.
//!
//! Writers hold the leaf's lock. Readers take no notice of it: an entry is put into a slot that was empty, and taken
//! out by emptying its slot, so an entry that is there all the time a reader looks is always found whole. A reader
//! who meets a slot just being filled may see the new row at the old coordinates. That is a hint like any other
//! (invariant *hints*): what became visible before the reader's snapshot was in its slot before. Where the row has an
//! entry at those coordinates too, the reader sees that one twice, and must tell.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::Entry;
use super::lanes::{self, Column, Slots, slots_holding, slots_near};
use crate::RowId;
use crate::vector::prefetch_lines;

/// Entries of a leaf: a bit of a word each.
pub(super) const CAPACITY: usize = 64;
/// The row of a slot without an entry.
const EMPTY: RowId = RowId::MAX;

#[repr(C, align(32))] // as `Inner`: a link may lead to either
pub(super) struct Leaf<const D: usize> {
    /// Held to change the leaf; true once another node stands in its place.
    pub(super) replaced: Mutex<bool>,
    /// Slots that were ever used.
    len: AtomicUsize,
    at: [Column; D],
    rows: Column,
}

/// What became of an entry to be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Added,
    There,
    Full,
}

impl<const D: usize> Leaf<D> {
    /// Cache lines that a search reads.
    pub(super) const LINES: usize = (size_of::<Self>() - size_of::<Column>()) / 64;

    /// A leaf of at most [`CAPACITY`] entries.
    pub(super) fn new(entries: &[Entry<D>]) -> Box<Self> {
        let leaf = Box::new(Leaf {
            replaced: Mutex::new(false),
            len: AtomicUsize::new(0),
            rows: [const { AtomicU64::new(EMPTY) }; CAPACITY],
            at: [const { [const { AtomicU64::new(0) }; CAPACITY] }; D],
        });
        for (i, entry) in entries.iter().take(CAPACITY).enumerate() {
            leaf.fill(i, entry);
        }
        leaf.len.store(entries.len().min(CAPACITY), Ordering::Release);
        leaf
    }

    fn fill(&self, slot: usize, entry: &Entry<D>) {
        for (column, value) in self.at.iter().zip(entry.at) {
            if let Some(cell) = column.get(slot) {
                cell.store(value.to_bits(), Ordering::Relaxed);
            }
        }
        if let Some(row) = self.rows.get(slot) {
            row.store(entry.row, Ordering::Release);
        }
    }

    fn is_at(&self, slot: usize, entry: &Entry<D>) -> bool {
        self.at.iter().zip(entry.at).all(|(column, value)| {
            column.get(slot).is_some_and(|c| c.load(Ordering::Relaxed) == value.to_bits())
        })
    }

    fn slots(&self) -> impl Iterator<Item = &AtomicU64> {
        self.rows.iter().take(self.len.load(Ordering::Acquire))
    }

    /// Entries.
    pub(super) fn count(&self) -> usize {
        CAPACITY - slots_holding(&self.rows, EMPTY).count_ones() as usize
    }

    /// The slot of an entry.
    fn slot_of(&self, entry: &Entry<D>) -> Option<usize> {
        lanes::each(slots_holding(&self.rows, entry.row)).find(|slot| self.is_at(*slot, entry))
    }

    /// Asks the cache for what a change looks through, all at once.
    #[inline]
    pub(super) fn prefetch_rows(&self) {
        prefetch_lines::<{ CAPACITY / 8 }>(self.rows.as_ptr().cast());
    }

    /// Puts an entry in. The caller holds the lock.
    pub(super) fn put(&self, entry: &Entry<D>) -> Put {
        if self.slot_of(entry).is_some() {
            return Put::There;
        }
        // Those that were never used are empty, too.
        let slot = slots_holding(&self.rows, EMPTY).trailing_zeros() as usize;
        if slot == CAPACITY {
            return Put::Full;
        }
        self.fill(slot, entry);
        if slot >= self.len.load(Ordering::Relaxed) {
            self.len.store(slot + 1, Ordering::Release);
        }
        Put::Added
    }

    /// Takes an entry out; how many are left, `None` if it was not there. The caller holds the lock.
    pub(super) fn take(&self, entry: &Entry<D>) -> Option<usize> {
        let slot = self.slot_of(entry)?;
        self.rows.get(slot)?.store(EMPTY, Ordering::Release);
        Some(self.count())
    }

    /// Calls `f` with every entry's coordinates and a way to its row.
    #[inline]
    pub(super) fn each(&self, mut f: impl FnMut([f64; D], &Slot<'_>)) {
        for (i, row) in self.slots().enumerate() {
            f(self.at(i), &Slot(row));
        }
    }

    /// A bit for each slot, the first is the lowest, that may hold an entry at most so far (squared) from a point.
    #[inline]
    pub(super) fn near(&self, point: [f64; 2], bound: f64) -> Slots {
        let [xs, ys, ..] = self.at.as_slice() else { return 0 };
        let used = self.len.load(Ordering::Acquire);
        let behind = CAPACITY.saturating_sub(used);
        slots_near(xs, ys, point, bound) & u64::MAX.checked_shr(behind as u32).unwrap_or(0)
    }

    /// The coordinates in a slot.
    #[inline]
    pub(super) fn at(&self, slot: usize) -> [f64; D] {
        std::array::from_fn(|d| {
            let cell = self.at.get(d).and_then(|c| c.get(slot));
            cell.map_or(0.0, |c| f64::from_bits(c.load(Ordering::Relaxed)))
        })
    }

    /// The row in a slot; `None` if there is no entry.
    #[inline]
    pub(super) fn row(&self, slot: usize) -> Option<RowId> {
        self.rows.get(slot).and_then(|row| Slot(row).row())
    }

    /// All entries.
    pub(super) fn entries(&self, out: &mut Vec<Entry<D>>) {
        self.each(|at, slot| {
            if let Some(row) = slot.row() {
                out.push(Entry { at, row });
            }
        });
    }
}

/// A slot whose row is still to be read.
pub(super) struct Slot<'a>(&'a AtomicU64);

impl Slot<'_> {
    /// The entry's row; `None` if there is no entry.
    #[inline]
    pub(super) fn row(&self) -> Option<RowId> {
        let row = self.0.load(Ordering::Acquire);
        (row != EMPTY).then_some(row)
    }
}
