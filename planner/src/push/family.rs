//! Scans of a table with those that inherit from it: its partitions, or its children.

use std::sync::Arc;

use datafusion::logical_expr::{EmptyRelation, Extension, LogicalPlan, SortExpr, TableScan, Union};
use vicinity_storage::catalog::model::Relation;
use vicinity_types::Result;

use super::lower::{Wanted, one};
use crate::context::ExecContext;
use crate::df::append::Append;
use crate::df::source::StorageSource;
use crate::partition::{self, Guard};

/// A table of the family that may have rows, and what is asked before it is scanned.
struct Member {
    relation: Arc<Relation>,
    guards: Vec<Guard>,
}

/// The tables a filter leaves, in PostgreSQL's order.
fn members(
    ctx: &ExecContext,
    relation: &Arc<Relation>,
    whole: &StorageSource,
    scan: &TableScan,
    guards: &[Guard],
    out: &mut Vec<Member>,
) -> Result<()> {
    let cut = partition::is_partitioned(relation);
    if !cut && out.iter().any(|m| m.relation.oid == relation.oid) {
        // Two ways lead to it.
        return Ok(());
    }
    if !cut {
        out.push(Member { relation: relation.clone(), guards: guards.to_vec() });
    }
    if !whole.is_whole() {
        return Ok(());
    }
    let source = whole.member(relation)?;
    let of = Guard::all(&ctx.catalog, relation, &source, &scan.filters)?;
    for child in &partition::children(&ctx.catalog, relation)? {
        let mut guards = guards.to_vec();
        if let Some(of) = &of {
            let guard = of(child.oid);
            if !guard.admits(ctx)? {
                continue;
            }
            if !guard.is_settled() {
                guards.push(guard);
            }
        }
        members(ctx, child, whole, scan, &guards, out)?;
    }
    Ok(())
}

/// The scans of a family, one behind the other; whether the rows come in order.
pub(super) fn place(
    scan: TableScan,
    whole: &StorageSource,
    sort: &[SortExpr],
    ctx: &ExecContext,
    wanted: Wanted,
) -> Result<(LogicalPlan, bool)> {
    let mut left = Vec::new();
    members(ctx, whole.relation(), whole, &scan, &[], &mut left)?;
    let of = |m: &Member| -> Result<TableScan> {
        Ok(TableScan { source: whole.member(&m.relation)?, ..scan.clone() })
    };
    match left.as_slice() {
        [] => {
            let schema = scan.projected_schema.clone();
            let empty = EmptyRelation { produce_one_row: false, schema };
            Ok((LogicalPlan::EmptyRelation(empty), true))
        }
        [only] => one(of(only)?, sort, ctx, wanted, (only.guards.clone(), None)),
        many => {
            let scans = |sort: &[SortExpr], wanted| {
                let scan = |(n, m): (usize, &Member)| {
                    one(of(m)?, sort, ctx, wanted, (m.guards.clone(), Some(n)))
                };
                (1..).zip(many).map(scan).collect::<Result<Vec<_>>>()
            };
            let schema = scan.projected_schema.clone();
            let inputs = |scans: Vec<(LogicalPlan, bool)>| {
                scans.into_iter().map(|(plan, _)| Arc::new(plan)).collect()
            };
            if !sort.is_empty() {
                let ordered = scans(sort, wanted)?;
                if ordered.iter().all(|(_, ordered)| *ordered) {
                    let append = Append { inputs: inputs(ordered), schema, order: sort.to_vec() };
                    let node = Arc::new(append);
                    return Ok((LogicalPlan::Extension(Extension { node }), true));
                }
            }
            // Which of them the first rows of an order are in is not known.
            let wanted = if sort.is_empty() { wanted } else { Wanted::default() };
            let inputs = inputs(scans(&[], wanted)?);
            Ok((LogicalPlan::Union(Union { inputs, schema }), false))
        }
    }
}
