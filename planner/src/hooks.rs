//! Where this part of the planner asks its neighbours: system tables and functions over the catalog.

use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast;
use vicinity_storage::catalog::model::fixed;
use vicinity_types::{Datum, Oid, PgError, Result};

use crate::call::{PgType, PlannerFn, Typed};
use crate::context::ExecContext;
use crate::exec::Outcome;
use crate::rows::OutputColumn;

/// The implementation of a built-in function that needs the catalog or the session, by `prosrc`.
pub(crate) fn planner_function(src: &str) -> Option<PlannerFn> {
    crate::catalog::functions::lookup(src)
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
    _ctx: &crate::context::ExecContext,
    _function: &vicinity_storage::catalog::model::Function,
) -> vicinity_types::Result<()> {
    Ok(())
}

/// A query, bound.
pub(crate) struct Bound {
    pub(crate) plan: LogicalPlan,
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) params: Vec<Oid>,
    /// `FOR UPDATE` or `FOR SHARE`.
    pub(crate) locked: bool,
}

/// Binds a query.
pub(crate) fn bind_query(_ctx: &ExecContext, _query: &ast::Query, _types: &[Oid]) -> Result<Bound> {
    Err(PgError::unsupported("SELECT"))
}

/// Reads a type.
pub(crate) fn bind_type(_ctx: &ExecContext, _ty: &ast::DataType) -> Result<PgType> {
    Err(PgError::unsupported("PREPARE"))
}

/// Binds an expression without columns for a target of a type.
pub(crate) fn bind_assign(_ctx: &ExecContext, _expr: &ast::Expr, _target: PgType) -> Result<Typed> {
    Err(PgError::unsupported("EXECUTE"))
}

/// An INSERT, UPDATE or DELETE, planned.
pub struct DmlPlan {
    params: Vec<Oid>,
}

impl DmlPlan {
    /// RETURNING's columns.
    pub fn columns(&self) -> Option<&[OutputColumn]> {
        None
    }

    /// Types of the parameters.
    pub fn params(&self) -> &[Oid] {
        &self.params
    }

    /// Whether it touches few rows.
    pub fn is_short(&self) -> bool {
        false
    }

    /// Runs it.
    pub(crate) fn run(&self, _ctx: &ExecContext, _params: &[Datum]) -> Result<Outcome> {
        Err(PgError::unsupported("INSERT, UPDATE, DELETE"))
    }
}

/// Plans an INSERT, UPDATE or DELETE.
pub(crate) fn prepare_dml(
    _ctx: &ExecContext,
    _stmt: &ast::Statement,
    _types: &[Oid],
) -> Result<DmlPlan> {
    Err(PgError::unsupported("INSERT, UPDATE, DELETE"))
}
