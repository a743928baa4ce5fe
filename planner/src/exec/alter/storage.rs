//! ALTER's storage parameters and what else is only kept and shown.

use std::sync::Arc;

use sqlparser::ast::Ident;
use vicinity_storage::catalog::model::{ConstraintKind, Persistence, Relation, RelationKind};
use vicinity_types::{PgError, Result, SqlState};

use super::super::ddl::{index, table, view};
use super::super::name;
use super::{change, change_column, change_table};
use crate::context::ExecContext;

type Options = Vec<(String, String)>;

fn set(options: &mut Options, given: &[(String, String)]) {
    for (own, value) in given {
        match options.iter_mut().find(|(n, _)| n == own) {
            Some((_, old)) => value.clone_into(old),
            None => options.push((own.clone(), value.clone())),
        }
    }
}

/// `SET (name = value, ...)`
pub(super) fn set_options(
    ctx: &ExecContext,
    r: &Relation,
    given: &[(String, String)],
) -> Result<()> {
    match &r.kind {
        RelationKind::Table(_) => {
            given.iter().try_for_each(|(own, value)| table::check_storage_option(own, value))?;
        }
        RelationKind::Index(def) => index::check_options(ctx, def.method, given)?,
        RelationKind::View(_) => {
            given.iter().try_for_each(|(own, value)| view::check_option(own, value))?;
        }
        _ => {}
    }
    with_options(ctx, r, |options| set(options, given))
}

/// `RESET (name, ...)`
pub(super) fn reset_options(ctx: &ExecContext, r: &Relation, given: &[String]) -> Result<()> {
    with_options(ctx, r, |options| options.retain(|(n, _)| !given.contains(n)))
}

fn with_options(ctx: &ExecContext, r: &Relation, f: impl FnOnce(&mut Options)) -> Result<()> {
    change(ctx, r.oid, |r| {
        match &mut r.kind {
            RelationKind::Table(t) => f(&mut t.options),
            RelationKind::Index(i) => f(&mut i.options),
            RelationKind::View(v) => f(&mut v.options),
            RelationKind::Sequence(_) | RelationKind::Composite(_) => {
                return Err(name::not_a(r, "table, view or index"));
            }
        }
        Ok(())
    })
    .map(drop)
}

/// `SET LOGGED` and `SET UNLOGGED`: the rows move to a storage of the other kind.
pub(super) fn set_logged(ctx: &ExecContext, r: &Arc<Relation>, logged: bool) -> Result<()> {
    let to = if logged { Persistence::Permanent } else { Persistence::Unlogged };
    match r.table().map(|t| t.persistence) {
        Some(Persistence::Temporary) => Err(table::invalid(format!(
            "cannot change logged status of table \"{}\" because it is temporary",
            r.name
        ))),
        // There are no rows to move.
        Some(_) if crate::partition::is_partitioned(r) => Ok(()),
        Some(have) if have != to => {
            super::super::rewrite::copy_rows(ctx, r, |t| t.persistence = to, |_, _| Ok(()))
        }
        _ => Ok(()),
    }
}

/// `ALTER CONSTRAINT`: only foreign keys can be made to wait.
pub(super) fn constraint(
    ctx: &ExecContext,
    r: &Relation,
    own: &Ident,
    deferrable: bool,
    deferred: bool,
) -> Result<()> {
    let own = name::ident(own);
    let wrong = |text: String| Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, text));
    let found = r.table().and_then(|t| t.constraints.iter().find(|c| c.name == own));
    let Some(found) = found else { return Err(super::constraint::no_constraint(r, &own)) };
    if !matches!(found.kind, ConstraintKind::ForeignKey(_)) {
        return wrong(format!(
            "constraint \"{own}\" of relation \"{}\" is not a foreign key constraint",
            r.name
        ));
    }
    let mut oids = super::super::foreign::part::parts_of(&ctx.txn.catalog(), r, found.oid);
    oids.push(found.oid);
    change_table(ctx, r.oid, |t| {
        for c in t.constraints.iter_mut().filter(|c| oids.contains(&c.oid)) {
            (c.deferrable, c.deferred) = (deferrable, deferred);
        }
        Ok(())
    })
    .map(drop)
}

/// `SET STORAGE`, by the letter the catalog has for it.
pub(super) fn storage(ctx: &ExecContext, r: &Relation, at: usize, word: &str) -> Result<()> {
    let letter = match word {
        "plain" => 'p',
        "external" => 'e',
        "extended" => 'x',
        "main" => 'm',
        "default" => return change_column(ctx, r.oid, at, |c| c.storage = None).map(drop),
        _ => {
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid storage type \"{word}\""),
            ));
        }
    };
    let ty = r.table().and_then(|t| t.columns.get(at)).map_or(0, |c| c.type_oid);
    let fixed = vicinity_functions::catalog::type_by_oid(ty).is_some_and(|t| t.len > 0);
    if fixed && letter != 'p' {
        let shown = ctx.type_name(ty, None);
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("column data type {shown} can only have storage PLAIN"),
        ));
    }
    change_column(ctx, r.oid, at, |c| c.storage = Some(letter)).map(drop)
}

/// `SET COMPRESSION`
pub(super) fn compression(ctx: &ExecContext, r: &Relation, at: usize, word: &str) -> Result<()> {
    let letter = match word {
        "pglz" => Some('p'),
        "lz4" => Some('l'),
        "default" => None,
        _ => {
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid compression method \"{word}\""),
            ));
        }
    };
    change_column(ctx, r.oid, at, |c| c.compression = letter).map(drop)
}

/// `SET STATISTICS`
pub(super) fn statistics(ctx: &ExecContext, r: &Relation, at: usize, target: i64) -> Result<()> {
    if target < -1 {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("statistics target {target} is too low"),
        ));
    }
    let target = i32::try_from(target.min(10_000)).unwrap_or(10_000);
    change_column(ctx, r.oid, at, |c| c.statistics = target).map(drop)
}

/// `ALTER COLUMN SET (n_distinct = ...)`
pub(super) fn merged(options: &mut Options, given: &[(String, String)]) -> Result<()> {
    for (own, _) in given {
        if !matches!(own.as_str(), "n_distinct" | "n_distinct_inherited") {
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized parameter \"{own}\""),
            ));
        }
    }
    set(options, given);
    Ok(())
}
