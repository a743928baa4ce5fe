//! Rows on their way out: to the client's buffer, or into memory.

mod writer;

use vicinity_storage::Row;
use vicinity_types::{Datum, Oid, Result, raw};

use crate::call::PgType;
pub use crate::row::StoredColumn;
pub use writer::RowWriter;

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

    /// A whole row of stored columns.
    fn stored(&mut self, columns: &[StoredColumn], row: &Row<'_>) -> Result<()> {
        self.begin(columns.len());
        for column in columns {
            self.raw(column.ty, column.of(row))?;
        }
        self.end()
    }
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

    fn stored(&mut self, columns: &[StoredColumn], row: &Row<'_>) -> Result<()> {
        (**self).stored(columns, row)
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
