//! UNION, INTERSECT, EXCEPT.

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Union, lit};
use sqlparser::ast::{self, SelectItem, SetExpr, SetOperator, SetQuantifier};
use vicinity_types::{PgError, Result, SqlState, oid};

use super::aggregate::unqualified;
use super::order::{first_value, key};
use super::{Binder, Bound, OutputColumn, srf};
use crate::call::{PgType, Typed, internal};
use crate::df::count_rows;
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
        let first = self.deeper(1, |me| me.operand(left, targets))?;
        let second = self.deeper(1, |me| me.operand(right, targets))?;
        if first.columns.len() != second.columns.len() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("each {word} query must have the same number of columns"),
            )
            .or_at(column_place(right, 0)));
        }
        let types = self.common_types(&first, &second, word, right)?;
        if !all {
            for (i, ty) in types.iter().enumerate() {
                self.groupable(*ty).map_err(|e| e.or_at(column_place(left, i)))?;
            }
        }
        let left = self.converted(first, left, &types)?;
        let right = self.converted(second, right, &types)?;
        let columns = merged_columns(&left, &right);
        let (left, right) = (renamed(left.plan)?, renamed(right.plan)?);
        if op != SetOperator::Union {
            let plan = matched(op, all, left, right, &columns)?;
            return Ok(Bound { plan, columns });
        }
        let bound = Bound { plan: appended(left, right)?, columns };
        if all { Ok(bound) } else { Self::distinct_rows(bound) }
    }

    /// One side: constants of unknown type wait for the other side to tell theirs.
    fn operand(&mut self, side: &SetExpr, targets: &[PgType]) -> Result<Bound> {
        match side {
            SetExpr::Select(select) => self.select_alone(select, targets, true),
            other => self.body(other, targets),
        }
    }

    /// The types both sides get. `second` is the right side as written, for errors.
    fn common_types(
        &mut self,
        left: &Bound,
        right: &Bound,
        word: &str,
        second: &SetExpr,
    ) -> Result<Vec<PgType>> {
        let mut types = Vec::new();
        for (i, (l, r)) in left.columns.iter().zip(&right.columns).enumerate() {
            let same = l.ty.oid == r.ty.oid && l.ty.oid != oid::UNKNOWN;
            types.push(if same {
                l.ty
            } else {
                let common = require_common(&self.types, &[l.ty.oid, r.ty.oid], word)
                    .map_err(|e| e.or_at(column_place(second, i)))?;
                self.ty(common)
            });
        }
        Ok(types)
    }

    /// A side with its columns' types; bound again where constants have only now got theirs.
    fn converted(&mut self, bound: Bound, side: &SetExpr, types: &[PgType]) -> Result<Bound> {
        let unknown = bound.columns.iter().any(|c| c.ty.oid == oid::UNKNOWN);
        let bound = if unknown { self.operand(side, types)? } else { bound };
        self.cast_columns(bound, types)
    }
}

/// Where a column of a query is written.
fn column_place(query: &SetExpr, column: usize) -> Option<usize> {
    let span = match query {
        SetExpr::Select(select) => match select.projection.get(column)? {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                ast::Spanned::span(expr)
            }
            item => ast::Spanned::span(item),
        },
        SetExpr::Values(values) => ast::Spanned::span(values.rows.first()?.get(column)?),
        SetExpr::Query(query) => return column_place(&query.body, column),
        SetExpr::SetOperation { left, .. } => return column_place(left, column),
        _ => return None,
    };
    super::position(span)
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
    let named = |(i, field): (usize, &Arc<Field>)| *field.name() == column_name(i);
    if matches!(plan, LogicalPlan::Union(_)) && plan.schema().fields().iter().enumerate().all(named)
    {
        return Ok(plan);
    }
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .enumerate()
        .map(|(i, field)| Expr::Column(Column::from(field)).alias(column_name(i)))
        .collect();
    project(plan, columns)
}

fn column_name(i: usize) -> String {
    format!("__u{i}")
}

fn project(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .project(exprs)
        .and_then(LogicalPlanBuilder::build)
        .map_err(internal)
}

/// The rows of one side, then the other's. A long row of sides is one node: as a tree it would be
/// walked to its depth again and again.
fn appended(left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan> {
    let same = |union: &Union| {
        let sides = union.schema.fields().iter().zip(right.schema().fields());
        sides.into_iter().all(|(l, r)| l.is_nullable() || !r.is_nullable())
    };
    let left = match left {
        LogicalPlan::Union(mut union) if same(&union) => {
            union.inputs.push(Arc::new(right));
            return Ok(LogicalPlan::Union(union));
        }
        other => other,
    };
    LogicalPlanBuilder::from(left)
        .union(right)
        .and_then(LogicalPlanBuilder::build)
        .map_err(internal)
}

/// INTERSECT and EXCEPT as PostgreSQL's SetOp does them: the rows of both sides are grouped, and how
/// often each side has a row says how often it comes out. Rows are equal if their keys are.
fn matched(
    op: SetOperator,
    all: bool,
    left: LogicalPlan,
    right: LogicalPlan,
    columns: &[OutputColumn],
) -> Result<LogicalPlan> {
    const SIDE: &str = "__left";
    let marked = |plan: LogicalPlan, is_left: bool| {
        let mut exprs: Vec<Expr> =
            (0..columns.len()).map(|i| unqualified(&column_name(i))).collect();
        exprs.push(lit(is_left).alias(SIDE));
        project(plan, exprs)
    };
    let both = appended(marked(left, true)?, marked(right, false)?)?;
    let mut keys = Vec::new();
    let mut aggregates = Vec::new();
    let mut outputs = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let name = column_name(i);
        let value = unqualified(&name);
        keys.push(key(Typed::new(value.clone(), column.ty)).alias(format!("__k{i}")));
        // of equal rows the left side's comes out
        aggregates.push(first_value(value, Vec::new()).alias(format!("__v{i}")));
        outputs.push(unqualified(&format!("__v{i}")).alias(name));
    }
    let is_left = unqualified(SIDE);
    aggregates.push(count_rows(Some(is_left.clone())).alias("__l"));
    aggregates.push(count_rows(Some(Expr::Not(Box::new(is_left)))).alias("__r"));
    let (l, r) = (unqualified("__l"), unqualified("__r"));
    let wanted = match (op, all) {
        (SetOperator::Intersect, _) => l.clone().gt(lit(0i64)).and(r.clone().gt(lit(0i64))),
        (_, false) => l.clone().gt(lit(0i64)).and(r.clone().eq(lit(0i64))),
        (_, true) => l.clone().gt(r.clone()),
    };
    let plan = LogicalPlanBuilder::from(both)
        .aggregate(keys, aggregates)
        .and_then(|b| b.filter(wanted))
        .and_then(LogicalPlanBuilder::build)
        .map_err(internal)?;
    let plan = if all {
        let times = match op {
            SetOperator::Intersect => datafusion::logical_expr::when(l.clone().lt(r.clone()), l)
                .otherwise(r)
                .map_err(internal)?,
            _ => l - r,
        };
        srf::numbered(plan, lit(1i64), times, "__n")?
    } else {
        plan
    };
    project(plan, outputs)
}
