//! From a Rust value to a function's result.

use std::sync::Arc;

use vicinity_types::array::Array;
use vicinity_types::geo::{Circle, Line, Lseg, Path, Point, Polygon, Rect};
use vicinity_types::interval::Interval;
use vicinity_types::io::MAX_TEXT;
use vicinity_types::jsonb::Jsonb;
use vicinity_types::numeric::Numeric;
use vicinity_types::pase::Pase;
use vicinity_types::record::Record;
use vicinity_types::{Datum, Oid, PgError, Result, TimeTz};

/// What a function body may evaluate to: a plain value, an `Option` (`None` is NULL) or a `Result`
/// of such.
pub(crate) trait Out {
    fn out(self) -> Result<Datum>;
}

impl Out for Datum {
    #[inline]
    fn out(self) -> Result<Datum> {
        Ok(self)
    }
}

impl<T: Out> Out for Option<T> {
    #[inline]
    fn out(self) -> Result<Datum> {
        self.map_or(Ok(Datum::Null), Out::out)
    }
}

impl<T: Out> Out for Result<T> {
    #[inline]
    fn out(self) -> Result<Datum> {
        self.and_then(Out::out)
    }
}

/// A value longer than PostgreSQL's memory allows for one.
pub(crate) fn check_size(bytes: usize) -> Result<()> {
    if bytes <= MAX_TEXT {
        return Ok(());
    }
    // With the four bytes of a varying value's length.
    Err(PgError::internal(format!("invalid memory alloc request size {}", bytes + 4)))
}

impl Out for String {
    #[inline]
    fn out(self) -> Result<Datum> {
        check_size(self.len())?;
        Ok(Datum::Text(Arc::from(self)))
    }
}

impl Out for Vec<u8> {
    #[inline]
    fn out(self) -> Result<Datum> {
        check_size(self.len())?;
        Ok(Datum::Bytea(Arc::from(self)))
    }
}

macro_rules! out {
    ($($ty:ty => $make:expr;)*) => {$(
        impl Out for $ty {
            #[inline]
            fn out(self) -> Result<Datum> {
                Ok(($make)(self))
            }
        }
    )*};
}

out! {
    bool => Datum::Bool;
    i16 => Datum::Int2;
    i32 => Datum::Int4;
    i64 => Datum::Int8;
    f32 => Datum::Float4;
    f64 => Datum::Float8;
    Oid => Datum::Oid;
    &str => |s: &str| Datum::text(s);
    Arc<str> => Datum::Text;
    Numeric => |n| Datum::Numeric(Arc::new(n));
    Arc<Numeric> => Datum::Numeric;
    TimeTz => Datum::TimeTz;
    Interval => Datum::Interval;
    Point => Datum::Point;
    Lseg => |v| Datum::Lseg(Arc::new(v));
    Path => |v| Datum::Path(Arc::new(v));
    Rect => |v| Datum::Box(Arc::new(v));
    Polygon => |v| Datum::Polygon(Arc::new(v));
    Line => Datum::Line;
    Circle => Datum::Circle;
    Pase => |v| Datum::Pase(Arc::new(v));
    Array => |v| Datum::Array(Arc::new(v));
    Record => |v| Datum::Record(Arc::new(v));
    Jsonb => |v| Datum::Jsonb(Arc::new(v));
}
