//! The plane geometry types.

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
