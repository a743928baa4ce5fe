//! The part of the plane a search looks at.

use vicinity_types::geo::hypotenuse;

/// A part of the plane: a box, a circle, both, or all of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    low: [f64; 2],
    high: [f64; 2],
    /// Whether the box leaves NaN out, as a comparison does.
    boxed: bool,
    circle: Option<([f64; 2], f64)>,
}

/// The square of a distance, a little larger: what is farther is farther after any rounding.
#[inline]
pub(super) fn square(distance: f64) -> f64 {
    widened(distance * distance)
}

/// A square, a little larger: that much further two squares may be in the other order than their roots.
#[inline]
pub(super) fn widened(square: f64) -> f64 {
    square * (1.0 + 1e-9) + 1e-300
}

impl Region {
    /// The whole plane.
    pub fn all() -> Region {
        Region { low: [f64::NEG_INFINITY; 2], high: [f64::INFINITY; 2], boxed: false, circle: None }
    }

    /// Only what also lies in a box, borders included.
    #[must_use]
    pub fn in_box(self, low: [f64; 2], high: [f64; 2]) -> Region {
        let [lx, ly] = self.low;
        let [hx, hy] = self.high;
        // A NaN border has nothing within it.
        let larger = |a: f64, b: f64| if b.is_nan() || b > a { b } else { a };
        let smaller = |a: f64, b: f64| if b.is_nan() || b < a { b } else { a };
        let ([x, y], [u, v]) = (low, high);
        Region {
            low: [larger(lx, x), larger(ly, y)],
            high: [smaller(hx, u), smaller(hy, v)],
            boxed: true,
            ..self
        }
    }

    /// Only what also lies about where a box is: what is not finite counts as in it.
    #[must_use]
    pub fn near_box(self, low: [f64; 2], high: [f64; 2]) -> Region {
        Region { boxed: self.boxed, ..self.in_box(low, high) }
    }

    /// Only what also lies in a circle, border included; `None` if there is a circle already.
    pub fn in_circle(self, center: [f64; 2], radius: f64) -> Option<Region> {
        self.circle.is_none().then_some(Region { circle: Some((center, radius)), ..self })
    }

    /// Whether a point lies in it.
    pub fn contains(&self, at: [f64; 2]) -> bool {
        self.in_bounds(at) && self.in_reach(at)
    }

    /// The circle's middle, the box's, or the origin: where to begin when no point is asked about.
    pub fn center(&self) -> [f64; 2] {
        let [lx, ly] = self.low;
        let [hx, hy] = self.high;
        let middle = match self.circle {
            Some((center, _)) => center,
            None => [lx / 2.0 + hx / 2.0, ly / 2.0 + hy / 2.0],
        };
        middle.map(|v| if v.is_finite() { v } else { 0.0 })
    }

    /// The radius, if the circle's center is this point.
    pub(super) fn radius_around(&self, point: [f64; 2]) -> Option<f64> {
        self.circle.filter(|(center, _)| *center == point).map(|(_, radius)| radius)
    }

    /// Whether a part with these bounds has nothing in common with the region.
    #[inline]
    pub(super) fn misses(&self, low: &[f64; 2], high: &[f64; 2]) -> bool {
        let ([lx, ly], [hx, hy]) = (self.low, self.high);
        let ([x, y], [u, v]) = (*low, *high);
        u < lx || v < ly || x > hx || y > hy || self.is_beyond_circle(low, high)
    }

    #[inline]
    fn is_beyond_circle(&self, low: &[f64; 2], high: &[f64; 2]) -> bool {
        let Some((center, radius)) = self.circle else { return false };
        nearest_square(low, high, center) > square(radius)
    }

    /// Whether a point lies in the box.
    #[inline]
    pub(super) fn in_bounds(&self, at: [f64; 2]) -> bool {
        let ([lx, ly], [hx, hy], [x, y]) = (self.low, self.high, at);
        !self.boxed || (lx <= x && x <= hx && ly <= y && y <= hy)
    }

    /// Whether a point lies in the circle.
    #[inline]
    pub(super) fn in_reach(&self, at: [f64; 2]) -> bool {
        let Some(([cx, cy], radius)) = self.circle else { return true };
        let [x, y] = at;
        hypotenuse(cx - x, cy - y) <= radius
    }
}

/// The square of the distance from a point to a part with these bounds.
#[inline]
pub(super) fn nearest_square(low: &[f64; 2], high: &[f64; 2], point: [f64; 2]) -> f64 {
    let gap = |l: f64, h: f64, v: f64| {
        if v < l {
            l - v
        } else if v > h {
            v - h
        } else {
            0.0
        }
    };
    let ([lx, ly], [hx, hy], [x, y]) = (*low, *high, point);
    let (dx, dy) = (gap(lx, hx, x), gap(ly, hy, y));
    dx * dx + dy * dy
}

/// The square of the distance from a point to what is farthest of a part with these bounds.
pub(super) fn farthest_square(low: &[f64; 2], high: &[f64; 2], point: [f64; 2]) -> f64 {
    let far = |l: f64, h: f64, v: f64| (v - l).abs().max((v - h).abs());
    let ([lx, ly], [hx, hy], [x, y]) = (*low, *high, point);
    let (dx, dy) = (far(lx, hx, x), far(ly, hy, y));
    dx * dx + dy * dy
}
