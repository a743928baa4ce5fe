//! PostgreSQL's aggregates inside DataFusion's plans.
//!
//! DISTINCT and ORDER BY are the accumulator's own: the keys of the order come as further arguments
//! (memcomparable bytes, direction included), so that DataFusion sees a plain aggregate.

use std::any::Any;
use std::fmt::{self, Debug};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result as DfResult;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Signature, Volatility,
    lit,
};
use vicinity_functions::{MakeAggregate, Proc};
use vicinity_types::{Datum, Oid, PgError, Result, oid};

use super::aggregate_state::{GroupStates, RowState, Single};
use crate::call::{Callable, PgType, Typed, call_expr};
use crate::context::ExecContext;

/// One key of `ORDER BY` inside an aggregate, or of `WITHIN GROUP`.
#[derive(Clone, Debug)]
pub struct OrderKey {
    /// What to order by.
    pub value: Typed,
    /// `DESC`
    pub descending: bool,
    /// `NULLS FIRST`
    pub nulls_first: bool,
}

/// An aggregate call: `proc(args) [DISTINCT] [ORDER BY ..] [FILTER (WHERE ..)]`.
///
/// For an ordered-set aggregate the arguments are the direct ones followed by the WITHIN GROUP
/// values, and the order is WITHIN GROUP's.
pub fn aggregate_expr(
    proc: &'static Proc,
    ret: PgType,
    args: Vec<Typed>,
    distinct: bool,
    order: Vec<OrderKey>,
    filter: Option<Expr>,
) -> Result<Expr> {
    if let Some(plain) = plain(proc, &args, distinct, filter.as_ref()) {
        return Ok(plain);
    }
    let types: Vec<PgType> = args.iter().map(|a| a.ty).collect();
    let mut exprs: Vec<Expr> = args.into_iter().map(|a| a.expr).collect();
    let order_count = order.len();
    for key in order {
        let ty = key.value.ty;
        let order_key = SortKey::new(ty, key.descending, key.nulls_first);
        exprs.push(call_expr(Arc::new(order_key), vec![key.value.expr]));
    }
    let inner = PgAggregate::new(proc, types, ret, distinct, order_count, None)?;
    let udaf = Arc::new(AggregateUDF::new_from_impl(inner));
    Ok(Expr::AggregateFunction(AggregateFunction {
        func: udaf,
        params: AggregateFunctionParams {
            args: exprs,
            distinct: false,
            filter: filter.map(Box::new),
            order_by: vec![],
            null_treatment: None,
        },
    }))
}

/// How many rows there are, of those that pass a filter.
pub fn count_rows(filter: Option<Expr>) -> Expr {
    count(lit(1i64), filter)
}

/// How many values are not NULL.
fn count(value: Expr, filter: Option<Expr>) -> Expr {
    Expr::AggregateFunction(AggregateFunction {
        func: count_udaf(),
        params: AggregateFunctionParams {
            args: vec![value],
            distinct: false,
            filter: filter.map(Box::new),
            order_by: vec![],
            null_treatment: None,
        },
    })
}

/// The aggregate for which DataFusion's own means the same, and tells no kinds: `count`.
fn plain(proc: &Proc, args: &[Typed], distinct: bool, filter: Option<&Expr>) -> Option<Expr> {
    if proc.extension.is_some() || proc.namespace != vicinity_functions::PG_CATALOG {
        return None;
    }
    match (proc.name, args) {
        ("count", []) => Some(count_rows(filter.cloned())),
        ("count", [arg]) if !distinct => Some(count(arg.expr.clone(), filter.cloned())),
        _ => None,
    }
}

/// One of our aggregates as a DataFusion UDAF.
pub struct PgAggregate {
    proc: &'static Proc,
    args: Vec<PgType>,
    ret: PgType,
    distinct: bool,
    order: usize,
    identity: String,
    signature: Signature,
    ctx: Option<ExecContext>,
}

impl PgAggregate {
    fn new(
        proc: &'static Proc,
        args: Vec<PgType>,
        ret: PgType,
        distinct: bool,
        order: usize,
        ctx: Option<ExecContext>,
    ) -> Result<PgAggregate> {
        let oids: Vec<Oid> = args.iter().map(|a| a.oid).collect();
        if vicinity_functions::aggregate(proc, &oids).is_none() {
            return Err(PgError::unsupported(format!("aggregate function {}", proc.name)));
        }
        let mut types: Vec<DataType> = args.iter().map(|a| a.arrow()).collect();
        types.extend((0..order).map(|_| DataType::Binary));
        let signature = if types.is_empty() {
            Signature::nullary(Volatility::Immutable)
        } else {
            Signature::exact(types, Volatility::Immutable)
        };
        let identity = format!("agg {} {oids:?} {} {distinct} {order}", proc.oid, ret.oid);
        Ok(PgAggregate { proc, args, ret, distinct, order, identity, signature, ctx })
    }

    /// `pg_proc`'s row.
    pub fn proc(&self) -> &'static Proc {
        self.proc
    }

    /// Types of the arguments, without the order's keys.
    pub fn arg_types(&self) -> &[PgType] {
        &self.args
    }

    /// Type of the result.
    pub fn ret(&self) -> PgType {
        self.ret
    }

    /// Whether DISTINCT was asked for.
    pub fn distinct(&self) -> bool {
        self.distinct
    }

    /// How many arguments are keys of an order.
    pub fn order_keys(&self) -> usize {
        self.order
    }

    /// The same aggregate bound to a context.
    pub fn with_context(&self, ctx: &ExecContext) -> Result<PgAggregate> {
        PgAggregate::new(
            self.proc,
            self.args.clone(),
            self.ret,
            self.distinct,
            self.order,
            Some(ctx.clone()),
        )
    }

    /// What makes fresh states.
    pub(crate) fn maker(&self) -> Result<MakeAggregate> {
        let oids: Vec<Oid> = self.args.iter().map(|a| a.oid).collect();
        vicinity_functions::aggregate(self.proc, &oids)
            .ok_or_else(|| PgError::unsupported(format!("aggregate function {}", self.proc.name)))
    }

    fn rows(&self) -> DfResult<RowState> {
        let ctx = match &self.ctx {
            Some(ctx) => Some(ctx.clone()),
            None => crate::context::with_current(|c| c.cloned()),
        };
        let ctx = ctx.ok_or_else(|| {
            crate::call::external(PgError::internal("aggregate outside of a statement"))
        })?;
        let make = self.maker().map_err(crate::call::external)?;
        let kinds = self.args.iter().map(|a| a.kind).collect();
        Ok(RowState::new(ctx, make, kinds, self.ret.kind, self.distinct, self.order))
    }
}

impl Debug for PgAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity)
    }
}

impl PartialEq for PgAggregate {
    fn eq(&self, other: &PgAggregate) -> bool {
        self.identity == other.identity
    }
}

impl Eq for PgAggregate {}

impl Hash for PgAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl AggregateUDFImpl for PgAggregate {
    fn name(&self) -> &str {
        self.proc.name
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> DfResult<String> {
        let args: Vec<String> = params.args.iter().map(|a| a.schema_name().to_string()).collect();
        let filter = params.filter.as_ref().map(|f| f.schema_name().to_string());
        Ok(format!("{}({}) {filter:?}", self.identity, args.join(",")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(self.ret.arrow())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DfResult<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(args.name, DataType::Binary, true))])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        Ok(Box::new(Single::new(self.rows()?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _args: AccumulatorArgs,
    ) -> DfResult<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(GroupStates::new(self.rows()?)))
    }
}

/// An aggregate call of ours.
pub fn aggregate_of(expr: &Expr) -> Option<(&PgAggregate, &AggregateFunction)> {
    let Expr::AggregateFunction(f) = expr else { return None };
    let inner: &dyn Any = f.func.inner().as_ref();
    Some((inner.downcast_ref::<PgAggregate>()?, f))
}

/// A key whose bytes order as the value does, in the direction asked for.
#[derive(Debug)]
pub struct SortKey {
    arg: [PgType; 1],
    descending: bool,
    nulls_first: bool,
}

impl SortKey {
    /// The key of values of a type.
    pub fn new(arg: PgType, descending: bool, nulls_first: bool) -> SortKey {
        SortKey { arg: [arg], descending, nulls_first }
    }
}

impl Callable for SortKey {
    fn name(&self) -> &str {
        "sort_key"
    }

    fn ret(&self) -> PgType {
        PgType::new(oid::BYTEA)
    }

    fn args(&self) -> &[PgType] {
        &self.arg
    }

    fn strict(&self) -> bool {
        false
    }

    fn volatility(&self) -> Volatility {
        Volatility::Immutable
    }

    fn call(&self, _ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        let mut key = Vec::new();
        let value = args.first().unwrap_or(&Datum::Null);
        vicinity_types::encode_key(value, self.descending, self.nulls_first, &mut key);
        Ok(Datum::Bytea(Arc::from(key)))
    }

    fn identity(&self) -> String {
        format!("sort_key {:?} {} {}", self.arg, self.descending, self.nulls_first)
    }

    fn deparse(&self, args: &[String]) -> String {
        let direction = if self.descending { " DESC" } else { "" };
        format!("{}{direction}", args.concat())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
