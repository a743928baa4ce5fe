//! Fields and subscripts behind a value.

use sqlparser::ast::{AccessExpr, Expr, Subscript};
use vicinity_storage::Catalog;
use vicinity_types::Oid;

use super::{Writer, within};
use crate::exec::name;
use crate::names;

/// A value with the first of its fields and subscripts.
fn before_step(root: &Expr, chain: &[AccessExpr]) -> Expr {
    if chain.is_empty() {
        return root.clone();
    }
    Expr::CompoundFieldAccess { root: Box::new(root.clone()), access_chain: chain.to_vec() }
}

impl Writer<'_> {
    /// Fields and subscripts behind a value.
    pub(super) fn access(&self, root: &Expr, chain: &[AccessExpr]) -> Option<String> {
        if let Expr::CompoundFieldAccess { root, access_chain } = within(root) {
            let whole = [access_chain.as_slice(), chain].concat();
            return self.access(root, &whole);
        }
        let (mut text, from, mut bare) = self.access_root(root, chain)?;
        for (at, step) in chain.iter().enumerate().skip(from) {
            match step {
                AccessExpr::Dot(Expr::Identifier(field)) => {
                    let before = before_step(root, chain.get(..at)?);
                    let row = self.bind(&before)?.ty.oid;
                    let field = names::quote(&self.field(row, &name::ident(field))?);
                    let behind = at > from;
                    text = if behind {
                        format!("{text}.{field}")
                    } else {
                        format!("({text}).{field}")
                    };
                    bare = true;
                }
                AccessExpr::Dot(_) => return None,
                AccessExpr::Subscript(subscript) => {
                    if !bare {
                        text = format!("({text})");
                    }
                    text.push_str(&self.subscript(subscript)?);
                    bare = true;
                }
            }
        }
        Some(text)
    }

    /// What fields and subscripts are taken of, how many of them it has in it, and whether it stands
    /// before a subscript without parentheses.
    fn access_root(&self, root: &Expr, chain: &[AccessExpr]) -> Option<(String, usize, bool)> {
        if let Expr::Identifier(first) = within(root) {
            let mut parts = vec![first.clone()];
            parts.extend(chain.iter().map_while(|step| match step {
                AccessExpr::Dot(Expr::Identifier(part)) => Some(part.clone()),
                _ => None,
            }));
            for count in (2..=parts.len()).rev() {
                let column = parts.get(..count)?;
                if self.bind(&Expr::CompoundIdentifier(column.to_vec())).is_some() {
                    return Some((self.names.column(column)?, count - 1, true));
                }
            }
        }
        let inner = within(root);
        let column = matches!(inner, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        Some((self.expr(inner)?, 0, column))
    }

    /// What a field of a row type is called now.
    fn field(&self, row: Oid, given: &str) -> Option<String> {
        let at = |catalog: &Catalog| {
            let columns = catalog.relation_of_type(row)?.columns()?;
            columns.iter().position(|c| !c.dropped && c.name == given)
        };
        let Some(at) = at(&self.ctx.catalog) else { return Some(given.to_owned()) };
        let now = self.names.catalog().relation_of_type(row)?;
        now.columns()?.get(at).map(|c| c.name.clone())
    }

    fn subscript(&self, subscript: &Subscript) -> Option<String> {
        let one = |e: &Option<Expr>| match e {
            Some(e) => self.expr(e),
            None => Some(String::new()),
        };
        match subscript {
            Subscript::Index { index } => Some(format!("[{}]", self.expr(index)?)),
            Subscript::Slice { lower_bound, upper_bound, stride: None } => {
                Some(format!("[{}:{}]", one(lower_bound)?, one(upper_bound)?))
            }
            Subscript::Slice { .. } => None,
        }
    }
}
