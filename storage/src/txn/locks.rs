//! Locks that last to the end of a transaction, and waiting for other transactions.
//!
//! Nobody waits *in* this table: who finds a lock taken waits for its holder's transaction to end
//! and tries again. So all waiting is a transaction waiting for a transaction, and one map of who
//! waits for whom is enough to find deadlocks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::mvcc::clock::Clock;
use crate::mvcc::{RowId, Xid};

/// How a lock excludes others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    /// `FOR KEY SHARE`: as shared, but a row's writers may go on that leave its keys alone.
    KeyShare,
    /// With other shared ones.
    Shared,
    /// Alone.
    Exclusive,
}

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LockKey {
    /// Writers of a table share it, DDL on the table has it alone. Readers need none.
    Table(Oid),
    /// `SELECT ... FOR UPDATE/SHARE`: the storage and its row.
    Row(u64, RowId),
}

type Holders = SmallVec<[(Xid, LockMode); 2]>;

const SHARDS: usize = 16;

/// All locks, and who waits.
pub(crate) struct Locks {
    shards: [Mutex<HashMap<LockKey, Holders>>; SHARDS],
    waits: Mutex<HashMap<Xid, Edge>>,
    /// Row locks held, so that writers of unlocked tables look no further.
    row_locks: AtomicU64,
}

struct Edge {
    blocker: Xid,
    pid: i32,
}

/// Wraps blocking waits, so that an async runtime can move its other tasks away.
pub type WaitHook = fn(&mut dyn FnMut());

static HOOK: OnceLock<WaitHook> = OnceLock::new();

/// Sets the hook, once per process; `false` if there was one.
pub fn set_wait_hook(hook: WaitHook) -> bool {
    HOOK.set(hook).is_ok()
}

/// Runs something that may block, inside the hook.
pub fn blocking(mut work: impl FnMut()) {
    match HOOK.get() {
        Some(hook) => hook(&mut work),
        None => work(),
    }
}

/// Who waits, and how long it may.
pub(crate) struct Waiter<'a> {
    pub(crate) xid: Xid,
    pub(crate) pid: i32,
    /// When `lock_timeout` is over.
    pub(crate) deadline: Option<Instant>,
    /// An error once the statement was cancelled.
    pub(crate) interrupted: &'a dyn Fn() -> Result<()>,
}

impl Locks {
    pub(crate) fn new() -> Locks {
        Locks {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            waits: Mutex::new(HashMap::new()),
            row_locks: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: &LockKey) -> Option<&Mutex<HashMap<LockKey, Holders>>> {
        let n = match *key {
            LockKey::Table(oid) => u64::from(oid),
            LockKey::Row(_, row) => row,
        };
        self.shards.get((n as usize) % SHARDS)
    }

    /// Takes the lock; the id of a transaction that stands in the way if it cannot be had now.
    pub(crate) fn acquire(&self, key: LockKey, mode: LockMode, xid: Xid) -> Result<bool, Xid> {
        let Some(shard) = self.shard(&key) else { return Ok(false) };
        let mut map = shard.lock();
        let holders = map.entry(key).or_default();
        if let Some(blocker) = blocker(holders, mode, xid) {
            return Err(blocker);
        }
        if let Some(mine) = holders.iter_mut().find(|(x, _)| *x == xid) {
            mine.1 = mine.1.max(mode);
            return Ok(false);
        }
        holders.push((xid, mode));
        if matches!(key, LockKey::Row(..)) {
            self.row_locks.fetch_add(1, Ordering::SeqCst);
        }
        Ok(true)
    }

    /// Who holds a row lock that forbids this transaction to write the row. Holders of the key alone
    /// mind only if `keeps_key` says that the write does not keep it.
    pub(crate) fn row_blocker(
        &self,
        store: u64,
        row: RowId,
        xid: Xid,
        keeps_key: &dyn Fn() -> bool,
    ) -> Option<Xid> {
        if self.row_locks.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let key = LockKey::Row(store, row);
        let held: Holders = self.shard(&key)?.lock().get(&key)?.clone();
        let others = || held.iter().filter(|(x, _)| *x != xid);
        let strong = others().find(|(_, mode)| *mode != LockMode::KeyShare);
        strong.or_else(|| others().next().filter(|_| !keeps_key())).map(|(x, _)| *x)
    }

    /// Gives a lock back.
    pub(crate) fn release(&self, key: LockKey, xid: Xid) {
        let Some(shard) = self.shard(&key) else { return };
        let mut map = shard.lock();
        let Some(holders) = map.get_mut(&key) else { return };
        let before = holders.len();
        holders.retain(|(x, _)| *x != xid);
        let released = before != holders.len();
        if holders.is_empty() {
            map.remove(&key);
        }
        if released && matches!(key, LockKey::Row(..)) {
            self.row_locks.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits until `blocker` ends, or a moment at least: the caller looks again. An error if that
    /// would be forever (40P01), takes too long (55P03) or was cancelled (57014).
    pub(crate) fn wait(&self, clock: &Clock, who: &Waiter<'_>, blocker: Xid) -> Result<()> {
        self.enter(who, blocker)?;
        let mut outcome = Ok(());
        blocking(|| outcome = self.sleep(clock, who, blocker));
        self.waits.lock().remove(&who.xid);
        outcome
    }

    fn sleep(&self, clock: &Clock, who: &Waiter<'_>, blocker: Xid) -> Result<()> {
        let start = Instant::now();
        // Row locks go at ROLLBACK TO too, which ends no transaction: look again now and then.
        let look_again = Duration::from_millis(100);
        while clock.is_running(blocker) && start.elapsed() < look_again {
            (who.interrupted)()?;
            let now = Instant::now();
            if who.deadline.is_some_and(|deadline| now >= deadline) {
                return Err(PgError::new(
                    SqlState::LOCK_NOT_AVAILABLE,
                    "canceling statement due to lock timeout",
                ));
            }
            let tick = Duration::from_millis(10);
            let left = who.deadline.map_or(tick, |deadline| deadline.duration_since(now));
            clock.wait_end(blocker, left.min(tick));
        }
        Ok(())
    }

    /// Notes who waits for whom, unless that closes a circle.
    fn enter(&self, who: &Waiter<'_>, blocker: Xid) -> Result<()> {
        let mut waits = self.waits.lock();
        let mut circle = vec![(who.pid, blocker)];
        let mut at = blocker;
        while let Some(edge) = waits.get(&at) {
            circle.push((edge.pid, edge.blocker));
            if edge.blocker == who.xid {
                return Err(deadlock(&circle));
            }
            // The map holds no circle without us, so this ends; the limit is for a stale edge.
            if circle.len() > waits.len() + 1 {
                break;
            }
            at = edge.blocker;
        }
        waits.insert(who.xid, Edge { blocker, pid: who.pid });
        Ok(())
    }
}

fn blocker(holders: &Holders, mode: LockMode, xid: Xid) -> Option<Xid> {
    let conflicts = |have: LockMode| have == LockMode::Exclusive || mode == LockMode::Exclusive;
    holders.iter().find(|(x, have)| *x != xid && conflicts(*have)).map(|(x, _)| *x)
}

fn deadlock(circle: &[(i32, Xid)]) -> PgError {
    let mut lines = Vec::with_capacity(circle.len());
    for (i, (pid, xid)) in circle.iter().enumerate() {
        let next = circle.get((i + 1) % circle.len()).map_or(0, |(pid, _)| *pid);
        lines.push(format!(
            "Process {pid} waits for ShareLock on transaction {xid}; blocked by process {next}."
        ));
    }
    PgError::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
        .detail(lines.join("\n"))
        .hint("See server log for query details.")
}
