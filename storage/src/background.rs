//! Threads that look after a database from time to time.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use vicinity_types::{PgError, Result};

use crate::database::Database;

/// A thread that works, waits as long as it was told to, and works again; ends when dropped, after the work it is at.
/// It keeps no database open.
pub(crate) struct Background {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Begins by waiting. `work` says how long to wait until the next time.
    pub(crate) fn start(
        db: &Arc<Database>,
        name: &str,
        mut wait: Duration,
        mut work: impl FnMut(&Database) -> Duration + Send + 'static,
    ) -> Result<Background> {
        let (stop, stopped) = channel::<()>();
        let db: Weak<Database> = Arc::downgrade(db);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    let Some(db) = db.upgrade() else { return };
                    wait = work(&db);
                }
            })
            .map_err(|e| PgError::internal(format!("cannot start the {name} thread: {e}")))?;
        Ok(Background { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The thread itself may be the last to let a database go.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
