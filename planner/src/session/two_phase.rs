//! PREPARE TRANSACTION, COMMIT PREPARED and ROLLBACK PREPARED.

use std::sync::Arc;

use vicinity_storage::{Prepare, PreparedInfo, Transaction};
use vicinity_types::{PgError, Result, SqlState};

use super::ending::Surroundings;
use super::{Block, Execution, Session};
use crate::advisory::Advisory;
use crate::authority;
use crate::exec::transaction;

impl Session {
    pub(super) fn prepare_transaction(&mut self, name: &str) -> Result<Execution> {
        let tag = match self.block {
            Block::None => {
                // Statements of the same batch that came before are committed all the same.
                transaction::warn_none(&self.state);
                self.pending = self.commit()?.max(self.pending);
                "ROLLBACK"
            }
            Block::Failed => {
                self.block = Block::None;
                self.abort();
                "ROLLBACK"
            }
            Block::Open => {
                self.block = Block::None;
                self.savepoints.clear();
                let txn = self.txn.take().ok_or_else(|| PgError::internal("no transaction"))?;
                // It keeps the place.
                self.place = None;
                self.surroundings().prepare(&txn, name)?;
                "PREPARE TRANSACTION"
            }
        };
        Ok(Execution::Done(tag.to_owned()))
    }

    pub(super) fn end_prepared(&mut self, name: &str, commit: bool) -> Result<Execution> {
        let tag = if commit { "COMMIT PREPARED" } else { "ROLLBACK PREPARED" };
        if self.in_block() {
            return Err(transaction::refuse_block(tag));
        }
        let db = &self.engine.db;
        let catalog = db.catalog();
        let role = authority::current(&catalog, &self.state);
        let mut xid = 0;
        let may = |info: &PreparedInfo| {
            xid = info.xid;
            if role == info.owner || authority::is_superuser(&catalog, role) {
                return Ok(());
            }
            Err(PgError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "permission denied to finish prepared transaction",
            )
            .hint("Must be superuser or the user that prepared the transaction."))
        };
        match commit {
            true => db.commit_prepared(name, may)?,
            false => db.rollback_prepared(name, may)?,
        }
        self.engine.advisory.end_transaction(Advisory::of_prepared(xid));
        Ok(Execution::Done(tag.to_owned()))
    }
}

impl Surroundings<'_> {
    /// Takes a transaction off the session.
    fn prepare(&self, txn: &Arc<Transaction>, name: &str) -> Result<()> {
        let outcome = self.try_prepare(txn, name);
        self.state.portals().end();
        self.state.forget_deferred();
        match outcome {
            Ok(()) => {
                let heir = Advisory::of_prepared(txn.xid().unwrap_or(0));
                self.engine.advisory.leave(self.state, Some(heir));
                self.state.commit_settings();
                Ok(())
            }
            Err(e) => {
                txn.rollback();
                self.engine.advisory.leave(self.state, None);
                self.state.rollback_settings();
                Err(e)
            }
        }
    }

    fn try_prepare(&self, txn: &Arc<Transaction>, name: &str) -> Result<()> {
        self.before_commit(txn)?;
        let all = self.state.portals().all();
        let held =
            |portal: &crate::portal::Handle| portal.try_lock().is_some_and(|p| p.is_to_be_held());
        if all.iter().any(|(_, portal)| held(portal)) {
            return Err(refuse("cannot PREPARE a transaction that has created a cursor WITH HOLD"));
        }
        self.state.portals().end();
        txn.prepare_transaction(&Prepare {
            name: name.to_owned(),
            owner: authority::current(&txn.catalog(), self.state),
            at: vicinity_types::datetime::clock(),
            most: self.most_prepared(),
            temporary: self.state.temp_schema(),
            extra: self.engine.advisory.of_transaction(self.state.pid())?,
        })
    }

    fn most_prepared(&self) -> usize {
        let settings = self.state.settings();
        settings.get("max_prepared_transactions").and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

fn refuse(message: &str) -> PgError {
    PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}
