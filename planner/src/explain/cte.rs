//! Queries of WITH: scans of what they gave, and themselves above the statement that reads them.

use datafusion::logical_expr::{Expr, LogicalPlan, RecursiveQuery, TableScan};
use vicinity_types::Datum;

use super::build::{Ask, At, Builder, filtered};
use super::resolve;
use super::tree::{Item, PlanNode, Relation, Value};
use crate::measure::Stage;
use crate::names::quote;
use crate::parts::{Part, PartId, Parts};
use crate::push::ScanNode;

/// What a query of WITH is expected to give, and for what.
#[derive(Clone, Copy, Default)]
pub(super) struct Given {
    rows: f64,
    width: usize,
}

impl Builder<'_> {
    /// The trees of the queries of WITH that are read as tables.
    pub(super) fn with(
        &self,
        parts: &Parts,
        values: &[Datum],
        texts: &[Option<String>],
    ) -> Vec<PlanNode> {
        let mut trees = Vec::new();
        for (id, part) in parts.iter() {
            let (tree, name) = match part {
                Part::Read(plan, name) => {
                    let mut tree = self.query(plan, values, texts.to_vec());
                    // A recursive query comes with a scan of what it gives: here others scan it.
                    let at = tree.children.iter().position(|c| c.kind == "Recursive Union");
                    if is_recursive(&plan.logical)
                        && let Some(at) = at
                    {
                        tree = tree.children.swap_remove(at);
                    }
                    (Some(tree), name)
                }
                Part::Write(plan, name) => {
                    // What it gives is known when it has run: no tree says so without.
                    (self.write(&plan.describe(), values, texts.to_vec(), None).ok(), name)
                }
            };
            let Some(mut tree) = tree else { continue };
            tree.relation = Relation::InitPlan(format!("CTE {name}"));
            self.ctes.borrow_mut().insert(id, Given { rows: tree.rows, width: tree.width });
            trees.push(tree);
        }
        trees
    }

    /// A scan of what a query of WITH gave.
    pub(super) fn cte_scan(
        &self,
        part: PartId,
        scan: &ScanNode,
        ask: &Ask<'_>,
        at: At<'_>,
    ) -> PlanNode {
        let name = scan.spec.source.name();
        let alias = ask.reference.clone().unwrap_or_else(|| name.to_owned());
        let mut node = PlanNode::new("CTE Scan");
        node.title = Some(title("CTE Scan", name, &alias));
        node.facts.push(("CTE Name", Value::Text(name.to_owned())));
        node.facts.push(("Alias", Value::Text(alias.clone())));
        node.output = self.items(at, &ask.outputs, &|c| Some(self.columns_of(&alias, c)), true);
        let given = self.ctes.borrow().get(&part).copied().unwrap_or_default();
        (node.rows, node.width, node.total) = (given.rows, given.width, 0.02 * given.rows);
        let removed = self.measured(&mut node, ask, at);
        let mut filters: Vec<Expr> = scan.spec.filter.clone();
        filters.extend(ask.filters.iter().cloned());
        let text = self.scan_condition(at, &alias, &filters);
        self.removed(&mut node, "Filter", text, removed);
        filtered(&mut node, &filters);
        self.finish(node, at)
    }

    /// What the last round of a recursive query gave.
    pub(super) fn work_table(&self, table: &TableScan, ask: &Ask<'_>, at: At<'_>) -> PlanNode {
        let work = table.table_name.table();
        let name = work.strip_suffix("_work").unwrap_or(work);
        let mut node = PlanNode::new("WorkTable Scan");
        node.title = Some(format!("WorkTable Scan on {}", quote(name)));
        node.facts.push(("CTE Name", Value::Text(name.to_owned())));
        node.facts.push(("Alias", Value::Text(name.to_owned())));
        node.output = self.items(at, &ask.outputs, &|c| Some(self.columns_of(name, c)), true);
        let fields = table.projected_schema.fields().iter();
        node.width = fields.map(|f| resolve::arrow_width(f.data_type())).sum();
        (node.rows, node.total) = (10.0, 0.2);
        let removed = self.measured(&mut node, ask, at);
        let text = self.scan_condition(at, name, &ask.filters);
        self.removed(&mut node, "Filter", text, removed);
        filtered(&mut node, &ask.filters);
        self.finish(node, at)
    }

    /// A recursive query, and the scan of what it gives.
    pub(super) fn recursive(
        &self,
        query: &RecursiveQuery,
        ask: &Ask<'_>,
        at: At<'_>,
        children: &[At<'_>],
    ) -> PlanNode {
        let name = query.name.strip_suffix("_work").unwrap_or(&query.name).to_owned();
        // One reference more is told by a number behind the name.
        let alias = ask.alias.clone().filter(|a| !a.starts_with(&format!("{name}_")));
        let alias = alias.unwrap_or_else(|| name.clone());
        let mut union = PlanNode::new("Recursive Union");
        let inputs = [&query.static_term, &query.recursive_term];
        for (plan, at) in inputs.into_iter().zip(children) {
            union.children.push(self.node(plan, Ask::all(plan.schema()), *at));
        }
        union.figures = self.figures(at, Stage::Top);
        union.output = union
            .children
            .first()
            .map(|c| c.output.iter().map(Item::above).collect())
            .unwrap_or_default();
        union.rows = union.children.first().map_or(1.0, |c| c.rows)
            + union.children.get(1).map_or(0.0, |c| c.rows * 10.0);
        union.total = union.children.iter().map(|c| c.total).sum::<f64>() * 10.0;
        union.width = union.children.first().map_or(4, |c| c.width);
        union.relation = Relation::InitPlan(format!("CTE {name}"));
        let mut node = PlanNode::new("CTE Scan");
        node.title = Some(title("CTE Scan", &name, &alias));
        node.facts.push(("CTE Name", Value::Text(name)));
        node.facts.push(("Alias", Value::Text(alias.clone())));
        node.output = self.items(at, &ask.outputs, &|c| Some(self.columns_of(&alias, c)), true);
        (node.rows, node.width) = (union.rows, union.width);
        (node.startup, node.total) = (union.total, union.total + 0.02 * union.rows);
        let removed = self.measured(&mut node, ask, at);
        let text = self.scan_condition(at, &alias, &ask.filters);
        self.removed(&mut node, "Filter", text, removed);
        filtered(&mut node, &ask.filters);
        node.children = vec![union];
        self.finish(node, at)
    }
}

/// A scan's title: what it scans, and under which name if that is another.
fn title(kind: &str, name: &str, alias: &str) -> String {
    match alias == name {
        true => format!("{kind} on {}", quote(name)),
        false => format!("{kind} on {} {}", quote(name), quote(alias)),
    }
}

/// Whether nothing is done to what a recursive query gives.
fn is_recursive(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(p) => is_recursive(&p.input),
        LogicalPlan::SubqueryAlias(a) => is_recursive(&a.input),
        other => matches!(other, LogicalPlan::RecursiveQuery(_)),
    }
}
