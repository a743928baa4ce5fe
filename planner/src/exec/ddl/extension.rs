//! CREATE and DROP EXTENSION: `pase` comes with the server, `plpgsql` is there from the start.

use std::sync::Arc;

use sqlparser::ast::{CreateExtension, DropExtension, ReferentialAction};
use vicinity_storage::catalog::model::{Extension, Object, fixed};
use vicinity_types::{PgError, Result, SqlState};

use super::super::name;
use super::super::outcome::{Outcome, done};
use super::depend::{self, Node};
use crate::context::ExecContext;

/// `pg_extension.oid` of pase, from the block of its other ids.
const PASE: u32 = 16384;

/// Runs CREATE EXTENSION.
pub(crate) fn create(ctx: &ExecContext, e: &CreateExtension) -> Result<Outcome> {
    let own = name::ident(&e.name);
    let catalog = ctx.txn.catalog();
    if catalog.extension_named(&own).is_some() {
        let text = format!("extension \"{own}\" already exists");
        if !e.if_not_exists {
            return Err(PgError::new(SqlState::DUPLICATE_OBJECT, text));
        }
        name::skipping(ctx, SqlState::DUPLICATE_OBJECT, text);
        return Ok(done("CREATE EXTENSION"));
    }
    if !matches!(own.as_str(), "pase" | "plpgsql") {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("extension \"{own}\" is not available"),
        )
        .detail(format!("This server has no extension of the name \"{own}\" built in."))
        .hint("The extension must first be installed on the system where PostgreSQL is running."));
    }
    let version = e.version.as_ref().map(|v| v.value.clone());
    let current = if own == "pase" { "0.0.1" } else { "1.0" };
    if let Some(asked) = version.filter(|v| v != current) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "extension \"{own}\" has no installation script nor update path for version \
                 \"{asked}\""
            ),
        ));
    }
    let schema = match &e.schema {
        Some(s) => name::schema(ctx, &name::ident(s))?,
        None if own == "plpgsql" => fixed::PG_CATALOG,
        None => ctx.session.creation_schema(&catalog).ok_or_else(|| {
            PgError::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
        })?,
    };
    let oid = if own == "pase" { PASE } else { 13501 };
    let extension = Extension {
        oid,
        name: own.clone(),
        schema,
        owner: super::role::acting(ctx)?,
        version: current.to_owned(),
        relocatable: own == "pase",
    };
    ctx.txn.put(Object::Extension(Arc::new(extension)))?;
    Ok(done("CREATE EXTENSION"))
}

/// Runs DROP EXTENSION.
pub(crate) fn drop(ctx: &ExecContext, e: &DropExtension) -> Result<Outcome> {
    let catalog = ctx.txn.catalog();
    let mut roots = Vec::new();
    for given in &e.names {
        let own = name::ident(given);
        match catalog.extension_named(&own) {
            Some(found) => roots.push(Node::Extension(found.oid)),
            None => {
                let text = format!("extension \"{own}\" does not exist");
                if !e.if_exists {
                    return Err(PgError::new(SqlState::UNDEFINED_OBJECT, text));
                }
                name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, text);
            }
        }
    }
    let cascade = matches!(e.cascade_or_restrict, Some(ReferentialAction::Cascade));
    depend::drop_all(ctx, &roots, cascade)?;
    Ok(done("DROP EXTENSION"))
}
