//! Looking for keys.

use std::sync::Arc;

use vicinity_storage::catalog::model::Relation;
use vicinity_storage::{
    Access, KeyRange, LockMode, LockOutcome, LockWait, RelationLock, Snapshot, pin,
};
use vicinity_types::{Datum, Kind, Oid, PgError, Result};

use super::reference::{Reference, find, table_name};
use crate::authority;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::ddl::inherit::numbers;
use crate::exec::dml::table_def;
use crate::{inner, names, partition};

/// A referring key as the parent's columns hold it; `None` if they cannot hold it.
fn as_parent(
    ctx: &ExecContext,
    reference: &Reference,
    key: &[Datum],
) -> Result<Option<Vec<Datum>>> {
    let types = reference.child_types(ctx).into_iter().zip(reference.parent_types(ctx));
    let mut out = Vec::with_capacity(key.len());
    for (value, (from, to)) in key.iter().zip(types) {
        match converted(ctx, value, from, to)? {
            Some(value) => out.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some(out))
}

fn converted(ctx: &ExecContext, value: &Datum, from: PgType, to: PgType) -> Result<Option<Datum>> {
    if from.kind == to.kind {
        return Ok(Some(value.clone()));
    }
    if let Some(whole) = crate::row::number::as_i64(value) {
        // An integer that does not fit the key is not in it.
        match to.kind {
            Kind::Int2 => return Ok(i16::try_from(whole).ok().map(Datum::Int2)),
            Kind::Int4 => return Ok(i32::try_from(whole).ok().map(Datum::Int4)),
            Kind::Int8 => return Ok(Some(Datum::Int8(whole))),
            _ => {}
        }
    }
    inner::convert(ctx, value, from, to)
}

fn no_index() -> PgError {
    PgError::internal("foreign key without its index")
}

/// The value a key has for a column.
fn value(columns: &[i16], key: &[Datum], column: i16) -> Datum {
    let at = columns.iter().position(|c| *c == column);
    at.and_then(|at| key.get(at)).cloned().unwrap_or_default()
}

/// Where a key of the parent would be.
struct Place {
    table: Oid,
    index: Oid,
    columns: Vec<i16>,
}

impl Place {
    /// In one partition, as its unique index has all columns by which the table is cut; `None` if there is none for it.
    fn of(ctx: &ExecContext, reference: &Reference, key: &[Datum]) -> Result<Option<Place>> {
        let catalog = &ctx.catalog;
        let mut table = catalog.relation(reference.parent.oid).unwrap_or(&reference.parent);
        let (mut index, mut columns) = (reference.key.index, reference.key.columns.clone());
        while let Some(by) = table.table().and_then(|t| t.partitioning.as_ref()) {
            let values: Vec<Datum> =
                by.keys.iter().map(|k| value(&columns, key, k.column)).collect();
            let bounds = partition::bounds(&ctx.engine, catalog, table)?;
            let part = bounds.find(ctx, &values)?.and_then(|part| catalog.relation(part));
            let Some(part) = part else { return Ok(None) };
            columns = numbers(table, &columns, &table_def(part)?.columns)?;
            let of_part = |i: &&Arc<Relation>| i.index().is_some_and(|d| d.parent == Some(index));
            index = catalog.indexes_of(part.oid).find(of_part).ok_or_else(no_index)?.oid;
            table = part;
        }
        Ok(Some(Place { table: table.oid, index, columns }))
    }
}

/// Whether the parent has a key; locks the row that has it, if asked to.
fn present(ctx: &ExecContext, reference: &Reference, key: &[Datum], lock: bool) -> Result<bool> {
    let Some(place) = Place::of(ctx, reference, key)? else { return Ok(false) };
    ctx.txn.lock_relation(place.table, RelationLock::RowShare)?;
    let now = ctx.txn.catalog();
    if now.version() != ctx.catalog.version() {
        // Whoever had it locked may have given it other rows.
        return present(&ExecContext { catalog: now, ..ctx.clone() }, reference, key, lock);
    }
    let table = ctx.engine.db.table(place.table, &ctx.catalog)?;
    let index = ctx.catalog.relation(place.index).and_then(|r| r.index());
    let index = index.ok_or_else(no_index)?;
    let values: Vec<Datum> =
        index.keys.iter().map(|k| value(&place.columns, key, k.column)).collect();
    loop {
        let snapshot = ctx.txn.snapshot();
        let range = KeyRange::equal(&index.keys, &values);
        let access = Access::Btree { index: place.index, range, reverse: false };
        let mut cursor = table.open(access, snapshot)?;
        let row = {
            let guard = pin();
            cursor.next(&guard, &mut |_| Ok(true))?.map(|r| r.id)
        };
        let Some(row) = row else { return Ok(false) };
        if !lock {
            return Ok(true);
        }
        let mode = LockMode::KeyShare;
        match table.lock_row(&ctx.txn, &snapshot, row, mode, LockWait::Block)? {
            LockOutcome::Locked => return Ok(true),
            LockOutcome::Gone => return Ok(false),
            LockOutcome::Concurrent | LockOutcome::Skipped => ctx.check()?,
        }
    }
}

/// Whether a row refers to a key, given as values of `types`, under a snapshot.
fn exists(
    ctx: &ExecContext,
    reference: &Reference,
    (key, types): (&[Datum], &[PgType]),
    snapshot: Snapshot,
) -> Result<bool> {
    let columns = Reference::column_names(&reference.child, &reference.constraint.columns);
    let conditions = (1..).zip(&columns).map(|(i, c)| format!("{} = ${i}", names::quote(c)));
    let conditions: Vec<String> = conditions.collect();
    let table = table_name(ctx, &reference.child);
    let text = format!("SELECT 1 FROM {table} WHERE {} LIMIT 1", conditions.join(" AND "));
    let ctx = &ExecContext { snapshot, ..ctx.clone() };
    let _owner = authority::as_owner(ctx, &reference.child);
    let statement = inner::prepare_with_types(ctx, &text, types)?;
    let mut found = false;
    inner::rows(ctx, &statement, key.into(), &mut |_| {
        found = true;
        Ok(false)
    })?;
    Ok(found)
}

/// Whether a row refers to a key of the parent.
pub(super) fn referred(
    ctx: &ExecContext,
    reference: &Reference,
    key: &[Datum],
    snapshot: Snapshot,
) -> Result<bool> {
    exists(ctx, reference, (key, &reference.parent_types(ctx)), snapshot)
}

/// A row came to refer to a key: it must be there.
pub(crate) fn refers(ctx: &ExecContext, reference: &Reference, key: &[Datum]) -> Result<()> {
    let held = as_parent(ctx, reference, key)?;
    if let Some(held) = &held
        && present(ctx, reference, held, true)?
    {
        return Ok(());
    }
    // The row may be gone again, or refer elsewhere by now.
    if exists(ctx, reference, (key, &reference.child_types(ctx)), ctx.txn.snapshot())? {
        return Err(reference.not_present(ctx, key));
    }
    Ok(())
}

/// A key went: nobody may refer to it, unless another row has it now.
pub(crate) fn lost(ctx: &ExecContext, reference: &Reference, key: &[Datum]) -> Result<()> {
    if present(ctx, reference, key, false)? {
        return Ok(());
    }
    unreferenced(ctx, reference, key)
}

/// Nobody may refer to a key, whatever our own snapshot sees.
pub(super) fn unreferenced(ctx: &ExecContext, reference: &Reference, key: &[Datum]) -> Result<()> {
    let found = ctx.txn.with_latest(|latest| referred(ctx, reference, key, latest))?;
    if found { Err(reference.still_referenced(ctx, key)) } else { Ok(()) }
}

/// A partition goes: nobody may refer to its rows.
pub(crate) fn check_parting(ctx: &ExecContext, reference: &Reference) -> Result<()> {
    let ctx = &ctx.next_statement();
    let own = Reference::column_names(&reference.child, &reference.constraint.columns);
    let theirs = Reference::column_names(&reference.parent, &reference.key.columns);
    let quoted: Vec<String> = own.iter().map(|c| format!("c.{}", names::quote(c))).collect();
    let joins: Vec<String> =
        quoted.iter().zip(&theirs).map(|(c, p)| format!("{c} = p.{}", names::quote(p))).collect();
    let text = format!(
        "SELECT {} FROM {} c JOIN {} p ON {} LIMIT 1",
        quoted.join(", "),
        table_name(ctx, &reference.child),
        table_name(ctx, &reference.parent),
        joins.join(" AND ")
    );
    let statement = inner::prepare_with_types(ctx, &text, &[])?;
    let mut found = None;
    inner::rows(ctx, &statement, inner::Params::new(), &mut |row| {
        found = Some(row);
        Ok(false)
    })?;
    found.map_or(Ok(()), |key| Err(reference.still_parting(ctx, &key)))
}

/// ALTER TABLE ADD and VALIDATE: the rows there are must refer to something.
pub(crate) fn check_rows(ctx: &ExecContext, child: &Arc<Relation>, constraint: Oid) -> Result<()> {
    let ctx = &ctx.next_statement();
    let Some(reference) = find(ctx, constraint) else { return Ok(()) };
    let own = Reference::column_names(child, &reference.constraint.columns);
    let theirs = Reference::column_names(&reference.parent, &reference.key.columns);
    let quoted: Vec<String> = own.iter().map(|c| format!("c.{}", names::quote(c))).collect();
    let all = |test: &str, joined: &str| {
        let tests: Vec<String> = quoted.iter().map(|c| format!("{c} {test}")).collect();
        tests.join(joined)
    };
    let joins: Vec<String> =
        quoted.iter().zip(&theirs).map(|(c, p)| format!("p.{} = {c}", names::quote(p))).collect();
    let mut condition = format!(
        "({} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {}))",
        all("IS NOT NULL", " AND "),
        table_name(ctx, &reference.parent),
        joins.join(" AND ")
    );
    if reference.key.full {
        let (some, null) = (all("IS NOT NULL", " OR "), all("IS NULL", " OR "));
        condition = format!("{condition} OR (({some}) AND ({null}))");
    }
    let table = table_name(ctx, child);
    let text = format!("SELECT {} FROM {table} c WHERE {condition} LIMIT 1", quoted.join(", "));
    let statement = inner::prepare_with_types(ctx, &text, &[])?;
    let mut bad = None;
    inner::rows(ctx, &statement, inner::Params::new(), &mut |row| {
        bad = Some(row);
        Ok(false)
    })?;
    match bad {
        None => Ok(()),
        Some(key) if key.iter().any(Datum::is_null) => Err(reference.mixed(ctx)),
        Some(key) => Err(reference.not_present(ctx, &key)),
    }
}
