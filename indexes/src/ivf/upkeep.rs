//! What keeps an index good while rows come that it was not built from: lists are split, codes take a new form.
#![allow(clippy::indexing_slicing)] // list numbers come from the table that has as many

use std::sync::atomic::Ordering;

use parking_lot::RwLock;
use rayon::prelude::*;
use vicinity_types::Result;

use super::{Clustering, Core, Ivfflat, List, Table, kmeans};
use crate::RowId;
use crate::vector::{Coded, Coder, VectorSource};

/// A list is split when it is this many times the average length,
const SPLIT_FACTOR: usize = 4;
/// and at least this long.
const SPLIT_LEN: usize = 512;

impl Ivfflat {
    fn target_lists(&self) -> usize {
        match self.options.clustering {
            Clustering::Internal { k, .. } => k,
            Clustering::External { .. } => 1,
        }
    }

    /// The length from which a list is split.
    pub(super) fn split_len(&self, lists: usize) -> usize {
        let average = self.len.load(Ordering::Relaxed) / lists.max(self.target_lists());
        (average * SPLIT_FACTOR).max(SPLIT_LEN)
    }

    /// Splits list `i` if it still is too long.
    pub(super) fn split(&self, i: usize) {
        let dim = self.options.dim;
        let mut guard = self.core.write();
        let Core { coder, table, lists, .. } = &mut *guard;
        let most = self.split_len(lists.len());
        let stride = coder.stride();
        let list = lists[i].get_mut();
        if list.rows.len() <= most.max(list.split_at) {
            return;
        }
        let decode = |list: &List, step: usize| {
            let mut out = vec![0f32; list.rows.len().div_ceil(step) * dim];
            let codes = list.codes.chunks_exact(stride).step_by(step);
            codes.zip(out.chunks_exact_mut(dim)).for_each(|(code, v)| coder.decode(code, v));
            out
        };
        let sample = decode(list, list.rows.len().div_ceil(2048));
        let Ok(halves) = kmeans::halves(&sample, dim, self.options.seed) else { return };
        let mut sides = vec![(0, 0.0); list.rows.len()];
        Table::new(dim, &halves).nearest(&decode(list, 1), &mut sides);
        let (mut left, mut right) = (List::default(), List::default());
        let entries = list.rows.iter().zip(list.codes.chunks_exact(stride));
        for ((row, code), (side, _)) in entries.zip(sides) {
            if side == 0 { left.push(*row, code) } else { right.push(*row, code) }
        }
        if left.rows.is_empty() || right.rows.is_empty() {
            list.split_at = list.rows.len() * 2;
            return;
        }
        *list = left;
        lists.push(RwLock::new(right));
        table.set(i, &halves[..dim]);
        table.push(&halves[dim..]);
    }

    /// The list that holds the entry of `row` with this vector: usually the nearest one has it, with the very code;
    /// otherwise (it was recoded, or a list was split) its nearest entry anywhere.
    pub(super) fn find(&self, core: &Core, row: RowId, vector: &[f32]) -> Option<usize> {
        let query = core.coder.query(vector);
        let stride = core.coder.stride();
        let same = if core.coder.is_exact() { 0.0 } else { self.options.dim as f32 };
        let mut order = core.table.all(vector);
        // The nearest first; the order of the rest does not matter.
        if !order.is_empty() {
            order.select_nth_unstable_by(0, |a, b| a.0.total_cmp(&b.0));
        }
        let mut best: Option<(f32, usize)> = None;
        for (_, i) in order {
            let list = core.lists[i as usize].read();
            for (at, _) in list.rows.iter().enumerate().filter(|(_, r)| **r == row) {
                let d = core.coder.distance(&query, &list.codes[at * stride..][..stride]);
                if best.is_none_or(|(least, _)| d < least) {
                    best = Some((d, i as usize));
                }
            }
            if best.is_some_and(|(d, _)| d <= same) {
                break;
            }
        }
        best.map(|(_, i)| i)
    }
}

impl Coded for Core {
    fn coder(&self) -> &Coder {
        &self.coder
    }

    fn recode(&mut self, coder: Coder) {
        let old = &self.coder;
        self.lists.par_iter_mut().for_each(|list| {
            let list = list.get_mut();
            let mut v = vec![0f32; old.dim()];
            let mut codes = vec![0u8; list.rows.len() * coder.stride()];
            let from = list.codes.chunks_exact(old.stride());
            for (from, to) in from.zip(codes.chunks_exact_mut(coder.stride())) {
                old.decode(from, &mut v);
                coder.encode(&v, to);
            }
            list.codes = codes;
            list.shrink();
        });
        self.coder = coder;
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
        for list in &self.lists {
            let list = list.read();
            for (row, code) in list.rows.iter().zip(list.codes.chunks_exact(self.coder.stride())) {
                self.coder.decode(code, &mut v);
                f(*row, &v)?;
            }
        }
        Ok(())
    }
}
