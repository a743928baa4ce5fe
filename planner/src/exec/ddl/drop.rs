//! DROP of everything that is dropped by name.

use sqlparser::ast::{self, DropBehavior, ObjectName, ObjectType};
use vicinity_storage::ObjectKind;
use vicinity_storage::catalog::model::{RelationKind, fixed};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::name;
use super::super::outcome::{Outcome, done};
use super::depend::{self, Node};
use super::{function, role};
use crate::context::ExecContext;
use crate::names;
use crate::resolve::Types;

/// What a kind of relation is called, and how its DROP is called.
fn relation_word(kind: &RelationKind) -> (&'static str, &'static str) {
    match kind {
        RelationKind::Table(t) if t.materialized.is_some() => {
            ("materialized view", "Use DROP MATERIALIZED VIEW to remove a materialized view.")
        }
        RelationKind::Table(_) => ("table", "Use DROP TABLE to remove a table."),
        RelationKind::Index(_) => ("index", "Use DROP INDEX to remove an index."),
        RelationKind::Sequence(_) => ("sequence", "Use DROP SEQUENCE to remove a sequence."),
        RelationKind::View(_) => ("view", "Use DROP VIEW to remove a view."),
        RelationKind::Composite(_) => ("composite type", "Use DROP TYPE to remove a type."),
    }
}

/// The relation to drop; `None` after a notice with IF EXISTS.
fn find_relation(
    ctx: &ExecContext,
    given: &ObjectName,
    wanted: &'static str,
    if_exists: bool,
) -> Result<Option<Node>> {
    let missing = |e: Option<PgError>| {
        let error = e.unwrap_or_else(|| {
            PgError::new(
                match wanted {
                    "index" => SqlState::UNDEFINED_OBJECT,
                    _ => SqlState::UNDEFINED_TABLE,
                },
                format!("{wanted} \"{}\" does not exist", name::last(given)),
            )
        });
        if !if_exists {
            return Err(error);
        }
        name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, error.message().to_owned());
        Ok(None)
    };
    let relation = match name::find(ctx, given) {
        Ok(Some(relation)) => relation,
        Ok(None) => {
            if crate::hooks::virtual_oid(&name::parts(given)).is_some() {
                return Err(PgError::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    format!("permission denied: \"{}\" is a system catalog", name::last(given)),
                ));
            }
            return missing(None);
        }
        Err(e) => return missing(Some(e)),
    };
    let (word, hint) = relation_word(&relation.kind);
    if word != wanted {
        return Err(name::not_a(&relation, wanted).hint(hint));
    }
    Ok(Some(Node::Relation(relation.oid)))
}

fn relations(
    ctx: &ExecContext,
    given: &[ObjectName],
    wanted: &'static str,
    if_exists: bool,
) -> Result<Vec<Node>> {
    each(given, |g| find_relation(ctx, g, wanted, if_exists))
}

/// What is to be dropped: once, though it may be named twice.
fn each(
    given: &[ObjectName],
    find: impl Fn(&ObjectName) -> Result<Option<Node>>,
) -> Result<Vec<Node>> {
    let mut roots = Vec::new();
    for g in given {
        if let Some(node) = find(g)?
            && !roots.contains(&node)
        {
            roots.push(node);
        }
    }
    Ok(roots)
}

fn type_named(ctx: &ExecContext, given: &ObjectName) -> Result<Option<Oid>> {
    let quoted: Vec<String> = name::parts(given).iter().map(|p| names::quote(p)).collect();
    names::type_oid(&ctx.txn.catalog(), &ctx.session, &quoted.join("."))
}

/// A type that DROP DOMAIN may drop: what is no domain is not looked at further.
fn find_domain(ctx: &ExecContext, given: &ObjectName, if_exists: bool) -> Result<Option<Node>> {
    let types = Types::new(&ctx.txn.catalog(), &ctx.session);
    match type_named(ctx, given)? {
        Some(oid) if types.domain(oid).is_none() => Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a domain", name::shown(given)),
        )),
        _ => find_type(ctx, given, if_exists),
    }
}

fn find_type(ctx: &ExecContext, given: &ObjectName, if_exists: bool) -> Result<Option<Node>> {
    let catalog = ctx.txn.catalog();
    match type_named(ctx, given)? {
        Some(oid) if catalog.type_def(oid).is_some() => Ok(Some(Node::Type(oid))),
        Some(oid) => {
            let shown = ctx.type_name(oid, None);
            if catalog.relation_of_type(oid).is_some() {
                return Err(PgError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("cannot drop type {shown} because table {shown} requires it"),
                )
                .hint(format!("You can drop table {shown} instead.")));
            }
            Err(PgError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop type {shown} because it is required by the database system"),
            ))
        }
        None => {
            let text = format!("type \"{}\" does not exist", name::shown(given));
            if !if_exists {
                return Err(PgError::new(SqlState::UNDEFINED_OBJECT, text));
            }
            name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, text);
            Ok(None)
        }
    }
}

fn find_schema(ctx: &ExecContext, given: &ObjectName, if_exists: bool) -> Result<Option<Node>> {
    let own = name::last(given);
    match ctx.txn.catalog().schema_named(&own).map(|s| s.oid) {
        Some(oid @ (fixed::PG_CATALOG | fixed::PG_TOAST | fixed::INFORMATION_SCHEMA)) => {
            Err(PgError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop {} because it is required by the database system",
                    depend::describe(ctx, Node::Schema(oid))
                ),
            ))
        }
        Some(oid) => {
            ctx.txn.lock_object(ObjectKind::Schema, oid)?;
            // Who had it may have dropped it, or given it another name.
            match ctx.txn.catalog().schema(oid).is_some_and(|s| s.name == own) {
                true => Ok(Some(Node::Schema(oid))),
                false => find_schema(ctx, given, if_exists),
            }
        }
        None if if_exists => {
            let text = format!("schema \"{own}\" does not exist");
            name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, text);
            Ok(None)
        }
        None => Err(name::no_schema(&own)),
    }
}

/// `DROP kind names`
pub(crate) struct Drop<'a> {
    pub(crate) kind: &'a ObjectType,
    pub(crate) if_exists: bool,
    pub(crate) names: &'a [ObjectName],
    pub(crate) cascade: bool,
}

/// Runs DROP TABLE, VIEW, INDEX, SEQUENCE, TYPE, SCHEMA, ROLE.
pub(crate) fn run(ctx: &ExecContext, d: &Drop<'_>) -> Result<Outcome> {
    let (roots, tag) = match d.kind {
        ObjectType::Table => (relations(ctx, d.names, "table", d.if_exists)?, "DROP TABLE"),
        ObjectType::View => (relations(ctx, d.names, "view", d.if_exists)?, "DROP VIEW"),
        ObjectType::MaterializedView => {
            (relations(ctx, d.names, "materialized view", d.if_exists)?, "DROP MATERIALIZED VIEW")
        }
        ObjectType::Index => (relations(ctx, d.names, "index", d.if_exists)?, "DROP INDEX"),
        ObjectType::Sequence => {
            (relations(ctx, d.names, "sequence", d.if_exists)?, "DROP SEQUENCE")
        }
        ObjectType::Type => (each(d.names, |n| find_type(ctx, n, d.if_exists))?, "DROP TYPE"),
        ObjectType::Schema => {
            let found = d.names.iter().map(|n| find_schema(ctx, n, d.if_exists));
            (found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect(), "DROP SCHEMA")
        }
        ObjectType::Role | ObjectType::User => return role::drop(ctx, d.names, d.if_exists),
        ObjectType::Database => return Err(PgError::unsupported("DROP DATABASE")),
        other => return Err(PgError::unsupported(format!("DROP {other}"))),
    };
    depend::drop_all(ctx, &roots, d.cascade)?;
    Ok(done(tag))
}

fn cascades(behavior: Option<&DropBehavior>) -> bool {
    matches!(behavior, Some(DropBehavior::Cascade))
}

/// Runs DROP FUNCTION and DROP PROCEDURE, or DROP ROUTINE, which takes either.
pub(crate) fn functions(
    ctx: &ExecContext,
    procedure: Option<bool>,
    d: &ast::DropFunction,
) -> Result<Outcome> {
    let (kind, tag) = match procedure {
        Some(false) => ("function", "DROP FUNCTION"),
        Some(true) => ("procedure", "DROP PROCEDURE"),
        None => ("routine", "DROP ROUTINE"),
    };
    let mut roots = Vec::new();
    for desc in &d.func_desc {
        match function::find_described(ctx, desc, procedure) {
            Ok(oid) => roots.push(Node::Function(oid)),
            Err(e) if d.if_exists && e.code() == SqlState::UNDEFINED_FUNCTION => {
                let types = function::described_types(ctx, desc)?.unwrap_or_default();
                let (own, args) = (name::shown(&desc.name), function::shown_types(ctx, &types));
                let text = format!("{kind} {own}({args}) does not exist");
                name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, text);
            }
            Err(e) => return Err(e),
        }
    }
    depend::drop_all(ctx, &roots, cascades(d.drop_behavior.as_ref()))?;
    Ok(done(tag))
}

/// Runs DROP TRIGGER.
pub(crate) fn trigger(ctx: &ExecContext, t: &ast::DropTrigger) -> Result<Outcome> {
    let tag = done("DROP TRIGGER");
    let Some(table_name) = &t.table_name else {
        return Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input"));
    };
    let own = name::last(&t.trigger_name);
    let skip = |text: String| {
        name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, text);
        Ok(tag.clone())
    };
    let table = match name::relation(ctx, table_name) {
        Ok(table) => table,
        Err(e) if t.if_exists => return skip(e.message().to_owned()),
        Err(e) => return Err(e),
    };
    let catalog = ctx.txn.catalog();
    let found = catalog.triggers_of(table.oid).find(|x| x.name == own).map(|x| x.oid);
    match found {
        Some(oid) => depend::drop_all(ctx, &[Node::Trigger(oid)], false)?,
        None => {
            let text =
                |what| format!("trigger \"{own}\" for {what} \"{}\" does not exist", table.name);
            if t.if_exists {
                return skip(text("relation"));
            }
            return Err(PgError::new(SqlState::UNDEFINED_OBJECT, text("table")));
        }
    }
    Ok(tag)
}

/// Runs DROP DOMAIN.
pub(crate) fn domains(
    ctx: &ExecContext,
    given: &[ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Result<Outcome> {
    let roots = each(given, |g| find_domain(ctx, g, if_exists))?;
    depend::drop_all(ctx, &roots, cascade)?;
    Ok(done("DROP DOMAIN"))
}
