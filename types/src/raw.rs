//! The stored form of one value.
//!
//! Fixed kinds are little-endian and [`Kind::width`] bytes long. The others carry everything needed
//! to read them back:
//!
//! | kind | bytes |
//! |---|---|
//! | text, bytea | the bytes |
//! | bit, varbit | number of bits (u32), the bits packed from the left |
//! | jsonb | its text |
//! | numeric | see [`crate::numeric::codec`] |
//! | path | closed (u8), 7 bytes of 0, points |
//! | polygon | points |
//! | pase | extra (i32), ds (i32), values (f32) |
//! | array | element type (u32), dimensions (u8), flags (u8), element kind (u8), 0, then (length, lower bound) as i32 each, then packed f32s, or for each element a u32 length (all ones: NULL) and its bytes |
//! | record | type (u32), fields (u32), then for each its type (u32), kind (u32), length (u32, all ones: NULL) and bytes |

use std::sync::Arc;

use bytes::BufMut;

use crate::array::{Array, Dim, Elements};
use crate::bits::Bits;
use crate::datum::{Datum, Kind, Oid, TimeTz};
use crate::error::{PgError, Result, SqlState};
use crate::geo::{Circle, Line, Lseg, Path, Point, Polygon, Rect};
use crate::interval::Interval;
use crate::io::Io;
use crate::jsonb::Jsonb;
use crate::pase::Pase;
use crate::record::Record;

const ARRAY_HEADER: usize = 8;
const PACKED: u8 = 1;
const NULL_LENGTH: u32 = u32::MAX;

/// Appends a value's stored form; nothing for NULL.
pub fn encode(value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Null => {}
        Datum::Bool(v) => out.push(u8::from(*v)),
        Datum::Int2(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Int4(v) | Datum::Date(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Int8(v)
        | Datum::Time(v)
        | Datum::Timestamp(v)
        | Datum::TimestampTz(v)
        | Datum::Enum(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Float4(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Float8(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Oid(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Tid(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Uuid(v) => out.extend_from_slice(v),
        Datum::Text(v) | Datum::Bpchar(v) => out.extend_from_slice(v.as_bytes()),
        Datum::Bytea(v) => out.extend_from_slice(v),
        Datum::Numeric(v) => crate::numeric::codec::encode_raw(v, out),
        Datum::TimeTz(v) => {
            out.extend_from_slice(&v.micros.to_le_bytes());
            out.extend_from_slice(&v.zone.to_le_bytes());
        }
        Datum::Interval(v) => {
            out.extend_from_slice(&v.micros.to_le_bytes());
            out.extend_from_slice(&v.days.to_le_bytes());
            out.extend_from_slice(&v.months.to_le_bytes());
        }
        Datum::Jsonb(v) => crate::jsonb::print::write(&v.0, out),
        Datum::Point(p) => put_points(&[*p], out),
        Datum::Lseg(l) => put_points(&[l.a, l.b], out),
        Datum::Box(b) => put_points(&[b.high, b.low], out),
        Datum::Line(l) => put_f64s(&[l.a, l.b, l.c], out),
        Datum::Circle(c) => put_f64s(&[c.center.x, c.center.y, c.radius], out),
        Datum::Path(p) => {
            out.extend_from_slice(&u64::from(p.closed).to_le_bytes());
            put_points(&p.points, out);
        }
        Datum::Polygon(p) => put_points(&p.points, out),
        Datum::Pase(p) => {
            out.extend_from_slice(&p.extra.to_le_bytes());
            out.extend_from_slice(&p.ds.to_le_bytes());
            put_f32s(&p.values, out);
        }
        Datum::Bits(b) => {
            put_u32(b.len(), out);
            out.extend_from_slice(b.bytes());
        }
        Datum::Array(a) => encode_array(a, out),
        Datum::Record(r) => encode_record(r, out),
    }
}

fn put_f64s(values: &[f64], out: &mut Vec<u8>) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}

fn put_points(points: &[Point], out: &mut Vec<u8>) {
    points.iter().for_each(|p| put_f64s(&[p.x, p.y], out));
}

fn put_f32s(values: &[f32], out: &mut Vec<u8>) {
    if cfg!(target_endian = "little") {
        out.extend_from_slice(bytemuck::cast_slice(values));
    } else {
        values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    }
}

fn put_u32(n: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(n).unwrap_or(NULL_LENGTH).to_le_bytes());
}

/// Appends a nested value behind its length.
fn put_sized(value: &Datum, out: &mut Vec<u8>) {
    if value.is_null() {
        return out.extend_from_slice(&NULL_LENGTH.to_le_bytes());
    }
    let at = out.len();
    put_u32(0, out);
    encode(value, out);
    let length = u32::try_from(out.len() - at - 4).unwrap_or(NULL_LENGTH - 1);
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&length.to_le_bytes());
    }
}

fn encode_array(a: &Array, out: &mut Vec<u8>) {
    let packed = a.as_f32s();
    let first = a.iter().find(|d| !d.is_null());
    let kind = match packed {
        Some(_) => Kind::Float4,
        None => first.and_then(|d| d.kind()).unwrap_or_else(|| crate::typname::kind_of(a.elem)),
    };
    out.extend_from_slice(&a.elem.to_le_bytes());
    out.push(u8::try_from(a.dims.len()).unwrap_or(u8::MAX));
    out.push(if packed.is_some() { PACKED } else { 0 });
    out.extend_from_slice(&[kind.code(), 0]);
    for dim in &a.dims {
        out.extend_from_slice(&dim.len.to_le_bytes());
        out.extend_from_slice(&dim.lower.to_le_bytes());
    }
    match &a.elements {
        Elements::Float4(values) => put_f32s(values, out),
        Elements::Datums(values) => values.iter().for_each(|d| put_sized(d, out)),
    }
}

fn encode_record(r: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(&r.type_oid.to_le_bytes());
    put_u32(r.fields.len(), out);
    let names = r.names.as_deref().unwrap_or_default();
    put_u32(names.len(), out);
    for name in names {
        put_u32(name.len(), out);
        out.extend_from_slice(name.as_bytes());
    }
    for (ty, value) in &r.fields {
        let kind = value.kind().unwrap_or_else(|| crate::typname::kind_of(*ty));
        out.extend_from_slice(&ty.to_le_bytes());
        out.extend_from_slice(&u32::from(kind.code()).to_le_bytes());
        put_sized(value, out);
    }
}

/// Reads a stored value.
pub fn decode(kind: Kind, bytes: &[u8]) -> Result<Datum> {
    decode_at(kind, bytes, 0).ok_or_else(|| {
        PgError::new(
            SqlState::DATA_CORRUPTED,
            format!("stored value of {} bytes is no {kind:?}", bytes.len()),
        )
    })
}

fn decode_at(kind: Kind, bytes: &[u8], depth: usize) -> Option<Datum> {
    if depth > crate::record::MAX_DEPTH {
        return None;
    }
    let mut r = Reader(bytes);
    let value = match kind {
        Kind::Bool => Datum::Bool(r.take::<1>()? != [0]),
        Kind::Int2 => Datum::Int2(i16::from_le_bytes(r.take()?)),
        Kind::Int4 => Datum::Int4(r.i32()?),
        Kind::Int8 => Datum::Int8(r.i64()?),
        Kind::Float4 => Datum::Float4(f32::from_le_bytes(r.take()?)),
        Kind::Float8 => Datum::Float8(r.f64()?),
        Kind::Date => Datum::Date(r.i32()?),
        Kind::Time => Datum::Time(r.i64()?),
        Kind::Timestamp => Datum::Timestamp(r.i64()?),
        Kind::TimestampTz => Datum::TimestampTz(r.i64()?),
        Kind::TimeTz => Datum::TimeTz(TimeTz { micros: r.i64()?, zone: r.i32()? }),
        Kind::Interval => {
            let (micros, days, months) = (r.i64()?, r.i32()?, r.i32()?);
            Datum::Interval(Interval { months, days, micros })
        }
        Kind::Uuid => Datum::Uuid(r.take()?),
        Kind::Oid => Datum::Oid(r.u32()?),
        Kind::Tid => Datum::Tid(u64::from_le_bytes(r.take()?)),
        Kind::Enum => Datum::Enum(r.i64()?),
        Kind::Text => Datum::Text(Arc::from(std::str::from_utf8(bytes).ok()?)),
        Kind::Bpchar => Datum::Bpchar(Arc::from(std::str::from_utf8(bytes).ok()?)),
        Kind::Bytea => Datum::Bytea(Arc::from(bytes)),
        Kind::Numeric => Datum::Numeric(Arc::new(crate::numeric::codec::decode_raw(bytes)?)),
        Kind::Jsonb => {
            let text = std::str::from_utf8(bytes).ok()?;
            Datum::Jsonb(Arc::new(Jsonb(crate::jsonb::parse::stored(text)?)))
        }
        Kind::Point => Datum::Point(r.point()?),
        Kind::Lseg => Datum::Lseg(Arc::new(Lseg { a: r.point()?, b: r.point()? })),
        Kind::Box => Datum::Box(Arc::new(Rect { high: r.point()?, low: r.point()? })),
        Kind::Line => Datum::Line(Line { a: r.f64()?, b: r.f64()?, c: r.f64()? }),
        Kind::Circle => Datum::Circle(Circle { center: r.point()?, radius: r.f64()? }),
        Kind::Path => {
            let closed = r.i64()? != 0;
            Datum::Path(Arc::new(Path { closed, points: r.points()? }))
        }
        Kind::Polygon => Datum::Polygon(Arc::new(Polygon { points: r.points()? })),
        Kind::Pase => {
            let (extra, ds) = (r.i32()?, r.i32()?);
            let values = F32s::new(r.0)?.to_vec();
            Datum::Pase(Arc::new(Pase { values, extra, ds }))
        }
        Kind::Bits => {
            let len = usize::try_from(r.u32()?).ok()?;
            Datum::Bits(Arc::new(Bits::from_bytes(len, r.0)?))
        }
        Kind::Array => Datum::Array(Arc::new(decode_array(bytes, depth)?)),
        Kind::Record => Datum::Record(Arc::new(decode_record(r, depth)?)),
    };
    Some(value)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_le_bytes)
    }

    fn point(&mut self) -> Option<Point> {
        Some(Point { x: self.f64()?, y: self.f64()? })
    }

    fn points(&mut self) -> Option<Vec<Point>> {
        (0..self.0.len() / 16).map(|_| self.point()).collect()
    }

    /// Text behind its length.
    fn name(&mut self) -> Option<String> {
        let length = usize::try_from(self.u32()?).ok()?;
        Some(std::str::from_utf8(self.bytes(length)?).ok()?.to_owned())
    }

    /// A nested value behind its length.
    fn sized(&mut self, kind: Kind, depth: usize) -> Option<Datum> {
        match self.u32()? {
            NULL_LENGTH => Some(Datum::Null),
            length => decode_at(kind, self.bytes(usize::try_from(length).ok()?)?, depth + 1),
        }
    }
}

/// An array's header: element type, flags, element kind, and where the elements begin.
struct ArrayHeader {
    elem: Oid,
    packed: bool,
    kind: Kind,
    dims: Vec<Dim>,
    len: usize,
}

fn array_header(r: &mut Reader<'_>) -> Option<ArrayHeader> {
    let elem = r.u32()?;
    let [ndim, flags, kind, _] = r.take()?;
    let mut len = usize::from(ndim > 0);
    let mut dims = Vec::with_capacity(usize::from(ndim));
    for _ in 0..ndim {
        let dim = Dim { len: r.i32()?, lower: r.i32()? };
        len = len.checked_mul(usize::try_from(dim.len).ok()?)?;
        dims.push(dim);
    }
    let packed = flags & PACKED != 0;
    Some(ArrayHeader { elem, packed, kind: part_kind(elem, kind)?, dims, len })
}

/// How a part of a type is held. Files of before `character(n)` was a kind of its own say text.
fn part_kind(ty: Oid, code: u8) -> Option<Kind> {
    match Kind::from_code(code)? {
        Kind::Text if ty == crate::oid::BPCHAR => Some(Kind::Bpchar),
        kind => Some(kind),
    }
}

fn decode_array(bytes: &[u8], depth: usize) -> Option<Array> {
    let mut r = Reader(bytes);
    let header = array_header(&mut r)?;
    let elements = if header.packed {
        Elements::Float4(F32s::new(r.0).filter(|f| f.len() == header.len)?.to_vec())
    } else {
        // Every element takes four bytes at least: a bad count cannot make us allocate.
        if header.len > r.0.len() / 4 {
            return None;
        }
        let values = (0..header.len).map(|_| r.sized(header.kind, depth));
        Elements::Datums(values.collect::<Option<_>>()?)
    };
    Some(Array { elem: header.elem, dims: header.dims, elements })
}

fn decode_record(mut r: Reader<'_>, depth: usize) -> Option<Record> {
    let type_oid = r.u32()?;
    let count = r.u32()?;
    let named = r.u32()?;
    let names = (0..named).map(|_| r.name()).collect::<Option<Vec<String>>>()?;
    let mut fields = Vec::new();
    for _ in 0..count {
        let ty = r.u32()?;
        let kind = part_kind(ty, u8::try_from(r.u32()?).ok()?)?;
        fields.push((ty, r.sized(kind, depth)?));
    }
    let names = (!names.is_empty()).then(|| Arc::from(names));
    Some(Record::new(type_oid, fields).ok()?.named(names))
}

/// Packed little-endian floats inside a stored value; nothing is copied until asked for.
#[derive(Clone, Copy, Debug)]
pub struct F32s<'a>(&'a [u8]);

impl<'a> F32s<'a> {
    fn new(bytes: &'a [u8]) -> Option<F32s<'a>> {
        bytes.len().is_multiple_of(4).then_some(F32s(bytes))
    }

    /// Number of floats.
    pub fn len(&self) -> usize {
        self.0.len() / 4
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The floats, whatever their alignment.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + 'a {
        let (chunks, _) = self.0.as_chunks::<4>();
        chunks.iter().map(|c| f32::from_le_bytes(*c))
    }

    /// The floats in place, where they are aligned (tuples see to it when they are themselves).
    pub fn as_slice(&self) -> Option<&'a [f32]> {
        if cfg!(target_endian = "little") { bytemuck::try_cast_slice(self.0).ok() } else { None }
    }

    /// A copy.
    pub fn to_vec(&self) -> Vec<f32> {
        self.as_slice().map_or_else(|| self.iter().collect(), <[f32]>::to_vec)
    }

    /// Runs `f` over the floats, copied into `scratch` only if they are not aligned.
    pub fn with<R>(&self, scratch: &mut Vec<f32>, f: impl FnOnce(&[f32]) -> R) -> R {
        if let Some(slice) = self.as_slice() {
            return f(slice);
        }
        scratch.clear();
        scratch.extend(self.iter());
        f(scratch)
    }
}

/// A view of a stored one-dimensional `float4[]` without NULLs.
#[inline]
pub fn float4_slice(raw: &[u8]) -> Option<F32s<'_>> {
    let (header, rest) = raw.split_first_chunk::<ARRAY_HEADER>()?;
    let [_, _, _, _, ndim, flags, _, _] = *header;
    if flags & PACKED == 0 || ndim != 1 {
        return None;
    }
    F32s::new(rest.get(8..)?)
}

/// Writes a stored value as text. Common types are written from their bytes, others by [`decode`].
#[inline]
pub fn text_out_raw(ty: Oid, kind: Kind, raw: &[u8], io: &Io<'_>, out: &mut Vec<u8>) -> Result<()> {
    if crate::io::fast::text_out(ty, kind, raw, io, out).is_none() {
        crate::io::text_out(ty, &decode(kind, raw)?, io, out)?;
    }
    Ok(())
}

/// Writes a stored value in the binary format. Common types are written from their bytes.
pub fn binary_out_raw(
    ty: Oid,
    kind: Kind,
    raw: &[u8],
    io: &Io<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    if crate::io::fast::binary_out(ty, kind, raw, out).is_none() {
        crate::io::binary_out(ty, &decode(kind, raw)?, io, out);
    }
    Ok(())
}

/// Appends a UUID's hyphenated text.
pub(crate) fn put_uuid(bytes: [u8; 16], out: &mut impl BufMut) {
    let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
    out.put_slice(uuid::Uuid::from_bytes(bytes).hyphenated().encode_lower(&mut buffer).as_bytes());
}
