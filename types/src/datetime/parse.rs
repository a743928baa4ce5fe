//! Dates and times from text: PostgreSQL's `DecodeDateTime` and `DecodeTimeOnly`.

use super::abbreviations;
use super::fields::{Parts, mask, zone_offset};
use super::lex::{Field, FieldKind, Outcome, Refusal, fields, fraction, fraction_micros, integer};
use super::words::{Meridian, Special, Token, Unit, date_word};
use super::zone::Zone;
use super::{
    DATE_INFINITY, DATE_NEG_INFINITY, DAY, EPOCH_DAYS, EPOCH_JULIAN, EPOCH_SECONDS, SECOND,
    TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, make_date, make_timestamp, split, to_julian,
};
use crate::datum::TimeTz;
use crate::error::{PgError, Result, SqlState};
use crate::io::Io;

/// Reads a date.
pub fn date(text: &str, io: &Io<'_>) -> Result<i32> {
    let refuse = |r: Refusal| r.error(text, "date");
    let d = decode(text, io, false).map_err(refuse)?;
    match d.special {
        Some(Special::Epoch) => Ok(-EPOCH_DAYS),
        Some(Special::Late) => Ok(DATE_INFINITY),
        Some(Special::Early) => Ok(DATE_NEG_INFINITY),
        _ => d.date().ok_or_else(|| out_of_range("date", text)),
    }
}

/// Reads a time; a zone or date is read over.
pub fn time(text: &str, io: &Io<'_>) -> Result<i64> {
    let d = decode(text, io, true).map_err(|r| r.error(text, "time"))?;
    Ok(d.parts.time())
}

/// Reads a time with time zone; without one it is the session's, today.
pub fn timetz(text: &str, io: &Io<'_>) -> Result<TimeTz> {
    let d = decode(text, io, true).map_err(|r| r.error(text, "time with time zone"))?;
    Ok(TimeTz { micros: d.parts.time(), zone: d.west })
}

/// Reads a timestamp; a zone is read over.
pub fn timestamp(text: &str, io: &Io<'_>) -> Result<i64> {
    stamp(text, io, "timestamp", |_, local| Some(local))
}

/// Reads a timestamp with time zone; without one it is the session's.
pub fn timestamptz(text: &str, io: &Io<'_>) -> Result<i64> {
    stamp(text, io, "timestamp with time zone", |d, local| {
        let utc = local.checked_add(i64::from(d.west) * SECOND)?;
        super::in_range(utc).then_some(utc)
    })
}

fn stamp(
    text: &str,
    io: &Io<'_>,
    ty: &str,
    finish: impl Fn(&Decoder<'_>, i64) -> Option<i64>,
) -> Result<i64> {
    let d = decode(text, io, false).map_err(|r| r.error(text, ty))?;
    match d.special {
        Some(Special::Epoch) => Ok(-EPOCH_SECONDS * SECOND),
        Some(Special::Late) => Ok(TIMESTAMP_INFINITY),
        Some(Special::Early) => Ok(TIMESTAMP_NEG_INFINITY),
        _ => {
            let local = d.date().and_then(|date| make_timestamp(date, d.parts.time()));
            let value = local.and_then(|local| finish(&d, local));
            value.ok_or_else(|| out_of_range("timestamp", text))
        }
    }
}

fn out_of_range(what: &str, text: &str) -> PgError {
    PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range: \"{text}\""))
}

/// A zone that needs the date before it says its offset.
enum LateZone {
    Named(Zone),
    /// An abbreviation the zone knows the history of.
    Abbreviated(Zone, &'static str),
}

/// What is known while the fields are read, left to right.
struct Decoder<'a> {
    io: &'a Io<'a>,
    /// A time is wanted, and a date only tolerated.
    time_only: bool,
    parts: Parts,
    seen: u32,
    /// What the field before announced about the next one.
    prefix: Option<Unit>,
    text_month: bool,
    julian: bool,
    bc: bool,
    meridian: Option<Meridian>,
    special: Option<Special>,
    late_zone: Option<LateZone>,
    /// Seconds west of UTC.
    west: i32,
}

fn decode<'a>(text: &str, io: &'a Io<'a>, time_only: bool) -> Outcome<Decoder<'a>> {
    let all = fields(text)?;
    let mut d = Decoder {
        io,
        time_only,
        parts: Parts::default(),
        seen: 0,
        prefix: None,
        text_month: false,
        julian: false,
        bc: false,
        meridian: None,
        special: None,
        late_zone: None,
        west: 0,
    };
    for (i, field) in all.iter().enumerate() {
        let Some(set) = d.field(i, field, &all)? else { continue };
        if d.seen & set != 0 {
            return Err(Refusal::Format);
        }
        d.seen |= set;
    }
    d.parts.validate(d.seen, d.julian, d.bc)?;
    d.apply_meridian()?;
    if time_only {
        d.finish_time()?
    } else {
        d.finish_date()?
    }
    Ok(d)
}

impl Decoder<'_> {
    fn date(&self) -> Option<i32> {
        make_date(self.parts.year, self.parts.month, self.parts.day)
    }

    /// Reads one field; returns what it set, `None` for a field without meaning.
    fn field(&mut self, i: usize, field: &Field, all: &[Field]) -> Outcome<Option<u32>> {
        let text = field.text.as_str();
        Ok(Some(match field.kind {
            FieldKind::Date => self.date_field(i, text, all)?,
            FieldKind::Time => {
                if !self.time_only && self.prefix.take().is_some_and(|p| p != Unit::Time) {
                    return Err(Refusal::Format);
                }
                self.parts.clock(text)?;
                if !self.time_only && self.parts.time_overflows() {
                    return Err(Refusal::Overflow);
                }
                mask::TIME
            }
            FieldKind::Zone => {
                self.west = zone_offset(text)?;
                mask::ZONE
            }
            FieldKind::Number => match self.prefix.take() {
                Some(unit) => self.announced(unit, text)?,
                None => self.bare_number(i, text, all)?,
            },
            FieldKind::Word | FieldKind::Special => return self.word(i, text, all),
        }))
    }

    fn order(&self) -> crate::io::style::DateOrder {
        self.io.style.date_style.order
    }

    /// A field with separators: a date, a zone's name, or a time and offset without separators.
    fn date_field(&mut self, i: usize, text: &str, all: &[Field]) -> Outcome<u32> {
        if self.time_only {
            let last_is_date = all.last().is_some_and(|f| f.kind == FieldKind::Date);
            let then_time = all.get(1).is_some_and(|f| f.kind == FieldKind::Time);
            if i == 0 && all.len() >= 2 && (last_is_date || then_time) {
                return self.parts.date(text, self.seen, self.order());
            }
            return self.zone_or_time(text, mask::DATE);
        }
        if self.prefix == Some(Unit::Julian) {
            self.prefix = None;
            let (day, rest) = integer::<i32>(text)?;
            if day < 0 {
                return Err(Refusal::Overflow);
            }
            self.parts.set_julian(day);
            self.julian = true;
            self.west = zone_offset(rest)?;
            return Ok(mask::DATE | mask::TIME | mask::ZONE);
        }
        let have_day = self.seen & (mask::MONTH | mask::DAY) == mask::MONTH | mask::DAY;
        if self.prefix.is_some() || have_day {
            return self.zone_or_time(text, 0);
        }
        self.parts.date(text, self.seen, self.order())
    }

    fn zone_or_time(&mut self, text: &str, assumed: u32) -> Outcome<u32> {
        let prefix = self.prefix.take();
        if !text.starts_with(|c: char| c.is_ascii_digit()) && prefix.is_none() {
            let zone = Zone::named(text).ok_or_else(|| {
                Refusal::Other(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("time zone \"{text}\" not recognized"),
                ))
            })?;
            self.late_zone = Some(LateZone::Named(zone));
            return Ok(mask::ZONE);
        }
        if prefix.is_some_and(|p| p != Unit::Time) || self.seen & mask::TIME == mask::TIME {
            return Err(Refusal::Format);
        }
        let dash = text.find('-').ok_or(Refusal::Format)?;
        let (digits, offset) = text.split_at_checked(dash).ok_or(Refusal::Format)?;
        self.west = zone_offset(offset)?;
        let set = self.parts.run_together(digits, self.seen | assumed)?;
        Ok(set | mask::ZONE)
    }

    /// A number whose unit was named before it: `y 2001 m 2`, `J2451187`, `T040506`.
    fn announced(&mut self, unit: Unit, text: &str) -> Outcome<u32> {
        let (value, rest) = integer::<i32>(text)?;
        let fractional = rest.starts_with('.');
        if fractional && !matches!(unit, Unit::Julian | Unit::Time | Unit::Second) {
            return Err(Refusal::Format);
        }
        if !fractional && !rest.is_empty() {
            return Err(Refusal::Format);
        }
        self.special = None;
        Ok(match unit {
            Unit::Year => {
                self.parts.year = value;
                mask::YEAR
            }
            Unit::Month if self.seen & mask::MONTH != 0 && self.seen & mask::HOUR != 0 => {
                self.parts.minute = value;
                mask::MINUTE
            }
            Unit::Month => {
                self.parts.month = value;
                mask::MONTH
            }
            Unit::Day => {
                self.parts.day = value;
                mask::DAY
            }
            Unit::Hour => {
                self.parts.hour = value;
                mask::HOUR
            }
            Unit::Minute => {
                self.parts.minute = value;
                mask::MINUTE
            }
            Unit::Second => {
                self.parts.second = value;
                if fractional {
                    self.parts.micros = fraction_micros(rest)?;
                    return Ok(mask::ALL_SECONDS);
                }
                mask::SECOND
            }
            Unit::Julian => {
                if value < 0 {
                    return Err(Refusal::Overflow);
                }
                self.parts.set_julian(value);
                self.julian = true;
                if fractional {
                    let micros = fraction(rest)? * DAY as f64;
                    self.parts.set_time(micros.round_ties_even() as i64);
                    return Ok(mask::DATE | mask::TIME);
                }
                mask::DATE
            }
            Unit::Time => {
                let set = self.parts.run_together(text, self.seen | mask::DATE)?;
                if set != mask::TIME {
                    return Err(Refusal::Format);
                }
                set
            }
            _ => return Err(Refusal::Format),
        })
    }

    fn bare_number(&mut self, i: usize, text: &str, all: &[Field]) -> Outcome<u32> {
        let before_point = text.find('.');
        let order = self.order();
        if self.time_only {
            let seen = self.seen | mask::DATE;
            let last_is_date = all.last().is_some_and(|f| f.kind == FieldKind::Date);
            return match before_point {
                Some(_) if i == 0 && all.len() >= 2 && last_is_date => {
                    self.parts.date(text, self.seen, order)
                }
                Some(n) if n > 2 => self.parts.run_together(text, seen),
                Some(_) => Err(Refusal::Format),
                None if text.len() > 4 => self.parts.run_together(text, seen),
                None => self.parts.number(text, false, seen, order),
            };
        }
        let (no_date, no_time) = (self.seen & mask::DATE == 0, self.seen & mask::TIME == 0);
        match before_point {
            Some(_) if no_date => self.parts.date(text, self.seen, order),
            Some(n) if n > 2 => self.parts.run_together(text, self.seen),
            _ if text.len() >= 6 && (no_date || no_time) => {
                self.parts.run_together(text, self.seen)
            }
            _ => self.parts.number(text, self.text_month, self.seen, order),
        }
    }

    fn word(&mut self, i: usize, text: &str, all: &[Field]) -> Outcome<Option<u32>> {
        // Abbreviations of zones come before the other words.
        if let Some(abbreviation) = abbreviations::find(text) {
            return Ok(Some(self.abbreviation(abbreviation)));
        }
        let Some(token) = date_word(text) else {
            let zone = Zone::named(text).ok_or(Refusal::Format)?;
            self.late_zone = Some(LateZone::Named(zone));
            return Ok(Some(mask::ZONE));
        };
        Ok(Some(match token {
            Token::Ignore => return Ok(None),
            Token::Special(special) => self.special(special)?,
            Token::Month(month) => return self.month(month).map(Some),
            Token::DstModifier => {
                self.west -= 3600;
                mask::DST_MODIFIER | mask::DST_ZONE
            }
            Token::Meridian(meridian) => {
                self.meridian = Some(meridian);
                mask::MERIDIAN
            }
            Token::Era(bc) => {
                self.bc = bc;
                mask::ERA
            }
            Token::Weekday(_) if self.time_only => return Err(Refusal::Format),
            Token::Weekday(_) => mask::WEEKDAY,
            Token::Unit(unit) => {
                self.prefix = Some(unit);
                0
            }
            Token::IsoTime => {
                let next = all.get(i + 1).map(|f| f.kind);
                let timely =
                    matches!(next, Some(FieldKind::Number | FieldKind::Time | FieldKind::Date));
                let dated = self.time_only || self.seen & mask::DATE == mask::DATE;
                if !timely || !dated {
                    return Err(Refusal::Format);
                }
                self.prefix = Some(Unit::Time);
                0
            }
            Token::Ago => return Err(Refusal::Format),
        }))
    }

    fn month(&mut self, month: i32) -> Outcome<u32> {
        if self.time_only {
            return Err(Refusal::Format);
        }
        let seen_month = self.seen & mask::MONTH != 0 && self.seen & mask::DAY == 0;
        let mut set = mask::MONTH;
        if seen_month && !self.text_month && (1..=31).contains(&self.parts.month) {
            // The number before was the day.
            self.parts.day = self.parts.month;
            set = mask::DAY;
        }
        self.text_month = true;
        self.parts.month = month;
        Ok(set)
    }

    fn abbreviation(&mut self, a: abbreviations::Abbreviation) -> u32 {
        self.west = -a.east;
        if !a.zone.is_empty()
            && let Some(zone) = Zone::named(a.zone)
        {
            self.late_zone = Some(LateZone::Abbreviated(zone, a.name));
            return mask::ZONE;
        }
        if a.dst { mask::ZONE | mask::DST_ZONE } else { mask::ZONE }
    }

    fn special(&mut self, special: Special) -> Outcome<u32> {
        if self.time_only && !matches!(special, Special::Now | Special::Zulu) {
            return Err(Refusal::Format);
        }
        if !matches!(special, Special::Epoch | Special::Early | Special::Late) {
            self.special = None;
        }
        let now = self.io.names.now();
        let local = self.io.style.time_zone.to_local(now);
        let (today, micros) = split(local);
        let mut set_day = |shift: i32| self.parts.set_julian(today + EPOCH_JULIAN + shift);
        Ok(match special {
            Special::Now => {
                set_day(0);
                self.parts.set_time(micros);
                self.west = -self.io.style.time_zone.offset_at(now);
                if self.time_only { mask::TIME } else { mask::DATE | mask::TIME | mask::ZONE }
            }
            Special::Yesterday => {
                set_day(-1);
                self.julian = true;
                mask::DATE
            }
            Special::Today => {
                set_day(0);
                self.julian = true;
                mask::DATE
            }
            Special::Tomorrow => {
                set_day(1);
                self.julian = true;
                mask::DATE
            }
            Special::Zulu => {
                self.parts.set_time(0);
                self.west = 0;
                mask::TIME | mask::ZONE
            }
            Special::Epoch | Special::Early | Special::Late => {
                self.special = Some(special);
                mask::RESERVED
            }
        })
    }

    fn apply_meridian(&mut self) -> Outcome<()> {
        let Some(meridian) = self.meridian else { return Ok(()) };
        match (meridian, self.parts.hour) {
            (_, hour) if hour > 12 => return Err(Refusal::Overflow),
            (Meridian::Am, 12) => self.parts.hour = 0,
            (Meridian::Pm, hour) if hour != 12 => self.parts.hour += 12,
            _ => {}
        }
        Ok(())
    }

    /// The zone's offset at the date and time read, in seconds west.
    fn offset_in(&self, zone: &Zone, date: i32) -> i32 {
        let local = i64::from(date).saturating_mul(DAY).saturating_add(self.parts.time());
        -zone.offset_of_local(local)
    }

    fn finish_date(&mut self) -> Outcome<()> {
        if self.special.is_some() {
            return Ok(());
        }
        if self.seen & mask::DATE != mask::DATE {
            return Err(Refusal::Format);
        }
        // Dates out of range are refused by who makes the value.
        let julian = to_julian(self.parts.year, self.parts.month, self.parts.day);
        self.settle_zone(julian.saturating_sub(EPOCH_JULIAN))
    }

    fn settle_zone(&mut self, date: i32) -> Outcome<()> {
        let modifier = self.seen & mask::DST_MODIFIER != 0;
        let session = self.seen & mask::ZONE == 0;
        match self.late_zone.take() {
            Some(LateZone::Named(_)) if modifier => return Err(Refusal::Format),
            Some(LateZone::Named(zone)) => self.west = self.offset_in(&zone, date),
            Some(LateZone::Abbreviated(zone, name)) => {
                let local = i64::from(date).saturating_mul(DAY).saturating_add(self.parts.time());
                self.west = -zone.offset_of_abbreviation(name, local);
            }
            None if session && modifier => return Err(Refusal::Format),
            None if session => self.west = self.offset_in(&self.io.style.time_zone, date),
            None => {}
        }
        Ok(())
    }

    fn finish_time(&mut self) -> Outcome<()> {
        if self.parts.time_overflows() {
            return Err(Refusal::Overflow);
        }
        if self.seen & mask::TIME != mask::TIME {
            return Err(Refusal::Format);
        }
        let dated = self.seen & mask::DATE;
        if let Some(LateZone::Named(zone)) = &self.late_zone
            && dated != mask::DATE
        {
            // Without a date, only a zone that never changes has an offset.
            self.west = -zone.fixed_offset().ok_or(Refusal::Format)?;
            self.late_zone = None;
            return Ok(());
        }
        let date = if dated == mask::DATE {
            self.date().ok_or(Refusal::Overflow)?
        } else if dated == 0 {
            split(self.io.style.time_zone.to_local(self.io.names.now())).0
        } else {
            return Err(Refusal::Format);
        };
        self.settle_zone(date)
    }
}
