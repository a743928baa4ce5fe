//! `to_date` and `to_timestamp`: reading by a picture.
//!
//! Lenient as PostgreSQL is: blanks are skipped, separators stand for each other, and a number takes
//! as many digits as its field has, or all of them where no digit can follow.

use vicinity_types::Datum::{Date, Text, TimestampTz};
use vicinity_types::datetime::{self, DAY, EPOCH_JULIAN, HOUR, MINUTE, SECOND};
use vicinity_types::{PgError, Result, SqlState};

use super::picture::{DAYS, Item, Key, MONTHS, ROMAN, parse};
use crate::datetime::calendar::{first_of_year, iso_year_start};
use crate::env::Env;

/// The fields that were read.
#[derive(Default)]
struct Fields {
    year: Option<i64>,
    year_digits: usize,
    century: Option<i64>,
    bc: bool,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    julian: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    week: Option<i64>,
    hour: i64,
    twelve_hours: bool,
    pm: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    day_seconds: Option<i64>,
    /// Seconds east.
    zone: Option<i64>,
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    fields: Fields,
}

fn bad(what: String) -> PgError {
    PgError::new(SqlState::INVALID_DATETIME_FORMAT, what)
}

impl<'a> Reader<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (head, tail) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = tail;
        head
    }

    /// A number of up to `width` digits (or any number of them).
    fn number(&mut self, width: usize, greedy: bool, key: &str) -> Result<(i64, usize)> {
        self.blanks();
        let signed = usize::from(self.rest.starts_with(['-', '+']));
        let digits = self
            .rest
            .bytes()
            .skip(signed)
            .take(if greedy { usize::MAX } else { width.saturating_sub(signed) })
            .take_while(u8::is_ascii_digit)
            .count();
        if digits == 0 {
            let shown: String = self.rest.chars().take(width.max(1)).collect();
            if shown.is_empty() {
                return Err(bad(format!("source string too short for \"{key}\" formatting field")));
            }
            return Err(bad(format!("invalid value \"{shown}\" for \"{key}\""))
                .detail("Value must be an integer."));
        }
        let text = self.advance(signed + digits);
        let value = text.parse::<i64>().ok().filter(|v| i32::try_from(*v).is_ok());
        let value = value.ok_or_else(|| {
            PgError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("value for \"{key}\" in source string is out of range"),
            )
        })?;
        Ok((value, digits))
    }

    /// A name out of a list, in full or in its first letters.
    fn name(&mut self, names: &[&str], letters: Option<usize>, key: &str) -> Result<i64> {
        self.blanks();
        for (i, name) in names.iter().enumerate() {
            let wanted = letters.map_or(*name, |n| name.get(..n).unwrap_or(name));
            if self.rest.get(..wanted.len()).is_some_and(|h| h.eq_ignore_ascii_case(wanted)) {
                self.advance(wanted.len());
                return Ok(i as i64);
            }
        }
        let shown: String = self.rest.chars().take_while(|c| !c.is_ascii_whitespace()).collect();
        Err(bad(format!("invalid value \"{shown}\" for \"{key}\""))
            .detail("The given value did not match any of the allowed values for this field."))
    }

    fn fraction(&mut self, width: usize, key: &str) -> Result<i64> {
        let (value, digits) = self.number(width, false, key)?;
        let power = u32::try_from(6usize.saturating_sub(digits)).unwrap_or(0);
        Ok(value * 10i64.pow(power))
    }

    fn key(&mut self, key: Key, greedy: bool) -> Result<()> {
        let name = key.name;
        match name {
            "YYYY" | "IYYY" => {
                let (value, digits) = self.number(4, greedy, name)?;
                self.year(name, value, digits);
            }
            "YYY" | "IYY" => {
                let (value, digits) = self.number(3, greedy, name)?;
                self.year(name, value, digits);
            }
            "YY" | "IY" => {
                let (value, digits) = self.number(2, greedy, name)?;
                self.year(name, value, digits);
            }
            "Y" | "I" => {
                let (value, digits) = self.number(1, greedy, name)?;
                self.year(name, value, digits);
            }
            "Y,YYY" => {
                let (thousands, _) = self.number(9, true, name)?;
                self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                let (rest, _) = self.number(3, false, name)?;
                self.fields.year = Some(thousands * 1000 + rest);
                self.fields.year_digits = 4;
            }
            "CC" => self.fields.century = Some(self.number(2, greedy, name)?.0),
            "MM" => self.fields.month = Some(self.number(2, greedy, name)?.0),
            "MONTH" => self.fields.month = Some(self.name(&MONTHS, None, name)? + 1),
            "MON" => self.fields.month = Some(self.name(&MONTHS, Some(3), name)? + 1),
            "RM" => {
                // Longer numerals before their beginnings.
                let mut order: Vec<usize> = (0..12).collect();
                order.sort_by_key(|i| std::cmp::Reverse(ROMAN.get(*i).map_or(0, |r| r.len())));
                let sorted: Vec<&str> =
                    order.iter().filter_map(|i| ROMAN.get(*i).copied()).collect();
                let at = usize::try_from(self.name(&sorted, None, name)?).unwrap_or(0);
                self.fields.month = order.get(at).map(|i| *i as i64 + 1);
            }
            "DD" => self.fields.day = Some(self.number(2, greedy, name)?.0),
            "DDD" => self.fields.day_of_year = Some(self.number(3, greedy, name)?.0),
            "DAY" => {
                self.name(&DAYS, None, name)?;
            }
            "DY" => {
                self.name(&DAYS, Some(3), name)?;
            }
            "D" => {
                self.number(1, greedy, name)?;
            }
            "ID" => self.fields.iso_day = Some(self.number(1, greedy, name)?.0),
            "IDDD" => {
                let (days, _) = self.number(3, greedy, name)?;
                self.fields.iso_week = Some((days - 1) / 7 + 1);
                self.fields.iso_day = Some((days - 1) % 7 + 1);
            }
            "IW" => self.fields.iso_week = Some(self.number(2, greedy, name)?.0),
            "WW" => self.fields.week = Some(self.number(2, greedy, name)?.0),
            "W" | "Q" => {
                self.number(1, greedy, name)?;
            }
            "J" => self.fields.julian = Some(self.number(9, true, name)?.0),
            "HH24" => self.fields.hour = self.number(2, greedy, name)?.0,
            "HH" | "HH12" => {
                self.fields.hour = self.number(2, greedy, name)?.0;
                self.fields.twelve_hours = true;
            }
            "MI" => self.fields.minute = self.number(2, greedy, name)?.0,
            "SS" => self.fields.second = self.number(2, greedy, name)?.0,
            "SSSS" | "SSSSS" => self.fields.day_seconds = Some(self.number(5, greedy, name)?.0),
            "MS" => self.fields.micros += self.fraction(3, name)?,
            "US" => self.fields.micros += self.fraction(6, name)?,
            "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let width = usize::from(name.bytes().last().unwrap_or(b'6') - b'0');
                self.fields.micros += self.fraction(width, name)?;
            }
            "AM" | "PM" => {
                self.fields.pm = Some(self.name(&["AM", "PM"], None, name)? == 1);
                self.fields.twelve_hours = true;
            }
            "A.M." | "P.M." => {
                self.fields.pm = Some(self.name(&["A.M.", "P.M."], None, name)? == 1);
                self.fields.twelve_hours = true;
            }
            "AD" | "BC" => self.fields.bc = self.name(&["AD", "BC"], None, name)? == 1,
            "A.D." | "B.C." => self.fields.bc = self.name(&["A.D.", "B.C."], None, name)? == 1,
            "TZH" => {
                let (hours, _) = self.number(3, false, name)?;
                self.fields.zone = Some(self.fields.zone.unwrap_or(0) + hours * 3600);
            }
            "TZM" => {
                let (minutes, _) = self.number(2, false, name)?;
                let hours = self.fields.zone.unwrap_or(0);
                let sign = if hours < 0 { -1 } else { 1 };
                self.fields.zone = Some(hours + sign * minutes * 60);
            }
            _ => {
                return Err(PgError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("formatting field \"{name}\" is only supported in to_char"),
                ));
            }
        }
        Ok(())
    }

    /// Years of few digits are near 2020.
    fn year(&mut self, name: &str, value: i64, digits: usize) {
        let year = match (name.trim_start_matches('I').len().max(1), digits) {
            (4, _) if name.len() == 4 => value,
            (_, 4..) => value,
            _ if value < 70 => value + 2000,
            _ if value < 100 => value + 1900,
            _ if value < 520 => value + 2000,
            _ if value < 1000 => value + 1000,
            _ => value,
        };
        self.fields.year_digits = digits;
        if name.starts_with('I') {
            self.fields.iso_year = Some(year);
        } else {
            self.fields.year = Some(year);
        }
    }

    fn run(&mut self, picture: &str) -> Result<()> {
        let items = parse(picture);
        for (i, item) in items.iter().enumerate() {
            if self.rest.is_empty() {
                break;
            }
            match item {
                Item::Key { key, fill, ordinal } => {
                    // Followed by another number, a field keeps to its width.
                    let next = items.get(i + 1);
                    let tight = matches!(next, Some(Item::Key { key, .. }) if !is_word(key.name));
                    self.key(*key, *fill || !tight)?;
                    if ordinal.is_some() {
                        self.advance(2);
                    }
                }
                Item::Separator(_) => {
                    self.blanks();
                    let separates = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric();
                    if let Some(c) = self.rest.chars().next().filter(|c| separates(*c)) {
                        // A sign before a number may be the number's own.
                        let sign = matches!(c, '-' | '+')
                            && matches!(items.get(i + 1), Some(Item::Key { key, .. }) if key.name == "TZH");
                        if !sign {
                            self.advance(c.len_utf8());
                        }
                    }
                }
                Item::Literal(_) => {
                    let skip = self.rest.chars().next().map_or(0, char::len_utf8);
                    self.advance(skip);
                }
            }
        }
        Ok(())
    }

    fn out_of_range(&self) -> PgError {
        PgError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{}\"", self.text),
        )
    }

    fn date(&self) -> Result<i32> {
        let f = &self.fields;
        let int = |n: i64| i32::try_from(n).map_err(|_| self.out_of_range());
        if let Some(julian) = f.julian {
            return int(julian - i64::from(EPOCH_JULIAN));
        }
        if let (Some(year), Some(week)) = (f.iso_year, f.iso_week) {
            let days = (week - 1) * 7 + f.iso_day.unwrap_or(1) - 1;
            return int(i64::from(iso_year_start(int(year)?)) + days);
        }
        let mut year = f.year.or(f.iso_year).unwrap_or(0);
        if let (Some(century), true) = (f.century, f.year.is_none()) {
            year = if century > 0 { (century - 1) * 100 + 1 } else { century * 100 + 1 };
        }
        if f.bc {
            year = 1 - year;
        }
        let year = int(year)?;
        if let Some(day) = f.day_of_year.or(f.week.map(|w| (w - 1) * 7 + 1)) {
            let limit = if datetime::is_leap(year) { 366 } else { 365 };
            if !(1..=limit).contains(&day) {
                return Err(self.out_of_range());
            }
            return Ok(first_of_year(year) + int(day)? - 1);
        }
        let (month, day) = (int(f.month.unwrap_or(1))?, int(f.day.unwrap_or(1))?);
        datetime::make_date(year, month, day).ok_or_else(|| self.out_of_range())
    }

    fn time(&self) -> Result<i64> {
        let f = &self.fields;
        let mut hour = f.hour;
        if f.twelve_hours {
            if !(1..=12).contains(&hour) {
                return Err(bad(format!("hour \"{hour}\" is invalid for the 12-hour clock"))
                    .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            hour = match f.pm {
                Some(true) if hour < 12 => hour + 12,
                Some(false) | None if hour == 12 && f.pm.is_some() => 0,
                _ => hour,
            };
        }
        if let Some(seconds) = f.day_seconds {
            if !(0..86_400).contains(&seconds) {
                return Err(self.out_of_range());
            }
            return Ok(seconds * SECOND + f.micros);
        }
        let valid =
            (0..24).contains(&hour) && (0..60).contains(&f.minute) && (0..60).contains(&f.second);
        if !valid {
            return Err(self.out_of_range());
        }
        Ok(hour * HOUR + f.minute * MINUTE + f.second * SECOND + f.micros)
    }
}

/// Whether a field is read as a word.
fn is_word(name: &str) -> bool {
    matches!(
        name,
        "MONTH"
            | "MON"
            | "RM"
            | "DAY"
            | "DY"
            | "AM"
            | "PM"
            | "A.M."
            | "P.M."
            | "AD"
            | "BC"
            | "A.D."
            | "B.C."
            | "TZ"
            | "OF"
    )
}

fn read<'a>(text: &'a str, picture: &str) -> Result<Reader<'a>> {
    let mut reader = Reader { text, rest: text, fields: Fields::default() };
    reader.run(picture)?;
    Ok(reader)
}

fn to_timestamp(env: &dyn Env, text: &str, picture: &str) -> Result<i64> {
    let reader = read(text, picture)?;
    let (date, time) = (reader.date()?, reader.time()?);
    let local = i64::from(date)
        .checked_mul(DAY)
        .and_then(|d| d.checked_add(time))
        .filter(|t| datetime::in_range(*t))
        .ok_or_else(|| reader.out_of_range())?;
    Ok(match reader.fields.zone {
        Some(east) => local - east * SECOND,
        None => env.io().style.time_zone.to_utc(local),
    })
}

scalars! { pub(crate) READ, env;
    "to_date" [Text(t), Text(f)] => read(t, f).and_then(|r| r.time().and_then(|_| r.date())).map(Date);
    "to_timestamp" [Text(t), Text(f)] => to_timestamp(env, t, f).map(TimestampTz);
}
