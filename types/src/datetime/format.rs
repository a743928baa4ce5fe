//! Dates and times as text.

use bytes::BufMut;

use crate::datetime::{
    DATE_INFINITY, DATE_NEG_INFINITY, HOUR, MINUTE, SECOND, TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY, civil, split,
};
use crate::datum::TimeTz;
use crate::io::style::{DateFormat, DateOrder, IoStyle};

/// Two digits of every number below 100.
#[inline]
fn pair(n: i64) -> [u8; 2] {
    let n = u8::try_from(n.clamp(0, 99)).unwrap_or(0);
    [b'0' + n / 10, b'0' + n % 10]
}

fn put2(n: impl Into<i64>, out: &mut Vec<u8>) {
    out.put_slice(&pair(n.into()));
}

/// A year with at least four digits.
fn put_year(year: i32, out: &mut Vec<u8>) {
    if (0..=9999).contains(&year) {
        put2(year / 100, out);
        put2(year % 100, out);
    } else {
        out.put_slice(itoa::Buffer::new().format(year).as_bytes());
    }
}

/// The year as written, and whether ` BC` follows.
fn era(year: i32) -> (i32, bool) {
    if year > 0 { (year, false) } else { (1 - year, true) }
}

/// Writes a date.
pub fn date(date: i32, style: &IoStyle, out: &mut Vec<u8>) {
    match date {
        DATE_INFINITY => return out.put_slice(b"infinity"),
        DATE_NEG_INFINITY => return out.put_slice(b"-infinity"),
        _ => {}
    }
    let (year, month, day) = civil(date);
    let bc = put_date(year, month, day, style, out);
    if bc {
        out.put_slice(b" BC");
    }
}

/// Writes a date in any style, Postgres's as for dates alone; says whether ` BC` must follow.
fn put_date(year: i32, month: i32, day: i32, style: &IoStyle, out: &mut Vec<u8>) -> bool {
    let (year, bc) = era(year);
    let dmy = style.date_style.order == DateOrder::Dmy;
    let separator = match style.date_style.format {
        DateFormat::Iso if (0..=9999).contains(&year) => {
            let ([a, b], [c, d]) = (pair(i64::from(year / 100)), pair(i64::from(year % 100)));
            let ([e, f], [g, h]) = (pair(i64::from(month)), pair(i64::from(day)));
            out.put_slice(&[a, b, c, d, b'-', e, f, b'-', g, h]);
            return bc;
        }
        DateFormat::Iso => {
            put_year(year, out);
            out.put_u8(b'-');
            put2(month, out);
            out.put_u8(b'-');
            put2(day, out);
            return bc;
        }
        DateFormat::Sql => b'/',
        DateFormat::Postgres => b'-',
        DateFormat::German => b'.',
    };
    let german = style.date_style.format == DateFormat::German;
    let (first, second) = if dmy || german { (day, month) } else { (month, day) };
    put2(first, out);
    out.put_u8(separator);
    put2(second, out);
    out.put_u8(separator);
    put_year(year, out);
    bc
}

/// Writes a time of day, with as many digits of the second as it needs.
pub fn time(micros: i64, out: &mut Vec<u8>) {
    let ([a, b], [c, d]) = (pair(micros / HOUR), pair(micros / MINUTE % 60));
    let [e, f] = pair(micros / SECOND % 60);
    out.put_slice(&[a, b, b':', c, d, b':', e, f]);
    put_fraction(micros % SECOND, out);
}

/// Writes the fraction of a second without trailing zeros; nothing for 0.
pub(crate) fn put_fraction(micros: i64, out: &mut Vec<u8>) {
    if micros == 0 {
        return;
    }
    let mut digits = [b'.'; 7];
    let mut rest = micros.unsigned_abs();
    for slot in digits.iter_mut().skip(1).rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    let used = digits.iter().rposition(|d| *d != b'0').unwrap_or(0);
    out.put_slice(digits.get(..=used).unwrap_or(&digits));
}

/// Writes an offset given in seconds west: `+02`, `-03:30`, `+00:19:32`.
pub fn offset(west: i32, out: &mut Vec<u8>) {
    out.put_u8(if west <= 0 { b'+' } else { b'-' });
    let seconds = west.unsigned_abs();
    put2(seconds / 3600, out);
    if !seconds.is_multiple_of(3600) {
        out.put_u8(b':');
        put2(seconds / 60 % 60, out);
        if !seconds.is_multiple_of(60) {
            out.put_u8(b':');
            put2(seconds % 60, out);
        }
    }
}

/// Writes a time with its offset.
pub fn timetz(t: &TimeTz, _style: &IoStyle, out: &mut Vec<u8>) {
    time(t.micros, out);
    offset(t.zone, out);
}

/// Writes a timestamp without time zone.
pub fn timestamp(t: i64, style: &IoStyle, out: &mut Vec<u8>) {
    if !infinite(t, out) {
        put_timestamp(t, None, style, out);
    }
}

/// Writes a timestamp in the session's time zone.
pub fn timestamptz(t: i64, style: &IoStyle, out: &mut Vec<u8>) {
    if infinite(t, out) {
        return;
    }
    if style.date_style.format == DateFormat::Iso {
        // No abbreviation wanted: none is made.
        let east = style.time_zone.offset_at(t);
        let local = t.saturating_add(i64::from(east) * SECOND);
        return put_timestamp(local, Some((-east, "")), style, out);
    }
    let info = style.time_zone.at(t);
    let local = t.saturating_add(i64::from(info.east) * SECOND);
    put_timestamp(local, Some((-info.east, info.abbreviation.as_str())), style, out);
}

fn infinite(t: i64, out: &mut Vec<u8>) -> bool {
    match t {
        TIMESTAMP_INFINITY => out.put_slice(b"infinity"),
        TIMESTAMP_NEG_INFINITY => out.put_slice(b"-infinity"),
        _ => return false,
    }
    true
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn put_timestamp(local: i64, zone: Option<(i32, &str)>, style: &IoStyle, out: &mut Vec<u8>) {
    let (days, micros) = split(local);
    let (year, month, day) = civil(days);
    let format = style.date_style.format;
    if format == DateFormat::Postgres {
        return put_postgres((year, month, day), days, micros, zone, style, out);
    }
    let bc = put_date(year, month, day, style, out);
    out.put_u8(b' ');
    time(micros, out);
    match zone {
        None => {}
        Some((west, _)) if format == DateFormat::Iso => offset(west, out),
        Some((west, name)) => put_zone_name(west, name, out),
    }
    if bc {
        out.put_slice(b" BC");
    }
}

/// A blank and the zone's abbreviation, which may be an offset in text itself.
fn put_zone_name(west: i32, name: &str, out: &mut Vec<u8>) {
    out.put_u8(b' ');
    if name.is_empty() {
        offset(west, out);
    } else {
        out.put_slice(name.as_bytes());
    }
}

/// `Thu Jan 01 00:00:00 1970 PST`
fn put_postgres(
    (year, month, day): (i32, i32, i32),
    days: i32,
    micros: i64,
    zone: Option<(i32, &str)>,
    style: &IoStyle,
    out: &mut Vec<u8>,
) {
    let name = |names: &[&'static str], i: i32| {
        usize::try_from(i).ok().and_then(|i| names.get(i).copied()).unwrap_or("")
    };
    // 2000-01-01 was a Saturday.
    out.put_slice(name(&DAYS, (days.rem_euclid(7) + 6) % 7).as_bytes());
    out.put_u8(b' ');
    let month = name(&MONTHS, month - 1);
    let (year, bc) = era(year);
    if style.date_style.order == DateOrder::Dmy {
        put2(day, out);
        out.put_u8(b' ');
        out.put_slice(month.as_bytes());
    } else {
        out.put_slice(month.as_bytes());
        out.put_u8(b' ');
        put2(day, out);
    }
    out.put_u8(b' ');
    time(micros, out);
    out.put_u8(b' ');
    put_year(year, out);
    match zone {
        None => {}
        Some((west, name)) => put_zone_name(west, name, out),
    }
    if bc {
        out.put_slice(b" BC");
    }
}
