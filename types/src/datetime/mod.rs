//! Dates and times: the calendar, limits and rounding; text forms in the modules below.
//!
//! Dates are days and timestamps microseconds since 2000-01-01, as PostgreSQL keeps them.

pub mod abbreviations;
mod fields;
pub mod format;
pub mod interval_in;
pub mod interval_out;
mod iso8601;
mod lex;
pub mod parse;
mod words;
pub mod zone;

use crate::error::{PgError, Result, SqlState};

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds in a day.
pub const DAY: i64 = 24 * HOUR;

/// `infinity` as a date.
pub const DATE_INFINITY: i32 = i32::MAX;
/// `-infinity` as a date.
pub const DATE_NEG_INFINITY: i32 = i32::MIN;
/// `infinity` as a timestamp.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
/// `-infinity` as a timestamp.
pub const TIMESTAMP_NEG_INFINITY: i64 = i64::MIN;

/// Days from 1970-01-01 to 2000-01-01.
pub const EPOCH_DAYS: i32 = 10_957;
/// Julian day of 2000-01-01.
pub const EPOCH_JULIAN: i32 = 2_451_545;
/// Seconds from 1970-01-01 to 2000-01-01.
pub const EPOCH_SECONDS: i64 = EPOCH_DAYS as i64 * 86_400;

/// First timestamp: 4714-11-24 BC.
pub const MIN_TIMESTAMP: i64 = -211_813_488_000_000_000;
/// First moment past the last timestamp: 294277-01-01.
pub const END_TIMESTAMP: i64 = 9_223_371_331_200_000_000;
/// Julian day past the last date: 5874898-06-03.
const DATE_END_JULIAN: i32 = 2_147_483_494;

/// Largest offset of a zone in seconds, exclusive.
pub const MAX_ZONE: i32 = 16 * 3600;

/// Microseconds since 2000-01-01 UTC by the machine's clock.
pub fn clock() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let micros = i64::from(since.subsec_micros());
    seconds.saturating_sub(EPOCH_SECONDS).saturating_mul(SECOND).saturating_add(micros)
}

/// Julian day of a date of the proleptic Gregorian calendar; year 0 is 1 BC. Saturates.
pub fn to_julian(year: i32, month: i32, day: i32) -> i32 {
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let (year, month) =
        if month > 2 { (year + 4800, month + 1) } else { (year + 4799, month + 13) };
    let century = year / 100;
    let days = year * 365 - 32_167 + year / 4 - century + century / 4;
    let julian = days + 7834 * month / 256 + day;
    i32::try_from(julian).unwrap_or(if julian < 0 { i32::MIN } else { i32::MAX })
}

/// Year (0 is 1 BC), month and day of a Julian day.
pub fn from_julian(julian: i32) -> (i32, i32, i32) {
    // Unsigned arithmetic as PostgreSQL's j2date, so that the last dates do not overflow.
    let mut julian = u32::try_from(julian).unwrap_or(0) + 32_044;
    let mut quad = julian / 146_097;
    let extra = (julian - quad * 146_097) * 4 + 3;
    julian += 60 + quad * 3 + extra / 146_097;
    quad = julian / 1461;
    julian -= quad * 1461;
    let mut year = julian * 4 / 1461;
    julian = if year != 0 { (julian + 305) % 365 } else { (julian + 306) % 366 } + 123;
    year += quad * 4;
    let year = i32::try_from(year).unwrap_or(i32::MAX) - 4800;
    let quad = julian * 2141 / 65_536;
    let day = julian - 7834 * quad / 256;
    let month = (quad + 10) % 12 + 1;
    (year, i32::try_from(month).unwrap_or(1), i32::try_from(day).unwrap_or(1))
}

/// Year (0 is 1 BC), month and day of a date.
pub fn civil(date: i32) -> (i32, i32, i32) {
    from_julian(date.saturating_add(EPOCH_JULIAN))
}

/// A timestamp's date and microseconds since midnight.
pub fn split(timestamp: i64) -> (i32, i64) {
    let days = timestamp.div_euclid(DAY);
    (i32::try_from(days).unwrap_or(i32::MAX), timestamp.rem_euclid(DAY))
}

/// Whether a year has a 29th of February; year 0 is 1 BC.
pub fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month.
pub fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A date from year (0 is 1 BC), month and day; `None` out of range or where there is no such day.
pub fn make_date(year: i32, month: i32, day: i32) -> Option<i32> {
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if !(-4713..=5_874_897).contains(&year) {
        return None;
    }
    let julian = to_julian(year, month, day);
    (0..DATE_END_JULIAN).contains(&julian).then(|| julian - EPOCH_JULIAN)
}

/// A timestamp from a date and microseconds since midnight; `None` out of range.
pub fn make_timestamp(date: i32, micros: i64) -> Option<i64> {
    let timestamp = i64::from(date).checked_mul(DAY)?.checked_add(micros)?;
    in_range(timestamp).then_some(timestamp)
}

/// Whether a timestamp is finite and within PostgreSQL's range.
pub fn in_range(timestamp: i64) -> bool {
    (MIN_TIMESTAMP..END_TIMESTAMP).contains(&timestamp)
}

/// `22008`
pub fn out_of_range(what: &str) -> PgError {
    PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}

pub(crate) fn checked_date(date: i32) -> Result<i32> {
    let finite = (-EPOCH_JULIAN..DATE_END_JULIAN - EPOCH_JULIAN).contains(&date);
    if finite || date == DATE_INFINITY || date == DATE_NEG_INFINITY {
        return Ok(date);
    }
    Err(out_of_range("date"))
}

pub(crate) fn checked_time(time: i64) -> Result<i64> {
    if (0..=DAY).contains(&time) { Ok(time) } else { Err(out_of_range("time")) }
}

pub(crate) fn checked_zone(zone: i32) -> Result<i32> {
    if (-MAX_ZONE + 1..MAX_ZONE).contains(&zone) {
        return Ok(zone);
    }
    Err(PgError::new(
        SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
        "time zone displacement out of range",
    ))
}

pub(crate) fn checked_timestamp(t: i64) -> Result<i64> {
    if in_range(t) || t == TIMESTAMP_INFINITY || t == TIMESTAMP_NEG_INFINITY {
        return Ok(t);
    }
    Err(out_of_range("timestamp"))
}

/// Microseconds of the last digit kept, for a precision of 0 to 6.
fn unit(precision: i32) -> i64 {
    let digits = u32::try_from(6 - precision.clamp(0, 6)).unwrap_or(0);
    10i64.pow(digits)
}

/// Rounds microseconds to a precision, half away from zero.
pub fn round_micros(micros: i64, precision: i32) -> i64 {
    let unit = unit(precision);
    let half = if micros >= 0 { unit / 2 } else { -(unit / 2) };
    micros.checked_add(half).map_or(micros, |m| m / unit * unit)
}

/// Rounds a time of day to `time(precision)`.
pub fn round_time(time: i64, precision: i32) -> i64 {
    round_micros(time, precision)
}

/// Rounds a timestamp to `timestamp(precision)`.
pub fn round_timestamp(t: i64, precision: i32) -> Result<i64> {
    if t == TIMESTAMP_INFINITY || t == TIMESTAMP_NEG_INFINITY {
        return Ok(t);
    }
    let rounded = round_micros(t, precision);
    if in_range(rounded) { Ok(rounded) } else { Err(out_of_range("timestamp")) }
}
