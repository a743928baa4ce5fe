//! Stored expressions as PostgreSQL writes them (`ruleutils.c`): every operator in parentheses, the
//! types of literals and implicit casts spelled out; and the pretty form of listings, with only the
//! parentheses that matter.

use sqlparser::ast::{
    self, BinaryOperator as Op, CastKind, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
    UnaryOperator, Value,
};
use vicinity_types::{Oid, oid};

use super::dml::{Layout, binder};
use super::name;
use crate::call::{PgType, Typed, callable_of};
use crate::context::ExecContext;
use crate::names;

/// Writes expressions over one scope.
pub(crate) struct Writer<'a> {
    pub(crate) ctx: &'a ExecContext,
    pub(crate) layout: &'a Layout,
}

fn literal(e: &Expr) -> Option<&Value> {
    match e {
        Expr::Value(v) => Some(&v.value),
        Expr::Nested(inner) => literal(inner),
        _ => None,
    }
}

fn is_string(e: &Expr) -> bool {
    matches!(literal(e), Some(Value::SingleQuotedString(_)))
}

/// Types that stand for any other: what is given to them stays what it is.
fn is_polymorphic(ty: Oid) -> bool {
    vicinity_functions::type_by_oid(ty).is_some_and(|t| t.kind == b'p')
}

impl Writer<'_> {
    fn bind(&self, e: &Expr) -> Option<Typed> {
        binder(self.ctx).expr_over(e, self.layout.scope()).ok()
    }

    fn type_name(&self, ty: PgType) -> String {
        names::type_name(&self.ctx.catalog, ty.oid, ty.typmod)
    }

    /// An expression; `None` where it has a part that this does not know how to write.
    pub(crate) fn expr(&self, e: &Expr) -> Option<String> {
        Some(match e {
            Expr::Nested(inner) => self.expr(inner)?,
            Expr::Identifier(i) => names::quote(&name::ident(i)),
            Expr::CompoundIdentifier(parts) => names::quote(&name::ident(parts.last()?)),
            Expr::Value(v) => match &v.value {
                Value::SingleQuotedString(_) => format!("{e}::text"),
                Value::Boolean(b) => b.to_string(),
                Value::Number(..) => e.to_string(),
                _ => return None,
            },
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => format!("(NOT {})", self.expr(expr)?),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match literal(expr) {
                Some(Value::Number(n, _)) => {
                    let ty = self.bind(expr)?.ty;
                    format!("'-{n}'::{}", self.type_name(ty))
                }
                _ => format!("(- {})", self.expr(expr)?),
            },
            Expr::BinaryOp { op: op @ (Op::And | Op::Or), .. } => {
                let mut parts = Vec::new();
                self.flatten(e, op, &mut parts)?;
                format!("({})", parts.join(&format!(" {op} ")))
            }
            Expr::BinaryOp { left, op, right } => {
                let (left, right) = self.operands(e, left, right)?;
                let op = if matches!(op, Op::NotEq) { "<>".to_owned() } else { op.to_string() };
                format!("({left} {op} {right})")
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                let (left, right) = self.operands(e, expr, pattern)?;
                format!("({left} {} {right})", if *negated { "!~~" } else { "~~" })
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                let (left, right) = self.operands(e, expr, pattern)?;
                format!("({left} {} {right})", if *negated { "!~~*" } else { "~~*" })
            }
            Expr::IsNull(inner) => format!("({} IS NULL)", self.expr(inner)?),
            Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", self.expr(inner)?),
            Expr::IsTrue(inner) => format!("({} IS TRUE)", self.expr(inner)?),
            Expr::IsFalse(inner) => format!("({} IS FALSE)", self.expr(inner)?),
            Expr::IsNotTrue(inner) => format!("({} IS NOT TRUE)", self.expr(inner)?),
            Expr::IsNotFalse(inner) => format!("({} IS NOT FALSE)", self.expr(inner)?),
            Expr::Between { expr, negated, low, high } => {
                self.between(expr, *negated, low, high)?
            }
            Expr::InList { expr, list, negated } => self.list(expr, list, *negated)?,
            Expr::Cast { kind: CastKind::DoubleColon | CastKind::Cast, expr, .. } => {
                let ty = self.type_name(self.bind(e)?.ty);
                match is_string(expr) {
                    true => format!("{}::{ty}", literal(expr)?),
                    false => format!("({})::{ty}", self.expr(expr)?),
                }
            }
            Expr::Function(f) => self.function(e, f)?,
            Expr::Case { operand: None, conditions, else_result, .. } => {
                self.case(e, conditions, else_result.as_deref())?
            }
            _ => return None,
        })
    }

    fn flatten(&self, e: &Expr, op: &Op, parts: &mut Vec<String>) -> Option<()> {
        match e {
            Expr::BinaryOp { left, op: own, right } if own == op => {
                self.flatten(left, op, parts)?;
                self.flatten(right, op, parts)
            }
            Expr::Nested(inner) if matches!(&**inner, Expr::BinaryOp { op: own, .. } if own == op) => {
                self.flatten(inner, op, parts)
            }
            other => {
                parts.push(self.expr(other)?);
                Some(())
            }
        }
    }

    /// A value where a type is expected: literals carry it, other types are cast.
    fn given(&self, e: &Expr, expected: PgType) -> Option<String> {
        if is_string(e) {
            let ty = if is_polymorphic(expected.oid) { PgType::new(oid::TEXT) } else { expected };
            return Some(format!("{}::{}", literal(e)?, self.type_name(ty.typmod(-1))));
        }
        let text = self.expr(e)?;
        let own = self.bind(e)?.ty.oid;
        let same = own == expected.oid || is_polymorphic(expected.oid) || own == oid::UNKNOWN;
        let domain = self.ctx.catalog.type_def(own).is_some();
        if same || domain {
            return Some(text);
        }
        Some(format!("({text})::{}", self.type_name(expected.typmod(-1))))
    }

    /// Both sides of an operator, as the types it was resolved to.
    fn operands(&self, whole: &Expr, left: &Expr, right: &Expr) -> Option<(String, String)> {
        let bound = self.bind(whole)?;
        let resolved = callable_of(&bound.expr)
            .filter(|(c, args)| args.len() == 2 && c.operator().is_some() && c.args().len() == 2);
        let (l, r) = match resolved {
            Some((c, _)) => (*c.args().first()?, *c.args().get(1)?),
            None => {
                let side = |e: &Expr| self.bind(e).map(|t| t.ty).filter(|_| !is_string(e));
                let ty = side(left).or_else(|| side(right)).unwrap_or(PgType::new(oid::TEXT));
                // Of varchar there is no comparison.
                let ty = if ty.oid == oid::VARCHAR { PgType::new(oid::TEXT) } else { ty };
                let one = |e: &Expr| match side(e) {
                    Some(own) if own.kind == ty.kind && own.oid != oid::VARCHAR => own,
                    _ => ty,
                };
                (one(left), one(right))
            }
        };
        Some((self.given(left, l)?, self.given(right, r)?))
    }

    fn between(&self, e: &Expr, negated: bool, low: &Expr, high: &Expr) -> Option<String> {
        let part = |op: Op, bound: &Expr| {
            self.expr(&Expr::BinaryOp {
                left: Box::new(e.clone()),
                op,
                right: Box::new(bound.clone()),
            })
        };
        Some(match negated {
            false => format!("({} AND {})", part(Op::GtEq, low)?, part(Op::LtEq, high)?),
            true => format!("({} OR {})", part(Op::Lt, low)?, part(Op::Gt, high)?),
        })
    }

    fn list(&self, e: &Expr, list: &[Expr], negated: bool) -> Option<String> {
        let ty = self.bind(e)?.ty;
        if ty.oid == oid::VARCHAR {
            return None;
        }
        let items: Option<Vec<String>> = list.iter().map(|i| self.given(i, ty)).collect();
        let (op, any) = if negated { ("<>", "ALL") } else { ("=", "ANY") };
        Some(format!("({} {op} {any} (ARRAY[{}]))", self.expr(e)?, items?.join(", ")))
    }

    fn function(&self, whole: &Expr, f: &ast::Function) -> Option<String> {
        let FunctionArguments::List(list) = &f.args else { return None };
        let plain = f.over.is_none()
            && f.filter.is_none()
            && f.within_group.is_empty()
            && list.clauses.is_empty()
            && list.duplicate_treatment.is_none();
        if !plain {
            return None;
        }
        let mut args = Vec::new();
        for a in &list.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = a else { return None };
            args.push(e);
        }
        let own = name::last(&f.name);
        let bound = self.bind(whole)?;
        let common = matches!(own.as_str(), "coalesce" | "greatest" | "least" | "nullif");
        let types: Vec<PgType> = match callable_of(&bound.expr) {
            _ if common => vec![bound.ty; args.len()],
            Some((c, given)) if given.len() == args.len() => c.args().to_vec(),
            _ => return None,
        };
        let texts: Option<Vec<String>> =
            args.iter().zip(types).map(|(e, ty)| self.given(e, ty)).collect();
        let shown = match common {
            true => own.to_uppercase(),
            false => {
                let parts: Vec<String> =
                    name::parts(&f.name).iter().map(|p| names::quote(p)).collect();
                parts.join(".")
            }
        };
        Some(format!("{shown}({})", texts?.join(", ")))
    }

    fn case(
        &self,
        whole: &Expr,
        conditions: &[ast::CaseWhen],
        other: Option<&Expr>,
    ) -> Option<String> {
        let ty = self.bind(whole)?.ty;
        let mut out = "CASE".to_owned();
        for c in conditions {
            let (when, then) = (self.expr(&c.condition)?, self.given(&c.result, ty)?);
            out.push_str(&format!("\n    WHEN {when} THEN {then}"));
        }
        let other = match other {
            Some(e) => self.given(e, ty)?,
            None => format!("NULL::{}", self.type_name(ty)),
        };
        out.push_str(&format!("\n    ELSE {other}\nEND"));
        Some(out)
    }
}

/// What an expression stands in, for the parentheses it needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// An argument, or nothing.
    Free,
    And,
    Or,
    Not,
    /// An operator of a precedence: 1 adds, 2 multiplies, 0 is any other; whether on the right.
    Operator(u8, bool),
    Cast,
    /// IS NULL and its kin.
    Test,
}

fn precedence(op: &Op) -> u8 {
    match op {
        Op::Plus | Op::Minus => 1,
        Op::Multiply | Op::Divide | Op::Modulo => 2,
        _ => 0,
    }
}

/// Whether an expression needs parentheses there (`isSimpleNode`).
fn needs(e: &Expr, inside: Inside) -> bool {
    match e {
        Expr::BinaryOp { op: Op::And, .. } => {
            !matches!(inside, Inside::Free | Inside::And | Inside::Or)
        }
        Expr::BinaryOp { op: Op::Or, .. } => !matches!(inside, Inside::Free | Inside::Or),
        Expr::UnaryOp { op: UnaryOperator::Not, .. } => {
            !matches!(inside, Inside::Free | Inside::And | Inside::Or)
        }
        Expr::BinaryOp { op, .. } => match inside {
            Inside::Free | Inside::And | Inside::Or | Inside::Not => false,
            Inside::Operator(outer, right) => {
                let own = precedence(op);
                outer == 0 || own == 0 || own < outer || (own == outer && right)
            }
            Inside::Cast | Inside::Test => true,
        },
        Expr::AnyOp { .. } | Expr::AllOp { .. } => inside != Inside::Free,
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_) => {
            !matches!(inside, Inside::Free | Inside::And | Inside::Or | Inside::Not)
        }
        Expr::Case { .. } => matches!(inside, Inside::Cast | Inside::Test | Inside::Operator(..)),
        Expr::UnaryOp { .. } => {
            matches!(inside, Inside::Cast | Inside::Test | Inside::Operator(..))
        }
        _ => false,
    }
}

/// A stored text without the parentheses that only say what the precedence says.
pub(crate) fn pretty(text: &str) -> String {
    match crate::sql::parse_expression(text) {
        Ok(e) => bare(&e, Inside::Free),
        Err(_) => text.to_owned(),
    }
}

fn bare(e: &Expr, inside: Inside) -> String {
    if let Expr::Nested(inner) = e {
        return bare(inner, inside);
    }
    let text = match e {
        Expr::BinaryOp { left, op, right } => {
            let (l, r) = match op {
                Op::And => (Inside::And, Inside::And),
                Op::Or => (Inside::Or, Inside::Or),
                op => {
                    let p = precedence(op);
                    (Inside::Operator(p, false), Inside::Operator(p, true))
                }
            };
            format!("{} {op} {}", bare(left, l), bare(right, r))
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            format!("NOT {}", bare(expr, Inside::Not))
        }
        Expr::AnyOp { left, compare_op, right, .. } => {
            format!("{} {compare_op} ANY ({})", bare(left, Inside::Test), bare(right, Inside::Free))
        }
        Expr::AllOp { left, compare_op, right } => {
            format!("{} {compare_op} ALL ({})", bare(left, Inside::Test), bare(right, Inside::Free))
        }
        Expr::IsNull(x) => format!("{} IS NULL", bare(x, Inside::Test)),
        Expr::IsNotNull(x) => format!("{} IS NOT NULL", bare(x, Inside::Test)),
        Expr::IsTrue(x) => format!("{} IS TRUE", bare(x, Inside::Test)),
        Expr::IsFalse(x) => format!("{} IS FALSE", bare(x, Inside::Test)),
        Expr::IsNotTrue(x) => format!("{} IS NOT TRUE", bare(x, Inside::Test)),
        Expr::IsNotFalse(x) => format!("{} IS NOT FALSE", bare(x, Inside::Test)),
        Expr::Cast { kind: CastKind::DoubleColon, expr, data_type, .. } => {
            let ty = data_type.to_string();
            let ty = if ty.contains('"') { ty } else { ty.to_lowercase() };
            format!("{}::{ty}", bare(expr, Inside::Cast))
        }
        Expr::Function(f) => function(f).unwrap_or_else(|| e.to_string()),
        Expr::Case { operand: None, conditions, else_result, .. } => {
            let mut out = "\nCASE".to_owned();
            for c in conditions {
                let (when, then) =
                    (bare(&c.condition, Inside::Free), bare(&c.result, Inside::Free));
                out.push_str(&format!("\n    WHEN {when} THEN {then}"));
            }
            if let Some(other) = else_result {
                out.push_str(&format!("\n    ELSE {}", bare(other, Inside::Free)));
            }
            out + "\nEND"
        }
        other => other.to_string(),
    };
    if needs(e, inside) { format!("({text})") } else { text }
}

fn function(f: &ast::Function) -> Option<String> {
    let FunctionArguments::List(list) = &f.args else { return None };
    let mut args = Vec::new();
    for a in &list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = a else { return None };
        args.push(bare(e, Inside::Free));
    }
    let plain = f.over.is_none() && f.filter.is_none() && list.clauses.is_empty();
    (plain && list.duplicate_treatment.is_none())
        .then(|| format!("{}({})", f.name, args.join(", ")))
}
