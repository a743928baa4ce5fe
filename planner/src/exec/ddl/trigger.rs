//! CREATE TRIGGER, ALTER TRIGGER.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{Expr, Ident, ObjectName, visit_expressions};
use vicinity_storage::ObjectKind;
use vicinity_storage::catalog::model::{
    Column, Object, Relation, RelationKind, Trigger, TriggerConstraint,
};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::super::name;
use super::super::outcome::{Outcome, done};
use super::super::triggers::{Event, bits, condition_text};
use super::function;
use crate::context::ExecContext;
use crate::df::source::SystemColumn;
use crate::partition::is_partitioned;
use crate::sql::{CreateTrigger, TriggerEvent, TriggerTiming};

fn wrong(message: String, detail: &str) -> PgError {
    PgError::new(SqlState::WRONG_OBJECT_TYPE, message).detail(detail)
}

fn invalid(message: &str) -> PgError {
    PgError::new(SqlState::INVALID_OBJECT_DEFINITION, message)
}

fn unsupported(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn columns_of(table: &Relation) -> &[Column] {
    match &table.kind {
        RelationKind::Table(t) => &t.columns,
        RelationKind::View(v) => &v.columns,
        _ => &[],
    }
}

/// What triggers a kind of relation can have.
fn check_target(c: &CreateTrigger, table: &Relation, kind: i16) -> Result<()> {
    let row = kind & bits::ROW != 0;
    match &table.kind {
        RelationKind::Table(t) if t.materialized.is_none() => {
            if c.timing == TriggerTiming::InsteadOf {
                let message = format!("\"{}\" is a table", table.name);
                return Err(wrong(message, "Tables cannot have INSTEAD OF triggers."));
            }
        }
        RelationKind::View(_) => {
            let message = || format!("\"{}\" is a view", table.name);
            if c.timing != TriggerTiming::InsteadOf && row {
                let detail = "Views cannot have row-level BEFORE or AFTER triggers.";
                return Err(wrong(message(), detail));
            }
            if kind & Event::Truncate.bit() != 0 {
                return Err(wrong(message(), "Views cannot have TRUNCATE triggers."));
            }
        }
        _ => {
            let message = format!("relation \"{}\" cannot have triggers", table.name);
            let detail = match table.kind {
                RelationKind::Index(_) => "This operation is not supported for indexes.",
                RelationKind::Sequence(_) => "This operation is not supported for sequences.",
                RelationKind::Composite(_) => {
                    "This operation is not supported for composite types."
                }
                _ => "This operation is not supported for materialized views.",
            };
            return Err(wrong(message, detail));
        }
    }
    if row && kind & Event::Truncate.bit() != 0 {
        return Err(unsupported("TRUNCATE FOR EACH ROW triggers are not supported"));
    }
    if c.timing == TriggerTiming::InsteadOf {
        if !row {
            return Err(unsupported("INSTEAD OF triggers must be FOR EACH ROW"));
        }
        if c.when.is_some() {
            return Err(unsupported("INSTEAD OF triggers cannot have WHEN conditions"));
        }
        if c.events.iter().any(|e| matches!(e, TriggerEvent::Update(of) if !of.is_empty())) {
            return Err(unsupported("INSTEAD OF triggers cannot have column lists"));
        }
    }
    if c.constraint && (!row || c.timing != TriggerTiming::After) {
        return Err(unsupported("CONSTRAINT triggers must be AFTER ROW"));
    }
    Ok(())
}

/// The bits of `pg_trigger.tgtype`, and the columns of UPDATE OF.
fn events(c: &CreateTrigger, table: &Relation) -> Result<(i16, Vec<i16>)> {
    let mut kind = if c.for_each_row { bits::ROW } else { 0 };
    kind |= match c.timing {
        TriggerTiming::Before => bits::BEFORE,
        TriggerTiming::InsteadOf => bits::INSTEAD,
        TriggerTiming::After => 0,
    };
    let mut columns = Vec::new();
    for event in &c.events {
        let bit = match event {
            TriggerEvent::Insert => Event::Insert.bit(),
            TriggerEvent::Delete => Event::Delete.bit(),
            TriggerEvent::Truncate => Event::Truncate.bit(),
            TriggerEvent::Update(of) => {
                for column in of {
                    columns.push(number(table, column)?);
                }
                Event::Update.bit()
            }
        };
        if kind & bit != 0 {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "duplicate trigger events specified"));
        }
        kind |= bit;
    }
    let mut sorted = columns.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < columns.len() {
        return Err(PgError::new(SqlState::DUPLICATE_COLUMN, "column specified more than once"));
    }
    Ok((kind, columns))
}

fn number(table: &Relation, column: &Ident) -> Result<i16> {
    let wanted = name::ident(column);
    let at = columns_of(table).iter().position(|x| !x.dropped && x.name == wanted);
    at.and_then(|at| i16::try_from(at + 1).ok()).ok_or_else(|| {
        PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{wanted}\" of relation \"{}\" does not exist", table.name),
        )
    })
}

/// REFERENCING: where transition tables make sense.
fn check_transitions(c: &CreateTrigger, table: &Relation, kind: i16) -> Result<()> {
    let (old, new) = (&c.old_table, &c.new_table);
    if old.is_none() && new.is_none() {
        return Ok(());
    }
    let definition = |message: &str| Err(invalid(message));
    if table.table().is_none() {
        return Err(wrong(
            format!("\"{}\" is a view", table.name),
            "Triggers on views cannot have transition tables.",
        ));
    }
    if kind & bits::ROW != 0 {
        let def = table.table();
        if is_partitioned(table) {
            return Err(unsupported(format!("\"{}\" is a partitioned table", table.name)).detail(
                "ROW triggers with transition tables are not supported on partitioned tables.",
            ));
        }
        if def.is_some_and(|t| t.bound.is_some()) {
            let text = "ROW triggers with transition tables are not supported on partitions";
            return Err(unsupported(text));
        }
        if def.is_some_and(|t| !t.parents.is_empty()) {
            return Err(unsupported(
                "ROW triggers with transition tables are not supported on inheritance children",
            ));
        }
    }
    if c.timing != TriggerTiming::After {
        return definition("transition table name can only be specified for an AFTER trigger");
    }
    if kind & Event::Truncate.bit() != 0 {
        return definition("TRUNCATE triggers with transition tables are not supported");
    }
    if c.events.len() != 1 {
        return Err(unsupported(
            "transition tables cannot be specified for triggers with more than one event",
        ));
    }
    if c.events.iter().any(|e| matches!(e, TriggerEvent::Update(of) if !of.is_empty())) {
        return Err(unsupported(
            "transition tables cannot be specified for triggers with column lists",
        ));
    }
    if new.is_some() && kind & (Event::Insert.bit() | Event::Update.bit()) == 0 {
        return definition("NEW TABLE can only be specified for an INSERT or UPDATE trigger");
    }
    if old.is_some() && kind & (Event::Delete.bit() | Event::Update.bit()) == 0 {
        return definition("OLD TABLE can only be specified for a DELETE or UPDATE trigger");
    }
    if let (Some(old), Some(new)) = (old, new)
        && name::ident(old) == name::ident(new)
    {
        return definition("OLD TABLE name and NEW TABLE name cannot be the same");
    }
    Ok(())
}

/// WHEN: only rows that there are may be looked at.
fn check_when(when: &Expr, kind: i16, table: &Relation) -> Result<()> {
    let found = visit_expressions(when, |e| match e {
        Expr::CompoundIdentifier(parts) => refused_row(parts, kind, table),
        Expr::Identifier(own) => refused_row(std::slice::from_ref(own), kind, table),
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn refused_row(parts: &[Ident], kind: i16, table: &Relation) -> ControlFlow<PgError> {
    let own = parts.first().map(name::ident);
    let Some(row @ ("old" | "new")) = own.as_deref() else { return ControlFlow::Continue(()) };
    let at = parts.first().and_then(name::ident_at);
    let refuse = |text: &str| ControlFlow::Break(invalid(text).or_at(at));
    if kind & bits::ROW == 0 {
        return refuse("statement trigger's WHEN condition cannot reference column values");
    }
    match row {
        "old" if kind & Event::Insert.bit() != 0 => {
            refuse("INSERT trigger's WHEN condition cannot reference OLD values")
        }
        "new" if kind & Event::Delete.bit() != 0 => {
            refuse("DELETE trigger's WHEN condition cannot reference NEW values")
        }
        "new" if kind & bits::BEFORE != 0 => match not_yet(table, parts) {
            Some(e) => ControlFlow::Break(e.or_at(at)),
            None => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    }
}

/// The error of what a new row has not before it is written.
fn not_yet(table: &Relation, parts: &[Ident]) -> Option<PgError> {
    let own = parts.get(1).map(name::ident);
    if own.is_some_and(|own| SystemColumn::ALL.iter().any(|c| c.name() == own)) {
        let text = "BEFORE trigger's WHEN condition cannot reference NEW system columns";
        return Some(unsupported(text));
    }
    let text = "BEFORE trigger's WHEN condition cannot reference NEW generated columns";
    generated_of(table, parts).map(|detail| invalid(text).detail(detail))
}

/// What of a new row has no value yet before it is written.
fn generated_of(table: &Relation, parts: &[Ident]) -> Option<String> {
    let mut generated =
        columns_of(table).iter().filter(|c| !c.dropped && c.generated.is_some()).map(|c| &c.name);
    match parts.get(1).map(name::ident) {
        Some(own) => {
            generated.any(|g| *g == own).then(|| format!("Column \"{own}\" is a generated column."))
        }
        None => generated.next().map(|_| {
            "A whole-row reference is used and the table contains generated columns.".to_owned()
        }),
    }
}

fn function_of(ctx: &ExecContext, given: &ObjectName) -> Result<Oid> {
    let found = function::find_named(ctx, given, Some(&[]), Some(false)).ok();
    let catalog = ctx.txn.catalog();
    let returns_trigger = |f: Oid| catalog.function(f).is_some_and(|f| f.returns == oid::TRIGGER);
    match found {
        Some(f) if returns_trigger(f) => Ok(f),
        None if vicinity_functions::proc_exact(&name::last(given), &[]).is_none() => {
            Err(PgError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {}() does not exist", name::shown(given)),
            ))
        }
        _ => Err(invalid(&format!("function {} must return type trigger", name::shown(given)))),
    }
}

/// The trigger that is replaced, if there is one and it may be.
fn replaced(
    ctx: &ExecContext,
    c: &CreateTrigger,
    table: &Relation,
    own: &str,
) -> Result<Option<Arc<Trigger>>> {
    let catalog = ctx.txn.catalog();
    let Some(before) = catalog.triggers_of(table.oid).find(|t| t.name == own) else {
        return Ok(None);
    };
    let taken = |text: String| PgError::new(SqlState::DUPLICATE_OBJECT, text);
    if !c.or_replace {
        return Err(taken(format!(
            "trigger \"{own}\" for relation \"{}\" already exists",
            table.name
        )));
    }
    if before.constraint.is_some() || c.constraint {
        let what = if c.constraint && before.constraint.is_none() {
            "is a regular trigger"
        } else {
            "is a constraint trigger"
        };
        return Err(taken(format!("trigger \"{own}\" for relation \"{}\" {what}", table.name)));
    }
    Ok(Some(before.clone()))
}

fn constraint(ctx: &ExecContext, c: &CreateTrigger) -> Result<Option<TriggerConstraint>> {
    if !c.constraint {
        return Ok(None);
    }
    let from = match &c.from {
        Some(from) => name::relation(ctx, from)?.oid,
        None => 0,
    };
    Ok(Some(TriggerConstraint {
        oid: ctx.txn.new_oid(),
        from,
        deferrable: c.deferrable,
        deferred: c.deferred,
    }))
}

/// Runs CREATE TRIGGER.
pub(crate) fn create(ctx: &ExecContext, c: &CreateTrigger) -> Result<Outcome> {
    if c.constraint && c.or_replace {
        return Err(unsupported("CREATE OR REPLACE CONSTRAINT TRIGGER is not supported"));
    }
    let table = name::relation(ctx, &c.table)?;
    let (kind, columns) = events(c, &table)?;
    check_target(c, &table, kind)?;
    check_transitions(c, &table, kind)?;
    let when = match &c.when {
        Some(when) => {
            let text = condition_text(&ctx.next_statement(), &table, when)?;
            check_when(when, kind, &table)?;
            Some(text)
        }
        None => None,
    };
    let own = name::ident(&c.name);
    let called = function_of(ctx, &c.function)?;
    let before = replaced(ctx, c, &table, &own)?;
    let trigger = Trigger {
        oid: before.map_or_else(|| ctx.txn.new_oid(), |t| t.oid),
        name: own,
        table: table.oid,
        function: called,
        kind,
        enabled: 'O',
        columns,
        args: c.args.clone(),
        when,
        constraint: constraint(ctx, c)?,
        old_table: c.old_table.as_ref().map(name::ident),
        new_table: c.new_table.as_ref().map(name::ident),
        parent: None,
    };
    let oid = trigger.oid;
    ctx.txn.put(Object::Trigger(Arc::new(trigger)))?;
    let catalog = ctx.txn.catalog();
    if let Some(made) = catalog.trigger(oid).filter(|_| is_partitioned(&table)) {
        for copy in catalog.triggers().filter(|t| t.parent == Some(oid)) {
            ctx.txn.drop_object(ObjectKind::Trigger, copy.oid)?;
        }
        for part in catalog.children_of(table.oid) {
            super::parts::trigger_of(ctx, &table, made, part.oid)?;
        }
    }
    Ok(done("CREATE TRIGGER"))
}

/// Runs ALTER TRIGGER ... RENAME TO.
pub(crate) fn rename(
    ctx: &ExecContext,
    own: &Ident,
    table: &ObjectName,
    to: &Ident,
) -> Result<Outcome> {
    let table = name::relation(ctx, table)?;
    let (own, to) = (name::ident(own), name::ident(to));
    let catalog = ctx.txn.catalog();
    let Some(found) = catalog.triggers_of(table.oid).find(|t| t.name == own) else {
        return Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("trigger \"{own}\" for table \"{}\" does not exist", table.name),
        ));
    };
    if found.parent.is_some() {
        let text = format!("cannot rename trigger \"{own}\" on table \"{}\"", table.name);
        let whole = found.parent.and_then(|p| catalog.trigger(p)).map(|t| t.table);
        let whole = whole.and_then(|t| catalog.relation(t)).map_or("", |r| r.name.as_str());
        return Err(PgError::internal(text)
            .hint(format!("Rename the trigger on the partitioned table \"{whole}\" instead.")));
    }
    give_name(ctx, &table, found, &to)?;
    Ok(done("ALTER TRIGGER"))
}

/// Gives a trigger another name, and those that partitions have of it.
fn give_name(ctx: &ExecContext, table: &Relation, t: &Trigger, to: &str) -> Result<()> {
    let catalog = ctx.txn.catalog();
    if catalog.triggers_of(table.oid).any(|t| t.name == to) {
        return Err(PgError::new(
            SqlState::DUPLICATE_OBJECT,
            format!("trigger \"{to}\" for relation \"{}\" already exists", table.name),
        ));
    }
    ctx.txn.put(Object::Trigger(Arc::new(Trigger { name: to.to_owned(), ..t.clone() })))?;
    for part in catalog.children_of(table.oid) {
        for copy in catalog.triggers_of(part.oid).filter(|c| c.parent == Some(t.oid)) {
            give_name(ctx, part, copy, to)?;
        }
    }
    Ok(())
}
