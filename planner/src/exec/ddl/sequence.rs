//! Sequences: CREATE, ALTER, and what their options mean.

use std::sync::Arc;

use sqlparser::ast::{DataType, Expr, ObjectName, SequenceOptions};
use vicinity_storage::catalog::model::{Object, Relation, RelationKind, SequenceDef};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::super::outcome::{Outcome, done};
use super::super::{name, respell, types};
use super::default_acl;
use crate::authority::Target;
use crate::context::ExecContext;
use crate::names;
use crate::sql::AlterSequence;

fn invalid(text: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, text)
}

/// The default expression of a serial column, as the catalog keeps it.
pub(crate) fn nextval_text(ctx: &ExecContext, schema: Oid, sequence: &str) -> String {
    let schema = names::quote(&name::schema_name_of(ctx, schema));
    let full = format!("{schema}.{}", names::quote(sequence));
    format!("nextval('{}'::regclass)", full.replace('\'', "''"))
}

fn limits(ty: Oid) -> (i64, i64) {
    match ty {
        oid::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        oid::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

fn integer(expr: &Expr) -> Result<i64> {
    let text = expr.to_string().replace(' ', "");
    text.parse().map_err(|_| {
        if text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit()) {
            PgError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("value \"{text}\" is out of range for type bigint"),
            )
        } else {
            PgError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{text}\""))
        }
    })
}

/// The definition options make, over defaults or over `before` (ALTER).
pub(crate) fn define(
    options: &[SequenceOptions],
    ty: Oid,
    before: Option<&SequenceDef>,
) -> Result<SequenceDef> {
    let (type_min, type_max) = limits(ty);
    let mut increment = before.map_or(1, |b| b.increment);
    let (mut start, mut min, mut max) = (None, None, None);
    let mut cache = before.map_or(1, |b| b.cache);
    let mut cycle = before.is_some_and(|b| b.cycle);
    for option in options {
        match option {
            SequenceOptions::IncrementBy(e, _) => increment = integer(e)?,
            SequenceOptions::StartWith(e, _) => start = Some(integer(e)?),
            SequenceOptions::MinValue(e) => min = Some(e.as_ref().map(integer).transpose()?),
            SequenceOptions::MaxValue(e) => max = Some(e.as_ref().map(integer).transpose()?),
            SequenceOptions::Cache(e) => cache = integer(e)?,
            // The grammar says whether NO was there.
            SequenceOptions::Cycle(no) => cycle = !*no,
        }
    }
    if increment == 0 {
        return Err(invalid("INCREMENT must not be zero"));
    }
    if cache < 1 {
        return Err(invalid(format!("CACHE ({cache}) must be greater than zero")));
    }
    let up = increment > 0;
    let default_min = if up { 1 } else { type_min };
    let default_max = if up { type_max } else { -1 };
    let min = match (min, before) {
        (Some(given), _) => given.unwrap_or(default_min),
        (None, Some(b)) if b.type_oid == ty => b.min,
        _ => default_min,
    };
    let max = match (max, before) {
        (Some(given), _) => given.unwrap_or(default_max),
        (None, Some(b)) if b.type_oid == ty => b.max,
        _ => default_max,
    };
    let shown = vicinity_types::format_type(ty, None);
    if max > type_max || max < type_min {
        return Err(invalid(format!(
            "MAXVALUE ({max}) is out of range for sequence data type {shown}"
        )));
    }
    if min < type_min || min > type_max {
        return Err(invalid(format!(
            "MINVALUE ({min}) is out of range for sequence data type {shown}"
        )));
    }
    if min >= max {
        return Err(invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
    }
    let start = start.or(before.map(|b| b.start)).unwrap_or(if up { min } else { max });
    if start < min {
        return Err(invalid(format!("START value ({start}) cannot be less than MINVALUE ({min})")));
    }
    if start > max {
        return Err(invalid(format!(
            "START value ({start}) cannot be greater than MAXVALUE ({max})"
        )));
    }
    Ok(SequenceDef {
        type_oid: ty,
        start,
        increment,
        min,
        max,
        cache,
        cycle,
        owned_by: before.and_then(|b| b.owned_by),
        identity: before.is_some_and(|b| b.identity),
    })
}

fn sequence_type(ctx: &ExecContext, ty: &DataType) -> Result<Oid> {
    match types::resolve_type(ctx, ty)?.oid {
        ty @ (oid::INT2 | oid::INT4 | oid::INT8) => Ok(ty),
        _ => Err(invalid("sequence type must be smallint, integer, or bigint")),
    }
}

/// CREATE SEQUENCE as parsed.
pub(crate) struct Create<'a> {
    pub(crate) temporary: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) name: &'a ObjectName,
    pub(crate) ty: Option<&'a DataType>,
    pub(crate) options: &'a [SequenceOptions],
    pub(crate) owned_by: Option<&'a ObjectName>,
}

/// Runs CREATE SEQUENCE.
pub(crate) fn create(ctx: &ExecContext, s: &Create<'_>) -> Result<Outcome> {
    let (schema, own) = super::table::place(ctx, s.temporary, s.name)?;
    if super::table::exists(ctx, schema, &own, s.if_not_exists)? {
        return Ok(done("CREATE SEQUENCE"));
    }
    let ty = match s.ty {
        None => oid::INT8,
        Some(ty) => sequence_type(ctx, ty)?,
    };
    let mut def = define(s.options, ty, None)?;
    def.owned_by = match s.owned_by {
        Some(column) => owner(ctx, column)?,
        None => None,
    };
    let relation = Relation {
        oid: ctx.txn.new_oid(),
        name: own,
        schema,
        owner: super::role::acting(ctx)?,
        kind: RelationKind::Sequence(def),
    };
    let target = Target::relation(&relation);
    ctx.txn.put(Object::Relation(Arc::new(relation)))?;
    default_acl::begin(ctx, &target, schema)?;
    Ok(done("CREATE SEQUENCE"))
}

/// `OWNED BY table.column` or NONE.
fn owner(ctx: &ExecContext, column: &ObjectName) -> Result<Option<(Oid, i16)>> {
    let parts = name::parts(column);
    if let [one] = parts.as_slice() {
        if one == "none" {
            return Ok(None);
        }
        return Err(PgError::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
            .hint("Specify OWNED BY table.column or OWNED BY NONE."));
    }
    let Some((own, _)) = parts.split_last() else { return Ok(None) };
    let mut table = column.clone();
    table.0.pop();
    let relation = name::table(ctx, &table)?;
    let number = relation
        .table()
        .and_then(|t| t.columns.iter().position(|c| !c.dropped && c.name == *own))
        .and_then(|at| i16::try_from(at + 1).ok());
    match number {
        Some(number) => Ok(Some((relation.oid, number))),
        None => Err(PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{own}\" of relation \"{}\" does not exist", relation.name),
        )),
    }
}

/// Runs ALTER SEQUENCE.
pub(crate) fn alter(ctx: &ExecContext, s: &AlterSequence) -> Result<Outcome> {
    let tag = done("ALTER SEQUENCE");
    let relation = match name::relation(ctx, &s.name) {
        Ok(relation) => relation,
        Err(e) if s.if_exists => {
            name::skipping(ctx, e.code(), e.message().to_owned());
            return Ok(tag);
        }
        Err(e) => return Err(e),
    };
    let Some(before) = relation.sequence() else { return Err(name::not_a(&relation, "sequence")) };
    let mut next = (*relation).clone();
    let ty = match &s.ty {
        Some(ty) => sequence_type(ctx, ty)?,
        None => before.type_oid,
    };
    let mut def = define(&s.options, ty, Some(before))?;
    if let Some(column) = &s.owned_by {
        if before.identity {
            return Err(PgError::unsupported("changing the owner of an identity sequence"));
        }
        def.owned_by = owner(ctx, column)?;
    }
    if let Some(to) = &s.rename_to {
        let to = name::ident(to);
        name::check_free(ctx, relation.schema, &to)?;
        next.name = to;
    }
    if let Some(to) = &s.set_schema {
        next.schema = name::schema(ctx, &name::ident(to))?;
        name::check_free(ctx, next.schema, &next.name)?;
    }
    if let Some(to) = &s.owner_to {
        next.owner = super::role::oid_of(ctx, &name::ident(to))?;
    }
    let (min, max, start) = (def.min, def.max, def.start);
    next.kind = RelationKind::Sequence(def);
    respell::after(ctx, || ctx.txn.put(Object::Relation(Arc::new(next))))?;
    if let Some(restart) = s.restart {
        let value = restart.unwrap_or(start);
        check_restart(value, min, max)?;
        ctx.txn.restart_sequence(relation.oid, value)?;
    }
    let last = ctx.txn.sequence(relation.oid)?.state().last;
    if last < min || last > max {
        check_restart(last, min, max)?;
    }
    Ok(tag)
}

fn check_restart(value: i64, min: i64, max: i64) -> Result<()> {
    if value < min {
        return Err(invalid(format!(
            "RESTART value ({value}) cannot be less than MINVALUE ({min})"
        )));
    }
    if value > max {
        return Err(invalid(format!(
            "RESTART value ({value}) cannot be greater than MAXVALUE ({max})"
        )));
    }
    Ok(())
}
