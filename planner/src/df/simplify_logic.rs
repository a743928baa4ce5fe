//! AND, OR and NOT, true, false or unknown.

use std::collections::HashSet;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};

use super::simplify::{is_null, is_volatile};

/// Splits an expression at an operator.
fn operands(expr: Expr, op: Operator, out: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryExpr(b) if b.op == op => {
            operands(*b.left, op, out);
            operands(*b.right, op, out);
        }
        other => out.push(other),
    }
}

fn split(expr: &Expr, op: Operator) -> Vec<Expr> {
    let mut out = Vec::new();
    operands(expr.clone(), op, &mut out);
    out
}

fn joined(parts: Vec<Expr>, op: Operator) -> Expr {
    crate::bind::balanced(parts, op)
}

/// The other of AND and OR.
fn dual(op: Operator) -> Operator {
    if op == Operator::And { Operator::Or } else { Operator::And }
}

/// Whether a constant is true or false.
pub(super) fn truth(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Literal(ScalarValue::Boolean(value), _) => *value,
        _ => None,
    }
}

/// `a AND b` or `a OR b`, both sides done: without what decides nothing, and what is said twice.
pub(super) fn junction(expr: Expr) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { op, .. }) = &expr else { return Transformed::no(expr) };
    let op = *op;
    // AND is decided by false, OR by true.
    let decides = op == Operator::Or;
    let parts = split(&expr, op);
    if parts.iter().any(|p| truth(p) == Some(decides)) {
        return Transformed::yes(lit(decides));
    }
    let before = parts.len();
    let mut seen = HashSet::with_capacity(before);
    let mut kept: Vec<Expr> = Vec::with_capacity(before);
    for part in parts {
        if truth(&part).is_none() && (is_volatile(&part) || seen.insert(part.clone())) {
            kept.push(part);
        }
    }
    absorb(&mut kept, dual(op), &seen);
    let fewer = kept.len() != before;
    match factored(&kept, op) {
        Some(factored) => Transformed::yes(factored),
        None if fewer && kept.is_empty() => Transformed::yes(lit(!decides)),
        None if fewer => Transformed::yes(joined(kept, op)),
        None => Transformed::no(expr),
    }
}

/// A filter's condition, which is done: no row passes by what is unknown.
pub(super) fn condition(expr: Expr) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) = &expr else {
        return match is_null(&expr) {
            true => Transformed::yes(lit(false)),
            false => Transformed::no(expr),
        };
    };
    let parts: Vec<Transformed<Expr>> = split(&expr, *op).into_iter().map(condition).collect();
    if parts.iter().all(|part| !part.transformed) {
        return Transformed::no(expr);
    }
    let parts = parts.into_iter().map(|part| part.data).collect();
    Transformed::yes(junction(joined(parts, *op)).data)
}

/// `a OR (a AND b)` is `a`, and the other way round.
fn absorb(kept: &mut Vec<Expr>, inner: Operator, said: &HashSet<Expr>) {
    let composed = |e: &Expr| matches!(e, Expr::BinaryExpr(b) if b.op == inner);
    if kept.len() > 1 {
        kept.retain(|e| !composed(e) || !split(e, inner).iter().any(|part| said.contains(part)));
    }
}

/// `(a AND b) OR (a AND c)` as `a AND (b OR c)`: what all alternatives ask for can be asked of a table.
fn factored(parts: &[Expr], op: Operator) -> Option<Expr> {
    if op != Operator::Or || parts.len() < 2 {
        return None;
    }
    let alternatives: Vec<Vec<Expr>> = parts.iter().map(|p| split(p, Operator::And)).collect();
    let (first, others) = alternatives.split_first()?;
    let in_all = |e: &Expr| others.iter().all(|other| other.contains(e));
    let mut common: Vec<Expr> =
        first.iter().filter(|e| in_all(e) && !is_volatile(e)).cloned().collect();
    if common.is_empty() {
        return None;
    }
    let rest = alternatives.into_iter().map(|alternative| {
        joined(alternative.into_iter().filter(|e| !common.contains(e)).collect(), Operator::And)
    });
    // An alternative that asks for nothing else is true.
    let rest = joined(rest.collect(), Operator::Or);
    common.push(junction(rest).data);
    Some(joined(common, Operator::And))
}

/// `NOT a`, which is done.
pub(super) fn negation(expr: Expr) -> Transformed<Expr> {
    let not = |e: Box<Expr>| Box::new(negation(*e).data);
    Transformed::yes(match expr {
        Expr::BinaryExpr(b) if matches!(b.op, Operator::And | Operator::Or) => {
            Expr::BinaryExpr(BinaryExpr::new(not(b.left), dual(b.op), not(b.right)))
        }
        Expr::BinaryExpr(b) => match b.op.negate() {
            Some(op) => Expr::BinaryExpr(BinaryExpr { op, ..b }),
            None => return Transformed::no(Expr::Not(Box::new(Expr::BinaryExpr(b)))),
        },
        Expr::Literal(ScalarValue::Boolean(value), m) => {
            Expr::Literal(ScalarValue::Boolean(value.map(|v| !v)), m)
        }
        Expr::Not(inner) => *inner,
        Expr::IsNull(e) => Expr::IsNotNull(e),
        Expr::IsNotNull(e) => Expr::IsNull(e),
        Expr::IsTrue(e) => Expr::IsNotTrue(e),
        Expr::IsNotTrue(e) => Expr::IsTrue(e),
        Expr::IsFalse(e) => Expr::IsNotFalse(e),
        Expr::IsNotFalse(e) => Expr::IsFalse(e),
        Expr::IsUnknown(e) => Expr::IsNotUnknown(e),
        Expr::IsNotUnknown(e) => Expr::IsUnknown(e),
        Expr::InList(list) => Expr::InList(InList { negated: !list.negated, ..list }),
        other => return Transformed::no(Expr::Not(Box::new(other))),
    })
}
