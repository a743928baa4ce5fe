//! What single fields of date and time input mean: PostgreSQL's `DecodeDate`, `DecodeNumber`,
//! `DecodeTime`, `DecodeTimezone` and `ValidateDate`.

use super::lex::{Outcome, Refusal, fraction_micros, integer};
use super::words::{Token, date_word};
use super::{days_in_month, from_julian, to_julian};
use crate::io::style::DateOrder;

/// Which parts have been seen.
pub(super) mod mask {
    /// `epoch`, `infinity`: excludes nothing but another of its like, as in PostgreSQL.
    pub(in crate::datetime) const RESERVED: u32 = 1;
    pub(in crate::datetime) const MONTH: u32 = 1 << 1;
    pub(in crate::datetime) const YEAR: u32 = 1 << 2;
    pub(in crate::datetime) const DAY: u32 = 1 << 3;
    pub(in crate::datetime) const ZONE: u32 = 1 << 5;
    pub(in crate::datetime) const DST_ZONE: u32 = 1 << 6;
    pub(in crate::datetime) const MERIDIAN: u32 = 1 << 9;
    pub(in crate::datetime) const HOUR: u32 = 1 << 10;
    pub(in crate::datetime) const MINUTE: u32 = 1 << 11;
    pub(in crate::datetime) const SECOND: u32 = 1 << 12;
    pub(in crate::datetime) const MILLISECOND: u32 = 1 << 13;
    pub(in crate::datetime) const MICROSECOND: u32 = 1 << 14;
    pub(in crate::datetime) const DAY_OF_YEAR: u32 = 1 << 15;
    pub(in crate::datetime) const WEEKDAY: u32 = 1 << 16;
    pub(in crate::datetime) const ERA: u32 = 1 << 18;
    pub(in crate::datetime) const WEEK: u32 = 1 << 24;
    pub(in crate::datetime) const DECADE: u32 = 1 << 25;
    pub(in crate::datetime) const CENTURY: u32 = 1 << 26;
    pub(in crate::datetime) const MILLENNIUM: u32 = 1 << 27;
    pub(in crate::datetime) const DST_MODIFIER: u32 = 1 << 28;
    pub(in crate::datetime) const DATE: u32 = YEAR | MONTH | DAY;
    pub(in crate::datetime) const ALL_SECONDS: u32 = SECOND | MILLISECOND | MICROSECOND;
    pub(in crate::datetime) const TIME: u32 = HOUR | MINUTE | ALL_SECONDS;
}

/// The value as far as it is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    pub(super) year: i32,
    pub(super) month: i32,
    pub(super) day: i32,
    pub(super) day_of_year: i32,
    pub(super) hour: i32,
    pub(super) minute: i32,
    pub(super) second: i32,
    pub(super) micros: i64,
    /// The year was written with one or two digits.
    pub(super) short_year: bool,
}

impl Parts {
    /// Microseconds since midnight.
    pub(super) fn time(&self) -> i64 {
        let seconds = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60;
        (seconds + i64::from(self.second)) * super::SECOND + self.micros
    }

    /// Past 24:00:00, or with a part out of its range.
    pub(super) fn time_overflows(&self) -> bool {
        let bad = !(0..=24).contains(&self.hour)
            || !(0..60).contains(&self.minute)
            || !(0..=60).contains(&self.second)
            || !(0..=super::SECOND).contains(&self.micros);
        bad || self.time() > super::DAY
    }

    pub(super) fn set_time(&mut self, micros: i64) {
        let part = |n: i64| i32::try_from(n).unwrap_or(0);
        self.hour = part(micros / super::HOUR);
        self.minute = part(micros / super::MINUTE % 60);
        self.second = part(micros / super::SECOND % 60);
        self.micros = micros % super::SECOND;
    }

    pub(super) fn set_julian(&mut self, julian: i32) {
        (self.year, self.month, self.day) = from_julian(julian);
    }

    /// A field of letters and digits that make a date: `1999-Jan-08`, `1/8/99`. Returns what it set.
    pub(super) fn date(&mut self, text: &str, seen: u32, order: DateOrder) -> Outcome<u32> {
        let mut pieces: Vec<&str> = pieces(text)?;
        let (mut set, mut seen, mut text_month) = (0, seen, false);
        for piece in &pieces {
            if !piece.starts_with(|c: char| c.is_ascii_alphabetic()) {
                continue;
            }
            match date_word(piece) {
                Some(Token::Ignore) => {}
                Some(Token::Month(month)) if seen & mask::MONTH == 0 => {
                    self.month = month;
                    text_month = true;
                    seen |= mask::MONTH;
                    set |= mask::MONTH;
                }
                _ => return Err(Refusal::Format),
            }
        }
        pieces.retain(|p| !p.starts_with(|c: char| c.is_ascii_alphabetic()));
        for piece in pieces {
            let new = self.number(piece, text_month, seen, order)?;
            if seen & new != 0 {
                return Err(Refusal::Format);
            }
            seen |= new;
            set |= new;
        }
        if seen & !(mask::DAY_OF_YEAR | mask::ZONE) != mask::DATE {
            return Err(Refusal::Format);
        }
        Ok(set)
    }

    /// A number whose meaning depends on what was seen before. Returns what it set.
    pub(super) fn number(
        &mut self,
        text: &str,
        text_month: bool,
        seen: u32,
        order: DateOrder,
    ) -> Outcome<u32> {
        let (value, rest) = integer::<i32>(text)?;
        if rest.len() == text.len() {
            return Err(Refusal::Format);
        }
        if rest.starts_with('.') {
            if text.len() - rest.len() > 2 {
                return self.run_together(text, seen | mask::DATE);
            }
            self.micros = fraction_micros(rest)?;
        } else if !rest.is_empty() {
            return Err(Refusal::Format);
        }
        let long = text.len() >= 3;
        let date = seen & mask::DATE;
        if text.len() == 3 && date == mask::YEAR && (1..=366).contains(&value) {
            self.day_of_year = value;
            return Ok(mask::DAY_OF_YEAR | mask::MONTH | mask::DAY);
        }
        const YEAR_MONTH: u32 = mask::YEAR | mask::MONTH;
        const MONTH_DAY: u32 = mask::MONTH | mask::DAY;
        let set = match date {
            0 if long || order == DateOrder::Ymd => mask::YEAR,
            0 if order == DateOrder::Dmy => mask::DAY,
            0 => mask::MONTH,
            mask::YEAR | mask::DAY => mask::MONTH,
            mask::MONTH if text_month && (long || order == DateOrder::Ymd) => mask::YEAR,
            mask::MONTH => mask::DAY,
            YEAR_MONTH if text_month && long && self.short_year => {
                // What looked like a year was the day: 08-Jan-1999 with DateStyle YMD.
                self.day = self.year;
                self.year = value;
                self.short_year = false;
                return Ok(mask::DAY);
            }
            YEAR_MONTH => mask::DAY,
            MONTH_DAY => mask::YEAR,
            mask::DATE => return self.run_together(text, seen),
            _ => return Err(Refusal::Format),
        };
        match set {
            mask::YEAR => {
                self.year = value;
                self.short_year = text.len() <= 2;
            }
            mask::MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(set)
    }

    /// Digits without separators: `20011225`, `040506.789`. Returns what it set.
    pub(super) fn run_together(&mut self, text: &str, seen: u32) -> Outcome<u32> {
        let digits = match text.split_once('.') {
            Some((digits, fraction)) => {
                let lead = fraction.bytes().take_while(u8::is_ascii_digit).count();
                let fraction = fraction.get(..lead).unwrap_or("");
                self.micros = fraction_micros(&format!(".{fraction}"))?;
                digits
            }
            None => {
                if seen & mask::DATE != mask::DATE && text.len() >= 6 {
                    let (rest, day) = tail(text);
                    let (year, month) = tail(rest);
                    self.day = small(day);
                    self.month = small(month);
                    self.year = small(year);
                    if year.len() == 2 {
                        self.short_year = true;
                    }
                    return Ok(mask::DATE);
                }
                text
            }
        };
        if seen & mask::TIME == mask::TIME || !matches!(digits.len(), 4 | 6) {
            return Err(Refusal::Format);
        }
        let (rest, last) = tail(digits);
        if digits.len() == 6 {
            let (hour, minute) = tail(rest);
            (self.hour, self.minute, self.second) = (small(hour), small(minute), small(last));
        } else {
            (self.hour, self.minute, self.second) = (small(rest), small(last), 0);
        }
        Ok(mask::TIME)
    }

    /// `12:34`, `12:34:56.789`, `34:56.789`
    pub(super) fn clock(&mut self, text: &str) -> Outcome<()> {
        let clock = clock(text, false)?;
        let part = |n: i64| i32::try_from(n).map_err(|_| Refusal::Overflow);
        self.hour = part(clock.hour)?;
        self.minute = part(clock.minute)?;
        self.second = part(clock.second)?;
        self.micros = clock.micros;
        Ok(())
    }

    /// Settles the year and checks month and day.
    pub(super) fn validate(&mut self, seen: u32, julian: bool, bc: bool) -> Outcome<()> {
        if seen & mask::YEAR != 0 && !julian {
            if bc {
                if self.year <= 0 {
                    return Err(Refusal::Overflow);
                }
                self.year = 1 - self.year;
            } else if self.short_year {
                match self.year {
                    0..70 => self.year += 2000,
                    70..100 => self.year += 1900,
                    n if n < 0 => return Err(Refusal::Overflow),
                    _ => {}
                }
            } else if self.year <= 0 {
                return Err(Refusal::Overflow);
            }
        }
        if seen & mask::DAY_OF_YEAR != 0 {
            let first = to_julian(self.year, 1, 1);
            self.set_julian(first.saturating_add(self.day_of_year - 1));
        }
        if seen & mask::MONTH != 0 && !(1..=12).contains(&self.month) {
            return Err(Refusal::MonthDayOverflow);
        }
        if seen & mask::DAY != 0 && !(1..=31).contains(&self.day) {
            return Err(Refusal::MonthDayOverflow);
        }
        if seen & mask::DATE == mask::DATE && self.day > days_in_month(self.year, self.month) {
            return Err(Refusal::Overflow);
        }
        Ok(())
    }
}

/// The last two characters and what is before.
fn tail(text: &str) -> (&str, &str) {
    text.split_at_checked(text.len().saturating_sub(2)).unwrap_or((text, ""))
}

/// `atoi`
fn small(text: &str) -> i32 {
    text.parse().unwrap_or(i32::MAX)
}

fn pieces(text: &str) -> Outcome<Vec<&str>> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        if rest.is_empty() {
            return Err(Refusal::Format);
        }
        let digits = rest.starts_with(|c: char| c.is_ascii_digit());
        let same = |b: &u8| if digits { b.is_ascii_digit() } else { b.is_ascii_alphabetic() };
        let length = rest.bytes().take_while(same).count();
        let (piece, after) = rest.split_at_checked(length).ok_or(Refusal::Format)?;
        out.push(piece);
        // Whatever follows counts as a separator.
        rest = after.get(1..).unwrap_or("");
    }
    Ok(out)
}

/// A clock time's parts; in intervals the hours may be many.
pub(super) struct Clock {
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) micros: i64,
}

impl Clock {
    /// All of it in microseconds.
    pub(super) fn micros(&self) -> Outcome<i64> {
        let rest = self.minute * super::MINUTE + self.second * super::SECOND + self.micros;
        let hours = self.hour.checked_mul(super::HOUR);
        hours.and_then(|h| h.checked_add(rest)).ok_or(Refusal::Overflow)
    }
}

/// Reads `hh:mm`, `hh:mm:ss`, `hh:mm:ss.s` and `mm:ss.s`; with `minute_second`, `mm:ss` too.
pub(super) fn clock(text: &str, minute_second: bool) -> Outcome<Clock> {
    let (hour, rest) = integer::<i64>(text)?;
    let rest = rest.strip_prefix(':').ok_or(Refusal::Format)?;
    let (minute, rest) = integer::<i32>(rest)?;
    let minute = i64::from(minute);
    let mut c = Clock { hour, minute, second: 0, micros: 0 };
    let shift = |c: &mut Clock| (c.hour, c.minute, c.second) = (0, c.hour, c.minute);
    if rest.is_empty() {
        if minute_second {
            shift(&mut c);
        }
    } else if rest.starts_with('.') {
        c.micros = fraction_micros(rest)?;
        shift(&mut c);
    } else {
        let rest = rest.strip_prefix(':').ok_or(Refusal::Format)?;
        let (second, rest) = integer::<i32>(rest)?;
        c.second = i64::from(second);
        if rest.starts_with('.') {
            c.micros = fraction_micros(rest)?;
        } else if !rest.is_empty() {
            return Err(Refusal::Format);
        }
    }
    let bad = c.hour < 0
        || !(0..60).contains(&c.minute)
        || !(0..=60).contains(&c.second)
        || !(0..=super::SECOND).contains(&c.micros);
    if bad { Err(Refusal::Overflow) } else { Ok(c) }
}

/// Reads `+hh`, `-hhmm`, `+hh:mm:ss` as seconds **west**.
pub(super) fn zone_offset(text: &str) -> Outcome<i32> {
    let negative = match text.as_bytes().first() {
        Some(b'+') => false,
        Some(b'-') => true,
        _ => return Err(Refusal::Format),
    };
    let zone = |e: Refusal| if matches!(e, Refusal::Overflow) { Refusal::ZoneOverflow } else { e };
    let part = |text: &'_ str| -> Outcome<(i32, usize)> {
        let (n, rest) = integer::<i32>(text).map_err(zone)?;
        Ok((n, text.len() - rest.len()))
    };
    let digits = text.get(1..).unwrap_or("");
    let (mut hour, used) = part(digits)?;
    let mut rest = digits.get(used..).unwrap_or("");
    let (mut minute, mut second) = (0, 0);
    if let Some(after) = rest.strip_prefix(':') {
        let (n, used) = part(after)?;
        minute = n;
        rest = after.get(used..).unwrap_or("");
        if let Some(after) = rest.strip_prefix(':') {
            let (n, used) = part(after)?;
            second = n;
            rest = after.get(used..).unwrap_or("");
        }
    } else if rest.is_empty() && text.len() > 3 {
        minute = hour % 100;
        hour /= 100;
    }
    let range = |n: i32, limit: i32| (0..limit).contains(&n);
    if !range(hour, 16) || !range(minute, 60) || !range(second, 60) {
        return Err(Refusal::ZoneOverflow);
    }
    if !rest.is_empty() {
        return Err(Refusal::Format);
    }
    let east = (hour * 60 + minute) * 60 + second;
    Ok(if negative { east } else { -east })
}
