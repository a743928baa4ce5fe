//! Which slots of a leaf are near or hold a row: eight, four or one at a time, by what the CPU can do.
//!
//! Writers change slots meanwhile. A lane is read whole as any load of an aligned word is, which is all that a hint
//! needs; the loads are the CPU's own instructions because the language knows no atomic ones so wide.
#![allow(unsafe_code, clippy::indexing_slicing)]

use std::cmp::Ordering::Greater;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::leaf::CAPACITY;

/// One coordinate of all slots, or their rows.
pub(super) type Column = [AtomicU64; CAPACITY];

/// Slots by a bit each; the first is the lowest.
pub(super) type Slots = u64;

struct Kernels {
    near: unsafe fn(&Column, &Column, [f64; 2], f64) -> Slots,
    holding: unsafe fn(&Column, u64) -> Slots,
}

fn kernels() -> &'static Kernels {
    static CHOSEN: OnceLock<Kernels> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Kernels { near: x86::near_512, holding: x86::holding_512 };
            }
            if is_x86_feature_detected!("avx2") {
                return Kernels { near: x86::near_256, holding: x86::holding_256 };
            }
        }
        Kernels { near, holding }
    })
}

/// The slots whose squared distance from a point is at most `bound`, or NaN.
#[inline]
pub(super) fn slots_near(xs: &Column, ys: &Column, point: [f64; 2], bound: f64) -> Slots {
    // SAFETY: it was chosen for this CPU.
    unsafe { (kernels().near)(xs, ys, point, bound) }
}

/// The slots that hold a word.
#[inline]
pub(super) fn slots_holding(words: &Column, word: u64) -> Slots {
    // SAFETY: it was chosen for this CPU.
    unsafe { (kernels().holding)(words, word) }
}

/// The slots of a set, one after the other.
#[inline]
pub(super) fn each(mut slots: Slots) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let slot = slots.trailing_zeros();
        slots &= slots.wrapping_sub(1);
        (slot < Slots::BITS).then_some(slot as usize)
    })
}

fn near(xs: &Column, ys: &Column, [qx, qy]: [f64; 2], bound: f64) -> Slots {
    xs.iter().zip(ys).rev().fold(0, |bits, (x, y)| {
        let dx = f64::from_bits(x.load(Ordering::Relaxed)) - qx;
        let dy = f64::from_bits(y.load(Ordering::Relaxed)) - qy;
        bits << 1 | u64::from((dx * dx + dy * dy).partial_cmp(&bound) != Some(Greater))
    })
}

fn holding(words: &Column, word: u64) -> Slots {
    let is_held = |held: &AtomicU64| u64::from(held.load(Ordering::Relaxed) == word);
    words.iter().rev().fold(0, |bits, held| bits << 1 | is_held(held))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::*;

    use super::{CAPACITY, Column, Slots};

    /// The words of eight slots.
    #[target_feature(enable = "avx512f")]
    fn eight(column: &Column, from: usize) -> __m512i {
        let words: __m512i;
        // SAFETY: the words read are of the slice, eight of them; nothing else is touched.
        unsafe {
            asm!(
                "vmovdqu64 {words}, [{at}]",
                words = out(zmm_reg) words,
                at = in(reg) column[from..from + 8].as_ptr(),
                options(readonly, nostack, preserves_flags),
            );
        }
        words
    }

    /// The words of four slots.
    #[target_feature(enable = "avx2")]
    fn four(column: &Column, from: usize) -> __m256i {
        let words: __m256i;
        // SAFETY: the words read are of the slice, four of them; nothing else is touched.
        unsafe {
            asm!(
                "vmovdqu {words}, [{at}]",
                words = out(ymm_reg) words,
                at = in(reg) column[from..from + 4].as_ptr(),
                options(readonly, nostack, preserves_flags),
            );
        }
        words
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn near_512(xs: &Column, ys: &Column, [qx, qy]: [f64; 2], bound: f64) -> Slots {
        let (qx, qy, bound) = (_mm512_set1_pd(qx), _mm512_set1_pd(qy), _mm512_set1_pd(bound));
        (0..CAPACITY).step_by(8).rev().fold(0, |bits, from| {
            let dx = _mm512_sub_pd(_mm512_castsi512_pd(eight(xs, from)), qx);
            let dy = _mm512_sub_pd(_mm512_castsi512_pd(eight(ys, from)), qy);
            let square = _mm512_add_pd(_mm512_mul_pd(dx, dx), _mm512_mul_pd(dy, dy));
            bits << 8 | u64::from(_mm512_cmp_pd_mask::<_CMP_NGT_UQ>(square, bound))
        })
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn holding_512(words: &Column, word: u64) -> Slots {
        let word = _mm512_set1_epi64(word.cast_signed());
        (0..CAPACITY).step_by(8).rev().fold(0, |bits, from| {
            bits << 8 | u64::from(_mm512_cmpeq_epi64_mask(eight(words, from), word))
        })
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn near_256(xs: &Column, ys: &Column, [qx, qy]: [f64; 2], bound: f64) -> Slots {
        let (qx, qy, bound) = (_mm256_set1_pd(qx), _mm256_set1_pd(qy), _mm256_set1_pd(bound));
        (0..CAPACITY).step_by(4).rev().fold(0, |bits, from| {
            let dx = _mm256_sub_pd(_mm256_castsi256_pd(four(xs, from)), qx);
            let dy = _mm256_sub_pd(_mm256_castsi256_pd(four(ys, from)), qy);
            let square = _mm256_add_pd(_mm256_mul_pd(dx, dx), _mm256_mul_pd(dy, dy));
            let near = _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_NGT_UQ>(square, bound));
            bits << 4 | u64::from(near.cast_unsigned())
        })
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn holding_256(words: &Column, word: u64) -> Slots {
        let word = _mm256_set1_epi64x(word.cast_signed());
        (0..CAPACITY).step_by(4).rev().fold(0, |bits, from| {
            let equal = _mm256_castsi256_pd(_mm256_cmpeq_epi64(four(words, from), word));
            bits << 4 | u64::from(_mm256_movemask_pd(equal).cast_unsigned())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(values: &[f64]) -> Column {
        std::array::from_fn(|i| AtomicU64::new(values[i].to_bits()))
    }

    fn coordinate() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => -10.0..10.0f64,
            1 => prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, -1e308, 3.0]),
        ]
    }

    proptest! {
        #[test]
        fn all_ways_agree(
            xs in prop::collection::vec(coordinate(), CAPACITY),
            ys in prop::collection::vec(coordinate(), CAPACITY),
            point in [coordinate(), coordinate()],
            bound in prop_oneof![0.0..300.0f64, Just(0.0), Just(f64::INFINITY), Just(f64::NAN)],
        ) {
            let expected = (0..CAPACITY).fold(0, |bits, i| {
                let (dx, dy) = (xs[i] - point[0], ys[i] - point[1]);
                let square = dx * dx + dy * dy;
                let unordered = square.is_nan() || bound.is_nan();
                bits | u64::from(square <= bound || unordered) << i
            });
            let (xs, ys) = (column(&xs), column(&ys));
            prop_assert_eq!(near(&xs, &ys, point, bound), expected);
            prop_assert_eq!(slots_near(&xs, &ys, point, bound), expected);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: just detected.
                prop_assert_eq!(unsafe { x86::near_256(&xs, &ys, point, bound) }, expected);
            }
        }

        #[test]
        fn words_are_found(words in prop::collection::vec(0..4u64, CAPACITY), word in 0..5u64) {
            let word = word.wrapping_sub(1);
            let expected = (0..CAPACITY).fold(0, |bits, i| bits | u64::from(words[i] == word) << i);
            let words: Column = std::array::from_fn(|i| AtomicU64::new(words[i]));
            prop_assert_eq!(holding(&words, word), expected);
            prop_assert_eq!(slots_holding(&words, word), expected);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: just detected.
                prop_assert_eq!(unsafe { x86::holding_256(&words, word) }, expected);
            }
        }
    }
}
