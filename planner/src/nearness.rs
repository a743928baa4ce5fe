//! The order of a distance operator.
//!
//! PASE's indexes order by Euclidean distance whatever distance the query asks to see, so that is what ORDER BY means
//! on every plan (invariant *same-rows*); the operator itself gives the value shown.

use std::any::Any;
use std::sync::Arc;

use datafusion::logical_expr::Expr;
use vicinity_functions::Operator;
use vicinity_storage::catalog::model::IndexMethod;
use vicinity_types::{Datum, Result, oid};

use crate::call::{Callable, PgType, Typed, Volatility, call_expr};
use crate::context::ExecContext;

/// The sort key of `vector <op> query`.
#[derive(Debug)]
pub struct Nearness {
    operator: &'static Operator,
    args: Vec<PgType>,
}

impl Nearness {
    /// Of an operator, if it is one of distance between a vector and a query.
    pub fn of(operator: &'static Operator, args: &[PgType]) -> Option<Nearness> {
        (operator.extension == Some("pase")).then(|| Nearness { operator, args: args.to_vec() })
    }

    /// The key over the operator's arguments.
    pub fn over(self, args: Vec<Expr>) -> Typed {
        let ty = self.ret();
        Typed::new(call_expr(Arc::new(self), args), ty)
    }

    /// Whether the operator is one of this access method: then a query's `extra` is meant for it.
    pub fn is_of(&self, method: IndexMethod) -> bool {
        match self.operator.name {
            "<?>" => method == IndexMethod::Hnsw,
            "<#>" => method == IndexMethod::Ivfflat,
            _ => true,
        }
    }
}

impl Callable for Nearness {
    fn name(&self) -> &str {
        "nearness"
    }

    fn ret(&self) -> PgType {
        PgType::new(oid::FLOAT8)
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn strict(&self) -> bool {
        true
    }

    fn volatility(&self) -> Volatility {
        Volatility::Immutable
    }

    fn call(&self, _ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        match args {
            [left, right] => vicinity_functions::nearness(left, right),
            _ => Ok(Datum::Null),
        }
    }

    fn builtin(&self) -> Option<vicinity_functions::ScalarFn> {
        Some(|_, args| match args {
            [left, right] => vicinity_functions::nearness(left, right),
            _ => Ok(Datum::Null),
        })
    }

    fn identity(&self) -> String {
        format!("nearness {}", self.operator.oid)
    }

    fn deparse(&self, args: &[String]) -> String {
        format!("({})", args.join(&format!(" {} ", self.operator.name)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
