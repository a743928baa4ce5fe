//! What an index reads of a row: of one that is stored, or of the values of one that may be.

use vicinity_types::{Datum, Kind, Result, raw};

use super::Layout;

/// A row's columns.
pub(crate) trait Columns {
    /// A column's value.
    fn value(&self, column: usize, kind: Kind) -> Result<Datum>;

    /// Runs `f` over the whole row, in which the columns named have their values.
    fn with_values<R>(&self, columns: &[usize], f: impl FnOnce(&[Datum]) -> Result<R>)
    -> Result<R>;
}

/// A row as it is stored.
pub(crate) struct Stored<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) bytes: &'a [u8],
}

impl Columns for Stored<'_> {
    #[inline]
    fn value(&self, column: usize, kind: Kind) -> Result<Datum> {
        self.layout
            .raw(self.bytes, column)
            .map_or(Ok(Datum::Null), |value| raw::decode(kind, value))
    }

    fn with_values<R>(
        &self,
        columns: &[usize],
        f: impl FnOnce(&[Datum]) -> Result<R>,
    ) -> Result<R> {
        let kinds = self.layout.desc.kinds();
        let mut row = vec![Datum::Null; kinds.len()];
        for column in columns {
            if let (Some(slot), Some(kind)) = (row.get_mut(*column), kinds.get(*column)) {
                *slot = self.value(*column, *kind)?;
            }
        }
        f(&row)
    }
}

impl Columns for &[Datum] {
    #[inline]
    fn value(&self, column: usize, _kind: Kind) -> Result<Datum> {
        Ok(self.get(column).cloned().unwrap_or_default())
    }

    fn with_values<R>(
        &self,
        _columns: &[usize],
        f: impl FnOnce(&[Datum]) -> Result<R>,
    ) -> Result<R> {
        f(self)
    }
}
