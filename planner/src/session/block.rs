//! BEGIN, COMMIT, ROLLBACK and savepoints.

use sqlparser::ast;
use vicinity_types::{PgError, Result};

use super::{Block, Execution, NamedSavepoint, Session};
use crate::exec::transaction::{self, Modes};
use crate::sql::{Control, Statement};

impl Session {
    pub(super) fn transaction_control(&mut self, stmt: &Statement) -> Result<Execution> {
        let stmt = match stmt {
            Statement::Transaction(control) => return self.control(control),
            Statement::Sql(stmt) => stmt,
            _ => return Err(PgError::internal("no transaction control")),
        };
        let tag = match &**stmt {
            ast::Statement::Commit { chain, .. } => return self.commit_block(*chain),
            ast::Statement::Rollback { savepoint: Some(name), .. } => {
                self.rollback_to(&crate::exec::name::ident(name))?;
                "ROLLBACK"
            }
            ast::Statement::Rollback { chain, .. } => {
                self.rollback_block(*chain)?;
                "ROLLBACK"
            }
            ast::Statement::Savepoint { name } => {
                self.savepoint(crate::exec::name::ident(name))?;
                "SAVEPOINT"
            }
            ast::Statement::ReleaseSavepoint { name } => {
                self.release(&crate::exec::name::ident(name))?;
                "RELEASE"
            }
            _ => return Err(PgError::internal("no transaction control")),
        };
        Ok(Execution::Done(tag.to_owned()))
    }

    fn control(&mut self, control: &Control) -> Result<Execution> {
        let tag = match control {
            Control::Begin { modes, start } => {
                self.begin_block(modes)?;
                if *start { "START TRANSACTION" } else { "BEGIN" }
            }
            Control::Set(modes) => {
                self.set_transaction(modes)?;
                "SET"
            }
            Control::Snapshot(_) => return Err(PgError::unsupported("SET TRANSACTION SNAPSHOT")),
            Control::Prepare(name) => return self.prepare_transaction(name),
            Control::CommitPrepared(name) => return self.end_prepared(name, true),
            Control::RollbackPrepared(name) => return self.end_prepared(name, false),
        };
        Ok(Execution::Done(tag.to_owned()))
    }

    /// `SET TRANSACTION`
    fn set_transaction(&mut self, modes: &Modes) -> Result<()> {
        if !self.in_block() {
            transaction::warn_no_block(&self.state, "SET TRANSACTION");
            return Ok(());
        }
        let txn = self.transaction()?;
        if let Some(isolation) = modes.isolation {
            txn.set_isolation(isolation)?;
            self.show("transaction_isolation", transaction::isolation_name(isolation))?;
        }
        if let Some(read_only) = modes.read_only {
            txn.set_read_only(read_only)?;
            self.show_read_only(read_only)?;
        }
        if let Some(deferrable) = modes.deferrable {
            txn.set_deferrable(deferrable)?;
            self.show_deferrable(deferrable)?;
        }
        Ok(())
    }

    /// Lets a setting tell of the transaction, as long as it lasts.
    fn show(&self, setting: &str, value: &str) -> Result<()> {
        let local = crate::exec::settings::Source::Local;
        self.state.change_settings(|s| s.set(setting, value, local, true))
    }

    fn show_read_only(&self, on: bool) -> Result<()> {
        self.show("transaction_read_only", if on { "on" } else { "off" })
    }

    fn show_deferrable(&self, on: bool) -> Result<()> {
        self.show("transaction_deferrable", if on { "on" } else { "off" })
    }

    fn begin_block(&mut self, modes: &Modes) -> Result<()> {
        if self.block != Block::None {
            transaction::warn_in_progress(&self.state);
            return self.set_transaction(modes);
        }
        let (isolation, read_only, deferrable) = transaction::initial(&self.state, *modes);
        match &self.txn {
            // Statements of the same batch came before: they become part of the block.
            Some(txn) => {
                if modes.isolation.is_some() {
                    txn.set_isolation(isolation)?;
                }
                txn.set_read_only(read_only)?;
                if let Some(deferrable) = modes.deferrable {
                    txn.set_deferrable(deferrable)?;
                }
            }
            None => {
                self.begin(isolation, read_only)?.set_deferrable(deferrable)?;
            }
        }
        self.block = Block::Open;
        if read_only != self.state.transaction_defaults().1 {
            self.show_read_only(read_only)?;
        }
        if deferrable {
            self.show_deferrable(true)?;
        }
        self.show("transaction_isolation", transaction::isolation_name(isolation))
    }

    fn commit_block(&mut self, chain: bool) -> Result<Execution> {
        let modes = self.modes_now();
        match self.block {
            // Statements of the same batch that came before are committed all the same.
            Block::None if chain => Err(transaction::needs_block("COMMIT AND CHAIN")),
            Block::None => {
                transaction::warn_none(&self.state);
                self.pending = self.commit()?.max(self.pending);
                Ok(Execution::Done("COMMIT".to_owned()))
            }
            Block::Failed => {
                self.block = Block::None;
                self.abort();
                if chain {
                    self.begin_block(&modes)?;
                }
                Ok(Execution::Done("ROLLBACK".to_owned()))
            }
            Block::Open => {
                self.block = Block::None;
                self.pending = self.commit()?.max(self.pending);
                if chain {
                    self.begin_block(&modes)?;
                }
                Ok(Execution::Done("COMMIT".to_owned()))
            }
        }
    }

    fn modes_now(&self) -> Modes {
        self.txn.as_ref().map_or_else(Modes::default, |t| Modes {
            isolation: Some(t.isolation()),
            read_only: Some(t.read_only()),
            deferrable: Some(t.deferrable()),
        })
    }

    fn rollback_block(&mut self, chain: bool) -> Result<()> {
        let modes = self.modes_now();
        if self.block == Block::None {
            if chain {
                return Err(transaction::needs_block("ROLLBACK AND CHAIN"));
            }
            transaction::warn_none(&self.state);
        }
        self.block = Block::None;
        self.abort();
        if chain {
            self.begin_block(&modes)?;
        }
        Ok(())
    }

    fn savepoint(&mut self, name: String) -> Result<()> {
        if self.block == Block::None {
            return Err(transaction::needs_block("SAVEPOINT"));
        }
        let Some(txn) = &self.txn else { return Err(PgError::internal("no transaction")) };
        let settings = self.state.settings().mark();
        let portals = self.state.portals().mark();
        let deferred = self.state.mark_deferred();
        let advisory = self.state.advisory_taken();
        let storage = txn.savepoint();
        let made = NamedSavepoint { name, storage, settings, portals, deferred, advisory };
        self.savepoints.push(made);
        Ok(())
    }

    fn find_savepoint(&self, name: &str) -> Result<usize> {
        let found = self.savepoints.iter().rposition(|s| s.name == name);
        found.ok_or_else(|| transaction::no_savepoint(name))
    }

    fn rollback_to(&mut self, name: &str) -> Result<()> {
        if self.block == Block::None {
            return Err(transaction::needs_block("ROLLBACK TO SAVEPOINT"));
        }
        let at = self.find_savepoint(name)?;
        self.savepoints.truncate(at + 1);
        let (Some(txn), Some(savepoint)) = (&self.txn, self.savepoints.last()) else {
            return Err(PgError::internal("no transaction"));
        };
        txn.rollback_to(&savepoint.storage)?;
        self.engine.advisory.rollback_to(&self.state, savepoint.advisory);
        let mark = savepoint.settings;
        self.state.portals().rollback_to(savepoint.portals);
        self.state.restore_deferred(&savepoint.deferred);
        self.state.change_settings(|s| s.rollback_to(mark));
        self.block = Block::Open;
        Ok(())
    }

    fn release(&mut self, name: &str) -> Result<()> {
        if self.block == Block::None {
            return Err(transaction::needs_block("RELEASE SAVEPOINT"));
        }
        let at = self.find_savepoint(name)?;
        let Some(txn) = self.txn.clone() else { return Err(PgError::internal("no transaction")) };
        let read_only = txn.read_only();
        while self.savepoints.len() > at {
            if let Some(savepoint) = self.savepoints.pop() {
                txn.release(savepoint.storage);
            }
        }
        if read_only == txn.read_only() { Ok(()) } else { self.show_read_only(!read_only) }
    }
}
