//! Push-down: from filters, orders and limits over a table to one scan.

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;

/// Whether a filter can run inside a scan: no subqueries in it.
pub fn can_run_in_scan(filter: &Expr) -> bool {
    !filter
        .exists(|e| {
            Ok(matches!(
                e,
                Expr::Exists(_)
                    | Expr::InSubquery(_)
                    | Expr::ScalarSubquery(_)
                    | Expr::SetComparison(_)
                    | Expr::OuterReferenceColumn(..)
            ))
        })
        .unwrap_or(true)
}
