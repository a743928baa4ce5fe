//! `bytea`, encodings and digests.

use std::sync::Arc;

use base64::Engine as _;
use md5::{Digest as _, Md5};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use vicinity_types::Datum::{Bytea, Int4, Int8, Text};
use vicinity_types::{PgError, Result, SqlState};

use super::basic::window;
use super::int4;
use crate::number::int::int4_range;

fn unknown_encoding(name: &str) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized encoding: \"{name}\""))
}

/// `encode`'s base64 breaks lines at 76 characters.
fn encode(data: &[u8], format: &str) -> Result<String> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => Ok(hex::encode(data)),
        "base64" => {
            let flat = base64::engine::general_purpose::STANDARD.encode(data);
            let lines: Vec<&str> =
                flat.as_bytes().chunks(76).map(|l| str::from_utf8(l).unwrap_or("")).collect();
            Ok(lines.join("\n"))
        }
        "escape" => Ok(escape(data)),
        _ => Err(unknown_encoding(format)),
    }
}

fn escape(data: &[u8]) -> String {
    let mut text = String::with_capacity(data.len());
    for byte in data {
        match byte {
            b'\\' => text.push_str("\\\\"),
            0 | 0x80.. => text.push_str(&format!("\\{byte:03o}")),
            byte => text.push(char::from(*byte)),
        }
    }
    text
}

fn decode(text: &str, format: &str) -> Result<Vec<u8>> {
    let refuse = |what: String| PgError::new(SqlState::INVALID_PARAMETER_VALUE, what);
    match format.to_ascii_lowercase().as_str() {
        "hex" => {
            let digits: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            if let Some(bad) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
                return Err(refuse(format!("invalid hexadecimal digit: \"{bad}\"")));
            }
            hex::decode(digits)
                .map_err(|_| refuse("invalid hexadecimal data: odd number of digits".to_owned()))
        }
        "base64" => decode_base64(text),
        "escape" => unescape(text),
        _ => Err(unknown_encoding(format)),
    }
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let refuse = |what: String| PgError::new(SqlState::INVALID_PARAMETER_VALUE, what);
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let valid = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    if let Some(bad) = packed.chars().find(|c| !valid(c)) {
        return Err(refuse(format!(
            "invalid symbol \"{bad}\" found while decoding base64 sequence"
        )));
    }
    base64::engine::general_purpose::STANDARD.decode(&packed).map_err(|_| {
        refuse("invalid base64 end sequence".to_owned())
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted.")
    })
}

/// Octal `\nnn` and `\\`.
fn unescape(text: &str) -> Result<Vec<u8>> {
    let refuse = || {
        PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea")
    };
    let mut rest = text.as_bytes();
    let mut data = Vec::with_capacity(rest.len());
    loop {
        match rest {
            [] => return Ok(data),
            [b'\\', b'\\', tail @ ..] => {
                data.push(b'\\');
                rest = tail;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                data.push(((a & 7) << 6) | ((b & 7) << 3) | (c & 7));
                rest = tail;
            }
            [b'\\', ..] => return Err(refuse()),
            [byte, tail @ ..] => {
                data.push(*byte);
                rest = tail;
            }
        }
    }
}

fn slice(data: &[u8], from: i32, len: Option<i32>) -> Result<Vec<u8>> {
    let (start, count) = window(from, len)?;
    let rest = data.get(start..).unwrap_or(&[]);
    Ok(count.and_then(|n| rest.get(..n)).unwrap_or(rest).to_vec())
}

fn position(data: &[u8], needle: &[u8]) -> i32 {
    if needle.is_empty() {
        return 1;
    }
    data.windows(needle.len()).position(|w| w == needle).map_or(0, |i| int4(i + 1))
}

fn trim(data: &[u8], set: &[u8], start: bool, end: bool) -> Vec<u8> {
    let outside = |b: &u8| !set.contains(b);
    let from = if start { data.iter().position(outside).unwrap_or(data.len()) } else { 0 };
    let to = if end { data.iter().rposition(outside).map_or(0, |i| i + 1) } else { data.len() };
    data.get(from..to).unwrap_or(&[]).to_vec()
}

fn overlay(data: &[u8], new: &[u8], from: i32, len: i32) -> Result<Vec<u8>> {
    if from <= 0 {
        return Err(PgError::new(
            SqlState::SUBSTRING_ERROR,
            "negative substring length not allowed",
        ));
    }
    let resume = from.checked_add(len).ok_or_else(int4_range)?;
    let head = slice(data, 1, Some(from - 1))?;
    Ok([head.as_slice(), new, &slice(data, resume, None)?].concat())
}

fn index_of(data: &[u8], n: i64, per_byte: i64) -> Result<(usize, u32)> {
    let valid = int4(data.len());
    let count = i64::from(valid) * per_byte;
    if n < 0 || n >= count {
        return Err(PgError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            format!("index {n} out of valid range, 0..{}", count - 1),
        ));
    }
    Ok((usize::try_from(n / per_byte).unwrap_or(0), u32::try_from(n % per_byte).unwrap_or(0)))
}

fn get_byte(data: &[u8], n: i64) -> Result<u8> {
    let (at, _) = index_of(data, n, 1)?;
    Ok(data.get(at).copied().unwrap_or(0))
}

fn get_bit(data: &[u8], n: i64) -> Result<i32> {
    let (at, bit) = index_of(data, n, 8)?;
    Ok(i32::from(data.get(at).copied().unwrap_or(0) >> bit & 1))
}

fn set_byte(data: &[u8], n: i64, value: i32) -> Result<Vec<u8>> {
    let (at, _) = index_of(data, n, 1)?;
    let mut data = data.to_vec();
    if let Some(byte) = data.get_mut(at) {
        *byte = value as u8;
    }
    Ok(data)
}

fn set_bit(data: &[u8], n: i64, value: i32) -> Result<Vec<u8>> {
    let (at, bit) = index_of(data, n, 8)?;
    if value != 0 && value != 1 {
        return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, "new bit must be 0 or 1"));
    }
    let mut data = data.to_vec();
    if let Some(byte) = data.get_mut(at) {
        *byte = (*byte & !(1 << bit)) | ((value as u8) << bit);
    }
    Ok(data)
}

fn check_utf8(name: &str, role: &str) -> Result<()> {
    match name.to_ascii_uppercase().replace('-', "").as_str() {
        "UTF8" | "UNICODE" | "SQL_ASCII" => Ok(()),
        _ => Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid {role}encoding name \"{name}\""),
        )),
    }
}

fn utf8(data: &[u8]) -> Result<&str> {
    str::from_utf8(data).map_err(|e| {
        let bad = data.get(e.valid_up_to()..).unwrap_or(&[]);
        let shown: Vec<String> = bad
            .iter()
            .take(e.error_len().unwrap_or(bad.len()).max(1))
            .map(|b| format!("0x{b:02x}"))
            .collect();
        PgError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    })
}

fn bytes(data: impl AsRef<[u8]>) -> vicinity_types::Datum {
    Bytea(Arc::from(data.as_ref()))
}

scalars! { pub(crate) BYTES, env;
    "byteacat" [Bytea(a), Bytea(b)] => [a.as_ref(), b.as_ref()].concat();
    "byteaoctetlen" [Bytea(a)] => int4(a.len());
    "bit_length(bytea)" [Bytea(a)] => int4(a.len()).checked_mul(8).ok_or_else(int4_range);
    "bytea_substr" [Bytea(a), Int4(from), Int4(len)] => slice(a, *from, Some(*len));
    "bytea_substr_no_len" [Bytea(a), Int4(from)] => slice(a, *from, None);
    "byteapos" [Bytea(a), Bytea(b)] => position(a, b);
    "byteatrim" [Bytea(a), Bytea(set)] => trim(a, set, true, true);
    "bytealtrim" [Bytea(a), Bytea(set)] => trim(a, set, true, false);
    "byteartrim" [Bytea(a), Bytea(set)] => trim(a, set, false, true);
    "byteaoverlay" [Bytea(a), Bytea(new), Int4(from), Int4(len)] => overlay(a, new, *from, *len);
    "byteaoverlay_no_len" [Bytea(a), Bytea(new), Int4(from)] => overlay(a, new, *from, int4(new.len()));
    "byteaGetByte" [Bytea(a), Int4(n)] => get_byte(a, i64::from(*n)).map(i32::from);
    "byteaGetBit" [Bytea(a), Int8(n)] => get_bit(a, *n);
    "byteaSetByte" [Bytea(a), Int4(n), Int4(v)] => set_byte(a, i64::from(*n), *v);
    "byteaSetBit" [Bytea(a), Int8(n), Int4(v)] => set_bit(a, *n, *v);
    "bytea_bit_count" [Bytea(a)] => a.iter().map(|b| i64::from(b.count_ones())).sum::<i64>();
    "binary_encode" [Bytea(a), Text(format)] => encode(a, format);
    "binary_decode" [Text(a), Text(format)] => decode(a, format);
    "md5_text" [Text(a)] => hex::encode(Md5::digest(a.as_bytes()));
    "md5_bytea" [Bytea(a)] => hex::encode(Md5::digest(a));
    "sha224_bytea" [Bytea(a)] => bytes(Sha224::digest(a));
    "sha256_bytea" [Bytea(a)] => bytes(Sha256::digest(a));
    "sha384_bytea" [Bytea(a)] => bytes(Sha384::digest(a));
    "sha512_bytea" [Bytea(a)] => bytes(Sha512::digest(a));
    "pg_convert_from" [Bytea(a), Text(from)] => check_utf8(from, "source ").and_then(|()| utf8(a).map(str::to_owned));
    "pg_convert_to" [Text(a), Text(to)] => check_utf8(to, "destination ").map(|()| a.as_bytes().to_vec());
    "pg_convert" [Bytea(a), Text(from), Text(to)] => check_utf8(from, "source ").and_then(|()| check_utf8(to, "destination ")).and_then(|()| utf8(a).map(|a| a.as_bytes().to_vec()));
    "length_in_encoding" [Bytea(a), Text(from)] => check_utf8(from, "").and_then(|()| utf8(a).map(|a| int4(super::length(a))));
}
