//! k-means over a sample: k-means++ start on part of it, then Lloyd's iterations, parallel and yet the same for the
//! same seed whatever the number of threads (partial sums are added in a fixed order).
#![allow(clippy::indexing_slicing)] // lengths are checked where the sample is made

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use vicinity_types::Result;

use super::table::Table;
use crate::{Progress, step_aside};

/// Most iterations of Lloyd's.
const ITERATIONS: usize = 12;
/// It ends sooner when an iteration lowers the sum of distances by less than this share.
const ENOUGH: f64 = 0.002;
/// Vectors per centroid that the start looks at, and vectors it looks at in all unless two per centroid are more: it
/// compares every one of them with every centroid.
const START_PER_CENTROID: usize = 16;
const START: usize = 32 * 1024;
/// Up to this many vectors stay on the calling thread, which may hold a lock and must not wait for a pool that is
/// busy with another build.
pub(super) const SMALL: usize = 4096;

/// At most `k` centroids of `sample` (`dim` values each, in random order); fewer if it has fewer vectors.
pub(crate) fn kmeans(
    sample: &[f32],
    dim: usize,
    k: usize,
    seed: u64,
    progress: &Progress,
) -> Result<Vec<f32>> {
    let n = sample.len() / dim;
    if n <= k {
        return Ok(sample.to_vec());
    }
    let looked_at = k.saturating_mul(START_PER_CENTROID).min(START).max(k.saturating_mul(2));
    let start = &sample[..n.min(looked_at) * dim];
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut centroids = plus_plus(start, dim, k, &mut rng, progress)?;
    let mut last = f64::INFINITY;
    for _ in 0..ITERATIONS {
        progress.check()?;
        let nearest = Table::new(dim, &centroids).nearest_parallel(sample);
        progress.advance(n as u64);
        let total: f64 = nearest.iter().map(|(_, d)| f64::from(*d)).sum();
        centroids = means(sample, dim, k, &nearest, &centroids);
        if total >= last * (1.0 - ENOUGH) {
            break;
        }
        last = total;
    }
    Ok(centroids)
}

/// k-means++: each next centroid is drawn with a chance proportional to its squared distance to those chosen.
fn plus_plus(
    sample: &[f32],
    dim: usize,
    k: usize,
    rng: &mut Xoshiro256PlusPlus,
    progress: &Progress,
) -> Result<Vec<f32>> {
    const AT_ONCE: usize = 2048;
    let n = sample.len() / dim;
    let mut far = vec![f32::INFINITY; n];
    let mut chosen = Vec::with_capacity(k * dim);
    let mut pick = rng.random_range(0..n);
    loop {
        let c: Vec<f32> = sample[pick * dim..(pick + 1) * dim].to_vec();
        chosen.extend_from_slice(&c);
        if chosen.len() == k * dim {
            return Ok(chosen);
        }
        progress.check()?;
        let lower = |vs: &[f32], far: &mut [f32]| {
            for (v, d) in vs.chunks_exact(dim).zip(far.iter_mut()) {
                *d = d.min(l2(v, &c));
            }
            far.iter().map(|d| f64::from(*d)).sum::<f64>()
        };
        let sums: Vec<f64> = if n <= SMALL {
            vec![lower(sample, &mut far)]
        } else {
            let parts = sample.par_chunks(AT_ONCE * dim).zip(far.par_chunks_mut(AT_ONCE));
            parts.map(|(vs, far)| lower(vs, far)).collect()
        };
        let mut target = rng.random::<f64>() * sums.iter().sum::<f64>();
        // All left are copies of chosen ones: any will do.
        pick = rng.random_range(0..n);
        if target > 0.0 {
            for (i, d) in far.iter().enumerate() {
                target -= f64::from(*d);
                if target <= 0.0 && *d > 0.0 {
                    pick = i;
                    break;
                }
            }
        }
    }
}

/// Squared distance, summed in independent lanes so that it vectorises.
fn l2(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    for (a, b) in a.chunks(16).zip(b.chunks(16)) {
        for ((s, a), b) in sums.iter_mut().zip(a).zip(b) {
            *s += (a - b) * (a - b);
        }
    }
    sums.iter().sum()
}

/// The mean of each centroid's vectors; a centroid without any moves into the fullest cluster.
fn means(sample: &[f32], dim: usize, k: usize, nearest: &[(u32, f32)], old: &[f32]) -> Vec<f32> {
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); k];
    for (i, (c, _)) in nearest.iter().enumerate() {
        members[*c as usize].push(i as u32);
    }
    let mut out = vec![0f32; k * dim];
    let mean = |(c, (out, members)): (usize, (&mut [f32], &Vec<u32>))| {
        step_aside();
        let mut sum = vec![0f64; dim];
        for i in members {
            let v = &sample[*i as usize * dim..][..dim];
            for (s, x) in sum.iter_mut().zip(v) {
                *s += f64::from(*x);
            }
        }
        for (d, (o, s)) in out.iter_mut().zip(sum).enumerate() {
            *o = if members.is_empty() {
                old[c * dim + d]
            } else {
                (s / members.len() as f64) as f32
            };
        }
    };
    if nearest.len() <= SMALL {
        out.chunks_mut(dim).zip(&members).enumerate().for_each(mean);
    } else {
        out.par_chunks_mut(dim).zip(&members).enumerate().for_each(mean);
    }
    let mut sizes: Vec<usize> = members.iter().map(Vec::len).collect();
    for c in 0..k {
        if sizes[c] == 0 {
            let Some(full) = (0..k).max_by_key(|c| sizes[*c]) else { break };
            let Some(i) = members[full].get(sizes[full] / 2) else { break };
            out[c * dim..(c + 1) * dim].copy_from_slice(&sample[*i as usize * dim..][..dim]);
            sizes[c] = sizes[full] / 2;
            sizes[full] -= sizes[c];
        }
    }
    out
}

/// Two centroids for a cluster that grew too big.
pub(crate) fn halves(sample: &[f32], dim: usize, seed: u64) -> Result<Vec<f32>> {
    kmeans(sample, dim, 2, seed, &Progress::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_separate_clusters_and_is_deterministic() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let sample: Vec<f32> = (0..2000)
            .flat_map(|i| {
                let c = (i % 10) as f32 * 100.0;
                [c + rng.random_range(0.0..1.0), -c + rng.random_range(0.0..1.0)]
            })
            .collect();
        let run = || kmeans(&sample, 2, 10, 1, &Progress::new()).ok();
        let centroids = run().unwrap_or_default();
        assert_eq!(centroids.len(), 20);
        let near = Table::new(2, &centroids).nearest_parallel(&sample);
        assert!(near.iter().all(|(_, d)| *d < 1.0));
        assert_eq!(run(), Some(centroids));
    }

    #[test]
    fn copies_of_one_vector_and_few_vectors() {
        let same = vec![3.0; 4 * 100];
        assert_eq!(kmeans(&same, 4, 5, 1, &Progress::new()).map(|c| c.len()).ok(), Some(20));
        assert_eq!(kmeans(&same[..8], 4, 5, 1, &Progress::new()).map(|c| c.len()).ok(), Some(8));
    }
}
