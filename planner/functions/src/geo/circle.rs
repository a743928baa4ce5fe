//! `circle`.

use std::f64::consts::PI;

use vicinity_types::Datum::{Circle as Ci, Float8, Int4, Point as Pt, Polygon as Poly};
use vicinity_types::geo::{Circle, Point, Polygon, Rect};
use vicinity_types::{PgError, Result, SqlState};

use super::{eq, ge, gt, le, lt, ne, point, polygon, zero};
use crate::number::float::double;

/// Exact, border included: what `circle @> point` means with and without an index.
pub(crate) fn contains(c: &Circle, p: Point) -> Result<bool> {
    Ok(point::distance(c.center, p)? <= c.radius)
}

fn area(c: &Circle) -> Result<f64> {
    double::mul(double::mul(c.radius, c.radius)?, PI)
}

fn apart(a: &Circle, b: &Circle) -> Result<f64> {
    point::distance(a.center, b.center)
}

fn left(c: &Circle) -> Result<f64> {
    double::mi(c.center.x, c.radius)
}

fn right(c: &Circle) -> Result<f64> {
    double::pl(c.center.x, c.radius)
}

fn bottom(c: &Circle) -> Result<f64> {
    double::mi(c.center.y, c.radius)
}

fn top(c: &Circle) -> Result<f64> {
    double::pl(c.center.y, c.radius)
}

fn same(a: &Circle, b: &Circle) -> bool {
    let radius = (a.radius.is_nan() && b.radius.is_nan()) || eq(a.radius, b.radius);
    radius && a.center.same(b.center)
}

/// A distance between borders, 0 where they overlap.
fn gap(centers: f64, radius: f64) -> Result<f64> {
    let distance = double::mi(centers, radius)?;
    Ok(if distance < 0.0 { 0.0 } else { distance })
}

/// How far a point is from a circle.
pub(crate) fn distance_to_point(c: &Circle, p: Point) -> Result<f64> {
    gap(point::distance(p, c.center)?, c.radius)
}

fn scale(c: &Circle, p: Point) -> Result<Circle> {
    let center = point::mul(c.center, p)?;
    Ok(Circle { center, radius: double::mul(c.radius, point::hypotenuse(p.x, p.y)?)? })
}

fn shrink(c: &Circle, p: Point) -> Result<Circle> {
    let center = point::div(c.center, p)?;
    Ok(Circle { center, radius: double::div(c.radius, point::hypotenuse(p.x, p.y)?)? })
}

fn inner_box(c: &Circle) -> Result<Rect> {
    let delta = double::div(c.radius, 2f64.sqrt())?;
    let corner = Point { x: delta, y: delta };
    Ok(Rect { high: point::add(c.center, corner)?, low: point::sub(c.center, corner)? })
}

fn to_polygon(corners: i32, c: &Circle) -> Result<Polygon> {
    if zero(c.radius) {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot convert circle with radius zero to polygon",
        ));
    }
    if corners < 2 {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "must request at least 2 points",
        ));
    }
    if corners > 10_000_000 {
        return Err(PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many points requested"));
    }
    let step = 2.0 * PI / f64::from(corners);
    let corner = |i: i32| {
        let angle = step * f64::from(i);
        let x = double::mi(c.center.x, double::mul(c.radius, angle.cos())?)?;
        Ok(Point { x, y: double::pl(c.center.y, double::mul(c.radius, angle.sin())?)? })
    };
    Ok(Polygon { points: (0..corners).map(corner).collect::<Result<_>>()? })
}

/// A comparison of areas.
fn by_area(a: &Circle, b: &Circle, holds: fn(f64, f64) -> bool) -> Result<bool> {
    let second = area(b)?;
    Ok(holds(area(a)?, second))
}

scalars! { pub(crate) CIRCLE, env;
    "cr_circle" [Pt(p), Float8(r)] => Circle { center: *p, radius: *r };
    "circle_same" [Ci(a), Ci(b)] => same(a, b);
    "circle_overlap" [Ci(a), Ci(b)] => le(apart(a, b)?, double::pl(a.radius, b.radius)?);
    "circle_left" [Ci(a), Ci(b)] => lt(right(a)?, left(b)?);
    "circle_overleft" [Ci(a), Ci(b)] => le(right(a)?, right(b)?);
    "circle_right" [Ci(a), Ci(b)] => gt(left(a)?, right(b)?);
    "circle_overright" [Ci(a), Ci(b)] => ge(left(a)?, left(b)?);
    "circle_below" [Ci(a), Ci(b)] => lt(top(a)?, bottom(b)?);
    "circle_overbelow" [Ci(a), Ci(b)] => le(top(a)?, top(b)?);
    "circle_above" [Ci(a), Ci(b)] => gt(bottom(a)?, top(b)?);
    "circle_overabove" [Ci(a), Ci(b)] => ge(bottom(a)?, bottom(b)?);
    "circle_contain" [Ci(a), Ci(b)] => le(apart(a, b)?, double::mi(a.radius, b.radius)?);
    "circle_contained" [Ci(a), Ci(b)] => le(apart(a, b)?, double::mi(b.radius, a.radius)?);
    "circle_eq" [Ci(a), Ci(b)] => by_area(a, b, eq);
    "circle_ne" [Ci(a), Ci(b)] => by_area(a, b, ne);
    "circle_lt" [Ci(a), Ci(b)] => by_area(a, b, lt);
    "circle_le" [Ci(a), Ci(b)] => by_area(a, b, le);
    "circle_gt" [Ci(a), Ci(b)] => by_area(a, b, gt);
    "circle_ge" [Ci(a), Ci(b)] => by_area(a, b, ge);
    "circle_add_pt" [Ci(c), Pt(p)] => Circle { center: point::add(c.center, *p)?, radius: c.radius };
    "circle_sub_pt" [Ci(c), Pt(p)] => Circle { center: point::sub(c.center, *p)?, radius: c.radius };
    "circle_mul_pt" [Ci(c), Pt(p)] => scale(c, *p);
    "circle_div_pt" [Ci(c), Pt(p)] => shrink(c, *p);
    "circle_area" [Ci(c)] => area(c);
    "circle_diameter" [Ci(c)] => double::mul(c.radius, 2.0);
    "circle_radius" [Ci(c)] => c.radius;
    "circle_center" [Ci(c)] => c.center;
    "circle_box" [Ci(c)] => inner_box(c);
    "circle_poly" [Int4(n), Ci(c)] => to_polygon(*n, c);
    "polygon(circle)" [Ci(c)] => to_polygon(12, c);
    "circle_contain_pt" [Ci(c), Pt(p)] => contains(c, *p);
    "pt_contained_circle" [Pt(p), Ci(c)] => contains(c, *p);
    "circle_distance" [Ci(a), Ci(b)] => gap(apart(a, b)?, double::pl(a.radius, b.radius)?);
    "dist_pc" [Pt(p), Ci(c)] => distance_to_point(c, *p);
    "dist_cpoint" [Ci(c), Pt(p)] => distance_to_point(c, *p);
    "dist_cpoly" [Ci(c), Poly(p)] => gap(polygon::distance_to_point(p, c.center)?, c.radius);
    "dist_polyc" [Poly(p), Ci(c)] => gap(polygon::distance_to_point(p, c.center)?, c.radius);
}
