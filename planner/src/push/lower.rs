//! Puts [`ScanNode`]s where tables are scanned, and takes sorts away that a scan makes needless.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{
    Expr, Extension, FetchType, Limit, LogicalPlan, Sort, SortExpr, TableScan,
};
use vicinity_types::{PgError, Result};

use super::access::{Choice, choose, conjuncts};
use super::spec::{AccessSpec, ScanNode, ScanSource, ScanSpec};
use crate::call::internal;
use crate::context::ExecContext;
use crate::df::append::appended;
use crate::df::source::{StorageSource, VirtualSource};

/// What is known from above about the rows wanted.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    /// A LIMIT stands above, with nothing between that needs all rows.
    limited: bool,
    /// It says so many, OFFSET included.
    rows: Option<usize>,
    /// The LIMIT is the direct parent.
    parent: bool,
    /// How many rows to look for at first, where a join above decides how many are needed.
    pace: Option<usize>,
}

/// Lowers a plan that DataFusion's optimiser is done with.
pub fn lower(plan: LogicalPlan, ctx: &ExecContext) -> Result<LogicalPlan> {
    rewrite(plan, ctx, Wanted::default())
}

fn rewrite(plan: LogicalPlan, ctx: &ExecContext, wanted: Wanted) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Limit(limit) => {
            let rows = constant_rows(&limit);
            let wanted = Wanted { limited: limit.fetch.is_some(), rows, parent: true, pace: None };
            let input = rewrite(Arc::unwrap_or_clone(limit.input), ctx, wanted)?;
            Ok(LogicalPlan::Limit(Limit { input: Arc::new(input), ..limit }))
        }
        LogicalPlan::Sort(sort) => rewrite_sort(sort, ctx, wanted),
        // a recursive query's work table is DataFusion's own
        LogicalPlan::TableScan(scan) if !ours(&scan) => Ok(LogicalPlan::TableScan(scan)),
        LogicalPlan::TableScan(scan) => {
            let wanted = match scan.fetch {
                Some(n) => Wanted { limited: true, rows: Some(n), ..Wanted::default() },
                None => wanted,
            };
            let (scan, _) = place(scan, &[], ctx, wanted)?;
            Ok(scan)
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
            let wanted = Wanted { parent: false, ..wanted };
            children(plan, ctx, wanted)
        }
        LogicalPlan::Filter(_) => {
            // How many rows must be read for so many to pass is not known.
            let wanted = Wanted { rows: None, parent: false, ..wanted };
            children(plan, ctx, wanted)
        }
        other => children(other, ctx, Wanted::default()),
    }
}

fn children(plan: LogicalPlan, ctx: &ExecContext, wanted: Wanted) -> Result<LogicalPlan> {
    let external = crate::call::external;
    let plan = plan
        .map_children(|child| rewrite(child, ctx, wanted).map(Transformed::yes).map_err(external))
        .map_err(internal)?
        .data;
    let plan = plan.map_subqueries(|child| {
        rewrite(child, ctx, Wanted::default()).map(Transformed::yes).map_err(external)
    });
    Ok(plan.map_err(internal)?.data)
}

fn constant_rows(limit: &Limit) -> Option<usize> {
    let skip = match limit.get_skip_type().ok()? {
        datafusion::logical_expr::SkipType::Literal(n) => n,
        datafusion::logical_expr::SkipType::UnsupportedExpr => return None,
    };
    match limit.get_fetch_type().ok()? {
        FetchType::Literal(Some(n)) => n.checked_add(skip),
        _ => None,
    }
}

fn rewrite_sort(sort: Sort, ctx: &ExecContext, wanted: Wanted) -> Result<LogicalPlan> {
    let limited = wanted.limited || sort.fetch.is_some();
    let rows = sort.fetch.or(wanted.rows);
    let below = Wanted { limited, rows, ..Wanted::default() };
    // Constant folding leaves the old name behind as an alias.
    let bare = |s: &SortExpr| SortExpr { expr: s.expr.clone().unalias_nested().data, ..s.clone() };
    let keys = sort.expr.iter().map(bare).collect();
    let chained = chain(&sort.input, keys, ctx, below)?;
    if let Some(input) = chained {
        if let Some(rows) = rows.filter(|_| is_joined(&input)) {
            // Rows come a pace at a time, each in order: those that are taken are put in order once more.
            let input = Arc::new(first_rows(rows, input));
            return Ok(LogicalPlan::Sort(Sort { expr: sort.expr, input, fetch: None }));
        }
        return Ok(match sort.fetch {
            Some(n) if !wanted.parent => first_rows(n, input),
            _ => input,
        });
    }
    // All rows are needed to sort them.
    children(LogicalPlan::Sort(sort), ctx, Wanted::default())
}

fn first_rows(n: usize, input: LogicalPlan) -> LogicalPlan {
    let n = i64::try_from(n).unwrap_or(i64::MAX);
    LogicalPlan::Limit(Limit {
        skip: None,
        fetch: Some(Box::new(datafusion::logical_expr::lit(n))),
        input: Arc::new(input),
    })
}

/// Whether a join stands between a plan and the table it takes its order from.
fn is_joined(plan: &LogicalPlan) -> bool {
    if appended(plan).is_some() {
        return false;
    }
    match plan.inputs().as_slice() {
        [only] => is_joined(only),
        inputs => !inputs.is_empty(),
    }
}

/// How a join's sides are lowered when one of them gives the order.
pub(super) struct Lowering<'a> {
    ctx: &'a ExecContext,
    /// Rows wanted above the join.
    rows: usize,
}

impl Lowering<'_> {
    /// A side with its rows coming by nearness, some at a time; `None` if no index gives that order.
    pub(super) fn by_nearness(
        &self,
        side: &LogicalPlan,
        sort: &[SortExpr],
    ) -> Result<Option<LogicalPlan>> {
        let pace = Some(self.rows);
        let wanted = Wanted { limited: true, rows: None, parent: false, pace };
        let plan = chain(side, sort.to_vec(), self.ctx, wanted)?;
        let near = |plan: &LogicalPlan| {
            super::joined::driving_scan(plan).is_some_and(|s| s.spec.access.is_nearness())
        };
        Ok(plan.filter(near))
    }

    /// The other side.
    pub(super) fn unordered(&self, side: &LogicalPlan) -> Result<LogicalPlan> {
        rewrite(side.clone(), self.ctx, Wanted::default())
    }
}

/// Follows a sort down to the table; the plan without the sort if the table's scan can give the order.
fn chain(
    plan: &LogicalPlan,
    sort: Vec<SortExpr>,
    ctx: &ExecContext,
    wanted: Wanted,
) -> Result<Option<LogicalPlan>> {
    let (input, sort) = match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() && ours(scan) => {
            let (plan, ordered) = place(scan.clone(), &sort, ctx, wanted)?;
            return Ok(ordered.then_some(plan));
        }
        LogicalPlan::Projection(p) => {
            let map = |column: &datafusion::common::Column| {
                let i = p.schema.index_of_column(column).ok()?;
                p.expr.get(i).map(|e| e.clone().unalias())
            };
            (&p.input, substitute_sort(sort, &map)?)
        }
        LogicalPlan::SubqueryAlias(a) => {
            let map = |column: &datafusion::common::Column| {
                let i = a.schema.index_of_column(column).ok()?;
                let (qualifier, field) = a.input.schema().qualified_field(i);
                Some(Expr::Column((qualifier, field).into()))
            };
            (&a.input, substitute_sort(sort, &map)?)
        }
        LogicalPlan::Filter(f) => (&f.input, sort),
        LogicalPlan::Join(join) => {
            let Some(rows) = wanted.rows.or(wanted.pace) else { return Ok(None) };
            return super::joined::ordered(join, &sort, &Lowering { ctx, rows });
        }
        _ => return Ok(None),
    };
    let wanted = match plan {
        LogicalPlan::Filter(_) => {
            let pace = wanted.rows.or(wanted.pace).filter(|_| is_joined(plan));
            Wanted { rows: None, pace, ..wanted }
        }
        _ => wanted,
    };
    let Some(input) = chain(input, sort, ctx, wanted)? else { return Ok(None) };
    let exprs = plan.expressions();
    plan.with_new_exprs(exprs, vec![input]).map(Some).map_err(internal)
}

type ColumnMap<'a> = dyn Fn(&datafusion::common::Column) -> Option<Expr> + 'a;

/// Replaces columns by what they stand for one level down.
pub(crate) fn substitute(expr: Expr, map: &ColumnMap<'_>) -> Result<Expr> {
    let done = expr.transform_up(|e| {
        Ok(match &e {
            Expr::Column(column) => match map(column) {
                Some(inner) => Transformed::yes(inner),
                None => {
                    return Err(crate::call::external(PgError::internal(format!(
                        "column {column} comes from nowhere"
                    ))));
                }
            },
            _ => Transformed::no(e),
        })
    });
    Ok(done.map_err(internal)?.data)
}

fn substitute_sort(sort: Vec<SortExpr>, map: &ColumnMap<'_>) -> Result<Vec<SortExpr>> {
    sort.into_iter().map(|s| Ok(SortExpr { expr: substitute(s.expr, map)?, ..s })).collect()
}

/// Whether a scan is of one of our sources.
fn ours(scan: &TableScan) -> bool {
    let any: &(dyn std::any::Any + Send + Sync) = scan.source.as_ref();
    any.is::<StorageSource>() || any.is::<VirtualSource>()
}

/// The scan node of a table, and whether it gives the order.
fn place(
    scan: TableScan,
    sort: &[SortExpr],
    ctx: &ExecContext,
    wanted: Wanted,
) -> Result<(LogicalPlan, bool)> {
    let any: Arc<dyn std::any::Any + Send + Sync> = scan.source.clone();
    if let Ok(storage) = any.downcast::<StorageSource>()
        && storage.is_family(&ctx.catalog)
    {
        return super::family::place(scan, storage, sort, ctx, wanted);
    }
    one(scan, sort, ctx, wanted, None)
}

/// The scan node of one table.
pub(super) fn one(
    scan: TableScan,
    sort: &[SortExpr],
    ctx: &ExecContext,
    wanted: Wanted,
    member: Option<usize>,
) -> Result<(LogicalPlan, bool)> {
    let columns = scan.source.schema().fields().len();
    let projection = scan.projection.clone().unwrap_or_else(|| (0..columns).collect());
    let any: Arc<dyn std::any::Any + Send + Sync> = scan.source.clone();
    let (source, choice) = match any.clone().downcast::<StorageSource>() {
        Ok(storage) => {
            let steering = ctx.session.steering();
            let (filters, limited) = (&scan.filters, wanted.limited);
            let choice = choose(&ctx.catalog, &storage, filters, sort, limited, steering);
            (ScanSource::Storage(storage), choice)
        }
        Err(any) => {
            let source = any
                .downcast::<VirtualSource>()
                .map_err(|_| PgError::internal("a table is neither stored nor computed"))?;
            let mut filter = Vec::new();
            scan.filters.iter().for_each(|f| conjuncts(f, &mut filter));
            let choice = Choice { access: AccessSpec::Seq, filter, ordered: false };
            (ScanSource::Virtual(source), choice)
        }
    };
    let in_order = sort.is_empty() || choice.ordered;
    let partly = choice.ordered && choice.access.is_nearness() && sort.len() > 1;
    let spec = ScanSpec {
        source,
        qualifier: Some(scan.table_name.clone()),
        projection,
        access: choice.access,
        filter: choice.filter,
        order: if partly { sort.to_vec() } else { Vec::new() },
        limit: wanted.rows.filter(|_| in_order),
        pace: wanted.pace.filter(|_| choice.ordered && sort.len() == 1),
        member,
    };
    let node =
        ScanNode { spec: Arc::new(spec), schema: scan.projected_schema.clone(), place: None };
    let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
    Ok((plan, choice.ordered))
}

/// The scan a plan is, if it is one.
pub fn scan_of(plan: &LogicalPlan) -> Option<&ScanNode> {
    let LogicalPlan::Extension(e) = plan else { return None };
    e.node.as_any().downcast_ref::<ScanNode>()
}
