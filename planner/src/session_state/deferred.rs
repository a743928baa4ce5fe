//! What waits for the end of the transaction.

use std::sync::Arc;

use parking_lot::MutexGuard;
use vicinity_types::Oid;

use super::SessionState;
use crate::exec::after::Deferred;

impl SessionState {
    /// Checks and triggers that wait for the commit. Not to be held while anything runs.
    pub(crate) fn deferred(&self) -> MutexGuard<'_, Arc<Deferred>> {
        self.deferred.lock()
    }

    /// Whether some do.
    pub(crate) fn has_deferred(&self) -> bool {
        !self.deferred.lock().is_empty()
    }

    /// What waits now, to go back to.
    pub(crate) fn mark_deferred(&self) -> Arc<Deferred> {
        self.deferred.lock().clone()
    }

    /// What has come to wait since is undone, and so is what was done of what waited.
    pub(crate) fn restore_deferred(&self, mark: &Arc<Deferred>) {
        self.deferred.lock().clone_from(mark);
    }

    /// The transaction has ended: nothing waits, and SET CONSTRAINTS is over.
    pub(crate) fn forget_deferred(&self) {
        let mut deferred = self.deferred.lock();
        if !deferred.is_untouched() {
            *deferred = Arc::default();
        }
    }

    /// A temporary table has something to do at commit.
    pub(crate) fn add_on_commit(&self, table: Oid) {
        self.on_commit.lock().push(table);
    }

    /// The temporary tables that had something to do at commit when they were made.
    pub(crate) fn on_commit(&self) -> Vec<Oid> {
        let tables = self.on_commit.lock();
        if tables.is_empty() { Vec::new() } else { tables.clone() }
    }

    /// Those of them that are still there.
    pub(crate) fn set_on_commit(&self, tables: Vec<Oid>) {
        *self.on_commit.lock() = tables;
    }
}
