//! `circle`.

use std::f64::consts::PI;

use vicinity_types::Datum::{Circle as Ci, Float8, Int4, Point as Pt, Polygon as Poly};
use vicinity_types::geo::{Circle, Point, Polygon, Rect};
use vicinity_types::{PgError, Result, SqlState};

use super::{eq, ge, gt, le, lt, ne, point, polygon, zero};
use crate::number::float::double;

/// Exact, border included: what `circle @> point` means with and without an index.
pub(crate) fn contains(c: &Circle, p: Point) -> bool {
    point::distance(c.center, p) <= c.radius
}

fn area(c: &Circle) -> Result<f64> {
    double::mul(double::mul(c.radius, c.radius)?, PI)
}

fn apart(a: &Circle, b: &Circle) -> f64 {
    point::distance(a.center, b.center)
}

fn same(a: &Circle, b: &Circle) -> bool {
    let radius = (a.radius.is_nan() && b.radius.is_nan()) || eq(a.radius, b.radius);
    radius && a.center.same(b.center)
}

/// A distance between borders, 0 where they overlap.
fn gap(distance: f64) -> f64 {
    if distance < 0.0 { 0.0 } else { distance }
}

fn scale(c: &Circle, p: Point) -> Result<Circle> {
    let radius = double::mul(c.radius, point::hypotenuse(p.x, p.y))?;
    Ok(Circle { center: point::mul(c.center, p)?, radius })
}

fn shrink(c: &Circle, p: Point) -> Result<Circle> {
    let center = point::div(c.center, p)?;
    Ok(Circle { center, radius: double::div(c.radius, point::hypotenuse(p.x, p.y))? })
}

fn inner_box(c: &Circle) -> Rect {
    let delta = c.radius / 2f64.sqrt();
    Rect {
        high: Point { x: c.center.x + delta, y: c.center.y + delta },
        low: Point { x: c.center.x - delta, y: c.center.y - delta },
    }
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
        Point { x: c.center.x - c.radius * angle.cos(), y: c.center.y + c.radius * angle.sin() }
    };
    Ok(Polygon { points: (0..corners).map(corner).collect() })
}

scalars! { pub(crate) CIRCLE, env;
    "cr_circle" [Pt(p), Float8(r)] => Circle { center: *p, radius: *r };
    "circle_same" [Ci(a), Ci(b)] => same(a, b);
    "circle_overlap" [Ci(a), Ci(b)] => le(apart(a, b), a.radius + b.radius);
    "circle_left" [Ci(a), Ci(b)] => lt(a.center.x + a.radius, b.center.x - b.radius);
    "circle_overleft" [Ci(a), Ci(b)] => le(a.center.x + a.radius, b.center.x + b.radius);
    "circle_right" [Ci(a), Ci(b)] => gt(a.center.x - a.radius, b.center.x + b.radius);
    "circle_overright" [Ci(a), Ci(b)] => ge(a.center.x - a.radius, b.center.x - b.radius);
    "circle_below" [Ci(a), Ci(b)] => lt(a.center.y + a.radius, b.center.y - b.radius);
    "circle_overbelow" [Ci(a), Ci(b)] => le(a.center.y + a.radius, b.center.y + b.radius);
    "circle_above" [Ci(a), Ci(b)] => gt(a.center.y - a.radius, b.center.y + b.radius);
    "circle_overabove" [Ci(a), Ci(b)] => ge(a.center.y - a.radius, b.center.y - b.radius);
    "circle_contain" [Ci(a), Ci(b)] => le(apart(a, b), a.radius - b.radius);
    "circle_contained" [Ci(a), Ci(b)] => le(apart(a, b), b.radius - a.radius);
    "circle_eq" [Ci(a), Ci(b)] => eq(area(a)?, area(b)?);
    "circle_ne" [Ci(a), Ci(b)] => ne(area(a)?, area(b)?);
    "circle_lt" [Ci(a), Ci(b)] => lt(area(a)?, area(b)?);
    "circle_le" [Ci(a), Ci(b)] => le(area(a)?, area(b)?);
    "circle_gt" [Ci(a), Ci(b)] => gt(area(a)?, area(b)?);
    "circle_ge" [Ci(a), Ci(b)] => ge(area(a)?, area(b)?);
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
    "circle_distance" [Ci(a), Ci(b)] => gap(apart(a, b) - (a.radius + b.radius));
    "dist_pc" [Pt(p), Ci(c)] => gap(point::distance(*p, c.center) - c.radius);
    "dist_cpoint" [Ci(c), Pt(p)] => gap(point::distance(*p, c.center) - c.radius);
    "dist_cpoly" [Ci(c), Poly(p)] => gap(polygon::distance_to_point(p, c.center) - c.radius);
    "dist_polyc" [Poly(p), Ci(c)] => gap(polygon::distance_to_point(p, c.center) - c.radius);
}
