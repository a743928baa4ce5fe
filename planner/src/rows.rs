//! Rows on their way out: to the client's buffer, or into memory.

use bytes::{BufMut, BytesMut};
use vicinity_types::{Datum, Io, Oid, Result, binary_out, raw, text_out};

use crate::call::PgType;

/// A column of a result, as RowDescription tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: PgType,
    /// The table it comes from unchanged, or 0.
    pub table: Oid,
    /// Its number there, or 0.
    pub attr: i16,
}

impl OutputColumn {
    /// A column that comes from no table.
    pub fn computed(name: impl Into<String>, ty: PgType) -> OutputColumn {
        OutputColumn { name: name.into(), ty, table: 0, attr: 0 }
    }
}

/// What takes rows, column by column.
pub trait RowSink {
    /// A row begins.
    fn begin(&mut self, columns: usize);
    /// Its next column as stored; `None` is NULL.
    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()>;
    /// Its next column.
    fn datum(&mut self, ty: PgType, value: Datum) -> Result<()>;
    /// The row ends.
    fn end(&mut self) -> Result<()>;
}

/// The format codes of a portal's columns: none means text, one is for all.
fn is_binary(formats: &[i16], column: usize) -> bool {
    match formats {
        [] => false,
        [all] => *all == 1,
        each => each.get(column) == Some(&1),
    }
}

/// Writes DataRow messages.
pub struct RowWriter<'a> {
    out: &'a mut BytesMut,
    formats: &'a [i16],
    io: Io<'a>,
    start: usize,
    column: usize,
}

impl<'a> RowWriter<'a> {
    /// Appends to `out`. `formats` are Bind's result format codes.
    pub fn new(out: &'a mut BytesMut, formats: &'a [i16], io: Io<'a>) -> RowWriter<'a> {
        RowWriter { out, formats, io, start: 0, column: 0 }
    }

    /// Bytes written so far and not yet taken.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    fn patch(&mut self, at: usize, length: usize) {
        if let Some(slot) = self.out.get_mut(at..at + 4) {
            slot.copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

impl RowSink for RowWriter<'_> {
    #[inline]
    fn begin(&mut self, columns: usize) {
        self.start = self.out.len();
        self.column = 0;
        self.out.put_slice(&[b'D', 0, 0, 0, 0]);
        self.out.put_u16(u16::try_from(columns).unwrap_or(u16::MAX));
    }

    #[inline]
    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        let binary = is_binary(self.formats, self.column);
        self.column += 1;
        let Some(value) = value else {
            self.out.put_i32(-1);
            return Ok(());
        };
        let at = self.out.len();
        self.out.put_u32(0);
        if binary {
            raw::binary_out_raw(ty.oid, ty.kind, value, &self.io, self.out)?;
        } else {
            raw::text_out_raw(ty.oid, ty.kind, value, &self.io, self.out)?;
        }
        let length = self.out.len() - at - 4;
        self.patch(at, length);
        Ok(())
    }

    fn datum(&mut self, ty: PgType, value: Datum) -> Result<()> {
        let binary = is_binary(self.formats, self.column);
        self.column += 1;
        if value.is_null() {
            self.out.put_i32(-1);
            return Ok(());
        }
        let at = self.out.len();
        self.out.put_u32(0);
        if binary {
            binary_out(ty.oid, &value, &self.io, self.out);
        } else {
            text_out(ty.oid, &value, &self.io, self.out);
        }
        let length = self.out.len() - at - 4;
        self.patch(at, length);
        Ok(())
    }

    #[inline]
    fn end(&mut self) -> Result<()> {
        let length = self.out.len() - self.start - 1;
        self.patch(self.start + 1, length);
        Ok(())
    }
}

/// Collects rows in memory.
#[derive(Debug, Default)]
pub struct Collect {
    /// The rows.
    pub rows: Vec<Vec<Datum>>,
    row: Vec<Datum>,
}

impl RowSink for Collect {
    fn begin(&mut self, columns: usize) {
        self.row = Vec::with_capacity(columns);
    }

    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        let value = match value {
            Some(bytes) => raw::decode(ty.kind, bytes)?,
            None => Datum::Null,
        };
        self.row.push(value);
        Ok(())
    }

    fn datum(&mut self, _ty: PgType, value: Datum) -> Result<()> {
        self.row.push(value);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.rows.push(std::mem::take(&mut self.row));
        Ok(())
    }
}

/// Counts rows and forgets them.
#[derive(Debug, Default)]
pub struct Discard;

impl RowSink for Discard {
    fn begin(&mut self, _columns: usize) {}

    fn raw(&mut self, _ty: PgType, _value: Option<&[u8]>) -> Result<()> {
        Ok(())
    }

    fn datum(&mut self, _ty: PgType, _value: Datum) -> Result<()> {
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}
