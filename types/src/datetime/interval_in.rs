//! Intervals from text.

use crate::error::{PgError, Result};
use crate::interval::Interval;
use crate::io::style::IntervalStyle;

/// Reads an interval.
pub fn parse(_text: &str, _typmod: i32, _style: IntervalStyle) -> Result<Interval> {
    Err(PgError::unsupported("interval input"))
}

/// Applies the modifier of `interval day to minute` or `interval(3)`.
pub fn apply_typmod(interval: Interval, _typmod: i32) -> Result<Interval> {
    Ok(interval)
}
