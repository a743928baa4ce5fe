//! `box`.

use vicinity_types::Datum::{Box as Rectangle, Line as Ln, Lseg as Seg, Point as Pt};
use vicinity_types::Result;
use vicinity_types::geo::{Circle, Lseg, Point, Polygon, Rect};

use super::{eq, ge, gt, le, lt, max, min, point};
use crate::number::float::{double, order};

/// The smallest box over two corners. Of zeroes that differ in sign the second one's is on top.
pub(crate) fn spanning(a: Point, b: Point) -> Rect {
    let ordered = |a: f64, b: f64| if order(a, b).is_gt() { (a, b) } else { (b, a) };
    let ((right, left), (top, bottom)) = (ordered(a.x, b.x), ordered(a.y, b.y));
    Rect { high: Point { x: right, y: top }, low: Point { x: left, y: bottom } }
}

/// The smallest box over points; `None` of none.
pub(crate) fn bounding(points: &[Point]) -> Option<Rect> {
    let (first, rest) = points.split_first()?;
    let start = Rect { high: *first, low: *first };
    Some(rest.iter().fold(start, |b, p| union(&b, &Rect { high: *p, low: *p })))
}

pub(crate) fn union(a: &Rect, b: &Rect) -> Rect {
    Rect {
        high: Point { x: max(a.high.x, b.high.x), y: max(a.high.y, b.high.y) },
        low: Point { x: min(a.low.x, b.low.x), y: min(a.low.y, b.low.y) },
    }
}

/// Exact, borders included.
pub(crate) fn contains(b: &Rect, p: Point) -> bool {
    b.high.x >= p.x && b.low.x <= p.x && b.high.y >= p.y && b.low.y <= p.y
}

pub(crate) fn covers(a: &Rect, b: &Rect) -> bool {
    ge(a.high.x, b.high.x) && le(a.low.x, b.low.x) && ge(a.high.y, b.high.y) && le(a.low.y, b.low.y)
}

pub(crate) fn overlap(a: &Rect, b: &Rect) -> bool {
    le(a.low.x, b.high.x) && le(b.low.x, a.high.x) && le(a.low.y, b.high.y) && le(b.low.y, a.high.y)
}

pub(crate) fn center(b: &Rect) -> Result<Point> {
    point::middle(b.high, b.low)
}

fn to_circle(b: &Rect) -> Result<Circle> {
    let center = center(b)?;
    Ok(Circle { center, radius: point::distance(center, b.high)? })
}

fn width(b: &Rect) -> Result<f64> {
    double::mi(b.high.x, b.low.x)
}

fn height(b: &Rect) -> Result<f64> {
    double::mi(b.high.y, b.low.y)
}

fn area(b: &Rect) -> Result<f64> {
    let height = height(b)?;
    double::mul(width(b)?, height)
}

fn intersection(a: &Rect, b: &Rect) -> Option<Rect> {
    overlap(a, b).then(|| Rect {
        high: Point { x: min(a.high.x, b.high.x), y: min(a.high.y, b.high.y) },
        low: Point { x: max(a.low.x, b.low.x), y: max(a.low.y, b.low.y) },
    })
}

/// The four sides, in the order PostgreSQL looks at them.
pub(crate) fn sides(b: &Rect) -> [Lseg; 4] {
    let left_top = Point { x: b.low.x, y: b.high.y };
    let right_bottom = Point { x: b.high.x, y: b.low.y };
    [
        Lseg { a: b.low, b: left_top },
        Lseg { a: b.high, b: left_top },
        Lseg { a: b.low, b: right_bottom },
        Lseg { a: b.high, b: right_bottom },
    ]
}

fn map(b: &Rect, f: impl Fn(Point) -> Result<Point>) -> Result<Rect> {
    Ok(spanning(f(b.high)?, f(b.low)?))
}

fn shift(b: &Rect, f: impl Fn(Point) -> Result<Point>) -> Result<Rect> {
    Ok(Rect { high: f(b.high)?, low: f(b.low)? })
}

fn polygon(b: &Rect) -> Polygon {
    let (high, low) = (b.high, b.low);
    Polygon {
        points: vec![low, Point { x: low.x, y: high.y }, high, Point { x: high.x, y: low.y }],
    }
}

/// The nearest point of a box to a point, and its distance.
pub(crate) fn closest(b: &Rect, p: Point) -> Result<(f64, Point)> {
    if contains(b, p) {
        return Ok((0.0, p));
    }
    nearest(sides(b).iter().map(|side| super::lseg::closest(side, p)))
}

/// The distance of a segment from a box.
fn distance_to_lseg(b: &Rect, s: &Lseg) -> Result<f64> {
    Ok(if crosses(b, s)? { 0.0 } else { closest_side(b, s)?.0 })
}

/// The nearest point of a box to a segment, and its distance.
fn closest_to_lseg(b: &Rect, s: &Lseg) -> Result<(f64, Point)> {
    // In this order, for what is out of range.
    if overlap(&spanning(s.a, s.b), b) {
        let at = super::lseg::closest(s, center(b)?)?.1;
        if crosses(b, s)? {
            return Ok((0.0, at));
        }
    }
    closest_side(b, s)
}

fn closest_side(b: &Rect, s: &Lseg) -> Result<(f64, Point)> {
    nearest(sides(b).iter().map(|side| super::lseg::closest_to_lseg(side, s)))
}

/// The first of the nearest, NaN being farthest.
pub(crate) fn nearest(
    candidates: impl Iterator<Item = Result<(f64, Point)>>,
) -> Result<(f64, Point)> {
    let mut best = None;
    for candidate in candidates {
        let candidate = candidate?;
        if best.is_none_or(|(distance, _)| order(candidate.0, distance).is_lt()) {
            best = Some(candidate);
        }
    }
    Ok(best.unwrap_or((f64::NAN, Point { x: f64::NAN, y: f64::NAN })))
}

/// Whether a segment has a point in a box.
pub(crate) fn crosses(b: &Rect, s: &Lseg) -> Result<bool> {
    if !overlap(&spanning(s.a, s.b), b) {
        return Ok(false);
    }
    if contains(b, s.a) || contains(b, s.b) {
        return Ok(true);
    }
    super::any(&sides(b), |side| Ok(super::lseg::intersection(side, s)?.is_some()))
}

/// A comparison of areas.
fn by_area(a: &Rect, b: &Rect, holds: fn(f64, f64) -> bool) -> Result<bool> {
    let second = area(b)?;
    Ok(holds(area(a)?, second))
}

scalars! { pub(crate) BOXES, env;
    "box_same" [Rectangle(a), Rectangle(b)] => a.high.same(b.high) && a.low.same(b.low);
    "box_overlap" [Rectangle(a), Rectangle(b)] => overlap(a, b);
    "box_contain" [Rectangle(a), Rectangle(b)] => covers(a, b);
    "box_contained" [Rectangle(a), Rectangle(b)] => covers(b, a);
    "box_left" [Rectangle(a), Rectangle(b)] => lt(a.high.x, b.low.x);
    "box_overleft" [Rectangle(a), Rectangle(b)] => le(a.high.x, b.high.x);
    "box_right" [Rectangle(a), Rectangle(b)] => gt(a.low.x, b.high.x);
    "box_overright" [Rectangle(a), Rectangle(b)] => ge(a.low.x, b.low.x);
    "box_below" [Rectangle(a), Rectangle(b)] => lt(a.high.y, b.low.y);
    "box_overbelow" [Rectangle(a), Rectangle(b)] => le(a.high.y, b.high.y);
    "box_above" [Rectangle(a), Rectangle(b)] => gt(a.low.y, b.high.y);
    "box_overabove" [Rectangle(a), Rectangle(b)] => ge(a.low.y, b.low.y);
    "box_below_eq" [Rectangle(a), Rectangle(b)] => le(a.high.y, b.low.y);
    "box_above_eq" [Rectangle(a), Rectangle(b)] => ge(a.low.y, b.high.y);
    "box_lt" [Rectangle(a), Rectangle(b)] => by_area(a, b, lt);
    "box_gt" [Rectangle(a), Rectangle(b)] => by_area(a, b, gt);
    "box_eq" [Rectangle(a), Rectangle(b)] => by_area(a, b, eq);
    "box_le" [Rectangle(a), Rectangle(b)] => by_area(a, b, le);
    "box_ge" [Rectangle(a), Rectangle(b)] => by_area(a, b, ge);
    "box_area" [Rectangle(a)] => area(a);
    "box_width" [Rectangle(a)] => width(a);
    "box_height" [Rectangle(a)] => height(a);
    "box_center" [Rectangle(a)] => center(a);
    "box_distance" [Rectangle(a), Rectangle(b)] => point::distance(center(a)?, center(b)?);
    "box_intersect" [Rectangle(a), Rectangle(b)] => intersection(a, b);
    "box_diagonal" [Rectangle(a)] => Lseg { a: a.high, b: a.low };
    "box_add" [Rectangle(a), Pt(p)] => shift(a, |c| point::add(c, *p));
    "box_sub" [Rectangle(a), Pt(p)] => shift(a, |c| point::sub(c, *p));
    "box_mul" [Rectangle(a), Pt(p)] => map(a, |c| point::mul(c, *p));
    "box_div" [Rectangle(a), Pt(p)] => map(a, |c| point::div(c, *p));
    "box_circle" [Rectangle(a)] => to_circle(a);
    "box_poly" [Rectangle(a)] => polygon(a);
    "boxes_bound_box" [Rectangle(a), Rectangle(b)] => union(a, b);
    "dist_pb" [Pt(p), Rectangle(b)] => closest(b, *p)?.0;
    "dist_bp" [Rectangle(b), Pt(p)] => closest(b, *p)?.0;
    "dist_sb" [Seg(s), Rectangle(b)] => distance_to_lseg(b, s);
    "dist_bs" [Rectangle(b), Seg(s)] => distance_to_lseg(b, s);
    "close_pb" [Pt(p), Rectangle(b)] => super::lseg::known(closest(b, *p)?);
    "close_sb" [Seg(s), Rectangle(b)] => super::lseg::known(closest_to_lseg(b, s)?);
    "inter_sb" [Seg(s), Rectangle(b)] => crosses(b, s);
    "inter_lb" [Ln(l), Rectangle(b)] => super::any(&sides(b), |s| Ok(super::lseg::crosses_line(s, l)?.is_some()));
    "on_sb" [Seg(s), Rectangle(b)] => contains(b, s.a) && contains(b, s.b);
}
