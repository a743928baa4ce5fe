//! `interval`.

use vicinity_types::Datum::{self, Float8, Int4, Interval as Iv, Text};
use vicinity_types::datetime::{DAY, HOUR, MINUTE, SECOND};
use vicinity_types::interval::Interval;
use vicinity_types::{PgError, Result, SqlState, apply_typmod, oid};

use crate::number::int::division_by_zero;

#[cold]
pub(crate) fn interval_range() -> PgError {
    PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

pub(crate) fn add(a: &Interval, b: &Interval) -> Result<Interval> {
    Ok(Interval {
        months: a.months.checked_add(b.months).ok_or_else(interval_range)?,
        days: a.days.checked_add(b.days).ok_or_else(interval_range)?,
        micros: a.micros.checked_add(b.micros).ok_or_else(interval_range)?,
    })
}

pub(crate) fn subtract(a: &Interval, b: &Interval) -> Result<Interval> {
    Ok(Interval {
        months: a.months.checked_sub(b.months).ok_or_else(interval_range)?,
        days: a.days.checked_sub(b.days).ok_or_else(interval_range)?,
        micros: a.micros.checked_sub(b.micros).ok_or_else(interval_range)?,
    })
}

pub(crate) fn negate(a: &Interval) -> Result<Interval> {
    subtract(&Interval::default(), a)
}

fn int4(value: f64) -> Result<i32> {
    let fits = value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX);
    if fits { Ok(value as i32) } else { Err(interval_range()) }
}

/// Rounds to microseconds, so that parts of days do not collect noise.
fn time_round(value: f64) -> f64 {
    (value * 1e6).round_ties_even() / 1e6
}

/// Scales the three fields, handing fractions of months down to days and of days to time.
fn scale(a: &Interval, by: impl Fn(f64) -> f64) -> Result<Interval> {
    let months_exact = by(f64::from(a.months));
    let days_exact = by(f64::from(a.days));
    if months_exact.is_nan() || days_exact.is_nan() {
        return Err(interval_range());
    }
    let months = int4(months_exact)?;
    let mut days = int4(days_exact)?;
    let month_rest = time_round((months_exact - f64::from(months)) * 30.0);
    let mut seconds =
        time_round((days_exact - f64::from(days) + month_rest - month_rest.trunc()) * 86_400.0);
    // Rounding may have made a full day of what was handed down.
    if seconds.abs() >= 86_400.0 {
        let whole = (seconds / 86_400.0).trunc();
        days = days.checked_add(whole as i32).ok_or_else(interval_range)?;
        seconds -= whole * 86_400.0;
    }
    days = days.checked_add(int4(month_rest)?).ok_or_else(interval_range)?;
    let micros = (by(a.micros as f64) + seconds * 1e6).round_ties_even();
    let limit = i64::MAX as f64;
    if !(-limit..limit).contains(&micros) {
        return Err(interval_range());
    }
    Ok(Interval { months, days, micros: micros as i64 })
}

pub(crate) fn multiply(a: &Interval, factor: f64) -> Result<Interval> {
    scale(a, |v| v * factor)
}

pub(crate) fn divide(a: &Interval, divisor: f64) -> Result<Interval> {
    if divisor == 0.0 {
        return Err(division_by_zero());
    }
    scale(a, |v| v / divisor)
}

/// Moves whole units from one field up, keeping the signs alike.
fn carry(low: i64, unit: i64) -> (i64, i64) {
    (low / unit, low % unit)
}

pub(crate) fn justify_hours(a: &Interval) -> Result<Interval> {
    let (whole, mut micros) = carry(a.micros, DAY);
    let mut days = i64::from(a.days) + whole;
    if days > 0 && micros < 0 {
        micros += DAY;
        days -= 1;
    } else if days < 0 && micros > 0 {
        micros -= DAY;
        days += 1;
    }
    let days = i32::try_from(days).map_err(|_| interval_range())?;
    Ok(Interval { months: a.months, days, micros })
}

fn justify_days(a: &Interval) -> Result<Interval> {
    let (whole, mut days) = carry(i64::from(a.days), 30);
    let mut months = i64::from(a.months) + whole;
    if months > 0 && days < 0 {
        days += 30;
        months -= 1;
    } else if months < 0 && days > 0 {
        days -= 30;
        months += 1;
    }
    let months = i32::try_from(months).map_err(|_| interval_range())?;
    Ok(Interval { months, days: days as i32, micros: a.micros })
}

fn justify_interval(a: &Interval) -> Result<Interval> {
    let (mut months, mut days, mut micros) = (i64::from(a.months), i64::from(a.days), a.micros);
    // Days are carried first where that keeps them from overflowing.
    if (days > 0 && micros > 0) || (days < 0 && micros < 0) {
        let (whole, rest) = carry(days, 30);
        days = rest;
        months += whole;
    }
    let (whole, rest) = carry(micros, DAY);
    micros = rest;
    days += whole;
    let (whole, rest) = carry(days, 30);
    days = rest;
    months += whole;
    if months > 0 && (days < 0 || (days == 0 && micros < 0)) {
        days += 30;
        months -= 1;
    } else if months < 0 && (days > 0 || (days == 0 && micros > 0)) {
        days -= 30;
        months += 1;
    }
    if days > 0 && micros < 0 {
        micros += DAY;
        days -= 1;
    } else if days < 0 && micros > 0 {
        micros -= DAY;
        days += 1;
    }
    let months = i32::try_from(months).map_err(|_| interval_range())?;
    Ok(Interval { months, days: days as i32, micros })
}

/// `make_interval`'s years, months, weeks, days, hours, minutes and seconds.
fn make(parts: [i32; 6], seconds: f64) -> Result<Interval> {
    let [years, months, weeks, days, hours, minutes] = parts;
    if !seconds.is_finite() {
        return Err(interval_range());
    }
    let months = years.checked_mul(12).and_then(|y| y.checked_add(months));
    let days = weeks.checked_mul(7).and_then(|w| w.checked_add(days));
    let micros = i64::from(hours) * HOUR
        + i64::from(minutes) * MINUTE
        + (seconds * SECOND as f64).round_ties_even() as i64;
    Ok(Interval {
        months: months.ok_or_else(interval_range)?,
        days: days.ok_or_else(interval_range)?,
        micros,
    })
}

/// `date_trunc(field, interval)`
fn truncate(field: &str, a: &Interval) -> Result<Interval> {
    let unit = super::field::unit(field, "interval")?;
    let months = |n: i32| Interval { months: a.months / n * n, days: 0, micros: 0 };
    let micros = |n: i64| Interval { micros: a.micros / n * n, ..*a };
    use super::field::Field::*;
    Ok(match unit {
        Millennium => months(12_000),
        Century => months(1200),
        Decade => months(120),
        Year => months(12),
        Quarter => months(3),
        Month => months(1),
        Day => Interval { micros: 0, ..*a },
        Hour => micros(HOUR),
        Minute => micros(MINUTE),
        Second => micros(SECOND),
        Milliseconds => micros(1000),
        Microseconds => *a,
        Week => {
            return Err(super::field::unsupported(field, "interval")
                .detail("Months usually have fractional weeks."));
        }
        _ => return Err(super::field::unsupported(field, "interval")),
    })
}

/// The field combinations an interval type may name, as bits of its modifier.
const FIELDS: [i32; 14] =
    [4, 2, 8, 1024, 2048, 4096, 6, 1032, 3080, 7176, 3072, 7168, 6144, 0x7fff];

/// Brings an interval to a modifier, which SQL can name only in the forms above.
fn rescale(a: &Interval, typmod: i32) -> Result<Datum> {
    if typmod >= 0 && !FIELDS.contains(&(typmod >> 16 & 0x7fff)) {
        return Err(PgError::internal(format!("unrecognized interval typmod: {typmod}")));
    }
    apply_typmod(oid::INTERVAL, typmod, Iv(*a), true)
}

scalars! { pub(crate) INTERVAL, env;
    "interval_pl" [Iv(a), Iv(b)] => add(a, b);
    "interval_mi" [Iv(a), Iv(b)] => subtract(a, b);
    "interval_um" [Iv(a)] => negate(a);
    "interval_mul" [Iv(a), Float8(f)] => multiply(a, *f);
    "mul_d_interval" [Float8(f), Iv(a)] => multiply(a, *f);
    "interval_div" [Iv(a), Float8(f)] => divide(a, *f);
    "interval_finite" [Iv(_)] => true;
    "interval_justify_hours" [Iv(a)] => justify_hours(a);
    "interval_justify_days" [Iv(a)] => justify_days(a);
    "interval_justify_interval" [Iv(a)] => justify_interval(a);
    "interval_trunc" [Text(f), Iv(a)] => truncate(f, a);
    "interval_scale" [Iv(a), Int4(m)] => rescale(a, *m);
    "make_interval" [
        Int4(y), Int4(mo), Int4(w),
        Int4(d), Int4(h), Int4(mi), Float8(s)
    ] => make([*y, *mo, *w, *d, *h, *mi], *s);
}
