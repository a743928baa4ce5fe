//! GROUP BY and HAVING.
//!
//! Grouping sets are planned by repeating each row once for every set, the columns outside of the set
//! as NULL, and grouping by the number of the set as well.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Case, Expr, Extension, LogicalPlan, LogicalPlanBuilder, lit};
use sqlparser::ast::{self, GroupByExpr};
use vicinity_storage::catalog::model::ConstraintKind;
use vicinity_types::{PgError, Result, SqlState};

use super::aggregate::{collect_aggregates, contains_aggregate, replaced, unqualified};
use super::grouping::{self, grouping_sets};
use super::order::{OrderItem, first_value, key, order_item};
use super::select::{OrderKey, Target};
use super::{Binder, fold, srf};
use crate::call::{Typed, internal};
use crate::df::append::Append;

/// The number of a row's grouping set.
const SET: &str = "__set";
/// Rows that are there only so that an empty set has its group.
const GHOST: &str = "__ghost";

/// What GROUP BY says.
pub(super) struct Groups {
    keys: Vec<Typed>,
    /// Each set's keys, by their places; none if all keys make the one set.
    sets: Vec<Vec<usize>>,
}

impl Binder<'_> {
    /// The expressions of GROUP BY; None without one.
    pub(super) fn groups(
        &mut self,
        group_by: &GroupByExpr,
        list: &[Target],
    ) -> Result<Option<Groups>> {
        let GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(PgError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(PgError::unsupported("GROUP BY ... WITH"));
        }
        if exprs.is_empty() {
            return Ok(None);
        }
        let names: Vec<String> = list.iter().map(|t| t.name.clone()).collect();
        let mut keys: Vec<Typed> = Vec::new();
        let mut sets = Vec::new();
        for exprs in grouping_sets(exprs)? {
            let mut set = Vec::new();
            for expr in exprs {
                let at = self.group_key(expr, list, &names, &mut keys)?;
                if !set.contains(&at) {
                    set.push(at);
                }
            }
            sets.push(set);
        }
        if sets.len() == 1 {
            sets.clear();
        }
        Ok(Some(Groups { keys, sets }))
    }

    /// The place of a key among those met so far.
    fn group_key(
        &mut self,
        expr: &ast::Expr,
        list: &[Target],
        names: &[String],
        keys: &mut Vec<Typed>,
    ) -> Result<usize> {
        let value = self.group(expr, list, names)?;
        if contains_aggregate(&value.expr) {
            return Err(PgError::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed in GROUP BY",
            )
            .or_at(self.place(expr)));
        }
        if let Some(at) = keys.iter().position(|k| k.expr == value.expr) {
            return Ok(at);
        }
        keys.push(value);
        Ok(keys.len() - 1)
    }

    /// One item: an input column first, then a name or position of the output.
    fn group(&mut self, expr: &ast::Expr, list: &[Target], names: &[String]) -> Result<Typed> {
        if let ast::Expr::Identifier(ident) = expr {
            let input = self.level().scope.columns.iter().any(|c| c.name == fold(ident));
            if input {
                let value = self.expr(expr)?;
                self.groupable(value.ty).map_err(|e| e.or_at(self.place(expr)))?;
                return Ok(value);
            }
        }
        let item = order_item(expr, names, "GROUP BY", |a, b| a == b);
        let value = match item {
            Ok(OrderItem::Output(i)) => list
                .get(i)
                .map(|t| t.value.clone())
                .ok_or_else(|| PgError::internal("no such output")),
            Ok(OrderItem::Expr(expr)) => self.in_clause("GROUP BY", |me| me.expr(expr)),
            Err(e) => Err(e),
        };
        let value = self.settled(value?)?;
        self.groupable(value.ty).map_err(|e| e.or_at(self.place(expr)))?;
        Ok(value)
    }

    /// Puts the aggregation over a plan and points everything above it at its results.
    pub(super) fn aggregated(
        &mut self,
        plan: LogicalPlan,
        groups: Option<Groups>,
        having: Option<Typed>,
        list: &mut [Target],
        keys: &mut [OrderKey],
        on: &mut [Typed],
    ) -> Result<LogicalPlan> {
        let mut calls: Vec<Expr> = Vec::new();
        let mut pending = std::mem::take(&mut self.level().pending);
        {
            let above = list.iter().map(|t| &t.value.expr);
            let above = above.chain(keys.iter().map(|k| &k.value.expr));
            let above = above.chain(on.iter().map(|v| &v.expr));
            let above = above.chain(having.iter().map(|v| &v.expr));
            for expr in above.chain(&pending.exprs()) {
                collect_aggregates(expr, &mut calls)?;
            }
        }
        let grouping = self.level().grouping;
        if calls.is_empty() && groups.is_none() && having.is_none() && !grouping {
            self.level().pending = pending;
            return Ok(plan);
        }
        let mut groups = groups.unwrap_or(Groups { keys: Vec::new(), sets: Vec::new() });
        if groups.sets.is_empty() {
            self.add_dependent(&mut groups.keys, list, keys, having.as_ref());
        }
        let mut having = having.map(|h| h.expr);
        let mut above: Vec<&mut Expr> = list.iter_mut().map(|t| &mut t.value.expr).collect();
        above.extend(keys.iter_mut().map(|k| &mut k.value.expr));
        above.extend(on.iter_mut().map(|v| &mut v.expr));
        above.extend(having.iter_mut().chain(pending.exprs_mut()));
        for expr in &mut above {
            let whole = std::mem::take(*expr);
            **expr = grouping::resolved(whole, &groups.keys, &groups.sets, SET)?;
        }
        let (plan, map) = grouped(plan, &groups, calls)?;
        for expr in above {
            *expr = self.above(std::mem::take(expr), &map)?;
        }
        self.level().pending = pending;
        let Some(condition) = having else { return Ok(plan) };
        LogicalPlanBuilder::from(plan)
            .filter(condition)
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)
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
                ConstraintKind::PrimaryKey { .. } => Some((c.oid, c.columns.clone())),
                _ => None,
            });
            let Some((key, primary)) = primary else { continue };
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
                    self.note(key);
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

/// The aggregation, and what stands for keys and calls above it.
fn grouped(
    plan: LogicalPlan,
    groups: &Groups,
    calls: Vec<Expr>,
) -> Result<(LogicalPlan, Vec<(Expr, Expr)>)> {
    let ghosts = groups.sets.iter().any(Vec::is_empty);
    let plan = if groups.sets.is_empty() { plan } else { repeated(plan, &groups.sets, ghosts)? };
    let mut map: Vec<(Expr, Expr)> = Vec::new();
    let mut group_exprs = Vec::new();
    let mut aggregates = Vec::new();
    if !groups.sets.is_empty() {
        group_exprs.push(unqualified(SET));
    }
    for (i, group) in groups.keys.iter().enumerate() {
        let name = format!("__g{i}");
        let value = Typed { expr: masked(group, i, &groups.sets), ..*group };
        if vicinity_types::arrow::needs_key(group.ty.kind) {
            aggregates.push(first_value(value.expr.clone(), Vec::new()).alias(name.clone()));
            group_exprs.push(key(value).alias(format!("__k{i}")));
        } else {
            group_exprs.push(value.expr.alias(name.clone()));
        }
        map.push((group.expr.clone(), unqualified(&name)));
    }
    for (i, call) in calls.into_iter().enumerate() {
        let name = format!("__a{i}");
        let own = if ghosts { without_ghosts(call.clone()) } else { call.clone() };
        aggregates.push(own.alias(name.clone()));
        map.push((call, unqualified(&name)));
    }
    if group_exprs.is_empty() && aggregates.is_empty() {
        // HAVING alone makes one group of whatever there is.
        return Ok((super::from::one_row()?, map));
    }
    let plan = LogicalPlanBuilder::from(plan)
        .aggregate(group_exprs, aggregates)
        .and_then(LogicalPlanBuilder::build)
        .map_err(internal)?;
    Ok((plan, map))
}

fn set_number(i: usize) -> i64 {
    i64::try_from(i).unwrap_or(i64::MAX)
}

/// Each row once for every set; a ghost of NULLs for every empty set, which has a group even if there
/// are no rows.
fn repeated(plan: LogicalPlan, sets: &[Vec<usize>], ghosts: bool) -> Result<LogicalPlan> {
    let last = set_number(sets.len()) - 1;
    let plan = srf::numbered(plan, lit(0i64), lit(last), SET)?;
    if !ghosts {
        return Ok(plan);
    }
    let mut own: Vec<Expr> = plan.schema().iter().map(|f| Expr::Column(Column::from(f))).collect();
    own.push(lit(false).alias(GHOST));
    let real = project(plan, own)?;
    let schema = nullable(real.schema())?;
    let mut inputs = vec![Arc::new(real)];
    for (i, _) in sets.iter().enumerate().filter(|(_, set)| set.is_empty()) {
        let mut columns = Vec::new();
        for (qualifier, field) in schema.iter() {
            let value = match field.name().as_str() {
                SET => lit(set_number(i)),
                GHOST => lit(true),
                _ => lit(ScalarValue::try_from(field.data_type()).map_err(internal)?),
            };
            columns.push(value.alias_qualified(qualifier.cloned(), field.name()));
        }
        inputs.push(Arc::new(project(super::from::one_row()?, columns)?));
    }
    let node = Arc::new(Append { inputs, schema, order: Vec::new() });
    Ok(LogicalPlan::Extension(Extension { node }))
}

/// The same columns, any of which may be NULL.
fn nullable(schema: &DFSchema) -> Result<DFSchemaRef> {
    let fields = schema.iter().map(|(qualifier, field)| {
        (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(true)))
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), Default::default());
    schema.map(Arc::new).map_err(internal)
}

fn project(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .project(exprs)
        .and_then(LogicalPlanBuilder::build)
        .map_err(internal)
}

/// A key, NULL in the sets it is not part of.
fn masked(group: &Typed, i: usize, sets: &[Vec<usize>]) -> Expr {
    if sets.iter().all(|set| set.contains(&i)) {
        return group.expr.clone();
    }
    let among = sets.iter().enumerate().filter(|(_, set)| set.contains(&i));
    let among = among.map(|(n, _)| lit(set_number(n))).collect();
    let here = Expr::InList(InList::new(Box::new(unqualified(SET)), among, false));
    let pairs = vec![(Box::new(here), Box::new(group.expr.clone()))];
    Expr::Case(Case::new(None, pairs, None))
}

/// An aggregate call that does not count ghosts.
fn without_ghosts(call: Expr) -> Expr {
    let real = Expr::Not(Box::new(unqualified(GHOST)));
    match call {
        Expr::AggregateFunction(mut f) => {
            f.params.filter = Some(Box::new(match f.params.filter {
                Some(filter) => filter.and(real),
                None => real,
            }));
            Expr::AggregateFunction(f)
        }
        other => other,
    }
}
