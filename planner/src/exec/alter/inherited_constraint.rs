//! ALTER TABLE's constraints in the tables that have them from another: ADD, DROP and RENAME go down.

use std::sync::Arc;

use sqlparser::ast::{AlterColumnOperation, AlterTableOperation as Op, Ident, TableConstraint};
use vicinity_storage::catalog::model::{Constraint, ConstraintKind, Relation};
use vicinity_types::{PgError, Result};

use super::super::ddl::index::reread;
use super::super::ddl::table::invalid;
use super::super::ddl::{partition, parts};
use super::super::dml::table_def;
use super::super::name;
use super::family::{self, children, each_child};
use super::{change_table, operation};
use crate::context::ExecContext;
use crate::partition::is_partitioned;

/// A check of a table that its children have too.
pub(super) fn inheriting<'r>(r: &'r Relation, own: &Ident) -> Option<&'r Constraint> {
    let own = name::ident(own);
    let found = r.table()?.constraints.iter().find(|c| c.name == own)?;
    (matches!(found.kind, ConstraintKind::Check { .. }) && !found.no_inherit).then_some(found)
}

/// The constraint that was added last.
fn added(r: &Relation) -> Result<Constraint> {
    let last = table_def(r)?.constraints.last().cloned();
    last.ok_or_else(|| PgError::internal("the new constraint is missing"))
}

/// ADD CONSTRAINT, below.
pub(super) fn add(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    written: &TableConstraint,
    op: &Op,
    only: bool,
) -> Result<()> {
    let r = reread(ctx, r.oid)?;
    if !matches!(written, TableConstraint::Check(_)) {
        if !is_partitioned(&r) {
            return if only { Ok(()) } else { not_null_below(ctx, &r) };
        }
        partition::check_keys(&r)?;
        let made = added(&r)?;
        return match &made.kind {
            // Its parts are attached later.
            ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } if only => Ok(()),
            ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } => {
                parts::spread_index(ctx, &reread(ctx, *index)?)
            }
            ConstraintKind::ForeignKey(_) => children(ctx, &r)
                .iter()
                .try_for_each(|child| parts::constraint_of(ctx, &r, &made, child.oid)),
            ConstraintKind::Check { .. } => Ok(()),
        };
    }
    let made = added(&r)?;
    if made.no_inherit {
        return Ok(());
    }
    if only && ctx.txn.catalog().has_children(r.oid) {
        return Err(invalid("constraint must be added to child tables too"));
    }
    each_child(ctx, &r, |child| check_below(ctx, child, &made, op))
}

/// A primary key is no key of the children, but its columns are NOT NULL there too.
fn not_null_below(ctx: &ExecContext, r: &Arc<Relation>) -> Result<()> {
    let made = added(r)?;
    if !matches!(made.kind, ConstraintKind::PrimaryKey { .. }) {
        return Ok(());
    }
    for number in made.columns {
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let Some(column) = table_def(r)?.columns.get(at) else { continue };
        let column_name = Ident::with_quote('"', &column.name);
        let op = Op::AlterColumn { column_name, op: AlterColumnOperation::SetNotNull };
        each_child(ctx, r, |child| family::run(ctx, child, &op, false))?;
    }
    Ok(())
}

/// ADD CHECK, in a child and below.
fn check_below(ctx: &ExecContext, child: &Arc<Relation>, made: &Constraint, op: &Op) -> Result<()> {
    let Op::AddConstraint { constraint: TableConstraint::Check(c), .. } = op else {
        return Ok(());
    };
    let have = table_def(child)?.constraints.iter().position(|c| c.name == made.name);
    if let Some(at) = have {
        let text = format!("merging constraint \"{}\" with inherited definition", made.name);
        name::notice(ctx, text);
        change_table(ctx, child.oid, |t| {
            t.constraints.get_mut(at).into_iter().for_each(|c| c.inherited += 1);
            Ok(())
        })?;
        return Ok(());
    }
    let mut own = c.clone();
    own.name = Some(Ident::with_quote('"', &made.name));
    let constraint = TableConstraint::Check(own);
    operation(ctx, child, &Op::AddConstraint { constraint, not_valid: !made.validated })?;
    change_table(ctx, child.oid, |t| {
        for c in t.constraints.iter_mut().filter(|c| c.name == made.name) {
            c.inherited = 1;
            c.local = false;
        }
        Ok(())
    })?;
    each_child(ctx, child, |heir| check_below(ctx, heir, made, op))
}

/// DROP CONSTRAINT of a check, below: gone where nobody else declared it.
pub(super) fn drop(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    own: &Ident,
    op: &Op,
    only: bool,
) -> Result<()> {
    if only && is_partitioned(r) && !children(ctx, r).is_empty() {
        let text = "cannot remove constraint from only the partitioned table when partitions exist";
        return Err(invalid(text).hint("Do not specify the ONLY keyword."));
    }
    each_child(ctx, r, |child| {
        let Some(found) = inheriting(child, own) else { return Ok(()) };
        let (oid, last) = (found.oid, found.inherited == 1 && !found.local && !only);
        change_table(ctx, child.oid, |t| {
            for c in t.constraints.iter_mut().filter(|c| c.oid == oid) {
                c.inherited -= 1;
                c.local |= only;
            }
            Ok(())
        })?;
        if !last {
            return Ok(());
        }
        let child = reread(ctx, child.oid)?;
        drop(ctx, &child, own, op, only)?;
        operation(ctx, &child, op)
    })
}
