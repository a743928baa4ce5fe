//! `[NOT] IN` with a list of values.

use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, Operator as Native, binary_expr};
use sqlparser::ast;
use vicinity_types::{PgError, Result, oid};

use super::is_plain;
use crate::bind::operator::{balanced, is_of_one_type, written_row};
use crate::bind::{Binder, special};
use crate::call::{PgType, Typed};
use crate::resolve::common::listed_type;
use crate::resolve::{Context, operator};

impl Binder<'_> {
    pub(super) fn in_list(
        &mut self,
        expr: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
    ) -> Result<Typed> {
        if written_row(expr).is_none() {
            return self.in_values(expr, list, negated);
        }
        let op = if negated { ast::BinaryOperator::NotEq } else { ast::BinaryOperator::Eq };
        let mut tests = Vec::with_capacity(list.len());
        for item in list {
            tests.push(self.binary(expr, &op, item)?.expr);
        }
        Ok(one_of(tests, negated))
    }

    /// `value [NOT] IN (items)`. Items without columns become one type, in which the value has a say; the others are
    /// compared each by its own.
    fn in_values(&mut self, expr: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Typed> {
        let place = self.place(expr);
        let value = self.expr(expr)?;
        let (mut fixed, mut places, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for item in list {
            let bound = self.expr(item)?;
            let at = self.place(item);
            if bound.expr.any_column_refs() {
                alone.push((bound, at));
            } else {
                fixed.push(bound);
                places.push(at);
            }
        }
        let types: Vec<u32> = fixed.iter().map(|item| item.ty.oid).collect();
        let mut tests = match listed_type(&self.types, value.ty.oid, &types) {
            Some(ty) => {
                let ty = self.ty(ty);
                let items = self.coerce_all(fixed, ty, &places)?;
                self.in_alike(&value, items, ty, negated, place)?
            }
            None => {
                alone = fixed.into_iter().zip(places).chain(alone).collect();
                Vec::new()
            }
        };
        for (item, at) in alone {
            tests.push(self.in_one(&value, item, negated, place, at)?);
        }
        Ok(one_of(tests, negated))
    }

    /// The test of a value for one item of a list, each at its place.
    fn in_one(
        &mut self,
        value: &Typed,
        item: Typed,
        negated: bool,
        place: Option<usize>,
        at: Option<usize>,
    ) -> Result<Expr> {
        let word = unequal_or_equal(negated);
        let test = self.operation(None, word, value.clone(), item).map_err(|e| {
            // What cannot be read is the constant, not the operator.
            let unreadable = e.code().as_str().starts_with("22");
            e.or_at(if unreadable { at } else { place })
        })?;
        Ok(test.expr)
    }

    /// The tests of a value for items of one type. A value of another type stays what it is where the two have an
    /// operator of their own: a date need not be a timestamp to differ from one.
    fn in_alike(
        &mut self,
        value: &Typed,
        items: Vec<Typed>,
        ty: PgType,
        negated: bool,
        place: Option<usize>,
    ) -> Result<Vec<Expr>> {
        let word = unequal_or_equal(negated);
        let op = operator::binary(&self.types, None, word, value.ty.oid, ty.oid)
            .map_err(|e| e.or_at(place))?;
        if !is_of_one_type(op) {
            let array = self.types.array(ty.oid).map(|array| self.ty(array));
            let array = array.ok_or_else(|| PgError::internal("a list of no array type"))?;
            let array = special::array_ctor(items, array, ty.oid, false);
            let test = self.quantified_array(value.clone(), None, word, array, !negated);
            return Ok(vec![test.map_err(|e| e.or_at(place))?.expr]);
        }
        if is_plain(ty.oid) {
            let value = self.coerce(value.clone(), ty, Context::Implicit, place)?;
            let items = items.into_iter().map(|i| i.expr).collect();
            return Ok(among(value.expr, items, negated));
        }
        items.into_iter().map(|item| self.in_one(value, item, negated, place, None)).collect()
    }
}

/// What IN compares with, or NOT IN.
fn unequal_or_equal(negated: bool) -> &'static str {
    if negated { "<>" } else { "=" }
}

/// Whether one of the tests of IN holds, or all of those of NOT IN.
fn one_of(tests: Vec<Expr>, negated: bool) -> Typed {
    let joined = if negated { Native::And } else { Native::Or };
    Typed::new(balanced(tests, joined), PgType::new(oid::BOOL))
}

/// The tests of `value [NOT] IN (items)`, of one type whose equality is Arrow's. Constants are looked up as a
/// list, before any other item is compared on its own: DataFusion takes a list for constant if it gives
/// constants over no rows, as a CASE of columns may.
fn among(value: Expr, items: Vec<Expr>, negated: bool) -> Vec<Expr> {
    let equal = if negated { Native::NotEq } else { Native::Eq };
    let mut tests = Vec::new();
    let mut others = items;
    if others.iter().filter(|item| is_listed(item)).count() > 1 {
        let (listed, rest) = others.into_iter().partition(is_listed);
        tests.push(Expr::InList(InList::new(Box::new(value.clone()), listed, negated)));
        others = rest;
    }
    tests.extend(others.into_iter().map(|item| binary_expr(value.clone(), equal, item)));
    tests
}

/// Whether an item is a constant, or will be one: a parameter, or a call of constants.
fn is_listed(item: &Expr) -> bool {
    match item {
        Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::Cast(cast) => is_listed(&cast.expr),
        Expr::Negative(inner) => is_listed(inner),
        Expr::ScalarFunction(call) => {
            crate::push::access::is_row_free(item) && call.args.iter().all(is_listed)
        }
        _ => false,
    }
}
