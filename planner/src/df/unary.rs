//! `ProjectSet` and `Append` as physical operators.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use vicinity_functions::Rows;
use vicinity_types::arrow::{ColumnBuilder, value_at};
use vicinity_types::{Datum, Kind, Result};

use super::set::SetCallable;
use super::stream::{BATCH, properties};
use crate::call::external;
use crate::context::ExecContext;

/// A function of a `ProjectSet` with its arguments.
#[derive(Clone)]
pub(crate) struct PhysicalCall {
    pub(crate) function: Arc<dyn SetCallable>,
    pub(crate) args: Vec<Arc<dyn PhysicalExpr>>,
}

/// Runs set-returning functions over its input's rows.
pub struct ProjectSetExec {
    pub(crate) input: Arc<dyn ExecutionPlan>,
    pub(crate) calls: Vec<PhysicalCall>,
    pub(crate) outer: bool,
    pub(crate) ordinality: bool,
    pub(crate) ctx: ExecContext,
    pub(crate) schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl ProjectSetExec {
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        calls: Vec<PhysicalCall>,
        outer: bool,
        ordinality: bool,
        ctx: ExecContext,
        schema: SchemaRef,
    ) -> ProjectSetExec {
        let properties = properties(schema.clone());
        ProjectSetExec { input, calls, outer, ordinality, ctx, schema, properties }
    }

    /// The same over another input.
    fn over(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(ProjectSetExec::new(
            super::children::only(children)?,
            self.calls.clone(),
            self.outer,
            self.ordinality,
            self.ctx.clone(),
            self.schema.clone(),
        )))
    }
}

super::children::shown_by_name!(ProjectSetExec);

impl ExecutionPlan for ProjectSetExec {
    fn name(&self) -> &str {
        "ProjectSetExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        super::children::each_expression(self.calls.iter().flat_map(|c| &c.args), f)
    }

    super::children::replaced_by_over!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let work = Work {
            calls: self.calls.clone(),
            outer: self.outer,
            ordinality: self.ordinality,
            ctx: self.ctx.clone(),
            schema: self.schema.clone(),
        };
        let work = Arc::new(work);
        let stream = input
            .map(move |batch| {
                let expand = Expand::new(work.clone(), batch?)?;
                Ok::<_, DataFusionError>(futures::stream::iter(expand))
            })
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream)))
    }
}

struct Work {
    calls: Vec<PhysicalCall>,
    outer: bool,
    ordinality: bool,
    ctx: ExecContext,
    schema: SchemaRef,
}

/// One input batch being expanded.
struct Expand {
    work: Arc<Work>,
    batch: RecordBatch,
    /// Arguments of each call, evaluated for the whole batch.
    args: Vec<Vec<arrow::array::ArrayRef>>,
    row: usize,
    running: Option<(Vec<Option<Rows>>, i64)>,
    failed: bool,
}

impl Expand {
    fn new(work: Arc<Work>, batch: RecordBatch) -> DfResult<Expand> {
        let mut args = Vec::with_capacity(work.calls.len());
        for call in &work.calls {
            let values = call
                .args
                .iter()
                .map(|a| a.evaluate(&batch).and_then(|v| v.into_array(batch.num_rows())));
            args.push(values.collect::<DfResult<Vec<_>>>()?);
        }
        Ok(Expand { work, batch, args, row: 0, running: None, failed: false })
    }

    /// Calls the functions for the current row.
    fn start(&self) -> Result<Vec<Option<Rows>>> {
        let mut running = Vec::with_capacity(self.work.calls.len());
        for (call, args) in self.work.calls.iter().zip(&self.args) {
            let values: Result<Vec<Datum>> = args
                .iter()
                .zip(call.function.args())
                .map(|(array, ty)| value_at(ty.kind, array, self.row))
                .collect();
            running.push(Some(call.function.call(&self.work.ctx, &values?)?));
        }
        Ok(running)
    }

    fn fill(&mut self) -> Result<Option<RecordBatch>> {
        let kinds: Vec<Vec<Kind>> = self
            .work
            .calls
            .iter()
            .map(|c| c.function.columns().iter().map(|t| t.kind).collect())
            .collect();
        let mut builders: Vec<Vec<ColumnBuilder>> =
            kinds.iter().map(|k| k.iter().map(|k| ColumnBuilder::new(*k, 256)).collect()).collect();
        let mut from: Vec<u32> = Vec::new();
        let mut ordinals: Vec<Option<i64>> = Vec::new();
        self.work.ctx.check()?;
        while from.len() < BATCH && self.row < self.batch.num_rows() {
            let (mut running, mut number) = match self.running.take() {
                Some(running) => running,
                None => (self.start()?, 0),
            };
            let mut row: Vec<Option<Vec<Datum>>> = Vec::with_capacity(running.len());
            for rows in &mut running {
                let next = rows.as_mut().and_then(Iterator::next).transpose()?;
                if next.is_none() {
                    *rows = None;
                }
                row.push(next);
            }
            let ended = row.iter().all(Option::is_none);
            let keep = !ended || (self.work.outer && number == 0);
            if keep {
                for (values, builders) in row.iter().zip(&mut builders) {
                    for (i, builder) in builders.iter_mut().enumerate() {
                        let value = values.as_ref().and_then(|v| v.get(i));
                        builder.push(value.unwrap_or(&Datum::Null))?;
                    }
                }
                from.push(u32::try_from(self.row).unwrap_or(u32::MAX));
                number += 1;
                // A row that is kept without any of the functions has no number either.
                ordinals.push((!ended).then_some(number));
            }
            if ended {
                self.row += 1;
                self.work.ctx.check()?;
            } else {
                self.running = Some((running, number));
            }
        }
        if from.is_empty() {
            return Ok(None);
        }
        let rows = from.len();
        let indices = UInt32Array::from(from);
        let mut columns = Vec::with_capacity(self.work.schema.fields().len());
        for column in self.batch.columns() {
            let taken = take(column, &indices, None);
            columns.push(taken.map_err(|e| crate::call::internal(e.into()))?);
        }
        columns.extend(builders.iter_mut().flatten().map(ColumnBuilder::finish));
        if self.work.ordinality {
            columns.push(Arc::new(Int64Array::from(ordinals)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.work.schema.clone(), columns, &options);
        batch.map(Some).map_err(|e| crate::call::internal(e.into()))
    }
}

impl Iterator for Expand {
    type Item = DfResult<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.fill() {
            Ok(batch) => batch.map(Ok),
            Err(e) => {
                self.failed = true;
                Some(Err(external(e)))
            }
        }
    }
}

/// Its inputs' rows one after the other (UNION ALL), on one thread.
#[derive(Debug)]
pub struct AppendExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl AppendExec {
    /// Appends inputs with columns of the schema's types.
    pub fn new(inputs: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef) -> AppendExec {
        AppendExec { inputs, properties: properties(schema.clone()), schema }
    }

    /// The same over other inputs.
    fn over(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(AppendExec::new(children, self.schema.clone())))
    }
}

impl DisplayAs for AppendExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppendExec")
    }
}

impl ExecutionPlan for AppendExec {
    fn name(&self) -> &str {
        "AppendExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    super::children::replaced_by_over!();

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        // An input begins only when the one before it has ended.
        let mut parts = Vec::new();
        for input in &self.inputs {
            for partition in 0..input.properties().partitioning.partition_count() {
                parts.push((input.clone(), partition));
            }
        }
        let schema = self.schema.clone();
        let stream = futures::stream::iter(parts)
            .map(move |(input, partition)| input.execute(partition, context.clone()))
            .try_flatten()
            .map(move |batch| {
                let batch = batch?;
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let columns = batch.columns().to_vec();
                Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream)))
    }
}
