//! Row plans: from a lowered logical plan to something that runs, and its running.

use std::cell::OnceCell;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, SortExpr, Volatility};
use vicinity_storage::pin;
use vicinity_types::{Datum, Kind, PgError, Result, SqlState};

use super::aggregate::{self, AggregateNode, assemble, describe};
use super::compile::{Compiler, Scope};
use super::lock::{self, RowLocks};
use super::node::{Frame, Node, RowRef};
use super::scan::{CompiledScan, Lookup, OpenScan, Origins};
use super::sort::{SortNode, Sorter};
use crate::call::{PgType, callable_of};
use crate::context::ExecContext;
use crate::df::project_set::ProjectSet;
use crate::df::set::SetCallable;
use crate::push::lower::{scan_of, substitute};
use crate::push::{AccessSpec, ScanNode, ScanSource, ScanSpec};
use crate::rows::{OutputColumn, RowSink};

/// Where a row plan's rows come from.
#[allow(clippy::large_enum_variant)]
pub enum Leaf {
    /// One row without columns, or none.
    One(bool),
    /// A table.
    Scan(CompiledScan),
    /// A set-returning function.
    Set {
        /// The function.
        function: Arc<dyn SetCallable>,
        /// Its arguments.
        args: Vec<Node>,
    },
    /// Aggregates over another plan.
    Aggregate {
        /// The plan that gives the arguments.
        inner: Arc<RowPlan>,
        /// The aggregates.
        nodes: Vec<AggregateNode>,
    },
}

/// A statement compiled for the row lane.
pub struct RowPlan {
    pub(crate) leaf: Leaf,
    pub(crate) filter: Option<Node>,
    pub(crate) sort: Vec<SortNode>,
    pub(crate) outputs: Vec<(Node, PgType)>,
    limit: Option<Node>,
    offset: Option<Node>,
    cells: usize,
    /// Rows wanted by whoever runs it, where they know.
    hint: usize,
    /// `FOR UPDATE` and the like.
    locks: Option<RowLocks>,
}

/// What was met on the way down to the leaf.
struct Walk {
    outputs: Vec<Expr>,
    sort: Vec<SortExpr>,
    filters: Vec<Expr>,
    limit: Option<Expr>,
    offset: Option<Expr>,
    closed: bool,
}

fn is_volatile(expr: &Expr) -> bool {
    expr.exists(|e| Ok(callable_of(e).is_some_and(|(c, _)| c.volatility() == Volatility::Volatile)))
        .unwrap_or(true)
}

impl Walk {
    fn all(&self) -> impl Iterator<Item = &Expr> {
        self.outputs.iter().chain(self.sort.iter().map(|s| &s.expr)).chain(&self.filters)
    }

    fn substitute(
        &mut self,
        map: &dyn Fn(&datafusion::common::Column) -> Option<Expr>,
    ) -> Result<()> {
        for e in self.outputs.iter_mut().chain(&mut self.filters) {
            *e = substitute(std::mem::take(e), map)?;
        }
        for s in &mut self.sort {
            s.expr = substitute(std::mem::take(&mut s.expr), map)?;
        }
        Ok(())
    }

    /// Takes one node off the plan; `None` if it is a leaf or not for the row lane.
    fn peel<'p>(&mut self, plan: &'p LogicalPlan) -> Result<Option<&'p LogicalPlan>> {
        Ok(match plan {
            LogicalPlan::Limit(l)
                if !self.closed && self.limit.is_none() && self.offset.is_none() =>
            {
                self.limit = l.fetch.as_deref().cloned();
                self.offset = l.skip.as_deref().cloned();
                Some(&l.input)
            }
            LogicalPlan::Sort(s) if !self.closed && self.sort.is_empty() => {
                if let (Some(n), None) = (s.fetch, &self.limit) {
                    let n = i64::try_from(n).unwrap_or(i64::MAX);
                    self.limit = Some(datafusion::logical_expr::lit(n));
                }
                self.sort = s.expr.clone();
                self.closed = true;
                Some(&s.input)
            }
            LogicalPlan::Filter(f) => {
                self.filters.push(f.predicate.clone());
                self.closed = true;
                Some(&f.input)
            }
            LogicalPlan::Projection(p) => {
                for (i, _) in p.expr.iter().enumerate().filter(|(_, e)| is_volatile(e)) {
                    let (qualifier, field) = p.schema.qualified_field(i);
                    let column: datafusion::common::Column = (qualifier, field).into();
                    let uses = self.all().map(|o| uses(o, &column)).sum::<usize>();
                    // Evaluated below a sort or filter, or more than once, it would give others.
                    if uses > 1 || (self.closed && uses > 0) {
                        return Ok(None);
                    }
                }
                self.substitute(&|column| {
                    let i = p.schema.index_of_column(column).ok()?;
                    p.expr.get(i).map(|e| e.clone().unalias())
                })?;
                Some(&p.input)
            }
            LogicalPlan::SubqueryAlias(a) => {
                self.substitute(&|column| {
                    let i = a.schema.index_of_column(column).ok()?;
                    let (qualifier, field) = a.input.schema().qualified_field(i);
                    Some(Expr::Column((qualifier, field).into()))
                })?;
                Some(&a.input)
            }
            _ => None,
        })
    }
}

fn uses(expr: &Expr, column: &datafusion::common::Column) -> usize {
    let mut count = 0;
    let _ = expr.apply(|e| {
        if let Expr::Column(c) = e
            && c.name == column.name
        {
            count += 1;
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    });
    count
}

impl RowPlan {
    /// Compiles a lowered plan; `None` if its shape is the batch lane's.
    pub fn compile(
        plan: &LogicalPlan,
        columns: &[OutputColumn],
        params: &[Kind],
        ctx: &ExecContext,
    ) -> Result<Option<RowPlan>> {
        let types: Vec<PgType> = columns.iter().map(|c| c.ty).collect();
        let outputs: Vec<Expr> =
            plan.schema().iter().map(|(q, f)| Expr::Column((q, f).into())).collect();
        if outputs.len() != types.len() {
            return Ok(None);
        }
        match compile_over(plan, outputs, &types, params, ctx) {
            Err(e) if e.code() == SqlState::FEATURE_NOT_SUPPORTED => Ok(None),
            other => other,
        }
    }

    /// Whether it may run on a connection's own task (invariant *no-starvation*).
    pub fn is_short(&self) -> bool {
        if self.locks.is_some() {
            return false;
        }
        match &self.leaf {
            Leaf::One(_) => !self.calls_functions(),
            Leaf::Scan(scan) => {
                let few = scan.is_single() || self.limit.is_some();
                few && scan.is_short() && self.sort.is_empty() && !self.calls_functions()
            }
            Leaf::Set { .. } | Leaf::Aggregate { .. } => false,
        }
    }

    /// Calls to users' functions may take any time.
    fn calls_functions(&self) -> bool {
        fn calls(node: &Node) -> bool {
            match node {
                Node::Call(c) => c.callable.source().is_none() || c.args.iter().any(calls),
                Node::Once(_, inner) => calls(inner),
                _ => false,
            }
        }
        self.outputs.iter().any(|(n, _)| calls(n)) || self.filter.as_ref().is_some_and(calls)
    }

    /// The same plan, locking the rows it gives; `None` where it has no table or must sort first.
    pub fn locking(self, locks: RowLocks) -> Option<RowPlan> {
        let table = matches!(&self.leaf, Leaf::Scan(s) if matches!(s.origins, Origins::Table(_)));
        let sorts = self.order().is_some() && self.is_limited();
        (table && !sorts).then_some(RowPlan { locks: Some(locks), ..self })
    }

    /// The keys its rows are sorted by, and whether they come in order of the first key already.
    fn order(&self) -> Option<(&[SortNode], bool)> {
        match &self.leaf {
            _ if !self.sort.is_empty() => Some((&self.sort, false)),
            Leaf::Scan(scan) if !scan.order.is_empty() => Some((&scan.order, true)),
            _ => None,
        }
    }

    /// How its columns are held.
    pub fn kinds(&self) -> Vec<Kind> {
        self.outputs.iter().map(|(_, ty)| ty.kind).collect()
    }

    /// Tells it how many rows will be asked for at most: a nearness scan looks for so many at once.
    #[must_use]
    pub fn with_rows(self, rows: Option<usize>) -> RowPlan {
        RowPlan { hint: rows.unwrap_or(usize::MAX), ..self }
    }

    /// Whether there is a LIMIT or an OFFSET.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some() || self.offset.is_some()
    }

    pub(crate) fn cells(&self) -> Vec<OnceCell<Datum>> {
        if self.cells == 0 { Vec::new() } else { vec![OnceCell::new(); self.cells] }
    }

    /// Whether it gives exactly one row, of expressions over nothing.
    pub fn is_scalar(&self) -> bool {
        matches!(self.leaf, Leaf::One(true)) && self.filter.is_none() && !self.is_limited()
    }

    /// Runs it for its first row's first value; NULL if there is no row. What a scalar SQL function's
    /// body comes down to.
    pub fn scalar(self: &Arc<Self>, ctx: &ExecContext, params: &[Datum]) -> Result<Datum> {
        if let Leaf::One(true) = self.leaf
            && self.filter.is_none()
            && !self.is_limited()
            && let Some((node, _)) = self.outputs.first()
        {
            let once = self.cells();
            return node.eval(&Frame { ctx, params, once: &once, row: RowRef::None });
        }
        if let Leaf::Aggregate { inner, nodes } = &self.leaf
            && self.filter.is_none()
            && !self.is_limited()
            && let Some((node, _)) = self.outputs.first()
        {
            let values = aggregate::run(inner, nodes, ctx, params)?;
            let once = self.cells();
            return node.eval(&Frame { ctx, params, once: &once, row: RowRef::Values(&values) });
        }
        let mut cursor = RowCursor::open(self.clone(), ctx.clone(), params.to_vec())?;
        let mut rows = crate::rows::Collect::default();
        cursor.fill(&mut rows, 1)?;
        Ok(rows.rows.into_iter().next().and_then(|r| r.into_iter().next()).unwrap_or_default())
    }
}

fn compile_over(
    plan: &LogicalPlan,
    outputs: Vec<Expr>,
    types: &[PgType],
    params: &[Kind],
    ctx: &ExecContext,
) -> Result<Option<RowPlan>> {
    let mut walk = Walk {
        outputs,
        sort: Vec::new(),
        filters: Vec::new(),
        limit: None,
        offset: None,
        closed: false,
    };
    let mut at = plan;
    while let Some(next) = walk.peel(at)? {
        at = next;
    }
    let mut compiler = Compiler::new(Scope::empty(), params.to_vec());
    let limit = walk.limit.as_ref().map(|e| compiler.compile(e, Kind::Int8)).transpose()?;
    let offset = walk.offset.as_ref().map(|e| compiler.compile(e, Kind::Int8)).transpose()?;
    let Some(leaf) = leaf(at, params, ctx, &mut compiler)? else { return Ok(None) };
    let mut parts = Vec::new();
    for filter in &walk.filters {
        if !crate::push::can_run_in_scan(filter) {
            return Ok(None);
        }
        crate::push::access::conjuncts(filter, &mut parts);
    }
    let filter = compiler.conditions(&parts)?;
    let sort = compiler.sort_keys(&walk.sort)?;
    let mut nodes = Vec::with_capacity(types.len());
    for (expr, ty) in walk.outputs.iter().zip(types) {
        nodes.push((compiler.compile(expr, ty.kind)?, *ty));
    }
    let cells = compiler.once_cells();
    Ok(Some(RowPlan {
        leaf,
        filter,
        sort,
        outputs: nodes,
        limit,
        offset,
        cells,
        hint: usize::MAX,
        locks: None,
    }))
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
) -> Result<Option<Leaf>> {
    if let Some(node) = scan_of(plan) {
        return CompiledScan::new(&node.spec, ctx, compiler).map(|s| Some(Leaf::Scan(s)));
    }
    match plan {
        LogicalPlan::EmptyRelation(e) => {
            // What was found to be empty still has the columns expressions above it name.
            let columns = e.schema.iter().map(|(q, f)| (q, f.name().as_str(), physical_kind(f)));
            compiler.set_scope(Scope::values(columns));
            Ok(Some(Leaf::One(e.produce_one_row)))
        }
        LogicalPlan::Extension(e) => {
            let Some(set) = e.node.as_any().downcast_ref::<ProjectSet>() else { return Ok(None) };
            set_leaf(set, compiler)
        }
        LogicalPlan::Aggregate(a) if a.group_expr.is_empty() => {
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
                ([d], [arg]) if d.filter.is_none() => extreme(&d.name, arg, &a.input, &ctx.catalog),
                _ => None,
            };
            let input = shortcut.as_ref().unwrap_or(&a.input);
            let Some(mut inner) = compile_over(input, exprs, &types, params, ctx)? else {
                return Ok(None);
            };
            if shortcut.is_some() {
                // Rows come in the order of the value: the first is the answer.
                inner.limit = Some(Node::Const(Datum::Int8(1)));
            }
            let columns = a.schema.iter().zip(kinds).map(|((q, f), k)| (q, f.name().as_str(), k));
            compiler.set_scope(Scope::values(columns));
            Ok(Some(Leaf::Aggregate { inner: Arc::new(inner), nodes: assemble(described) }))
        }
        _ => Ok(None),
    }
}

/// `min` or `max` of a column that a btree has in order: the plan's scan in that order, without NULLs.
fn extreme(
    name: &str,
    arg: &Expr,
    input: &LogicalPlan,
    catalog: &vicinity_storage::Catalog,
) -> Option<LogicalPlan> {
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
    let choice = crate::push::access::choose(catalog, source, &filters, &[sort], true);
    if !choice.ordered {
        return None;
    }
    let spec = ScanSpec { access: choice.access, filter: choice.filter, ..(*node.spec).clone() };
    let node = ScanNode { spec: Arc::new(spec), schema: node.schema.clone() };
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

/// Where a running plan stands.
enum State {
    One(bool),
    /// One row by its key; `None` when it was given.
    Lookup(Option<Lookup>),
    Scan(Box<OpenScan>),
    Rows(std::vec::IntoIter<Vec<Datum>>),
    /// Finished rows: nothing left to compute.
    Done(std::vec::IntoIter<Vec<Datum>>),
    Set(vicinity_functions::Rows),
}

/// A row plan being run.
pub struct RowCursor {
    plan: Arc<RowPlan>,
    ctx: ExecContext,
    params: Vec<Datum>,
    once: Vec<OnceCell<Datum>>,
    state: State,
    skip: u64,
    left: u64,
    /// Rows the filters turned away, for EXPLAIN.
    removed: u64,
}

fn count(
    node: Option<&Node>,
    frame: &Frame<'_>,
    code: SqlState,
    what: &str,
) -> Result<Option<u64>> {
    let Some(node) = node else { return Ok(None) };
    match node.eval(frame)? {
        Datum::Null => Ok(None),
        value => match super::number::as_i64(&value) {
            Some(n) => u64::try_from(n)
                .map(Some)
                .map_err(|_| PgError::new(code, format!("{what} must not be negative"))),
            None => Err(PgError::internal(format!("{what} is no number"))),
        },
    }
}

impl RowCursor {
    /// Begins.
    pub fn open(plan: Arc<RowPlan>, ctx: ExecContext, params: Vec<Datum>) -> Result<RowCursor> {
        let once = plan.cells();
        let frame = Frame { ctx: &ctx, params: &params, once: &once, row: RowRef::None };
        let offset_code = SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE;
        let skip = count(plan.offset.as_ref(), &frame, offset_code, "OFFSET")?.unwrap_or(0);
        let limit_code = SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE;
        let left = count(plan.limit.as_ref(), &frame, limit_code, "LIMIT")?.unwrap_or(u64::MAX);
        let left = left.min(u64::try_from(plan.hint).unwrap_or(u64::MAX));
        let wanted = usize::try_from(left.saturating_add(skip)).unwrap_or(usize::MAX);
        let state = begin(&plan, &frame, wanted)?;
        let sorts = plan.order().is_some();
        let mut cursor = RowCursor { plan, ctx, params, once, state, skip, left, removed: 0 };
        if sorts {
            cursor.sort(wanted)?;
        }
        Ok(cursor)
    }

    /// The statement's context.
    pub fn context(&self) -> &ExecContext {
        &self.ctx
    }

    /// Rows the filters turned away.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// Gives out up to `max` rows; how many, and whether that was all.
    pub fn fill(&mut self, sink: &mut dyn RowSink, max: usize) -> Result<(usize, bool)> {
        let mut given = 0;
        while given < max {
            if self.left == 0 {
                return Ok((given, true));
            }
            let chunk = (max - given).min(512);
            let before = given;
            let done = self.some(sink, chunk, &mut given)?;
            self.left -= (given - before) as u64;
            if done {
                return Ok((given, true));
            }
            self.ctx.check()?;
        }
        Ok((given, self.left == 0))
    }

    /// Up to `chunk` rows under one guard; true at the end.
    fn some(&mut self, sink: &mut dyn RowSink, chunk: usize, given: &mut usize) -> Result<bool> {
        let RowCursor { plan, ctx, params, once, state, skip, left, removed } = self;
        let frame = Frame { ctx, params, once, row: RowRef::None };
        let mut want = u64::try_from(chunk).unwrap_or(u64::MAX).min(*left);
        let mut emit = |row: RowRef<'_>, skip: &mut u64| -> Result<bool> {
            if *skip > 0 {
                *skip -= 1;
                return Ok(want > 0);
            }
            emit(&plan.outputs, &frame.with_row(row), sink)?;
            *given += 1;
            want -= 1;
            Ok(want > 0)
        };
        match state {
            State::One(ready) => {
                if std::mem::take(ready) && passes(plan, &frame)? {
                    emit(RowRef::None, skip)?;
                }
                Ok(true)
            }
            State::Lookup(lookup) => {
                if let Some(lookup) = lookup.take() {
                    looked_up(plan, &lookup, &frame, removed, &mut |row| emit(row, skip))?;
                }
                Ok(true)
            }
            State::Done(rows) => {
                for row in rows {
                    if *skip > 0 {
                        *skip -= 1;
                        continue;
                    }
                    sink.begin(row.len());
                    for (value, (_, ty)) in row.into_iter().zip(&plan.outputs) {
                        sink.datum(*ty, value)?;
                    }
                    sink.end()?;
                    *given += 1;
                    want -= 1;
                    if want == 0 {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            State::Rows(rows) => {
                for row in rows {
                    let frame = frame.with_row(RowRef::Values(&row));
                    if !passes(plan, &frame)? {
                        *removed += 1;
                        continue;
                    }
                    if !emit(RowRef::Values(&row), skip)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            State::Set(rows) => {
                for row in rows {
                    let row = row?;
                    let frame = frame.with_row(RowRef::Values(&row));
                    if !passes(plan, &frame)? {
                        *removed += 1;
                        continue;
                    }
                    if !emit(RowRef::Values(&row), skip)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            State::Scan(scan) => scan_rows(plan, scan, &frame, removed, &mut |row| emit(row, skip)),
        }
    }

    /// Runs the plan to its end and turns it into its sorted rows. Where rows come in order of the first key, the end
    /// is where that key is past the last row wanted.
    fn sort(&mut self, wanted: usize) -> Result<()> {
        let mut sorter = Sorter::new(Some(wanted).filter(|n| *n <= 1_000_000));
        let RowCursor { plan, ctx, params, once, state, removed, .. } = self;
        let Some((keys, in_order)) = plan.order() else { return Ok(()) };
        let mut edge = Edge { key: keys.first().filter(|_| in_order), left: wanted, value: None };
        let frame = Frame { ctx, params, once, row: RowRef::None };
        let outputs = |row: &Frame<'_>| {
            plan.outputs.iter().map(|(node, _)| node.eval(row)).collect::<Result<Vec<_>>>()
        };
        let mut budget = 0u32;
        let over = std::cell::Cell::new(false);
        let mut keep = |row: RowRef<'_>| -> Result<bool> {
            let frame = frame.with_row(row);
            if edge.is_past(&frame)? {
                over.set(true);
                return Ok(false);
            }
            sorter.push(keys, &frame, || outputs(&frame))?;
            budget += 1;
            Ok(!budget.is_multiple_of(512))
        };
        match state {
            State::Scan(scan) => {
                while !scan_rows(plan, scan, &frame, removed, &mut keep)? && !over.get() {
                    ctx.check()?;
                }
            }
            State::One(ready) => {
                if std::mem::take(ready) && passes(plan, &frame)? {
                    keep(RowRef::None)?;
                }
            }
            State::Lookup(lookup) => {
                if let Some(lookup) = lookup.take() {
                    looked_up(plan, &lookup, &frame, removed, &mut keep)?;
                }
            }
            State::Rows(rows) | State::Done(rows) => {
                for row in rows {
                    if passes(plan, &frame.with_row(RowRef::Values(&row)))? {
                        keep(RowRef::Values(&row))?;
                    }
                }
            }
            State::Set(rows) => {
                for row in rows {
                    let row = row?;
                    if passes(plan, &frame.with_row(RowRef::Values(&row)))? {
                        keep(RowRef::Values(&row))?;
                    }
                }
            }
        }
        self.state = State::Done(sorter.finish().into_iter());
        Ok(())
    }
}

/// Where an order by the first key alone may stop: behind the rows that tie with the last one wanted.
struct Edge<'p> {
    /// The first key, if rows come in its order.
    key: Option<&'p SortNode>,
    /// Rows still wanted.
    left: usize,
    /// The key of the last row wanted.
    value: Option<Datum>,
}

impl Edge<'_> {
    /// Takes the next row; whether it and all behind it are beyond the edge.
    fn is_past(&mut self, frame: &Frame<'_>) -> Result<bool> {
        let Some(key) = self.key else { return Ok(false) };
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return Ok(false);
        }
        let value = key.node.eval(frame)?;
        match &self.value {
            None => {
                self.value = Some(value);
                Ok(false)
            }
            Some(Datum::Null) => Ok(false),
            Some(edge) => Ok(value.is_null() || vicinity_types::compare(&value, edge).is_gt()),
        }
    }
}

fn begin(plan: &Arc<RowPlan>, frame: &Frame<'_>, wanted: usize) -> Result<State> {
    Ok(match &plan.leaf {
        Leaf::One(one) => State::One(*one),
        Leaf::Scan(scan) => match &scan.origins {
            Origins::Table(table) => {
                if scan.is_single() && plan.locks.is_none() {
                    return Ok(State::Lookup(scan.lookup(frame)?));
                }
                let wanted = if plan.sort.is_empty() { wanted } else { usize::MAX };
                State::Scan(Box::new(scan.open(table, frame.ctx.snapshot, frame, wanted)?))
            }
            Origins::Virtual(source) => {
                let mut rows = source.rows(frame.ctx)?;
                let width = source.columns().len();
                for row in &mut rows {
                    // System columns stand behind the table's own.
                    row.resize(width, Datum::Null);
                }
                State::Rows(rows.into_iter())
            }
        },
        Leaf::Set { function, args } => {
            let args: Vec<Datum> = args.iter().map(|a| a.eval(frame)).collect::<Result<_>>()?;
            State::Set(function.call(frame.ctx, &args)?)
        }
        Leaf::Aggregate { inner, nodes } => {
            let row = aggregate::run(inner, nodes, frame.ctx, frame.params)?;
            State::Rows(vec![row].into_iter())
        }
    })
}

#[inline]
pub(super) fn passes(plan: &RowPlan, frame: &Frame<'_>) -> Result<bool> {
    if let Leaf::Scan(scan) = &plan.leaf
        && let Some(filter) = &scan.filter
        && !filter.passes(frame)?
    {
        return Ok(false);
    }
    match &plan.filter {
        Some(filter) => filter.passes(frame),
        None => Ok(true),
    }
}

/// Gives the row under a key to `take`, if it is there and passes.
fn looked_up(
    plan: &RowPlan,
    lookup: &Lookup,
    frame: &Frame<'_>,
    removed: &mut u64,
    take: &mut dyn FnMut(RowRef<'_>) -> Result<bool>,
) -> Result<()> {
    let Leaf::Scan(CompiledScan { origins: Origins::Table(table), oid, .. }) = &plan.leaf else {
        return Ok(());
    };
    let guard = pin();
    let Some(row) = lookup.row(table, &frame.ctx.snapshot, &guard)? else { return Ok(()) };
    let row = RowRef::Stored(&row, *oid);
    if passes(plan, &frame.with_row(row))? {
        take(row)?;
    } else {
        *removed += 1;
    }
    Ok(())
}

/// Goes on with a scan until `take` says stop (false) or the scan ends (true).
fn scan_rows(
    plan: &RowPlan,
    scan: &mut OpenScan,
    frame: &Frame<'_>,
    removed: &mut u64,
    take: &mut dyn FnMut(RowRef<'_>) -> Result<bool>,
) -> Result<bool> {
    let Leaf::Scan(compiled) = &plan.leaf else { return Ok(true) };
    if let Some(locks) = &plan.locks {
        return lock::locked_rows(plan, compiled, locks, scan, frame, take);
    }
    let unfiltered = compiled.filter.is_none() && plan.filter.is_none();
    let guard = pin();
    let mut looked = 0u32;
    loop {
        let Some(cursor) = &mut scan.cursor else { return Ok(true) };
        let found = cursor.next(&guard, &mut |row| {
            if unfiltered {
                return Ok(true);
            }
            looked += 1;
            if looked.is_multiple_of(1024) {
                frame.ctx.check()?;
            }
            let ok = passes(plan, &frame.with_row(RowRef::Stored(row, compiled.oid)))?;
            *removed += u64::from(!ok);
            Ok(ok)
        })?;
        match found {
            Some(row) => {
                if !take(RowRef::Stored(&row, compiled.oid))? {
                    return Ok(false);
                }
            }
            None => {
                if !scan.advance()? {
                    return Ok(true);
                }
            }
        }
    }
}

/// Writes a row: stored columns straight from their bytes.
#[inline]
fn emit(outputs: &[(Node, PgType)], frame: &Frame<'_>, sink: &mut dyn RowSink) -> Result<()> {
    sink.begin(outputs.len());
    for (node, ty) in outputs {
        match (node, frame.row) {
            (Node::Column(i), RowRef::Stored(row, _)) => sink.raw(*ty, row.raw(*i))?,
            (node, _) => sink.datum(*ty, node.eval(frame)?)?,
        }
    }
    sink.end()
}
