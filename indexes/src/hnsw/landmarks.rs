//! Where searches enter the graph: nodes drawn at random, their codes side by side, all compared with every query.
//!
//! A textbook HNSW descends through ever denser layers from one node. Data of many tight clusters defeats that: the
//! layers fall apart and the descent ends in the wrong cluster. Comparing 2 sqrt(n) landmarks costs a few microseconds
//! and finds the right one; further landmarks are made wherever a new node is far from all of them.
#![allow(clippy::indexing_slicing)] // positions in vectors of its own

use crate::vector::{Coder, Query};

/// Searches enter at this many of the nearest landmarks.
pub(super) const ENTRIES: usize = 4;

#[derive(Default)]
pub(super) struct Landmarks {
    pub(super) ids: Vec<u32>,
    codes: Vec<u8>,
    /// Mean distance of nodes to their nearest landmark, over the last hundreds of inserts.
    usual: f32,
}

impl Landmarks {
    /// How many landmarks `nodes` nodes deserve.
    pub(super) fn target(nodes: usize) -> usize {
        (2 * nodes.isqrt()).max(32)
    }

    pub(super) fn push(&mut self, id: u32, code: &[u8]) {
        self.ids.push(id);
        self.codes.extend_from_slice(code);
    }

    /// The nearest landmarks, nearest first.
    pub(super) fn nearest(
        &self,
        coder: &Coder,
        query: &Query,
        distances: &mut Vec<f32>,
    ) -> impl Iterator<Item = (f32, u32)> + use<> {
        coder.distances(query, &self.codes, distances);
        let mut best = [(f32::INFINITY, None); ENTRIES];
        for (d, id) in distances.iter().zip(&self.ids) {
            if *d < best[ENTRIES - 1].0 || best[ENTRIES - 1].1.is_none() {
                let at = best.partition_point(|b| b.1.is_some() && b.0 <= *d);
                best[at..].rotate_right(1);
                best[at] = (*d, Some(*id));
            }
        }
        best.into_iter().filter_map(|(d, id)| Some((d, id?)))
    }

    /// Whether a new node at this distance from its nearest landmark is to become one.
    pub(super) fn is_far(&self, distance: f32) -> bool {
        self.usual > 0.0 && distance > 4.0 * self.usual
    }

    /// Takes a new node's distance into the mean.
    pub(super) fn learn(&mut self, distance: f32) {
        if distance.is_finite() {
            self.usual += (distance - self.usual) / 256.0;
        }
    }

    /// Forgets landmarks whose slots became free.
    pub(super) fn retain(&mut self, stride: usize, keep: impl Fn(u32) -> bool) {
        let mut kept = Landmarks { usual: self.usual, ..Default::default() };
        for (id, code) in self.ids.iter().zip(self.codes.chunks_exact(stride)) {
            if keep(*id) {
                kept.push(*id, code);
            }
        }
        *self = kept;
    }

    /// Takes the codes anew after they changed form; distances changed units by this factor.
    pub(super) fn recode(&mut self, factor: f32, code: impl Fn(u32) -> Vec<u8>) {
        self.codes = self.ids.iter().flat_map(|id| code(*id)).collect();
        self.usual *= factor;
    }

    /// The mean distance learned.
    pub(super) fn usual(&self) -> f32 {
        self.usual
    }

    /// Goes on from a mean learned before.
    pub(super) fn set_usual(&mut self, usual: f32) {
        self.usual = usual;
    }

    pub(super) fn memory(&self) -> usize {
        self.codes.capacity() + self.ids.capacity() * 4
    }
}
