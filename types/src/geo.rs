//! The plane geometry types.

use crate::Result;
use crate::float::double;

/// `point`
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

/// `lseg`
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Lseg {
    pub a: Point,
    pub b: Point,
}

/// `box`: `high` has the larger coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Rect {
    pub high: Point,
    pub low: Point,
}

/// `line`: `ax + by + c = 0`
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Line {
    pub a: f64,
    pub b: f64,
    pub c: f64,
}

/// `circle`
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Circle {
    pub center: Point,
    pub radius: f64,
}

/// `path`
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Path {
    pub closed: bool,
    pub points: Vec<Point>,
}

/// `polygon`
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Polygon {
    pub points: Vec<Point>,
}

/// Tolerance of PostgreSQL's geometric comparisons.
pub const EPSILON: f64 = 1e-6;

/// The length of a vector, as PostgreSQL computes it: the last digit is part of what clients compare, and indexes and
/// sorts must agree on it.
#[inline]
pub fn hypotenuse(x: f64, y: f64) -> f64 {
    if x.is_infinite() || y.is_infinite() {
        return f64::INFINITY;
    }
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    let (x, y) = (x.abs(), y.abs());
    let (long, short) = if x < y { (y, x) } else { (x, y) };
    if short == 0.0 {
        return long;
    }
    let ratio = short / long;
    long * (1.0 + ratio * ratio).sqrt()
}

impl Rect {
    /// The box with these two opposite corners.
    pub fn spanning(a: Point, b: Point) -> Rect {
        // NaN counts as the largest number.
        let order = |a: f64, b: f64| {
            if crate::compare::float8(a, b).is_lt() { (b, a) } else { (a, b) }
        };
        let (high_x, low_x) = order(a.x, b.x);
        let (high_y, low_y) = order(a.y, b.y);
        Rect { high: Point { x: high_x, y: high_y }, low: Point { x: low_x, y: low_y } }
    }
}

/// Slope of the line through two points, infinite for a vertical one.
pub fn slope(p: Point, q: Point) -> Result<f64> {
    if near(p.x, q.x) {
        return Ok(f64::INFINITY);
    }
    if near(p.y, q.y) {
        return Ok(0.0);
    }
    let width = double::mi(p.x, q.x)?;
    double::div(double::mi(p.y, q.y)?, width)
}

/// Equal within the tolerance.
pub fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= EPSILON
}

impl Point {
    /// Equal within the tolerance; exactly, where a NaN is involved.
    pub fn same(self, other: Point) -> bool {
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        if [self.x, self.y, other.x, other.y].iter().any(|v| v.is_nan()) {
            return same(self.x, other.x) && same(self.y, other.y);
        }
        near(self.x, other.x) && near(self.y, other.y)
    }
}

impl Line {
    /// The line through two points, in the form PostgreSQL keeps it.
    pub fn through(p: Point, q: Point) -> Result<Line> {
        Line::with_slope(p, slope(p, q)?)
    }

    /// The line through a point with a slope.
    pub fn with_slope(p: Point, slope: f64) -> Result<Line> {
        if slope.is_infinite() {
            return Ok(Line { a: -1.0, b: 0.0, c: p.x });
        }
        if slope == 0.0 {
            return Ok(Line { a: 0.0, b: -1.0, c: p.y });
        }
        // -0 is ugly and PostgreSQL avoids it.
        let c = double::mi(p.y, double::mul(slope, p.x)?)?;
        Ok(Line { a: slope, b: -1.0, c: if c == 0.0 { 0.0 } else { c } })
    }
}
