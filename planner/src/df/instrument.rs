//! Nodes of the batch lane under a clock.
//!
//! For EXPLAIN every node of the logical plan is wrapped in an [`Instrument`], which becomes a physical
//! node that passes batches on and counts. So figures belong to nodes of the plan as it is written,
//! whatever operators DataFusion makes of one. Scans count for themselves, as row plans.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, Result as DfResult};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt};
use vicinity_types::Result;

use crate::call::{external, internal};
use crate::measure::{Figures, Measure, Place, SortSpace, Stage};
use crate::push::ScanNode;
use crate::push::lower::scan_of;

/// A node that is its input, measured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instrument {
    input: LogicalPlan,
    /// Whose figures they are.
    pub place: Place,
}

impl PartialOrd for Instrument {
    fn partial_cmp(&self, other: &Instrument) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Instrument {
    fn name(&self) -> &str {
        "Instrument"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instrument: {}", self.place.node)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        let input = super::children::only(inputs)?;
        Ok(Instrument { input, place: self.place })
    }
}

/// Numbers the nodes of a plan and wraps each.
pub(crate) fn logical(plan: LogicalPlan, root: Place) -> Result<LogicalPlan> {
    let mut next = 0;
    wrap(plan, root, &mut next)
}

fn wrap(plan: LogicalPlan, root: Place, next: &mut u32) -> Result<LogicalPlan> {
    let place = root.below(*next);
    *next += 1;
    if let Some(scan) = scan_of(&plan) {
        let node = Arc::new(ScanNode { place: Some(place), ..scan.clone() });
        return Ok(LogicalPlan::Extension(Extension { node }));
    }
    let input = plan
        .map_children(|child| wrap(child, root, next).map(Transformed::yes).map_err(external))
        .map_err(internal)?
        .data;
    let node = Arc::new(Instrument { input, place });
    Ok(LogicalPlan::Extension(Extension { node }))
}

/// Set in the number of a sort that DataFusion put below the node of that number.
pub(crate) const SORT_BELOW: u32 = 1 << 31;

/// Wraps the sorts of a physical plan that are no nodes of the logical one.
pub(crate) fn sorts(
    plan: Arc<dyn ExecutionPlan>,
    root: Place,
    measure: Option<&Arc<Measure>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    wrap_sorts(plan, root, true, measure).map_err(internal)
}

fn wrap_sorts(
    plan: Arc<dyn ExecutionPlan>,
    at: Place,
    is_node: bool,
    measure: Option<&Arc<Measure>>,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let own = plan.downcast_ref::<InstrumentExec>().map(|i| i.place);
    let below = own.unwrap_or(at);
    let done = plan
        .map_children(|c| wrap_sorts(c, below, own.is_some(), measure).map(Transformed::yes))?
        .data;
    if is_node || !done.is::<SortExec>() {
        return Ok(done);
    }
    let place = Place { node: at.node | SORT_BELOW, ..at };
    Ok(Arc::new(InstrumentExec::new(done, place, measure.cloned())))
}

/// Passes batches on, counting them.
#[derive(Debug)]
pub struct InstrumentExec {
    input: Arc<dyn ExecutionPlan>,
    place: Place,
    measure: Option<Arc<Measure>>,
}

impl InstrumentExec {
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        place: Place,
        measure: Option<Arc<Measure>>,
    ) -> InstrumentExec {
        InstrumentExec { input, place, measure }
    }

    fn over(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = super::children::only(children)?;
        Ok(Arc::new(InstrumentExec::new(input, self.place, self.measure.clone())))
    }
}

impl DisplayAs for InstrumentExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstrumentExec: {}", self.place.node)
    }
}

impl ExecutionPlan for InstrumentExec {
    fn name(&self) -> &str {
        "InstrumentExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    super::children::replaced_by_over!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let Some(measure) = self.measure.clone() else {
            return self.input.execute(partition, context);
        };
        let began = measure.now();
        let inner = self.input.execute(partition, context)?;
        let total = measure.now().saturating_sub(began);
        let figures = Figures { loops: 1, total, ..Figures::default() };
        let (node, place) = (self.input.clone(), self.place);
        Ok(Box::pin(Timed { inner, node, place, measure, figures, answered: false }))
    }
}

/// A stream under a clock.
struct Timed {
    inner: SendableRecordBatchStream,
    node: Arc<dyn ExecutionPlan>,
    place: Place,
    measure: Arc<Measure>,
    figures: Figures,
    answered: bool,
}

impl Stream for Timed {
    type Item = DfResult<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let me = self.get_mut();
        let before = me.measure.now();
        let next = me.inner.poll_next_unpin(cx);
        me.figures.total += me.measure.now().saturating_sub(before);
        if let Poll::Ready(answer) = &next {
            if !me.answered {
                me.answered = true;
                me.figures.startup = me.figures.total;
            }
            if let Some(Ok(batch)) = answer {
                me.figures.rows += batch.num_rows() as u64;
                me.figures.bytes += batch.get_array_memory_size() as u64;
            }
        }
        next
    }
}

impl RecordBatchStream for Timed {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        for operator in operators(&self.node) {
            let metrics = operator.metrics();
            let hashed = metrics
                .iter()
                .flat_map(|m| m.iter())
                .filter(|m| matches!(m.value().name(), "build_mem_used" | "peak_mem_used"));
            let memory = hashed.map(|m| m.value().as_usize() as u64).sum::<u64>();
            self.figures.hash = self.figures.hash.max(Some(memory).filter(|m| *m > 0));
            let spilled = metrics.as_ref().and_then(|m| m.spilled_bytes()).unwrap_or(0) as u64;
            if spilled > 0 && operator.is::<SortExec>() {
                let space = SortSpace { method: "external merge", bytes: spilled, disk: true };
                self.figures.sort = Some(space);
            }
        }
        self.measure.add(self.place, Stage::Top, &self.figures);
    }
}

/// The operators between one measured node and those below.
fn operators(node: &Arc<dyn ExecutionPlan>) -> Vec<&Arc<dyn ExecutionPlan>> {
    let mut found = Vec::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        if node.is::<InstrumentExec>() || node.children().is_empty() {
            continue;
        }
        found.push(node);
        open.extend(node.children());
    }
    found
}

/// How DataFusion joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinMethod {
    /// One side is hashed; whether that is the logical join's left.
    Hash { left: bool },
    /// Both sides in order.
    Merge,
    /// One side is kept, the other gone through; whether the kept is the left.
    Loop { left: bool },
}

/// What became of the joins of a plan, by node number.
pub(crate) fn joins(plan: &Arc<dyn ExecutionPlan>) -> HashMap<u32, JoinMethod> {
    let mut found = HashMap::new();
    collect(plan, &mut found);
    found
}

fn collect(plan: &Arc<dyn ExecutionPlan>, found: &mut HashMap<u32, JoinMethod>) {
    if let Some(node) = plan.downcast_ref::<InstrumentExec>() {
        for operator in operators(&node.input) {
            if let Some(method) = method(operator) {
                found.insert(node.place.node, method);
            }
        }
    }
    for child in plan.children() {
        collect(child, found);
    }
}

fn method(operator: &Arc<dyn ExecutionPlan>) -> Option<JoinMethod> {
    // Nodes are numbered left before right: the lower number is the logical left.
    let in_order = |plan: &Arc<dyn ExecutionPlan>| {
        let children = plan.children();
        let numbers: Vec<Option<u32>> = children.iter().map(|c| first_number(c)).collect();
        matches!(numbers.as_slice(), [Some(a), Some(b)] if a < b)
    };
    if operator.is::<HashJoinExec>() {
        Some(JoinMethod::Hash { left: in_order(operator) })
    } else if operator.is::<SortMergeJoinExec>() {
        Some(JoinMethod::Merge)
    } else if operator.is::<NestedLoopJoinExec>() || operator.is::<CrossJoinExec>() {
        Some(JoinMethod::Loop { left: in_order(operator) })
    } else {
        None
    }
}

/// The number of the topmost measured node of a plan.
fn first_number(plan: &Arc<dyn ExecutionPlan>) -> Option<u32> {
    if let Some(node) = plan.downcast_ref::<InstrumentExec>() {
        return Some(node.place.node & !SORT_BELOW);
    }
    if let Some(scan) = plan.downcast_ref::<super::stream::RowExec>() {
        return Some(scan.place().node);
    }
    plan.children().into_iter().find_map(first_number)
}
