//! Whether a cursor declared without SCROLL goes back: where PostgreSQL's nodes do.

use datafusion::logical_expr::LogicalPlan;

use crate::df::append::Append;
use crate::df::project_set::ProjectSet;
use crate::push::family_scan::family_of;
use crate::push::spec::{AccessSpec, ScanNode};

/// Scans, sorts and limits do, joins and aggregates do not.
pub(super) fn goes_back(plan: &LogicalPlan) -> bool {
    let inputs = |plan: &LogicalPlan| plan.inputs().into_iter().all(goes_back);
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::Values(_) => true,
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_) => inputs(plan),
        plan if family_of(plan).is_some() => true,
        LogicalPlan::Extension(node) => {
            let any = node.node.as_any();
            if let Some(scan) = any.downcast_ref::<ScanNode>() {
                matches!(scan.spec.access, AccessSpec::Seq | AccessSpec::Btree { .. })
            } else if let Some(sets) = any.downcast_ref::<ProjectSet>() {
                sets.is_function_scan()
            } else {
                any.is::<Append>() && inputs(plan)
            }
        }
        _ => false,
    }
}
