//! `Window`: window functions over partitions of ordered rows, with PostgreSQL's frames.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use vicinity_functions::Proc;
use vicinity_types::Result;

use crate::call::{Callable, PgType, Typed, internal};

/// What a frame counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Rows.
    Rows,
    /// Distances in the order's value.
    Range,
    /// Groups of peers.
    Groups,
}

/// What of a frame is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclude {
    /// Nothing.
    None,
    /// The current row.
    Row,
    /// The current row and its peers.
    Group,
    /// Its peers but not the row itself.
    Ties,
}

/// An end of a frame.
#[derive(Clone, Debug)]
pub enum Bound {
    /// The partition's own end on that side.
    Unbounded,
    /// The current row, with its peers unless rows are counted.
    Current,
    /// So far before or after it.
    Offset {
        /// How far: free of columns.
        offset: Typed,
        /// Before it.
        preceding: bool,
        /// RANGE: the order's `in_range` function.
        in_range: Option<Arc<dyn Callable>>,
    },
}

/// The rows an aggregate or `first_value` looks at.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it counts in.
    pub units: Units,
    /// Where it begins.
    pub start: Bound,
    /// Where it ends.
    pub end: Bound,
    /// What is left out.
    pub exclude: Exclude,
}

/// A call of a window function or of an aggregate with OVER.
#[derive(Clone, Debug)]
pub struct WindowCall {
    /// `pg_proc`'s row.
    pub proc: &'static Proc,
    /// The arguments.
    pub args: Vec<Typed>,
    /// `FILTER (WHERE ..)`
    pub filter: Option<Expr>,
    /// The frame.
    pub frame: Frame,
    /// The column it gives.
    pub name: String,
    /// Its type.
    pub ret: PgType,
}

/// A key of a window's order.
#[derive(Clone, Debug)]
pub struct WindowKey {
    /// What to order by.
    pub value: Typed,
    /// `DESC`
    pub descending: bool,
    /// `NULLS FIRST`
    pub nulls_first: bool,
}

/// How rows are divided and ordered.
#[derive(Clone, Debug)]
pub struct WindowSpec {
    /// `PARTITION BY`
    pub partition: Vec<Typed>,
    /// `ORDER BY`
    pub order: Vec<WindowKey>,
    /// The order the input must come in: by partition, then as the window says.
    pub sort: Vec<Sort>,
}

impl WindowSpec {
    fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let partition = self.partition.iter_mut().map(|p| &mut p.expr);
        let order = self.order.iter_mut().map(|k| &mut k.value.expr);
        partition.chain(order).chain(self.sort.iter_mut().map(|s| &mut s.expr))
    }
}

impl WindowCall {
    fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let offset = |bound| match bound {
            &mut Bound::Offset { ref mut offset, .. } => Some(&mut offset.expr),
            _ => None,
        };
        let frame = [&mut self.frame.start, &mut self.frame.end].into_iter().filter_map(offset);
        self.args.iter_mut().map(|a| &mut a.expr).chain(self.filter.iter_mut()).chain(frame)
    }
}

/// Calls over one window.
#[derive(Clone, Debug)]
pub struct WindowGroup {
    /// The window.
    pub spec: WindowSpec,
    /// The calls.
    pub calls: Vec<WindowCall>,
}

impl WindowGroup {
    /// All expressions in it.
    pub fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let calls = self.calls.iter_mut().flat_map(WindowCall::exprs_mut);
        self.spec.exprs_mut().chain(calls)
    }

    /// All expressions in it.
    pub fn exprs(&self) -> Vec<Expr> {
        self.clone().exprs_mut().map(|e| e.clone()).collect()
    }
}

/// The logical node: the input's columns, then one for each call.
#[derive(Clone, Debug)]
pub struct Window {
    /// The rows.
    pub input: Arc<LogicalPlan>,
    /// What is computed.
    pub group: WindowGroup,
    schema: DFSchemaRef,
}

/// Puts the calls over a plan.
pub fn window(input: LogicalPlan, group: WindowGroup) -> Result<LogicalPlan> {
    let node = Window::over(input, group).map_err(internal)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

impl Window {
    fn over(input: LogicalPlan, group: WindowGroup) -> datafusion::common::Result<Window> {
        let own =
            group.calls.iter().map(|c| (None, Arc::new(Field::new(&c.name, c.ret.arrow(), true))));
        let fields =
            input.schema().iter().map(|(q, f)| (q.cloned(), f.clone())).chain(own).collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(Window { input: Arc::new(input), group, schema })
    }

    fn identity(&self) -> String {
        format!("{:?}", self.group)
    }
}

impl PartialEq for Window {
    fn eq(&self, other: &Window) -> bool {
        self.input == other.input && self.identity() == other.identity()
    }
}

impl Eq for Window {}

impl Hash for Window {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.identity().hash(state);
    }
}

impl PartialOrd for Window {
    fn partial_cmp(&self, other: &Window) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Window {
    fn name(&self) -> &str {
        "Window"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.group.exprs()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.group.calls.iter().map(|c| c.proc.name).collect();
        write!(f, "Window: {}", names.join(", "))
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> datafusion::common::Result<Self> {
        let short =
            || DataFusionError::Internal("Window: too few expressions or inputs".to_owned());
        let mut group = self.group.clone();
        let mut exprs = exprs.into_iter();
        for slot in group.exprs_mut() {
            *slot = exprs.next().ok_or_else(short)?;
        }
        Window::over(inputs.into_iter().next().ok_or_else(short)?, group)
    }

    fn necessary_children_exprs(&self, output: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.input.schema();
        let mut needed: Vec<usize> =
            output.iter().copied().filter(|i| *i < schema.fields().len()).collect();
        for expr in self.group.exprs() {
            let columns = expr.column_refs();
            needed.extend(columns.into_iter().filter_map(|c| schema.index_of_column(c).ok()));
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
