//! Indexes that compute: what their expressions are in a plan, and whether a filter implies their
//! predicate (PostgreSQL's `predtest.c`, its simple part).

use std::cmp::Ordering;
use std::sync::LazyLock;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{IndexDef, Relation};

use super::access::conjuncts;
use crate::exec::stored;
use crate::session_state::SessionState;

/// Stored expressions are read with nobody's search path.
static NOBODY: LazyLock<SessionState> =
    LazyLock::new(|| SessionState::new("postgres", "postgres", 0));

/// The expressions of an index, columns without qualifiers.
#[derive(Default)]
pub(crate) struct Computed {
    /// For each key: its expression, `None` for a column.
    pub(crate) keys: Vec<Option<Expr>>,
    /// The conjuncts of its predicate.
    pub(crate) predicate: Vec<Expr>,
}

impl Computed {
    /// What an index computes; `None` if that cannot be read any more.
    pub(crate) fn of(catalog: &Catalog, table: &Relation, def: &IndexDef) -> Option<Computed> {
        if !def.is_computed() {
            return Some(Computed::default());
        }
        let read = |text: &str| stored::read(catalog, &NOBODY, table, text).ok();
        let mut keys = Vec::with_capacity(def.keys.len());
        for key in &def.keys {
            keys.push(match &key.expr {
                Some(e) => Some(read(&e.sql)?),
                None => None,
            });
        }
        let mut predicate = Vec::new();
        if let Some(text) = &def.predicate {
            conjuncts(&read(text)?, &mut predicate);
        }
        Some(Computed { keys, predicate })
    }

    /// The expression of a key.
    pub(super) fn key(&self, at: usize) -> Option<&Expr> {
        self.keys.get(at)?.as_ref()
    }

    /// Whether rows that pass all of these conjuncts are in the index.
    pub(crate) fn implied_by(&self, given: &[Expr]) -> bool {
        self.predicate.iter().all(|p| given.iter().any(|g| implies(g, p)))
    }
}

/// Whether a condition's truth makes another true. False where that is not plain.
fn implies(given: &Expr, wanted: &Expr) -> bool {
    if given == wanted {
        return true;
    }
    if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) = given {
        return implies(left, wanted) && implies(right, wanted);
    }
    if let Expr::InList(list) = given
        && !list.negated
    {
        let equal = |value: &Expr| {
            Expr::BinaryExpr(BinaryExpr::new(
                list.expr.clone(),
                Operator::Eq,
                Box::new(value.clone()),
            ))
        };
        return !list.list.is_empty() && list.list.iter().all(|v| implies(&equal(v), wanted));
    }
    match wanted {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            implies(given, left) || implies(given, right)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            implies(given, left) && implies(given, right)
        }
        Expr::InList(list) if !list.negated => {
            let equal = |value: &Expr| {
                let value = Box::new(value.clone());
                Expr::BinaryExpr(BinaryExpr::new(list.expr.clone(), Operator::Eq, value))
            };
            list.list.iter().any(|v| implies(given, &equal(v)))
        }
        // A comparison is not true of NULL.
        Expr::IsNotNull(inner) => match comparison(given) {
            Some((column, ..)) => *column == **inner,
            None => matches!(given, Expr::IsNotNull(e) if e == inner) || *given == **inner,
        },
        Expr::IsTrue(inner) => implies(given, inner),
        wanted => match (comparison(given), comparison(wanted)) {
            (Some((a, op, x)), Some((b, want, y))) if a == b => compares(op, x, want, y),
            _ => false,
        },
    }
}

/// `value op constant`
fn comparison(expr: &Expr) -> Option<(&Expr, Operator, &ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    match (&**left, &**right) {
        (value, Expr::Literal(constant, _)) => Some((value, *op, constant)),
        (Expr::Literal(constant, _), value) => Some((value, op.swap()?, constant)),
        _ => None,
    }
}

/// Whether `v op x` makes `v want y` true.
fn compares(op: Operator, x: &ScalarValue, want: Operator, y: &ScalarValue) -> bool {
    if x.is_null() || y.is_null() {
        return false;
    }
    let Some(order) = x.partial_cmp(y) else { return false };
    use Operator as O;
    match (op, want) {
        (O::Eq, O::Eq) => order == Ordering::Equal,
        (O::Eq, O::NotEq) => order != Ordering::Equal,
        (O::Eq | O::Gt, O::Gt) if op == O::Gt => order != Ordering::Less,
        (O::Eq | O::GtEq, O::Gt) => order == Ordering::Greater,
        (O::Eq | O::Gt | O::GtEq, O::GtEq) => order != Ordering::Less,
        (O::Lt, O::Lt) => order != Ordering::Greater,
        (O::Eq | O::LtEq, O::Lt) => order == Ordering::Less,
        (O::Eq | O::Lt | O::LtEq, O::LtEq) => order != Ordering::Greater,
        (O::Gt, O::NotEq) => order != Ordering::Less,
        (O::GtEq, O::NotEq) => order == Ordering::Greater,
        (O::Lt, O::NotEq) => order != Ordering::Greater,
        (O::LtEq, O::NotEq) => order == Ordering::Less,
        (O::NotEq, O::NotEq) => order == Ordering::Equal,
        _ => false,
    }
}
