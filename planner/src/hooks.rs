//! Where this part of the planner asks its neighbours: system tables and functions over the catalog.

use vicinity_storage::catalog::model::fixed;
use vicinity_types::Oid;

use crate::call::PlannerFn;

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
