//! `IS [NOT] DISTINCT FROM`, of values and of written rows.

use datafusion::logical_expr::{Operator as Native, lit};
use sqlparser::ast;
use vicinity_types::{Result, oid};

use super::is_plain;
use crate::bind::operator::{RowPairs, balanced, is_of_one_type, written_rows};
use crate::bind::{Binder, special};
use crate::call::{PgType, Typed};
use crate::resolve::common::require_common;
use crate::resolve::{Context, operator};

impl Binder<'_> {
    pub(super) fn distinct(
        &mut self,
        l: &ast::Expr,
        r: &ast::Expr,
        negated: bool,
    ) -> Result<Typed> {
        let bound = match written_rows(l, r) {
            Ok(Some(pairs)) => self.distinct_fields(pairs, negated),
            Ok(None) => {
                let (left, right) = (self.expr(l)?, self.expr(r)?);
                self.distinct_values(left, right, negated)
            }
            Err(e) => Err(e),
        };
        bound.map_err(|e| e.or_at(self.place_between(l, "is", r)))
    }

    /// Written rows are distinct where their fields are, each by its own types.
    fn distinct_fields(&mut self, pairs: RowPairs<'_>, negated: bool) -> Result<Typed> {
        let mut fields = Vec::with_capacity(pairs.len());
        for (l, r) in pairs {
            let (l, r) = (self.expr(l)?, self.expr(r)?);
            fields.push(self.distinct_values(l, r, negated)?.expr);
        }
        let expr = match (fields.is_empty(), negated) {
            (true, _) => lit(negated),
            (false, true) => balanced(fields, Native::And),
            (false, false) => balanced(fields, Native::Or),
        };
        Ok(Typed::new(expr, PgType::new(oid::BOOL)))
    }

    fn distinct_values(&mut self, l: Typed, r: Typed, negated: bool) -> Result<Typed> {
        let op = operator::binary(&self.types, None, "=", l.ty.oid, r.ty.oid)?;
        let (left, right) = if !is_of_one_type(op) {
            (self.ty(op.left), self.ty(op.right))
        } else if op.left == op.right && !vicinity_functions::is_polymorphic(op.left) {
            (self.ty(op.left), self.ty(op.left))
        } else {
            let common = require_common(&self.types, &[l.ty.oid, r.ty.oid], "IS DISTINCT FROM")?;
            (self.ty(common), self.ty(common))
        };
        let l = self.coerce(l, left, Context::Implicit, None)?;
        let r = self.coerce(r, right, Context::Implicit, None)?;
        let operator = match is_plain(left.oid) && is_of_one_type(op) {
            true => None,
            false => Some(self.operator_call(op, left, right, PgType::new(oid::BOOL))?),
        };
        Ok(special::distinct_from(l, r, negated, operator))
    }
}
