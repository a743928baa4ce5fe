//! Intervals as text, in the four values of `IntervalStyle`.

use bytes::BufMut;

use super::format::put_fraction;
use super::{HOUR, MINUTE, SECOND};
use crate::interval::Interval;
use crate::io::style::IntervalStyle;

/// The fields an interval is shown by; all of the time's have its sign.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

impl Fields {
    fn new(i: &Interval) -> Fields {
        let (months, micros) = (i64::from(i.months), i.micros);
        Fields {
            year: months / 12,
            month: months % 12,
            day: i64::from(i.days),
            hour: micros / HOUR,
            minute: micros / MINUTE % 60,
            second: micros / SECOND % 60,
            micros: micros % SECOND,
        }
    }

    fn all(&self) -> [i64; 7] {
        [self.year, self.month, self.day, self.hour, self.minute, self.second, self.micros]
    }

    fn has_time(&self) -> bool {
        [self.hour, self.minute, self.second, self.micros].iter().any(|n| *n != 0)
    }

    fn time_negative(&self) -> bool {
        [self.hour, self.minute, self.second, self.micros].iter().any(|n| *n < 0)
    }
}

/// Writes an interval.
pub fn write(i: &Interval, style: IntervalStyle, out: &mut Vec<u8>) {
    let f = Fields::new(i);
    match style {
        IntervalStyle::Postgres => postgres(&f, out),
        IntervalStyle::PostgresVerbose => verbose(&f, out),
        IntervalStyle::SqlStandard => sql_standard(&f, out),
        IntervalStyle::Iso8601 => iso8601(&f, out),
    }
}

fn put_int(n: i64, out: &mut Vec<u8>) {
    out.put_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// A magnitude with at least two digits.
fn put2(n: i64, out: &mut Vec<u8>) {
    let n = n.unsigned_abs();
    if n < 10 {
        out.put_u8(b'0');
    }
    out.put_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// `1 year 2 mons -3 days +04:05:06`: a field after a negative one shows its sign.
fn postgres(f: &Fields, out: &mut Vec<u8>) {
    let (mut first, mut after_negative) = (true, false);
    for (n, unit) in [(f.year, "year"), (f.month, "mon"), (f.day, "day")] {
        if n == 0 {
            continue;
        }
        if !first {
            out.put_u8(b' ');
        }
        if after_negative && n > 0 {
            out.put_u8(b'+');
        }
        put_int(n, out);
        out.put_u8(b' ');
        out.put_slice(unit.as_bytes());
        if n != 1 {
            out.put_u8(b's');
        }
        first = false;
        after_negative = n < 0;
    }
    if !first && !f.has_time() {
        return;
    }
    if !first {
        out.put_u8(b' ');
    }
    if f.time_negative() {
        out.put_u8(b'-');
    } else if after_negative {
        out.put_u8(b'+');
    }
    put2(f.hour, out);
    out.put_u8(b':');
    put2(f.minute, out);
    out.put_u8(b':');
    put2(f.second, out);
    put_fraction(f.micros, out);
}

/// `@ 1 year 2 mons 3 days 4 hours ago`: the first field's sign is the interval's.
fn verbose(f: &Fields, out: &mut Vec<u8>) {
    let (mut first, mut ago) = (true, false);
    out.put_u8(b'@');
    let units =
        [(f.year, "year"), (f.month, "mon"), (f.day, "day"), (f.hour, "hour"), (f.minute, "min")];
    for (n, unit) in units {
        if n == 0 {
            continue;
        }
        if first {
            ago = n < 0;
        }
        let shown = if ago { -n } else { n };
        out.put_u8(b' ');
        put_int(shown, out);
        out.put_u8(b' ');
        out.put_slice(unit.as_bytes());
        if shown != 1 {
            out.put_u8(b's');
        }
        first = false;
    }
    if f.second != 0 || f.micros != 0 {
        out.put_u8(b' ');
        if f.second < 0 || f.micros < 0 {
            if first {
                ago = true;
            } else if !ago {
                out.put_u8(b'-');
            }
        } else if ago {
            out.put_u8(b'-');
        }
        put_seconds(f, out);
        let one = f.second.abs() == 1 && f.micros == 0;
        out.put_slice(if one { b" sec" } else { b" secs" });
        first = false;
    }
    if first {
        out.put_slice(b" 0");
    }
    if ago {
        out.put_slice(b" ago");
    }
}

fn put_seconds(f: &Fields, out: &mut Vec<u8>) {
    put_int(f.second.abs(), out);
    put_fraction(f.micros, out);
}

/// `P1Y2M3DT4H5M6.7S`
fn iso8601(f: &Fields, out: &mut Vec<u8>) {
    if f.all().iter().all(|n| *n == 0) {
        return out.put_slice(b"PT0S");
    }
    let part = |n: i64, unit: u8, out: &mut Vec<u8>| {
        if n != 0 {
            put_int(n, out);
            out.put_u8(unit);
        }
    };
    out.put_u8(b'P');
    part(f.year, b'Y', out);
    part(f.month, b'M', out);
    part(f.day, b'D', out);
    if f.has_time() {
        out.put_u8(b'T');
    }
    part(f.hour, b'H', out);
    part(f.minute, b'M', out);
    if f.second != 0 || f.micros != 0 {
        if f.second < 0 || f.micros < 0 {
            out.put_u8(b'-');
        }
        put_seconds(f, out);
        out.put_u8(b'S');
    }
}

/// `1-2`, `3 4:05:06`, or `+1-2 -3 +4:05:06` for what the standard has no form for.
fn sql_standard(f: &Fields, out: &mut Vec<u8>) {
    let negative = f.all().iter().any(|n| *n < 0);
    let positive = f.all().iter().any(|n| *n > 0);
    let year_month = f.year != 0 || f.month != 0;
    let day_time = f.day != 0 || f.has_time();
    let sign = |minus: bool, out: &mut Vec<u8>| out.put_u8(if minus { b'-' } else { b'+' });
    if !negative && !positive {
        return out.put_u8(b'0');
    }
    if negative && positive || year_month && day_time {
        sign(f.year < 0 || f.month < 0, out);
        put_year_month(f, out);
        out.put_u8(b' ');
        sign(f.day < 0, out);
        put_int(f.day.abs(), out);
        out.put_u8(b' ');
        sign(f.time_negative(), out);
        return put_clock(f, out);
    }
    if negative {
        out.put_u8(b'-');
    }
    if year_month {
        return put_year_month(f, out);
    }
    if f.day != 0 {
        put_int(f.day.abs(), out);
        out.put_u8(b' ');
    }
    put_clock(f, out);
}

fn put_year_month(f: &Fields, out: &mut Vec<u8>) {
    put_int(f.year.abs(), out);
    out.put_u8(b'-');
    put_int(f.month.abs(), out);
}

fn put_clock(f: &Fields, out: &mut Vec<u8>) {
    put_int(f.hour.abs(), out);
    out.put_u8(b':');
    put2(f.minute, out);
    out.put_u8(b':');
    put2(f.second, out);
    put_fraction(f.micros, out);
}
