//! ALTER TABLE and the other ALTERs of relations.

mod column;
mod constraint;
mod rename;

use std::sync::Arc;

use sqlparser::ast::{
    AlterTable, AlterTableOperation, AlterTableType, DropBehavior, RenameTableNameKind,
};
use vicinity_storage::catalog::model::{Column, Object, Relation, RelationKind, TableDef};
use vicinity_types::{Oid, PgError, Result, SqlState};

pub(crate) use self::column::drop_column;
pub(crate) use self::constraint::drop_constraint;
pub(crate) use self::rename::index;
use super::ddl::depend;
use super::ddl::index::reread;
use super::ddl::role;
use super::name;
use super::outcome::{Outcome, done};
use crate::context::ExecContext;

fn no_column(relation: &Relation, own: &str) -> PgError {
    PgError::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{own}\" of relation \"{}\" does not exist", relation.name),
    )
}

/// Zero-based place of a live column.
fn place(relation: &Relation, own: &str) -> Result<usize> {
    let columns = match &relation.kind {
        RelationKind::Table(t) => &t.columns,
        RelationKind::View(v) => &v.columns,
        RelationKind::Composite(c) => c,
        _ => return Err(name::not_a(relation, "table")),
    };
    columns.iter().position(|c| !c.dropped && c.name == own).ok_or_else(|| no_column(relation, own))
}

fn number(at: usize) -> i16 {
    i16::try_from(at + 1).unwrap_or(i16::MAX)
}

/// Replaces a relation by a changed copy.
fn change(
    ctx: &ExecContext,
    oid: Oid,
    f: impl FnOnce(&mut Relation) -> Result<()>,
) -> Result<Arc<Relation>> {
    let mut next = (*reread(ctx, oid)?).clone();
    f(&mut next)?;
    ctx.txn.put(Object::Relation(Arc::new(next)))?;
    reread(ctx, oid)
}

fn change_table(
    ctx: &ExecContext,
    oid: Oid,
    f: impl FnOnce(&mut TableDef) -> Result<()>,
) -> Result<Arc<Relation>> {
    change(ctx, oid, |r| match &mut r.kind {
        RelationKind::Table(def) => f(def),
        _ => Err(PgError::internal("not a table")),
    })
}

fn change_column(
    ctx: &ExecContext,
    oid: Oid,
    at: usize,
    f: impl FnOnce(&mut Column),
) -> Result<Arc<Relation>> {
    change_table(ctx, oid, |def| {
        def.columns.get_mut(at).map(f).ok_or_else(|| PgError::internal("column is missing"))
    })
}

/// Runs ALTER TABLE.
pub(crate) fn run(ctx: &ExecContext, a: &AlterTable) -> Result<Outcome> {
    if a.table_type.as_ref().is_some_and(|t| !matches!(t, AlterTableType::External))
        || a.location.is_some()
        || a.on_cluster.is_some()
    {
        return Err(PgError::unsupported("this form of ALTER TABLE"));
    }
    let found = match name::relation(ctx, &a.name) {
        Ok(found) => found,
        Err(e) if a.if_exists => {
            name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, e.message().to_owned());
            return Ok(done("ALTER TABLE"));
        }
        Err(e) => return Err(e),
    };
    for op in &a.operations {
        let relation = reread(ctx, found.oid)?;
        operation(ctx, &relation, op)?;
    }
    Ok(done("ALTER TABLE"))
}

fn operation(ctx: &ExecContext, r: &Arc<Relation>, op: &AlterTableOperation) -> Result<()> {
    use AlterTableOperation as Op;
    // What any relation can be told.
    match op {
        Op::RenameTable {
            table_name: RenameTableNameKind::To(to) | RenameTableNameKind::As(to),
        } => {
            return rename::relation(ctx, r, &name::last(to));
        }
        Op::RenameColumn { old_column_name, new_column_name } => {
            return rename::column(
                ctx,
                r,
                &name::ident(old_column_name),
                &name::ident(new_column_name),
            );
        }
        Op::OwnerTo { new_owner } => {
            let owner = role::owner(ctx, new_owner)?;
            return change(ctx, r.oid, |r| {
                r.owner = owner;
                Ok(())
            })
            .map(drop);
        }
        _ => {}
    }
    let Some(def) = r.table() else {
        return Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("ALTER action cannot be performed on relation \"{}\"", r.name),
        )
        .detail(format!("This operation is not supported for {}s.", depend::kind_name(r))));
    };
    match op {
        Op::AddColumn { if_not_exists, column_def, column_position: None, .. } => {
            column::add(ctx, r, def, column_def, *if_not_exists)
        }
        Op::DropColumn { column_names, if_exists, drop_behavior, .. } => {
            for own in column_names {
                let r = reread(ctx, r.oid)?;
                let cascade = matches!(drop_behavior, Some(DropBehavior::Cascade));
                column::drop_named(ctx, &r, &name::ident(own), *if_exists, cascade)?;
            }
            Ok(())
        }
        Op::AlterColumn { column_name, op } => column::alter(ctx, r, &name::ident(column_name), op),
        Op::AddConstraint { constraint, not_valid } => {
            constraint::add(ctx, r, def, constraint, !*not_valid)
        }
        Op::DropConstraint { if_exists, name: own, drop_behavior } => {
            let cascade = matches!(drop_behavior, Some(DropBehavior::Cascade));
            constraint::drop_named(ctx, r, def, &name::ident(own), *if_exists, cascade)
        }
        Op::RenameConstraint { old_name, new_name } => {
            constraint::rename(ctx, r, def, &name::ident(old_name), &name::ident(new_name))
        }
        Op::DisableTrigger { name: own } => set_trigger(ctx, r, &name::ident(own), 'D'),
        Op::EnableTrigger { name: own } => set_trigger(ctx, r, &name::ident(own), 'O'),
        Op::EnableAlwaysTrigger { name: own } => set_trigger(ctx, r, &name::ident(own), 'A'),
        Op::EnableReplicaTrigger { name: own } => set_trigger(ctx, r, &name::ident(own), 'R'),
        Op::ValidateConstraint { name: own } => {
            constraint::validate(ctx, r, def, &name::ident(own))
        }
        other => Err(PgError::unsupported(format!("ALTER TABLE ... {other}"))),
    }
}

fn set_trigger(ctx: &ExecContext, r: &Relation, own: &str, state: char) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let all = matches!(own, "all" | "user");
    let mut found = false;
    for t in catalog.triggers_of(r.oid).filter(|t| all || t.name == own) {
        found = true;
        let mut next = (**t).clone();
        next.enabled = state;
        ctx.txn.put(Object::Trigger(Arc::new(next)))?;
    }
    if found || all {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("trigger \"{own}\" for table \"{}\" does not exist", r.name),
    ))
}
