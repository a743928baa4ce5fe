//! Best-first search of the graph with a bounded pool, resumable: what falls out of the pool is kept aside.
#![allow(clippy::indexing_slicing)] // positions in vectors of its own

use super::Core;
use crate::vector::{Query, prefetch};

/// A node and its distance to the query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Near {
    pub(super) distance: f32,
    pub(super) id: u32,
    /// Its links were followed.
    pub(super) expanded: bool,
}

/// The state of one search; reused for the next.
#[derive(Default)]
pub(super) struct Beam {
    /// The nearest so far, in order.
    pub(super) pool: Vec<Near>,
    /// Met, but not in the pool.
    pub(super) rest: Vec<Near>,
    pub(super) visited: IdSet,
    found: Vec<u32>,
    pub(super) distances: Vec<f32>,
    /// Nodes whose links were followed.
    pub(super) expanded: u64,
}

impl Beam {
    pub(super) fn clear(&mut self) {
        self.pool.clear();
        self.rest.clear();
        self.visited.clear();
        self.expanded = 0;
    }

    /// Puts a node into the pool, or aside if `width` better ones are there; its place.
    #[inline]
    pub(super) fn offer(&mut self, near: Near, width: usize) -> Option<usize> {
        let full = self.pool.len() >= width;
        if full && self.pool.last().is_some_and(|worst| worst.distance <= near.distance) {
            self.rest.push(near);
            return None;
        }
        let at = self.pool.partition_point(|p| p.distance <= near.distance);
        if full && let Some(out) = self.pool.pop() {
            self.rest.push(out);
        }
        self.pool.insert(at, near);
        Some(at)
    }

    /// Follows links until all of the `width` nearest nodes in the pool were expanded.
    pub(super) fn run(&mut self, core: &Core, query: &Query, width: usize) {
        let graph = &core.graph;
        let mut at = 0;
        while at < self.pool.len() {
            if self.pool[at].expanded {
                at += 1;
                continue;
            }
            self.pool[at].expanded = true;
            self.expanded += 1;
            self.found.clear();
            for id in graph.neighbours(self.pool[at].id) {
                if self.visited.insert(id) {
                    prefetch(graph.code(id));
                    self.found.push(id);
                }
            }
            at += 1;
            if let Some(next) = self.pool.get(at) {
                graph.prefetch_links(next.id);
            }
            for i in 0..self.found.len() {
                let id = self.found[i];
                let distance = core.coder.distance(query, graph.code(id));
                if let Some(place) = self.offer(Near { distance, id, expanded: false }, width)
                    && place <= at
                {
                    at = at.min(place);
                    graph.prefetch_links(id);
                }
            }
        }
    }

    /// Begins a search at the landmarks.
    pub(super) fn enter(&mut self, core: &Core, query: &Query, width: usize) -> f32 {
        self.clear();
        let nearest = core.landmarks.read().nearest(&core.coder, query, &mut self.distances);
        let mut least = f32::INFINITY;
        for (distance, id) in nearest {
            least = least.min(distance);
            if self.visited.insert(id) {
                self.offer(Near { distance, id, expanded: false }, width);
            }
        }
        least
    }
}

/// A set of ids: open addressing, emptied in one go.
pub(super) struct IdSet {
    /// Ids plus one; 0 is empty.
    slots: Vec<u32>,
    len: usize,
    shift: u32,
}

impl Default for IdSet {
    fn default() -> Self {
        Self::with_bits(12)
    }
}

impl IdSet {
    fn with_bits(bits: u32) -> Self {
        IdSet { slots: vec![0; 1 << bits], len: 0, shift: 32 - bits }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn clear(&mut self) {
        if self.slots.len() > 1 << 16 {
            *self = Self::default();
        } else if self.len > 0 {
            self.slots.fill(0);
            self.len = 0;
        }
    }

    /// The slot that holds the key, or the empty one where it belongs.
    #[inline]
    fn find(&self, key: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (key.wrapping_mul(0x9E37_79B1) >> self.shift) as usize;
        while self.slots[at] != 0 && self.slots[at] != key {
            at = (at + 1) & mask;
        }
        at
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.slots[self.find(id + 1)] != 0
    }

    /// Adds an id; false if it was there.
    #[inline]
    pub(super) fn insert(&mut self, id: u32) -> bool {
        let at = self.find(id + 1);
        if self.slots[at] != 0 {
            return false;
        }
        self.slots[at] = id + 1;
        self.len += 1;
        if self.len * 2 > self.slots.len() {
            self.grow();
        }
        true
    }

    #[cold]
    fn grow(&mut self) {
        let mut bigger = Self::with_bits(32 - self.shift + 2);
        for key in self.slots.iter().filter(|k| **k != 0) {
            let at = bigger.find(*key);
            bigger.slots[at] = *key;
        }
        bigger.len = self.len;
        *self = bigger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_set_is_a_set() {
        let mut set = IdSet::default();
        for round in 0..2 {
            for i in 0..20_000u32 {
                assert!(set.insert(i * 7), "{round}");
                assert!(!set.insert(i * 7));
            }
            assert_eq!(set.len(), 20_000);
            assert!(set.contains(7) && !set.contains(8));
            set.clear();
            assert!(!set.contains(7));
        }
    }

    #[test]
    fn pool_keeps_the_nearest_and_loses_nothing() {
        let mut beam = Beam::default();
        for i in [5u32, 3, 9, 1, 7, 2] {
            beam.offer(Near { distance: i as f32, id: i, expanded: false }, 3);
        }
        let ids = |v: &[Near]| v.iter().map(|n| n.id).collect::<Vec<_>>();
        assert_eq!(ids(&beam.pool), [1, 2, 3]);
        let mut rest = ids(&beam.rest);
        rest.sort_unstable();
        assert_eq!(rest, [5, 7, 9]);
    }
}
