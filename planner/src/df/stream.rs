//! Our physical operators: a row plan as a leaf, and rows in and out of batches.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use vicinity_types::arrow::{ColumnBuilder, bytes_at, text_at, value_at};
use vicinity_types::{Datum, Kind, Result};

use crate::call::{PgType, external};
use crate::context::ExecContext;
use crate::row::{RowCursor, RowPlan};
use crate::rows::RowSink;

/// Rows of a batch.
pub(crate) const BATCH: usize = 4096;

/// Properties of an operator with one partition and no order to tell of.
pub(crate) fn properties(schema: SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

/// Builds batches from rows.
pub(crate) struct BatchSink {
    schema: SchemaRef,
    builders: Vec<ColumnBuilder>,
    column: usize,
    rows: usize,
}

impl BatchSink {
    pub(crate) fn new(schema: SchemaRef, kinds: &[Kind]) -> BatchSink {
        let builders = kinds.iter().map(|k| ColumnBuilder::new(*k, 256)).collect();
        BatchSink { schema, builders, column: 0, rows: 0 }
    }

    pub(crate) fn finish(&mut self) -> DfResult<RecordBatch> {
        let columns = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        let options =
            RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

impl RowSink for BatchSink {
    fn begin(&mut self, _columns: usize) {
        self.column = 0;
    }

    fn raw(&mut self, _ty: PgType, value: Option<&[u8]>) -> Result<()> {
        if let Some(builder) = self.builders.get_mut(self.column) {
            builder.push_raw(value);
        }
        self.column += 1;
        Ok(())
    }

    fn datum(&mut self, _ty: PgType, value: Datum) -> Result<()> {
        if let Some(builder) = self.builders.get_mut(self.column) {
            builder.push(&value)?;
        }
        self.column += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.rows += 1;
        Ok(())
    }
}

/// Gives a batch's rows to a sink, from `from` on, at most `max`.
pub(crate) fn give_rows(
    batch: &RecordBatch,
    types: &[PgType],
    from: usize,
    max: usize,
    sink: &mut dyn RowSink,
) -> Result<usize> {
    let end = batch.num_rows().min(from.saturating_add(max));
    for row in from..end {
        sink.begin(types.len());
        for (ty, array) in types.iter().zip(batch.columns()) {
            let array: &dyn Array = array;
            if array.is_null(row) {
                sink.raw(*ty, None)?;
            } else if let Some(text) = text_at(array, row).filter(|_| ty.kind == Kind::Text) {
                sink.raw(*ty, Some(text.as_bytes()))?;
            } else if let Some(bytes) = bytes_at(array, row) {
                sink.raw(*ty, Some(bytes))?;
            } else {
                sink.datum(*ty, value_at(ty.kind, array, row)?)?;
            }
        }
        sink.end()?;
    }
    Ok(end.saturating_sub(from))
}

/// A row plan as the leaf of a physical plan.
pub struct RowExec {
    plan: Arc<RowPlan>,
    ctx: ExecContext,
    params: Arc<[Datum]>,
    schema: SchemaRef,
    name: String,
    properties: Arc<PlanProperties>,
}

impl RowExec {
    /// Runs `plan`, whose columns are the schema's.
    pub fn new(
        plan: Arc<RowPlan>,
        ctx: ExecContext,
        params: Arc<[Datum]>,
        schema: SchemaRef,
        name: String,
    ) -> RowExec {
        RowExec { plan, ctx, params, properties: properties(schema.clone()), schema, name }
    }

    /// Where the scan stands in a plan being measured.
    pub(crate) fn place(&self) -> crate::measure::Place {
        self.plan.place
    }
}

impl Debug for RowExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowExec({})", self.name)
    }
}

impl DisplayAs for RowExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowExec: {}", self.name)
    }
}

impl ExecutionPlan for RowExec {
    fn name(&self) -> &str {
        "RowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        _partition: usize,
        _context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let params = self.params.to_vec();
        let cursor = RowCursor::open(self.plan.clone(), self.ctx.clone(), params);
        let cursor = cursor.map_err(external)?;
        let kinds: Vec<Kind> = self.plan.kinds();
        let sink = BatchSink::new(self.schema.clone(), &kinds);
        let mut rows = self.plan.pace().clamp(1, BATCH);
        let batches = std::iter::from_fn({
            let mut running = Some((cursor, sink));
            move || {
                let (cursor, sink) = running.as_mut()?;
                let most = rows;
                rows = (rows * 2).min(BATCH);
                match cursor.fill(sink, most).map_err(external) {
                    Ok((0, true)) => {
                        running = None;
                        None
                    }
                    Ok((_, done)) => {
                        let batch = sink.finish();
                        if done {
                            running = None;
                        }
                        Some(batch)
                    }
                    Err(e) => {
                        running = None;
                        Some(Err(e))
                    }
                }
            }
        });
        let stream = futures::stream::iter(batches);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream)))
    }
}
