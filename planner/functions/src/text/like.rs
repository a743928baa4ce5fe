//! `LIKE`, `ILIKE` and the escape forms of `SIMILAR TO`.

use std::borrow::Cow;

use vicinity_types::Datum::{Bpchar, Bytea, Text};
use vicinity_types::{PgError, Result, SqlState};

#[cold]
fn dangling() -> PgError {
    PgError::new(
        SqlState::INVALID_ESCAPE_SEQUENCE,
        "LIKE pattern must not end with escape character",
    )
}

/// Whether bytes match a pattern with `%`, `_` and `\`. UTF-8 is matched bytewise but for `_`,
/// which takes a whole character. Greedy with one point of return: the last `%`, which is all a
/// pattern of this form ever needs.
pub(crate) fn like(text: &[u8], pattern: &[u8], utf8: bool) -> Result<bool> {
    let (mut t, mut p) = (text, pattern);
    let mut resume: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match (p, t) {
            ([b'%', rest @ ..], _) => {
                if rest.is_empty() {
                    return Ok(true);
                }
                resume = Some((t, rest));
                Some((t, rest))
            }
            ([b'_', rest @ ..], [_, ..]) => Some((skip(t, utf8), rest)),
            ([b'\\'], [_, ..]) => return Err(dangling()),
            ([b'\\', c, rest @ ..], [h, tail @ ..]) => (c == h).then_some((tail, rest)),
            ([c, rest @ ..], [h, tail @ ..]) => (c == h).then_some((tail, rest)),
            ([], []) => return Ok(true),
            _ => None,
        };
        (t, p) = match (step, resume) {
            (Some(next), _) => next,
            (None, Some((at @ [_, ..], rest))) => {
                let at = skip(at, utf8);
                resume = Some((at, rest));
                (at, rest)
            }
            (None, _) => return Ok(false),
        };
    }
}

fn skip(text: &[u8], utf8: bool) -> &[u8] {
    let Some((_, mut rest)) = text.split_first() else { return text };
    while utf8 && let [0x80..=0xbf, tail @ ..] = rest {
        rest = tail;
    }
    rest
}

fn text_like(text: &str, pattern: &str) -> Result<bool> {
    like(text.as_bytes(), pattern.as_bytes(), true)
}

fn ilike(text: &str, pattern: &str) -> Result<bool> {
    text_like(&text.to_ascii_lowercase(), &pattern.to_ascii_lowercase())
}

/// `LIKE ... ESCAPE`: rewrites a pattern for the escape character `\`.
fn like_escape<'p>(pattern: &'p str, escape: &str) -> Result<Cow<'p, str>> {
    let mut chars = escape.chars();
    let escape = match (chars.next(), chars.next()) {
        (None, _) => return Ok(Cow::Owned(pattern.replace('\\', "\\\\"))),
        (Some('\\'), None) => return Ok(Cow::Borrowed(pattern)),
        (Some(c), None) => c,
        _ => return Err(invalid_escape()),
    };
    let mut out = String::with_capacity(pattern.len() + 4);
    let mut after_escape = false;
    for c in pattern.chars() {
        if c == escape && !after_escape {
            out.push('\\');
            after_escape = true;
        } else if c == '\\' {
            out.push('\\');
            if !after_escape {
                out.push('\\');
            }
            after_escape = false;
        } else {
            out.push(c);
            after_escape = false;
        }
    }
    Ok(Cow::Owned(out))
}

fn invalid_escape() -> PgError {
    PgError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
        .hint("Escape string must be empty or one character.")
}

/// A `SIMILAR TO` pattern as a regular expression. Escape-double-quote separators, at most two,
/// cut it in three for `substring(text similar pattern escape e)`.
pub(crate) fn similar_to(pattern: &str, escape: &str) -> Result<String> {
    let mut chars = escape.chars();
    let escape = match (chars.next(), chars.next()) {
        (_, Some(_)) => return Err(invalid_escape()),
        (escape, None) => escape,
    };
    let mut out = String::from("^(?:");
    let (mut after_escape, mut in_class, mut class_start) = (false, false, false);
    let mut separators = 0;
    for c in pattern.chars() {
        if after_escape {
            if c == '"' && !in_class {
                separators += 1;
                match separators {
                    1 => out.push_str("){1,1}?("),
                    2 => out.push_str("){1,1}(?:"),
                    _ => {
                        return Err(PgError::new(
                            SqlState(*b"2200C"),
                            "SQL regular expression may not contain more than two escape-double-quote separators",
                        ));
                    }
                }
            } else {
                out.push('\\');
                out.push(c);
            }
            after_escape = false;
            class_start = false;
        } else if Some(c) == escape {
            after_escape = true;
        } else if in_class {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
            if c == ']' && !class_start {
                in_class = false;
            }
            class_start = class_start && c == '^';
        } else {
            match c {
                '[' => {
                    in_class = true;
                    class_start = true;
                    out.push('[');
                }
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '\\' | '.' | '^' | '$' => {
                    out.push('\\');
                    out.push(c);
                }
                c => out.push(c),
            }
        }
    }
    out.push_str(")$");
    Ok(out)
}

scalars! { pub(crate) LIKE, env;
    "textlike" | "namelike" [Text(a) | Bpchar(a), Text(p)] => text_like(a, p);
    "textnlike" | "namenlike" [Text(a) | Bpchar(a), Text(p)] => text_like(a, p).map(|m| !m);
    "texticlike" | "nameiclike" [Text(a) | Bpchar(a), Text(p)] => ilike(a, p);
    "texticnlike" | "nameicnlike" [Text(a) | Bpchar(a), Text(p)] => ilike(a, p).map(|m| !m);
    "bytealike" [Bytea(a), Bytea(p)] => like(a, p, false);
    "byteanlike" [Bytea(a), Bytea(p)] => like(a, p, false).map(|m| !m);
    "like_escape" [Text(p), Text(e)] => like_escape(p, e).map(Cow::into_owned);
    "similar_to_escape_1" [Text(p)] => similar_to(p, "\\");
    "similar_to_escape_2" [Text(p), Text(e)] => similar_to(p, e);
    "similar_escape" [Text(p), Text(e)] => similar_to(p, e),
        [Text(p), vicinity_types::Datum::Null] => similar_to(p, "\\"),
        [_, _] => vicinity_types::Datum::Null;
}
