//! Queries: WITH, the body, ORDER BY, LIMIT.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use sqlparser::ast::{self, OrderByKind, SetExpr};
use vicinity_types::{PgError, Result, SqlState, oid};

use super::cast::one_of;
use super::limit::Limits;
use super::lock::Locking;
use super::{Binder, Bound, Level, OutputColumn, VALUES};
use crate::call::{PgType, Typed, internal};
use crate::resolve::Context;

/// How deep queries may nest.
const NESTING: usize = 300;

/// A constant integer.
pub(super) fn constant_int(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(v), _) => *v,
        Expr::Literal(ScalarValue::Int32(v), _) => v.map(i64::from),
        Expr::Literal(ScalarValue::Int16(v), _) => v.map(i64::from),
        _ => None,
    }
}

impl Binder<'_> {
    /// Binds a query on a level of its own.
    pub(super) fn bind_query(&mut self, query: &ast::Query) -> Result<Bound> {
        self.bind_query_into(query, &[])
    }

    /// The same; columns that are unknown take the targets' types, where there are targets.
    pub(super) fn bind_query_into(
        &mut self,
        query: &ast::Query,
        targets: &[PgType],
    ) -> Result<Bound> {
        if self.levels.len() > NESTING {
            return Err(crate::sql::too_deep());
        }
        self.session.check_cancel()?;
        self.levels.push(Level::default());
        let bound = self.query_level(query, targets);
        self.levels.pop();
        bound
    }

    fn query_level(&mut self, query: &ast::Query, targets: &[PgType]) -> Result<Bound> {
        if query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty()
        {
            return Err(PgError::unsupported("this clause"));
        }
        let mut locks = std::mem::take(&mut self.passed);
        for clause in &query.locks {
            locks.push(Locking::of_clause(clause)?);
        }
        if let Some(with) = &query.with {
            self.with(with, query)?;
        }
        let order = match query.order_by.as_ref().map(|o| &o.kind) {
            None => Vec::new(),
            Some(OrderByKind::Expressions(list)) => list.clone(),
            Some(OrderByKind::All(_)) => return Err(PgError::unsupported("ORDER BY ALL")),
        };
        let limits = self.limits(query)?;
        match query.body.as_ref() {
            SetExpr::Select(select) => {
                self.level().locks = locks;
                self.select(select, &order, limits, targets)
            }
            SetExpr::Query(inner) if order.is_empty() && limits.is_none() => {
                self.passed = locks;
                self.bind_query_into(inner, targets)
            }
            body => {
                if let Some(lock) = locks.first() {
                    return Err(match body {
                        SetExpr::Values(_) => lock.refuse_values(),
                        _ => lock.refuse("UNION/INTERSECT/EXCEPT"),
                    });
                }
                let bound = self.body(body, targets)?;
                self.order_output(bound, &order, limits)
            }
        }
    }

    /// A body without its own ORDER BY.
    pub(super) fn body(&mut self, body: &SetExpr, targets: &[PgType]) -> Result<Bound> {
        match body {
            SetExpr::Select(select) => self.select_alone(select, targets, false),
            SetExpr::Query(query) => self.bind_query_into(query, targets),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                self.set_operation(*op, *set_quantifier, left, right, targets)
            }
            SetExpr::Values(values) => self.values(values, targets),
            SetExpr::Table(_) => Err(PgError::unsupported("TABLE in a query")),
            _ => Err(PgError::unsupported("a data-modifying statement in a query")),
        }
    }

    /// A SELECT without ORDER BY and LIMIT of its own, on a level of its own.
    pub(super) fn select_alone(
        &mut self,
        select: &ast::Select,
        targets: &[PgType],
        keep_unknown: bool,
    ) -> Result<Bound> {
        let ctes = self.level().ctes.clone();
        self.levels.push(Level { ctes, keep_unknown, ..Level::default() });
        let bound = self.select(select, &[], Limits::default(), targets);
        self.levels.pop();
        bound
    }

    /// VALUES
    fn values(&mut self, values: &ast::Values, targets: &[PgType]) -> Result<Bound> {
        let lists: Vec<_> =
            values.rows.iter().map(|row| self.spread(row)).collect::<Result<_>>()?;
        let mut rows: Vec<Vec<Typed>> = Vec::new();
        for row in &lists {
            let mut bound = Vec::new();
            for expr in row.iter() {
                bound.push(self.in_clause(VALUES, |me| me.expr(expr))?);
            }
            if rows.first().is_some_and(|first| first.len() != bound.len()) {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    "VALUES lists must all be the same length",
                )
                .or_at(row.first().and_then(|e| self.place(e))));
            }
            rows.push(bound);
        }
        let width = rows.first().map_or(0, Vec::len);
        let mut types = Vec::new();
        for at in 0..width {
            let inputs: Vec<u32> =
                rows.iter().filter_map(|r| r.get(at)).map(|v| v.ty.oid).collect();
            let all_unknown = inputs.iter().all(|t| *t == oid::UNKNOWN);
            let ty = match targets.get(at) {
                Some(target) if all_unknown => PgType { typmod: -1, ..*target },
                _ => {
                    let ty = crate::resolve::common::require_common(&self.types, &inputs, VALUES)?;
                    self.ty(ty)
                }
            };
            types.push(ty);
        }
        let mut coerced: Vec<Vec<Typed>> = Vec::new();
        for (row, written) in rows.into_iter().zip(&lists) {
            let mut out = Vec::new();
            for ((value, ty), written) in row.into_iter().zip(&types).zip(written.iter()) {
                let place = self.place(written);
                out.push(self.coerce(value, *ty, Context::Implicit, place)?);
            }
            coerced.push(out);
        }
        for (at, ty) in types.iter_mut().enumerate() {
            *ty = one_of(coerced.iter().filter_map(|row| row.get(at)), *ty);
        }
        let exprs =
            coerced.into_iter().map(|row| row.into_iter().map(|v| v.expr).collect()).collect();
        let plan = LogicalPlanBuilder::values(exprs)
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)?;
        let columns = types
            .into_iter()
            .enumerate()
            .map(|(i, ty)| OutputColumn { name: format!("column{}", i + 1), ty, table: 0, attr: 0 })
            .collect();
        Ok(Bound { plan, columns })
    }

    /// The columns of a plan, as expressions over it.
    pub(super) fn outputs(bound: &Bound) -> Vec<Typed> {
        bound
            .plan
            .schema()
            .iter()
            .zip(&bound.columns)
            .map(|((qualifier, field), c)| {
                let column = datafusion::common::Column::new(qualifier.cloned(), field.name());
                Typed::new(Expr::Column(column), c.ty)
            })
            .collect()
    }

    /// The same rows with columns of other types.
    pub(super) fn cast_columns(&mut self, bound: Bound, types: &[PgType]) -> Result<Bound> {
        let same = bound.columns.iter().zip(types).all(|(c, ty)| c.ty.oid == ty.oid);
        if same {
            return Ok(bound);
        }
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for (i, ((value, column), ty)) in Self::outputs(&bound)
            .into_iter()
            .zip(bound.columns.iter().cloned())
            .zip(types)
            .enumerate()
        {
            let value = self.coerce(value, *ty, Context::Implicit, None)?;
            exprs.push(value.expr.alias(format!("c{i}")));
            columns.push(OutputColumn { ty: value.ty, ..column });
        }
        let plan = LogicalPlanBuilder::from(bound.plan)
            .project(exprs)
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)?;
        Ok(Bound { plan, columns })
    }

    /// The same rows as one column of rows.
    pub(super) fn as_row(&mut self, bound: Bound) -> Result<Bound> {
        let record = PgType::new(oid::RECORD);
        let names = bound.columns.iter().map(|c| c.name.clone());
        let fields = names.zip(Self::outputs(&bound)).collect();
        let row = super::row::named_row(fields, record);
        let plan = LogicalPlanBuilder::from(bound.plan)
            .project(vec![row.expr.alias("row")])
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)?;
        let column = OutputColumn { name: "row".to_owned(), ty: record, table: 0, attr: 0 };
        Ok(Bound { plan, columns: vec![column] })
    }
}
