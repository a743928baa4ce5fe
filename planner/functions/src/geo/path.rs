//! `path`.

use vicinity_types::Datum::{Path as Pa, Point as Pt};
use vicinity_types::geo::{Lseg, Path, Point, Polygon};
use vicinity_types::{PgError, Result, SqlState};

use super::{boxes, eq, lseg, point, polygon};
use crate::number::float::double;

/// The segments between consecutive points; with the closing one first where there is one.
pub(crate) fn segments(points: &[Point], closed: bool) -> impl Iterator<Item = Lseg> + '_ {
    let closing = match (points.first(), points.last()) {
        (Some(first), Some(last)) if closed => Some(Lseg { a: *last, b: *first }),
        _ => None,
    };
    let pairs = points.iter().zip(points.iter().skip(1)).map(|(a, b)| Lseg { a: *a, b: *b });
    closing.into_iter().chain(pairs)
}

fn area(p: &Path) -> Result<Option<f64>> {
    if !p.closed {
        return Ok(None);
    }
    let next = p.points.iter().skip(1).chain(p.points.first());
    let mut twice = 0.0;
    for (a, b) in p.points.iter().zip(next) {
        // One after the other: the last digits depend on it.
        twice = double::pl(twice, double::mul(a.x, b.y)?)?;
        twice = double::mi(twice, double::mul(a.y, b.x)?)?;
    }
    double::div(twice.abs(), 2.0).map(Some)
}

fn length(p: &Path) -> Result<f64> {
    segments(&p.points, p.closed).try_fold(0.0, |sum, s| double::pl(sum, lseg::length(&s)?))
}

fn cross(p: &Path, q: &Path) -> Result<bool> {
    let (Some(a), Some(b)) = (boxes::bounding(&p.points), boxes::bounding(&q.points)) else {
        return Ok(false);
    };
    if !boxes::overlap(&a, &b) {
        return Ok(false);
    }
    super::any(pairs(p, q), |(s, t)| Ok(lseg::intersection(&s, &t)?.is_some()))
}

/// Each segment of one with each of the other.
fn pairs(p: &Path, q: &Path) -> impl Iterator<Item = (Lseg, Lseg)> {
    segments(&p.points, p.closed).flat_map(|s| segments(&q.points, q.closed).map(move |t| (s, t)))
}

/// The least of distances; `None` of none.
pub(crate) fn least(distances: impl Iterator<Item = Result<(f64, Point)>>) -> Result<Option<f64>> {
    let mut least: Option<f64> = None;
    for found in distances {
        let (distance, _) = found?;
        least = Some(least.map_or(distance, |best| super::min(best, distance)));
    }
    Ok(least)
}

fn distance(p: &Path, q: &Path) -> Result<Option<f64>> {
    least(pairs(p, q).map(|(s, t)| lseg::closest_to_lseg(&s, &t)))
}

fn distance_to_point(p: &Path, at: Point) -> Result<f64> {
    let distances = segments(&p.points, p.closed).map(|s| lseg::closest(&s, at));
    // An open path of one point has no segments, and no distance from anything.
    Ok(least(distances)?.unwrap_or(0.0))
}

fn contains(p: &Path, at: Point) -> Result<bool> {
    if p.closed {
        return polygon::inside(at, &p.points);
    }
    super::any(segments(&p.points, false), |s| {
        let both = double::pl(point::distance(at, s.a)?, point::distance(at, s.b)?)?;
        Ok(eq(both, lseg::length(&s)?))
    })
}

fn join(p: &Path, q: &Path) -> Option<Path> {
    let open = !p.closed && !q.closed;
    open.then(|| Path { closed: false, points: [p.points.as_slice(), &q.points].concat() })
}

fn map(p: &Path, f: impl Fn(Point) -> Result<Point>) -> Result<Path> {
    let points = p.points.iter().map(|at| f(*at)).collect::<Result<_>>()?;
    Ok(Path { closed: p.closed, points })
}

fn to_polygon(p: &Path) -> Result<Polygon> {
    if !p.closed {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "open path cannot be converted to polygon",
        ));
    }
    Ok(Polygon { points: p.points.clone() })
}

fn with_closed(p: &Path, closed: bool) -> Path {
    Path { closed, points: p.points.clone() }
}

scalars! { pub(crate) PATH, env;
    "path_area" [Pa(p)] => area(p);
    "path_length" [Pa(p)] => length(p);
    "path_npoints" [Pa(p)] => p.points.len() as i32;
    "path_n_lt" [Pa(p), Pa(q)] => p.points.len() < q.points.len();
    "path_n_le" [Pa(p), Pa(q)] => p.points.len() <= q.points.len();
    "path_n_eq" [Pa(p), Pa(q)] => p.points.len() == q.points.len();
    "path_n_gt" [Pa(p), Pa(q)] => p.points.len() > q.points.len();
    "path_n_ge" [Pa(p), Pa(q)] => p.points.len() >= q.points.len();
    "path_isclosed" [Pa(p)] => p.closed;
    "path_isopen" [Pa(p)] => !p.closed;
    "path_close" [Pa(p)] => with_closed(p, true);
    "path_open" [Pa(p)] => with_closed(p, false);
    "path_inter" [Pa(p), Pa(q)] => cross(p, q);
    "path_distance" [Pa(p), Pa(q)] => distance(p, q);
    "path_add" [Pa(p), Pa(q)] => join(p, q);
    "path_add_pt" [Pa(p), Pt(d)] => map(p, |a| point::add(a, *d));
    "path_sub_pt" [Pa(p), Pt(d)] => map(p, |a| point::sub(a, *d));
    "path_mul_pt" [Pa(p), Pt(d)] => map(p, |a| point::mul(a, *d));
    "path_div_pt" [Pa(p), Pt(d)] => map(p, |a| point::div(a, *d));
    "path_poly" [Pa(p)] => to_polygon(p);
    "on_ppath" [Pt(a), Pa(p)] => contains(p, *a);
    "path_contain_pt(path,point)" [Pa(p), Pt(a)] => contains(p, *a);
    "dist_ppath" [Pt(a), Pa(p)] => distance_to_point(p, *a);
    "dist_pathp" [Pa(p), Pt(a)] => distance_to_point(p, *a);
}
