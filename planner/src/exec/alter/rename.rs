//! RENAME, of relations and columns.

use std::sync::Arc;

use vicinity_storage::catalog::model::{ConstraintKind, Object, Relation, RelationKind};
use vicinity_types::{PgError, Result, SqlState};

use super::super::ddl::sequence;
use super::super::{name, rewrite};
use super::{change, change_table, place};
use crate::context::ExecContext;

/// RENAME TO, of any relation.
pub(crate) fn relation(ctx: &ExecContext, r: &Relation, to: &str) -> Result<()> {
    name::check_free(ctx, r.schema, to)?;
    if r.sequence().is_some() {
        sequence::rename_in_defaults(ctx, r, r.schema, to)?;
    }
    rewrite::rename_in_views(ctx, r, r.schema, to)?;
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

/// `SET SCHEMA`: a table takes its indexes and sequences along.
pub(super) fn set_schema(ctx: &ExecContext, r: &Relation, to: &str) -> Result<()> {
    let schema = name::schema(ctx, to)?;
    if schema == r.schema {
        return Ok(());
    }
    let owned = r.sequence().is_some_and(|s| s.owned_by.is_some());
    if owned || r.index().is_some() {
        let what = if owned { "an owned sequence" } else { "an index" };
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot move {what} into another schema"),
        ));
    }
    let catalog = ctx.txn.catalog();
    let along = catalog.indexes_of(r.oid).chain(catalog.sequences_of(r.oid));
    let mut moved: Vec<Arc<Relation>> = along.cloned().collect();
    moved.extend(catalog.relation(r.oid).cloned());
    for relation in moved {
        if catalog.relation_named(schema, &relation.name).is_some() {
            return Err(PgError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{}\" already exists in schema \"{to}\"", relation.name),
            ));
        }
        if relation.sequence().is_some() {
            sequence::rename_in_defaults(ctx, &relation, schema, &relation.name)?;
        }
        rewrite::rename_in_views(ctx, &relation, schema, &relation.name)?;
        change(ctx, relation.oid, |r| {
            r.schema = schema;
            Ok(())
        })?;
    }
    Ok(())
}
