//! `~` and the `regexp_*` functions.

use vicinity_types::Datum::{self, Bpchar, Int4, Null, Text};
use vicinity_types::array::Array;
use vicinity_types::{PgError, Result, SqlState, oid};

use super::pattern::{Flags, Found, Pattern, compile, next_char};
use super::{int4, length, like, offset, slice};
use crate::registry::Rows;

fn matches(text: &str, pattern: &str, flags: Flags) -> Result<bool> {
    compile(pattern, flags)?.is_match(text)
}

fn no_global(flags: &str, function: &str) -> Result<Flags> {
    let flags = Flags::parse(flags)?;
    if flags.global {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("{function} does not support the \"global\" option"),
        ));
    }
    Ok(flags)
}

/// `substring(text from pattern)`: the first group, or the whole match where there is none.
fn substring(text: &str, pattern: &str) -> Result<Datum> {
    let pattern = compile(pattern, Flags::default())?;
    let found = pattern.captures_at(text, 0)?;
    let part = found.and_then(|c| c.get(usize::from(pattern.groups() > 0)));
    Ok(part.map_or(Null, |m| Datum::text(m.as_str())))
}

/// A replacement's `\1`..`\9`, `\&` and `\\`.
fn expand(out: &mut String, replacement: &str, captures: &Found<'_>) {
    let group = |n: usize| captures.get(n).map_or("", |m| m.as_str());
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(d @ '1'..='9') => out.push_str(group(d as usize - '0' as usize)),
            Some('&') => out.push_str(group(0)),
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
}

/// Replaces the `n`th match at or after a character position, or all of them for `n` = 0.
fn replace(
    text: &str,
    pattern: &str,
    replacement: &str,
    start: i32,
    n: i32,
    flags: Flags,
) -> Result<String> {
    let from = start_offset(text, start)?;
    positive("n", n, 0)?;
    let pattern = compile(pattern, flags)?;
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut at, mut seen) = (0, from, 0);
    while at <= text.len() {
        let Some(captures) = pattern.captures_at(text, at)? else { break };
        let Some(whole) = captures.get(0) else { break };
        seen += 1;
        if n == 0 || seen == n {
            out.push_str(slice(text, copied, whole.start()));
            expand(&mut out, replacement, &captures);
            copied = whole.end();
            if n != 0 {
                break;
            }
        }
        at = if whole.is_empty() { next_char(text, whole.end()) } else { whole.end() };
    }
    out.push_str(slice(text, copied, text.len()));
    Ok(out)
}

fn positive(name: &str, value: i32, least: i32) -> Result<()> {
    if value >= least {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{name}\": {value}"),
    ))
}

fn start_offset(text: &str, start: i32) -> Result<usize> {
    positive("start", start, 1)?;
    let skip = usize::try_from(start - 1).unwrap_or(0);
    // A start past the end finds nothing, not even an empty match.
    Ok(if skip > length(text) { text.len() + 1 } else { offset(text, skip) })
}

/// The groups of a match, or the match itself where the pattern has none.
fn groups(pattern: &Pattern, captures: &Found<'_>) -> Datum {
    let text = |n: usize| captures.get(n).map_or(Null, |m| Datum::text(m.as_str()));
    let values = match pattern.groups() {
        0 => vec![text(0)],
        n => (1..=n).map(text).collect(),
    };
    Datum::Array(std::sync::Arc::new(Array::from_datums(oid::TEXT, values)))
}

fn first_match(text: &str, pattern: &str, flags: &str) -> Result<Datum> {
    let flags = Flags::parse(flags)?;
    if flags.global {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "regexp_match() does not support the \"global\" option",
        )
        .hint("Use the regexp_matches function instead."));
    }
    let pattern = compile(pattern, flags)?;
    Ok(pattern.captures_at(text, 0)?.map_or(Null, |c| groups(&pattern, &c)))
}

fn all_matches(text: &str, pattern: &str, flags: &str) -> Result<Rows> {
    let flags = Flags::parse(flags)?;
    let pattern = compile(pattern, flags)?;
    let found = if flags.global {
        pattern.matches(text, 0)?
    } else {
        pattern.captures_at(text, 0)?.into_iter().collect()
    };
    let rows: Vec<Datum> = found.iter().map(|c| groups(&pattern, c)).collect();
    Ok(Box::new(rows.into_iter().map(|row| Ok(vec![row]))))
}

/// The pieces between matches. An empty match splits only between two characters.
fn split(text: &str, pattern: &str, flags: &str, function: &str) -> Result<Vec<Datum>> {
    let pattern = compile(pattern, no_global(flags, function)?)?;
    let (mut pieces, mut begin, mut at) = (Vec::new(), 0, 0);
    while at <= text.len() {
        let Some(whole) = pattern.captures_at(text, at)?.and_then(|c| c.get(0)) else { break };
        if whole.is_empty() && (whole.start() == begin || whole.start() == text.len()) {
            at = next_char(text, whole.end());
            continue;
        }
        pieces.push(Datum::text(slice(text, begin, whole.start())));
        begin = whole.end();
        at = if whole.is_empty() { next_char(text, whole.end()) } else { whole.end() };
    }
    pieces.push(Datum::text(slice(text, begin, text.len())));
    Ok(pieces)
}

fn split_array(text: &str, pattern: &str, flags: &str) -> Result<Array> {
    Ok(Array::from_datums(oid::TEXT, split(text, pattern, flags, "regexp_split_to_array()")?))
}

fn split_table(text: &str, pattern: &str, flags: &str) -> Result<Rows> {
    let pieces = split(text, pattern, flags, "regexp_split_to_table()")?;
    Ok(Box::new(pieces.into_iter().map(|piece| Ok(vec![piece]))))
}

fn count(text: &str, pattern: &str, start: i32, flags: &str) -> Result<i32> {
    let flags = no_global(flags, "regexp_count()")?;
    let from = start_offset(text, start)?;
    Ok(int4(compile(pattern, flags)?.matches(text, from)?.len()))
}

/// What `regexp_instr` and `regexp_substr` look for.
struct Wanted<'a> {
    start: i32,
    n: i32,
    flags: &'a str,
    group: i32,
}

impl Wanted<'_> {
    /// The span of the group in the `n`th match.
    fn find(&self, text: &str, pattern: &str, function: &str) -> Result<Option<(usize, usize)>> {
        let from = start_offset(text, self.start)?;
        positive("n", self.n, 1)?;
        let flags = no_global(self.flags, function)?;
        positive("subexpr", self.group, 0)?;
        let pattern = compile(pattern, flags)?;
        let nth = usize::try_from(self.n - 1).unwrap_or(0);
        let group = usize::try_from(self.group).unwrap_or(0);
        let found = pattern.matches(text, from)?.into_iter().nth(nth);
        Ok(found.and_then(|c| c.get(group)).map(|m| (m.start(), m.end())))
    }
}

fn instr(text: &str, pattern: &str, wanted: Wanted<'_>, end: i32) -> Result<i32> {
    positive("start", wanted.start, 1)?;
    positive("n", wanted.n, 1)?;
    if !(0..=1).contains(&end) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"endoption\": {end}"),
        ));
    }
    let found = wanted.find(text, pattern, "regexp_instr()")?;
    let place = |at| int4(length(slice(text, 0, at)) + 1);
    Ok(found.map_or(0, |(from, to)| place(if end == 1 { to } else { from })))
}

fn substr(text: &str, pattern: &str, wanted: Wanted<'_>) -> Result<Datum> {
    let found = wanted.find(text, pattern, "regexp_substr()")?;
    Ok(found.map_or(Null, |(from, to)| Datum::text(slice(text, from, to))))
}

fn want(start: i32, n: i32, flags: &str, group: i32) -> Wanted<'_> {
    Wanted { start, n, flags, group }
}

/// `regexp_replace(text, pattern, replacement, flags)` replaces one match without `g`.
fn replace_flags(text: &str, pattern: &str, replacement: &str, flags: &str) -> Result<String> {
    if let Some(d) = flags.chars().next().filter(char::is_ascii_digit) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid regular expression option: \"{d}\""),
        )
        .hint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly."));
    }
    let flags = Flags::parse(flags)?;
    replace(text, pattern, replacement, 1, i32::from(!flags.global), flags)
}

scalars! { pub(crate) REGEXP, env;
    "textregexeq" | "nameregexeq" [Text(a) | Bpchar(a), Text(p)] => matches(a, p, Flags::default());
    "textregexne" | "nameregexne" [Text(a) | Bpchar(a), Text(p)] => matches(a, p, Flags::default()).map(|m| !m);
    "texticregexeq" | "nameicregexeq" [Text(a) | Bpchar(a), Text(p)] => matches(a, p, Flags::ignoring_case());
    "texticregexne" | "nameicregexne" [Text(a) | Bpchar(a), Text(p)] => matches(a, p, Flags::ignoring_case()).map(|m| !m);
    "textregexsubstr" [Text(a), Text(p)] => substring(a, p);
    "substring(text,text,text)" [Text(a), Text(p), Text(e)] => like::similar_to(p, e).and_then(|p| substring(a, &p));
    "textregexreplace_noopt" [Text(a), Text(p), Text(r)] => replace(a, p, r, 1, 1, Flags::default());
    "textregexreplace" [Text(a), Text(p), Text(r), Text(f)] => replace_flags(a, p, r, f);
    "textregexreplace_extended_no_n" [Text(a), Text(p), Text(r), Int4(s)] => replace(a, p, r, *s, 1, Flags::default());
    "textregexreplace_extended_no_flags" [Text(a), Text(p), Text(r), Int4(s), Int4(n)] => replace(a, p, r, *s, *n, Flags::default());
    "textregexreplace_extended" [Text(a), Text(p), Text(r), Int4(s), Int4(n), Text(f)] => positive("start", *s, 1).and_then(|()| positive("n", *n, 0)).and_then(|()| Flags::parse(f)).and_then(|f| replace(a, p, r, *s, *n, f));
    "regexp_match_no_flags" [Text(a), Text(p)] => first_match(a, p, "");
    "regexp_match" [Text(a), Text(p), Text(f)] => first_match(a, p, f);
    "regexp_split_to_array_no_flags" [Text(a), Text(p)] => split_array(a, p, "");
    "regexp_split_to_array" [Text(a), Text(p), Text(f)] => split_array(a, p, f);
    "regexp_like_no_flags" [Text(a), Text(p)] => matches(a, p, Flags::default());
    "regexp_like" [Text(a), Text(p), Text(f)] => no_global(f, "regexp_like()").and_then(|f| matches(a, p, f));
    "regexp_count_no_start" [Text(a), Text(p)] => count(a, p, 1, "");
    "regexp_count_no_flags" [Text(a), Text(p), Int4(s)] => count(a, p, *s, "");
    "regexp_count" [Text(a), Text(p), Int4(s), Text(f)] => count(a, p, *s, f);
    "regexp_instr_no_start" [Text(a), Text(p)] => instr(a, p, want(1, 1, "", 0), 0);
    "regexp_instr_no_n" [Text(a), Text(p), Int4(s)] => instr(a, p, want(*s, 1, "", 0), 0);
    "regexp_instr_no_endoption" [Text(a), Text(p), Int4(s), Int4(n)] => instr(a, p, want(*s, *n, "", 0), 0);
    "regexp_instr_no_flags" [Text(a), Text(p), Int4(s), Int4(n), Int4(e)] => instr(a, p, want(*s, *n, "", 0), *e);
    "regexp_instr_no_subexpr" [Text(a), Text(p), Int4(s), Int4(n), Int4(e), Text(f)] => instr(a, p, want(*s, *n, f, 0), *e);
    "regexp_instr" [Text(a), Text(p), Int4(s), Int4(n), Int4(e), Text(f), Int4(g)] => instr(a, p, want(*s, *n, f, *g), *e);
    "regexp_substr_no_start" [Text(a), Text(p)] => substr(a, p, want(1, 1, "", 0));
    "regexp_substr_no_n" [Text(a), Text(p), Int4(s)] => substr(a, p, want(*s, 1, "", 0));
    "regexp_substr_no_flags" [Text(a), Text(p), Int4(s), Int4(n)] => substr(a, p, want(*s, *n, "", 0));
    "regexp_substr_no_subexpr" [Text(a), Text(p), Int4(s), Int4(n), Text(f)] => substr(a, p, want(*s, *n, f, 0));
    "regexp_substr" [Text(a), Text(p), Int4(s), Int4(n), Text(f), Int4(g)] => substr(a, p, want(*s, *n, f, *g));
}

sets! { pub(crate) SETS, env;
    "regexp_matches_no_flags" [Text(a), Text(p)] => all_matches(a, p, "");
    "regexp_matches" [Text(a), Text(p), Text(f)] => all_matches(a, p, f);
    "regexp_split_to_table_no_flags" [Text(a), Text(p)] => split_table(a, p, "");
    "regexp_split_to_table" [Text(a), Text(p), Text(f)] => split_table(a, p, f);
}
