//! RENAME, of relations and columns.

use std::sync::Arc;

use sqlparser::ast::{AlterIndexOperation, ObjectName};
use vicinity_storage::catalog::model::{ConstraintKind, Object, Relation, RelationKind};
use vicinity_types::{PgError, Result, SqlState};

use super::super::ddl::sequence;
use super::super::outcome::{Outcome, done};
use super::super::{name, rewrite};
use super::{change, change_table, place};
use crate::context::ExecContext;

/// RENAME TO, of any relation.
pub(crate) fn relation(ctx: &ExecContext, r: &Relation, to: &str) -> Result<()> {
    name::check_free(ctx, r.schema, to)?;
    if r.sequence().is_some() {
        sequence::rename_in_defaults(ctx, r, to)?;
    }
    let before = r.name.clone();
    change(ctx, r.oid, |r| {
        r.name = to.to_owned();
        Ok(())
    })?;
    // The constraint an index holds up has the index's name.
    if let Some(def) = r.index() {
        change_table(ctx, def.table, |t| {
            for c in &mut t.constraints {
                let held = matches!(&c.kind, ConstraintKind::PrimaryKey { index }
                    | ConstraintKind::Unique { index } if *index == r.oid);
                if held && c.name == before {
                    c.name = to.to_owned();
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

pub(super) fn column(ctx: &ExecContext, r: &Relation, from: &str, to: &str) -> Result<()> {
    let at = place(r, from)?;
    if place(r, to).is_ok() {
        return Err(PgError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{to}\" of relation \"{}\" already exists", r.name),
        ));
    }
    let catalog = ctx.txn.catalog();
    let reads = |v: &Relation| match &v.kind {
        RelationKind::View(v) => v.depends_on.contains(&r.oid) && rewrite::mentions(&v.query, from),
        RelationKind::Table(t) => t
            .materialized
            .as_ref()
            .is_some_and(|m| m.depends_on.contains(&r.oid) && rewrite::mentions(&m.query, from)),
        _ => false,
    };
    let read = catalog.dependents_of(r.oid).any(|v| reads(v));
    if read {
        // Views are kept as text.
        return Err(PgError::unsupported("renaming a column that a view may read"));
    }
    change(ctx, r.oid, |r| {
        match &mut r.kind {
            RelationKind::Table(t) => {
                rewrite::rename_in_table(t, from, to)?;
                if let Some(c) = t.columns.get_mut(at) {
                    c.name = to.to_owned();
                }
            }
            RelationKind::View(v) => {
                if let Some(c) = v.columns.get_mut(at) {
                    c.name = to.to_owned();
                }
            }
            RelationKind::Composite(columns) => {
                if let Some(c) = columns.get_mut(at) {
                    c.name = to.to_owned();
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    for index in ctx.txn.catalog().indexes_of(r.oid) {
        let Some(def) = index.index() else { continue };
        if let Some(next) = rewrite::rename_in_index(def, from, to)? {
            let kind = RelationKind::Index(next);
            ctx.txn.put(Object::Relation(Arc::new(Relation { kind, ..(**index).clone() })))?;
        }
    }
    Ok(())
}

/// Runs ALTER INDEX.
pub(crate) fn index(
    ctx: &ExecContext,
    given: &ObjectName,
    op: &AlterIndexOperation,
) -> Result<Outcome> {
    let found = name::relation(ctx, given)?;
    if found.index().is_none() {
        return Err(name::not_a(&found, "index"));
    }
    let AlterIndexOperation::RenameIndex { index_name } = op;
    relation(ctx, &found, &name::last(index_name))?;
    Ok(done("ALTER INDEX"))
}
