//! The tree as bytes.
//!
//! ```text
//!  version:u32 (1)  coordinates of an entry:u32
//!  the root, and behind every cut the first and the second node below it:
//!    leaf         0:u32  entries:u32  their rows:u64..  their coordinates:f64.., entry by entry
//!    cut          1:u32  axis:u32  value:f64
//!    cut at rows  2:u32  row:u64
//!  entries that are not finite:u64, each row:u64 coordinates:f64..
//! ```

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crossbeam_epoch as epoch;
use parking_lot::Mutex;

use super::cell::{Link, Seen};
use super::leaf::{CAPACITY, Leaf};
use super::{Cut, Entry, Inner, Node, Spatial, odd_key};
use crate::image::{In, Out, wrong};
use crate::{Apart, Btree, RowId};

const VERSION: usize = 1;
const LEAF: usize = 0;
const CUT: usize = 1;
const CUT_AT_ROWS: usize = 2;
/// Much deeper than any tree.
const DEEPEST: usize = 200;

impl<const D: usize> Spatial<D> {
    /// Writes an image; how many entries are in it. It is one if nobody changed the tree meanwhile.
    pub fn write_image(&self, out: &mut dyn Write) -> io::Result<usize> {
        let out = &mut Out(out);
        out.u32(VERSION)?;
        out.u32(D)?;
        let mut written = 0;
        let mut entries: Vec<Entry<D>> = Vec::with_capacity(CAPACITY);
        let guard = epoch::pin();
        let mut stack = vec![&self.root];
        while let Some(link) = stack.pop() {
            match link.load(&guard) {
                Seen::Inner(Inner { cut, below: [first, second] }) => {
                    match *cut {
                        Cut::At { axis, value } => {
                            out.u32(CUT)?;
                            out.u32(usize::from(axis))?;
                            out.f64(value)?;
                        }
                        Cut::Row(row) => {
                            out.u32(CUT_AT_ROWS)?;
                            out.u64(row)?;
                        }
                    }
                    stack.extend([second, first]);
                }
                Seen::Leaf(leaf) => {
                    entries.clear();
                    leaf.entries(&mut entries);
                    out.u32(LEAF)?;
                    out.u32(entries.len())?;
                    entries.iter().try_for_each(|e| out.u64(e.row))?;
                    entries.iter().flat_map(|e| e.at).try_for_each(|v| out.f64(v))?;
                    written += entries.len();
                }
            }
        }
        let mut odd = Vec::new();
        self.each_odd(|at, row| odd.push(Entry { at, row }));
        out.u64(odd.len() as u64)?;
        for e in &odd {
            out.u64(e.row)?;
            e.at.iter().try_for_each(|v| out.f64(*v))?;
        }
        Ok(written + odd.len())
    }

    /// Reads an image.
    pub fn read_image(from: &mut dyn BufRead) -> io::Result<Self> {
        let mut reading = Reading { from: In(from), entries: 0, buffer: Vec::new(), failed: None };
        let begun = reading.begin(D);
        reading.note(begun);
        let root = Link::new(reading.node(DEEPEST));
        let odd = Btree::new();
        let outcome = reading.odd::<D>(&odd);
        reading.note(outcome);
        // What was read is part of a tree, whatever follows: it is what frees it.
        let tree = Spatial {
            root,
            shape: Mutex::default(),
            len: Apart(AtomicUsize::new(reading.entries)),
            odd: Arc::new(odd),
        };
        reading.failed.map_or(Ok(tree), Err)
    }
}

/// A tree that is being read; after an error there are only empty leaves.
struct Reading<'a> {
    from: In<'a>,
    entries: usize,
    buffer: Vec<u64>,
    failed: Option<io::Error>,
}

impl Reading<'_> {
    fn note(&mut self, outcome: io::Result<()>) {
        if let Err(e) = outcome {
            self.failed.get_or_insert(e);
        }
    }

    fn begin(&mut self, axes: usize) -> io::Result<()> {
        self.from.expect(VERSION, "its version")?;
        self.from.expect(axes, "the number of its coordinates")
    }

    /// The next node, and what is below it.
    fn node<const D: usize>(&mut self, depth: usize) -> Node<D> {
        let empty = || Node::Leaf(Leaf::new(&[]));
        if self.failed.is_some() {
            return empty();
        }
        match self.leaf_or_cut(depth) {
            Ok(Ok(leaf)) => Node::Leaf(leaf),
            Ok(Err(cut)) => {
                let first = Link::new(self.node(depth - 1));
                let second = Link::new(self.node(depth - 1));
                Node::Inner(Box::new(Inner { cut, below: [first, second] }))
            }
            Err(e) => {
                self.failed = Some(e);
                empty()
            }
        }
    }

    fn leaf_or_cut<const D: usize>(
        &mut self,
        depth: usize,
    ) -> io::Result<Result<Box<Leaf<D>>, Cut>> {
        match self.from.u32()? {
            LEAF => self.leaf().map(Ok),
            _ if depth == 0 => Err(wrong("the tree is too deep")),
            CUT => {
                let axis = self.from.u32()?;
                let value = self.from.f64()?;
                match u8::try_from(axis) {
                    Ok(axis) if usize::from(axis) < D && value.is_finite() => {
                        Ok(Err(Cut::At { axis, value }))
                    }
                    _ => Err(wrong("a cut is nowhere")),
                }
            }
            CUT_AT_ROWS => Ok(Err(Cut::Row(self.from.u64()?))),
            kind => Err(io::Error::other(format!("a node is of kind {kind}"))),
        }
    }

    #[inline(never)] // its buffer is not for every level of the tree
    fn leaf<const D: usize>(&mut self) -> io::Result<Box<Leaf<D>>> {
        let count = self.from.u32()?;
        if count > CAPACITY {
            return Err(wrong("a leaf has too many entries"));
        }
        let buffer = &mut self.buffer;
        buffer.clear();
        let words = &mut |words: &[[u8; 8]]| {
            buffer.extend(words.iter().map(|w| u64::from_le_bytes(*w)));
        };
        self.from.words::<8>(count * (1 + D), words)?;
        let (rows, places) = self.buffer.split_at_checked(count).unwrap_or_default();
        let mut entries = [Entry { at: [0.0; D], row: 0 }; CAPACITY];
        let (places, _) = places.as_chunks::<D>();
        for ((entry, row), at) in entries.iter_mut().zip(rows).zip(places) {
            *entry = Entry { at: at.map(f64::from_bits), row: *row };
        }
        let entries = entries.get(..count).unwrap_or_default();
        if entries.iter().any(|e| e.row == RowId::MAX || !e.at.iter().all(|v| v.is_finite())) {
            return Err(wrong("a leaf has an entry that has no place in it"));
        }
        self.entries += count;
        Ok(Leaf::new(entries))
    }

    /// The entries that are not finite.
    fn odd<const D: usize>(&mut self, into: &Btree) -> io::Result<()> {
        if self.failed.is_some() {
            return Ok(());
        }
        for _ in 0..self.from.u64()? {
            let row = self.from.u64()?;
            let mut at = [0.0; D];
            for v in &mut at {
                *v = self.from.f64()?;
            }
            into.insert(&odd_key(&at), row);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn tree(entries: u64) -> Spatial<2> {
        let tree = Spatial::new();
        for i in 0..entries {
            let at = match i % 100 {
                0 => [f64::NAN, 1.0],
                1 => [1.0, f64::INFINITY],
                2..30 => [3.0, 4.0],
                _ => [(i * 7919 % 1009) as f64, (i * 31 % 499) as f64],
            };
            tree.insert(at, i);
        }
        tree
    }

    fn rows(tree: &Spatial<2>) -> Vec<RowId> {
        let mut rows = Vec::new();
        tree.within(&[f64::NEG_INFINITY; 2], &[f64::INFINITY; 2], &mut rows);
        rows.sort_unstable();
        rows
    }

    #[test]
    fn a_tree_comes_back() {
        for entries in [0, 1, 60, 20_000] {
            let tree = tree(entries);
            let mut file = Vec::new();
            assert_eq!(tree.write_image(&mut file).unwrap(), tree.len());
            let again = Spatial::<2>::read_image(&mut file.as_slice()).unwrap();
            assert_eq!(again.len(), tree.len());
            assert_eq!(rows(&again), rows(&tree));
            assert!(again.insert([0.5, 0.5], entries) && again.remove([0.5, 0.5], entries));
            for i in (30..100).filter(|i| *i < entries) {
                let at = [(i * 7919 % 1009) as f64, (i * 31 % 499) as f64];
                assert!(again.remove(at, i), "entry {i}");
            }
        }
    }

    #[test]
    fn damage_is_an_error() {
        let mut file = Vec::new();
        tree(300).write_image(&mut file).unwrap();
        for at in 0..file.len() {
            for change in [1, 0x80, 0xff] {
                let mut file = file.clone();
                file[at] ^= change;
                // It may be another tree.
                drop(Spatial::<2>::read_image(&mut file.as_slice()));
            }
            assert!(Spatial::<2>::read_image(&mut &file[..at]).is_err());
        }
        assert!(Spatial::<4>::read_image(&mut file.as_slice()).is_err());
    }
}
