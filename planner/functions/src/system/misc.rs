//! `gen_random_uuid`, `num_nulls`, `parse_ident` and encodings' names.

use rand::Rng;
use vicinity_types::Datum::{self, Array as Arr, Bool, Bytea, Int4, Int8, Oid, Text, Uuid};
use vicinity_types::array::Array;
use vicinity_types::{PgError, Result, SqlState, format_type, oid};

/// Version 4, variant 1.
fn random_uuid() -> [u8; 16] {
    let mut id: [u8; 16] = rand::rng().random();
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut id;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    id
}

fn nulls(args: &[Datum]) -> i32 {
    crate::text::int4(args.iter().filter(|a| a.is_null()).count())
}

/// `parse_ident`: a qualified name in its parts, unquoted or folded to lower case.
fn parse_ident(text: &str, strict: bool) -> Result<Array> {
    let refuse = || {
        PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("string is not a valid identifier: \"{text}\""),
        )
    };
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (mut name, mut tail) = (String::new(), quoted);
            loop {
                let (head, after) = tail
                    .split_once('"')
                    .ok_or_else(|| refuse().detail("String has unclosed double quotes."))?;
                name.push_str(head);
                match after.strip_prefix('"') {
                    Some(more) => {
                        name.push('"');
                        tail = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            if name.is_empty() {
                return Err(refuse().detail("Quoted identifier must not be empty."));
            }
            parts.push(Datum::text(name));
        } else {
            let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
            let len = rest
                .find(|c: char| !(starts(c) || c.is_ascii_digit() || c == '$'))
                .unwrap_or(rest.len());
            if !rest.starts_with(starts) {
                return Err(match rest.chars().next() {
                    Some('.') => refuse().detail("No valid identifier before \".\"."),
                    None if !parts.is_empty() => {
                        refuse().detail("No valid identifier after \".\".")
                    }
                    _ => refuse(),
                });
            }
            let (name, tail) = rest.split_at(len);
            parts.push(Datum::text(name.to_ascii_lowercase()));
            rest = tail;
        }
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() || !strict => break,
            None => return Err(refuse()),
        }
    }
    Ok(Array::from_datums(oid::TEXT, parts))
}

/// Encodings by number, as far as a client may ask.
const ENCODINGS: &[(i32, &str)] = &[
    (0, "SQL_ASCII"),
    (1, "EUC_JP"),
    (2, "EUC_CN"),
    (3, "EUC_KR"),
    (6, "UTF8"),
    (8, "LATIN1"),
    (22, "KOI8R"),
    (24, "WIN1252"),
    (37, "GBK"),
    (39, "GB18030"),
];

fn encoding_name(number: i32) -> &'static str {
    ENCODINGS.iter().find(|(n, _)| *n == number).map_or("", |(_, name)| name)
}

fn encoding_number(name: &str) -> i32 {
    let plain = |s: &str| s.to_ascii_uppercase().replace(['-', '_'], "");
    let wanted = match plain(name).as_str() {
        "UNICODE" => "UTF8".to_owned(),
        other => other.to_owned(),
    };
    ENCODINGS.iter().find(|(_, n)| plain(n) == wanted).map_or(-1, |(n, _)| *n)
}

/// `oidvectortypes`: the names of types, comma separated.
fn type_names(list: &Array) -> String {
    let name = |v: Datum| match v {
        Oid(ty) => format_type(ty, None),
        _ => String::new(),
    };
    list.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn like_escape(pattern: &[u8], escape: &[u8]) -> Result<Vec<u8>> {
    let escape = match escape {
        [] => None,
        [one] => Some(*one),
        _ => {
            return Err(PgError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                .hint("Escape string must be empty or one character."));
        }
    };
    let mut out = Vec::with_capacity(pattern.len() + 4);
    let mut after = false;
    for byte in pattern {
        if Some(*byte) == escape && *byte != b'\\' && !after {
            out.push(b'\\');
            after = true;
            continue;
        }
        if *byte == b'\\' && !after && escape != Some(b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
        after = false;
    }
    Ok(out)
}

scalars! { pub(crate) MISC, env;
    "gen_random_uuid" [] => Uuid(random_uuid());
    "pg_num_nulls" [args @ ..] => nulls(args);
    "pg_num_nonnulls" [args @ ..] => crate::text::int4(args.len()) - nulls(args);
    "parse_ident" [Text(t), Bool(strict)] => parse_ident(t, *strict);
    "PG_encoding_to_char" [Int4(n)] => encoding_name(*n);
    "PG_char_to_encoding" [Text(n)] => encoding_number(n);
    "getdatabaseencoding" [] => "UTF8";
    "oidvectortypes" [Arr(list)] => type_names(list);
    "like_escape_bytea" [Bytea(p), Bytea(e)] => like_escape(p, e);
    "xid8toxid" [Int8(x)] => *x as u32;
}
