//! `ALTER ROLE ... SET` and `ALTER DATABASE ... SET`: settings that sessions begin with.

use std::sync::Arc;

use sqlparser::ast::Ident;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Object, SessionDefaults, fixed};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::name;
use super::super::outcome::{Outcome, done};
use super::super::set;
use super::super::settings::{Settings, Source, find};
use crate::authority;
use crate::context::ExecContext;
use crate::sql::{AlterDatabase, SettingChange};

/// The database of a name: there is one.
pub(crate) fn database(given: &Ident) -> Result<Oid> {
    let own = name::ident(given);
    if own == fixed::DATABASE_NAME {
        return Ok(fixed::DATABASE);
    }
    let text = format!("database \"{own}\" does not exist");
    Err(PgError::new(SqlState::INVALID_CATALOG_NAME, text))
}

/// Runs ALTER DATABASE.
pub(crate) fn alter_database(
    ctx: &ExecContext,
    given: &Ident,
    alter: &AlterDatabase,
) -> Result<Outcome> {
    let database = database(given)?;
    match alter {
        AlterDatabase::Setting(change) => self::change(ctx, database, 0, change)?,
        AlterDatabase::Other(words) => return Err(PgError::unsupported(words)),
    }
    Ok(done("ALTER DATABASE"))
}

/// Changes what sessions of a database and a role begin with; 0 is every one.
pub(crate) fn change(
    ctx: &ExecContext,
    database: Oid,
    role: Oid,
    change: &SettingChange,
) -> Result<()> {
    let before = ctx.txn.catalog().session_defaults(database, role).cloned();
    let mut values = before.as_ref().map_or_else(Vec::new, |b| b.values.clone());
    let known = |own: &str| find(own).map_or_else(|| own.to_owned(), |s| s.name.to_owned());
    match change {
        SettingChange::Set(own, given) => {
            put(ctx, &mut values, known(own), set::listed(own, given)?)?
        }
        SettingChange::FromCurrent(own) => {
            let value = ctx.session.settings().show(own)?;
            put(ctx, &mut values, known(own), value)?;
        }
        SettingChange::Reset(own) => {
            let own = known(own);
            values.retain(|(have, _)| *have != own);
        }
        SettingChange::ResetAll => values.clear(),
    }
    if !values.is_empty() {
        let next = SessionDefaults { database, role, values };
        return ctx.txn.put(Object::SessionDefaults(Arc::new(next)));
    }
    if before.is_some() {
        ctx.txn.drop_session_defaults(database, role)?;
    }
    Ok(())
}

fn put(
    ctx: &ExecContext,
    values: &mut Vec<(String, String)>,
    own: String,
    value: String,
) -> Result<()> {
    let superuser = authority::is_all_powerful(&ctx.catalog, &ctx.session);
    Settings::new().set(&own, &value, Source::Local, superuser)?;
    match values.iter_mut().find(|(have, _)| *have == own) {
        Some((_, have)) => *have = value,
        None => values.push((own, value)),
    }
    Ok(())
}

/// What a session of a role begins with, the least particular first.
pub fn of_session(catalog: &Catalog, role: &str) -> Vec<(String, String)> {
    let role = catalog.role_named(role).map_or(0, |r| r.oid);
    let keys = [(0, 0), (fixed::DATABASE, 0), (0, role), (fixed::DATABASE, role)];
    let found = keys.iter().filter_map(|(d, r)| catalog.session_defaults(*d, *r));
    found.flat_map(|d| d.values.clone()).collect()
}
