//! Pointers between nodes: readers follow them without locks, writers replace them; what was replaced is freed when no
//! reader is left (epochs). The one place of the tree with unsafe code.
#![allow(unsafe_code)]

use std::sync::atomic::Ordering;

use crossbeam_epoch::{Atomic, Guard, Shared};

use super::leaf::Leaf;
use super::{Inner, Node};
use crate::vector::prefetch_lines;

/// The tag of a pointer to a leaf.
const LEAF: usize = 1;

/// A pointer to a node; never null. What kind of node it is, is in the pointer: one step less to memory. Dropping it
/// frees nothing.
pub(super) struct Link<const D: usize>(Atomic<Inner<D>>);

/// A node that was followed to.
#[derive(Clone, Copy)]
pub(super) enum Seen<'g, const D: usize> {
    Inner(&'g Inner<D>),
    Leaf(&'g Leaf<D>),
}

fn shared<'g, const D: usize>(node: Node<D>) -> Shared<'g, Inner<D>> {
    match node {
        Node::Inner(inner) => Shared::from(Box::into_raw(inner).cast_const()),
        Node::Leaf(leaf) => {
            Shared::from(Box::into_raw(leaf).cast_const().cast::<Inner<D>>()).with_tag(LEAF)
        }
    }
}

/// Frees a node, what it points to not, when no reader is left.
fn retire<const D: usize>(old: Shared<'_, Inner<D>>, guard: &Guard) {
    let (node, tag) = (old.as_raw().cast_mut(), old.tag());
    let free = move || {
        if tag == LEAF {
            // SAFETY: the tag says that `shared` made it of a boxed leaf; it is retired once.
            drop(unsafe { Box::from_raw(node.cast::<Leaf<D>>()) });
        } else {
            // SAFETY: without the tag it was made of a boxed inner node; it is retired once.
            drop(unsafe { Box::from_raw(node) });
        }
    };
    // SAFETY: nobody can reach `old` any more but readers pinned before now; entries and links may be dropped anywhere.
    unsafe { guard.defer_unchecked(free) };
}

impl<const D: usize> Link<D> {
    pub(super) fn new(node: Node<D>) -> Self {
        Link(Atomic::from(shared(node)))
    }

    #[inline]
    pub(super) fn load<'g>(&self, guard: &'g Guard) -> Seen<'g, D> {
        let at = self.0.load(Ordering::Acquire, guard);
        if at.tag() == LEAF {
            // SAFETY: the tag says that it points to a leaf. A link is never null, and a node is freed only after no
            // link led to it any more and every guard of that time is gone.
            Seen::Leaf(unsafe { &*at.as_raw().cast::<Leaf<D>>() })
        } else {
            // SAFETY: as above; without the tag it points to an inner node.
            Seen::Inner(unsafe { at.deref() })
        }
    }

    /// Asks the cache for what it points to.
    #[inline]
    pub(super) fn prefetch(&self, guard: &Guard) {
        let at = self.0.load(Ordering::Relaxed, guard);
        if at.tag() == LEAF {
            prefetch_lines::<{ Leaf::<2>::LINES }>(at.as_raw().cast());
        } else {
            prefetch_lines::<1>(at.as_raw().cast());
        }
    }

    /// Puts another node in. The old one is freed, what it points to is not.
    pub(super) fn put(&self, node: Node<D>, guard: &Guard) {
        retire(self.0.swap(shared(node), Ordering::AcqRel, guard), guard);
    }

    /// Points to the node of another link, whose holder goes away with the own node, which is freed.
    pub(super) fn adopt(&self, other: &Link<D>, guard: &Guard) {
        let node = other.0.load(Ordering::Acquire, guard);
        retire(self.0.swap(node, Ordering::AcqRel, guard), guard);
    }

    /// Frees the node of a link that goes away, and all below it.
    pub(super) fn retire_all(&self, guard: &Guard) {
        if let Seen::Inner(inner) = self.load(guard) {
            inner.below.iter().for_each(|link| link.retire_all(guard));
        }
        retire(self.0.load(Ordering::Acquire, guard), guard);
    }
}
