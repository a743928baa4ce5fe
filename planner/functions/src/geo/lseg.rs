//! `lseg`.

use vicinity_types::Datum::{Line as Ln, Lseg as Seg, Point as Pt};
use vicinity_types::Result;
use vicinity_types::geo::{Line, Lseg, Point};

use super::{eq, ge, gt, le, line, lt, point};

pub(crate) fn length(s: &Lseg) -> Result<f64> {
    point::distance(s.a, s.b)
}

fn slope(s: &Lseg) -> Result<f64> {
    point::slope(s.a, s.b)
}

pub(crate) fn center(s: &Lseg) -> Result<Point> {
    point::middle(s.a, s.b)
}

/// Whether a point lies on a segment: the ways to its ends add up to its length.
pub(crate) fn contains(s: &Lseg, p: Point) -> Result<bool> {
    Ok(eq(point::distance(p, s.a)? + point::distance(p, s.b)?, length(s)?))
}

/// Where a segment meets a line.
pub(crate) fn crosses_line(s: &Lseg, l: &Line) -> Result<Option<Point>> {
    let Some(at) = line::intersection(&line::of_lseg(s)?, l)? else { return Ok(None) };
    if !contains(s, at)? {
        return Ok(None);
    }
    // An end within the tolerance is meant exactly.
    Ok(Some(if s.a.same(at) {
        s.a
    } else if s.b.same(at) {
        s.b
    } else {
        at
    }))
}

/// Where two segments meet.
pub(crate) fn intersection(s: &Lseg, t: &Lseg) -> Result<Option<Point>> {
    let Some(at) = crosses_line(s, &line::of_lseg(t)?)? else { return Ok(None) };
    Ok(contains(t, at)?.then_some(at))
}

fn closest_to_line(s: &Lseg, l: &Line) -> Result<(f64, Point)> {
    if let Some(at) = crosses_line(s, l)? {
        return Ok((0.0, at));
    }
    let (first, second) = (line::closest(l, s.a)?.0, line::closest(l, s.b)?.0);
    Ok(if first < second { (first, s.a) } else { (second, s.b) })
}

/// The nearest point of a segment to a point, and its distance.
pub(crate) fn closest(s: &Lseg, p: Point) -> Result<(f64, Point)> {
    let perpendicular = Line::with_slope(p, point::inverse_slope(s.a, s.b)?)?;
    let (_, at) = closest_to_line(s, &perpendicular)?;
    Ok((point::distance(at, p)?, at))
}

/// The nearest point of `s` to another segment, and its distance.
pub(crate) fn closest_to_lseg(s: &Lseg, to: &Lseg) -> Result<(f64, Point)> {
    if let Some(at) = intersection(s, to)? {
        return Ok((0.0, at));
    }
    let ends = [(s, to.a, false), (s, to.b, false), (to, s.a, true), (to, s.b, true)];
    super::boxes::nearest(ends.into_iter().map(|(from, end, own)| {
        let (distance, at) = closest(from, end)?;
        Ok((distance, if own { end } else { at }))
    }))
}

/// A closest point, unless there is none.
pub(crate) fn known((distance, at): (f64, Point)) -> Option<Point> {
    (!distance.is_nan()).then_some(at)
}

fn same(s: &Lseg, t: &Lseg) -> bool {
    s.a.same(t.a) && s.b.same(t.b)
}

fn parallel(s: &Lseg, t: &Lseg) -> Result<bool> {
    let other = slope(t)?;
    Ok(eq(slope(s)?, other))
}

fn perpendicular(s: &Lseg, t: &Lseg) -> Result<bool> {
    let other = point::inverse_slope(t.a, t.b)?;
    Ok(eq(slope(s)?, other))
}

scalars! { pub(crate) LSEG, env;
    "lseg_construct" [Pt(a), Pt(b)] => Lseg { a: *a, b: *b };
    "lseg_length" [Seg(s)] => length(s);
    "lseg_center" [Seg(s)] => center(s);
    "lseg_eq" [Seg(s), Seg(t)] => same(s, t);
    "lseg_ne" [Seg(s), Seg(t)] => !same(s, t);
    "lseg_lt" [Seg(s), Seg(t)] => lt(length(s)?, length(t)?);
    "lseg_le" [Seg(s), Seg(t)] => le(length(s)?, length(t)?);
    "lseg_gt" [Seg(s), Seg(t)] => gt(length(s)?, length(t)?);
    "lseg_ge" [Seg(s), Seg(t)] => ge(length(s)?, length(t)?);
    "lseg_parallel" [Seg(s), Seg(t)] => parallel(s, t);
    "lseg_perp" [Seg(s), Seg(t)] => perpendicular(s, t);
    "lseg_vertical" [Seg(s)] => eq(s.a.x, s.b.x);
    "lseg_horizontal" [Seg(s)] => eq(s.a.y, s.b.y);
    "lseg_intersect" [Seg(s), Seg(t)] => intersection(s, t)?.is_some();
    "lseg_interpt" [Seg(s), Seg(t)] => intersection(s, t);
    "lseg_distance" [Seg(s), Seg(t)] => closest_to_lseg(s, t)?.0;
    "inter_sl" [Seg(s), Ln(l)] => crosses_line(s, l)?.is_some();
    "on_ps" [Pt(p), Seg(s)] => contains(s, *p);
    "dist_ps" [Pt(p), Seg(s)] => closest(s, *p)?.0;
    "dist_sp" [Seg(s), Pt(p)] => closest(s, *p)?.0;
    "dist_sl" [Seg(s), Ln(l)] => closest_to_line(s, l)?.0;
    "dist_ls" [Ln(l), Seg(s)] => closest_to_line(s, l)?.0;
    "close_ps" [Pt(p), Seg(s)] => known(closest(s, *p)?);
    "close_ls" [Ln(l), Seg(s)] => if slope(s)? == line::slope(l)? { None } else { known(closest_to_line(s, l)?) };
    "close_lseg" [Seg(s), Seg(t)] => if slope(s)? == slope(t)? { None } else { known(closest_to_lseg(t, s)?) };
}
