//! `bytea`: hex and escape formats.

use bytes::BufMut;

use super::style::ByteaOutput;
use crate::error::{PgError, Result, SqlState};

/// Reads either format: `\x` begins hex.
pub fn parse(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => parse_hex(digits),
        None => parse_escape(text),
    }
}

/// Reads pairs of hexadecimal digits; blanks between pairs are skipped.
pub fn parse_hex(digits: &str) -> Result<Vec<u8>> {
    let invalid = |message: String| PgError::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let mut out = Vec::with_capacity(digits.len() / 2);
    let mut chars = digits.chars();
    let digit = |c: char| {
        c.to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
            .ok_or_else(|| invalid(format!("invalid hexadecimal digit: \"{c}\"")))
    };
    while let Some(c) = chars.next() {
        if matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = digit(c)?;
        let low = chars
            .next()
            .ok_or_else(|| invalid("invalid hexadecimal data: odd number of digits".to_owned()))?;
        out.push(high << 4 | digit(low)?);
    }
    Ok(out)
}

fn parse_escape(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return Ok(out),
            [b'\\', b'\\', tail @ ..] => {
                out.push(b'\\');
                rest = tail;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            [b'\\', ..] => return Err(PgError::invalid_input_plain("bytea")),
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Writes the format `bytea_output` asks for.
pub fn write(bytes: &[u8], style: ByteaOutput, out: &mut Vec<u8>) {
    match style {
        ByteaOutput::Hex => {
            out.put_slice(b"\\x");
            let at = out.len();
            out.resize(at + bytes.len() * 2, 0);
            if let Some(slot) = out.get_mut(at..) {
                // The slot has exactly the room that is needed.
                let _ = hex::encode_to_slice(bytes, slot);
            }
        }
        ByteaOutput::Escape => bytes.iter().for_each(|b| match b {
            b'\\' => out.put_slice(b"\\\\"),
            0x20..=0x7e => out.put_u8(*b),
            b => out.put_slice(format!("\\{b:03o}").as_bytes()),
        }),
    }
}
