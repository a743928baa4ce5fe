//! The map as bytes: its leaves, as they lie in memory (see [`super::leaf`]).
//!
//! ```text
//!  version:u32 (1)
//!  leaves in order, each: bytes:u32, the block without the eight bytes at its end; a 0:u32 ends them
//! ```
#![allow(clippy::indexing_slicing)] // positions in a leaf's own entries

use std::io::{self, BufRead, Write};

use crossbeam_epoch as epoch;

use super::cell::LeafSlot;
use super::inner::Fence;
use super::leaf::{Leaf, TAIL};
use super::{Btree, shape};
use crate::RowId;
use crate::image::{In, Out, wrong};

const VERSION: usize = 1;

impl Btree {
    /// Writes an image; how many entries are in it. It is one if nobody changed the map meanwhile.
    pub fn write_image(&self, out: &mut dyn Write) -> io::Result<usize> {
        let out = &mut Out(out);
        out.u32(VERSION)?;
        let mut entries = 0;
        let mut from: Option<Fence> = None;
        loop {
            let guard = epoch::pin();
            let (block, beyond, _) = self.leaf_from(from.as_ref(), &guard);
            let leaf = Leaf::new(block);
            if leaf.len() > 0 {
                out.u32(leaf.content().len())?;
                out.bytes(leaf.content())?;
                entries += leaf.len();
            }
            match beyond {
                Some(fence) => from = Some(fence.clone()),
                None => break,
            }
        }
        out.u32(0)?;
        Ok(entries)
    }

    /// Reads an image.
    pub fn read_image(from: &mut dyn BufRead) -> io::Result<Btree> {
        let from = &mut In(from);
        from.expect(VERSION, "its version")?;
        let mut reading = Reading::default();
        let mut block = Vec::new();
        // Leaves that were read are part of a tree, whatever follows: it is what frees them.
        let outcome = loop {
            match next(from, &mut block) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(e) => break Err(e),
            }
            if !reading.push(&block) {
                break Err(wrong("a leaf is damaged"));
            }
        };
        let Reading { leaves, fences, entries, .. } = reading;
        let tree = shape::of_leaves(fences, leaves, entries);
        outcome.map(|()| tree)
    }
}

/// The next leaf's block; false behind the last.
fn next(from: &mut In<'_>, block: &mut Vec<u8>) -> io::Result<bool> {
    let len = from.u32()?;
    block.clear();
    from.append(len, block)?;
    block.extend_from_slice(&[0; TAIL]);
    Ok(len > 0)
}

/// Leaves that were read.
#[derive(Default)]
struct Reading {
    leaves: Vec<LeafSlot>,
    fences: Vec<Fence>,
    entries: usize,
    /// The last entry.
    last: Option<(Vec<u8>, RowId)>,
}

impl Reading {
    /// Takes the next leaf in; false if it is none, or out of order.
    fn push(&mut self, block: &[u8]) -> bool {
        let Some(leaf) = Leaf::read(block) else { return false };
        let entry = |i| {
            let mut key = Vec::new();
            leaf.key(i, &mut key);
            (key, leaf.row(i))
        };
        let first = entry(0);
        if let Some(last) = &self.last {
            if *last >= first {
                return false;
            }
            self.fences.push(Fence::between((&last.0, last.1), (&first.0, first.1)));
        }
        self.last = Some(entry(leaf.len() - 1));
        self.leaves.push(LeafSlot::new(block));
        self.entries += leaf.len();
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::ops::Bound;
    use std::sync::Arc;

    use super::*;

    fn map(entries: u64) -> Btree {
        let map = Btree::new();
        for i in 0..entries {
            let mut key = (i * 7919 % entries).to_be_bytes().to_vec();
            key.extend(std::iter::repeat_n(7, (i % 3) as usize));
            map.insert(&key, i);
        }
        map
    }

    fn rows(map: &Arc<Btree>) -> Vec<RowId> {
        let mut cursor = map.range(Bound::Unbounded, Bound::Unbounded, false);
        std::iter::from_fn(|| cursor.next()).collect()
    }

    #[test]
    fn a_map_comes_back() {
        for entries in [0, 1, 100, 30_000] {
            let map = Arc::new(map(entries));
            let mut file = Vec::new();
            assert_eq!(map.write_image(&mut file).unwrap(), entries as usize);
            let again = Arc::new(Btree::read_image(&mut file.as_slice()).unwrap());
            assert_eq!(again.len(), map.len());
            assert_eq!(rows(&again), rows(&map));
            again.insert(b"new", 1);
            assert_eq!(again.get_one(b"new"), Some(1));
        }
    }

    #[test]
    fn damage_is_an_error() {
        let mut file = Vec::new();
        map(600).write_image(&mut file).unwrap();
        for at in 0..file.len() {
            for change in [1, 0x80, 0xff] {
                let mut file = file.clone();
                file[at] ^= change;
                if let Ok(map) = Btree::read_image(&mut file.as_slice()) {
                    assert!(rows(&Arc::new(map)).len() <= 600, "byte {at}");
                }
            }
            assert!(Btree::read_image(&mut &file[..at]).is_err());
        }
    }
}
