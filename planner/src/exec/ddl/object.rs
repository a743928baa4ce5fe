//! What every object can be told: RENAME TO, OWNER TO, SET SCHEMA; for functions and types.

use std::sync::Arc;

use sqlparser::ast::FunctionDesc;
use vicinity_storage::catalog::model::{
    Function, Object, Relation, RelationKind, TypeDef, TypeKind,
};
use vicinity_types::{PgError, Result, SqlState};

use super::super::outcome::{Outcome, done};
use super::super::{name, respell};
use super::depend::Node;
use super::{function, owned, role, typedef};
use crate::context::ExecContext;
use crate::names;
use crate::sql::{AlterObject, ObjectAction};

/// Runs ALTER FUNCTION, PROCEDURE and TYPE.
pub(crate) fn alter(ctx: &ExecContext, a: &AlterObject) -> Result<Outcome> {
    if a.function {
        let desc = FunctionDesc { name: a.name.clone(), args: a.args.clone() };
        let oid = function::find_described(ctx, &desc, Some(a.procedure))?;
        let found = ctx.txn.catalog().function(oid).cloned();
        let found = found.ok_or_else(|| PgError::internal("function is gone"))?;
        let mut next: Function = (*found).clone();
        match &a.action {
            ObjectAction::Rename(to) => next.name = name::ident(to),
            ObjectAction::Owner(to) => {
                let owner = role::new_owner(ctx, to)?;
                owned::give(ctx, Node::Function(oid), owner)?;
                return Ok(done(if a.procedure { "ALTER PROCEDURE" } else { "ALTER FUNCTION" }));
            }
            ObjectAction::Schema(to) => next.schema = name::schema(ctx, &name::ident(to))?,
            ObjectAction::Options { clauses, reset } => {
                function::set_options(&mut next, clauses, reset)?;
                ctx.txn.put(Object::Function(Arc::new(next)))?;
                return Ok(done(if a.procedure { "ALTER PROCEDURE" } else { "ALTER FUNCTION" }));
            }
        }
        let renamed = matches!(a.action, ObjectAction::Rename(_)) || next.schema != found.schema;
        if let Some(other) = function::same_signature(ctx, &next).filter(|_| renamed) {
            return Err(function::taken(ctx, &other));
        }
        respell::after(ctx, || ctx.txn.put(Object::Function(Arc::new(next))))?;
        return Ok(done(if a.procedure { "ALTER PROCEDURE" } else { "ALTER FUNCTION" }));
    }
    let found = named_type(ctx, &a.name)?;
    alter_type(ctx, &found, &a.action)?;
    Ok(done("ALTER TYPE"))
}

/// A user's type by name.
pub(crate) fn named_type(
    ctx: &ExecContext,
    given: &sqlparser::ast::ObjectName,
) -> Result<Arc<TypeDef>> {
    let catalog = ctx.txn.catalog();
    let quoted: Vec<String> = name::parts(given).iter().map(|p| names::quote(p)).collect();
    let found = names::type_oid(&catalog, &ctx.session, &quoted.join("."))?;
    let found = found.and_then(|oid| catalog.type_def(oid).cloned());
    found.ok_or_else(|| names::no_type(&name::shown(given)))
}

/// The same for any type, domains included; a composite type's relation goes along.
pub(crate) fn alter_type(ctx: &ExecContext, ty: &TypeDef, action: &ObjectAction) -> Result<()> {
    let mut next = ty.clone();
    match action {
        ObjectAction::Rename(to) => {
            next.name = name::ident(to);
            typedef::free(ctx, ty.schema, &next.name)?;
        }
        ObjectAction::Owner(to) => {
            return owned::give(ctx, Node::Type(ty.oid), role::new_owner(ctx, to)?);
        }
        ObjectAction::Schema(to) => {
            let to = name::ident(to);
            next.schema = name::schema(ctx, &to)?;
            if next.schema != ty.schema && typedef::free(ctx, next.schema, &ty.name).is_err() {
                return Err(PgError::new(
                    SqlState::DUPLICATE_OBJECT,
                    format!("type \"{}\" already exists in schema \"{to}\"", ty.name),
                ));
            }
        }
        ObjectAction::Options { .. } => return Err(PgError::internal("a type has no options")),
    }
    respell::after(ctx, || put_type(ctx, ty, next))
}

fn put_type(ctx: &ExecContext, ty: &TypeDef, next: TypeDef) -> Result<()> {
    if let TypeKind::Composite { relation } = ty.kind
        && let Some(row) = ctx.txn.catalog().relation(relation).cloned()
        && matches!(row.kind, RelationKind::Composite(_))
    {
        let (own, schema, owner) = (next.name.clone(), next.schema, next.owner);
        let row = Relation { name: own, schema, owner, ..(*row).clone() };
        ctx.txn.put(Object::Relation(Arc::new(row)))?;
    }
    ctx.txn.put(Object::Type(Arc::new(next)))
}
