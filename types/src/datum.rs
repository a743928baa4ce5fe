//! One PostgreSQL value in memory.
//!
//! A [`Datum`] does not know its exact SQL type: `Text` is text, varchar, name or json; the type
//! travels beside it (an [`Oid`] the binder resolved). What it does fix is the physical [`Kind`].

use std::sync::Arc;

use crate::array::Array;
use crate::bits::Bits;
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
    /// `text`, `varchar`, `name`, `"char"`, `json`, `xml`, `cstring`, `unknown`
    Text(Arc<str>),
    /// `character(n)`, with its padding: blanks at the end do not count where values are compared.
    Bpchar(Arc<str>),
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
    /// A value of an enum type: its label's place ([`crate::enums`]).
    Enum(i64),
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
    /// `bit` and `varbit`
    Bits(Arc<Bits>),
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

    /// How this value is held; `None` for NULL.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Datum::Null => return None,
            Datum::Bool(_) => Kind::Bool,
            Datum::Int2(_) => Kind::Int2,
            Datum::Int4(_) => Kind::Int4,
            Datum::Int8(_) => Kind::Int8,
            Datum::Float4(_) => Kind::Float4,
            Datum::Float8(_) => Kind::Float8,
            Datum::Numeric(_) => Kind::Numeric,
            Datum::Text(_) => Kind::Text,
            Datum::Bpchar(_) => Kind::Bpchar,
            Datum::Bytea(_) => Kind::Bytea,
            Datum::Date(_) => Kind::Date,
            Datum::Time(_) => Kind::Time,
            Datum::TimeTz(_) => Kind::TimeTz,
            Datum::Timestamp(_) => Kind::Timestamp,
            Datum::TimestampTz(_) => Kind::TimestampTz,
            Datum::Interval(_) => Kind::Interval,
            Datum::Uuid(_) => Kind::Uuid,
            Datum::Oid(_) => Kind::Oid,
            Datum::Tid(_) => Kind::Tid,
            Datum::Enum(_) => Kind::Enum,
            Datum::Jsonb(_) => Kind::Jsonb,
            Datum::Point(_) => Kind::Point,
            Datum::Lseg(_) => Kind::Lseg,
            Datum::Path(_) => Kind::Path,
            Datum::Box(_) => Kind::Box,
            Datum::Polygon(_) => Kind::Polygon,
            Datum::Line(_) => Kind::Line,
            Datum::Circle(_) => Kind::Circle,
            Datum::Pase(_) => Kind::Pase,
            Datum::Bits(_) => Kind::Bits,
            Datum::Array(_) => Kind::Array,
            Datum::Record(_) => Kind::Record,
        })
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
    Enum,
    Bits,
    Bpchar,
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
            | Kind::Tid
            | Kind::Enum => 8,
            Kind::TimeTz => 12,
            Kind::Interval | Kind::Uuid | Kind::Point => 16,
            Kind::Line | Kind::Circle => 24,
            Kind::Lseg | Kind::Box => 32,
            Kind::Numeric
            | Kind::Text
            | Kind::Bpchar
            | Kind::Bytea
            | Kind::Jsonb
            | Kind::Path
            | Kind::Polygon
            | Kind::Pase
            | Kind::Bits
            | Kind::Array
            | Kind::Record => return None,
        })
    }

    /// Every kind, in the order of their codes. Appended to, never reordered: codes are in files.
    pub const ALL: [Kind; 32] = [
        Kind::Bool,
        Kind::Int2,
        Kind::Int4,
        Kind::Int8,
        Kind::Float4,
        Kind::Float8,
        Kind::Numeric,
        Kind::Text,
        Kind::Bytea,
        Kind::Date,
        Kind::Time,
        Kind::TimeTz,
        Kind::Timestamp,
        Kind::TimestampTz,
        Kind::Interval,
        Kind::Uuid,
        Kind::Oid,
        Kind::Tid,
        Kind::Jsonb,
        Kind::Point,
        Kind::Lseg,
        Kind::Path,
        Kind::Box,
        Kind::Polygon,
        Kind::Line,
        Kind::Circle,
        Kind::Pase,
        Kind::Array,
        Kind::Record,
        Kind::Enum,
        Kind::Bits,
        Kind::Bpchar,
    ];

    /// The kind's number in stored values.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a number.
    pub fn from_code(code: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(code)).copied()
    }
}
