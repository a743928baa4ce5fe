//! Sorting, and keeping the first few, by memcomparable keys.

use std::collections::BinaryHeap;

use vicinity_types::{Datum, Result, encode_key};

use super::node::{Frame, Node};
use crate::measure::SortSpace;

/// A key of a sort.
#[derive(Debug)]
pub struct SortNode {
    /// What to sort by.
    pub node: Node,
    /// `DESC`
    pub descending: bool,
    /// `NULLS FIRST`
    pub nulls_first: bool,
}

/// A row in waiting: by key, then by arrival (ties are stable, invariant *ordered*).
#[derive(Debug)]
struct Entry {
    key: Vec<u8>,
    at: u64,
    values: Vec<Datum>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        self.key.cmp(&other.key).then(self.at.cmp(&other.at))
    }
}

/// Collects rows, all or the first `top` in order.
#[derive(Debug)]
pub struct Sorter {
    heap: BinaryHeap<Entry>,
    all: Vec<Entry>,
    top: Option<usize>,
    seen: u64,
    scratch: Vec<u8>,
}

impl Sorter {
    /// Keeps the first `top` rows, or all.
    pub fn new(top: Option<usize>) -> Sorter {
        Sorter { heap: BinaryHeap::new(), all: Vec::new(), top, seen: 0, scratch: Vec::new() }
    }

    /// Takes a row; `values` is asked for only if the row is kept.
    pub fn push(
        &mut self,
        keys: &[SortNode],
        frame: &Frame<'_>,
        values: impl FnOnce() -> Result<Vec<Datum>>,
    ) -> Result<()> {
        self.scratch.clear();
        for key in keys {
            let value = key.node.eval(frame)?;
            encode_key(&value, key.descending, key.nulls_first, &mut self.scratch);
        }
        let at = self.seen;
        self.seen += 1;
        let Some(top) = self.top else {
            let key = self.scratch.clone();
            self.all.push(Entry { key, at, values: values()? });
            return Ok(());
        };
        if self.heap.len() >= top {
            match self.heap.peek() {
                Some(worst) if self.scratch < worst.key => {
                    self.heap.pop();
                }
                _ => return Ok(()),
            }
        }
        let key = self.scratch.clone();
        self.heap.push(Entry { key, at, values: values()? });
        Ok(())
    }

    /// Rows taken, kept or not.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How it sorts, and the bytes of what it holds now.
    pub fn space(&self) -> SortSpace {
        let mut encoded = Vec::new();
        let bytes = self.heap.iter().chain(&self.all).map(|e| {
            encoded.clear();
            for value in e.values.iter().filter(|v| !v.is_null()) {
                vicinity_types::raw::encode(value, &mut encoded);
            }
            (size_of::<Entry>() + e.key.len() + size_of_val(&*e.values) + encoded.len()) as u64
        });
        let bytes = bytes.sum();
        let method = if self.top.is_some() { "top-N heapsort" } else { "quicksort" };
        SortSpace { method, bytes, disk: false }
    }

    /// The rows in order.
    pub fn finish(self) -> Vec<Vec<Datum>> {
        let mut entries = if self.top.is_some() { self.heap.into_vec() } else { self.all };
        entries.sort_unstable();
        entries.into_iter().map(|e| e.values).collect()
    }
}
