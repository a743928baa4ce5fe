//! The columns of a new table, with what is said of them.

use sqlparser::ast::{self, ColumnDef, ColumnOption, GeneratedAs, ObjectName};
use vicinity_storage::catalog::model::Column;
use vicinity_types::tuple::MAX_COLUMNS;
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::serial::{Serial, identity_of};
use super::{Draft, invalid};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::ddl::{constraint, inherit};
use crate::exec::name;
use crate::exec::types::{self, Written};
use crate::resolve::Types;

const SYSTEM_COLUMNS: &[&str] = &["tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"];

/// A plain column without anything.
pub(crate) fn column(name: &str, ty: PgType) -> Column {
    Column::new(name, ty.oid, ty.typmod)
}

/// The column of a definition, without its options.
pub(crate) fn bare_column(ctx: &ExecContext, def: &ColumnDef) -> Result<(Column, Written)> {
    let own = name::ident(&def.name);
    let written = types::resolve(ctx, &def.data_type)?;
    check_storable(ctx, &own, written.ty.oid)?;
    let column = Column { ndims: written.ndims, ..column(&own, written.ty) };
    Ok((column, written))
}

pub(super) fn add_column(ctx: &ExecContext, draft: &mut Draft, def: &ColumnDef) -> Result<()> {
    let own = name::ident(&def.name);
    check_name(draft, &own)?;
    let (mut column, written) = bare_column(ctx, def)?;
    let at = draft.columns.len();
    if written.serial {
        column.not_null = true;
        draft.serials.push(Serial { column: at, ty: written.ty.oid, identity: None });
    }
    for option in &def.options {
        column_option(ctx, draft, &mut column, at, &option.option, option.name.as_ref())?;
    }
    if written.serial && column.default.is_some() {
        return Err(conflicting(&draft.name, &own, "multiple default values specified"));
    }
    draft.declared += 1;
    if let Some(column) = inherit::merge(ctx, draft, column)? {
        draft.columns.push(column);
    }
    Ok(())
}

/// What a partition says of a column that it has from its table.
pub(super) fn change_column<'a>(
    ctx: &ExecContext,
    draft: &mut Draft,
    def: &ColumnDef,
    mut before: impl Iterator<Item = &'a ColumnDef>,
) -> Result<()> {
    let own = name::ident(&def.name);
    if before.any(|d| name::ident(&d.name) == own) {
        return Err(repeated(&own));
    }
    let found = draft.columns.iter().position(|c| c.name == own);
    let Some((at, column)) = found.and_then(|at| Some((at, draft.columns.get(at)?.clone()))) else {
        let text = format!("column \"{own}\" does not exist");
        return Err(PgError::new(SqlState::UNDEFINED_COLUMN, text));
    };
    let mut changed = column;
    for option in &def.options {
        if matches!(option.option, ColumnOption::Default(_)) {
            changed.default = None;
        }
        column_option(ctx, draft, &mut changed, at, &option.option, option.name.as_ref())?;
    }
    if let Some(slot) = draft.columns.get_mut(at) {
        *slot = changed;
    }
    Ok(())
}

fn column_option(
    ctx: &ExecContext,
    draft: &mut Draft,
    column: &mut Column,
    at: usize,
    option: &ColumnOption,
    constraint_name: Option<&ast::Ident>,
) -> Result<()> {
    let misfit = |what: &str| conflicting(&draft.name, &column.name, what);
    match option {
        ColumnOption::Null => {
            if column.not_null {
                return Err(misfit("conflicting NULL/NOT NULL declarations"));
            }
            draft.nullable.push(at);
        }
        ColumnOption::NotNull => {
            if draft.nullable.contains(&at) {
                return Err(misfit("conflicting NULL/NOT NULL declarations"));
            }
            column.not_null = true;
        }
        ColumnOption::Default(expr) => {
            if column.default.is_some() {
                return Err(misfit("multiple default values specified"));
            }
            if column.identity.is_some() {
                return Err(misfit("both default and identity specified"));
            }
            if column.generated.is_some() {
                return Err(misfit("both default and generation expression specified"));
            }
            column.default = constraint::default_text(ctx, expr, column)?;
        }
        ColumnOption::Generated { generated_as, sequence_options, generation_expr, .. } => {
            generated(ctx, draft, column, at, (generated_as, sequence_options, generation_expr))?;
        }
        ColumnOption::Collation(collation) => check_collation(ctx, collation, column.type_oid)?,
        other => {
            let pending = constraint::of_column(other, &column.name, constraint_name)?;
            draft.constraints.push(pending);
        }
    }
    Ok(())
}

type Generation<'a> =
    (&'a GeneratedAs, &'a Option<Vec<ast::SequenceOptions>>, &'a Option<ast::Expr>);

fn generated(
    ctx: &ExecContext,
    draft: &mut Draft,
    column: &mut Column,
    at: usize,
    (kind, options, expr): Generation<'_>,
) -> Result<()> {
    let misfit = |what: &str| conflicting(&draft.name, &column.name, what);
    if let Some(expr) = expr {
        if column.identity.is_some() {
            return Err(misfit("both identity and generation expression specified"));
        }
        if column.default.is_some() {
            return Err(misfit("both default and generation expression specified"));
        }
        column.generated = Some(constraint::expr_text(ctx, expr));
        return Ok(());
    }
    if column.default.is_some() {
        return Err(misfit("both default and identity specified"));
    }
    column.identity = Some(identity_of(kind));
    column.not_null = true;
    draft.add_identity(at, column.type_oid, options.clone().unwrap_or_default());
    Ok(())
}

/// An error for options of a column that do not go together.
fn conflicting(table: &str, column: &str, what: &str) -> PgError {
    let text = format!("{what} for column \"{column}\" of table \"{table}\"");
    PgError::new(SqlState::SYNTAX_ERROR, text)
}

/// Text is ordered bytewise; only the collations that mean that are taken.
pub(crate) fn check_collation(ctx: &ExecContext, collation: &ObjectName, ty: Oid) -> Result<()> {
    let own = name::last(collation);
    match own.as_str() {
        "C" | "POSIX" | "default" | "ucs_basic" | "C.UTF-8" | "C.utf8" => {
            Types::new(&ctx.txn.catalog(), &ctx.session).check_collatable(ty)
        }
        _ if vicinity_functions::collations().iter().any(|c| c.name == own) => {
            Err(PgError::unsupported(format!("COLLATE \"{own}\"")))
        }
        _ => Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("collation \"{own}\" for encoding \"UTF8\" does not exist"),
        )
        .or_at(name::position(collation))),
    }
}

/// An error for a name that every table has a column of already.
pub(crate) fn check_system_name(column: &str) -> Result<()> {
    if SYSTEM_COLUMNS.contains(&column) {
        let text = format!("column name \"{column}\" conflicts with a system column name");
        return Err(PgError::new(SqlState::DUPLICATE_COLUMN, text));
    }
    Ok(())
}

pub(crate) fn check_name(draft: &Draft, column: &str) -> Result<()> {
    check_system_name(column)?;
    check_own_name(draft, column)
}

pub(super) fn check_own_name(draft: &Draft, column: &str) -> Result<()> {
    if draft.columns.iter().any(|c| c.name == column && (c.inherited == 0 || c.local)) {
        return Err(repeated(column));
    }
    // One that is merged with an inherited column takes no place of its own.
    if draft.columns.iter().any(|c| c.name == column) {
        return Ok(());
    }
    check_count(draft.columns.len() + 1)
}

fn repeated(column: &str) -> PgError {
    let text = format!("column \"{column}\" specified more than once");
    PgError::new(SqlState::DUPLICATE_COLUMN, text)
}

/// An error if a row cannot have so many columns; those that were dropped are in it too.
pub(crate) fn check_count(columns: usize) -> Result<()> {
    if columns > MAX_COLUMNS {
        let text = format!("tables can have at most {MAX_COLUMNS} columns");
        return Err(PgError::new(SqlState::TOO_MANY_COLUMNS, text));
    }
    Ok(())
}

fn check_storable(ctx: &ExecContext, column: &str, ty: Oid) -> Result<()> {
    let info = vicinity_functions::type_by_oid(ty);
    if ty == oid::UNKNOWN || info.is_some_and(|t| t.kind == b'p') {
        let shown = ctx.type_name(ty, None);
        return Err(invalid(format!("column \"{column}\" has pseudo-type {shown}")));
    }
    Ok(())
}
