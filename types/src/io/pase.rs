//! `pase`: `v1,v2,...[:extra[:ds]]`.
//!
//! The original crashes on or misreads what this rejects; what it accepts means the same here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BufMut;

use super::is_space;
use crate::error::{PgError, Result, SqlState};
use crate::pase::Pase;

/// Most dimensions of a query vector.
pub const MAX_DIMENSIONS: usize = 16_000;

/// Reads a pase literal.
pub fn parse(text: &str) -> Result<Pase> {
    let mut parts = text.split(':');
    let vector = parts.next().unwrap_or("");
    let extra = number_part(text, "extra", parts.next())?;
    let ds = number_part(text, "ds", parts.next())?;
    if parts.next().is_some() {
        return Err(invalid(text, "At most three parts separated by \":\" are allowed."));
    }
    let values = parse_vector(text, vector)?;
    check_ds(ds)?;
    Ok(Pase { values, extra, ds })
}

/// Rejects distance types PASE does not have.
pub fn check_ds(ds: i32) -> Result<()> {
    if (0..=2).contains(&ds) {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid pase distance type: {ds}"),
    )
    .detail("Valid values are 0 (Euclidean), 1 (inner product) and 2 (cosine)."))
}

fn invalid(text: &str, detail: &str) -> PgError {
    PgError::invalid_input("pase", text).detail(detail)
}

fn number_part(text: &str, name: &str, part: Option<&str>) -> Result<i32> {
    match part {
        None => Ok(0),
        // The original's own output, `v1,v2::`, leaves both empty.
        Some(part) if part.trim_matches(is_space).is_empty() && text.ends_with("::") => Ok(0),
        Some(part) if part.trim_matches(is_space).is_empty() => {
            Err(invalid(text, &format!("The {name} part is empty.")))
        }
        Some(part) => super::scalar::parse_int::<i32>(part, "integer")
            .map_err(|_| invalid(text, &format!("The {name} part is not an integer."))),
    }
}

fn parse_vector(text: &str, vector: &str) -> Result<Vec<f32>> {
    let trimmed = vector.trim_matches(is_space);
    if trimmed.is_empty() {
        return Err(invalid(text, "The vector is empty."));
    }
    if !trimmed.contains(',') && trimmed.parse::<f32>().is_err() {
        return decode_base64(trimmed)
            .ok_or_else(|| invalid(text, "The vector is neither numbers nor base64 of float4."));
    }
    let mut values = Vec::with_capacity(trimmed.len() / 4);
    for element in trimmed.split(',') {
        if element.trim_matches(is_space).is_empty() {
            return Err(invalid(text, "An element of the vector is empty."));
        }
        values.push(super::float::parse4(element)?);
    }
    check_dimensions(values.len())?;
    Ok(values)
}

/// Rejects vectors without elements or with too many.
pub fn check_dimensions(count: usize) -> Result<()> {
    if count > MAX_DIMENSIONS {
        return Err(PgError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("pase cannot have more than {MAX_DIMENSIONS} dimensions"),
        ));
    }
    if count == 0 {
        return Err(PgError::new(SqlState::DATA_EXCEPTION, "pase must have at least 1 dimension"));
    }
    Ok(())
}

/// Little-endian float4s in base64; `None` where the text is not that.
pub fn decode_base64(text: &str) -> Option<Vec<f32>> {
    let bytes = BASE64.decode(text.trim_matches(is_space)).ok()?;
    if bytes.is_empty() || bytes.len() % 4 != 0 || bytes.len() / 4 > MAX_DIMENSIONS {
        return None;
    }
    let (chunks, _) = bytes.as_chunks::<4>();
    Some(chunks.iter().map(|c| f32::from_le_bytes(*c)).collect())
}

/// Writes `v1,v2,...:extra:ds`, which reads back exactly.
pub fn write(p: &Pase, out: &mut Vec<u8>) {
    for (i, v) in p.values.iter().enumerate() {
        if i > 0 {
            out.put_u8(b',');
        }
        super::float::write4(*v, 1, out);
    }
    let mut buffer = itoa::Buffer::new();
    out.put_u8(b':');
    out.put_slice(buffer.format(p.extra).as_bytes());
    out.put_u8(b':');
    out.put_slice(buffer.format(p.ds).as_bytes());
}
