//! Which statement is run where.

use sqlparser::ast::{self, Statement as Ast};
use vicinity_types::{PgError, Result, SqlState};

use super::ddl::{
    comment, create_as, default_acl, domain, drop, extension, function, grant, index, materialized,
    object, owned, role, schema, sequence, session_defaults, table, trigger, typedef, view,
};
use super::outcome::{Outcome, done};
use super::{after, alter, cursor, maintenance, name, read_only, rights, set, transaction};
use crate::context::ExecContext;
use crate::session::Transactions;
use crate::sql::{AlterAction, DetachKind, Statement};

/// Runs a statement that is neither a query nor a write nor the session's own business (transaction
/// control, prepared statements, cursors). `in_block` is whether a transaction block is open.
pub fn run(ctx: &ExecContext, stmt: &Statement, in_block: bool) -> Result<Outcome> {
    read_only::check(ctx, stmt)?;
    rights::check(ctx, stmt)?;
    match stmt {
        Statement::Sql(stmt) => sql(ctx, stmt, in_block),
        Statement::CreateTable { table: t, unlogged, no_data, likes, partition_by, .. } => {
            match &t.query {
                Some(query) => create_as::create(ctx, t, query, *unlogged, *no_data),
                None => table::create(ctx, t, *unlogged, likes, partition_by.as_ref()),
            }
        }
        Statement::CreateRole(c) => role::create(ctx, c),
        Statement::AlterRole(a) => role::alter(ctx, a),
        Statement::AlterDatabase { name, alter } => {
            session_defaults::alter_database(ctx, name, alter)
        }
        Statement::DropRoutine(d) => drop::functions(ctx, None, d),
        Statement::DropDomain { names, if_exists, cascade } => {
            drop::domains(ctx, names, *if_exists, *cascade)
        }
        Statement::DropOwned { roles, cascade } => owned::drop(ctx, roles, *cascade),
        Statement::ReassignOwned { roles, to } => owned::reassign(ctx, roles, to),
        Statement::DefaultPrivileges(d) => default_acl::alter(ctx, d),
        Statement::CreateSchema { schema, elements } => schema::create_with(ctx, schema, elements),
        Statement::CreateIndex(c) => index::create(ctx, c),
        Statement::CreateFunction(c) => function::create(ctx, c),
        Statement::CreateTrigger(c) => trigger::create(ctx, c),
        Statement::RenameTrigger { name, table, to } => trigger::rename(ctx, name, table, to),
        Statement::Vacuum(v) => maintenance::vacuum(ctx, v),
        Statement::Reindex { kind, name, .. } => index::reindex(ctx, kind, name.as_ref()),
        Statement::Checkpoint => {
            ctx.txn.database().checkpoint()?;
            Ok(done("CHECKPOINT"))
        }
        Statement::Characteristics(modes) => set::characteristics(ctx, modes),
        Statement::Transaction(_) => Err(PgError::internal("transaction control is the session's")),
        Statement::SetConstraints { names, deferred } => {
            set::warn_local(ctx, in_block, "SET CONSTRAINTS");
            let names: Option<Vec<Vec<String>>> =
                names.as_ref().map(|n| n.iter().map(name::parts).collect());
            after::set_constraints(ctx, names.as_deref(), *deferred)?;
            Ok(done("SET CONSTRAINTS"))
        }
        Statement::AlterSequence(s) => sequence::alter(ctx, s),
        Statement::AlterRelation(a) => alter::run(ctx, a),
        Statement::CreateDomain(d) => domain::create(ctx, d),
        Statement::Comment { on, text } => comment::on(ctx, on, text.as_deref()),
        Statement::AlterDomain(a) => domain::alter(ctx, a),
        Statement::AlterAttributes(a) => alter::attribute::run(ctx, a),
        Statement::CreateMaterializedView { view, no_data } => {
            materialized::create(ctx, view, *no_data)
        }
        Statement::AlterObject(a) => object::alter(ctx, a),
        Statement::Refresh { name, no_data, concurrently } => {
            materialized::refresh(ctx, name, *no_data, *concurrently)
        }
        Statement::Do { .. } => run_do(ctx, stmt, None),
        Statement::Grant(g) => grant::run(ctx, g),
        Statement::Copy(c) => super::copy::run(ctx, c),
        Statement::Declare(d) => cursor::declare(ctx, d, in_block, cursor::Given::default()),
        Statement::Fetch(f) => cursor::fetch(ctx, f),
        Statement::Close(name) => cursor::close(ctx, name.as_ref()),
    }
}

/// Runs DO, which may end `transactions`.
pub(crate) fn run_do(
    ctx: &ExecContext,
    stmt: &Statement,
    transactions: Option<&Transactions>,
) -> Result<Outcome> {
    let Statement::Do { language, body, body_at } = stmt else {
        return Err(PgError::internal("not a DO"));
    };
    match language.as_str() {
        "plpgsql" => {
            crate::plpgsql::run_do(ctx, body, transactions)
                .map_err(|e| function::in_query(e, body, *body_at))?;
            Ok(done("DO"))
        }
        "sql" | "c" | "internal" => Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("language \"{language}\" does not support inline code execution"),
        )),
        _ => Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("language \"{language}\" does not exist"),
        )),
    }
}

fn sql(ctx: &ExecContext, stmt: &Ast, in_block: bool) -> Result<Outcome> {
    match stmt {
        Ast::CreateTable(t) => match &t.query {
            Some(query) => create_as::create(ctx, t, query, false, false),
            None => table::create(ctx, t, false, &[], None),
        },
        Ast::CreateView(v) => view::create(ctx, v),
        Ast::CreateSchema { schema_name, if_not_exists, .. } => {
            schema::create(ctx, schema_name, *if_not_exists)
        }
        Ast::AlterSchema(a) => schema::alter(ctx, a),
        Ast::CreateSequence {
            temporary,
            if_not_exists,
            name,
            data_type,
            sequence_options,
            owned_by,
        } => sequence::create(
            ctx,
            &sequence::Create {
                temporary: *temporary,
                if_not_exists: *if_not_exists,
                name,
                ty: data_type.as_ref(),
                options: sequence_options,
                owned_by: owned_by.as_ref(),
            },
        ),
        Ast::CreateType { name, representation } => {
            typedef::create(ctx, name, representation.as_ref())
        }
        Ast::AlterType(a) => typedef::alter(ctx, a),
        Ast::CreateExtension(e) => extension::create(ctx, e),
        Ast::DropExtension(e) => extension::drop(ctx, e),
        Ast::Drop { object_type, if_exists, names, cascade, .. } => drop::run(
            ctx,
            &drop::Drop { kind: object_type, if_exists: *if_exists, names, cascade: *cascade },
        ),
        Ast::DropFunction(d) => drop::functions(ctx, Some(false), d),
        Ast::DropProcedure { if_exists, proc_desc, drop_behavior } => {
            let given = ast::DropFunction {
                if_exists: *if_exists,
                func_desc: proc_desc.clone(),
                drop_behavior: *drop_behavior,
            };
            drop::functions(ctx, Some(true), &given)
        }
        Ast::DropTrigger(t) => drop::trigger(ctx, t),
        Ast::Comment { object_type, object_name, comment: text, .. } => {
            comment::run(ctx, object_type, object_name, text.as_deref())
        }
        Ast::Truncate(t) => maintenance::truncate(ctx, t),
        Ast::Lock(l) => maintenance::lock(ctx, l),
        Ast::Set(s) => set::set(ctx, s, in_block),
        Ast::Reset(r) => set::reset(ctx, &r.reset),
        Ast::ShowVariable { variable } => set::show(&ctx.session, variable),
        Ast::LISTEN { .. } => Err(PgError::unsupported("LISTEN")),
        Ast::UNLISTEN { .. } => Ok(done("UNLISTEN")),
        Ast::NOTIFY { .. } => Err(PgError::unsupported("NOTIFY")),
        Ast::CreateDatabase { .. } => Err(PgError::unsupported("CREATE DATABASE")),
        other => Err(PgError::unsupported(first_words(other))),
    }
}

/// An error for a statement that must be a transaction of its own and is none, or must be a part of one. It is asked
/// before the statement waits for anything.
pub(crate) fn check_place(stmt: &Statement, in_block: bool, in_pipeline: bool) -> Result<()> {
    match (stmt, alone(stmt)) {
        (_, Some(what)) if in_block => Err(transaction::refuse_block(what)),
        (_, Some(what)) if in_pipeline => Err(transaction::refuse_pipeline(what)),
        (Statement::Sql(stmt), _) if !in_block && matches!(**stmt, Ast::Lock(_)) => {
            Err(transaction::needs_block("LOCK TABLE"))
        }
        _ => Ok(()),
    }
}

/// What a statement is called that must be a transaction of its own.
fn alone(stmt: &Statement) -> Option<&'static str> {
    let detaches =
        |action: &AlterAction| matches!(action, AlterAction::Detach(_, DetachKind::Concurrently));
    match stmt {
        Statement::Vacuum(v) if v.vacuum => Some("VACUUM"),
        Statement::CreateIndex(c) if c.concurrently => Some("CREATE INDEX CONCURRENTLY"),
        Statement::AlterRelation(a) if a.actions.iter().any(detaches) => {
            Some("ALTER TABLE ... DETACH CONCURRENTLY")
        }
        _ => None,
    }
}

/// A statement's leading words, for errors.
fn first_words(stmt: &Ast) -> String {
    let text = stmt.to_string();
    let words: Vec<&str> = text
        .split_whitespace()
        .take_while(|w| w.chars().all(|c| c.is_ascii_uppercase()))
        .take(3)
        .collect();
    if words.is_empty() { "this statement".to_owned() } else { words.join(" ") }
}

/// The query of a CREATE TABLE AS or view: what must be bound before.
pub fn is_create_as(stmt: &Statement) -> bool {
    match stmt {
        Statement::CreateTable { table, .. } => table.query.is_some(),
        Statement::Sql(s) => matches!(&**s, Ast::CreateTable(t) if t.query.is_some()),
        _ => false,
    }
}

/// Columns of a statement's rows, for Describe: SHOW has some.
pub fn columns(stmt: &Statement) -> Vec<(String, crate::call::PgType)> {
    match stmt {
        Statement::Sql(s) => match &**s {
            Ast::ShowVariable { variable } => set::show_columns(variable),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// A name with its parts, for callers outside.
pub fn object_name(given: &ast::ObjectName) -> Vec<String> {
    name::parts(given)
}
