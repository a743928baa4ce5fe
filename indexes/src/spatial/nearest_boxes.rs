//! Boxes by how near to a point what is in them may be: best first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crossbeam_epoch as epoch;
use vicinity_types::geo::EPSILON;

use super::cell::{Link, Seen};
use super::{Boxes, Cut, Entry, Inner};
use crate::RowId;

/// Where an entry stands among all: nearer, then the lower row, then by coordinates (a row that changed has several
/// entries). Distances are not negative: they order as their bits.
type Rank = (u64, RowId, [u64; 4]);

/// A search for the boxes between bounds that are near to a point. Those with a coordinate that is not finite count as
/// near as can be: nothing is known of them.
#[derive(Debug)]
pub struct NearestBoxes {
    point: [f64; 2],
    low: [f64; 4],
    high: [f64; 4],
    /// The entry given last.
    after: Option<Rank>,
    blocks: u64,
}

/// A part of the tree: between which coordinates its entries are.
struct Part<'g> {
    node: &'g Link<4>,
    low: [f64; 4],
    high: [f64; 4],
}

/// What is still to be looked at, or given. A part goes before entries equally near: it may have some that do, too.
enum Next<'g> {
    Part(u64, Part<'g>),
    Entry(Rank),
}

impl Next<'_> {
    fn rank(&self) -> (u64, Option<&Rank>) {
        match self {
            Next::Part(near, _) => (*near, None),
            Next::Entry(rank) => (rank.0, Some(rank)),
        }
    }
}

impl PartialEq for Next<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next<'_> {}

impl PartialOrd for Next<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Next<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

type Queue<'g> = BinaryHeap<Reverse<Next<'g>>>;

impl NearestBoxes {
    /// All boxes whose coordinates lie between bounds, around a point.
    pub fn new(point: [f64; 2], low: [f64; 4], high: [f64; 4]) -> NearestBoxes {
        NearestBoxes { point, low, high, after: None, blocks: 0 }
    }

    /// Blocks of the tree read so far.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// How near what is in a box may be: a little less than the box is, for what is rounded in computing either, and as
    /// a polygon has what is within a tolerance outside of it. Never less for an entry that comes later.
    pub fn bound(&self, at: &[f64; 4]) -> f64 {
        let [x, y] = self.point.map(f64::abs);
        let distance = self.square(at).sqrt();
        let bound = distance * (1.0 - 1e-9) - (x + y) * 1e-12 - 10.0 * EPSILON;
        if bound > 0.0 { bound } else { 0.0 }
    }

    /// The square of the distance of a box. As rounding keeps the order of numbers, no part of a box is nearer than it.
    fn square(&self, at: &[f64; 4]) -> f64 {
        if !at.iter().all(|v| v.is_finite()) {
            return 0.0;
        }
        let ([lx, ly, hx, hy], [x, y]) = (*at, self.point);
        let (dx, dy) = (gap(lx, hx, x), gap(ly, hy, y));
        dx * dx + dy * dy
    }

    /// The next entries, in order, at most `k`; false if those are all.
    pub fn next_batch(&mut self, index: &Boxes, k: usize, out: &mut Vec<Entry<4>>) -> bool {
        out.clear();
        let guard = epoch::pin();
        let mut queue = Queue::new();
        let all = ([f64::NEG_INFINITY; 4], [f64::INFINITY; 4]);
        self.wait(Part { node: &index.root, low: all.0, high: all.1 }, &mut queue);
        index.each_odd(|at, row| self.offer(at, row, &mut queue));
        while let Some(Reverse(next)) = queue.pop() {
            match next {
                Next::Entry(rank) => {
                    // A slot that was being filled may have shown its new row at the coordinates of another entry of
                    // that row.
                    if self.after == Some(rank) {
                        continue;
                    }
                    if out.len() >= k {
                        return true;
                    }
                    self.after = Some(rank);
                    out.push(Entry { at: rank.2.map(f64::from_bits), row: rank.1 });
                }
                Next::Part(_, part) => {
                    self.blocks += 1;
                    match part.node.load(&guard) {
                        Seen::Inner(inner) => {
                            halves(&part, inner).into_iter().for_each(|p| self.wait(p, &mut queue));
                        }
                        Seen::Leaf(leaf) => leaf.each(|at, slot| {
                            let ends = at.iter().zip(&self.low).zip(&self.high);
                            let inside = ends.into_iter().all(|((v, l), h)| l <= v && v <= h);
                            if inside && let Some(row) = slot.row() {
                                self.offer(at, row, &mut queue);
                            }
                        }),
                    }
                }
            }
        }
        false
    }

    fn wait<'g>(&self, part: Part<'g>, queue: &mut Queue<'g>) {
        let apart = |((l, h), (low, high))| h < low || l > high;
        let ends = part.low.iter().zip(&part.high).zip(self.low.iter().zip(&self.high));
        if !ends.into_iter().any(apart) {
            // The box of all of them: from the least low corner to the greatest high one.
            let ([lx, ly, ..], [.., hx, hy]) = (part.low, part.high);
            let [x, y] = self.point;
            let finite = |v: f64, at: f64| if v.is_finite() { v } else { at };
            let around = [finite(lx, x), finite(ly, y), finite(hx, x), finite(hy, y)];
            queue.push(Reverse(Next::Part(self.square(&around).to_bits(), part)));
        }
    }

    fn offer(&self, at: [f64; 4], row: RowId, queue: &mut Queue<'_>) {
        let rank = (self.square(&at).to_bits(), row, at.map(f64::to_bits));
        if self.after.is_none_or(|after| rank > after) {
            queue.push(Reverse(Next::Entry(rank)));
        }
    }
}

/// How far a coordinate is from a range.
fn gap(low: f64, high: f64, v: f64) -> f64 {
    if v < low {
        low - v
    } else if v > high {
        v - high
    } else {
        0.0
    }
}

/// The halves of a part.
fn halves<'g>(part: &Part<'g>, inner: &'g Inner<4>) -> [Part<'g>; 2] {
    let [first, second] = &inner.below;
    let (mut high, mut low) = (part.high, part.low);
    if let Cut::At { axis, value } = inner.cut {
        let axis = usize::from(axis);
        if let Some(high) = high.get_mut(axis) {
            *high = value;
        }
        if let Some(low) = low.get_mut(axis) {
            *low = value;
        }
    }
    [Part { node: first, low: part.low, high }, Part { node: second, low, high: part.high }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(i: u64) -> Entry<4> {
        let spread = |seed: u64| ((i * seed) % 1009) as f64 / 3.0 - 150.0;
        let ([x, y], [w, h]) =
            ([7919, 104_729].map(spread), [31, 37].map(|s| spread(s).abs() / 20.0));
        Entry { at: [x, y, x + w, y + h], row: i }
    }

    #[test]
    fn batches_give_all_in_order() {
        let mut entries: Vec<_> = (0..3000).map(entry).collect();
        let odd = Entry { at: [f64::NAN; 4], row: 5000 };
        let index = Boxes::build(entries.iter().chain([&odd]).copied().collect());
        let mut search = NearestBoxes::new([3.0, 4.0], [f64::NEG_INFINITY; 4], [f64::INFINITY; 4]);
        let (mut found, mut batch, mut k) = (Vec::new(), Vec::new(), 1);
        loop {
            let more = search.next_batch(&index, k, &mut batch);
            found.append(&mut batch);
            if !more {
                break;
            }
            k *= 3;
        }
        entries.push(odd);
        entries.sort_by_key(|e| (search.square(&e.at).to_bits(), e.row));
        let rows = |of: &[Entry<4>]| of.iter().map(|e| e.row).collect::<Vec<_>>();
        assert_eq!(rows(&found), rows(&entries));
    }

    #[test]
    fn bounds_leave_others_out() {
        let entries: Vec<_> = (0..3000).map(entry).collect();
        let index = Boxes::build(entries.clone());
        let (low, high) = ([-20.0, -20.0, -20.0, -20.0], [30.0, 30.0, 30.0, 30.0]);
        let mut search = NearestBoxes::new([0.0, 0.0], low, high);
        let mut batch = Vec::new();
        assert!(!search.next_batch(&index, 10_000, &mut batch));
        let inside = |e: &&Entry<4>| e.at.iter().all(|v| (-20.0..=30.0).contains(v));
        let mut expected: Vec<_> = entries.iter().filter(inside).map(|e| e.row).collect();
        expected.sort_unstable();
        let mut rows: Vec<_> = batch.iter().map(|e| e.row).collect();
        rows.sort_unstable();
        assert_eq!(rows, expected);
    }
}
