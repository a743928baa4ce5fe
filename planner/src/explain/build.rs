//! The tree of plan nodes, in PostgreSQL's names.

use std::collections::HashMap;

use datafusion::common::JoinType;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr};

use super::deparse::Deparse;
use super::{Measured, Options};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::df::append::Append;
use crate::df::project_set::ProjectSet;
use crate::df::window::Window;
use crate::push::lower::scan_of;
use crate::push::{AccessSpec, ScanSource, ScanSpec};
use crate::query::QueryPlan;

/// One node.
#[derive(Default)]
pub(crate) struct PlanNode {
    /// `Index Scan using i on t`
    pub(crate) title: String,
    /// `Index Scan`
    pub(crate) kind: String,
    /// Further facts of the title, for JSON.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// Lines below the title.
    pub(crate) details: Vec<(&'static str, String)>,
    pub(crate) rows: f64,
    pub(crate) startup: f64,
    pub(crate) total: f64,
    pub(crate) width: usize,
    pub(crate) actual: Option<(f64, f64, u64)>,
    pub(crate) removed: Option<u64>,
    pub(crate) children: Vec<PlanNode>,
}

struct Builder<'a> {
    ctx: &'a ExecContext,
    options: &'a Options,
    types: HashMap<String, PgType>,
    joins: bool,
}

/// Builds the tree of a query.
pub(crate) fn build(
    plan: &QueryPlan,
    ctx: &ExecContext,
    options: &Options,
    measured: Option<&Measured>,
) -> PlanNode {
    let mut types = HashMap::new();
    let mut tables = 0usize;
    collect_types(&plan.logical, &mut types, &mut tables);
    let builder = Builder { ctx, options, types, joins: tables > 1 || options.verbose };
    let outputs: Vec<Expr> =
        plan.logical.schema().iter().map(|(q, f)| Expr::Column((q, f).into())).collect();
    let mut tree = builder.node(&plan.logical, outputs);
    if let Some(m) = measured {
        mark(&mut tree, m, true);
    }
    tree
}

/// Puts what was measured at the nodes it belongs to: all rows of the result pass the topmost nodes;
/// times are of the whole statement, as nodes run in step.
fn mark(node: &mut PlanNode, m: &Measured, single: bool) {
    node.actual = Some((m.first, m.total, m.rows));
    if single && node.children.is_empty() && m.removed > 0 {
        node.removed = Some(m.removed);
    }
    let single = single && node.children.len() <= 1;
    for child in &mut node.children {
        mark(child, m, single);
    }
}

fn collect_types(plan: &LogicalPlan, types: &mut HashMap<String, PgType>, tables: &mut usize) {
    if let Some(scan) = scan_of(plan) {
        *tables += 1;
        for column in scan.spec.source.columns() {
            types.entry(column.name.clone()).or_insert(column.ty);
        }
    }
    for input in plan.inputs() {
        collect_types(input, types, tables);
    }
}

impl Builder<'_> {
    fn text(&self, expr: &Expr) -> String {
        let types = |name: &str| self.types.get(name).copied();
        let deparse = Deparse { ctx: self.ctx, types: &types, qualified: self.joins };
        deparse.expr(expr)
    }

    fn texts(&self, exprs: &[Expr]) -> String {
        exprs.iter().map(|e| self.text(e)).collect::<Vec<_>>().join(", ")
    }

    fn filter(&self, conjuncts: &[Expr]) -> Option<String> {
        match conjuncts {
            [] => None,
            [one] => Some(self.text(one)),
            many => {
                let parts: Vec<String> = many.iter().map(|e| self.text(e)).collect();
                Some(format!("({})", parts.join(" AND ")))
            }
        }
    }

    fn sort_keys(&self, sort: &[SortExpr]) -> String {
        let keys: Vec<String> = sort
            .iter()
            .map(|s| {
                let direction = if s.asc { "" } else { " DESC" };
                let nulls = match (s.asc, s.nulls_first) {
                    (true, true) => " NULLS FIRST",
                    (false, false) => " NULLS LAST",
                    _ => "",
                };
                format!("{}{direction}{nulls}", self.text(&s.expr))
            })
            .collect();
        keys.join(", ")
    }

    fn simple(&self, kind: &str, input: PlanNode, outputs: &[Expr]) -> PlanNode {
        let mut node = PlanNode {
            title: kind.to_owned(),
            kind: kind.to_owned(),
            rows: input.rows,
            startup: input.startup,
            total: input.total,
            width: input.width,
            children: vec![input],
            ..PlanNode::default()
        };
        self.output(&mut node, outputs);
        node
    }

    fn output(&self, node: &mut PlanNode, outputs: &[Expr]) {
        if self.options.verbose {
            node.details.insert(0, ("Output", self.texts(outputs)));
        }
    }

    fn node(&self, plan: &LogicalPlan, outputs: Vec<Expr>) -> PlanNode {
        if let Some(scan) = scan_of(plan) {
            let mut node = self.scan(&scan.spec);
            self.output(&mut node, &outputs);
            return node;
        }
        let child = |input: &LogicalPlan| {
            let columns = input.schema().iter().map(|(q, f)| Expr::Column((q, f).into()));
            self.node(input, columns.collect())
        };
        match plan {
            LogicalPlan::Projection(p) => {
                // Nodes compute their output themselves: no node of its own.
                let map = |column: &datafusion::common::Column| {
                    let i = p.schema.index_of_column(column).ok()?;
                    p.expr.get(i).map(|e| e.clone().unalias())
                };
                let below = outputs
                    .into_iter()
                    .filter_map(|e| crate::push::lower::substitute(e, &map).ok())
                    .collect();
                self.node(&p.input, below)
            }
            LogicalPlan::SubqueryAlias(a) => {
                let map = |column: &datafusion::common::Column| {
                    let i = a.schema.index_of_column(column).ok()?;
                    let (qualifier, field) = a.input.schema().qualified_field(i);
                    Some(Expr::Column((qualifier, field).into()))
                };
                let below = outputs
                    .into_iter()
                    .filter_map(|e| crate::push::lower::substitute(e, &map).ok())
                    .collect();
                self.node(&a.input, below)
            }
            LogicalPlan::Limit(l) => {
                let input = self.node(&l.input, outputs.clone());
                let mut node = self.simple("Limit", input, &outputs);
                if let Some(Expr::Literal(n, _)) = l.fetch.as_deref()
                    && let Ok(n) = n.to_string().parse::<f64>()
                    && n < node.rows
                {
                    node.total =
                        node.startup + (node.total - node.startup) * n / node.rows.max(1.0);
                    node.rows = n;
                }
                node
            }
            LogicalPlan::Sort(s) => {
                let input = self.node(&s.input, outputs.clone());
                let mut node = self.simple("Sort", input, &outputs);
                node.startup = node.total;
                node.details.push(("Sort Key", self.sort_keys(&s.expr)));
                match s.fetch {
                    // A sort that keeps the first rows only is PostgreSQL's Limit over Sort.
                    Some(n) => {
                        let mut limit = self.simple("Limit", node, &outputs);
                        limit.rows = limit.rows.min(n as f64);
                        limit
                    }
                    None => node,
                }
            }
            LogicalPlan::Filter(f) => {
                let mut conjuncts = Vec::new();
                crate::push::access::conjuncts(&f.predicate, &mut conjuncts);
                let mut node = self.node(&f.input, outputs);
                if let Some(text) = self.filter(&conjuncts) {
                    node.details.push(("Filter", text));
                }
                node.rows = (node.rows / 3.0).ceil();
                node
            }
            LogicalPlan::Aggregate(a) => {
                let kind = if a.group_expr.is_empty() { "Aggregate" } else { "HashAggregate" };
                let mut node = self.simple(kind, child(&a.input), &outputs);
                node.startup = node.total;
                node.rows = if a.group_expr.is_empty() { 1.0 } else { node.rows.min(200.0) };
                if !a.group_expr.is_empty() {
                    node.details.push(("Group Key", self.texts(&a.group_expr)));
                }
                node
            }
            LogicalPlan::Join(j) => self.join(j, child(&j.left), child(&j.right), &outputs),
            LogicalPlan::Distinct(_) => {
                let input = plan.inputs().first().map(|i| child(i)).unwrap_or_default();
                self.simple("HashAggregate", input, &outputs)
            }
            LogicalPlan::Union(u) => self.append(u.inputs.iter().map(|i| child(i)).collect()),
            LogicalPlan::Values(v) => self.leaf("Values Scan", " on \"*VALUES*\"", v.values.len()),
            LogicalPlan::EmptyRelation(_) => {
                let mut node = self.leaf("Result", "", 1);
                self.output(&mut node, &outputs);
                node
            }
            LogicalPlan::Extension(e) => {
                if let Some(append) = e.node.as_any().downcast_ref::<Append>() {
                    return self.append(append.inputs.iter().map(|i| child(i)).collect());
                }
                if let Some(window) = e.node.as_any().downcast_ref::<Window>() {
                    return self.simple("WindowAgg", child(&window.input), &outputs);
                }
                match e.node.as_any().downcast_ref::<ProjectSet>() {
                    Some(set) => self.set(set, child(&set.input), &outputs),
                    None => self.leaf(e.node.name(), "", 1),
                }
            }
            other => {
                let mut node = self.leaf(other.display().to_string().as_str(), "", 1);
                node.children = other.inputs().into_iter().map(child).collect();
                node
            }
        }
    }

    fn leaf(&self, kind: &str, rest: &str, rows: usize) -> PlanNode {
        PlanNode {
            title: format!("{kind}{rest}"),
            kind: kind.to_owned(),
            rows: rows as f64,
            total: 0.01 * rows as f64,
            width: 4,
            ..PlanNode::default()
        }
    }

    fn append(&self, children: Vec<PlanNode>) -> PlanNode {
        PlanNode {
            title: "Append".to_owned(),
            kind: "Append".to_owned(),
            rows: children.iter().map(|c| c.rows).sum(),
            total: children.iter().map(|c| c.total).sum(),
            width: children.first().map_or(0, |c| c.width),
            children,
            ..PlanNode::default()
        }
    }

    fn set(&self, set: &ProjectSet, input: PlanNode, outputs: &[Expr]) -> PlanNode {
        let one = matches!(&*set.input, LogicalPlan::EmptyRelation(_));
        match set.calls.as_slice() {
            [call] if one => {
                let name = call.function.name();
                let mut node = self.leaf("Function Scan", &format!(" on {name}"), 1000);
                node.facts.push(("Function Name", name.to_owned()));
                self.output(&mut node, outputs);
                node
            }
            _ => self.simple("ProjectSet", input, outputs),
        }
    }

    fn join(
        &self,
        join: &datafusion::logical_expr::Join,
        left: PlanNode,
        right: PlanNode,
        outputs: &[Expr],
    ) -> PlanNode {
        let word = match join.join_type {
            JoinType::Inner => "",
            JoinType::Left => " Left",
            JoinType::Right => " Right",
            JoinType::Full => " Full",
            JoinType::LeftSemi | JoinType::RightSemi => " Semi",
            JoinType::LeftAnti | JoinType::RightAnti => " Anti",
            _ => " Left",
        };
        let hash = !join.on.is_empty();
        let kind = if hash { "Hash" } else { "Nested Loop" };
        let title = match (hash, word) {
            (true, word) => format!("Hash{word} Join"),
            (false, "") => "Nested Loop".to_owned(),
            (false, word) => format!("Nested Loop{word} Join"),
        };
        let mut node = PlanNode {
            title,
            kind: if hash { "Hash Join".to_owned() } else { kind.to_owned() },
            rows: left.rows.max(right.rows),
            startup: right.total,
            total: left.total + right.total,
            width: left.width + right.width,
            ..PlanNode::default()
        };
        self.output(&mut node, outputs);
        if hash {
            let on: Vec<String> = join
                .on
                .iter()
                .map(|(l, r)| format!("({} = {})", self.text(l), self.text(r)))
                .collect();
            let text = if on.len() == 1 { on.concat() } else { format!("({})", on.join(" AND ")) };
            node.details.push(("Hash Cond", text));
        }
        if let Some(filter) = &join.filter {
            node.details.push(("Join Filter", self.text(filter)));
        }
        let right = if hash { self.simple("Hash", right, &[]) } else { right };
        node.children = vec![left, right];
        node
    }

    fn scan(&self, spec: &ScanSpec) -> PlanNode {
        let name = crate::names::quote(spec.source.name());
        let (live, schema) = match &spec.source {
            ScanSource::Storage(s) => {
                let table = self.ctx.engine.db.table(s.relation().oid, &self.ctx.catalog);
                let schema = self.ctx.catalog.schema(s.relation().schema);
                (table.map_or(0, |t| t.stats().live), schema.map(|s| s.name.clone()))
            }
            ScanSource::Virtual(_) => (100, Some("pg_catalog".to_owned())),
        };
        let live = live as f64;
        let alias = spec.qualifier.as_ref().map(|q| q.table().to_owned());
        let shown = alias.filter(|a| *a != spec.source.name() && !a.is_empty());
        let full = match &schema {
            Some(schema) if self.options.verbose => {
                format!("{}.{name}", crate::names::quote(schema))
            }
            _ => name.clone(),
        };
        let on = match &shown {
            Some(alias) => format!("{full} {}", crate::names::quote(alias)),
            None => full,
        };
        let width = spec.projection.len() * 8;
        let mut node = PlanNode { rows: live.max(1.0), width, ..PlanNode::default() };
        match &spec.access {
            AccessSpec::Seq => {
                node.kind = "Seq Scan".to_owned();
                node.title = format!("Seq Scan on {on}");
                node.total = live * 0.0125;
            }
            AccessSpec::Btree { index, equal, low, high, reverse, conditions } => {
                let direction = if *reverse { " Backward" } else { "" };
                node.kind = "Index Scan".to_owned();
                let index_name = crate::names::quote(&index.name);
                node.title = format!("Index Scan{direction} using {index_name} on {on}");
                node.facts.push(("Index Name", index.name.clone()));
                if let Some(text) = self.filter(conditions) {
                    node.details.push(("Index Cond", text));
                }
                let def = index.index();
                let unique = def.is_some_and(|d| d.unique && d.keys.len() == equal.len());
                let range = usize::from(low.is_some()) + usize::from(high.is_some());
                let share = 0.005f64.powi(i32::try_from(equal.len()).unwrap_or(1))
                    * 0.33f64.powi(i32::try_from(range).unwrap_or(1));
                node.rows = if unique { 1.0 } else { (live * share).ceil().max(1.0) };
                node.startup = 0.15;
                node.total = 0.15 + node.rows * 0.05 + 8.0;
            }
            AccessSpec::Vector { index, order, .. } => {
                let index_name = crate::names::quote(&index.name);
                node.kind = "Index Scan".to_owned();
                node.title = format!("Index Scan using {index_name} on {on}");
                node.facts.push(("Index Name", index.name.clone()));
                let keys = match spec.order.as_slice() {
                    [] => self.text(order),
                    keys => self.sort_keys(keys),
                };
                node.details.push(("Order By", keys));
                node.startup = 1.0;
                node.total = 1.0 + live * 0.05;
            }
        }
        node.facts.push(("Relation Name", spec.source.name().to_owned()));
        node.facts.push(("Alias", shown.unwrap_or_else(|| spec.source.name().to_owned())));
        if let Some(text) = self.filter(&spec.filter) {
            node.details.push(("Filter", text));
            node.rows = (node.rows / 3.0).ceil();
        }
        node
    }
}
