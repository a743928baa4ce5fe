//! The sequences of serial and identity columns.

use sqlparser::ast::{GeneratedAs, SequenceOptions};
use vicinity_storage::catalog::model::{Column, Identity, Relation, RelationKind, SequenceDef};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::Draft;
use crate::context::ExecContext;
use crate::exec::ddl::{role, sequence};
use crate::exec::name;

/// A sequence a column needs.
pub(super) struct Serial {
    pub(super) column: usize,
    pub(super) ty: Oid,
    /// What was said of the sequence, of an identity column.
    pub(super) identity: Option<Vec<SequenceOptions>>,
}

/// The column a sequence belongs to; its table may not be in the catalog yet.
struct Owner<'a> {
    schema: Oid,
    table: Oid,
    name: &'a str,
    column: &'a str,
    number: i16,
}

/// Makes the sequence of a drafted column and gives its default.
pub(super) fn make_serial(
    ctx: &ExecContext,
    draft: &mut Draft,
    table: Oid,
    serial: &Serial,
) -> Result<Relation> {
    let Some(column) = draft.columns.get_mut(serial.column) else {
        return Err(PgError::internal("serial column is missing"));
    };
    let owner = Owner {
        schema: draft.schema,
        table,
        name: &draft.name,
        column: &column.name,
        number: i16::try_from(serial.column + 1).unwrap_or(i16::MAX),
    };
    let (made, text) = sequence_of(ctx, &owner, serial.ty, serial.identity.as_deref())?;
    if serial.identity.is_none() {
        column.default = Some(text);
    }
    Ok(made)
}

/// Makes the sequence of a column added later (ALTER TABLE) and gives its default.
pub(crate) fn serial_for(
    ctx: &ExecContext,
    table: &Relation,
    column: &Column,
    number: i16,
    identity: Option<&[SequenceOptions]>,
) -> Result<(Relation, String)> {
    let owner = Owner {
        schema: table.schema,
        table: table.oid,
        name: &table.name,
        column: &column.name,
        number,
    };
    sequence_of(ctx, &owner, column.type_oid, identity)
}

/// A column's sequence, and the default that takes its next value.
fn sequence_of(
    ctx: &ExecContext,
    owner: &Owner<'_>,
    ty: Oid,
    identity: Option<&[SequenceOptions]>,
) -> Result<(Relation, String)> {
    if identity.is_some() {
        check_identity_type(ty)?;
    }
    let taken = |n: &str| n == owner.name;
    let own = name::choose(ctx, owner.schema, owner.name, Some(owner.column), "seq", &taken);
    let def = sequence::define(identity.unwrap_or_default(), ty, None)?;
    let owned_by = Some((owner.table, owner.number));
    let def = SequenceDef { owned_by, identity: identity.is_some(), ..def };
    let text = sequence::nextval_text(ctx, owner.schema, &own);
    let relation = Relation {
        oid: ctx.txn.new_oid(),
        name: own,
        schema: owner.schema,
        owner: role::acting(ctx)?,
        kind: RelationKind::Sequence(def),
    };
    Ok((relation, text))
}

/// An error for a type that identity columns cannot have.
fn check_identity_type(ty: Oid) -> Result<()> {
    if matches!(ty, oid::INT2 | oid::INT4 | oid::INT8) {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        "identity column type must be smallint, integer, or bigint",
    ))
}

/// The kind of an identity column.
pub(crate) fn identity_of(kind: &GeneratedAs) -> Identity {
    match kind {
        GeneratedAs::ByDefault => Identity::ByDefault,
        _ => Identity::Always,
    }
}
