//! How a transaction takes locks, and waits for those of others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use vicinity_types::{Oid, PgError, Result, SqlState};

use super::Transaction;
use super::locks::{LockKey, LockMode, blocking};
use super::relation_lock::{Attempt, RelationLock};
use super::undo::Undo;
use super::waits::{AdvisoryLock, Blockers, Waiter, Wanted};
use crate::catalog::Catalog;
use crate::mvcc::Xid;

/// How long a sleeper goes without looking whether its statement was cancelled.
const TICK: Duration = Duration::from_millis(10);
/// Who asks for a lock in passing stands in its queue no longer than this.
const LONGEST: Duration = Duration::from_secs(1);

impl Transaction {
    /// Takes a lock on a relation to the end of the transaction (or to ROLLBACK TO), waiting for it:
    /// 55P03 after `lock_timeout`, 40P01 if that would be for ever.
    #[inline]
    pub fn lock_relation(&self, relation: Oid, mode: RelationLock) -> Result<()> {
        if mode.is_weak() && self.place.held.take(&self.place.db.core.relations, relation, mode) {
            return Ok(());
        }
        self.lock_relation_in_table(relation, mode, None).map(drop)
    }

    /// Locks a table that the running statement has not named (a partition, the table of a foreign key) and knows as it
    /// is in a catalog: 40001 if it has changed in the meantime.
    pub fn lock_unchanged(&self, table: Oid, mode: RelationLock, known: &Catalog) -> Result<()> {
        self.lock_relation(table, mode)?;
        let now = self.catalog();
        if now.version() == known.version() {
            return Ok(());
        }
        let relation = |catalog: &Catalog| catalog.relation(table).map(Arc::as_ptr);
        let triggers =
            |catalog: &Catalog| -> Vec<_> { catalog.triggers_of(table).map(Arc::as_ptr).collect() };
        let same = relation(known) == relation(&now) && triggers(known) == triggers(&now);
        if same { Ok(()) } else { Err(self.changed_meanwhile(table)) }
    }

    /// The error (40001) of a statement that knows a table as it no longer is.
    pub(super) fn changed_meanwhile(&self, table: Oid) -> PgError {
        let catalog = self.catalog();
        let name = catalog.relation(table).map_or_else(String::new, |r| format!(" \"{}\"", r.name));
        PgError::new(
            SqlState::SERIALIZATION_FAILURE,
            format!("could not serialize access due to concurrent change of relation{name}"),
        )
    }

    /// The same without waiting; whether it has the lock now.
    pub fn try_lock_relation(&self, relation: Oid, mode: RelationLock) -> Result<bool> {
        if mode.is_weak() && self.place.held.take(&self.place.db.core.relations, relation, mode) {
            return Ok(true);
        }
        self.lock_relation_in_table(relation, mode, Some(Duration::ZERO))
    }

    /// The same with nobody waiting behind us for long. Who asks for a lock that conflicts stands in the queue behind
    /// us as long as others keep us waiting. So we leave it after a moment, and come again when those have ended; each
    /// time for longer, if there is always somebody.
    pub(crate) fn lock_relation_in_passing(&self, relation: Oid, mode: RelationLock) -> Result<()> {
        let (locks, held) = (&self.place.db.core.relations, &*self.place.held);
        let began = Instant::now();
        let mut patience = TICK;
        while !self.lock_relation_in_table(relation, mode, Some(patience))? {
            let older = locks.in_the_way(held, relation, mode);
            loop {
                let mut left = locks.in_the_way(held, relation, mode);
                left.retain(|owner| older.contains(owner));
                if left.is_empty() {
                    break;
                }
                let wanted = Wanted::Relation(relation, mode);
                self.sleep(began, wanted, (&left, false), || locks.sleep(TICK))?;
            }
            patience = LONGEST.min(patience * 2);
        }
        Ok(())
    }

    fn lock_relation_in_table(
        &self,
        relation: Oid,
        mode: RelationLock,
        patience: Option<Duration>,
    ) -> Result<bool> {
        let (locks, held) = (&self.place.db.core.relations, &*self.place.held);
        locks.announce(relation, mode);
        let outcome = self.wait_in_queue(relation, mode, patience);
        match outcome {
            Ok(Some(true)) => {
                held.set_elsewhere(true);
                let mut inner = self.inner.lock();
                inner.relations.push((relation, mode));
                inner.undo.push(Undo::RelationLock(relation, mode));
            }
            Ok(Some(false)) => locks.had(relation, mode),
            Ok(None) | Err(_) => locks.give_up(held, relation, mode),
        }
        Ok(outcome?.is_some())
    }

    /// Whether the lock is new; `None` if it cannot be had with so much patience.
    fn wait_in_queue(
        &self,
        relation: Oid,
        mode: RelationLock,
        patience: Option<Duration>,
    ) -> Result<Option<bool>> {
        let (locks, held) = (&self.place.db.core.relations, &*self.place.held);
        let began = Instant::now();
        let mut jump = false;
        loop {
            let (by, queued) = match locks.attempt(held, relation, mode, jump) {
                Attempt::Granted(new) => return Ok(Some(new)),
                Attempt::Blocked { .. } if patience.is_some_and(|p| began.elapsed() >= p) => {
                    return Ok(None);
                }
                Attempt::Blocked { by, queued } => (by, queued),
            };
            let wanted = Wanted::Relation(relation, mode);
            jump |= self.sleep(began, wanted, (&by, queued), || locks.sleep(TICK))?;
        }
    }

    /// Gives back the locks on relations: the transaction has ended.
    pub(super) fn unlock_relations(&self) {
        let (locks, held) = (&self.place.db.core.relations, &*self.place.held);
        held.release_to(0);
        if held.elsewhere() {
            let taken = std::mem::take(&mut self.inner.lock().relations);
            for (relation, mode) in taken {
                locks.release(held, relation, mode);
            }
            held.set_elsewhere(false);
        }
        locks.wake();
    }

    /// Takes a row's lock that lasts to the end of the transaction (or to ROLLBACK TO) if it can be
    /// had at once; else says whose transaction stands in the way.
    pub(crate) fn try_lock(&self, key: LockKey, mode: LockMode) -> Result<Result<(), Xid>> {
        let mut inner = self.inner.lock();
        let xid = self.assign_xid_locked()?;
        Ok(self.place.db.core.locks.acquire(key, mode, xid).map(|new| {
            if new {
                inner.locks.push(key);
                inner.undo.push(Undo::Lock(key));
            }
        }))
    }

    /// Waits until another transaction has ended, or a moment at least: look again afterwards.
    pub(crate) fn wait_for(&self, blocker: Xid) -> Result<()> {
        let clock = &self.place.db.core.clock;
        let Some(owner) = clock.owner(blocker) else { return Ok(()) };
        let began = {
            let mut c = self.control.lock();
            let cid = self.cid.load(Ordering::Relaxed);
            let since = match c.waiting {
                Some((xid, by, since)) if (xid, by) == (blocker, cid) => since,
                _ => Instant::now(),
            };
            c.waiting = Some((blocker, cid, since));
            since
        };
        // Row locks go at ROLLBACK TO too, which ends no transaction: look again now and then.
        let look_again = Instant::now() + Duration::from_millis(100);
        while clock.is_running(blocker) && Instant::now() < look_again {
            let by = Blockers::from_elem(owner, 1);
            let wanted = Wanted::Transaction(blocker);
            self.sleep(began, wanted, (&by, false), || clock.wait_end(blocker, TICK))?;
        }
        Ok(())
    }

    /// Waits a moment for an advisory lock that other processes have: look again afterwards.
    pub fn wait_for_processes(
        &self,
        began: Instant,
        lock: AdvisoryLock,
        pids: &[i32],
    ) -> Result<()> {
        let by = self.place.db.core.waits.of_processes(pids);
        let wanted = Wanted::Advisory(lock);
        self.sleep(began, wanted, (&by, false), || std::thread::sleep(TICK)).map(drop)
    }

    /// One nap of a wait that began a while ago, for some who may only be `queued` before us: whether these need not be
    /// waited for any more. An error if the wait would be for ever (40P01), takes too long (55P03) or was cancelled
    /// (57014).
    fn sleep(
        &self,
        began: Instant,
        wanted: Wanted,
        (by, queued): (&Blockers, bool),
        nap: impl Fn(),
    ) -> Result<bool> {
        let (pid, timeout, interrupt) = {
            let c = self.control.lock();
            (c.pid, c.lock_timeout, c.interrupt.clone())
        };
        let waits = &self.place.db.core.waits;
        if waits.enter(Waiter { owner: self.owner, pid, wanted, queued }, by)? {
            return Ok(true);
        }
        blocking(&nap);
        let passes = waits.leave(self.owner);
        interrupt.map_or(Ok(()), |check| check())?;
        if timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
            return Err(PgError::new(
                SqlState::LOCK_NOT_AVAILABLE,
                "canceling statement due to lock timeout",
            ));
        }
        Ok(passes)
    }
}
