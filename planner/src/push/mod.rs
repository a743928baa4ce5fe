//! Push-down: from filters, orders and limits over a table to one scan.
//!
//! The optimised logical plan comes in; what leaves has a [`ScanNode`] for every table, with the
//! conditions an index answers, the filter that remains, and whether the scan's order is the one asked
//! for. Both lanes run the same node.

pub mod access;
pub(crate) mod computed;
mod family;
pub(crate) mod family_locks;
pub(crate) mod family_scan;
mod joined;
pub(crate) mod key_filter;
pub mod lower;
pub mod spatial;
pub mod spec;

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, Operator};

use crate::call::Callable;
pub use lower::lower;
pub use spec::{AccessSpec, KeyBound, KeyValues, ScanNode, ScanSource, ScanSpec, element_count};

/// The order or equality that a btree operator stands for.
fn comparison(callable: &dyn Callable) -> Option<Operator> {
    Some(match callable.operator()?.name {
        "=" => Operator::Eq,
        "<" => Operator::Lt,
        "<=" => Operator::LtEq,
        ">" => Operator::Gt,
        ">=" => Operator::GtEq,
        _ => return None,
    })
}

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
