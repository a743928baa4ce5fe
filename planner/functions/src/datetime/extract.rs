//! `extract` (a `numeric`) and `date_part` (a `float8`).

use std::sync::Arc;

use num_bigint::BigInt;
use vicinity_types::Datum::{
    self, Date, Interval as Iv, Null, Text, Time, TimeTz as Tz, Timestamp, TimestampTz,
};
use vicinity_types::datetime::{self, DAY, EPOCH_SECONDS, HOUR, MINUTE, SECOND};
use vicinity_types::interval::Interval;
use vicinity_types::numeric::Numeric;
use vicinity_types::{Result, TimeTz};

use super::calendar::{Parts, is_infinite, is_infinite_date, iso_weekday, midnight, shown_year};
use super::field::{Field, unit, unsupported};
use crate::env::Env;

/// A field's value: units of 10^-scale.
struct Value(i128, i64);

fn whole(n: i32) -> Value {
    Value(i128::from(n), 0)
}

impl Value {
    fn numeric(self) -> Datum {
        Datum::Numeric(Arc::new(Numeric::new(BigInt::from(self.0), self.1)))
    }

    fn float(self) -> Datum {
        Datum::Float8(self.0 as f64 / 10f64.powi(self.1 as i32))
    }
}

fn decade(year: i32) -> i32 {
    if year >= 0 { year / 10 } else { -((8 - (year - 1)) / 10) }
}

fn century(year: i32) -> i32 {
    if year > 0 { (year + 99) / 100 } else { -((99 - (year - 1)) / 100) }
}

fn millennium(year: i32) -> i32 {
    if year > 0 { (year + 999) / 1000 } else { -((999 - (year - 1)) / 1000) }
}

/// Fields of a time of day in microseconds.
fn time_field(field: Field, micros: i64) -> Option<Value> {
    let inside = i128::from(micros % MINUTE);
    Some(match field {
        Field::Microseconds => Value(inside, 0),
        Field::Milliseconds => Value(inside, 3),
        Field::Second => Value(inside, 6),
        Field::Minute => Value(i128::from(micros / MINUTE % 60), 0),
        Field::Hour => Value(i128::from(micros / HOUR), 0),
        _ => return None,
    })
}

/// Fields of a date.
fn date_field(field: Field, p: &Parts) -> Option<Value> {
    Some(whole(match field {
        Field::Day => p.day,
        Field::Month => p.month,
        Field::Quarter => (p.month - 1) / 3 + 1,
        Field::Week => p.iso_week().1,
        Field::Year => p.shown_year(),
        Field::Decade => decade(p.year),
        Field::Century => century(p.year),
        Field::Millennium => millennium(p.year),
        Field::IsoYear => shown_year(p.iso_week().0),
        Field::Dow => p.weekday(),
        Field::IsoDow => iso_weekday(p.date),
        Field::Doy => p.day_of_year(),
        _ => return None,
    }))
}

fn julian(p: &Parts, time: i64) -> Value {
    let day = i128::from(p.date) + i128::from(datetime::EPOCH_JULIAN);
    if time == 0 {
        return Value(day, 0);
    }
    // Twenty digits of the day's fraction, as numeric division gives.
    let fraction = i128::from(time) * 10i128.pow(20) / i128::from(DAY);
    Value(day * 10i128.pow(20) + fraction, 20)
}

/// Of an infinite timestamp only the fields that grow without end have a value.
fn infinite(field: Field, positive: bool) -> Option<Numeric> {
    let monotonic = matches!(
        field,
        Field::Year
            | Field::Decade
            | Field::Century
            | Field::Millennium
            | Field::Julian
            | Field::IsoYear
            | Field::Epoch
    );
    monotonic.then_some(if positive { Numeric::Infinity } else { Numeric::NegInfinity })
}

fn special(field: Field, positive: bool, float: bool) -> Datum {
    match infinite(field, positive) {
        Some(_) if float && positive => Datum::Float8(f64::INFINITY),
        Some(_) if float => Datum::Float8(f64::NEG_INFINITY),
        Some(n) => Datum::Numeric(Arc::new(n)),
        None => Null,
    }
}

fn show(value: Value, float: bool) -> Datum {
    if float { value.float() } else { value.numeric() }
}

/// `east` is known for timestamps with a zone.
fn of_timestamp(name: &str, t: i64, east: Option<i32>, float: bool) -> Result<Datum> {
    let ty =
        if east.is_some() { "timestamp with time zone" } else { "timestamp without time zone" };
    let field = unit(name, ty)?;
    if is_infinite(t) {
        return Ok(special(field, t > 0, float));
    }
    let local = t + i64::from(east.unwrap_or(0)) * SECOND;
    let p = Parts::of(local);
    let time = local.rem_euclid(DAY);
    let value = match (field, east) {
        (Field::Epoch, _) => Value(i128::from(t) + i128::from(EPOCH_SECONDS * SECOND), 6),
        (Field::Julian, _) => julian(&p, time),
        (Field::Timezone, Some(east)) => whole(east),
        (Field::TimezoneHour, Some(east)) => whole(east / 3600),
        (Field::TimezoneMinute, Some(east)) => whole(east / 60 % 60),
        _ => date_field(field, &p)
            .or_else(|| time_field(field, time))
            .ok_or_else(|| unsupported(name, ty))?,
    };
    Ok(show(value, float))
}

fn of_timestamptz(env: &dyn Env, name: &str, t: i64, float: bool) -> Result<Datum> {
    let east = if is_infinite(t) { 0 } else { env.io().style.time_zone.offset_at(t) };
    of_timestamp(name, t, Some(east), float)
}

fn of_date(name: &str, date: i32) -> Result<Datum> {
    let field = unit(name, "date")?;
    if is_infinite_date(date) {
        return Ok(special(field, date > 0, false));
    }
    let (year, month, day) = datetime::civil(date);
    let p = Parts { year, month, day, hour: 0, minute: 0, second: 0, micros: 0, date };
    let value = match field {
        Field::Epoch => Value((i128::from(date) + i128::from(datetime::EPOCH_DAYS)) * 86_400, 0),
        Field::Julian => julian(&p, 0),
        _ => date_field(field, &p).ok_or_else(|| unsupported(name, "date"))?,
    };
    Ok(value.numeric())
}

fn of_time(name: &str, t: i64, float: bool) -> Result<Datum> {
    let ty = "time without time zone";
    let field = unit(name, ty)?;
    let value = match field {
        Field::Epoch => Value(i128::from(t), 6),
        _ => time_field(field, t).ok_or_else(|| unsupported(name, ty))?,
    };
    Ok(show(value, float))
}

fn of_timetz(name: &str, t: &TimeTz, float: bool) -> Result<Datum> {
    let ty = "time with time zone";
    let field = unit(name, ty)?;
    let value = match field {
        Field::Epoch => Value(i128::from(t.micros) + i128::from(t.zone) * i128::from(SECOND), 6),
        Field::Timezone => whole(-t.zone),
        Field::TimezoneHour => whole(-t.zone / 3600),
        Field::TimezoneMinute => whole(-t.zone / 60 % 60),
        _ => time_field(field, t.micros).ok_or_else(|| unsupported(name, ty))?,
    };
    Ok(show(value, float))
}

fn of_interval(name: &str, i: &Interval, float: bool) -> Result<Datum> {
    let field = unit(name, "interval")?;
    let year = i.months / 12;
    let value = match field {
        Field::Day => whole(i.days),
        Field::Month => whole(i.months % 12),
        Field::Quarter => whole(i.months % 12 / 3 + 1),
        Field::Year => whole(year),
        Field::Decade => whole(year / 10),
        Field::Century => whole(year / 100),
        Field::Millennium => whole(year / 1000),
        Field::Epoch => {
            // A year is 365.25 days here, a month 30: quarter days stay whole seconds.
            let days = i128::from(i.months / 12) * 1461
                + (i128::from(i.months % 12) * 30 + i128::from(i.days)) * 4;
            Value(days * 21_600 * i128::from(SECOND) + i128::from(i.micros), 6)
        }
        _ => time_field(field, i.micros).ok_or_else(|| unsupported(name, "interval"))?,
    };
    Ok(show(value, float))
}

scalars! { pub(crate) EXTRACT, env;
    "extract_timestamp" [Text(f), Timestamp(t)] => of_timestamp(f, *t, None, false);
    "timestamp_part" [Text(f), Timestamp(t)] => of_timestamp(f, *t, None, true);
    "extract_timestamptz" [Text(f), TimestampTz(t)] => of_timestamptz(env, f, *t, false);
    "timestamptz_part" [Text(f), TimestampTz(t)] => of_timestamptz(env, f, *t, true);
    "extract_date" [Text(f), Date(d)] => of_date(f, *d);
    "date_part(text,date)" [Text(f), Date(d)] => midnight(*d).and_then(|t| of_timestamp(f, t, None, true));
    "extract_time" [Text(f), Time(t)] => of_time(f, *t, false);
    "time_part" [Text(f), Time(t)] => of_time(f, *t, true);
    "extract_timetz" [Text(f), Tz(t)] => of_timetz(f, t, false);
    "timetz_part" [Text(f), Tz(t)] => of_timetz(f, t, true);
    "extract_interval" [Text(f), Iv(i)] => of_interval(f, i, false);
    "interval_part" [Text(f), Iv(i)] => of_interval(f, i, true);
}
