//! `date_trunc` and `date_bin`.

use vicinity_types::Datum::{Interval as Iv, Text, Timestamp, TimestampTz};
use vicinity_types::datetime::{self, DAY, HOUR, MINUTE, SECOND};
use vicinity_types::interval::Interval;
use vicinity_types::{PgError, Result, SqlState, Zone};

use super::calendar::{Parts, checked, is_infinite, iso_weekday, midnight, timestamp_range};
use super::field::{Field, unit, unsupported};

/// The first moment of the unit a local timestamp is in.
fn start(name: &str, field: Field, t: i64, ty: &str) -> Result<i64> {
    let p = Parts::of(t);
    let first = |year: i32, month: i32| {
        let date = datetime::make_date(year, month, 1).ok_or_else(timestamp_range)?;
        midnight(date)
    };
    let within = |unit: i64| Ok(t - t.rem_euclid(unit));
    match field {
        Field::Millennium if p.year > 0 => first((p.year + 999) / 1000 * 1000 - 999, 1),
        Field::Millennium => first(-((999 - (p.year - 1)) / 1000) * 1000 + 1, 1),
        Field::Century if p.year > 0 => first((p.year + 99) / 100 * 100 - 99, 1),
        Field::Century => first(-((99 - (p.year - 1)) / 100) * 100 + 1, 1),
        Field::Decade if p.year > 0 => first(p.year / 10 * 10, 1),
        Field::Decade => first(-((8 - (p.year - 1)) / 10) * 10, 1),
        Field::Year => first(p.year, 1),
        Field::Quarter => first(p.year, (p.month - 1) / 3 * 3 + 1),
        Field::Month => first(p.year, p.month),
        Field::Week => midnight(p.date - (iso_weekday(p.date) - 1)),
        Field::Day => within(DAY),
        Field::Hour => within(HOUR),
        Field::Minute => within(MINUTE),
        Field::Second => within(SECOND),
        Field::Milliseconds => within(1000),
        Field::Microseconds => Ok(t),
        _ => Err(unsupported(name, ty)),
    }
}

fn timestamp(name: &str, t: i64) -> Result<i64> {
    let ty = "timestamp without time zone";
    // Infinity is returned before the unit is looked at, as PostgreSQL 15 does.
    if is_infinite(t) { Ok(t) } else { start(name, unit(name, ty)?, t, ty) }
}

fn timestamptz(name: &str, t: i64, zone: &Zone) -> Result<i64> {
    let ty = "timestamp with time zone";
    if is_infinite(t) {
        return Ok(t);
    }
    let field = unit(name, ty)?;
    let local = zone.to_local(t);
    let begin = start(name, field, local, ty)?;
    let below_a_day = matches!(
        field,
        Field::Hour | Field::Minute | Field::Second | Field::Milliseconds | Field::Microseconds
    );
    // Within the hour the offset stays what it is, also where clocks change.
    checked(if below_a_day { t - (local - begin) } else { zone.to_utc(begin) })
}

fn in_zone(name: &str, t: i64, zone: &str) -> Result<i64> {
    if is_infinite(t) { Ok(t) } else { timestamptz(name, t, &super::convert::zone(zone)?) }
}

fn bin(stride: &Interval, t: i64, origin: i64) -> Result<i64> {
    if is_infinite(t) {
        return Ok(t);
    }
    if is_infinite(origin) {
        return Err(PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "origin out of range"));
    }
    if stride.months != 0 {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let width = i64::from(stride.days)
        .checked_mul(DAY)
        .and_then(|d| d.checked_add(stride.micros))
        .ok_or_else(super::interval::interval_range)?;
    if width <= 0 {
        return Err(PgError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "stride must be greater than zero",
        ));
    }
    let since = t.checked_sub(origin).ok_or_else(super::interval::interval_range)?;
    Ok(origin + since.div_euclid(width) * width)
}

scalars! { pub(crate) TRUNCATE, env;
    "timestamp_trunc" [Text(f), Timestamp(t)] => timestamp(f, *t).map(Timestamp);
    "timestamptz_trunc" [Text(f), TimestampTz(t)] => timestamptz(f, *t, &env.io().style.time_zone).map(TimestampTz);
    "timestamptz_trunc_zone" [Text(f), TimestampTz(t), Text(z)] => in_zone(f, *t, z).map(TimestampTz);
    "timestamp_bin" [Iv(s), Timestamp(t), Timestamp(o)] => bin(s, *t, *o).map(Timestamp);
    "timestamptz_bin" [Iv(s), TimestampTz(t), TimestampTz(o)] => bin(s, *t, *o).map(TimestampTz);
}
