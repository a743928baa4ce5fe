//! PostgreSQL's text and binary formats.
//!
//! [`text_in`] and [`text_out`] are the types' input and output functions, [`binary_in`] and
//! [`binary_out`] their receive and send functions. Each family of types has a module; this one
//! only picks it by the type's id.

pub mod array;
pub mod binary;
pub mod bytea;
mod digits;
pub mod fast;
pub mod float;
pub mod geo;
pub mod pase;
pub mod record;
pub mod scalar;
pub mod short;
pub mod string;
pub mod style;

use std::sync::Arc;

use bytes::BufMut;

pub use string::utf8;
pub use style::{
    ByteaOutput, DateFormat, DateOrder, DateStyle, Field, IntervalStyle, Io, IoStyle, NoNames,
    TypeNames, TypeShape, UserType,
};

use crate::bits::{self, Bits};
use crate::datetime;
use crate::datum::{Datum, Oid};
use crate::enums;
use crate::error::{PgError, Result, SqlState};
use crate::oid;
use crate::typname::format_type;

/// What C's `isspace` says in the C locale.
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// Reads a value from its text form. `typmod` is applied as an assignment would (-1: none).
pub fn text_in(ty: Oid, typmod: i32, text: &str, io: &Io<'_>) -> Result<Datum> {
    let value = text_value(ty, typmod, text, io)?;
    if typmod < 0 { Ok(value) } else { apply_typmod(ty, typmod, value, false) }
}

fn text_value(ty: Oid, typmod: i32, text: &str, io: &Io<'_>) -> Result<Datum> {
    Ok(match ty {
        oid::BOOL => Datum::Bool(
            scalar::parse_bool(text.trim_matches(is_space))
                .ok_or_else(|| PgError::invalid_input("boolean", text))?,
        ),
        oid::INT2 => Datum::Int2(scalar::parse_int(text, "smallint")?),
        oid::INT4 => Datum::Int4(scalar::parse_int(text, "integer")?),
        oid::INT8 => Datum::Int8(scalar::parse_int(text, "bigint")?),
        oid::FLOAT4 => Datum::Float4(float::parse4(text)?),
        oid::FLOAT8 => Datum::Float8(float::parse8(text)?),
        oid::NUMERIC => Datum::Numeric(Arc::new(crate::numeric::text::parse(text)?)),
        oid::TEXT
        | oid::VARCHAR
        | oid::CSTRING
        | oid::UNKNOWN
        | oid::XML
        | oid::REFCURSOR
        | oid::PG_NODE_TREE
        | oid::ACLITEM
        | oid::TXID_SNAPSHOT => Datum::Text(Arc::from(string::checked(text)?)),
        oid::BPCHAR => Datum::Bpchar(Arc::from(string::checked(text)?)),
        oid::NAME => Datum::text(string::truncate_name(string::checked(text)?)),
        oid::CHAR => Datum::text(string::parse_char(text)),
        oid::BYTEA => Datum::Bytea(Arc::from(bytea::parse(text)?)),
        oid::BIT | oid::VARBIT => Datum::Bits(Arc::new(Bits::parse(text)?)),
        oid::UUID => Datum::Uuid(scalar::parse_uuid(text)?),
        oid::JSON => {
            crate::jsonb::parse::check_json(text)?;
            Datum::text(text)
        }
        oid::JSONB => Datum::Jsonb(Arc::new(crate::jsonb::parse::jsonb(text)?)),
        oid::OID => Datum::Oid(scalar::parse_oid(text, "oid")?),
        oid::XID => Datum::Oid(scalar::parse_oid(text, "xid")?),
        oid::CID => Datum::Oid(scalar::parse_oid(text, "cid")?),
        oid::XID8 => Datum::Int8(scalar::parse_int(text, "xid8")?),
        oid::PG_LSN => Datum::Int8(scalar::parse_lsn(text)?),
        oid::TID => Datum::Tid(scalar::parse_tid(text)?),
        oid::DATE => Datum::Date(datetime::parse::date(text, io)?),
        oid::TIME => Datum::Time(datetime::parse::time(text, io)?),
        oid::TIMETZ => Datum::TimeTz(datetime::parse::timetz(text, io)?),
        oid::TIMESTAMP => Datum::Timestamp(datetime::parse::timestamp(text, io)?),
        oid::TIMESTAMPTZ => Datum::TimestampTz(datetime::parse::timestamptz(text, io)?),
        oid::INTERVAL => {
            Datum::Interval(datetime::interval_in::parse(text, typmod, io.style.interval_style)?)
        }
        oid::POINT | oid::LSEG | oid::BOX | oid::LINE | oid::CIRCLE | oid::PATH | oid::POLYGON => {
            geo::parse(ty, text)?
        }
        oid::PASE => Datum::Pase(Arc::new(pase::parse(text)?)),
        oid::INT2VECTOR | oid::OIDVECTOR => array::parse_vector(ty, text)?,
        _ if is_reg(ty) => Datum::Oid(scalar::parse_reg(ty, text, io)?),
        _ => return text_other(ty, typmod, text, io),
    })
}

fn text_other(ty: Oid, typmod: i32, text: &str, io: &Io<'_>) -> Result<Datum> {
    if let Some(elem) = oid::element_of(ty) {
        return array::parse(elem, typmod, text, io);
    }
    match io.names.type_info(ty).map(|info| info.shape) {
        Some(TypeShape::Enum(labels)) => enums::parse(ty, &labels, text, io),
        Some(TypeShape::Composite(fields)) => record::parse(ty, &fields, text, io),
        Some(TypeShape::Domain { base, typmod }) => text_in(base, typmod, text, io),
        Some(TypeShape::Array { elem }) => array::parse(elem, typmod, text, io),
        None if ty == oid::RECORD => Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "input of anonymous composite types is not implemented",
        )),
        None if oid::kind(ty).is_some() => Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot accept a value of type {}", format_type(ty, None)),
        )),
        None => Err(unknown_type(ty)),
    }
}

pub(crate) fn unknown_type(ty: Oid) -> PgError {
    PgError::internal(format!("cache lookup failed for type {ty}"))
}

/// `regclass` and its kin.
pub fn is_reg(ty: Oid) -> bool {
    matches!(
        ty,
        oid::REGPROC
            | oid::REGPROCEDURE
            | oid::REGOPER
            | oid::REGOPERATOR
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGROLE
            | oid::REGNAMESPACE
            | oid::REGCONFIG
            | oid::REGDICTIONARY
            | oid::REGCOLLATION
    )
}

/// The longest text PostgreSQL makes.
pub const MAX_TEXT: usize = 0x3fff_ffff;

/// An error for a text that is longer than a value may be. Quotes double with every level that rows
/// and arrays nest.
pub fn check_length(length: usize) -> Result<()> {
    if length <= MAX_TEXT {
        return Ok(());
    }
    Err(PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory").detail(format!(
        "Cannot enlarge string buffer containing {} bytes by 1 more bytes.",
        MAX_TEXT - 1
    )))
}

/// Writes a value in its text form. Writes nothing for NULL, which has none. An error if the text is
/// longer than a value may be.
pub fn text_out(ty: Oid, value: &Datum, io: &Io<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut int = itoa::Buffer::new();
    match value {
        Datum::Null => {}
        Datum::Bool(v) => out.put_u8(if *v { b't' } else { b'f' }),
        Datum::Int2(v) => out.put_slice(int.format(*v).as_bytes()),
        Datum::Int4(v) => out.put_slice(int.format(*v).as_bytes()),
        Datum::Int8(v) if ty == oid::PG_LSN => scalar::write_lsn(*v, out),
        Datum::Int8(v) => out.put_slice(int.format(*v).as_bytes()),
        Datum::Float4(v) => float::write4(*v, io.style.extra_float_digits, out),
        Datum::Float8(v) => float::write8(*v, io.style.extra_float_digits, out),
        Datum::Numeric(v) => crate::numeric::text::write(v, out),
        Datum::Text(v) | Datum::Bpchar(v) => out.put_slice(v.as_bytes()),
        Datum::Bytea(v) => bytea::write(v, io.style.bytea_output, out),
        Datum::Bits(v) => out.put_slice(v.text().as_bytes()),
        Datum::Uuid(v) => crate::raw::put_uuid(*v, out),
        Datum::Oid(v) if is_reg(ty) => scalar::write_reg(ty, *v, io, out),
        Datum::Oid(v) => out.put_slice(int.format(*v).as_bytes()),
        Datum::Tid(v) => scalar::write_tid(*v, out),
        Datum::Enum(v) => out.put_slice(enums::label(ty, *v, io).as_bytes()),
        Datum::Jsonb(v) => crate::jsonb::print::write(&v.0, out),
        Datum::Date(v) => datetime::format::date(*v, io.style, out),
        Datum::Time(v) => datetime::format::time(*v, out),
        Datum::TimeTz(v) => datetime::format::timetz(v, io.style, out),
        Datum::Timestamp(v) => datetime::format::timestamp(*v, io.style, out),
        Datum::TimestampTz(v) => datetime::format::timestamptz(*v, io.style, out),
        Datum::Interval(v) => datetime::interval_out::write(v, io.style.interval_style, out),
        Datum::Point(_)
        | Datum::Lseg(_)
        | Datum::Path(_)
        | Datum::Box(_)
        | Datum::Polygon(_)
        | Datum::Line(_)
        | Datum::Circle(_) => geo::write(value, io.style.extra_float_digits, out),
        Datum::Pase(v) => pase::write(v, out),
        Datum::Array(v) if matches!(ty, oid::INT2VECTOR | oid::OIDVECTOR) => {
            array::write_vector(v, out);
        }
        Datum::Array(v) => return array::write(v, io, out),
        Datum::Record(v) => return record::write(v, io, out),
    }
    Ok(())
}

/// A value's text form as another value, or an error if it is too long for one.
pub fn as_text(ty: Oid, value: &Datum, io: &Io<'_>) -> Result<String> {
    let mut out = Vec::new();
    text_out(ty, value, io, &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// A value's text form in a message: one that is too long for a value ends early.
pub fn to_text(ty: Oid, value: &Datum, io: &Io<'_>) -> String {
    let mut out = Vec::new();
    let _ = text_out(ty, value, io, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads a value from the binary format. `typmod` is applied as an assignment would (-1: none).
pub fn binary_in(ty: Oid, typmod: i32, bytes: &[u8], io: &Io<'_>) -> Result<Datum> {
    let value = binary::read(ty, bytes, io)?;
    if typmod < 0 { Ok(value) } else { apply_typmod(ty, typmod, value, false) }
}

/// Writes a value in the binary format. Writes nothing for NULL, which has none.
pub fn binary_out(ty: Oid, value: &Datum, io: &Io<'_>, out: &mut Vec<u8>) {
    binary::write(ty, value, io, out);
}

/// Brings a value to a type modifier: `varchar(n)`, `numeric(p,s)`, `time(p)` and so on.
///
/// `explicit` casts cut strings that are too long, assignments reject them.
pub fn apply_typmod(ty: Oid, typmod: i32, value: Datum, explicit: bool) -> Result<Datum> {
    if typmod < 0 {
        return Ok(value);
    }
    Ok(match value {
        Datum::Null => Datum::Null,
        Datum::Text(text) if ty == oid::VARCHAR => {
            Datum::Text(string::fit_varchar(text, typmod, explicit)?)
        }
        Datum::Bpchar(text) => Datum::Bpchar(string::fit_bpchar(&text, typmod, explicit)?),
        Datum::Bits(b) if ty == oid::BIT => Datum::Bits(bits::fit_bit(b, typmod, explicit)?),
        Datum::Bits(b) => Datum::Bits(bits::fit_varbit(b, typmod, explicit)?),
        Datum::Numeric(n) => Datum::Numeric(Arc::new(crate::numeric::round::apply_typmod(
            Arc::unwrap_or_clone(n),
            typmod,
        )?)),
        Datum::Time(t) => Datum::Time(datetime::round_time(t, typmod)),
        Datum::TimeTz(mut t) => {
            t.micros = datetime::round_time(t.micros, typmod);
            Datum::TimeTz(t)
        }
        Datum::Timestamp(t) => Datum::Timestamp(datetime::round_timestamp(t, typmod)?),
        Datum::TimestampTz(t) => Datum::TimestampTz(datetime::round_timestamp(t, typmod)?),
        Datum::Interval(i) => Datum::Interval(datetime::interval_in::apply_typmod(i, typmod)?),
        Datum::Array(a) => Datum::Array(array::apply_typmod(a, typmod, explicit)?),
        other => other,
    })
}
