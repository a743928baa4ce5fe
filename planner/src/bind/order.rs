//! ORDER BY and DISTINCT.

use std::sync::Arc;

use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, OrderByExpr};
use vicinity_types::{PgError, Result, SqlState};

use super::limit::Limits;
use super::{Binder, Bound, fold};
use crate::call::{GroupKey, PgType, Typed, call_expr, internal};

/// The key rows are sorted and grouped by: the value, or its canonical bytes.
pub(super) fn key(value: Typed) -> Expr {
    if vicinity_types::arrow::needs_key(value.ty.kind) {
        return call_expr(Arc::new(GroupKey::new(value.ty)), vec![value.expr]);
    }
    value.expr
}

/// A sort key with PostgreSQL's defaults: NULLs are largest.
pub(super) fn sort(value: Typed, options: &ast::OrderByOptions) -> Sort {
    let asc = options.asc.unwrap_or(true);
    let nulls_first = options.nulls_first.unwrap_or(!asc);
    Sort::new(key(super::operator::order_value(value)), asc, nulls_first)
}

/// What ORDER BY names: an output column or an expression.
pub(super) enum OrderItem<'e> {
    Output(usize),
    Expr(&'e ast::Expr),
}

/// Reads one item: a name of the output first, then a position, then an expression.
pub(super) fn order_item<'e>(
    expr: &'e ast::Expr,
    names: &[String],
    clause: &str,
    outputs_equal: impl Fn(usize, usize) -> bool,
) -> Result<OrderItem<'e>> {
    let place = super::position(ast::Spanned::span(expr));
    if let ast::Expr::Identifier(ident) = expr {
        let name = fold(ident);
        let mut found = names.iter().enumerate().filter(|(_, n)| **n == name).map(|(i, _)| i);
        if let Some(first) = found.next() {
            if found.any(|other| !outputs_equal(first, other)) {
                return Err(PgError::new(
                    SqlState::AMBIGUOUS_COLUMN,
                    format!("{clause} \"{name}\" is ambiguous"),
                )
                .or_at(place));
            }
            return Ok(OrderItem::Output(first));
        }
    }
    if let ast::Expr::Value(value) = expr {
        return match &value.value {
            ast::Value::Number(text, _) => {
                let position: usize = text.parse().map_err(|_| {
                    PgError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("non-integer constant in {clause}"),
                    )
                    .or_at(place)
                })?;
                if position == 0 || position > names.len() {
                    return Err(PgError::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        format!("{clause} position {position} is not in select list"),
                    )
                    .or_at(place));
                }
                Ok(OrderItem::Output(position - 1))
            }
            ast::Value::SingleQuotedString(_) | ast::Value::Boolean(_) => Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("non-integer constant in {clause}"),
            )
            .or_at(place)),
            _ => Ok(OrderItem::Expr(expr)),
        };
    }
    Ok(OrderItem::Expr(expr))
}

impl Binder<'_> {
    /// ORDER BY and LIMIT of a set operation or VALUES: output columns only.
    pub(super) fn order_output(
        &mut self,
        bound: Bound,
        order: &[OrderByExpr],
        limits: Limits,
    ) -> Result<Bound> {
        let names: Vec<String> = bound.columns.iter().map(|c| c.name.clone()).collect();
        let outputs = Self::outputs(&bound);
        let mut keys = Vec::new();
        for item in order {
            let place = self.place(&item.expr);
            let OrderItem::Output(i) = order_item(&item.expr, &names, "ORDER BY", |a, b| a == b)?
            else {
                return Err(PgError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                )
                .detail("Only result column names can be used, not expressions or functions.")
                .hint(
                    "Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
                )
                .or_at(place));
            };
            if let Some(value) = outputs.get(i) {
                keys.push((value.clone(), item.options));
            }
        }
        let plan = limits.ranked(bound.plan, &keys)?;
        let sorts = keys.into_iter().map(|(value, options)| sort(value, &options)).collect();
        let plan = limits.cut(sorted(plan, sorts)?)?;
        Ok(Bound { plan, columns: bound.columns })
    }

    /// DISTINCT over all columns of a plan.
    pub(super) fn distinct_rows(bound: Bound) -> Result<Bound> {
        let outputs = Self::outputs(&bound);
        let builder = LogicalPlanBuilder::from(bound.plan);
        if !outputs.iter().any(|o| vicinity_types::arrow::needs_key(o.ty.kind)) {
            let plan = builder.distinct().and_then(LogicalPlanBuilder::build).map_err(internal)?;
            return Ok(Bound { plan, columns: bound.columns });
        }
        let keys: Vec<Expr> = outputs
            .iter()
            .enumerate()
            .map(|(i, o)| key(o.clone()).alias(format!("__k{i}")))
            .collect();
        let plan = first_of_group(builder, keys, &outputs, Vec::new())?;
        Ok(Bound { plan, columns: bound.columns })
    }
}

/// The first row of each group, its columns under their own names.
pub(super) fn first_of_group(
    builder: LogicalPlanBuilder,
    keys: Vec<Expr>,
    outputs: &[Typed],
    order: Vec<Sort>,
) -> Result<LogicalPlan> {
    let names: Vec<Option<(Option<datafusion::common::TableReference>, String)>> = outputs
        .iter()
        .map(|o| match &o.expr {
            Expr::Column(c) => Some((c.relation.clone(), c.name.clone())),
            _ => None,
        })
        .collect();
    let firsts: Vec<Expr> = outputs
        .iter()
        .enumerate()
        .map(|(i, o)| first_value(o.expr.clone(), order.clone()).alias(format!("__v{i}")))
        .collect();
    let back = names.into_iter().enumerate().map(|(i, name)| {
        let value = Expr::Column(datafusion::common::Column::new_unqualified(format!("__v{i}")));
        match name {
            Some((qualifier, name)) => value.alias_qualified(qualifier, name),
            None => value,
        }
    });
    builder
        .aggregate(keys, firsts)
        .and_then(|b| b.project(back.collect::<Vec<_>>()))
        .and_then(LogicalPlanBuilder::build)
        .map_err(internal)
}

/// DataFusion's `first_value(x ORDER BY ..)`, NULLs included.
pub(super) fn first_value(value: Expr, order: Vec<Sort>) -> Expr {
    datafusion::functions_aggregate::first_last::first_value(value, order)
}

/// A sort, if there are keys.
pub(super) fn sorted(plan: LogicalPlan, keys: Vec<Sort>) -> Result<LogicalPlan> {
    if keys.is_empty() {
        return Ok(plan);
    }
    // not by the builder: it takes a lone input's expressions for output columns
    Ok(LogicalPlan::Sort(datafusion::logical_expr::Sort {
        expr: keys,
        input: Arc::new(plan),
        fetch: None,
    }))
}

/// A value that something else already computes.
pub(super) fn column_of(name: &str, ty: PgType) -> Typed {
    Typed::new(Expr::Column(datafusion::common::Column::new_unqualified(name)), ty)
}
