//! Values as DataFusion's constants, and back.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Placeholder;
use vicinity_types::arrow::{data_type, value_at};
use vicinity_types::{Datum, Kind, Result};

use super::{PgType, internal};

/// A constant.
pub fn literal(value: &Datum, ty: PgType) -> Result<Expr> {
    Ok(Expr::Literal(datum_to_scalar(ty.kind, value)?, None))
}

/// Parameter `$index` (from 1).
pub fn placeholder(index: usize, ty: PgType) -> Expr {
    let field = arrow::datatypes::Field::new(format!("${index}"), ty.arrow(), true);
    Expr::Placeholder(Placeholder { id: format!("${index}"), field: Some(Arc::new(field)) })
}

/// A value as DataFusion's constant.
pub fn datum_to_scalar(kind: Kind, value: &Datum) -> Result<ScalarValue> {
    Ok(match value {
        Datum::Null => ScalarValue::try_from(&data_type(kind)).map_err(internal)?,
        Datum::Bool(v) => ScalarValue::Boolean(Some(*v)),
        Datum::Int2(v) => ScalarValue::Int16(Some(*v)),
        Datum::Int4(v) | Datum::Date(v) => ScalarValue::Int32(Some(*v)),
        Datum::Int8(v)
        | Datum::Time(v)
        | Datum::Timestamp(v)
        | Datum::TimestampTz(v)
        | Datum::Enum(v) => ScalarValue::Int64(Some(*v)),
        Datum::Tid(v) => ScalarValue::Int64(Some(v.cast_signed())),
        Datum::Float4(v) => ScalarValue::Float32(Some(*v)),
        Datum::Float8(v) => ScalarValue::Float64(Some(*v)),
        Datum::Oid(v) => ScalarValue::UInt32(Some(*v)),
        Datum::Text(v) => ScalarValue::Utf8(Some(v.to_string())),
        Datum::Uuid(v) => ScalarValue::FixedSizeBinary(16, Some(v.to_vec())),
        other => {
            let mut raw = Vec::new();
            vicinity_types::raw::encode(other, &mut raw);
            ScalarValue::Binary(Some(raw))
        }
    })
}

/// A DataFusion constant as a value of a kind.
pub fn scalar_to_datum(kind: Kind, scalar: &ScalarValue) -> Result<Datum> {
    Ok(match (kind, scalar) {
        (_, s) if s.is_null() => Datum::Null,
        (Kind::Bool, ScalarValue::Boolean(Some(v))) => Datum::Bool(*v),
        (Kind::Int2, ScalarValue::Int16(Some(v))) => Datum::Int2(*v),
        (Kind::Int4, ScalarValue::Int32(Some(v))) => Datum::Int4(*v),
        (Kind::Date, ScalarValue::Int32(Some(v))) => Datum::Date(*v),
        (Kind::Int8, ScalarValue::Int64(Some(v))) => Datum::Int8(*v),
        (Kind::Time, ScalarValue::Int64(Some(v))) => Datum::Time(*v),
        (Kind::Timestamp, ScalarValue::Int64(Some(v))) => Datum::Timestamp(*v),
        (Kind::TimestampTz, ScalarValue::Int64(Some(v))) => Datum::TimestampTz(*v),
        (Kind::Enum, ScalarValue::Int64(Some(v))) => Datum::Enum(*v),
        (Kind::Tid, ScalarValue::Int64(Some(v))) => Datum::Tid(v.cast_unsigned()),
        (Kind::Float4, ScalarValue::Float32(Some(v))) => Datum::Float4(*v),
        (Kind::Float8, ScalarValue::Float64(Some(v))) => Datum::Float8(*v),
        (Kind::Oid, ScalarValue::UInt32(Some(v))) => Datum::Oid(*v),
        (
            Kind::Text,
            ScalarValue::Utf8(Some(v))
            | ScalarValue::LargeUtf8(Some(v))
            | ScalarValue::Utf8View(Some(v)),
        ) => Datum::text(v),
        (
            _,
            ScalarValue::Binary(Some(v))
            | ScalarValue::LargeBinary(Some(v))
            | ScalarValue::BinaryView(Some(v))
            | ScalarValue::FixedSizeBinary(_, Some(v)),
        ) => vicinity_types::raw::decode(kind, v)?,
        (_, other) => {
            let array = other.to_array().map_err(internal)?;
            value_at(kind, &array, 0)?
        }
    })
}

/// The kind a constant has when nobody says otherwise.
pub fn scalar_kind(scalar: &ScalarValue) -> Kind {
    match scalar {
        ScalarValue::Boolean(_) => Kind::Bool,
        ScalarValue::Int16(_) => Kind::Int2,
        ScalarValue::Int32(_) => Kind::Int4,
        ScalarValue::Int64(_) => Kind::Int8,
        ScalarValue::Float32(_) => Kind::Float4,
        ScalarValue::Float64(_) => Kind::Float8,
        ScalarValue::UInt32(_) => Kind::Oid,
        ScalarValue::Binary(_) => Kind::Bytea,
        ScalarValue::FixedSizeBinary(..) => Kind::Uuid,
        _ => Kind::Text,
    }
}
