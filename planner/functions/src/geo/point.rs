//! `point`.

use vicinity_types::Datum::{Box as Rectangle, Float8, Point as Pt};
use vicinity_types::Result;
pub(crate) use vicinity_types::geo::hypotenuse;
use vicinity_types::geo::{Point, Rect};

use super::{eq, gt, lt};
use crate::number::float::{double, overflow};

/// Distance between two points.
pub(crate) fn distance(a: Point, b: Point) -> f64 {
    hypotenuse(a.x - b.x, a.y - b.y)
}

/// The same for the operator itself, which says when it goes beyond what a float holds.
fn checked_distance(a: Point, b: Point) -> Result<f64> {
    let (dx, dy) = (double::mi(a.x, b.x)?, double::mi(a.y, b.y)?);
    let distance = hypotenuse(dx, dy);
    if distance.is_infinite() && !dx.is_infinite() && !dy.is_infinite() {
        return Err(overflow());
    }
    Ok(distance)
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

pub(crate) fn add(a: Point, b: Point) -> Result<Point> {
    Ok(Point { x: double::pl(a.x, b.x)?, y: double::pl(a.y, b.y)? })
}

pub(crate) fn sub(a: Point, b: Point) -> Result<Point> {
    Ok(Point { x: double::mi(a.x, b.x)?, y: double::mi(a.y, b.y)? })
}

/// As complex numbers: rotation and scaling.
pub(crate) fn mul(a: Point, b: Point) -> Result<Point> {
    let x = double::mi(double::mul(a.x, b.x)?, double::mul(a.y, b.y)?)?;
    let y = double::pl(double::mul(a.x, b.y)?, double::mul(a.y, b.x)?)?;
    Ok(Point { x, y })
}

pub(crate) fn div(a: Point, b: Point) -> Result<Point> {
    let square = double::pl(double::mul(b.x, b.x)?, double::mul(b.y, b.y)?)?;
    let x = double::pl(double::mul(a.x, b.x)?, double::mul(a.y, b.y)?)?;
    let y = double::mi(double::mul(a.y, b.x)?, double::mul(a.x, b.y)?)?;
    Ok(Point { x: double::div(x, square)?, y: double::div(y, square)? })
}

scalars! { pub(crate) POINT, env;
    "construct_point" [Float8(x), Float8(y)] => Point { x: *x, y: *y };
    "point_distance" [Pt(a), Pt(b)] => checked_distance(*a, *b);
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
