//! SELECT, and what joins several of them.

use sqlparser::ast::{
    self, Expr, GroupByExpr, Ident, NamedWindowExpr, Query, Select, SelectItem, SetExpr,
    SetOperator, SetQuantifier, Value,
};

use super::super::name;
use super::super::written::{direction, is_untyped, spaced};
use super::Layout;
use crate::bind::Binder;
use crate::call::PgType;
use crate::names;

/// A query in parentheses that changes nothing by being one.
fn bare(body: &SetExpr) -> &SetExpr {
    match body {
        SetExpr::Query(q) if is_plain(q) => bare(&q.body),
        body => body,
    }
}

fn is_plain(query: &Query) -> bool {
    query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
}

/// Whether a column's type may be that of a literal's neighbours.
fn has_untyped(body: &SetExpr) -> bool {
    match bare(body) {
        SetExpr::Values(values) => values.rows.iter().any(|row| row.iter().any(is_untyped)),
        SetExpr::Select(select) => select.projection.iter().any(|item| match item {
            SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } => is_untyped(e),
            _ => false,
        }),
        SetExpr::SetOperation { left, right, .. } => {
            let untyped = |side: &SetExpr| matches!(side, SetExpr::Select(_)) && has_untyped(side);
            untyped(bare(left)) || untyped(bare(right))
        }
        _ => false,
    }
}

impl Layout<'_> {
    pub(super) fn body(&self, body: &SetExpr, columns: Option<&[String]>) -> Option<String> {
        let types = if has_untyped(body) { self.column_types(bare(body)) } else { Vec::new() };
        match bare(body) {
            SetExpr::Select(select) => self.select_alone(select, columns, &[]),
            SetExpr::Values(values) => {
                let writer = self.writer();
                let row = |row: &[Expr]| {
                    let values: Option<Vec<String>> = (0..)
                        .zip(row)
                        .map(|(at, e): (usize, &Expr)| writer.listed(e, types.get(at)))
                        .collect();
                    Some(format!("({})", values?.join(",")))
                };
                let rows: Option<Vec<String>> = values.rows.iter().map(|r| row(r)).collect();
                Some(format!(" VALUES {}", rows?.join(", ")))
            }
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let all = match set_quantifier {
                    SetQuantifier::None | SetQuantifier::Distinct => "",
                    SetQuantifier::All => " ALL",
                    _ => return None,
                };
                let same = |side: &SetExpr| {
                    matches!(side, SetExpr::SetOperation { op: o, set_quantifier: q, .. }
                        if (o, matches!(q, SetQuantifier::All)) == (op, !all.is_empty()))
                };
                let left = (bare(left), same(bare(left)));
                self.set_operation((op, all), left, bare(right), columns, &types)
            }
            SetExpr::Query(query) => {
                let text = self.query(query, columns)?;
                Some(format!("({text})"))
            }
            _ => None,
        }
    }

    /// The types of a body's columns, where they can be told.
    fn column_types(&self, body: &SetExpr) -> Vec<PgType> {
        self.binder.borrow_mut().column_types(body).unwrap_or_default()
    }

    /// A SELECT that is a level of its own.
    fn select_alone(
        &self,
        select: &Select,
        columns: Option<&[String]>,
        types: &[PgType],
    ) -> Option<String> {
        self.binder.borrow_mut().enter(None).ok()?;
        self.enter_names(&select.from);
        let text = self.select(select, &[], columns, types);
        self.leave();
        text
    }

    /// One side of a set operation: the other may tell what a literal in a SELECT is.
    fn side(&self, side: &SetExpr, columns: Option<&[String]>, types: &[PgType]) -> Option<String> {
        match side {
            SetExpr::Select(select) => self.select_alone(select, columns, types),
            other => self.body(other, columns),
        }
    }

    /// Parentheses show where the operation is another one (`get_setop_query`).
    fn set_operation(
        &self,
        (op, all): (&SetOperator, &str),
        (left, same): (&SetExpr, bool),
        right: &SetExpr,
        columns: Option<&[String]>,
        types: &[PgType],
    ) -> Option<String> {
        let (line, base) = (self.line(0), self.base.get());
        let is_operation = |side: &SetExpr| matches!(side, SetExpr::SetOperation { .. });
        let left = if is_operation(left) && !same {
            let within = self.at(base + 8, || self.body(left, columns))?;
            format!("({}{within}{line}) ", self.line(8))
        } else {
            self.side(left, columns, types)? + &line
        };
        // The names are those of the left.
        let named = self.named.replace(false);
        let right = if is_operation(right) {
            let within = self.at(base + 8, || self.body(right, columns));
            within.map(|within| format!(" ({}{within}{line})", self.line(8)))
        } else {
            self.side(right, columns, types).map(|text| line + &text)
        };
        self.named.set(named);
        Some(format!("{left}{op}{all}{}", right?))
    }

    /// ORDER BY of a set operation, by the columns' numbers.
    pub(super) fn output_order(
        &self,
        order: &[ast::OrderByExpr],
        names: &[String],
    ) -> Option<String> {
        if order.is_empty() {
            return Some(String::new());
        }
        let number = |e: &Expr| match e {
            Expr::Value(v) if matches!(v.value, Value::Number(..)) => Some(e.to_string()),
            Expr::Identifier(i) => {
                let at = names.iter().position(|n| *n == name::ident(i))?;
                Some((at + 1).to_string())
            }
            _ => None,
        };
        let key = |k: &ast::OrderByExpr| Some(number(&k.expr)? + direction(&k.options));
        let keys: Option<Vec<String>> = order.iter().map(key).collect();
        Some(format!("{}  ORDER BY {}", self.line(0), keys?.join(", ")))
    }

    pub(super) fn select(
        &self,
        select: &Select,
        order: &[ast::OrderByExpr],
        columns: Option<&[String]>,
        types: &[PgType],
    ) -> Option<String> {
        if select.into.is_some() {
            return None;
        }
        self.binder.borrow_mut().enter_from(&select.from).ok()?;
        for window in &select.named_window {
            self.binder.borrow_mut().named_window(window).ok()?;
        }
        let list = expanded(&self.binder.borrow(), &select.projection)?;
        self.set_heading(&list);
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
            let text = self.target(e, own.or(alias.as_ref()), types.get(i))?;
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
            let condition = self.expr(condition)?;
            out = spaced(&format!("{out}{}WHERE", self.line(2)), &condition);
        }
        let GroupByExpr::Expressions(groups, modifiers) = &select.group_by else { return None };
        if !modifiers.is_empty() {
            return None;
        }
        if !groups.is_empty() {
            let groups: Option<Vec<String>> =
                groups.iter().map(|g| self.grouping(g, &list, columns)).collect();
            out.push_str(&format!("{}GROUP BY {}", self.line(2), groups?.join(", ")));
        }
        if let Some(condition) = &select.having {
            let condition = self.expr(condition)?;
            out = spaced(&format!("{out}{}HAVING", self.line(1)), &condition);
        }
        out.push_str(&self.windows(select)?);
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
    fn target(&self, e: &Expr, given: Option<&String>, ty: Option<&PgType>) -> Option<String> {
        let writer = self.writer();
        let e = writer.bared(e);
        let whole = writer.names.is_row(e);
        let text = if whole { writer.whole_row(e)? } else { writer.listed(e, ty)? };
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
                let named = || columns?.iter().position(|c| *c == wanted);
                aliased.or_else(named).and_then(|at| list.get(at))
            }
            _ => None,
        };
        let e = meant.map_or(e, |(e, _)| e);
        self.writer().key(e)
    }

    /// An item of GROUP BY, which may be several sets of them.
    fn grouping(
        &self,
        e: &Expr,
        list: &[(Expr, Option<String>)],
        columns: Option<&[String]>,
    ) -> Option<String> {
        let keys = |set: &[Expr]| {
            let keys: Option<Vec<String>> =
                set.iter().map(|e| self.key(e, list, columns)).collect();
            Some(keys?.join(", "))
        };
        let part = |set: &Vec<Expr>| match set.as_slice() {
            [one] => keys(std::slice::from_ref(one)),
            set => Some(format!("({})", keys(set)?)),
        };
        let set = |set: &Vec<Expr>| match set.as_slice() {
            [one @ (Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) | Expr::Tuple(_))] => {
                self.grouping(one, list, columns)
            }
            set => Some(format!("({})", keys(set)?)),
        };
        let joined = |parts: Option<Vec<String>>| Some(parts?.join(", "));
        Some(match e {
            Expr::Rollup(sets) => format!("ROLLUP({})", joined(sets.iter().map(part).collect())?),
            Expr::Cube(sets) => format!("CUBE({})", joined(sets.iter().map(part).collect())?),
            Expr::GroupingSets(sets) => {
                format!("GROUPING SETS ({})", joined(sets.iter().map(set).collect())?)
            }
            Expr::Tuple(fields) => format!("({})", keys(fields)?),
            e => self.key(e, list, columns)?,
        })
    }

    fn set_heading(&self, list: &[(Expr, Option<String>)]) {
        let binder = self.binder.borrow();
        let named = |(e, alias): &(Expr, Option<String>)| {
            alias.clone().unwrap_or_else(|| binder.column_name(e))
        };
        self.heading.borrow_mut().get_or_insert_with(|| list.iter().map(named).collect());
    }

    fn windows(&self, select: &Select) -> Option<String> {
        if select.named_window.is_empty() {
            return Some(String::new());
        }
        let window = |ast::NamedWindowDefinition(name, window): &ast::NamedWindowDefinition| {
            let NamedWindowExpr::WindowSpec(spec) = window else { return None };
            let name = names::quote(&name::ident(name));
            Some(format!("{name} AS ({})", self.writer().window(spec)?))
        };
        let windows: Option<Vec<String>> = select.named_window.iter().map(window).collect();
        Some(format!("{}WINDOW {}", self.line(2), windows?.join(", ")))
    }
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
