//! Changes of the tree's shape: splitting, merging, bulk loading. One at a time, under `shape`.
//!
//! A node with another number of children is built beside the old one, sharing the children that stay, and put in its
//! place; then the old one is marked obsolete, so that a writer that waited for its lock looks again from the root.
#![allow(clippy::indexing_slicing)] // positions in arrays of its own

use std::sync::atomic::Ordering;

use crossbeam_epoch::{self as epoch, Guard};

use super::cell::{InnerSlot, LeafSlot};
use super::inner::{Children, Fence, Inner};
use super::leaf::{Leaf, build};
use super::{Btree, CHILDREN, LEAF_BYTES, LEAF_ENTRIES, LEAF_FEW, too_big};
use crate::RowId;
use crate::aside::count_step;

/// One step from the root down: where the node hangs, the node, and the child taken.
#[derive(Clone, Copy)]
struct Step<'g> {
    slot: &'g InnerSlot,
    node: &'g Inner,
    child: usize,
}

/// The half of a node's children that go to a new right neighbour.
type Right = Option<(Fence, Inner)>;

/// A node of these children, or two if they are too many; `at` is where children were added.
fn divide<T>(
    mut fences: Vec<Fence>,
    mut children: Vec<T>,
    at: usize,
    wrap: impl Fn(Box<[T]>) -> Children,
) -> (Inner, Right) {
    if children.len() <= CHILDREN {
        return (Inner::new(fences, wrap(children.into())), None);
    }
    // Ascending keys leave full nodes behind.
    let n = children.len();
    let cut = if at + 2 >= n { n - n / 8 } else { n / 2 };
    let right_children = children.split_off(cut);
    let right_fences = fences.split_off(cut);
    let left = |fences| Inner::new(fences, wrap(children.into()));
    match fences.pop() {
        Some(fence) => {
            let right = Inner::new(right_fences, wrap(right_children.into()));
            (left(fences), Some((fence, right)))
        }
        None => (left(fences), None),
    }
}

/// `node`'s leaves as slots of another node, the one at `child` and `more` behind it replaced by `new`.
fn leaves_with(
    node: &[LeafSlot],
    child: usize,
    old: usize,
    new: Vec<LeafSlot>,
    guard: &Guard,
) -> Vec<LeafSlot> {
    let before = node[..child].iter().map(|l| l.share(guard));
    let after = node[child + old..].iter().map(|l| l.share(guard));
    before.chain(new).chain(after).collect()
}

fn inners_with(
    node: &[InnerSlot],
    child: usize,
    old: usize,
    new: Vec<InnerSlot>,
    guard: &Guard,
) -> Vec<InnerSlot> {
    let before = node[..child].iter().map(|l| l.share(guard));
    let after = node[child + old..].iter().map(|l| l.share(guard));
    before.chain(new).chain(after).collect()
}

/// The fences around `n` children less those next to the removed child.
fn fences_without(fences: &[Fence], child: usize) -> Vec<Fence> {
    let mut fences = fences.to_vec();
    if !fences.is_empty() {
        fences.remove(child.min(fences.len() - 1));
    }
    fences
}

impl Btree {
    /// The way to the leaf of (key, row). It stays the way while `shape` is held.
    fn path<'g>(&'g self, key: &[u8], row: RowId, guard: &'g Guard) -> Vec<Step<'g>> {
        let mut path = Vec::with_capacity(4);
        let mut slot = &self.root;
        loop {
            let node = slot.load(guard);
            let child = node.child(key, row);
            path.push(Step { slot, node, child });
            match &node.children {
                Children::Leaves(_) => return path,
                Children::Inners(inners) => slot = &inners[child],
            }
        }
    }

    /// Adds an entry whose leaf is full; false if it was there.
    pub(super) fn insert_and_split(&self, key: &[u8], row: RowId) -> bool {
        let _shape = self.shape.lock();
        let guard = epoch::pin();
        let path = self.path(key, row, &guard);
        let Some(&Step { node, child, .. }) = path.last() else { return false };
        let Children::Leaves(leaves) = &node.children else { return false };
        let mut obsolete = node.obsolete.lock();
        let leaf = Leaf::new(leaves[child].load(&guard));
        let at = leaf.lower_bound(key, row);
        if leaf.is(at, key, row) {
            return false;
        }
        let mut block = Vec::new();
        leaf.with(at, key, row, &mut block);
        if !too_big(&block) {
            // A remove came between.
            leaves[child].replace(&block, &guard);
            return true;
        }
        let entries = Leaf::new(&block).entries();
        let last = path.iter().all(|s| s.child + 1 == s.node.len());
        let cut = if last && at == leaf.len() { entries.len() - 1 } else { entries.len() / 2 };
        let (left, right) = entries.split_at(cut);
        let ends = |e: &[(Vec<u8>, RowId)], i: usize| (e[i].0.clone(), e[i].1);
        let (below, above) = (ends(left, left.len() - 1), ends(right, 0));
        let mut fences = node.fences.to_vec();
        fences.insert(child, Fence::between((&below.0, below.1), (&above.0, above.1)));
        let mut new = Vec::with_capacity(2);
        for half in [left, right] {
            build(half, &mut block);
            new.push(LeafSlot::new(&block));
        }
        let children = leaves_with(leaves, child, 1, new, &guard);
        let (left, right) = divide(fences, children, child + 1, Children::Leaves);
        leaves[child].retire(&guard);
        put(&path, left, right, &guard);
        *obsolete = true;
        true
    }

    /// After removals: takes an empty leaf out, or joins a small one with a neighbour.
    pub(super) fn merge_around(&self, key: &[u8], row: RowId) {
        let _shape = self.shape.lock();
        let guard = epoch::pin();
        let path = self.path(key, row, &guard);
        let Some(&Step { node, child, .. }) = path.last() else { return };
        let Children::Leaves(leaves) = &node.children else { return };
        let mut obsolete = node.obsolete.lock();
        let load = |i: usize| leaves.get(i).map(|l| Leaf::new(l.load(&guard)));
        let Some(leaf) = load(child) else { return };
        if leaf.len() == 0 && leaves.len() == 1 {
            *obsolete = self.remove_branch(&path, &guard);
            return;
        }
        let joins = |i: usize| {
            load(i).is_some_and(|l| {
                l.len() + leaf.len() <= LEAF_ENTRIES / 2 && l.size() + leaf.size() <= LEAF_BYTES / 2
            })
        };
        let left = if joins(child + 1) {
            child
        } else if child > 0 && joins(child - 1) {
            child - 1
        } else if leaf.len() == 0 {
            // The neighbours are full: only the empty leaf goes.
            let children = leaves_with(leaves, child, 1, Vec::new(), &guard);
            let fences = fences_without(&node.fences, child);
            leaves[child].retire(&guard);
            put(&path, Inner::new(fences, Children::Leaves(children.into())), None, &guard);
            *obsolete = true;
            return;
        } else {
            return;
        };
        let mut entries = load(left).map(|l| l.entries()).unwrap_or_default();
        entries.extend(load(left + 1).map(|l| l.entries()).unwrap_or_default());
        let mut block = Vec::new();
        build(&entries, &mut block);
        let children = leaves_with(leaves, left, 2, vec![LeafSlot::new(&block)], &guard);
        let fences = fences_without(&node.fences, left);
        leaves[left].retire(&guard);
        leaves[left + 1].retire(&guard);
        put(&path, Inner::new(fences, Children::Leaves(children.into())), None, &guard);
        *obsolete = true;
    }

    /// Takes out the parent of an empty only leaf, and every node above it that has no other child; true if it went.
    fn remove_branch(&self, path: &[Step<'_>], guard: &Guard) -> bool {
        let Some(up) = path.iter().rposition(|s| s.node.len() > 1) else {
            if path.len() > 1 {
                let old = path[0].node;
                old.retire_children(guard);
                self.root.replace(fresh_root(), guard);
            }
            return path.len() > 1;
        };
        let Step { node, child, .. } = path[up];
        let Children::Inners(inners) = &node.children else { return false };
        let children = inners_with(inners, child, 1, Vec::new(), guard);
        let fences = fences_without(&node.fences, child);
        path[up + 1].node.retire_children(guard);
        inners[child].retire(guard);
        put(&path[..=up], Inner::new(fences, Children::Inners(children.into())), None, guard);
        // A root of one inner node is a level too many.
        while let Children::Inners(inners) = &self.root.load(guard).children {
            let [only] = &**inners else { break };
            self.root.adopt(only, guard);
        }
        true
    }
}

fn fresh_root() -> Inner {
    let mut block = Vec::new();
    build::<&[u8]>(&[], &mut block);
    Inner::new(Vec::new(), Children::Leaves(Box::new([LeafSlot::new(&block)])))
}

/// Puts one or two nodes in the place of the last of `path`.
fn put(path: &[Step<'_>], left: Inner, right: Right, guard: &Guard) {
    let Some((step, above)) = path.split_last() else { return };
    let Some((fence, right)) = right else { return step.slot.replace(left, guard) };
    let pair = vec![InnerSlot::new(left), InnerSlot::new(right)];
    let Some(Step { node, child, .. }) = above.last().copied() else {
        step.slot.replace(Inner::new(vec![fence], Children::Inners(pair.into())), guard);
        return;
    };
    let Children::Inners(inners) = &node.children else { return };
    let mut fences = node.fences.to_vec();
    fences.insert(child, fence);
    let children = inners_with(inners, child, 1, pair, guard);
    let (left, right) = divide(fences, children, child + 1, Children::Inners);
    step.slot.retire(guard);
    put(above, left, right, guard);
}

/// Leaves nine tenths full, then the levels above them.
pub(super) fn bulk_load<K: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, RowId)>) -> Btree {
    const FILL: usize = LEAF_ENTRIES * 9 / 10;
    let mut leaves: Vec<LeafSlot> = Vec::new();
    let mut fences: Vec<Fence> = Vec::new();
    let mut block = Vec::new();
    let mut run: Vec<(K, RowId)> = Vec::with_capacity(FILL);
    let (mut bytes, mut count) = (0, 0);
    let mut late = Vec::new();
    for (key, row) in entries {
        count_step();
        if let Some(last) = run.last() {
            if (last.0.as_ref(), last.1) >= (key.as_ref(), row) {
                late.push((key, row));
                continue;
            }
            let full = run.len() == FILL || bytes > LEAF_BYTES * 9 / 10 && run.len() > LEAF_FEW;
            if full {
                fences.push(Fence::between((last.0.as_ref(), last.1), (key.as_ref(), row)));
                build(&run, &mut block);
                leaves.push(LeafSlot::new(&block));
                run.clear();
                bytes = 0;
            }
        }
        bytes += key.as_ref().len();
        run.push((key, row));
        count += 1;
    }
    build(&run, &mut block);
    leaves.push(LeafSlot::new(&block));
    let tree = of_leaves(fences, leaves, count);
    late.into_iter().for_each(|(key, row)| {
        tree.insert(key.as_ref(), row);
    });
    tree
}

/// A tree of these leaves, which have so many entries.
pub(super) fn of_leaves(fences: Vec<Fence>, leaves: Vec<LeafSlot>, count: usize) -> Btree {
    let tree = Btree::new();
    if !leaves.is_empty() {
        let guard = epoch::pin();
        tree.root.load(&guard).retire_children(&guard);
        tree.root.replace(stack(fences, leaves, Children::Leaves), &guard);
    }
    tree.len.store(count, Ordering::Relaxed);
    tree
}

/// Nodes above these children, and nodes above those, up to one.
fn stack<T>(fences: Vec<Fence>, children: Vec<T>, wrap: impl Fn(Box<[T]>) -> Children) -> Inner {
    const FILL: usize = CHILDREN * 9 / 10;
    if children.len() <= FILL {
        return Inner::new(fences, wrap(children.into()));
    }
    let (mut above, mut fences_above) = (Vec::new(), Vec::new());
    let (mut children, mut fences) = (children.into_iter(), fences.into_iter());
    loop {
        let part: Vec<T> = children.by_ref().take(FILL).collect();
        let own = fences.by_ref().take(part.len() - 1).collect();
        above.push(InnerSlot::new(Inner::new(own, wrap(part.into()))));
        match fences.next() {
            Some(fence) => fences_above.push(fence),
            None => return stack(fences_above, above, Children::Inners),
        }
    }
}
