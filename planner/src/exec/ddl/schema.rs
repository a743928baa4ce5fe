//! CREATE and ALTER SCHEMA.

use std::sync::Arc;

use sqlparser::ast::{AlterSchemaOperation, Ident, SchemaName};
use vicinity_storage::catalog::model::{Object, Schema};
use vicinity_types::{PgError, Result, SqlState};

use super::super::name;
use super::super::outcome::{Outcome, done};
use super::role;
use crate::context::ExecContext;

fn check_name(own: &str) -> Result<()> {
    if own.starts_with("pg_") {
        return Err(PgError::new(
            SqlState::RESERVED_NAME,
            format!("unacceptable schema name \"{own}\""),
        )
        .detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    Ok(())
}

/// Runs CREATE SCHEMA.
pub(crate) fn create(
    ctx: &ExecContext,
    given: &SchemaName,
    if_not_exists: bool,
) -> Result<Outcome> {
    let owner_of = |i: &Ident| role::new_owner(ctx, i);
    let (own, owner) = match given {
        SchemaName::Simple(n) => (name::last(n), role::acting(ctx)?),
        SchemaName::UnnamedAuthorization(role) => (name::ident(role), owner_of(role)?),
        SchemaName::NamedAuthorization(n, role) => (name::last(n), owner_of(role)?),
    };
    check_name(&own)?;
    if ctx.txn.catalog().schema_named(&own).is_some() {
        let text = format!("schema \"{own}\" already exists");
        if !if_not_exists {
            return Err(PgError::new(SqlState::DUPLICATE_SCHEMA, text));
        }
        name::skipping(ctx, SqlState::DUPLICATE_SCHEMA, text);
        return Ok(done("CREATE SCHEMA"));
    }
    let schema = Schema { oid: ctx.txn.new_oid(), name: own, owner };
    ctx.txn.put(Object::Schema(Arc::new(schema)))?;
    Ok(done("CREATE SCHEMA"))
}

/// Runs ALTER SCHEMA.
pub(crate) fn alter(ctx: &ExecContext, a: &sqlparser::ast::AlterSchema) -> Result<Outcome> {
    let own = name::last(&a.name);
    let found = ctx.txn.catalog().schema_named(&own).cloned();
    let Some(found) = found else { return Err(name::no_schema(&own)) };
    let mut next = (*found).clone();
    for operation in &a.operations {
        match operation {
            AlterSchemaOperation::Rename { name: to } => {
                let to = name::last(to);
                check_name(&to)?;
                if ctx.txn.catalog().schema_named(&to).is_some() {
                    return Err(PgError::new(
                        SqlState::DUPLICATE_SCHEMA,
                        format!("schema \"{to}\" already exists"),
                    ));
                }
                next.name = to;
            }
            AlterSchemaOperation::OwnerTo { owner } => next.owner = role::owner(ctx, owner)?,
            _ => return Err(PgError::unsupported("this form of ALTER SCHEMA")),
        }
    }
    ctx.txn.put(Object::Schema(Arc::new(next)))?;
    Ok(done("ALTER SCHEMA"))
}
