//! CREATE TRIGGER.

use std::sync::Arc;

use vicinity_storage::catalog::model::{Object, RelationKind, Trigger};
use vicinity_types::{PgError, Result, SqlState, oid};

use super::super::outcome::{Outcome, done};
use super::super::{canon, name};
use super::function;
use crate::context::ExecContext;
use crate::sql::{CreateTrigger, TriggerEvent, TriggerTiming};

/// Runs CREATE TRIGGER.
pub(crate) fn create(ctx: &ExecContext, c: &CreateTrigger) -> Result<Outcome> {
    let table = name::relation(ctx, &c.table)?;
    let RelationKind::Table(def) = &table.kind else {
        return Err(name::not_a(&table, "table"));
    };
    if c.constraint {
        return Err(PgError::unsupported("CONSTRAINT TRIGGER"));
    }
    if c.timing == TriggerTiming::InsteadOf {
        return Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is a table", table.name),
        )
        .detail("Tables cannot have INSTEAD OF triggers."));
    }
    if !c.for_each_row {
        return Err(PgError::unsupported("FOR EACH STATEMENT"));
    }
    if c.when.is_some() {
        return Err(PgError::unsupported("WHEN of a trigger"));
    }
    let own = name::ident(&c.name);
    let mut kind = i16::from(c.for_each_row);
    if c.timing == TriggerTiming::Before {
        kind |= 2;
    }
    let mut columns = Vec::new();
    for event in &c.events {
        kind |= match event {
            TriggerEvent::Insert => 4,
            TriggerEvent::Delete => 8,
            TriggerEvent::Update(of) => {
                for column in of {
                    let wanted = name::ident(column);
                    let at = def.columns.iter().position(|x| !x.dropped && x.name == wanted);
                    let number = at.and_then(|at| i16::try_from(at + 1).ok()).ok_or_else(|| {
                        PgError::new(
                            SqlState::UNDEFINED_COLUMN,
                            format!(
                                "column \"{wanted}\" of relation \"{}\" does not exist",
                                table.name
                            ),
                        )
                    })?;
                    columns.push(number);
                }
                16
            }
            TriggerEvent::Truncate if c.for_each_row => {
                return Err(PgError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "TRUNCATE FOR EACH ROW triggers are not supported",
                ));
            }
            TriggerEvent::Truncate => 32,
        };
    }
    let called = function::find_named(ctx, &c.function, Some(&[]), Some(false)).map_err(|_| {
        PgError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {}() does not exist", name::shown(&c.function)),
        )
    })?;
    let catalog = ctx.txn.catalog();
    if catalog.function(called).is_none_or(|f| f.returns != oid::TRIGGER) {
        return Err(PgError::new(
            SqlState::INVALID_OBJECT_DEFINITION,
            format!("function {} must return type trigger", name::shown(&c.function)),
        ));
    }
    let before = catalog.triggers_of(table.oid).find(|t| t.name == own);
    if before.is_some() && !c.or_replace {
        return Err(PgError::new(
            SqlState::DUPLICATE_OBJECT,
            format!("trigger \"{own}\" for relation \"{}\" already exists", table.name),
        ));
    }
    let trigger = Trigger {
        oid: before.map_or_else(|| ctx.txn.new_oid(), |t| t.oid),
        name: own,
        table: table.oid,
        function: called,
        kind,
        enabled: 'O',
        columns,
        args: c.args.clone(),
        when: c.when.as_ref().map(canon::expr),
    };
    ctx.txn.put(Object::Trigger(Arc::new(trigger)))?;
    Ok(done("CREATE TRIGGER"))
}
