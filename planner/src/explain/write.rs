//! INSERT, UPDATE and DELETE over the rows they are about.

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::Expr;
use vicinity_types::{Datum, Result};

use super::build::{At, Builder, Level};
use super::cost;
use super::targets::Target;
use super::tree::{Item, PlanNode, Value};
use crate::call::Typed;
use crate::exec::dml::{Cell, Description, Source, bare_name};
use crate::measure::{Figures, Stage};
use crate::names::quote;

impl Builder<'_> {
    /// The tree of a write. `written` is what running it measured.
    pub(super) fn write(
        &self,
        write: &Description<'_>,
        values: &[Datum],
        texts: Vec<Option<String>>,
        written: Option<Figures>,
    ) -> Result<PlanNode> {
        let level = Level::of(write.place, texts.clone()).given(values, &[]);
        let at = At::top(&level);
        let targets = self.targets(write, values);
        *self.family.borrow_mut() = (!targets.is_empty()).then(|| match write.alias {
            Some(alias) => alias.to_owned(),
            None => write.relation.name.clone(),
        });
        let mut sources = match &write.source {
            Source::Rows(rows) => vec![self.rows(write, *rows, at.child(1))?],
            Source::Queries(plans) => {
                plans.iter().map(|p| self.query(p, values, texts.clone())).collect()
            }
        };
        let source = match sources.len() {
            1 => sources.pop().unwrap_or_default(),
            _ => appended(sources),
        };
        let source = match write.cursor {
            Some(cursor) => tid_scans(source, cursor),
            None => source,
        };
        let source = match (write.operation, &write.source) {
            ("Insert", Source::Queries(plans)) if plans.len() == 1 => {
                self.with_defaults(write, source, at)?
            }
            ("Update" | "Delete", _) if !targets.is_empty() => {
                let values: Vec<Expr> = write.given.iter().map(|(_, v)| v.expr.clone()).collect();
                let source = self.target_rows(source, &values, write, at);
                if write.operation == "Update" { self.over_children(write, source) } else { source }
            }
            ("Update", _) => self.with_new_values(write, source, at),
            _ => source,
        };
        let mut node = self.modify(write, targets.first(), at);
        self.show_targets(&mut node, write, &targets);
        (node.startup, node.total) = (source.startup, source.total);
        if !write.returning.is_empty() {
            (node.rows, node.width) = (source.rows, source.width);
        }
        node.figures = written;
        self.conflict(&mut node, write, at);
        node.children = vec![source];
        let mut node = self.finish(node, at);
        node.children.splice(0..0, level.inits.take());
        Ok(node)
    }

    /// The node itself.
    fn modify(&self, write: &Description<'_>, target: Option<&Target>, at: At<'_>) -> PlanNode {
        let name = &write.relation.name;
        let alias = write.alias.unwrap_or(name);
        let schema = self.ctx.catalog.schema(write.relation.schema).map(|s| s.name.clone());
        let mut on = quote(name);
        if let Some(schema) = schema.as_ref().filter(|_| self.options.verbose) {
            on = format!("{}.{on}", quote(schema));
        }
        if alias != name.as_str() {
            on = format!("{on} {}", quote(alias));
        }
        let mut node = PlanNode::new("ModifyTable");
        node.title = Some(format!("{} on {on}", write.operation));
        node.manner.push(("Operation", Value::Text(write.operation.to_owned())));
        node.facts.push(("Relation Name", Value::Text(name.clone())));
        if let Some(schema) = schema.filter(|_| self.options.verbose) {
            node.facts.push(("Schema", Value::Text(schema)));
        }
        node.facts.push(("Alias", Value::Text(alias.to_owned())));
        let column = |c: &Column| match (&c.relation, target) {
            // The first of a family stands for all.
            (Some(table), Some(target)) if table.table() == alias => {
                let own = Column::new_unqualified(bare_name(&c.name));
                Some(self.columns_of(&target.alias, &own))
            }
            _ => Some(self.written(write, c)),
        };
        node.output = self.items(at, write.returning, &column, true);
        node
    }

    /// A column of the row that is written.
    fn written(&self, write: &Description<'_>, column: &Column) -> Item {
        let table = column.relation.as_ref().map(|r| r.table());
        let alias = table.or(write.alias).unwrap_or(&write.relation.name);
        self.columns_of(alias, &Column::new_unqualified(bare_name(&column.name)))
    }

    fn conflict(&self, node: &mut PlanNode, write: &Description<'_>, at: At<'_>) {
        let Some(conflict) = &write.conflict else { return };
        let resolution = if conflict.update { "UPDATE" } else { "NOTHING" };
        node.text("Conflict Resolution", resolution);
        let arbiter = |oid| self.ctx.catalog.relation(oid).map(|r| quote(&r.name));
        let arbiters: Vec<String> =
            conflict.arbiters.iter().filter_map(|oid| arbiter(*oid)).collect();
        if !arbiters.is_empty() {
            node.detail("Conflict Arbiter Indexes", Value::List(arbiters));
        }
        let figures = self.measure.and_then(|m| m.figures(write.place, Stage::Top));
        if let Some(condition) = conflict.condition {
            let text = self.conjunction(at, std::slice::from_ref(condition), &|c| {
                self.written(write, c).condition
            });
            node.text("Conflict Filter", text.unwrap_or_default());
            if let Some(left) = figures.as_ref().map(|f| f.removed) {
                node.detail("Rows Removed by Conflict Filter", Value::Int(left));
            }
        }
        if let Some(figures) = figures {
            node.detail("Tuples Inserted", Value::Int(figures.rows));
            node.detail("Conflicting Tuples", Value::Int(figures.conflicts));
        }
    }

    /// The rows of VALUES: one is computed, several are scanned.
    fn rows(&self, write: &Description<'_>, rows: usize, at: At<'_>) -> Result<PlanNode> {
        let mut node = if rows == 1 {
            PlanNode { total: 0.01, ..PlanNode::new("Result") }
        } else {
            let mut scan = PlanNode::new("Values Scan");
            scan.title = Some("Values Scan on \"*VALUES*\"".to_owned());
            scan.facts.push(("Alias", Value::Text("*VALUES*".to_owned())));
            PlanNode { total: 0.0125 * rows as f64, ..scan }
        };
        for cell in write.row(self.ctx)? {
            if let Cell::Value(value) = cell {
                node.width += cost::width(value.ty);
                node.output.push(self.value(&value, at));
            }
        }
        node.rows = rows as f64;
        node.figures = self.figures(at, Stage::Leaf);
        Ok(self.finish(node, at))
    }

    /// A value put into a column.
    fn value(&self, value: &Typed, at: At<'_>) -> Item {
        let simple = matches!(value.expr, Expr::Literal(..) | Expr::Column(_));
        let text = match &value.expr {
            // A NULL is of its column's type, whatever Arrow calls it.
            Expr::Literal(literal, _) if literal.is_null() => self.constant(&Datum::Null, value.ty),
            expr => self.text(at, expr, &|c| self.columns_of("*VALUES*", c).output),
        };
        Item { output: text.clone(), condition: text, simple, passed: false }
    }

    /// A query's rows with the defaults of the columns it gives nothing.
    fn with_defaults(
        &self,
        write: &Description<'_>,
        mut source: PlanNode,
        at: At<'_>,
    ) -> Result<PlanNode> {
        let mut items = Vec::new();
        for cell in write.row(self.ctx)? {
            match cell {
                Cell::Query(i) => items.extend(source.output.get(i).cloned()),
                Cell::Value(value) => {
                    source.width += cost::width(value.ty);
                    items.push(self.value(&value, at));
                }
            }
        }
        source.output = items;
        Ok(source)
    }

    /// An UPDATE's new values, where they are computed from the row found.
    fn with_new_values(
        &self,
        write: &Description<'_>,
        mut source: PlanNode,
        at: At<'_>,
    ) -> PlanNode {
        if write.given.is_empty() {
            // The query that finds the rows has them behind the row's place.
            let first = source.output.len().min(1);
            source.output.rotate_left(first);
            return source;
        }
        let exprs: Vec<Expr> = write.given.iter().map(|(_, v)| v.expr.clone()).collect();
        let mut items = self.items(at, &exprs, &|c| Some(self.written(write, c)), true);
        source.width += self.width(at, &exprs, &DFSchema::empty());
        items.append(&mut source.output);
        source.output = items;
        source
    }
}

/// The row a cursor is on is not looked for.
fn tid_scans(mut node: PlanNode, cursor: &str) -> PlanNode {
    if node.kind == "Seq Scan" {
        node.title = node.title.map(|t| t.replacen("Seq Scan", "Tid Scan", 1));
        node.kind = "Tid Scan".to_owned();
        node.text("TID Cond", format!("CURRENT OF {}", quote(cursor)));
    }
    let children = std::mem::take(&mut node.children);
    node.children = children.into_iter().map(|child| tid_scans(child, cursor)).collect();
    node
}

/// Rows that are queries of their own.
fn appended(sources: Vec<PlanNode>) -> PlanNode {
    let mut node = PlanNode::new("Append");
    node.rows = sources.iter().map(|s| s.rows).sum();
    node.total = sources.iter().map(|s| s.total).sum();
    node.width = sources.first().map_or(0, |s| s.width);
    node.output =
        sources.first().map(|s| s.output.iter().map(Item::above).collect()).unwrap_or_default();
    node.children = sources;
    node
}
