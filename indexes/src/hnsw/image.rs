//! The graph as bytes: see [`crate::vector::image`].
//!
//! ```text
//!  what every image begins with   places of a list:u32
//!  pieces, each: slots:u32, their rows:u64.., their codes, their lists:u32..; one without slots ends them
//!  landmarks:u32, their slots:u32.., their usual distance:f32, changed while it was copied:u32
//! ```
//!
//! Slots are copied a few at a time, so that a link may lead to a slot that was not in use when it was copied, or is
//! not there: such links are left out when the image is read. Nor need anything lead to a slot whose neighbours were
//! copied before it was linked: if the graph changed meanwhile, what nothing leads to is linked anew.
#![allow(clippy::indexing_slicing)] // ids below the graph's length; pieces have the length that was asked for

use std::io::{self, BufRead, Write};
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::graph::{DEAD, FREE, NONE};
use super::{Hnsw, HnswOptions};
use crate::RowId;
use crate::image::{In, Out, wrong};
use crate::vector::image::{begin, coder};

/// Slots copied under one lock: about a millisecond.
const PIECE: usize = 4096;

impl Hnsw {
    /// Writes an image, and says how many entries are in it; `None` if the codes took another form meanwhile.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<Option<usize>> {
        let out = &mut Out(out);
        let before = self.changes.load(Ordering::Relaxed);
        let core = self.core.read();
        let (generation, end, places) = (core.generation, core.graph.len(), core.graph.places());
        let form = core.coder.clone();
        drop(core);
        begin(out, &form)?;
        out.u32(places)?;
        let (mut piece, mut entries) = (Vec::new(), 0);
        for from in (0..end).step_by(PIECE) {
            let ids = from as u32..(from + PIECE).min(end) as u32;
            let core = self.core.read();
            if core.generation != generation {
                return Ok(None);
            }
            entries += core.graph.copy_out(ids.clone(), &mut piece);
            drop(core);
            out.u32(ids.len())?;
            out.bytes(&piece)?;
        }
        out.u32(0)?;
        let core = self.core.read();
        let marks = core.landmarks.read();
        let (ids, usual) = (marks.ids.clone(), marks.usual());
        let same = core.generation == generation;
        drop(marks);
        drop(core);
        out.u32(ids.len())?;
        ids.iter().try_for_each(|id| out.u32(*id as usize))?;
        out.f32s(&[usual])?;
        out.u32(usize::from(self.changes.load(Ordering::Relaxed) != before))?;
        Ok(same.then_some(entries))
    }

    /// Reads an image.
    pub fn read(options: HnswOptions, from: &mut dyn BufRead) -> io::Result<Hnsw> {
        let from = &mut In(from);
        let coder = coder(from, options.dim)?;
        let index = Hnsw::with(options, coder);
        let mut core = index.core.write();
        from.expect(core.graph.places(), "the length of its lists")?;
        let mut greatest = 0;
        loop {
            let count = from.u32()?;
            if count == 0 {
                break;
            }
            if count > PIECE {
                return Err(wrong("a piece has too many slots"));
            }
            greatest = greatest.max(core.graph.copy_in(count, from)?);
        }
        let ids = from.u32()?;
        for _ in 0..ids {
            let id = from.u32()?;
            if id < core.graph.len() && core.graph.row(id as u32) != FREE {
                let code = core.graph.code(id as u32).to_vec();
                core.landmarks.get_mut().push(id as u32, &code);
            }
        }
        let usual = from.f32s(1)?.first().copied().unwrap_or(0.0);
        core.landmarks.get_mut().set_usual(usual);
        let changed = from.u32()? != 0;
        let beyond = greatest as usize > core.graph.len();
        drop(core);
        let all_used = index.take_stock();
        if changed || beyond || !all_used {
            index.mend(changed);
        }
        Ok(index)
    }

    /// Takes stock of slots that were read; whether all are in use.
    fn take_stock(&self) -> bool {
        let core = self.core.read();
        let graph = &core.graph;
        let (mut unused, mut dead, mut live) = (Vec::new(), Vec::new(), 0);
        let mut entries = self.entries.lock();
        let hash = |row: RowId| std::hash::BuildHasher::hash_one(&self.hasher, row);
        entries.reserve(graph.len(), |_| 0);
        for id in 0..graph.len() as u32 {
            match graph.row(id) {
                FREE => unused.push(id),
                DEAD => dead.push(id),
                row => {
                    entries.insert_unique(hash(row), id, |id| hash(graph.row(*id)));
                    live += 1;
                }
            }
        }
        let all = unused.is_empty();
        self.free.lock().extend(unused);
        self.vacuum.lock().dead.extend(dead);
        self.len.store(live, Ordering::Relaxed);
        all
    }

    /// Leaves out the links that lead nowhere.
    fn mend(&self, changed: bool) {
        let core = self.core.read();
        let graph = &core.graph;
        let len = graph.len();
        let mut free = vec![0u64; len.div_ceil(64)];
        self.free.lock().iter().for_each(|id| free[*id as usize / 64] |= 1 << (id % 64));
        let nowhere = |id: u32| id as usize >= len || free[id as usize / 64] >> (id % 64) & 1 == 1;
        let cut: usize = (0..len as u32)
            .into_par_iter()
            .map(|id| {
                if nowhere(id) {
                    graph.set_links(id, std::iter::empty());
                    graph.set_copy(id, NONE);
                    return 0;
                }
                let copy = graph.copy(id);
                let lost = copy != NONE && nowhere(copy);
                if lost {
                    graph.set_copy(id, NONE);
                }
                let links: smallvec::SmallVec<[u32; 64]> = graph.links(id).collect();
                let bad = links.iter().filter(|l| nowhere(**l)).count();
                if bad > 0 {
                    graph.set_links(id, links.into_iter().filter(|l| !nowhere(*l)));
                }
                bad + usize::from(lost)
            })
            .sum();
        if changed || cut > 0 {
            // Only a cancelled progress is an error.
            let _ = self.connect(&core, &crate::Progress::new());
        }
    }
}
