//! `Unseen`: rows that did not come before, anywhere in a recursive query with UNION.
//!
//! Its two terms go through nodes of one number, which share their memory: rows are told apart by
//! the values' equality, and of equal rows the first is kept as it is.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchemaRef, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties};
use futures::StreamExt;
use parking_lot::Mutex;

use super::children::only;
use super::stream::properties;

/// The logical node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// The rows.
    pub input: LogicalPlan,
    /// Nodes of one number share what they have seen.
    pub number: u64,
    /// What tells rows apart.
    pub keys: Vec<Expr>,
}

impl Unseen {
    /// A number no other nodes have.
    pub fn new_number() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Atomic::Relaxed)
    }

    /// As a plan.
    pub fn plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

impl Hash for Unseen {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
        self.input.hash(state);
    }
}

impl PartialOrd for Unseen {
    fn partial_cmp(&self, other: &Unseen) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Unseen {
    fn name(&self) -> &str {
        "Unseen"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.keys.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unseen: {}", self.number)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        Ok(Unseen { input: only(inputs)?, number: self.number, keys: exprs })
    }

    fn necessary_children_exprs(&self, _output: &[usize]) -> Option<Vec<Vec<usize>>> {
        // Rows are told apart by all of their columns.
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

/// The keys of the rows seen so far.
pub(crate) struct Seen {
    converter: RowConverter,
    rows: HashSet<Box<[u8]>>,
}

/// What several operators share.
pub(crate) type SharedSeen = Arc<Mutex<Option<Seen>>>;

/// The physical node.
pub(crate) struct UnseenExec {
    input: Arc<dyn ExecutionPlan>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    seen: SharedSeen,
    properties: Arc<PlanProperties>,
}

impl UnseenExec {
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        keys: Vec<Arc<dyn PhysicalExpr>>,
        seen: SharedSeen,
    ) -> UnseenExec {
        let properties = properties(input.schema());
        UnseenExec { input, keys, seen, properties }
    }

    /// The same over another input.
    fn over(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = only(children)?;
        Ok(Arc::new(UnseenExec::new(input, self.keys.clone(), self.seen.clone())))
    }
}

super::children::shown_by_name!(UnseenExec);

impl ExecutionPlan for UnseenExec {
    fn name(&self) -> &str {
        "UnseenExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        super::children::each_expression(&self.keys, f)
    }

    super::children::replaced_by_over!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (keys, seen, schema) = (self.keys.clone(), self.seen.clone(), self.input.schema());
        let fresh = input.map(move |batch| unseen(&batch?, &keys, &seen));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, fresh)))
    }
}

/// The rows of a batch that were not seen before.
fn unseen(
    batch: &RecordBatch,
    keys: &[Arc<dyn PhysicalExpr>],
    seen: &SharedSeen,
) -> DfResult<RecordBatch> {
    let columns = keys
        .iter()
        .map(|key| key.evaluate(batch).and_then(|value| value.into_array(batch.num_rows())))
        .collect::<DfResult<Vec<_>>>()?;
    let mut seen = seen.lock();
    let seen = match &mut *seen {
        Some(seen) => seen,
        none => {
            let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
            let converter = RowConverter::new(fields)?;
            none.insert(Seen { converter, rows: HashSet::new() })
        }
    };
    let rows = seen.converter.convert_columns(&columns)?;
    let fresh = rows.iter().map(|row| Some(seen.rows.insert(Box::from(row.as_ref()))));
    let fresh: BooleanArray = fresh.collect();
    Ok(filter_record_batch(batch, &fresh)?)
}
