//! Rows on their way out: stored columns straight from their bytes, others computed.

use vicinity_storage::Row;
use vicinity_types::tuple::{Fixed, Whole};
use vicinity_types::{Datum, Result};

use super::node::{Frame, Node, RowRef};
use super::plan::{Leaf, RowPlan};
use super::scan::{CompiledScan, Origins};
use crate::call::PgType;
use crate::rows::RowSink;

/// An output that is a column of the table's rows.
pub struct StoredColumn {
    index: usize,
    /// Where whole rows have it.
    fixed: Option<Fixed>,
    /// Its type.
    pub ty: PgType,
}

impl StoredColumn {
    /// The outputs of rows from a leaf, if they all are columns of a table.
    pub(super) fn all(leaf: &Leaf, outputs: &[(Node, PgType)]) -> Option<Box<[StoredColumn]>> {
        let Leaf::Scan(CompiledScan { origins: Origins::Table(table), .. }) = leaf else {
            return None;
        };
        let stored = |(node, ty): &(Node, PgType)| match node {
            Node::Column(i) => {
                Some(StoredColumn { index: *i, fixed: table.desc().fixed(*i), ty: *ty })
            }
            _ => None,
        };
        outputs.iter().map(stored).collect()
    }

    /// Its value in a row with all columns, `None` for NULL; `None` where such rows have it in no certain place.
    #[inline(always)]
    pub fn of_whole<'a>(&self, row: &Whole<'a>) -> Option<Option<&'a [u8]>> {
        self.fixed.map(|place| row.at(place))
    }

    /// Its value in any row.
    pub fn of<'a>(&self, row: &Row<'a>) -> Option<&'a [u8]> {
        row.raw(self.index)
    }
}

/// Hands out rows.
pub(super) struct Giver<'a, S: ?Sized> {
    pub(super) plan: &'a RowPlan,
    pub(super) frame: Frame<'a>,
    pub(super) sink: &'a mut S,
    /// Rows still left out.
    pub(super) skip: &'a mut u64,
    /// Rows still wanted.
    pub(super) want: u64,
    pub(super) given: &'a mut usize,
}

impl<S: RowSink + ?Sized> Giver<'_, S> {
    /// Takes a row; whether more are wanted.
    // Called in loops over rows.
    #[inline(always)]
    pub(super) fn give(&mut self, row: RowRef<'_>) -> Result<bool> {
        if *self.skip > 0 {
            return self.leave_out();
        }
        emit(self.plan, &self.frame, row, self.sink)?;
        Ok(self.gave())
    }

    /// Counts a row; whether more are wanted.
    #[inline(always)]
    fn gave(&mut self) -> bool {
        *self.given += 1;
        self.want -= 1;
        self.want > 0
    }

    fn leave_out(&mut self) -> Result<bool> {
        if self.skip.is_multiple_of(1024) {
            self.frame.ctx.check()?;
        }
        *self.skip -= 1;
        Ok(self.want > 0)
    }

    /// The same of a row with nothing left to compute.
    pub(super) fn give_done(&mut self, row: Vec<Datum>) -> Result<bool> {
        if *self.skip > 0 {
            return self.leave_out();
        }
        self.sink.begin(row.len());
        for (value, (_, ty)) in row.into_iter().zip(&self.plan.outputs) {
            self.sink.datum(*ty, value)?;
        }
        self.sink.end()?;
        Ok(self.gave())
    }
}

/// Writes a row.
#[inline(always)]
fn emit<S: RowSink + ?Sized>(
    plan: &RowPlan,
    frame: &Frame<'_>,
    row: RowRef<'_>,
    sink: &mut S,
) -> Result<()> {
    match (&plan.stored, row) {
        (Some(columns), RowRef::Stored(row, _)) => sink.stored(columns, row),
        _ => computed(&plan.outputs, frame, row, sink),
    }
}

fn computed<S: RowSink + ?Sized>(
    outputs: &[(Node, PgType)],
    frame: &Frame<'_>,
    row: RowRef<'_>,
    sink: &mut S,
) -> Result<()> {
    sink.begin(outputs.len());
    for (node, ty) in outputs {
        match (node, row) {
            (Node::Column(i), RowRef::Stored(row, _)) => sink.raw(*ty, row.raw(*i))?,
            (node, _) => sink.datum(*ty, node.eval(&frame.with_row(row))?)?,
        }
    }
    sink.end()
}
