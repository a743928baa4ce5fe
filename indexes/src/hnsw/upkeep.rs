//! Removal, reuse of slots, codes in a new form, and the check that every node can be reached.
//!
//! A removed entry stays as a dead node that searches pass through. When a tenth of the slots is dead, that generation
//! is swept: every remove then repairs the links of a few nodes, until no link leads to the generation any more and
//! its slots are free. The sweep begins and ends under the write lock, so that no insert that began before the
//! generation died can still link to it, and no search that saw a link to it is under way when its slots are freed.
#![allow(clippy::indexing_slicing)] // ids come from the graph itself

use vicinity_types::Result;

use super::graph::{DEAD, FREE, Graph, NONE};
use super::{Core, Hnsw};
use crate::vector::{Coded, Coder, VectorSource};
use crate::{Progress, RowId};

/// One in so many slots is dead when a sweep begins.
const SWEEP_SHARE: usize = 10;
const SWEEP_LEAST: usize = 64;

/// Dead nodes on their way to being free slots.
#[derive(Default)]
pub(super) struct Vacuum {
    /// Dead, no sweep yet.
    pub(super) dead: Vec<u32>,
    /// Dead before the sweep under way began.
    dying: Vec<u32>,
    /// The sweep has done the slots before this one.
    cursor: u32,
}

impl Hnsw {
    /// Counts a dead node and sweeps a little.
    pub(super) fn sweep(&self, id: u32) {
        let core = self.core.read();
        let slots = core.graph.len();
        let least = (slots / SWEEP_SHARE).max(SWEEP_LEAST);
        let step = (2 * slots).div_ceil(least) as u32;
        let mut vacuum = self.vacuum.lock();
        vacuum.dead.push(id);
        if vacuum.dying.is_empty() {
            if vacuum.dead.len() < least {
                return;
            }
            drop((vacuum, core));
            let _alone = self.core.write();
            let mut vacuum = self.vacuum.lock();
            if vacuum.dying.is_empty() {
                vacuum.dying = std::mem::take(&mut vacuum.dead);
                vacuum.cursor = 0;
            }
            return;
        }
        let from = vacuum.cursor;
        let to = from.saturating_add(step).min(slots as u32);
        vacuum.cursor = to;
        drop(vacuum);
        (from..to).for_each(|id| core.repair(id));
        drop(core);
        if to as usize == slots && self.end_sweep() {
            // What the dead alone led to is linked anew.
            let core = self.core.read();
            // Only a cancelled progress is an error.
            let _ = self.connect(&core, &Progress::new());
        }
    }

    /// Frees the slots of the dead that no link leads to any more; false if somebody else did.
    fn end_sweep(&self) -> bool {
        let core = self.core.write();
        let mut vacuum = self.vacuum.lock();
        // Another remove may have ended this sweep, and begun the next.
        let done = vacuum.cursor as usize >= core.graph.len() && !vacuum.dying.is_empty();
        if !done {
            return false;
        }
        let dying = std::mem::take(&mut vacuum.dying);
        for id in &dying {
            core.graph.set_links(*id, std::iter::empty());
            core.graph.set_copy(*id, NONE);
            core.graph.set_row(*id, FREE);
        }
        let stride = core.coder.stride();
        core.landmarks.write().retain(stride, |id| core.graph.row(id) != FREE);
        self.free.lock().extend(dying);
        true
    }

    /// Links to nodes that no landmark leads to, from a near node that one does.
    pub(super) fn connect(&self, core: &Core, progress: &Progress) -> Result<()> {
        let mut seen = vec![false; core.graph.len()];
        let mut open = core.landmarks.read().ids.clone();
        reach(&core.graph, &mut seen, &mut open);
        for id in 0..core.graph.len() as u32 {
            if seen.get(id as usize).is_none_or(|s| *s) || core.graph.row(id) >= DEAD {
                continue;
            }
            progress.check()?;
            let query = core.coder.query_of_code(core.graph.code(id));
            let mut beam = self.beam();
            beam.enter(core, &query, self.options.ef_build);
            beam.run(core, &query, self.options.ef_build);
            let full = |id: u32| core.graph.links(id).count() == core.graph.degree();
            let near = beam.pool.iter().find(|n| n.id != id && !full(n.id)).or(beam.pool.first());
            if let Some(near) = near {
                core.force_link(near.id, id);
            }
            self.give_back(beam);
            open.push(id);
            reach(&core.graph, &mut seen, &mut open);
        }
        Ok(())
    }
}

/// Marks everything that links lead to from `open`; slots taken since `seen` was made are left out.
fn reach(graph: &Graph, seen: &mut [bool], open: &mut Vec<u32>) {
    while let Some(id) = open.pop() {
        let Some(known) = seen.get_mut(id as usize) else { continue };
        if !std::mem::replace(known, true) {
            open.extend(graph.neighbours(id).filter(|l| seen.get(*l as usize).is_some_and(|s| !s)));
        }
    }
}

impl Coded for Core {
    fn coder(&self) -> &Coder {
        &self.coder
    }

    fn recode(&mut self, coder: Coder) {
        let old = std::mem::replace(&mut self.coder, coder);
        let new = &self.coder;
        self.graph.recode(new.stride(), &|from, to| {
            let mut v = vec![0f32; old.dim()];
            old.decode(from, &mut v);
            new.encode(&v, to);
        });
        let factor = old.scale() / new.scale();
        let graph = &self.graph;
        self.landmarks.get_mut().recode(factor, |id| graph.code(id).to_vec());
        self.generation += 1;
    }
}

/// The entries of an index whose codes are exact, as the input of a survey.
impl VectorSource for Core {
    fn len_hint(&self) -> usize {
        0
    }

    fn for_each(&self, f: &mut dyn FnMut(RowId, &[f32]) -> Result<()>) -> Result<()> {
        let mut v = vec![0f32; self.coder.dim()];
        for id in 0..self.graph.len() as u32 {
            let row = self.graph.row(id);
            if row < DEAD {
                self.coder.decode(self.graph.code(id), &mut v);
                f(row, &v)?;
            }
        }
        Ok(())
    }
}
