//! UPDATE and DELETE.

mod changer;
mod instead;
mod lift;
mod prepare;
mod select;

use std::cell::OnceCell;
use std::sync::Arc;

use datafusion::logical_expr::Expr as Plan;
use sqlparser::ast::{
    self, Assignment, Expr, FromTable, Ident, SelectItem, TableFactor, TableWithJoins,
    UpdateTableFromKind,
};
use vicinity_storage::catalog::model::{Privileges, Relation};
use vicinity_types::{Datum, Kind, PgError, Result, SqlState, oid};

use super::super::after::Queue;
use super::super::name;
use super::super::triggers::{Event, Triggers};
use super::insert::may_wait_below;
use super::layout::{Layout, columns};
use super::leaf::Leaf;
use super::returning::Returning;
use super::route::{Leaves, Router};
use super::rules::Rules;
use super::shown::Shown;
use super::target::target;
use super::{DmlPlan, Kind as PlanKind};
use crate::bind::{Binder, Scope};
use crate::call::{PgType, Typed};
use crate::context::ExecContext;
use crate::query::QueryPlan;
use crate::row::{Compiler, Node};
use crate::rows::{Collect, RowSink};
use crate::sql;
use crate::uses::Use;
pub(super) use changer::{At, Changer};
use prepare::Preparer;
pub(super) use select::{aliases, all_of, select};

/// Rows found before they are changed.
const CHUNK: usize = 512;

/// Where new values come from.
pub(super) enum Values {
    /// The row itself: the query gives only its id.
    Row { nodes: Vec<(usize, Node)>, recheck: Option<Node>, filtered: bool, cells: usize },
    /// The query's columns behind the id.
    Query { nodes: Vec<(usize, Node)> },
}

impl Values {
    /// What a row itself gives its columns, and what the query gives beside it.
    pub(super) fn of_row(nodes: Vec<(usize, Node)>) -> Values {
        Values::Row { nodes, recheck: None, filtered: false, cells: 0 }
    }

    /// Whether they may take any time.
    fn run_statements(&self) -> bool {
        let (Values::Row { nodes, .. } | Values::Query { nodes }) = self;
        nodes.iter().any(|(_, node)| node.runs_statements())
    }

    /// The columns that get values.
    fn assigned(&self) -> Vec<usize> {
        let (Values::Row { nodes, .. } | Values::Query { nodes }) = self;
        nodes.iter().map(|(at, _)| *at).collect()
    }
}

/// A prepared UPDATE or DELETE.
pub(super) struct Change {
    /// The target itself.
    leaf: Arc<Leaf>,
    /// The tables that inherit from it, where they are meant too.
    family: Option<Arc<Family>>,
    /// `WHERE CURRENT OF`: the cursor's name.
    cursor: Option<Node>,
    delete: bool,
    plan: Arc<QueryPlan>,
    values: Values,
    /// Columns of the query's rows that RETURNING may read, after the id and the new values.
    beside: std::ops::Range<usize>,
    returning: Option<Returning>,
    shown: Shown,
}

/// The tables a change finds its rows in: the query gives the table behind the row's id.
pub(super) struct Family {
    pub(super) leaves: Leaves,
    /// Where rows go that are not their partition's any more.
    router: Option<Router>,
}

impl Family {
    pub(super) fn new(
        ctx: &ExecContext,
        relation: &Arc<Relation>,
        assigned: &[usize],
    ) -> Result<Family> {
        let router = Router::of(ctx, relation)?;
        Ok(Family { leaves: Leaves::new(relation, assigned), router })
    }
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

fn prepare(ctx: &ExecContext, binder: &mut Binder<'_>, p: &Parts<'_>) -> Result<DmlPlan> {
    let TableFactor::Table { name: given, alias, args: None, .. } = p.target else {
        return Err(PgError::unsupported(format!("{} of this target", p.verb)));
    };
    let event = if p.assignments.is_some() { Event::Update } else { Event::Delete };
    let relation = target(ctx, given, event)?;
    let is_view = relation.table().is_none();
    if is_view && p.cursor.is_some() {
        let text = "WHERE CURRENT OF on a view is not implemented";
        return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text));
    }
    let rules = Rules::new(ctx, &relation)?;
    let alias = alias.as_ref().map(|a| name::ident(&a.name));
    let layout = Layout::of_table(&ctx.catalog, &relation, alias.as_deref())?;
    let qualifier = Ident::with_quote('"', alias.as_deref().unwrap_or(&relation.name));
    let id = |own: &str| {
        let parts = vec![qualifier.clone(), Ident::with_quote('"', own)];
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts))
    };
    let whole = !sql::is_only(given) && ctx.catalog.has_children(relation.oid);
    let types = rules.types.clone();
    let (ids, id_types) = match (is_view, whole) {
        (true, _) => (columns(&relation).iter().map(|c| id(&c.name)).collect(), types.clone()),
        (_, true) => {
            (vec![id("ctid"), id("tableoid")], [oid::TID, oid::OID].map(PgType::new).into())
        }
        (_, false) => (vec![id("ctid")], vec![PgType::new(oid::TID)]),
    };
    let me = Preparer { ctx, parts: p, relation: &relation, types, ids, id_types, qualifier };
    let cursor = p.cursor.map(|name| cursor_name(binder, name));
    // If it comes to nothing, the names are the next one's.
    let by_row = |binder: &mut Binder<'_>| me.by_row(binder, &layout);
    let made = if p.from.is_empty() && !is_view { binder.looking(by_row)? } else { None };
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
    let needs = if p.assignments.is_some() { Privileges::UPDATE } else { Privileges::DELETE };
    let assigned = made.values.assigned();
    let columns = assigned.iter().filter_map(|at| i16::try_from(at + 1).ok()).collect();
    binder.uses().add(Use::write(relation.oid, needs, columns));
    let short = made.plan.is_short()
        && !made.values.run_statements()
        && !rules.run_statements()
        && !made.returning.as_ref().is_some_and(Returning::runs_statements)
        && (!whole || !may_wait_below(ctx, &relation));
    let columns = made.columns;
    let family = match whole {
        true => Some(Arc::new(Family::new(ctx, &relation, &assigned)?)),
        false => None,
    };
    let change = Change {
        leaf: Arc::new(Leaf::over(ctx, rules, &assigned)?),
        family,
        cursor,
        delete: p.assignments.is_none(),
        plan: Arc::new(made.plan),
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
        uses: super::Uses::default(),
        families: false,
    })
}

impl Change {
    /// What finds its rows.
    pub(super) fn query(&self) -> &QueryPlan {
        &self.plan
    }

    /// One that is done to rows found elsewhere, by a query like `plan`.
    pub(super) fn new(
        leaf: Arc<Leaf>,
        family: Option<Arc<Family>>,
        delete: bool,
        plan: Arc<QueryPlan>,
        values: Values,
        beside: std::ops::Range<usize>,
    ) -> Change {
        let (cursor, returning, shown) = (None, None, Shown::new(None));
        Change { leaf, family, cursor, delete, plan, values, beside, returning, shown }
    }

    pub(super) fn deletes(&self) -> bool {
        self.delete
    }

    pub(super) fn family(&self) -> Option<&Family> {
        self.family.as_deref()
    }

    /// The values that a row of the query has beside the target's.
    fn beside<'r>(&self, found: &'r [Datum]) -> &'r [Datum] {
        found.get(self.beside.clone()).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &'static str {
        if self.delete { "DELETE" } else { "UPDATE" }
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.leaf.rules
    }

    /// What fires for the statement.
    pub(super) fn triggers(&self) -> Option<&Arc<Triggers>> {
        if self.delete { self.leaf.delete.as_ref() } else { self.leaf.update.as_ref() }
    }

    pub(super) fn plan(&self) -> &QueryPlan {
        &self.plan
    }

    pub(super) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// `WHERE CURRENT OF`: the name that was written.
    pub(super) fn cursor_name(&self) -> Option<&str> {
        match &self.cursor {
            Some(Node::Const(Datum::Text(name))) => Some(name),
            _ => None,
        }
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
        if self.leaf.table_if_any().is_none() {
            return self.run_instead(ctx, params, sink, queue);
        }
        let cells = match &self.values {
            Values::Row { cells, .. } => *cells,
            Values::Query { .. } => 0,
        };
        let once = vec![OnceCell::new(); cells];
        let mut me = Changer::new(ctx, params, once, sink, queue);
        if let Some(t) = self.triggers() {
            t.before_statement(ctx)?;
        }
        let current = self.cursor.as_ref().map(|name| me.current(self, name)).transpose()?;
        match (current, &self.values) {
            (Some(None), _) => return me.finish(self),
            (Some(Some((table, id))), Values::Row { .. }) => {
                me.one(self, vec![Datum::Tid(id), Datum::Oid(table)])?;
                return me.finish(self);
            }
            _ => {}
        }
        let mut cursor = self.plan.open(ctx.clone(), params.to_vec())?;
        loop {
            let mut found = Collect::default();
            let done = cursor.fill(&mut found, CHUNK)?.done;
            for row in found.rows {
                let on_it = |(table, id)| {
                    matches!(row.first(), Some(Datum::Tid(found)) if *found == id)
                        && (self.family.is_none()
                            || matches!(row.get(1), Some(Datum::Oid(of)) if *of == table))
                };
                if current.flatten().is_none_or(on_it) {
                    me.one(self, row)?;
                }
            }
            if done {
                return me.finish(self);
            }
            ctx.check()?;
        }
    }
}
