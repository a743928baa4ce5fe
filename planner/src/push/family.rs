//! Scans of a table with those that inherit from it: its partitions, or its children.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::logical_expr::{
    EmptyRelation, Expr, Extension, LogicalPlan, SortExpr, TableScan, Union,
};
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Oid, Result};

use super::family_scan::FamilyScan;
use super::lower::{Wanted, one};
use crate::context::ExecContext;
use crate::df::append::Append;
use crate::df::source::StorageSource;
use crate::partition::{self, Pruning};

/// The scan of a family as the query has it.
#[derive(Clone)]
pub(crate) struct Whole {
    /// The table's scan, with what it filters.
    pub(crate) scan: TableScan,
    /// The table, those that inherit from it included.
    pub(crate) source: Arc<StorageSource>,
    /// The order asked for.
    pub(crate) sort: Vec<SortExpr>,
    pub(super) wanted: Wanted,
}

/// The way down a family to the tables that may have rows, in PostgreSQL's order.
pub(crate) struct Descent<'a> {
    whole: &'a Whole,
    ctx: &'a ExecContext,
    seen: HashSet<Oid>,
    pub(crate) members: Vec<Arc<Relation>>,
}

impl<'a> Descent<'a> {
    pub(crate) fn new(whole: &'a Whole, ctx: &'a ExecContext) -> Descent<'a> {
        Descent { whole, ctx, seen: HashSet::new(), members: Vec::new() }
    }

    /// More than one way may lead to a table.
    fn add(&mut self, table: &Arc<Relation>) {
        if self.seen.insert(table.oid) {
            self.members.push(table.clone());
        }
    }

    /// Takes a table and what is below it; `parts` gives the partitions needed of one that is cut, or stops it all.
    /// False if it was stopped.
    pub(crate) fn take(
        &mut self,
        table: &Arc<Relation>,
        parts: &mut dyn FnMut(&Arc<Relation>) -> Result<Option<Vec<Oid>>>,
    ) -> Result<bool> {
        let catalog = &self.ctx.catalog;
        if partition::is_partitioned(table) {
            if !self.whole.source.is_whole() {
                return Ok(true);
            }
            let Some(parts_of) = parts(table)? else { return Ok(false) };
            for part in parts_of.iter().filter_map(|part| catalog.relation(*part)) {
                if !self.take(part, parts)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let mut at = self.members.len();
        self.add(table);
        // All children come before theirs.
        while let Some(table) = self.members.get(at).map(|m| m.oid) {
            at += 1;
            if self.whole.source.is_whole() {
                catalog.children_of(table).for_each(|child| self.add(child));
            }
        }
        Ok(true)
    }
}

impl Whole {
    /// What the filter says about the key of one of the family that is cut.
    pub(crate) fn pruning(&self, ctx: &ExecContext, table: &Arc<Relation>) -> Result<Pruning> {
        Pruning::of(ctx, table, &*self.source.member(table)?, &self.scan.filters)
    }

    /// Tables of the family one behind the other, and whether their rows come in the order asked for; `merged` even if
    /// it is one.
    pub(crate) fn over(
        &self,
        ctx: &ExecContext,
        members: &[Arc<Relation>],
        merged: bool,
    ) -> Result<(LogicalPlan, bool)> {
        let of = |m: &Arc<Relation>| -> Result<TableScan> {
            Ok(TableScan { source: self.source.member(m)?, ..self.scan.clone() })
        };
        match members {
            [] if !merged => {
                let schema = self.scan.projected_schema.clone();
                let empty = EmptyRelation { produce_one_row: false, schema };
                return Ok((LogicalPlan::EmptyRelation(empty), true));
            }
            [only] if !merged => return one(of(only)?, &self.sort, ctx, self.wanted, None),
            _ => {}
        }
        let scans = |sort: &[SortExpr], wanted| {
            let scan = |(n, m): (usize, &Arc<Relation>)| one(of(m)?, sort, ctx, wanted, Some(n));
            (1..).zip(members).map(scan).collect::<Result<Vec<_>>>()
        };
        let schema = self.scan.projected_schema.clone();
        let inputs = |scans: Vec<(LogicalPlan, bool)>| {
            scans.into_iter().map(|(plan, _)| Arc::new(plan)).collect()
        };
        if !self.sort.is_empty() {
            let ordered = scans(&self.sort, self.wanted)?;
            if ordered.iter().all(|(_, ordered)| *ordered) {
                let order = self.sort.clone();
                let node = Arc::new(Append { inputs: inputs(ordered), schema, order });
                return Ok((LogicalPlan::Extension(Extension { node }), true));
            }
        }
        // Which of them the first rows of an order are in is not known.
        let wanted = if self.sort.is_empty() { self.wanted } else { Wanted::default() };
        let inputs = inputs(scans(&[], wanted)?);
        Ok((LogicalPlan::Union(Union { inputs, schema }), false))
    }
}

/// The scans of a family; whether the rows come in order.
pub(super) fn place(
    scan: TableScan,
    source: Arc<StorageSource>,
    sort: &[SortExpr],
    ctx: &ExecContext,
    wanted: Wanted,
) -> Result<(LogicalPlan, bool)> {
    let table = source.relation().clone();
    let whole = Whole { scan, source, sort: sort.to_vec(), wanted };
    let mut descent = Descent::new(&whole, ctx);
    let known = |e: &Expr, kind| partition::literal(e, kind);
    let complete = descent.take(&table, &mut |table| {
        let pruning = whole.pruning(ctx, table)?;
        let settled = pruning.values().all(|(e, _)| partition::is_written(e));
        if !settled && pruning.has_choice() {
            return Ok(None);
        }
        pruning.needed(ctx, &known).map(Some)
    })?;
    let members = std::mem::take(&mut descent.members);
    if !complete {
        let node = Arc::new(FamilyScan::new(whole));
        return Ok((LogicalPlan::Extension(Extension { node }), true));
    }
    whole.over(ctx, &members, false)
}
