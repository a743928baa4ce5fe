//! DataFusion's optimiser, with the rules whose results both lanes can run.

use std::sync::LazyLock;

use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{Optimizer, OptimizerContext};
use vicinity_types::Result;

use crate::call::internal;
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

static OPTIMIZER: LazyLock<Optimizer> = LazyLock::new(|| {
    let rules = Optimizer::new().rules.into_iter();
    Optimizer::with_rules(rules.filter(|r| !LEFT_OUT.contains(&r.name())).collect())
});

/// Optimises a bound plan, parameters still in it, and places its scans.
pub fn optimize(plan: LogicalPlan, ctx: &ExecContext) -> Result<LogicalPlan> {
    let config = OptimizerContext::new()
        .without_query_execution_start_time()
        .with_skip_failing_rules(true)
        .with_max_passes(3);
    // Constant folding calls functions: they find their context on the thread.
    let plan = context::entered(ctx, || OPTIMIZER.optimize(plan, &config, |_, _| {}));
    let plan = plan.map_err(internal)?;
    push::lower(plan, &ctx.catalog)
}
