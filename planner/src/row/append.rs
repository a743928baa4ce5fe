//! Rows of several plans: the tables of a family, one behind the other or merged in the order each of them has.
//!
//! One behind the other they give their rows straight to whoever asked: each is compiled with the outputs and the
//! filters of the whole. Where rows are merged or sorted, they come as values.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr};
use vicinity_types::{Datum, Kind, Result};

use super::build::compile_at;
use super::compile::{Compiler, Scope};
use super::cursor::RowCursor;
use super::merge::Merge;
use super::node::{Frame, Node};
use super::plan::{Leaf, RowPlan};
use super::sort::SortNode;
use super::walk::Walk;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::measure::Place;
use crate::push::lower::scan_of;

/// Several plans.
pub struct Append {
    pub(super) parts: Vec<Arc<RowPlan>>,
    /// What they are in order of, and are merged by.
    pub(super) order: Vec<SortNode>,
    /// Their rows are the whole's, as they are.
    pub(super) direct: bool,
}

/// Compiles scans behind each other; `at` is the place of each.
#[allow(clippy::too_many_arguments)]
pub(super) fn compile(
    (inputs, order): (&[Arc<LogicalPlan>], &[SortExpr]),
    walk: &Walk,
    types: &[PgType],
    params: &[Kind],
    ctx: &ExecContext,
    (place, at): (Place, &dyn Fn(u32) -> Place),
) -> Result<Option<RowPlan>> {
    let first = inputs.first().map(|p| scan_of(p));
    if first.is_some_and(|scan| scan.is_none()) || walk.locks.is_some() {
        return Ok(None);
    }
    let direct = walk.sort.is_empty() && order.is_empty();
    let mut parts = Vec::with_capacity(inputs.len());
    for (n, input) in (0..).zip(inputs) {
        let Some(scan) = scan_of(input) else { return Ok(None) };
        let own = scan.spec.types();
        let (part, types) = if direct {
            (Walk::filtered(walk.outputs.clone(), walk.filters.clone()), types)
        } else {
            let columns = scan.schema.iter().map(|(q, f)| Expr::Column((q, f).into()));
            (Walk::new(columns.collect()), own.as_slice())
        };
        let part = compile_at(input, &part, types, params, ctx, at(n))?;
        let Some(part) = part else { return Ok(None) };
        parts.push(Arc::new(part.with_rows(scan.spec.limit, scan.spec.pace)));
    }
    let mut compiler = Compiler::new(Scope::empty(), params.to_vec());
    let limit = walk.limit.as_ref().map(|e| compiler.compile(e, Kind::Int8)).transpose()?;
    let offset = walk.offset.as_ref().map(|e| compiler.compile(e, Kind::Int8)).transpose()?;
    if let Some(first) = first.flatten() {
        let own = first.spec.types();
        let columns = first.schema.iter().zip(&own);
        let columns = columns.map(|((q, f), ty)| (q, f.name().as_str(), ty.kind));
        compiler.set_scope(Scope::values(columns));
    }
    let order = compiler.sort_keys(order)?;
    let sort = compiler.sort_keys(&walk.sort)?;
    let (filter, outputs) = if direct {
        let values = types.iter().enumerate().map(|(i, ty)| (Node::Column(i), *ty));
        (None, values.collect())
    } else {
        let outputs = walk.outputs.iter().zip(types);
        let outputs = outputs.map(|(e, ty)| Ok((compiler.compile(e, ty.kind)?, *ty)));
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        (compiler.conditions(&walk.conditions())?, outputs)
    };
    let cells = compiler.once_cells();
    let leaf = Leaf::Append(Append { parts, order, direct });
    Ok(Some(RowPlan { filter, sort, limit, offset, ..RowPlan::over(leaf, outputs, cells, place) }))
}

/// One behind the other, under way.
#[derive(Default)]
pub(super) struct Parts {
    next: usize,
    running: Option<Box<RowCursor>>,
}

impl Parts {
    /// The plan whose turn it is, begun; `None` if all are done.
    pub(super) fn running(
        &mut self,
        append: &Append,
        ctx: &ExecContext,
        params: &[Datum],
    ) -> Result<Option<&mut RowCursor>> {
        while self.running.is_none() {
            let Some(part) = append.parts.get(self.next) else { return Ok(None) };
            self.next += 1;
            let cursor = RowCursor::open(part.clone(), ctx.clone(), params.to_vec())?;
            self.running = Some(Box::new(cursor));
        }
        Ok(self.running.as_deref_mut())
    }

    /// That plan has no more rows.
    pub(super) fn ended(&mut self) {
        self.running = None;
    }
}

/// The merged rows of an append, begun; no more than `most` will be taken.
pub(super) fn merged(append: &Append, frame: &Frame<'_>, most: usize) -> Result<Merge> {
    let mut cursors = Vec::new();
    for part in &append.parts {
        let (ctx, params) = (frame.ctx.clone(), frame.params.to_vec());
        cursors.push(RowCursor::open_for(part.clone(), ctx, params, most)?);
    }
    Ok(Merge::new(cursors))
}
