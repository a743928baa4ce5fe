//! Queries written back as SQL in PostgreSQL's layout (`ruleutils.c`): what views keep, and what
//! `pg_get_viewdef` shows.
//!
//! Names are resolved while a query is written, level by level as it was bound. What this does not
//! know how to write gives `None`: the caller has the text it began with.

mod from;
mod select;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use sqlparser::ast::{
    self, Expr, Ident, LimitClause, ObjectName, OrderByKind, Query, SetExpr, TableFactor,
    TableWithJoins,
};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::Relation;

use super::written::{Names, Writer};
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
    let heading = RefCell::new(None);
    let layout = Layout { ctx, catalog, binder, style, base, alone, names, with, named, heading };
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
    /// What the first SELECT of the present query calls its columns.
    heading: RefCell<Option<Vec<String>>>,
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
        self.row(only)
    }

    fn row(&self, table: &Ident) -> Option<String> {
        let up = self.binder.borrow().item_level(table)?;
        Some(format!("{}.*", names::quote(&self.printed(up, &name::ident(table)))))
    }

    fn query(&self, query: &Query, base: usize) -> Option<String> {
        self.inner(query, base, false)
    }

    fn catalog(&self) -> &Catalog {
        self.catalog
    }

    fn path(&self) -> Option<&SessionState> {
        (self.style != Style::Stored).then_some(&*self.ctx.session)
    }
}

impl Layout<'_> {
    /// With lines that begin there.
    fn at<T>(&self, base: usize, f: impl FnOnce() -> T) -> T {
        let before = self.base.replace(base);
        let done = f();
        self.base.set(before);
        done
    }

    /// A query within this one; `named`: whether the names of its columns can be seen here.
    fn inner(&self, query: &Query, base: usize, named: bool) -> Option<String> {
        let before = self.named.replace(named);
        let text = self.at(base, || self.query(query, None));
        self.named.set(before);
        text
    }

    /// A line that begins so far from the query's left.
    fn line(&self, indent: usize) -> String {
        format!("\n{}", " ".repeat(self.base.get() + indent))
    }

    fn writer(&self) -> Writer<'_> {
        let (indent, pretty) = (Cell::new(self.base.get() + 8), self.style == Style::Pretty);
        Writer { ctx: self.ctx, names: self, indent, pretty }
    }

    fn expr(&self, e: &Expr) -> Option<String> {
        self.writer().expr(e)
    }

    /// A query with what goes around its body. The names are its columns', if someone else knows.
    fn query(&self, query: &Query, columns: Option<&[String]>) -> Option<String> {
        if !query.locks.is_empty() {
            return None;
        }
        self.binder.borrow_mut().enter(Some(query)).ok()?;
        let tables = query.with.iter().flat_map(|w| &w.cte_tables);
        self.with.borrow_mut().push(tables.map(|t| name::ident(&t.alias.name)).collect());
        self.enter_names(match &*query.body {
            SetExpr::Select(select) => &select.from,
            _ => &[],
        });
        let around = self.heading.take();
        let text = self.query_here(query, columns);
        self.heading.replace(around);
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
                | TableFactor::UNNEST { alias: Some(a), .. }
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
            SetExpr::Select(select) => out.push_str(&self.select(select, order, columns, &[])?),
            body => {
                self.heading.take();
                out.push_str(&self.body(body, columns)?);
                let names = self.heading.take().unwrap_or_default();
                out.push_str(&self.output_order(order, &names)?);
            }
        }
        let (mut limit, mut offset) = (None, None);
        match &query.limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { limit: l, offset: o, limit_by })
                if limit_by.is_empty() =>
            {
                (limit, offset) = (l.as_ref(), o.as_ref());
            }
            Some(_) => return None,
        }
        let one = Expr::Value(ast::Value::Number("1".to_owned(), false).into());
        if let Some(fetch) = &query.fetch {
            limit = fetch.quantity.as_ref().or(limit).or(Some(&one));
        }
        if let Some(offset) = offset {
            out.push_str(&format!("{} OFFSET {}", self.line(0), offset.value));
        }
        let ties = query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties);
        match limit {
            Some(n) if ties => {
                let n = match unnested(n) {
                    value @ Expr::Value(_) => value.to_string(),
                    other => format!("({other})"),
                };
                out.push_str(&format!("{} FETCH FIRST ({n}) ROWS WITH TIES", self.line(0)));
            }
            Some(n) => out.push_str(&format!("{} LIMIT {n}", self.line(0))),
            None => {}
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
            let line = self.line(8);
            let query = self.inner(&cte.query, self.base.get() + 8, true)?;
            parts.push(format!("{head}({line}{query}{line})"));
        }
        let recursive = if with.recursive { "RECURSIVE " } else { "" };
        Some(format!(" WITH {recursive}{}{}", parts.join(", "), self.line(0)))
    }
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

/// What stands in an expression's own parentheses.
fn unnested(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unnested(inner),
        other => other,
    }
}
