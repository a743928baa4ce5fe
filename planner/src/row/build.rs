//! From a lowered logical plan to a row plan, where its shape allows.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, Extension, LogicalPlan, SortExpr};
use vicinity_types::{Datum, Kind, Result};

use super::aggregate::{assemble, describe};
use super::append;
use super::compile::{Compiler, Scope};
use super::family;
use super::lock::ScanLocks;
use super::node::Node;
use super::plan::{Leaf, RowPlan};
use super::scan::{CompiledScan, Origins};
use super::walk::{Walk, is_volatile};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::df::append::appended;
use crate::df::project_set::ProjectSet;
use crate::measure::Place;
use crate::push::access::choose;
use crate::push::family_scan::family_of;
use crate::push::lower::scan_of;
use crate::push::{AccessSpec, ScanNode, ScanSource, ScanSpec};

/// Compiles a plan whose columns `outputs` are computed from.
pub(super) fn compile_over(
    plan: &LogicalPlan,
    outputs: Vec<Expr>,
    types: &[PgType],
    params: &[Kind],
    ctx: &ExecContext,
    place: Place,
) -> Result<Option<RowPlan>> {
    let mut walk = Walk::new(outputs);
    let at = walk.leaf(plan)?;
    compile_at(at, &walk, types, params, ctx, place)
}

/// The same of a leaf, with what was met on the way down to it.
pub(super) fn compile_at(
    at: &LogicalPlan,
    walk: &Walk,
    types: &[PgType],
    params: &[Kind],
    ctx: &ExecContext,
    place: Place,
) -> Result<Option<RowPlan>> {
    if !walk.filters.iter().all(crate::push::can_run_in_scan) {
        return Ok(None);
    }
    if let Some(inputs) = appended(at) {
        let first = place.below(walk.nodes + 1);
        let at = |n| first.below(n);
        return append::compile(inputs, walk, types, params, ctx, (place, &at));
    }
    if let Some(scan) = family_of(at) {
        return family::compile(scan, walk, types, params, ctx, place);
    }
    let mut compiler = Compiler::new(Scope::empty(), params.to_vec());
    let limit = walk.limit.as_ref().map(|e| compiler.compile(e, Kind::Int8)).transpose()?;
    let offset = walk.offset.as_ref().map(|e| compiler.compile(e, Kind::Int8)).transpose()?;
    let below = place.below(walk.nodes + 1);
    let Some(leaf) = leaf(at, params, ctx, &mut compiler, below)? else { return Ok(None) };
    let locks = match (walk.locks, scan_of(at)) {
        (Some(rows), Some(node)) => {
            let recheck = compiler.conditions(&node.spec.access.conditions())?;
            Some(ScanLocks { rows, recheck })
        }
        _ => None,
    };
    let table = matches!(&leaf, Leaf::Scan(s) if matches!(s.origins, Origins::Table(_)));
    if walk.locks.is_some() && !table {
        return Ok(None);
    }
    let filter = compiler.conditions(&walk.conditions())?;
    let sort = compiler.sort_keys(&walk.sort)?;
    let mut nodes = Vec::with_capacity(types.len());
    for (expr, ty) in walk.outputs.iter().zip(types) {
        nodes.push((compiler.compile(expr, ty.kind)?, *ty));
    }
    let cells = compiler.once_cells();
    let plan =
        RowPlan { filter, sort, limit, offset, locks, ..RowPlan::over(leaf, nodes, cells, place) };
    // rows that a LIMIT turns away must not be locked: those of a sort are
    let sorts = plan.order().is_some();
    let turns_away = sorts && plan.is_limited() && plan.locks.is_some();
    // a sort keeps outputs, and those that depend on when they are asked for belong behind it
    let early = sorts && walk.outputs.iter().any(is_volatile);
    Ok((!turns_away && !early).then_some(plan))
}

/// The kind of values a column of no rows would have.
fn physical_kind(field: &arrow::datatypes::Field) -> Kind {
    use arrow::datatypes::DataType;
    match field.data_type() {
        DataType::Boolean => Kind::Bool,
        DataType::Int16 => Kind::Int2,
        DataType::Int32 => Kind::Int4,
        DataType::Int64 => Kind::Int8,
        DataType::Float32 => Kind::Float4,
        DataType::Float64 => Kind::Float8,
        DataType::UInt32 => Kind::Oid,
        DataType::Utf8 => Kind::Text,
        DataType::FixedSizeBinary(_) => Kind::Uuid,
        _ => Kind::Bytea,
    }
}

fn leaf(
    plan: &LogicalPlan,
    params: &[Kind],
    ctx: &ExecContext,
    compiler: &mut Compiler,
    below: Place,
) -> Result<Option<Leaf>> {
    if let Some(node) = scan_of(plan) {
        return CompiledScan::new(&node.spec, ctx, compiler).map(|s| Some(Leaf::Scan(s)));
    }
    match plan {
        LogicalPlan::EmptyRelation(e) => {
            // What was found to be empty still has the columns expressions above it name.
            let columns = e.schema.iter().map(|(q, f)| (q, f.name().as_str(), physical_kind(f)));
            compiler.set_scope(Scope::values(columns));
            compiler.set_single();
            Ok(Some(Leaf::One(e.produce_one_row)))
        }
        LogicalPlan::Extension(e) => {
            let Some(set) = e.node.as_any().downcast_ref::<ProjectSet>() else { return Ok(None) };
            set_leaf(set, compiler)
        }
        LogicalPlan::Aggregate(a) if a.group_expr.is_empty() => {
            aggregate_leaf(a, params, ctx, compiler, below)
        }
        _ => Ok(None),
    }
}

fn aggregate_leaf(
    a: &datafusion::logical_expr::Aggregate,
    params: &[Kind],
    ctx: &ExecContext,
    compiler: &mut Compiler,
    below: Place,
) -> Result<Option<Leaf>> {
    let described: Option<Vec<_>> = a.aggr_expr.iter().map(describe).collect();
    let Some(described) = described else { return Ok(None) };
    let mut exprs = Vec::new();
    let mut types = Vec::new();
    let mut kinds = Vec::new();
    for (d, e) in described.iter().zip(&a.aggr_expr) {
        for (arg, ty) in &d.args {
            exprs.push(arg.clone());
            types.push(*ty);
        }
        if let Some(filter) = &d.filter {
            exprs.push(filter.clone());
            types.push(PgType::new(vicinity_types::oid::BOOL));
        }
        kinds.push(aggregate_kind(e));
    }
    let shortcut = match (described.as_slice(), exprs.as_slice()) {
        ([d], [arg]) if d.filter.is_none() => extreme(&d.name, arg, &a.input, ctx),
        _ => None,
    };
    let input = shortcut.as_ref().unwrap_or(&a.input);
    let Some(mut inner) = compile_over(input, exprs, &types, params, ctx, below)? else {
        return Ok(None);
    };
    if shortcut.is_some() {
        // Rows come in the order of the value: the first is the answer.
        inner.limit = Some(Node::Const(Datum::Int8(1)));
    }
    let columns = a.schema.iter().zip(kinds).map(|((q, f), k)| (q, f.name().as_str(), k));
    compiler.set_scope(Scope::values(columns));
    compiler.set_single();
    Ok(Some(Leaf::Aggregate {
        inner: Arc::new(inner),
        extreme: shortcut,
        nodes: assemble(described),
    }))
}

/// `min` or `max` of a column that a btree has in order: the plan's scan in that order, without NULLs.
fn extreme(name: &str, arg: &Expr, input: &LogicalPlan, ctx: &ExecContext) -> Option<LogicalPlan> {
    let descending = match name {
        "min" => false,
        "max" => true,
        _ => return None,
    };
    let node = scan_of(input)?;
    let ScanSource::Storage(source) = &node.spec.source else { return None };
    if !matches!(node.spec.access, AccessSpec::Seq) || !matches!(arg, Expr::Column(_)) {
        return None;
    }
    let mut filters = node.spec.filter.clone();
    filters.push(Expr::IsNotNull(Box::new(arg.clone())));
    let sort = SortExpr { expr: arg.clone(), asc: !descending, nulls_first: descending };
    let steering = ctx.session.steering();
    let choice = choose(&ctx.catalog, source, &filters, &[sort], true, steering);
    if !choice.ordered {
        return None;
    }
    let spec = ScanSpec { access: choice.access, filter: choice.filter, ..(*node.spec).clone() };
    let node = ScanNode { spec: Arc::new(spec), schema: node.schema.clone(), place: None };
    Some(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

fn aggregate_kind(expr: &Expr) -> Kind {
    let inner = match expr {
        Expr::Alias(a) => &*a.expr,
        other => other,
    };
    crate::df::aggregate::aggregate_of(inner).map_or(Kind::Int8, |(a, _)| a.ret().kind)
}

fn set_leaf(set: &ProjectSet, compiler: &mut Compiler) -> Result<Option<Leaf>> {
    let one = matches!(&*set.input, LogicalPlan::EmptyRelation(e) if e.produce_one_row);
    let [call] = set.calls.as_slice() else { return Ok(None) };
    if !one || set.outer || set.ordinality.is_some() || !set.input.schema().fields().is_empty() {
        return Ok(None);
    }
    compiler.set_scope(Scope::empty());
    let args = call
        .args
        .iter()
        .zip(call.function.args())
        .map(|(a, ty)| compiler.compile(a, ty.kind))
        .collect::<Result<Vec<_>>>()?;
    let schema = datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(set);
    let columns = schema
        .iter()
        .zip(call.function.columns())
        .map(|((q, f), ty)| (q, f.name().as_str(), ty.kind));
    compiler.set_scope(Scope::values(columns));
    Ok(Some(Leaf::Set { function: call.function.clone(), args }))
}
