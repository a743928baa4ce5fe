//! Nearness through a join.
//!
//! `a JOIN b ... ORDER BY a.vec <#> q LIMIT k` needs as many of the nearest rows of `a` as it takes for `k` to find
//! partners, not all of them: the scan of `a` goes through the join as the side that is read row by row, against a hash
//! table of the other. A join without the rows that find no partner, a semi and an anti join work alike.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Projection, SortExpr};
use vicinity_types::Result;

use super::ScanNode;
use super::lower::{Lowering, scan_of};
use crate::call::internal;

/// The side of a join whose rows it gives in their own order.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

/// The join with the rows of one side coming by nearness; `None` where the order is not one side's.
pub(super) fn ordered(
    join: &Join,
    sort: &[SortExpr],
    lowering: &Lowering<'_>,
) -> Result<Option<LogicalPlan>> {
    let ([_], false) = (sort, join.on.is_empty() || join.null_aware) else { return Ok(None) };
    let in_place = |f: &Expr| super::can_run_in_scan(f);
    let Some(side) = side(join, sort).filter(|_| join.filter.as_ref().is_none_or(in_place)) else {
        return Ok(None);
    };
    let (near, other) = match side {
        Side::Left => (&join.left, &join.right),
        Side::Right => (&join.right, &join.left),
    };
    let Some(near) = lowering.by_nearness(near, sort)? else { return Ok(None) };
    let other = lowering.unordered(other)?;
    let (on, join_type) = match side {
        Side::Left => {
            let turned = join.on.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
            (turned, join.join_type.swap())
        }
        Side::Right => (join.on.clone(), join.join_type),
    };
    let turned = Join::try_new(
        Arc::new(other),
        Arc::new(near),
        on,
        join.filter.clone(),
        join_type,
        join.join_constraint,
        join.null_equality,
        false,
    );
    let turned = LogicalPlan::Join(turned.map_err(internal)?);
    let both = matches!(join_type, JoinType::Inner | JoinType::Right);
    if side == Side::Right || !both {
        return Ok(Some(turned));
    }
    // Columns in the order they had.
    let columns = join.schema.iter().map(|(q, f)| Expr::Column((q, f).into())).collect();
    let projection = Projection::try_new(columns, Arc::new(turned)).map_err(internal)?;
    Ok(Some(LogicalPlan::Projection(projection)))
}

/// The side all sort keys are of, if the join can keep its order.
fn side(join: &Join, sort: &[SortExpr]) -> Option<Side> {
    use JoinType::{Inner, Left, LeftAnti, LeftSemi, Right, RightAnti, RightSemi};
    let only = |plan: &LogicalPlan| {
        sort.iter().all(|s| s.expr.column_refs().iter().all(|c| plan.schema().has_column(c)))
    };
    match join.join_type {
        Inner | Left | LeftSemi | LeftAnti if only(&join.left) => Some(Side::Left),
        Inner | Right | RightSemi | RightAnti if only(&join.right) => Some(Side::Right),
        _ => None,
    }
}

/// The scan a plan takes its order from: through a join by its right side.
pub(super) fn driving_scan(plan: &LogicalPlan) -> Option<&ScanNode> {
    match plan {
        LogicalPlan::Join(join) => driving_scan(&join.right),
        plan => match plan.inputs().as_slice() {
            [only] => driving_scan(only),
            _ => scan_of(plan),
        },
    }
}
