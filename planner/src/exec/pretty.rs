//! Stored expressions as listings show them: only the parentheses that matter.

use sqlparser::ast::{
    self, AccessExpr, BinaryOperator as Op, CastKind, Expr, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, Subscript, UnaryOperator,
};

use super::canon::lower_types;
use super::written::{direction, key_text};

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
        Expr::UnaryOp { op, expr } => format!("{op} {}", bare(expr, Inside::Operator(3, true))),
        Expr::IsDistinctFrom(l, r) => {
            format!("{} IS DISTINCT FROM {}", bare(l, Inside::Test), bare(r, Inside::Test))
        }
        Expr::CompoundFieldAccess { root, access_chain } => access(root, access_chain),
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
        Expr::Function(f) => function(f).unwrap_or_else(|| lower_types(&e.to_string())),
        Expr::Array(array) => {
            let items: Vec<String> = array.elem.iter().map(|e| bare(e, Inside::Free)).collect();
            format!("ARRAY[{}]", items.join(", "))
        }
        Expr::AtTimeZone { timestamp, time_zone } => {
            let (at, zone) = (bare(timestamp, Inside::Test), bare(time_zone, Inside::Test));
            format!("{at} AT TIME ZONE {zone}")
        }
        Expr::Extract { field, expr, .. } => {
            let field = field.to_string().to_lowercase();
            format!("EXTRACT({field} FROM {})", bare(expr, Inside::Free))
        }
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
        other => lower_types(&other.to_string()),
    };
    if needs(e, inside) { format!("({text})") } else { text }
}

fn access(root: &Expr, chain: &[AccessExpr]) -> String {
    let mut out = match root {
        Expr::Nested(inner) => format!("({})", bare(inner, Inside::Free)),
        root => bare(root, Inside::Free),
    };
    let one = |e: &Option<Expr>| e.as_ref().map_or_else(String::new, |e| bare(e, Inside::Free));
    for step in chain {
        match step {
            AccessExpr::Subscript(Subscript::Index { index }) => {
                out.push_str(&format!("[{}]", bare(index, Inside::Free)));
            }
            AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) => {
                out.push_str(&format!("[{}:{}]", one(lower_bound), one(upper_bound)));
            }
            AccessExpr::Dot(field) => out.push_str(&format!(".{field}")),
        }
    }
    out
}

fn function(f: &ast::Function) -> Option<String> {
    let FunctionArguments::List(list) = &f.args else { return None };
    let mut args = Vec::new();
    for a in &list.args {
        match a {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => args.push(bare(e, Inside::Free)),
            FunctionArg::Unnamed(
                every @ (FunctionArgExpr::Wildcard | FunctionArgExpr::QualifiedWildcard(_)),
            ) => args.push(every.to_string()),
            _ => return None,
        }
    }
    let filter = f.filter.as_ref();
    let filter = filter.map(|e| format!(" FILTER (WHERE {})", bare(e, Inside::Free)));
    let key = |k: &ast::OrderByExpr| {
        key_text(&k.expr, bare(&k.expr, Inside::Free), true) + direction(&k.options)
    };
    let order = match list.clauses.as_slice() {
        [] => String::new(),
        [FunctionArgumentClause::OrderBy(keys)] => {
            format!(" ORDER BY {}", keys.iter().map(key).collect::<Vec<_>>().join(", "))
        }
        _ => return None,
    };
    let plain = f.over.is_none() && list.duplicate_treatment.is_none();
    let (args, filter) = (args.join(", "), filter.unwrap_or_default());
    plain.then(|| format!("{}({args}{order}){filter}", f.name))
}
