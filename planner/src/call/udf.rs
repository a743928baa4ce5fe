//! Calls as DataFusion has them: scalar functions around a [`Callable`].

use std::any::Any;
use std::fmt::{self, Debug};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::DataType;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use vicinity_types::arrow::{ColumnBuilder, value_at};
use vicinity_types::{Datum, Kind, PgError, Result};

use super::{Callable, Volatility, datum_to_scalar, external, scalar_to_datum};
use crate::context::{self, ExecContext};

/// The UDF around a [`Callable`]. Without a context of its own it uses the thread's current one.
pub struct PgCall {
    callable: Arc<dyn Callable>,
    identity: String,
    signature: Signature,
    ctx: Option<ExecContext>,
    /// Tells its arguments from others, as they were when it was first named: every walk over an
    /// expression names all calls in it, and names made of whole arguments would make a walk over a
    /// long chain of calls take time with the square of its length.
    digest: OnceLock<u64>,
    /// Its value was found too large to be part of a plan.
    outgrown: AtomicBool,
}

/// What a call of constants is replaced by is no longer than this: the optimiser copies, names and
/// compares constants in every pass, and a plan that is kept keeps them.
const MOST_FOLDED: usize = 256 << 10;

/// A number for arguments of a call.
fn digest_of(args: &[Expr]) -> u64 {
    let mut digest = DefaultHasher::new();
    for arg in args {
        match arg {
            Expr::ScalarFunction(f) => match call_of(f) {
                Some(call) => {
                    call.identity.hash(&mut digest);
                    call.digest.get_or_init(|| digest_of(&f.args)).hash(&mut digest);
                }
                None => arg.hash(&mut digest),
            },
            Expr::Cast(cast) => {
                cast.field.data_type().hash(&mut digest);
                digest_of(std::slice::from_ref(&*cast.expr)).hash(&mut digest);
            }
            other => other.hash(&mut digest),
        }
    }
    digest.finish()
}

impl PgCall {
    fn new(callable: Arc<dyn Callable>, ctx: Option<ExecContext>) -> PgCall {
        let types: Vec<DataType> = callable.args().iter().map(|a| a.arrow()).collect();
        let volatility = callable.volatility();
        let signature = if types.is_empty() {
            Signature::nullary(volatility)
        } else {
            Signature::exact(types, volatility)
        };
        PgCall {
            identity: callable.identity(),
            callable,
            signature,
            ctx,
            digest: OnceLock::new(),
            outgrown: AtomicBool::new(false),
        }
    }

    /// Its value while planning, from constants. The optimiser leaves alone what it cannot evaluate:
    /// what may change (a plan outlives the statement whose answer this would be), and what would
    /// make the plan too large.
    fn fold(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let refuse = |why: &str| Err(PgError::internal(why));
        if self.callable.volatility() != Volatility::Immutable {
            return refuse("a stable function has no value while planning");
        }
        if self.outgrown.load(Ordering::Relaxed) {
            return refuse("a value is too large for a plan");
        }
        let value = context::with_current(|ctx| match ctx {
            Some(ctx) => invoke(&*self.callable, ctx, args),
            None => refuse("function called outside of a statement"),
        })?;
        if matches!(&value, ColumnarValue::Scalar(v) if v.size() > MOST_FOLDED) {
            self.outgrown.store(true, Ordering::Relaxed);
            return refuse("a value is too large for a plan");
        }
        Ok(value)
    }

    /// What is called.
    pub fn callable(&self) -> &Arc<dyn Callable> {
        &self.callable
    }
}

impl Debug for PgCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity)
    }
}

impl PartialEq for PgCall {
    fn eq(&self, other: &PgCall) -> bool {
        self.identity == other.identity
    }
}

impl Eq for PgCall {}

impl Hash for PgCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl ScalarUDFImpl for PgCall {
    fn name(&self) -> &str {
        self.callable.name()
    }

    fn schema_name(&self, args: &[Expr]) -> datafusion::common::Result<String> {
        // Different overloads must not share a column name, nor calls of other arguments.
        let digest = self.digest.get_or_init(|| digest_of(args));
        Ok(format!("{}({digest:x})", self.identity))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> datafusion::common::Result<DataType> {
        Ok(self.callable.ret().arrow())
    }

    /// Any value of the type. DataFusion's own answer has no type: comparisons with it fail, and an
    /// order by them is not seen to be one.
    fn evaluate_bounds(&self, _inputs: &[&Interval]) -> datafusion::common::Result<Interval> {
        Interval::make_unbounded(&self.callable.ret().arrow())
    }

    fn invoke_with_args(
        &self,
        args: ScalarFunctionArgs,
    ) -> datafusion::common::Result<ColumnarValue> {
        let result = match &self.ctx {
            Some(ctx) => invoke(&*self.callable, ctx, &args),
            None => self.fold(&args),
        };
        result.map_err(external)
    }
}

fn invoke(
    callable: &dyn Callable,
    ctx: &ExecContext,
    args: &ScalarFunctionArgs,
) -> Result<ColumnarValue> {
    let kinds: Vec<Kind> = callable.args().iter().map(|a| a.kind).collect();
    let scalar = callable.volatility() != Volatility::Volatile
        && args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    let ret = callable.ret().kind;
    if scalar {
        let values = args
            .args
            .iter()
            .zip(&kinds)
            .map(|(a, kind)| match a {
                ColumnarValue::Scalar(s) => scalar_to_datum(*kind, s),
                ColumnarValue::Array(a) => value_at(*kind, a, 0),
            })
            .collect::<Result<Vec<_>>>()?;
        let value = callable.call(ctx, &values)?;
        return Ok(ColumnarValue::Scalar(datum_to_scalar(ret, &value)?));
    }
    let rows = args.number_rows;
    let mut out = ColumnBuilder::new(ret, rows);
    let mut row = Vec::with_capacity(kinds.len());
    // Scalars are read once, not once a row.
    let constants = args
        .args
        .iter()
        .zip(&kinds)
        .map(|(a, kind)| match a {
            ColumnarValue::Scalar(s) => scalar_to_datum(*kind, s).map(Some),
            ColumnarValue::Array(_) => Ok(None),
        })
        .collect::<Result<Vec<_>>>()?;
    for i in 0..rows {
        row.clear();
        for ((arg, constant), kind) in args.args.iter().zip(&constants).zip(&kinds) {
            row.push(match (arg, constant) {
                (ColumnarValue::Array(a), _) => value_at(*kind, a, i)?,
                (_, Some(value)) => value.clone(),
                _ => Datum::Null,
            });
        }
        out.push(&callable.call(ctx, &row)?)?;
        if i % 64 == 63 {
            ctx.check()?;
        }
    }
    Ok(ColumnarValue::Array(out.finish()))
}

/// An expression that calls `callable`.
pub fn call_expr(callable: Arc<dyn Callable>, args: Vec<Expr>) -> Expr {
    let udf = Arc::new(ScalarUDF::new_from_impl(PgCall::new(callable, None)));
    Expr::ScalarFunction(ScalarFunction::new_udf(udf, args))
}

/// The callable of a call expression.
pub fn callable_of(expr: &Expr) -> Option<(&Arc<dyn Callable>, &[Expr])> {
    let Expr::ScalarFunction(f) = expr else { return None };
    let call = call_of(f)?;
    Some((call.callable(), &f.args))
}

fn call_of(f: &ScalarFunction) -> Option<&PgCall> {
    let inner: &dyn Any = f.func.inner().as_ref();
    inner.downcast_ref::<PgCall>()
}

/// The same function, bound to a context; `None` if it is not a [`Callable`]'s. The arguments stay
/// where they are: a copy at every level of a chain would be one of all below it.
pub fn with_context(f: &ScalarFunction, ctx: &ExecContext) -> Option<Arc<ScalarUDF>> {
    let call = call_of(f)?;
    let bound = PgCall {
        digest: call.digest.clone(),
        ..PgCall::new(call.callable.clone(), Some(ctx.clone()))
    };
    Some(Arc::new(ScalarUDF::new_from_impl(bound)))
}
