//! Intervals from text: PostgreSQL's `DecodeInterval`.

use super::fields::{Clock, clock, mask};
use super::lex::{Field, FieldKind, Outcome, Refusal, fields, fraction, integer};
use super::words::{Token, Unit, interval_word};
use super::{DAY, HOUR, MINUTE, SECOND, iso8601};
use crate::error::{PgError, Result, SqlState};
use crate::interval::Interval;
use crate::io::style::IntervalStyle;

/// Fields of a modifier such as `day to minute`.
mod range {
    pub(super) const MONTH: i32 = 1 << 1;
    pub(super) const YEAR: i32 = 1 << 2;
    pub(super) const DAY: i32 = 1 << 3;
    pub(super) const HOUR: i32 = 1 << 10;
    pub(super) const MINUTE: i32 = 1 << 11;
    pub(super) const SECOND: i32 = 1 << 12;
    pub(super) const FULL: i32 = 0x7fff;
}

/// No precision in a modifier.
const FULL_PRECISION: i32 = 0xffff;

/// Reads an interval. The modifier's fields say what a number without unit counts.
pub fn parse(text: &str, typmod: i32, style: IntervalStyle) -> Result<Interval> {
    let range = if typmod < 0 { range::FULL } else { typmod >> 16 & range::FULL };
    let read = || match fields(text).and_then(|all| decode(&all, range, style)) {
        Err(Refusal::Format) => iso8601::decode(text),
        other => other,
    };
    let sum = read().map_err(|refusal| {
        let refusal =
            if matches!(refusal, Refusal::Overflow) { Refusal::IntervalOverflow } else { refusal };
        refusal.error(text, "interval")
    })?;
    let months = sum.years.checked_mul(12).and_then(|m| m.checked_add(sum.months));
    let months = months.and_then(|m| i32::try_from(m).ok());
    months
        .map(|months| Interval { months, days: sum.days, micros: sum.micros })
        .ok_or_else(|| super::out_of_range("interval"))
}

/// An interval being added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub(super) years: i64,
    pub(super) months: i64,
    pub(super) days: i32,
    pub(super) micros: i64,
}

impl Sum {
    /// `value` and a fraction of units of `scale` microseconds.
    pub(super) fn add_micros(&mut self, value: i64, fraction: f64, scale: i64) -> Outcome<()> {
        let whole = value.checked_mul(scale).and_then(|v| self.micros.checked_add(v));
        self.micros = whole.ok_or(Refusal::Overflow)?;
        self.add_fraction_micros(fraction, scale)
    }

    pub(super) fn add_fraction_micros(&mut self, fraction: f64, scale: i64) -> Outcome<()> {
        let exact = fraction * scale as f64;
        let mut micros = exact as i64;
        let rest = exact - micros as f64;
        if rest > 0.5 {
            micros += 1;
        } else if rest < -0.5 {
            micros -= 1;
        }
        self.micros = self.micros.checked_add(micros).ok_or(Refusal::Overflow)?;
        Ok(())
    }

    pub(super) fn add_days(&mut self, value: i64, scale: i32) -> Outcome<()> {
        let days = i32::try_from(value).ok().and_then(|v| v.checked_mul(scale));
        let days = days.and_then(|v| self.days.checked_add(v));
        self.days = days.ok_or(Refusal::Overflow)?;
        Ok(())
    }

    /// A fraction of units of `scale` days; what is less than a day becomes time.
    pub(super) fn add_fraction_days(&mut self, fraction: f64, scale: i32) -> Outcome<()> {
        let exact = fraction * f64::from(scale);
        let whole = exact as i32;
        self.days = self.days.checked_add(whole).ok_or(Refusal::Overflow)?;
        self.add_fraction_micros(exact - f64::from(whole), DAY)
    }

    pub(super) fn add_months(&mut self, value: i64) -> Outcome<()> {
        let months = i32::try_from(value).ok().and_then(|v| self.months.checked_add(v.into()));
        self.months = months.filter(|m| i32::try_from(*m).is_ok()).ok_or(Refusal::Overflow)?;
        Ok(())
    }

    /// `value` and a fraction of units of `scale` years; the fraction is rounded to months.
    pub(super) fn add_years(&mut self, value: i64, fraction: f64, scale: i32) -> Outcome<()> {
        let years = i32::try_from(value).ok().and_then(|v| v.checked_mul(scale));
        let years = years.and_then(|v| self.years.checked_add(v.into()));
        self.years = years.filter(|y| i32::try_from(*y).is_ok()).ok_or(Refusal::Overflow)?;
        let months = (fraction * f64::from(scale) * 12.0).round_ties_even() as i64;
        self.add_months(months)
    }

    fn negate(&mut self) -> Outcome<()> {
        self.years = -self.years;
        self.months = -self.months;
        self.days = self.days.checked_neg().ok_or(Refusal::Overflow)?;
        self.micros = self.micros.checked_neg().ok_or(Refusal::Overflow)?;
        Ok(())
    }
}

/// What a number without a unit counts, by the modifier.
fn default_unit(range: i32) -> Unit {
    use range::{DAY, HOUR, MINUTE, MONTH, YEAR};
    match range {
        YEAR => Unit::Year,
        MONTH => Unit::Month,
        r if r == YEAR | MONTH => Unit::Month,
        DAY => Unit::Day,
        HOUR => Unit::Hour,
        r if r == DAY | HOUR => Unit::Hour,
        MINUTE => Unit::Minute,
        r if r == HOUR | MINUTE || r == DAY | HOUR | MINUTE => Unit::Minute,
        _ => Unit::Second,
    }
}

/// Right to left: a unit stands behind its number.
fn decode(all: &[Field], range: i32, style: IntervalStyle) -> Outcome<Sum> {
    let signed = |f: &Field| f.text.starts_with(['-', '+']);
    // SQL's form has one sign for all fields.
    let all_negative = style == IntervalStyle::SqlStandard
        && all.first().is_some_and(|f| f.text.starts_with('-'))
        && !all.iter().skip(1).any(signed);
    let mut sum = Sum::default();
    let (mut seen, mut ago) = (0, false);
    let mut unit = None;
    for field in all.iter().rev() {
        let set = match field.kind {
            FieldKind::Time => {
                add_clock(&mut sum, &field.text, range, false, all_negative)?;
                unit = Some(Unit::Day);
                mask::TIME
            }
            FieldKind::Zone if is_signed_clock(&field.text, range) => {
                let negative = field.text.starts_with('-');
                let clock = field.text.get(1..).unwrap_or("");
                add_clock(&mut sum, clock, range, negative, all_negative)?;
                unit = Some(Unit::Day);
                mask::TIME
            }
            FieldKind::Zone | FieldKind::Date | FieldKind::Number => {
                let counted = unit.unwrap_or_else(|| default_unit(range));
                let (set, next) = add_number(&mut sum, &field.text, counted, all_negative)?;
                unit = Some(next);
                set
            }
            FieldKind::Word | FieldKind::Special => match interval_word(&field.text) {
                Some(Token::Unit(named)) => {
                    unit = Some(named);
                    0
                }
                Some(Token::Ago) => {
                    ago = true;
                    unit = Some(Unit::Second);
                    0
                }
                _ => return Err(Refusal::Format),
            },
        };
        if seen & set != 0 {
            return Err(Refusal::Format);
        }
        seen |= set;
    }
    if seen == 0 {
        return Err(Refusal::Format);
    }
    if ago {
        sum.negate()?;
    }
    Ok(sum)
}

fn is_signed_clock(text: &str, range: i32) -> bool {
    let body = text.get(1..).unwrap_or("");
    let fits = |c: Clock| c.micros().is_ok();
    body.contains(':') && clock(body, range == range::MINUTE | range::SECOND).is_ok_and(fits)
}

fn add_clock(
    sum: &mut Sum,
    text: &str,
    range: i32,
    negative: bool,
    all_negative: bool,
) -> Outcome<()> {
    let mut micros = clock(text, range == range::MINUTE | range::SECOND)?.micros()?;
    if negative {
        micros = -micros;
    }
    if all_negative && micros > 0 {
        micros = -micros;
    }
    sum.micros = sum.micros.checked_add(micros).ok_or(Refusal::Overflow)?;
    Ok(())
}

/// Adds a number of units, or `years-months`. Returns what it set and the unit for what stands
/// before it.
fn add_number(sum: &mut Sum, text: &str, unit: Unit, all_negative: bool) -> Outcome<(u32, Unit)> {
    let (mut value, rest) = integer::<i64>(text)?;
    let negative = text.starts_with('-');
    let (mut part, mut unit) = (0.0, unit);
    if let Some(months) = rest.strip_prefix('-') {
        let (months, rest) = integer::<i64>(months)?;
        if !(0..12).contains(&months) {
            return Err(Refusal::Overflow);
        }
        if !rest.is_empty() {
            return Err(Refusal::Format);
        }
        unit = Unit::Month;
        let months = if negative { -months } else { months };
        value =
            value.checked_mul(12).and_then(|v| v.checked_add(months)).ok_or(Refusal::Overflow)?;
    } else if rest.starts_with('.') {
        part = fraction(rest)?;
        if negative {
            part = -part;
        }
    } else if !rest.is_empty() {
        return Err(Refusal::Format);
    }
    if all_negative {
        value = value.checked_abs().ok_or(Refusal::Overflow)?.wrapping_neg();
        part = -part.abs();
    }
    let set = add_units(sum, value, part, unit)?;
    // Before hours stand days: `1 02:00` and `1 2 hours`.
    Ok((set, if unit == Unit::Hour { Unit::Day } else { unit }))
}

fn add_units(sum: &mut Sum, value: i64, part: f64, unit: Unit) -> Outcome<u32> {
    Ok(match unit {
        Unit::Microsecond => {
            sum.add_micros(value, part, 1)?;
            mask::MICROSECOND
        }
        Unit::Millisecond => {
            sum.add_micros(value, part, 1000)?;
            mask::MILLISECOND
        }
        Unit::Second => {
            sum.add_micros(value, part, SECOND)?;
            if part == 0.0 { mask::SECOND } else { mask::ALL_SECONDS }
        }
        Unit::Minute => {
            sum.add_micros(value, part, MINUTE)?;
            mask::MINUTE
        }
        Unit::Hour => {
            sum.add_micros(value, part, HOUR)?;
            mask::HOUR
        }
        Unit::Day => {
            sum.add_days(value, 1)?;
            sum.add_fraction_micros(part, DAY)?;
            mask::DAY
        }
        Unit::Week => {
            sum.add_days(value, 7)?;
            sum.add_fraction_days(part, 7)?;
            mask::WEEK
        }
        Unit::Month => {
            sum.add_months(value)?;
            sum.add_fraction_days(part, 30)?;
            mask::MONTH
        }
        Unit::Year => {
            sum.add_years(value, part, 1)?;
            mask::YEAR
        }
        Unit::Decade => {
            sum.add_years(value, part, 10)?;
            mask::DECADE
        }
        Unit::Century => {
            sum.add_years(value, part, 100)?;
            mask::CENTURY
        }
        Unit::Millennium => {
            sum.add_years(value, part, 1000)?;
            mask::MILLENNIUM
        }
        Unit::Julian | Unit::Time | Unit::Other => return Err(Refusal::Format),
    })
}

/// Applies the modifier of `interval day to minute` or `interval(3)`: drops finer fields, rounds.
pub fn apply_typmod(mut i: Interval, typmod: i32) -> Result<Interval> {
    use range::{DAY, FULL, HOUR, MINUTE, MONTH, SECOND, YEAR};
    if typmod < 0 {
        return Ok(i);
    }
    let (fields, precision) = (typmod >> 16 & FULL, typmod & 0xffff);
    if fields == YEAR || fields == MONTH || fields == YEAR | MONTH {
        if fields == YEAR {
            i.months = i.months / 12 * 12;
        }
        (i.days, i.micros) = (0, 0);
    } else if fields == DAY {
        i.micros = 0;
    } else if fields != FULL && fields & SECOND == 0 {
        let unit = if fields & MINUTE != 0 { super::MINUTE } else { super::HOUR };
        debug_assert!(fields & (MINUTE | HOUR) != 0);
        i.micros = i.micros / unit * unit;
    }
    if precision == FULL_PRECISION {
        return Ok(i);
    }
    if precision > 6 {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("interval({precision}) precision must be between 0 and 6"),
        ));
    }
    i.micros = super::round_micros(i.micros, precision);
    Ok(i)
}
