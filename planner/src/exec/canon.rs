//! Canonical SQL: how expressions and queries are kept in the catalog.
//!
//! Stored text is read again by the same parser; it is written the way PostgreSQL prints it as far
//! as the syntax tree alone can tell.

use std::ops::ControlFlow;

use sqlparser::ast::{
    CastKind, DataType, Expr, Function, Ident, ObjectName, ObjectNamePart, Query, Value, VisitMut,
    VisitorMut, visit_expressions,
};

use super::name;

/// Lowers what is written in any case: function and type names, unquoted identifiers.
struct Fold;

fn fold(ident: &mut Ident) {
    if ident.quote_style.is_none() {
        ident.value = ident.value.to_lowercase();
    }
}

fn fold_name(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(i) = part {
            fold(i);
        }
    }
}

impl VisitorMut for Fold {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        fold_name(relation);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(i) => fold(i),
            Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(fold),
            Expr::Function(Function { name, .. }) => fold_name(name),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Type names behind `::` in lower case, where they are plain words.
pub(crate) fn lower_types(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        if quote.is_none() && rest.starts_with("::") {
            out.push_str("::");
            rest = rest.get(2..).unwrap_or("");
            let end =
                rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            out.push_str(&rest.get(..end).unwrap_or("").to_lowercase());
            rest = rest.get(end..).unwrap_or("");
            continue;
        }
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or("");
    }
    out
}

fn folded(expr: &Expr) -> Expr {
    let mut expr = expr.clone();
    let _ = expr.visit(&mut Fold);
    expr
}

/// An expression.
pub(crate) fn expr(expr: &Expr) -> String {
    let mut expr = folded(expr);
    while let Expr::Nested(inner) = expr {
        expr = *inner;
    }
    let parens = matches!(
        expr,
        Expr::BinaryOp { .. }
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::Between { .. }
            | Expr::UnaryOp { .. }
            | Expr::Like { .. }
            | Expr::InList { .. }
    );
    let text = lower_types(&expr.to_string());
    if parens { format!("({text})") } else { text }
}

/// A column default: a bare string literal gets the column's type, as PostgreSQL prints it.
pub(crate) fn default(given: &Expr, column_type: &str) -> String {
    match given {
        Expr::Value(v) => match &v.value {
            Value::SingleQuotedString(_) => format!("{given}::{column_type}"),
            Value::Boolean(b) => b.to_string(),
            _ => expr(given),
        },
        Expr::Cast { kind: CastKind::DoubleColon, expr: inner, data_type, .. }
            if matches!(**inner, Expr::Value(_)) && !matches!(data_type, DataType::Custom(..)) =>
        {
            expr(given)
        }
        Expr::UnaryOp { .. } => {
            let text = expr(given);
            text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(&text).to_owned()
        }
        _ => expr(given),
    }
}

/// Names of the columns an expression reads, in order of appearance.
pub(crate) fn columns_of(expr: &Expr) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let _ = visit_expressions(expr, |e| {
        let found = match e {
            Expr::Identifier(i) => Some(name::ident(i)),
            Expr::CompoundIdentifier(parts) => parts.last().map(name::ident),
            Expr::QualifiedWildcard(row, _) => Some(name::last(row)),
            _ => None,
        };
        if let Some(found) = found
            && !out.contains(&found)
        {
            out.push(found);
        }
        ControlFlow::<()>::Continue(())
    });
    out
}

/// Names of relations and functions in lower case; `qualify` may give relations their schema.
struct Qualify<'a> {
    qualify: &'a dyn Fn(&ObjectName) -> Option<ObjectName>,
}

impl VisitorMut for Qualify<'_> {
    type Break = ();

    fn post_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        if let Some(full) = (self.qualify)(relation) {
            *relation = full;
        }
        ControlFlow::Continue(())
    }
}

/// A query, its relations qualified.
pub(crate) fn query(given: &Query, qualify: &dyn Fn(&ObjectName) -> Option<ObjectName>) -> String {
    let mut query = given.clone();
    let _ = query.visit(&mut Fold);
    let _ = query.visit(&mut Qualify { qualify });
    lower_types(&query.to_string())
}

/// An expression with a column renamed.
pub(crate) fn renamed(given: &Expr, from: &str, to: &str) -> String {
    struct Rename<'a>(&'a str, Ident);
    impl VisitorMut for Rename<'_> {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let ident = match expr {
                Expr::Identifier(i) => Some(i),
                Expr::CompoundIdentifier(parts) => parts.last_mut(),
                _ => None,
            };
            if let Some(i) = ident.filter(|i| name::ident(i) == self.0) {
                *i = self.1.clone();
            }
            ControlFlow::Continue(())
        }
    }
    let quoted = crate::names::quote(to);
    let new = if quoted == to { Ident::new(to) } else { Ident::with_quote('"', to) };
    let mut renamed = given.clone();
    let _ = renamed.visit(&mut Rename(from, new));
    expr(&renamed)
}
