//! Dates and times from text.

use crate::datum::TimeTz;
use crate::error::{PgError, Result};
use crate::io::Io;

/// Reads a date.
pub fn date(_text: &str, _io: &Io<'_>) -> Result<i32> {
    Err(PgError::unsupported("date input"))
}

/// Reads a time.
pub fn time(_text: &str, _io: &Io<'_>) -> Result<i64> {
    Err(PgError::unsupported("time input"))
}

/// Reads a time with time zone.
pub fn timetz(_text: &str, _io: &Io<'_>) -> Result<TimeTz> {
    Err(PgError::unsupported("timetz input"))
}

/// Reads a timestamp.
pub fn timestamp(_text: &str, _io: &Io<'_>) -> Result<i64> {
    Err(PgError::unsupported("timestamp input"))
}

/// Reads a timestamp with time zone.
pub fn timestamptz(_text: &str, _io: &Io<'_>) -> Result<i64> {
    Err(PgError::unsupported("timestamptz input"))
}
