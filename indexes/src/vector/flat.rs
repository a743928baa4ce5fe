//! Every entry compared with every query: the plainest index.

use parking_lot::RwLock;

use super::{Candidate, CandidateStream, RowFilter};
use crate::RowId;

/// Entries in a list.
#[derive(Default)]
pub(crate) struct Flat(RwLock<Vec<(RowId, Box<[f32]>)>>);

impl Flat {
    pub(crate) fn insert(&self, row: RowId, v: &[f32]) {
        self.0.write().push((row, v.into()));
    }

    pub(crate) fn remove(&self, row: RowId, v: &[f32]) -> bool {
        let mut all = self.0.write();
        let at = all.iter().position(|(r, w)| *r == row && **w == *v);
        at.map(|i| all.swap_remove(i)).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().len()
    }

    pub(crate) fn memory(&self) -> usize {
        self.0.read().iter().map(|(_, v)| v.len() * 4 + 24).sum()
    }

    pub(crate) fn search(
        &self,
        q: &[f32],
        filter: Option<RowFilter>,
        first: usize,
    ) -> Box<dyn CandidateStream> {
        let mut all: Vec<Candidate> = self
            .0
            .read()
            .iter()
            .filter(|(r, _)| filter.as_ref().is_none_or(|f| f(*r)))
            .map(|(row, v)| Candidate {
                row: *row,
                approx: v.iter().zip(q).map(|(a, b)| (a - b) * (a - b)).sum(),
            })
            .collect();
        all.sort_by(|a, b| b.approx.total_cmp(&a.approx));
        Box::new(FlatStream { rest: all, batch: first.max(10) })
    }
}

struct FlatStream {
    rest: Vec<Candidate>,
    batch: usize,
}

impl CandidateStream for FlatStream {
    fn next_batch(&mut self, out: &mut Vec<Candidate>) -> bool {
        for _ in 0..self.batch {
            let Some(c) = self.rest.pop() else { return false };
            out.push(c);
        }
        self.batch *= 2;
        !self.rest.is_empty()
    }
}
