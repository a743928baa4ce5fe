//! What a scan of an index has read: the condition an entry meets.

use std::ops::Bound;
use std::sync::Arc;

use vicinity_indexes::spatial::Region;
use vicinity_types::geo::hypotenuse;
use vicinity_types::pase::squared_distance;

use crate::store::index::Entry;
use crate::store::place::Place;
use crate::table::KeyRange;

/// A part of an index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Predicate {
    /// Keys in a range.
    Range(KeyRange),
    /// Points of a region, no farther from a point than a distance. `nulls`: and rows without a point.
    Points { region: Option<Region>, near: Option<([f64; 2], f64)>, nulls: bool },
    /// Boxes between bounds. `nulls`: and rows without a box.
    Boxes { low: [f64; 4], high: [f64; 4], nulls: bool },
    /// Vectors no farther from one than a (squared) distance; without one, and rows without a vector.
    Vectors { query: Arc<[f32]>, within: Option<f64> },
}

/// Where a scan has stopped.
#[derive(Clone, Debug)]
pub(crate) enum Limit {
    /// At this key, on the way up.
    Upper(Vec<u8>),
    /// At this key, on the way down.
    Lower(Vec<u8>),
    /// At this distance.
    Distance(f64),
}

impl Predicate {
    /// Whether a row with this entry, or none, is of the part.
    pub(crate) fn covers(&self, entry: Option<&Entry>) -> bool {
        match (self, entry) {
            (Predicate::Range(range), Some(Entry::Key(key))) => in_range(range, key),
            (Predicate::Points { region, near, .. }, Some(Entry::Place(Place::Point(at)))) => {
                let [x, y] = *at;
                let odd = !x.is_finite() || !y.is_finite();
                let within = |([qx, qy], most): ([f64; 2], f64)| {
                    let distance = hypotenuse(x - qx, y - qy);
                    distance <= most || distance.is_nan()
                };
                odd || region.is_none_or(|r| r.contains(*at)) && near.is_none_or(within)
            }
            (Predicate::Points { nulls, .. } | Predicate::Boxes { nulls, .. }, None) => *nulls,
            (Predicate::Boxes { low, high, .. }, Some(Entry::Place(Place::Box(at)))) => {
                let outside = |((l, h), v): ((&f64, &f64), &f64)| v < l || v > h;
                !low.iter().zip(high).zip(at).any(outside)
            }
            (Predicate::Vectors { query, within: Some(within) }, Some(Entry::Vector(v))) => {
                let distance = squared_distance(v, query);
                v.len() != query.len() || distance <= *within || distance.is_nan()
            }
            (Predicate::Vectors { within, .. }, None) => within.is_none(),
            (Predicate::Range(_), None) => false,
            // An entry of another kind: nothing is known.
            _ => true,
        }
    }

    /// What is left of it where the scan has stopped.
    #[must_use]
    pub(super) fn until(self, limit: Limit) -> Predicate {
        match (self, limit) {
            (Predicate::Range(range), Limit::Upper(key)) => {
                Predicate::Range(KeyRange { upper: Bound::Included(key), ..range })
            }
            (Predicate::Range(range), Limit::Lower(key)) => {
                Predicate::Range(KeyRange { lower: Bound::Included(key), ..range })
            }
            (Predicate::Points { region, near: Some((at, _)), .. }, Limit::Distance(d)) => {
                Predicate::Points { region, near: Some((at, d)), nulls: false }
            }
            (Predicate::Vectors { query, .. }, Limit::Distance(d)) => {
                Predicate::Vectors { query, within: Some(d) }
            }
            (all, _) => all,
        }
    }
}

/// Whether a key lies in a range of prefixes.
fn in_range(range: &KeyRange, key: &[u8]) -> bool {
    let low = match &range.lower {
        Bound::Included(p) => key >= p.as_slice(),
        Bound::Excluded(p) => key > p.as_slice() && !key.starts_with(p),
        Bound::Unbounded => true,
    };
    let high = match &range.upper {
        Bound::Included(p) => key < p.as_slice() || key.starts_with(p),
        Bound::Excluded(p) => key < p.as_slice(),
        Bound::Unbounded => true,
    };
    low && high
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bounds_are_prefixes() {
        let covers = |lower, upper, key: &[u8]| {
            let range = Predicate::Range(KeyRange { lower, upper });
            range.covers(Some(&Entry::Key(key.to_vec())))
        };
        let p = |s: &str| s.as_bytes().to_vec();
        assert!(covers(Bound::Included(p("b")), Bound::Included(p("b")), b"bz"));
        assert!(!covers(Bound::Included(p("b")), Bound::Excluded(p("b")), b"b"));
        assert!(!covers(Bound::Excluded(p("b")), Bound::Unbounded, b"bz"));
        assert!(covers(Bound::Excluded(p("b")), Bound::Unbounded, b"c"));
        assert!(!covers(Bound::Unbounded, Bound::Excluded(p("b")), b"bz"));
        assert!(covers(Bound::Unbounded, Bound::Excluded(p("b")), b"az"));
    }

    #[test]
    fn what_is_nearer_than_the_last_row_is_read() {
        let all =
            Predicate::Points { region: None, near: Some(([0.0; 2], f64::INFINITY)), nulls: true };
        let at = |x| Some(Entry::Place(Place::Point([x, 0.0])));
        assert!(all.covers(None) && all.covers(at(1e9).as_ref()));
        let some = all.until(Limit::Distance(5.0));
        assert!(some.covers(at(5.0).as_ref()) && !some.covers(at(5.1).as_ref()));
        assert!(!some.covers(None) && some.covers(at(f64::NAN).as_ref()));
    }
}
