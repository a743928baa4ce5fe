//! The thread that makes checkpoints when they are due.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vicinity_types::{PgError, Result};

use super::{CheckpointInfo, State};
use crate::database::Database;

/// How often the thread looks.
const PERIOD: Duration = Duration::from_secs(1);
/// After a checkpoint that failed it looks so much later.
const PATIENCE: Duration = Duration::from_secs(30);

/// The checkpoint thread; ends when dropped, after the checkpoint it is at.
pub(crate) struct Checkpointer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(crate) fn start(db: &Arc<Database>) -> Result<Checkpointer> {
        let (stop, stopped) = channel::<()>();
        let db: Weak<Database> = Arc::downgrade(db);
        let thread = std::thread::Builder::new()
            .name("checkpointer".to_owned())
            .spawn(move || {
                let (mut last, mut period) = (Instant::now(), PERIOD);
                while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                    let Some(db) = db.upgrade() else { return };
                    period = PERIOD;
                    match db.checkpoint_when_due(last.elapsed()) {
                        Ok(done) if done.number > 0 => last = Instant::now(),
                        Ok(_) => {}
                        Err(e) => {
                            tracing::warn!("checkpoint failed: {e}");
                            period = PATIENCE;
                        }
                    }
                }
            })
            .map_err(|e| PgError::internal(format!("cannot start the checkpoint thread: {e}")))?;
        Ok(Checkpointer { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Database {
    /// A checkpoint, if the log has grown enough since the last one, or at all and that is long ago.
    fn checkpoint_when_due(&self, since: Duration) -> Result<CheckpointInfo> {
        let late = since >= self.options.checkpoint_interval;
        let due = |state: &State| {
            let grown = self.wal.end() - state.last.cut;
            let long = grown >= self.options.checkpoint_bytes.max(state.written);
            long || (grown > 0 && (late || state.indexes.are_due(&self.stores())))
        };
        self.checkpoint_if(due, false)
    }
}
