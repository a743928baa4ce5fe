//! `point`.

use vicinity_types::Datum::{Box as Rectangle, Float8, Point as Pt};
use vicinity_types::Result;
pub(crate) use vicinity_types::geo::hypotenuse;
use vicinity_types::geo::{Point, Rect};

use super::{eq, gt, lt};
use crate::number::int::division_by_zero;

/// Distance between two points.
pub(crate) fn distance(a: Point, b: Point) -> f64 {
    hypotenuse(a.x - b.x, a.y - b.y)
}

/// Slope of the line through two points, infinite for a vertical one.
pub(crate) fn slope(a: Point, b: Point) -> f64 {
    if eq(a.x, b.x) {
        f64::INFINITY
    } else if eq(a.y, b.y) {
        0.0
    } else {
        (a.y - b.y) / (a.x - b.x)
    }
}

/// Slope of the perpendicular to the line through two points.
pub(crate) fn inverse_slope(a: Point, b: Point) -> f64 {
    if eq(a.x, b.x) {
        0.0
    } else if eq(a.y, b.y) {
        f64::INFINITY
    } else {
        (a.x - b.x) / (b.y - a.y)
    }
}

pub(crate) fn add(a: Point, b: Point) -> Point {
    Point { x: a.x + b.x, y: a.y + b.y }
}

pub(crate) fn sub(a: Point, b: Point) -> Point {
    Point { x: a.x - b.x, y: a.y - b.y }
}

/// As complex numbers: rotation and scaling.
pub(crate) fn mul(a: Point, b: Point) -> Point {
    Point { x: a.x * b.x - a.y * b.y, y: a.x * b.y + a.y * b.x }
}

pub(crate) fn div(a: Point, b: Point) -> Result<Point> {
    let square = b.x * b.x + b.y * b.y;
    if square == 0.0 && !a.x.is_nan() && !a.y.is_nan() {
        return Err(division_by_zero());
    }
    Ok(Point { x: (a.x * b.x + a.y * b.y) / square, y: (a.y * b.x - a.x * b.y) / square })
}

scalars! { pub(crate) POINT, env;
    "construct_point" [Float8(x), Float8(y)] => Point { x: *x, y: *y };
    "point_distance" [Pt(a), Pt(b)] => distance(*a, *b);
    "point_eq" [Pt(a), Pt(b)] => a.same(*b);
    "point_ne" [Pt(a), Pt(b)] => !a.same(*b);
    "point_left" [Pt(a), Pt(b)] => lt(a.x, b.x);
    "point_right" [Pt(a), Pt(b)] => gt(a.x, b.x);
    "point_above" [Pt(a), Pt(b)] => gt(a.y, b.y);
    "point_below" [Pt(a), Pt(b)] => lt(a.y, b.y);
    "point_vert" [Pt(a), Pt(b)] => eq(a.x, b.x);
    "point_horiz" [Pt(a), Pt(b)] => eq(a.y, b.y);
    "point_slope" [Pt(a), Pt(b)] => slope(*a, *b);
    "point_add" [Pt(a), Pt(b)] => add(*a, *b);
    "point_sub" [Pt(a), Pt(b)] => sub(*a, *b);
    "point_mul" [Pt(a), Pt(b)] => mul(*a, *b);
    "point_div" [Pt(a), Pt(b)] => div(*a, *b);
    "point_box" [Pt(a)] => Rect { high: *a, low: *a };
    "points_box" [Pt(a), Pt(b)] => super::boxes::spanning(*a, *b);
    "on_pb" [Pt(p), Rectangle(b)] => super::boxes::contains(b, *p);
    "box_contain_pt" [Rectangle(b), Pt(p)] => super::boxes::contains(b, *p);
}
