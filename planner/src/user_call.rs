//! Calls of user-defined functions. What runs them registers itself here.

use std::any::Any;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use vicinity_functions::Rows;
use vicinity_storage::catalog::model::{Function, Volatility as Declared};
use vicinity_types::{Datum, PgError, Result};

use crate::call::{Callable, PgType, Volatility};
use crate::context::ExecContext;
use crate::df::SetCallable;

/// Runs a function that returns one value.
pub type RunFunction = fn(&ExecContext, &Arc<Function>, &[PgType], &[Datum]) -> Result<Datum>;
/// Runs a function that returns rows of the given columns.
pub type RunSet = fn(&ExecContext, &Arc<Function>, &[PgType], &[PgType], &[Datum]) -> Result<Rows>;

static RUN: OnceLock<(RunFunction, RunSet)> = OnceLock::new();

/// Registers what runs user-defined functions; the first registration counts.
pub fn set_function_runner(function: RunFunction, set: RunSet) {
    let _ = RUN.set((function, set));
}

fn runner() -> Result<&'static (RunFunction, RunSet)> {
    RUN.get().ok_or_else(|| PgError::unsupported("calling user-defined functions"))
}

fn volatility(function: &Function) -> Volatility {
    match function.volatility {
        // immutable functions may still ask the session (search_path): folded when run, not before
        Declared::Immutable | Declared::Stable => Volatility::Stable,
        Declared::Volatile => Volatility::Volatile,
    }
}

/// A user-defined function that returns one value.
#[derive(Debug)]
pub struct UserCall {
    function: Arc<Function>,
    args: Vec<PgType>,
    ret: PgType,
}

impl UserCall {
    /// A call with resolved types.
    pub fn new(function: Arc<Function>, args: Vec<PgType>, ret: PgType) -> UserCall {
        UserCall { function, args, ret }
    }

    /// The function.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }
}

impl Callable for UserCall {
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

    fn volatility(&self) -> Volatility {
        volatility(&self.function)
    }

    fn immutable(&self) -> bool {
        self.function.volatility == Declared::Immutable
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        if self.function.strict && args.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        let (run, _) = runner()?;
        run(ctx, &self.function, &self.args, args)
    }

    fn runs_statements(&self) -> bool {
        true
    }

    fn identity(&self) -> String {
        format!("user {} {:?} {:?}", self.function.oid, self.args, self.ret)
    }

    fn deparse(&self, args: &[String]) -> String {
        format!("{}({})", self.function.name, args.join(", "))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A user-defined function that returns rows; or one, whose columns the statement tells.
#[derive(Debug)]
pub struct UserSet {
    function: Arc<Function>,
    args: Vec<PgType>,
    columns: Vec<PgType>,
}

impl UserSet {
    /// A call with resolved types.
    pub fn new(function: Arc<Function>, args: Vec<PgType>, columns: Vec<PgType>) -> UserSet {
        UserSet { function, args, columns }
    }
}

impl SetCallable for UserSet {
    fn name(&self) -> &str {
        &self.function.name
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn columns(&self) -> &[PgType] {
        &self.columns
    }

    fn volatility(&self) -> Volatility {
        volatility(&self.function)
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Rows> {
        if self.function.strict && args.iter().any(Datum::is_null) {
            let row = || Ok(vec![Datum::Null; self.columns.len()]);
            return Ok(Box::new((!self.function.returns_set).then(row).into_iter()));
        }
        let (_, run) = runner()?;
        run(ctx, &self.function, &self.args, &self.columns, args)
    }

    fn identity(&self) -> String {
        format!("user set {} {:?} {:?}", self.function.oid, self.args, self.columns)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
