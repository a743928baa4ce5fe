//! What SET computes, as columns of the query that finds the rows: all its expressions, and the old
//! values of columns of which it gives parts.

use std::borrow::Cow;

use datafusion::logical_expr::Expr as Plan;
use sqlparser::ast::{AccessExpr, Expr, Ident, SelectItem, Subscript};
use vicinity_types::oid;

use super::super::assign::Target;
use super::super::layout::columns;
use super::prepare::Preparer;
use crate::bind::{Binder, BoundQuery, Item, Scope, ScopeColumn};
use crate::call::PgType;

/// The columns so far.
pub(super) struct Lifted<'a> {
    of: &'a Preparer<'a>,
    /// The target's names.
    scope: &'a Scope,
    pub(super) items: Vec<SelectItem>,
    pub(super) wanted: Vec<PgType>,
    /// For each of them the number of the column whose old value it is; 0 for others.
    pub(super) attributes: Vec<i16>,
}

/// What the n-th of them is called.
fn column(at: usize) -> Ident {
    Ident::with_quote('"', format!("{at}"))
}

impl<'a> Lifted<'a> {
    pub(super) fn new(of: &'a Preparer<'a>, scope: &'a Scope) -> Lifted<'a> {
        let (items, wanted, attributes) = (Vec::new(), Vec::new(), Vec::new());
        Lifted { of, scope, items, wanted, attributes }
    }

    /// Adds an expression. Gives its name.
    fn push(&mut self, expr: Expr, wanted: PgType, attribute: i16) -> Expr {
        let name = column(self.items.len());
        self.items.push(SelectItem::UnnamedExpr(expr));
        self.wanted.push(wanted);
        self.attributes.push(attribute);
        Expr::Identifier(name)
    }

    /// The same assignments, of these columns.
    pub(super) fn lift<'s>(
        &mut self,
        binder: &mut Binder<'_>,
        list: Vec<Target<'s>>,
    ) -> Vec<Target<'s>> {
        let mut out = Vec::with_capacity(list.len());
        for Target { mut place, value } in list {
            let (Some(value), Some(ty)) = (&value, self.of.types.get(place.at).copied()) else {
                out.push(Target { place, value });
                continue;
            };
            let wanted = binder.part_type(ty, &place.path, self.scope);
            let value = self.push(value.clone().into_owned(), wanted, 0);
            if !place.path.is_empty() {
                self.old(place.at, ty);
            }
            let json = ty.oid == oid::JSONB;
            for step in &mut place.path {
                if let AccessExpr::Subscript(subscript) = step {
                    self.subscript(subscript, json);
                }
            }
            out.push(Target { place, value: Some(Cow::Owned(value)) });
        }
        out
    }

    fn subscript(&mut self, subscript: &mut Subscript, json: bool) {
        let wanted = PgType::new(if json { oid::TEXT } else { oid::INT4 });
        let mut lift = |expr: &mut Expr| *expr = self.push(expr.clone(), wanted, 0);
        match subscript {
            Subscript::Index { index } => lift(index),
            Subscript::Slice { lower_bound, upper_bound, stride: _ } => {
                lower_bound.iter_mut().chain(upper_bound).for_each(lift);
            }
        }
    }

    /// The old value of a column, once.
    fn old(&mut self, at: usize, ty: PgType) {
        let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
        let own = columns(self.of.relation).get(at);
        if let Some(own) = own.filter(|_| !self.attributes.contains(&number)) {
            let column = Ident::with_quote('"', own.name.clone());
            let parts = vec![self.of.qualifier.clone(), column];
            self.push(Expr::CompoundIdentifier(parts), ty, number);
        }
    }
}

/// The names of these columns over the rows of the query, in which they begin at `first`.
pub(super) fn computed(bound: &BoundQuery, first: usize, attributes: &[i16]) -> Scope {
    let mut columns = Vec::with_capacity(attributes.len());
    for (i, (of, attr)) in bound.columns.iter().skip(first).zip(attributes).enumerate() {
        let (qualifier, field) = bound.plan.schema().qualified_field(first + i);
        columns.push(ScopeColumn {
            name: column(i).value,
            expr: Plan::Column((qualifier, field).into()),
            ty: of.ty,
            table: 0,
            attr: *attr,
            hidden: false,
        });
    }
    Scope::of(Item {
        alias: String::new(),
        schema: None,
        columns,
        row_type: None,
        relation: 0,
        scalar: false,
        nullable: false,
    })
}
