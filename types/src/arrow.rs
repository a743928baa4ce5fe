//! Values in Arrow arrays.
//!
//! Kinds with an Arrow type of the same meaning use it; all others travel as `Binary` holding their
//! stored form ([`crate::raw`]). For some of those the bytes are not canonical: equal values may
//! differ in bytes, and byte order is never value order. [`needs_key`] names the kinds that must be
//! grouped, joined and sorted by [`group_key`] instead.

use std::sync::Arc;

use arrow::array::builder::{
    BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, PrimitiveBuilder, StringBuilder,
};
use arrow::array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt32Type,
};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;

use crate::datum::{Datum, Kind};
use crate::error::{PgError, Result};

/// The Arrow type of a kind's values.
pub fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::Int2 => DataType::Int16,
        Kind::Int4 => DataType::Int32,
        Kind::Int8 | Kind::Time | Kind::Timestamp | Kind::TimestampTz | Kind::Tid | Kind::Enum => {
            DataType::Int64
        }
        Kind::Float4 => DataType::Float32,
        Kind::Float8 => DataType::Float64,
        Kind::Oid => DataType::UInt32,
        Kind::Date => DataType::Int32,
        Kind::Text => DataType::Utf8,
        Kind::Uuid => DataType::FixedSizeBinary(16),
        _ => DataType::Binary,
    }
}

/// Whether a kind's Arrow bytes say nothing about equality and order, so that [`group_key`] must.
pub fn needs_key(kind: Kind) -> bool {
    data_type(kind) == DataType::Binary && kind != Kind::Bytea
}

/// Bytes whose equality and order are the value's, NULL last; for the kinds [`needs_key`] names.
pub fn group_key(value: &Datum) -> Vec<u8> {
    let mut key = Vec::new();
    crate::key::encode_key(value, false, false, &mut key);
    key
}

/// Builds the Arrow array of a column.
#[derive(Debug)]
pub struct ColumnBuilder {
    kind: Kind,
    inner: Inner,
    scratch: Vec<u8>,
}

#[derive(Debug)]
enum Inner {
    Bool(BooleanBuilder),
    Int2(PrimitiveBuilder<Int16Type>),
    Int4(PrimitiveBuilder<Int32Type>),
    Int8(PrimitiveBuilder<Int64Type>),
    Float4(PrimitiveBuilder<Float32Type>),
    Float8(PrimitiveBuilder<Float64Type>),
    Oid(PrimitiveBuilder<UInt32Type>),
    Text(StringBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Binary(BinaryBuilder),
}

impl ColumnBuilder {
    /// A builder for `capacity` rows.
    pub fn new(kind: Kind, capacity: usize) -> ColumnBuilder {
        let inner = match data_type(kind) {
            DataType::Boolean => Inner::Bool(BooleanBuilder::with_capacity(capacity)),
            DataType::Int16 => Inner::Int2(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Int32 => Inner::Int4(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Int64 => Inner::Int8(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Float32 => Inner::Float4(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Float64 => Inner::Float8(PrimitiveBuilder::with_capacity(capacity)),
            DataType::UInt32 => Inner::Oid(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Utf8 => Inner::Text(StringBuilder::with_capacity(capacity, capacity * 16)),
            DataType::FixedSizeBinary(_) => {
                Inner::Uuid(FixedSizeBinaryBuilder::with_capacity(capacity, 16))
            }
            _ => Inner::Binary(BinaryBuilder::with_capacity(capacity, capacity * 16)),
        };
        ColumnBuilder { kind, inner, scratch: Vec::new() }
    }

    /// Appends a value: NULL or of the column's kind.
    pub fn push(&mut self, value: &Datum) -> Result<()> {
        match (&mut self.inner, value) {
            (_, Datum::Null) => self.push_null(),
            (Inner::Bool(b), Datum::Bool(v)) => b.append_value(*v),
            (Inner::Int2(b), Datum::Int2(v)) => b.append_value(*v),
            (Inner::Int4(b), Datum::Int4(v) | Datum::Date(v)) => b.append_value(*v),
            (
                Inner::Int8(b),
                Datum::Int8(v)
                | Datum::Time(v)
                | Datum::Timestamp(v)
                | Datum::TimestampTz(v)
                | Datum::Enum(v),
            ) => b.append_value(*v),
            (Inner::Int8(b), Datum::Tid(v)) => b.append_value(v.cast_signed()),
            (Inner::Float4(b), Datum::Float4(v)) => b.append_value(one_nan4(*v)),
            (Inner::Float8(b), Datum::Float8(v)) => b.append_value(one_nan8(*v)),
            (Inner::Oid(b), Datum::Oid(v)) => b.append_value(*v),
            (Inner::Text(b), Datum::Text(v)) => b.append_value(v),
            (Inner::Uuid(b), Datum::Uuid(v)) => b.append_value(v).map_err(from_arrow)?,
            (Inner::Binary(b), v) if v.kind() == Some(self.kind) => {
                self.scratch.clear();
                crate::raw::encode(v, &mut self.scratch);
                b.append_value(&self.scratch);
            }
            (_, v) => {
                return Err(PgError::internal(format!(
                    "{:?} in a column of {:?}",
                    v.kind(),
                    self.kind
                )));
            }
        }
        Ok(())
    }

    /// Appends a stored value. Bytes that are no value of the kind become NULL.
    pub fn push_raw(&mut self, raw: Option<&[u8]>) {
        let Some(raw) = raw else { return self.push_null() };
        match &mut self.inner {
            Inner::Bool(b) => b.append_option(raw.first().map(|v| *v != 0)),
            Inner::Int2(b) => b.append_option(fixed(raw).map(i16::from_le_bytes)),
            Inner::Int4(b) => b.append_option(fixed(raw).map(i32::from_le_bytes)),
            Inner::Int8(b) => b.append_option(fixed(raw).map(i64::from_le_bytes)),
            Inner::Float4(b) => b.append_option(fixed(raw).map(f32::from_le_bytes).map(one_nan4)),
            Inner::Float8(b) => b.append_option(fixed(raw).map(f64::from_le_bytes).map(one_nan8)),
            Inner::Oid(b) => b.append_option(fixed(raw).map(u32::from_le_bytes)),
            Inner::Text(b) => b.append_option(std::str::from_utf8(raw).ok()),
            Inner::Uuid(b) => {
                if b.append_value(raw).is_err() {
                    b.append_null();
                }
            }
            Inner::Binary(b) => b.append_value(raw),
        }
    }

    /// Appends a NULL.
    pub fn push_null(&mut self) {
        match &mut self.inner {
            Inner::Bool(b) => b.append_null(),
            Inner::Int2(b) => b.append_null(),
            Inner::Int4(b) => b.append_null(),
            Inner::Int8(b) => b.append_null(),
            Inner::Float4(b) => b.append_null(),
            Inner::Float8(b) => b.append_null(),
            Inner::Oid(b) => b.append_null(),
            Inner::Text(b) => b.append_null(),
            Inner::Uuid(b) => b.append_null(),
            Inner::Binary(b) => b.append_null(),
        }
    }

    /// The array; the builder is empty afterwards.
    pub fn finish(&mut self) -> ArrayRef {
        match &mut self.inner {
            Inner::Bool(b) => Arc::new(b.finish()),
            Inner::Int2(b) => Arc::new(b.finish()),
            Inner::Int4(b) => Arc::new(b.finish()),
            Inner::Int8(b) => Arc::new(b.finish()),
            Inner::Float4(b) => Arc::new(b.finish()),
            Inner::Float8(b) => Arc::new(b.finish()),
            Inner::Oid(b) => Arc::new(b.finish()),
            Inner::Text(b) => Arc::new(b.finish()),
            Inner::Uuid(b) => Arc::new(b.finish()),
            Inner::Binary(b) => Arc::new(b.finish()),
        }
    }
}

/// Arrow tells NaNs apart by their bits; to PostgreSQL they are all equal.
fn one_nan4(v: f32) -> f32 {
    if v.is_nan() { f32::NAN } else { v }
}

fn one_nan8(v: f64) -> f64 {
    if v.is_nan() { f64::NAN } else { v }
}

fn fixed<const N: usize>(raw: &[u8]) -> Option<[u8; N]> {
    raw.first_chunk::<N>().copied()
}

fn from_arrow(error: arrow::error::ArrowError) -> PgError {
    PgError::internal(error.to_string())
}

/// The value in a row of an array built for `kind`.
pub fn value_at(kind: Kind, array: &dyn Array, row: usize) -> Result<Datum> {
    if row >= array.len() {
        return Err(PgError::internal(format!("row {row} of {}", array.len())));
    }
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(Datum::Null);
    }
    let int8 = || primitive::<Int64Type>(array, row);
    Ok(match kind {
        Kind::Bool => {
            Datum::Bool(array.as_boolean_opt().ok_or_else(|| mismatch(kind, array))?.value(row))
        }
        Kind::Int2 => Datum::Int2(primitive::<Int16Type>(array, row)?),
        Kind::Int4 => Datum::Int4(primitive::<Int32Type>(array, row)?),
        Kind::Date => Datum::Date(primitive::<Int32Type>(array, row)?),
        Kind::Int8 => Datum::Int8(int8()?),
        Kind::Time => Datum::Time(int8()?),
        Kind::Timestamp => Datum::Timestamp(int8()?),
        Kind::TimestampTz => Datum::TimestampTz(int8()?),
        Kind::Tid => Datum::Tid(int8()?.cast_unsigned()),
        Kind::Enum => Datum::Enum(int8()?),
        Kind::Float4 => Datum::Float4(primitive::<Float32Type>(array, row)?),
        Kind::Float8 => Datum::Float8(primitive::<Float64Type>(array, row)?),
        Kind::Oid => Datum::Oid(primitive::<UInt32Type>(array, row)?),
        Kind::Text => Datum::text(text_at(array, row).ok_or_else(|| mismatch(kind, array))?),
        _ => {
            let raw = bytes_at(array, row).ok_or_else(|| mismatch(kind, array))?;
            crate::raw::decode(kind, raw)?
        }
    })
}

fn primitive<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Result<T::Native> {
    let values = array.as_primitive_opt::<T>().ok_or_else(|| {
        PgError::internal(format!("{:?} where {:?} was expected", array.data_type(), T::DATA_TYPE))
    })?;
    Ok(values.value(row))
}

/// Text of any of Arrow's string layouts.
pub fn text_at(array: &dyn Array, row: usize) -> Option<&str> {
    match array.data_type() {
        DataType::Utf8 => array.as_string_opt::<i32>().map(|a| a.value(row)),
        DataType::LargeUtf8 => array.as_string_opt::<i64>().map(|a| a.value(row)),
        DataType::Utf8View => array.as_string_view_opt().map(|a| a.value(row)),
        _ => None,
    }
}

/// Bytes of any of Arrow's binary layouts.
pub fn bytes_at(array: &dyn Array, row: usize) -> Option<&[u8]> {
    match array.data_type() {
        DataType::Binary => array.as_binary_opt::<i32>().map(|a| a.value(row)),
        DataType::LargeBinary => array.as_binary_opt::<i64>().map(|a| a.value(row)),
        DataType::BinaryView => array.as_binary_view_opt().map(|a| a.value(row)),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary_opt().map(|a| a.value(row)),
        _ => None,
    }
}

fn mismatch(kind: Kind, array: &dyn Array) -> PgError {
    PgError::internal(format!("{:?} array holds no {kind:?}", array.data_type()))
}
