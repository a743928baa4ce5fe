//! Functions users made: SQL and PL/pgSQL bodies behind a [`Callable`].
//!
//! A body is compiled once per function and catalog version and kept in the engine: a function
//! called a million times is planned once.

use std::any::Any;
use std::sync::Arc;

use datafusion::logical_expr::Volatility as Df;
use hashbrown::HashMap;
use parking_lot::RwLock;
use vicinity_storage::catalog::model::{Function, Language, Volatility};
use vicinity_types::{Datum, Oid, PgError, Result};

use crate::call::{Callable, PgType};
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
        self.compiled
            .write()
            .insert(function.oid, (function.clone(), version, made.clone()));
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

/// A call of a user's function.
#[derive(Debug)]
pub struct UserFunction {
    function: Arc<Function>,
    args: Vec<PgType>,
    ret: PgType,
}

impl UserFunction {
    /// A call with resolved argument and result types.
    pub fn new(function: Arc<Function>, args: Vec<PgType>, ret: PgType) -> UserFunction {
        UserFunction { function, args, ret }
    }

    /// The catalog's entry.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// The rows of a set-returning function, each as wide as its result columns.
    pub fn rows(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Vec<Vec<Datum>>> {
        if self.function.strict && args.iter().any(Datum::is_null) {
            return Ok(Vec::new());
        }
        match &*ctx.engine.functions.get(ctx, &self.function)? {
            Compiled::Sql(f) => sqlfn::call_set(ctx, f, args),
            Compiled::PlPgSql(f) => plpgsql::call_set(ctx, f, args),
        }
    }
}

impl Callable for UserFunction {
    fn name(&self) -> &str {
        &self.function.name
    }

    fn ret(&self) -> PgType {
        self.ret
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn strict(&self) -> bool {
        self.function.strict
    }

    fn volatility(&self) -> Df {
        match self.function.volatility {
            Volatility::Immutable => Df::Immutable,
            Volatility::Stable => Df::Stable,
            Volatility::Volatile => Df::Volatile,
        }
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        if self.function.strict && args.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        match &*ctx.engine.functions.get(ctx, &self.function)? {
            Compiled::Sql(f) => sqlfn::call(ctx, f, args),
            Compiled::PlPgSql(f) => plpgsql::call(ctx, f, args),
        }
    }

    fn identity(&self) -> String {
        format!("user {} {:p} {}", self.function.oid, Arc::as_ptr(&self.function), self.ret.oid)
    }

    fn deparse(&self, args: &[String]) -> String {
        format!("{}({})", crate::names::quote(&self.function.name), args.join(", "))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
