//! Adding to and subtracting dates, times and timestamps.

use vicinity_types::Datum::{
    Date, Int4, Interval as Iv, Null, Time, TimeTz as Tz, Timestamp, TimestampTz,
};
use vicinity_types::datetime::{self, DAY, SECOND};
use vicinity_types::interval::Interval;
use vicinity_types::{Datum, PgError, Result, SqlState, TimeTz, Zone};

use super::calendar::{
    Parts, add_months, checked, date_range, is_infinite, is_infinite_date, midnight,
    timestamp_range,
};
use super::interval::{justify_hours, negate};
use crate::env::Env;

pub(crate) fn add(t: i64, i: &Interval) -> Result<i64> {
    if is_infinite(t) {
        return Ok(t);
    }
    let moved = add_months(t, i.months)?;
    let moved = moved.checked_add(i64::from(i.days) * DAY).and_then(|t| t.checked_add(i.micros));
    checked(moved.ok_or_else(timestamp_range)?)
}

pub(crate) fn subtract_interval(t: i64, i: &Interval) -> Result<i64> {
    add(t, &negate(i)?)
}

/// Months and days are local time's, the rest absolute.
pub(crate) fn add_tz(t: i64, i: &Interval, zone: &Zone) -> Result<i64> {
    if is_infinite(t) {
        return Ok(t);
    }
    let mut moved = t;
    if i.months != 0 || i.days != 0 {
        let local = add_months(zone.to_local(t), i.months)?;
        let local = local.checked_add(i64::from(i.days) * DAY).ok_or_else(timestamp_range)?;
        moved = zone.to_utc(checked(local)?);
    }
    checked(moved.checked_add(i.micros).ok_or_else(timestamp_range)?)
}

fn subtract_tz(t: i64, i: &Interval, zone: &Zone) -> Result<i64> {
    add_tz(t, &negate(i)?, zone)
}

pub(crate) fn difference(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(PgError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "cannot subtract infinite timestamps",
        ));
    }
    let micros = a.checked_sub(b).ok_or_else(super::interval::interval_range)?;
    justify_hours(&Interval { months: 0, days: 0, micros })
}

/// `age`: the difference field by field, in years, months and days of the calendar.
fn age(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(timestamp_range());
    }
    let (x, y) = (Parts::of(a), Parts::of(b));
    let sign = if a < b { -1 } else { 1 };
    let (early, late) = if a < b { (x, y) } else { (y, x) };
    let mut micros = i64::from(late.micros - early.micros);
    let mut second = late.second - early.second;
    let mut minute = late.minute - early.minute;
    let mut hour = late.hour - early.hour;
    let mut day = late.day - early.day;
    let mut month = late.month - early.month;
    let mut year = late.year - early.year;
    if micros < 0 {
        (micros, second) = (micros + SECOND, second - 1);
    }
    if second < 0 {
        (second, minute) = (second + 60, minute - 1);
    }
    if minute < 0 {
        (minute, hour) = (minute + 60, hour - 1);
    }
    if hour < 0 {
        (hour, day) = (hour + 24, day - 1);
    }
    // Days are borrowed from the earlier date's month.
    while day < 0 {
        day += datetime::days_in_month(early.year, early.month);
        month -= 1;
    }
    while month < 0 {
        (month, year) = (month + 12, year - 1);
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Ok(Interval {
        months: sign * (year * 12 + month),
        days: sign * day,
        micros: i64::from(sign) * (seconds * SECOND + micros),
    })
}

fn add_days(date: i32, days: i32) -> Result<i32> {
    if is_infinite_date(date) {
        return Ok(date);
    }
    let moved = date.checked_add(days).filter(|d| *d >= -datetime::EPOCH_JULIAN);
    moved.filter(|d| *d < 2_145_031_949).ok_or_else(date_range)
}

fn days_between(a: i32, b: i32) -> Result<i32> {
    if is_infinite_date(a) || is_infinite_date(b) {
        return Err(PgError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "cannot subtract infinite dates",
        ));
    }
    a.checked_sub(b).ok_or_else(date_range)
}

/// A time of day goes round at midnight.
pub(crate) fn add_time(t: i64, micros: i64) -> i64 {
    (t.wrapping_add(micros.rem_euclid(DAY))).rem_euclid(DAY)
}

fn add_timetz(t: TimeTz, micros: i64) -> TimeTz {
    TimeTz { micros: add_time(t.micros, micros), zone: t.zone }
}

fn with_date(date: i32, time: i64) -> Result<i64> {
    let start = midnight(date)?;
    if is_infinite(start) {
        return Ok(start);
    }
    checked(start.checked_add(time).ok_or_else(timestamp_range)?)
}

fn with_date_tz(date: i32, t: TimeTz) -> Result<i64> {
    with_date(date, t.micros).and_then(|local| {
        if is_infinite(local) { Ok(local) } else { checked(local + i64::from(t.zone) * SECOND) }
    })
}

/// `OVERLAPS` with PostgreSQL's NULL rules: a period may lack one end.
fn overlap(args: &[Datum]) -> Datum {
    let [s1, e1, s2, e2] = args else { return Null };
    let less = |a: &Datum, b: &Datum| vicinity_types::compare(a, b).is_lt();
    // Each period begins with its lesser known end.
    let ordered = |s: &Datum, e: &Datum| -> Option<(Datum, Datum)> {
        match (s.is_null(), e.is_null()) {
            (true, true) => None,
            (true, false) => Some((e.clone(), Null)),
            (false, true) => Some((s.clone(), Null)),
            (false, false) if less(e, s) => Some((e.clone(), s.clone())),
            (false, false) => Some((s.clone(), e.clone())),
        }
    };
    let (Some((s1, e1)), Some((s2, e2))) = (ordered(s1, e1), ordered(s2, e2)) else {
        return Null;
    };
    // From the later start it depends on the other period's end.
    let (later, end, own_end) = match vicinity_types::compare(&s1, &s2) {
        std::cmp::Ordering::Greater => (&s1, &e2, &e1),
        std::cmp::Ordering::Less => (&s2, &e1, &e2),
        std::cmp::Ordering::Equal => {
            return if e1.is_null() || e2.is_null() { Null } else { Datum::Bool(true) };
        }
    };
    if end.is_null() {
        return Null;
    }
    if less(later, end) {
        return Datum::Bool(true);
    }
    if own_end.is_null() { Null } else { Datum::Bool(false) }
}

/// A period's end given as a length.
fn shifted(start: &Datum, length: &Datum, zone: &Zone) -> Result<Datum> {
    Ok(match (start, length) {
        (Timestamp(t), Iv(i)) => Timestamp(add(*t, i)?),
        (TimestampTz(t), Iv(i)) => TimestampTz(add_tz(*t, i, zone)?),
        (Time(t), Iv(i)) => Time(add_time(*t, i.micros)),
        _ => Null,
    })
}

/// `OVERLAPS` where the first, second or both periods' ends are lengths.
fn overlap_lengths(env: &dyn Env, args: &[Datum], first: bool, second: bool) -> Result<Datum> {
    let io = env.io();
    let zone = io.style.time_zone.as_ref();
    let [s1, e1, s2, e2] = args else { return Ok(Null) };
    let e1 = if first { shifted(s1, e1, zone)? } else { e1.clone() };
    let e2 = if second { shifted(s2, e2, zone)? } else { e2.clone() };
    Ok(overlap(&[s1.clone(), e1, s2.clone(), e2]))
}

fn today(env: &dyn Env) -> i64 {
    let io = env.io();
    let local = io.style.time_zone.to_local(env.transaction_time());
    local - local.rem_euclid(DAY)
}

fn zone(env: &dyn Env) -> std::sync::Arc<Zone> {
    env.io().style.time_zone.clone()
}

scalars! { pub(crate) ARITHMETIC, env;
    "timestamp_pl_interval" [Timestamp(t), Iv(i)] => add(*t, i).map(Timestamp);
    "timestamp_mi_interval" [Timestamp(t), Iv(i)] => subtract_interval(*t, i).map(Timestamp);
    "timestamptz_pl_interval" [TimestampTz(t), Iv(i)] => add_tz(*t, i, &zone(env)).map(TimestampTz);
    "timestamptz_mi_interval" [TimestampTz(t), Iv(i)] => subtract_tz(*t, i, &zone(env)).map(TimestampTz);
    "interval_pl_timestamp(interval,timestamp without time zone)" [Iv(i), Timestamp(t)] => add(*t, i).map(Timestamp);
    "interval_pl_timestamptz(interval,timestamp with time zone)" [Iv(i), TimestampTz(t)] => add_tz(*t, i, &zone(env)).map(TimestampTz);
    "timestamp_mi" [Timestamp(a), Timestamp(b)] => difference(*a, *b), [TimestampTz(a), TimestampTz(b)] => difference(*a, *b);
    "timestamp_age" [Timestamp(a), Timestamp(b)] => age(*a, *b);
    "timestamptz_age" [TimestampTz(a), TimestampTz(b)] => { let z = zone(env); age(z.to_local(*a), z.to_local(*b)) };
    "age(timestamp without time zone)" [Timestamp(t)] => age(today(env), *t);
    "age(timestamp with time zone)" [TimestampTz(t)] => { let z = zone(env); age(today(env), z.to_local(*t)) };
    "date_pli" [Date(d), Int4(n)] => add_days(*d, *n).map(Date);
    "date_mii" [Date(d), Int4(n)] => n.checked_neg().ok_or_else(date_range).and_then(|n| add_days(*d, n)).map(Date);
    "integer_pl_date(integer,date)" [Int4(n), Date(d)] => add_days(*d, *n).map(Date);
    "date_mi" [Date(a), Date(b)] => days_between(*a, *b);
    "date_pl_interval" [Date(d), Iv(i)] => midnight(*d).and_then(|t| add(t, i)).map(Timestamp);
    "date_mi_interval" [Date(d), Iv(i)] => midnight(*d).and_then(|t| subtract_interval(t, i)).map(Timestamp);
    "interval_pl_date(interval,date)" [Iv(i), Date(d)] => midnight(*d).and_then(|t| add(t, i)).map(Timestamp);
    "time_pl_interval" [Time(t), Iv(i)] => Time(add_time(*t, i.micros));
    "time_mi_interval" [Time(t), Iv(i)] => Time(add_time(*t, i.micros.wrapping_neg()));
    "interval_pl_time(interval,time without time zone)" [Iv(i), Time(t)] => Time(add_time(*t, i.micros));
    "time_mi_time" [Time(a), Time(b)] => Interval { months: 0, days: 0, micros: a - b };
    "timetz_pl_interval" [Tz(t), Iv(i)] => add_timetz(*t, i.micros);
    "timetz_mi_interval" [Tz(t), Iv(i)] => add_timetz(*t, i.micros.wrapping_neg());
    "interval_pl_timetz(interval,time with time zone)" [Iv(i), Tz(t)] => add_timetz(*t, i.micros);
    "datetime_timestamp" [Date(d), Time(t)] => with_date(*d, *t).map(Timestamp);
    "timedate_pl(time without time zone,date)" [Time(t), Date(d)] => with_date(*d, *t).map(Timestamp);
    "datetimetz_timestamptz" [Date(d), Tz(t)] => with_date_tz(*d, *t).map(TimestampTz);
    "timetzdate_pl(time with time zone,date)" [Tz(t), Date(d)] => with_date_tz(*d, *t).map(TimestampTz);
    "overlaps_timestamp" | "overlaps_time" | "overlaps_timetz" [args @ ..] => overlap(args);
    "overlaps(timestamp with time zone,timestamp with time zone,timestamp with time zone,interval)"
        | "overlaps(timestamp without time zone,timestamp without time zone,timestamp without time zone,interval)"
        | "overlaps(time without time zone,time without time zone,time without time zone,interval)"
        [args @ ..] => overlap_lengths(env, args, false, true);
    "overlaps(timestamp with time zone,interval,timestamp with time zone,timestamp with time zone)"
        | "overlaps(timestamp without time zone,interval,timestamp without time zone,timestamp without time zone)"
        | "overlaps(time without time zone,interval,time without time zone,time without time zone)"
        [args @ ..] => overlap_lengths(env, args, true, false);
    "overlaps(timestamp with time zone,interval,timestamp with time zone,interval)"
        | "overlaps(timestamp without time zone,interval,timestamp without time zone,interval)"
        | "overlaps(time without time zone,interval,time without time zone,interval)"
        [args @ ..] => overlap_lengths(env, args, true, true);
}
