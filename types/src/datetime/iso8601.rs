//! ISO 8601 durations: `P1Y2M3DT4H5M6S`, `P0001-02-03T04:05:06`.

use super::interval_in::Sum;
use super::lex::{Outcome, Refusal};
use super::{DAY, HOUR, MINUTE, SECOND};

/// Reads a duration.
pub(super) fn decode(text: &str) -> Outcome<Sum> {
    let body = text.strip_prefix('P').filter(|b| !b.is_empty()).ok_or(Refusal::Format)?;
    let mut d = Decoder { rest: body, sum: Sum::default() };
    let (date, time) = body.split_once('T').map_or((body, None), |(d, t)| (d, Some(t)));
    d.rest = date;
    d.date()?;
    if let Some(time) = time {
        d.rest = time;
        d.time()?;
    }
    Ok(d.sum)
}

struct Decoder<'a> {
    rest: &'a str,
    sum: Sum,
}

impl<'a> Decoder<'a> {
    /// A number's whole part and fraction, both with its sign, and its text.
    fn number(&mut self) -> Outcome<(i64, f64, &'a str)> {
        if !self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') {
            return Err(Refusal::Format);
        }
        let length = crate::io::geo::number_length(self.rest);
        let (text, rest) = self.rest.split_at_checked(length).ok_or(Refusal::Format)?;
        let value: f64 = text.parse().map_err(|_| Refusal::Format)?;
        if value.abs() > 1e15 {
            return Err(Refusal::Overflow);
        }
        self.rest = rest;
        Ok((value as i64, value.fract(), text))
    }

    fn unit(&mut self) -> Option<char> {
        let unit = self.rest.chars().next()?;
        self.rest = self.rest.get(unit.len_utf8()..).unwrap_or("");
        Some(unit)
    }

    /// A separator that is there, or the end.
    fn separator(&mut self, c: char) -> Outcome<bool> {
        match self.unit() {
            None => Ok(false),
            Some(unit) if unit == c => Ok(true),
            Some(_) => Err(Refusal::Format),
        }
    }

    fn date(&mut self) -> Outcome<()> {
        let mut first = true;
        while !self.rest.is_empty() {
            let (value, part, text) = self.number()?;
            let sum = &mut self.sum;
            let unit = {
                let unit = self.rest.chars().next();
                self.rest = self.rest.get(unit.map_or(0, char::len_utf8)..).unwrap_or("");
                unit
            };
            match unit {
                Some('Y') => sum.add_years(value, part, 1)?,
                Some('M') => {
                    sum.add_months(value)?;
                    sum.add_fraction_days(part, 30)?;
                }
                Some('W') => {
                    sum.add_days(value, 7)?;
                    sum.add_fraction_days(part, 7)?;
                }
                Some('D') => {
                    sum.add_days(value, 1)?;
                    sum.add_fraction_micros(part, DAY)?;
                }
                None if first && width(text) == 8 => {
                    sum.add_years(value / 10_000, 0.0, 1)?;
                    sum.add_months(value / 100 % 100)?;
                    sum.add_days(value % 100, 1)?;
                    sum.add_fraction_micros(part, DAY)?;
                }
                None | Some('-') if first => {
                    sum.add_years(value, part, 1)?;
                    return if unit.is_some() { self.month_and_day() } else { Ok(()) };
                }
                _ => return Err(Refusal::Format),
            }
            first = false;
        }
        Ok(())
    }

    fn month_and_day(&mut self) -> Outcome<()> {
        let (value, part, _) = self.number()?;
        self.sum.add_months(value)?;
        self.sum.add_fraction_days(part, 30)?;
        if !self.separator('-')? {
            return Ok(());
        }
        let (value, part, _) = self.number()?;
        self.sum.add_days(value, 1)?;
        self.sum.add_fraction_micros(part, DAY)?;
        if self.rest.is_empty() { Ok(()) } else { Err(Refusal::Format) }
    }

    fn time(&mut self) -> Outcome<()> {
        let mut first = true;
        while !self.rest.is_empty() {
            let (value, part, text) = self.number()?;
            let unit = self.unit();
            let sum = &mut self.sum;
            match unit {
                Some('H') => sum.add_micros(value, part, HOUR)?,
                Some('M') => sum.add_micros(value, part, MINUTE)?,
                Some('S') => sum.add_micros(value, part, SECOND)?,
                None if first && width(text) == 6 => {
                    sum.add_micros(value / 10_000, 0.0, HOUR)?;
                    sum.add_micros(value / 100 % 100, 0.0, MINUTE)?;
                    sum.add_micros(value % 100, 0.0, SECOND)?;
                    sum.add_fraction_micros(part, 1)?;
                }
                None | Some(':') if first => {
                    sum.add_micros(value, part, HOUR)?;
                    return if unit.is_some() { self.minute_and_second() } else { Ok(()) };
                }
                _ => return Err(Refusal::Format),
            }
            first = false;
        }
        Ok(())
    }

    fn minute_and_second(&mut self) -> Outcome<()> {
        let (value, part, _) = self.number()?;
        self.sum.add_micros(value, part, MINUTE)?;
        if !self.separator(':')? {
            return Ok(());
        }
        let (value, part, _) = self.number()?;
        self.sum.add_micros(value, part, SECOND)?;
        if self.rest.is_empty() { Ok(()) } else { Err(Refusal::Format) }
    }
}

/// Digits of the whole part.
fn width(text: &str) -> usize {
    text.trim_start_matches('-').bytes().take_while(u8::is_ascii_digit).count()
}
