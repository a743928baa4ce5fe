//! Broken-down dates and times.

use vicinity_types::datetime::{self, DAY, HOUR, MINUTE, SECOND};
use vicinity_types::{PgError, Result, SqlState};

/// A local date and time in its parts. Year 0 is 1 BC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) year: i32,
    pub(crate) month: i32,
    pub(crate) day: i32,
    pub(crate) hour: i32,
    pub(crate) minute: i32,
    pub(crate) second: i32,
    pub(crate) micros: i32,
    /// Days since 2000-01-01.
    pub(crate) date: i32,
}

impl Parts {
    /// The parts of a finite timestamp.
    pub(crate) fn of(timestamp: i64) -> Parts {
        let (date, time) = datetime::split(timestamp);
        let (year, month, day) = datetime::civil(date);
        Parts {
            year,
            month,
            day,
            hour: (time / HOUR) as i32,
            minute: (time / MINUTE % 60) as i32,
            second: (time / SECOND % 60) as i32,
            micros: (time % SECOND) as i32,
            date,
        }
    }

    /// Day of the week, Sunday 0.
    pub(crate) fn weekday(&self) -> i32 {
        weekday(self.date)
    }

    /// Day of the year from 1.
    pub(crate) fn day_of_year(&self) -> i32 {
        self.date - first_of_year(self.year) + 1
    }

    /// ISO 8601 year and week.
    pub(crate) fn iso_week(&self) -> (i32, i32) {
        iso_week(self.date)
    }

    /// The year as people count: no year 0.
    pub(crate) fn shown_year(&self) -> i32 {
        shown_year(self.year)
    }
}

/// -1 for 1 BC, the internal year 0.
pub(crate) fn shown_year(year: i32) -> i32 {
    if year > 0 { year } else { year - 1 }
}

/// 2000-01-01 was a Saturday.
pub(crate) fn weekday(date: i32) -> i32 {
    (i64::from(date) + 6).rem_euclid(7) as i32
}

/// ISO 8601 year and week of a date.
pub(crate) fn iso_week(date: i32) -> (i32, i32) {
    // The week belongs to the year its Thursday is in.
    let thursday = date.saturating_add(4 - iso_weekday(date));
    let (year, _, _) = datetime::civil(thursday);
    (year, (thursday - first_of_year(year)) / 7 + 1)
}

/// Monday 1 to Sunday 7.
pub(crate) fn iso_weekday(date: i32) -> i32 {
    match weekday(date) {
        0 => 7,
        day => day,
    }
}

/// The Monday that begins ISO week 1 of a year.
pub(crate) fn iso_year_start(year: i32) -> i32 {
    let fourth = first_of_year(year) + 3;
    fourth - (iso_weekday(fourth) - 1)
}

pub(crate) fn first_of_year(year: i32) -> i32 {
    datetime::to_julian(year, 1, 1) - datetime::EPOCH_JULIAN
}

pub(crate) fn is_infinite(timestamp: i64) -> bool {
    timestamp == datetime::TIMESTAMP_INFINITY || timestamp == datetime::TIMESTAMP_NEG_INFINITY
}

pub(crate) fn is_infinite_date(date: i32) -> bool {
    date == datetime::DATE_INFINITY || date == datetime::DATE_NEG_INFINITY
}

#[cold]
pub(crate) fn timestamp_range() -> PgError {
    datetime::out_of_range("timestamp")
}

#[cold]
pub(crate) fn date_range() -> PgError {
    datetime::out_of_range("date")
}

/// Infinities pass, other values must be in range.
pub(crate) fn checked(timestamp: i64) -> Result<i64> {
    if datetime::in_range(timestamp) { Ok(timestamp) } else { Err(timestamp_range()) }
}

/// Adds months to a timestamp, the day cut to the month's length.
pub(crate) fn add_months(timestamp: i64, months: i32) -> Result<i64> {
    if months == 0 {
        return Ok(timestamp);
    }
    let parts = Parts::of(timestamp);
    let total = i64::from(parts.year) * 12 + i64::from(parts.month - 1) + i64::from(months);
    let year = i32::try_from(total.div_euclid(12)).map_err(|_| timestamp_range())?;
    let month = total.rem_euclid(12) as i32 + 1;
    let day = parts.day.min(datetime::days_in_month(year, month));
    let date = datetime::make_date(year, month, day).ok_or_else(timestamp_range)?;
    datetime::make_timestamp(date, timestamp.rem_euclid(DAY)).ok_or_else(timestamp_range)
}

/// A date as a timestamp at midnight.
pub(crate) fn midnight(date: i32) -> Result<i64> {
    match date {
        datetime::DATE_INFINITY => Ok(datetime::TIMESTAMP_INFINITY),
        datetime::DATE_NEG_INFINITY => Ok(datetime::TIMESTAMP_NEG_INFINITY),
        date => datetime::make_timestamp(date, 0).ok_or_else(|| {
            PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")
        }),
    }
}

/// A timestamp's date.
pub(crate) fn date_of(timestamp: i64) -> i32 {
    match timestamp {
        datetime::TIMESTAMP_INFINITY => datetime::DATE_INFINITY,
        datetime::TIMESTAMP_NEG_INFINITY => datetime::DATE_NEG_INFINITY,
        timestamp => datetime::split(timestamp).0,
    }
}
