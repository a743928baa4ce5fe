//! Expressions.

mod access;
mod array;
mod distinct;
mod in_list;
mod subscript;

use datafusion::logical_expr::{Case, Expr, Operator as Native};
use sqlparser::ast::{self, CastKind};
use vicinity_types::{Kind, PgError, Result, SqlState, oid};

use super::cast::one_of;
use super::operator::written_row;
use super::{Binder, special};
use crate::call::{PgType, Typed};
use crate::resolve::Context;
use crate::resolve::common::require_common_at;

impl Binder<'_> {
    /// Binds an expression.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Result<Typed> {
        self.deeper(1, |me| me.expr_inner(expr))
    }

    fn expr_inner(&mut self, expr: &ast::Expr) -> Result<Typed> {
        use ast::Expr as E;
        match expr {
            E::Identifier(ident) => self.identifier(ident),
            E::CompoundIdentifier(idents) => self.column(idents),
            E::Value(value) => self.value(value),
            E::Nested(inner) => self.expr(inner),
            E::BinaryOp { left, op, right } => self.binary(left, op, right),
            E::UnaryOp { op, expr } => self.unary(*op, expr),
            E::Prefixed { prefix, value } => {
                let place = super::position(prefix.span);
                let value = self.expr(value)?;
                self.prefix_operation(&prefix.value, value).map_err(|e| e.or_at(place))
            }
            E::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type,
                array: false,
                format: None,
            } => self.cast(expr, data_type),
            E::TypedString(typed) => {
                let target = self.named_type(&typed.data_type)?;
                let text = typed.value.value.clone().into_string();
                let place = super::position(typed.value.span);
                let constant = super::literal::unknown(text.as_deref());
                self.coerce(constant, target, Context::Explicit, place)
            }
            E::Interval(interval) => self.interval(interval),
            E::Function(function) => self.function(function),
            E::IsNull(inner) => self.is_null(inner, true),
            E::IsNotNull(inner) => self.is_null(inner, false),
            E::IsTrue(e) => self.truth(e, "IS TRUE", Expr::IsTrue),
            E::IsNotTrue(e) => self.truth(e, "IS NOT TRUE", Expr::IsNotTrue),
            E::IsFalse(e) => self.truth(e, "IS FALSE", Expr::IsFalse),
            E::IsNotFalse(e) => self.truth(e, "IS NOT FALSE", Expr::IsNotFalse),
            E::IsUnknown(e) => self.truth(e, "IS UNKNOWN", Expr::IsUnknown),
            E::IsNotUnknown(e) => self.truth(e, "IS NOT UNKNOWN", Expr::IsNotUnknown),
            E::IsDistinctFrom(l, r) => self.distinct(l, r, false),
            E::IsNotDistinctFrom(l, r) => self.distinct(l, r, true),
            E::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            E::Between { expr, negated, low, high } => self.between(expr, *negated, low, high),
            E::Case { operand, conditions, else_result, .. } => self
                .without_sets("set-returning functions are not allowed in CASE", |me| {
                    me.case(operand.as_deref(), conditions, else_result.as_deref())
                }),
            E::Array(array) => self.array(array),
            E::Tuple(fields) if fields.is_empty() => {
                Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \")\""))
            }
            E::Tuple(fields) => {
                let fields = fields.iter().map(|f| self.expr(f)).collect::<Result<Vec<_>>>()?;
                self.row(fields)
            }
            E::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            E::QualifiedWildcard(item, _) => self.whole_item(item),
            E::AnyOp { left, compare_op, right, .. } => {
                self.quantified(left, compare_op, right, true)
            }
            E::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, false),
            E::Exists { subquery, negated } => self.exists(subquery, *negated),
            E::Subquery(query) => self.scalar_subquery(query),
            E::InSubquery { expr, subquery, negated } => self.in_subquery(expr, subquery, *negated),
            other => self.form(other),
        }
    }

    /// A name, or one of SQL's values that look like names.
    fn identifier(&mut self, ident: &ast::Ident) -> Result<Typed> {
        if ident.quote_style.is_none() {
            let word = ident.value.to_lowercase();
            if word == "default" {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    "DEFAULT is not allowed in this context",
                )
                .or_at(super::position(ident.span)));
            }
            if let Some(value) = self.sql_value(&word)? {
                return Ok(value);
            }
        }
        self.column(std::slice::from_ref(ident))
    }

    fn cast(&mut self, expr: &ast::Expr, data_type: &ast::DataType) -> Result<Typed> {
        let target = self.named_type(data_type)?;
        let place = self.place(expr);
        // ARRAY[]::type[] knows its elements' type from here
        if let ast::Expr::Array(array) = expr
            && let Some(elem) = self.types.element(target.oid)
        {
            let elem = self.types.pg(elem, target.typmod);
            return self.array_of(&array.elem, elem, target);
        }
        let value = self.expr(expr)?;
        self.coerce(value, target, Context::Explicit, place)
    }

    fn is_null(&mut self, inner: &ast::Expr, want: bool) -> Result<Typed> {
        let value = self.expr(inner)?;
        let value = self.settled(value)?;
        if value.ty.kind == Kind::Record {
            return Ok(special::row_is_null(value, want));
        }
        let expr = Box::new(value.expr);
        let expr = if want { Expr::IsNull(expr) } else { Expr::IsNotNull(expr) };
        Ok(Typed::new(expr, PgType::new(oid::BOOL)))
    }

    fn truth(
        &mut self,
        inner: &ast::Expr,
        clause: &str,
        make: fn(Box<Expr>) -> Expr,
    ) -> Result<Typed> {
        let place = self.place(inner);
        let value = self.expr(inner)?;
        let value = self.boolean(value, clause, place)?;
        Ok(Typed::new(make(Box::new(value.expr)), PgType::new(oid::BOOL)))
    }

    fn between(
        &mut self,
        expr: &ast::Expr,
        negated: bool,
        low: &ast::Expr,
        high: &ast::Expr,
    ) -> Result<Typed> {
        use ast::BinaryOperator as Op;
        let (from, to, op) = match negated {
            true => (Op::Lt, Op::Gt, Native::Or),
            false => (Op::GtEq, Op::LtEq, Native::And),
        };
        let both = if written_row(expr).is_some() {
            vec![self.binary(expr, &from, low)?.expr, self.binary(expr, &to, high)?.expr]
        } else {
            let value = self.expr(expr)?;
            let (below, above) = (self.expr(low)?, self.expr(high)?);
            let from = self.operation(None, &from.to_string(), value.clone(), below);
            let to =
                from.and_then(|f| Ok((f, self.operation(None, &to.to_string(), value, above)?)));
            let (from, to) = to.map_err(|e| e.or_at(self.place_between(expr, "between", low)))?;
            vec![from.expr, to.expr]
        };
        let both = super::operator::balanced(both, op);
        Ok(Typed::new(both, PgType::new(oid::BOOL)))
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Typed> {
        let operand = match operand {
            Some(operand) => {
                let value = self.expr(operand)?;
                Some(self.settled(value)?)
            }
            None => None,
        };
        let mut whens = Vec::new();
        let mut results = Vec::new();
        for when in conditions {
            let place = self.place(&when.condition);
            let condition = self.expr(&when.condition)?;
            whens.push(match &operand {
                Some(operand) => self
                    .operation(None, "=", operand.clone(), condition)
                    .map_err(|e| e.or_at(place))?,
                None => self.boolean(condition, "CASE/WHEN", place)?,
            });
            results.push(self.expr(&when.result)?);
        }
        let has_else = otherwise.is_some();
        if let Some(otherwise) = otherwise {
            // PostgreSQL looks at ELSE first
            results.insert(0, self.expr(otherwise)?);
        }
        let inputs: Vec<u32> = results.iter().map(|r| r.ty.oid).collect();
        let written = otherwise.into_iter().chain(conditions.iter().map(|when| &when.result));
        let places: Vec<_> = written.map(|e| self.place(e)).collect();
        let ty = require_common_at(&self.types, &inputs, "CASE", &places)?;
        let ty = self.ty(ty);
        let mut results = self.coerce_all(results, ty, &places)?;
        let ret = if has_else { one_of(&results, ty) } else { ty };
        let otherwise = if has_else {
            results.remove(0).expr
        } else {
            crate::call::literal(&vicinity_types::Datum::Null, ty)?
        };
        let pairs = whens
            .into_iter()
            .zip(results)
            .map(|(w, r)| (Box::new(w.expr), Box::new(r.expr)))
            .collect();
        Ok(Typed::new(Expr::Case(Case::new(None, pairs, Some(Box::new(otherwise)))), ret))
    }

    /// `ROW(...)`
    pub(super) fn row(&mut self, fields: Vec<Typed>) -> Result<Typed> {
        let fields = fields.into_iter().map(|f| self.settled(f)).collect::<Result<Vec<_>>>()?;
        Ok(super::row::row_ctor(fields, PgType::new(oid::RECORD)))
    }
}

/// Types whose equality and order are Arrow's.
pub(super) fn is_plain(ty: u32) -> bool {
    matches!(
        ty,
        oid::BOOL
            | oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::FLOAT4
            | oid::FLOAT8
            | oid::TEXT
            | oid::VARCHAR
            | oid::NAME
            | oid::CHAR
            | oid::DATE
            | oid::TIME
            | oid::TIMESTAMP
            | oid::TIMESTAMPTZ
            | oid::UUID
            | oid::OID
    )
}
