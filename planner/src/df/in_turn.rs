//! Conditions one after the other.
//!
//! DataFusion computes both sides of AND and OR for all rows of a batch. Of a row that `x <> 0` leaves out, PostgreSQL
//! does not compute the `1 / x` behind it, which would be an error.

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator, lit};

use crate::call::callable_of;

/// A filter's condition with what may fail computed only where what stands before it leaves it open. NULL is false here.
pub(super) fn in_turn(condition: Expr) -> Expr {
    let Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) =
        condition
    else {
        return condition;
    };
    let (left, may_fail) = (Box::new(in_turn(*left)), calls(&right));
    let right = Box::new(in_turn(*right));
    if !may_fail {
        return Expr::BinaryExpr(BinaryExpr { left, op, right });
    }
    let (then, otherwise) = match op {
        Operator::And => (right, Box::new(lit(false))),
        _ => (Box::new(lit(true)), right),
    };
    Expr::Case(Case::new(None, vec![(left, then)], Some(otherwise)))
}

/// Whether functions are called.
fn calls(expr: &Expr) -> bool {
    expr.exists(|e| Ok(callable_of(e).is_some())).unwrap_or(true)
}
