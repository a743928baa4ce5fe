//! RENAME, of relations and columns.

use std::sync::Arc;

use vicinity_storage::catalog::model::{ConstraintKind, Object, Relation, RelationKind};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::ddl::table;
use super::super::{name, respell, rewrite};
use super::{change, change_table, place};
use crate::context::ExecContext;

/// RENAME TO, of any relation.
pub(crate) fn relation(ctx: &ExecContext, r: &Relation, to: &str) -> Result<()> {
    name::check_free(ctx, r.schema, to)?;
    let before = r.name.clone();
    respell::after(ctx, || {
        change(ctx, r.oid, |r| {
            r.name = to.to_owned();
            Ok(())
        })
        .map(drop)
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
    let at = place(r, from).map_err(|_| {
        let text = format!("column \"{from}\" does not exist");
        PgError::new(SqlState::UNDEFINED_COLUMN, text)
    })?;
    // Views and composite types have no columns but their own.
    if r.table().is_some() {
        table::check_system_name(to)?;
    }
    if place(r, to).is_ok() {
        return Err(PgError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{to}\" of relation \"{}\" already exists", r.name),
        ));
    }
    respell::after(ctx, || rename_column(ctx, r, at, (from, to)))
}

fn rename_column(
    ctx: &ExecContext,
    r: &Relation,
    at: usize,
    (from, to): (&str, &str),
) -> Result<()> {
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
    respell::after(ctx, || moved.iter().try_for_each(|r| move_relation(ctx, r, schema, to)))
}

fn move_relation(ctx: &ExecContext, relation: &Relation, schema: Oid, to: &str) -> Result<()> {
    if ctx.txn.catalog().relation_named(schema, &relation.name).is_some() {
        return Err(PgError::new(
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{}\" already exists in schema \"{to}\"", relation.name),
        ));
    }
    change(ctx, relation.oid, |r| {
        r.schema = schema;
        Ok(())
    })
    .map(drop)
}
