//! Partitions come and go: PARTITION BY, PARTITION OF, ATTACH, DETACH.

mod bound;
mod key;

use std::sync::Arc;

use sqlparser::ast::{self, ForValues};
use vicinity_storage::catalog::model::{Object, Relation, RelationKind};
use vicinity_storage::{ObjectKind, RelationLock};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::dml::leaf::Level;
use super::super::dml::table_def;
use super::super::{alter, name, rewrite};
use super::{index, inherit, parts, referred};
use crate::context::ExecContext;
use crate::partition::{self, show};
use crate::sql::DetachKind;

pub(crate) use bound::new_bound;
pub(crate) use key::{check_key, check_keys, partitioning};

fn wrong(code: SqlState, text: impl Into<String>) -> PgError {
    PgError::new(code, text)
}

/// The parent named by PARTITION OF or ATTACH, and that it can have partitions.
pub(crate) fn parent(ctx: &ExecContext, given: &ast::ObjectName) -> Result<Arc<Relation>> {
    let parent = name::relation(ctx, given)?;
    if partition::is_partitioned(&parent) {
        return Ok(parent);
    }
    Err(wrong(
        SqlState::INVALID_OBJECT_DEFINITION,
        format!("\"{}\" is not partitioned", parent.name),
    ))
}

/// What INHERITS names.
pub(crate) fn plain_parent(ctx: &ExecContext, given: &ast::ObjectName) -> Result<Arc<Relation>> {
    let parent = name::relation(ctx, given)?;
    let refuse = |text: String| Err(wrong(SqlState::WRONG_OBJECT_TYPE, text));
    match parent.table() {
        None => refuse(format!(
            "inherited relation \"{}\" is not a table or foreign table",
            parent.name
        )),
        Some(t) if t.partitioning.is_some() => {
            refuse(format!("cannot inherit from partitioned table \"{}\"", parent.name))
        }
        Some(t) if t.bound.is_some() => {
            refuse(format!("cannot inherit from partition \"{}\"", parent.name))
        }
        Some(_) => Ok(parent),
    }
}

/// The rows of the default partition that are a new partition's are an error.
fn check_default(ctx: &ExecContext, parent: &Arc<Relation>, part: Oid) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let Some(default) =
        partition::bounds(&ctx.engine, &catalog, parent)?.default.filter(|d| *d != part)
    else {
        return Ok(());
    };
    let Some(default) = catalog.relation(default) else { return Ok(()) };
    // Rows that are on their way to it go by the parent.
    ctx.txn.lock_relation(parent.oid, RelationLock::AccessExclusive)?;
    check_rows(ctx, parent, default, &|own| {
        format!(
            "updated partition constraint for default partition \"{own}\" would be violated by some \
             row"
        )
    })
}

/// All rows of a partition, those below it included, must be where the parent would put them.
fn check_rows(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    part: &Arc<Relation>,
    text: &dyn Fn(&str) -> String,
) -> Result<()> {
    let ctx = &ctx.next_statement();
    for table in partition::descendants(&ctx.catalog, part) {
        if partition::is_partitioned(&table) {
            continue;
        }
        let level = Level::new(ctx, parent, &table)?;
        let rows = ctx.engine.db.table(table.oid, &ctx.catalog)?;
        rewrite::each_row(ctx, &rows, |_, values| match level.find(ctx, &values)? {
            Some(found) if found == part.oid => Ok(()),
            _ => {
                let schema = ctx.catalog.schema(table.schema).map_or("", |s| s.name.as_str());
                let own = &table.name;
                Err(wrong(SqlState::CHECK_VIOLATION, text(own)).table(schema, own))
            }
        })?;
    }
    Ok(())
}

/// A new partition is in the catalog: its indexes, keys and triggers are made after the parent's.
pub(crate) fn finish(ctx: &ExecContext, parent: &Arc<Relation>, part: Oid) -> Result<()> {
    check_default(ctx, parent, part)?;
    parts::complete(ctx, parent, part)
}

/// `ALTER TABLE parent ATTACH PARTITION part`
pub(crate) fn attach(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    part: &ast::ObjectName,
    given: &ForValues,
) -> Result<()> {
    let part = name::relation(ctx, part)?;
    // Its rows are looked at, and those that come in meanwhile would not be.
    ctx.txn.lock_relation(part.oid, RelationLock::AccessExclusive)?;
    let part = index::reread(ctx, part.oid)?;
    let def = part.table().ok_or_else(|| name::not_a(&part, "table"))?;
    let refuse = |text: String| Err(wrong(SqlState::WRONG_OBJECT_TYPE, text));
    if def.bound.is_some() {
        return refuse(format!("\"{}\" is already a partition", part.name));
    }
    if !def.parents.is_empty() {
        return refuse("cannot attach inheritance child as partition".to_owned());
    }
    if def.partitioning.is_none() && ctx.txn.catalog().has_children(part.oid) {
        return refuse("cannot attach inheritance parent as partition".to_owned());
    }
    for c in def.columns.iter().filter(|c| !c.dropped) {
        if !table_def(parent)?.columns.iter().any(|p| !p.dropped && p.name == c.name) {
            return Err(wrong(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "table \"{}\" contains column \"{}\" not found in parent \"{}\"",
                    part.name, c.name, parent.name
                ),
            )
            .detail("The new partition may contain only the columns present in parent."));
        }
    }
    let bound = new_bound(ctx, parent, &part.name, given)?;
    inherit::adopt(ctx, parent, &part)?;
    let mut next = (*index::reread(ctx, part.oid)?).clone();
    if let RelationKind::Table(def) = &mut next.kind {
        def.bound = Some(bound);
        def.columns.iter_mut().for_each(|c| c.local = false);
        let inherited = def.constraints.iter_mut().filter(|c| c.inherited > 0);
        inherited.for_each(|c| c.local = false);
    }
    ctx.txn.put(Object::Relation(Arc::new(next)))?;
    let made = index::reread(ctx, part.oid)?;
    check_rows(ctx, parent, &made, &|own| {
        format!("partition constraint of relation \"{own}\" is violated by some row")
    })?;
    finish(ctx, parent, part.oid)
}

/// `ALTER TABLE parent DETACH PARTITION part`
pub(crate) fn detach(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    part: &ast::ObjectName,
    how: DetachKind,
) -> Result<()> {
    let part = name::relation(ctx, part)?;
    if how == DetachKind::Concurrently
        && partition::bounds(&ctx.engine, &ctx.txn.catalog(), parent)?.default.is_some()
    {
        return Err(wrong(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot detach partitions concurrently when a default partition exists",
        ));
    }
    let is = part.table().is_some_and(|t| t.bound.is_some() && t.parents.contains(&parent.oid));
    if !is {
        return Err(wrong(
            SqlState::UNDEFINED_TABLE,
            format!(
                "relation \"{}\" is not a partition of relation \"{}\"",
                part.name, parent.name
            ),
        ));
    }
    if how == DetachKind::Finalize {
        let text = format!("cannot complete detaching partition \"{}\"", part.name);
        return Err(wrong(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
            .detail("There's no pending concurrent detach."));
    }
    // Who still knows it as a partition must find no other rows in it.
    let kept = match how {
        DetachKind::Concurrently => show::constraint(&ctx.next_statement(), &part)?,
        _ => None,
    };
    referred::release(ctx, part.oid)?;
    inherit::release(ctx, parent, &index::reread(ctx, part.oid)?)?;
    let catalog = ctx.txn.catalog();
    for i in catalog.indexes_of(part.oid) {
        let mut next = (**i).clone();
        if let RelationKind::Index(def) = &mut next.kind
            && def.parent.take().is_some()
        {
            ctx.txn.put(Object::Relation(Arc::new(next)))?;
        }
    }
    let copies = catalog.triggers_of(part.oid).filter(|t| t.parent.is_some());
    drop_triggers(ctx, part.oid, &copies.map(|t| t.oid).collect::<Vec<_>>())?;
    match kept {
        Some(text) => alter::add_check(ctx, part.oid, &text),
        None => Ok(()),
    }
}

/// Drops triggers of a table, and their copies in its partitions.
fn drop_triggers(ctx: &ExecContext, table: Oid, triggers: &[Oid]) -> Result<()> {
    let catalog = ctx.txn.catalog();
    for trigger in triggers {
        ctx.txn.drop_object(ObjectKind::Trigger, *trigger)?;
    }
    for part in catalog.children_of(table) {
        let copied = |t: &Oid| triggers.contains(t);
        let copies =
            catalog.triggers_of(part.oid).filter(|t| t.parent.as_ref().is_some_and(copied));
        drop_triggers(ctx, part.oid, &copies.map(|t| t.oid).collect::<Vec<_>>())?;
    }
    Ok(())
}
