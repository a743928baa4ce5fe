//! `interval`.

/// An interval: months, days and microseconds are kept apart, as PostgreSQL does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}
