//! ALTER COLUMN's identity and generation: SET, DROP, RESTART.

use std::sync::Arc;

use sqlparser::ast::{ObjectName, SequenceOptions};
use vicinity_storage::ObjectKind;
use vicinity_storage::catalog::model::{Column, Identity, Object, Relation, RelationKind};
use vicinity_types::{PgError, Result, SqlState};

use super::super::ddl::{sequence, table};
use super::super::name;
use super::{change_column, number};
use crate::context::ExecContext;

fn lacks(r: &Relation, c: &Column, what: &str) -> PgError {
    PgError::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("column \"{}\" of relation \"{}\" is not {what}", c.name, r.name),
    )
}

/// The error, or the notice of IF EXISTS.
fn unless(ctx: &ExecContext, e: PgError, if_exists: bool) -> Result<()> {
    if !if_exists {
        return Err(e);
    }
    name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, e.message().to_owned());
    Ok(())
}

fn own_sequence(ctx: &ExecContext, r: &Relation, at: usize) -> Option<Arc<Relation>> {
    let owned = Some((r.oid, number(at)));
    let catalog = ctx.txn.catalog();
    catalog
        .sequences_of(r.oid)
        .find(|s| s.sequence().is_some_and(|d| d.identity && d.owned_by == owned))
        .cloned()
}

/// `ADD GENERATED ... AS IDENTITY`, by a sequence of a name if it has one.
pub(super) fn add_identity(
    ctx: &ExecContext,
    r: &Relation,
    at: usize,
    c: &Column,
    (always, sequence, options): (bool, Option<&ObjectName>, &[SequenceOptions]),
) -> Result<()> {
    let not_ready = |what: &str| {
        let text = format!("column \"{}\" of relation \"{}\" {what}", c.name, r.name);
        Err(PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text))
    };
    if !c.not_null {
        return not_ready("must be declared NOT NULL before identity can be added");
    }
    if c.identity.is_some() {
        return not_ready("is already an identity column");
    }
    if c.default.is_some() {
        return not_ready("already has a default value");
    }
    let (mut made, _) = table::serial_for(ctx, r, c, number(at), Some(options))?;
    if let Some(given) = sequence {
        (made.schema, made.name) = name::target(ctx, given)?;
        name::check_free(ctx, made.schema, &made.name)?;
    }
    ctx.txn.put(Object::Relation(Arc::new(made)))?;
    let kind = if always { Identity::Always } else { Identity::ByDefault };
    change_column(ctx, r.oid, at, |c| c.identity = Some(kind)).map(drop)
}

/// `DROP IDENTITY`: the sequence goes with it.
pub(super) fn drop_identity(
    ctx: &ExecContext,
    r: &Relation,
    at: usize,
    c: &Column,
    if_exists: bool,
) -> Result<()> {
    if c.identity.is_none() {
        return unless(ctx, lacks(r, c, "an identity column"), if_exists);
    }
    if let Some(sequence) = own_sequence(ctx, r, at) {
        ctx.txn.drop_object(ObjectKind::Relation, sequence.oid)?;
    }
    change_column(ctx, r.oid, at, |c| c.identity = None).map(drop)
}

/// `DROP EXPRESSION`: the values stay.
pub(super) fn drop_expression(
    ctx: &ExecContext,
    r: &Relation,
    at: usize,
    c: &Column,
    if_exists: bool,
) -> Result<()> {
    if c.generated.is_none() {
        return unless(ctx, lacks(r, c, "a stored generated column"), if_exists);
    }
    change_column(ctx, r.oid, at, |c| c.generated = None).map(drop)
}

/// `SET GENERATED`, `SET sequence option`, `RESTART`.
pub(super) fn set_identity(
    ctx: &ExecContext,
    r: &Relation,
    at: usize,
    c: &Column,
    (always, options, restart): (Option<bool>, &[SequenceOptions], Option<Option<i64>>),
) -> Result<()> {
    if c.identity.is_none() {
        return Err(lacks(r, c, "an identity column"));
    }
    if let Some(always) = always {
        let identity = if always { Identity::Always } else { Identity::ByDefault };
        change_column(ctx, r.oid, at, |c| c.identity = Some(identity))?;
    }
    let Some(sequence) = own_sequence(ctx, r, at) else { return Ok(()) };
    let Some(before) = sequence.sequence() else { return Ok(()) };
    let def = sequence::define(options, before.type_oid, Some(before))?;
    let start = def.start;
    let kind = RelationKind::Sequence(def);
    ctx.txn.put(Object::Relation(Arc::new(Relation { kind, ..(*sequence).clone() })))?;
    if let Some(value) = restart {
        ctx.txn.restart_sequence(sequence.oid, value.unwrap_or(start))?;
    }
    Ok(())
}
