//! FROM.

use sqlparser::ast::{self, JoinConstraint, JoinOperator, ObjectName, TableFactor, TableWithJoins};

use super::super::name;
use super::super::written::Names;
use super::{Layout, Style};
use crate::names;

impl Layout<'_> {
    pub(super) fn joined(&self, table: &TableWithJoins) -> Option<String> {
        let pretty = self.style == Style::Pretty;
        let mut text = self.factor(&table.relation)?;
        let mut left = vec![&table.relation];
        for join in &table.joins {
            let (word, constraint) = join_word(&join.join_operator)?;
            let right = self.factor(&join.relation)?;
            let nested = pretty && matches!(join.relation, TableFactor::NestedJoin { .. });
            let right = if nested { format!("({right})") } else { right };
            let (word, condition) = match constraint {
                JoinConstraint::On(on) if pretty => (word, format!(" ON {}", self.expr(on)?)),
                JoinConstraint::On(on) => (word, format!(" ON ({})", self.expr(on)?)),
                JoinConstraint::Using(columns) => {
                    (word, using(columns.iter().map(name::last).collect()))
                }
                JoinConstraint::None => (word, String::new()),
                JoinConstraint::Natural => match self.common(&left, &join.relation)? {
                    common if common.is_empty() => ("CROSS JOIN", String::new()),
                    common => (word, using(common)),
                },
            };
            left.push(&join.relation);
            let both = format!("{text}{}{word} {right}{condition}", self.line(5));
            text = if pretty { both } else { format!("({both})") };
        }
        Some(text)
    }

    /// The columns that NATURAL pairs.
    fn common(&self, left: &[&TableFactor], right: &TableFactor) -> Option<Vec<String>> {
        let columns = |factor: &TableFactor| {
            let mut names = Vec::new();
            let table = TableWithJoins { relation: factor.clone(), joins: Vec::new() };
            self.aliases(&table, &mut names);
            let columns = names.iter().map(|(own, _)| self.binder.borrow().columns_of(own));
            Some(columns.collect::<Option<Vec<_>>>()?.concat())
        };
        let right = columns(right)?;
        let mut common: Vec<String> = Vec::new();
        for factor in left {
            let found = columns(factor)?.into_iter().filter(|c| right.contains(c));
            common.extend(found.filter(|c| !common.contains(c)).collect::<Vec<_>>());
        }
        Some(common)
    }

    fn factor(&self, factor: &TableFactor) -> Option<String> {
        match factor {
            TableFactor::Table { name: given, alias, args: None, sample: None, .. } => {
                let own = name::last(given);
                let shown = self.relation(given)?;
                if alias.is_none() {
                    let printed = self.printed(0, &own);
                    let found = self.find(given);
                    let now = found.and_then(|r| self.catalog.relation(r.oid));
                    let same = now.map_or(own, |r| r.name.clone()) == printed;
                    let alias = if same { String::new() } else { names::quote(&printed) };
                    return Some(format!("{shown} {alias}").trim_end().to_owned());
                }
                Some(shown + &self.alias(alias.as_ref(), &own))
            }
            TableFactor::Table {
                name: function, alias, args: Some(args), with_ordinality, ..
            } => self.function(function, &args.args, alias.as_ref(), *with_ordinality),
            TableFactor::Function { name: function, args, alias, with_ordinality, .. } => {
                self.function(function, args, alias.as_ref(), *with_ordinality)
            }
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                let base = self.base.get() + 8;
                let query = match lateral {
                    true => self.inner(subquery, base, true)?,
                    false => {
                        // What stands beside it is out of sight.
                        let seen = self.binder.borrow_mut().hide_scope();
                        let query = self.inner(subquery, base, true);
                        self.binder.borrow_mut().show_scope(seen);
                        query?
                    }
                };
                let lateral = if *lateral { "LATERAL " } else { "" };
                Some(format!("{lateral}({query}){}", self.alias(alias.as_ref(), "")))
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                let texts: Option<Vec<String>> = array_exprs.iter().map(|e| self.expr(e)).collect();
                // Several arrays are beside each other, which the function alone cannot do.
                let shown = if array_exprs.len() > 1 { "UNNEST" } else { "unnest" };
                let called = format!("{shown}({})", texts?.join(", "));
                self.called(&called, "unnest", alias.as_ref(), *with_ordinality)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.joined(table_with_joins)
            }
            _ => None,
        }
    }

    fn relation(&self, given: &ObjectName) -> Option<String> {
        let parts = name::parts(given);
        let ctx = self.ctx;
        let found = self.find(given);
        match (found, parts.as_slice()) {
            (Some(r), _) if self.style == Style::Stored => {
                let now = self.catalog.relation(r.oid).unwrap_or(&r);
                Some(crate::catalog::definition::qualified_name(self.catalog, now))
            }
            (Some(r), _) => names::relation_name(self.catalog, &ctx.session, r.oid),
            // a WITH query, or a system table
            (None, [one]) => Some(names::quote(one)),
            (None, [schema, one]) if schema == "pg_catalog" && self.style != Style::Stored => {
                Some(names::quote(one))
            }
            (None, [schema, one]) => {
                Some(format!("{}.{}", names::quote(schema), names::quote(one)))
            }
            _ => None,
        }
    }

    fn alias(&self, alias: Option<&ast::TableAlias>, own: &str) -> String {
        let Some(alias) = alias else { return String::new() };
        let named = self.printed(0, &name::ident(&alias.name));
        if named == own && alias.columns.is_empty() {
            return String::new();
        }
        let mut text = format!(" {}", names::quote(&named));
        if !alias.columns.is_empty() {
            // A list that begins names them all.
            let all = self.binder.borrow().columns_of(&name::ident(&alias.name));
            let given = || alias.columns.iter().map(|c| name::ident(&c.name)).collect();
            let columns: Vec<String> =
                all.unwrap_or_else(given).iter().map(|c| names::quote(c)).collect();
            text.push_str(&format!("({})", columns.join(", ")));
        }
        text
    }

    fn function(
        &self,
        function: &ObjectName,
        args: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
    ) -> Option<String> {
        if alias.is_some_and(|a| a.columns.iter().any(|c| c.data_type.is_some())) {
            return None;
        }
        let mut texts = Vec::new();
        for arg in args {
            let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) = arg else { return None };
            texts.push(self.expr(e)?);
        }
        let called = self.binder.borrow_mut().function_called(function, args);
        let shown = called.map_or_else(
            || {
                let parts = name::parts(function);
                parts.iter().map(|p| names::quote(p)).collect::<Vec<_>>().join(".")
            },
            |called| self.user_function(&called),
        );
        let called = format!("{shown}({})", texts.join(", "));
        self.called(&called, &name::last(function), alias, ordinality)
    }

    /// A call with the names of what it gives.
    fn called(
        &self,
        call: &str,
        own: &str,
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
    ) -> Option<String> {
        let named = alias.map_or_else(|| own.to_owned(), |a| name::ident(&a.name));
        let columns = self.binder.borrow().columns_of(&named)?;
        let columns: Vec<String> = columns.iter().map(|c| names::quote(c)).collect();
        let counted = if ordinality { " WITH ORDINALITY" } else { "" };
        Some(format!("{call}{counted} {}({})", names::quote(&named), columns.join(", ")))
    }
}

fn using(columns: Vec<String>) -> String {
    let columns: Vec<String> = columns.iter().map(|c| names::quote(c)).collect();
    format!(" USING ({})", columns.join(", "))
}

fn join_word(operator: &JoinOperator) -> Option<(&'static str, &JoinConstraint)> {
    use JoinOperator as J;
    Some(match operator {
        J::Join(c) | J::Inner(c) => ("JOIN", c),
        J::Left(c) | J::LeftOuter(c) => ("LEFT JOIN", c),
        J::Right(c) | J::RightOuter(c) => ("RIGHT JOIN", c),
        J::FullOuter(c) => ("FULL JOIN", c),
        J::CrossJoin(c) => ("CROSS JOIN", c),
        _ => return None,
    })
}
