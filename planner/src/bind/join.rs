//! JOIN.

use datafusion::common::JoinType;
use datafusion::logical_expr::{Case, Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, JoinConstraint, JoinOperator};
use vicinity_types::{PgError, Result, SqlState};

use super::from::{Joined, duplicate};
use super::scope::{Scope, ScopeColumn};
use super::{Binder, name_parts};
use crate::call::{Typed, internal};
use crate::resolve::Context;
use crate::resolve::common::require_common;

/// What messages call the conditions of joins.
pub(super) const JOIN: &str = "JOIN conditions";

impl Binder<'_> {
    /// Joins one more table. `outside` are the names that stand left of the whole chain.
    pub(super) fn join(
        &mut self,
        left: Joined,
        join: &ast::Join,
        outside: &Scope,
    ) -> Result<Joined> {
        use JoinOperator as J;
        let (kind, constraint) = match &join.join_operator {
            J::Join(c) | J::Inner(c) => (JoinType::Inner, c),
            J::Left(c) | J::LeftOuter(c) => (JoinType::Left, c),
            J::Right(c) | J::RightOuter(c) => (JoinType::Right, c),
            J::FullOuter(c) => (JoinType::Full, c),
            J::CrossJoin(c) => (JoinType::Inner, c),
            _ => return Err(PgError::unsupported("this kind of join")),
        };
        // lateral references of the right side see the left
        let seen = Scope::pair(outside.clone(), left.scope.clone());
        let before = std::mem::replace(&mut self.level().scope, seen);
        let mut right = self.factor(&join.relation, Some(&left.plan), kind == JoinType::Left);
        let mut constraint = constraint;
        if let (Ok(Joined { lateral: true, .. }), JoinConstraint::On(on)) = (&right, constraint)
            && kind == JoinType::Left
            && !is_true(on)
        {
            right = self.lateral_where(&join.relation, on, &left.plan);
            constraint = &JoinConstraint::None;
        }
        self.level().scope = before;
        let right = right?;
        for item in &right.scope.items {
            if left
                .scope
                .items
                .iter()
                .any(|have| have.alias == item.alias && have.schema == item.schema)
            {
                return Err(duplicate(&item.alias));
            }
        }
        let (left, right) = nullable_sides(left, right, kind);
        let lateral = left.lateral;
        if right.lateral {
            return self.lateral_result(left, right, kind, constraint, outside);
        }
        let shared = self.shared_columns(&left.scope, &right.scope, constraint)?;
        let both = Scope::pair(left.scope.clone(), right.scope.clone());
        let mut conditions = Vec::new();
        let mut merged = Vec::new();
        for (l, r) in shared {
            for side in [&l, &r] {
                self.uses.add_column(side.table, side.attr);
            }
            let test = self.operation(None, "=", l.typed(), r.typed())?;
            conditions.push(join_key(&test));
            merged.push(self.merged(&l, &r, kind)?);
        }
        if let JoinConstraint::On(on) = constraint {
            let place = self.place(on);
            let scope = Scope::pair(outside.clone(), both.clone());
            let before = std::mem::replace(&mut self.level().scope, scope);
            let bound = self.in_clause(JOIN, |me| me.expr(on));
            self.level().scope = before;
            let bound = self.boolean(bound?, "JOIN/ON", place)?;
            let parts = datafusion::logical_expr::utils::split_conjunction_owned(bound.expr);
            for part in parts {
                conditions.push(keyed(part));
            }
        }
        let plan = joined(left.plan, right.plan, kind, conditions)?;
        let scope = if merged.is_empty() { both } else { merge(both, merged) };
        Ok(Joined { plan, scope, lateral })
    }

    /// The right side already ran over the left: what remains is the condition.
    fn lateral_result(
        &mut self,
        left: Joined,
        right: Joined,
        kind: JoinType,
        constraint: &JoinConstraint,
        outside: &Scope,
    ) -> Result<Joined> {
        if !matches!(kind, JoinType::Inner | JoinType::Left) {
            return Err(PgError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "invalid reference to FROM-clause entry",
            )
            .detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference."));
        }
        let scope = Scope::pair(left.scope, right.scope);
        let mut plan = right.plan;
        match constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(on) => {
                let all = Scope::pair(outside.clone(), scope.clone());
                let before = std::mem::replace(&mut self.level().scope, all);
                let place = self.place(on);
                let bound = self.in_clause(JOIN, |me| me.expr(on));
                self.level().scope = before;
                let bound = self.boolean(bound?, "JOIN/ON", place)?;
                let always = matches!(
                    &bound.expr,
                    Expr::Literal(datafusion::common::ScalarValue::Boolean(Some(true)), _)
                );
                if !always {
                    plan = LogicalPlanBuilder::from(plan)
                        .filter(bound.expr)
                        .and_then(LogicalPlanBuilder::build)
                        .map_err(internal)?;
                }
            }
            _ => return Err(PgError::unsupported("USING with LATERAL")),
        }
        Ok(Joined { plan, scope, lateral: left.lateral })
    }

    /// The columns USING or NATURAL pairs.
    fn shared_columns(
        &self,
        left: &Scope,
        right: &Scope,
        constraint: &JoinConstraint,
    ) -> Result<Vec<(ScopeColumn, ScopeColumn)>> {
        let names: Vec<String> = match constraint {
            JoinConstraint::Using(names) => {
                names.iter().filter_map(|n| name_parts(n).pop()).collect()
            }
            JoinConstraint::Natural => left
                .star()
                .filter(|l| right.star().any(|r| r.name == l.name))
                .map(|l| l.name.clone())
                .collect(),
            _ => return Ok(Vec::new()),
        };
        let pick = |scope: &Scope, name: &str, side: &str| {
            let mut found = scope.star().filter(|c| c.name == name);
            match (found.next(), found.next()) {
                (Some(one), None) => Ok(one.clone()),
                (Some(_), Some(_)) => Err(PgError::new(
                    SqlState::AMBIGUOUS_COLUMN,
                    format!("common column name \"{name}\" appears more than once in {side} table"),
                )),
                (None, _) => Err(PgError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!(
                        "column \"{name}\" specified in USING clause does not exist in {side} table"
                    ),
                )),
            }
        };
        names
            .iter()
            .map(|name| Ok((pick(left, name, "left")?, pick(right, name, "right")?)))
            .collect()
    }

    /// The one column that stands for both.
    fn merged(&mut self, l: &ScopeColumn, r: &ScopeColumn, kind: JoinType) -> Result<ScopeColumn> {
        let ty = require_common(&self.types, &[l.ty.oid, r.ty.oid], "JOIN/USING")?;
        let ty = if l.ty == r.ty { l.ty } else { self.ty(ty) };
        let left = self.coerce(l.typed(), ty, Context::Implicit, None)?;
        let right = self.coerce(r.typed(), ty, Context::Implicit, None)?;
        let expr = match kind {
            JoinType::Right => right.expr,
            JoinType::Full => {
                let known = Expr::IsNotNull(Box::new(left.expr.clone()));
                let pairs = vec![(Box::new(known), Box::new(left.expr))];
                Expr::Case(Case::new(None, pairs, Some(Box::new(right.expr))))
            }
            _ => left.expr,
        };
        Ok(ScopeColumn { expr, ty, ..l.clone() })
    }
}

/// `*` of a join with USING: the merged columns, then what is left of each side.
fn merge(both: Scope, merged: Vec<ScopeColumn>) -> Scope {
    let names: Vec<String> = merged.iter().map(|c| c.name.clone()).collect();
    let mut columns = merged;
    columns.extend(both.columns.into_iter().filter(|c| c.hidden || !names.contains(&c.name)));
    Scope { items: both.items, columns }
}

/// Marks what an outer join may leave out.
fn nullable_sides(mut left: Joined, mut right: Joined, kind: JoinType) -> (Joined, Joined) {
    let mark = |side: &mut Joined| side.scope.items.iter_mut().for_each(|i| i.nullable = true);
    if matches!(kind, JoinType::Left | JoinType::Full) {
        mark(&mut right);
    }
    if matches!(kind, JoinType::Right | JoinType::Full) {
        mark(&mut left);
    }
    (left, right)
}

fn joined(
    left: LogicalPlan,
    right: LogicalPlan,
    kind: JoinType,
    conditions: Vec<Expr>,
) -> Result<LogicalPlan> {
    let builder = LogicalPlanBuilder::from(left);
    let builder = if conditions.is_empty() && kind == JoinType::Inner {
        builder.cross_join(right)
    } else {
        builder.join_on(right, kind, conditions)
    };
    builder.and_then(LogicalPlanBuilder::build).map_err(internal)
}

fn join_key(test: &Typed) -> Expr {
    keyed(test.expr.clone())
}

/// Equality of values whose bytes are not canonical is equality of their keys: a join can hash those.
fn keyed(expr: Expr) -> Expr {
    let Some((call, args)) = crate::call::callable_of(&expr) else { return expr };
    let equal = call.operator().is_some_and(|o| o.name == "=" && o.can_hash);
    match (args, call.args()) {
        ([left, right], [lt, rt])
            if equal && lt.kind == rt.kind && vicinity_types::arrow::needs_key(lt.kind) =>
        {
            let key = |expr: &Expr, ty| {
                let key = crate::call::GroupKey::new(ty);
                crate::call::call_expr(std::sync::Arc::new(key), vec![expr.clone()])
            };
            key(left, *lt).eq(key(right, *rt))
        }
        _ => expr,
    }
}

/// `ON true`, which asks nothing.
fn is_true(on: &ast::Expr) -> bool {
    matches!(on, ast::Expr::Value(v) if v.value == ast::Value::Boolean(true))
}
