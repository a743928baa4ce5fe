//! `format`, `concat`, and what turns any value into text.

use vicinity_types::Datum::{self, Bpchar, Null, Text};
use vicinity_types::compare::unpadded;
use vicinity_types::io::as_text;
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::convert::{quote_ident, quote_literal};
use super::length;
use crate::call::Signature;
use crate::env::Env;

/// A value's output text.
pub(crate) fn shown(env: &dyn Env, ty: Oid, value: &Datum) -> Result<String> {
    as_text(ty, value, &env.io())
}

/// A value cast to `text`, which for some types differs from its output.
pub(crate) fn cast_text(env: &dyn Env, ty: Oid, value: &Datum) -> Result<String> {
    Ok(match value {
        Datum::Bool(true) => "true".to_owned(),
        Datum::Bool(false) => "false".to_owned(),
        Bpchar(text) => unpadded(text).to_owned(),
        value => shown(env, ty, value)?,
    })
}

fn concat(
    env: &dyn Env,
    types: &Signature,
    args: &[Datum],
    first: usize,
    separator: &str,
) -> Result<String> {
    let parts: Vec<String> = args
        .iter()
        .enumerate()
        .skip(first)
        .filter(|(_, value)| !value.is_null())
        .map(|(i, value)| shown(env, types.arg(i), value))
        .collect::<Result<_>>()?;
    Ok(parts.join(separator))
}

fn concat_ws(env: &dyn Env, types: &Signature, args: &[Datum]) -> Result<Datum> {
    Ok(match args.first() {
        Some(Text(separator)) => Datum::text(concat(env, types, args, 1, separator)?),
        _ => Null,
    })
}

fn refuse(what: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, what)
}

/// What stands between `%` and a type letter.
#[derive(Default)]
struct Spec {
    position: Option<usize>,
    left: bool,
    width: i64,
}

struct Formatter<'a> {
    env: &'a dyn Env,
    types: &'a Signature,
    args: &'a [Datum],
    /// The last argument used; 0 is the format itself.
    last: usize,
}

impl Formatter<'_> {
    fn take(&mut self, position: Option<usize>) -> Result<(Oid, &Datum)> {
        let at = match position {
            Some(0) => {
                return Err(refuse(
                    "format specifies argument 0, but arguments are numbered from 1",
                ));
            }
            Some(n) => n,
            None => self.last + 1,
        };
        self.last = at;
        match self.args.get(at) {
            Some(value) => Ok((self.types.arg(at), value)),
            None => Err(refuse("too few arguments for format()")),
        }
    }

    fn width(&mut self, position: Option<usize>) -> Result<i64> {
        let (_, value) = self.take(position)?;
        match value {
            Null => Ok(0),
            Datum::Int2(n) => Ok(i64::from(*n)),
            Datum::Int4(n) => Ok(i64::from(*n)),
            Datum::Int8(n) => Ok(*n),
            Text(t) => t.parse().map_err(|_| PgError::invalid_input("integer", t)),
            _ => Err(PgError::invalid_input("integer", "")),
        }
    }

    fn convert(&mut self, letter: char, spec: &Spec) -> Result<String> {
        let env = self.env;
        let (ty, value) = self.take(spec.position)?;
        match (letter, value) {
            ('I', Null) => Err(PgError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "null values cannot be formatted as an SQL identifier",
            )),
            ('L', Null) => Ok("NULL".to_owned()),
            (_, Null) => Ok(String::new()),
            ('I', value) => Ok(quote_ident(&shown(env, ty, value)?)),
            ('L', value) => Ok(quote_literal(&shown(env, ty, value)?)),
            (_, value) => shown(env, ty, value),
        }
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn number(chars: &mut Chars<'_>) -> Result<Option<usize>> {
    let digits: String = std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).collect();
    if digits.is_empty() {
        return Ok(None);
    }
    let parsed = digits.parse::<u32>().ok().filter(|n| i32::try_from(*n).is_ok());
    match parsed {
        Some(n) => Ok(Some(n as usize)),
        None => Err(PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range")),
    }
}

fn spec(chars: &mut Chars<'_>, formatter: &mut Formatter<'_>) -> Result<Spec> {
    let mut spec = Spec::default();
    if let Some(n) = number(chars)? {
        if chars.next_if_eq(&'$').is_some() {
            spec.position = Some(n);
        } else {
            spec.width = n as i64;
            return Ok(spec);
        }
    }
    while chars.next_if_eq(&'-').is_some() {
        spec.left = true;
    }
    if chars.next_if_eq(&'*').is_some() {
        let position = number(chars)?;
        if position.is_some() && chars.next_if_eq(&'$').is_none() {
            return Err(refuse("width argument position must be ended by \"$\""));
        }
        spec.width = formatter.width(position)?;
        if spec.width < 0 {
            (spec.left, spec.width) = (true, -spec.width);
        }
    } else if let Some(n) = number(chars)? {
        spec.width = n as i64;
    }
    Ok(spec)
}

fn format(env: &dyn Env, types: &Signature, args: &[Datum]) -> Result<Datum> {
    let Some(Text(pattern)) = args.first() else { return Ok(Null) };
    let mut formatter = Formatter { env, types, args, last: 0 };
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let unterminated = || {
            refuse("unterminated format() type specifier").hint("For a single \"%\" use \"%%\".")
        };
        let spec = spec(&mut chars, &mut formatter)?;
        let letter = chars.next().ok_or_else(unterminated)?;
        if !matches!(letter, 's' | 'I' | 'L') {
            return Err(refuse(format!("unrecognized format() type specifier \"{letter}\""))
                .hint("For a single \"%\" use \"%%\"."));
        }
        let text = formatter.convert(letter, &spec)?;
        let missing = usize::try_from(spec.width).unwrap_or(0).saturating_sub(length(&text));
        if missing > vicinity_types::io::MAX_TEXT {
            return Err(refuse("requested length too large"));
        }
        let padding = " ".repeat(missing);
        if spec.left {
            out.push_str(&text);
            out.push_str(&padding);
        } else {
            out.push_str(&padding);
            out.push_str(&text);
        }
    }
    Ok(Datum::text(out))
}

fn append(env: &dyn Env, a: (&Datum, Oid), b: (&Datum, Oid)) -> Result<String> {
    Ok(cast_text(env, a.1, a.0)? + &cast_text(env, b.1, b.0)?)
}

typed_scalars! { pub(crate) FORMAT, env, types;
    "text_format" [args @ ..] => format(env, types, args);
    "text_format_nv" [args @ ..] => format(env, types, args);
    "text_concat" [args @ ..] => concat(env, types, args, 0, "");
    "text_concat_ws" [args @ ..] => concat_ws(env, types, args);
    "quote_literal(anyelement)" [v] => cast_text(env, types.arg(0), v).map(|text| quote_literal(&text));
    "quote_nullable(anyelement)" [Null] => "NULL", [v] => cast_text(env, types.arg(0), v).map(|text| quote_literal(&text));
    "textanycat(text,anynonarray)" | "anytextcat(anynonarray,text)" [a, b] => append(env, (a, types.arg(0)), (b, types.arg(1)));
}
