//! A function that returns one value, used where rows are expected: `FROM now()`, `FROM f(x) AS t`.

use std::any::Any;
use std::fmt::{self, Debug};
use std::sync::Arc;

use vicinity_functions::Rows;
use vicinity_types::{Datum, PgError, Result};

use crate::call::{Callable, PgType, Typed, Volatility, callable_of};
use crate::context::ExecContext;
use crate::df::SetCallable;

/// One row of a plain function's result; a composite value is spread over columns.
pub struct SingleRow {
    call: Arc<dyn Callable>,
    columns: Vec<PgType>,
    spread: bool,
}

impl SingleRow {
    /// The function of a call, giving rows of these columns.
    pub fn over(call: &Typed, columns: Vec<PgType>) -> Result<Arc<dyn SetCallable>> {
        let (callable, _) =
            callable_of(&call.expr).ok_or_else(|| PgError::unsupported("this function in FROM"))?;
        let first = columns.first().map(|c| c.oid);
        let spread = columns.len() != 1 || first != Some(call.ty.oid);
        Ok(Arc::new(SingleRow { call: callable.clone(), columns, spread }))
    }
}

impl Debug for SingleRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SingleRow({:?})", self.call)
    }
}

impl SetCallable for SingleRow {
    fn name(&self) -> &str {
        self.call.name()
    }

    fn args(&self) -> &[PgType] {
        self.call.args()
    }

    fn columns(&self) -> &[PgType] {
        &self.columns
    }

    fn volatility(&self) -> Volatility {
        self.call.volatility()
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Rows> {
        let value = self.call.call(ctx, args)?;
        let row = match value {
            Datum::Record(record) if self.spread => {
                record.fields.iter().map(|(_, v)| v.clone()).collect()
            }
            Datum::Null if self.spread => vec![Datum::Null; self.columns.len()],
            value => vec![value],
        };
        Ok(Box::new(std::iter::once(Ok(row))))
    }

    fn identity(&self) -> String {
        format!("row {} {:?}", self.call.identity(), self.columns)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
