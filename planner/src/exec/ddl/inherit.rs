//! Columns and checks that a table has from others: INHERITS, PARTITION OF.

use std::sync::Arc;

use vicinity_storage::catalog::model::{
    AttrNumber, Column, Constraint, ConstraintKind, Identity, Object, Relation, RelationKind,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::dml::table_def;
use super::super::{foreign, name};
use super::table::{Draft, check_count};
use crate::context::ExecContext;
use crate::partition;

fn mismatch(text: String) -> PgError {
    PgError::new(SqlState::DATATYPE_MISMATCH, text)
}

/// Types have to be the same in all that a column comes from.
fn check_type(ctx: &ExecContext, have: &Column, other: &Column, what: &str) -> Result<()> {
    if (have.type_oid, have.typmod) == (other.type_oid, other.typmod) {
        return Ok(());
    }
    let shown = |c: &Column| ctx.type_name(c.type_oid, Some(c.typmod));
    Err(mismatch(format!("{what} \"{}\" has a type conflict", have.name)).detail(format!(
        "{} versus {}",
        shown(have),
        shown(other)
    )))
}

/// Puts the columns and checks of its parents into a draft, before its own.
pub(crate) fn columns_into(
    ctx: &ExecContext,
    draft: &mut Draft,
    parents: &[Arc<Relation>],
) -> Result<()> {
    for parent in parents {
        for c in table_def(parent)?.columns.iter().filter(|c| !c.dropped) {
            match draft.columns.iter().position(|have| have.name == c.name) {
                None => {
                    check_count(draft.columns.len() + 1)?;
                    draft.columns.push(Column {
                        // An identity's sequence is the parent's alone.
                        identity: None::<Identity>,
                        missing: None,
                        inherited: 1,
                        local: false,
                        ..c.clone()
                    });
                }
                Some(at) => {
                    let own = &c.name;
                    let text =
                        format!("merging multiple inherited definitions of column \"{own}\"");
                    name::notice(ctx, text);
                    let Some(have) = draft.columns.get_mut(at) else { continue };
                    check_type(ctx, have, c, "inherited column")?;
                    have.inherited += 1;
                    have.not_null |= c.not_null;
                    match (&have.default, &c.default) {
                        (Some(one), Some(other)) if one != other => {
                            draft.conflicts.push(own.clone());
                        }
                        (None, Some(other)) => have.default = Some(other.clone()),
                        _ => {}
                    }
                }
            }
        }
        checks_into(ctx, draft, parent)?;
        draft.parents.push(parent.oid);
    }
    Ok(())
}

/// The numbers of a parent's columns in a table that has them by the same names.
pub(crate) fn numbers(
    parent: &Relation,
    given: &[AttrNumber],
    columns: &[Column],
) -> Result<Vec<AttrNumber>> {
    let theirs = &table_def(parent)?.columns;
    let number = |n: &AttrNumber| {
        let at = usize::try_from(*n - 1).unwrap_or(usize::MAX);
        let name = theirs.get(at).map(|c| &c.name);
        let own = columns.iter().position(|c| !c.dropped && Some(&c.name) == name);
        own.and_then(|at| i16::try_from(at + 1).ok()).unwrap_or(0)
    };
    Ok(given.iter().map(number).collect())
}

fn checks_into(ctx: &ExecContext, draft: &mut Draft, parent: &Relation) -> Result<()> {
    for c in &table_def(parent)?.constraints {
        if !matches!(c.kind, ConstraintKind::Check { .. }) || c.no_inherit {
            continue;
        }
        if let Some(have) = draft.ready.iter_mut().find(|have| have.name == c.name) {
            have.inherited += 1;
            continue;
        }
        let columns = numbers(parent, &c.columns, &draft.columns)?;
        let made = inherited(ctx, c, columns);
        draft.ready.push(made);
    }
    Ok(())
}

/// A parent's constraint as the child has it.
pub(crate) fn inherited(ctx: &ExecContext, c: &Constraint, columns: Vec<AttrNumber>) -> Constraint {
    let oid = ctx.txn.new_oid();
    Constraint { oid, columns, inherited: 1, local: false, ..c.clone() }
}

/// Parents that disagree about a default leave it to the child to say.
pub(crate) fn check_defaults(draft: &Draft) -> Result<()> {
    let Some(own) = draft.conflicts.first() else { return Ok(()) };
    let text = format!("column \"{own}\" inherits conflicting default values");
    Err(PgError::new(SqlState::INVALID_COLUMN_DEFINITION, text)
        .hint("To resolve the conflict, specify a default explicitly."))
}

/// Takes a column declared here that a parent has too into the inherited one; `None` if none has.
pub(crate) fn merge(ctx: &ExecContext, draft: &mut Draft, own: Column) -> Result<Option<Column>> {
    let at = draft.columns.iter().position(|c| c.name == own.name && c.inherited > 0);
    let Some(have) = at.and_then(|at| draft.columns.get_mut(at)) else { return Ok(Some(own)) };
    let text = format!("merging column \"{}\" with inherited definition", own.name);
    if at == Some(draft.declared - 1) {
        name::notice(ctx, text);
    } else {
        let detail = "User-specified column moved to the position of the inherited column.";
        name::notice_with_detail(ctx, format!("moving and {text}"), detail);
    }
    check_type(ctx, have, &own, "column")?;
    if own.default.is_some() {
        draft.conflicts.retain(|name| *name != own.name);
    }
    have.local = true;
    have.not_null |= own.not_null;
    if own.default.is_some() || own.generated.is_some() {
        have.default = own.default;
        have.generated = own.generated;
    }
    have.identity = own.identity;
    Ok(None)
}

/// Takes a check declared here that a parent has too into the inherited one
/// (`MergeWithExistingConstraint`).
pub(crate) fn merge_checks(ctx: &ExecContext, mut relation: Relation) -> Result<Relation> {
    let RelationKind::Table(def) = &mut relation.kind else { return Ok(relation) };
    let mut kept: Vec<Constraint> = Vec::with_capacity(def.constraints.len());
    for own in std::mem::take(&mut def.constraints) {
        let Some(have) = kept.iter_mut().find(|c| c.inherited > 0 && c.name == own.name) else {
            kept.push(own);
            continue;
        };
        let same = matches!((&have.kind, &own.kind),
            (ConstraintKind::Check { expr: one }, ConstraintKind::Check { expr: other }) if one == other);
        if !same {
            return Err(super::constraint::duplicate(&own.name, &relation.name));
        }
        if own.no_inherit {
            return Err(super::table::invalid(format!(
                "constraint \"{}\" conflicts with inherited constraint on relation \"{}\"",
                own.name, relation.name
            )));
        }
        let text = format!("merging constraint \"{}\" with inherited definition", own.name);
        name::notice(ctx, text);
        have.local = true;
    }
    def.constraints = kept;
    Ok(relation)
}

/// A table that is there becomes a child: it must have all columns and checks of the parent.
pub(crate) fn adopt(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    child: &Arc<Relation>,
) -> Result<()> {
    if partition::descendants(&ctx.txn.catalog(), child).iter().any(|r| r.oid == parent.oid) {
        return Err(PgError::new(SqlState::DUPLICATE_TABLE, "circular inheritance not allowed")
            .detail(format!("\"{}\" is already a child of \"{}\".", parent.name, child.name)));
    }
    let mut next = (**child).clone();
    let RelationKind::Table(def) = &mut next.kind else {
        return Err(name::not_a(child, "table"));
    };
    for c in table_def(parent)?.columns.iter().filter(|c| !c.dropped) {
        let own = def.columns.iter_mut().find(|have| !have.dropped && have.name == c.name);
        let Some(own) = own else {
            return Err(mismatch(format!("child table is missing column \"{}\"", c.name)));
        };
        if (own.type_oid, own.typmod) != (c.type_oid, c.typmod) {
            return Err(mismatch(format!(
                "child table \"{}\" has different type for column \"{}\"",
                child.name, c.name
            )));
        }
        if c.not_null && !own.not_null {
            return Err(mismatch(format!(
                "column \"{}\" in child table must be marked NOT NULL",
                c.name
            )));
        }
        own.inherited += 1;
    }
    for c in &table_def(parent)?.constraints {
        let ConstraintKind::Check { expr } = &c.kind else { continue };
        if c.no_inherit {
            continue;
        }
        let same = |have: &&mut Constraint| {
            have.name == c.name
                && matches!(&have.kind, ConstraintKind::Check { expr: own } if own == expr)
        };
        match def.constraints.iter_mut().find(same) {
            Some(have) => have.inherited += 1,
            None => {
                return Err(mismatch(format!("child table is missing constraint \"{}\"", c.name)));
            }
        }
    }
    def.parents.push(parent.oid);
    ctx.txn.put(Object::Relation(Arc::new(next)))
}

/// A child goes its own way: what it had from the parent is its own.
pub(crate) fn release(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    child: &Arc<Relation>,
) -> Result<()> {
    let mut next = (**child).clone();
    let RelationKind::Table(def) = &mut next.kind else {
        return Err(name::not_a(child, "table"));
    };
    def.parents.retain(|p| *p != parent.oid);
    def.bound = None;
    let theirs = &table_def(parent)?.columns;
    for c in def.columns.iter_mut().filter(|c| c.inherited > 0) {
        if theirs.iter().any(|t| !t.dropped && t.name == c.name) {
            c.inherited -= 1;
            c.local |= c.inherited == 0;
        }
    }
    let catalog = ctx.txn.catalog();
    for c in def.constraints.iter_mut().filter(|c| c.inherited > 0) {
        // A foreign key that was there before has its own name.
        let is_key = matches!(c.kind, ConstraintKind::ForeignKey(_));
        let copied = is_key && foreign::part::is_copy(&catalog, child, c);
        if copied || table_def(parent)?.constraints.iter().any(|t| t.name == c.name) {
            c.inherited -= 1;
            c.local |= c.inherited == 0;
        }
    }
    ctx.txn.put(Object::Relation(Arc::new(next)))
}

/// `ALTER TABLE child [NO] INHERIT parent`
pub(crate) fn alter(
    ctx: &ExecContext,
    child: &Arc<Relation>,
    parent: &Arc<Relation>,
    begin: bool,
) -> Result<()> {
    let wrong = |text: &str| Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, text.to_owned()));
    if table_def(child)?.bound.is_some() {
        return wrong("cannot change inheritance of a partition");
    }
    let has: &[Oid] = &table_def(child)?.parents;
    match (begin, has.contains(&parent.oid)) {
        (true, true) => Err(PgError::new(
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{}\" would be inherited from more than once", parent.name),
        )),
        (true, false) if partition::is_partitioned(parent) => {
            let own = &parent.name;
            wrong(&format!("cannot inherit from partitioned table \"{own}\""))
        }
        (true, false) => adopt(ctx, parent, child),
        (false, true) => release(ctx, parent, child),
        (false, false) => Err(PgError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{}\" is not a parent of relation \"{}\"", parent.name, child.name),
        )),
    }
}
