//! Queries inside expressions.
//!
//! A subquery becomes a call ([`SubPlan`]) whose arguments are all parameters its plan needs: the
//! statement's own and the outer columns it names. The plan itself stands alone, with parameters
//! `$1..`, is prepared once and run per row (or once, where it needs no outer column). `IN` of an
//! uncorrelated query in a positive place is left to DataFusion as a semi join.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Projection, lit};
use sqlparser::ast;
use vicinity_types::{PgError, Result, SqlState, oid};

use super::operator::{operator_name, written_row};
use super::subplan::{LateralQuery, SubPlan, SubPlanKind, SubQuery};
use super::{Binder, Bound, OutputColumn};
use crate::call::{PgType, Typed, call_expr, internal, placeholder};
use crate::df::SetCallable;
use crate::resolve::Context;

/// A query inside of an expression that was bound before.
pub(super) struct BoundOnce {
    query: ast::Query,
    /// How many tables it could name columns of.
    tables: usize,
    bound: Bound,
}

impl Binder<'_> {
    /// Binds a query one level below the present one. What is written twice over the same tables is the same query,
    /// so that a grouped one is found in the select list.
    fn inner(&mut self, query: &ast::Query) -> Result<Bound> {
        self.check_query_allowed()?;
        let tables = self.level().scope.items.len();
        let same = |known: &&BoundOnce| known.tables == tables && known.query == *query;
        if let Some(known) = self.level().subqueries.iter().find(same) {
            return Ok(known.bound.clone());
        }
        let bound = self.bind_query(query)?;
        let once = BoundOnce { query: query.clone(), tables, bound: bound.clone() };
        self.level().subqueries.push(once);
        Ok(bound)
    }

    /// Makes a bound query stand alone: its parameters are renumbered, and what they stand for is
    /// given as expressions of the present level.
    pub(super) fn closed(&mut self, bound: Bound) -> Result<(Arc<SubQuery>, Vec<Expr>)> {
        let level = self.levels.len().saturating_sub(1);
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut args: Vec<Expr> = Vec::new();
        let mut params: Vec<PgType> = Vec::new();
        let mut outer_ones: Vec<bool> = Vec::new();
        let (outers, types) = (&self.outers, &self.types);
        let numbered = self.variables.and_then(|v| v.types());
        let known = numbered.unwrap_or_else(|| self.params.so_far());
        let mut renumber = |p: &Placeholder| -> Expr {
            if let Some(n) = numbers.get(&p.id)
                && let Some(ty) = params.get(n - 1)
            {
                return placeholder(*n, *ty);
            }
            let outer = p.id.strip_prefix("$outer").and_then(|n| n.parse::<usize>().ok());
            let outer = outer.and_then(|n| outers.get(n));
            let (arg, ty) = match outer {
                Some(o) => {
                    let own = if o.level == level {
                        o.expr.clone()
                    } else {
                        Expr::Placeholder(p.clone())
                    };
                    (own, o.ty)
                }
                None => {
                    let n = p.id.trim_start_matches('$').parse::<usize>().unwrap_or(1);
                    let ty = known.get(n - 1).copied().filter(|t| *t != 0).unwrap_or(oid::TEXT);
                    let ty = types.plain(ty);
                    (placeholder(n, ty), ty)
                }
            };
            args.push(arg);
            params.push(ty);
            outer_ones.push(outer.is_some());
            numbers.insert(p.id.clone(), params.len());
            placeholder(params.len(), ty)
        };
        let plan = bound
            .plan
            .transform_up_with_subqueries(|node| {
                node.map_expressions(|expr| {
                    expr.transform_up(|e| match &e {
                        Expr::Placeholder(p) => Ok(Transformed::yes(renumber(p))),
                        _ => Ok(Transformed::no(e)),
                    })
                })
            })
            .map_err(internal)?
            .data;
        let volatile = super::has_effects(&plan)?;
        let same = |known: &&(Arc<SubQuery>, Vec<Expr>)| known.0.plan == plan && known.1 == args;
        if !volatile && let Some(known) = self.level().closed.iter().find(same) {
            return Ok(known.clone());
        }
        let columns = bound.columns.iter().map(|c| c.ty).collect();
        let query = Arc::new(SubQuery::new(plan, columns, params, outer_ones, volatile));
        self.level().closed.push((query.clone(), args.clone()));
        Ok((query, args))
    }

    fn subplan(
        &mut self,
        bound: Bound,
        kind: SubPlanKind,
        first: Option<Typed>,
        ret: PgType,
    ) -> Result<Typed> {
        let (query, mut args) = self.closed(bound)?;
        let mut types = query.params.clone();
        if let Some(first) = first {
            types.insert(0, first.ty);
            args.insert(0, first.expr);
        }
        let plan = SubPlan { query, kind, args: types, ret };
        Ok(Typed::new(call_expr(Arc::new(plan), args), ret))
    }

    pub(super) fn scalar_subquery(&mut self, query: &ast::Query) -> Result<Typed> {
        let place = super::position(ast::Spanned::span(query));
        let bound = self.inner(query)?;
        let ty = self.only_column(&bound).map_err(|e| e.or_at(place))?;
        self.subplan(bound, SubPlanKind::Scalar, None, ty)
    }

    fn only_column(&self, bound: &Bound) -> Result<PgType> {
        match bound.columns.as_slice() {
            [column] => Ok(column.ty),
            _ => Err(PgError::new(SqlState::SYNTAX_ERROR, "subquery must return only one column")),
        }
    }

    pub(super) fn exists(&mut self, query: &ast::Query, negated: bool) -> Result<Typed> {
        let bound = without_values(self.inner(query)?)?;
        let found = self.subplan(bound, SubPlanKind::Exists, None, PgType::new(oid::BOOL))?;
        Ok(if negated { Typed::new(Expr::Not(Box::new(found.expr)), found.ty) } else { found })
    }

    pub(super) fn array_subquery(&mut self, query: &ast::Query) -> Result<Typed> {
        let bound = self.inner(query)?;
        let elem = self.only_column(&bound)?;
        let inner = self.types.element(elem.oid);
        let (array, elem) = match inner {
            Some(inner) => (elem.oid, inner),
            None => {
                let array = self.types.array(elem.oid).ok_or_else(|| {
                    PgError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!(
                            "could not find array type for data type {}",
                            self.types.name(elem.oid)
                        ),
                    )
                })?;
                (array, elem.oid)
            }
        };
        let ret = self.ty(array);
        self.subplan(bound, SubPlanKind::Array { elem, nested: inner.is_some() }, None, ret)
    }

    pub(super) fn in_subquery(
        &mut self,
        expr: &ast::Expr,
        query: &ast::Query,
        negated: bool,
    ) -> Result<Typed> {
        let (op, any) = if negated { ("<>", false) } else { ("=", true) };
        self.quantified_query(expr, None, op, query, any)
    }

    /// `x op ANY (...)`, of a query or an array.
    pub(super) fn quantified(
        &mut self,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        right: &ast::Expr,
        any: bool,
    ) -> Result<Typed> {
        let (schema, name) = operator_name(op);
        let inner = match right {
            ast::Expr::Subquery(query) => Some(query),
            ast::Expr::Nested(nested) => match nested.as_ref() {
                ast::Expr::Subquery(query) => Some(query),
                _ => None,
            },
            _ => None,
        };
        if let Some(query) = inner {
            return self.quantified_query(left, schema.as_deref(), &name, query, any);
        }
        let place = self.place(left);
        let value = self.expr(left)?;
        let array = self.expr(right)?;
        self.quantified_array(value, schema.as_deref(), &name, array, any)
            .map_err(|e| e.or_at(place))
    }

    pub(super) fn quantified_array(
        &mut self,
        value: Typed,
        schema: Option<&str>,
        name: &str,
        array: Typed,
        any: bool,
    ) -> Result<Typed> {
        let word = if any { "ANY" } else { "ALL" };
        let elem = match array.ty.oid {
            oid::UNKNOWN => oid::UNKNOWN,
            oid::INT2VECTOR => oid::INT2,
            oid::OIDVECTOR => oid::OID,
            ty => self.types.element(ty).ok_or_else(|| {
                PgError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("op {word} (array) requires array on right side")
                        .replace("op ANY (array)", "op ANY/ALL (array)")
                        .replace("op ALL (array)", "op ANY/ALL (array)"),
                )
            })?,
        };
        let name = if name == "!=" { "<>" } else { name };
        let op = crate::resolve::operator::binary(&self.types, schema, name, value.ty.oid, elem)?;
        let mut declared = [op.left, op.right];
        let inputs = [value.ty.oid, elem];
        let ret =
            crate::resolve::polymorphic::resolve(&self.types, &inputs, &mut declared, op.result)?;
        if ret != oid::BOOL {
            return Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "op ANY/ALL (array) requires operator to yield boolean",
            ));
        }
        let value = self.coerce(value, self.ty(declared[0]), Context::Implicit, None)?;
        let array_type = self.types.array(declared[1]).ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find array type for data type {}", self.types.name(declared[1])),
            )
        })?;
        let vector = matches!(array.ty.oid, oid::INT2VECTOR | oid::OIDVECTOR);
        let array = if vector && elem == declared[1] {
            array
        } else {
            self.coerce(array, self.ty(array_type), Context::Implicit, None)?
        };
        let call = self.operator_call(op, value.ty, self.ty(declared[1]), self.ty(ret))?;
        Ok(super::special::array_op(value, array, call, name.to_owned(), any))
    }

    fn quantified_query(
        &mut self,
        left: &ast::Expr,
        schema: Option<&str>,
        name: &str,
        query: &ast::Query,
        any: bool,
    ) -> Result<Typed> {
        let place = self.place(left);
        if let Some(fields) = written_row(left) {
            return self.quantified_row(&fields, name, query, any);
        }
        let value = self.expr(left)?;
        let bound = self.inner(query)?;
        if bound.columns.len() != 1 {
            let text = if bound.columns.len() > 1 {
                "subquery has too many columns"
            } else {
                "subquery has too few columns"
            };
            return Err(PgError::new(SqlState::SYNTAX_ERROR, text).or_at(place));
        }
        let column = self.only_column(&bound)?;
        let name = if name == "!=" { "<>" } else { name };
        let op =
            crate::resolve::operator::binary(&self.types, schema, name, value.ty.oid, column.oid)
                .map_err(|e| e.or_at(place))?;
        let mut declared = [op.left, op.right];
        let inputs = [value.ty.oid, column.oid];
        let ret =
            crate::resolve::polymorphic::resolve(&self.types, &inputs, &mut declared, op.result)?;
        let value = self.coerce(value, self.ty(declared[0]), Context::Implicit, place)?;
        let bound = self.cast_columns(bound, &[self.ty(declared[1])])?;
        let call = self.operator_call(op, value.ty, self.ty(declared[1]), self.ty(ret))?;
        let kind = SubPlanKind::Quantified { call, op: name.to_owned(), any };
        self.subplan(bound, kind, Some(value), PgType::new(oid::BOOL))
    }

    /// `(a, b) IN (SELECT x, y ...)` and `(a, b) < ANY (..)`: rows compared as wholes.
    fn quantified_row(
        &mut self,
        fields: &[&ast::Expr],
        name: &str,
        query: &ast::Query,
        any: bool,
    ) -> Result<Typed> {
        let (left, bound) = self.row_beside(fields, name, query)?;
        let record = left.ty;
        let probe = |n: &str| Typed::new(super::scope::column("", n), record);
        let test = super::special::row_test(probe("l"), probe("r"), name)?;
        let call = crate::call::callable_of(&test.expr)
            .map(|(c, _)| c.clone())
            .ok_or_else(|| PgError::internal("no comparison of rows"))?;
        let kind = SubPlanKind::Quantified { call, op: name.to_owned(), any };
        self.subplan(bound, kind, Some(left), PgType::new(oid::BOOL))
    }

    /// `(a, b) = (SELECT x, y ...)`: of one row at most, unknown where there is none.
    pub(super) fn row_and_query(
        &mut self,
        fields: &[&ast::Expr],
        name: &str,
        query: &ast::Query,
    ) -> Result<Typed> {
        let (left, bound) = self.row_beside(fields, name, query)?;
        let right = self.subplan(bound, SubPlanKind::Scalar, None, left.ty)?;
        super::special::row_test(left, right, name)
    }

    /// A row and a query's rows, all fields as the types they are compared as.
    fn row_beside(
        &mut self,
        fields: &[&ast::Expr],
        name: &str,
        query: &ast::Query,
    ) -> Result<(Typed, Bound)> {
        let values = fields.iter().map(|f| self.expr(f)).collect::<Result<Vec<_>>>()?;
        let bound = self.inner(query)?;
        if bound.columns.len() != values.len() {
            let text = if bound.columns.len() > values.len() {
                "subquery has too many columns"
            } else {
                "subquery has too few columns"
            };
            return Err(PgError::new(SqlState::SYNTAX_ERROR, text));
        }
        let mut types = Vec::new();
        let mut converted = Vec::new();
        for (value, column) in values.into_iter().zip(&bound.columns) {
            let ty = self.compared(name, value.ty.oid, column.ty.oid)?;
            converted.push(self.coerce(value, ty, Context::Implicit, None)?);
            types.push(ty);
        }
        let bound = self.cast_columns(bound, &types)?;
        let bound = self.as_row(bound)?;
        Ok((super::row::row_ctor(converted, PgType::new(oid::RECORD)), bound))
    }

    /// A subquery in FROM that names columns to its left.
    pub(super) fn lateral(&mut self, bound: Bound) -> Result<(Arc<dyn SetCallable>, Vec<Expr>)> {
        let (query, args) = self.closed(bound)?;
        Ok((Arc::new(LateralQuery { query }), args))
    }

    /// Whether a plan names columns of the present level.
    pub(super) fn is_correlated(&self, plan: &LogicalPlan) -> Result<bool> {
        let level = self.levels.len().saturating_sub(1);
        let mut found = false;
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                expr.apply(|e| {
                    found |= self.outer_of(e).is_some_and(|outer| outer.level == level);
                    Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
                })
            })
        })
        .map_err(internal)?;
        Ok(found)
    }
}

/// A query of which is asked only whether it has rows: what it selects of them is not computed.
fn without_values(bound: Bound) -> Result<Bound> {
    let whole = match &bound.plan {
        LogicalPlan::Distinct(Distinct::All(input)) => input,
        plan => plan,
    };
    let LogicalPlan::Projection(Projection { input, .. }) = whole else { return Ok(bound) };
    let one = lit(true).alias("exists");
    let plan = Projection::try_new(vec![one], input.clone()).map_err(internal)?;
    let ty = PgType::new(oid::BOOL);
    let column = OutputColumn { name: "exists".to_owned(), ty, table: 0, attr: 0 };
    Ok(Bound { plan: LogicalPlan::Projection(plan), columns: vec![column] })
}
