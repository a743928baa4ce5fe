//! Which parts of an expression need parentheses where the precedence does not say it (`isSimpleNode`).

use sqlparser::ast::{BinaryOperator as Op, Expr, UnaryOperator};

use vicinity_types::Oid;

use super::{Writer, literal, within};
use crate::bind::written_row;
use crate::resolve::cast::pathway;
use crate::resolve::{CastPath, Context, Types};

/// What an expression stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    /// Something that has parentheses or commas of its own, or nothing.
    Free,
    And,
    Or,
    Not,
    /// An operator, by its precedence if that is a known one; whether on the left.
    Operator(Option<u8>, bool),
    /// A cast, a test, anything else.
    Other,
}

/// What an expression is, for the parentheses that it needs.
enum Sort {
    /// It holds together.
    Simple,
    Bool(Inside),
    Operator(Option<u8>),
    /// A test or a query.
    Test,
    Never,
}

/// The precedences that are trusted: sums and products.
pub(super) fn precedence(op: &Op) -> Option<u8> {
    match op {
        Op::Plus | Op::Minus => Some(1),
        Op::Multiply | Op::Divide | Op::Modulo => Some(2),
        _ => None,
    }
}

impl Writer<'_> {
    /// Whether an expression needs no parentheses there.
    pub(super) fn is_simple(&self, e: &Expr, inside: Inside) -> bool {
        if inside == Inside::Free {
            return true;
        }
        match self.sort(e) {
            Sort::Simple => true,
            Sort::Never => false,
            Sort::Test => matches!(inside, Inside::And | Inside::Or | Inside::Not),
            Sort::Bool(Inside::Or) => inside == Inside::Or,
            Sort::Bool(_) => matches!(inside, Inside::And | Inside::Or),
            Sort::Operator(own) => match (own, inside) {
                (_, Inside::And | Inside::Or | Inside::Not) => true,
                (Some(own), Inside::Operator(Some(outer), left)) => {
                    own > outer || own == outer && left
                }
                _ => false,
            },
        }
    }

    fn sort(&self, e: &Expr) -> Sort {
        let negated = |negated: bool| if negated { Sort::Bool(Inside::Not) } else { Sort::Test };
        match e {
            Expr::Nested(inner) => self.sort(inner),
            Expr::BinaryOp { op: Op::And, .. } => Sort::Bool(Inside::And),
            Expr::BinaryOp { op: Op::Or, .. } => Sort::Bool(Inside::Or),
            Expr::BinaryOp { left, op, .. } => match (written_row(left).is_some(), op) {
                (true, Op::Eq) => Sort::Bool(Inside::And),
                (true, Op::NotEq) => Sort::Bool(Inside::Or),
                (true, _) => Sort::Never,
                _ => Sort::Operator(precedence(op)),
            },
            Expr::UnaryOp { op: UnaryOperator::Not, .. } => Sort::Bool(Inside::Not),
            Expr::UnaryOp { expr, .. } if literal(expr).is_some() => Sort::Simple,
            Expr::UnaryOp { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::SimilarTo { .. } => Sort::Operator(None),
            Expr::Between { negated, .. } => {
                Sort::Bool(if *negated { Inside::Or } else { Inside::And })
            }
            Expr::InList { list, .. } if list.len() == 1 => Sort::Operator(None),
            Expr::InList { .. } | Expr::Collate { .. } => Sort::Never,
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => match within(right) {
                Expr::Subquery(_) => Sort::Test,
                _ => Sort::Never,
            },
            Expr::Subquery(_) | Expr::IsDistinctFrom(..) => Sort::Test,
            Expr::IsNotDistinctFrom(..) => Sort::Bool(Inside::Not),
            Expr::Exists { negated: not, .. } | Expr::InSubquery { negated: not, .. } => {
                negated(*not)
            }
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_) => Sort::Test,
            Expr::Cast { expr, .. } => self.sort_of_cast(e, expr),
            _ => Sort::Simple,
        }
    }

    /// A cast by a function is a call; any other is as simple as what it casts.
    fn sort_of_cast(&self, whole: &Expr, inner: &Expr) -> Sort {
        if literal(inner).is_some() {
            return Sort::Simple;
        }
        let types = self.bind(inner).zip(self.bind(whole)).map(|(from, to)| (from.ty, to.ty));
        match types {
            Some((from, to)) if from.oid == to.oid && from.typmod == to.typmod => self.sort(inner),
            Some((from, to)) if self.cast_is_call(from.oid, to.oid) => Sort::Simple,
            _ if self.is_simple(inner, Inside::Other) => Sort::Simple,
            _ => Sort::Never,
        }
    }

    /// Whether a cast from one type to another is a call of a function.
    pub(super) fn cast_is_call(&self, from: Oid, to: Oid) -> bool {
        let types = Types::of(self.ctx);
        // Of a type to itself it sets the length.
        from == to
            || matches!(pathway(&types, from, to, Context::Explicit), Some(CastPath::Function(_)))
    }
}
