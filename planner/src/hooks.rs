//! Where this part of the planner asks its neighbours: system tables and functions over the catalog.

use sqlparser::ast;
use vicinity_storage::catalog::model::fixed;
use vicinity_types::{Datum, Oid, Result};

use crate::bind::{Binder, ParamTypes, Place, Scope};
use crate::call::{PgType, PlannerFn, Typed};
use crate::context::ExecContext;
use crate::resolve::Context;

/// The implementation of a built-in function that needs the catalog or the session, by `prosrc`.
pub(crate) fn planner_function(src: &str) -> Option<PlannerFn> {
    match src {
        // no publications here; psql's \d asks for every table
        "pg_relation_is_publishable" => Some(|_, _| Ok(Datum::Bool(false))),
        _ => crate::catalog::functions::lookup(src),
    }
}

/// A system table's name.
pub(crate) fn virtual_name(relation: Oid) -> Option<String> {
    crate::catalog::lookup_oid(relation).map(|t| t.name.to_owned())
}

/// The system table a name means.
pub(crate) fn virtual_oid(parts: &[String]) -> Option<Oid> {
    let (schema, name) = match parts {
        [name] => (fixed::PG_CATALOG, name),
        [schema, name] if schema == "pg_catalog" => (fixed::PG_CATALOG, name),
        [schema, name] if schema == "information_schema" => (fixed::INFORMATION_SCHEMA, name),
        _ => return None,
    };
    crate::catalog::lookup(schema, name).map(|t| t.oid)
}

/// Checks a function's body at CREATE FUNCTION.
pub(crate) fn validate_function(
    ctx: &crate::context::ExecContext,
    function: &vicinity_storage::catalog::model::Function,
) -> vicinity_types::Result<()> {
    crate::userfn::validate(ctx, function)
}

/// Reads a type.
pub(crate) fn bind_type(ctx: &ExecContext, ty: &ast::DataType) -> Result<PgType> {
    Binder::new(&ctx.catalog, &ctx.session, ParamTypes::none()).data_type(ty)
}

/// Binds a parameter of EXECUTE.
pub(crate) fn bind_assign(ctx: &ExecContext, expr: &ast::Expr, target: PgType) -> Result<Typed> {
    let mut binder = Binder::new(&ctx.catalog, &ctx.session, ParamTypes::none());
    let value = binder.expr_at(expr, &Scope::empty(), Place::ExecuteParameter)?;
    binder.coerce_to(value, target, Context::Assignment)
}

pub use crate::exec::dml::DmlPlan;

/// Plans an INSERT, UPDATE or DELETE.
pub(crate) fn prepare_dml(
    ctx: &ExecContext,
    stmt: &ast::Statement,
    types: &[Oid],
) -> Result<DmlPlan> {
    crate::exec::dml::prepare(ctx, Binder::of(ctx, ParamTypes::declared(types)), stmt)
}
