//! Time zones: the session's zone and zones in input.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::{DAY, EPOCH_SECONDS, MAX_ZONE, SECOND};
use crate::error::{PgError, Result, SqlState};

/// A time zone with the name it was asked for by.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    zone: TimeZone,
    /// Shown for zones that are an offset and nothing more.
    abbreviation: Option<String>,
}

/// What a zone says about one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneInfo {
    /// Seconds east of UTC.
    pub east: i32,
    /// Whether daylight saving time is in force.
    pub dst: bool,
    /// `CET`, or an offset in text for zones without such a name.
    pub abbreviation: String,
}

/// Microseconds of 400 Gregorian years, after which the calendar repeats.
const CYCLE: i64 = 146_097 * DAY;
/// 9000-01-01 in microseconds since 2000: later moments are taken some cycles earlier.
const FAR: i64 = 7000 * 365 * DAY;

impl Zone {
    /// UTC, the way PostgreSQL's default has it.
    pub fn utc() -> Zone {
        Zone { name: "UTC".to_owned(), zone: TimeZone::UTC, abbreviation: Some("UTC".to_owned()) }
    }

    /// A zone by any name PostgreSQL takes in `SET timezone`: of the tz database (in any case),
    /// a POSIX specification such as `UTC+3` or `EST5EDT`, or `None` for names that are none.
    pub fn named(name: &str) -> Option<Zone> {
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") {
            let upper = name.to_ascii_uppercase();
            return Some(Zone {
                name: upper.clone(),
                zone: TimeZone::UTC,
                abbreviation: Some(upper),
            });
        }
        if name.starts_with(|c: char| c.is_ascii_alphabetic())
            && let Ok(zone) = TimeZone::get(name)
        {
            let name = zone.iana_name().unwrap_or(name).to_owned();
            return Some(Zone { name, zone, abbreviation: None });
        }
        Zone::posix(name)
    }

    /// All zones of the tz database, by name.
    pub fn all() -> impl Iterator<Item = Zone> {
        jiff::tz::db().available().filter_map(|name| Zone::named(name.as_str()))
    }

    /// `SET timezone`: as [`Zone::named`], or a number of hours east of UTC.
    pub fn setting(value: &str) -> Result<Zone> {
        let trimmed = value.trim();
        if let Ok(hours) = trimmed.parse::<f64>()
            && hours.is_finite()
            && hours.abs() < f64::from(MAX_ZONE) / 3600.0
        {
            return Ok(Zone::fixed((hours * 3600.0) as i32));
        }
        Zone::named(trimmed).ok_or_else(|| {
            PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid value for parameter \"TimeZone\": \"{value}\""),
            )
        })
    }

    /// A zone that is an offset, in seconds east; named as PostgreSQL names those: `<+03>-03`.
    pub fn fixed(east: i32) -> Zone {
        let text = |seconds: i32| {
            let (sign, n) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
            let mut text = format!("{sign}{:02}", n / 3600);
            if n % 3600 != 0 {
                text.push_str(&format!(":{:02}", n / 60 % 60));
            }
            if n % 60 != 0 {
                text.push_str(&format!(":{:02}", n % 60));
            }
            text
        };
        let name = format!("<{}>{}", text(east), text(-east));
        let offset = Offset::from_seconds(east).unwrap_or(Offset::UTC);
        Zone { name, zone: TimeZone::fixed(offset), abbreviation: Some(text(east)) }
    }

    /// A POSIX specification: a name, an offset **west**, and perhaps a summer time.
    fn posix(name: &str) -> Option<Zone> {
        let (abbreviation, rest) = match name.strip_prefix('<') {
            Some(inner) => inner.split_once('>')?,
            None => {
                let letters = name.bytes().take_while(u8::is_ascii_alphabetic).count();
                name.split_at_checked(letters)?
            }
        };
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || b"+-:".contains(b)).count();
        let (offset, summer) = rest.split_at_checked(digits)?;
        if !summer.is_empty() {
            let zone = TimeZone::posix(&with_rule(name, summer)).ok()?;
            return Some(Zone { name: name.to_owned(), zone, abbreviation: None });
        }
        let west = posix_offset(offset)?;
        let zone = TimeZone::fixed(Offset::from_seconds(-west).ok()?);
        Some(Zone { name: name.to_owned(), zone, abbreviation: Some(abbreviation.to_owned()) })
    }

    /// The name `SHOW timezone` gives.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the zone says about a moment in microseconds since 2000-01-01 UTC.
    pub fn at(&self, t: i64) -> ZoneInfo {
        let offset_only = self.zone.to_fixed_offset();
        if let (Ok(offset), Some(abbreviation)) = (offset_only, &self.abbreviation) {
            return ZoneInfo {
                east: offset.seconds(),
                dst: false,
                abbreviation: abbreviation.clone(),
            };
        }
        let info = self.zone.to_offset_info(moment(near(t)));
        ZoneInfo {
            east: info.offset().seconds(),
            dst: info.dst().is_dst(),
            abbreviation: info.abbreviation().to_owned(),
        }
    }

    /// Seconds east of UTC, for a zone in which that never changes.
    pub fn fixed_offset(&self) -> Option<i32> {
        self.zone.to_fixed_offset().ok().map(|offset| offset.seconds())
    }

    /// Seconds east of UTC at a moment in microseconds since 2000-01-01 UTC.
    pub fn offset_at(&self, t: i64) -> i32 {
        self.zone.to_offset(moment(near(t))).seconds()
    }

    /// Seconds east of UTC at a local time, in microseconds since 2000-01-01 local.
    ///
    /// A time skipped by the clocks is read with the offset before; one that comes twice with the
    /// offset after, as PostgreSQL does.
    pub fn offset_of_local(&self, local: i64) -> i32 {
        let civil = civil_of(near(local));
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
            AmbiguousOffset::Gap { before, .. } => before.seconds(),
            AmbiguousOffset::Fold { after, .. } => after.seconds(),
        }
    }

    /// Seconds east of UTC that an abbreviation of the zone means at a local time: as it was last
    /// used before, or first after; the zone's own offset if it never was.
    pub fn offset_of_abbreviation(&self, name: &str, local: i64) -> i32 {
        let own = self.offset_of_local(local);
        let t = moment(near(local.saturating_sub(i64::from(own) * SECOND)));
        let now = self.zone.to_offset_info(t);
        if now.abbreviation().eq_ignore_ascii_case(name) {
            return now.offset().seconds();
        }
        let mut before = self.zone.preceding(t);
        if let Some(used) = before.find(|c| c.abbreviation().eq_ignore_ascii_case(name)) {
            return used.offset().seconds();
        }
        // Rules without end have no new abbreviations after a few years.
        let mut after = self.zone.following(t).take(400);
        let used = after.find(|c| c.abbreviation().eq_ignore_ascii_case(name));
        used.map_or(own, |c| c.offset().seconds())
    }

    /// From UTC to the zone's local time, both in microseconds since 2000-01-01.
    pub fn to_local(&self, t: i64) -> i64 {
        t.saturating_add(i64::from(self.offset_at(t)) * SECOND)
    }

    /// From the zone's local time to UTC, both in microseconds since 2000-01-01.
    pub fn to_utc(&self, local: i64) -> i64 {
        local.saturating_sub(i64::from(self.offset_of_local(local)) * SECOND)
    }
}

/// The United States' rules, PostgreSQL's default for specifications that give none.
fn with_rule(spec: &str, summer: &str) -> String {
    if summer.contains(',') { spec.to_owned() } else { format!("{spec},M3.2.0,M11.1.0") }
}

/// `3`, `-3:30`, `+05:30:15` in seconds; an empty text is 0.
fn posix_offset(text: &str) -> Option<i32> {
    if text.is_empty() {
        return None;
    }
    let (sign, body) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut seconds = 0;
    let mut unit = 3600;
    for part in body.split(':') {
        if unit == 0 {
            return None;
        }
        seconds += part.parse::<i32>().ok().filter(|n| (0..=167).contains(n))? * unit;
        unit /= 60;
    }
    Some(sign * seconds)
}

/// The same moment of a year the tz library reaches.
fn near(t: i64) -> i64 {
    if t < FAR { t } else { t - ((t - FAR) / CYCLE + 1) * CYCLE }
}

fn moment(t: i64) -> Timestamp {
    let unix = t.saturating_add(EPOCH_SECONDS * SECOND);
    Timestamp::from_microsecond(unix).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn civil_of(local: i64) -> DateTime {
    Offset::UTC.to_datetime(moment(local))
}
