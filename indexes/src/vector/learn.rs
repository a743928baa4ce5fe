//! What keeps an index's codes good while vectors come that they were not made for: learned when there are enough
//! entries to learn from, widened for vectors outside their range.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::{Coder, Survey, VectorSource};
use crate::Progress;

/// Entries an index has before it learns short codes from them.
const TRAIN_AT: usize = 16_384;

/// The part of an index that holds codes: the source of its own entries.
pub(crate) trait Coded: VectorSource {
    /// How vectors become codes.
    fn coder(&self) -> &Coder;
    /// Puts all codes into a new form.
    fn recode(&mut self, coder: Coder);
}

/// When to look at the codes again.
pub(crate) struct Learning {
    /// Number of entries at which to look for short codes next.
    train_at: AtomicUsize,
    /// Entries that lie outside the codes' range.
    outliers: AtomicUsize,
}

impl Learning {
    pub(crate) fn new() -> Self {
        Learning { train_at: AtomicUsize::new(TRAIN_AT), outliers: AtomicUsize::new(0) }
    }

    /// Whether codes that are still exact should be made short now that there are `len` entries.
    pub(crate) fn is_due(&self, len: usize) -> bool {
        len >= self.train_at.load(Ordering::Relaxed)
    }

    /// Learns short codes from the entries.
    pub(crate) fn train<C: Coded>(&self, core: &RwLock<C>, len: usize, seed: u64) {
        let mut core = core.write();
        if !core.coder().is_exact() || !self.is_due(len) {
            return;
        }
        self.train_at.store(len.saturating_mul(8), Ordering::Relaxed);
        let dim = core.coder().dim();
        let Ok(survey) = Survey::take(&*core, dim, 0, seed, &Progress::new()) else { return };
        let coder = survey.coder();
        if !coder.is_exact() {
            core.recode(coder);
        }
    }

    /// Makes room in the codes for a vector outside their range, unless it is one of few.
    pub(crate) fn make_room<C: Coded>(&self, core: &RwLock<C>, v: &[f32], len: usize) {
        let excess = core.read().coder().excess(v);
        if excess <= 1.0 || v.iter().any(|x| !x.is_finite()) {
            return;
        }
        let few = 16 + len / 100;
        if Coder::is_outlier(excess) && self.outliers.fetch_add(1, Ordering::Relaxed) < few {
            return;
        }
        let mut core = core.write();
        if core.coder().excess(v) > 1.0 {
            let wider = core.coder().widened(v);
            core.recode(wider);
        }
    }
}
