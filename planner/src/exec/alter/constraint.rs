//! ALTER TABLE's constraints: ADD, DROP, RENAME, VALIDATE.

use std::sync::Arc;

use sqlparser::ast::TableConstraint;
use vicinity_storage::ObjectKind;
use vicinity_storage::catalog::model::{
    Constraint, ConstraintKind, Object, Relation, RelationKind, TableDef,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::ddl::constraint::{self, Pending, PendingKind};
use super::super::ddl::depend::{self, Node};
use super::super::ddl::index::{self, reread};
use super::super::ddl::{foreign_key, table};
use super::super::foreign::part;
use super::super::{dml, foreign, name, rewrite, stored};
use super::column::set_not_null;
use super::{change_table, place};
use crate::context::ExecContext;
use crate::partition;

pub(super) fn add(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    def: &TableDef,
    c: &TableConstraint,
    validated: bool,
) -> Result<()> {
    let pending = constraint::of_table(c)?;
    let validated = validated && pending.validated;
    if pending.no_inherit && partition::is_partitioned(r) {
        return Err(table::invalid(format!(
            "cannot add NO INHERIT constraint to partitioned table \"{}\"",
            r.name
        )));
    }
    add_pending(ctx, r, def, &Pending { validated, ..pending })
}

pub(super) fn add_pending(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    def: &TableDef,
    pending: &Pending,
) -> Result<()> {
    let taken: Vec<String> = def.constraints.iter().map(|c| c.name.clone()).collect();
    if let Some(own) = pending.name.as_ref().filter(|n| taken.contains(n)) {
        return Err(constraint::duplicate(own, &r.name));
    }
    match &pending.kind {
        PendingKind::Check(expr) => {
            let made = constraint::check(ctx, &r.name, &def.columns, pending, expr, &taken);
            let made = Constraint { validated: pending.validated, ..made };
            let name = made.name.clone();
            change_table(ctx, r.oid, |t| {
                t.constraints.push(made);
                Ok(())
            })?;
            let next = keep_texts(ctx, r.oid)?;
            dml::validate(ctx, &next)?;
            if pending.validated { rewrite::check_rows(ctx, &next, &name) } else { Ok(()) }
        }
        PendingKind::Foreign(w) => foreign_key::add(ctx, r, pending, w, true),
        PendingKind::Key { columns, primary, .. } => {
            let has =
                def.constraints.iter().any(|c| matches!(c.kind, ConstraintKind::PrimaryKey { .. }));
            if *primary && has {
                return Err(constraint::many_primary(&r.name));
            }
            if *primary {
                for c in columns {
                    let at = place(r, c).map_err(|_| {
                        PgError::new(
                            SqlState::UNDEFINED_COLUMN,
                            format!("column \"{c}\" of relation \"{}\" does not exist", r.name),
                        )
                    })?;
                    set_not_null(ctx, &reread(ctx, r.oid)?, at)?;
                }
            }
            let place = (r.schema, r.name.as_str());
            let (made, key) =
                constraint::key_constraint(ctx, place, &def.columns, pending, &|n| {
                    taken.iter().any(|t| t == n)
                })?;
            let mut relation = key.relation(r.oid, r.owner);
            if let RelationKind::Index(i) = &mut relation.kind {
                i.valid = false;
            }
            let index_oid = relation.oid;
            ctx.txn.put(Object::Relation(Arc::new(relation)))?;
            index::build(ctx, index_oid)?;
            change_table(ctx, r.oid, |t| {
                t.constraints.push(made);
                Ok(())
            })
            .map(drop)
        }
    }
}

pub(super) fn no_constraint(r: &Relation, own: &str) -> PgError {
    PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("constraint \"{own}\" of relation \"{}\" does not exist", r.name),
    )
}

/// Puts a table's texts into the form they are kept in.
pub(super) fn keep_texts(ctx: &ExecContext, table: Oid) -> Result<Arc<Relation>> {
    let next = stored::rewrite_texts(ctx, (*reread(ctx, table)?).clone())?;
    ctx.txn.put(Object::Relation(Arc::new(next)))?;
    reread(ctx, table)
}

fn find_constraint<'a>(r: &Relation, def: &'a TableDef, own: &str) -> Result<&'a Constraint> {
    def.constraints.iter().find(|c| c.name == own).ok_or_else(|| no_constraint(r, own))
}

pub(super) fn drop_named(
    ctx: &ExecContext,
    r: &Relation,
    def: &TableDef,
    own: &str,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    match find_constraint(r, def, own) {
        Ok(found) if found.inherited > 0 => Err(table::invalid(format!(
            "cannot drop inherited constraint \"{own}\" of relation \"{}\"",
            r.name
        ))),
        Ok(found) => depend::drop_all(ctx, &[Node::Constraint(r.oid, found.oid)], cascade),
        Err(e) if if_exists => {
            name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, e.message().to_owned());
            Ok(())
        }
        Err(e) => Err(e),
    }
}

/// Takes a constraint away, with the index behind it.
pub(crate) fn drop_constraint(ctx: &ExecContext, table: Oid, constraint: Oid) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let Some((_, found)) = catalog.constraint(constraint) else { return Ok(()) };
    if let ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } = &found.kind
        && catalog.relation(*index).is_some()
    {
        ctx.txn.drop_object(ObjectKind::Relation, *index)?;
    }
    let mut gone = catalog
        .relation(table)
        .map_or_else(Vec::new, |child| part::parts_of(&catalog, child, constraint));
    gone.push(constraint);
    change_table(ctx, table, |t| {
        t.constraints.retain(|c| !gone.contains(&c.oid));
        Ok(())
    })
    .map(drop)
}

/// VALIDATE CONSTRAINT: the rows from before are looked at.
pub(super) fn validate(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    def: &TableDef,
    own: &str,
) -> Result<()> {
    let found = find_constraint(r, def, own)?;
    match &found.kind {
        _ if found.validated => return Ok(()),
        ConstraintKind::ForeignKey(_) => foreign::check_rows(ctx, r, found.oid)?,
        ConstraintKind::Check { .. } => rewrite::check_rows(ctx, r, own)?,
        ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => {}
    }
    let mut oids = part::parts_of(&ctx.txn.catalog(), r, found.oid);
    oids.push(found.oid);
    change_table(ctx, r.oid, |t| {
        let found = t.constraints.iter_mut().filter(|c| oids.contains(&c.oid));
        found.for_each(|c| c.validated = true);
        Ok(())
    })
    .map(drop)
}

pub(super) fn rename(
    ctx: &ExecContext,
    r: &Relation,
    def: &TableDef,
    from: &str,
    to: &str,
) -> Result<()> {
    let found = def.constraints.iter().find(|c| c.name == from).ok_or_else(|| {
        PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("constraint \"{from}\" for table \"{}\" does not exist", r.name),
        )
    })?;
    if def.constraints.iter().any(|c| c.name == to) {
        return Err(constraint::duplicate(to, &r.name));
    }
    if let ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } = &found.kind {
        let index = reread(ctx, *index)?;
        return super::rename::relation(ctx, &index, to);
    }
    let oid = found.oid;
    change_table(ctx, r.oid, |t| {
        for c in &mut t.constraints {
            if c.oid == oid {
                c.name = to.to_owned();
            }
        }
        Ok(())
    })
    .map(drop)
}
