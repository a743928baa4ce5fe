//! Logarithm and exponential in fixed point: integers that count units of 10^-p.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

use super::ten;

/// A working precision: numbers are multiples of `1 / one`.
pub(super) struct Fixed {
    one: BigInt,
}

impl Fixed {
    pub(super) fn new(places: i64) -> Fixed {
        Fixed { one: ten(places) }
    }

    fn mul(&self, a: &BigInt, b: &BigInt) -> BigInt {
        a * b / &self.one
    }

    /// Natural logarithm of a positive number.
    ///
    /// The argument is brought near 1 by powers of two and then by roots, and the rest is
    /// 2 artanh((x-1)/(x+1)).
    pub(super) fn ln(&self, x: &BigInt) -> BigInt {
        let twos = x.bits() as i64 - self.one.bits() as i64;
        let scaled = if twos >= 0 { x >> twos.unsigned_abs() } else { x << twos.unsigned_abs() };
        let mut root = scaled;
        let mut halvings = 0u32;
        while halvings < 8 {
            root = (&root * &self.one).sqrt();
            halvings += 1;
        }
        let series = (self.artanh_ratio(&root) * 2u32) << halvings;
        let ln2 = self.artanh(&(&self.one / 3u32)) * 2u32;
        series + ln2 * twos
    }

    fn artanh_ratio(&self, x: &BigInt) -> BigInt {
        let ratio = (x - &self.one) * &self.one / (x + &self.one);
        self.artanh(&ratio)
    }

    fn artanh(&self, z: &BigInt) -> BigInt {
        let square = self.mul(z, z);
        let (mut power, mut sum, mut n) = (z.clone(), z.clone(), 1u32);
        loop {
            power = self.mul(&power, &square);
            n += 2;
            let term = &power / n;
            if term.is_zero() {
                return sum;
            }
            sum += term;
        }
    }

    /// e to a power; the caller has checked that the result is of a size to be held.
    pub(super) fn exp(&self, x: &BigInt) -> BigInt {
        // e^x = (e^(x / 2^k))^(2^k) with the inner argument below 1/256.
        let magnitude = (x.abs() / &self.one).to_u64().unwrap_or(u64::MAX);
        let halvings = 8 + (64 - magnitude.leading_zeros());
        let small = x >> halvings;
        let (mut term, mut sum, mut n) = (self.one.clone(), self.one.clone(), 1u32);
        loop {
            term = self.mul(&term, &small) / n;
            if term.is_zero() || (term.is_negative() && term.magnitude().bits() <= 1) {
                break;
            }
            sum += &term;
            n += 1;
        }
        for _ in 0..halvings {
            sum = self.mul(&sum, &sum);
        }
        sum
    }
}
