//! Aggregate calls.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;
use sqlparser::ast::{self, FunctionArgumentClause, FunctionArguments};
use vicinity_types::{PgError, Result, SqlState};

use super::Binder;
use super::forms::argument_places;
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
        if windowed {
            self.window_allowed()?;
        }
        let level = self.level();
        let (aggregate, window) = (level.in_aggregate, level.in_window);
        level.in_aggregate = !windowed;
        level.in_window = windowed;
        let no_sets = match windowed {
            true => "window function calls cannot contain set-returning function calls",
            false => "aggregate function calls cannot contain set-returning function calls",
        };
        let bound = self.without_sets(no_sets, |me| me.aggregate_arguments(f, schema, name));
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
                let call = df::aggregate_expr(proc, ty, args, distinct, order, filter)?;
                self.aggregate_of(Typed::new(call, ty), aggregate, f)
            }
            b'w' => Err(lacks_over(name)),
            _ => Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name} is not an aggregate function"),
            )),
        }
    }

    fn window_allowed(&mut self) -> Result<()> {
        let level = self.level();
        if level.in_aggregate {
            return Err(PgError::new(
                SqlState::GROUPING_ERROR,
                "aggregate function calls cannot contain window function calls",
            ));
        }
        if level.in_window {
            return Err(PgError::new(
                SqlState::WINDOWING_ERROR,
                "window function calls cannot be nested",
            ));
        }
        match level.no_windows {
            Some(clause) => Err(PgError::new(
                SqlState::WINDOWING_ERROR,
                format!("window functions are not allowed in {clause}"),
            )),
            None => Ok(()),
        }
    }

    /// An aggregate call at the level it is of: the innermost that it names columns of. Inside of an inner query it is
    /// a value of the outer one, like a column.
    fn aggregate_of(&mut self, call: Typed, nested: bool, f: &ast::Function) -> Result<Typed> {
        let own = self.levels.len().saturating_sub(1);
        let at = self.level_of(&call.expr)?.unwrap_or(own);
        let Some(level) = self.levels.get(at) else { return Ok(call) };
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
        let mut nested = if at == own { nested } else { level.in_aggregate };
        let there = match at == own {
            true => call.expr,
            false => {
                let there = call.expr.transform_up(|e| {
                    let Some(outer) = self.outer_of(&e).filter(|outer| outer.level == at) else {
                        return Ok(Transformed::no(e));
                    };
                    nested |= contains_aggregate(&outer.expr);
                    Ok(Transformed::yes(outer.expr.clone()))
                });
                there.map_err(internal)?.data
            }
        };
        if nested {
            return Err(PgError::new(
                SqlState::GROUPING_ERROR,
                "aggregate function calls cannot be nested",
            ));
        }
        Ok(self.outer_value(at, Typed::new(there, call.ty)))
    }

    /// The innermost level whose columns an expression names.
    fn level_of(&self, expr: &Expr) -> Result<Option<usize>> {
        let own = self.levels.len().saturating_sub(1);
        let mut innermost = None;
        expr.apply(|e| {
            let level = match e {
                Expr::Column(_) => Some(own),
                e => self.outer_of(e).map(|outer| outer.level),
            };
            innermost = innermost.max(level);
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(internal)?;
        Ok(innermost)
    }

    /// FILTER's condition, which is a clause of its own and none of the call's arguments.
    fn filter_of_call(&mut self, filter: &ast::Expr) -> Result<Typed> {
        let level = self.level();
        let aggregate = std::mem::replace(&mut level.in_aggregate, false);
        let window = std::mem::replace(&mut level.in_window, false);
        let bound = self.in_clause("FILTER", |me| me.expr(filter));
        let level = self.level();
        level.in_aggregate = aggregate;
        level.in_window = window;
        bound
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
        if is_distinct(&f.args) {
            for (value, place) in resolved.args.iter().zip(argument_places(&f.args)) {
                self.groupable(value.ty).map_err(|e| e.or_at(place))?;
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
                let bound = self.filter_of_call(filter)?;
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
