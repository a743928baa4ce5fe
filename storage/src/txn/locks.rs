//! Locks on rows, and on names of new objects, that last to the end of a transaction.
//!
//! Nobody waits *in* this table: who finds a lock taken waits for its holder's transaction to end
//! and tries again.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::mvcc::{RowId, Xid};
use hashbrown::HashMap;
use parking_lot::Mutex;
use smallvec::SmallVec;

/// How a lock excludes others, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    /// `FOR KEY SHARE`: as shared, but a row's writers may go on that leave its keys alone.
    KeyShare,
    /// `FOR SHARE`: with other shared ones.
    Shared,
    /// `FOR NO KEY UPDATE`: beside those of the key alone.
    NoKeyExclusive,
    /// `FOR UPDATE`: alone.
    Exclusive,
}

impl LockMode {
    /// Whether two transactions cannot have a row so at once.
    fn conflicts(self, other: LockMode) -> bool {
        match self.max(other) {
            LockMode::Exclusive => true,
            LockMode::NoKeyExclusive => self.min(other) != LockMode::KeyShare,
            LockMode::Shared | LockMode::KeyShare => false,
        }
    }
}

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LockKey {
    /// `SELECT ... FOR UPDATE/SHARE`: the storage and its row.
    Row(u64, RowId),
    /// A name that an object gets, hashed: nobody else gives it before it is known whether it stays.
    Name(u64),
}

impl LockKey {
    fn is_row(self) -> bool {
        matches!(self, LockKey::Row(..))
    }
}

type Holders = SmallVec<[(Xid, LockMode); 2]>;

const SHARDS: usize = 16;

/// All locks, and who waits.
pub(crate) struct Locks {
    shards: [Mutex<HashMap<LockKey, Holders>>; SHARDS],
    /// Row locks held, so that writers of unlocked tables look no further.
    row_locks: AtomicU64,
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

impl Locks {
    pub(crate) fn new() -> Locks {
        Locks {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            row_locks: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: &LockKey) -> Option<&Mutex<HashMap<LockKey, Holders>>> {
        let (LockKey::Row(_, number) | LockKey::Name(number)) = *key;
        self.shards.get((number as usize) % SHARDS)
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
        if key.is_row() {
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

    /// How a transaction has it locked.
    pub(crate) fn mode(&self, key: LockKey, xid: Xid) -> Option<LockMode> {
        let map = self.shard(&key)?.lock();
        map.get(&key)?.iter().find(|(x, _)| *x == xid).map(|(_, mode)| *mode)
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
        if released && key.is_row() {
            self.row_locks.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn blocker(holders: &Holders, mode: LockMode, xid: Xid) -> Option<Xid> {
    holders.iter().find(|(x, have)| *x != xid && mode.conflicts(*have)).map(|(x, _)| *x)
}
