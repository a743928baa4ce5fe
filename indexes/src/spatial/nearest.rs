//! Entries by their distance from a point: a branch at a time, the nearer half first, as far as the k-th so far.

use std::cell::Cell;
use std::mem::take;

use crossbeam_epoch as epoch;
use smallvec::SmallVec;
use vicinity_types::geo::hypotenuse;

use super::cell::{Link, Seen};
use super::lanes;
use super::leaf::Leaf;
use super::region::{Region, farthest_square, nearest_square, square, widened};
use super::{Cut, Entry, Inner, Points};
use crate::RowId;

/// An entry that was found.
pub type Found = Entry<2>;

/// Where an entry stands among all: nearer, then the lower row, then by coordinates (a row that moved has several
/// entries). Distances are not negative, and their NaN is the positive one: they order as their bits.
type Rank = (u64, RowId, [u64; 2]);

/// Entries found, in order. The thread keeps the memory of one of the usual size for the next.
#[derive(Debug)]
pub struct Batch {
    /// Keys, see [`key`], of the best of `found`.
    keys: Vec<u64>,
    found: Vec<Found>,
}

thread_local! {
    static SPARE: Cell<(Vec<u64>, Vec<Found>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

impl Default for Batch {
    fn default() -> Self {
        let (keys, found) = SPARE.try_with(Cell::take).unwrap_or_default();
        Batch { keys, found }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.found.capacity() <= SOME {
            self.clear();
            let spare = (take(&mut self.keys), take(&mut self.found));
            // A thread that ends keeps nothing.
            let _ = SPARE.try_with(|kept| kept.set(spare));
        }
    }
}

impl Batch {
    /// The entry at a place of the order.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&Found> {
        self.found.get(place(*self.keys.get(at)?))
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// No entries.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The entries from a place of the order on.
    pub fn from(&self, at: usize) -> impl Iterator<Item = &Found> {
        let keys = self.keys.get(at..).unwrap_or_default();
        keys.iter().filter_map(|key| self.found.get(place(*key)))
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.found.clear();
    }
}

/// A search that hands out entries in order of distance, a batch at a time. It keeps no place in the tree but the last
/// entry given: each batch looks for what comes behind it. Entries that are there all the time come out once each.
#[derive(Clone, Debug)]
pub struct Nearest {
    point: [f64; 2],
    region: Region,
    after: Option<Rank>,
    blocks: u64,
}

/// A part of the plane still to be looked at.
struct Part<'g> {
    node: &'g Link<2>,
    low: [f64; 2],
    high: [f64; 2],
    near: f64,
}

/// The best so far.
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
    batch: &'a mut Batch,
}

/// The half of a key that says where.
const PLACE: u64 = 0xffff_ffff;

/// The upper half of the squared distance, then the place in `found`. Squares are not negative, and their NaN is the
/// positive one: they order as their bits. A square tells near from far but for its last digits, and its upper half but
/// for a millionth more: only where upper halves are next to each other [`Best::finish`] asks the operator.
#[inline]
fn key(square: f64, place: usize) -> u64 {
    (square.to_bits() & !PLACE) | (place as u64 & PLACE)
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
        out: &mut Batch,
    ) -> bool {
        out.clear();
        if k == 0 {
            return true;
        }
        let radius = self.region.radius_around(self.point);
        let limit = radius.map_or(f64::INFINITY, square);
        let inside = radius.map(|r| r * r * (1.0 - 1e-9) - 1e-300).filter(|i| i.is_finite());
        out.keys.reserve(enough(k).min(SOME));
        out.found.reserve(enough(k).min(SOME));
        let mut best = Best {
            search: self,
            k,
            limit,
            hope: None,
            bound: limit,
            inside,
            full: enough(k),
            batch: out,
        };
        let mut blocks = best.look(index);
        // Once it is well beyond the hope, and then wherever there is anything.
        for times in [8.0, f64::INFINITY] {
            if let Some(hope) = best.hope.filter(|hope| best.batch.keys.len() < k && *hope < limit)
            {
                blocks += best.look_again(index, hope.max(f64::MIN_POSITIVE) * times);
            }
        }
        if !index.odd.is_empty() && (best.batch.keys.len() < k || !best.bound.is_finite()) {
            index.each_odd(|at, row| best.offer_odd(at, row));
        }
        let more = best.batch.keys.len() >= k;
        best.finish(soon);
        self.blocks += blocks;
        self.after =
            out.from(out.len().saturating_sub(1)).next().map(|last| self.rank(last)).or(self.after);
        more
    }

    /// How far an entry is, as `point <-> point` gives it, to the last bit; NaN is farther than infinity.
    #[inline]
    pub fn distance(&self, [x, y]: [f64; 2]) -> f64 {
        let [qx, qy] = self.point;
        hypotenuse(x - qx, y - qy)
    }

    fn rank(&self, found: &Found) -> Rank {
        (self.distance(found.at).to_bits(), found.row, found.at.map(f64::to_bits))
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
        // The leaf gone down to last: the cache gets it while the way to the next one is found.
        let mut coming: Option<&Leaf<2>> = None;
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
                if let Some(leaf) = coming.replace(leaf) {
                    self.scan(leaf);
                }
            }
        }
        if let Some(leaf) = coming {
            self.scan(leaf);
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
        self.batch.clear();
        self.look(index)
    }

    /// The halves of a part: the one the point is in or nearer to, and the other.
    #[inline]
    fn halves<'g>(&self, part: &Part<'g>, inner: &'g Inner<2>) -> (Part<'g>, Part<'g>) {
        let [first, second] = &inner.below;
        let half = |node, low, high| Part { node, low, high, near: part.near };
        let ([lx, ly], [hx, hy]) = (part.low, part.high);
        let Cut::At { axis, value } = inner.cut else {
            return (half(first, part.low, part.high), half(second, part.low, part.high));
        };
        // Chosen, not written to a place: what was just written in halves is slow to read as a whole.
        let [x, y] = self.search.point;
        let is_x = axis == 0;
        let (low, high) =
            if is_x { ([value, ly], [value, hy]) } else { ([lx, value], [hx, value]) };
        let first = half(first, part.low, high);
        let second = half(second, low, part.high);
        let is_first = if is_x { x } else { y } < value;
        let (near, mut far) = if is_first { (first, second) } else { (second, first) };
        far.near = nearest_square(&far.low, &far.high, self.search.point);
        (near, far)
    }

    /// Whether a part has something of the region that was not given before.
    #[inline]
    fn wants(&self, part: &Part<'_>) -> bool {
        let Nearest { point, region, after, .. } = self.search;
        let given = |(last, ..): &Rank| {
            let (far, last) =
                (farthest_square(&part.low, &part.high, *point), f64::from_bits(*last));
            square(far.sqrt()) < last * last
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
            let distance = if square.is_nan() { self.search.distance(at) } else { square };
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
        let distance = self.search.distance(at);
        if self.is_wanted(at, distance) {
            self.keep(distance, row, at);
        }
    }

    /// Whether an entry came with the last batch or one before.
    #[inline]
    fn was_given(&self, row: RowId, at: [f64; 2]) -> bool {
        self.search.after.is_some_and(|after| self.search.rank(&Found { at, row }) <= after)
    }

    // Called for every candidate from one place; those of the other are few.
    #[inline(always)]
    fn keep(&mut self, distance: f64, row: RowId, at: [f64; 2]) {
        if self.was_given(row, at) {
            return;
        }
        self.batch.keys.push(key(distance, self.batch.found.len()));
        self.batch.found.push(Found { at, row });
        if self.batch.keys.len() >= self.full {
            self.cut();
        }
    }

    /// Drops who is surely not among the best k.
    #[cold]
    fn cut(&mut self) {
        let (_, kth, rest) = self.batch.keys.select_nth_unstable(self.k - 1);
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
            self.batch.keys.truncate(self.k + kept);
        }
        // What is equally far must not be looked at again and again.
        self.full = enough(self.k).max(self.batch.keys.len().saturating_mul(2));
        if self.batch.found.len() > self.full.saturating_mul(4) {
            self.tidy();
        }
    }

    /// Forgets what no key leads to.
    fn tidy(&mut self) {
        let mut kept = Vec::with_capacity(self.full);
        for old in &mut self.batch.keys {
            if let Some(found) = self.batch.found.get(place(*old)) {
                *old = (*old & !PLACE) | (kept.len() as u64 & PLACE);
                kept.push(*found);
            }
        }
        self.batch.found = kept;
    }

    /// The best k, in order.
    fn finish(mut self, mut soon: impl FnMut(RowId)) {
        if self.batch.keys.len() > self.k {
            self.cut();
        }
        self.batch.from(0).for_each(|found| soon(found.row));
        let (search, Batch { keys, found }) = (self.search, self.batch);
        keys.sort_unstable();
        let found = |key: &u64| found.get(place(*key));
        let mut any = false;
        for equal in keys.chunk_by_mut(|a, b| (b >> 32) - (a >> 32) <= 1).filter(|e| e.len() > 1) {
            equal.sort_by_cached_key(|key| found(key).map(|found| search.rank(found)));
            any = true;
        }
        if any {
            // A slot that was being filled may have shown its new row at the coordinates of another entry of that row.
            keys.dedup_by(|a, b| {
                let bits =
                    |key: &u64| found(key).map(|found| (found.row, found.at.map(f64::to_bits)));
                bits(a) == bits(b)
            });
        }
        keys.truncate(self.k);
    }
}
