//! COPY's binary format: a signature, flags, rows of counted values, a trailer.

use vicinity_types::{PgError, Result};

use super::bad_format;
use super::input::Input;

/// What a binary file begins with.
pub(super) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// The header of a file without flags and extensions.
pub(super) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What ends it.
pub(super) const TRAILER: &[u8; 2] = b"\xff\xff";

fn int16(input: &mut Input<'_>) -> Result<Option<i16>> {
    if !input.ensure(2)? {
        return Ok(None);
    }
    let value = input.bytes().first_chunk::<2>().map(|b| i16::from_be_bytes(*b));
    input.consume(2);
    Ok(value)
}

fn int32(input: &mut Input<'_>) -> Result<Option<i32>> {
    if !input.ensure(4)? {
        return Ok(None);
    }
    let value = input.bytes().first_chunk::<4>().map(|b| i32::from_be_bytes(*b));
    input.consume(4);
    Ok(value)
}

/// Reads and checks the header.
pub(super) fn header(input: &mut Input<'_>) -> Result<()> {
    if !input.ensure(SIGNATURE.len())? || !input.bytes().starts_with(SIGNATURE) {
        return Err(bad_format("COPY file signature not recognized"));
    }
    input.consume(SIGNATURE.len());
    let flags =
        int32(input)?.ok_or_else(|| bad_format("invalid COPY file header (missing flags)"))?;
    if flags & (1 << 16) != 0 {
        return Err(bad_format("invalid COPY file header (WITH OIDS)"));
    }
    if (flags as u32) >> 16 != 0 {
        return Err(bad_format("unrecognized critical flags in COPY file header"));
    }
    let length = int32(input)?.and_then(|n| usize::try_from(n).ok());
    let length = length.ok_or_else(|| bad_format("invalid COPY file header (missing length)"))?;
    if !input.ensure(length)? {
        return Err(bad_format("invalid COPY file header (wrong length)"));
    }
    input.consume(length);
    Ok(())
}

/// Begins a row; `false` at the end of the data.
pub(super) fn begin_row(input: &mut Input<'_>, columns: usize) -> Result<bool> {
    // A file without its trailer ends here too.
    let Some(count) = int16(input)? else { return Ok(false) };
    if count == -1 {
        // Nothing may follow the trailer.
        if !input.bytes().is_empty() || input.more()? {
            return Err(bad_format("received copy data after EOF marker"));
        }
        return Ok(false);
    }
    if usize::try_from(count) != Ok(columns) {
        return Err(bad_format(format!("row field count is {count}, expected {columns}")));
    }
    Ok(true)
}

/// The next value's length, its bytes being at hand; `None` is NULL. To be consumed by the caller.
pub(super) fn value(input: &mut Input<'_>) -> Result<Option<usize>> {
    let eof = || bad_format("unexpected EOF in COPY data");
    let length = int32(input)?.ok_or_else(eof)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| bad_format("invalid field size"))?;
    if !input.ensure(length)? {
        return Err(eof());
    }
    Ok(Some(length))
}

/// What a value of the wrong length is.
pub(super) fn incorrect() -> PgError {
    PgError::new(
        vicinity_types::SqlState::INVALID_BINARY_REPRESENTATION,
        "incorrect binary data format",
    )
}
