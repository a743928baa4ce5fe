//! A row's bytes: `[u16 column count][null bitmap][fixed area][varying bytes]`, little-endian.
//!
//! The fixed area has [`Kind::width`] bytes for each column of a fixed kind, and for the others a
//! u32: where the column's bytes end, counted from the start of the row. They begin where those of
//! the varying column before it ended; arrays begin at the next multiple of four, so that packed
//! floats can be read in place. A NULL column has its bit set and its fixed bytes zero (a varying
//! one repeats the end before it).
//!
//! A row may have fewer columns than its table: those added later are not in it.

use crate::datum::{Datum, Kind};
use crate::error::{PgError, Result, SqlState};

/// Most columns a table may have, as in PostgreSQL.
pub const MAX_COLUMNS: usize = 1600;

#[derive(Clone, Copy, Debug)]
struct Column {
    kind: Kind,
    /// Offset inside the fixed area.
    offset: u32,
    /// Width in the fixed area.
    width: u32,
    /// Offset of the end of the varying column before this one; `None` for the first.
    previous_end: Option<u32>,
    varying: bool,
    aligned: bool,
}

/// The layout of a table's rows.
#[derive(Clone, Debug)]
pub struct TupleDesc {
    columns: Vec<Column>,
    kinds: Vec<Kind>,
}

impl TupleDesc {
    /// The layout of rows with columns of these kinds.
    pub fn new(kinds: Vec<Kind>) -> TupleDesc {
        let mut offset = 0u32;
        let mut previous_end = None;
        let columns = kinds
            .iter()
            .map(|kind| {
                let varying = kind.width().is_none();
                let width = kind.width().and_then(|w| u32::try_from(w).ok()).unwrap_or(4);
                let column = Column {
                    kind: *kind,
                    offset,
                    width,
                    previous_end,
                    varying,
                    aligned: *kind == Kind::Array,
                };
                if varying {
                    previous_end = Some(offset);
                }
                offset = offset.saturating_add(width);
                column
            })
            .collect();
        TupleDesc { columns, kinds }
    }

    /// How the columns are held.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Where whole rows have a column; `None` if it is of no fixed kind. Columns that are added later move nothing.
    pub fn fixed(&self, i: usize) -> Option<Fixed> {
        let column = self.columns.get(i).filter(|c| !c.varying)?;
        let (byte, bit) = (u32::try_from(i / 8).ok()?, 1 << (i % 8));
        Some(Fixed { offset: column.offset, width: column.width, byte, bit })
    }

    /// Size of the fixed area of a row that has the first `count` columns.
    fn fixed_size(&self, count: usize) -> usize {
        let last = count.checked_sub(1).and_then(|i| self.columns.get(i));
        last.map_or(0, |c| to_usize(c.offset) + to_usize(c.width))
    }
}

#[inline]
fn to_usize(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn align4(n: usize) -> usize {
    (n + 3) & !3
}

fn fixed_start(columns: usize) -> usize {
    2 + columns.div_ceil(8)
}

/// Appends a row. Values are in the order of the columns; each is NULL or of its column's kind.
pub fn encode_tuple(desc: &TupleDesc, values: &[Datum], out: &mut Vec<u8>) -> Result<()> {
    let count = values.len();
    if count > MAX_COLUMNS || count > desc.len() {
        return Err(PgError::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("row has {count} columns, table has {}", desc.len()),
        ));
    }
    let start = out.len();
    let fixed = start + fixed_start(count);
    out.reserve(fixed_start(count) + desc.fixed_size(count));
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
    out.resize(fixed, 0);
    let mut varying = false;
    for (i, (column, value)) in desc.columns.iter().zip(values).enumerate() {
        varying |= column.varying;
        if value.is_null() {
            if let Some(bits) = out.get_mut(start + 2 + i / 8) {
                *bits |= 1 << (i % 8);
            }
        } else if value.kind() != Some(column.kind) {
            return Err(wrong_kind(i, column, value));
        } else if !column.varying {
            crate::raw::encode(value, out);
            continue;
        }
        out.resize(out.len() + to_usize(column.width), 0);
    }
    if varying {
        for (column, value) in desc.columns.iter().zip(values).filter(|(c, _)| c.varying) {
            put_varying(column, value, start, fixed + to_usize(column.offset), out)?;
        }
    }
    Ok(())
}

#[cold]
fn wrong_kind(i: usize, column: &Column, value: &Datum) -> PgError {
    let (number, wanted, held) = (i + 1, column.kind, value.kind());
    PgError::internal(format!("column {number} holds {held:?}, not {wanted:?}"))
}

fn put_varying(
    column: &Column,
    value: &Datum,
    start: usize,
    at: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    if !value.is_null() {
        if column.aligned {
            out.resize(start + align4(out.len() - start), 0);
        }
        crate::raw::encode(value, out);
    }
    let end = u32::try_from(out.len() - start)
        .map_err(|_| PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too big: over 4 GB"))?;
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&end.to_le_bytes());
    }
    Ok(())
}

/// A row read in place.
#[derive(Clone, Copy, Debug)]
pub struct Tuple<'a> {
    desc: &'a TupleDesc,
    bytes: &'a [u8],
}

impl<'a> Tuple<'a> {
    /// A view of a row that [`encode_tuple`] wrote.
    #[inline]
    pub fn new(desc: &'a TupleDesc, bytes: &'a [u8]) -> Tuple<'a> {
        Tuple { desc, bytes }
    }

    /// Columns the row has; later ones of the table are newer than the row.
    #[inline]
    pub fn stored_columns(&self) -> usize {
        self.bytes.first_chunk::<2>().map_or(0, |count| usize::from(u16::from_le_bytes(*count)))
    }

    /// The row's layout.
    pub fn desc(&self) -> &'a TupleDesc {
        self.desc
    }

    /// All bytes of the row.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The row, if it has all the table's columns.
    #[inline]
    pub fn whole(&self) -> Option<Whole<'a>> {
        let stored = self.stored_columns();
        if stored != self.desc.len() {
            return None;
        }
        let (nulls, fixed) = self.bytes.get(2..)?.split_at_checked(stored.div_ceil(8))?;
        let nulls = nulls.iter().any(|bits| *bits != 0).then_some(nulls);
        Some(Whole { nulls, fixed })
    }

    /// Whether a column is NULL or newer than the row.
    #[inline]
    pub fn is_null(&self, i: usize) -> bool {
        i >= self.stored_columns()
            || self.bytes.get(2 + i / 8).is_none_or(|bits| bits & (1 << (i % 8)) != 0)
    }

    /// A column's stored bytes; `None` for NULL and for columns newer than the row.
    #[inline]
    pub fn raw(&self, i: usize) -> Option<&'a [u8]> {
        if self.is_null(i) {
            return None;
        }
        let column = self.desc.columns.get(i)?;
        let stored = self.stored_columns();
        let fixed = fixed_start(stored);
        let at = fixed + to_usize(column.offset);
        if !column.varying {
            return self.bytes.get(at..)?.get(..to_usize(column.width));
        }
        let end = self.end_at(at)?;
        let begin = match column.previous_end {
            Some(previous) => self.end_at(fixed + to_usize(previous))?,
            None => fixed + self.desc.fixed_size(stored),
        };
        self.bytes.get(if column.aligned { align4(begin) } else { begin }..end)
    }

    fn end_at(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(to_usize(u32::from_le_bytes(*bytes)))
    }

    /// A column's value; NULL for columns newer than the row and for bytes that are no value.
    pub fn get(&self, i: usize) -> Datum {
        match (self.raw(i), self.desc.columns.get(i)) {
            (Some(raw), Some(column)) => crate::raw::decode(column.kind, raw).unwrap_or_default(),
            _ => Datum::Null,
        }
    }

    /// All of the table's columns.
    pub fn values(&self) -> Vec<Datum> {
        let whole = self.whole();
        let value = |(i, column): (usize, &Column)| {
            let raw = whole.and_then(|w| w.at(self.desc.fixed(i)?)).or_else(|| self.raw(i));
            raw.and_then(|raw| crate::raw::decode(column.kind, raw).ok()).unwrap_or_default()
        };
        self.desc.columns.iter().enumerate().map(value).collect()
    }
}

/// Where whole rows have a column of a fixed kind.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    offset: u32,
    width: u32,
    /// Where its bit is among those of NULLs.
    byte: u32,
    bit: u8,
}

/// A row with all its columns: those of fixed kinds are at the same place in each such row.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// The bits of NULLs, if one is set.
    nulls: Option<&'a [u8]>,
    fixed: &'a [u8],
}

impl<'a> Whole<'a> {
    /// The stored bytes at a place of the row's layout; `None` for NULL.
    #[inline]
    pub fn at(&self, place: Fixed) -> Option<&'a [u8]> {
        if let Some(nulls) = self.nulls
            && nulls.get(to_usize(place.byte)).is_none_or(|bits| bits & place.bit != 0)
        {
            return None;
        }
        self.fixed.get(to_usize(place.offset)..)?.get(..to_usize(place.width))
    }
}
