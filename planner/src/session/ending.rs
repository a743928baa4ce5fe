//! How transactions begin and end: at the end of a statement or a block, and inside of a procedure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use vicinity_storage::{Database, Interrupt, Isolation, Lsn, SnapshotPlace, Transaction};
use vicinity_types::{PgError, Result, SqlState};

use crate::context::ExecContext;
use crate::engine::EngineHandle;
use crate::exec::after;
use crate::exec::temporary;
use crate::session_state::SessionState;

/// What transactions of a session need.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'s> {
    pub(super) engine: &'s EngineHandle,
    pub(super) state: &'s Arc<SessionState>,
    pub(super) interrupt: &'s Interrupt,
}

impl Surroundings<'_> {
    /// The surroundings for a statement that begins now.
    pub(super) fn context_in(&self, txn: Arc<Transaction>) -> ExecContext {
        let catalog = txn.catalog();
        ExecContext::new(self.engine.clone(), self.state.clone(), catalog, txn)
    }

    pub(super) fn begin(
        &self,
        place: &Arc<SnapshotPlace>,
        isolation: Isolation,
        read_only: bool,
    ) -> Arc<Transaction> {
        let txn = Database::begin_at(place, isolation, read_only);
        txn.set_process(self.state.pid());
        txn.set_interrupt(self.interrupt.clone());
        txn.set_lock_timeout(self.state.lock_timeout());
        self.state.begin_transaction();
        Arc::new(txn)
    }

    pub(super) fn commit(&self, txn: &Arc<Transaction>) -> Result<Option<Lsn>> {
        txn.set_synchronous(self.state.is_synchronous());
        let held = self.end_portals();
        let checked = held.and_then(|()| self.before_commit(txn));
        self.state.forget_deferred();
        let committed = checked.and_then(|()| txn.commit()).inspect_err(|_| txn.rollback());
        // Whoever waited for one is to see what was done under it.
        self.engine.advisory.leave(self.state, None);
        match committed {
            Ok(ticket) => {
                self.state.commit_settings();
                Ok(ticket.lsn)
            }
            Err(e) => {
                self.state.rollback_settings();
                Err(e)
            }
        }
    }

    pub(super) fn abort(&self, txn: Option<&Transaction>) {
        self.state.portals().end();
        self.state.forget_deferred();
        if let Some(txn) = txn {
            txn.rollback();
        }
        self.engine.advisory.leave(self.state, None);
        self.state.rollback_settings();
    }

    /// Cursors WITH HOLD read what the transaction lets them see; all others end.
    fn end_portals(&self) -> Result<()> {
        let all = self.state.portals().all();
        if all.is_empty() {
            return Ok(());
        }
        // The one that is being run has called the procedure that ends the transaction.
        let mut idle = all.iter().filter_map(|(_, portal)| portal.try_lock());
        let held = idle.try_for_each(|mut portal| portal.commit());
        self.state.portals().end();
        held
    }

    /// What waited for the end of the transaction.
    pub(super) fn before_commit(&self, txn: &Arc<Transaction>) -> Result<()> {
        if txn.xid().is_none() {
            return Ok(());
        }
        if self.state.has_deferred() {
            after::commit(&self.context_in(txn.clone()))?;
        }
        if !self.state.on_commit().is_empty() {
            temporary::before_commit(&self.context_in(txn.clone()))?;
        }
        Ok(())
    }
}

/// The transactions of a CALL or DO outside of a block: its body may end one, the next begins at
/// once.
pub(crate) struct Transactions {
    engine: EngineHandle,
    state: Arc<SessionState>,
    interrupt: Interrupt,
    place: Arc<SnapshotPlace>,
    now: Mutex<Now>,
    /// Blocks with EXCEPTION that are being run.
    savepoints: AtomicU32,
}

/// The transaction of now, and where the log must be durable for those before it.
struct Now {
    txn: Arc<Transaction>,
    pending: Option<Lsn>,
}

impl Transactions {
    pub(super) fn new(
        around: Surroundings<'_>,
        place: Arc<SnapshotPlace>,
        txn: Arc<Transaction>,
    ) -> Transactions {
        Transactions {
            engine: around.engine.clone(),
            state: around.state.clone(),
            interrupt: around.interrupt.clone(),
            place,
            now: Mutex::new(Now { txn, pending: None }),
            savepoints: AtomicU32::new(0),
        }
    }

    /// The transaction of now.
    pub(crate) fn current(&self) -> Arc<Transaction> {
        self.now.lock().txn.clone()
    }

    pub(super) fn pending(&self) -> Option<Lsn> {
        self.now.lock().pending
    }

    /// Runs `f` inside of a savepoint, where no transaction ends.
    pub(crate) fn enter_savepoint(&self) {
        self.savepoints.fetch_add(1, Ordering::Relaxed);
    }

    /// The savepoint is over.
    pub(crate) fn leave_savepoint(&self) {
        self.savepoints.fetch_sub(1, Ordering::Relaxed);
    }

    /// `COMMIT` or `ROLLBACK`, and the begin of the next transaction: CHAIN gives it the modes of this.
    pub(crate) fn end(&self, commit: bool, chain: bool) -> Result<()> {
        if self.savepoints.load(Ordering::Relaxed) > 0 {
            let what = if commit { "commit" } else { "roll back" };
            return Err(PgError::new(
                SqlState(*b"2D000"),
                format!("cannot {what} while a subtransaction is active"),
            ));
        }
        let Transactions { engine, state, interrupt, .. } = self;
        let around = Surroundings { engine, state, interrupt };
        let mut now = self.now.lock();
        let (isolation, read_only) = match chain {
            true => (now.txn.isolation(), now.txn.read_only()),
            false => state.transaction_defaults(),
        };
        let ended = if commit {
            around.commit(&now.txn)
        } else {
            around.abort(Some(&now.txn));
            Ok(None)
        };
        now.txn = around.begin(&self.place, isolation, read_only);
        now.pending = ended?.max(now.pending);
        Ok(())
    }
}
