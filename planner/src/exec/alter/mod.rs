//! ALTER TABLE and the other ALTERs of relations.

pub(crate) mod attribute;
mod column;
mod constraint;
mod family;
mod generated;
mod inherited_constraint;
mod inline;
mod rename;
mod storage;

use std::sync::Arc;

use sqlparser::ast::{
    AlterColumnOperation as ColumnOp, AlterTableOperation, DropBehavior, Ident, RenameTableNameKind,
};
use vicinity_storage::catalog::model::{Column, Object, Relation, RelationKind, TableDef, Trigger};
use vicinity_types::{Oid, PgError, Result, SqlState};

pub(crate) use self::column::drop_column;
pub(crate) use self::constraint::drop_constraint;
use super::ddl::index::reread;
use super::ddl::role;
use super::ddl::{depend, in_use, inherit, owned, partition, parts};
use super::name;
use super::outcome::{Outcome, done};
use crate::context::ExecContext;
use crate::sql::{AlterAction, AlterKind, AlterRelation, ColumnAction};

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

/// Runs ALTER TABLE, VIEW, MATERIALIZED VIEW and INDEX.
pub(crate) fn run(ctx: &ExecContext, a: &AlterRelation) -> Result<Outcome> {
    let tag = match a.kind {
        AlterKind::Table => "ALTER TABLE",
        AlterKind::View => "ALTER VIEW",
        AlterKind::MaterializedView => "ALTER MATERIALIZED VIEW",
        AlterKind::Index => "ALTER INDEX",
    };
    let found = match name::relation(ctx, &a.name) {
        Ok(found) => found,
        Err(e) if a.if_exists => {
            name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, e.message().to_owned());
            return Ok(done(tag));
        }
        Err(e) => return Err(e),
    };
    check_kind(&found, a.kind)?;
    for action in &a.actions {
        let relation = reread(ctx, found.oid)?;
        check_use(ctx, &relation, action, a.only)?;
        act(ctx, &relation, action, a.only)?;
    }
    Ok(done(tag))
}

/// What only gives it another name may be done to a table in use.
fn check_use(ctx: &ExecContext, r: &Arc<Relation>, action: &AlterAction, only: bool) -> Result<()> {
    use AlterTableOperation::{RenameColumn, RenameConstraint, RenameTable};
    let renames = match action {
        AlterAction::SetSchema(_) => true,
        AlterAction::Sql(op) => {
            matches!(**op, RenameColumn { .. } | RenameConstraint { .. } | RenameTable { .. })
        }
        _ => false,
    };
    if renames || r.table().is_none() {
        return Ok(());
    }
    let family = crate::partition::descendants(&ctx.txn.catalog(), r);
    let mut all = family.iter().take(if only { 1 } else { usize::MAX });
    all.try_for_each(|r| in_use::check(ctx, r, "ALTER TABLE"))
}

/// ALTER TABLE takes any relation; the others only their own.
fn check_kind(r: &Relation, kind: AlterKind) -> Result<()> {
    let materialized = r.table().is_some_and(|t| t.materialized.is_some());
    match kind {
        AlterKind::View if !matches!(r.kind, RelationKind::View(_)) => Err(name::not_a(r, "view")),
        AlterKind::Index if r.index().is_none() => Err(name::not_a(r, "index")),
        AlterKind::MaterializedView if !materialized => Err(name::not_a(r, "materialized view")),
        _ => Ok(()),
    }
}

fn act(ctx: &ExecContext, r: &Arc<Relation>, action: &AlterAction, only: bool) -> Result<()> {
    match action {
        AlterAction::Sql(op) => match trigger_state(op).filter(|_| r.table().is_some()) {
            Some((own, state)) => set_trigger(ctx, r, &name::ident(own), state, only),
            None => family::run(ctx, r, op, only),
        },
        AlterAction::SetSchema(to) => rename::set_schema(ctx, r, &name::ident(to)),
        AlterAction::SetOptions(given) => storage::set_options(ctx, r, given),
        AlterAction::ResetOptions(given) => storage::reset_options(ctx, r, given),
        AlterAction::SetLogged(logged) => storage::set_logged(ctx, r, *logged),
        AlterAction::OwnerTo(to) => {
            let owner = role::new_owner(ctx, to)?;
            owned::give(ctx, depend::Node::Relation(r.oid), owner)
        }
        AlterAction::AlterConstraint { name: own, deferrable, deferred } => {
            storage::constraint(ctx, r, own, *deferrable, *deferred)
        }
        AlterAction::Column { column, action } => {
            column_action(ctx, r, &name::ident(column), action)
        }
        AlterAction::Attach { name: part, bound: Some(bound) } => {
            check_partitioned(r)?;
            partition::attach(ctx, r, part, bound)
        }
        AlterAction::Attach { name: part, bound: None } => parts::attach_index(ctx, r, part),
        AlterAction::Detach(part, how) => {
            check_partitioned(r)?;
            partition::detach(ctx, r, part, *how)
        }
        AlterAction::Inherit { parent, begin } => {
            inherit::alter(ctx, r, &name::relation(ctx, parent)?, *begin)
        }
        AlterAction::Nothing => Ok(()),
    }
}

/// `ADD CHECK` with a condition's text.
pub(crate) fn add_check(ctx: &ExecContext, table: Oid, text: &str) -> Result<()> {
    let check = sqlparser::ast::CheckConstraint {
        name: None,
        expr: Box::new(crate::sql::parse_expression(text)?),
        enforced: None,
    };
    let constraint = sqlparser::ast::TableConstraint::Check(check);
    operation(
        ctx,
        &reread(ctx, table)?,
        &AlterTableOperation::AddConstraint { constraint, not_valid: false },
    )
}

fn check_partitioned(r: &Relation) -> Result<()> {
    if crate::partition::is_partitioned(r) {
        return Ok(());
    }
    let text = format!("table \"{}\" is not partitioned", r.name);
    Err(PgError::new(SqlState::INVALID_OBJECT_DEFINITION, text))
}

fn column_action(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    own: &str,
    action: &ColumnAction,
) -> Result<()> {
    let at = place(r, own)?;
    let columns = r.table().map(|t| &t.columns).ok_or_else(|| name::not_a(r, "table"))?;
    let c = columns.get(at).ok_or_else(|| no_column(r, own))?;
    match action {
        ColumnAction::Storage(word) => storage::storage(ctx, r, at, word),
        ColumnAction::Compression(word) => storage::compression(ctx, r, at, word),
        ColumnAction::Statistics(target) => storage::statistics(ctx, r, at, *target),
        ColumnAction::Options(given) => {
            let mut options = c.options.clone();
            storage::merged(&mut options, given)?;
            change_column(ctx, r.oid, at, |c| c.options = options).map(drop)
        }
        ColumnAction::ResetOptions(given) => {
            change_column(ctx, r.oid, at, |c| c.options.retain(|(n, _)| !given.contains(n)))
                .map(drop)
        }
        ColumnAction::DropExpression { if_exists } => {
            generated::drop_expression(ctx, r, at, c, *if_exists)
        }
        ColumnAction::DropIdentity { if_exists } => {
            generated::drop_identity(ctx, r, at, c, *if_exists)
        }
        ColumnAction::AddIdentity { always, sequence, options } => {
            generated::add_identity(ctx, r, at, c, (*always, sequence.as_ref(), options))
        }
        ColumnAction::Identity { always, options, restart } => {
            generated::set_identity(ctx, r, at, c, (*always, options, *restart))
        }
    }
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
            return owned::give(ctx, depend::Node::Relation(r.oid), owner);
        }
        Op::AlterColumn { column_name, op } if matches!(r.kind, RelationKind::View(_)) => {
            let own = name::ident(column_name);
            match op {
                ColumnOp::SetDefault { value } => {
                    return column::set_default(ctx, r, &own, Some(value));
                }
                ColumnOp::DropDefault => return column::set_default(ctx, r, &own, None),
                _ => {}
            }
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
        Op::ValidateConstraint { name: own } => {
            constraint::validate(ctx, r, def, &name::ident(own))
        }
        other => Err(PgError::unsupported(format!("ALTER TABLE ... {other}"))),
    }
}

/// The trigger that an action speaks of, and when it is to fire (`tgenabled`).
fn trigger_state(op: &AlterTableOperation) -> Option<(&Ident, char)> {
    use AlterTableOperation as Op;
    match op {
        Op::DisableTrigger { name } => Some((name, 'D')),
        Op::EnableTrigger { name } => Some((name, 'O')),
        Op::EnableAlwaysTrigger { name } => Some((name, 'A')),
        Op::EnableReplicaTrigger { name } => Some((name, 'R')),
        _ => None,
    }
}

/// Sets when a trigger fires; those that partitions have of it follow, unless ONLY is said.
fn enable(ctx: &ExecContext, t: &Trigger, state: char, only: bool) -> Result<()> {
    ctx.txn.put(Object::Trigger(Arc::new(Trigger { enabled: state, ..t.clone() })))?;
    if only {
        return Ok(());
    }
    let catalog = ctx.txn.catalog();
    for part in
        catalog.children_of(t.table).filter(|c| c.table().is_some_and(|t| t.bound.is_some()))
    {
        for copy in catalog.triggers_of(part.oid).filter(|c| c.parent == Some(t.oid)) {
            enable(ctx, copy, state, only)?;
        }
    }
    Ok(())
}

fn set_trigger(ctx: &ExecContext, r: &Relation, own: &str, state: char, only: bool) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let all = matches!(own, "all" | "user");
    let mut found = false;
    for t in catalog.triggers_of(r.oid).filter(|t| all || t.name == own) {
        found = true;
        enable(ctx, t, state, only)?;
    }
    if found || all {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("trigger \"{own}\" for table \"{}\" does not exist", r.name),
    ))
}
