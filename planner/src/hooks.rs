//! Where this part of the planner asks its neighbours: system tables and functions over the catalog.

use vicinity_types::Oid;

use crate::call::PlannerFn;

/// The implementation of a built-in function that needs the catalog or the session, by `prosrc`.
pub(crate) fn planner_function(_src: &str) -> Option<PlannerFn> {
    None
}

/// A system table's name.
pub(crate) fn virtual_name(_relation: Oid) -> Option<String> {
    None
}

/// The system table a name means.
pub(crate) fn virtual_oid(_parts: &[String]) -> Option<Oid> {
    None
}

/// Checks a function's body at CREATE FUNCTION.
pub(crate) fn validate_function(
    _ctx: &crate::context::ExecContext,
    _function: &vicinity_storage::catalog::model::Function,
) -> vicinity_types::Result<()> {
    Ok(())
}
