//! Comparison between `date`, `timestamp` and `timestamptz`.

use std::cmp::Ordering;

use vicinity_types::Datum::{Date, Timestamp, TimestampTz};
use vicinity_types::datetime::{DAY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY};

use super::calendar::{is_infinite, is_infinite_date};
use crate::env::Env;

/// A date's midnight; beyond the timestamps' range still in order.
fn midnight(date: i32) -> i128 {
    match date {
        i32::MAX => i128::from(TIMESTAMP_INFINITY),
        i32::MIN => i128::from(TIMESTAMP_NEG_INFINITY),
        date => i128::from(date) * i128::from(DAY),
    }
}

fn utc(env: &dyn Env, local: i64) -> i64 {
    if is_infinite(local) { local } else { env.io().style.time_zone.to_utc(local) }
}

fn date_timestamp(date: i32, t: i64) -> Ordering {
    match (is_infinite_date(date), is_infinite(t)) {
        (false, false) => midnight(date).cmp(&i128::from(t)),
        (true, true) => (date > 0).cmp(&(t > 0)),
        (true, false) => {
            if date > 0 {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (false, true) => {
            if t > 0 {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

fn date_timestamptz(env: &dyn Env, date: i32, t: i64) -> Ordering {
    if is_infinite_date(date) || is_infinite(t) {
        return date_timestamp(date, t);
    }
    match i64::try_from(midnight(date)) {
        Ok(local) => utc(env, local).cmp(&t),
        Err(_) => date_timestamp(date, t),
    }
}

scalars! { pub(crate) MIXED, env;
    "date_eq_timestamp" [Date(a), Timestamp(b)] => date_timestamp(*a, *b).is_eq();
    "date_ne_timestamp" [Date(a), Timestamp(b)] => date_timestamp(*a, *b).is_ne();
    "date_lt_timestamp" [Date(a), Timestamp(b)] => date_timestamp(*a, *b).is_lt();
    "date_le_timestamp" [Date(a), Timestamp(b)] => date_timestamp(*a, *b).is_le();
    "date_gt_timestamp" [Date(a), Timestamp(b)] => date_timestamp(*a, *b).is_gt();
    "date_ge_timestamp" [Date(a), Timestamp(b)] => date_timestamp(*a, *b).is_ge();
    "date_cmp_timestamp" [Date(a), Timestamp(b)] => date_timestamp(*a, *b) as i32;
    "timestamp_eq_date" [Timestamp(a), Date(b)] => date_timestamp(*b, *a).reverse().is_eq();
    "timestamp_ne_date" [Timestamp(a), Date(b)] => date_timestamp(*b, *a).reverse().is_ne();
    "timestamp_lt_date" [Timestamp(a), Date(b)] => date_timestamp(*b, *a).reverse().is_lt();
    "timestamp_le_date" [Timestamp(a), Date(b)] => date_timestamp(*b, *a).reverse().is_le();
    "timestamp_gt_date" [Timestamp(a), Date(b)] => date_timestamp(*b, *a).reverse().is_gt();
    "timestamp_ge_date" [Timestamp(a), Date(b)] => date_timestamp(*b, *a).reverse().is_ge();
    "timestamp_cmp_date" [Timestamp(a), Date(b)] => date_timestamp(*b, *a).reverse() as i32;
    "date_eq_timestamptz" [Date(a), TimestampTz(b)] => date_timestamptz(env, *a, *b).is_eq();
    "date_ne_timestamptz" [Date(a), TimestampTz(b)] => date_timestamptz(env, *a, *b).is_ne();
    "date_lt_timestamptz" [Date(a), TimestampTz(b)] => date_timestamptz(env, *a, *b).is_lt();
    "date_le_timestamptz" [Date(a), TimestampTz(b)] => date_timestamptz(env, *a, *b).is_le();
    "date_gt_timestamptz" [Date(a), TimestampTz(b)] => date_timestamptz(env, *a, *b).is_gt();
    "date_ge_timestamptz" [Date(a), TimestampTz(b)] => date_timestamptz(env, *a, *b).is_ge();
    "date_cmp_timestamptz" [Date(a), TimestampTz(b)] => date_timestamptz(env, *a, *b) as i32;
    "timestamptz_eq_date" [TimestampTz(a), Date(b)] => date_timestamptz(env, *b, *a).reverse().is_eq();
    "timestamptz_ne_date" [TimestampTz(a), Date(b)] => date_timestamptz(env, *b, *a).reverse().is_ne();
    "timestamptz_lt_date" [TimestampTz(a), Date(b)] => date_timestamptz(env, *b, *a).reverse().is_lt();
    "timestamptz_le_date" [TimestampTz(a), Date(b)] => date_timestamptz(env, *b, *a).reverse().is_le();
    "timestamptz_gt_date" [TimestampTz(a), Date(b)] => date_timestamptz(env, *b, *a).reverse().is_gt();
    "timestamptz_ge_date" [TimestampTz(a), Date(b)] => date_timestamptz(env, *b, *a).reverse().is_ge();
    "timestamptz_cmp_date" [TimestampTz(a), Date(b)] => date_timestamptz(env, *b, *a).reverse() as i32;
    "timestamp_eq_timestamptz" [Timestamp(a), TimestampTz(b)] => utc(env, *a).cmp(b).is_eq();
    "timestamp_ne_timestamptz" [Timestamp(a), TimestampTz(b)] => utc(env, *a).cmp(b).is_ne();
    "timestamp_lt_timestamptz" [Timestamp(a), TimestampTz(b)] => utc(env, *a).cmp(b).is_lt();
    "timestamp_le_timestamptz" [Timestamp(a), TimestampTz(b)] => utc(env, *a).cmp(b).is_le();
    "timestamp_gt_timestamptz" [Timestamp(a), TimestampTz(b)] => utc(env, *a).cmp(b).is_gt();
    "timestamp_ge_timestamptz" [Timestamp(a), TimestampTz(b)] => utc(env, *a).cmp(b).is_ge();
    "timestamp_cmp_timestamptz" [Timestamp(a), TimestampTz(b)] => utc(env, *a).cmp(b) as i32;
    "timestamptz_eq_timestamp" [TimestampTz(a), Timestamp(b)] => a.cmp(&utc(env, *b)).is_eq();
    "timestamptz_ne_timestamp" [TimestampTz(a), Timestamp(b)] => a.cmp(&utc(env, *b)).is_ne();
    "timestamptz_lt_timestamp" [TimestampTz(a), Timestamp(b)] => a.cmp(&utc(env, *b)).is_lt();
    "timestamptz_le_timestamp" [TimestampTz(a), Timestamp(b)] => a.cmp(&utc(env, *b)).is_le();
    "timestamptz_gt_timestamp" [TimestampTz(a), Timestamp(b)] => a.cmp(&utc(env, *b)).is_gt();
    "timestamptz_ge_timestamp" [TimestampTz(a), Timestamp(b)] => a.cmp(&utc(env, *b)).is_ge();
    "timestamptz_cmp_timestamp" [TimestampTz(a), Timestamp(b)] => a.cmp(&utc(env, *b)) as i32;
}
