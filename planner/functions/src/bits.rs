//! Bit strings.

use std::sync::Arc;

use vicinity_types::Datum::{self, Bits as Bit, Bool, Int4, Int8};
use vicinity_types::bits::{Bits, MAX, fit_bit, fit_varbit};
use vicinity_types::{PgError, Result, SqlState};

use crate::text::int4;

fn made(bits: Bits) -> Datum {
    Bit(Arc::new(bits))
}

fn pairwise(a: &Bits, b: &Bits, verb: &str, f: fn(bool, bool) -> bool) -> Result<Datum> {
    if a.len() != b.len() {
        return Err(PgError::new(
            SqlState(*b"22026"),
            format!("cannot {verb} bit strings of different sizes"),
        ));
    }
    Ok(made(Bits::from_bits(a.iter().zip(b.iter()).map(|(a, b)| f(a, b)))))
}

pub(crate) fn bit_and(a: &Bits, b: &Bits) -> Result<Datum> {
    pairwise(a, b, "AND", |a, b| a & b)
}

pub(crate) fn bit_or(a: &Bits, b: &Bits) -> Result<Datum> {
    pairwise(a, b, "OR", |a, b| a | b)
}

pub(crate) fn bit_xor(a: &Bits, b: &Bits) -> Result<Datum> {
    pairwise(a, b, "XOR", |a, b| a ^ b)
}

/// Bits moved to the left, or to the right where `by` is negative; zeros come in.
fn shifted(bits: &Bits, by: i64) -> Datum {
    let place = |at: usize| i64::try_from(at).unwrap_or(i64::MAX).checked_add(by);
    let from = |at| place(at).and_then(|at| usize::try_from(at).ok());
    let bit = |at| from(at).and_then(|at| bits.get(at)).unwrap_or(false);
    made(Bits::from_bits((0..bits.len()).map(bit)))
}

fn joined(a: &Bits, b: &Bits) -> Result<Datum> {
    checked(a.len().saturating_add(b.len()))?;
    Ok(made(Bits::from_bits(a.iter().chain(b.iter()))))
}

fn checked(len: usize) -> Result<()> {
    if len <= MAX {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("bit string length exceeds the maximum allowed ({MAX})"),
    ))
}

/// The lowest bits of a number, its sign before them.
fn of_number(value: i64, width: u32, typmod: i32) -> Result<Datum> {
    // without a length it is one bit, as BIT is
    let len = usize::try_from(typmod).ok().filter(|len| *len > 0).unwrap_or(1);
    checked(len)?;
    let bit = |place: usize| {
        let place = u32::try_from(place).unwrap_or(u32::MAX).min(width - 1);
        value >> place & 1 == 1
    };
    Ok(made(Bits::from_bits((0..len).rev().map(bit))))
}

/// The number whose lowest bits these are.
fn to_number(bits: &Bits, width: usize, name: &str) -> Result<i64> {
    if bits.len() > width {
        return Err(PgError::out_of_range(name));
    }
    let value = bits.iter().fold(0u64, |n, bit| n << 1 | u64::from(bit));
    Ok(value.cast_signed())
}

/// From a place counted from 1; what is before it counts.
fn part(bits: &Bits, from: i32, length: Option<i32>) -> Result<Datum> {
    let start = i64::from(from) - 1;
    let end = match length {
        Some(length) if length < 0 => {
            return Err(PgError::new(
                SqlState::SUBSTRING_ERROR,
                "negative substring length not allowed",
            ));
        }
        Some(length) => start + i64::from(length),
        None => i64::MAX,
    };
    let whole = i64::try_from(bits.len()).unwrap_or(i64::MAX);
    let place = |at: i64| usize::try_from(at.clamp(0, whole)).unwrap_or(0);
    let (start, end) = (place(start), place(end));
    let count = end.saturating_sub(start);
    Ok(made(Bits::from_bits(bits.iter().skip(start).take(count))))
}

fn overlaid(bits: &Bits, new: &Bits, from: i32, length: i32) -> Result<Datum> {
    if from <= 0 {
        return Err(PgError::new(
            SqlState::SUBSTRING_ERROR,
            "negative substring length not allowed",
        ));
    }
    let behind = from.checked_add(length).ok_or_else(|| PgError::out_of_range("integer"))?;
    let head = usize::try_from(from - 1).unwrap_or(0);
    let tail = usize::try_from(behind - 1).unwrap_or(0);
    let all = bits.iter().take(head).chain(new.iter()).chain(bits.iter().skip(tail));
    Ok(made(Bits::from_bits(all)))
}

fn position(bits: &Bits, wanted: &Bits) -> i32 {
    if wanted.len() > bits.len() || bits.is_empty() {
        return 0;
    }
    let is_at = |at: usize| wanted.iter().eq(bits.iter().skip(at).take(wanted.len()));
    (0..=bits.len() - wanted.len()).find(|at| is_at(*at)).map_or(0, |at| int4(at + 1))
}

fn place(bits: &Bits, at: i32) -> Result<usize> {
    usize::try_from(at).ok().filter(|at| *at < bits.len()).ok_or_else(|| {
        let last = i64::try_from(bits.len()).unwrap_or(i64::MAX) - 1;
        PgError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            format!("bit index {at} out of valid range (0..{last})"),
        )
    })
}

fn with_bit(bits: &Bits, at: i32, bit: i32) -> Result<Datum> {
    let at = place(bits, at)?;
    if !matches!(bit, 0 | 1) {
        return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, "new bit must be 0 or 1"));
    }
    let mut out = bits.clone();
    out.set(at, bit == 1);
    Ok(made(out))
}

fn count(bits: &Bits) -> i64 {
    bits.bytes().iter().map(|byte| i64::from(byte.count_ones())).sum()
}

scalars! { pub(crate) BITS, env;
    "biteq" [Bit(a), Bit(b)] => a.compare(b).is_eq();
    "bitne" [Bit(a), Bit(b)] => a.compare(b).is_ne();
    "bitlt" [Bit(a), Bit(b)] => a.compare(b).is_lt();
    "bitle" [Bit(a), Bit(b)] => a.compare(b).is_le();
    "bitgt" [Bit(a), Bit(b)] => a.compare(b).is_gt();
    "bitge" [Bit(a), Bit(b)] => a.compare(b).is_ge();
    "bitcmp" [Bit(a), Bit(b)] => a.compare(b) as i32;
    "bit_and" [Bit(a), Bit(b)] => bit_and(a, b);
    "bit_or" [Bit(a), Bit(b)] => bit_or(a, b);
    "bitxor" [Bit(a), Bit(b)] => bit_xor(a, b);
    "bitnot" [Bit(a)] => made(Bits::from_bits(a.iter().map(|bit| !bit)));
    "bitshiftleft" [Bit(a), Int4(n)] => shifted(a, i64::from(*n));
    "bitshiftright" [Bit(a), Int4(n)] => shifted(a, -i64::from(*n));
    "bitcat" [Bit(a), Bit(b)] => joined(a, b);
    "bitlength" | "bit_length(bit)" [Bit(a)] => int4(a.len());
    "bitoctetlength" [Bit(a)] => int4(a.bytes().len());
    "bit_bit_count" [Bit(a)] => count(a);
    "bitsubstr" [Bit(a), Int4(from), Int4(n)] => part(a, *from, Some(*n));
    "bitsubstr_no_len" [Bit(a), Int4(from)] => part(a, *from, None);
    "bitoverlay" [Bit(a), Bit(b), Int4(from), Int4(n)] => overlaid(a, b, *from, *n);
    "bitoverlay_no_len" [Bit(a), Bit(b), Int4(from)] => overlaid(a, b, *from, int4(b.len()));
    "bitposition" [Bit(a), Bit(b)] => position(a, b);
    "bitgetbit" [Bit(a), Int4(n)] => place(a, *n).map(|at| i32::from(a.get(at) == Some(true)));
    "bitsetbit" [Bit(a), Int4(n), Int4(bit)] => with_bit(a, *n, *bit);
    "bitfromint4" [Int4(v), Int4(n)] => of_number(i64::from(*v), 32, *n);
    "bitfromint8" [Int8(v), Int4(n)] => of_number(*v, 64, *n);
    "bittoint4" [Bit(a)] => to_number(a, 32, "integer").map(|n| n as i32);
    "bittoint8" [Bit(a)] => to_number(a, 64, "bigint");
    "bit" [Bit(a), Int4(n), Bool(explicit)] => fit_bit(a.clone(), *n, *explicit).map(Bit);
    "varbit" [Bit(a), Int4(n), Bool(explicit)] => fit_varbit(a.clone(), *n, *explicit).map(Bit);
}
