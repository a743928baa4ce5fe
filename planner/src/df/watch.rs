//! Statements that can be stopped while they run.
//!
//! Scans and set-returning functions look at the session's cancel flag as they give rows. Joins and
//! recursion make much of little: their rows are watched on the way out, and the conditions of joins
//! where they are evaluated, as what they turn away never comes out.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties};
use futures::StreamExt;

use crate::call::external;
use crate::context::ExecContext;

/// A condition that fails once the statement is to end.
pub(crate) fn condition(condition: Expr, ctx: &ExecContext) -> Expr {
    let signature = Signature::exact(vec![DataType::Boolean], Volatility::Volatile);
    let udf = ScalarUDF::new_from_impl(Watched { signature, ctx: ctx.clone() });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(udf), vec![condition]))
}

/// The identity, which looks at the cancel flag once a batch.
struct Watched {
    signature: Signature,
    ctx: ExecContext,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

// Within a plan there is one statement: all are the same function.
impl PartialEq for Watched {
    fn eq(&self, _other: &Watched) -> bool {
        true
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Watched {
    fn name(&self) -> &str {
        "watched"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        self.ctx.check().map_err(external)?;
        let value = args.args.into_iter().next();
        value.ok_or_else(|| DataFusionError::Internal("one argument expected".to_owned()))
    }
}

/// Puts a look at the cancel flag behind whatever gives more rows than it reads.
pub(crate) fn outputs(
    plan: Arc<dyn ExecutionPlan>,
    ctx: &ExecContext,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let done = plan.transform_up(|node| {
        let multiplies = node.is::<HashJoinExec>()
            || node.is::<NestedLoopJoinExec>()
            || node.is::<CrossJoinExec>()
            || node.is::<SortMergeJoinExec>()
            || node.is::<RecursiveQueryExec>();
        Ok(if multiplies {
            Transformed::yes(Arc::new(WatchExec { input: node, ctx: ctx.clone() }))
        } else {
            Transformed::no(node)
        })
    })?;
    Ok(done.data)
}

/// Passes batches on while the statement may go on.
struct WatchExec {
    input: Arc<dyn ExecutionPlan>,
    ctx: ExecContext,
}

impl WatchExec {
    /// The same over another input.
    fn over(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = super::children::only(children)?;
        Ok(Arc::new(WatchExec { input, ctx: self.ctx.clone() }))
    }
}

super::children::shown_by_name!(WatchExec);

impl ExecutionPlan for WatchExec {
    fn name(&self) -> &str {
        "WatchExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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
        let input = self.input.execute(partition, context)?;
        let (schema, ctx) = (input.schema(), self.ctx.clone());
        let watched = input.map(move |batch| ctx.check().map_err(external).and(batch));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, watched)))
    }
}
