//! The protocol's binary formats: PostgreSQL's receive and send functions.

use std::sync::Arc;

use bytes::BufMut;

use super::style::TypeShape;
use super::{Io, array, is_reg, string, utf8};
use crate::array::{Array, Dim, Elements};
use crate::bits::Bits;
use crate::datum::{Datum, Oid, TimeTz};
use crate::error::{PgError, Result, SqlState};
use crate::geo::{Circle, Line, Lseg, Path, Point, Polygon, Rect};
use crate::interval::Interval;
use crate::jsonb::Jsonb;
use crate::oid;
use crate::pase::Pase;
use crate::record::Record;

/// A message being read.
struct Reader<'a>(&'a [u8]);

fn insufficient() -> PgError {
    PgError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}

fn malformed(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(insufficient)?;
        self.0 = rest;
        Ok(*head)
    }

    fn bytes(&mut self, n: i32) -> Result<&'a [u8]> {
        let n = usize::try_from(n).map_err(|_| insufficient())?;
        let (head, rest) = self.0.split_at_checked(n).ok_or_else(insufficient)?;
        self.0 = rest;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8> {
        self.take().map(u8::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn f64(&mut self) -> Result<f64> {
        self.take().map(f64::from_be_bytes)
    }

    fn point(&mut self) -> Result<Point> {
        Ok(Point { x: self.f64()?, y: self.f64()? })
    }

    fn points(&mut self, what: &str) -> Result<Vec<Point>> {
        let count = self.i32()?;
        let room = i32::try_from(self.0.len() / 16).unwrap_or(i32::MAX);
        if count <= 0 || count > room {
            return Err(malformed(format!(
                "invalid number of points in external \"{what}\" value"
            )));
        }
        (0..count).map(|_| self.point()).collect()
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed("incorrect binary data format")) }
    }
}

/// Reads a value.
pub fn read(ty: Oid, bytes: &[u8], io: &Io<'_>) -> Result<Datum> {
    let mut r = Reader(bytes);
    let value = match ty {
        oid::BOOL => Datum::Bool(r.u8()? != 0),
        oid::INT2 => Datum::Int2(r.take().map(i16::from_be_bytes)?),
        oid::INT4 => Datum::Int4(r.i32()?),
        oid::INT8 | oid::XID8 | oid::PG_LSN => Datum::Int8(r.i64()?),
        oid::FLOAT4 => Datum::Float4(r.take().map(f32::from_be_bytes)?),
        oid::FLOAT8 => Datum::Float8(r.f64()?),
        oid::OID | oid::XID | oid::CID => Datum::Oid(r.u32()?),
        _ if is_reg(ty) => Datum::Oid(r.u32()?),
        oid::TID => {
            let (block, offset) = (r.u32()?, r.take().map(u16::from_be_bytes)?);
            Datum::Tid(u64::from(block) << 16 | u64::from(offset))
        }
        oid::UUID => Datum::Uuid(r.take()?),
        oid::DATE => Datum::Date(crate::datetime::checked_date(r.i32()?)?),
        oid::TIME => Datum::Time(crate::datetime::checked_time(r.i64()?)?),
        oid::TIMETZ => {
            let micros = crate::datetime::checked_time(r.i64()?)?;
            Datum::TimeTz(TimeTz { micros, zone: crate::datetime::checked_zone(r.i32()?)? })
        }
        oid::TIMESTAMP => Datum::Timestamp(crate::datetime::checked_timestamp(r.i64()?)?),
        oid::TIMESTAMPTZ => Datum::TimestampTz(crate::datetime::checked_timestamp(r.i64()?)?),
        oid::INTERVAL => {
            let (micros, days, months) = (r.i64()?, r.i32()?, r.i32()?);
            Datum::Interval(Interval { months, days, micros })
        }
        oid::POINT | oid::LSEG | oid::BOX | oid::LINE | oid::CIRCLE | oid::PATH | oid::POLYGON => {
            geometry(ty, &mut r)?
        }
        _ => return read_varying(ty, bytes, io),
    };
    r.end()?;
    Ok(value)
}

fn geometry(ty: Oid, r: &mut Reader<'_>) -> Result<Datum> {
    Ok(match ty {
        oid::POINT => Datum::Point(r.point()?),
        oid::LSEG => Datum::Lseg(Arc::new(Lseg { a: r.point()?, b: r.point()? })),
        oid::BOX => Datum::Box(Arc::new(Rect::spanning(r.point()?, r.point()?))),
        oid::LINE => {
            let line = Line { a: r.f64()?, b: r.f64()?, c: r.f64()? };
            if line.a.abs() <= crate::geo::EPSILON && line.b.abs() <= crate::geo::EPSILON {
                return Err(malformed("invalid line specification: A and B cannot both be zero"));
            }
            Datum::Line(line)
        }
        oid::CIRCLE => {
            let circle = Circle { center: r.point()?, radius: r.f64()? };
            if circle.radius < 0.0 {
                return Err(malformed("invalid radius in external \"circle\" value"));
            }
            Datum::Circle(circle)
        }
        oid::PATH => {
            let closed = r.u8()? != 0;
            Datum::Path(Arc::new(Path { closed, points: r.points("path")? }))
        }
        _ => Datum::Polygon(Arc::new(Polygon { points: r.points("polygon")? })),
    })
}

fn read_varying(ty: Oid, bytes: &[u8], io: &Io<'_>) -> Result<Datum> {
    Ok(match ty {
        oid::BYTEA => Datum::Bytea(Arc::from(bytes)),
        oid::NUMERIC => Datum::Numeric(Arc::new(crate::numeric::codec::binary_in(bytes)?)),
        oid::BIT | oid::VARBIT => bits(bytes)?,
        oid::TEXT | oid::VARCHAR | oid::UNKNOWN | oid::CSTRING | oid::XML | oid::REFCURSOR => {
            Datum::text(utf8(bytes)?)
        }
        oid::BPCHAR => Datum::Bpchar(Arc::from(utf8(bytes)?)),
        oid::NAME => {
            let text = utf8(bytes)?;
            if text.len() > string::MAX_NAME {
                return Err(PgError::new(SqlState::NAME_TOO_LONG, "identifier too long")
                    .detail("Identifier must be less than 64 characters."));
            }
            Datum::text(text)
        }
        oid::CHAR => match bytes {
            [] => Datum::text(""),
            [byte] => Datum::text(string::char_text(*byte)),
            _ => return Err(malformed("incorrect binary data format")),
        },
        oid::JSON => {
            let text = utf8(bytes)?;
            crate::jsonb::parse::check_json(text)?;
            Datum::text(text)
        }
        oid::JSONB => match bytes.split_first() {
            Some((1, text)) => jsonb(utf8(text)?)?,
            Some((version, _)) => {
                return Err(PgError::internal(format!(
                    "unsupported jsonb version number {version}"
                )));
            }
            None => return Err(insufficient()),
        },
        oid::PASE => pase(bytes)?,
        oid::INT2VECTOR => read_array(oid::INT2, bytes, io)?,
        oid::OIDVECTOR => read_array(oid::OID, bytes, io)?,
        _ => return read_other(ty, bytes, io),
    })
}

/// How many bits, then the bits.
fn bits(bytes: &[u8]) -> Result<Datum> {
    let (len, packed) = bytes.split_first_chunk::<4>().ok_or_else(insufficient)?;
    let len = usize::try_from(i32::from_be_bytes(*len))
        .map_err(|_| malformed("invalid length in external bit string"))?;
    if packed.len() != len.div_ceil(8) {
        return Err(if packed.len() < len.div_ceil(8) {
            insufficient()
        } else {
            malformed("incorrect binary data format")
        });
    }
    let bits = Bits::from_bytes(len, packed).ok_or_else(insufficient)?;
    Ok(Datum::Bits(Arc::new(bits)))
}

fn jsonb(text: &str) -> Result<Datum> {
    let Jsonb(value) = crate::jsonb::parse::jsonb(text)?;
    Ok(Datum::Jsonb(Arc::new(Jsonb(value))))
}

fn read_other(ty: Oid, bytes: &[u8], io: &Io<'_>) -> Result<Datum> {
    if let Some(elem) = oid::element_of(ty) {
        return read_array(elem, bytes, io);
    }
    match io.names.type_info(ty).map(|info| info.shape) {
        Some(TypeShape::Enum(labels)) => crate::enums::parse(ty, &labels, utf8(bytes)?, io),
        Some(TypeShape::Composite(fields)) => {
            let types: Vec<Oid> = fields.iter().map(|f| f.ty).collect();
            read_record(ty, &types, bytes, io)
        }
        Some(TypeShape::Domain { base, typmod }) => super::binary_in(base, typmod, bytes, io),
        Some(TypeShape::Array { elem }) => read_array(elem, bytes, io),
        None if ty == oid::RECORD => {
            let text = "input of anonymous composite types is not implemented";
            Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text))
        }
        None => Err(PgError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!(
                "no binary input function available for type {}",
                crate::typname::format_type(ty, None)
            ),
        )),
    }
}

/// A pase's binary form: extra and ds, then the vector as float4s.
fn pase(bytes: &[u8]) -> Result<Datum> {
    let mut r = Reader(bytes);
    let (extra, ds) = (r.i32()?, r.i32()?);
    super::pase::check_ds(ds)?;
    let (chunks, rest) = r.0.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(malformed("incorrect binary data format"));
    }
    super::pase::check_dimensions(chunks.len())?;
    let values = chunks.iter().map(|c| f32::from_be_bytes(*c)).collect();
    Ok(Datum::Pase(Arc::new(Pase { values, extra, ds })))
}

fn read_array(elem: Oid, bytes: &[u8], io: &Io<'_>) -> Result<Datum> {
    let mut r = Reader(bytes);
    let (ndim, flags, sent) = (r.i32()?, r.i32()?, r.u32()?);
    let ndim = usize::try_from(ndim)
        .map_err(|_| malformed(format!("invalid number of dimensions: {ndim}")))?;
    array::check_dims(ndim)?;
    if !(0..=1).contains(&flags) {
        return Err(malformed("invalid array flags"));
    }
    if sent != elem {
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "binary data has array element type {sent} ({}) instead of expected {elem} ({})",
                crate::typname::format_type(sent, None),
                crate::typname::format_type(elem, None)
            ),
        ));
    }
    let mut count = usize::from(ndim > 0);
    let mut dims = Vec::with_capacity(ndim);
    for _ in 0..ndim {
        let dim = Dim { len: r.i32()?, lower: r.i32()? };
        let len = usize::try_from(dim.len).map_err(|_| array::too_big())?;
        count = count
            .checked_mul(len)
            .filter(|n| *n <= array::MAX_ELEMENTS)
            .ok_or_else(array::too_big)?;
        dims.push(dim);
    }
    if count == 0 {
        dims.clear();
    }
    let elements = elements(elem, count, &mut r, io)?;
    r.end()?;
    Ok(Datum::Array(Arc::new(Array { elem, dims, elements })))
}

fn elements(elem: Oid, count: usize, r: &mut Reader<'_>, io: &Io<'_>) -> Result<Elements> {
    // Each element takes four bytes at least: a bad count cannot make us allocate.
    if count > r.0.len() / 4 {
        return Err(insufficient());
    }
    if elem == oid::FLOAT4 && r.0.len() == count * 8 {
        let (chunks, _) = r.0.as_chunks::<8>();
        let packed: Option<Vec<f32>> = chunks
            .iter()
            .map(|[a, b, c, d, value @ ..]| {
                let four = [*a, *b, *c, *d] == [0, 0, 0, 4];
                four.then(|| f32::from_be_bytes(*value))
            })
            .collect();
        if let Some(values) = packed {
            r.0 = &[];
            return Ok(Elements::Float4(values));
        }
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(sized(elem, -1, r, io)?);
    }
    Ok(Elements::Datums(values))
}

/// A nested value behind its length.
fn sized(ty: Oid, typmod: i32, r: &mut Reader<'_>, io: &Io<'_>) -> Result<Datum> {
    match r.i32()? {
        -1 => Ok(Datum::Null),
        length => super::binary_in(ty, typmod, r.bytes(length)?, io),
    }
}

fn read_record(ty: Oid, types: &[Oid], bytes: &[u8], io: &Io<'_>) -> Result<Datum> {
    let mut r = Reader(bytes);
    let count = r.i32()?;
    if usize::try_from(count) != Ok(types.len()) {
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("wrong number of columns: {count}, expected {}", types.len()),
        ));
    }
    let mut fields = Vec::with_capacity(types.len());
    for (i, expected) in types.iter().enumerate() {
        let sent = r.u32()?;
        if sent != *expected {
            return Err(PgError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "binary data has type {sent} ({}) instead of expected {expected} ({}) in record column {}",
                    crate::typname::format_type(sent, None),
                    crate::typname::format_type(*expected, None),
                    i + 1
                ),
            ));
        }
        fields.push((*expected, sized(*expected, -1, &mut r, io)?));
    }
    r.end()?;
    Ok(Datum::Record(Arc::new(Record::new(ty, fields)?)))
}

/// Writes a value.
pub fn write(ty: Oid, value: &Datum, io: &Io<'_>, out: &mut Vec<u8>) {
    match value {
        Datum::Null => {}
        Datum::Bool(v) => out.put_u8(u8::from(*v)),
        Datum::Int2(v) => out.put_i16(*v),
        Datum::Int4(v) | Datum::Date(v) => out.put_i32(*v),
        Datum::Int8(v) | Datum::Time(v) | Datum::Timestamp(v) | Datum::TimestampTz(v) => {
            out.put_i64(*v);
        }
        Datum::Float4(v) => out.put_f32(*v),
        Datum::Float8(v) => out.put_f64(*v),
        Datum::Oid(v) => out.put_u32(*v),
        Datum::Numeric(v) => crate::numeric::codec::binary_out(v, out),
        Datum::Text(v) if ty == oid::CHAR => {
            out.put_u8(string::char_byte(v));
        }
        Datum::Text(v) | Datum::Bpchar(v) => out.put_slice(v.as_bytes()),
        Datum::Bytea(v) => out.put_slice(v),
        Datum::Bits(v) => {
            out.put_u32(u32::try_from(v.len()).unwrap_or(u32::MAX));
            out.put_slice(v.bytes());
        }
        Datum::Uuid(v) => out.put_slice(v),
        Datum::TimeTz(v) => {
            out.put_i64(v.micros);
            out.put_i32(v.zone);
        }
        Datum::Interval(v) => {
            out.put_i64(v.micros);
            out.put_i32(v.days);
            out.put_i32(v.months);
        }
        Datum::Enum(v) => out.put_slice(crate::enums::label(ty, *v, io).as_bytes()),
        Datum::Tid(v) => {
            // The wire has room for 32 bits of block; row ids beyond come out cut.
            out.put_u32(u32::try_from((v >> 16) & 0xffff_ffff).unwrap_or(0));
            out.put_u16(u16::try_from(v & 0xffff).unwrap_or(0));
        }
        Datum::Jsonb(v) => {
            out.put_u8(1);
            crate::jsonb::print::write(&v.0, out);
        }
        Datum::Pase(p) => {
            out.put_i32(p.extra);
            out.put_i32(p.ds);
            p.values.iter().for_each(|v| out.put_f32(*v));
        }
        Datum::Array(a) => write_array(a, io, out),
        Datum::Record(r) => {
            out.put_i32(i32::try_from(r.fields.len()).unwrap_or(i32::MAX));
            for (ty, value) in &r.fields {
                out.put_u32(*ty);
                write_sized(*ty, value, io, out);
            }
        }
        Datum::Point(p) => put_points(&[*p], out),
        Datum::Lseg(l) => put_points(&[l.a, l.b], out),
        Datum::Box(b) => put_points(&[b.high, b.low], out),
        Datum::Line(l) => [l.a, l.b, l.c].iter().for_each(|v| out.put_f64(*v)),
        Datum::Circle(c) => {
            put_points(&[c.center], out);
            out.put_f64(c.radius);
        }
        Datum::Path(p) => {
            out.put_u8(u8::from(p.closed));
            put_counted(&p.points, out);
        }
        Datum::Polygon(p) => put_counted(&p.points, out),
    }
}

fn put_points(points: &[Point], out: &mut Vec<u8>) {
    for p in points {
        out.put_f64(p.x);
        out.put_f64(p.y);
    }
}

fn put_counted(points: &[Point], out: &mut Vec<u8>) {
    out.put_i32(i32::try_from(points.len()).unwrap_or(i32::MAX));
    put_points(points, out);
}

/// Writes a nested value behind its length, -1 for NULL.
fn write_sized(ty: Oid, value: &Datum, io: &Io<'_>, out: &mut Vec<u8>) {
    if value.is_null() {
        return out.put_i32(-1);
    }
    let at = out.len();
    out.put_i32(0);
    super::binary_out(ty, value, io, out);
    let length = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

fn write_array(a: &Array, io: &Io<'_>, out: &mut Vec<u8>) {
    let nulls = a.as_f32s().is_none() && a.iter().any(|d| d.is_null());
    out.put_i32(i32::try_from(a.dims.len()).unwrap_or(0));
    out.put_i32(i32::from(nulls));
    out.put_u32(a.elem);
    for d in &a.dims {
        out.put_i32(d.len);
        out.put_i32(d.lower);
    }
    match &a.elements {
        Elements::Float4(values) => {
            for v in values {
                out.put_i32(4);
                out.put_f32(*v);
            }
        }
        Elements::Datums(values) => values.iter().for_each(|v| write_sized(a.elem, v, io, out)),
    }
}
