//! Transaction ids, commit timestamps, and which snapshots are still looking.
//!
//! A version carries its transaction's id until the transaction has committed and stamped it. In
//! between, the id leads to the transaction's *slot* (id modulo the number of slots), which says
//! whether it runs or when it committed. So a commit becomes visible by two stores, however many
//! rows it wrote; the stamps follow without any lock:
//!
//! ```text
//!  commit:  slot.commit = ts  ->  now = ts  ->  stamp every version  ->  slot free
//!  reader:  stamp < UNCOMMITTED ? it is the timestamp
//!           slot.xid == id ? running, or committed at slot.commit
//!           otherwise read the stamp again: it is a timestamp now, or the transaction rolled back
//! ```
//!
//! A slot is taken only when free, so an id that finds itself in its slot is the one running there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use vicinity_indexes::Apart;
use vicinity_types::{PgError, Result, SqlState};

use super::Xid;
use super::version::{UNCOMMITTED, VersionRef};
use crate::cold::Cold;
use crate::txn::serializable::Serializable;
use crate::txn::waits::Owner;

/// At most this many transactions write at once.
const SLOTS: usize = 8192;
/// At most this many transactions hold a snapshot at once.
const SNAPSHOTS: usize = 16384;
/// A slot being handed over.
const RESERVED: u64 = u64::MAX;
/// A snapshot slot nobody uses.
const IDLE: u64 = u64::MAX;

/// A running transaction, as others find it.
#[repr(align(64))]
struct TxnSlot {
    xid: AtomicU64,
    /// 0 while it runs, then its commit timestamp.
    commit: AtomicU64,
    /// Who it is to those who wait for it.
    owner: AtomicU64,
    waiters: AtomicU32,
    gate: Mutex<()>,
    ended: Condvar,
}

#[repr(align(64))]
struct SnapSlot {
    /// The oldest timestamp in use, or [`IDLE`].
    ts: AtomicU64,
    /// Cursors that read with this slot's snapshots, and 1 for the transaction itself.
    users: AtomicU32,
}

/// What became of the maker of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    Committed(u64),
    Running(Xid),
    Aborted,
}

enum Status {
    Running,
    Committed(u64),
    Gone,
}

/// Time, as transactions see it.
pub(crate) struct Clock {
    now: Apart<AtomicU64>,
    next_xid: Apart<AtomicU64>,
    slots: Box<[TxnSlot]>,
    snapshots: Box<[SnapSlot]>,
    free_snapshots: Mutex<Vec<u32>>,
    /// Snapshot slots ever used are below this.
    snapshots_end: AtomicU32,
    horizon: Apart<AtomicU64>,
    /// Rows out of memory: some left before they were stamped.
    cold: Option<Arc<Cold>>,
    /// Transactions at SERIALIZABLE.
    pub(crate) serializable: Serializable,
}

impl Clock {
    /// Timestamp 1 is "before everything": restored rows carry it.
    pub(crate) fn new(next_xid: Xid, cold: Option<Arc<Cold>>) -> Clock {
        let slot = || TxnSlot {
            xid: AtomicU64::new(0),
            commit: AtomicU64::new(0),
            owner: AtomicU64::new(0),
            waiters: AtomicU32::new(0),
            gate: Mutex::new(()),
            ended: Condvar::new(),
        };
        let snap = || SnapSlot { ts: AtomicU64::new(IDLE), users: AtomicU32::new(0) };
        Clock {
            now: Apart(AtomicU64::new(1)),
            next_xid: Apart(AtomicU64::new(next_xid.max(1))),
            slots: (0..SLOTS).map(|_| slot()).collect(),
            snapshots: (0..SNAPSHOTS).map(|_| snap()).collect(),
            free_snapshots: Mutex::new((0..SNAPSHOTS as u32).rev().collect()),
            snapshots_end: AtomicU32::new(0),
            horizon: Apart(AtomicU64::new(1)),
            cold,
            serializable: Serializable::new(SNAPSHOTS),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    /// The id the next writer gets, for `txid_current` and friends.
    pub(crate) fn next_xid(&self) -> Xid {
        self.next_xid.load(Ordering::Relaxed)
    }

    #[inline]
    fn slot(&self, xid: Xid) -> Option<&TxnSlot> {
        self.slots.get((xid as usize) % SLOTS)
    }

    /// A fresh id and its slot.
    pub(crate) fn start(&self, owner: Owner) -> Result<Xid> {
        for _ in 0..SLOTS {
            let xid = self.next_xid.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = self.slot(xid) else { continue };
            let claimed =
                slot.xid.compare_exchange(0, RESERVED, Ordering::AcqRel, Ordering::Relaxed);
            if claimed.is_ok() {
                slot.commit.store(0, Ordering::Release);
                slot.owner.store(owner, Ordering::Release);
                slot.xid.store(xid, Ordering::Release);
                return Ok(xid);
            }
        }
        Err(PgError::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, "too many transactions at once"))
    }

    /// Recovery: a transaction of before runs again.
    pub(crate) fn resume(&self, xid: Xid, owner: Owner) -> Result<()> {
        let taken = || PgError::internal("two transactions have one place");
        let slot = self.slot(xid).ok_or_else(taken)?;
        slot.xid
            .compare_exchange(0, RESERVED, Ordering::AcqRel, Ordering::Relaxed)
            .map_err(|_| taken())?;
        slot.commit.store(0, Ordering::Release);
        slot.owner.store(owner, Ordering::Release);
        slot.xid.store(xid, Ordering::Release);
        Ok(())
    }

    /// Makes the transaction's work visible to snapshots taken from now on. The caller holds the
    /// commit lock. Returns the timestamp its versions are to be stamped with.
    pub(crate) fn publish(&self, xid: Xid) -> u64 {
        let ts = self.now.load(Ordering::Relaxed) + 1;
        if let Some(slot) = self.slot(xid) {
            slot.commit.store(ts, Ordering::Release);
        }
        self.now.store(ts, Ordering::SeqCst);
        if ts.is_multiple_of(16) {
            // Writers prune by the recent horizon: keep it near.
            self.horizon();
        }
        ts
    }

    /// Wakes who waits for a transaction that has committed or rolled back.
    pub(crate) fn wake(&self, xid: Xid) {
        let Some(slot) = self.slot(xid) else { return };
        if slot.waiters.load(Ordering::SeqCst) > 0 {
            let _held = slot.gate.lock();
            slot.ended.notify_all();
        }
    }

    /// Frees the slot: every version is stamped, with `ts`, or unlinked.
    pub(crate) fn finish(&self, xid: Xid, ts: Option<u64>) {
        if let Some(cold) = &self.cold {
            cold.settle(xid, ts);
        }
        if let Some(slot) = self.slot(xid) {
            slot.xid.store(0, Ordering::SeqCst);
        }
        self.wake(xid);
    }

    #[inline]
    fn status(&self, xid: Xid) -> Status {
        let Some(slot) = self.slot(xid) else { return Status::Gone };
        if slot.xid.load(Ordering::Acquire) != xid {
            return Status::Gone;
        }
        let commit = slot.commit.load(Ordering::Acquire);
        // Reading a later owner's `commit` would make this second look see the later owner.
        if slot.xid.load(Ordering::Acquire) != xid {
            return Status::Gone;
        }
        if commit == 0 { Status::Running } else { Status::Committed(commit) }
    }

    /// Whether a transaction has neither committed nor rolled back.
    pub(crate) fn is_running(&self, xid: Xid) -> bool {
        matches!(self.status(xid), Status::Running)
    }

    /// All transactions with an id that run, and whose they are.
    pub(crate) fn running(&self) -> Vec<(Xid, Owner)> {
        let xids = self.slots.iter().map(|s| s.xid.load(Ordering::Acquire));
        let busy = xids.filter(|xid| *xid != 0 && *xid != RESERVED);
        busy.filter_map(|xid| Some((xid, self.owner(xid)?))).collect()
    }

    /// Whose a running transaction is.
    pub(crate) fn owner(&self, xid: Xid) -> Option<Owner> {
        let slot = self.slot(xid)?;
        let owner = slot.owner.load(Ordering::Acquire);
        self.is_running(xid).then_some(owner)
    }

    /// Sleeps until the transaction ends or the time is over.
    pub(crate) fn wait_end(&self, xid: Xid, at_most: Duration) {
        let Some(slot) = self.slot(xid) else { return };
        let mut held = slot.gate.lock();
        slot.waiters.fetch_add(1, Ordering::SeqCst);
        if self.is_running(xid) {
            slot.ended.wait_for(&mut held, at_most);
        }
        slot.waiters.fetch_sub(1, Ordering::SeqCst);
    }

    /// Who made a version, and whether it counts.
    #[inline]
    pub(crate) fn resolve(&self, v: VersionRef<'_>) -> Stamp {
        let stamp = v.stamp();
        if stamp & UNCOMMITTED == 0 { Stamp::Committed(stamp) } else { self.resolve_slow(v, stamp) }
    }

    fn resolve_slow(&self, v: VersionRef<'_>, mut stamp: u64) -> Stamp {
        loop {
            let xid = stamp & !UNCOMMITTED;
            match self.status(xid) {
                Status::Running => return Stamp::Running(xid),
                Status::Committed(ts) => return Stamp::Committed(ts),
                Status::Gone => {}
            }
            let again = v.stamp();
            if again & UNCOMMITTED == 0 {
                return Stamp::Committed(again);
            }
            if again == stamp {
                let Some(ts) = self.cold.as_ref().and_then(|cold| cold.stamp(xid)) else {
                    return Stamp::Aborted;
                };
                v.set_stamp(ts);
                return Stamp::Committed(ts);
            }
            stamp = again;
        }
    }

    /// A place for a transaction's snapshots.
    pub(crate) fn open_snapshots(&self) -> Result<u32> {
        let slot = self.free_snapshots.lock().pop().ok_or_else(|| {
            PgError::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, "too many transactions at once")
        })?;
        self.snapshots_end.fetch_max(slot + 1, Ordering::SeqCst);
        if let Some(s) = self.snapshots.get(slot as usize) {
            s.users.store(1, Ordering::SeqCst);
        }
        Ok(slot)
    }

    /// Takes the present as a snapshot and keeps its versions alive. While a cursor reads with an
    /// older snapshot of the same slot, the older one stays the one that counts.
    pub(crate) fn take(&self, slot: u32) -> u64 {
        let Some(s) = self.snapshots.get(slot as usize) else { return self.now() };
        let alone = s.users.load(Ordering::SeqCst) <= 1;
        if alone || s.ts.load(Ordering::Relaxed) == IDLE {
            // First "everything", then the exact one: the horizon never passes us in between.
            s.ts.store(0, Ordering::SeqCst);
            let ts = self.now();
            s.ts.store(ts, Ordering::SeqCst);
            ts
        } else {
            self.now()
        }
    }

    /// Forgets the snapshot between statements, unless a cursor still reads with it.
    pub(crate) fn idle(&self, slot: u32) {
        if let Some(s) = self.snapshots.get(slot as usize)
            && s.users.load(Ordering::SeqCst) <= 1
        {
            s.ts.store(IDLE, Ordering::SeqCst);
        }
    }

    /// A cursor begins to use the slot's snapshot.
    pub(crate) fn share(&self, slot: u32) {
        if let Some(s) = self.snapshots.get(slot as usize) {
            s.users.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A cursor or the transaction itself is done with the slot.
    pub(crate) fn close_snapshots(&self, slot: u32) {
        let Some(s) = self.snapshots.get(slot as usize) else { return };
        if s.users.fetch_sub(1, Ordering::SeqCst) == 1 {
            s.ts.store(IDLE, Ordering::SeqCst);
            self.free_snapshots.lock().push(slot);
        }
    }

    /// Every snapshot in use, and every one to come, sees what committed at or before this.
    pub(crate) fn horizon(&self) -> u64 {
        let mut oldest = self.now();
        let end = self.snapshots_end.load(Ordering::SeqCst) as usize;
        for s in self.snapshots.iter().take(end) {
            oldest = oldest.min(s.ts.load(Ordering::SeqCst));
        }
        self.horizon.fetch_max(oldest, Ordering::Relaxed);
        oldest
    }

    /// The last computed horizon: never too new.
    pub(crate) fn recent_horizon(&self) -> u64 {
        self.horizon.load(Ordering::Relaxed)
    }
}
