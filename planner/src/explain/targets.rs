//! The tables of a family that a write is to.

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan};
use vicinity_types::{Datum, Kind, Oid};

use super::build::{At, Builder};
use super::tree::{Item, PlanNode, Property, Shown, Value};
use crate::exec::dml::{Description, Source};
use crate::names::quote;
use crate::partition::is_partitioned;
use crate::push::ScanSource;
use crate::push::family_scan::family_of;
use crate::push::lower::scan_of;

/// One of them.
pub(super) struct Target {
    relation: Oid,
    pub(super) alias: String,
}

impl Builder<'_> {
    /// The tables of a family that rows may be changed in; none where the target has no family, or none of it is left.
    pub(super) fn targets(&self, write: &Description<'_>, values: &[Datum]) -> Vec<Target> {
        let Source::Queries(plans) = &write.source else { return Vec::new() };
        let alias = write.alias.unwrap_or(&write.relation.name);
        let mut out = Vec::new();
        for plan in plans.iter().filter(|_| write.operation != "Insert") {
            self.collect(&plan.logical, alias, (values, plan.param_kinds()), &mut out);
        }
        let only = |t: &[Target]| matches!(t, [t] if t.relation == write.relation.oid);
        if only(&out) { Vec::new() } else { out }
    }

    fn collect(
        &self,
        plan: &LogicalPlan,
        alias: &str,
        (values, kinds): (&[Datum], &[Kind]),
        out: &mut Vec<Target>,
    ) {
        let numbered = |n: usize| format!("{alias}_{n}");
        if let Some(family) = family_of(plan).filter(|f| f.whole.scan.table_name.table() == alias) {
            let members = self.members(family, values, kinds);
            out.extend(members.planned.iter().map(|m| {
                let place = members.shown.iter().position(|s| s.oid == m.oid);
                // Those that are not looked at have no name of their own.
                let alias = place.map_or_else(|| alias.to_owned(), |n| numbered(n + 1));
                Target { relation: m.oid, alias }
            }));
        }
        if let Some(scan) = scan_of(plan)
            && let ScanSource::Storage(source) = &scan.spec.source
            && scan.spec.qualifier.as_ref().is_some_and(|q| q.table() == alias)
        {
            let alias = numbered(scan.spec.member.unwrap_or(1));
            out.push(Target { relation: source.relation().oid, alias });
        }
        plan.inputs().into_iter().for_each(|p| self.collect(p, alias, (values, kinds), out));
    }

    /// Says which tables a write is to.
    pub(super) fn show_targets(
        &self,
        node: &mut PlanNode,
        write: &Description<'_>,
        targets: &[Target],
    ) {
        let mut groups = Vec::new();
        let mut lines = Vec::new();
        for target in targets {
            let Some(relation) = self.ctx.catalog.relation(target.relation) else { continue };
            let schema = self.ctx.catalog.schema(relation.schema).map(|s| s.name.clone());
            let schema = schema.filter(|_| self.options.verbose);
            let mut on = quote(&relation.name);
            if let Some(schema) = &schema {
                on = format!("{}.{on}", quote(schema));
            }
            if target.alias != relation.name {
                on = format!("{on} {}", quote(&target.alias));
            }
            let value = Value::Text(format!("{} on {on}", write.operation));
            lines.push(Property { label: "", value, shown: Shown::Line });
            let mut group = vec![("Relation Name", relation.name.clone())];
            group.extend(schema.map(|s| ("Schema", s)));
            group.push(("Alias", target.alias.clone()));
            groups.push(group);
        }
        if !groups.is_empty() {
            let value = Value::Groups("Target Table", groups);
            node.details.push(Property { label: "Target Tables", value, shown: Shown::Structured });
        }
        node.details.extend(lines);
    }

    /// What a family's scans give a write: new values, and behind them the row's table and place.
    pub(super) fn target_rows(
        &self,
        mut source: PlanNode,
        values: &[Expr],
        write: &Description<'_>,
        at: At<'_>,
    ) -> PlanNode {
        if source.kind == "Append" {
            let children = std::mem::take(&mut source.children);
            let given = |child| self.target_rows(child, values, write, at);
            source.children = children.into_iter().map(given).collect();
        }
        let own = source.facts.iter().find(|(label, _)| *label == "Alias");
        let alias = match own {
            Some((_, Value::Text(alias))) => alias.clone(),
            _ => write.alias.unwrap_or(&write.relation.name).to_owned(),
        };
        let column = |c: &Column| {
            let name = crate::exec::dml::bare_name(&c.name);
            Some(self.columns_of(&alias, &Column::new_unqualified(name)))
        };
        let mut items: Vec<Item> = self.items(at, values, &column, true);
        // The query has them the other way round.
        let ids = source.output.len().min(2);
        let mut found = std::mem::take(&mut source.output);
        items.extend(found.split_off(ids));
        found.reverse();
        items.append(&mut found);
        source.output = items;
        source
    }

    /// What PostgreSQL computes new values in where tables that inherit are one behind the other.
    pub(super) fn over_children(&self, write: &Description<'_>, source: PlanNode) -> PlanNode {
        if source.kind != "Append" || is_partitioned(write.relation) {
            return source;
        }
        PlanNode {
            startup: source.startup,
            total: source.total,
            rows: source.rows,
            width: source.width,
            figures: source.figures.clone(),
            output: source.output.clone(),
            children: vec![source],
            ..PlanNode::new("Result")
        }
    }
}
