//! The lists as bytes: see [`crate::vector::image`].
//!
//! ```text
//!  what every image begins with
//!  lists, each: 1:u32, entries:u32, no split before:u64, rows:u64.., codes; a 0:u32 ends them
//!  centroids:u32, their values:f32..
//! ```
//!
//! A list that is split while the others are copied goes on at the end: an entry may come twice, none is left out.
#![allow(clippy::indexing_slicing)] // lists have as many codes as rows

use std::io::{self, BufRead, Write};
use std::sync::atomic::Ordering;

use parking_lot::RwLock;

use super::{IvfOptions, Ivfflat, List};
use crate::image::{In, Out};
use crate::vector::image::{begin, coder};

impl Ivfflat {
    /// Writes an image, and says how many entries are in it; `None` if the codes took another form meanwhile.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<Option<usize>> {
        let out = &mut Out(out);
        let core = self.core.read();
        let (generation, form) = (core.generation, core.coder.clone());
        drop(core);
        begin(out, &form)?;
        let (mut at, mut entries) = (0, 0);
        let centroids = loop {
            let core = self.core.read();
            if core.generation != generation {
                return Ok(None);
            }
            let Some(list) = core.lists.get(at) else { break core.table.values() };
            let list = list.read();
            let (rows, codes, split_at) = (list.rows.clone(), list.codes.clone(), list.split_at);
            drop(list);
            drop(core);
            out.u32(1)?;
            out.u32(rows.len())?;
            out.u64(split_at as u64)?;
            rows.iter().try_for_each(|row| out.u64(*row))?;
            out.bytes(&codes)?;
            at += 1;
            entries += rows.len();
        };
        out.u32(0)?;
        out.u32(at)?;
        out.f32s(&centroids)?;
        Ok(Some(entries))
    }

    /// Reads an image.
    pub fn read(options: IvfOptions, from: &mut dyn BufRead) -> io::Result<Ivfflat> {
        let from = &mut In(from);
        let coder = coder(from, options.dim)?;
        let stride = coder.stride();
        let (mut lists, mut len) = (Vec::new(), 0);
        while from.u32()? == 1 {
            let count = from.u32()?;
            let split_at = usize::try_from(from.u64()?).map_err(io::Error::other)?;
            let rows = from.u64s(count)?;
            let codes = from.bytes(count * stride)?;
            len += count;
            lists.push(RwLock::new(List { rows, codes, split_at }));
        }
        from.expect(lists.len(), "the number of its centroids")?;
        let centroids = from.f32s(lists.len() * options.dim)?;
        let index = Ivfflat::with(options, coder, &centroids);
        let mut core = index.core.write();
        if core.lists.len() != lists.len() {
            return Err(io::Error::other("it has other lists than centroids"));
        }
        core.lists = lists;
        drop(core);
        index.len.store(len, Ordering::Relaxed);
        Ok(index)
    }

    /// All entries with where they are.
    pub(super) fn places(&self) -> Vec<(crate::RowId, u64)> {
        let core = self.core.read();
        let mut out = Vec::with_capacity(self.len.load(Ordering::Relaxed));
        for (i, list) in core.lists.iter().enumerate() {
            let list = list.read();
            out.extend(list.rows.iter().zip(0u64..).map(|(row, at)| (*row, (i as u64) << 32 | at)));
        }
        out
    }

    /// Removes the entries at some places, which nobody has changed since.
    pub(super) fn remove_places(&self, mut places: Vec<u64>) {
        let core = self.core.read();
        let stride = core.coder.stride();
        // The last of a list first: the others stay where they are.
        places.sort_unstable();
        for place in places.iter().rev() {
            let (list, at) = ((place >> 32) as usize, (place & 0xffff_ffff) as usize);
            core.lists[list].write().swap_remove(at, stride);
        }
        self.len.fetch_sub(places.len(), Ordering::Relaxed);
    }
}
