//! `pg_size_pretty`, `pg_size_bytes`, and positions in the log.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};
use vicinity_types::Datum::{Int8, Numeric as Num, Text};
use vicinity_types::numeric::{Numeric, text};
use vicinity_types::{PgError, Result, SqlState};

use crate::number::int::int8_range;

/// Units with their power of two; the first is shown up to 10 kB, the others up to 20479.5.
const UNITS: [(&str, u32); 6] =
    [("bytes", 0), ("kB", 10), ("MB", 20), ("GB", 30), ("TB", 40), ("PB", 50)];

fn pretty(size: &BigInt) -> String {
    let mut size = size.clone();
    let mut power = 0;
    let mut halves = false;
    for (i, (unit, next_power)) in UNITS.iter().enumerate() {
        // Every unit but bytes is kept in halves, so that the last division can round.
        let kept = u32::from(i > 0);
        let shift = next_power - power - kept + u32::from(halves);
        size /= BigInt::from(1u64 << shift);
        (power, halves) = (*next_power, kept == 1);
        let limit = if halves { 20 * 1024 - 1 } else { 10 * 1024 };
        if size.abs() < BigInt::from(limit) || i + 1 == UNITS.len() {
            if halves {
                let away = if size.is_negative() { -1 } else { 1 };
                size = (size + away) / 2;
            }
            return format!("{size} {unit}");
        }
    }
    size.to_string()
}

/// Below 10 kB a fraction of a byte is shown as given.
fn pretty_numeric(n: &Numeric) -> String {
    if !n.is_nan() && n.abs() < Numeric::from(10 * 1024) {
        return format!("{n} bytes");
    }
    match n.round(0).parts() {
        Some((digits, _)) => pretty(&digits),
        None => "NaN bytes".to_owned(),
    }
}

fn parse(input: &str) -> Result<i64> {
    let refuse =
        || PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid size: \"{input}\""));
    let trimmed = input.trim();
    let letters = |c: char| c.is_ascii_alphabetic();
    // An exponent's e belongs to the number only if digits follow.
    let cut = trimmed
        .char_indices()
        .find(|(i, c)| {
            let exponent = matches!(c, 'e' | 'E')
                && trimmed.get(i + 1..).is_some_and(|r| {
                    r.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit())
                });
            letters(*c) && !exponent
        })
        .map_or(trimmed.len(), |(i, _)| i);
    let (number, unit) = trimmed.split_at(cut);
    let number = text::parse(number.trim()).map_err(|_| refuse())?;
    let power = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        "tb" => 40,
        "pb" => 50,
        _ => {
            return Err(refuse().detail(format!("Invalid size unit: \"{}\".", unit.trim())).hint(
                "Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".",
            ));
        }
    };
    let (digits, scale) = number.parts().ok_or_else(refuse)?;
    let bytes = crate::numeric::divide_round(&(digits << power), &crate::numeric::ten(scale));
    bytes.to_i64().ok_or_else(int8_range)
}

/// The distance of two log positions, which are unsigned.
fn distance(a: i64, b: i64) -> Numeric {
    Numeric::new(BigInt::from(a.cast_unsigned()) - BigInt::from(b.cast_unsigned()), 0)
}

fn moved(lsn: i64, by: &Numeric, sign: i32) -> Result<i64> {
    if by.is_nan() {
        let what =
            if sign > 0 { "cannot add NaN to pg_lsn" } else { "cannot subtract NaN from pg_lsn" };
        return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, what));
    }
    let range = || PgError::new(SqlState::INVALID_PARAMETER_VALUE, "pg_lsn out of range");
    let from = Numeric::new(BigInt::from(lsn.cast_unsigned()), 0);
    let to = if sign > 0 { from.add(by)? } else { from.sub(by)? };
    let whole = to.round(0).parts().and_then(|(digits, _)| digits.to_u64());
    whole.map(u64::cast_signed).ok_or_else(range)
}

scalars! { pub(crate) SIZE, env;
    "pg_size_pretty" [Int8(n)] => pretty(&BigInt::from(*n));
    "pg_size_pretty_numeric" [Num(n)] => pretty_numeric(n);
    "pg_size_bytes" [Text(t)] => parse(t);
    "pg_lsn_mi" | "pg_wal_lsn_diff" [Int8(a), Int8(b)] => distance(*a, *b);
    "pg_lsn_pli" [Int8(a), Num(n)] => moved(*a, n, 1);
    "pg_lsn_mii" [Int8(a), Num(n)] => moved(*a, n, -1);
    "numeric_pl_pg_lsn(numeric,pg_lsn)" [Num(n), Int8(a)] => moved(*a, n, 1);
    "numeric_pg_lsn" [Num(n)] => moved(0, n, 1);
}
