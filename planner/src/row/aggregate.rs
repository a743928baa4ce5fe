//! Aggregates over all rows of a row plan: no groups, one row out.

use std::sync::Arc;

use datafusion::logical_expr::Expr;
use vicinity_functions::{Aggregate, MakeAggregate};
use vicinity_types::array::Array;
use vicinity_types::{Datum, Kind, Result, oid};

use super::cursor::RowCursor;
use super::map;
use super::node::{Frame, Node, RowRef};
use super::plan::{Leaf, RowPlan};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::df::aggregate::aggregate_of;
use crate::rows::RowSink;

/// One aggregate: which of the inner plan's columns are its arguments.
pub struct AggregateNode {
    make: Option<MakeAggregate>,
    first: usize,
    count: usize,
    filter: Option<usize>,
    name: String,
}

/// An aggregate's description before its input is compiled.
pub(crate) struct Described {
    pub(crate) args: Vec<(Expr, PgType)>,
    pub(crate) filter: Option<Expr>,
    pub(crate) make: Option<MakeAggregate>,
    pub(crate) name: String,
}

/// Reads an aggregate expression; `None` for what the row lane leaves to the batch lane.
pub(crate) fn describe(expr: &Expr) -> Option<Described> {
    let expr = match expr {
        Expr::Alias(a) => &*a.expr,
        other => other,
    };
    if let Some((aggregate, call)) = aggregate_of(expr) {
        if aggregate.distinct() || aggregate.order_keys() > 0 {
            return None;
        }
        let args = call.params.args.iter().cloned().zip(aggregate.arg_types().iter().copied());
        return Some(Described {
            args: args.collect(),
            filter: call.params.filter.as_deref().cloned(),
            make: Some(aggregate.maker().ok()?),
            name: aggregate.proc().name.to_owned(),
        });
    }
    let Expr::AggregateFunction(call) = expr else { return None };
    if call.params.distinct || !call.params.order_by.is_empty() || call.func.name() != "count" {
        return None;
    }
    // count: rows, or values that are not NULL.
    let args: Vec<(Expr, PgType)> = call
        .params
        .args
        .iter()
        .filter(|a| !matches!(a, Expr::Literal(v, _) if !v.is_null()))
        .map(|a| (a.clone(), PgType::new(oid::BOOL)))
        .map(|(a, ty)| (Expr::IsNotNull(Box::new(a)), ty))
        .collect();
    Some(Described {
        args,
        filter: call.params.filter.as_deref().cloned(),
        make: None,
        name: "count".to_owned(),
    })
}

/// The aggregates over an inner plan whose columns are all arguments and filters in turn.
pub(crate) fn assemble(described: Vec<Described>) -> Vec<AggregateNode> {
    let mut at = 0;
    let mut nodes = Vec::with_capacity(described.len());
    for d in described {
        let (first, count) = (at, d.args.len());
        at += count;
        let filter = d.filter.is_some().then_some(at);
        at += usize::from(filter.is_some());
        nodes.push(AggregateNode { make: d.make, first, count, filter, name: d.name });
    }
    nodes
}

enum State {
    Count(i64),
    Other(Box<dyn Aggregate>),
}

struct Sink<'a> {
    nodes: &'a [AggregateNode],
    states: Vec<State>,
    ctx: &'a ExecContext,
    row: Vec<Datum>,
}

impl RowSink for Sink<'_> {
    fn begin(&mut self, _columns: usize) {
        self.row.clear();
    }

    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        let value = match value {
            Some(raw) => vicinity_types::raw::decode(ty.kind, raw)?,
            None => Datum::Null,
        };
        self.row.push(value);
        Ok(())
    }

    fn datum(&mut self, _ty: PgType, value: Datum) -> Result<()> {
        self.row.push(value);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        for (node, state) in self.nodes.iter().zip(&mut self.states) {
            if let Some(filter) = node.filter
                && !matches!(self.row.get(filter), Some(Datum::Bool(true)))
            {
                continue;
            }
            let args = self.row.get(node.first..node.first + node.count).unwrap_or(&[]);
            match state {
                State::Count(n) => {
                    *n += i64::from(args.iter().all(|a| matches!(a, Datum::Bool(true))));
                }
                State::Other(state) => state.step(self.ctx, args)?,
            }
        }
        Ok(())
    }
}

/// Runs the inner plan to its end; one value for each aggregate.
pub(crate) fn run(
    inner: &Arc<RowPlan>,
    nodes: &[AggregateNode],
    ctx: &ExecContext,
    params: &[Datum],
) -> Result<Vec<Datum>> {
    // EXPLAIN ANALYZE wants the rows of every node counted: the short cut has none to count.
    if ctx.measure.is_none()
        && let Some(value) = floats(inner, nodes, ctx, params)?
    {
        return Ok(vec![value]);
    }
    let states = nodes
        .iter()
        .map(|n| match &n.make {
            Some(make) => State::Other(make()),
            None => State::Count(0),
        })
        .collect();
    let mut sink = Sink { nodes, states, ctx, row: Vec::new() };
    let mut cursor = RowCursor::open(inner.clone(), ctx.clone(), params.to_vec())?;
    while !cursor.fill(&mut sink, 4096)?.1 {
        ctx.check()?;
    }
    sink.states
        .into_iter()
        .map(|state| match state {
            State::Count(n) => Ok(Datum::Int8(n)),
            State::Other(mut state) => state.finish(ctx),
        })
        .collect()
}

/// Values mapped at a time.
const BLOCK: usize = 1024;

/// `array_agg(expr)` of a float4 expression over `unnest` of a vector or a series of integers: a map
/// over an array, with no value boxed.
fn floats(
    inner: &Arc<RowPlan>,
    nodes: &[AggregateNode],
    ctx: &ExecContext,
    params: &[Datum],
) -> Result<Option<Datum>> {
    let ([node], [(Node::Float4(expr), ty)]) = (nodes, inner.outputs.as_slice()) else {
        return Ok(None);
    };
    let plain = node.name == "array_agg" && node.filter.is_none() && ty.kind == Kind::Float4;
    let Leaf::Set { function, args } = &inner.leaf else { return Ok(None) };
    let whole = inner.filter.is_none() && !inner.is_limited() && inner.sort.is_empty();
    if !plain || !whole || !map::is_mappable(expr) {
        return Ok(None);
    }
    let once = inner.cells();
    let frame = Frame { ctx, params, once: &once, row: RowRef::None };
    let mut out: Vec<f32> = Vec::new();
    // A NULL among the results makes it an array the slow way builds.
    let mut push = |values: &[f64]| -> Result<bool> {
        ctx.check()?;
        let Some(results) = map::map(expr, values, &frame)? else { return Ok(false) };
        out.extend(results.iter().map(|v| *v as f32));
        Ok(true)
    };
    let mut block: Vec<f64> = Vec::with_capacity(BLOCK);
    match (function.source(), args.as_slice()) {
        (Some("array_unnest"), [arg]) => {
            let Datum::Array(array) = arg.eval(&frame)? else { return Ok(None) };
            let Some(values) = array.as_f32s() else { return Ok(None) };
            for part in values.chunks(BLOCK) {
                block.clear();
                block.extend(part.iter().map(|v| f64::from(*v)));
                if !push(&block)? {
                    return Ok(None);
                }
            }
        }
        (Some("generate_series_int4"), [from, to]) => {
            let (Datum::Int4(from), Datum::Int4(to)) = (from.eval(&frame)?, to.eval(&frame)?)
            else {
                return Ok(None);
            };
            let mut series = (from..=to).map(f64::from);
            loop {
                block.clear();
                block.extend(series.by_ref().take(BLOCK));
                if block.is_empty() {
                    break;
                }
                if !push(&block)? {
                    return Ok(None);
                }
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(if out.is_empty() {
        Datum::Null
    } else {
        Datum::Array(Arc::new(Array::from_f32s(out)))
    }))
}
