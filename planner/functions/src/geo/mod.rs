//! Plane geometry: `point`, `lseg`, `line`, `box`, `path`, `polygon`, `circle`.
//!
//! Comparisons are PostgreSQL's, with its tolerance of 1e-6, except where it compares exactly:
//! `circle @> point`, `box @> point` and the polygons' bounding boxes. What goes beyond what a float
//! holds is an error, as there: of two operands the right one is computed first, since which of
//! overflow and underflow is told depends on it.

pub(crate) mod boxes;
pub(crate) mod circle;
pub(crate) mod line;
pub(crate) mod lseg;
pub(crate) mod path;
pub(crate) mod point;
pub(crate) mod polygon;

pub(crate) use vicinity_types::geo::near as eq;
use vicinity_types::geo::{EPSILON, Point};
use vicinity_types::{Datum, PgError, Result};

pub(crate) fn zero(a: f64) -> bool {
    a.abs() <= EPSILON
}

/// The first thing true of any of these, or the first error.
fn any<T>(of: impl IntoIterator<Item = T>, mut f: impl FnMut(T) -> Result<bool>) -> Result<bool> {
    for item in of {
        if f(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// NaN is not unequal to anything.
pub(crate) fn ne(a: f64, b: f64) -> bool {
    a != b && (a - b).abs() > EPSILON
}

pub(crate) fn lt(a: f64, b: f64) -> bool {
    a + EPSILON < b
}

pub(crate) fn le(a: f64, b: f64) -> bool {
    a <= b + EPSILON
}

pub(crate) fn gt(a: f64, b: f64) -> bool {
    a > b + EPSILON
}

pub(crate) fn ge(a: f64, b: f64) -> bool {
    a + EPSILON >= b
}

/// The smaller of two, NaN sorting above numbers.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    if crate::number::float::order(a, b).is_lt() { a } else { b }
}

/// The larger of two, NaN sorting above numbers.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if crate::number::float::order(a, b).is_gt() { a } else { b }
}

/// `value <-> point`, of what a GiST index is over.
pub fn distance_to_point(value: &Datum, at: Point) -> Result<f64> {
    match value {
        Datum::Point(p) => point::distance(*p, at),
        Datum::Box(b) => Ok(boxes::closest(b, at)?.0),
        Datum::Circle(c) => circle::distance_to_point(c, at),
        Datum::Polygon(p) => polygon::distance_to_point(p, at),
        _ => Err(PgError::internal("a distance of a value without a place")),
    }
}
