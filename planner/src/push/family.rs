//! Scans of a table with those that inherit from it: its partitions, or its children.

use std::sync::Arc;

use datafusion::logical_expr::{EmptyRelation, LogicalPlan, SortExpr, TableScan, Union};
use vicinity_storage::catalog::model::Relation;
use vicinity_types::Result;

use super::lower::{Wanted, one};
use crate::context::ExecContext;
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
            // Which of them the first rows of an order are in is not known.
            let wanted = if sort.is_empty() { wanted } else { Wanted::default() };
            let mut inputs = Vec::with_capacity(many.len());
            for (n, m) in (1..).zip(many) {
                let (plan, _) = one(of(m)?, &[], ctx, wanted, (m.guards.clone(), Some(n)))?;
                inputs.push(Arc::new(plan));
            }
            let schema = scan.projected_schema.clone();
            Ok((LogicalPlan::Union(Union { inputs, schema }), false))
        }
    }
}
