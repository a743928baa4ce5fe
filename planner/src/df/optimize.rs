//! DataFusion's optimiser, with the rules whose results both lanes can run.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{
    ApplyOrder, Optimizer, OptimizerConfig, OptimizerContext, OptimizerRule,
};
use vicinity_types::{PgError, Result};

use super::simplify::Simplify;
use crate::call::{external, internal};
use crate::context::{self, ExecContext};
use crate::push;

/// Rules left out: they add projections that hide shapes the row lane and push-down know, for gains
/// that matter to files read column by column.
const LEFT_OUT: &[&str] = &[
    "common_sub_expression_eliminate",
    "extract_leaf_expressions",
    "push_down_leaf_projections",
    // joins turn NULL keys away themselves
    "filter_null_join_keys",
];

/// DataFusion's rule that ours stands for.
const REPLACED: &str = "simplify_expressions";

static OPTIMIZER: LazyLock<Optimizer> = LazyLock::new(|| {
    let rules = Optimizer::new().rules.into_iter();
    let rules = rules.filter(|r| !LEFT_OUT.contains(&r.name()));
    let rules = rules.map(|r| if r.name() == REPLACED { Arc::new(Simplify) } else { r });
    Optimizer::with_rules(rules.map(|rule| Arc::new(Stoppable(rule)) as _).collect())
});

thread_local! {
    /// Why the planning under way on this thread is to end.
    static STOPPED: RefCell<Option<PgError>> = const { RefCell::new(None) };
}

/// A rule that is applied while the statement may go on. DataFusion takes a failing rule for one that
/// does not apply: all of them fail from then on, and [`optimize`] gives the reason.
#[derive(Debug)]
struct Stoppable(Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for Stoppable {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        let stopped = STOPPED.with_borrow_mut(|stopped| {
            if stopped.is_none() {
                *stopped = context::with_current(|ctx| ctx.and_then(|c| c.check().err()));
            }
            stopped.clone()
        });
        match stopped {
            Some(reason) => Err(external(reason)),
            None => self.0.rewrite(plan, config),
        }
    }
}

/// Optimises a bound plan, parameters still in it, and places its scans.
pub fn optimize(plan: LogicalPlan, ctx: &ExecContext) -> Result<LogicalPlan> {
    let config = OptimizerContext::new()
        .without_query_execution_start_time()
        .with_skip_failing_rules(true)
        .with_max_passes(3);
    // Constant folding calls functions: they find their context on the thread, and may plan
    // statements of their own.
    let around = STOPPED.take();
    let plan = context::entered(ctx, || OPTIMIZER.optimize(plan, &config, |_, _| {}));
    if let Some(reason) = STOPPED.replace(around) {
        return Err(reason);
    }
    let plan = plan.map_err(internal)?;
    push::lower(plan, ctx)
}
