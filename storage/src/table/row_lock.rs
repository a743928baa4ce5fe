//! `SELECT ... FOR UPDATE` and `FOR SHARE`.

use crossbeam_epoch::Guard;
use vicinity_types::{PgError, Result, SqlState};

use super::Table;
use super::error::{concurrent_delete, concurrent_update};
use super::write::{Obstacle, Write};
use crate::mvcc::clock::Stamp;
use crate::mvcc::version::VersionRef;
use crate::mvcc::{RowId, Snapshot, Xid, pin};
use crate::txn::Transaction;
use crate::txn::locks::{LockKey, LockMode};

/// What to do about a row somebody else has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockWait {
    /// Wait for them.
    #[default]
    Block,
    /// `NOWAIT`: an error (55P03).
    NoWait,
    /// `SKIP LOCKED`
    Skip,
}

/// What became of a row to be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockOutcome {
    /// Ours until the transaction ends.
    Locked,
    /// Another transaction committed a newer version: look again with a newer snapshot.
    Concurrent,
    /// The row was deleted.
    Gone,
    /// Somebody else has it, and we do not wait.
    Skipped,
}

impl Table {
    /// Who is writing a row in a way that the lock must wait for: whoever it is, but for the key
    /// alone those who delete the row or change a key.
    fn writer_of(
        &self,
        head: VersionRef<'_>,
        xid: Xid,
        mode: LockMode,
        guard: &Guard,
    ) -> Option<Xid> {
        let mut at = Some(head);
        while let Some(v) = at {
            let Stamp::Running(x) = self.core.clock.resolve(v) else { return None };
            if x == xid {
                return None;
            }
            let older = v.older(guard);
            let keeps = || older.is_some_and(|o| self.keeps_keys(o, v.bytes()));
            if mode != LockMode::KeyShare || v.is_tombstone() || (v.keys_changed() && !keeps()) {
                return Some(x);
            }
            at = older;
        }
        None
    }

    /// Whether a row has committed versions newer than the snapshot, and none that goes, or changes a key: who wants the
    /// key alone has it.
    fn keys_stay(&self, head: Option<VersionRef<'_>>, snapshot: &Snapshot, guard: &Guard) -> bool {
        let (mut at, mut newer) = (head, false);
        while let Some(v) = at {
            match self.core.clock.resolve(v) {
                Stamp::Committed(ts) if ts <= snapshot.ts => return newer,
                Stamp::Committed(_) => newer = true,
                _ => return false,
            }
            let older = v.older(guard);
            let keeps = || older.is_some_and(|o| self.keeps_keys(o, v.bytes()));
            if v.is_tombstone() || (v.keys_changed() && !keeps()) {
                return false;
            }
            at = older;
        }
        false
    }

    /// Locks a row that the snapshot sees against others' writes (and, exclusively, their locks).
    pub fn lock_row(
        &self,
        txn: &Transaction,
        snapshot: &Snapshot,
        row: RowId,
        mode: LockMode,
        wait: LockWait,
    ) -> Result<LockOutcome> {
        self.take_row_lock(txn, snapshot, row, (mode, wait), false)
    }

    /// The same for who is about to change the row, and will wait.
    pub fn lock_row_to_write(
        &self,
        txn: &Transaction,
        snapshot: &Snapshot,
        row: RowId,
        mode: LockMode,
    ) -> Result<LockOutcome> {
        self.take_row_lock(txn, snapshot, row, (mode, LockWait::Block), true)
    }

    fn take_row_lock(
        &self,
        txn: &Transaction,
        snapshot: &Snapshot,
        row: RowId,
        (mode, wait): (LockMode, LockWait),
        to_write: bool,
    ) -> Result<LockOutcome> {
        let xid = txn.assign_xid()?;
        let key = LockKey::Row(self.store.id, row);
        loop {
            let obstacle = {
                let guard = pin();
                let lock = self.store.rows.lock(row);
                let keeps = |_: VersionRef<'_>| mode == LockMode::KeyShare;
                let head = lock.head(&guard)?;
                let obstacle =
                    if mode == LockMode::KeyShare && self.keys_stay(head, snapshot, &guard) {
                        None
                    } else {
                        match self.obstacle(txn, snapshot, xid, &lock, row, &guard, &keeps)? {
                            // A shared holder does not stop us from sharing.
                            Ok(_) | Err(Obstacle::Answer(Write::AlreadyMine | Write::Done)) => None,
                            Err(Obstacle::Wait(_)) if mode != LockMode::Exclusive => head
                                .and_then(|h| self.writer_of(h, xid, mode, &guard))
                                .map(Obstacle::Wait),
                            Err(obstacle) => Some(obstacle),
                        }
                    };
                match obstacle {
                    Some(obstacle) => obstacle,
                    None => match txn.try_lock(key, mode)? {
                        Ok(()) => return Ok(LockOutcome::Locked),
                        Err(blocker) => Obstacle::Wait(blocker),
                    },
                }
            };
            match obstacle {
                Obstacle::Answer(Write::Concurrent) => return Ok(LockOutcome::Concurrent),
                Obstacle::Answer(_) => return Ok(LockOutcome::Gone),
                Obstacle::Again => std::thread::yield_now(),
                // To who does no more than lock it, a row that is gone is one that was changed.
                Obstacle::Behind { gone: true } if to_write => return Err(concurrent_delete()),
                Obstacle::Behind { .. } => return Err(concurrent_update()),
                Obstacle::Wait(_) if wait == LockWait::Skip => return Ok(LockOutcome::Skipped),
                Obstacle::Wait(_) if wait == LockWait::NoWait => {
                    let name = &self.relation().name;
                    return Err(PgError::new(
                        SqlState::LOCK_NOT_AVAILABLE,
                        format!("could not obtain lock on row in relation \"{name}\""),
                    ));
                }
                Obstacle::Wait(blocker) => {
                    txn.wait_for(blocker).map_err(|e| self.while_doing(e, "locking", row))?;
                }
            }
        }
    }
}
