//! Entries by their distance from a point: a branch at a time, the nearer half first, as far as the k-th so far.

use std::cmp::Ordering;

use crossbeam_epoch as epoch;
use smallvec::SmallVec;
use vicinity_types::geo::hypotenuse;

use super::cell::{Link, Seen};
use super::lanes;
use super::leaf::Leaf;
use super::region::{Region, farthest_square, nearest_square, square, widened};
use super::{Cut, Inner, Points};
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
    node: &'g Link<2>,
    low: [f64; 2],
    high: [f64; 2],
    near: f64,
}

/// What was found, and the best of it by keys: the upper half of the squared distance, then the place in `found`. A
/// square tells near from far but for its last digits, and its upper half but for a millionth more; [`Best::finish`]
/// puts the operator's own distances in their place.
struct Best<'a> {
    search: &'a Nearest,
    k: usize,
    /// Beyond this squared distance nothing is of the region.
    limit: f64,
    /// Within this one there should be more than is wanted, once that could be told.
    hope: Option<f64>,
    /// Beyond this one nothing is looked at.
    bound: f64,
    /// The circle is around the point: within this squared distance everything is in it.
    inside: Option<f64>,
    /// So many keys are too many.
    full: usize,
    keys: Vec<u64>,
    found: Vec<Found>,
}

/// The half of a key that says where.
const PLACE: u64 = 0xffff_ffff;

/// Distances and their squares are not negative, and their NaN is the positive one: they order as their bits.
#[inline]
fn key(distance: f64, place: usize) -> u64 {
    (distance.to_bits() & !PLACE) | (place as u64 & PLACE)
}

#[inline]
fn place(key: u64) -> usize {
    (key & PLACE) as usize
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

    /// The next entries, in order, `k` or a little fewer; false if those are all. `soon` is told of their rows before
    /// they are in order: time for the cache to get them.
    pub fn next_batch(
        &mut self,
        index: &Points,
        k: usize,
        soon: impl FnMut(RowId),
        out: &mut Vec<Found>,
    ) -> bool {
        out.clear();
        if k == 0 {
            return true;
        }
        let radius = self.region.radius_around(self.point);
        let limit = radius.map_or(f64::INFINITY, square);
        let inside = radius.map(|r| r * r * (1.0 - 1e-9) - 1e-300).filter(|i| i.is_finite());
        let room = || enough(k).min(SOME);
        let mut best = Best {
            search: self,
            k,
            limit,
            hope: None,
            bound: limit,
            inside,
            full: enough(k),
            keys: Vec::with_capacity(room()),
            found: Vec::with_capacity(room()),
        };
        let mut blocks = best.look(index);
        // Once it is well beyond the hope, and then wherever there is anything.
        for times in [8.0, f64::INFINITY] {
            if let Some(hope) = best.hope.filter(|hope| best.keys.len() < k && *hope < limit) {
                blocks += best.look_again(index, hope.max(f64::MIN_POSITIVE) * times);
            }
        }
        if !index.odd.is_empty() && (best.keys.len() < k || !best.bound.is_finite()) {
            index.each_odd(|at, row| best.offer_odd(at, row));
        }
        let more = best.keys.len() >= k;
        best.finish(soon, out);
        self.blocks += blocks;
        self.after = out.last().copied().or(self.after);
        more
    }

    /// The distance as the operator computes it, to the last bit.
    #[inline]
    fn exact(&self, [x, y]: [f64; 2]) -> f64 {
        let [qx, qy] = self.point;
        hypotenuse(x - qx, y - qy)
    }
}

/// Room for so many at first.
const SOME: usize = 1024;

/// How many are kept of whom the best `k` are wanted.
fn enough(k: usize) -> usize {
    k.saturating_add((k / 2).max(4))
}

impl Best<'_> {
    /// Looks at every part of the tree that may have something better.
    fn look(&mut self, index: &Points) -> u64 {
        let guard = epoch::pin();
        let mut blocks = 0;
        let mut waiting: SmallVec<[Part<'_>; 24]> = SmallVec::new();
        let (low, high) = ([f64::NEG_INFINITY; 2], [f64::INFINITY; 2]);
        waiting.push(Part { node: &index.root, low, high, near: 0.0 });
        while let Some(mut part) = waiting.pop() {
            if part.near > self.bound {
                continue;
            }
            blocks += 1;
            let leaf = loop {
                match part.node.load(&guard) {
                    Seen::Leaf(leaf) => break leaf,
                    Seen::Inner(inner) => {
                        let (near, far) = self.halves(&part, inner);
                        if far.near <= self.bound && self.wants(&far) {
                            far.node.prefetch(&guard);
                            waiting.push(far);
                        }
                        part = near;
                    }
                }
            };
            if self.wants(&part) {
                part.node.prefetch(&guard);
                if blocks == 1 && self.hope.is_none() {
                    self.hope(&part, leaf);
                }
                self.scan(leaf);
            }
        }
        blocks
    }

    /// Guesses from the first leaf how far one has to go: half as much again as the area that so many of its entries
    /// would take.
    fn hope(&mut self, part: &Part<'_>, leaf: &Leaf<2>) {
        let [width, height] = std::array::from_fn(|axis| {
            part.high.get(axis).zip(part.low.get(axis)).map_or(f64::INFINITY, |(h, l)| h - l)
        });
        let each = width * height / leaf.count() as f64;
        // Of what is behind the entry given last, as many may be left out.
        if each.is_finite() && self.search.after.is_none() {
            let hope = 1.5 * each * self.k as f64 / std::f64::consts::PI;
            self.hope = Some(hope);
            self.bound = self.limit.min(hope);
        }
    }

    /// There was less than was hoped for: looks again, farther away.
    fn look_again(&mut self, index: &Points, farther: f64) -> u64 {
        self.hope = Some(farther);
        self.bound = self.limit.min(farther);
        self.keys.clear();
        self.found.clear();
        self.look(index)
    }

    /// The halves of a part: the one the point is in or nearer to, and the other.
    #[inline]
    fn halves<'g>(&self, part: &Part<'g>, inner: &'g Inner<2>) -> (Part<'g>, Part<'g>) {
        let [first, second] = &inner.below;
        let half = |node, low, high| Part { node, low, high, near: part.near };
        let (mut low, mut high) = (part.low, part.high);
        let Cut::At { axis, value } = inner.cut else {
            return (half(first, low, high), half(second, low, high));
        };
        let axis = usize::from(axis);
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
        for slot in lanes::each(leaf.near(self.search.point, self.bound)) {
            let at = leaf.at(slot);
            let [x, y] = at;
            let (dx, dy) = (x - qx, y - qy);
            let square = dx * dx + dy * dy;
            // The bound may be less by now.
            if square > self.bound {
                continue;
            }
            let distance = if square.is_nan() { self.search.exact(at) } else { square };
            if self.is_wanted(at, distance)
                && let Some(row) = leaf.row(slot)
            {
                self.keep(distance, row, at);
            }
        }
    }

    /// Whether the region has a point, whose squared distance is given.
    #[inline]
    fn is_wanted(&self, at: [f64; 2], square: f64) -> bool {
        let region = &self.search.region;
        let reached = self.inside.is_some_and(|inside| square <= inside) || region.in_reach(at);
        reached && region.in_bounds(at)
    }

    /// Takes an entry that is not finite: infinitely far, or NaN.
    fn offer_odd(&mut self, at: [f64; 2], row: RowId) {
        let distance = self.search.exact(at);
        if self.is_wanted(at, distance) {
            self.keep(distance, row, at);
        }
    }

    /// Whether an entry came with the last batch or one before.
    #[inline]
    fn was_given(&self, row: RowId, at: [f64; 2]) -> bool {
        let entry = || Found { distance: self.search.exact(at), row, at };
        self.search.after.as_ref().is_some_and(|after| entry().order(after).is_le())
    }

    // Called for every candidate from one place; those of the other are few.
    #[inline(always)]
    fn keep(&mut self, distance: f64, row: RowId, at: [f64; 2]) {
        if self.was_given(row, at) {
            return;
        }
        self.keys.push(key(distance, self.found.len()));
        self.found.push(Found { distance, row, at });
        if self.keys.len() >= self.full {
            self.cut();
        }
    }

    /// Drops who is surely not among the best k.
    #[cold]
    fn cut(&mut self) {
        let (_, kth, rest) = self.keys.select_nth_unstable(self.k - 1);
        let edge = f64::from_bits(*kth | PLACE);
        // Of what is infinitely far nobody can be told from others yet.
        if edge.is_finite() {
            self.bound = self.bound.min(widened(edge));
            let last = self.bound.to_bits() | PLACE;
            let mut kept = 0;
            for i in 0..rest.len() {
                if rest.get(i).is_some_and(|key| *key <= last) {
                    rest.swap(kept, i);
                    kept += 1;
                }
            }
            self.keys.truncate(self.k + kept);
        }
        // What is equally far must not be looked at again and again.
        self.full = enough(self.k).max(self.keys.len().saturating_mul(2));
        if self.found.len() > self.full.saturating_mul(4) {
            self.tidy();
        }
    }

    /// Forgets what no key leads to.
    fn tidy(&mut self) {
        let mut kept = Vec::with_capacity(self.full);
        for old in &mut self.keys {
            if let Some(found) = self.found.get(place(*old)) {
                *old = key(found.distance, kept.len());
                kept.push(*found);
            }
        }
        self.found = kept;
    }

    /// The best k, in order.
    fn finish(mut self, mut soon: impl FnMut(RowId), out: &mut Vec<Found>) {
        if self.keys.len() > self.k {
            self.cut();
        }
        for old in &mut self.keys {
            let place = place(*old);
            if let Some(found) = self.found.get_mut(place) {
                soon(found.row);
                found.distance = self.search.exact(found.at);
                *old = key(found.distance, place);
            }
        }
        self.keys.sort_unstable();
        out.extend(self.keys.iter().filter_map(|key| self.found.get(place(*key))));
        // Keys have half of the distance: what they say is equal has an order still.
        let is_equal = |a: &Found, b: &Found| key(a.distance, 0) == key(b.distance, 0);
        for equal in out.chunk_by_mut(is_equal).filter(|equal| equal.len() > 1) {
            equal.sort_unstable_by(Found::order);
        }
        // A slot that was being filled may have shown its new row at the coordinates of another entry of that row.
        out.dedup_by(|a, b| a.order(b).is_eq());
        out.truncate(self.k);
    }
}
