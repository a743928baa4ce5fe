//! `has_*_privilege` and `pg_has_role`.
//!
//! There are no grants to rows of the catalog yet: whoever may connect may use what exists, as
//! owners and superusers may in PostgreSQL, so the answer is whether the object exists at all.

use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use super::CatalogFn;
use crate::catalog;
use crate::context::ExecContext;

pub(super) fn lookup(src: &str) -> Option<CatalogFn> {
    if src.starts_with("has_table_privilege") || src.starts_with("has_any_column_privilege") {
        return Some(table);
    }
    (src.starts_with("has_") && src.contains("_privilege") || src.starts_with("pg_has_role"))
        .then_some(allowed as CatalogFn)
}

fn allowed(_: &ExecContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(true))
}

/// NULL for an id that is no table; an error for a name that is none. The table is the last
/// argument but one: a role may stand before it.
fn table(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let Some(at) = args.len().checked_sub(2) else { return Ok(Datum::Null) };
    match args.get(at) {
        Some(Datum::Oid(oid)) => {
            Ok(if exists(ctx, *oid) { Datum::Bool(true) } else { Datum::Null })
        }
        Some(Datum::Text(name)) => match ctx.session.find_relation(&ctx.catalog, name)? {
            Some(_) => Ok(Datum::Bool(true)),
            None => Err(PgError::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{name}\" does not exist"),
            )),
        },
        _ => Ok(Datum::Null),
    }
}

fn exists(ctx: &ExecContext, oid: Oid) -> bool {
    ctx.catalog.relation(oid).is_some() || catalog::lookup_oid(oid).is_some()
}
