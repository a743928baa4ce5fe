//! `line`: `ax + by + c = 0`.

use vicinity_types::Datum::{Line as Ln, Lseg as Seg, Point as Pt};
use vicinity_types::geo::{Line, Lseg, Point};
use vicinity_types::{PgError, Result, SqlState};

use super::{eq, point, zero};
use crate::number::float::double;

fn of_points(a: Point, b: Point) -> Result<Line> {
    if a.same(b) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "invalid line specification: must be two distinct points",
        ));
    }
    Line::with_slope(a, point::slope(a, b)?)
}

/// The line a segment lies on.
pub(crate) fn of_lseg(s: &Lseg) -> Result<Line> {
    Line::with_slope(s.a, point::slope(s.a, s.b)?)
}

pub(crate) fn slope(l: &Line) -> Result<f64> {
    if zero(l.a) {
        return Ok(0.0);
    }
    if zero(l.b) {
        return Ok(f64::INFINITY);
    }
    double::div(l.a, -l.b)
}

fn inverse_slope(l: &Line) -> Result<f64> {
    if zero(l.a) {
        return Ok(f64::INFINITY);
    }
    if zero(l.b) {
        return Ok(0.0);
    }
    double::div(l.b, l.a)
}

/// Where two lines meet; `None` for parallel ones.
pub(crate) fn intersection(l: &Line, m: &Line) -> Result<Option<Point>> {
    if !zero(l.b) {
        solved(l, m)
    } else if !zero(m.b) {
        solved(m, l)
    } else {
        Ok(None)
    }
}

/// The same, solved for the first of them, which is not vertical.
fn solved(l: &Line, m: &Line) -> Result<Option<Point>> {
    if eq(m.a, double::mul(l.a, double::div(m.b, l.b)?)?) {
        return Ok(None);
    }
    let (ab, ba) = point::products((l.a, m.b), (m.a, l.b))?;
    let below = double::mi(ab, ba)?;
    let (bc, cb) = point::products((l.b, m.c), (m.b, l.c))?;
    let x = double::div(double::mi(bc, cb)?, below)?;
    let y = double::div(-double::pl(double::mul(l.a, x)?, l.c)?, l.b)?;
    Ok(Some(Point { x: x + 0.0, y: y + 0.0 }))
}

/// The foot of the perpendicular from a point, and its distance.
pub(crate) fn closest(l: &Line, p: Point) -> Result<(f64, Point)> {
    // In this order: which line is solved for first decides the last digits.
    Ok(match intersection(&Line::with_slope(p, inverse_slope(l)?)?, l)? {
        Some(foot) => (point::distance(foot, p)?, foot),
        None => (f64::NAN, p),
    })
}

pub(crate) fn contains(l: &Line, p: Point) -> Result<bool> {
    let (ax, by) = point::products((l.a, p.x), (l.b, p.y))?;
    Ok(zero(double::pl(double::pl(ax, by)?, l.c)?))
}

fn perpendicular(l: &Line, m: &Line) -> Result<bool> {
    if zero(l.a) {
        return Ok(zero(m.b));
    }
    if zero(m.a) {
        return Ok(zero(l.b));
    }
    if zero(l.b) {
        return Ok(zero(m.a));
    }
    if zero(m.b) {
        return Ok(zero(l.a));
    }
    let (a, b) = point::products((l.a, m.a), (l.b, m.b))?;
    Ok(eq(double::div(a, b)?, -1.0))
}

fn same(l: &Line, m: &Line) -> Result<bool> {
    if [l.a, l.b, l.c, m.a, m.b, m.c].iter().any(|v| v.is_nan()) {
        let exact = |a: f64, b: f64| crate::number::float::order(a, b).is_eq();
        return Ok(exact(l.a, m.a) && exact(l.b, m.b) && exact(l.c, m.c));
    }
    let ratio = if !zero(m.a) {
        double::div(l.a, m.a)?
    } else if !zero(m.b) {
        double::div(l.b, m.b)?
    } else if !zero(m.c) {
        double::div(l.c, m.c)?
    } else {
        1.0
    };
    Ok(eq(l.a, double::mul(ratio, m.a)?)
        && eq(l.b, double::mul(ratio, m.b)?)
        && eq(l.c, double::mul(ratio, m.c)?))
}

fn distance(l: &Line, m: &Line) -> Result<f64> {
    if intersection(l, m)?.is_some() {
        return Ok(0.0);
    }
    let ratio = if !zero(l.a) && !l.a.is_nan() && !zero(m.a) && !m.a.is_nan() {
        double::div(l.a, m.a)?
    } else if !zero(l.b) && !l.b.is_nan() && !zero(m.b) && !m.b.is_nan() {
        double::div(l.b, m.b)?
    } else {
        1.0
    };
    let below = point::hypotenuse(l.a, l.b)?;
    double::div(double::mi(l.c, double::mul(ratio, m.c)?)?.abs(), below)
}

scalars! { pub(crate) LINE, env;
    "line_construct_pp" [Pt(a), Pt(b)] => of_points(*a, *b);
    "line_intersect" [Ln(l), Ln(m)] => intersection(l, m)?.is_some();
    "line_parallel" [Ln(l), Ln(m)] => intersection(l, m)?.is_none();
    "line_interpt" [Ln(l), Ln(m)] => intersection(l, m);
    "line_perp" [Ln(l), Ln(m)] => perpendicular(l, m);
    "line_vertical" [Ln(l)] => zero(l.b);
    "line_horizontal" [Ln(l)] => zero(l.a);
    "line_eq" [Ln(l), Ln(m)] => same(l, m);
    "line_distance" [Ln(l), Ln(m)] => distance(l, m);
    "dist_pl" [Pt(p), Ln(l)] => closest(l, *p)?.0;
    "dist_lp" [Ln(l), Pt(p)] => closest(l, *p)?.0;
    "close_pl" [Pt(p), Ln(l)] => super::lseg::known(closest(l, *p)?);
    "on_pl" [Pt(p), Ln(l)] => contains(l, *p);
    "on_sl" [Seg(s), Ln(l)] => contains(l, s.a)? && contains(l, s.b)?;
}
