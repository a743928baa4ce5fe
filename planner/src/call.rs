//! Calls: everything inside an expression that is not one of DataFusion's native forms.
//!
//! The plan's expressions are DataFusion's `Expr`; a call in them is a scalar UDF ([`PgCall`]) around a
//! [`Callable`]. Both lanes end up in [`Callable::call`], so that both give the same values
//! (invariant *same-rows*).

use std::any::Any;
use std::fmt::{self, Debug};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, ScalarValue};
pub use datafusion::logical_expr::Volatility;
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use vicinity_functions::{Call, Operator, Proc, ScalarFn};
use vicinity_types::arrow::{ColumnBuilder, data_type, value_at};
use vicinity_types::{Datum, Kind, Oid, PgError, Result, kind_of, oid};

use crate::context::{self, ExecContext};

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

/// A function of planner itself, by `prosrc`: it may ask the catalog and the session.
pub type PlannerFn = fn(&ExecContext, &[Datum]) -> Result<Datum>;

#[derive(Clone)]
enum Run {
    Native(Call),
    Planner(PlannerFn),
}

/// A function or operator of the built-in catalog.
pub struct Builtin {
    proc: &'static Proc,
    operator: Option<&'static Operator>,
    args: Vec<PgType>,
    ret: PgType,
    variadic: bool,
    run: Run,
}

impl Builtin {
    /// A call of `proc` with resolved argument and result types; `variadic` if written `VARIADIC`.
    /// `operator` is what it was written as. An error if nothing implements it.
    pub fn new(
        proc: &'static Proc,
        operator: Option<&'static Operator>,
        args: Vec<PgType>,
        ret: PgType,
        variadic: bool,
    ) -> Result<Builtin> {
        let oids = args.iter().map(|a| a.oid).collect();
        let run = match Call::new(proc, oids, ret.oid, variadic) {
            Some(call) => Run::Native(call),
            None => Run::Planner(
                crate::hooks::planner_function(proc.src)
                    .ok_or_else(|| PgError::unsupported(format!("function {}", proc.name)))?,
            ),
        };
        Ok(Builtin { proc, operator, args, ret, variadic, run })
    }

    /// `pg_proc`'s row.
    pub fn proc(&self) -> &'static Proc {
        self.proc
    }
}

impl Debug for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity())
    }
}

impl Callable for Builtin {
    fn name(&self) -> &str {
        self.proc.name
    }

    fn ret(&self) -> PgType {
        self.ret
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn strict(&self) -> bool {
        self.proc.strict
    }

    fn volatility(&self) -> Volatility {
        match self.proc.volatility {
            b'i' => Volatility::Immutable,
            b's' => Volatility::Stable,
            _ => Volatility::Volatile,
        }
    }

    #[inline]
    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        match &self.run {
            Run::Native(call) => call.call(ctx, args),
            Run::Planner(_) if self.proc.strict && args.iter().any(Datum::is_null) => {
                Ok(Datum::Null)
            }
            Run::Planner(function) => function(ctx, args),
        }
    }

    fn identity(&self) -> String {
        let args: Vec<Oid> = self.args.iter().map(|a| a.oid).collect();
        format!("builtin {} {args:?} {} {}", self.proc.oid, self.ret.oid, self.variadic)
    }

    fn deparse(&self, args: &[String]) -> String {
        match (self.operator, args) {
            (Some(op), [left, right]) => format!("({left} {} {right})", op.name),
            (Some(op), [right]) => format!("({} {right})", op.name),
            _ => format!("{}({})", self.proc.name, args.join(", ")),
        }
    }

    fn builtin(&self) -> Option<ScalarFn> {
        match self.run {
            Run::Native(_) if !self.variadic => vicinity_functions::scalar(self.proc.src),
            _ => None,
        }
    }

    fn source(&self) -> Option<&'static str> {
        Some(self.proc.src)
    }

    fn operator(&self) -> Option<&'static Operator> {
        self.operator
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The sort and group key of a value whose Arrow bytes are not canonical: `types::arrow::group_key`.
/// NULL stays NULL, so that `NULLS FIRST` and `LAST` work on the key.
#[derive(Debug)]
pub struct GroupKey {
    arg: [PgType; 1],
}

impl GroupKey {
    /// The key of values of a type.
    pub fn new(arg: PgType) -> GroupKey {
        GroupKey { arg: [arg] }
    }
}

impl Callable for GroupKey {
    fn name(&self) -> &str {
        "group_key"
    }

    fn ret(&self) -> PgType {
        PgType::new(oid::BYTEA)
    }

    fn args(&self) -> &[PgType] {
        &self.arg
    }

    fn strict(&self) -> bool {
        true
    }

    fn volatility(&self) -> Volatility {
        Volatility::Immutable
    }

    fn call(&self, _ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        Ok(match args {
            [Datum::Null] | [] => Datum::Null,
            [value, ..] => Datum::Bytea(Arc::from(vicinity_types::arrow::group_key(value))),
        })
    }

    fn identity(&self) -> String {
        let kinds: Vec<Kind> = self.arg.iter().map(|a| a.kind).collect();
        format!("group_key {kinds:?}")
    }

    fn deparse(&self, args: &[String]) -> String {
        args.concat()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

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

/// A PostgreSQL error on its way through DataFusion.
pub fn external(error: PgError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The PostgreSQL error inside a DataFusion error, or the closest to it.
pub fn internal(error: DataFusionError) -> PgError {
    match error {
        DataFusionError::External(e) => match e.downcast::<PgError>() {
            Ok(e) => *e,
            Err(e) => match e.downcast::<DataFusionError>() {
                Ok(e) => internal(*e),
                Err(e) => PgError::internal(e.to_string()),
            },
        },
        DataFusionError::Context(_, e) | DataFusionError::Diagnostic(_, e) => internal(*e),
        DataFusionError::Shared(e) => match find_shared(&e) {
            Some(e) => e,
            None => PgError::internal(e.to_string()),
        },
        DataFusionError::ArrowError(e, _) => arrow_error(*e),
        DataFusionError::NotImplemented(what) => PgError::unsupported(what),
        DataFusionError::ResourcesExhausted(what) => {
            PgError::new(vicinity_types::SqlState::OUT_OF_MEMORY, "out of memory").detail(what)
        }
        DataFusionError::Execution(text) if text.contains("more than one row") => PgError::new(
            vicinity_types::SqlState::CARDINALITY_VIOLATION,
            "more than one row returned by a subquery used as an expression",
        ),
        other => PgError::internal(other.strip_backtrace()),
    }
}

fn find_shared(error: &DataFusionError) -> Option<PgError> {
    match error {
        DataFusionError::External(e) => e.downcast_ref::<PgError>().cloned(),
        DataFusionError::Context(_, e) => find_shared(e),
        DataFusionError::Shared(e) => find_shared(e),
        _ => None,
    }
}

fn arrow_error(error: arrow::error::ArrowError) -> PgError {
    use arrow::error::ArrowError;
    use vicinity_types::SqlState;
    match error {
        ArrowError::DivideByZero => PgError::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(_) => PgError::out_of_range("bigint"),
        ArrowError::ExternalError(e) => match e.downcast::<PgError>() {
            Ok(e) => *e,
            Err(e) => match e.downcast::<DataFusionError>() {
                Ok(e) => internal(*e),
                Err(e) => PgError::internal(e.to_string()),
            },
        },
        other => PgError::internal(other.to_string()),
    }
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

/// A constant.
pub fn literal(value: &Datum, ty: PgType) -> Result<Expr> {
    Ok(Expr::Literal(datum_to_scalar(ty.kind, value)?, None))
}

/// Parameter `$index` (from 1).
pub fn placeholder(index: usize, ty: PgType) -> Expr {
    let field = arrow::datatypes::Field::new(format!("${index}"), ty.arrow(), true);
    Expr::Placeholder(Placeholder { id: format!("${index}"), field: Some(Arc::new(field)) })
}

/// A value as DataFusion's constant.
pub fn datum_to_scalar(kind: Kind, value: &Datum) -> Result<ScalarValue> {
    Ok(match value {
        Datum::Null => ScalarValue::try_from(&data_type(kind)).map_err(internal)?,
        Datum::Bool(v) => ScalarValue::Boolean(Some(*v)),
        Datum::Int2(v) => ScalarValue::Int16(Some(*v)),
        Datum::Int4(v) | Datum::Date(v) => ScalarValue::Int32(Some(*v)),
        Datum::Int8(v)
        | Datum::Time(v)
        | Datum::Timestamp(v)
        | Datum::TimestampTz(v)
        | Datum::Enum(v) => ScalarValue::Int64(Some(*v)),
        Datum::Tid(v) => ScalarValue::Int64(Some(v.cast_signed())),
        Datum::Float4(v) => ScalarValue::Float32(Some(*v)),
        Datum::Float8(v) => ScalarValue::Float64(Some(*v)),
        Datum::Oid(v) => ScalarValue::UInt32(Some(*v)),
        Datum::Text(v) => ScalarValue::Utf8(Some(v.to_string())),
        Datum::Uuid(v) => ScalarValue::FixedSizeBinary(16, Some(v.to_vec())),
        other => {
            let mut raw = Vec::new();
            vicinity_types::raw::encode(other, &mut raw);
            ScalarValue::Binary(Some(raw))
        }
    })
}

/// A DataFusion constant as a value of a kind.
pub fn scalar_to_datum(kind: Kind, scalar: &ScalarValue) -> Result<Datum> {
    Ok(match (kind, scalar) {
        (_, s) if s.is_null() => Datum::Null,
        (Kind::Bool, ScalarValue::Boolean(Some(v))) => Datum::Bool(*v),
        (Kind::Int2, ScalarValue::Int16(Some(v))) => Datum::Int2(*v),
        (Kind::Int4, ScalarValue::Int32(Some(v))) => Datum::Int4(*v),
        (Kind::Date, ScalarValue::Int32(Some(v))) => Datum::Date(*v),
        (Kind::Int8, ScalarValue::Int64(Some(v))) => Datum::Int8(*v),
        (Kind::Time, ScalarValue::Int64(Some(v))) => Datum::Time(*v),
        (Kind::Timestamp, ScalarValue::Int64(Some(v))) => Datum::Timestamp(*v),
        (Kind::TimestampTz, ScalarValue::Int64(Some(v))) => Datum::TimestampTz(*v),
        (Kind::Enum, ScalarValue::Int64(Some(v))) => Datum::Enum(*v),
        (Kind::Tid, ScalarValue::Int64(Some(v))) => Datum::Tid(v.cast_unsigned()),
        (Kind::Float4, ScalarValue::Float32(Some(v))) => Datum::Float4(*v),
        (Kind::Float8, ScalarValue::Float64(Some(v))) => Datum::Float8(*v),
        (Kind::Oid, ScalarValue::UInt32(Some(v))) => Datum::Oid(*v),
        (
            Kind::Text,
            ScalarValue::Utf8(Some(v))
            | ScalarValue::LargeUtf8(Some(v))
            | ScalarValue::Utf8View(Some(v)),
        ) => Datum::text(v),
        (
            _,
            ScalarValue::Binary(Some(v))
            | ScalarValue::LargeBinary(Some(v))
            | ScalarValue::BinaryView(Some(v))
            | ScalarValue::FixedSizeBinary(_, Some(v)),
        ) => vicinity_types::raw::decode(kind, v)?,
        (_, other) => {
            let array = other.to_array().map_err(internal)?;
            value_at(kind, &array, 0)?
        }
    })
}

/// The kind a constant has when nobody says otherwise.
pub fn scalar_kind(scalar: &ScalarValue) -> Kind {
    match scalar {
        ScalarValue::Boolean(_) => Kind::Bool,
        ScalarValue::Int16(_) => Kind::Int2,
        ScalarValue::Int32(_) => Kind::Int4,
        ScalarValue::Int64(_) => Kind::Int8,
        ScalarValue::Float32(_) => Kind::Float4,
        ScalarValue::Float64(_) => Kind::Float8,
        ScalarValue::UInt32(_) => Kind::Oid,
        ScalarValue::Binary(_) => Kind::Bytea,
        ScalarValue::FixedSizeBinary(..) => Kind::Uuid,
        _ => Kind::Text,
    }
}
