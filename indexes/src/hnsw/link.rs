//! Linking a node into the graph.
#![allow(clippy::indexing_slicing)] // positions in vectors of its own

use super::beam::{Beam, Near};
use super::landmarks::Landmarks;
use super::{Core, Hnsw};

impl Core {
    /// Of candidates in order of distance to a node, those that are not nearer to one already chosen: links in many
    /// directions instead of many in one (the heuristic of the HNSW paper, algorithm 4). If these are few, the nearest
    /// of the others join them up to three quarters of `most`: with half or none recall is lower on SIFT and on the
    /// PASE document's data, with all of them lists are always full and building takes half as long again.
    pub(super) fn choose(&self, candidates: &[Near], most: usize, chosen: &mut Vec<Near>) {
        chosen.clear();
        let mut pruned: Vec<Near> = Vec::new();
        for c in candidates {
            if chosen.len() == most {
                return;
            }
            let code = self.graph.code(c.id);
            let nearer = |s: &Near| self.coder.pair(code, self.graph.code(s.id)) < c.distance;
            if !chosen.iter().any(nearer) {
                chosen.push(*c);
            } else {
                pruned.push(*c);
            }
        }
        let room = (most * 3 / 4).saturating_sub(chosen.len());
        chosen.extend(pruned.into_iter().take(room));
    }

    /// Links a slot whose code is set. True if something links back to it.
    ///
    /// Copies, slots with one code, must not fill each other's lists: more of them than a list is long would be an
    /// island. They hang on each other in a chain, and link to what is not a copy.
    fn link(&self, id: u32, beam: &mut Beam, m: usize) -> bool {
        let graph = &self.graph;
        let mut chosen = Vec::with_capacity(m);
        beam.pool.retain(|n| n.id != id && !graph.is_dead(n.id));
        let copied = beam.pool.first().filter(|n| n.distance <= 0.0).map(|n| n.id);
        if copied.is_some() {
            beam.pool.retain(|n| n.distance > 0.0);
        }
        self.choose(&beam.pool, m, &mut chosen);
        {
            // Others may have found this slot already if it is being linked a second time.
            let _lock = graph.lock(id);
            graph.set_links(id, chosen.iter().map(|n| n.id));
        }
        if let Some(like) = copied {
            self.hang(like, id);
            return true;
        }
        let mut reached = false;
        for n in &chosen {
            reached |= self.link_back(n.id, id, n.distance);
        }
        reached || beam.pool.iter().any(|n| self.link_if_room(n.id, id))
    }

    /// Puts a slot behind one with the same code.
    fn hang(&self, like: u32, id: u32) {
        let graph = &self.graph;
        loop {
            // Nothing new may lead to the dead: a sweep may have passed already.
            let next = graph.live_copy(like);
            {
                let _lock = graph.lock(id);
                graph.set_copy(id, next);
            }
            let _lock = graph.lock(like);
            if graph.live_copy(like) == next {
                graph.set_copy(like, id);
                return;
            }
        }
    }

    /// Adds `to` to the links of `from` if there is room.
    fn link_if_room(&self, from: u32, to: u32) -> bool {
        let graph = &self.graph;
        let _lock = graph.lock(from);
        let links: Vec<u32> = graph.links(from).collect();
        let room = links.len() < graph.degree();
        if room {
            graph.set_links(from, links.into_iter().chain([to]));
        }
        room
    }

    /// Adds `to` to the links of `from`, making room if there is none; false if `to` is the one left out.
    fn link_back(&self, from: u32, to: u32, distance: f32) -> bool {
        let graph = &self.graph;
        let _lock = graph.lock(from);
        let mut links: Vec<u32> = graph.links(from).collect();
        if links.contains(&to) {
            return true;
        }
        if links.len() < graph.degree() {
            links.push(to);
            graph.set_links(from, links.into_iter());
            return true;
        }
        let code = graph.code(from);
        let mut all: Vec<Near> = Vec::with_capacity(links.len() + 1);
        all.push(Near { distance, id: to, expanded: false });
        for id in links {
            let distance = self.coder.pair(code, graph.code(id));
            all.push(Near { distance, id, expanded: false });
        }
        all.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance));
        let mut chosen = Vec::with_capacity(graph.degree());
        self.choose(&all, graph.degree(), &mut chosen);
        graph.set_links(from, chosen.iter().map(|n| n.id));
        chosen.iter().any(|n| n.id == to)
    }

    /// Makes `id` a link of `from` come what may: in place of the last one if the list is full.
    pub(super) fn force_link(&self, from: u32, id: u32) {
        let _lock = self.graph.lock(from);
        let mut links: Vec<u32> = self.graph.links(from).collect();
        if links.len() == self.graph.degree() {
            links.pop();
        }
        links.push(id);
        self.graph.set_links(from, links.into_iter());
    }

    /// Drops links to dead nodes, and takes over where those led to.
    pub(super) fn repair(&self, id: u32) {
        let graph = &self.graph;
        if !graph.neighbours(id).any(|l| graph.is_dead(l)) {
            return;
        }
        let _lock = graph.lock(id);
        graph.set_copy(id, graph.live_copy(id));
        let (dead, live): (Vec<u32>, Vec<u32>) = graph.links(id).partition(|l| graph.is_dead(*l));
        if graph.is_dead(id) || dead.is_empty() {
            graph.set_links(id, live.into_iter());
            return;
        }
        let mut ids = live;
        ids.extend(
            dead.iter()
                .flat_map(|d| graph.neighbours(*d))
                .filter(|l| *l != id && !graph.is_dead(*l)),
        );
        ids.sort_unstable();
        ids.dedup();
        let code = graph.code(id);
        let near =
            |id: u32| Near { distance: self.coder.pair(code, graph.code(id)), id, expanded: false };
        let mut all: Vec<Near> = ids.into_iter().map(near).collect();
        all.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance));
        let mut chosen = Vec::with_capacity(graph.degree());
        self.choose(&all, graph.degree(), &mut chosen);
        graph.set_links(id, chosen.iter().map(|n| n.id));
    }
}

impl Hnsw {
    /// Searches for the neighbours of a slot whose code is set and links it; `landmarks` is how many there ought to be.
    pub(super) fn link(&self, core: &Core, id: u32, landmarks: usize) {
        let width = self.options.ef_build.max(self.options.m);
        let query = core.coder.query_of_code(core.graph.code(id));
        let mut beam = self.beam();
        let nearest = beam.enter(core, &query, width);
        beam.run(core, &query, width);
        let reached = core.link(id, &mut beam, self.options.m);
        self.give_back(beam);
        let marks = core.landmarks.read();
        let wanted = !reached || marks.ids.len() < landmarks || marks.is_far(nearest);
        drop(marks);
        // One in 16 is enough for the mean.
        if wanted || id.is_multiple_of(16) {
            let mut marks = core.landmarks.write();
            if nearest.is_finite() {
                marks.learn(nearest);
            }
            if wanted && marks.ids.len() < 4 * Landmarks::target(core.graph.len()) {
                marks.push(id, core.graph.code(id));
            }
        }
    }
}
