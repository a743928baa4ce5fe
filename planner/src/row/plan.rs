//! Row plans: what a statement compiled for the row lane consists of.

use std::cell::OnceCell;
use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan};
use vicinity_types::{Datum, Kind, Result, SqlState};

use super::aggregate::{self, AggregateNode};
use super::append::Append;
use super::build::compile_over;
use super::cursor::RowCursor;
use super::emit::StoredColumn;
use super::family::Family;
use super::lock::ScanLocks;
use super::node::{Frame, Node, RowRef};
use super::scan::CompiledScan;
use super::sort::SortNode;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::df::set::SetCallable;
use crate::measure::Place;
use crate::rows::OutputColumn;

/// Where a row plan's rows come from.
#[allow(clippy::large_enum_variant)]
pub enum Leaf {
    /// One row without columns, or none.
    One(bool),
    /// A table.
    Scan(CompiledScan),
    /// A set-returning function.
    Set {
        /// The function.
        function: Arc<dyn SetCallable>,
        /// Its arguments.
        args: Vec<Node>,
    },
    /// Several plans' rows.
    Append(Append),
    /// A family's rows, of the tables they are found to be in when it begins.
    Family(Box<Family>),
    /// Aggregates over another plan.
    Aggregate {
        /// The plan that gives the arguments.
        inner: Arc<RowPlan>,
        /// What it was compiled from, where `min` or `max` only looks at the end of an index.
        extreme: Option<LogicalPlan>,
        /// The aggregates.
        nodes: Vec<AggregateNode>,
    },
}

/// More plans than this behind each other may take any time.
const FEW: usize = 64;

/// A statement compiled for the row lane.
pub struct RowPlan {
    pub(crate) leaf: Leaf,
    pub(crate) filter: Option<Node>,
    pub(crate) sort: Vec<SortNode>,
    pub(crate) outputs: Vec<(Node, PgType)>,
    /// The outputs again, where they all are columns of a table.
    pub(super) stored: Option<Box<[StoredColumn]>>,
    pub(super) limit: Option<Node>,
    pub(super) offset: Option<Node>,
    pub(super) cells: usize,
    /// Rows wanted by whoever runs it, where they know.
    pub(super) hint: usize,
    /// Rows to look for at first.
    pub(super) pace: usize,
    /// `FOR UPDATE` and the like.
    pub(super) locks: Option<ScanLocks>,
    /// Its topmost node, for EXPLAIN ANALYZE.
    pub(crate) place: Place,
}

impl RowPlan {
    /// All rows of a leaf.
    pub(super) fn over(
        leaf: Leaf,
        outputs: Vec<(Node, PgType)>,
        cells: usize,
        place: Place,
    ) -> RowPlan {
        RowPlan {
            stored: StoredColumn::all(&leaf, &outputs),
            leaf,
            filter: None,
            sort: Vec::new(),
            outputs,
            limit: None,
            offset: None,
            cells,
            hint: usize::MAX,
            pace: usize::MAX,
            locks: None,
            place,
        }
    }

    /// Compiles a lowered plan; `None` if its shape is the batch lane's.
    pub fn compile(
        plan: &LogicalPlan,
        columns: &[OutputColumn],
        params: &[Kind],
        ctx: &ExecContext,
        place: Place,
    ) -> Result<Option<RowPlan>> {
        let types: Vec<PgType> = columns.iter().map(|c| c.ty).collect();
        let outputs: Vec<Expr> =
            plan.schema().iter().map(|(q, f)| Expr::Column((q, f).into())).collect();
        if outputs.len() != types.len() {
            return Ok(None);
        }
        match compile_over(plan, outputs, &types, params, ctx, place) {
            Err(e) if e.code() == SqlState::FEATURE_NOT_SUPPORTED => Ok(None),
            other => other,
        }
    }

    /// Whether it may run on a connection's own task (invariant *no-starvation*).
    pub fn is_short(&self) -> bool {
        self.is_short_within(self.limit.is_some())
    }

    /// The same where a LIMIT above may stand for its own.
    pub(super) fn is_short_within(&self, limited: bool) -> bool {
        if self.locks.is_some() || !self.sort.is_empty() || self.runs_statements() {
            return false;
        }
        match &self.leaf {
            Leaf::One(_) => true,
            Leaf::Scan(scan) => (scan.is_single() || limited) && scan.is_short(),
            Leaf::Append(append) => {
                append.parts.len() <= FEW && append.parts.iter().all(|p| p.is_short_within(limited))
            }
            Leaf::Family(family) => family.is_short_within(limited),
            Leaf::Set { .. } | Leaf::Aggregate { .. } => false,
        }
    }

    /// Whether an expression of it may take any time.
    pub(super) fn runs_statements(&self) -> bool {
        let scan = match &self.leaf {
            Leaf::Scan(scan) => scan.runs_statements(),
            Leaf::Append(append) => append.parts.iter().any(|p| p.runs_statements()),
            Leaf::Family(family) => family.runs_statements,
            _ => false,
        };
        let rest = [&self.filter, &self.limit, &self.offset];
        scan || rest.into_iter().flatten().any(Node::runs_statements)
            || self.outputs.iter().any(|(node, _)| node.runs_statements())
    }

    /// The keys its rows are sorted by, and whether they come in order of the first key already.
    pub(super) fn order(&self) -> Option<(&[SortNode], bool)> {
        match &self.leaf {
            _ if !self.sort.is_empty() => Some((&self.sort, false)),
            Leaf::Scan(scan) if !scan.order.is_empty() => Some((&scan.order, true)),
            _ => None,
        }
    }

    /// How its columns are held.
    pub fn kinds(&self) -> Vec<Kind> {
        self.outputs.iter().map(|(_, ty)| ty.kind).collect()
    }

    /// Tells it how many rows will be asked for at most, or how many at first: a nearness scan looks for so many at
    /// once.
    #[must_use]
    pub fn with_rows(self, most: Option<usize>, pace: Option<usize>) -> RowPlan {
        RowPlan { hint: most.unwrap_or(usize::MAX), pace: pace.unwrap_or(usize::MAX), ..self }
    }

    /// How many rows to look for at first.
    pub(crate) fn pace(&self) -> usize {
        self.pace
    }

    /// Whether it locks rows.
    pub(crate) fn is_locking(&self) -> bool {
        self.locks.is_some()
    }

    /// Whether there is a LIMIT or an OFFSET.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some() || self.offset.is_some()
    }

    pub(crate) fn cells(&self) -> Vec<OnceCell<Datum>> {
        if self.cells == 0 { Vec::new() } else { vec![OnceCell::new(); self.cells] }
    }

    /// Whether it gives exactly one row, of expressions over nothing.
    pub fn is_scalar(&self) -> bool {
        matches!(self.leaf, Leaf::One(true)) && self.filter.is_none() && !self.is_limited()
    }

    /// Runs it for its first row's first value; NULL if there is no row. What a scalar SQL function's
    /// body comes down to.
    pub fn scalar(self: &Arc<Self>, ctx: &ExecContext, params: &[Datum]) -> Result<Datum> {
        if let Leaf::One(true) = self.leaf
            && self.filter.is_none()
            && !self.is_limited()
            && let Some((node, _)) = self.outputs.first()
        {
            let once = self.cells();
            return node.eval(&Frame { ctx, params, once: &once, row: RowRef::None });
        }
        if let Leaf::Aggregate { inner, nodes, .. } = &self.leaf
            && self.filter.is_none()
            && !self.is_limited()
            && let Some((node, _)) = self.outputs.first()
        {
            let values = aggregate::run(inner, nodes, ctx, params)?;
            let once = self.cells();
            return node.eval(&Frame { ctx, params, once: &once, row: RowRef::Values(&values) });
        }
        let mut cursor = RowCursor::open(self.clone(), ctx.clone(), params.to_vec())?;
        let mut rows = crate::rows::Collect::default();
        cursor.fill(&mut rows, 1)?;
        Ok(rows.rows.into_iter().next().and_then(|r| r.into_iter().next()).unwrap_or_default())
    }
}
