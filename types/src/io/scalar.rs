//! Booleans, integers, object ids, tid and uuid.

use bytes::BufMut;

use super::{Io, is_space};
use crate::datum::Oid;
use crate::error::{PgError, Result, SqlState};
use crate::oid;

/// Reads a boolean: any unambiguous start of true, false, yes, no, on, off; 1 or 0.
pub fn parse_bool(text: &str) -> Option<bool> {
    let word = text.to_ascii_lowercase();
    let starts = |full: &str, least: usize| word.len() >= least && full.starts_with(&word);
    match word.as_str() {
        "1" => Some(true),
        "0" => Some(false),
        _ if starts("true", 1) || starts("yes", 1) || word == "on" => Some(true),
        _ if starts("false", 1) || starts("no", 1) || starts("off", 2) => Some(false),
        _ => None,
    }
}

/// Reads an integer that fits `T`, whose SQL name is `name`.
pub fn parse_int<T: TryFrom<i64>>(text: &str, name: &str) -> Result<T> {
    let body = text.trim_matches(is_space);
    let digits = body.strip_prefix(['+', '-']).unwrap_or(body);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(PgError::invalid_input(name, text));
    }
    let value = body.parse::<i64>().ok().and_then(|n| T::try_from(n).ok());
    value.ok_or_else(|| {
        PgError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{text}\" is out of range for type {name}"),
        )
    })
}

/// Reads an oid, xid or cid: decimal, octal or hexadecimal as `strtoul`; negative numbers wrap.
pub fn parse_oid(text: &str, name: &str) -> Result<Oid> {
    let body = text.trim_matches(is_space);
    let (negative, digits) = match body.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, body.strip_prefix('+').unwrap_or(body)),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hex) if name != "oid" => (hex, 16),
        _ if name != "oid" && digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        _ => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(PgError::invalid_input(name, text));
    }
    let range = || {
        PgError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{text}\" is out of range for type {name}"),
        )
    };
    let value = i64::from_str_radix(digits, radix).map_err(|_| range())?;
    if negative {
        let wrapped = i32::try_from(-value).map_err(|_| range())?;
        return Ok(wrapped.cast_unsigned());
    }
    Oid::try_from(value).map_err(|_| range())
}

/// Reads a reg* value: `-` is none, digits are an id, anything else a name of the catalog.
pub fn parse_reg(ty: Oid, text: &str, io: &Io<'_>) -> Result<Oid> {
    if text == "-" && ty != oid::REGOPERATOR {
        return Ok(0);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return parse_oid(text, "oid");
    }
    io.names.reg_in(ty, text)
}

/// Writes a reg* value: the catalog's name, `-` for none, or the number.
pub fn write_reg(ty: Oid, value: Oid, io: &Io<'_>, out: &mut Vec<u8>) {
    let zero = if matches!(ty, oid::REGOPER | oid::REGOPERATOR) { "0" } else { "-" };
    match (value, io.names.reg_out(ty, value)) {
        (0, _) => out.put_slice(zero.as_bytes()),
        (_, Some(name)) => out.put_slice(name.as_bytes()),
        (_, None) => out.put_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Bits of a tid that number the row inside its block, as in PostgreSQL.
const TID_OFFSET_BITS: u32 = 16;

/// Reads `(block,offset)`.
pub fn parse_tid(text: &str) -> Result<u64> {
    let parts = || {
        let inner = text.trim_matches(is_space).strip_prefix('(')?.strip_suffix(')')?;
        let (block, offset) = inner.split_once(',')?;
        let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<u64>().ok());
        let (block, offset) = (number(block)??, number(offset)??);
        (block >> 32 == 0 && offset >> TID_OFFSET_BITS == 0)
            .then_some(block << TID_OFFSET_BITS | offset)
    };
    parts().ok_or_else(|| PgError::invalid_input("tid", text))
}

/// Writes `(block,offset)`.
pub fn write_tid(tid: u64, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    out.put_u8(b'(');
    out.put_slice(buffer.format(tid >> TID_OFFSET_BITS).as_bytes());
    out.put_u8(b',');
    out.put_slice(buffer.format(tid & ((1 << TID_OFFSET_BITS) - 1)).as_bytes());
    out.put_u8(b')');
}

/// Reads a UUID: 32 hexadecimal digits, braces around and a hyphen after any group of four.
pub fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    let read = || {
        let body = match text.strip_prefix('{') {
            Some(inner) => inner.strip_suffix('}')?,
            None => text,
        };
        let mut value = [0u8; 16];
        let mut rest = body.as_bytes();
        for (i, slot) in value.iter_mut().enumerate() {
            let (pair, after) = rest.split_at_checked(2)?;
            *slot = *hex::decode(pair).ok()?.first()?;
            rest = after;
            if i % 2 == 1 && i < 15 && rest.first() == Some(&b'-') {
                rest = rest.get(1..)?;
            }
        }
        rest.is_empty().then_some(value)
    };
    read().ok_or_else(|| PgError::invalid_input("uuid", text))
}

/// Reads a WAL position: `16/B374D848`.
pub fn parse_lsn(text: &str) -> Result<i64> {
    let read = || {
        let (high, low) = text.split_once('/')?;
        let part = |s: &str| {
            let ok = (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_hexdigit());
            if ok { u64::from_str_radix(s, 16).ok() } else { None }
        };
        Some((part(high)? << 32 | part(low)?).cast_signed())
    };
    read().ok_or_else(|| PgError::invalid_input("pg_lsn", text))
}

/// Writes a WAL position.
pub fn write_lsn(lsn: i64, out: &mut Vec<u8>) {
    let lsn = lsn.cast_unsigned();
    out.put_slice(format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff).as_bytes());
}
