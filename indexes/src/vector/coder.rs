//! Short codes that rank like the vectors they stand for.
//!
//! A u8 code keeps `round((v[d] - offset[d]) / step)` per dimension: an offset of its own for every dimension, one step
//! for all, so that squared distances of codes are integers proportional to those of the vectors. Whether that ranks
//! well enough is measured on a sample when the coder is trained; where it does not (one dimension dwarfs the others,
//! say), codes are the f32 values themselves.
#![allow(clippy::indexing_slicing)] // lengths are the coder's own; outside vectors pass `check_dim` first

use super::kernels::{Kernels, U8_PAD, kernels};

/// Maps vectors to codes and measures them.
#[derive(Clone)]
pub(crate) struct Coder {
    dim: usize,
    form: Form,
    kernels: &'static Kernels,
}

#[derive(Clone)]
enum Form {
    F32,
    U8 { offset: Box<[f32]>, step: f32, query_limit: f32 },
}

/// A query in the form that a coder's distances take.
#[derive(Clone)]
pub(crate) enum Query {
    F32(Vec<f32>),
    U8(Vec<i16>),
}

/// A vector may need a wider range than the codes have by this factor at once; beyond it counts as an outlier.
const OUTLIER: f32 = 4.0;

impl Coder {
    /// Codes that are the values themselves.
    pub(crate) fn exact(dim: usize) -> Self {
        Coder { dim, form: Form::F32, kernels: kernels() }
    }

    /// Codes for data like this sample (`dim` values each) within these bounds per dimension.
    pub(crate) fn train(dim: usize, sample: &[f32], low: &[f32], high: &[f32]) -> Self {
        let exact = Self::exact(dim);
        let whole = Self::spanning(dim, low, high);
        if whole.ranks(&exact, sample) {
            return whole;
        }
        // Perhaps a few outliers stretch the bounds: try those of the sample without its extremes.
        let (low, high) = quantiles(dim, sample);
        let core = Self::spanning(dim, &low, &high);
        if core.ranks(&exact, sample) { core } else { exact }
    }

    fn spanning(dim: usize, low: &[f32], high: &[f32]) -> Self {
        let widest = low.iter().zip(high).map(|(l, h)| h - l).fold(0f32, f32::max);
        let step = if widest > 0.0 && widest.is_finite() { widest / 255.0 } else { 1.0 };
        let offset = low.iter().zip(high).map(|(l, h)| (l + h) / 2.0 - 127.5 * step).collect();
        Coder {
            dim,
            form: Form::U8 { offset, step, query_limit: query_limit(dim) },
            kernels: kernels(),
        }
    }

    /// Whether the true ten nearest of sample vectors are within the twenty nearest by code.
    fn ranks(&self, exact: &Coder, sample: &[f32]) -> bool {
        let rows: Vec<&[f32]> = sample.chunks_exact(self.dim).collect();
        let queries = rows.len().min(48);
        let (mut hit, mut all) = (0usize, 0usize);
        let order = |coder: &Coder, q: &[f32]| {
            let query = coder.query(q);
            let mut code = vec![0; coder.stride()];
            let mut ds: Vec<(f32, usize)> = Vec::with_capacity(rows.len());
            for (i, v) in rows.iter().enumerate() {
                coder.encode(v, &mut code);
                ds.push((coder.distance(&query, &code), i));
            }
            ds.sort_by(|a, b| a.0.total_cmp(&b.0));
            ds
        };
        for i in 0..queries {
            let q = rows[i * rows.len() / queries];
            let truth = order(exact, q);
            let coded = order(self, q);
            let Some(far) = truth.get(9).map(|t| t.0) else { continue };
            // Ties at the tenth place are all right answers.
            let ok = coded.iter().take(20).filter(|c| {
                let d: f32 = rows[c.1].iter().zip(q).map(|(a, b)| (a - b) * (a - b)).sum();
                d <= far * 1.000_01
            });
            hit += ok.count().min(10);
            all += 10;
        }
        hit * 1000 >= all * 990
    }

    /// The offsets and the step of short codes; no offsets for exact ones.
    pub(crate) fn parts(&self) -> (&[f32], f32) {
        match &self.form {
            Form::F32 => (&[], 1.0),
            Form::U8 { offset, step, .. } => (offset, *step),
        }
    }

    /// The coder with these parts.
    pub(crate) fn of_parts(dim: usize, offset: Vec<f32>, step: f32) -> Self {
        if offset.len() != dim {
            return Self::exact(dim);
        }
        let query_limit = query_limit(dim);
        let form = Form::U8 { offset: offset.into(), step, query_limit };
        Coder { dim, form, kernels: kernels() }
    }

    /// Whether a code is that of a vector, or was before codes were widened.
    pub(crate) fn stands_for(&self, code: &[u8], v: &[f32], buffer: &mut Vec<u8>) -> bool {
        if v.len() != self.dim {
            return false;
        }
        buffer.resize(self.stride(), 0);
        self.encode(v, buffer);
        match self.form {
            Form::F32 => code == &buffer[..],
            Form::U8 { .. } => self.pair(code, buffer) <= self.dim as f32,
        }
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes of a code: a multiple of 8.
    pub(crate) fn stride(&self) -> usize {
        match self.form {
            Form::F32 => (self.dim * 4).next_multiple_of(8),
            Form::U8 { .. } => self.dim.next_multiple_of(U8_PAD),
        }
    }

    /// Whether codes are the values themselves.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self.form, Form::F32)
    }

    /// Squared distance in the vectors' own units for one unit of [`Coder::distance`].
    pub(crate) fn scale(&self) -> f32 {
        match self.form {
            Form::F32 => 1.0,
            Form::U8 { step, .. } => step * step,
        }
    }

    /// Writes the code of `v`.
    pub(crate) fn encode(&self, v: &[f32], code: &mut [u8]) {
        match &self.form {
            Form::F32 => {
                for (x, c) in v.iter().zip(code.chunks_exact_mut(4)) {
                    c.copy_from_slice(&x.to_le_bytes());
                }
            }
            Form::U8 { offset, step, .. } => {
                let scale = 1.0 / step;
                for ((x, o), c) in v.iter().zip(offset).zip(code.iter_mut()) {
                    // `as` saturates, and makes NaN zero.
                    *c = ((x - o) * scale + 0.5) as u8;
                }
                code[self.dim..].fill(0);
            }
        }
    }

    /// The vector a code stands for.
    pub(crate) fn decode(&self, code: &[u8], v: &mut [f32]) {
        match &self.form {
            Form::F32 => {
                for (x, c) in v.iter_mut().zip(code.chunks_exact(4)) {
                    *x = f32::from_le_bytes([c[0], c[1], c[2], c[3]]);
                }
            }
            Form::U8 { offset, step, .. } => {
                for ((x, o), c) in v.iter_mut().zip(offset).zip(code) {
                    *x = o + step * f32::from(*c);
                }
            }
        }
    }

    /// Prepares a query. It may lie outside the codes' range.
    pub(crate) fn query(&self, v: &[f32]) -> Query {
        match &self.form {
            Form::F32 => Query::F32(v.to_vec()),
            Form::U8 { offset, step, query_limit } => {
                let mut q = vec![0i16; self.stride()];
                for ((x, o), q) in v.iter().zip(offset).zip(&mut q) {
                    let code = ((x - o) / step).round();
                    *q = code.clamp(-query_limit, 255.0 + query_limit) as i16;
                }
                Query::U8(q)
            }
        }
    }

    /// A query that is an entry.
    pub(crate) fn query_of_code(&self, code: &[u8]) -> Query {
        match self.form {
            Form::F32 => {
                let mut v = vec![0.0; self.dim];
                self.decode(code, &mut v);
                Query::F32(v)
            }
            Form::U8 { .. } => Query::U8(code.iter().map(|c| i16::from(*c)).collect()),
        }
    }

    /// Distance in the coder's units.
    #[inline]
    pub(crate) fn distance(&self, query: &Query, code: &[u8]) -> f32 {
        match query {
            Query::U8(q) => self.kernels.query_u8(q, code) as f32,
            Query::F32(q) => self.kernels.l2_f32(q, &code[..q.len() * 4]),
        }
    }

    /// Distances to codes that lie one behind the other.
    pub(crate) fn distances(&self, query: &Query, codes: &[u8], out: &mut Vec<f32>) {
        out.clear();
        match query {
            Query::U8(q) => {
                let mut part = [0u32; 64];
                for block in codes.chunks(64 * q.len()) {
                    let part = &mut part[..block.len() / q.len()];
                    self.kernels.query_u8_block(q, block, part);
                    out.extend(part.iter().map(|d| *d as f32));
                }
            }
            Query::F32(q) => {
                let d = |c: &[u8]| self.kernels.l2_f32(q, &c[..q.len() * 4]);
                out.extend(codes.chunks_exact(self.stride()).map(d));
            }
        }
    }

    /// Distance of two entries, in the coder's units.
    #[inline]
    pub(crate) fn pair(&self, a: &[u8], b: &[u8]) -> f32 {
        match self.form {
            Form::U8 { .. } => self.kernels.pair_u8(a, b) as f32,
            Form::F32 => {
                let mut v = [0f32; 512];
                if self.dim <= v.len() {
                    let v = &mut v[..self.dim];
                    self.decode(a, v);
                    self.kernels.l2_f32(v, &b[..self.dim * 4])
                } else {
                    self.distance(&self.query_of_code(a), b)
                }
            }
        }
    }

    /// How far `v` lies outside the codes' range: 1 = inside, 2 = needs twice the range.
    pub(crate) fn excess(&self, v: &[f32]) -> f32 {
        match &self.form {
            Form::F32 => 1.0,
            Form::U8 { offset, step, .. } => {
                let half = 128.0 * step;
                let over = v.iter().zip(offset).map(|(x, o)| (x - (o + 127.5 * step)).abs());
                (over.fold(0f32, f32::max) / half).max(1.0)
            }
        }
    }

    /// Whether an excess is one to widen for at once.
    pub(crate) fn is_outlier(excess: f32) -> bool {
        excess.is_nan() || excess > OUTLIER
    }

    /// A coder for the same vectors whose range also holds `v`, with room to spare.
    pub(crate) fn widened(&self, v: &[f32]) -> Coder {
        let Form::U8 { offset, step, .. } = &self.form else { return self.clone() };
        let (mut low, mut high) = (offset.to_vec(), offset.to_vec());
        for ((l, h), x) in low.iter_mut().zip(&mut high).zip(v) {
            *h += 255.0 * step;
            *l = l.min(*x);
            *h = h.max(*x);
            let spare = (*h - *l) / 16.0;
            *l -= spare;
            *h += spare;
        }
        Self::spanning(self.dim, &low, &high)
    }
}

/// How far outside the range a query's places may be: dim * (255 + limit)^2 must stay below 2^31.
fn query_limit(dim: usize) -> f32 {
    ((2f32.powi(31) / dim as f32).sqrt() - 256.0).clamp(0.0, 8000.0)
}

/// Per dimension, the bounds of a sample without its extreme thousandths.
fn quantiles(dim: usize, sample: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let n = sample.len() / dim.max(1);
    let cut = n / 500;
    let (mut low, mut high) = (Vec::with_capacity(dim), Vec::with_capacity(dim));
    for d in 0..dim {
        let mut column: Vec<f32> = sample.iter().skip(d).step_by(dim).copied().collect();
        column.sort_by(f32::total_cmp);
        low.push(column.get(cut).copied().unwrap_or(0.0));
        high.push(column.get(n.saturating_sub(cut + 1)).copied().unwrap_or(0.0));
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    fn bounds(dim: usize, sample: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (mut low, mut high) = (vec![f32::MAX; dim], vec![f32::MIN; dim]);
        for v in sample.chunks(dim) {
            for d in 0..dim {
                low[d] = low[d].min(v[d]);
                high[d] = high[d].max(v[d]);
            }
        }
        (low, high)
    }

    #[test]
    fn integers_below_256_are_exact() {
        let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
        let mut sample: Vec<f32> = (0..500 * 20).map(|_| f32::from(rng.random::<u8>())).collect();
        sample[0] = 0.0;
        sample[21] = 255.0;
        let (low, high) = (vec![0.0; 20], vec![255.0; 20]);
        let coder = Coder::train(20, &sample, &low, &high);
        assert!(!coder.is_exact());
        let mut code = vec![0; coder.stride()];
        for v in sample.chunks(20).take(50) {
            coder.encode(v, &mut code);
            let truth: f32 = v.iter().zip(&sample[..20]).map(|(a, b)| (a - b).powi(2)).sum();
            let d = coder.distance(&coder.query(&sample[..20]), &code) * coder.scale();
            assert!((d - truth).abs() <= truth * 0.02 + 20.0, "{d} {truth}");
        }
    }

    #[test]
    fn one_huge_dimension_needs_wide_codes_and_outliers_do_not() {
        let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
        let mut sample: Vec<f32> = (0..1000 * 8).map(|_| rng.random_range(0.0..1.0)).collect();
        let (low, high) = bounds(8, &sample);
        assert!(!Coder::train(8, &sample, &low, &high).is_exact());
        sample[3] = 1e6;
        let (low, high) = bounds(8, &sample);
        assert!(!Coder::train(8, &sample, &low, &high).is_exact());
        for v in sample.chunks_mut(8) {
            // Huge steps between few places, small differences inside a place.
            v[0] = 1e6 * (v[0] * 3.0).floor();
        }
        let (low, high) = bounds(8, &sample);
        assert!(Coder::train(8, &sample, &low, &high).is_exact());
    }

    #[test]
    fn widening_keeps_what_was_there() {
        let sample: Vec<f32> = (0..1000).map(|i| (i % 97) as f32).collect();
        let coder = Coder::train(4, &sample, &[0.0; 4], &[96.0; 4]);
        let far = [200.0, 3.0, 4.0, -5.0];
        assert!(coder.excess(&far) > 1.0);
        let wide = coder.widened(&far);
        assert!(wide.excess(&far) <= 1.0);
        let (mut code, mut v) = (vec![0; 16], vec![0f32; 4]);
        coder.encode(&sample[..4], &mut code);
        coder.decode(&code, &mut v);
        wide.encode(&v, &mut code);
        wide.decode(&code, &mut v);
        for (a, b) in v.iter().zip(&sample) {
            assert!((a - b).abs() < 1.5, "{a} {b}");
        }
    }
}
