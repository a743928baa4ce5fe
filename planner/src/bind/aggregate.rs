//! GROUP BY, HAVING and aggregate calls.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, FunctionArgumentClause, FunctionArguments, GroupByExpr};
use vicinity_storage::catalog::model::ConstraintKind;
use vicinity_types::{PgError, Result, SqlState};

use super::function::{Unresolved, is_distinct};
use super::order::{OrderItem, first_value, key, order_item};
use super::select::{OrderKey, Target};
use super::{Binder, fold};
use crate::call::{Typed, internal};
use crate::df;
use crate::resolve::function::Target as Callee;

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
            if level.in_aggregate {
                return Err(PgError::new(
                    SqlState::GROUPING_ERROR,
                    "aggregate function calls cannot be nested",
                ));
            }
        }
        if windowed && let Some(clause) = level.no_windows {
            return Err(PgError::new(
                SqlState::WINDOWING_ERROR,
                format!("window functions are not allowed in {clause}"),
            ));
        }
        let inside = std::mem::replace(&mut self.level().in_aggregate, !windowed);
        let bound = self.aggregate_arguments(f, schema, name);
        self.level().in_aggregate = inside;
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
            return self.window_call(f, proc, args, ret, distinct, filter, over);
        }
        match proc.kind {
            b'a' => {
                let ty = self.ty(ret);
                Ok(Typed::new(df::aggregate_expr(proc, ty, args, distinct, order, filter)?, ty))
            }
            b'w' => Err(PgError::new(
                SqlState::WINDOWING_ERROR,
                format!("window function {name} requires an OVER clause"),
            )),
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
        for item in order_by.into_iter().chain(&f.within_group) {
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

    /// The expressions of GROUP BY; None without one.
    pub(super) fn groups(
        &mut self,
        group_by: &GroupByExpr,
        list: &[Target],
    ) -> Result<Option<Vec<Typed>>> {
        let GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(PgError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(PgError::unsupported("GROUP BY ... WITH"));
        }
        if exprs.is_empty() {
            return Ok(None);
        }
        let mut flat = Vec::new();
        for expr in exprs {
            match expr {
                ast::Expr::Tuple(items) => flat.extend(items),
                other => flat.push(other),
            }
        }
        let names: Vec<String> = list.iter().map(|t| t.name.clone()).collect();
        let mut groups: Vec<Typed> = Vec::new();
        for expr in flat {
            let value = self.group(expr, list, &names)?;
            if contains_aggregate(&value.expr) {
                return Err(PgError::new(
                    SqlState::GROUPING_ERROR,
                    "aggregate functions are not allowed in GROUP BY",
                )
                .or_at(self.place(expr)));
            }
            if !groups.iter().any(|g| g.expr == value.expr) {
                groups.push(value);
            }
        }
        Ok(Some(groups))
    }

    /// One item: an input column first, then a name or position of the output.
    fn group(&mut self, expr: &ast::Expr, list: &[Target], names: &[String]) -> Result<Typed> {
        if let ast::Expr::Identifier(ident) = expr {
            let input = self.level().scope.columns.iter().any(|c| c.name == fold(ident));
            if input {
                return self.expr(expr);
            }
        }
        let level = self.level();
        level.no_aggregates = Some("GROUP BY");
        let item = order_item(expr, names, "GROUP BY", |a, b| a == b);
        let value = match item {
            Ok(OrderItem::Output(i)) => list
                .get(i)
                .map(|t| t.value.clone())
                .ok_or_else(|| PgError::internal("no such output")),
            Ok(OrderItem::Expr(expr)) => self.expr(expr),
            Err(e) => Err(e),
        };
        self.level().no_aggregates = None;
        self.settled(value?)
    }

    /// Puts the aggregation over a plan and points everything above it at its results.
    pub(super) fn aggregated(
        &mut self,
        plan: LogicalPlan,
        groups: Option<Vec<Typed>>,
        having: Option<Typed>,
        list: &mut [Target],
        keys: &mut [OrderKey],
        on: &mut [Typed],
    ) -> Result<LogicalPlan> {
        let mut calls: Vec<Expr> = Vec::new();
        let sets = std::mem::take(&mut self.level().sets);
        {
            let above = list.iter().map(|t| &t.value.expr);
            let above = above.chain(keys.iter().map(|k| &k.value.expr));
            let above = above.chain(on.iter().map(|v| &v.expr));
            let above = above.chain(having.iter().map(|v| &v.expr));
            let above = above.chain(sets.iter().flat_map(|s| &s.call.args));
            for expr in above {
                collect_aggregates(expr, &mut calls)?;
            }
        }
        if calls.is_empty() && groups.is_none() && having.is_none() {
            self.level().sets = sets;
            return Ok(plan);
        }
        let mut groups = groups.unwrap_or_default();
        self.add_dependent(&mut groups, list, keys, having.as_ref());
        let mut map: Vec<(Expr, Expr)> = Vec::new();
        let mut group_exprs = Vec::new();
        let mut aggregates = Vec::new();
        for (i, group) in groups.iter().enumerate() {
            let name = format!("__g{i}");
            if vicinity_types::arrow::needs_key(group.ty.kind) {
                group_exprs.push(key(group.clone()).alias(format!("__k{i}")));
                aggregates.push(first_value(group.expr.clone(), Vec::new()).alias(name.clone()));
            } else {
                group_exprs.push(group.expr.clone().alias(name.clone()));
            }
            map.push((group.expr.clone(), unqualified(&name)));
        }
        for (i, call) in calls.into_iter().enumerate() {
            let name = format!("__a{i}");
            aggregates.push(call.clone().alias(name.clone()));
            map.push((call, unqualified(&name)));
        }
        let mut plan = LogicalPlanBuilder::from(plan)
            .aggregate(group_exprs, aggregates)
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)?;
        if let Some(having) = having {
            let condition = self.above(having.expr, &map)?;
            plan = LogicalPlanBuilder::from(plan)
                .filter(condition)
                .and_then(LogicalPlanBuilder::build)
                .map_err(internal)?;
        }
        for target in list.iter_mut() {
            target.value.expr = self.above(target.value.expr.clone(), &map)?;
        }
        for key in keys.iter_mut() {
            key.value.expr = self.above(key.value.expr.clone(), &map)?;
        }
        for value in on.iter_mut() {
            value.expr = self.above(value.expr.clone(), &map)?;
        }
        let mut sets = sets;
        for arg in sets.iter_mut().flat_map(|s| s.call.args.iter_mut()) {
            *arg = self.above(arg.clone(), &map)?;
        }
        self.level().sets = sets;
        Ok(plan)
    }

    /// Grouping by a primary key groups by all of the table's columns.
    fn add_dependent(
        &mut self,
        groups: &mut Vec<Typed>,
        list: &[Target],
        keys: &[OrderKey],
        having: Option<&Typed>,
    ) {
        let items = self.level().scope.items.clone();
        for item in items {
            let Some(relation) = self.types.catalog.relation(item.relation).cloned() else {
                continue;
            };
            let Some(table) = relation.table() else { continue };
            let primary = table.constraints.iter().find_map(|c| match c.kind {
                ConstraintKind::PrimaryKey { .. } => Some(c.columns.clone()),
                _ => None,
            });
            let Some(primary) = primary else { continue };
            let grouped = |attr: i16| {
                item.columns
                    .iter()
                    .any(|c| c.attr == attr && groups.iter().any(|g| g.expr == c.expr))
            };
            if !primary.iter().all(|attr| grouped(*attr)) {
                continue;
            }
            for column in &item.columns {
                let used = list
                    .iter()
                    .map(|t| &t.value.expr)
                    .chain(keys.iter().map(|k| &k.value.expr))
                    .chain(having.iter().map(|h| &h.expr))
                    .any(|e| e.exists(|x| Ok(*x == column.expr)).unwrap_or(false));
                if used && !groups.iter().any(|g| g.expr == column.expr) {
                    groups.push(column.typed());
                }
            }
        }
    }

    /// An expression over the aggregation's results; 42803 for columns that are not grouped.
    fn above(&self, expr: Expr, map: &[(Expr, Expr)]) -> Result<Expr> {
        let expr = replaced(expr, map)?;
        let known = |c: &Column| c.relation.is_none() && c.name.starts_with("__");
        if let Some(column) = expr.column_refs().into_iter().find(|c| !known(c)) {
            let place = self.places.get(&column.flat_name()).copied();
            let shown = self.shown(column);
            return Err(PgError::new(
                SqlState::GROUPING_ERROR,
                format!(
                    "column \"{shown}\" must appear in the GROUP BY clause or be used in an aggregate function"
                ),
            )
            .or_at(place));
        }
        Ok(expr)
    }

    fn shown(&self, column: &Column) -> String {
        let wanted = Expr::Column(column.clone());
        let items = self.levels.iter().flat_map(|l| &l.scope.items);
        for item in items {
            if let Some(c) = item.columns.iter().find(|c| c.expr == wanted) {
                return format!("{}.{}", item.alias, c.name);
            }
        }
        column.flat_name()
    }
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

fn contains_aggregate(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_)))).unwrap_or(false)
}

fn collect_aggregates(expr: &Expr, calls: &mut Vec<Expr>) -> Result<()> {
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
