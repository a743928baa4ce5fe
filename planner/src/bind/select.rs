//! SELECT.

use std::borrow::Cow;

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, Distinct, OrderByExpr, SelectItem};
use vicinity_functions::lacks;
use vicinity_types::{PgError, Result, SqlState, oid};

use super::from::no_string;
use super::limit::Limits;
use super::order::{OrderItem, column_of, first_of_group, key, order_item, sort, sorted};
use super::{Binder, Bound, OutputColumn, fold};
use crate::call::{PgType, Typed, internal};
use crate::resolve::Context;
use crate::sql::is_no_item;
use crate::sql::star::starred;

/// A column of the select list.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub name: String,
    pub value: Typed,
    pub table: u32,
    pub attr: i16,
}

/// An ORDER BY item, bound.
#[derive(Clone, Debug)]
pub(super) struct OrderKey {
    pub value: Typed,
    /// The output column it is, if it is one.
    pub output: Option<usize>,
    pub options: ast::OrderByOptions,
    pub place: Option<usize>,
}

impl Binder<'_> {
    pub(super) fn select(
        &mut self,
        select: &ast::Select,
        order: &[OrderByExpr],
        limits: Limits,
        targets: &[PgType],
    ) -> Result<Bound> {
        unsupported_clauses(select)?;
        self.level().recursing = false;
        let mut plan = self.from(&select.from)?;
        if let Some(condition) = &select.selection {
            plan = self.filter(plan, condition, "WHERE")?;
        }
        for window in &select.named_window {
            self.named_window(window)?;
        }
        self.level().sets_allowed = true;
        let mut list = self.targets(&select.projection, targets)?;
        let mut keys = self.order_keys(order, &list)?;
        let on = self.distinct_on(select.distinct.as_ref(), &list, &keys)?;
        self.level().sets_allowed = false;
        let having = match &select.having {
            Some(having) => {
                let place = self.place(having);
                let windows = self.level().no_windows.replace("HAVING");
                let bound = self.expr(having);
                self.level().no_windows = windows;
                Some(self.boolean(bound?, "HAVING", place)?)
            }
            None => None,
        };
        let groups = self.groups(&select.group_by, &list)?;
        self.check_locks(select, groups.is_some(), having.is_some(), &list, &keys)?;
        let mut on = on;
        plan = self.aggregated(plan, groups, having, &mut list, &mut keys, &mut on)?;
        plan = self.windowed(plan)?;
        self.finish(plan, select.distinct.as_ref(), list, keys, on, limits)
    }

    /// Where rows that come out are not rows of tables, there is nothing to lock.
    fn check_locks(
        &mut self,
        select: &ast::Select,
        grouped: bool,
        having: bool,
        list: &[Target],
        keys: &[OrderKey],
    ) -> Result<()> {
        let Some(lock) = self.level().locks.first().cloned() else { return Ok(()) };
        let pending = &self.level().pending;
        let exprs = list.iter().map(|t| &t.value.expr).chain(keys.iter().map(|k| &k.value.expr));
        let refused = [
            (
                matches!(select.distinct, Some(Distinct::Distinct | Distinct::On(_))),
                "DISTINCT clause",
            ),
            (grouped, "GROUP BY clause"),
            (having, "HAVING clause"),
            (exprs.clone().any(super::aggregate::contains_aggregate), "aggregate functions"),
            (!pending.windows.is_empty(), "window functions"),
            (!pending.sets.is_empty(), "set-returning functions in the target list"),
        ];
        match refused.iter().find(|(found, _)| *found) {
            Some((_, what)) => Err(lock.refuse(what)),
            None => Ok(()),
        }
    }

    pub(super) fn filter(
        &mut self,
        plan: LogicalPlan,
        condition: &ast::Expr,
        clause: &'static str,
    ) -> Result<LogicalPlan> {
        let place = self.place(condition);
        let bound = self.in_clause(clause, |me| me.expr(condition))?;
        let bound = self.boolean(bound, clause, place)?;
        LogicalPlanBuilder::from(plan)
            .filter(bound.expr)
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)
    }

    /// The select list, stars expanded.
    pub(super) fn targets(
        &mut self,
        items: &[SelectItem],
        targets: &[PgType],
    ) -> Result<Vec<Target>> {
        let mut list: Vec<Target> = Vec::new();
        for item in items {
            match item {
                SelectItem::UnnamedExpr(ast::Expr::Identifier(mark)) if is_no_item(mark) => {}
                SelectItem::Wildcard(_) => {
                    if self.level().scope.items.is_empty() {
                        return Err(PgError::new(
                            SqlState::SYNTAX_ERROR,
                            "SELECT * with no tables specified is not valid",
                        ));
                    }
                    let columns: Vec<_> = self.level().scope.star().cloned().collect();
                    columns.iter().for_each(|c| self.uses.add_column(c.table, c.attr));
                    list.extend(columns.into_iter().map(|c| Target {
                        value: c.typed(),
                        name: c.name,
                        table: c.table,
                        attr: c.attr,
                    }));
                }
                SelectItem::QualifiedWildcard(kind, _) => self.qualified_star(kind, &mut list)?,
                SelectItem::UnnamedExpr(expr) if let Some(row) = starred(expr) => {
                    self.row_star(&row, &mut list)?;
                }
                SelectItem::UnnamedExpr(expr) => {
                    let target = self.target(expr, None, targets.get(list.len()))?;
                    list.push(target);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    no_string(alias)?;
                    let target = self.target(expr, Some(fold(alias)), targets.get(list.len()))?;
                    list.push(target);
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(PgError::unsupported("several aliases"));
                }
            }
        }
        if list.len() > 1664 {
            return Err(PgError::new(
                SqlState::TOO_MANY_COLUMNS,
                "target lists can have at most 1664 entries",
            ));
        }
        Ok(list)
    }

    /// A list of expressions with `row.*` written out.
    pub(crate) fn spread<'e>(&mut self, list: &'e [ast::Expr]) -> Result<Cow<'e, [ast::Expr]>> {
        if !list.iter().any(|e| matches!(e, ast::Expr::QualifiedWildcard(..))) {
            return Ok(Cow::Borrowed(list));
        }
        let mut out = Vec::with_capacity(list.len());
        for expr in list {
            let ast::Expr::QualifiedWildcard(name, _) = expr else {
                out.push(expr.clone());
                continue;
            };
            let row = name.0.iter().filter_map(|part| part.as_ident().cloned());
            let row: Vec<ast::Ident> = row.collect();
            for (column, ..) in self.item_columns(name)? {
                let column = ast::Ident::with_quote('"', column);
                let parts = row.iter().cloned().chain([column]).collect();
                out.push(ast::Expr::CompoundIdentifier(parts));
            }
        }
        Ok(Cow::Owned(out))
    }

    fn qualified_star(
        &mut self,
        kind: &ast::SelectItemQualifiedWildcardKind,
        list: &mut Vec<Target>,
    ) -> Result<()> {
        match kind {
            ast::SelectItemQualifiedWildcardKind::ObjectName(name) => {
                let columns = self.item_columns(name)?;
                columns.iter().for_each(|(_, _, table, attr)| self.uses.add_column(*table, *attr));
                list.extend(columns.into_iter().map(|(name, value, table, attr)| Target {
                    name,
                    value,
                    table,
                    attr,
                }));
                Ok(())
            }
            ast::SelectItemQualifiedWildcardKind::Expr(expr) => self.row_star(expr, list),
        }
    }

    /// `(row).*`
    fn row_star(&mut self, row: &ast::Expr, list: &mut Vec<Target>) -> Result<()> {
        let place = self.place(row);
        let row = self.expr(row)?;
        let fields = self.row_fields(&row);
        if fields.is_empty() {
            return Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("type {} is not composite", self.types.name(row.ty.oid)),
            )
            .or_at(place));
        }
        let fields = self.spread_row(&row, fields).into_iter();
        list.extend(fields.map(|(name, value)| Target { name, value, table: 0, attr: 0 }));
        Ok(())
    }

    fn target(
        &mut self,
        expr: &ast::Expr,
        alias: Option<String>,
        target: Option<&PgType>,
    ) -> Result<Target> {
        let value = self.expr(expr)?;
        let value = match target {
            Some(ty) if value.ty.oid == oid::UNKNOWN => {
                let place = self.place(expr);
                self.coerce(value, *ty, Context::Assignment, place)?
            }
            _ if self.level().keep_unknown => value,
            _ => self.settled(value)?,
        };
        let (table, attr) = self.origin(&value.expr);
        let name = alias.unwrap_or_else(|| self.column_name(expr));
        Ok(Target { name, value, table, attr })
    }

    /// The table column an expression is, for RowDescription.
    fn origin(&mut self, expr: &Expr) -> (u32, i16) {
        let level = self.level();
        let all = level.scope.items.iter().flat_map(|i| &i.columns);
        all.filter(|c| c.expr == *expr).map(|c| (c.table, c.attr)).next().unwrap_or((0, 0))
    }

    fn order_keys(&mut self, order: &[OrderByExpr], list: &[Target]) -> Result<Vec<OrderKey>> {
        let names: Vec<String> = list.iter().map(|t| t.name.clone()).collect();
        let same = |a: usize, b: usize| {
            list.get(a).map(|t| &t.value.expr) == list.get(b).map(|t| &t.value.expr)
        };
        let mut keys = Vec::new();
        for item in order {
            if item.with_fill.is_some() {
                return Err(PgError::unsupported("WITH FILL"));
            }
            let place = self.place(&item.expr);
            let (value, output) = match order_item(&item.expr, &names, "ORDER BY", same)? {
                OrderItem::Output(i) => (list.get(i).map(|t| t.value.clone()), Some(i)),
                OrderItem::Expr(expr) => {
                    let value = self.expr(expr)?;
                    let value = self.settled(value)?;
                    let output = list.iter().position(|t| t.value.expr == value.expr);
                    (Some(value), output)
                }
            };
            if let Some(value) = value {
                self.orderable(&value).map_err(|e| e.or_at(place))?;
                keys.push(OrderKey { value, output, options: item.options, place });
            }
        }
        Ok(keys)
    }

    /// Types without a default btree order cannot be sorted.
    pub(super) fn orderable(&self, value: &Typed) -> Result<()> {
        if self.types.lacks_order(value.ty.oid) {
            return Err(lacks("an ordering operator", &self.types.name(value.ty.oid))
                .hint("Use an explicit ordering operator or modify the query."));
        }
        Ok(())
    }

    /// Values that cannot be told apart cannot be made distinct.
    pub(super) fn groupable(&self, ty: PgType) -> Result<()> {
        if self.types.lacks_order(ty.oid) {
            return Err(lacks("an equality operator", &self.types.name(ty.oid)));
        }
        Ok(())
    }

    fn distinct_on(
        &mut self,
        distinct: Option<&Distinct>,
        list: &[Target],
        keys: &[OrderKey],
    ) -> Result<Vec<Typed>> {
        let Some(Distinct::On(exprs)) = distinct else { return Ok(Vec::new()) };
        let names: Vec<String> = list.iter().map(|t| t.name.clone()).collect();
        let mut on: Vec<Typed> = Vec::new();
        let mut places = Vec::new();
        for expr in exprs {
            match order_item(expr, &names, "SELECT DISTINCT ON", |a, b| a == b)? {
                OrderItem::Output(i) => on.extend(list.get(i).map(|t| t.value.clone())),
                OrderItem::Expr(expr) => {
                    let value = self.expr(expr)?;
                    on.push(self.settled(value)?);
                }
            }
            places.push(self.place(expr));
        }
        // the rows are sorted once: what they are told apart by comes first
        let is_key = |key: &&OrderKey| on.iter().any(|o| o.expr == key.value.expr);
        let leading: Vec<&OrderKey> = keys.iter().take_while(is_key).collect();
        let late = on.iter().position(|o| leading.iter().all(|key| key.value.expr != o.expr));
        if leading.len() < keys.len()
            && let Some(late) = late
        {
            return Err(PgError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
            )
            .or_at(places.get(late).copied().flatten()));
        }
        on.iter().try_for_each(|value| self.groupable(value.ty))?;
        Ok(on)
    }

    /// Target list, DISTINCT, ORDER BY and LIMIT over what the rest gives.
    fn finish(
        &mut self,
        plan: LogicalPlan,
        distinct: Option<&Distinct>,
        list: Vec<Target>,
        mut keys: Vec<OrderKey>,
        on: Vec<Typed>,
        limits: Limits,
    ) -> Result<Bound> {
        let sets = std::mem::take(&mut self.level().pending.sets);
        let is_distinct = matches!(distinct, Some(Distinct::Distinct | Distinct::On(_)));
        let names = unique_names(&list);
        let columns = list
            .iter()
            .map(|t| OutputColumn {
                name: t.name.clone(),
                ty: t.value.ty,
                table: t.table,
                attr: t.attr,
            })
            .collect();
        let mut named: Vec<Expr> = list
            .iter()
            .zip(&names)
            .map(|(t, name)| t.value.expr.clone().alias(name.clone()))
            .collect();
        if !is_distinct && sets.is_empty() {
            // sorted and cut before the list is computed: what is cut off is never computed
            let plan = with_volatile_keys(plan, &mut keys, &mut named)?;
            let keys: Vec<_> = keys.into_iter().map(|k| (k.value, k.options)).collect();
            let plan = limits.ranked(plan, &keys)?;
            let sorts = keys.into_iter().map(|(value, options)| sort(value, &options)).collect();
            let plan = limits.cut(self.locked(sorted(plan, sorts)?)?)?;
            let plan = project(plan, named)?;
            return Ok(Bound { plan, columns });
        }
        let plan = super::srf::projected(self.locked(plan)?, sets)?;
        let mut exprs = named;
        let mut ordered: Vec<(Typed, ast::OrderByOptions)> = Vec::new();
        let extra = exprs.len();
        for (i, k) in keys.iter().enumerate() {
            let column = match k.output {
                Some(at) => names.get(at).map(|n| column_of(n, k.value.ty)),
                None if matches!(distinct, Some(Distinct::Distinct)) => {
                    return Err(PgError::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                    )
                    .or_at(k.place));
                }
                None => {
                    let name = format!("__order{i}");
                    let value = super::operator::order_value(k.value.clone());
                    let ty = value.ty;
                    exprs.push(value.expr.alias(name.clone()));
                    Some(column_of(&name, ty))
                }
            };
            if let Some(column) = column {
                ordered.push((column, k.options));
            }
        }
        let by = || ordered.iter().map(|(value, options)| sort(value.clone(), options)).collect();
        let mut on_columns = Vec::new();
        for (i, value) in on.into_iter().enumerate() {
            let name = format!("__on{i}");
            let ty = value.ty;
            exprs.push(value.expr.alias(name.clone()));
            on_columns.push(column_of(&name, ty));
        }
        let junk = exprs.len() > extra;
        let mut plan = project(plan, exprs)?;
        plan = match distinct {
            Some(Distinct::Distinct) => {
                list.iter().try_for_each(|target| self.groupable(target.value.ty))?;
                let bound = Bound { plan, columns };
                let bound = Self::distinct_rows(bound)?;
                let plan = limits.ranked(bound.plan, &ordered)?;
                let plan = limits.cut(sorted(plan, by())?)?;
                return Ok(Bound { plan, columns: bound.columns });
            }
            Some(Distinct::On(_)) => {
                let outputs: Vec<Typed> = plan
                    .schema()
                    .fields()
                    .iter()
                    .map(|f| column_of(f.name(), PgType::new(oid::TEXT)))
                    .collect();
                let keys = on_columns.into_iter().enumerate();
                let keys = keys.map(|(i, c)| key(c).alias(format!("__k{i}"))).collect();
                first_of_group(LogicalPlanBuilder::from(plan), keys, &outputs, by())?
            }
            _ => plan,
        };
        let plan = limits.ranked(plan, &ordered)?;
        let mut plan = limits.cut(sorted(plan, by())?)?;
        if junk {
            let visible = names.iter().map(|n| Expr::Column(Column::new_unqualified(n))).collect();
            plan = project(plan, visible)?;
        }
        Ok(Bound { plan, columns })
    }

    /// The name PostgreSQL gives an expression (`FigureColname`).
    pub(crate) fn column_name(&self, expr: &ast::Expr) -> String {
        self.figure(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
    }

    /// A name and how much it is worth: 2 a real name, 1 only if nothing better is around.
    fn figure(&self, expr: &ast::Expr) -> Option<(String, u8)> {
        use ast::Expr as E;
        let strong = |name: &str| Some((name.to_owned(), 2));
        match expr {
            E::Identifier(ident) => Some((fold(ident), 2)),
            E::CompoundIdentifier(idents) => idents.last().map(|i| (fold(i), 2)),
            E::CompoundFieldAccess { root, access_chain } => access_chain
                .iter()
                .rev()
                .find_map(|step| match step {
                    ast::AccessExpr::Dot(E::Identifier(ident)) => Some((fold(ident), 2)),
                    _ => None,
                })
                .or_else(|| self.figure(root)),
            E::Nested(inner) | E::Collate { expr: inner, .. } => self.figure(inner),
            E::Function(f) => super::name_parts(&f.name).pop().map(|n| (n, 2)),
            E::Cast { expr, data_type, .. } => match self.figure(expr) {
                Some((name, 2)) => Some((name, 2)),
                _ => self.type_column(data_type),
            },
            E::TypedString(t) => self.type_column(&t.data_type),
            E::Interval(_) => Some(("interval".to_owned(), 1)),
            E::Case { else_result, .. } => {
                match else_result.as_ref().and_then(|e| self.figure(e)) {
                    Some((name, 2)) => Some((name, 2)),
                    _ => Some(("case".to_owned(), 1)),
                }
            }
            E::Array(_) => strong("array"),
            E::Tuple(_) => strong("row"),
            E::Exists { negated: false, .. } => strong("exists"),
            E::Subquery(query) => match query.body.as_ref() {
                ast::SetExpr::Select(s) => match s.projection.first() {
                    Some(SelectItem::ExprWithAlias { alias, .. }) => Some((fold(alias), 2)),
                    Some(SelectItem::UnnamedExpr(e)) => self.figure(e),
                    _ => None,
                },
                _ => None,
            },
            E::BinaryOp { op: ast::BinaryOperator::Overlaps, .. } => strong("overlaps"),
            E::IsNormalized { negated: false, .. } => strong("is_normalized"),
            E::Extract { .. } => strong("extract"),
            E::Position { .. } => strong("position"),
            E::Substring { shorthand: true, .. } => strong("substr"),
            E::Substring { .. } => strong("substring"),
            E::Overlay { .. } => strong("overlay"),
            E::Ceil { .. } => strong("ceil"),
            E::Floor { .. } => strong("floor"),
            E::AtTimeZone { .. } => strong("timezone"),
            E::Trim { trim_where, .. } => strong(match trim_where {
                Some(ast::TrimWhereField::Leading) => "ltrim",
                Some(ast::TrimWhereField::Trailing) => "rtrim",
                _ => "btrim",
            }),
            _ => None,
        }
    }

    fn type_column(&self, ty: &ast::DataType) -> Option<(String, u8)> {
        let ty = self.resolve_type(ty).ok()?.oid;
        let ty = self.types.element(ty).unwrap_or(ty);
        let name = match vicinity_functions::type_by_oid(ty) {
            Some(info) => info.name.to_owned(),
            None => self.types.name(ty),
        };
        Some((name, 1))
    }
}

fn project(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .project(exprs)
        .and_then(LogicalPlanBuilder::build)
        .map_err(internal)
}

/// What comes out anew each time it is asked for is computed once for each row before the sort, behind the columns that
/// are there; an output that is sorted by is what it was sorted by.
fn with_volatile_keys(
    plan: LogicalPlan,
    keys: &mut [OrderKey],
    named: &mut [Expr],
) -> Result<LogicalPlan> {
    if !keys.iter().any(|k| k.value.expr.is_volatile()) {
        return Ok(plan);
    }
    let mut exprs: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    for (i, k) in keys.iter_mut().enumerate().filter(|(_, k)| k.value.expr.is_volatile()) {
        let name = format!("__order{i}");
        let column = column_of(&name, k.value.ty);
        let value = std::mem::replace(&mut k.value, column.clone());
        exprs.push(value.expr.alias(name));
        if let Some(Expr::Alias(output)) = k.output.and_then(|at| named.get_mut(at)) {
            *output.expr = column.expr;
        }
    }
    project(plan, exprs)
}

/// Names for a plan's columns: the visible ones, made unique.
fn unique_names(list: &[Target]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(list.len());
    let mut taken = std::collections::HashSet::new();
    for target in list {
        let mut name = target.name.clone();
        let mut n = 0;
        while !taken.insert(name.clone()) {
            n += 1;
            name = format!("{}_{n}", target.name);
        }
        names.push(name);
    }
    names
}

fn unsupported_clauses(select: &ast::Select) -> Result<()> {
    for (used, clause) in [
        (select.top.is_some(), "TOP"),
        (select.into.is_some(), "SELECT INTO"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (select.qualify.is_some(), "QUALIFY"),
        (select.value_table_mode.is_some(), "AS VALUE"),
        (select.exclude.is_some(), "EXCLUDE"),
    ] {
        if used {
            return Err(PgError::unsupported(clause));
        }
    }
    Ok(())
}
