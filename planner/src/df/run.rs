//! Running physical plans on the calling thread.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use vicinity_types::Result;

use super::physical::STATE;
use super::stream::give_rows;
use crate::call::{PgType, internal};
use crate::context::ExecContext;
use crate::rows::RowSink;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future. May be nested: a function inside a plan runs plans of its own.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A physical plan being run.
pub struct BatchCursor {
    stream: SendableRecordBatchStream,
    types: Vec<PgType>,
    batch: Option<RecordBatch>,
    at: usize,
    ctx: ExecContext,
}

impl BatchCursor {
    /// Begins. `types` are the result's columns.
    pub fn open(
        plan: &Arc<dyn ExecutionPlan>,
        types: Vec<PgType>,
        ctx: ExecContext,
    ) -> Result<BatchCursor> {
        let stream = datafusion::physical_plan::execute_stream(plan.clone(), STATE.task_ctx());
        Ok(BatchCursor { stream: stream.map_err(internal)?, types, batch: None, at: 0, ctx })
    }

    /// Gives out up to `max` rows; how many, and whether that was all.
    pub fn fill(&mut self, sink: &mut dyn RowSink, max: usize) -> Result<(usize, bool)> {
        let mut given = 0;
        loop {
            if let Some(batch) = &self.batch {
                let n = give_rows(batch, &self.types, self.at, max - given, sink)?;
                given += n;
                self.at += n;
                if self.at < batch.num_rows() {
                    return Ok((given, false));
                }
                self.batch = None;
                self.at = 0;
            }
            if given >= max {
                return Ok((given, false));
            }
            self.ctx.check()?;
            let ctx = self.ctx.clone();
            let next = crate::context::entered(&ctx, || block_on(self.stream.next()));
            match next {
                Some(batch) => self.batch = Some(batch.map_err(internal)?),
                None => return Ok((given, true)),
            }
        }
    }
}
