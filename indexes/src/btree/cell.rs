//! Pointers that readers follow without locks and writers replace; what was replaced is freed when no reader is left
//! (epochs). The one place of the tree with unsafe code.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::sync::atomic::Ordering;

use crossbeam_epoch::{Atomic, Guard, Owned, Pointer, Shared};

use super::inner::Inner;
use crate::vector::prefetch_lines;

/// Cache lines of a leaf of integers: header, rows and keys.
const LINES: usize = 10;

/// A pointer to a leaf's block: its length and its bytes lie in one allocation.
pub(super) struct LeafSlot(Atomic<[MaybeUninit<u64>]>);

/// A pointer to an inner node.
pub(super) struct InnerSlot(Atomic<Inner>);

fn allocate(block: &[u8]) -> Owned<[MaybeUninit<u64>]> {
    let mut owned = Owned::<[MaybeUninit<u64>]>::init(block.len().div_ceil(8));
    let words = owned.iter_mut().zip(block.chunks(8));
    for (word, bytes) in words {
        let mut b = [0; 8];
        if let Some(b) = b.get_mut(..bytes.len()) {
            b.copy_from_slice(bytes);
        }
        word.write(u64::from_ne_bytes(b));
    }
    owned
}

impl LeafSlot {
    pub(super) fn new(block: &[u8]) -> Self {
        LeafSlot(Atomic::from(allocate(block)))
    }

    /// The block now.
    #[inline]
    pub(super) fn load<'g>(&self, guard: &'g Guard) -> &'g [u8] {
        let shared = self.0.load(Ordering::Acquire, guard);
        // All lines at once instead of one after the other as the search asks for them.
        let start: *const u8 = std::ptr::with_exposed_provenance(shared.into_usize());
        prefetch_lines::<LINES>(start);
        // SAFETY: a slot is never null; `allocate` initialised every word; the block lives at least as long as the
        // guard, because it is freed only by `defer_destroy` after it was taken out of the slot.
        unsafe {
            let words = shared.deref();
            std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), words.len() * 8)
        }
    }

    /// Puts another block in. The caller holds the lock of the node that this slot belongs to.
    pub(super) fn replace(&self, block: &[u8], guard: &Guard) {
        let old = self.0.swap(allocate(block), Ordering::AcqRel, guard);
        // SAFETY: nobody can reach `old` any more but readers pinned before now.
        unsafe { guard.defer_destroy(old) };
    }

    /// Another slot with the same block, for a copy of the node; the old slot is then `forgotten` with its node.
    pub(super) fn share(&self, guard: &Guard) -> Self {
        LeafSlot(Atomic::from(self.0.load(Ordering::Acquire, guard)))
    }

    /// Frees the block of a slot that goes away with it.
    pub(super) fn retire(&self, guard: &Guard) {
        let old = self.0.load(Ordering::Acquire, guard);
        // SAFETY: the node that holds this slot was replaced by one without it.
        unsafe { guard.defer_destroy(old) };
    }
}

impl InnerSlot {
    pub(super) fn new(node: Inner) -> Self {
        InnerSlot(Atomic::new(node))
    }

    #[inline]
    pub(super) fn load<'g>(&self, guard: &'g Guard) -> &'g Inner {
        let shared = self.0.load(Ordering::Acquire, guard);
        // SAFETY: as in `LeafSlot::load`.
        unsafe { shared.deref() }
    }

    /// Puts another node in; the old one is freed, what it points to is not.
    pub(super) fn replace(&self, node: Inner, guard: &Guard) {
        let old = self.0.swap(Owned::new(node), Ordering::AcqRel, guard);
        // SAFETY: nobody can reach `old` any more but readers pinned before now.
        unsafe { guard.defer_destroy(old) };
    }

    /// Points to the node of another slot, whose holder goes away; the own node is freed.
    pub(super) fn adopt(&self, other: &InnerSlot, guard: &Guard) {
        let node: Shared<'_, Inner> = other.0.load(Ordering::Acquire, guard);
        let old = self.0.swap(node, Ordering::AcqRel, guard);
        // SAFETY: nobody can reach `old` any more but readers pinned before now.
        unsafe { guard.defer_destroy(old) };
    }

    pub(super) fn share(&self, guard: &Guard) -> Self {
        InnerSlot(Atomic::from(self.0.load(Ordering::Acquire, guard)))
    }

    /// Frees the node of a slot that goes away with it.
    pub(super) fn retire(&self, guard: &Guard) {
        let old = self.0.load(Ordering::Acquire, guard);
        // SAFETY: the node that holds this slot was replaced by one without it.
        unsafe { guard.defer_destroy(old) };
    }
}
