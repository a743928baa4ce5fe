//! `lseg`.

use vicinity_types::Datum::{Line as Ln, Lseg as Seg, Point as Pt};
use vicinity_types::geo::{Line, Lseg, Point};

use super::{eq, ge, gt, le, line, lt, point};

pub(crate) fn length(s: &Lseg) -> f64 {
    point::distance(s.a, s.b)
}

fn slope(s: &Lseg) -> f64 {
    point::slope(s.a, s.b)
}

pub(crate) fn center(s: &Lseg) -> Point {
    Point { x: (s.a.x + s.b.x) / 2.0, y: (s.a.y + s.b.y) / 2.0 }
}

/// Whether a point lies on a segment: the ways to its ends add up to its length.
pub(crate) fn contains(s: &Lseg, p: Point) -> bool {
    eq(point::distance(p, s.a) + point::distance(p, s.b), length(s))
}

/// Where a segment meets a line.
pub(crate) fn crosses_line(s: &Lseg, l: &Line) -> Option<Point> {
    let at = line::intersection(&line::of_lseg(s), l)?;
    if !contains(s, at) {
        return None;
    }
    // An end within the tolerance is meant exactly.
    Some(if s.a.same(at) {
        s.a
    } else if s.b.same(at) {
        s.b
    } else {
        at
    })
}

/// Where two segments meet.
pub(crate) fn intersection(s: &Lseg, t: &Lseg) -> Option<Point> {
    crosses_line(s, &line::of_lseg(t)).filter(|at| contains(t, *at))
}

fn closest_to_line(s: &Lseg, l: &Line) -> (f64, Point) {
    if let Some(at) = crosses_line(s, l) {
        return (0.0, at);
    }
    let (first, second) = (line::closest(l, s.a).0, line::closest(l, s.b).0);
    if first < second { (first, s.a) } else { (second, s.b) }
}

/// The nearest point of a segment to a point, and its distance.
pub(crate) fn closest(s: &Lseg, p: Point) -> (f64, Point) {
    let perpendicular = Line::with_slope(p, point::inverse_slope(s.a, s.b));
    let (_, at) = closest_to_line(s, &perpendicular);
    (point::distance(at, p), at)
}

/// The nearest point of `s` to another segment, and its distance.
pub(crate) fn closest_to_lseg(s: &Lseg, to: &Lseg) -> (f64, Point) {
    if let Some(at) = intersection(s, to) {
        return (0.0, at);
    }
    let of_end = |end: Point| (closest(to, end).0, end);
    super::boxes::nearest(
        [closest(s, to.a), closest(s, to.b), of_end(s.a), of_end(s.b)].into_iter(),
    )
}

/// A closest point, unless there is none.
pub(crate) fn known((distance, at): (f64, Point)) -> Option<Point> {
    (!distance.is_nan()).then_some(at)
}

fn same(s: &Lseg, t: &Lseg) -> bool {
    s.a.same(t.a) && s.b.same(t.b)
}

fn parallel(s: &Lseg, t: &Lseg) -> bool {
    eq(slope(s), slope(t))
}

scalars! { pub(crate) LSEG, env;
    "lseg_construct" [Pt(a), Pt(b)] => Lseg { a: *a, b: *b };
    "lseg_length" [Seg(s)] => length(s);
    "lseg_center" [Seg(s)] => center(s);
    "lseg_eq" [Seg(s), Seg(t)] => same(s, t);
    "lseg_ne" [Seg(s), Seg(t)] => !same(s, t);
    "lseg_lt" [Seg(s), Seg(t)] => lt(length(s), length(t));
    "lseg_le" [Seg(s), Seg(t)] => le(length(s), length(t));
    "lseg_gt" [Seg(s), Seg(t)] => gt(length(s), length(t));
    "lseg_ge" [Seg(s), Seg(t)] => ge(length(s), length(t));
    "lseg_parallel" [Seg(s), Seg(t)] => parallel(s, t);
    "lseg_perp" [Seg(s), Seg(t)] => eq(slope(s), point::inverse_slope(t.a, t.b));
    "lseg_vertical" [Seg(s)] => eq(s.a.x, s.b.x);
    "lseg_horizontal" [Seg(s)] => eq(s.a.y, s.b.y);
    "lseg_intersect" [Seg(s), Seg(t)] => intersection(s, t).is_some();
    "lseg_interpt" [Seg(s), Seg(t)] => intersection(s, t);
    "lseg_distance" [Seg(s), Seg(t)] => closest_to_lseg(s, t).0;
    "inter_sl" [Seg(s), Ln(l)] => crosses_line(s, l).is_some();
    "on_ps" [Pt(p), Seg(s)] => contains(s, *p);
    "dist_ps" [Pt(p), Seg(s)] => closest(s, *p).0;
    "dist_sp" [Seg(s), Pt(p)] => closest(s, *p).0;
    "dist_sl" [Seg(s), Ln(l)] => closest_to_line(s, l).0;
    "dist_ls" [Ln(l), Seg(s)] => closest_to_line(s, l).0;
    "close_ps" [Pt(p), Seg(s)] => known(closest(s, *p));
    "close_ls" [Ln(l), Seg(s)] => if slope(s) == line::slope(l) { None } else { known(closest_to_line(s, l)) };
    "close_lseg" [Seg(s), Seg(t)] => if slope(s) == slope(t) { None } else { known(closest_to_lseg(t, s)) };
}
