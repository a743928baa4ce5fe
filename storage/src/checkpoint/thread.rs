//! The thread that makes checkpoints when they are due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vicinity_types::Result;

use super::{CheckpointInfo, State};
use crate::background::Background;
use crate::database::Database;

/// How often the thread looks.
const PERIOD: Duration = Duration::from_secs(1);
/// After a checkpoint that failed it looks so much later.
const PATIENCE: Duration = Duration::from_secs(30);

/// The checkpoint thread.
pub(crate) fn start(db: &Arc<Database>) -> Result<Background> {
    let mut last = Instant::now();
    Background::start(db, "checkpointer", PERIOD, move |db| {
        match db.checkpoint_when_due(last.elapsed()) {
            Ok(done) if done.number > 0 => last = Instant::now(),
            Ok(_) => {}
            Err(e) => {
                tracing::warn!("checkpoint failed: {e}");
                return PATIENCE;
            }
        }
        PERIOD
    })
}

impl Database {
    /// A checkpoint, if the log has grown enough since the last one, or at all and that is long ago.
    fn checkpoint_when_due(&self, since: Duration) -> Result<CheckpointInfo> {
        let late = since >= self.options.checkpoint_interval;
        let (began, mut timed) = (Instant::now(), false);
        let due = |state: &State| {
            let grown = self.wal.end() - state.last.cut;
            let long = grown >= self.options.checkpoint_bytes.max(state.written);
            timed = late && !long;
            long || (grown > 0 && (late || state.indexes.are_due(&self.stores())))
        };
        let info = self.checkpoint_if(due, false)?;
        self.count(&info, timed, began);
        Ok(info)
    }
}
