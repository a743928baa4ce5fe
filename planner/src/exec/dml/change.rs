//! UPDATE and DELETE.

use std::cell::OnceCell;
use std::sync::Arc;

use datafusion::logical_expr::Expr as Plan;
use sqlparser::ast::{
    self, Assignment, AssignmentTarget, Expr, FromTable, Ident, Query, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement as Ast, TableFactor, TableWithJoins,
    UpdateTableFromKind, WildcardAdditionalOptions,
};
use vicinity_storage::catalog::model::{Identity, Relation};
use vicinity_storage::{RowId, Snapshot, Table, Write, pin};
use vicinity_types::{Datum, Kind, PgError, Result, SqlState, oid};

use super::super::foreign::Queue;
use super::super::name;
use super::super::triggers::{Event, Row as Triggers};
use super::insert::{is_default, place, target};
use super::layout::{Layout, extend, table_def};
use super::returning::{self, Returning};
use super::rules::{Rules, bind_default};
use super::shown::Shown;
use super::{DmlPlan, Kind as PlanKind};
use crate::bind::{Binder, Scope};
use crate::call::{PgType, Typed};
use crate::context::ExecContext;
use crate::query::QueryPlan;
use crate::row::{Compiler, Frame, Node, RowRef};
use crate::rows::{Collect, OutputColumn, RowSink};
use crate::sql::{self, Statement};

/// Rows found before they are changed.
const CHUNK: usize = 512;

/// One column's new value.
pub(super) struct Assign {
    at: usize,
    value: Typed,
}

impl Assign {
    pub(super) fn into_pair(self) -> (usize, Typed) {
        (self.at, self.value)
    }
}

/// Where new values come from.
enum Values {
    /// The row itself: the query gives only its id.
    Row { nodes: Vec<(usize, Node)>, recheck: Option<Node>, filtered: bool, cells: usize },
    /// The query's columns behind the id.
    Query { nodes: Vec<(usize, Node)> },
}

/// A prepared UPDATE or DELETE.
pub(super) struct Change {
    rules: Rules,
    /// `WHERE CURRENT OF`: the cursor's name.
    cursor: Option<Node>,
    delete: bool,
    plan: QueryPlan,
    values: Values,
    /// Columns of the query's rows that RETURNING may read, after the id and the new values.
    beside: std::ops::Range<usize>,
    returning: Option<Returning>,
    shown: Shown,
}

/// What both statements have.
struct Parts<'s> {
    verb: &'static str,
    target: &'s TableFactor,
    from: Vec<TableWithJoins>,
    selection: Option<&'s Expr>,
    /// `WHERE CURRENT OF`
    cursor: Option<&'s Ident>,
    returning: Option<&'s [SelectItem]>,
    assignments: Option<&'s [Assignment]>,
}

pub(super) fn prepare_update(
    ctx: &ExecContext,
    binder: &mut Binder<'_>,
    u: &ast::Update,
) -> Result<DmlPlan> {
    if u.or.is_some() || !u.order_by.is_empty() || u.limit.is_some() || u.output.is_some() {
        return Err(PgError::unsupported("UPDATE ... ORDER BY or LIMIT"));
    }
    if !u.table.joins.is_empty() {
        return Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"join\""));
    }
    let from = match &u.from {
        None => Vec::new(),
        Some(UpdateTableFromKind::BeforeSet(f) | UpdateTableFromKind::AfterSet(f)) => f.clone(),
    };
    let parts = Parts {
        verb: "UPDATE",
        target: &u.table.relation,
        from,
        selection: u.selection.as_ref().filter(|s| current_of(s).is_none()),
        cursor: u.selection.as_ref().and_then(current_of),
        returning: u.returning.as_deref(),
        assignments: Some(&u.assignments),
    };
    prepare(ctx, binder, &parts)
}

pub(super) fn prepare_delete(
    ctx: &ExecContext,
    binder: &mut Binder<'_>,
    d: &ast::Delete,
) -> Result<DmlPlan> {
    if !d.tables.is_empty() || !d.order_by.is_empty() || d.limit.is_some() || d.output.is_some() {
        return Err(PgError::unsupported("DELETE ... ORDER BY or LIMIT"));
    }
    let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &d.from;
    let [one] = tables.as_slice() else {
        return Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \",\""));
    };
    if !one.joins.is_empty() {
        return Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"join\""));
    }
    let parts = Parts {
        verb: "DELETE",
        target: &one.relation,
        from: d.using.clone().unwrap_or_default(),
        selection: d.selection.as_ref().filter(|s| current_of(s).is_none()),
        cursor: d.selection.as_ref().and_then(current_of),
        returning: d.returning.as_deref(),
        assignments: None,
    };
    prepare(ctx, binder, &parts)
}

/// The cursor of `CURRENT OF`, which is a condition of its own.
fn current_of(selection: &Expr) -> Option<&Ident> {
    match selection {
        Expr::Prefixed { prefix, value } if prefix.value == sql::CURRENT_OF => match &**value {
            Expr::Identifier(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// A cursor's name: a variable's value where there is a variable of that name.
fn cursor_name(binder: &mut Binder<'_>, given: &Ident) -> Typed {
    let variable = binder.expr_over(&Expr::Identifier(given.clone()), &Scope::empty());
    let held_as_text = |v: &Typed| v.ty.kind == Kind::Text;
    variable.ok().filter(held_as_text).unwrap_or_else(|| {
        let name = datafusion::prelude::lit(name::ident(given));
        Typed::new(name, PgType::new(oid::TEXT))
    })
}

fn check_assignable(relation: &Relation, at: usize) -> Result<()> {
    let Some(c) = table_def(relation)?.columns.get(at) else { return Ok(()) };
    let detail = if c.identity == Some(Identity::Always) {
        format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", c.name)
    } else if c.generated.is_some() {
        format!("Column \"{}\" is a generated column.", c.name)
    } else {
        return Ok(());
    };
    Err(PgError::new(
        SqlState::GENERATED_ALWAYS,
        format!("column \"{}\" can only be updated to DEFAULT", c.name),
    )
    .detail(detail))
}

/// Single assignments: `(a, b) = (1, 2)` taken apart.
fn assignments_of(list: &[Assignment]) -> Result<Vec<(&ast::ObjectName, &Expr)>> {
    let mut out = Vec::new();
    for a in list {
        match (&a.target, &a.value) {
            (AssignmentTarget::ColumnName(own), value) => out.push((own, value)),
            (AssignmentTarget::Tuple(names), Expr::Tuple(values)) => {
                if names.len() != values.len() {
                    return Err(PgError::new(
                        SqlState::SYNTAX_ERROR,
                        "number of columns does not match number of values",
                    ));
                }
                out.extend(names.iter().zip(values));
            }
            (AssignmentTarget::Tuple(names), Expr::Nested(value)) if names.len() == 1 => {
                out.extend(names.iter().map(|n| (n, &**value)));
            }
            _ => return Err(PgError::unsupported("multiple-column assignment from this source")),
        }
    }
    Ok(out)
}

/// The columns assigned to, each once; `None` for DEFAULT.
fn targets<'s>(
    relation: &Relation,
    list: &'s [Assignment],
) -> Result<Vec<(usize, Option<&'s Expr>)>> {
    let mut out: Vec<(usize, Option<&Expr>)> = Vec::new();
    for (own, value) in assignments_of(list)? {
        let at = place(relation, own)?;
        if out.iter().any(|(have, _)| *have == at) {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("multiple assignments to same column \"{}\"", name::last(own)),
            ));
        }
        if is_default(value) {
            out.push((at, None));
            continue;
        }
        check_assignable(relation, at)?;
        out.push((at, Some(value)));
    }
    Ok(out)
}

fn default_value(ctx: &ExecContext, relation: &Relation, at: usize, ty: PgType) -> Result<Typed> {
    match bind_default(ctx, relation, at)? {
        Some(value) => Ok(value),
        None => Ok(Typed::new(crate::call::literal(&Datum::Null, ty)?, ty)),
    }
}

/// Binds SET over a scope.
pub(super) fn bind_assignments(
    ctx: &ExecContext,
    binder: &mut Binder<'_>,
    relation: &Relation,
    types: &[PgType],
    list: &[Assignment],
    scope: &Scope,
) -> Result<Vec<Assign>> {
    let mut out = Vec::new();
    for (at, value) in targets(relation, list)? {
        let Some(ty) = types.get(at).copied() else { continue };
        let value = match value {
            None => default_value(ctx, relation, at, ty)?,
            Some(e) => {
                let own = table_def(relation)?.columns.get(at).map_or("", |c| c.name.as_str());
                let value = binder.expr_over(e, scope)?;
                binder.coerce_assign(value, ty, own).map_err(|x| x.or_at(name::position(e)))?
            }
        };
        out.push(Assign { at, value });
    }
    Ok(out)
}

/// `SELECT items FROM from WHERE selection`, as syntax.
fn select(
    items: Vec<SelectItem>,
    from: Vec<TableWithJoins>,
    selection: Option<&Expr>,
) -> Result<Query> {
    let parsed = sql::parse("select 1")?.pop().map(|p| p.stmt);
    let Some(Statement::Sql(stmt)) = parsed else {
        return Err(PgError::internal("no template"));
    };
    let Ast::Query(mut query) = *stmt else { return Err(PgError::internal("no template")) };
    if let SetExpr::Select(select) = &mut *query.body {
        select.projection = items;
        select.from = from;
        select.selection = selection.cloned();
    }
    Ok(*query)
}

/// The names FROM's items go by.
fn aliases(from: &[TableWithJoins]) -> Result<Vec<Ident>> {
    fn factor(f: &TableFactor, out: &mut Vec<Ident>) -> Result<()> {
        match f {
            TableFactor::Table { alias: Some(a), .. }
            | TableFactor::Derived { alias: Some(a), .. }
            | TableFactor::Function { alias: Some(a), .. }
            | TableFactor::UNNEST { alias: Some(a), .. }
            | TableFactor::NestedJoin { alias: Some(a), .. } => out.push(a.name.clone()),
            TableFactor::Table { name: own, .. } => {
                out.push(Ident::with_quote('"', name::last(own)))
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                walk(std::slice::from_ref(table_with_joins), out)?;
            }
            _ => return Err(PgError::unsupported("RETURNING beside an item without a name")),
        }
        Ok(())
    }
    fn walk(from: &[TableWithJoins], out: &mut Vec<Ident>) -> Result<()> {
        for t in from {
            factor(&t.relation, out)?;
            for j in &t.joins {
                factor(&j.relation, out)?;
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    walk(from, &mut out)?;
    Ok(out)
}

fn all_of(alias: &Ident) -> SelectItem {
    let own = ast::ObjectName(vec![ast::ObjectNamePart::Identifier(alias.clone())]);
    SelectItem::QualifiedWildcard(
        SelectItemQualifiedWildcardKind::ObjectName(own),
        WildcardAdditionalOptions::default(),
    )
}

fn output(columns: &[crate::bind::OutputColumn]) -> Vec<OutputColumn> {
    columns.iter().map(|c| OutputColumn::computed(c.name.clone(), c.ty)).collect()
}

fn prepare(ctx: &ExecContext, binder: &mut Binder<'_>, p: &Parts<'_>) -> Result<DmlPlan> {
    let TableFactor::Table { name: given, alias, args: None, .. } = p.target else {
        return Err(PgError::unsupported(format!("{} of this target", p.verb)));
    };
    let relation = target(ctx, given, p.verb)?;
    let rules = Rules::new(ctx, &relation)?;
    let alias = alias.as_ref().map(|a| name::ident(&a.name));
    let layout = Layout::of_table(&ctx.catalog, &relation, alias.as_deref())?;
    let qualifier = Ident::with_quote('"', alias.as_deref().unwrap_or(&relation.name));
    let ctid = Expr::CompoundIdentifier(vec![qualifier, Ident::new("ctid")]);
    let me = Preparer {
        ctx,
        parts: p,
        relation: &relation,
        types: rules.types.clone(),
        id: SelectItem::UnnamedExpr(ctid),
    };
    let cursor = p.cursor.map(|name| cursor_name(binder, name));
    let made = if p.from.is_empty() { me.by_row(binder, &layout)? } else { None };
    let made = match made {
        Some(made) => made,
        None => me.by_query(binder, layout)?,
    };
    let cursor = match cursor {
        Some(name) => {
            let kinds = me.kinds(&made.params);
            let mut compiler = Compiler::new(crate::row::Scope::empty(), kinds);
            Some(compiler.compile(&name.expr, Kind::Text)?)
        }
        None => None,
    };
    let short = made.plan.is_short() && !super::insert::has_triggers(ctx, &relation);
    let columns = made.columns;
    let change = Change {
        rules,
        cursor,
        delete: p.assignments.is_none(),
        plan: made.plan,
        values: made.values,
        beside: made.beside,
        returning: made.returning,
        shown: Shown { given: made.given, ..Shown::new(alias) },
    };
    Ok(DmlPlan {
        kind: PlanKind::Change(Box::new(change)),
        params: made.params,
        columns,
        short,
        parts: super::Parts::default(),
    })
}

struct Made {
    plan: QueryPlan,
    values: Values,
    beside: std::ops::Range<usize>,
    returning: Option<Returning>,
    columns: Option<Vec<OutputColumn>>,
    params: Vec<u32>,
    /// New values of the row itself, for EXPLAIN.
    given: Vec<(usize, Typed)>,
}

struct Preparer<'a> {
    ctx: &'a ExecContext,
    parts: &'a Parts<'a>,
    relation: &'a Arc<Relation>,
    types: Vec<PgType>,
    id: SelectItem,
}

/// Whether an error only says that the row lane cannot do it.
fn beyond(e: &PgError) -> bool {
    e.code() == SqlState::FEATURE_NOT_SUPPORTED
}

impl Preparer<'_> {
    fn from(&self) -> Vec<TableWithJoins> {
        let own = TableWithJoins { relation: self.parts.target.clone(), joins: Vec::new() };
        std::iter::once(own).chain(self.parts.from.iter().cloned()).collect()
    }

    fn kinds(&self, params: &[u32]) -> Vec<Kind> {
        params.iter().map(|p| self.ctx.catalog.kind_of(*p)).collect()
    }

    /// New values computed from the row alone; `None` if they are beyond the row lane.
    fn by_row(&self, binder: &mut Binder<'_>, layout: &Layout) -> Result<Option<Made>> {
        let p = self.parts;
        let query = select(vec![self.id.clone()], self.from(), p.selection)?;
        let bound = binder.query_into(&query, &[PgType::new(oid::TID)])?;
        let scope = layout.scope();
        let assigns = match p.assignments {
            Some(list) => {
                bind_assignments(self.ctx, binder, self.relation, &self.types, list, scope)?
            }
            None => Vec::new(),
        };
        // Subqueries in the condition are the query's; looking again asks the query again then.
        let recheck = match p.selection {
            Some(e) => binder.condition_over(e, scope, "WHERE").ok(),
            None => None,
        };
        let returning = match p.returning {
            Some(items) => Some(returning::bind(binder, items, scope)?),
            None => None,
        };
        let params = binder.finish_params()?;
        let kinds = self.kinds(&params);
        let mut compiler = Compiler::new(layout.values(), kinds.clone());
        let mut nodes = Vec::new();
        for a in &assigns {
            match compiler.compile(&a.value.expr, a.value.ty.kind) {
                Ok(node) => nodes.push((a.at, node)),
                Err(e) if beyond(&e) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
        let recheck = recheck.and_then(|c| compiler.condition(&c.expr).ok());
        let cells = compiler.once_cells();
        let columns = returning.as_ref().map(|r| r.columns.clone());
        let returning = returning.map(|r| r.compile(layout, &kinds)).transpose()?;
        let plan = QueryPlan::new(self.ctx, bound.plan, output(&bound.columns), &params)?;
        let filtered = p.selection.is_some();
        let values = Values::Row { nodes, recheck, filtered, cells };
        let given = assigns.into_iter().map(Assign::into_pair).collect();
        Ok(Some(Made { plan, values, beside: 0..0, returning, columns, params, given }))
    }

    /// New values computed by the query that finds the rows.
    fn by_query(&self, binder: &mut Binder<'_>, mut layout: Layout) -> Result<Made> {
        let p = self.parts;
        let mut items = vec![self.id.clone()];
        let mut wanted = vec![PgType::new(oid::TID)];
        let list = match p.assignments {
            Some(list) => targets(self.relation, list)?,
            None => Vec::new(),
        };
        for (at, value) in &list {
            if let (Some(e), Some(ty)) = (value, self.types.get(*at)) {
                items.push(SelectItem::UnnamedExpr((*e).clone()));
                wanted.push(*ty);
            }
        }
        let first = items.len();
        let mut end = first;
        if p.returning.is_some() {
            for alias in aliases(&p.from)? {
                let probe = select(vec![all_of(&alias)], self.from(), None)?;
                let columns = binder.query_into(&probe, &[])?.columns;
                let columns: Vec<(String, PgType)> =
                    columns.into_iter().map(|c| (c.name, c.ty)).collect();
                end += columns.len();
                layout.add_columns(&name::ident(&alias), &columns);
                items.push(all_of(&alias));
            }
        }
        let query = select(items, self.from(), p.selection)?;
        let bound = binder.query_into(&query, &wanted)?;
        let mut values = Vec::new();
        let mut next = 1;
        for (at, value) in &list {
            let Some(ty) = self.types.get(*at).copied() else { continue };
            if value.is_none() {
                values.push((*at, default_value(self.ctx, self.relation, *at, ty)?));
                continue;
            }
            let own = table_def(self.relation)?.columns.get(*at).map_or("", |c| c.name.as_str());
            let Some(column) = bound.columns.get(next) else { continue };
            let (qualifier, field) = bound.plan.schema().qualified_field(next);
            let given = Typed::new(Plan::Column((qualifier, field).into()), column.ty);
            values.push((*at, binder.coerce_assign(given, ty, own)?));
            next += 1;
        }
        let returning = match p.returning {
            Some(items) => Some(returning::bind(binder, items, layout.scope())?),
            None => None,
        };
        let params = binder.finish_params()?;
        let kinds = self.kinds(&params);
        let schema = bound.plan.schema().clone();
        let columns = schema.iter().zip(&bound.columns);
        let columns = columns.map(|((q, f), c)| (q, f.name().as_str(), c.ty.kind));
        let mut compiler = Compiler::new(crate::row::Scope::values(columns), kinds.clone());
        let nodes = values
            .iter()
            .map(|(at, v)| Ok((*at, compiler.compile(&v.expr, v.ty.kind)?)))
            .collect::<Result<Vec<_>>>()?;
        let columns = returning.as_ref().map(|r| r.columns.clone());
        let returning = returning.map(|r| r.compile(&layout, &kinds)).transpose()?;
        let plan = QueryPlan::new(self.ctx, bound.plan, output(&bound.columns), &params)?;
        Ok(Made {
            plan,
            values: Values::Query { nodes },
            beside: first..end,
            returning,
            columns,
            params,
            given: Vec::new(),
        })
    }
}

/// One execution.
struct Changer<'a> {
    change: &'a Change,
    ctx: &'a ExecContext,
    params: &'a [Datum],
    table: Arc<Table>,
    triggers: Option<Triggers>,
    once: Vec<OnceCell<Datum>>,
    sink: &'a mut dyn RowSink,
    /// Keys for the statement's end.
    queue: &'a mut Queue,
    count: u64,
}

impl Change {
    pub(super) fn name(&self) -> &'static str {
        if self.delete { "DELETE" } else { "UPDATE" }
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn plan(&self) -> &QueryPlan {
        &self.plan
    }

    pub(super) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// RETURNING's list.
    pub(super) fn returned(&self) -> &[Plan] {
        self.returning.as_ref().map_or(&[], |r| &r.shown)
    }

    pub(super) fn run(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        sink: &mut dyn RowSink,
        queue: &mut Queue,
    ) -> Result<u64> {
        let table = ctx.engine.db.table(self.rules.relation.oid, &ctx.catalog)?;
        let event = if self.delete { Event::Delete } else { Event::Update };
        let triggers = Triggers::of(ctx, &self.rules.relation, event);
        let cells = match &self.values {
            Values::Row { cells, .. } => *cells,
            Values::Query { .. } => 0,
        };
        let once = vec![OnceCell::new(); cells];
        let mut me =
            Changer { change: self, ctx, params, table, triggers, once, sink, queue, count: 0 };
        let current = self.cursor.as_ref().map(|name| me.current(name)).transpose()?;
        if let (Some(current), Values::Row { .. }) = (&current, &self.values) {
            me.one(vec![Datum::Tid(*current)])?;
            return Ok(me.count);
        }
        let mut cursor = self.plan.open(ctx.clone(), params.to_vec())?;
        loop {
            let mut found = Collect::default();
            let done = cursor.fill(&mut found, CHUNK)?.done;
            for row in found.rows {
                let on_it = |id| matches!(row.first(), Some(Datum::Tid(found)) if *found == id);
                if current.is_none_or(on_it) {
                    me.one(row)?;
                }
            }
            if done {
                return Ok(me.count);
            }
            ctx.check()?;
        }
    }
}

impl Changer<'_> {
    fn frame<'f>(&'f self, row: &'f [Datum]) -> Frame<'f> {
        Frame { ctx: self.ctx, params: self.params, once: &self.once, row: RowRef::Values(row) }
    }

    /// The id of the row a cursor is on.
    fn current(&self, name: &Node) -> Result<RowId> {
        let name = match name.eval(&self.frame(&[]))? {
            Datum::Text(name) => name,
            _ => return Err(PgError::new(SqlState::INVALID_CURSOR_NAME, "cursor has no name")),
        };
        let portal = self.ctx.session.portals().find(&name)?;
        let Some(portal) = portal.try_lock() else {
            return Err(crate::portal::cannot_be_run(&name));
        };
        portal.current(&name, &self.change.rules.relation)
    }

    /// Changes one row that the query found.
    fn one(&mut self, mut found: Vec<Datum>) -> Result<()> {
        let Some(Datum::Tid(row)) = found.first() else { return Ok(()) };
        let row: RowId = *row;
        let mut snapshot = self.ctx.snapshot;
        loop {
            match self.write(row, &snapshot, &found)? {
                Write::Done | Write::Gone | Write::AlreadyMine => return Ok(()),
                Write::Concurrent => {}
            }
            // Somebody else committed a newer version: look at that one.
            snapshot = self.ctx.txn.snapshot();
            match self.again(row, &snapshot, found)? {
                Some(newer) => found = newer,
                None => return Ok(()),
            }
            self.ctx.check()?;
        }
    }

    /// Whether a newer version still passes; the query's row for it.
    fn again(
        &self,
        row: RowId,
        snapshot: &Snapshot,
        found: Vec<Datum>,
    ) -> Result<Option<Vec<Datum>>> {
        if let Values::Row { recheck, filtered, .. } = &self.change.values
            && (recheck.is_some() || !filtered)
        {
            let Some(condition) = recheck else { return Ok(Some(found)) };
            let Some(mut values) = self.fetch(row, snapshot) else { return Ok(None) };
            extend(&mut values, row, self.change.rules.relation.oid);
            return Ok(condition.passes(&self.frame(&values))?.then_some(found));
        }
        let ctx = ExecContext { snapshot: *snapshot, ..self.ctx.clone() };
        let mut cursor = self.change.plan.open(ctx.clone(), self.params.to_vec())?;
        loop {
            let mut rows = Collect::default();
            let done = cursor.fill(&mut rows, CHUNK)?.done;
            let same = |r: &Vec<Datum>| matches!(r.first(), Some(Datum::Tid(t)) if *t == row);
            if let Some(found) = rows.rows.into_iter().find(same) {
                return Ok(Some(found));
            }
            if done {
                return Ok(None);
            }
        }
    }

    fn fetch(&self, row: RowId, snapshot: &Snapshot) -> Option<Vec<Datum>> {
        let guard = pin();
        self.table.fetch(row, snapshot, &guard).map(|r| r.values())
    }

    fn write(&mut self, row: RowId, snapshot: &Snapshot, found: &[Datum]) -> Result<Write> {
        let change = self.change;
        let Some(old) = self.fetch(row, snapshot) else { return Ok(Write::Gone) };
        if change.delete {
            if let Some(t) = &self.triggers
                && t.before(self.ctx, Some(&old), None)?.is_none()
            {
                return Ok(Write::Done);
            }
            let write = self.table.delete(&self.ctx.txn, snapshot, row)?;
            if write == Write::Done {
                self.queue.deleted(self.ctx, &change.rules.keys, &old);
                if let Some(t) = &self.triggers {
                    t.after(self.ctx, Some(&old), None)?;
                }
                self.done(row, old, found)?;
            }
            return Ok(write);
        }
        let mut new = self.new_values(row, &old, found)?;
        if let Some(t) = &self.triggers {
            match t.before(self.ctx, Some(&old), Some(new))? {
                Some(changed) => new = changed,
                None => return Ok(Write::Done),
            }
        }
        change.rules.apply(self.ctx, &mut new)?;
        let write = self.table.update(&self.ctx.txn, snapshot, row, &new)?;
        if write == Write::Done {
            if !change.rules.keys.is_empty() {
                self.queue.updated(self.ctx, &change.rules.keys, &old, &new)?;
            }
            if let Some(t) = &self.triggers {
                t.after(self.ctx, Some(&old), Some(&new))?;
            }
            self.done(row, new, found)?;
        }
        Ok(write)
    }

    fn new_values(&self, row: RowId, old: &[Datum], found: &[Datum]) -> Result<Vec<Datum>> {
        let mut new = old.to_vec();
        let mut extended = old.to_vec();
        let (nodes, source) = match &self.change.values {
            Values::Row { nodes, .. } => {
                extend(&mut extended, row, self.change.rules.relation.oid);
                (nodes, extended.as_slice())
            }
            Values::Query { nodes } => (nodes, found),
        };
        let frame = self.frame(source);
        for (at, node) in nodes {
            let value = node.eval(&frame)?;
            if let Some(slot) = new.get_mut(*at) {
                *slot = value;
            }
        }
        Ok(new)
    }

    /// Counts a row and gives it to RETURNING.
    fn done(&mut self, row: RowId, mut values: Vec<Datum>, found: &[Datum]) -> Result<()> {
        self.count += 1;
        if let Some(returning) = &self.change.returning {
            extend(&mut values, row, self.change.rules.relation.oid);
            values.extend_from_slice(found.get(self.change.beside.clone()).unwrap_or_default());
            returning.emit(self.ctx, self.params, &values, self.sink)?;
        }
        Ok(())
    }
}
