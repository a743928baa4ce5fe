//! Aggregate calls.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;
use sqlparser::ast::{self, FunctionArgumentClause, FunctionArguments};
use vicinity_types::{PgError, Result, SqlState};

use super::Binder;
use super::function::{Unresolved, is_distinct};
use super::window::Windowed;
use crate::call::{Typed, internal};
use crate::df;
use crate::resolve::function::Target as Callee;

/// A window function called like another.
pub(super) fn lacks_over(name: &str) -> PgError {
    PgError::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("window function {name} requires an OVER clause"),
    )
}

impl Binder<'_> {
    /// Whether a name is an aggregate's.
    pub(super) fn is_aggregate(&self, name: &str, schema: Option<&str>) -> bool {
        schema.is_none_or(|s| s == "pg_catalog")
            && vicinity_functions::procs_named(name).any(|p| p.kind == b'a')
    }

    /// A call of an aggregate, or with OVER.
    pub(super) fn aggregate_or_window(
        &mut self,
        f: &ast::Function,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Typed> {
        let windowed = f.over.is_some();
        let level = self.level();
        if !windowed {
            if let Some(clause) = level.no_aggregates {
                return Err(PgError::new(
                    SqlState::GROUPING_ERROR,
                    format!("aggregate functions are not allowed in {clause}"),
                ));
            }
            if level.recursing {
                return Err(PgError::new(
                    SqlState::INVALID_RECURSION,
                    "aggregate functions are not allowed in a recursive query's recursive term",
                )
                .or_at(super::name_position(&f.name)));
            }
            if level.in_aggregate {
                return Err(PgError::new(
                    SqlState::GROUPING_ERROR,
                    "aggregate function calls cannot be nested",
                ));
            }
        }
        if windowed && level.in_aggregate {
            return Err(PgError::new(
                SqlState::GROUPING_ERROR,
                "aggregate function calls cannot contain window function calls",
            ));
        }
        if windowed && level.in_window {
            return Err(PgError::new(
                SqlState::WINDOWING_ERROR,
                "window function calls cannot be nested",
            ));
        }
        if windowed && let Some(clause) = level.no_windows {
            return Err(PgError::new(
                SqlState::WINDOWING_ERROR,
                format!("window functions are not allowed in {clause}"),
            ));
        }
        let (aggregate, window) = (level.in_aggregate, level.in_window);
        level.in_aggregate = !windowed;
        level.in_window = windowed;
        let bound = self.aggregate_arguments(f, schema, name);
        let level = self.level();
        level.in_aggregate = aggregate;
        level.in_window = window;
        let (callee, args, ret, order, filter) = bound?;
        let distinct = is_distinct(&f.args);
        let Callee::Builtin(proc) = callee else {
            return Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "OVER specified, but {name} is not a window function nor an aggregate function"
                ),
            ));
        };
        if let Some(over) = &f.over {
            refuse_in_window(f, name, distinct, !order.is_empty())?;
            return self.window_call(Windowed { proc, args, ret, filter }, over);
        }
        match proc.kind {
            b'a' => {
                let ty = self.ty(ret);
                Ok(Typed::new(df::aggregate_expr(proc, ty, args, distinct, order, filter)?, ty))
            }
            b'w' => Err(lacks_over(name)),
            _ => Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name} is not an aggregate function"),
            )),
        }
    }

    #[allow(clippy::type_complexity)]
    fn aggregate_arguments(
        &mut self,
        f: &ast::Function,
        schema: Option<&str>,
        name: &str,
    ) -> Result<(Callee, Vec<Typed>, u32, Vec<df::OrderKey>, Option<Expr>)> {
        let mut args = self.arguments(&f.args)?;
        if args.star && name != "count" {
            args.star = false;
        }
        let mut order_by: Vec<&ast::OrderByExpr> = Vec::new();
        if let FunctionArguments::List(list) = &f.args {
            for clause in &list.clauses {
                match clause {
                    FunctionArgumentClause::OrderBy(keys) => order_by.extend(keys),
                    _ => return Err(PgError::unsupported("this clause of an aggregate")),
                }
            }
        }
        let mut order = Vec::new();
        let mut order_places = Vec::new();
        for item in order_by.into_iter().chain(&f.within_group) {
            order_places.push(self.place(&item.expr));
            let value = self.expr(&item.expr)?;
            let value = self.settled(value)?;
            if !f.within_group.is_empty() {
                args.values.push(value.clone());
            }
            let asc = item.options.asc.unwrap_or(true);
            order.push(df::OrderKey {
                value,
                descending: !asc,
                nulls_first: item.options.nulls_first.unwrap_or(!asc),
            });
        }
        let mut given: Vec<Expr> = args.values.iter().map(|v| v.expr.clone()).collect();
        let resolved = match self.resolve(schema, name, args) {
            Ok(resolved) => resolved,
            Err(Unresolved::Error(e)) => return Err(e),
            Err(e) => return Err(e.into()),
        };
        // WITHIN GROUP orders by the converted values
        if !f.within_group.is_empty() {
            let first = resolved.args.len().saturating_sub(order.len());
            for (key, value) in order.iter_mut().zip(resolved.args.iter().skip(first)) {
                key.value = value.clone();
            }
        }
        // an argument may be named as it is written, or as what it becomes
        given.extend(resolved.args.iter().map(|v| v.expr.clone()));
        if is_distinct(&f.args)
            && let Some(at) = order.iter().position(|key| !given.contains(&key.value.expr))
        {
            return Err(PgError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
            )
            .or_at(order_places.get(at).copied().flatten()));
        }
        let filter = match &f.filter {
            Some(filter) => {
                let place = self.place(filter);
                let bound = self.expr(filter)?;
                Some(self.boolean(bound, "FILTER", place)?.expr)
            }
            None => None,
        };
        Ok((resolved.target, resolved.args, resolved.ret, order, filter))
    }
}

/// What an aggregate may have, but not with OVER.
fn refuse_in_window(f: &ast::Function, name: &str, distinct: bool, ordered: bool) -> Result<()> {
    let text = if distinct {
        "DISTINCT is not implemented for window functions".to_owned()
    } else if !f.within_group.is_empty() {
        format!("OVER is not supported for ordered-set aggregate {name}")
    } else if ordered {
        "aggregate ORDER BY is not implemented for window functions".to_owned()
    } else if f.null_treatment.is_some() {
        return Err(PgError::unsupported("IGNORE NULLS"));
    } else {
        return Ok(());
    };
    Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text))
}

pub(super) fn unqualified(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// Replaces whole subexpressions, outermost first.
pub(super) fn replaced(expr: Expr, map: &[(Expr, Expr)]) -> Result<Expr> {
    expr.transform_down(|e| {
        Ok(match map.iter().find(|(from, _)| *from == e) {
            Some((_, to)) => Transformed::new(to.clone(), true, TreeNodeRecursion::Jump),
            None => Transformed::no(e),
        })
    })
    .map(|t| t.data)
    .map_err(internal)
}

pub(super) fn contains_aggregate(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_)))).unwrap_or(false)
}

pub(super) fn collect_aggregates(expr: &Expr, calls: &mut Vec<Expr>) -> Result<()> {
    expr.apply(|e| {
        if matches!(e, Expr::AggregateFunction(_)) {
            if !calls.contains(e) {
                calls.push(e.clone());
            }
            return Ok(TreeNodeRecursion::Jump);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map(|_| ())
    .map_err(internal)
}
