//! Rows on their way out: to the client's buffer, or into memory.

use bytes::BytesMut;
use smallvec::SmallVec;
use vicinity_types::io::short;
use vicinity_types::{Datum, Io, Kind, Oid, Result, binary_out, raw, text_out};

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

impl<S: RowSink + ?Sized> RowSink for &mut S {
    fn begin(&mut self, columns: usize) {
        (**self).begin(columns);
    }

    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        (**self).raw(ty, value)
    }

    fn datum(&mut self, ty: PgType, value: Datum) -> Result<()> {
        (**self).datum(ty, value)
    }

    fn end(&mut self) -> Result<()> {
        (**self).end()
    }
}

/// The format codes of a portal's columns: none means text, one is for all.
fn is_binary(formats: &[i16], column: usize) -> bool {
    match formats {
        [] => false,
        [all] => *all == 1,
        each => each.get(column) == Some(&1),
    }
}

/// Writes DataRow messages. Behind whole rows there is room in the buffer for the one being written, which goes again
/// when the writer does.
pub struct RowWriter<'a> {
    out: &'a mut BytesMut,
    formats: &'a [i16],
    /// No column is binary.
    text: bool,
    io: Io<'a>,
    /// Where the buffer's whole rows began, where they end, and how far the next one is written.
    start: usize,
    whole: usize,
    end: usize,
    column: usize,
    /// Of the first columns: what was written last.
    last: SmallVec<[Last; 8]>,
    /// For texts without a bound, on their way into the buffer.
    text_of: Vec<u8>,
}

/// Bytes of room made at once: as much as there are rows, within these bounds.
const LITTLE: usize = 256;
const MUCH: usize = 8 << 10;

/// The last value of a column that takes time to write, and its text: dates and times often come again.
#[derive(Clone, Copy)]
struct Last {
    value: u64,
    /// Length and text, as DataRow has them.
    field: [u8; Last::ROOM],
    length: usize,
}

impl Last {
    const ROOM: usize = 40;
    const NONE: Last = Last { value: 0, field: [0; Last::ROOM], length: 0 };
}

/// A date's or time's stored bytes as a number.
#[inline]
fn word(value: &[u8]) -> Option<u64> {
    match value.first_chunk::<8>() {
        Some(bytes) => Some(u64::from_le_bytes(*bytes)),
        None => value.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))),
    }
}

impl<'a> RowWriter<'a> {
    /// Appends to `out`. `formats` are Bind's result format codes.
    pub fn new(out: &'a mut BytesMut, formats: &'a [i16], io: Io<'a>) -> RowWriter<'a> {
        let text = formats.iter().all(|format| *format == 0);
        let start = out.len();
        let (column, last, text_of) = (0, SmallVec::new(), Vec::new());
        let (whole, end) = (start, start);
        RowWriter { out, formats, text, io, start, whole, end, column, last, text_of }
    }

    /// Bytes in the buffer, of whole rows.
    pub fn len(&self) -> usize {
        self.whole
    }

    /// Whether the buffer has nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sees to it that there is room for so many bytes more.
    #[inline(always)]
    fn room(&mut self, bytes: usize) {
        if self.out.len() - self.end < bytes {
            self.more_room(bytes);
        }
    }

    #[cold]
    fn more_room(&mut self, bytes: usize) {
        let more = bytes.max((self.end - self.start).clamp(LITTLE, MUCH));
        self.out.resize(self.end + more, 0);
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.room(N);
        if let Some(room) = self.out.get_mut(self.end..).and_then(<[u8]>::first_chunk_mut) {
            *room = bytes;
            self.end += N;
        }
    }

    /// Writes the next column behind its length; `None` is NULL.
    fn column<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(T, bool, &Io<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let binary = !self.text && is_binary(self.formats, self.column);
        self.column += 1;
        let Some(value) = value else {
            self.put((-1i32).to_be_bytes());
            return Ok(());
        };
        self.text_of.clear();
        write(value, binary, &self.io, &mut self.text_of)?;
        let length = self.text_of.len();
        self.put(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        self.room(length);
        if let Some(room) = self.out.get_mut(self.end..).and_then(|room| room.get_mut(..length)) {
            room.copy_from_slice(&self.text_of);
            self.end += length;
        }
        Ok(())
    }

    /// Writes a text of bounded length; `None`, and nothing written, if it is none.
    #[inline(always)]
    fn short(&mut self, ty: PgType, value: &[u8]) -> Option<()> {
        const FIELD: usize = 4 + short::ROOM;
        self.room(FIELD);
        let room = self.out.get_mut(self.end..)?.first_chunk_mut::<FIELD>()?;
        let (length, room) = room.split_first_chunk_mut::<4>()?;
        let text = short::write(ty.oid, ty.kind, value, self.io.style, room.first_chunk_mut()?)?;
        *length = u32::try_from(text).ok()?.to_be_bytes();
        self.end += 4 + text;
        self.column += 1;
        Some(())
    }

    /// Writes a date or time as text.
    #[inline(always)]
    fn repeated(&mut self, ty: PgType, value: &[u8]) -> Result<()> {
        let word = word(value);
        self.room(Last::ROOM);
        if let Some(last) = self.last.get(self.column)
            && last.length > 0
            && Some(last.value) == word
            && let Some(room) = self.out.get_mut(self.end..).and_then(<[u8]>::first_chunk_mut)
        {
            *room = last.field;
            self.end += last.length;
            self.column += 1;
            return Ok(());
        }
        self.remember(ty, value, word)
    }

    /// Writes a stored value.
    #[inline(never)]
    fn stored(&mut self, ty: PgType, value: &[u8]) -> Result<()> {
        self.column(Some(value), |value, binary, io, out| {
            if binary {
                raw::binary_out_raw(ty.oid, ty.kind, value, io, out)
            } else {
                raw::text_out_raw(ty.oid, ty.kind, value, io, out)
            }
        })
    }

    /// Writes a date or time as text and keeps that, unless it is too long.
    fn remember(&mut self, ty: PgType, value: &[u8], word: Option<u64>) -> Result<()> {
        let (at, start) = (self.column, self.end);
        self.column(Some(value), |v, _, io, out| raw::text_out_raw(ty.oid, ty.kind, v, io, out))?;
        if self.last.len() <= at {
            self.last.resize(at + 1, Last::NONE);
        }
        if let (Some(last), Some(written)) = (self.last.get_mut(at), self.out.get(start..self.end))
        {
            last.length = 0;
            if let (Some(value), Some(field)) = (word, last.field.get_mut(..written.len())) {
                field.copy_from_slice(written);
                (last.value, last.length) = (value, written.len());
            }
        }
        Ok(())
    }
}

impl RowSink for RowWriter<'_> {
    #[inline]
    fn begin(&mut self, columns: usize) {
        self.column = 0;
        self.end = self.whole;
        let [high, low] = u16::try_from(columns).unwrap_or(u16::MAX).to_be_bytes();
        self.put([b'D', 0, 0, 0, 0, high, low]);
    }

    // Called once, in a loop over columns.
    #[inline(always)]
    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        let Some(value) = value else {
            return self.column(None::<()>, |_, _, _, _| Ok(()));
        };
        if self.text || !is_binary(self.formats, self.column) {
            match ty.kind {
                Kind::Date | Kind::Time | Kind::Timestamp | Kind::TimestampTz => {
                    return self.repeated(ty, value);
                }
                Kind::Bool | Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Float8 | Kind::Point
                    if self.short(ty, value).is_some() =>
                {
                    return Ok(());
                }
                _ => (),
            }
        }
        self.stored(ty, value)
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
        // All but the message's type counts.
        let length = u32::try_from(self.end - self.whole - 1).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(room) = self.out.get_mut(self.whole + 1..).and_then(<[u8]>::first_chunk_mut) {
            *room = length;
        }
        self.whole = self.end;
        Ok(())
    }
}

impl Drop for RowWriter<'_> {
    fn drop(&mut self) {
        self.out.truncate(self.whole);
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
