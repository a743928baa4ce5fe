//! Changes of the tree's shape: building, splitting, merging, building a branch anew.

use crossbeam_epoch::Guard;

use super::cell::{Link, Seen};
use super::leaf::{CAPACITY, Leaf};
use super::{Cut, Entry, Inner, Node, Spatial};

/// Entries of a leaf just built: room for some before it splits.
const FILL: usize = CAPACITY * 3 / 4;
/// Branches larger than this are built by several threads.
const PARALLEL: usize = 1 << 14;
/// Entries of one piece of work.
const ASIDE: usize = 1 << 12;

/// For work that others wait for.
fn in_one_go() {}

/// The tree of these entries. Between pieces of the work `aside` is called.
pub(super) fn built<const D: usize>(entries: &mut [Entry<D>], aside: fn()) -> Node<D> {
    if entries.len() <= FILL {
        return Node::Leaf(Leaf::new(entries));
    }
    let (cut, at) = halves(entries, aside);
    let parallel = entries.len() > PARALLEL;
    let (first, second) = entries.split_at_mut(at);
    let (first, second) = if parallel {
        rayon::join(|| built(first, aside), || built(second, aside))
    } else {
        (built(first, aside), built(second, aside))
    };
    Node::Inner(Box::new(Inner { cut, below: [Link::new(first), Link::new(second)] }))
}

/// Cuts entries near the middle of their widest axis and puts those of the first half first; neither half is empty.
fn halves<const D: usize>(entries: &mut [Entry<D>], aside: fn()) -> (Cut, usize) {
    let mut low = [f64::INFINITY; D];
    let mut high = [f64::NEG_INFINITY; D];
    for some in entries.chunks(ASIDE) {
        for e in some {
            for ((l, h), v) in low.iter_mut().zip(&mut high).zip(e.at) {
                (*l, *h) = (l.min(v), h.max(v));
            }
        }
        if some.len() == ASIDE {
            aside();
        }
    }
    let spread = |axis: &usize| match (low.get(*axis), high.get(*axis)) {
        (Some(l), Some(h)) => h - l,
        _ => 0.0,
    };
    let middle = entries.len() / 2;
    let widest = (0..D).max_by(|a, b| spread(a).total_cmp(&spread(b))).filter(|a| spread(a) > 0.0);
    let Some(axis) = widest else {
        let (_, e, _) = entries.select_nth_unstable_by_key(middle, |e| e.row);
        return (Cut::Row(e.row), middle);
    };
    let value = |e: &Entry<D>| e.at.get(axis).copied().unwrap_or(0.0);
    let mut compared = 0;
    let (_, e, _) = entries.select_nth_unstable_by(middle, |a, b| {
        compared += 1;
        if compared % (4 * ASIDE) == 0 {
            aside();
        }
        value(a).total_cmp(&value(b))
    });
    let mut cut = value(e);
    if low.get(axis).is_some_and(|l| cut <= *l) {
        // More than half are the least: what is greater goes into the second half.
        let above = entries.iter().map(value).filter(|v| *v > cut);
        cut = above.fold(f64::INFINITY, f64::min);
    }
    let cut = Cut::At { axis: u8::try_from(axis).unwrap_or(0), value: cut };
    (cut, partition(entries, |e| !cut.is_second(e)))
}

/// Puts what `first` holds for in front; how many that are.
fn partition<const D: usize>(entries: &mut [Entry<D>], first: impl Fn(&Entry<D>) -> bool) -> usize {
    let mut at = 0;
    for i in 0..entries.len() {
        if entries.get(i).is_some_and(&first) {
            entries.swap(at, i);
            at += 1;
        }
    }
    at
}

/// Leaves below a link.
fn leaves<const D: usize>(link: &Link<D>, guard: &Guard) -> usize {
    match link.load(guard) {
        Seen::Inner(inner) => inner.below.iter().map(|l| leaves(l, guard)).sum(),
        Seen::Leaf(_) => 1,
    }
}

/// Takes all entries out of the leaves below a link, which is about to be replaced.
fn withdraw<const D: usize>(link: &Link<D>, guard: &Guard, out: &mut Vec<Entry<D>>) {
    match link.load(guard) {
        Seen::Inner(inner) => inner.below.iter().for_each(|l| withdraw(l, guard, out)),
        Seen::Leaf(leaf) => {
            *leaf.replaced.lock() = true;
            leaf.entries(out);
        }
    }
}

fn log2(n: usize) -> usize {
    n.max(1).ilog2() as usize
}

impl<const D: usize> Spatial<D> {
    /// The links from the root to the leaf an entry belongs to.
    fn path<'g>(&'g self, entry: &Entry<D>, guard: &'g Guard) -> Vec<&'g Link<D>> {
        let mut path = vec![&self.root];
        let mut at = &self.root;
        while let Seen::Inner(inner) = at.load(guard) {
            at = inner.of(entry);
            path.push(at);
        }
        path
    }

    /// Makes room in the leaf an entry belongs to, if it is still full.
    #[cold]
    pub(super) fn split(&self, entry: &Entry<D>, guard: &Guard) {
        let _alone = self.shape.lock();
        let path = self.path(entry, guard);
        let Some(link) = path.last() else { return };
        let Seen::Leaf(leaf) = link.load(guard) else { return };
        let mut entries: Vec<Entry<D>> = Vec::with_capacity(CAPACITY);
        {
            let mut replaced = leaf.replaced.lock();
            leaf.entries(&mut entries);
            if entries.len() < CAPACITY {
                return;
            }
            *replaced = true;
        }
        link.put(built(&mut entries, in_one_go), guard);
        let deep = 8 + 2 * log2(self.len() / (CAPACITY / 4));
        if path.len() > deep {
            self.balance(&path, guard);
        }
    }

    /// Builds the smallest branch on a path anew that is much deeper than its leaves ask for (as scapegoat trees do).
    fn balance(&self, path: &[&Link<D>], guard: &Guard) {
        let found = path.iter().rev().enumerate().skip(1).find(|(height, link)| {
            // Half as deep again as it could be, and a little.
            *height > 2 + log2(leaves(link, guard)) * 3 / 2
        });
        let Some((_, link)) = found else { return };
        let mut entries = Vec::new();
        withdraw(link, guard, &mut entries);
        let below = match link.load(guard) {
            Seen::Inner(inner) => inner.below.as_slice(),
            Seen::Leaf(_) => &[],
        };
        // What is taken out stays readable, links and all, as long as the guard.
        link.put(built(&mut entries, in_one_go), guard);
        below.iter().for_each(|l| l.retire_all(guard));
    }

    /// Puts a leaf with few entries and its neighbour together, where both fit one leaf or it has none.
    #[cold]
    pub(super) fn merge(&self, entry: &Entry<D>, guard: &Guard) {
        // Somebody else's change of shape is no reason to wait: the next removal comes by again.
        let Some(_alone) = self.shape.try_lock() else { return };
        let path = self.path(entry, guard);
        let [.., parent, own] = path.as_slice() else { return };
        let (Seen::Inner(inner), Seen::Leaf(leaf)) = (parent.load(guard), own.load(guard)) else {
            return;
        };
        let [first, second] = &inner.below;
        let other = if std::ptr::eq(*own, first) { second } else { first };
        let mut mine = leaf.replaced.lock();
        let mut entries: Vec<Entry<D>> = Vec::with_capacity(CAPACITY);
        leaf.entries(&mut entries);
        match other.load(guard) {
            Seen::Inner(_) if entries.is_empty() => {
                *mine = true;
                parent.adopt(other, guard);
            }
            Seen::Leaf(neighbour) if entries.len() < CAPACITY / 4 => {
                let mut theirs = neighbour.replaced.lock();
                neighbour.entries(&mut entries);
                if entries.len() > CAPACITY / 2 {
                    return;
                }
                (*mine, *theirs) = (true, true);
                drop(theirs);
                parent.put(Node::Leaf(Leaf::new(&entries)), guard);
                other.retire_all(guard);
            }
            _ => return,
        }
        drop(mine);
        own.retire_all(guard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RowId;

    fn height<const D: usize>(link: &Link<D>, guard: &Guard) -> usize {
        match link.load(guard) {
            Seen::Inner(i) => 1 + i.below.iter().map(|l| height(l, guard)).max().unwrap_or(0),
            Seen::Leaf(_) => 0,
        }
    }

    #[test]
    fn entries_that_come_in_order_leave_no_deep_branch() {
        let index = Spatial::<2>::new();
        for i in 0..50_000u32 {
            index.insert([f64::from(i), 0.5 * f64::from(i)], RowId::from(i));
        }
        let guard = crossbeam_epoch::pin();
        assert!(height(&index.root, &guard) < 40, "{}", height(&index.root, &guard));
    }

    #[test]
    fn a_tree_that_is_emptied_is_a_leaf() {
        let index = Spatial::<2>::new();
        let at = |i: u32| [f64::from(i % 97), f64::from(i % 89)];
        (0..5_000).for_each(|i| assert!(index.insert(at(i), RowId::from(i))));
        (0..5_000).for_each(|i| assert!(index.remove(at(i), RowId::from(i))));
        let guard = crossbeam_epoch::pin();
        assert!(height(&index.root, &guard) <= 1);
        assert!(index.is_empty());
    }
}
