//! A foreign key that refers to a partitioned table has a part for each of its partitions: they come and go together.

use std::sync::Arc;

use vicinity_storage::catalog::model::{
    Constraint, ConstraintKind, ForeignKey, Object, Relation, RelationKind,
};
use vicinity_types::{Oid, PgError, Result};

use super::super::dml::table_def;
use super::super::foreign::{self, part};
use super::super::name;
use super::{constraint, index, inherit};
use crate::context::ExecContext;
use crate::partition;

/// A key gets its parts, if what it refers to has any.
pub(crate) fn spread(ctx: &ExecContext, child: Oid, whole: &Constraint) -> Result<()> {
    let ConstraintKind::ForeignKey(f) = &whole.kind else { return Ok(()) };
    let catalog = ctx.txn.catalog();
    let Some(parent) = catalog.relation(f.table).filter(|p| partition::is_partitioned(p)) else {
        return Ok(());
    };
    for part in partition::children(&ctx.engine, &catalog, parent)? {
        add(ctx, child, whole, &part)?;
    }
    Ok(())
}

/// The part of a key that refers to a partition, and those below it.
fn add(ctx: &ExecContext, child: Oid, whole: &Constraint, part: &Arc<Relation>) -> Result<()> {
    let ConstraintKind::ForeignKey(f) = &whole.kind else { return Ok(()) };
    let catalog = ctx.txn.catalog();
    let parent = index::reread(ctx, f.table)?;
    let columns = inherit::numbers(&parent, &f.columns, &table_def(part)?.columns)?;
    let of_part = |i: &&Arc<Relation>| i.index().is_some_and(|d| d.parent == Some(f.index));
    let index = catalog.indexes_of(part.oid).find(of_part);
    let index = index.ok_or_else(|| PgError::internal("a partition lacks its part of a key"))?;
    let mut next = (*index::reread(ctx, child)?).clone();
    let own_name = next.name.clone();
    let RelationKind::Table(def) = &mut next.kind else { return Ok(()) };
    let names = whole.columns.iter().filter_map(|n| {
        let at = usize::try_from(*n - 1).ok()?;
        def.columns.get(at).map(|c| c.name.as_str())
    });
    let joined = name::joined(names);
    let taken: Vec<String> = def.constraints.iter().map(|c| c.name.clone()).collect();
    let made = Constraint {
        oid: ctx.txn.new_oid(),
        name: constraint::choose_name(&own_name, Some(&joined), "fkey", &taken),
        kind: ConstraintKind::ForeignKey(Box::new(ForeignKey {
            table: part.oid,
            columns,
            index: index.oid,
            ..(**f).clone()
        })),
        inherited: 1,
        local: false,
        ..whole.clone()
    };
    def.constraints.push(made.clone());
    ctx.txn.put(Object::Relation(Arc::new(next)))?;
    spread(ctx, child, &made)
}

/// The keys that refer to a table get a part for its new partition.
pub(crate) fn complete(ctx: &ExecContext, parent: &Relation, part: Oid) -> Result<()> {
    let catalog = ctx.txn.catalog();
    for (child, c, _) in catalog.references_to(parent.oid) {
        if !part::is_copy(&catalog, child, c) {
            add(ctx, child.oid, c, &index::reread(ctx, part)?)?;
        }
    }
    Ok(())
}

/// A partition goes its own way: no key may need its rows.
pub(crate) fn release(ctx: &ExecContext, part: Oid) -> Result<()> {
    let catalog = ctx.txn.catalog();
    for (child, c, _) in catalog.references_to(part) {
        if part::whole_of(&catalog, child, c).is_none() {
            continue;
        }
        if let Some(reference) = foreign::find(&ctx.next_statement(), c.oid) {
            foreign::check_parting(ctx, &reference)?;
        }
        let mut gone = part::parts_of(&catalog, child, c.oid);
        gone.push(c.oid);
        let mut next = (*index::reread(ctx, child.oid)?).clone();
        if let RelationKind::Table(def) = &mut next.kind {
            def.constraints.retain(|c| !gone.contains(&c.oid));
        }
        ctx.txn.put(Object::Relation(Arc::new(next)))?;
    }
    Ok(())
}
