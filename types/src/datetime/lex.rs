//! Splits date, time and interval input into fields: PostgreSQL's `ParseDateTime`.

use super::words::date_word;
use crate::error::{PgError, SqlState};
use crate::io::is_space;

/// What a field looks like, before anybody knows what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldKind {
    Number,
    Word,
    Date,
    Time,
    /// A sign and digits: an offset, or in an interval a number.
    Zone,
    /// A sign and letters.
    Special,
}

/// A field, in lower case where it has letters.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) kind: FieldKind,
    pub(super) text: String,
}

/// Why input is refused. The message needs the whole input and the type.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    Format,
    Overflow,
    /// Month or day out of range: another DateStyle may help.
    MonthDayOverflow,
    IntervalOverflow,
    ZoneOverflow,
    Other(PgError),
}

pub(super) type Outcome<T> = std::result::Result<T, Refusal>;

impl Refusal {
    /// The error for a client; `ty` is the type's SQL name without precision.
    pub(super) fn error(self, text: &str, ty: &str) -> PgError {
        let field = format!("date/time field value out of range: \"{text}\"");
        match self {
            Refusal::Overflow => PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, field),
            Refusal::MonthDayOverflow => PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, field)
                .hint("Perhaps you need a different \"datestyle\" setting."),
            Refusal::IntervalOverflow => PgError::new(
                SqlState::INTERVAL_FIELD_OVERFLOW,
                format!("interval field value out of range: \"{text}\""),
            ),
            Refusal::ZoneOverflow => PgError::new(
                SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                format!("time zone displacement out of range: \"{text}\""),
            ),
            Refusal::Format => PgError::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!("invalid input syntax for type {ty}: \"{text}\""),
            ),
            Refusal::Other(error) => error,
        }
    }
}

const MAX_FIELDS: usize = 25;
const MAX_LENGTH: usize = 128 + 25;

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    text: String,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn is(&self, test: impl Fn(u8) -> bool) -> bool {
        self.peek().is_some_and(test)
    }

    fn take(&mut self) {
        if let Some(b) = self.peek() {
            self.text.push(char::from(b.to_ascii_lowercase()));
            self.at += 1;
        }
    }

    fn take_while(&mut self, test: impl Fn(u8) -> bool) {
        while self.is(&test) {
            self.take();
        }
    }
}

fn digit(b: u8) -> bool {
    b.is_ascii_digit()
}

fn alpha(b: u8) -> bool {
    b.is_ascii_alphabetic()
}

/// Splits input into fields.
pub(super) fn fields(text: &str) -> Outcome<Vec<Field>> {
    let mut s = Scan { bytes: text.as_bytes(), at: 0, text: String::new() };
    let mut out = Vec::new();
    let mut length = 0;
    while let Some(b) = s.peek() {
        if is_space(char::from(b)) {
            s.at += 1;
            continue;
        }
        if out.len() >= MAX_FIELDS {
            return Err(Refusal::Format);
        }
        s.text.clear();
        let kind = match b {
            b'0'..=b'9' => number(&mut s),
            b'.' => {
                s.take();
                s.take_while(digit);
                FieldKind::Number
            }
            b if alpha(b) => word(&mut s),
            b'+' | b'-' => signed(&mut s)?,
            b if b.is_ascii_punctuation() => {
                s.at += 1;
                continue;
            }
            _ => return Err(Refusal::Format),
        };
        length += s.text.len() + 1;
        if length > MAX_LENGTH {
            return Err(Refusal::Format);
        }
        out.push(Field { kind, text: s.text.clone() });
    }
    Ok(out)
}

/// Begins with a digit: a date, a time or a number.
fn number(s: &mut Scan<'_>) -> FieldKind {
    s.take_while(digit);
    match s.peek() {
        Some(b':') => {
            s.take_while(|b| digit(b) || b == b':' || b == b'.');
            FieldKind::Time
        }
        Some(delimiter @ (b'-' | b'/' | b'.')) => {
            s.take();
            if !s.is(digit) {
                // A month in letters.
                s.take_while(|b| b.is_ascii_alphanumeric() || b == delimiter);
                return FieldKind::Date;
            }
            s.take_while(digit);
            if s.peek() == Some(delimiter) {
                s.take_while(|b| digit(b) || b == delimiter);
                return FieldKind::Date;
            }
            if delimiter == b'.' { FieldKind::Number } else { FieldKind::Date }
        }
        _ => FieldKind::Number,
    }
}

/// Begins with a letter: a word, a date with a month in front, or a zone's name.
fn word(s: &mut Scan<'_>) -> FieldKind {
    s.take_while(alpha);
    let joined = match s.peek() {
        Some(b'-' | b'/' | b'.') => true,
        Some(b) if b == b'+' || digit(b) => date_word(&s.text).is_none(),
        _ => false,
    };
    if !joined {
        return FieldKind::Word;
    }
    s.take_while(|b| b.is_ascii_alphanumeric() || b"+-/_.:".contains(&b));
    FieldKind::Date
}

fn signed(s: &mut Scan<'_>) -> Outcome<FieldKind> {
    s.take();
    while s.is(|b| is_space(char::from(b))) {
        s.at += 1;
    }
    match s.peek() {
        Some(b) if digit(b) => {
            s.take_while(|b| digit(b) || b":.-".contains(&b));
            Ok(FieldKind::Zone)
        }
        Some(b) if alpha(b) => {
            s.take_while(alpha);
            Ok(FieldKind::Special)
        }
        _ => Err(Refusal::Format),
    }
}

/// The integer a text begins with, as `strtol` reads it, and what follows. No digits give 0.
pub(super) fn integer<T: TryFrom<i64>>(text: &str) -> Outcome<(T, &str)> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = text.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        let zero = T::try_from(0).map_err(|_| Refusal::Overflow)?;
        return Ok((zero, text));
    }
    let (number, rest) = text.split_at_checked(sign + digits).ok_or(Refusal::Format)?;
    let value = number.parse::<i64>().map_err(|_| Refusal::Overflow)?;
    Ok((T::try_from(value).map_err(|_| Refusal::Overflow)?, rest))
}

/// `.5` as 0.5; a lone point is 0.
pub(super) fn fraction(text: &str) -> Outcome<f64> {
    let digits = text.strip_prefix('.').ok_or(Refusal::Format)?;
    if digits.is_empty() {
        return Ok(0.0);
    }
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::Format);
    }
    format!("0.{digits}").parse().map_err(|_| Refusal::Format)
}

/// `.5` as microseconds of a second.
pub(super) fn fraction_micros(text: &str) -> Outcome<i64> {
    Ok((fraction(text)? * 1e6).round_ties_even() as i64)
}
