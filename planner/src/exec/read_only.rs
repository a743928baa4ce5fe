//! What READ ONLY transactions refuse besides writes, which their plans know of ([`crate::uses`]).

use sqlparser::ast::{ObjectType, Statement as Ast};
use vicinity_types::Result;

use super::transaction;
use crate::context::ExecContext;
use crate::sql::{AlterKind, GrantOn, Statement};

/// An error (25006) if the transaction may not run a statement.
pub(super) fn check(ctx: &ExecContext, stmt: &Statement) -> Result<()> {
    match refused(stmt).filter(|_| ctx.txn.read_only()) {
        Some(tag) => Err(transaction::read_only(tag)),
        None => Ok(()),
    }
}

/// The tag of a statement that is refused.
fn refused(stmt: &Statement) -> Option<&'static str> {
    Some(match stmt {
        Statement::Sql(stmt) => return refused_sql(stmt),
        Statement::CreateTable { select_into: true, .. } => "SELECT INTO",
        Statement::CreateTable { table, .. } => create_table(table.query.is_some()),
        Statement::CreateRole(_) => "CREATE ROLE",
        Statement::AlterRole(_) => "ALTER ROLE",
        Statement::AlterDatabase { .. } => "ALTER DATABASE",
        Statement::DropRoutine(_) => "DROP ROUTINE",
        Statement::DropDomain { .. } => "DROP DOMAIN",
        Statement::DropOwned { .. } => "DROP OWNED",
        Statement::ReassignOwned { .. } => "REASSIGN OWNED",
        Statement::DefaultPrivileges(_) => "ALTER DEFAULT PRIVILEGES",
        Statement::CreateSchema { .. } => "CREATE SCHEMA",
        Statement::CreateIndex(_) => "CREATE INDEX",
        Statement::CreateFunction(f) if f.procedure => "CREATE PROCEDURE",
        Statement::CreateFunction(_) => "CREATE FUNCTION",
        Statement::CreateTrigger(_) => "CREATE TRIGGER",
        Statement::RenameTrigger { .. } => "ALTER TRIGGER",
        Statement::AlterSequence(_) => "ALTER SEQUENCE",
        Statement::AlterRelation(a) => match a.kind {
            AlterKind::Table => "ALTER TABLE",
            AlterKind::View => "ALTER VIEW",
            AlterKind::MaterializedView => "ALTER MATERIALIZED VIEW",
            AlterKind::Index => "ALTER INDEX",
        },
        Statement::CreateDomain(_) => "CREATE DOMAIN",
        Statement::Comment { .. } => "COMMENT",
        Statement::AlterDomain(_) => "ALTER DOMAIN",
        Statement::AlterAttributes(_) => "ALTER TYPE",
        Statement::CreateMaterializedView { .. } => "CREATE MATERIALIZED VIEW",
        Statement::AlterObject(a) => match (a.procedure, a.function) {
            (true, _) => "ALTER PROCEDURE",
            (false, true) => "ALTER FUNCTION",
            (false, false) => "ALTER TYPE",
        },
        Statement::Grant(g) => match (&g.on, g.revoke) {
            (GrantOn::Roles, false) => "GRANT ROLE",
            (GrantOn::Roles, true) => "REVOKE ROLE",
            (_, false) => "GRANT",
            (_, true) => "REVOKE",
        },
        Statement::Refresh { .. } => "REFRESH MATERIALIZED VIEW",
        // COPY knows whether its table is a temporary one; the others change nothing that can be seen.
        Statement::Copy(_)
        | Statement::Transaction(_)
        | Statement::Characteristics(_)
        | Statement::Vacuum(_)
        | Statement::Reindex { .. }
        | Statement::Checkpoint
        | Statement::SetConstraints { .. }
        | Statement::Do { .. }
        | Statement::Declare(_)
        | Statement::Fetch(_)
        | Statement::Close(_) => return None,
    })
}

fn refused_sql(stmt: &Ast) -> Option<&'static str> {
    Some(match stmt {
        Ast::CreateTable(t) => create_table(t.query.is_some()),
        Ast::CreateView(_) => "CREATE VIEW",
        Ast::CreateSchema { .. } => "CREATE SCHEMA",
        Ast::AlterSchema(_) => "ALTER SCHEMA",
        Ast::CreateSequence { .. } => "CREATE SEQUENCE",
        Ast::CreateType { .. } => "CREATE TYPE",
        Ast::AlterType(_) => "ALTER TYPE",
        Ast::CreateExtension(_) => "CREATE EXTENSION",
        Ast::DropExtension(_) => "DROP EXTENSION",
        Ast::Drop { object_type, .. } => match object_type {
            ObjectType::Table => "DROP TABLE",
            ObjectType::View => "DROP VIEW",
            ObjectType::MaterializedView => "DROP MATERIALIZED VIEW",
            ObjectType::Index => "DROP INDEX",
            ObjectType::Sequence => "DROP SEQUENCE",
            ObjectType::Type => "DROP TYPE",
            ObjectType::Schema => "DROP SCHEMA",
            ObjectType::Role | ObjectType::User => "DROP ROLE",
            _ => return None,
        },
        Ast::DropFunction(_) => "DROP FUNCTION",
        Ast::DropProcedure { .. } => "DROP PROCEDURE",
        Ast::DropTrigger(_) => "DROP TRIGGER",
        Ast::Comment { .. } => "COMMENT",
        Ast::Truncate(_) => "TRUNCATE TABLE",
        _ => return None,
    })
}

fn create_table(of_query: bool) -> &'static str {
    if of_query { "CREATE TABLE AS" } else { "CREATE TABLE" }
}
