//! CREATE and ALTER SCHEMA.

use std::sync::Arc;

use sqlparser::ast::{self, AlterSchemaOperation, Ident, SchemaName};
use vicinity_storage::catalog::model::{Object, Schema};
use vicinity_types::{PgError, Result, SqlState};

use super::super::outcome::{Outcome, done};
use super::super::settings::Source;
use super::super::{name, respell, utility};
use super::depend::Node;
use super::{default_acl, owned, role};
use crate::authority::Target;
use crate::context::ExecContext;
use crate::sql::Statement;

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
    let target = Target::schema(&schema);
    ctx.txn.put(Object::Schema(Arc::new(schema)))?;
    default_acl::begin(ctx, &target, 0)?;
    Ok(done("CREATE SCHEMA"))
}

/// Runs CREATE SCHEMA with what is to be made in it: names without a schema are the new one's.
pub(crate) fn create_with(
    ctx: &ExecContext,
    schema: &ast::Statement,
    elements: &[Statement],
) -> Result<Outcome> {
    let ast::Statement::CreateSchema { schema_name, if_not_exists, .. } = schema else {
        return Err(PgError::internal("no CREATE SCHEMA"));
    };
    if *if_not_exists {
        let text = "CREATE SCHEMA IF NOT EXISTS cannot include schema elements";
        return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text));
    }
    let outcome = create(ctx, schema_name, false)?;
    let own = match schema_name {
        SchemaName::Simple(n) | SchemaName::NamedAuthorization(n, _) => name::last(n),
        SchemaName::UnnamedAuthorization(role) => name::ident(role),
    };
    let path = format!("{}, {}", crate::names::quote(&own), old_path(ctx));
    let mark = ctx.session.change_settings(|s| {
        let mark = s.mark();
        s.set("search_path", &path, Source::Local, true).map(|()| mark)
    })?;
    let mut ordered: Vec<&Statement> = elements.iter().collect();
    ordered.sort_by_key(|e| rank(e));
    let made = ordered.into_iter().try_for_each(|element| {
        let ctx = &ctx.next_statement();
        utility::run(ctx, element, true).map(drop)
    });
    ctx.session.change_settings(|s| s.rollback_to(mark));
    made.map(|()| outcome)
}

fn old_path(ctx: &ExecContext) -> String {
    ctx.session.setting("search_path").filter(|p| !p.is_empty()).unwrap_or_else(|| "\"\"".into())
}

/// PostgreSQL makes them in this order, however they are written.
fn rank(element: &Statement) -> u8 {
    match element {
        Statement::Sql(s) if matches!(**s, ast::Statement::CreateSequence { .. }) => 0,
        Statement::CreateTable { .. } => 1,
        Statement::Sql(_) => 2,
        Statement::CreateIndex(_) => 3,
        Statement::CreateTrigger(_) => 4,
        _ => 5,
    }
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
            AlterSchemaOperation::OwnerTo { owner } => {
                let owner = role::owner(ctx, owner)?;
                owned::give(ctx, Node::Schema(found.oid), owner)?;
                return Ok(done("ALTER SCHEMA"));
            }
            _ => return Err(PgError::unsupported("this form of ALTER SCHEMA")),
        }
    }
    respell::after(ctx, || ctx.txn.put(Object::Schema(Arc::new(next))))?;
    Ok(done("ALTER SCHEMA"))
}
