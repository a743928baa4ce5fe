//! `to_char` of timestamps and intervals.

use vicinity_types::Datum::{Interval as Iv, Text, Timestamp, TimestampTz};
use vicinity_types::datetime::{EPOCH_JULIAN, HOUR, MINUTE, SECOND};
use vicinity_types::interval::Interval;
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::number::ordinal;
use super::picture::{Case, DAYS, Item, Key, MONTHS, ROMAN, parse};
use crate::datetime::calendar::{Parts, is_infinite, iso_weekday};
use crate::env::Env;

/// What a picture is filled from.
struct Moment {
    year: i64,
    month: i32,
    day: i32,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// The calendar's view; intervals have none.
    parts: Option<Parts>,
    /// Offset in seconds east and abbreviation.
    zone: Option<(i32, String)>,
}

fn cased(text: &str, case: Case) -> String {
    match case {
        Case::Upper => text.to_uppercase(),
        Case::Lower => text.to_lowercase(),
        Case::Capitalised => text.to_owned(),
    }
}

fn name(names: &[&str], index: i32) -> String {
    usize::try_from(index).ok().and_then(|i| names.get(i)).map_or("", |n| *n).to_owned()
}

/// A number with leading zeroes, unless `FM` drops them.
fn padded(n: i64, width: usize, fill: bool) -> String {
    let width = if fill { 0 } else { width };
    if n < 0 { format!("-{:0width$}", n.unsigned_abs()) } else { format!("{n:0width$}") }
}

impl Moment {
    fn of(local: i64, zone: Option<(i32, String)>) -> Moment {
        let p = Parts::of(local);
        Moment {
            year: i64::from(p.year),
            month: p.month,
            day: p.day,
            hour: i64::from(p.hour),
            minute: i64::from(p.minute),
            second: i64::from(p.second),
            micros: i64::from(p.micros),
            parts: Some(p),
            zone,
        }
    }

    fn of_interval(i: &Interval) -> Moment {
        Moment {
            year: i64::from(i.months / 12),
            month: i.months % 12,
            day: i.days,
            hour: i.micros / HOUR,
            minute: i.micros / MINUTE % 60,
            second: i.micros / SECOND % 60,
            micros: i.micros % SECOND,
            parts: None,
            zone: None,
        }
    }

    /// The year as written: years BC are counted from 1.
    fn shown_year(&self) -> i64 {
        if self.parts.is_some() && self.year <= 0 { 1 - self.year } else { self.year }
    }

    fn calendar(&self) -> Result<&Parts> {
        self.parts.as_ref().ok_or_else(|| {
            PgError::new(
                SqlState::INVALID_DATETIME_FORMAT,
                "invalid format specification for an interval value",
            )
            .hint("Intervals are not tied to specific calendar dates.")
        })
    }

    fn write(&self, key: Key, fill: bool) -> Result<String> {
        let number = |n: i64, width| Ok(padded(n, width, fill));
        let word = |text: String, width: usize| {
            let text = cased(&text, key.case);
            Ok(if fill { text } else { format!("{text:<width$}") })
        };
        let twelve = |h: i64| if h % 12 == 0 { 12 } else { h % 12 };
        let fraction = |digits: u32| {
            let value = self.micros / 10i64.pow(6 - digits);
            Ok(format!("{value:0width$}", width = digits as usize))
        };
        let zone = self.zone.as_ref();
        match key.name {
            "A.M." | "P.M." => {
                Ok(cased(if self.hour % 24 >= 12 { "P.M." } else { "A.M." }, key.case))
            }
            "AM" | "PM" => Ok(cased(if self.hour % 24 >= 12 { "PM" } else { "AM" }, key.case)),
            "HH" | "HH12" => number(twelve(self.hour), 2),
            "HH24" => number(self.hour, 2),
            "MI" => number(self.minute, 2),
            "SS" => number(self.second, 2),
            "MS" => fraction(3),
            "US" => fraction(6),
            "FF1" => fraction(1),
            "FF2" => fraction(2),
            "FF3" => fraction(3),
            "FF4" => fraction(4),
            "FF5" => fraction(5),
            "FF6" => fraction(6),
            "SSSS" | "SSSSS" => Ok((self.hour * 3600 + self.minute * 60 + self.second).to_string()),
            "TZ" => {
                self.calendar()?;
                Ok(zone.map_or(String::new(), |(_, name)| match key.case {
                    Case::Lower => name.to_lowercase(),
                    _ => name.clone(),
                }))
            }
            "TZH" | "TZM" | "OF" => {
                self.calendar()?;
                let east = zone.map_or(0, |(east, _)| *east);
                let (sign, abs) = (if east < 0 { '-' } else { '+' }, east.unsigned_abs());
                Ok(match key.name {
                    "TZH" => format!("{sign}{:02}", abs / 3600),
                    "TZM" => format!("{:02}", abs / 60 % 60),
                    _ if abs / 60 % 60 != 0 => {
                        format!("{sign}{:02}:{:02}", abs / 3600, abs / 60 % 60)
                    }
                    _ => format!("{sign}{:02}", abs / 3600),
                })
            }
            "A.D." | "B.C." => {
                Ok(cased(if self.calendar()?.year <= 0 { "B.C." } else { "A.D." }, key.case))
            }
            "AD" | "BC" => {
                Ok(cased(if self.calendar()?.year <= 0 { "BC" } else { "AD" }, key.case))
            }
            "MONTH" => word(name(&MONTHS, self.calendar()?.month - 1), 9),
            "MON" => word(short(&name(&MONTHS, self.calendar()?.month - 1)), 3),
            "MM" => number(i64::from(self.month), 2),
            "DAY" => word(name(&DAYS, self.calendar()?.weekday()), 9),
            "DY" => word(short(&name(&DAYS, self.calendar()?.weekday())), 3),
            "DDD" => match &self.parts {
                Some(p) => number(i64::from(p.day_of_year()), 3),
                None => number(self.year * 360 + i64::from(self.month * 30 + self.day), 3),
            },
            "IDDD" => {
                let p = self.calendar()?;
                number(i64::from((p.iso_week().1 - 1) * 7 + iso_weekday(p.date)), 3)
            }
            // The sign of a negative day counts as one of its places.
            "DD" if fill => Ok(self.day.to_string()),
            "DD" => Ok(format!("{:02}", self.day)),
            "D" => Ok((self.calendar()?.weekday() + 1).to_string()),
            "ID" => Ok(iso_weekday(self.calendar()?.date).to_string()),
            "WW" => number(i64::from((self.calendar()?.day_of_year() - 1) / 7 + 1), 2),
            "IW" => number(i64::from(self.calendar()?.iso_week().1), 2),
            "W" => Ok(((self.calendar()?.day - 1) / 7 + 1).to_string()),
            "Q" => Ok(if self.month == 0 {
                String::new()
            } else {
                ((self.month - 1) / 3 + 1).to_string()
            }),
            "CC" => {
                let y = self.year;
                let century = match (self.parts.is_some(), y > 0) {
                    (false, _) => y / 100,
                    (true, true) => (y - 1) / 100 + 1,
                    (true, false) => y / 100 - 1,
                };
                number(century, 2)
            }
            "Y,YYY" => {
                let y = self.shown_year();
                Ok(format!("{},{:03}", y / 1000, y % 1000))
            }
            "YYYY" => number(self.shown_year(), 4),
            "YYY" => number(self.shown_year() % 1000, 3),
            "YY" => number(self.shown_year() % 100, 2),
            "Y" => number(self.shown_year() % 10, 1),
            "IYYY" | "IYY" | "IY" | "I" => {
                let iso = i64::from(self.calendar()?.iso_week().0);
                let y = if iso <= 0 { 1 - iso } else { iso };
                match key.name {
                    "IYYY" => number(y, 4),
                    "IYY" => number(y % 1000, 3),
                    "IY" => number(y % 100, 2),
                    _ => number(y % 10, 1),
                }
            }
            "RM" => {
                if self.month == 0 && self.year == 0 {
                    return Ok(String::new());
                }
                let index = if self.month == 0 { 11 } else { (self.month - 1).rem_euclid(12) };
                word(name(&ROMAN, index), 4)
            }
            "J" => {
                let p = self.calendar()?;
                Ok((i64::from(p.date) + i64::from(EPOCH_JULIAN)).to_string())
            }
            _ => Ok(String::new()),
        }
    }

    fn fill(&self, picture: &str) -> Result<Datum> {
        let mut out = String::with_capacity(picture.len() + 8);
        for item in parse(picture) {
            match item {
                Item::Literal(c) | Item::Separator(c) => out.push(c),
                Item::Key { key, fill, ordinal: th } => {
                    let text = self.write(key, fill)?;
                    let suffix = th.map_or("", |upper| ordinal(&text, upper));
                    out.push_str(&text);
                    out.push_str(suffix);
                }
            }
        }
        Ok(Datum::text(out))
    }
}

fn short(name: &str) -> String {
    name.chars().take(3).collect()
}

fn timestamp(local: i64, zone: Option<(i32, String)>, picture: &str) -> Result<Datum> {
    if picture.is_empty() || is_infinite(local) {
        return Ok(Datum::Null);
    }
    Moment::of(local, zone).fill(picture)
}

fn timestamptz(env: &dyn Env, t: i64, picture: &str) -> Result<Datum> {
    if is_infinite(t) {
        return Ok(Datum::Null);
    }
    let info = env.io().style.time_zone.at(t);
    timestamp(t + i64::from(info.east) * SECOND, Some((info.east, info.abbreviation)), picture)
}

fn interval(i: &Interval, picture: &str) -> Result<Datum> {
    if picture.is_empty() { Ok(Datum::Null) } else { Moment::of_interval(i).fill(picture) }
}

scalars! { pub(crate) WRITE, env;
    "timestamp_to_char" [Timestamp(t), Text(f)] => timestamp(*t, None, f);
    "timestamptz_to_char" [TimestampTz(t), Text(f)] => timestamptz(env, *t, f);
    "interval_to_char" [Iv(i), Text(f)] => interval(i, f);
}
