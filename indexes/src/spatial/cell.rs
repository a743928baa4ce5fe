//! Pointers between nodes: readers follow them without locks, writers replace them; what was replaced is freed when no
//! reader is left (epochs). The one place of the tree with unsafe code.
#![allow(unsafe_code)]

use std::sync::atomic::Ordering;

use crossbeam_epoch::{Atomic, Guard, Owned};

use super::Node;

/// A pointer to a node; never null. Dropping it frees nothing.
pub(super) struct Link<const D: usize>(Atomic<Node<D>>);

impl<const D: usize> Link<D> {
    pub(super) fn new(node: Node<D>) -> Self {
        Link(Atomic::new(node))
    }

    #[inline]
    pub(super) fn load<'g>(&self, guard: &'g Guard) -> &'g Node<D> {
        let shared = self.0.load(Ordering::Acquire, guard);
        // SAFETY: a link is never null, and a node is freed only by `defer_destroy` after no link led to it any more.
        unsafe { shared.deref() }
    }

    /// Puts another node in. The old one is freed, what it points to is not.
    pub(super) fn put(&self, node: Node<D>, guard: &Guard) {
        let old = self.0.swap(Owned::new(node), Ordering::AcqRel, guard);
        // SAFETY: nobody can reach `old` any more but readers pinned before now.
        unsafe { guard.defer_destroy(old) };
    }

    /// Points to the node of another link, whose holder goes away with the own node, which is freed.
    pub(super) fn adopt(&self, other: &Link<D>, guard: &Guard) {
        let node = other.0.load(Ordering::Acquire, guard);
        let old = self.0.swap(node, Ordering::AcqRel, guard);
        // SAFETY: nobody can reach `old` any more but readers pinned before now.
        unsafe { guard.defer_destroy(old) };
    }

    /// Frees the node of a link that goes away, and all below it.
    pub(super) fn retire_all(&self, guard: &Guard) {
        if let Node::Inner(inner) = self.load(guard) {
            inner.below.iter().for_each(|link| link.retire_all(guard));
        }
        let old = self.0.load(Ordering::Acquire, guard);
        // SAFETY: the node that holds this link was replaced or is being dropped.
        unsafe { guard.defer_destroy(old) };
    }
}
