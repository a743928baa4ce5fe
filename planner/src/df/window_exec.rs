//! `Window` as a physical operator: partitions are gathered, computed and given out one by one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{LexOrdering, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties};
use futures::StreamExt;
use vicinity_functions::MakeAggregate;
use vicinity_types::arrow::{ColumnBuilder, value_at};
use vicinity_types::{Datum, Kind, PgError, Result, encode_key};

use super::frame::{self, Arguments, Frames, Partition};
use super::stream::properties;
use super::window::{Bound, Frame, WindowCall};
use crate::call::external;
use crate::context::ExecContext;

/// A value to be computed from a batch.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) expr: Arc<dyn PhysicalExpr>,
    pub(crate) kind: Kind,
}

impl Value {
    fn over(&self, batch: &RecordBatch) -> DfResult<ArrayRef> {
        self.expr.evaluate(batch).and_then(|v| v.into_array(batch.num_rows()))
    }
}

/// A call with its expressions ready to run.
pub(crate) struct PhysicalWindowCall {
    pub(crate) call: WindowCall,
    pub(crate) args: Vec<Value>,
    pub(crate) filter: Option<Value>,
    pub(crate) start: Option<Value>,
    pub(crate) end: Option<Value>,
}

/// What is computed, over which windows.
pub(crate) struct Work {
    pub(crate) partition: Vec<Value>,
    /// With `DESC`.
    pub(crate) order: Vec<(Value, bool)>,
    pub(crate) calls: Vec<PhysicalWindowCall>,
    pub(crate) ctx: ExecContext,
    pub(crate) schema: SchemaRef,
}

/// Runs window functions over sorted rows.
pub(crate) struct WindowExec {
    input: Arc<dyn ExecutionPlan>,
    work: Arc<Work>,
    sort: Option<LexOrdering>,
    properties: Arc<PlanProperties>,
}

impl WindowExec {
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        work: Arc<Work>,
        sort: Option<LexOrdering>,
    ) -> WindowExec {
        let properties = properties(work.schema.clone());
        WindowExec { input, work, sort, properties }
    }

    /// The same over another input.
    fn over(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = super::children::only(children)?;
        Ok(Arc::new(WindowExec::new(input, self.work.clone(), self.sort.clone())))
    }
}

super::children::shown_by_name!(WindowExec);

impl ExecutionPlan for WindowExec {
    fn name(&self) -> &str {
        "WindowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.sort.clone().map(OrderingRequirements::from)]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        let work = &self.work;
        let calls = work
            .calls
            .iter()
            .flat_map(|c| c.args.iter().chain(&c.filter).chain(&c.start).chain(&c.end));
        let keys = work.partition.iter().chain(work.order.iter().map(|(value, _)| value));
        super::children::each_expression(keys.chain(calls).map(|value| &value.expr), f)
    }

    super::children::replaced_by_over!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let schema = self.work.schema.clone();
        let mut gathered = Gathered::new(self.work.clone());
        // the end of the input ends the last partition
        let ended = futures::stream::iter([None]);
        let stream = input.map(Some).chain(ended).filter_map(move |batch| {
            let out = match batch {
                Some(batch) => batch.and_then(|batch| gathered.take(&batch)),
                None => gathered.end(),
            };
            futures::future::ready(out.transpose())
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// The partition being gathered.
struct Gathered {
    work: Arc<Work>,
    makers: Vec<Option<MakeAggregate>>,
    key: Option<Vec<u8>>,
    slices: Vec<RecordBatch>,
    partition: Partition,
    args: Vec<Arguments>,
    /// Each call's offsets: constants of the execution.
    offsets: Vec<(Datum, Datum)>,
}

/// What a batch gives for the calls.
struct Columns {
    partition: Vec<ArrayRef>,
    order: Vec<ArrayRef>,
    args: Vec<Vec<ArrayRef>>,
    filters: Vec<Option<ArrayRef>>,
}

fn evaluated(values: &[Value], batch: &RecordBatch) -> DfResult<Vec<ArrayRef>> {
    values.iter().map(|v| v.over(batch)).collect()
}

impl Gathered {
    fn new(work: Arc<Work>) -> Gathered {
        let makers = work
            .calls
            .iter()
            .map(|c| {
                let types: Vec<u32> = c.call.args.iter().map(|a| a.ty.oid).collect();
                vicinity_functions::aggregate(c.call.proc, &types)
            })
            .collect();
        let args = empty(&work);
        Gathered {
            work,
            makers,
            key: None,
            slices: Vec::new(),
            partition: Partition::default(),
            args,
            offsets: Vec::new(),
        }
    }

    fn columns(&self, batch: &RecordBatch) -> DfResult<Columns> {
        let work = &self.work;
        let order = work.order.iter().map(|(v, _)| v.over(batch)).collect::<DfResult<_>>()?;
        let args = work.calls.iter().map(|c| evaluated(&c.args, batch)).collect::<DfResult<_>>()?;
        let filters = work
            .calls
            .iter()
            .map(|c| c.filter.as_ref().map(|f| f.over(batch)).transpose())
            .collect::<DfResult<_>>()?;
        Ok(Columns { partition: evaluated(&work.partition, batch)?, order, args, filters })
    }

    /// The offsets, from any row: they name no columns.
    fn find_offsets(&mut self, batch: &RecordBatch) -> Result<()> {
        let first = |value: &Option<Value>| -> Result<Datum> {
            let Some(value) = value else { return Ok(Datum::Null) };
            let array = value.over(batch).map_err(crate::call::internal)?;
            value_at(value.kind, &array, 0)
        };
        let offsets = self.work.calls.iter().map(|c| Ok((first(&c.start)?, first(&c.end)?)));
        self.offsets = offsets.collect::<Result<_>>()?;
        Ok(())
    }

    /// Takes a batch; gives the partitions that ended in it.
    fn take(&mut self, batch: &RecordBatch) -> DfResult<Option<RecordBatch>> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        if self.offsets.is_empty() {
            self.find_offsets(batch).map_err(external)?;
        }
        let columns = self.columns(batch)?;
        let mut done = Vec::new();
        let mut from = 0;
        for row in 0..batch.num_rows() {
            let key = self.partition_key(&columns, row).map_err(external)?;
            if self.key.as_ref() != Some(&key) {
                if row > from {
                    self.slices.push(batch.slice(from, row - from));
                    from = row;
                }
                done.extend(self.flush().map_err(external)?);
                self.key = Some(key);
            }
            self.push(&columns, row).map_err(external)?;
        }
        self.slices.push(batch.slice(from, batch.num_rows() - from));
        self.work.ctx.check().map_err(external)?;
        self.joined(&done)
    }

    fn end(&mut self) -> DfResult<Option<RecordBatch>> {
        let done: Vec<RecordBatch> = self.flush().map_err(external)?.into_iter().collect();
        self.joined(&done)
    }

    fn joined(&self, batches: &[RecordBatch]) -> DfResult<Option<RecordBatch>> {
        if batches.is_empty() {
            return Ok(None);
        }
        Ok(Some(arrow::compute::concat_batches(&self.work.schema, batches)?))
    }

    fn partition_key(&self, columns: &Columns, row: usize) -> Result<Vec<u8>> {
        let mut key = Vec::new();
        for (value, array) in self.work.partition.iter().zip(&columns.partition) {
            encode_key(&value_at(value.kind, array, row)?, false, false, &mut key);
        }
        Ok(key)
    }

    fn push(&mut self, columns: &Columns, row: usize) -> Result<()> {
        let mut key = Vec::new();
        let mut last = Datum::Null;
        for ((value, _), array) in self.work.order.iter().zip(&columns.order) {
            last = value_at(value.kind, array, row)?;
            encode_key(&last, false, false, &mut key);
        }
        self.partition.order.push(key);
        self.partition.values.push(last);
        for (i, call) in self.work.calls.iter().enumerate() {
            let (Some(into), Some(arrays)) = (self.args.get_mut(i), columns.args.get(i)) else {
                continue;
            };
            let values = call.args.iter().zip(arrays);
            into.rows
                .push(values.map(|(v, a)| value_at(v.kind, a, row)).collect::<Result<Vec<_>>>()?);
            if let Some(Some(filter)) = columns.filters.get(i) {
                let passes =
                    filter.as_boolean_opt().is_some_and(|f| f.is_valid(row) && f.value(row));
                into.passes.push(passes);
            }
        }
        Ok(())
    }

    /// Computes the gathered partition and begins a new one.
    fn flush(&mut self) -> Result<Option<RecordBatch>> {
        let slices = std::mem::take(&mut self.slices);
        let mut partition = std::mem::take(&mut self.partition);
        let args = std::mem::replace(&mut self.args, empty(&self.work));
        let Some(first) = slices.first() else { return Ok(None) };
        partition.finish();
        let arrow = |e: arrow::error::ArrowError| crate::call::internal(e.into());
        let input = arrow::compute::concat_batches(&first.schema(), &slices).map_err(arrow)?;
        let mut columns = input.columns().to_vec();
        // Behind the rows' own columns are those that only their sort needs.
        columns.truncate(self.work.schema.fields().len().saturating_sub(self.work.calls.len()));
        for (i, call) in self.work.calls.iter().enumerate() {
            let missing = || PgError::internal("a window call without arguments");
            let args = args.get(i).ok_or_else(missing)?;
            let (start, end) = self.offsets.get(i).cloned().ok_or_else(missing)?;
            let frame: &Frame = &call.call.frame;
            let descending = self.work.order.first().is_some_and(|(_, d)| *d);
            let ctx = &self.work.ctx;
            let frames = Frames { frame, start, end, descending, partition: &partition, ctx };
            let values = match self.makers.get(i) {
                Some(Some(make)) if call.call.proc.kind == b'a' => {
                    frame::aggregate(make, args, &frames)?
                }
                _ => frame::builtin(call.call.proc.src, args, &frames)?,
            };
            let mut column = ColumnBuilder::new(call.call.ret.kind, values.len());
            values.iter().try_for_each(|v| column.push(v))?;
            columns.push(column.finish());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(input.num_rows()));
        RecordBatch::try_new_with_options(self.work.schema.clone(), columns, &options)
            .map(Some)
            .map_err(arrow)
    }
}

fn empty(work: &Work) -> Vec<Arguments> {
    work.calls.iter().map(|_| Arguments { rows: Vec::new(), passes: Vec::new() }).collect()
}

/// The value of a bound's offset, if it has one.
pub(crate) fn offset_of(bound: &Bound) -> Option<&crate::call::Typed> {
    match bound {
        Bound::Offset { offset, .. } => Some(offset),
        _ => None,
    }
}
