//! Entries by their distance from a point: a branch at a time, the nearer half first, as far as the k-th so far.

use std::cmp::Ordering;

use crossbeam_epoch as epoch;
use smallvec::SmallVec;
use vicinity_types::geo::hypotenuse;

use super::leaf::Leaf;
use super::region::{Region, farthest_square, nearest_square, square};
use super::{Cut, Inner, Node, Points};
use crate::RowId;

/// An entry that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// As `point <-> point` gives it; NaN is farther than infinity.
    pub distance: f64,
    /// The row.
    pub row: RowId,
    /// Where the entry has it.
    pub at: [f64; 2],
}

impl Found {
    /// Distances are not negative, and their NaN is the positive one: they order as their bits.
    #[inline]
    fn key(&self) -> u128 {
        u128::from(self.distance.to_bits()) << 64 | u128::from(self.row)
    }

    /// Total: nearer, then the lower row, then by coordinates (a row that moved has several entries).
    #[inline]
    fn order(&self, other: &Found) -> Ordering {
        let (own, theirs) = (self.key(), other.key());
        if own < theirs {
            Ordering::Less
        } else if own > theirs {
            Ordering::Greater
        } else {
            self.at.map(f64::to_bits).cmp(&other.at.map(f64::to_bits))
        }
    }
}

/// A search that hands out entries in order of distance, a batch at a time. It keeps no place in the tree but the last
/// entry given: each batch looks for what comes behind it. Entries that are there all the time come out once each.
#[derive(Clone, Debug)]
pub struct Nearest {
    point: [f64; 2],
    region: Region,
    after: Option<Found>,
    blocks: u64,
}

/// A part of the plane still to be looked at.
struct Part<'g> {
    node: &'g Node<2>,
    low: [f64; 2],
    high: [f64; 2],
    near: f64,
}

/// The best so far.
struct Best<'a> {
    search: &'a Nearest,
    k: usize,
    /// Beyond this squared distance nothing is wanted.
    bound: f64,
    /// The circle is around the point: its radius.
    radius: Option<f64>,
    out: &'a mut Vec<Found>,
}

impl Nearest {
    /// All entries of a region around a point.
    pub fn new(point: [f64; 2], region: Region) -> Nearest {
        Nearest { point, region, after: None, blocks: 0 }
    }

    /// Blocks of the tree read so far.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The next `k` entries, in order; false if those are all.
    pub fn next_batch(&mut self, index: &Points, k: usize, out: &mut Vec<Found>) -> bool {
        out.clear();
        if k == 0 {
            return true;
        }
        let radius = self.region.radius_around(self.point);
        let bound = radius.map_or(f64::INFINITY, square);
        let mut best = Best { search: self, k, bound, radius, out };
        let blocks = best.look(index);
        if !index.odd.is_empty() && (best.out.len() < k || !best.bound.is_finite()) {
            index.each_odd(|at, row| best.offer(at, || Some(row)));
        }
        best.cut();
        self.blocks += blocks;
        out.sort_unstable_by(Found::order);
        self.after = out.last().copied().or(self.after);
        out.len() == k
    }
}

impl Best<'_> {
    /// Looks at every part of the tree that may have something better.
    fn look(&mut self, index: &Points) -> u64 {
        let guard = epoch::pin();
        let mut blocks = 0;
        let mut waiting: SmallVec<[Part<'_>; 24]> = SmallVec::new();
        let (low, high) = ([f64::NEG_INFINITY; 2], [f64::INFINITY; 2]);
        waiting.push(Part { node: index.root.load(&guard), low, high, near: 0.0 });
        while let Some(mut part) = waiting.pop() {
            if part.near > self.bound {
                continue;
            }
            blocks += 1;
            while let Node::Inner(inner) = part.node {
                let (near, far) = self.halves(&part, inner, &guard);
                if far.near <= self.bound && self.wants(&far) {
                    waiting.push(far);
                }
                part = near;
            }
            if let Node::Leaf(leaf) = part.node
                && self.wants(&part)
            {
                self.scan(leaf);
            }
        }
        blocks
    }

    /// The halves of a part: the one the point is in or nearer to, and the other.
    #[inline]
    fn halves<'g>(
        &self,
        part: &Part<'g>,
        inner: &'g Inner<2>,
        guard: &'g epoch::Guard,
    ) -> (Part<'g>, Part<'g>) {
        let [first, second] = &inner.below;
        let half = |node, low, high| Part { node, low, high, near: part.near };
        let (first, second) = (first.load(guard), second.load(guard));
        let (mut low, mut high) = (part.low, part.high);
        let Cut::At { axis, value } = inner.cut else {
            return (half(first, low, high), half(second, low, high));
        };
        if let (Some(l), Some(h)) = (low.get_mut(axis), high.get_mut(axis)) {
            (*l, *h) = (value, value);
        }
        let first = half(first, part.low, high);
        let second = half(second, low, part.high);
        let is_first = self.search.point.get(axis).is_some_and(|v| *v < value);
        let (near, mut far) = if is_first { (first, second) } else { (second, first) };
        far.near = nearest_square(&far.low, &far.high, self.search.point);
        (near, far)
    }

    /// Whether a part has something of the region that was not given before.
    #[inline]
    fn wants(&self, part: &Part<'_>) -> bool {
        let Nearest { point, region, after, .. } = self.search;
        let given = |last: &Found| {
            let far = farthest_square(&part.low, &part.high, *point);
            square(far.sqrt()) < last.distance * last.distance
        };
        !region.misses(&part.low, &part.high) && !after.as_ref().is_some_and(given)
    }

    #[inline]
    fn scan(&mut self, leaf: &Leaf<2>) {
        let [qx, qy] = self.search.point;
        leaf.each(|at, slot| {
            let [x, y] = at;
            let (dx, dy) = (x - qx, y - qy);
            if dx * dx + dy * dy > self.bound {
                return;
            }
            self.offer(at, || slot.row());
        });
    }

    /// Takes an entry if it is wanted.
    #[inline]
    fn offer(&mut self, at: [f64; 2], row: impl FnOnce() -> Option<RowId>) {
        let Nearest { point: [qx, qy], region, after, .. } = self.search;
        let [x, y] = at;
        // As the operator computes it, to the last bit.
        let distance = hypotenuse(x - qx, y - qy);
        let reached = match self.radius {
            Some(radius) => distance <= radius,
            None => region.in_reach(at),
        };
        if !reached || !region.in_bounds(at) {
            return;
        }
        let Some(row) = row() else { return };
        let found = Found { distance, row, at };
        if after.as_ref().is_some_and(|a| found.order(a).is_le()) {
            return;
        }
        self.out.push(found);
        if self.out.len() >= self.k.saturating_add((self.k / 2).max(4)) {
            self.cut();
        }
    }

    /// Keeps the best k.
    fn cut(&mut self) {
        if self.out.len() < self.k {
            return;
        }
        let last = self.k - 1;
        let (_, kth, _) = self.out.select_nth_unstable_by(last, Found::order);
        let kth = square(kth.distance);
        self.out.truncate(self.k);
        if kth < self.bound {
            self.bound = kth;
        }
    }
}
