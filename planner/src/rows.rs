//! Rows on their way out: to the client's buffer, or into memory.

use bytes::BytesMut;
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

/// Writes DataRow messages. A row is put together on its own and appended whole.
pub struct RowWriter<'a> {
    out: &'a mut BytesMut,
    formats: &'a [i16],
    io: Io<'a>,
    row: Vec<u8>,
    column: usize,
}

/// Room for a row at first.
const ROW: usize = 256;

impl<'a> RowWriter<'a> {
    /// Appends to `out`. `formats` are Bind's result format codes.
    pub fn new(out: &'a mut BytesMut, formats: &'a [i16], io: Io<'a>) -> RowWriter<'a> {
        RowWriter { out, formats, io, row: Vec::with_capacity(ROW), column: 0 }
    }

    /// Bytes written so far and not yet taken.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Writes the next column behind its length; `None` is NULL.
    #[inline]
    fn column<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(T, bool, &Io<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let binary = is_binary(self.formats, self.column);
        self.column += 1;
        let Some(value) = value else {
            self.row.extend_from_slice(&(-1i32).to_be_bytes());
            return Ok(());
        };
        self.row.extend_from_slice(&[0; 4]);
        let start = self.row.len();
        write(value, binary, &self.io, &mut self.row)?;
        let length = self.row.len() - start;
        self.patch(start - 4, length);
        Ok(())
    }

    #[inline]
    fn patch(&mut self, at: usize, length: usize) {
        if let Some(slot) = self.row.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *slot = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        }
    }
}

impl RowSink for RowWriter<'_> {
    #[inline]
    fn begin(&mut self, columns: usize) {
        self.column = 0;
        self.row.clear();
        let [high, low] = u16::try_from(columns).unwrap_or(u16::MAX).to_be_bytes();
        self.row.extend_from_slice(&[b'D', 0, 0, 0, 0, high, low]);
    }

    #[inline]
    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        self.column(value, |value, binary, io, out| {
            if binary {
                raw::binary_out_raw(ty.oid, ty.kind, value, io, out)
            } else {
                raw::text_out_raw(ty.oid, ty.kind, value, io, out)
            }
        })
    }

    fn datum(&mut self, ty: PgType, value: Datum) -> Result<()> {
        self.column(Some(value).filter(|v| !v.is_null()), |value, binary, io, out| {
            if binary {
                binary_out(ty.oid, &value, io, out);
                return Ok(());
            }
            text_out(ty.oid, &value, io, out)
        })
    }

    #[inline]
    fn end(&mut self) -> Result<()> {
        self.patch(1, self.row.len() - 1);
        self.out.extend_from_slice(&self.row);
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
