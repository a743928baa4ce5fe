//! From a logical plan to the tree EXPLAIN shows.
//!
//! The tree says what runs, in PostgreSQL's words. Projections, filters and aliases are no nodes there:
//! they go down, as an [`Ask`], to the node that does their work. What nodes above refer to comes back
//! up as the node's items.

use std::cell::RefCell;
use std::collections::HashMap;

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, LogicalPlan};
use vicinity_types::{Datum, Kind};

use super::cost;
use super::cte::Given;
use super::deparse::{Deparse, Names};
use super::subplan::Subplans;
use super::tree::{Item, PlanNode, Style, Value};
use super::{Options, resolve};
use crate::bind::SubPlan;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::df::append::Append;
use crate::df::instrument::{self, JoinMethod};
use crate::df::lock_rows::LockRows;
use crate::df::project_set::ProjectSet;
use crate::df::unseen::Unseen;
use crate::df::window::Window;
use crate::measure::{Figures, Measure, Place, Stage};
use crate::parts::PartId;
use crate::push::family_scan::family_of;
use crate::push::lower::{scan_of, substitute};
use crate::query::QueryPlan;
use crate::row::RowPlan;

/// Builds the tree of a statement.
pub(super) struct Builder<'a> {
    pub(super) ctx: &'a ExecContext,
    pub(super) options: &'a Options,
    pub(super) measure: Option<&'a Measure>,
    types: HashMap<String, PgType>,
    /// More than one table is around.
    pub(super) several: bool,
    pub(super) subplans: RefCell<Subplans>,
    /// Plans are shown as they are made for all parameters.
    pub(super) generic: bool,
    /// What the target of a write is called if it has a family.
    pub(super) family: RefCell<Option<String>>,
    /// What the queries of WITH give.
    pub(super) ctes: RefCell<HashMap<PartId, Given>>,
}

/// One query: the statement's, or a subquery with a plan of its own.
pub(super) struct Level {
    place: Place,
    joins: HashMap<u32, JoinMethod>,
    /// Texts of its parameters.
    params: Vec<Option<String>>,
    /// Their values, as far as they are known, and how they are held.
    given: (Vec<Datum>, Vec<Kind>),
    /// Queries that run once, shown at its top.
    pub(super) inits: RefCell<Vec<PlanNode>>,
}

/// Where the builder is.
#[derive(Clone, Copy)]
pub(super) struct At<'l> {
    pub(super) level: &'l Level,
    node: u32,
    /// The row plan the node is part of.
    pub(super) row: Option<&'l RowPlan>,
}

impl<'l> At<'l> {
    /// The root of a level without a plan.
    pub(super) fn top(level: &'l Level) -> At<'l> {
        At { level, node: 0, row: None }
    }

    /// A child whose number is so much higher.
    pub(super) fn child(self, by: u32) -> At<'l> {
        At { node: self.node + by, ..self }
    }

    /// The same node where it counts for itself, whatever is above it.
    pub(super) fn alone(self) -> At<'l> {
        At { row: None, ..self }
    }

    /// The numbers of a node's children.
    fn children(self, plan: &LogicalPlan) -> Vec<At<'l>> {
        let mut next = 1;
        let mut out = Vec::new();
        for input in plan.inputs() {
            out.push(self.child(next));
            next += size(input);
        }
        out
    }

    /// The sort DataFusion puts below a node.
    pub(super) fn sort_below(self) -> At<'l> {
        At { node: self.node | instrument::SORT_BELOW, ..self }
    }

    /// What became of a join.
    pub(super) fn join(self) -> Option<JoinMethod> {
        self.level.joins.get(&self.node).copied()
    }
}

/// One of our own nodes.
fn extension<T: 'static>(plan: &LogicalPlan) -> Option<&T> {
    let LogicalPlan::Extension(e) = plan else { return None };
    e.node.as_any().downcast_ref()
}

/// Nodes of a plan.
fn size(plan: &LogicalPlan) -> u32 {
    1 + plan.inputs().into_iter().map(size).sum::<u32>()
}

/// What is wanted of a node.
#[derive(Clone, Default)]
pub(super) struct Ask<'l> {
    /// Its columns, over the plan's schema.
    pub(super) outputs: Vec<Expr>,
    /// Conditions on its rows.
    pub(super) filters: Vec<Expr>,
    /// The name of the subquery it is.
    pub(super) alias: Option<String>,
    /// The name it has where it is read.
    pub(super) reference: Option<String>,
    /// The topmost node whose work it does too.
    pub(super) outer: Option<At<'l>>,
    /// The node that has the filters.
    pub(super) filter: Option<At<'l>>,
    /// A LIMIT stands above.
    pub(super) limited: bool,
}

impl<'l> Ask<'l> {
    /// All columns of a plan.
    pub(super) fn all(schema: &DFSchema) -> Ask<'l> {
        let outputs = schema.iter().map(|(q, f)| Expr::Column((q, f).into())).collect();
        Ask { outputs, ..Ask::default() }
    }

    fn through(mut self, at: At<'l>, map: &dyn Fn(&Column) -> Option<Expr>) -> Ask<'l> {
        let keep = |exprs: Vec<Expr>| {
            exprs.into_iter().filter_map(|e| substitute(e, map).ok()).collect::<Vec<_>>()
        };
        self.outputs = keep(self.outputs);
        self.filters = keep(self.filters);
        self.outer = self.outer.or(Some(at));
        self
    }
}

/// The texts of the columns and parameters of one node's expressions.
struct Around<'b> {
    builder: &'b Builder<'b>,
    level: &'b Level,
    column: &'b dyn Fn(&Column) -> String,
    outer: &'b dyn Fn(&Column) -> String,
}

impl Names for Around<'_> {
    fn column(&self, column: &Column) -> String {
        (self.column)(column)
    }

    fn outer(&self, column: &Column) -> String {
        (self.outer)(column)
    }

    fn column_type(&self, column: &Column) -> Option<PgType> {
        self.builder.column_type(column)
    }

    fn parameter(&self, index: usize) -> Option<String> {
        self.level.params.get(index).cloned().flatten()
    }

    fn value(&self, index: usize) -> Option<Datum> {
        self.level.values().get(index).cloned()
    }

    fn subplan(&self, plan: &SubPlan, args: &[String]) -> String {
        self.builder.subplans.borrow_mut().text(plan, args)
    }
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        ctx: &'a ExecContext,
        options: &'a Options,
        measure: Option<&'a Measure>,
        plans: &[&LogicalPlan],
        exprs: &[Expr],
        tables: usize,
    ) -> Builder<'a> {
        let mut around = resolve::Around { tables, ..resolve::Around::default() };
        plans.iter().for_each(|p| around.see(p));
        exprs.iter().for_each(|e| around.see_expr(e));
        Builder {
            ctx,
            options,
            measure,
            types: around.types,
            several: around.tables > 1,
            subplans: RefCell::default(),
            generic: ctx.session.setting("plan_cache_mode").as_deref()
                == Some("force_generic_plan"),
            family: RefCell::default(),
            ctes: RefCell::default(),
        }
    }

    fn column_type(&self, column: &Column) -> Option<PgType> {
        let qualified = column.relation.as_ref().map(|r| format!("{}.{}", r.table(), column.name));
        let found = qualified.and_then(|name| self.types.get(&name));
        found.or_else(|| self.types.get(&column.name)).copied()
    }

    /// A constant as it is written in place of a parameter.
    pub(super) fn constant(&self, value: &Datum, ty: PgType) -> String {
        let level = Level::of(Place::root(0), Vec::new());
        let bare = |c: &Column| c.name.clone();
        let around = Around { builder: self, level: &level, column: &bare, outer: &bare };
        Deparse { ctx: self.ctx, names: &around }.constant(value, Some(ty))
    }

    /// A query with everything in it. `values` are its parameters where they are known, `texts` how
    /// they are written.
    pub(super) fn query(
        &self,
        plan: &QueryPlan,
        values: &[Datum],
        texts: Vec<Option<String>>,
    ) -> PlanNode {
        let ctes = self.with(plan.parts(), values, &texts);
        let row = plan.row_now(self.ctx);
        let mut level = Level::of(plan.place(), texts).given(values, plan.param_kinds());
        if row.is_none() {
            let mut values = values.to_vec();
            values.resize(plan.param_kinds().len(), Datum::Null);
            // A plan that cannot be made fails when it is run, not when it is explained.
            if let Ok(physical) = plan.instrumented(self.ctx, &values) {
                level.joins = instrument::joins(&physical);
            }
        }
        let at = At { level: &level, node: 0, row: row.map(|r| &**r) };
        let mut top = self.node(&plan.logical, Ask::all(plan.logical.schema()), at);
        let inits = level.inits.take();
        top.startup += inits.iter().map(|i| i.total).sum::<f64>();
        top.total += inits.iter().map(|i| i.total).sum::<f64>();
        top.children.splice(0..0, ctes.into_iter().chain(inits));
        top
    }

    /// An expression's text.
    pub(super) fn text(
        &self,
        at: At<'_>,
        expr: &Expr,
        column: &dyn Fn(&Column) -> String,
    ) -> String {
        let around = Around { builder: self, level: at.level, column, outer: column };
        Deparse { ctx: self.ctx, names: &around }.expr(expr)
    }

    /// A scan's conditions joined by AND: its own columns have its name with VERBOSE only.
    pub(super) fn scan_condition(
        &self,
        at: At<'_>,
        alias: &str,
        conditions: &[Expr],
    ) -> Option<String> {
        let prefix = crate::names::quote(alias);
        let column = |c: &Column| {
            let own = crate::names::quote(&c.name);
            if self.options.verbose { format!("{prefix}.{own}") } else { own }
        };
        let outer = |c: &Column| self.columns_of(alias, c).condition;
        let around = Around { builder: self, level: at.level, column: &column, outer: &outer };
        let deparse = Deparse { ctx: self.ctx, names: &around };
        conjoined(conditions, &|e| deparse.expr(e))
    }

    /// Conditions joined by AND.
    pub(super) fn conjunction(
        &self,
        at: At<'_>,
        conditions: &[Expr],
        column: &dyn Fn(&Column) -> String,
    ) -> Option<String> {
        conjoined(conditions, &|e| self.text(at, e, column))
    }

    /// The items of expressions over columns with items of their own: the node's (`own`), or those of
    /// nodes below.
    pub(super) fn items(
        &self,
        at: At<'_>,
        exprs: &[Expr],
        find: &dyn Fn(&Column) -> Option<Item>,
        own: bool,
    ) -> Vec<Item> {
        let text =
            |expr: &Expr, style: Style| self.text(at, expr, &|c| refer(find(c), c, style, own));
        let item = |expr: &Expr| match expr.clone().unalias() {
            Expr::Column(c) => {
                let item = find(&c).unwrap_or_else(|| named(&c.name));
                if own { item } else { item.above() }
            }
            expr => Item {
                output: text(&expr, Style::Output),
                condition: text(&expr, Style::Condition),
                simple: matches!(expr, Expr::Literal(..) | Expr::Placeholder(_)),
                passed: false,
            },
        };
        exprs.iter().map(item).collect()
    }

    /// A condition's text over such columns.
    pub(super) fn condition(
        &self,
        at: At<'_>,
        conditions: &[Expr],
        find: &dyn Fn(&Column) -> Option<Item>,
        own: bool,
    ) -> Option<String> {
        self.conjunction(at, conditions, &|c| refer(find(c), c, Style::Condition, own))
    }

    /// Bytes of a row of these columns, which are over a schema.
    pub(super) fn width(&self, at: At<'_>, exprs: &[Expr], schema: &DFSchema) -> usize {
        let bare = |c: &Column| c.name.clone();
        let around = Around { builder: self, level: at.level, column: &bare, outer: &bare };
        let deparse = Deparse { ctx: self.ctx, names: &around };
        exprs.iter().map(|e| resolve::width(e, deparse.type_of(e), schema)).sum()
    }

    /// The figures of a node, of the part of a row plan it is; none if nothing is measured.
    pub(super) fn figures(&self, at: At<'_>, stage: Stage) -> Option<Figures> {
        let measure = self.measure?;
        let found = match at.row {
            Some(row) => measure.figures(row.place, stage),
            None => {
                let place = at.level.place.below(at.node);
                // Scans of the batch lane are row plans.
                measure.figures(place, stage).or_else(|| measure.figures(place, Stage::Top))
            }
        };
        Some(found.unwrap_or_default())
    }

    /// Puts what was measured at a node that also does the work of those above it in the ask; the
    /// rows its filters turned away.
    pub(super) fn measured(&self, node: &mut PlanNode, ask: &Ask<'_>, at: At<'_>) -> u64 {
        let Some(own) = self.figures(at, Stage::Leaf) else { return 0 };
        let mut removed = own.removed;
        let mut shown = own.clone();
        if at.row.is_none() {
            if let Some(outer) = ask.outer.and_then(|o| self.figures(o, Stage::Top)) {
                shown = Figures { pages: own.pages, hash: own.hash, ..outer };
            }
            let kept = ask.filter.and_then(|f| self.figures(f, Stage::Top));
            let found = ask.filter.and_then(|f| self.figures(f.child(1), Stage::Top));
            if let (Some(kept), Some(found)) = (kept, found) {
                removed += found.rows.saturating_sub(kept.rows);
            }
        }
        node.figures = Some(shown);
        removed
    }

    /// A condition, and how many rows it turned away.
    pub(super) fn removed(
        &self,
        node: &mut PlanNode,
        label: &'static str,
        text: Option<String>,
        removed: u64,
    ) {
        let Some(text) = text else { return };
        node.text(label, text);
        let Some(figures) = node.figures.as_ref().filter(|f| f.loops > 0) else { return };
        let each = (removed as f64 / figures.loops as f64).round() as u64;
        if each > 0 || !self.options.is_text() {
            node.detail("Rows Removed by Filter", Value::Int(each));
        }
    }

    /// Ends a node that computes expressions: subqueries in them are shown below it.
    pub(super) fn finish(&self, mut node: PlanNode, at: At<'_>) -> PlanNode {
        let pending = self.subplans.borrow_mut().take();
        for sub in pending {
            let once = sub.returns.is_some();
            let Some(tree) = self.subplan(&sub) else { continue };
            if once {
                at.level.inits.borrow_mut().push(tree);
            } else {
                let runs = if sub.hashed { 1.0 } else { node.rows };
                node.total += tree.total * runs.max(1.0);
                node.children.push(tree);
            }
        }
        node
    }

    pub(super) fn node<'l>(&self, plan: &LogicalPlan, ask: Ask<'l>, at: At<'l>) -> PlanNode {
        if let Some(scan) = scan_of(plan) {
            return self.scan(scan, &ask, at);
        }
        if let Some(family) = family_of(plan) {
            return self.family(family, ask, at);
        }
        if let Some(window) = extension::<Window>(plan) {
            return self.window(window, &ask, at);
        }
        if let Some(set) = extension::<ProjectSet>(plan) {
            return self.set(set, ask, at);
        }
        if let Some(unseen) = extension::<Unseen>(plan) {
            // PostgreSQL's Recursive Union does it itself.
            return self.node(&unseen.input, ask, at.child(1));
        }
        match plan {
            LogicalPlan::Projection(p) => {
                let map = |column: &Column| {
                    let i = p.schema.index_of_column(column).ok()?;
                    p.expr.get(i).map(|e| e.clone().unalias())
                };
                self.node(&p.input, ask.through(at, &map), at.child(1))
            }
            LogicalPlan::SubqueryAlias(a) => {
                let map = |column: &Column| {
                    let i = a.schema.index_of_column(column).ok()?;
                    let (qualifier, field) = a.input.schema().qualified_field(i);
                    Some(Expr::Column((qualifier, field).into()))
                };
                let mut ask = ask.through(at, &map);
                ask.alias = ask.alias.or_else(|| Some(a.alias.table().to_owned()));
                ask.reference = Some(a.alias.table().to_owned());
                self.node(&a.input, ask, at.child(1))
            }
            LogicalPlan::Filter(f) => {
                let mut ask = ask;
                ask.filters.push(f.predicate.clone());
                ask.filter = ask.filter.or(Some(at));
                ask.outer = ask.outer.or(Some(at));
                self.node(&f.input, ask, at.child(1))
            }
            LogicalPlan::EmptyRelation(e) => self.result(e.produce_one_row, &e.schema, &ask, at),
            LogicalPlan::Values(v) => self.values(v, &ask, at),
            LogicalPlan::Aggregate(a) => self.aggregate(a, &ask, at),
            LogicalPlan::Join(j) => self.join(j, &ask, at, &at.children(plan)),
            LogicalPlan::RecursiveQuery(r) => self.recursive(r, &ask, at, &at.children(plan)),
            LogicalPlan::TableScan(t) => self.work_table(t, &ask, at),
            _ if !ask.filters.is_empty() => self.subquery_scan(plan, &ask, at),
            LogicalPlan::Extension(e) if e.node.as_any().is::<LockRows>() => {
                match extension::<LockRows>(plan) {
                    Some(locks) => self.lock_rows(locks, ask, at),
                    None => PlanNode::new("LockRows"),
                }
            }
            LogicalPlan::Limit(l) => self.limit(l, ask, at),
            LogicalPlan::Sort(s) => self.sort(s, ask, at),
            LogicalPlan::Union(_) => self.append(plan, &ask, at, (&at.children(plan), 0)),
            LogicalPlan::Extension(e) if e.node.as_any().is::<Append>() => {
                self.append(plan, &ask, at, (&at.children(plan), 0))
            }
            other => {
                let mut node = PlanNode::new(other.display().to_string());
                let children = other.inputs().into_iter().zip(at.children(plan));
                node.children =
                    children.map(|(p, at)| self.node(p, Ask::all(p.schema()), at)).collect();
                node
            }
        }
    }
}

impl Level {
    /// A query at a place, with its parameters' texts.
    pub(super) fn of(place: Place, params: Vec<Option<String>>) -> Level {
        let given = (Vec::new(), Vec::new());
        Level { place, joins: HashMap::new(), params, given, inits: RefCell::default() }
    }

    /// The same, its parameters' values being known.
    pub(super) fn given(self, values: &[Datum], kinds: &[Kind]) -> Level {
        Level { given: (values.to_vec(), kinds.to_vec()), ..self }
    }

    /// The same query, with figures elsewhere.
    pub(super) fn beside(&self, place: Place) -> Level {
        Level { given: self.given.clone(), ..Level::of(place, self.params.clone()) }
    }

    pub(super) fn values(&self) -> &[Datum] {
        &self.given.0
    }

    pub(super) fn kinds(&self) -> &[Kind] {
        &self.given.1
    }
}

impl Ask<'_> {
    /// The same below a LIMIT, which shows its own figures.
    pub(super) fn below_limit(self) -> Self {
        Ask { limited: true, outer: None, filter: None, ..self }
    }

    /// The same below a node with figures of its own.
    pub(super) fn inside(self) -> Self {
        Ask { limited: false, outer: None, filter: None, ..self }
    }
}

fn conjoined(conditions: &[Expr], text: &dyn Fn(&Expr) -> String) -> Option<String> {
    let mut parts = Vec::new();
    conditions.iter().for_each(|c| crate::push::access::conjuncts(c, &mut parts));
    let texts: Vec<String> = parts.iter().map(text).collect();
    match texts.as_slice() {
        [] => None,
        [_] => Some(texts.concat()),
        _ => Some(format!("({})", texts.join(" AND "))),
    }
}

fn refer(item: Option<Item>, column: &Column, style: Style, own: bool) -> String {
    match item {
        Some(item) if own => item.own(style),
        Some(item) => item.reference(style),
        None => crate::names::quote(&column.name),
    }
}

/// Finds the items of a node's columns.
pub(super) fn over<'i>(
    schema: &'i DFSchema,
    items: &'i [Item],
) -> impl Fn(&Column) -> Option<Item> + 'i {
    |column| schema.index_of_column(column).ok().and_then(|i| items.get(i)).cloned()
}

/// An item that is nothing but a name.
pub(super) fn named(name: &str) -> Item {
    let text = crate::names::quote(name);
    Item { output: text.clone(), condition: text, simple: true, passed: false }
}

/// The cost of evaluating conditions on all rows of a node, and what they leave.
pub(super) fn filtered(node: &mut PlanNode, filters: &[Expr]) {
    let share: f64 = filters.iter().map(cost::selectivity).product();
    node.total += node.rows * cost::OPERATOR * filters.len() as f64;
    if !filters.is_empty() {
        node.rows = cost::clamp(node.rows * share);
    }
}
