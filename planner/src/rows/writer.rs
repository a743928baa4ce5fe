//! Rows to the client's buffer.

use bytes::BytesMut;
use vicinity_storage::Row;
use vicinity_types::io::short;
use vicinity_types::tuple::Whole;
use vicinity_types::{Datum, Io, Kind, Oid, Result, binary_out, raw, text_out};

use super::{RowSink, StoredColumn};
use crate::call::PgType;

/// Writes DataRow messages. Behind whole rows there is room in the buffer for the one being written, which goes again
/// when the writer does.
pub struct RowWriter<'a> {
    out: &'a mut BytesMut,
    formats: &'a [i16],
    /// No column is binary.
    text: bool,
    io: Io<'a>,
    /// Where the writer's rows began, where the last whole one ends, and how far the next one is written.
    start: usize,
    whole: usize,
    end: usize,
    column: usize,
    /// What was written last of the columns, each [`COLUMNS`] of which share a place.
    last: [Last; COLUMNS],
    /// For texts without a bound, on their way into the buffer.
    long: Vec<u8>,
}

/// Room made at once: as much as rows have taken, within these bounds.
const LITTLE: usize = 1 << 10;
const MUCH: usize = 8 << 10;

/// A text of bounded length behind its own length.
const FIELD: usize = 4 + short::ROOM;
/// What stands for NULL: a length of -1.
const NULL: [u8; 4] = (-1i32).to_be_bytes();
/// So many of them have room in [`LITTLE`].
const COLUMNS: usize = 8;
const FIELDS: usize = COLUMNS * FIELD;

/// Bytes of a DataRow message before its fields.
const HEAD: usize = 7;

/// The last value of a column that takes time to write, and its field: dates and times often come again.
#[derive(Clone, Copy)]
struct Last {
    /// The type and the value: columns that share a place may have the same number for other texts.
    ty: Oid,
    value: u64,
    field: [u8; Last::ROOM],
    length: usize,
}

impl Last {
    const ROOM: usize = 40;
    const NONE: Last = Last { ty: 0, value: 0, field: [0; Last::ROOM], length: 0 };

    /// Writes a value's field; its length, `None` if it is too long.
    #[inline(always)]
    fn write(
        &mut self,
        ty: PgType,
        value: &[u8],
        io: &Io<'_>,
        field: &mut [u8; FIELD],
    ) -> Option<usize> {
        let word = word(value)?;
        if self.length == 0 || self.value != word || self.ty != ty.oid {
            self.renew(ty, value, word, io)?;
        }
        // All of the array, whose size is known: no loop.
        *field.first_chunk_mut()? = self.field;
        Some(self.length)
    }

    #[inline(never)]
    fn renew(&mut self, ty: PgType, value: &[u8], word: u64, io: &Io<'_>) -> Option<()> {
        self.length = 0;
        let mut text = Vec::with_capacity(Last::ROOM);
        raw::text_out_raw(ty.oid, ty.kind, value, io, &mut text).ok()?;
        let (length, room) = self.field.split_first_chunk_mut::<4>()?;
        room.get_mut(..text.len())?.copy_from_slice(&text);
        *length = u32::try_from(text.len()).ok()?.to_be_bytes();
        (self.ty, self.value, self.length) = (ty.oid, word, 4 + text.len());
        Some(())
    }
}

/// A date's or time's stored bytes as a number.
#[inline]
fn word(value: &[u8]) -> Option<u64> {
    match value.first_chunk::<8>() {
        Some(bytes) => Some(u64::from_le_bytes(*bytes)),
        None => value.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))),
    }
}

/// Writes a column as text behind its length; the length of both, `None` where the text has no bound.
#[inline(always)]
fn write_field(
    ty: PgType,
    value: Option<&[u8]>,
    io: &Io<'_>,
    last: &mut Last,
    field: &mut [u8; FIELD],
) -> Option<usize> {
    let Some(value) = value else {
        *field.first_chunk_mut()? = NULL;
        return Some(NULL.len());
    };
    write_short(ty, value, io, last, field)
}

/// Writes a value as text behind its length; the length of both, `None` where the text has no bound.
#[inline(always)]
fn write_short(
    ty: PgType,
    value: &[u8],
    io: &Io<'_>,
    last: &mut Last,
    field: &mut [u8; FIELD],
) -> Option<usize> {
    if matches!(ty.kind, Kind::Date | Kind::Time | Kind::Timestamp | Kind::TimestampTz) {
        return last.write(ty, value, io, field);
    }
    let (length, room) = field.split_first_chunk_mut::<4>()?;
    let text = short::write(ty.oid, ty.kind, value, io.style, room.first_chunk_mut()?)?;
    *length = u32::try_from(text).ok()?.to_be_bytes();
    Some(4 + text)
}

/// The format codes of a portal's columns: none means text, one is for all.
fn is_binary(formats: &[i16], column: usize) -> bool {
    match formats {
        [] => false,
        [all] => *all == 1,
        each => each.get(column) == Some(&1),
    }
}

impl<'a> RowWriter<'a> {
    /// Appends to `out`. `formats` are Bind's result format codes.
    pub fn new(out: &'a mut BytesMut, formats: &'a [i16], io: Io<'a>) -> RowWriter<'a> {
        let text = formats.iter().all(|format| *format == 0);
        let start = out.len();
        RowWriter {
            out,
            formats,
            text,
            io,
            start,
            whole: start,
            end: start,
            column: 0,
            last: [Last::NONE; COLUMNS],
            long: Vec::new(),
        }
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
    fn reserve(&mut self, bytes: usize) {
        if self.out.len() - self.end < bytes {
            self.more_room(bytes);
        }
    }

    #[cold]
    fn more_room(&mut self, bytes: usize) {
        let more = bytes.max((self.end - self.start).clamp(LITTLE, MUCH));
        self.out.resize(self.end + more, 0);
    }

    /// Writes `N` bytes, the first `length` of which stay.
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N], length: usize) {
        self.reserve(N);
        if let Some(room) = self.out.get_mut(self.end..).and_then(<[u8]>::first_chunk_mut) {
            *room = bytes;
            self.end += length;
        }
    }

    /// Writes the next column behind its length; `None` is NULL.
    fn long<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(T, bool, &Io<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let binary = !self.text && is_binary(self.formats, self.column);
        self.column += 1;
        let Some(value) = value else {
            self.put(NULL, NULL.len());
            return Ok(());
        };
        self.long.clear();
        write(value, binary, &self.io, &mut self.long)?;
        let length = self.long.len();
        self.put(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes(), 4);
        self.reserve(length);
        if let Some(room) = self.out.get_mut(self.end..).and_then(|room| room.get_mut(..length)) {
            room.copy_from_slice(&self.long);
            self.end += length;
        }
        Ok(())
    }

    /// Writes the next column if it is a text of bounded length; `None`, and nothing written, if it is none.
    fn short(&mut self, ty: PgType, value: &[u8]) -> Option<()> {
        if !self.text && is_binary(self.formats, self.column) {
            return None;
        }
        let mut field = [0; FIELD];
        let last = self.last.get_mut(self.column % COLUMNS)?;
        let length = write_short(ty, value, &self.io, last, &mut field)?;
        self.put(field, length);
        self.column += 1;
        Some(())
    }

    /// Writes some columns, up to one whose text has no bound; `None` if there are none.
    fn shorts(&mut self, columns: &[StoredColumn], row: &Whole<'_>) -> Option<usize> {
        if columns.is_empty() || !self.text {
            return None;
        }
        self.reserve(FIELDS);
        let room = self.out.get_mut(self.end..)?.first_chunk_mut()?;
        let last = self.last.get_mut(self.column % COLUMNS..)?;
        let (written, length) = write_shorts(columns, row, &self.io, last, room);
        self.end += length;
        self.column += written;
        (written > 0).then_some(written)
    }

    /// Writes a row all of whose columns are texts of bounded length; `None`, and nothing written, if they are not.
    #[inline(always)]
    fn all_short(&mut self, columns: &[StoredColumn], row: &Whole<'_>) -> Option<()> {
        if columns.len() > COLUMNS || !self.text {
            return None;
        }
        self.end = self.whole;
        self.reserve(HEAD + FIELDS);
        let room = self.out.get_mut(self.whole..)?.first_chunk_mut::<{ HEAD + FIELDS }>()?;
        let (head, fields) = room.split_first_chunk_mut::<HEAD>()?;
        let fields = fields.first_chunk_mut()?;
        let (written, length) = write_shorts(columns, row, &self.io, &mut self.last, fields);
        if written < columns.len() {
            return None;
        }
        *head = message_head(written, length);
        self.whole += HEAD + length;
        self.end = self.whole;
        Some(())
    }
}

/// What a DataRow message has before its fields: its type, the length of all but that, and the number of fields.
#[inline(always)]
fn message_head(columns: usize, fields: usize) -> [u8; HEAD] {
    let length = u32::try_from(fields + HEAD - 1).unwrap_or(u32::MAX).to_be_bytes();
    let columns = u16::try_from(columns).unwrap_or(u16::MAX).to_be_bytes();
    let ([a, b, c, d], [high, low]) = (length, columns);
    [b'D', a, b, c, d, high, low]
}

/// Writes columns, up to one whose text has no bound; how many, and their bytes.
#[inline(always)]
fn write_shorts(
    columns: &[StoredColumn],
    row: &Whole<'_>,
    io: &Io<'_>,
    last: &mut [Last],
    room: &mut [u8; FIELDS],
) -> (usize, usize) {
    let (mut written, mut end) = (0, 0);
    for (column, last) in columns.iter().zip(last) {
        let field = room.get_mut(end..).and_then(<[u8]>::first_chunk_mut);
        let (Some(value), Some(field)) = (column.of_whole(row), field) else { break };
        let Some(length) = write_field(column.ty, value, io, last, field) else { break };
        end += length;
        written += 1;
    }
    (written, end)
}

impl RowSink for RowWriter<'_> {
    #[inline]
    fn begin(&mut self, columns: usize) {
        self.column = 0;
        self.end = self.whole;
        self.put(message_head(columns, 0), HEAD);
    }

    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        if value.and_then(|value| self.short(ty, value)).is_some() {
            return Ok(());
        }
        self.long(value, |value, binary, io, out| {
            if binary {
                raw::binary_out_raw(ty.oid, ty.kind, value, io, out)
            } else {
                raw::text_out_raw(ty.oid, ty.kind, value, io, out)
            }
        })
    }

    fn datum(&mut self, ty: PgType, value: Datum) -> Result<()> {
        self.long(Some(value).filter(|v| !v.is_null()), |value, binary, io, out| {
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

    // Called in a loop over rows.
    #[inline]
    fn stored(&mut self, columns: &[StoredColumn], row: &Row<'_>) -> Result<()> {
        let whole = row.tuple().whole();
        if whole.as_ref().and_then(|row| self.all_short(columns, row)).is_some() {
            return Ok(());
        }
        self.begin(columns.len());
        let mut rest = columns;
        loop {
            while let Some(written) = whole.as_ref().and_then(|row| self.shorts(rest, row)) {
                rest = rest.get(written..).unwrap_or_default();
            }
            let Some((column, behind)) = rest.split_first() else { break };
            self.raw(column.ty, column.of(row))?;
            rest = behind;
        }
        self.end()
    }
}

impl Drop for RowWriter<'_> {
    fn drop(&mut self) {
        self.out.truncate(self.whole);
    }
}
