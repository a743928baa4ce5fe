//! Functions users made: SQL and PL/pgSQL bodies, compiled and kept.
//!
//! A body is compiled once per function and catalog version and kept in the engine: a function
//! called a million times is planned once.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;
use vicinity_functions::Rows;
use vicinity_storage::catalog::model::{Function, Language};
use vicinity_types::{Datum, Oid, PgError, Result};

use crate::call::PgType;
use crate::context::ExecContext;
use crate::{plpgsql, sqlfn};

/// A compiled body.
#[derive(Debug)]
enum Compiled {
    Sql(sqlfn::Function),
    PlPgSql(plpgsql::Function),
}

/// What the engine keeps of compiled functions.
#[derive(Default, Debug)]
pub struct Cache {
    compiled: RwLock<HashMap<Oid, (Arc<Function>, u64, Arc<Compiled>)>>,
}

impl Cache {
    /// The compiled body of a function, made if missing or older than the catalog.
    fn get(&self, ctx: &ExecContext, function: &Arc<Function>) -> Result<Arc<Compiled>> {
        let version = ctx.catalog.version();
        if let Some((declared, at, compiled)) = self.compiled.read().get(&function.oid)
            && *at == version
            && Arc::ptr_eq(declared, function)
        {
            return Ok(compiled.clone());
        }
        let made = Arc::new(match function.language {
            Language::Sql => Compiled::Sql(sqlfn::compile(ctx, function)?),
            Language::PlPgSql => Compiled::PlPgSql(plpgsql::compile(ctx, function)?),
            Language::Internal | Language::C => {
                return Err(PgError::unsupported("function in language C"));
            }
        });
        self.compiled.write().insert(function.oid, (function.clone(), version, made.clone()));
        Ok(made)
    }
}

/// Checks a body at CREATE FUNCTION.
pub fn validate(ctx: &ExecContext, function: &Function) -> Result<()> {
    match function.language {
        Language::Sql => sqlfn::compile(ctx, function).map(drop),
        Language::PlPgSql => plpgsql::compile(ctx, function).map(drop),
        Language::Internal | Language::C => Ok(()),
    }
}

/// Runs a function that gives one value.
pub fn run_function(
    ctx: &ExecContext,
    function: &Arc<Function>,
    _types: &[PgType],
    args: &[Datum],
) -> Result<Datum> {
    match &*ctx.engine.functions.get(ctx, function)? {
        Compiled::Sql(f) => sqlfn::call(ctx, f, args),
        Compiled::PlPgSql(f) => plpgsql::call(ctx, f, args),
    }
}

/// Runs a function that gives rows.
pub fn run_set(
    ctx: &ExecContext,
    function: &Arc<Function>,
    _types: &[PgType],
    _columns: &[PgType],
    args: &[Datum],
) -> Result<Rows> {
    let rows = match &*ctx.engine.functions.get(ctx, function)? {
        Compiled::Sql(f) => sqlfn::call_set(ctx, f, args)?,
        Compiled::PlPgSql(f) => plpgsql::call_set(ctx, f, args)?,
    };
    Ok(Box::new(rows.into_iter().map(Ok)))
}
