//! INSERT, UPDATE and DELETE.

use std::sync::Arc;

use sqlparser::ast::Expr;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, PgError, Result};

use crate::call::PgType;
use crate::context::ExecContext;

/// An expression over a table's columns, ready to run.
pub(crate) struct RowExpr {}

impl RowExpr {
    /// Its value over a row of the table (all columns, dropped ones included).
    pub(crate) fn eval(&self, _ctx: &ExecContext, _row: &[Datum]) -> Result<Datum> {
        Err(PgError::unsupported("expression"))
    }

    /// Its value if it has the same one for every row.
    pub(crate) fn constant(&self, _ctx: &ExecContext) -> Result<Option<Datum>> {
        Ok(None)
    }

    /// Whether a check is false over a row.
    pub(crate) fn fails(&self, ctx: &ExecContext, row: &[Datum]) -> Result<bool> {
        Ok(matches!(self.eval(ctx, row)?, Datum::Bool(false)))
    }
}

/// Binds defaults, checks and generated columns, for their errors.
pub(crate) fn validate(_ctx: &ExecContext, _relation: &Relation) -> Result<()> {
    Ok(())
}

pub(crate) fn check_named(_ctx: &ExecContext, _r: &Arc<Relation>, _name: &str) -> Result<RowExpr> {
    Err(PgError::unsupported("expression"))
}

pub(crate) fn default_of(_ctx: &ExecContext, _r: &Arc<Relation>, _at: usize) -> Result<RowExpr> {
    Err(PgError::unsupported("expression"))
}

pub(crate) fn conversion(
    _ctx: &ExecContext,
    _r: &Arc<Relation>,
    _at: usize,
    _ty: PgType,
    _using: Option<&Expr>,
) -> Result<RowExpr> {
    Err(PgError::unsupported("expression"))
}
