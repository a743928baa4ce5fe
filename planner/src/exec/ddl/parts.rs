//! What a partition has because the table above it has it: indexes, keys, foreign keys, triggers.

use std::sync::Arc;

use vicinity_storage::catalog::model::{
    Constraint, ConstraintKind, ForeignKey, IndexDef, IndexKey, Object, Relation, RelationKind,
    Trigger,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::dml::table_def;
use super::super::foreign;
use super::super::name;
use super::super::triggers::bits;
use super::depend::{constraint_of_index, held_constraint};
use super::like::attribute_names;
use super::{index, inherit, referred};
use crate::context::ExecContext;
use crate::partition;

/// Gives a partition everything its parent has, and those below it.
pub(crate) fn complete(ctx: &ExecContext, parent: &Arc<Relation>, part: Oid) -> Result<()> {
    let catalog = ctx.txn.catalog();
    for i in catalog.indexes_of(parent.oid) {
        index_of(ctx, i, part)?;
    }
    let parent = index::reread(ctx, parent.oid)?;
    for c in &table_def(&parent)?.constraints {
        let is_key = matches!(c.kind, ConstraintKind::ForeignKey(_));
        if is_key && foreign::part::whole_of(&catalog, &parent, c).is_none() {
            constraint_of(ctx, &parent, c, part)?;
        }
    }
    referred::complete(ctx, &parent, part)?;
    for t in catalog.triggers_of(parent.oid) {
        trigger_of(ctx, &parent, t, part)?;
    }
    Ok(())
}

/// An index of a partitioned table gets its parts.
pub(crate) fn spread_index(ctx: &ExecContext, index: &Arc<Relation>) -> Result<()> {
    let Some(def) = index.index() else { return Ok(()) };
    let catalog = ctx.txn.catalog();
    let table = catalog.relation(def.table).filter(|t| partition::is_partitioned(t));
    let Some(table) = table else { return Ok(()) };
    for part in partition::children(&ctx.engine, &catalog, table)? {
        index_of(ctx, index, part.oid)?;
    }
    Ok(())
}

fn part_of(ctx: &ExecContext, whole: &IndexDef, part: &Relation, parent: Oid) -> Result<IndexDef> {
    let catalog = ctx.txn.catalog();
    let table = catalog.relation(whole.table).ok_or_else(|| PgError::internal("no table"))?;
    let columns = &table_def(part)?.columns;
    let mut keys = Vec::with_capacity(whole.keys.len());
    for k in &whole.keys {
        let column = match k.expr {
            Some(_) => 0,
            None => {
                let found = inherit::numbers(table, &[k.column], columns)?;
                found.first().copied().unwrap_or(0)
            }
        };
        keys.push(IndexKey { column, ..k.clone() });
    }
    Ok(IndexDef {
        table: part.oid,
        keys,
        include: inherit::numbers(table, &whole.include, columns)?,
        parent: Some(parent),
        valid: false,
        ..whole.clone()
    })
}

/// Whether an index would do as a part of another one.
fn fits(have: &IndexDef, wanted: &IndexDef) -> bool {
    let key = |k: &IndexKey| {
        let expr = k.expr.as_ref().map(|e| e.sql.clone());
        (k.column, expr, k.opclass, k.descending, k.nulls_first)
    };
    have.parent.is_none()
        && have.method == wanted.method
        && have.unique == wanted.unique
        && have.include == wanted.include
        && have.predicate == wanted.predicate
        && have.keys.iter().map(key).eq(wanted.keys.iter().map(key))
}

/// Makes a part of an index, or takes one that is there; then its own parts.
fn index_of(ctx: &ExecContext, whole: &Arc<Relation>, part: Oid) -> Result<()> {
    let Some(def) = whole.index() else { return Ok(()) };
    let catalog = ctx.txn.catalog();
    let of_whole = |i: &&Arc<Relation>| i.index().is_some_and(|d| d.parent == Some(whole.oid));
    if let Some(have) = catalog.indexes_of(part).find(of_whole) {
        return spread_index(ctx, have);
    }
    let table = index::reread(ctx, part)?;
    let wanted = part_of(ctx, def, &table, whole.oid)?;
    if let (true, Some(by)) = (wanted.unique, &table_def(&table)?.partitioning) {
        let columns: Vec<i16> = wanted.keys.iter().map(|k| k.column).collect();
        let what = if wanted.primary { "PRIMARY KEY" } else { "UNIQUE" };
        super::partition::check_key(&table, by, &columns, what)?;
    }
    let backs = constraint_of_index(&catalog, whole);
    let same = |i: &&Arc<Relation>| {
        i.index().is_some_and(|d| fits(d, &wanted))
            && constraint_of_index(&catalog, i).is_some() == backs.is_some()
    };
    if let Some(have) = catalog.indexes_of(part).find(same) {
        let mut next = (**have).clone();
        if let RelationKind::Index(d) = &mut next.kind {
            d.parent = Some(whole.oid);
        }
        if let Some(held) = held_constraint(&catalog, have) {
            inherit_constraint(ctx, part, held.oid)?;
        }
        ctx.txn.put(Object::Relation(Arc::new(next)))?;
        return spread_index(ctx, &index::reread(ctx, have.oid)?);
    }
    let joined = || {
        let names = attribute_names(&table, &wanted);
        name::joined(names.iter().map(String::as_str))
    };
    let (label, columns) = match (&backs, wanted.primary) {
        (Some(_), true) => ("pkey", None),
        (Some(_), false) => ("key", Some(joined())),
        (None, _) => ("idx", Some(joined())),
    };
    let own = name::choose(ctx, table.schema, &table.name, columns.as_deref(), label, &|_| false);
    let oid = ctx.txn.new_oid();
    let made = Relation {
        oid,
        name: own.clone(),
        schema: table.schema,
        owner: table.owner,
        kind: RelationKind::Index(wanted.clone()),
    };
    ctx.txn.put(Object::Relation(Arc::new(made)))?;
    if backs.is_some() {
        let kind = match wanted.primary {
            true => ConstraintKind::PrimaryKey { index: oid },
            false => ConstraintKind::Unique { index: oid },
        };
        push(
            ctx,
            part,
            Constraint {
                oid: ctx.txn.new_oid(),
                name: own,
                columns: wanted.keys.iter().map(|k| k.column).collect(),
                kind,
                deferrable: false,
                deferred: false,
                validated: true,
                inherited: 1,
                local: false,
                no_inherit: false,
            },
        )?;
    }
    index::build(ctx, oid)?;
    spread_index(ctx, &index::reread(ctx, oid)?)
}

/// `ALTER INDEX whole ATTACH PARTITION part`
pub(crate) fn attach_index(
    ctx: &ExecContext,
    whole: &Arc<Relation>,
    given: &sqlparser::ast::ObjectName,
) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let Some(def) = whole.index() else { return Err(name::not_a(whole, "index")) };
    let table = index::reread(ctx, def.table)?;
    if !partition::is_partitioned(&table) {
        let own = &whole.name;
        let text =
            format!("ALTER action ATTACH PARTITION cannot be performed on relation \"{own}\"");
        return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, text)
            .detail("This operation is not supported for indexes."));
    }
    let part = name::relation(ctx, given)?;
    let Some(own) = part.index() else {
        let text = format!("\"{}\" is not an index", part.name);
        return Err(PgError::new(SqlState::INVALID_OBJECT_DEFINITION, text));
    };
    if own.parent == Some(whole.oid) {
        return Ok(());
    }
    let refuse = |code, detail: String| {
        let text = format!(
            "cannot attach index \"{}\" as a partition of index \"{}\"",
            part.name, whole.name
        );
        Err(PgError::new(code, text).detail(detail))
    };
    let state = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
    if own.parent.is_some() {
        return refuse(
            state,
            format!("Index \"{}\" is already attached to another index.", part.name),
        );
    }
    let place = catalog.children_of(def.table).find(|c| c.oid == own.table);
    let Some(place) = place else {
        let (part, table) = (&part.name, &table.name);
        let text =
            format!("Index \"{part}\" is not an index on any partition of table \"{table}\".");
        return refuse(state, text);
    };
    if catalog.indexes_of(place.oid).any(|i| i.index().is_some_and(|d| d.parent == Some(whole.oid)))
    {
        let text = format!("Another index is already attached for partition \"{}\".", place.name);
        return refuse(state, text);
    }
    if !fits(own, &part_of(ctx, def, place, whole.oid)?) {
        let text = "The index definitions do not match.".to_owned();
        return refuse(SqlState::INVALID_OBJECT_DEFINITION, text);
    }
    if constraint_of_index(&catalog, whole).is_some() {
        let Some(held) = held_constraint(&catalog, &part) else {
            let (whole, table, part) = (&whole.name, &table.name, &part.name);
            let text = format!(
                "The index \"{whole}\" belongs to a constraint in table \"{table}\" but no constraint \
                 exists for index \"{part}\"."
            );
            return refuse(SqlState::INVALID_OBJECT_DEFINITION, text);
        };
        inherit_constraint(ctx, own.table, held.oid)?;
    }
    let mut next = (*part).clone();
    if let RelationKind::Index(d) = &mut next.kind {
        d.parent = Some(whole.oid);
    }
    ctx.txn.put(Object::Relation(Arc::new(next)))
}

/// A table's constraint is its parent's from now on.
fn inherit_constraint(ctx: &ExecContext, table: Oid, constraint: Oid) -> Result<()> {
    let mut next = (*index::reread(ctx, table)?).clone();
    if let RelationKind::Table(t) = &mut next.kind {
        for c in t.constraints.iter_mut().filter(|c| c.oid == constraint) {
            (c.inherited, c.local) = (1, false);
        }
    }
    ctx.txn.put(Object::Relation(Arc::new(next)))
}

fn push(ctx: &ExecContext, table: Oid, made: Constraint) -> Result<()> {
    let mut next = (*index::reread(ctx, table)?).clone();
    if let RelationKind::Table(t) = &mut next.kind {
        if matches!(made.kind, ConstraintKind::PrimaryKey { .. }) {
            let numbers = &made.columns;
            for (number, c) in (1..).zip(&mut t.columns) {
                c.not_null |= numbers.contains(&number);
            }
        }
        t.constraints.push(made);
    }
    ctx.txn.put(Object::Relation(Arc::new(next)))
}

/// Takes a foreign key that a partition has already for its part of the parent's.
fn merge(ctx: &ExecContext, part: &Relation, c: &Constraint, columns: &[i16]) -> Result<bool> {
    let ConstraintKind::ForeignKey(wanted) = &c.kind else { return Ok(false) };
    let same = |have: &&mut Constraint| match &have.kind {
        ConstraintKind::ForeignKey(f) => {
            // PostgreSQL does not look at the columns that are set.
            let actions = |f: &ForeignKey| (f.on_update.letter(), f.on_delete.letter(), f.full);
            have.inherited == 0
                && have.validated
                && have.columns == columns
                && (f.table, &f.columns) == (wanted.table, &wanted.columns)
                && actions(f) == actions(wanted)
                && (have.deferrable, have.deferred) == (c.deferrable, c.deferred)
        }
        _ => false,
    };
    let mut next = part.clone();
    let RelationKind::Table(def) = &mut next.kind else { return Ok(false) };
    let Some(have) = def.constraints.iter_mut().find(same) else { return Ok(false) };
    (have.inherited, have.local) = (1, false);
    let (own, catalog) = (have.oid, ctx.txn.catalog());
    // The parts are the parent's own.
    let parts = foreign::part::parts_of(&catalog, part, own);
    def.constraints.retain(|c| !parts.contains(&c.oid));
    ctx.txn.put(Object::Relation(Arc::new(next)))?;
    Ok(true)
}

/// Gives a partition a constraint of its parent, and those below it.
pub(crate) fn constraint_of(
    ctx: &ExecContext,
    parent: &Relation,
    c: &Constraint,
    part: Oid,
) -> Result<()> {
    let table = index::reread(ctx, part)?;
    let columns = inherit::numbers(parent, &c.columns, &table_def(&table)?.columns)?;
    if merge(ctx, &table, c, &columns)? {
        return Ok(());
    }
    let mut made = inherit::inherited(ctx, c, columns);
    if let ConstraintKind::ForeignKey(f) = &mut made.kind
        && let Some(listed) = f.on_delete.listed_columns()
    {
        let listed = inherit::numbers(parent, listed, &table_def(&table)?.columns)?;
        f.on_delete = f.on_delete.with_columns(listed);
    }
    let taken: Vec<String> =
        table_def(&table)?.constraints.iter().map(|c| c.name.clone()).collect();
    if taken.contains(&made.name) {
        made.name = super::constraint::choose_name(&table.name, None, "fkey", &taken);
    }
    let oid = made.oid;
    push(ctx, part, made)?;
    let table = index::reread(ctx, part)?;
    if matches!(c.kind, ConstraintKind::ForeignKey(_)) && c.validated {
        foreign::check_rows(ctx, &table, oid)?;
    }
    let catalog = ctx.txn.catalog();
    for below in catalog.children_of(part).map(|r| r.oid) {
        constraint_of(ctx, parent, c, below)?;
    }
    Ok(())
}

/// A row trigger of a partitioned table is a trigger of each of its parts.
pub(crate) fn trigger_of(
    ctx: &ExecContext,
    parent: &Relation,
    t: &Arc<Trigger>,
    part: Oid,
) -> Result<()> {
    if t.kind & bits::ROW == 0 {
        return Ok(());
    }
    let table = index::reread(ctx, part)?;
    let oid = ctx.txn.new_oid();
    let mut constraint = t.constraint.clone();
    if let Some(c) = &mut constraint {
        c.oid = ctx.txn.new_oid();
    }
    let columns = inherit::numbers(parent, &t.columns, &table_def(&table)?.columns)?;
    let made =
        Trigger { oid, table: part, columns, constraint, parent: Some(t.oid), ..(**t).clone() };
    ctx.txn.put(Object::Trigger(Arc::new(made)))?;
    let catalog = ctx.txn.catalog();
    let Some(made) = catalog.trigger(oid) else { return Ok(()) };
    for below in catalog.children_of(part).filter(|_| partition::is_partitioned(&table)) {
        trigger_of(ctx, &table, made, below.oid)?;
    }
    Ok(())
}
