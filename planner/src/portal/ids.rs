//! Where the rows of a cursor are, for `WHERE CURRENT OF`.

use vicinity_storage::Catalog;
use vicinity_types::Oid;

use crate::partition::{ancestors, descendants};

/// What stands behind the columns of a cursor's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowIds {
    /// Nothing.
    #[default]
    None,
    /// The row's table and its id, rows being those of one table.
    Table,
    /// The same, where tables that inherit from it are among them.
    Family,
}

impl RowIds {
    /// How many columns those are.
    pub(crate) fn columns(self) -> usize {
        if self == RowIds::None { 0 } else { 2 }
    }
}

/// The same of a cursor that is open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ids {
    pub(super) of: RowIds,
    /// The table the query names.
    pub(super) table: Oid,
    /// Its rows are locked.
    pub(super) locks: bool,
}

impl Ids {
    /// Whether the rows of a table are among the cursor's.
    pub(super) fn cover(self, catalog: &Catalog, table: Oid) -> bool {
        match self.of {
            RowIds::None => false,
            _ if self.table == table => true,
            RowIds::Table => false,
            RowIds::Family => match (catalog.relation(table), catalog.relation(self.table)) {
                (Some(own), _) if own.table().is_some_and(|t| t.bound.is_some()) => {
                    ancestors(catalog, own).iter().any(|above| above.oid == self.table)
                }
                (Some(_), Some(top)) => descendants(catalog, top).iter().any(|r| r.oid == table),
                _ => false,
            },
        }
    }
}
