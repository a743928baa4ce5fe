//! `line`: `ax + by + c = 0`.

use vicinity_types::Datum::{Line as Ln, Lseg as Seg, Point as Pt};
use vicinity_types::geo::{Line, Lseg, Point};
use vicinity_types::{PgError, Result, SqlState};

use super::{eq, point, zero};

fn of_points(a: Point, b: Point) -> Result<Line> {
    if a.same(b) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "invalid line specification: must be two distinct points",
        ));
    }
    Ok(Line::with_slope(a, point::slope(a, b)))
}

/// The line a segment lies on.
pub(crate) fn of_lseg(s: &Lseg) -> Line {
    Line::with_slope(s.a, point::slope(s.a, s.b))
}

pub(crate) fn slope(l: &Line) -> f64 {
    if zero(l.a) {
        0.0
    } else if zero(l.b) {
        f64::INFINITY
    } else {
        l.a / -l.b
    }
}

fn inverse_slope(l: &Line) -> f64 {
    if zero(l.a) {
        f64::INFINITY
    } else if zero(l.b) {
        0.0
    } else {
        l.b / l.a
    }
}

/// Where two lines meet; `None` for parallel ones.
pub(crate) fn intersection(l: &Line, m: &Line) -> Option<Point> {
    let (x, y) = if !zero(l.b) {
        if eq(m.a, l.a * (m.b / l.b)) {
            return None;
        }
        let x = (l.b * m.c - m.b * l.c) / (l.a * m.b - m.a * l.b);
        (x, -(l.a * x + l.c) / l.b)
    } else if !zero(m.b) {
        if eq(l.a, m.a * (l.b / m.b)) {
            return None;
        }
        let x = (m.b * l.c - l.b * m.c) / (m.a * l.b - l.a * m.b);
        (x, -(m.a * x + m.c) / m.b)
    } else {
        return None;
    };
    Some(Point { x: x + 0.0, y: y + 0.0 })
}

/// The foot of the perpendicular from a point, and its distance.
pub(crate) fn closest(l: &Line, p: Point) -> (f64, Point) {
    // In this order: which line is solved for first decides the last digits.
    match intersection(&Line::with_slope(p, inverse_slope(l)), l) {
        Some(foot) => (point::distance(foot, p), foot),
        None => (f64::NAN, p),
    }
}

pub(crate) fn contains(l: &Line, p: Point) -> bool {
    zero(l.a * p.x + l.b * p.y + l.c)
}

fn perpendicular(l: &Line, m: &Line) -> bool {
    if zero(l.a) {
        zero(m.b)
    } else if zero(m.a) {
        zero(l.b)
    } else if zero(l.b) {
        zero(m.a)
    } else if zero(m.b) {
        zero(l.a)
    } else {
        eq((l.a * m.a) / (l.b * m.b), -1.0)
    }
}

fn same(l: &Line, m: &Line) -> bool {
    if [l.a, l.b, l.c, m.a, m.b, m.c].iter().any(|v| v.is_nan()) {
        let exact = |a: f64, b: f64| crate::number::float::order(a, b).is_eq();
        return exact(l.a, m.a) && exact(l.b, m.b) && exact(l.c, m.c);
    }
    let ratio = if !zero(m.a) {
        l.a / m.a
    } else if !zero(m.b) {
        l.b / m.b
    } else if !zero(m.c) {
        l.c / m.c
    } else {
        1.0
    };
    eq(l.a, ratio * m.a) && eq(l.b, ratio * m.b) && eq(l.c, ratio * m.c)
}

fn distance(l: &Line, m: &Line) -> f64 {
    if intersection(l, m).is_some() {
        return 0.0;
    }
    let ratio = if !zero(l.a) && !l.a.is_nan() && !zero(m.a) && !m.a.is_nan() {
        l.a / m.a
    } else if !zero(l.b) && !l.b.is_nan() && !zero(m.b) && !m.b.is_nan() {
        l.b / m.b
    } else {
        1.0
    };
    (l.c - ratio * m.c).abs() / point::hypotenuse(l.a, l.b)
}

scalars! { pub(crate) LINE, env;
    "line_construct_pp" [Pt(a), Pt(b)] => of_points(*a, *b);
    "line_intersect" [Ln(l), Ln(m)] => intersection(l, m).is_some();
    "line_parallel" [Ln(l), Ln(m)] => intersection(l, m).is_none();
    "line_interpt" [Ln(l), Ln(m)] => intersection(l, m);
    "line_perp" [Ln(l), Ln(m)] => perpendicular(l, m);
    "line_vertical" [Ln(l)] => zero(l.b);
    "line_horizontal" [Ln(l)] => zero(l.a);
    "line_eq" [Ln(l), Ln(m)] => same(l, m);
    "line_distance" [Ln(l), Ln(m)] => distance(l, m);
    "dist_pl" [Pt(p), Ln(l)] => closest(l, *p).0;
    "dist_lp" [Ln(l), Pt(p)] => closest(l, *p).0;
    "close_pl" [Pt(p), Ln(l)] => super::lseg::known(closest(l, *p));
    "on_pl" [Pt(p), Ln(l)] => contains(l, *p);
    "on_sl" [Seg(s), Ln(l)] => contains(l, s.a) && contains(l, s.b);
}
