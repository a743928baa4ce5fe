//! One PostgreSQL value in memory.
//!
//! A [`Datum`] does not know its exact SQL type: `Text` is text, varchar, name or json; the type
//! travels beside it (an [`Oid`] the binder resolved). What it does fix is the physical [`Kind`].

use std::sync::Arc;

use crate::array::Array;
use crate::geo::{Circle, Line, Lseg, Path, Point, Polygon, Rect};
use crate::interval::Interval;
use crate::jsonb::Jsonb;
use crate::numeric::Numeric;
use crate::pase::Pase;
use crate::record::Record;

/// A PostgreSQL object id.
pub type Oid = u32;

/// A time of day with an offset, as `timetz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeTz {
    /// Microseconds since midnight, local.
    pub micros: i64,
    /// Seconds **west** of UTC, PostgreSQL's sign.
    pub zone: i32,
}

/// A value. `Default` is NULL.
#[derive(Clone, Debug, Default)]
pub enum Datum {
    /// SQL NULL of any type.
    #[default]
    Null,
    /// `bool`
    Bool(bool),
    /// `int2`
    Int2(i16),
    /// `int4`
    Int4(i32),
    /// `int8`
    Int8(i64),
    /// `float4`
    Float4(f32),
    /// `float8`
    Float8(f64),
    /// `numeric`
    Numeric(Arc<Numeric>),
    /// `text`, `varchar`, `bpchar`, `name`, `"char"`, `json`, `xml`, `cstring`, `unknown`
    Text(Arc<str>),
    /// `bytea`
    Bytea(Arc<[u8]>),
    /// `date`: days since 2000-01-01; `i32::MIN`/`MAX` are -infinity and infinity.
    Date(i32),
    /// `time`: microseconds since midnight.
    Time(i64),
    /// `timetz`
    TimeTz(TimeTz),
    /// `timestamp`: microseconds since 2000-01-01; `i64::MIN`/`MAX` are the infinities.
    Timestamp(i64),
    /// `timestamptz`: the same, in UTC.
    TimestampTz(i64),
    /// `interval`
    Interval(Interval),
    /// `uuid`
    Uuid([u8; 16]),
    /// `oid`, `regclass` and the other reg types, `xid`, `cid`
    Oid(Oid),
    /// `tid`: the row id behind `ctid`.
    Tid(u64),
    /// `jsonb`
    Jsonb(Arc<Jsonb>),
    /// `point`
    Point(Point),
    /// `lseg`
    Lseg(Arc<Lseg>),
    /// `path`
    Path(Arc<Path>),
    /// `box`
    Box(Arc<Rect>),
    /// `polygon`
    Polygon(Arc<Polygon>),
    /// `line`
    Line(Line),
    /// `circle`
    Circle(Circle),
    /// `pase`
    Pase(Arc<Pase>),
    /// An array of any element type; also `int2vector` and `oidvector`.
    Array(Arc<Array>),
    /// A row or composite value.
    Record(Arc<Record>),
}

impl Datum {
    /// A text value.
    pub fn text(s: impl AsRef<str>) -> Datum {
        Datum::Text(Arc::from(s.as_ref()))
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }
}

/// How a type's values are held in a tuple and in an Arrow array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytea,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Oid,
    Tid,
    Jsonb,
    Point,
    Lseg,
    Path,
    Box,
    Polygon,
    Line,
    Circle,
    Pase,
    Array,
    Record,
}

impl Kind {
    /// Bytes a value takes in a tuple's fixed area; `None` for kinds of varying length.
    pub fn width(self) -> Option<usize> {
        Some(match self {
            Kind::Bool => 1,
            Kind::Int2 => 2,
            Kind::Int4 | Kind::Float4 | Kind::Date | Kind::Oid => 4,
            Kind::Int8
            | Kind::Float8
            | Kind::Time
            | Kind::Timestamp
            | Kind::TimestampTz
            | Kind::Tid => 8,
            Kind::TimeTz => 12,
            Kind::Interval | Kind::Uuid | Kind::Point => 16,
            Kind::Line | Kind::Circle => 24,
            Kind::Lseg | Kind::Box => 32,
            Kind::Numeric
            | Kind::Text
            | Kind::Bytea
            | Kind::Jsonb
            | Kind::Path
            | Kind::Polygon
            | Kind::Pase
            | Kind::Array
            | Kind::Record => return None,
        })
    }
}
