//! `polygon`.

use vicinity_types::Datum::{Point as Pt, Polygon as Poly};
use vicinity_types::Result;
use vicinity_types::geo::{Circle, Lseg, Path, Point, Polygon, Rect};

use super::path::{least, segments};
use super::{boxes, ge, gt, le, lseg, lt, point, zero};
use crate::number::float::double;

/// How the segment from the previous to this corner, both relative to the point asked about,
/// crosses the positive x axis: quarter turns counted twice, `None` where the point lies on it.
fn crossing(at: Point, previous: Point) -> Result<Option<i32>> {
    if zero(at.y) {
        let beyond = |x: f64| if gt(at.x, 0.0) { gt(x, 0.0) } else { lt(x, 0.0) };
        return Ok(if zero(at.x) {
            None
        } else if zero(previous.y) {
            beyond(previous.x).then_some(0)
        } else if gt(at.x, 0.0) {
            Some(if lt(previous.y, 0.0) { 1 } else { -1 })
        } else {
            Some(0)
        });
    }
    let sign = if gt(at.y, 0.0) { 1 } else { -1 };
    if zero(previous.y) {
        return Ok(Some(if lt(previous.x, 0.0) { 0 } else { sign }));
    }
    if (sign < 0 && lt(previous.y, 0.0)) || (sign > 0 && gt(previous.y, 0.0)) {
        return Ok(Some(0));
    }
    if ge(at.x, 0.0) && gt(previous.x, 0.0) {
        return Ok(Some(2 * sign));
    }
    if lt(at.x, 0.0) && le(previous.x, 0.0) {
        return Ok(Some(0));
    }
    let right = double::mul(double::mi(at.y, previous.y)?, at.x)?;
    let z = double::mi(double::mul(double::mi(at.x, previous.x)?, at.y)?, right)?;
    if zero(z) {
        return Ok(None);
    }
    let beyond = (sign < 0 && lt(z, 0.0)) || (sign > 0 && gt(z, 0.0));
    Ok(Some(if beyond { 0 } else { 2 * sign }))
}

/// Whether a point is inside or on the border.
pub(crate) fn inside(p: Point, corners: &[Point]) -> Result<bool> {
    let Some((first, rest)) = corners.split_first() else { return Ok(false) };
    // Corners as seen from the point.
    let start = point::sub(*first, p)?;
    let mut previous = start;
    let mut turns = 0;
    for corner in rest.iter().map(|c| point::sub(*c, p)).chain([Ok(start)]) {
        let corner = corner?;
        match crossing(corner, previous)? {
            None => return Ok(true),
            Some(turn) => turns += turn,
        }
        previous = corner;
    }
    Ok(turns != 0)
}

/// The bounding box; PostgreSQL has no polygon without points.
fn bounds(p: &Polygon) -> Rect {
    let nothing = Point { x: f64::NAN, y: f64::NAN };
    boxes::bounding(&p.points).unwrap_or(Rect { high: nothing, low: nothing })
}

fn same(p: &Polygon, q: &Polygon) -> bool {
    let n = p.points.len();
    if n != q.points.len() {
        return false;
    }
    let equal_from = |start: usize, backwards: bool| {
        p.points.iter().enumerate().all(|(i, a)| {
            let at = if backwards { start + n - i } else { start + i };
            q.points.get(at % n.max(1)).is_some_and(|b| a.same(*b))
        })
    };
    (0..n).any(|start| equal_from(start, false) || equal_from(start, true))
}

fn overlap(p: &Polygon, q: &Polygon) -> Result<bool> {
    if !boxes::overlap(&bounds(p), &bounds(q)) {
        return Ok(false);
    }
    if super::any(pairs(p, q), |(s, t)| Ok(lseg::intersection(&s, &t)?.is_some()))? {
        return Ok(true);
    }
    let corner_inside = |of: &Polygon, other: &Polygon| match of.points.first() {
        Some(c) => inside(*c, &other.points),
        None => Ok(false),
    };
    Ok(corner_inside(p, q)? || corner_inside(q, p)?)
}

/// Each side of one with each of the other.
fn pairs(p: &Polygon, q: &Polygon) -> impl Iterator<Item = (Lseg, Lseg)> {
    segments(&p.points, true).flat_map(|s| segments(&q.points, true).map(move |t| (s, t)))
}

/// The side that ends in a corner.
fn side(corners: &[Point], end: usize) -> Option<Lseg> {
    let start = if end == 0 { corners.len().checked_sub(1)? } else { end - 1 };
    Some(Lseg { a: *corners.get(start)?, b: *corners.get(end)? })
}

/// A segment of which `a` is on side `s`: the part beyond the side is still to be looked at.
fn touching_inside(a: Point, b: Point, s: &Lseg, corners: &[Point], start: usize) -> Result<bool> {
    let t = Lseg { a, b };
    let beyond = if a.same(s.a) {
        lseg::contains(&t, s.b)?.then_some(s.b)
    } else if a.same(s.b) {
        lseg::contains(&t, s.a)?.then_some(s.a)
    } else if lseg::contains(&t, s.a)? {
        Some(s.a)
    } else {
        lseg::contains(&t, s.b)?.then_some(s.b)
    };
    beyond.map_or(Ok(true), |end| segment_inside(b, end, corners, start))
}

/// Whether a segment between two points of a polygon stays inside, from the side ending in corner
/// `start` on.
fn segment_inside(a: Point, b: Point, corners: &[Point], start: usize) -> Result<bool> {
    let t = Lseg { a, b };
    for end in start..corners.len() {
        let Some(s) = side(corners, end) else { break };
        let ok = if lseg::contains(&s, a)? {
            if lseg::contains(&s, b)? {
                return Ok(true);
            }
            touching_inside(a, b, &s, corners, end + 1)?
        } else if lseg::contains(&s, b)? {
            touching_inside(b, a, &s, corners, end + 1)?
        } else if let Some(at) = lseg::intersection(&t, &s)? {
            return Ok(segment_inside(a, at, corners, end + 1)?
                && segment_inside(b, at, corners, end + 1)?);
        } else {
            true
        };
        if !ok {
            return Ok(false);
        }
    }
    inside(lseg::center(&t)?, corners)
}

fn contains(p: &Polygon, q: &Polygon) -> Result<bool> {
    if !boxes::covers(&bounds(p), &bounds(q)) {
        return Ok(false);
    }
    let outside = |s: Lseg| Ok(!segment_inside(s.a, s.b, &p.points, 0)?);
    Ok(!super::any(segments(&q.points, true), outside)?)
}

/// Distance of a point, 0 inside.
pub(crate) fn distance_to_point(p: &Polygon, at: Point) -> Result<f64> {
    if inside(at, &p.points)? {
        return Ok(0.0);
    }
    let ends = (p.points.first(), p.points.last());
    // The closing side goes from the first corner here: ends are not alike to the last digit.
    let closing = ends.0.zip(ends.1).map(|(a, b)| Lseg { a: *a, b: *b });
    let sides = closing.into_iter().chain(segments(&p.points, false));
    Ok(least(sides.map(|s| lseg::closest(&s, at)))?.unwrap_or(f64::NAN))
}

fn distance(p: &Polygon, q: &Polygon) -> Result<Option<f64>> {
    if overlap(p, q)? {
        return Ok(Some(0.0));
    }
    least(pairs(p, q).map(|(s, t)| lseg::closest_to_lseg(&s, &t)))
}

fn to_circle(p: &Polygon) -> Result<Circle> {
    let n = p.points.len() as f64;
    let sum = p.points.iter().try_fold(Point { x: 0.0, y: 0.0 }, |s, c| point::add(s, *c))?;
    let center = Point { x: double::div(sum.x, n)?, y: double::div(sum.y, n)? };
    let mut corners = p.points.iter();
    let radii = corners.try_fold(0.0, |sum, c| double::pl(sum, point::distance(*c, center)?))?;
    Ok(Circle { center, radius: double::div(radii, n)? })
}

scalars! { pub(crate) POLYGON, env;
    "poly_left" [Poly(p), Poly(q)] => bounds(p).high.x < bounds(q).low.x;
    "poly_overleft" [Poly(p), Poly(q)] => bounds(p).high.x <= bounds(q).high.x;
    "poly_right" [Poly(p), Poly(q)] => bounds(p).low.x > bounds(q).high.x;
    "poly_overright" [Poly(p), Poly(q)] => bounds(p).low.x >= bounds(q).low.x;
    "poly_below" [Poly(p), Poly(q)] => bounds(p).high.y < bounds(q).low.y;
    "poly_overbelow" [Poly(p), Poly(q)] => bounds(p).high.y <= bounds(q).high.y;
    "poly_above" [Poly(p), Poly(q)] => bounds(p).low.y > bounds(q).high.y;
    "poly_overabove" [Poly(p), Poly(q)] => bounds(p).low.y >= bounds(q).low.y;
    "poly_same" [Poly(p), Poly(q)] => same(p, q);
    "poly_overlap" [Poly(p), Poly(q)] => overlap(p, q);
    "poly_contain" [Poly(p), Poly(q)] => contains(p, q);
    "poly_contained" [Poly(p), Poly(q)] => contains(q, p);
    "poly_contain_pt" [Poly(p), Pt(a)] => inside(*a, &p.points);
    "pt_contained_poly" [Pt(a), Poly(p)] => inside(*a, &p.points);
    "poly_center" [Poly(p)] => to_circle(p)?.center;
    "poly_circle" [Poly(p)] => to_circle(p);
    "poly_box" | "spg_poly_quad_compress" [Poly(p)] => bounds(p);
    "poly_path" [Poly(p)] => Path { closed: true, points: p.points.clone() };
    "poly_npoints" [Poly(p)] => p.points.len() as i32;
    "poly_distance" [Poly(p), Poly(q)] => distance(p, q);
    "dist_ppoly" [Pt(a), Poly(p)] => distance_to_point(p, *a);
    "dist_polyp" [Poly(p), Pt(a)] => distance_to_point(p, *a);
}
