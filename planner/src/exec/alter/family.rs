//! ALTER TABLE of a table that others inherit from: what they have from it changes with it.

use std::collections::HashSet;
use std::sync::Arc;

use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation as Op, ColumnDef, ColumnOption, ColumnOptionDef,
    DataType, Expr, Ident, TableConstraint,
};
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::super::ddl::index::reread;
use super::super::ddl::table::invalid;
use super::super::dml::table_def;
use super::super::{name, types};
use super::inherited_constraint::{self, inheriting};
use super::{change_column, inline, operation, place};
use crate::context::ExecContext;
use crate::partition::{descendants, is_partitioned};

/// Runs an action on a table and on those below it.
pub(super) fn run(ctx: &ExecContext, r: &Arc<Relation>, op: &Op, only: bool) -> Result<()> {
    check_own(r, op)?;
    if let Op::AddColumn { if_not_exists: true, column_def, .. } = op
        && place(r, &name::ident(&column_def.name)).is_ok()
    {
        // Skipped here, and so below.
        return operation(ctx, r, op);
    }
    if let Op::AddColumn { column_keyword, if_not_exists, column_def, column_position } = op {
        let (bare, constraints) = inline::split(column_def);
        if !constraints.is_empty() {
            let op = Op::AddColumn {
                column_keyword: *column_keyword,
                if_not_exists: *if_not_exists,
                column_def: bare,
                column_position: column_position.clone(),
            };
            run(ctx, r, &op, only)?;
            return constraints.into_iter().try_for_each(|constraint| {
                let op = Op::AddConstraint { constraint, not_valid: false };
                run(ctx, &reread(ctx, r.oid)?, &op, only)
            });
        }
    }
    if only && ctx.txn.catalog().has_children(r.oid) {
        check_only(ctx, r, op)?;
    }
    if let Op::DropColumn { column_names, .. } = op {
        for own in column_names {
            drop_below(ctx, r, &name::ident(own), op, only)?;
        }
        return operation(ctx, r, op);
    }
    if let Op::DropConstraint { name: own, .. } = op
        && inherited_constraint::inheriting(r, own).is_some()
    {
        // First, what it is in the others, which know it by the one here.
        inherited_constraint::drop(ctx, r, own, op, only)?;
        return operation(ctx, &reread(ctx, r.oid)?, op);
    }
    operation(ctx, r, op)?;
    if let Op::AddConstraint { constraint, .. } = op {
        return inherited_constraint::add(ctx, r, constraint, op, only);
    }
    if !only {
        below(ctx, r, op)?;
    }
    Ok(())
}

pub(super) fn children(ctx: &ExecContext, r: &Relation) -> Vec<Arc<Relation>> {
    ctx.txn.catalog().children_of(r.oid).cloned().collect()
}

/// Does something to each child, as it is when its turn comes: what was done to a child before may
/// have reached this one by way of it.
pub(super) fn each_child(
    ctx: &ExecContext,
    r: &Relation,
    mut f: impl FnMut(&Arc<Relation>) -> Result<()>,
) -> Result<()> {
    children(ctx, r).iter().try_for_each(|child| f(&reread(ctx, child.oid)?))
}

fn below(ctx: &ExecContext, r: &Arc<Relation>, op: &Op) -> Result<()> {
    match op {
        Op::AddColumn { column_def, .. } => {
            each_child(ctx, r, |child| add_below(ctx, r, child, column_def))
        }
        Op::AlterColumn { .. } | Op::RenameColumn { .. } => change_below(ctx, r, op),
        Op::RenameConstraint { old_name: own, .. } | Op::ValidateConstraint { name: own }
            if inheriting(r, own).is_some() =>
        {
            change_below(ctx, r, op)
        }
        _ => Ok(()),
    }
}

/// What happens once to every table below, however many ways lead there.
fn change_below(ctx: &ExecContext, r: &Arc<Relation>, op: &Op) -> Result<()> {
    let family = descendants(&ctx.txn.catalog(), r);
    let oids: HashSet<Oid> = family.iter().map(|r| r.oid).collect();
    for heir in family.iter().skip(1) {
        check_heir(heir, op, &oids)?;
        operation(ctx, &reread(ctx, heir.oid)?, op)?;
    }
    Ok(())
}

/// A column or check that also comes from outside of the family is as it is there.
fn check_heir(heir: &Relation, op: &Op, family: &HashSet<Oid>) -> Result<()> {
    let def = table_def(heir)?;
    let within = def.parents.iter().filter(|p| family.contains(p)).count();
    let foreign = |inherited: i16| usize::try_from(inherited).is_ok_and(|ways| ways > within);
    let (own, text) = match op {
        Op::RenameConstraint { old_name, .. } => {
            return match inheriting(heir, old_name) {
                Some(c) if foreign(c.inherited) => Err(inherited_name(old_name)),
                _ => Ok(()),
            };
        }
        Op::RenameColumn { old_column_name, .. } => {
            let own = name::ident(old_column_name);
            let text = format!("cannot rename inherited column \"{own}\"");
            (own, text)
        }
        Op::AlterColumn { column_name, op: AlterColumnOperation::SetDataType { .. } } => {
            let own = name::ident(column_name);
            let text =
                format!("cannot alter inherited column \"{own}\" of relation \"{}\"", heir.name);
            (own, text)
        }
        _ => return Ok(()),
    };
    let have = def.columns.iter().find(|c| !c.dropped && c.name == own);
    if have.is_some_and(|c| foreign(c.inherited)) {
        return Err(invalid(text));
    }
    if matches!(op, Op::AlterColumn { .. }) { check_key(heir, &own, "alter") } else { Ok(()) }
}

fn inherited_name(constraint: &Ident) -> PgError {
    invalid(format!("cannot rename inherited constraint \"{}\"", name::ident(constraint)))
}

/// NOT NULL of a partitioned table alone: an error unless all partitions have it.
fn check_not_null(ctx: &ExecContext, r: &Relation, own: &Ident) -> Result<()> {
    let own = name::ident(own);
    let lacks = |child: &&Arc<Relation>| {
        let columns = child.table().map_or(&[][..], |t| &t.columns);
        columns.iter().any(|c| !c.dropped && c.name == own && !c.not_null)
    };
    let below = children(ctx, r);
    let Some(child) = below.iter().find(lacks) else { return Ok(()) };
    let child = &child.name;
    Err(invalid("constraint must be added to child tables too")
        .detail(format!("Column \"{own}\" of relation \"{child}\" is not already NOT NULL."))
        .hint("Do not specify the ONLY keyword."))
}

/// What all of a family must have cannot be done to its head alone.
fn check_only(ctx: &ExecContext, r: &Relation, op: &Op) -> Result<()> {
    Err(invalid(match op {
        Op::AlterColumn { column_name, op: AlterColumnOperation::SetNotNull }
            if is_partitioned(r) =>
        {
            return check_not_null(ctx, r, column_name);
        }
        Op::AddConstraint { constraint: TableConstraint::PrimaryKey(key), .. }
            if is_partitioned(r) =>
        {
            let mut columns = key.columns.iter().filter_map(|c| match &c.column.expr {
                Expr::Identifier(own) => Some(own),
                _ => None,
            });
            return columns.try_for_each(|own| check_not_null(ctx, r, own));
        }
        Op::AlterColumn { op: AlterColumnOperation::DropNotNull, .. } if is_partitioned(r) => {
            return Err(invalid(
                "cannot remove constraint from only the partitioned table when partitions exist",
            )
            .hint("Do not specify the ONLY keyword."));
        }
        Op::AddColumn { .. } => "column must be added to child tables too".to_owned(),
        Op::RenameColumn { old_column_name, .. } => {
            let own = name::ident(old_column_name);
            format!("inherited column \"{own}\" must be renamed in child tables too")
        }
        Op::RenameConstraint { old_name, .. } if inheriting(r, old_name).is_some() => {
            let own = name::ident(old_name);
            format!("inherited constraint \"{own}\" must be renamed in child tables too")
        }
        Op::ValidateConstraint { name: own }
            if inheriting(r, own).is_some_and(|c| !c.validated) =>
        {
            "constraint must be validated on child tables too".to_owned()
        }
        Op::AlterColumn { column_name, op: AlterColumnOperation::SetDataType { .. } } => {
            let own = name::ident(column_name);
            format!("type of inherited column \"{own}\" must be changed in child tables too")
        }
        _ => return Ok(()),
    }))
}

/// A column that came from a parent is changed there.
fn check_own(r: &Relation, op: &Op) -> Result<()> {
    let Some(def) = r.table() else { return Ok(()) };
    let (own, word) = match op {
        Op::DropColumn { column_names, .. } => (column_names.first(), "drop"),
        Op::RenameColumn { old_column_name, .. } => (Some(old_column_name), "rename"),
        Op::AlterColumn { column_name, op: AlterColumnOperation::SetDataType { .. } } => {
            (Some(column_name), "alter")
        }
        Op::RenameConstraint { old_name, .. } => {
            return match inheriting(r, old_name) {
                Some(c) if c.inherited > 0 => Err(inherited_name(old_name)),
                _ => Ok(()),
            };
        }
        Op::AddColumn { .. } if def.bound.is_some() => {
            return Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "cannot add column to a partition",
            ));
        }
        _ => return Ok(()),
    };
    let Some(own) = own.map(name::ident) else { return Ok(()) };
    let column = def.columns.iter().find(|c| !c.dropped && c.name == own);
    if column.is_some_and(|c| c.inherited > 0) {
        return Err(invalid(format!("cannot {word} inherited column \"{own}\"")));
    }
    if word == "rename" { Ok(()) } else { check_key(r, &own, word) }
}

/// The rows of a table lie where a column of its partition key, or one that the key reads, put
/// them: it stays, and keeps its type.
fn check_key(r: &Relation, own: &str, word: &str) -> Result<()> {
    let Ok(at) = place(r, own) else { return Ok(()) };
    let number = super::number(at);
    let keys = r.table().and_then(|t| t.partitioning.as_ref()).map_or(&[][..], |p| &p.keys);
    let reads = |sql: &str| super::super::rewrite::text_reads(r, sql, number);
    if keys.iter().any(|k| k.column == number || k.expr.as_ref().is_some_and(|e| reads(&e.sql))) {
        return Err(invalid(format!(
            "cannot {word} column \"{own}\" because it is part of the partition key of relation \
             \"{}\"",
            r.name
        )));
    }
    Ok(())
}

/// ADD COLUMN, in a child: new there and below, or one that is there already.
fn add_below(
    ctx: &ExecContext,
    parent: &Relation,
    child: &Arc<Relation>,
    c: &ColumnDef,
) -> Result<()> {
    let own = name::ident(&c.name);
    if let Ok(at) = place(child, &own) {
        let written = types::resolve(ctx, &c.data_type)?.ty;
        let have = table_def(child)?.columns.get(at);
        if have.is_some_and(|c| (c.type_oid, c.typmod) != (written.oid, written.typmod)) {
            return Err(PgError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("child table \"{}\" has different type for column \"{own}\"", child.name),
            ));
        }
        let text = format!("merging definition of column \"{own}\" for child \"{}\"", child.name);
        name::notice(ctx, text);
        return change_column(ctx, child.oid, at, |c| c.inherited += 1).map(drop);
    }
    let op = Op::AddColumn {
        column_keyword: true,
        if_not_exists: false,
        column_def: inherited_column(ctx, parent, c)?,
        column_position: None,
    };
    operation(ctx, child, &op)?;
    let at = place(&*reread(ctx, child.oid)?, &own)?;
    change_column(ctx, child.oid, at, |c| {
        c.inherited = 1;
        c.local = false;
    })?;
    each_child(ctx, child, |heir| add_below(ctx, child, heir, c))
}

/// A new column as the children get it: what a sequence gives it comes from the parent's.
fn inherited_column(ctx: &ExecContext, parent: &Relation, c: &ColumnDef) -> Result<ColumnDef> {
    let identity = |o: &ColumnOptionDef| {
        matches!(&o.option, ColumnOption::Generated { generation_expr: None, .. })
    };
    if c.options.iter().any(identity) {
        let text = "cannot recursively add identity column to table that has child tables";
        return Err(invalid(text));
    }
    let written = types::resolve(ctx, &c.data_type)?;
    if !written.serial {
        return Ok(c.clone());
    }
    let parent = reread(ctx, parent.oid)?;
    let at = place(&parent, &name::ident(&c.name))?;
    let default = table_def(&parent)?.columns.get(at).and_then(|c| c.default.clone());
    let mut own = c.clone();
    own.data_type = match written.ty.oid {
        oid::INT2 => DataType::SmallInt(None),
        oid::INT8 => DataType::BigInt(None),
        _ => DataType::Int(None),
    };
    let mut given = vec![ColumnOption::NotNull];
    if let Some(text) = default {
        given.push(ColumnOption::Default(crate::sql::parse_expression(&text)?));
    }
    let options = given.into_iter().map(|option| ColumnOptionDef { name: None, option });
    own.options.extend(options);
    Ok(own)
}

/// DROP COLUMN, in the children: gone where nobody else declared it.
fn drop_below(ctx: &ExecContext, r: &Arc<Relation>, own: &str, op: &Op, only: bool) -> Result<()> {
    if only && is_partitioned(r) && !children(ctx, r).is_empty() {
        return Err(invalid(
            "cannot drop column from only the partitioned table when partitions exist",
        )
        .hint("Do not specify the ONLY keyword."));
    }
    if place(r, own).is_err() {
        return Ok(());
    }
    each_child(ctx, r, |child| {
        let Ok(at) = place(child, own) else { return Ok(()) };
        let Some(c) = table_def(child)?.columns.get(at) else { return Ok(()) };
        if c.inherited == 1 && !c.local && !only {
            check_key(child, own, "drop")?;
            drop_below(ctx, child, own, op, only)?;
            return operation(ctx, child, op);
        }
        change_column(ctx, child.oid, at, |c| {
            c.inherited -= 1;
            c.local |= only || c.inherited == 0;
        })
        .map(drop)
    })
}
