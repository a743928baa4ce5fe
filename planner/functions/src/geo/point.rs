//! `point`.

use vicinity_types::Datum::{Box as Rectangle, Float8, Point as Pt};
use vicinity_types::Result;
pub(crate) use vicinity_types::geo::slope;
use vicinity_types::geo::{Point, Rect};

use super::{eq, gt, lt};
use crate::number::float::{double, overflow};

/// The length of a vector.
pub(crate) fn hypotenuse(x: f64, y: f64) -> Result<f64> {
    let length = vicinity_types::geo::hypotenuse(x, y);
    if length.is_infinite() && !x.is_infinite() && !y.is_infinite() {
        return Err(overflow());
    }
    Ok(length)
}

/// Distance between two points.
pub(crate) fn distance(a: Point, b: Point) -> Result<f64> {
    hypotenuse(double::mi(a.x, b.x)?, double::mi(a.y, b.y)?)
}

/// The point halfway between two.
pub(crate) fn middle(a: Point, b: Point) -> Result<Point> {
    let half = |a, b| double::div(double::pl(a, b)?, 2.0);
    Ok(Point { x: half(a.x, b.x)?, y: half(a.y, b.y)? })
}

/// Slope of the perpendicular to the line through two points.
pub(crate) fn inverse_slope(a: Point, b: Point) -> Result<f64> {
    if eq(a.x, b.x) {
        return Ok(0.0);
    }
    if eq(a.y, b.y) {
        return Ok(f64::INFINITY);
    }
    let height = double::mi(b.y, a.y)?;
    double::div(double::mi(a.x, b.x)?, height)
}

pub(crate) fn add(a: Point, b: Point) -> Result<Point> {
    Ok(Point { x: double::pl(a.x, b.x)?, y: double::pl(a.y, b.y)? })
}

pub(crate) fn sub(a: Point, b: Point) -> Result<Point> {
    Ok(Point { x: double::mi(a.x, b.x)?, y: double::mi(a.y, b.y)? })
}

/// Products of numbers, the second one computed first.
pub(crate) fn products(first: (f64, f64), second: (f64, f64)) -> Result<(f64, f64)> {
    let second = double::mul(second.0, second.1)?;
    Ok((double::mul(first.0, first.1)?, second))
}

/// As complex numbers: rotation and scaling.
pub(crate) fn mul(a: Point, b: Point) -> Result<Point> {
    let (xy, yx) = products((a.x, b.y), (a.y, b.x))?;
    let y = double::pl(xy, yx)?;
    let (xx, yy) = products((a.x, b.x), (a.y, b.y))?;
    Ok(Point { x: double::mi(xx, yy)?, y })
}

pub(crate) fn div(a: Point, b: Point) -> Result<Point> {
    let (xx, yy) = products((b.x, b.x), (b.y, b.y))?;
    let square = double::pl(xx, yy)?;
    let (yx, xy) = products((a.y, b.x), (a.x, b.y))?;
    let y = double::div(double::mi(yx, xy)?, square)?;
    let (xx, yy) = products((a.x, b.x), (a.y, b.y))?;
    Ok(Point { x: double::div(double::pl(xx, yy)?, square)?, y })
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
