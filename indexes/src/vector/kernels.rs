//! Distance kernels, chosen once per process by what the CPU can do: AVX-512 (with VNNI where present), AVX2 with
//! FMA, NEON, or plain Rust.
//!
//! All distances are squared Euclidean. The u8 kernels are exact integers; their sums stay below 2^31 because
//! [`super::Coder`] limits query codes by dimension.
#![allow(unsafe_code, clippy::indexing_slicing)]

use std::sync::OnceLock;

/// Bytes of a u8 code are padded to this multiple, with zeros on both sides.
pub(crate) const U8_PAD: usize = 16;

/// Centroids are compared this many at a time.
pub(crate) const LANES: usize = 16;

/// Vectors that [`Kernels::dots`] takes at once.
pub(crate) const ROWS: usize = 6;

type DotsFn = unsafe fn(&[&[f32]; ROWS], &[f32], &mut [[f32; LANES]; ROWS]);

/// The kernels of this CPU. The private pointers were chosen after feature detection.
pub(crate) struct Kernels {
    #[cfg(test)]
    pub(crate) name: &'static str,
    query_u8: unsafe fn(&[i16], &[u8]) -> u32,
    query_u8_block: unsafe fn(&[i16], &[u8], &mut [u32]),
    pair_u8: unsafe fn(&[u8], &[u8]) -> u32,
    l2_f32: unsafe fn(&[f32], &[u8]) -> f32,
    dots: DotsFn,
    dots_one: unsafe fn(&[f32], &[f32], &mut [f32]),
}

/// The kernels for this process.
pub(crate) fn kernels() -> &'static Kernels {
    static CHOSEN: OnceLock<Kernels> = OnceLock::new();
    CHOSEN.get_or_init(choose)
}

fn choose() -> Kernels {
    #[cfg(target_arch = "x86_64")]
    {
        let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        if wide && is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("fma") {
            return x86::AVX512_VNNI;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return x86::AVX2;
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        return neon::NEON;
    }
    SCALAR
}

impl Kernels {
    /// Distance of a query's code to an entry's; both padded to the same multiple of [`U8_PAD`].
    #[inline]
    pub(crate) fn query_u8(&self, query: &[i16], code: &[u8]) -> u32 {
        debug_assert_eq!(query.len(), code.len());
        // SAFETY: the pointer was chosen for this CPU; the kernel reads `query.len()` elements of slices that long.
        unsafe { (self.query_u8)(&query[..code.len()], code) }
    }

    /// Distances of a query's code to codes that lie one behind the other.
    #[inline]
    pub(crate) fn query_u8_block(&self, query: &[i16], codes: &[u8], out: &mut [u32]) {
        assert!(codes.len() == query.len() * out.len());
        // SAFETY: the pointer was chosen for this CPU; lengths were just checked.
        unsafe { (self.query_u8_block)(query, codes, out) }
    }

    /// Distance of two entries' codes.
    #[inline]
    pub(crate) fn pair_u8(&self, a: &[u8], b: &[u8]) -> u32 {
        debug_assert_eq!(a.len(), b.len());
        // SAFETY: as above.
        unsafe { (self.pair_u8)(&a[..b.len()], b) }
    }

    /// Distance of a vector to one kept as little-endian f32 bytes (any alignment).
    #[inline]
    pub(crate) fn l2_f32(&self, query: &[f32], bytes: &[u8]) -> f32 {
        assert!(query.len() * 4 == bytes.len());
        // SAFETY: the pointer was chosen for this CPU; lengths were just checked.
        unsafe { (self.l2_f32)(query, bytes) }
    }

    /// Dot products of [`ROWS`] vectors with [`LANES`] centroids given dimension by dimension
    /// (`block[d * LANES + lane]`).
    #[inline]
    pub(crate) fn dots(
        &self,
        rows: &[&[f32]; ROWS],
        block: &[f32],
        out: &mut [[f32; LANES]; ROWS],
    ) {
        for r in rows {
            assert!(r.len() * LANES == block.len());
        }
        // SAFETY: the pointer was chosen for this CPU; lengths were just checked.
        unsafe { (self.dots)(rows, block, out) }
    }
}

impl Kernels {
    /// Dot products of one vector with centroids in blocks as [`Kernels::dots`] takes them, all blocks in a row.
    #[inline]
    pub(crate) fn dots_one(&self, row: &[f32], blocks: &[f32], out: &mut [f32]) {
        assert!(row.len() * out.len() == blocks.len() && out.len().is_multiple_of(LANES));
        // SAFETY: the pointer was chosen for this CPU; lengths were just checked.
        unsafe { (self.dots_one)(row, blocks, out) }
    }
}

/// Asks the cache for the lines of `bytes`.
#[inline(always)]
pub(crate) fn prefetch(bytes: &[u8]) {
    let mut at = 0;
    while at < bytes.len() {
        prefetch_lines::<1>(bytes.as_ptr().wrapping_add(at));
        at += 64;
    }
}

/// Asks the cache for `N` lines from an address on, which may be any.
#[inline(always)]
pub fn prefetch_lines<const N: usize>(start: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in 0..N {
            // SAFETY: a prefetch has no effect on memory and may be given any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(64 * line).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = start;
}

const SCALAR: Kernels = Kernels {
    #[cfg(test)]
    name: "scalar",
    query_u8: scalar::query_u8,
    query_u8_block: scalar::query_u8_block,
    pair_u8: scalar::pair_u8,
    l2_f32: scalar::l2_f32,
    dots: scalar::dots,
    dots_one: scalar::dots_one,
};

/// Written so that the compiler vectorises them with whatever features the caller enables.
mod scalar {
    use super::{LANES, ROWS};

    #[inline(always)]
    pub(super) fn query_u8(query: &[i16], code: &[u8]) -> u32 {
        query
            .iter()
            .zip(code)
            .map(|(q, c)| (i32::from(*q) - i32::from(*c)).pow(2).cast_unsigned())
            .sum()
    }

    #[inline(always)]
    pub(super) fn query_u8_block(query: &[i16], codes: &[u8], out: &mut [u32]) {
        for (code, d) in codes.chunks_exact(query.len()).zip(out) {
            *d = query_u8(query, code);
        }
    }

    #[inline(always)]
    pub(super) fn pair_u8(a: &[u8], b: &[u8]) -> u32 {
        a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
    }

    #[inline(always)]
    pub(super) fn l2_f32(query: &[f32], bytes: &[u8]) -> f32 {
        let mut sums = [0f32; LANES];
        for (q, b) in query.chunks(LANES).zip(bytes.chunks(4 * LANES)) {
            for ((s, q), b) in sums.iter_mut().zip(q).zip(b.chunks_exact(4)) {
                let d = q - f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                *s += d * d;
            }
        }
        sums.iter().sum()
    }

    #[inline(always)]
    pub(super) fn dots(rows: &[&[f32]; ROWS], block: &[f32], out: &mut [[f32; LANES]; ROWS]) {
        let mut sums = [[0f32; LANES]; ROWS];
        for (d, lane) in block.chunks_exact(LANES).enumerate() {
            for (sum, row) in sums.iter_mut().zip(rows) {
                let x = row[d];
                for (s, c) in sum.iter_mut().zip(lane) {
                    *s += x * c;
                }
            }
        }
        *out = sums;
    }

    #[inline(always)]
    pub(super) fn dots_one(row: &[f32], blocks: &[f32], out: &mut [f32]) {
        for (block, out) in blocks.chunks_exact(row.len() * LANES).zip(out.chunks_exact_mut(LANES))
        {
            let mut sums = [0f32; LANES];
            for (x, lane) in row.iter().zip(block.chunks_exact(LANES)) {
                for (s, c) in sums.iter_mut().zip(lane) {
                    *s += x * c;
                }
            }
            out.copy_from_slice(&sums);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernels, LANES, ROWS, scalar};

    pub(super) const AVX512_VNNI: Kernels = Kernels {
        #[cfg(test)]
        name: "avx512-vnni",
        query_u8: query_u8_512,
        query_u8_block: query_u8_block_512,
        pair_u8: pair_u8_512,
        l2_f32: l2_f32_512,
        dots: dots_512,
        dots_one: dots_one_512,
    };

    pub(super) const AVX2: Kernels = Kernels {
        #[cfg(test)]
        name: "avx2",
        query_u8: query_u8_256,
        query_u8_block: query_u8_block_256,
        pair_u8: pair_u8_256,
        l2_f32: l2_f32_256,
        dots: dots_256,
        dots_one: dots_one_256,
    };

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
    #[inline]
    unsafe fn query_u8_512(query: &[i16], code: &[u8]) -> u32 {
        let n = code.len();
        let mut sum = _mm512_setzero_si512();
        let mut i = 0;
        // SAFETY: every load ends at or before element n; both slices have n elements.
        unsafe {
            while i + 32 <= n {
                let q = _mm512_loadu_si512(query.as_ptr().add(i).cast());
                let c = _mm512_cvtepu8_epi16(_mm256_loadu_si256(code.as_ptr().add(i).cast()));
                let d = _mm512_sub_epi16(q, c);
                sum = _mm512_dpwssd_epi32(sum, d, d);
                i += 32;
            }
            if i < n {
                let q = _mm256_loadu_si256(query.as_ptr().add(i).cast());
                let c = _mm256_cvtepu8_epi16(_mm_loadu_si128(code.as_ptr().add(i).cast()));
                let d = _mm512_zextsi256_si512(_mm256_sub_epi16(q, c));
                sum = _mm512_dpwssd_epi32(sum, d, d);
            }
        }
        _mm512_reduce_add_epi32(sum).cast_unsigned()
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
    unsafe fn query_u8_block_512(query: &[i16], codes: &[u8], out: &mut [u32]) {
        for (code, d) in codes.chunks_exact(query.len()).zip(out) {
            // SAFETY: same features, same length.
            *d = unsafe { query_u8_512(query, code) };
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
    unsafe fn pair_u8_512(a: &[u8], b: &[u8]) -> u32 {
        let n = a.len();
        let mut sum = _mm512_setzero_si512();
        let mut i = 0;
        // SAFETY: every load ends at or before element n; both slices have n elements.
        unsafe {
            while i + 32 <= n {
                let x = _mm512_cvtepu8_epi16(_mm256_loadu_si256(a.as_ptr().add(i).cast()));
                let y = _mm512_cvtepu8_epi16(_mm256_loadu_si256(b.as_ptr().add(i).cast()));
                let d = _mm512_sub_epi16(x, y);
                sum = _mm512_dpwssd_epi32(sum, d, d);
                i += 32;
            }
            if i < n {
                let x = _mm256_cvtepu8_epi16(_mm_loadu_si128(a.as_ptr().add(i).cast()));
                let y = _mm256_cvtepu8_epi16(_mm_loadu_si128(b.as_ptr().add(i).cast()));
                let d = _mm512_zextsi256_si512(_mm256_sub_epi16(x, y));
                sum = _mm512_dpwssd_epi32(sum, d, d);
            }
        }
        _mm512_reduce_add_epi32(sum).cast_unsigned()
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn l2_f32_512(query: &[f32], bytes: &[u8]) -> f32 {
        let n = query.len();
        let mut sum = _mm512_setzero_ps();
        let mut i = 0;
        // SAFETY: full loads end at or before element n; the last one is masked to n.
        unsafe {
            let v: *const f32 = bytes.as_ptr().cast();
            while i + 16 <= n {
                let d = _mm512_sub_ps(
                    _mm512_loadu_ps(query.as_ptr().add(i)),
                    _mm512_loadu_ps(v.add(i)),
                );
                sum = _mm512_fmadd_ps(d, d, sum);
                i += 16;
            }
            if i < n {
                let mask = (1u16 << (n - i)) - 1;
                let q = _mm512_maskz_loadu_ps(mask, query.as_ptr().add(i));
                let d = _mm512_sub_ps(q, _mm512_maskz_loadu_ps(mask, v.add(i)));
                sum = _mm512_fmadd_ps(d, d, sum);
            }
        }
        _mm512_reduce_add_ps(sum)
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn dots_512(rows: &[&[f32]; ROWS], block: &[f32], out: &mut [[f32; LANES]; ROWS]) {
        let mut sums = [_mm512_setzero_ps(); ROWS];
        for (d, lane) in block.chunks_exact(LANES).enumerate() {
            // SAFETY: `lane` has 16 elements; every row has block.len() / 16 elements, checked by the caller.
            unsafe {
                let c = _mm512_loadu_ps(lane.as_ptr());
                for (sum, row) in sums.iter_mut().zip(rows) {
                    *sum = _mm512_fmadd_ps(_mm512_set1_ps(*row.get_unchecked(d)), c, *sum);
                }
            }
        }
        for (o, s) in out.iter_mut().zip(sums) {
            // SAFETY: `o` has 16 elements.
            unsafe { _mm512_storeu_ps(o.as_mut_ptr(), s) };
        }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn dots_one_512(row: &[f32], blocks: &[f32], out: &mut [f32]) {
        const AT_ONCE: usize = 4;
        let size = row.len() * LANES;
        let mut quads = blocks.chunks_exact(size * AT_ONCE);
        let mut outs = out.chunks_exact_mut(LANES * AT_ONCE);
        for (quad, out) in (&mut quads).zip(&mut outs) {
            let mut sums = [_mm512_setzero_ps(); AT_ONCE];
            for (d, x) in row.iter().enumerate() {
                let x = _mm512_set1_ps(*x);
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: each of the four blocks has 16 values per dimension.
                    let c = unsafe { _mm512_loadu_ps(quad.as_ptr().add(i * size + d * LANES)) };
                    *sum = _mm512_fmadd_ps(x, c, *sum);
                }
            }
            for (out, sum) in out.chunks_exact_mut(LANES).zip(sums) {
                // SAFETY: `out` has 16 elements.
                unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
            }
        }
        scalar::dots_one(row, quads.remainder(), outs.into_remainder());
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn dots_one_256(row: &[f32], blocks: &[f32], out: &mut [f32]) {
        scalar::dots_one(row, blocks, out);
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn sum_256(v: __m256i) -> u32 {
        let four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b0100_1110>(four));
        let one = _mm_add_epi32(two, _mm_shuffle_epi32::<0b1011_0001>(two));
        _mm_cvtsi128_si32(one).cast_unsigned()
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn query_u8_256(query: &[i16], code: &[u8]) -> u32 {
        let mut sum = _mm256_setzero_si256();
        for i in (0..code.len()).step_by(16) {
            // SAFETY: both lengths are the same multiple of 16.
            unsafe {
                let q = _mm256_loadu_si256(query.as_ptr().add(i).cast());
                let c = _mm256_cvtepu8_epi16(_mm_loadu_si128(code.as_ptr().add(i).cast()));
                let d = _mm256_sub_epi16(q, c);
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(d, d));
            }
        }
        sum_256(sum)
    }

    #[target_feature(enable = "avx2")]
    unsafe fn query_u8_block_256(query: &[i16], codes: &[u8], out: &mut [u32]) {
        for (code, d) in codes.chunks_exact(query.len()).zip(out) {
            // SAFETY: same features, same length.
            *d = unsafe { query_u8_256(query, code) };
        }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn pair_u8_256(a: &[u8], b: &[u8]) -> u32 {
        let mut sum = _mm256_setzero_si256();
        for i in (0..a.len()).step_by(16) {
            // SAFETY: both lengths are the same multiple of 16.
            unsafe {
                let x = _mm256_cvtepu8_epi16(_mm_loadu_si128(a.as_ptr().add(i).cast()));
                let y = _mm256_cvtepu8_epi16(_mm_loadu_si128(b.as_ptr().add(i).cast()));
                let d = _mm256_sub_epi16(x, y);
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(d, d));
            }
        }
        sum_256(sum)
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn l2_f32_256(query: &[f32], bytes: &[u8]) -> f32 {
        scalar::l2_f32(query, bytes)
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn dots_256(rows: &[&[f32]; ROWS], block: &[f32], out: &mut [[f32; LANES]; ROWS]) {
        scalar::dots(rows, block, out);
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::{Kernels, LANES, ROWS, scalar};

    pub(super) const NEON: Kernels = Kernels {
        #[cfg(test)]
        name: "neon",
        query_u8,
        query_u8_block,
        pair_u8,
        l2_f32,
        dots,
        dots_one,
    };

    #[target_feature(enable = "neon")]
    unsafe fn query_u8(query: &[i16], code: &[u8]) -> u32 {
        scalar::query_u8(query, code)
    }

    #[target_feature(enable = "neon")]
    unsafe fn query_u8_block(query: &[i16], codes: &[u8], out: &mut [u32]) {
        scalar::query_u8_block(query, codes, out);
    }

    #[target_feature(enable = "neon")]
    unsafe fn pair_u8(a: &[u8], b: &[u8]) -> u32 {
        scalar::pair_u8(a, b)
    }

    #[target_feature(enable = "neon")]
    unsafe fn l2_f32(query: &[f32], bytes: &[u8]) -> f32 {
        scalar::l2_f32(query, bytes)
    }

    #[target_feature(enable = "neon")]
    unsafe fn dots(rows: &[&[f32]; ROWS], block: &[f32], out: &mut [[f32; LANES]; ROWS]) {
        scalar::dots(rows, block, out);
    }

    #[target_feature(enable = "neon")]
    unsafe fn dots_one(row: &[f32], blocks: &[f32], out: &mut [f32]) {
        scalar::dots_one(row, blocks, out);
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn every_kernel_agrees_with_plain_rust() {
        let mut all = vec![SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(x86::AVX2);
            }
            if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw") {
                all.push(x86::AVX512_VNNI);
            }
        }
        let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(7);
        for dim in [1usize, 3, 16, 31, 80, 96, 128, 300, 512] {
            let pad = dim.next_multiple_of(U8_PAD);
            let query: Vec<i16> = (0..pad).map(|_| rng.random_range(-300..500)).collect();
            let codes: Vec<u8> = (0..pad * 5).map(|_| rng.random()).collect();
            let floats: Vec<f32> = (0..dim).map(|_| rng.random_range(-9.0..9.0)).collect();
            let bytes: Vec<u8> =
                (0..dim).flat_map(|_| rng.random_range(-9.0f32..9.0).to_le_bytes()).collect();
            let block: Vec<f32> = (0..dim * LANES).map(|_| rng.random_range(-9.0..9.0)).collect();
            let rows = [&floats[..]; ROWS];
            let mut want = [[0f32; LANES]; ROWS];
            SCALAR.dots(&rows, &block, &mut want);
            for k in &all {
                let mut out = [0u32; 5];
                k.query_u8_block(&query, &codes, &mut out);
                for (code, d) in codes.chunks(pad).zip(out) {
                    assert_eq!(scalar::query_u8(&query, code), d, "{} {dim}", k.name);
                    assert_eq!(k.query_u8(&query, code), d);
                    assert_eq!(
                        k.pair_u8(&codes[..pad], code),
                        scalar::pair_u8(&codes[..pad], code)
                    );
                }
                let (a, b) = (k.l2_f32(&floats, &bytes), scalar::l2_f32(&floats, &bytes));
                assert!((a - b).abs() <= b * 1e-5, "{} {dim} {a} {b}", k.name);
                let mut got = [[0f32; LANES]; ROWS];
                k.dots(&rows, &block, &mut got);
                for (a, b) in got.iter().flatten().zip(want.iter().flatten()) {
                    assert!((a - b).abs() <= b.abs() * 1e-4 + 1e-2, "{} {dim} {a} {b}", k.name);
                }
                let mut ones = [0f32; LANES * 6];
                k.dots_one(&floats, &block.repeat(6), &mut ones);
                for (a, b) in ones.iter().zip(want[0].iter().cycle()) {
                    assert!((a - b).abs() <= b.abs() * 1e-4 + 1e-2, "{} {dim} {a} {b}", k.name);
                }
            }
        }
    }
}
