//! The clocks of a statement and its transaction, and what ends it before it is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vicinity_types::{PgError, Result, SqlState};

use super::SessionState;

impl SessionState {
    /// The flag that ends the session.
    pub fn end_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.terminate)
    }

    /// The flag a cancel request raises.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.cancel.clone()
    }

    /// Whether the running statement may go on.
    #[inline]
    pub fn check_cancel(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) || self.terminate.load(Ordering::Relaxed) {
            return self.cancelled();
        }
        let deadline = self.deadline.load(Ordering::Relaxed);
        if deadline != 0 && self.elapsed() > deadline {
            return Err(PgError::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to statement timeout",
            ));
        }
        Ok(())
    }

    #[cold]
    fn cancelled(&self) -> Result<()> {
        if self.terminate.load(Ordering::Relaxed) {
            return Err(PgError::new(
                SqlState::ADMIN_SHUTDOWN,
                "terminating connection due to administrator command",
            ));
        }
        self.cancel.store(false, Ordering::Relaxed);
        Err(PgError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request"))
    }

    /// The end of the statement's time was heard of, and dealt with: it is said once.
    pub(crate) fn forget_deadline(&self) {
        if self.deadline.load(Ordering::Relaxed) < self.elapsed() {
            self.deadline.store(0, Ordering::Relaxed);
        }
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// A statement begins: its clock and its deadline.
    #[inline]
    pub fn begin_statement(&self) {
        self.statement_time.store(vicinity_types::datetime::clock(), Ordering::Relaxed);
        let timeout = self.statement_timeout.load(Ordering::Relaxed);
        let deadline = if timeout > 0 {
            self.elapsed().saturating_add(timeout.saturating_mul(1000))
        } else {
            0
        };
        self.deadline.store(deadline, Ordering::Relaxed);
    }

    /// The time left to the running statement.
    pub fn time_left(&self) -> Option<Duration> {
        match self.deadline.load(Ordering::Relaxed) {
            0 => None,
            deadline => {
                let left = deadline.saturating_sub(self.elapsed());
                Some(Duration::from_micros(u64::try_from(left).unwrap_or(0)))
            }
        }
    }

    /// A transaction begins with the statement that just began.
    #[inline]
    pub fn begin_transaction(&self) {
        self.transaction_time.store(self.statement_time(), Ordering::Relaxed);
    }

    /// `now()`, microseconds since 2000-01-01 UTC.
    #[inline]
    pub fn transaction_time(&self) -> i64 {
        self.transaction_time.load(Ordering::Relaxed)
    }

    /// `statement_timestamp()`
    #[inline]
    pub fn statement_time(&self) -> i64 {
        self.statement_time.load(Ordering::Relaxed)
    }
}
