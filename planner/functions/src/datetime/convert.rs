//! Casts, zones, clocks and constructors.

use vicinity_types::Datum::{
    Bool, Date, Float8, Int4, Interval as Iv, Text, Time, TimeTz as Tz, Timestamp, TimestampTz,
};
use vicinity_types::datetime::{self, DAY, EPOCH_SECONDS, HOUR, MINUTE, SECOND};
use vicinity_types::interval::Interval;
use vicinity_types::io::to_text;
use vicinity_types::{Datum, PgError, Result, SqlState, TimeTz, Zone, apply_typmod, oid};

use super::calendar::{
    Parts, checked, date_of, is_infinite, is_infinite_date, midnight, timestamp_range,
};
use crate::env::Env;

/// Abbreviations PostgreSQL's default set knows and the tz database has no zone for, in hours east.
const ABBREVIATIONS: &[(&str, f64)] = &[
    ("Z", 0.0),
    ("ZULU", 0.0),
    ("EDT", -4.0),
    ("CDT", -5.0),
    ("CST", -6.0),
    ("MDT", -6.0),
    ("PDT", -7.0),
    ("PST", -8.0),
    ("AKST", -9.0),
    ("AKDT", -8.0),
    ("BST", 1.0),
    ("CEST", 2.0),
    ("EEST", 3.0),
    ("WEST", 1.0),
    ("MSK", 3.0),
    ("MSD", 4.0),
    ("IST", 2.0),
    ("JST", 9.0),
    ("KST", 9.0),
    ("CCT", 8.0),
    ("HKT", 8.0),
    ("SGT", 8.0),
    ("PHT", 8.0),
    ("ICT", 7.0),
    ("NPT", 5.75),
    ("AEST", 10.0),
    ("AEDT", 11.0),
    ("ACST", 9.5),
    ("ACDT", 10.5),
    ("AWST", 8.0),
    ("NZST", 12.0),
    ("NZDT", 13.0),
    ("NST", -3.5),
    ("NDT", -2.5),
    ("AST", -4.0),
    ("ADT", -3.0),
    ("BRT", -3.0),
    ("ART", -3.0),
];

/// A zone by the name `AT TIME ZONE` takes.
pub(crate) fn zone(name: &str) -> Result<Zone> {
    let upper = name.to_ascii_uppercase();
    if let Some((_, hours)) = ABBREVIATIONS.iter().find(|(a, _)| *a == upper) {
        return Ok(Zone::fixed((hours * 3600.0) as i32));
    }
    Zone::named(name).ok_or_else(|| {
        PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("time zone \"{name}\" not recognized"),
        )
    })
}

fn interval_zone(env: &dyn Env, i: &Interval) -> Result<Zone> {
    if i.months != 0 || i.days != 0 {
        let shown = to_text(oid::INTERVAL, &Iv(*i), &env.io());
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("interval time zone \"{shown}\" must not include months or days"),
        ));
    }
    i32::try_from(i.micros / SECOND).map(Zone::fixed).map_err(|_| super::interval::interval_range())
}

fn to_utc(t: i64, zone: &Zone) -> Result<i64> {
    if is_infinite(t) { Ok(t) } else { checked(zone.to_utc(t)) }
}

fn to_local(t: i64, zone: &Zone) -> Result<i64> {
    if is_infinite(t) { Ok(t) } else { checked(zone.to_local(t)) }
}

/// Infinity is the same in every zone, even one nobody knows.
fn shift_infinite(t: &Datum) -> Datum {
    match t {
        Timestamp(t) => TimestampTz(*t),
        TimestampTz(t) => Timestamp(*t),
        other => other.clone(),
    }
}

fn timetz_in_zone(env: &dyn Env, t: &TimeTz, zone: &Zone) -> TimeTz {
    let west = -zone.offset_at(env.transaction_time());
    let shift = i64::from(t.zone - west) * SECOND;
    TimeTz { micros: (t.micros + shift).rem_euclid(DAY), zone: west }
}

fn session(env: &dyn Env) -> std::sync::Arc<Zone> {
    env.io().style.time_zone.clone()
}

fn time_of(t: i64) -> Datum {
    if is_infinite(t) { Datum::Null } else { Time(t.rem_euclid(DAY)) }
}

fn timetz_of(env: &dyn Env, t: i64) -> Datum {
    if is_infinite(t) {
        return Datum::Null;
    }
    let east = session(env).offset_at(t);
    Tz(TimeTz { micros: (t + i64::from(east) * SECOND).rem_euclid(DAY), zone: -east })
}

fn time_with_zone(env: &dyn Env, t: i64) -> TimeTz {
    TimeTz { micros: t, zone: -session(env).offset_at(env.transaction_time()) }
}

/// `to_timestamp(double precision)`: seconds since 1970.
fn from_epoch(seconds: f64) -> Result<i64> {
    if seconds.is_nan() {
        return Err(PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN"));
    }
    if seconds.is_infinite() {
        let positive = seconds > 0.0;
        return Ok(if positive {
            datetime::TIMESTAMP_INFINITY
        } else {
            datetime::TIMESTAMP_NEG_INFINITY
        });
    }
    let shown = || {
        PgError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("timestamp out of range: \"{seconds}\""),
        )
    };
    let micros = ((seconds - EPOCH_SECONDS as f64) * 1e6).round_ties_even();
    if !(-9.2e18..9.2e18).contains(&micros) {
        return Err(shown());
    }
    checked(micros as i64).map_err(|_| shown())
}

fn make_date(year: i32, month: i32, day: i32) -> Result<i32> {
    // Negative years are BC: there is no year 0.
    let astronomical = if year < 0 { year + 1 } else { year };
    let date = if year == 0 { None } else { datetime::make_date(astronomical, month, day) };
    date.ok_or_else(|| {
        PgError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date field value out of range: {year}-{month:02}-{day:02}"),
        )
    })
}

fn make_time(hour: i32, minute: i32, second: f64) -> Result<i64> {
    let valid = (0..=24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..=60.0).contains(&second)
        && (hour < 24 || (minute == 0 && second == 0.0));
    if !valid {
        return Err(PgError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("time field value out of range: {hour}:{minute:02}:{second:02}"),
        ));
    }
    let micros = (second * 1e6).round_ties_even() as i64;
    Ok(i64::from(hour) * HOUR + i64::from(minute) * MINUTE + micros)
}

fn make_timestamp(date: [i32; 3], hour: i32, minute: i32, second: f64) -> Result<i64> {
    let [year, month, day] = date;
    let date = make_date(year, month, day)?;
    datetime::make_timestamp(date, make_time(hour, minute, second)?).ok_or_else(timestamp_range)
}

/// `timeofday()`: the clock in words.
fn time_of_day(env: &dyn Env) -> String {
    let now = env.clock_time();
    let zone = session(env);
    let p = Parts::of(zone.to_local(now));
    let name = |names: &[&'static str], i: i32| {
        usize::try_from(i).ok().and_then(|i| names.get(i).copied()).unwrap_or("")
    };
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!(
        "{} {} {:02} {:02}:{:02}:{:02}.{:06} {} {}",
        name(&days, p.weekday()),
        name(&months, p.month - 1),
        p.day,
        p.hour,
        p.minute,
        p.second,
        p.micros,
        p.shown_year(),
        zone.at(now).abbreviation
    )
}

fn with_typmod(ty: u32, value: Datum, typmod: i32) -> Result<Datum> {
    if !(0..=6).contains(&typmod) && matches!(value, Timestamp(_) | TimestampTz(_)) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("timestamp({typmod}) precision must be between 0 and 6"),
        ));
    }
    apply_typmod(ty, typmod, value, true)
}

scalars! { pub(crate) CONVERT, env;
    "now" [] => TimestampTz(env.transaction_time());
    "statement_timestamp" [] => TimestampTz(env.statement_time());
    "clock_timestamp" [] => TimestampTz(env.clock_time());
    "timeofday" [] => time_of_day(env);
    "date_timestamp" [Date(d)] => midnight(*d).map(Timestamp);
    "date_timestamptz" [Date(d)] => midnight(*d).and_then(|t| to_utc(t, &session(env))).map(TimestampTz);
    "timestamp_date" [Timestamp(t)] => Date(date_of(*t));
    "timestamptz_date" [TimestampTz(t)] => to_local(*t, &session(env)).map(|t| Date(date_of(t)));
    "timestamp_timestamptz" [Timestamp(t)] => to_utc(*t, &session(env)).map(TimestampTz);
    "timestamptz_timestamp" [TimestampTz(t)] => to_local(*t, &session(env)).map(Timestamp);
    "timestamp_time" [Timestamp(t)] => time_of(*t);
    "timestamptz_time" [TimestampTz(t)] => to_local(*t, &session(env)).map(time_of);
    "timestamptz_timetz" [TimestampTz(t)] => timetz_of(env, *t);
    "timestamptz(date,time without time zone)" [Date(d), Time(t)] => midnight(*d)
        .and_then(|m| if is_infinite(m) { Ok(m) } else { to_utc(m + t, &session(env)) }).map(TimestampTz);
    "time_timetz" [Time(t)] => time_with_zone(env, *t);
    "timetz_time" [Tz(t)] => Time(t.micros);
    "time_interval" [Time(t)] => Interval { months: 0, days: 0, micros: *t };
    "interval_time" [Iv(i)] => Time(i.micros.rem_euclid(DAY));
    "timestamp_scale" [t @ Timestamp(_), Int4(m)] => with_typmod(oid::TIMESTAMP, t.clone(), *m);
    "timestamptz_scale" [t @ TimestampTz(_), Int4(m)] => with_typmod(oid::TIMESTAMPTZ, t.clone(), *m);
    "time_scale" [t @ Time(_), Int4(m)] => with_typmod(oid::TIME, t.clone(), *m);
    "timetz_scale" [t @ Tz(_), Int4(m)] => with_typmod(oid::TIMETZ, t.clone(), *m);
    "timestamp_zone" [Text(_), t @ Timestamp(i64::MIN | i64::MAX)] => shift_infinite(t), [Text(z), Timestamp(t)] => zone(z).and_then(|z| to_utc(*t, &z)).map(TimestampTz);
    "timestamptz_zone" [Text(_), t @ TimestampTz(i64::MIN | i64::MAX)] => shift_infinite(t), [Text(z), TimestampTz(t)] => zone(z).and_then(|z| to_local(*t, &z)).map(Timestamp);
    "timetz_zone" [Text(z), Tz(t)] => zone(z).map(|z| timetz_in_zone(env, t, &z));
    "timestamp_izone" [Iv(z), Timestamp(t)] => interval_zone(env, z).and_then(|z| to_utc(*t, &z)).map(TimestampTz);
    "timestamptz_izone" [Iv(z), TimestampTz(t)] => interval_zone(env, z).and_then(|z| to_local(*t, &z)).map(Timestamp);
    "timetz_izone" [Iv(z), Tz(t)] => interval_zone(env, z).map(|z| timetz_in_zone(env, t, &z));
    "float8_timestamptz" [Float8(s)] => from_epoch(*s).map(TimestampTz);
    "make_date" [Int4(y), Int4(m), Int4(d)] => make_date(*y, *m, *d).map(Date);
    "make_time" [Int4(h), Int4(m), Float8(s)] => make_time(*h, *m, *s).map(Time);
    "make_timestamp" [Int4(y), Int4(mo), Int4(d), Int4(h), Int4(m), Float8(s)] => make_timestamp([*y, *mo, *d], *h, *m, *s).map(Timestamp);
    "make_timestamptz" [Int4(y), Int4(mo), Int4(d), Int4(h), Int4(m), Float8(s)] => make_timestamp([*y, *mo, *d], *h, *m, *s)
        .and_then(|t| to_utc(t, &session(env))).map(TimestampTz);
    "make_timestamptz_at_timezone" [Int4(y), Int4(mo), Int4(d), Int4(h), Int4(m), Float8(s), Text(z)] => make_timestamp([*y, *mo, *d], *h, *m, *s)
        .and_then(|t| to_utc(t, &zone(z)?)).map(TimestampTz);
    "date_finite" [Date(d)] => Bool(!is_infinite_date(*d));
    "timestamp_finite" [Timestamp(t) | TimestampTz(t)] => Bool(!is_infinite(*t));
}
