//! Queries written back as SQL in PostgreSQL's layout (`ruleutils.c`): what views keep, and what
//! `pg_get_viewdef` shows.
//!
//! Names are resolved while a query is written, level by level as it was bound. What this does not
//! know how to write gives `None`: the caller has the text it began with.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use sqlparser::ast::{
    self, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, LimitClause, ObjectName,
    OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins, Value,
};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::Relation;

use super::pretty::pretty;
use super::written::{Names, Writer, direction, key_text};
use super::{canon, name};
use crate::bind::{Binder, Owner, ParamTypes};
use crate::call::Typed;
use crate::context::ExecContext;
use crate::names;
use crate::session_state::SessionState;

/// How names are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// With their schemas: means the same under any search path.
    Stored,
    /// With schemas only where the search path needs them.
    Shown,
    /// The same, without the parentheses that only say what the precedence says.
    Pretty,
}

/// A query's text, its columns under these names.
pub(crate) fn write(
    ctx: &ExecContext,
    query: &Query,
    columns: &[String],
    style: Style,
) -> Option<String> {
    write_as(ctx, &ctx.catalog, query, columns, style)
}

/// The same with names as `catalog` has them.
pub(crate) fn write_as(
    ctx: &ExecContext,
    catalog: &Catalog,
    query: &Query,
    columns: &[String],
    style: Style,
) -> Option<String> {
    let binder = RefCell::new(Binder::of(ctx, ParamTypes::none()));
    // What is kept has the names it was written with, so that it can be compared.
    let alone = style != Style::Stored || catalog.version() != ctx.catalog.version();
    let (names, with) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let (base, named) = (Cell::new(0), Cell::new(true));
    let layout = Layout { ctx, catalog, binder, style, base, alone, names, with, named };
    layout.query(query, Some(columns))
}

/// The text a view keeps: laid out with all names in full, if that reads back as the same query.
pub(crate) fn stored(
    ctx: &ExecContext,
    query: &Query,
    columns: &[String],
    plain: String,
) -> String {
    let plan = |query: &Query| {
        let bound = Binder::of(ctx, ParamTypes::none()).query(query).ok()?;
        Some(bound.plan.display_indent_schema().to_string())
    };
    let made = write(ctx, query, columns, Style::Stored).filter(|text| {
        parsed(text).is_some_and(|again| {
            let renamed = plan(&again);
            renamed.is_some() && unnamed(renamed) == unnamed(plan(query))
        })
    });
    made.unwrap_or(plain)
}

/// A plan without its first line, where the columns' names are.
fn unnamed(plan: Option<String>) -> Option<String> {
    plan.map(|p| p.split_once('\n').map_or(p.clone(), |(_, rest)| rest.to_owned()))
}

/// The query a text is.
pub(crate) fn parsed(text: &str) -> Option<Query> {
    let first = crate::sql::parse(text).ok()?.into_iter().next()?;
    let crate::sql::Statement::Sql(statement) = Arc::unwrap_or_clone(first.stmt) else {
        return None;
    };
    match *statement {
        ast::Statement::Query(query) => Some(*query),
        _ => None,
    }
}

struct Layout<'a> {
    ctx: &'a ExecContext,
    binder: RefCell<Binder<'a>>,
    style: Style,
    /// Where the lines of the present query begin.
    base: Cell<usize>,
    /// Where objects have their names.
    catalog: &'a Catalog,
    /// No two tables of a query and of those around it have one name.
    alone: bool,
    /// By level, the tables' aliases and how they are written.
    names: RefCell<Vec<Vec<(String, String)>>>,
    /// By level, the names of WITH queries.
    with: RefCell<Vec<Vec<String>>>,
    /// Whether anybody can see what the columns of the present query are called.
    named: Cell<bool>,
}

impl Names for Layout<'_> {
    fn bind(&self, e: &Expr) -> Option<Typed> {
        self.binder.borrow_mut().value_here(e).ok()
    }

    fn column(&self, parts: &[Ident]) -> Option<String> {
        if let Some(owner) = self.owner(parts) {
            return Some(format!("{}.{}", names::quote(&owner.table), names::quote(&owner.column)));
        }
        let [only] = parts else { return None };
        if let Some(up) = self.binder.borrow().item_level(only) {
            return Some(format!("{}.*", names::quote(&self.printed(up, &name::ident(only)))));
        }
        // CURRENT_DATE and its kin
        let word = only.value.to_uppercase();
        let value = word.starts_with("CURRENT_") || word == "SESSION_USER";
        (only.quote_style.is_none() && value).then_some(word)
    }

    fn query(&self, query: &Query) -> Option<String> {
        self.inner(query, false)
    }

    fn catalog(&self) -> &Catalog {
        self.catalog
    }

    fn path(&self) -> Option<&SessionState> {
        (self.style != Style::Stored).then_some(&*self.ctx.session)
    }
}

impl Layout<'_> {
    fn nested<T>(&self, by: usize, f: impl FnOnce() -> T) -> T {
        let base = self.base.get();
        self.base.set(base + by);
        let done = f();
        self.base.set(base);
        done
    }

    /// A query within this one; `named`: whether the names of its columns can be seen here.
    fn inner(&self, query: &Query, named: bool) -> Option<String> {
        let before = self.named.replace(named);
        let text = self.nested(8, || self.query(query, None));
        self.named.set(before);
        text
    }

    /// A line that begins so far from the query's left.
    fn line(&self, indent: usize) -> String {
        format!("\n{}", " ".repeat(self.base.get() + indent))
    }

    fn expr(&self, e: &Expr) -> Option<String> {
        let indent = self.base.get() + 8;
        let writer = Writer { ctx: self.ctx, names: self, indent: Cell::new(Some(indent)) };
        let text = writer.expr(e)?;
        // the layout of queries and CASE would be lost
        Some(match self.style {
            Style::Pretty if !text.contains('\n') => pretty(&text),
            _ => text,
        })
    }

    /// A query with what goes around its body. The names are its columns', if someone else knows.
    fn query(&self, query: &Query, columns: Option<&[String]>) -> Option<String> {
        if !query.locks.is_empty() || query.fetch.is_some() {
            return None;
        }
        self.binder.borrow_mut().enter(Some(query)).ok()?;
        let tables = query.with.iter().flat_map(|w| &w.cte_tables);
        self.with.borrow_mut().push(tables.map(|t| name::ident(&t.alias.name)).collect());
        self.enter_names(match &*query.body {
            SetExpr::Select(select) => &select.from,
            _ => &[],
        });
        let text = self.query_here(query, columns);
        self.leave();
        self.with.borrow_mut().pop();
        text
    }

    /// The names that the tables of a level are written with.
    fn enter_names(&self, from: &[TableWithJoins]) {
        let mut found = Vec::new();
        for table in from {
            self.aliases(table, &mut found);
        }
        let mut names = self.names.borrow_mut();
        let mut taken: Vec<String> = names.iter().flatten().map(|(_, p)| p.clone()).collect();
        let mut level = Vec::new();
        for (alias, wanted) in found {
            let mut printed = wanted.clone();
            let mut number = 0;
            while self.alone && taken.contains(&printed) {
                number += 1;
                printed = format!("{wanted}_{number}");
            }
            taken.push(printed.clone());
            level.push((alias, printed));
        }
        names.push(level);
    }

    fn leave(&self) {
        self.names.borrow_mut().pop();
        self.binder.borrow_mut().leave();
    }

    /// What the tables of a FROM item are called, and what they would be called today.
    fn aliases(&self, table: &TableWithJoins, out: &mut Vec<(String, String)>) {
        let factors =
            std::iter::once(&table.relation).chain(table.joins.iter().map(|j| &j.relation));
        for factor in factors {
            match factor {
                TableFactor::NestedJoin { table_with_joins, .. } => {
                    self.aliases(table_with_joins, out);
                }
                TableFactor::Table { alias: Some(a), .. }
                | TableFactor::Function { alias: Some(a), .. }
                | TableFactor::Derived { alias: Some(a), .. } => {
                    let own = name::ident(&a.name);
                    out.push((own.clone(), own));
                }
                TableFactor::Table { name: given, .. } => {
                    let own = name::last(given);
                    let found = self.find(given);
                    let now = found.and_then(|r| self.catalog.relation(r.oid));
                    out.push((own.clone(), now.map_or(own, |r| r.name.clone())));
                }
                TableFactor::Function { name: given, .. } => {
                    let own = name::last(given);
                    out.push((own.clone(), own));
                }
                _ => {}
            }
        }
    }

    /// The table a name means, if it is none of a WITH query.
    fn find(&self, given: &ObjectName) -> Option<Arc<Relation>> {
        if let [one] = name::parts(given).as_slice()
            && self.with.borrow().iter().flatten().any(|own| own == one)
        {
            return None;
        }
        name::find_in(self.ctx, &self.ctx.catalog, given).ok().flatten()
    }

    /// How a table is written that is known under an alias so many levels up.
    fn printed(&self, up: usize, alias: &str) -> String {
        let names = self.names.borrow();
        let level = names.len().checked_sub(up + 1).and_then(|at| names.get(at));
        let found = level.and_then(|level| level.iter().find(|(own, _)| own == alias));
        found.map_or_else(|| alias.to_owned(), |(_, printed)| printed.clone())
    }

    /// The table and the column a reference means, as they are written.
    fn owner(&self, parts: &[Ident]) -> Option<Owner> {
        let found = self.binder.borrow().owner(parts)?;
        let column = |catalog: &Catalog| {
            let at = usize::try_from(found.attr.checked_sub(1)?).ok()?;
            catalog.relation(found.relation)?.columns()?.get(at).map(|c| c.name.clone())
        };
        // A column with a name of its own in the query keeps it.
        let own = column(&self.ctx.catalog).is_some_and(|name| name == found.column);
        let now = if own { column(self.catalog) } else { None };
        let column = now.unwrap_or(found.column);
        Some(Owner { table: self.printed(found.up, &found.table), column, ..found })
    }

    fn query_here(&self, query: &Query, columns: Option<&[String]>) -> Option<String> {
        let mut out = match &query.with {
            Some(with) => self.with(with)?,
            None => String::new(),
        };
        let order = match query.order_by.as_ref().map(|o| &o.kind) {
            None => &[][..],
            Some(OrderByKind::Expressions(keys)) => keys,
            Some(OrderByKind::All(_)) => return None,
        };
        match &*query.body {
            SetExpr::Select(select) => out.push_str(&self.select(select, order, columns)?),
            body => {
                out.push_str(&self.body(body, columns)?);
                out.push_str(&self.output_order(order)?);
            }
        }
        match &query.limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                if let Some(offset) = offset {
                    out.push_str(&format!("{} OFFSET {}", self.line(0), offset.value));
                }
                if let Some(limit) = limit {
                    out.push_str(&format!("{} LIMIT {limit}", self.line(0)));
                }
            }
            Some(_) => return None,
        }
        Some(out)
    }

    fn with(&self, with: &ast::With) -> Option<String> {
        let mut parts = Vec::new();
        for cte in &with.cte_tables {
            let mut head = names::quote(&name::ident(&cte.alias.name));
            if !cte.alias.columns.is_empty() {
                let columns: Vec<String> =
                    cte.alias.columns.iter().map(|c| names::quote(&name::ident(&c.name))).collect();
                head.push_str(&format!("({})", columns.join(", ")));
            }
            head.push_str(match cte.materialized {
                None => " AS ",
                Some(ast::CteAsMaterialized::Materialized) => " AS MATERIALIZED ",
                Some(ast::CteAsMaterialized::NotMaterialized) => " AS NOT MATERIALIZED ",
            });
            let line = self.nested(8, || self.line(0));
            parts.push(format!("{head}({line}{}{line})", self.inner(&cte.query, true)?));
        }
        let recursive = if with.recursive { "RECURSIVE " } else { "" };
        Some(format!(" WITH {recursive}{}{}", parts.join(", "), self.line(0)))
    }

    fn body(&self, body: &SetExpr, columns: Option<&[String]>) -> Option<String> {
        match body {
            SetExpr::Select(select) => {
                self.binder.borrow_mut().enter(None).ok()?;
                self.enter_names(&select.from);
                let text = self.select(select, &[], columns);
                self.leave();
                text
            }
            SetExpr::Values(values) => {
                let row = |row: &[Expr]| {
                    let values: Option<Vec<String>> = row.iter().map(|e| self.expr(e)).collect();
                    Some(format!("({})", values?.join(",")))
                };
                let rows: Option<Vec<String>> = values.rows.iter().map(|r| row(r)).collect();
                Some(format!(" VALUES {}", rows?.join(", ")))
            }
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let plain = |side: &SetExpr| match side {
                    SetExpr::Select(_) | SetExpr::Values(_) => true,
                    SetExpr::SetOperation { op: o, set_quantifier: q, .. } => {
                        o == op && q == set_quantifier
                    }
                    _ => false,
                };
                if !plain(left) || !matches!(**right, SetExpr::Select(_) | SetExpr::Values(_)) {
                    return None;
                }
                let all = match set_quantifier {
                    ast::SetQuantifier::None | ast::SetQuantifier::Distinct => "",
                    ast::SetQuantifier::All => " ALL",
                    _ => return None,
                };
                let left = self.body(left, columns)?;
                // The names are those of the left.
                let named = self.named.replace(false);
                let right = self.body(right, columns);
                self.named.set(named);
                let right = right?;
                let line = self.line(0);
                Some(format!("{left}{line}{op}{all}{line}{right}"))
            }
            _ => None,
        }
    }

    /// ORDER BY of a set operation, by the columns' numbers.
    fn output_order(&self, order: &[ast::OrderByExpr]) -> Option<String> {
        if order.is_empty() {
            return Some(String::new());
        }
        let keys: Option<Vec<String>> = order
            .iter()
            .map(|k| match &k.expr {
                Expr::Value(v) if matches!(v.value, Value::Number(..)) => {
                    Some(format!("{}{}", k.expr, direction(&k.options)))
                }
                _ => None,
            })
            .collect();
        Some(format!("{}  ORDER BY {}", self.line(0), keys?.join(", ")))
    }

    fn select(
        &self,
        select: &Select,
        order: &[ast::OrderByExpr],
        columns: Option<&[String]>,
    ) -> Option<String> {
        if !select.named_window.is_empty() || select.into.is_some() {
            return None;
        }
        self.binder.borrow_mut().enter_from(&select.from).ok()?;
        let list = expanded(&self.binder.borrow(), &select.projection)?;
        let mut out = " SELECT".to_owned();
        match &select.distinct {
            None | Some(ast::Distinct::All) => {}
            Some(ast::Distinct::Distinct) => out.push_str(" DISTINCT"),
            Some(ast::Distinct::On(keys)) => {
                let keys: Option<Vec<String>> =
                    keys.iter().map(|k| self.key(k, &list, columns)).collect();
                out.push_str(&format!(" DISTINCT ON ({})", keys?.join(", ")));
            }
        }
        for (i, (e, alias)) in list.iter().enumerate() {
            let own = columns.and_then(|c| c.get(i));
            let text = self.target(e, own.or(alias.as_ref()))?;
            let broken = text.starts_with('\n');
            match i {
                0 if broken => {}
                0 => out.push(' '),
                _ => out.push_str(&if broken {
                    ",".to_owned()
                } else {
                    ",".to_owned() + &self.line(4)
                }),
            }
            out.push_str(&text);
        }
        if !select.from.is_empty() {
            let tables: Option<Vec<String>> = select.from.iter().map(|t| self.joined(t)).collect();
            let tables = tables?.join(&format!(",{}", self.line(4)));
            out.push_str(&format!("{}FROM {tables}", self.line(3)));
        }
        if let Some(condition) = &select.selection {
            out.push_str(&format!("{}WHERE {}", self.line(2), self.expr(condition)?));
        }
        let GroupByExpr::Expressions(groups, modifiers) = &select.group_by else { return None };
        if !modifiers.is_empty() {
            return None;
        }
        if !groups.is_empty() {
            let groups: Option<Vec<String>> =
                groups.iter().map(|g| self.key(g, &list, columns)).collect();
            out.push_str(&format!("{}GROUP BY {}", self.line(2), groups?.join(", ")));
        }
        if let Some(condition) = &select.having {
            out.push_str(&format!("{}HAVING {}", self.line(1), self.expr(condition)?));
        }
        if !order.is_empty() {
            let key = |k: &ast::OrderByExpr| {
                Some(self.key(&k.expr, &list, columns)? + direction(&k.options))
            };
            let keys: Option<Vec<String>> = order.iter().map(key).collect();
            out.push_str(&format!("{}ORDER BY {}", self.line(2), keys?.join(", ")));
        }
        Some(out)
    }

    /// A column of the list, with its name unless it is a table's column of that name.
    fn target(&self, e: &Expr, given: Option<&String>) -> Option<String> {
        let text = self.expr(e)?;
        let named = match given {
            Some(given) => given.clone(),
            None => self.binder.borrow().column_name(e),
        };
        let own = match e {
            Expr::Identifier(i) => self.owner(std::slice::from_ref(i)),
            Expr::CompoundIdentifier(parts) => self.owner(parts),
            _ => None,
        };
        let known = match own {
            Some(owner) => owner.column == named,
            None => !self.named.get() && named == "?column?",
        };
        if known {
            return Some(text);
        }
        Some(format!("{text} AS {}", names::quote(&named)))
    }

    /// What an item of GROUP BY or ORDER BY stands for: a column of the list by number or name, or
    /// itself.
    fn key(
        &self,
        e: &Expr,
        list: &[(Expr, Option<String>)],
        columns: Option<&[String]>,
    ) -> Option<String> {
        let meant = match e {
            Expr::Value(v) => match &v.value {
                Value::Number(n, _) => list.get(n.parse::<usize>().ok()?.checked_sub(1)?),
                _ => return None,
            },
            Expr::Identifier(i)
                if self.binder.borrow().owner(std::slice::from_ref(i)).is_none() =>
            {
                let wanted = name::ident(i);
                let aliased = list.iter().position(|(_, alias)| alias.as_ref() == Some(&wanted));
                let at = aliased.or_else(|| columns?.iter().position(|c| *c == wanted))?;
                list.get(at)
            }
            _ => None,
        };
        let e = meant.map_or(e, |(e, _)| e);
        Some(key_text(e, self.expr(e)?, self.style == Style::Pretty))
    }

    fn joined(&self, table: &TableWithJoins) -> Option<String> {
        let mut text = self.factor(&table.relation)?;
        for join in &table.joins {
            let (word, constraint) = join_word(&join.join_operator)?;
            let right = self.factor(&join.relation)?;
            let condition = match constraint {
                JoinConstraint::On(on) => match self.style {
                    Style::Pretty => format!(" ON {}", self.expr(on)?),
                    _ => format!(" ON ({})", self.expr(on)?),
                },
                JoinConstraint::Using(columns) => {
                    let columns: Vec<String> =
                        columns.iter().map(|c| names::quote(&name::last(c))).collect();
                    format!(" USING ({})", columns.join(", "))
                }
                JoinConstraint::None => String::new(),
                JoinConstraint::Natural => return None,
            };
            let both = format!("{text}{}{word} {right}{condition}", self.line(5));
            text = if self.style == Style::Pretty { both } else { format!("({both})") };
        }
        Some(text)
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
                let query = self.inner(subquery, true)?;
                let lateral = if *lateral { "LATERAL " } else { "" };
                Some(format!("{lateral}({query}){}", self.alias(alias.as_ref(), "")))
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
        let own = name::last(function);
        let named = alias.map_or_else(|| own.clone(), |a| name::ident(&a.name));
        let columns = self.binder.borrow().columns_of(&named)?;
        let columns: Vec<String> = columns.iter().map(|c| names::quote(c)).collect();
        let called = self.binder.borrow_mut().function_called(function, args);
        let shown = called.map_or_else(
            || {
                let parts = name::parts(function);
                parts.iter().map(|p| names::quote(p)).collect::<Vec<_>>().join(".")
            },
            |called| self.user_function(&called),
        );
        let counted = if ordinality { " WITH ORDINALITY" } else { "" };
        Some(format!(
            "{shown}({}){counted} {}({})",
            texts.join(", "),
            names::quote(&named),
            columns.join(", ")
        ))
    }
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

/// The select list, `*` written out: expressions, and the names they were given.
fn expanded(binder: &Binder<'_>, list: &[SelectItem]) -> Option<Vec<(Expr, Option<String>)>> {
    let reference = |(table, column): (String, String)| {
        let part = |n: &str| Ident::with_quote('"', n);
        (Expr::CompoundIdentifier(vec![part(&table), part(&column)]), Some(column))
    };
    let mut out = Vec::new();
    for item in list {
        match item {
            SelectItem::UnnamedExpr(e) => {
                if crate::sql::star::starred(e).is_some() {
                    return None;
                }
                out.push((e.clone(), None));
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                out.push((expr.clone(), Some(name::ident(alias))));
            }
            SelectItem::Wildcard(_) => out.extend(binder.star(None)?.into_iter().map(reference)),
            SelectItem::QualifiedWildcard(
                ast::SelectItemQualifiedWildcardKind::ObjectName(table),
                _,
            ) => out.extend(binder.star(Some(table))?.into_iter().map(reference)),
            _ => return None,
        }
    }
    Some(out)
}

/// `pg_get_viewdef`: the text a view keeps, as it is shown.
pub(crate) fn shown(ctx: &ExecContext, kept: &str, columns: &[String], style: Style) -> String {
    let written = parsed(kept).and_then(|query| write(ctx, &query, columns, style));
    format!("{};", written.unwrap_or_else(|| format!(" {}", kept.trim())))
}

/// The text of a view's query, as the catalog keeps it.
pub(crate) fn kept(
    ctx: &ExecContext,
    query: &Query,
    columns: &[String],
    qualify: &dyn Fn(&ObjectName) -> Option<ObjectName>,
) -> String {
    stored(ctx, query, columns, canon::query(query, qualify)).trim().to_owned()
}
