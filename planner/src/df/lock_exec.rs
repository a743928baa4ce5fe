//! `LockRows` as a physical operator.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties};
use futures::StreamExt;
use vicinity_storage::{LockOutcome, RowId, Snapshot, Table, concurrent_update};
use vicinity_types::arrow::value_at;
use vicinity_types::{Datum, Kind, Oid, PgError, Result};

use super::physical::STATE;
use super::physical::physical;
use crate::call::{external, internal};
use crate::context::ExecContext;
use crate::row::lock::RowLocks;

/// A table whose rows are locked.
pub(crate) struct Target {
    pub(crate) table: Arc<Table>,
    pub(crate) relation: Oid,
    /// The table a row is in, where that may be another one.
    pub(crate) of: Option<Arc<dyn PhysicalExpr>>,
    pub(crate) id: Arc<dyn PhysicalExpr>,
    pub(crate) locks: RowLocks,
}

/// What locking needs.
pub(crate) struct Work {
    pub(crate) targets: Vec<Target>,
    pub(crate) ctx: ExecContext,
    pub(crate) params: Arc<[Datum]>,
    pub(crate) kinds: Vec<Kind>,
    /// The input, to be run again for a row that changed meanwhile.
    pub(crate) again: Option<Arc<LogicalPlan>>,
    pub(crate) schema: SchemaRef,
}

/// Locks rows as they pass.
pub(crate) struct LockRowsExec {
    input: Arc<dyn ExecutionPlan>,
    work: Arc<Work>,
    properties: Arc<PlanProperties>,
}

impl LockRowsExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, work: Arc<Work>) -> LockRowsExec {
        // rows keep their order
        let properties = Arc::new(PlanProperties::new(
            input.properties().eq_properties.clone(),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        LockRowsExec { input, work, properties }
    }

    /// The same over another input.
    fn over(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = super::children::only(children)?;
        Ok(Arc::new(LockRowsExec::new(input, self.work.clone())))
    }
}

super::children::shown_by_name!(LockRowsExec);

impl ExecutionPlan for LockRowsExec {
    fn name(&self) -> &str {
        "LockRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        super::children::each_expression(self.work.targets.iter().map(|t| &t.id), f)
    }

    super::children::replaced_by_over!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let work = self.work.clone();
        // a row at a time, as a LIMIT above may need no more: what it does not need is not locked
        let stream = input.flat_map(move |batch| {
            let work = work.clone();
            let rows: Box<dyn Iterator<Item = DfResult<RecordBatch>> + Send> =
                match batch {
                    Ok(batch) => Box::new((0..batch.num_rows()).filter_map(move |row| {
                        work.locked(&batch, row).map_err(external).transpose()
                    })),
                    Err(e) => Box::new(std::iter::once(Err(e))),
                };
            futures::stream::iter(rows)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.work.schema.clone(), stream)))
    }
}

/// The row's id in each table, and the table; none for the missing side of an outer join.
type Ids = Vec<Option<(Oid, RowId)>>;

/// The ids' column, and that of the tables.
type Columns = (ArrayRef, Option<ArrayRef>);

impl Work {
    fn ids(&self, batch: &RecordBatch) -> Result<Vec<Columns>> {
        let column = |e: &Arc<dyn PhysicalExpr>| {
            e.evaluate(batch).and_then(|v| v.into_array(batch.num_rows())).map_err(internal)
        };
        let columns = |t: &Target| Ok((column(&t.id)?, t.of.as_ref().map(column).transpose()?));
        self.targets.iter().map(columns).collect()
    }

    fn ids_at(&self, columns: &[Columns], row: usize) -> Result<Ids> {
        let id = |(t, (ids, tables)): (&Target, &Columns)| {
            let ids: &dyn Array = ids;
            let Datum::Tid(id) = value_at(Kind::Tid, ids, row)? else { return Ok(None) };
            let Some(tables) = tables else { return Ok(Some((t.relation, id))) };
            let tables: &dyn Array = tables;
            Ok(match value_at(Kind::Oid, tables, row)? {
                Datum::Oid(table) => Some((table, id)),
                _ => None,
            })
        };
        self.targets.iter().zip(columns).map(id).collect()
    }

    /// A row with its tables' rows locked, in their newest versions; none if they are gone, do not
    /// belong to the query any more, or are to be skipped.
    fn locked(&self, batch: &RecordBatch, row: usize) -> Result<Option<RecordBatch>> {
        let ids = self.ids_at(&self.ids(&batch.slice(row, 1))?, 0)?;
        let mut snapshot = self.ctx.snapshot;
        let mut current = Some(batch.slice(row, 1));
        for (target, id) in self.targets.iter().zip(&ids) {
            let Some(id) = id else { continue };
            let Some(newest) = self.lock(target, *id, snapshot)? else { return Ok(None) };
            if newest != snapshot {
                snapshot = newest;
                current = self.found_again(&ids, snapshot)?;
                if current.is_none() {
                    return Ok(None);
                }
            }
        }
        self.ctx.check()?;
        Ok(current)
    }

    /// Locks a row; the snapshot that sees the version that was locked, none if there is nothing to lock.
    fn lock(
        &self,
        target: &Target,
        (of, id): (Oid, RowId),
        seen: Snapshot,
    ) -> Result<Option<Snapshot>> {
        let txn = &self.ctx.txn;
        let table = match of == target.relation {
            true => target.table.clone(),
            false => self.ctx.engine.db.table(of, &self.ctx.catalog)?,
        };
        let mut snapshot = seen;
        loop {
            match table.lock_row(txn, &snapshot, id, target.locks.mode, target.locks.wait)? {
                LockOutcome::Locked => return Ok(Some(snapshot)),
                LockOutcome::Gone | LockOutcome::Skipped => return Ok(None),
                LockOutcome::Concurrent if txn.isolation().is_snapshot() => {
                    return Err(concurrent_update());
                }
                LockOutcome::Concurrent => snapshot = txn.snapshot(),
            }
        }
    }

    /// The row of the same ids as a newer snapshot has it, if the query still gives it.
    fn found_again(&self, ids: &Ids, snapshot: Snapshot) -> Result<Option<RecordBatch>> {
        let missing = || PgError::internal("locked rows cannot be looked at again");
        let plan = self.again.as_ref().ok_or_else(missing)?;
        let ctx = ExecContext { snapshot, measure: None, ..self.ctx.clone() };
        let plan = physical(plan, &ctx, &self.params, &self.kinds, None)?;
        let stream = datafusion::physical_plan::execute_stream(plan, STATE.task_ctx());
        let mut stream = stream.map_err(internal)?;
        while let Some(batch) = super::run::block_on(stream.next()) {
            let batch = batch.map_err(internal)?;
            let columns = self.ids(&batch)?;
            for row in 0..batch.num_rows() {
                if self.ids_at(&columns, row)? == *ids {
                    return Ok(Some(batch.slice(row, 1)));
                }
            }
        }
        Ok(None)
    }
}
