//! Calls: everything inside an expression that is not one of DataFusion's native forms.
//!
//! The plan's expressions are DataFusion's `Expr`; a call in them is a scalar UDF ([`PgCall`]) around a
//! [`Callable`]. Both lanes end up in [`Callable::call`], so that both give the same values
//! (invariant *same-rows*).

mod builtin;
mod errors;
mod scalar;
mod udf;

use std::any::Any;
use std::fmt::Debug;

use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;
pub use datafusion::logical_expr::Volatility;
use vicinity_functions::{Operator, ScalarFn};
use vicinity_types::arrow::data_type;
use vicinity_types::{Datum, Kind, Oid, Result, kind_of};

pub use self::builtin::{Builtin, GroupKey, PlannerFn};
pub use self::errors::{external, internal};
pub use self::scalar::{datum_to_scalar, literal, placeholder, scalar_kind, scalar_to_datum};
pub use self::udf::{PgCall, call_expr, callable_of, with_context};
use crate::context::ExecContext;

/// An SQL type: its id, its modifier, and how its values are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PgType {
    /// `pg_type.oid`
    pub oid: Oid,
    /// -1 for none.
    pub typmod: i32,
    /// How values are held. Of user types only the catalog knows.
    pub kind: Kind,
}

impl PgType {
    /// A built-in type without modifier. For types that may be a user's, use [`PgType::with_kind`]
    /// with `Catalog::kind_of`.
    pub fn new(oid: Oid) -> PgType {
        PgType { oid, typmod: -1, kind: kind_of(oid) }
    }

    /// Any type, held as the catalog said.
    pub fn with_kind(oid: Oid, typmod: i32, kind: Kind) -> PgType {
        PgType { oid, typmod, kind }
    }

    /// The same type with another modifier.
    #[must_use]
    pub fn typmod(self, typmod: i32) -> PgType {
        PgType { typmod, ..self }
    }

    /// Its Arrow type.
    pub fn arrow(self) -> DataType {
        data_type(self.kind)
    }
}

/// An expression and its SQL type.
#[derive(Clone, Debug)]
pub struct Typed {
    /// What computes it.
    pub expr: Expr,
    /// What it is.
    pub ty: PgType,
}

impl Typed {
    /// Pairs them.
    pub fn new(expr: Expr, ty: PgType) -> Typed {
        Typed { expr, ty }
    }
}

/// One callable thing inside an expression. Wrapped once as a DataFusion UDF, called directly by the
/// row lane.
pub trait Callable: Debug + Send + Sync {
    /// Function name, for EXPLAIN and column names.
    fn name(&self) -> &str;
    /// Type of the result.
    fn ret(&self) -> PgType;
    /// Types of the arguments, one for each.
    fn args(&self) -> &[PgType];
    /// Whether a NULL argument makes the result NULL. The caller of [`Callable::call`] need not check.
    fn strict(&self) -> bool;
    /// How often the answer may change.
    fn volatility(&self) -> Volatility;
    /// Whether an index may keep the answer: it is the same for the same arguments for ever.
    fn immutable(&self) -> bool {
        self.volatility() == Volatility::Immutable
    }
    /// Calls it.
    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Datum>;
    /// Equal strings mean interchangeable callables.
    fn identity(&self) -> String;
    /// PostgreSQL's text of the call, given its arguments' texts.
    fn deparse(&self, args: &[String]) -> String;
    /// The implementation, where it needs nothing but an environment and is not given NULLs if strict.
    fn builtin(&self) -> Option<ScalarFn> {
        None
    }
    /// `prosrc` of a built-in function: what the native evaluator and push-down rules match on.
    fn source(&self) -> Option<&'static str> {
        None
    }
    /// Whether a call may take any time, because it runs statements.
    fn runs_statements(&self) -> bool {
        false
    }
    /// The operator a call was written as.
    fn operator(&self) -> Option<&'static Operator> {
        None
    }
    /// Downcasts.
    fn as_any(&self) -> &dyn Any;
}
