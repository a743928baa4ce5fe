//! Queries inside other statements: CREATE TABLE AS, views, INSERT ... SELECT.

use sqlparser::ast::Query;
use vicinity_types::{Datum, Oid, PgError, Result};

use crate::call::PgType;
use crate::context::ExecContext;

/// A column of a query's result.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) ty: PgType,
}

/// A bound query.
pub(crate) struct Bound {
    pub(crate) columns: Vec<Output>,
    pub(crate) relations: Vec<Oid>,
}

/// What a query gives, without running it.
pub(crate) fn describe(ctx: &ExecContext, query: &Query) -> Result<Bound> {
    bind(ctx, query)
}

/// Binds a query.
pub(crate) fn bind(_ctx: &ExecContext, _query: &Query) -> Result<Bound> {
    Err(PgError::unsupported("a query here"))
}

/// Runs a query; every row goes to `f` until it says to stop.
pub(crate) fn run(
    _ctx: &ExecContext,
    _query: &Bound,
    _params: &[Datum],
    _f: &mut dyn FnMut(&[Datum]) -> Result<bool>,
) -> Result<()> {
    Err(PgError::unsupported("a query here"))
}
