//! An inner node: separators and as many children and one more. Its shape never changes; leaves are replaced in place
//! under its lock, and a node of another shape takes its place (then it is obsolete).
#![allow(clippy::indexing_slicing)] // positions in arrays of its own

use crossbeam_epoch::Guard;
use parking_lot::Mutex;

use super::cell::{InnerSlot, LeafSlot};
use super::leaf::{common, head, strip};
use crate::RowId;

/// The least entry that a child may hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fence {
    pub(super) key: Box<[u8]>,
    pub(super) row: RowId,
}

impl Fence {
    /// The shortest fence between two neighbouring entries.
    pub(super) fn between(left: (&[u8], RowId), right: (&[u8], RowId)) -> Fence {
        if left.0 == right.0 {
            return Fence { key: right.0.into(), row: right.1 };
        }
        let len = (common(left.0, right.0) + 1).min(right.0.len());
        Fence { key: right.0[..len].into(), row: 0 }
    }
}

pub(super) enum Children {
    Leaves(Box<[LeafSlot]>),
    Inners(Box<[InnerSlot]>),
}

pub(super) struct Inner {
    /// What all separators begin with, and the eight bytes of each that follow.
    prefix: Box<[u8]>,
    heads: Box<[u64]>,
    pub(super) fences: Box<[Fence]>,
    pub(super) children: Children,
    /// Held to replace a leaf; true once another node took this one's place.
    pub(super) obsolete: Mutex<bool>,
}

impl Inner {
    pub(super) fn new(fences: Vec<Fence>, children: Children) -> Self {
        let prefix: Box<[u8]> = match (fences.first(), fences.last()) {
            (Some(a), Some(b)) => a.key[..common(&a.key, &b.key)].into(),
            _ => Box::default(),
        };
        let heads = fences.iter().map(|f| head(&f.key[prefix.len()..])).collect();
        Inner { prefix, heads, fences: fences.into(), children, obsolete: Mutex::new(false) }
    }

    pub(super) fn len(&self) -> usize {
        self.fences.len() + 1
    }

    /// The child that (key, row) belongs to: as many as there are separators not above it.
    #[inline]
    pub(super) fn child(&self, key: &[u8], row: RowId) -> usize {
        self.below(key, |f| (&*f.key, f.row) <= (key, row))
    }

    /// The child that holds the entries just below (key, row).
    pub(super) fn child_before(&self, key: &[u8], row: RowId) -> usize {
        self.below(key, |f| (&*f.key, f.row) < (key, row))
    }

    /// How many separators are below; `tie` decides among those that begin like the key.
    #[inline]
    fn below(&self, key: &[u8], tie: impl Fn(&Fence) -> bool) -> usize {
        let Some(rest) = strip(key, &self.prefix) else {
            return if key < &*self.prefix { 0 } else { self.fences.len() };
        };
        let head = head(rest);
        let mut at = self.heads.partition_point(|h| *h < head);
        while at < self.heads.len() && self.heads[at] == head && tie(&self.fences[at]) {
            at += 1;
        }
        at
    }

    pub(super) fn memory(&self, guard: &Guard) -> usize {
        let fences: usize = self.fences.iter().map(|f| f.key.len() + size_of::<Fence>() + 16).sum();
        let children: usize = match &self.children {
            Children::Leaves(leaves) => leaves.iter().map(|l| l.load(guard).len() + 16).sum(),
            Children::Inners(inners) => inners.iter().map(|i| i.load(guard).memory(guard)).sum(),
        };
        size_of::<Inner>() + fences + children + 8 * self.len()
    }

    /// Frees all that is below, and the nodes themselves except this one.
    pub(super) fn retire_children(&self, guard: &Guard) {
        match &self.children {
            Children::Leaves(leaves) => leaves.iter().for_each(|l| l.retire(guard)),
            Children::Inners(inners) => {
                for inner in inners {
                    inner.load(guard).retire_children(guard);
                    inner.retire(guard);
                }
            }
        }
    }
}
