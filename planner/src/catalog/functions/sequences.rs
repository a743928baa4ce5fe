//! `nextval`, `currval`, `lastval`, `setval`.

use std::sync::Arc;

use vicinity_storage::catalog::model::{Privileges, Relation, RelationKind, SequenceDef};
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use super::{CatalogFn, int_at, oid_at, text_at};
use crate::authority::{self, Target};
use crate::catalog::definition;
use crate::context::ExecContext;
use crate::exec::transaction;

pub(super) fn lookup(src: &str) -> Option<CatalogFn> {
    Some(match src {
        "nextval_oid" => nextval,
        "currval_oid" => currval,
        "lastval" => lastval,
        "setval_oid" | "setval3_oid" => setval,
        "pg_sequence_last_value" => |ctx, args| last_value(ctx, oid_at(args, 0)),
        "pg_get_serial_sequence" => serial_sequence,
        _ => return None,
    })
}

fn relation(ctx: &ExecContext, oid: Oid) -> Result<&Arc<Relation>> {
    let relation = ctx.catalog.relation(oid).ok_or_else(|| {
        PgError::new(SqlState::UNDEFINED_TABLE, format!("relation with OID {oid} does not exist"))
    })?;
    match relation.kind {
        RelationKind::Sequence(_) => Ok(relation),
        _ => Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a sequence", relation.name),
        )),
    }
}

/// An error unless the session's role has any of some rights on a sequence.
fn may(ctx: &ExecContext, relation: &Relation, wanted: Privileges) -> Result<()> {
    if authority::is_all_powerful(&ctx.catalog, &ctx.session) {
        return Ok(());
    }
    Target::relation(relation).check_any(&ctx.catalog, &ctx.session, wanted)
}

/// Values of a sequence that is not the session's own are not drawn in a READ ONLY transaction.
fn may_write(ctx: &ExecContext, relation: &Relation, function: &str) -> Result<()> {
    if ctx.txn.read_only() && relation.schema != ctx.session.temp_schema() {
        return Err(transaction::read_only(function));
    }
    Ok(())
}

fn nextval(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let relation = relation(ctx, oid_at(args, 0))?;
    may_write(ctx, relation, "nextval()")?;
    may(ctx, relation, Privileges::USAGE.and(Privileges::UPDATE))?;
    let sequence = ctx.txn.use_sequence(relation.oid)?;
    let value = sequence.nextval(&relation.name)?;
    ctx.txn.acknowledge_after(sequence.logged_at());
    ctx.session.set_currval(relation.oid, value);
    Ok(Datum::Int8(value))
}

fn currval(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let relation = relation(ctx, oid_at(args, 0))?;
    may(ctx, relation, Privileges::USAGE.and(Privileges::SELECT))?;
    match ctx.session.currval(relation.oid) {
        Some(value) => Ok(Datum::Int8(value)),
        None => Err(PgError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("currval of sequence \"{}\" is not yet defined in this session", relation.name),
        )),
    }
}

fn lastval(ctx: &ExecContext, _: &[Datum]) -> Result<Datum> {
    match ctx.session.lastval() {
        Some(value) => Ok(Datum::Int8(value)),
        None => Err(PgError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "lastval is not yet defined in this session",
        )),
    }
}

fn setval(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let relation = relation(ctx, oid_at(args, 0))?;
    may_write(ctx, relation, "setval()")?;
    may(ctx, relation, Privileges::UPDATE)?;
    let value = int_at(args, 1);
    let called = !matches!(args.get(2), Some(Datum::Bool(false)));
    if let Some(def) = relation.sequence() {
        check_bounds(relation, def, value)?;
    }
    let sequence = ctx.txn.use_sequence(relation.oid)?;
    sequence.setval(&relation.name, value, called)?;
    ctx.txn.acknowledge_after(sequence.logged_at());
    if called {
        ctx.session.set_currval(relation.oid, value);
    }
    Ok(Datum::Int8(value))
}

fn check_bounds(relation: &Relation, def: &SequenceDef, value: i64) -> Result<()> {
    if (def.min..=def.max).contains(&value) {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!(
            "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
            relation.name, def.min, def.max
        ),
    ))
}

/// `pg_sequences.last_value`: NULL until the sequence was called.
pub fn last_value(ctx: &ExecContext, oid: Oid) -> Result<Datum> {
    let relation = relation(ctx, oid)?;
    let state = ctx.txn.sequence(relation.oid)?.state();
    Ok(if state.called { Datum::Int8(state.last) } else { Datum::Null })
}

fn serial_sequence(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let (name, column) = (text_at(args, 0), text_at(args, 1));
    let Some(table) = ctx.session.find_relation(&ctx.catalog, name)? else {
        return Err(PgError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        ));
    };
    let columns = table.table().map_or(&[][..], |t| &t.columns);
    let Some(at) = columns.iter().position(|c| c.name == column && !c.dropped) else {
        return Err(PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{column}\" of relation \"{}\" does not exist", table.name),
        ));
    };
    let number = i16::try_from(at + 1).unwrap_or(0);
    let owned = ctx
        .catalog
        .sequences_of(table.oid)
        .find(|s| s.sequence().and_then(|d| d.owned_by) == Some((table.oid, number)));
    Ok(owned.map_or(Datum::Null, |s| Datum::text(definition::qualified_name(&ctx.catalog, s))))
}
