//! Where a row is: what a spatial index keeps of a point, box, circle or polygon.

use std::sync::Arc;

use vicinity_indexes::spatial::Entry;
use vicinity_indexes::{Boxes, Points, count_step};
use vicinity_types::geo::Point;
use vicinity_types::{Datum, Kind, PgError, Result, raw};

use super::index::Body;
use crate::mvcc::RowId;

/// A place in the plane.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Point([f64; 2]),
    /// The box around a value: low x, low y, high x, high y.
    Box([f64; 4]),
}

/// Numbers as a fixed kind stores them.
#[inline]
pub(crate) fn numbers<const N: usize>(value: &[u8]) -> Option<[f64; N]> {
    let (words, []) = value.as_chunks::<8>() else { return None };
    let words: &[[u8; 8]; N] = words.try_into().ok()?;
    Some(words.map(f64::from_le_bytes))
}

/// The box around points; everywhere, if one is NaN, or there is none.
fn around(points: impl IntoIterator<Item = Point>) -> Place {
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for p in points {
        for ((l, h), v) in low.iter_mut().zip(&mut high).zip([p.x, p.y]) {
            if v.is_nan() {
                return Place::Box([f64::NAN; 4]);
            }
            (*l, *h) = (l.min(v), h.max(v));
        }
    }
    let ([lx, ly], [hx, hy]) = (low, high);
    Place::Box([lx, ly, hx, hy])
}

fn without() -> PgError {
    PgError::internal("a spatial index on a value without a place")
}

impl Place {
    /// The place of a stored value.
    #[inline]
    pub(crate) fn of(kind: Kind, value: &[u8]) -> Result<Place> {
        if kind == Kind::Point {
            return numbers(value).map(Place::Point).ok_or_else(without);
        }
        Place::of_value(&raw::decode(kind, value)?)
    }

    /// The place of a value.
    pub(crate) fn of_value(value: &Datum) -> Result<Place> {
        Ok(match value {
            Datum::Point(p) => Place::Point([p.x, p.y]),
            Datum::Box(b) => around([b.low, b.high]),
            // Nothing is known of where a circle of negative radius ends.
            Datum::Circle(c) if c.radius < 0.0 => Place::Box([f64::NAN; 4]),
            Datum::Circle(c) => {
                // As much larger as the last digits of a distance may be off.
                let reach = c.center.x.abs() + c.center.y.abs() + c.radius;
                let r = c.radius + reach * 4.0 * f64::EPSILON;
                let corner = |r| Point { x: c.center.x + r, y: c.center.y + r };
                around([corner(-r), corner(r)])
            }
            Datum::Polygon(p) => around(p.points.iter().copied()),
            _ => return Err(without()),
        })
    }

    /// Whether an index has one entry for both.
    pub(crate) fn same(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Point(a), Place::Point(b)) => a.map(f64::to_bits) == b.map(f64::to_bits),
            (Place::Box(a), Place::Box(b)) => a.map(f64::to_bits) == b.map(f64::to_bits),
            _ => false,
        }
    }

    /// Adds a row's entry to an index of its kind.
    #[inline]
    pub(crate) fn add(self, body: &Body, row: RowId) {
        match (body, self) {
            (Body::Points(index), Place::Point(at)) => index.insert(at, row),
            (Body::Boxes(index), Place::Box(at)) => index.insert(at, row),
            _ => false,
        };
    }

    /// Removes a row's entry.
    pub(crate) fn remove(self, body: &Body, row: RowId) {
        match (body, self) {
            (Body::Points(index), Place::Point(at)) => index.remove(at, row),
            (Body::Boxes(index), Place::Box(at)) => index.remove(at, row),
            _ => false,
        };
    }
}

/// Asks the cache for where an index has entries at these places.
pub(crate) fn prefetch(body: &Body, places: impl Iterator<Item = Place>) {
    let point = |place| match place {
        Place::Point(at) => Some(at),
        Place::Box(_) => None,
    };
    let corners = |place| match place {
        Place::Box(at) => Some(at),
        Place::Point(_) => None,
    };
    match body {
        Body::Points(index) => index.prefetch(places.filter_map(point)),
        Body::Boxes(index) => index.prefetch(places.filter_map(corners)),
        _ => {}
    }
}

/// The index of these rows and places, whose values are all of one kind.
pub(crate) fn built(kind: Kind, places: Vec<(RowId, Place)>) -> Body {
    if kind == Kind::Point {
        let entry = |(row, place)| {
            count_step();
            match place {
                Place::Point(at) => Some(Entry { at, row }),
                Place::Box(_) => None,
            }
        };
        return Body::Points(Arc::new(Points::build(
            places.into_iter().filter_map(entry).collect(),
        )));
    }
    let entry = |(row, place)| match place {
        Place::Box(at) => Some(Entry { at, row }),
        Place::Point(_) => None,
    };
    Body::Boxes(Arc::new(Boxes::build(places.into_iter().filter_map(entry).collect())))
}
