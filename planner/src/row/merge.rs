//! Rows of several cursors in the order that each of them has.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec::IntoIter;

use vicinity_types::{Datum, Result, encode_key};

use super::cursor::RowCursor;
use super::node::{Frame, RowRef};
use super::sort::SortNode;
use crate::rows::Collect;

/// Rows asked of a cursor at first, and at most at once.
const FIRST: usize = 8;
const MOST: usize = 512;

/// A cursor, and those of its rows that wait.
struct Source {
    cursor: RowCursor,
    waiting: IntoIter<Vec<Datum>>,
    more: bool,
    chunk: usize,
}

impl Source {
    fn next(&mut self) -> Result<Option<Vec<Datum>>> {
        loop {
            if let Some(row) = self.waiting.next() {
                return Ok(Some(row));
            }
            if !self.more {
                return Ok(None);
            }
            let mut rows = Collect::default();
            let (_, done) = self.cursor.fill(&mut rows, self.chunk)?;
            self.chunk = (self.chunk * 2).min(MOST);
            self.more = !done;
            self.waiting = rows.rows.into_iter();
        }
    }
}

/// Cursors being merged. Of equal rows those of the earlier cursor come first.
pub(super) struct Merge {
    sources: Vec<Source>,
    /// The key of every source's next row.
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    rows: Vec<Option<Vec<Datum>>>,
    /// Sources whose next row is not known yet.
    behind: Vec<usize>,
}

impl Merge {
    pub(super) fn new(cursors: Vec<RowCursor>) -> Merge {
        let source =
            |cursor| Source { cursor, waiting: Vec::new().into_iter(), more: true, chunk: FIRST };
        Merge {
            behind: (0..cursors.len()).collect(),
            rows: vec![None; cursors.len()],
            heads: BinaryHeap::with_capacity(cursors.len()),
            sources: cursors.into_iter().map(source).collect(),
        }
    }

    /// The next row by `keys`; without keys the cursors' rows come one behind the other.
    pub(super) fn next(
        &mut self,
        keys: &[SortNode],
        frame: &Frame<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        while let Some(at) = self.behind.pop() {
            let Some(row) = self.sources.get_mut(at).map(Source::next).transpose()?.flatten()
            else {
                continue;
            };
            let mut key = Vec::new();
            for sort in keys {
                let value = sort.node.eval(&frame.with_row(RowRef::Values(&row)))?;
                encode_key(&value, sort.descending, sort.nulls_first, &mut key);
            }
            self.heads.push(Reverse((key, at)));
            if let Some(slot) = self.rows.get_mut(at) {
                *slot = Some(row);
            }
        }
        let Some(Reverse((_, at))) = self.heads.pop() else { return Ok(None) };
        self.behind.push(at);
        Ok(self.rows.get_mut(at).and_then(Option::take))
    }
}
