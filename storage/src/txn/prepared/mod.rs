//! Two-phase commit: transactions that wait for the word to commit, across the ends of sessions and servers.
//!
//! PREPARE takes a transaction off its session, with its place and so with everything others know it by: its id, its
//! versions, its locks on rows and relations, what it is noted to have read. Nothing is handed over: who waited for it
//! goes on waiting for the same transaction. COMMIT PREPARED and ROLLBACK PREPARED end it as any other.
//!
//! # What lasts when
//!
//! PREPARE waits for the log up to its end, so that what the transaction has seen lasts; then the file (see [`file`]) is
//! written, synced and named, and the name synced; then it answers. Nothing of it is in the log, but for what a long
//! transaction had sent ahead, which does not count: the file has all its writes.
//!
//! COMMIT PREPARED says all of that to the log and commits as any transaction does; the file is removed when the commit
//! record lasts. A crash leaves the record alone, or the file alone, or both: a start removes files whose transaction has
//! a commit record in what is read of the log. So the log must not lose a commit record as long as the file may come
//! again: from before the record is appended until the directory was synced after the removal, checkpoints keep the log
//! from there on ([`Registry::oldest`], [`Registry::settle`]).
//!
//! ROLLBACK PREPARED removes the file and syncs the directory before anything is undone: what others write in the place
//! of its rows cannot meet it again.
//!
//! # What cannot go wrong later
//!
//! A prepared transaction holds all its locks, so nobody comes between its rows and the committed ones. Objects of the
//! catalog that no lock protects are compared instead: who commits changes that would keep a prepared transaction from
//! committing its own gets an error in its place ([`Registry::allow`]). At SERIALIZABLE it cannot be cancelled any more.
//!
//! # A start
//!
//! Recovery knows nothing of it but ids that are in use. Before the first session comes, [`restore`] begins the
//! transaction anew under its own id, takes its locks, makes its changes of the catalog and puts its versions on the
//! recovered rows, with their entries in the indexes. What it has read becomes whole tables, and everybody it may have
//! overlapped is taken to depend on it and it on them.

mod effect;
pub(crate) mod file;
mod restore;
mod suspend;
mod unlogged;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::Transaction;
use crate::catalog::Catalog;
use crate::catalog::change::Change;
use crate::database::Database;
use crate::disk::Disk;
use crate::mvcc::Xid;
use crate::wal::Lsn;
pub(crate) use restore::restore;
use suspend::Suspended;

/// Names are shorter than this.
const NAME: usize = 200;

/// How a transaction is prepared.
#[derive(Clone, Debug, Default)]
pub struct Prepare {
    /// What it will be known by.
    pub name: String,
    /// Who may end it, besides superusers.
    pub owner: Oid,
    /// When, in microseconds since 2000.
    pub at: i64,
    /// So many may be prepared at once.
    pub most: usize,
    /// The schema of the session's temporary objects, 0 for none.
    pub temporary: Oid,
    /// What the room above wants to be told when it is there again.
    pub extra: Vec<u8>,
}

/// A prepared transaction, for `pg_prepared_xacts`.
#[derive(Clone, Debug)]
pub struct PreparedInfo {
    /// Its id.
    pub xid: Xid,
    /// See [`Prepare::name`].
    pub name: String,
    /// See [`Prepare::owner`].
    pub owner: Oid,
    /// See [`Prepare::at`].
    pub at: i64,
    /// See [`Prepare::extra`].
    pub extra: Vec<u8>,
    /// Its place, by which locks are its.
    pub place: u32,
}

enum Stage {
    /// It is not prepared yet.
    Preparing,
    Prepared(Box<Suspended>),
    /// Somebody is ending it.
    Ending,
}

struct Entry {
    info: PreparedInfo,
    stage: Stage,
    /// A start found no rows of unlogged tables, nor its own.
    bereft: bool,
}

/// Commit records whose files may come again after a crash.
#[derive(Default)]
struct Committed {
    /// Where the log was before the record was appended.
    at: HashMap<Xid, Lsn>,
    /// Those whose files are removed: gone for good when the directory is synced.
    removed: Vec<Xid>,
}

/// All prepared transactions.
#[derive(Default)]
pub(crate) struct Registry {
    all: Mutex<BTreeMap<String, Entry>>,
    /// Changes of the catalog that are prepared.
    changes: Mutex<Vec<(Xid, Vec<Change>)>>,
    committed: Mutex<Committed>,
}

fn no_such(name: &str) -> PgError {
    let message = format!("prepared transaction with identifier \"{name}\" does not exist");
    PgError::new(SqlState::UNDEFINED_OBJECT, message)
}

impl Registry {
    /// Takes a name for a transaction that is to be prepared.
    fn reserve(&self, how: &Prepare, xid: Xid, place: u32) -> Result<()> {
        let Prepare { name, most, .. } = how;
        if name.len() >= NAME {
            let message = format!("transaction identifier \"{name}\" is too long");
            return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        if *most == 0 {
            return Err(PgError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "prepared transactions are disabled",
            )
            .hint("Set max_prepared_transactions to a nonzero value."));
        }
        let mut all = self.all.lock();
        if all.contains_key(name) {
            let message = format!("transaction identifier \"{name}\" is already in use");
            return Err(PgError::new(SqlState::DUPLICATE_OBJECT, message));
        }
        if all.len() >= *most {
            return Err(PgError::new(
                SqlState::OUT_OF_MEMORY,
                "maximum number of prepared transactions reached",
            )
            .hint(format!("Increase max_prepared_transactions (currently {most}).")));
        }
        let info = PreparedInfo {
            xid,
            name: name.clone(),
            owner: how.owner,
            at: how.at,
            extra: how.extra.clone(),
            place,
        };
        all.insert(name.clone(), Entry { info, stage: Stage::Preparing, bereft: false });
        Ok(())
    }

    /// It is prepared, or prepared again.
    fn put(&self, name: &str, suspended: Suspended) {
        if let Some(entry) = self.all.lock().get_mut(name) {
            entry.stage = Stage::Prepared(Box::new(suspended));
        }
    }

    /// A start has found it.
    fn add(&self, info: PreparedInfo, suspended: Suspended, bereft: bool) -> Result<()> {
        let entry = Entry { info, stage: Stage::Prepared(Box::new(suspended)), bereft };
        match self.all.lock().insert(entry.info.name.clone(), entry) {
            None => Ok(()),
            Some(_) => Err(PgError::new(
                SqlState::DATA_CORRUPTED,
                "two prepared transactions have the same name",
            )),
        }
    }

    /// Takes it to end it, if `may` lets that be.
    fn take(
        &self,
        name: &str,
        may: impl FnOnce(&PreparedInfo) -> Result<()>,
    ) -> Result<(Xid, Suspended)> {
        let mut all = self.all.lock();
        let entry = all.get_mut(name).ok_or_else(|| no_such(name))?;
        match &entry.stage {
            Stage::Preparing => return Err(no_such(name)),
            Stage::Ending => {
                let message = format!("prepared transaction with identifier \"{name}\" is busy");
                return Err(PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            }
            Stage::Prepared(_) => {}
        }
        may(&entry.info)?;
        match std::mem::replace(&mut entry.stage, Stage::Ending) {
            Stage::Prepared(suspended) => Ok((entry.info.xid, *suspended)),
            Stage::Preparing | Stage::Ending => Err(no_such(name)),
        }
    }

    /// It has ended, or was not prepared after all.
    fn forget(&self, name: &str, xid: Xid) {
        self.changes.lock().retain(|(have, _)| *have != xid);
        self.all.lock().remove(name);
    }

    fn list(&self) -> Vec<PreparedInfo> {
        let all = self.all.lock();
        let prepared = all.values().filter(|e| !matches!(e.stage, Stage::Preparing));
        prepared.map(|e| e.info.clone()).collect()
    }

    /// Keeps others from committing what would be in the way of these changes.
    fn protect(&self, xid: Xid, changes: &[Change]) {
        if !changes.is_empty() {
            self.changes.lock().push((xid, changes.to_vec()));
        }
    }

    /// An error if a prepared transaction could not commit any more over this catalog, which another one is about to
    /// make. Called under the lock of commits.
    pub(crate) fn allow(&self, catalog: &Catalog, by: Xid) -> Result<()> {
        let changes = self.changes.lock();
        if changes.iter().all(|(xid, _)| *xid == by) {
            return Ok(());
        }
        let mut catalog = catalog.clone();
        let others = changes.iter().filter(|(xid, _)| *xid != by);
        others.flat_map(|(_, changes)| changes).try_for_each(|change| catalog.apply(change))
    }

    /// A commit record is about to be appended behind `lsn`.
    fn commits(&self, xid: Xid, lsn: Lsn) {
        self.committed.lock().at.insert(xid, lsn);
    }

    /// It was not.
    fn does_not_commit(&self, xid: Xid) {
        self.committed.lock().at.remove(&xid);
    }

    fn removed(&self, xid: Xid) {
        self.committed.lock().removed.push(xid);
    }

    /// From where the log must be kept on; called under the lock of commits.
    pub(crate) fn oldest(&self) -> Option<Lsn> {
        self.committed.lock().at.values().min().copied()
    }

    /// Makes the removals of files last that have happened: their commit records are not needed any more.
    pub(crate) fn settle(&self, disk: &dyn Disk) -> Result<()> {
        let removed = self.committed.lock().removed.clone();
        if removed.is_empty() {
            return Ok(());
        }
        file::sync(disk)?;
        let mut committed = self.committed.lock();
        committed.removed.retain(|xid| !removed.contains(xid));
        removed.iter().for_each(|xid| {
            committed.at.remove(xid);
        });
        Ok(())
    }
}

impl Database {
    /// The prepared transactions.
    pub fn prepared_transactions(&self) -> Vec<PreparedInfo> {
        self.prepared.list()
    }

    /// `COMMIT PREPARED`: what it wrote lasts when this returns well. `may` says whether it may be ended by who asks.
    pub fn commit_prepared(
        self: &Arc<Self>,
        name: &str,
        may: impl FnOnce(&PreparedInfo) -> Result<()>,
    ) -> Result<()> {
        let (xid, suspended) = self.prepared.take(name, may)?;
        self.prepared.commits(xid, self.wal.end());
        let txn = Transaction::resume(self, suspended);
        let lsn = match txn.commit_suspended() {
            Ok(lsn) => lsn,
            Err(e) => {
                self.prepared.does_not_commit(xid);
                self.prepared.put(name, txn.suspend());
                return Err(e);
            }
        };
        // A log that fails here ends the server: whether it has committed is for the next start to find out.
        self.wal.wait_durable(lsn)?;
        match file::remove_of(self.disk.as_ref(), xid) {
            Ok(()) => self.prepared.removed(xid),
            // The log is kept from its commit record on: the next start removes the file.
            Err(e) => tracing::warn!("transaction {xid} is committed: {e}"),
        }
        self.prepared.forget(name, xid);
        Ok(())
    }

    /// `ROLLBACK PREPARED`: it never happened when this returns well.
    pub fn rollback_prepared(
        self: &Arc<Self>,
        name: &str,
        may: impl FnOnce(&PreparedInfo) -> Result<()>,
    ) -> Result<()> {
        let (xid, suspended) = self.prepared.take(name, may)?;
        let disk = self.disk.as_ref();
        if let Err(e) = file::remove_of(disk, xid).and_then(|()| file::sync(disk)) {
            // It can still be committed: that needs no file.
            self.prepared.put(name, suspended);
            return Err(e);
        }
        Transaction::resume(self, suspended).rollback();
        self.prepared.forget(name, xid);
        Ok(())
    }
}
