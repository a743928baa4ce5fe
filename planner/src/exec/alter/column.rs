//! ALTER TABLE's columns: ADD, DROP, ALTER.

use std::sync::Arc;

use sqlparser::ast::{AlterColumnOperation, ColumnDef, ColumnOption, Expr};
use vicinity_storage::ObjectKind;
use vicinity_storage::catalog::model::{
    Column, ConstraintKind, Object, Relation, RelationKind, TableDef,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::ddl::constraint;
use super::super::ddl::depend::{self, Node};
use super::super::ddl::dependents;
use super::super::ddl::index::reread;
use super::super::ddl::table;
use super::super::{dml, name, rewrite, types};
use super::constraint::keep_texts;
use super::{attribute, change, change_column, change_table, no_column, number, place};
use crate::context::ExecContext;
use crate::names;
use crate::partition::ancestors;
use crate::resolve::Types;

pub(super) fn add(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    def: &TableDef,
    c: &ColumnDef,
    if_not_exists: bool,
) -> Result<()> {
    let own = name::ident(&c.name);
    table::check_system_name(&own)?;
    if place(r, &own).is_ok() {
        let text = format!("column \"{own}\" of relation \"{}\" already exists", r.name);
        if if_not_exists {
            name::skipping(ctx, SqlState::DUPLICATE_COLUMN, text);
            return Ok(());
        }
        return Err(PgError::new(SqlState::DUPLICATE_COLUMN, text));
    }
    // The column is drafted as in CREATE TABLE, with the table's columns before it.
    let at = def.columns.len();
    table::check_count(at + 1)?;
    let (mut column, written) = table::bare_column(ctx, c)?;
    let mut identity = None;
    for option in &c.options {
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => column.not_null = true,
            ColumnOption::Default(e) => {
                column.default = constraint::default_text(ctx, e, &column)?;
            }
            ColumnOption::Generated { generation_expr: Some(e), .. } => {
                column.generated = Some(constraint::expr_text(ctx, e));
            }
            ColumnOption::Generated { generated_as, sequence_options, .. } => {
                column.not_null = true;
                column.identity = Some(table::identity_of(generated_as));
                identity = Some(sequence_options.clone().unwrap_or_default());
            }
            ColumnOption::Collation(collation) => {
                table::check_collation(ctx, collation, column.type_oid)?;
            }
            other => return Err(PgError::unsupported(format!("column option {other}"))),
        }
    }
    let mut sequence = None;
    if written.serial || identity.is_some() {
        column.not_null = true;
        let (made, text) = table::serial_for(ctx, r, &column, number(at), identity.as_deref())?;
        if identity.is_none() {
            column.default = Some(text);
        }
        sequence = Some(made);
    }
    let not_null = column.not_null;
    // A domain may have a default, and may refuse the NULL that takes the place of one.
    let computed = column.default.is_some()
        || column.generated.is_some()
        || sequence.is_some()
        || Types::new(&ctx.txn.catalog(), &ctx.session).domain(column.type_oid).is_some();
    let generated = column.generated.is_some();
    let mut made = change_table(ctx, r.oid, |t| {
        t.columns.push(Column { not_null: false, ..column });
        Ok(())
    })?;
    if generated {
        made = keep_texts(ctx, r.oid)?;
    }
    if let Some(sequence) = sequence {
        ctx.txn.put(Object::Relation(Arc::new(sequence)))?;
    }
    dml::validate(ctx, &made)?;
    if computed {
        rewrite::fill_new_column(ctx, &made, at)?;
    }
    if not_null {
        set_not_null(ctx, &reread(ctx, r.oid)?, at)?;
    }
    Ok(())
}

/// Marks a column as dropped, with the indexes and constraints over it.
pub(crate) fn drop_column(ctx: &ExecContext, oid: Oid, number: i16) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let Some(r) = catalog.relation(oid).cloned() else { return Ok(()) };
    let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
    if matches!(r.kind, RelationKind::Composite(_)) {
        return attribute::remove(ctx, &r, at);
    }
    let Some(def) = r.table() else { return Ok(()) };
    for c in &def.constraints {
        if let ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } = &c.kind
            && c.columns.contains(&number)
        {
            ctx.txn.drop_object(ObjectKind::Relation, *index)?;
        }
    }
    let catalog = ctx.txn.catalog();
    for i in catalog.indexes_of(oid) {
        let uses = i.index().is_some_and(|d| rewrite::index_reads(&r, d, number));
        if uses {
            ctx.txn.drop_object(ObjectKind::Relation, i.oid)?;
        }
    }
    for s in catalog.sequences_of(oid) {
        let owned = s.sequence().and_then(|d| d.owned_by).is_some_and(|(_, n)| n == number);
        if owned {
            ctx.txn.drop_object(ObjectKind::Relation, s.oid)?;
        }
    }
    change_table(ctx, oid, |t| {
        t.constraints.retain(|c| !c.columns.contains(&number));
        if let Some(c) = t.columns.get_mut(at) {
            c.dropped = true;
            c.name = format!("........pg.dropped.{number}........");
            c.not_null = false;
            c.default = None;
            c.generated = None;
            c.identity = None;
        }
        Ok(())
    })
    .map(drop)
}

pub(super) fn drop_named(
    ctx: &ExecContext,
    r: &Relation,
    own: &str,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let at = match place(r, own) {
        Ok(at) => at,
        Err(e) if if_exists => {
            name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, e.message().to_owned());
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    depend::drop_all(ctx, &[Node::Column(r.oid, number(at))], cascade)
}

pub(super) fn set_not_null(ctx: &ExecContext, r: &Arc<Relation>, at: usize) -> Result<()> {
    rewrite::check_no_nulls(ctx, r, at)?;
    change_column(ctx, r.oid, at, |c| c.not_null = true).map(drop)
}

/// The rows of a partition are rows of its table: what is NOT NULL there is NOT NULL here.
fn check_parent_nullable(ctx: &ExecContext, r: &Relation, own: &str) -> Result<()> {
    let above = ancestors(&ctx.txn.catalog(), r);
    let Some(parent) = above.first().and_then(|p| p.table()) else { return Ok(()) };
    if parent.columns.iter().any(|c| !c.dropped && c.name == own && c.not_null) {
        let text = format!("column \"{own}\" is marked NOT NULL in parent table");
        return Err(table::invalid(text));
    }
    Ok(())
}

/// `SET DEFAULT`, and `DROP DEFAULT` without a value, of a table's column or a view's.
pub(super) fn set_default(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    own: &str,
    value: Option<&Expr>,
) -> Result<()> {
    let at = place(r, own)?;
    let column = dml::columns_of(r).0.get(at).ok_or_else(|| no_column(r, own))?;
    check_plain(r, column)?;
    let text = value.map(|v| constraint::default_text(ctx, v, column)).transpose()?.flatten();
    let made = change(ctx, r.oid, |r| {
        let columns = match &mut r.kind {
            RelationKind::Table(t) => &mut t.columns,
            RelationKind::View(v) => &mut v.columns,
            _ => return Err(name::not_a(r, "table or view")),
        };
        columns.get_mut(at).map(|c| c.default = text).ok_or_else(|| PgError::internal("no column"))
    })?;
    dml::validate(ctx, &made)
}

pub(super) fn alter(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    own: &str,
    op: &AlterColumnOperation,
) -> Result<()> {
    let at = place(r, own)?;
    let def = r.table().ok_or_else(|| PgError::internal("not a table"))?;
    let column = def.columns.get(at).ok_or_else(|| no_column(r, own))?;
    match op {
        AlterColumnOperation::SetNotNull => set_not_null(ctx, r, at),
        AlterColumnOperation::DropNotNull => {
            if column.identity.is_some() {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("column \"{own}\" of relation \"{}\" is an identity column", r.name),
                ));
            }
            let in_key = def.constraints.iter().any(|c| {
                matches!(c.kind, ConstraintKind::PrimaryKey { .. })
                    && c.columns.contains(&number(at))
            });
            if in_key {
                return Err(table::invalid(format!("column \"{own}\" is in a primary key")));
            }
            check_parent_nullable(ctx, r, own)?;
            change_column(ctx, r.oid, at, |c| c.not_null = false).map(drop)
        }
        AlterColumnOperation::SetDefault { value } => set_default(ctx, r, own, Some(value)),
        AlterColumnOperation::DropDefault => set_default(ctx, r, own, None),
        AlterColumnOperation::SetDataType { data_type, using, .. } => {
            let written = types::resolve(ctx, data_type)?;
            if written.serial {
                return Err(names::no_type(&data_type.to_string().to_lowercase()));
            }
            dependents::check_type_may_change(ctx, r.oid, number(at), own)?;
            rewrite::change_type(ctx, r, at, (written.ty, written.ndims), using.as_ref())
        }
        AlterColumnOperation::AddGenerated { .. } => {
            Err(PgError::internal("ADD GENERATED is an action of its own"))
        }
    }
}

fn check_plain(r: &Relation, c: &Column) -> Result<()> {
    let what = if c.identity.is_some() {
        "an identity column"
    } else if c.generated.is_some() {
        "a generated column"
    } else {
        return Ok(());
    };
    Err(PgError::new(
        SqlState::SYNTAX_ERROR,
        format!("column \"{}\" of relation \"{}\" is {what}", c.name, r.name),
    ))
}
