//! Set-returning functions.

use std::any::Any;
use std::fmt::{self, Debug};
use std::sync::Arc;

use datafusion::logical_expr::Expr;
use vicinity_functions::{Proc, Rows, SetFn};
use vicinity_types::{Datum, PgError, Result};

use crate::call::{PgType, Volatility};
use crate::context::ExecContext;

/// A function that returns rows.
pub trait SetCallable: Debug + Send + Sync {
    /// Function name.
    fn name(&self) -> &str;
    /// Types of the arguments.
    fn args(&self) -> &[PgType];
    /// Types of the columns of a row.
    fn columns(&self) -> &[PgType];
    /// How often the answer may change.
    fn volatility(&self) -> Volatility;
    /// Calls it. A strict function given a NULL returns no rows.
    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Rows>;
    /// Equal strings mean interchangeable.
    fn identity(&self) -> String;
    /// `prosrc` of a built-in function.
    fn source(&self) -> Option<&'static str> {
        None
    }
    /// Downcasts.
    fn as_any(&self) -> &dyn Any;
}

/// A set-returning function applied to arguments.
#[derive(Clone, Debug)]
pub struct SetCall {
    /// The function.
    pub function: Arc<dyn SetCallable>,
    /// Over the input's columns.
    pub args: Vec<Expr>,
    /// Names of the columns it adds, one for each of [`SetCallable::columns`].
    pub names: Vec<String>,
}

/// A set-returning function of the built-in catalog.
pub struct BuiltinSet {
    proc: &'static Proc,
    args: Vec<PgType>,
    columns: Vec<PgType>,
    /// Its one value is a row, and the columns are that row's.
    composite: bool,
    function: SetFn,
}

impl BuiltinSet {
    /// A call of `proc` with resolved argument and column types.
    pub fn new(proc: &'static Proc, args: Vec<PgType>, columns: Vec<PgType>) -> Result<BuiltinSet> {
        let function = vicinity_functions::set_returning(proc.src)
            .ok_or_else(|| PgError::unsupported(format!("function {}", proc.name)))?;
        Ok(BuiltinSet { proc, args, columns, composite: false, function })
    }

    /// The same where what it returns is a row: `unnest` of an array of a composite type.
    pub fn of_rows(self) -> BuiltinSet {
        BuiltinSet { composite: true, ..self }
    }
}

/// The fields of a row that came as one value. No row has NULLs in all of them.
fn fields(mut row: Vec<Datum>, width: usize) -> Vec<Datum> {
    match row.pop() {
        Some(Datum::Record(record)) => record.fields.iter().map(|(_, v)| v.clone()).collect(),
        _ => vec![Datum::Null; width],
    }
}

impl Debug for BuiltinSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity())
    }
}

impl SetCallable for BuiltinSet {
    fn name(&self) -> &str {
        self.proc.name
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn columns(&self) -> &[PgType] {
        &self.columns
    }

    fn volatility(&self) -> Volatility {
        match self.proc.volatility {
            b'i' => Volatility::Immutable,
            b's' => Volatility::Stable,
            _ => Volatility::Volatile,
        }
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Rows> {
        if self.proc.strict && args.iter().any(Datum::is_null) {
            return Ok(Box::new(std::iter::empty()));
        }
        let rows = (self.function)(ctx, args)?;
        if !self.composite {
            return Ok(rows);
        }
        let width = self.columns.len();
        Ok(Box::new(rows.map(move |row| row.map(|row| fields(row, width)))))
    }

    fn identity(&self) -> String {
        let Self { proc, args, columns, composite, .. } = self;
        format!("set {} {args:?} {columns:?} {composite}", proc.oid)
    }

    fn source(&self) -> Option<&'static str> {
        Some(self.proc.src)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
