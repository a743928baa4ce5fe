//! The first pass of a build: how many rows, their bounds, and a sample.
#![allow(clippy::indexing_slicing)] // lengths were checked by `check_dim`

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_types::Result;

use super::{Coder, VectorSource, check_dim};
use crate::{Phase, Progress};

/// Vectors that a coder is trained on.
const CODER_SAMPLE: usize = 3000;

/// What the first pass saw.
pub(crate) struct Survey {
    pub(crate) dim: usize,
    pub(crate) count: usize,
    low: Vec<f32>,
    high: Vec<f32>,
    /// Vectors drawn without replacement, in random order, `dim` values each; none with a NaN or an infinity.
    pub(crate) sample: Vec<f32>,
}

impl Survey {
    /// Reads every vector and keeps `want` of them at random.
    pub(crate) fn take(
        source: &dyn VectorSource,
        dim: usize,
        want: usize,
        seed: u64,
        progress: &Progress,
    ) -> Result<Self> {
        progress.start(Phase::Sampling, source.len_hint() as u64);
        let want = want.max(CODER_SAMPLE);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut survey = Survey {
            dim,
            count: 0,
            low: vec![f32::MAX; dim],
            high: vec![f32::MIN; dim],
            sample: Vec::new(),
        };
        let mut finite = 0usize;
        source.for_each(&mut |_, v| {
            check_dim(dim, v.len())?;
            survey.count += 1;
            if survey.count.is_multiple_of(4096) {
                progress.check()?;
                progress.advance(4096);
            }
            if !survey.widen(v) {
                return Ok(());
            }
            finite += 1;
            if finite <= want {
                survey.sample.extend_from_slice(v);
            } else {
                let at = rng.random_range(0..finite);
                if at < want {
                    survey.sample[at * dim..(at + 1) * dim].copy_from_slice(v);
                }
            }
            Ok(())
        })?;
        survey.shuffle(&mut rng);
        Ok(survey)
    }

    /// Takes `v` into the bounds; false if it has a NaN or an infinity.
    fn widen(&mut self, v: &[f32]) -> bool {
        let mut finite = true;
        for ((l, h), x) in self.low.iter_mut().zip(&mut self.high).zip(v) {
            if x.is_finite() {
                *l = l.min(*x);
                *h = h.max(*x);
            } else {
                finite = false;
            }
        }
        finite
    }

    fn shuffle(&mut self, rng: &mut Xoshiro256PlusPlus) {
        let mut order: Vec<usize> = (0..self.sample.len() / self.dim).collect();
        order.shuffle(rng);
        let mut out = Vec::with_capacity(self.sample.len());
        for i in order {
            out.extend_from_slice(&self.sample[i * self.dim..(i + 1) * self.dim]);
        }
        self.sample = out;
    }

    /// A coder for these rows.
    pub(crate) fn coder(&self) -> Coder {
        if self.sample.is_empty() {
            return Coder::exact(self.dim);
        }
        let rows = &self.sample[..self.sample.len().min(CODER_SAMPLE * self.dim)];
        Coder::train(self.dim, rows, &self.low, &self.high)
    }
}
