//! UNION, INTERSECT, EXCEPT.

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{SetExpr, SetOperator, SetQuantifier};
use vicinity_types::{PgError, Result, SqlState, oid};

use super::{Binder, Bound, OutputColumn};
use crate::call::{PgType, internal};
use crate::resolve::common::require_common;

impl Binder<'_> {
    pub(super) fn set_operation(
        &mut self,
        op: SetOperator,
        quantifier: SetQuantifier,
        left: &SetExpr,
        right: &SetExpr,
        targets: &[PgType],
    ) -> Result<Bound> {
        let all = match quantifier {
            SetQuantifier::All => true,
            SetQuantifier::Distinct | SetQuantifier::None => false,
            _ => return Err(PgError::unsupported("BY NAME")),
        };
        let word = match op {
            SetOperator::Union => "UNION",
            SetOperator::Intersect => "INTERSECT",
            SetOperator::Except | SetOperator::Minus => "EXCEPT",
        };
        self.depth += 10;
        if self.depth > 1500 {
            return Err(crate::sql::too_deep());
        }
        let left = self.operand(left, targets)?;
        let right = self.operand(right, targets)?;
        self.depth -= 10;
        if left.columns.len() != right.columns.len() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("each {word} query must have the same number of columns"),
            ));
        }
        let (left, right) = self.unified(left, right, word)?;
        let columns = merged_columns(&left, &right);
        let plan = combined(op, all, renamed(left.plan)?, renamed(right.plan)?)?;
        let bound = Bound { plan, columns };
        if op == SetOperator::Union && !all { Self::distinct_rows(bound) } else { Ok(bound) }
    }

    fn operand(&mut self, side: &SetExpr, targets: &[PgType]) -> Result<Bound> {
        self.body(side, targets)
    }

    /// Both sides with the same types.
    pub(super) fn unified(
        &mut self,
        left: Bound,
        right: Bound,
        word: &str,
    ) -> Result<(Bound, Bound)> {
        let mut types = Vec::new();
        for (l, r) in left.columns.iter().zip(&right.columns) {
            let common = if l.ty.oid == r.ty.oid {
                l.ty
            } else {
                let text = |c: &OutputColumn| {
                    if c.ty.oid == oid::UNKNOWN { oid::UNKNOWN } else { c.ty.oid }
                };
                self.ty(require_common(&self.types, &[text(l), text(r)], word)?)
            };
            types.push(common);
        }
        Ok((self.cast_columns(left, &types)?, self.cast_columns(right, &types)?))
    }
}

fn merged_columns(left: &Bound, right: &Bound) -> Vec<OutputColumn> {
    left.columns
        .iter()
        .zip(&right.columns)
        .map(|(l, r)| {
            let typmod = if l.ty.typmod == r.ty.typmod { l.ty.typmod } else { -1 };
            OutputColumn { name: l.name.clone(), ty: l.ty.typmod(typmod), table: 0, attr: 0 }
        })
        .collect()
}

/// The sides' columns under common names: an optimiser that drops an empty side must leave the
/// names above it standing.
fn renamed(plan: LogicalPlan) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .enumerate()
        .map(|(i, field)| Expr::Column(Column::from(field)).alias(format!("__u{i}")))
        .collect();
    LogicalPlanBuilder::from(plan)
        .project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(internal)
}

fn combined(
    op: SetOperator,
    all: bool,
    left: LogicalPlan,
    right: LogicalPlan,
) -> Result<LogicalPlan> {
    match op {
        SetOperator::Union => LogicalPlanBuilder::from(left)
            .union(right)
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal),
        SetOperator::Intersect => LogicalPlanBuilder::intersect(left, right, all).map_err(internal),
        SetOperator::Except | SetOperator::Minus => {
            LogicalPlanBuilder::except(left, right, all).map_err(internal)
        }
    }
}
