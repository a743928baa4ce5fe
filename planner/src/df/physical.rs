//! From a lowered logical plan to a physical one, for one execution.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result as DfResult, ScalarValue};
use datafusion::execution::context::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    AggregateUDF, Case, Expr, ExprSchemable, Extension, LogicalPlan, UserDefinedLogicalNode, lit,
};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;
use vicinity_types::{Datum, Kind, PgError, Result, SqlState};

use super::aggregate::PgAggregate;
use super::append::Append;
use super::instrument::{self, Instrument, InstrumentExec};
use super::lock_exec::{self, LockRowsExec};
use super::lock_rows::{LockRows, remembering};
use super::project_set::ProjectSet;
use super::stream::RowExec;
use super::unary::{AppendExec, PhysicalCall, ProjectSetExec};
use super::unseen::{SharedSeen, Unseen, UnseenExec};
use super::window::Window;
use super::window_exec::{PhysicalWindowCall, Value, WindowExec, Work, offset_of};
use crate::call::{PgType, Typed, datum_to_scalar, external, internal, with_context};
use crate::context::ExecContext;
use crate::measure::Place;
use crate::push::ScanNode;
use crate::push::family_scan::FamilyScan;
use crate::push::lower::scan_of;
use crate::row::compile::parameter;
use crate::row::number::as_i64;
use crate::row::{Compiler, Frame, RowPlan, RowRef, Scope};
use crate::rows::OutputColumn;

/// DataFusion's own state: one for the server, as nothing in it is a session's.
pub(crate) static STATE: LazyLock<SessionState> = LazyLock::new(|| {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(super::stream::BATCH)
        .with_information_schema(false)
        .with_repartition_joins(false)
        .with_repartition_aggregations(false)
        .with_repartition_windows(false)
        .with_repartition_sorts(false);
    let options = config.options_mut();
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_round_robin_repartition = false;
    SessionStateBuilder::new().with_config(config).with_default_features().build()
});

/// The physical plan of one execution; with its place, one whose nodes can be measured.
pub fn physical(
    plan: &LogicalPlan,
    ctx: &ExecContext,
    params: &Arc<[Datum]>,
    kinds: &[Kind],
    measured: Option<Place>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = remembering(plan.clone()).map_err(internal)?;
    let mut plan = instantiate(plan, ctx, params, kinds)?;
    if let Some(place) = measured {
        plan = instrument::logical(plan, place)?;
    }
    let ours = Ours {
        ctx: ctx.clone(),
        params: params.clone(),
        kinds: kinds.to_vec(),
        seen: Mutex::default(),
    };
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(ours)]);
    let future = planner.create_physical_plan(&plan, &*STATE);
    let physical = super::run::block_on(future);
    let physical = physical.and_then(|p| super::watch::outputs(p, ctx)).map_err(internal)?;
    match measured {
        Some(place) => instrument::sorts(physical, place, ctx.measure.as_ref()),
        None => Ok(physical),
    }
}

/// Puts parameters' values and the context into the plan.
fn instantiate(
    plan: LogicalPlan,
    ctx: &ExecContext,
    params: &[Datum],
    kinds: &[Kind],
) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|mut plan| {
        if let LogicalPlan::Limit(mut limit) = plan {
            let rows = |e: Option<Box<Expr>>, what: Count| -> DfResult<Option<Box<Expr>>> {
                let Some(e) = e else { return Ok(None) };
                let n = count(&e, ctx, params, kinds, what).map_err(external)?;
                Ok(n.map(|n| Box::new(datafusion::logical_expr::lit(n))))
            };
            limit.skip = rows(limit.skip, Count::Offset)?;
            limit.fetch = rows(limit.fetch, Count::Limit)?;
            return Ok(Transformed::yes(LogicalPlan::Limit(limit)));
        }
        if let LogicalPlan::Join(join) = &mut plan {
            join.filter = join.filter.take().map(|f| super::watch::condition(f, ctx));
        }
        if let LogicalPlan::Filter(filter) = &mut plan {
            filter.predicate = super::in_turn::in_turn(std::mem::take(&mut filter.predicate));
        }
        if let LogicalPlan::Sort(sort) = &mut plan {
            let schema = sort.input.schema().clone();
            sort.expr.iter_mut().for_each(|key| one_zero(&mut key.expr, &schema));
        }
        let names = NamePreserver::new(&plan);
        let plan = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|e| bind(e, ctx, params, kinds).map_err(external))?;
            Ok(expr.update_data(|e| name.restore(e)))
        })?;
        Ok(plan.update_data(|plan| match plan {
            LogicalPlan::Union(u) => {
                let append = Append { inputs: u.inputs, schema: u.schema, order: Vec::new() };
                LogicalPlan::Extension(Extension { node: Arc::new(append) })
            }
            other => other,
        }))
    });
    Ok(done.map_err(internal)?.data)
}

/// Arrow sorts -0 before 0; to PostgreSQL they are equal, and the next key decides.
fn one_zero(key: &mut Expr, schema: &DFSchema) {
    let zero = match key.get_type(schema) {
        Ok(DataType::Float32) => lit(0f32),
        Ok(DataType::Float64) => lit(0f64),
        _ => return,
    };
    let value = std::mem::take(key);
    *key = value + zero;
}

/// Constants are looked up by their bits, which -0 and 0 have of their own.
pub(super) fn one_zero_among(mut list: InList) -> InList {
    let mut zero = None;
    for item in &mut list.list {
        let Expr::Literal(value, _) = item else { continue };
        match value {
            ScalarValue::Float32(v) => {
                *v = v.map(|v| v + 0.0);
                zero = Some(lit(0f32));
            }
            ScalarValue::Float64(v) => {
                *v = v.map(|v| v + 0.0);
                zero = Some(lit(0f64));
            }
            _ => {}
        }
    }
    if let Some(zero) = zero {
        let value = std::mem::take(&mut *list.expr);
        *list.expr = value + zero;
    }
    list
}

#[derive(Clone, Copy)]
enum Count {
    Limit,
    Offset,
}

/// The value of LIMIT or OFFSET; NULL is none. DataFusion takes constants only.
fn count(
    expr: &Expr,
    ctx: &ExecContext,
    params: &[Datum],
    kinds: &[Kind],
    what: Count,
) -> Result<Option<i64>> {
    let mut compiler = Compiler::new(Scope::empty(), kinds.to_vec());
    let node = compiler.compile(expr, Kind::Int8)?;
    let frame = Frame { ctx, params, once: &[], row: RowRef::None };
    let (code, name) = match what {
        Count::Limit => (SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT"),
        Count::Offset => (SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE, "OFFSET"),
    };
    match as_i64(&node.eval(&frame)?) {
        Some(n) if n < 0 => Err(PgError::new(code, format!("{name} must not be negative"))),
        n => Ok(n),
    }
}

fn bind(
    expr: Expr,
    ctx: &ExecContext,
    params: &[Datum],
    kinds: &[Kind],
) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Placeholder(ref p) => {
            let Some(i) = parameter(&p.id) else { return Ok(Transformed::no(expr)) };
            let value = params.get(i).unwrap_or(&Datum::Null);
            let kind = value.kind().or(kinds.get(i).copied()).unwrap_or(Kind::Text);
            Transformed::yes(Expr::Literal(datum_to_scalar(kind, value)?, None))
        }
        Expr::ScalarFunction(mut f) => match with_context(&f, ctx) {
            Some(bound) => {
                f.func = bound;
                Transformed::yes(Expr::ScalarFunction(f))
            }
            None => Transformed::no(Expr::ScalarFunction(f)),
        },
        Expr::AggregateFunction(mut f) => {
            if let Some(bound) = bind_aggregate(&f.func, ctx)? {
                f.func = bound;
            }
            Transformed::yes(Expr::AggregateFunction(f))
        }
        Expr::InList(list) => Transformed::yes(Expr::InList(one_zero_among(list))),
        Expr::IsTrue(e) => Transformed::yes(truth(e, true)),
        Expr::IsNotTrue(e) => Transformed::yes(truth(e, false)),
        Expr::IsFalse(e) => Transformed::yes(truth(Box::new(Expr::Not(e)), true)),
        Expr::IsNotFalse(e) => Transformed::yes(truth(Box::new(Expr::Not(e)), false)),
        Expr::IsUnknown(e) => Transformed::yes(Expr::IsNull(e)),
        Expr::IsNotUnknown(e) => Transformed::yes(Expr::IsNotNull(e)),
        other => Transformed::no(other),
    })
}

/// Whether a condition is true, or is not. DataFusion's own tests are never NULL in a logical plan and
/// may be in the physical one, which fails where the two are compared.
fn truth(condition: Box<Expr>, wanted: bool) -> Expr {
    let pairs = vec![(condition, Box::new(lit(wanted)))];
    Expr::Case(Case::new(None, pairs, Some(Box::new(lit(!wanted)))))
}

fn bind_aggregate(udaf: &AggregateUDF, ctx: &ExecContext) -> Result<Option<Arc<AggregateUDF>>> {
    let inner: &dyn std::any::Any = udaf.inner().as_ref();
    let Some(ours) = inner.downcast_ref::<PgAggregate>() else { return Ok(None) };
    Ok(Some(Arc::new(AggregateUDF::new_from_impl(ours.with_context(ctx)?))))
}

/// Plans our own nodes.
struct Ours {
    ctx: ExecContext,
    params: Arc<[Datum]>,
    kinds: Vec<Kind>,
    /// What the [`Unseen`] nodes of each number share.
    seen: Mutex<HashMap<u64, SharedSeen>>,
}

impl Ours {
    fn scan(&self, node: &ScanNode) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(node.clone()) });
        let place = node.place.unwrap_or_else(|| Place::root(crate::measure::new_number()));
        self.rows(&plan, node, place)
    }

    /// Scans merged in the order each of them has.
    fn merged(&self, append: &Append) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(first) = append.inputs.first().and_then(|p| scan_of(p)) else { return Ok(None) };
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(append.clone()) });
        // The scans count for themselves, and whoever wraps the node for the whole.
        self.rows(&plan, first, Place::root(crate::measure::new_number())).map(Some)
    }

    /// A family's scan, whose tables are found when it begins.
    fn family(&self, family: &FamilyScan) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(family.clone()) });
        let scan = &family.whole.scan;
        let leaf = RowLeaf {
            types: family.types(),
            name: family.whole.source.relation().name.clone(),
            schema: Arc::clone(scan.projected_schema.inner()),
            rows: (None, None),
        };
        self.leaf(&plan, leaf, Place::root(crate::measure::new_number()))
    }

    /// A plan of the row lane as a leaf; its columns are those of a scan.
    fn rows(
        &self,
        plan: &LogicalPlan,
        node: &ScanNode,
        place: Place,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let leaf = RowLeaf {
            types: node.spec.types(),
            name: node.spec.source.name().to_owned(),
            schema: Arc::clone(node.schema.inner()),
            rows: (node.spec.limit, node.spec.pace),
        };
        self.leaf(plan, leaf, place)
    }

    fn leaf(
        &self,
        plan: &LogicalPlan,
        leaf: RowLeaf,
        place: Place,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.ctx.check()?;
        let outputs: Vec<OutputColumn> =
            leaf.types.iter().map(|ty| OutputColumn::computed("", *ty)).collect();
        let compiled = RowPlan::compile(plan, &outputs, &self.kinds, &self.ctx, place)?;
        let compiled = compiled.ok_or_else(|| {
            vicinity_types::PgError::unsupported(format!("a filter on table {}", leaf.name))
        })?;
        let (most, pace) = leaf.rows;
        Ok(Arc::new(RowExec::new(
            Arc::new(compiled.with_rows(most, pace)),
            self.ctx.clone(),
            self.params.clone(),
            leaf.schema,
            leaf.name,
        )))
    }
}

/// What is known of a leaf that the row lane runs.
struct RowLeaf {
    types: Vec<PgType>,
    name: String,
    schema: SchemaRef,
    /// How many rows are asked for at most, and how many at first.
    rows: (Option<usize>, Option<usize>),
}

/// What turns logical expressions into physical ones.
struct Planning<'a> {
    planner: &'a dyn PhysicalPlanner,
    state: &'a dyn Session,
    planning: &'a PhysicalPlanningContext,
}

impl Planning<'_> {
    fn expr(&self, expr: &Expr, schema: &DFSchema) -> DfResult<Arc<dyn PhysicalExpr>> {
        self.planner.create_physical_expr(expr, schema, self.state, self.planning)
    }
}

impl Ours {
    fn window(
        &self,
        node: &Window,
        input: Arc<dyn ExecutionPlan>,
        planning: &Planning<'_>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema: &DFSchema = node.input.schema();
        let value = |v: &Typed| -> DfResult<Value> {
            Ok(Value { expr: planning.expr(&v.expr, schema)?, kind: v.ty.kind })
        };
        let spec = &node.group.spec;
        let mut sort = Vec::with_capacity(spec.sort.len());
        for key in &spec.sort {
            let mut expr = key.expr.clone();
            one_zero(&mut expr, schema);
            let options = SortOptions::new(!key.asc, key.nulls_first);
            sort.push(PhysicalSortExpr::new(planning.expr(&expr, schema)?, options));
        }
        let mut calls = Vec::with_capacity(node.group.calls.len());
        for call in &node.group.calls {
            let filter = call.filter.as_ref().map(|f| {
                Ok::<_, DataFusionError>(Value {
                    expr: planning.expr(f, schema)?,
                    kind: Kind::Bool,
                })
            });
            calls.push(PhysicalWindowCall {
                args: call.args.iter().map(value).collect::<DfResult<_>>()?,
                filter: filter.transpose()?,
                start: offset_of(&call.frame.start).map(value).transpose()?,
                end: offset_of(&call.frame.end).map(value).transpose()?,
                call: call.clone(),
            });
        }
        let work = Work {
            partition: spec.partition.iter().map(value).collect::<DfResult<_>>()?,
            order: spec
                .order
                .iter()
                .map(|k| Ok((value(&k.value)?, k.descending)))
                .collect::<DfResult<_>>()?,
            calls,
            ctx: self.ctx.clone(),
            schema: Arc::clone(UserDefinedLogicalNode::schema(node).inner()),
        };
        let (input, sort) = keyed(input, sort)?;
        let sort = LexOrdering::new(sort);
        let input = match &sort {
            Some(sort) => Arc::new(SortExec::new(sort.clone(), input)),
            None => input,
        };
        Ok(Arc::new(WindowExec::new(input, Arc::new(work), sort)))
    }
}

/// Rows with what they are to be sorted by as columns behind their own: DataFusion does not see that rows are in the
/// order of an expression if it can say nothing of the values of a part, as of CASE.
fn keyed(
    input: Arc<dyn ExecutionPlan>,
    mut sort: Vec<PhysicalSortExpr>,
) -> DfResult<(Arc<dyn ExecutionPlan>, Vec<PhysicalSortExpr>)> {
    let schema = input.schema();
    let own = schema.fields().iter().enumerate();
    let mut columns: Vec<(Arc<dyn PhysicalExpr>, String)> =
        own.map(|(i, f)| (Arc::new(Column::new(f.name(), i)) as _, f.name().clone())).collect();
    for key in sort.iter_mut().filter(|key| !key.expr.is::<Column>()) {
        let name = format!("key {}", columns.len());
        let column = Arc::new(Column::new(&name, columns.len()));
        columns.push((std::mem::replace(&mut key.expr, column), name));
    }
    if columns.len() == schema.fields().len() {
        return Ok((input, sort));
    }
    Ok((Arc::new(ProjectionExec::try_new(columns, input)?), sort))
}

impl Ours {
    fn locks(
        &self,
        node: &LockRows,
        input: Arc<dyn ExecutionPlan>,
        planning: &Planning<'_>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema: &DFSchema = node.input.schema();
        let mut targets = Vec::with_capacity(node.targets.len());
        for target in &node.targets {
            let table = self.ctx.engine.db.table(target.relation, &self.ctx.catalog);
            targets.push(lock_exec::Target {
                table: table.map_err(external)?,
                id: planning.expr(&target.id, schema)?,
                relation: target.relation,
                of: match target.is_family {
                    true => Some(planning.expr(&target.table, schema)?),
                    false => None,
                },
                locks: target.locks,
            });
        }
        let work = lock_exec::Work {
            targets,
            ctx: self.ctx.clone(),
            params: self.params.clone(),
            kinds: self.kinds.clone(),
            again: node.again.clone(),
            schema: Arc::clone(schema.inner()),
        };
        Ok(Arc::new(LockRowsExec::new(input, Arc::new(work))))
    }
}

#[async_trait]
impl ExtensionPlanner for Ours {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        state: &dyn Session,
        planning: &PhysicalPlanningContext,
    ) -> DfResult<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(scan) = node.as_any().downcast_ref::<ScanNode>() {
            return self.scan(scan).map(Some).map_err(external);
        }
        if let Some(family) = node.as_any().downcast_ref::<FamilyScan>() {
            return self.family(family).map(Some).map_err(external);
        }
        if let Some(append) = node.as_any().downcast_ref::<Append>() {
            if !append.order.is_empty() {
                return self.merged(append).map_err(external);
            }
            let schema = Arc::clone(append.schema.inner());
            return Ok(Some(Arc::new(AppendExec::new(inputs.to_vec(), schema))));
        }
        let Some(input) = inputs.first() else { return Ok(None) };
        if let Some(node) = node.as_any().downcast_ref::<Instrument>() {
            let measure = self.ctx.measure.clone();
            return Ok(Some(Arc::new(InstrumentExec::new(input.clone(), node.place, measure))));
        }
        let planning = Planning { planner, state, planning };
        if let Some(unseen) = node.as_any().downcast_ref::<Unseen>() {
            let schema: &DFSchema = unseen.input.schema();
            let keys = unseen.keys.iter().cloned().map(|mut key| {
                one_zero(&mut key, schema);
                planning.expr(&key, schema)
            });
            let keys = keys.collect::<DfResult<_>>()?;
            let seen = self.seen.lock().entry(unseen.number).or_default().clone();
            return Ok(Some(Arc::new(UnseenExec::new(input.clone(), keys, seen))));
        }
        if let Some(locks) = node.as_any().downcast_ref::<LockRows>() {
            return self.locks(locks, input.clone(), &planning).map(Some);
        }
        if let Some(window) = node.as_any().downcast_ref::<Window>() {
            return self.window(window, input.clone(), &planning).map(Some);
        }
        let Some(set) = node.as_any().downcast_ref::<ProjectSet>() else { return Ok(None) };
        let input_schema: &DFSchema = set.input.schema();
        let mut calls = Vec::with_capacity(set.calls.len());
        for call in &set.calls {
            let args = call.args.iter().map(|a| planning.expr(a, input_schema));
            calls.push(PhysicalCall {
                function: call.function.clone(),
                args: args.collect::<DfResult<_>>()?,
            });
        }
        let schema = Arc::clone(node.schema().inner());
        Ok(Some(Arc::new(ProjectSetExec::new(
            input.clone(),
            calls,
            set.outer,
            set.ordinality.is_some(),
            self.ctx.clone(),
            schema,
        ))))
    }
}
