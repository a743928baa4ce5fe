//! Locks on relations: PostgreSQL's eight modes, and a short way for the weak ones.
//!
//! Every statement locks the relations it reads and writes to the end of its transaction, so that
//! nobody drops or rewrites them under it. Statements that only read and write rows never stand in
//! each other's way, and there are a hundred thousand of them a second: their locks (ACCESS SHARE,
//! ROW SHARE, ROW EXCLUSIVE: the *weak* modes) are a word in a place of the session's own ([`Held`]),
//! which nobody looks at as long as nobody wants a lock that excludes weak ones (a *strong* mode,
//! SHARE and above).
//!
//! ```text
//!  weak:    slot = lock          strong:  strong[relation] += 1
//!           strong[relation]?             look at all slots
//!           0: it is held                 one conflicts: wait until it is gone
//!           else: take it back,           none: it is held, in the table of locks
//!           go to the table
//! ```
//!
//! Both sides write first and then look, each in the one order of `SeqCst`: of two that conflict at
//! least one sees the other. If the weak one sees the strong one, it takes its word back and goes to
//! the table, behind a mutex, where the strong one is a holder or in the queue. If the strong one
//! sees the weak one, it waits. If both see each other the strong one meets a word that is about to
//! vanish, and looks again. A counter serves all relations of the same number modulo its table's
//! size, so that a stranger's strong lock costs a way through the table of locks and nothing else.
//! SHARE UPDATE EXCLUSIVE conflicts with no weak mode: it lives in the table and counts as neither.
//!
//! Who waits in the table stands in a queue: a later request waits behind an earlier one it conflicts
//! with, so that a stream of readers does not starve a DROP TABLE. It does not if the earlier waits
//! for locks of the later one's own transaction, or if waiting behind it would be a deadlock: whoever finds a circle lets
//! somebody pass who only stands in a queue, before it takes it for a deadlock ([`Waits::enter`]).
//!
//! [`Waits::enter`]: super::waits::Waits::enter

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::{Condvar, Mutex};
use smallvec::SmallVec;
use vicinity_types::Oid;

use super::waits::{Blockers, Owner};
use crate::mvcc::Xid;

/// A mode of `LOCK TABLE`, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RelationLock {
    /// What reads take.
    AccessShare = 1,
    /// `SELECT FOR UPDATE` and its kin.
    RowShare,
    /// INSERT, UPDATE, DELETE.
    RowExclusive,
    /// VACUUM, ANALYZE, CREATE INDEX CONCURRENTLY: one at a time.
    ShareUpdateExclusive,
    /// CREATE INDEX: no writers.
    Share,
    /// CREATE TRIGGER, foreign keys: no writers, one at a time.
    ShareRowExclusive,
    /// Readers only beside it.
    Exclusive,
    /// DROP TABLE, TRUNCATE, most of ALTER TABLE: alone.
    AccessExclusive,
}

use RelationLock::{
    AccessExclusive, AccessShare, Exclusive, RowExclusive, RowShare, Share, ShareRowExclusive,
    ShareUpdateExclusive,
};

impl RelationLock {
    /// All of them, weakest first.
    pub const ALL: [RelationLock; 8] = [
        AccessShare,
        RowShare,
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ];

    /// As `pg_locks` calls it.
    pub fn name(self) -> &'static str {
        match self {
            AccessShare => "AccessShareLock",
            RowShare => "RowShareLock",
            RowExclusive => "RowExclusiveLock",
            ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Share => "ShareLock",
            ShareRowExclusive => "ShareRowExclusiveLock",
            Exclusive => "ExclusiveLock",
            AccessExclusive => "AccessExclusiveLock",
        }
    }

    /// Whether two transactions cannot have these locks at once: PostgreSQL's table of lock modes.
    pub fn conflicts(self, other: RelationLock) -> bool {
        let (low, high) = if self <= other { (self, other) } else { (other, self) };
        match low {
            AccessShare => high == AccessExclusive,
            RowShare => high >= Exclusive,
            RowExclusive => high >= Share,
            // The one mode below EXCLUSIVE that lets its like be.
            Share => high != Share,
            _ => true,
        }
    }

    pub(crate) fn is_weak(self) -> bool {
        self <= RowExclusive
    }

    fn is_strong(self) -> bool {
        self >= Share
    }

    /// The mode of this number.
    pub(crate) fn of(number: u8) -> Option<RelationLock> {
        RelationLock::ALL.get(usize::from(number).wrapping_sub(1)).copied()
    }
}

/// Modes a transaction has of one relation.
#[derive(Clone, Copy, Default)]
struct Modes(u16);

impl Modes {
    fn add(&mut self, mode: RelationLock) {
        self.0 |= 1 << mode as u8;
    }

    fn remove(&mut self, mode: RelationLock) {
        self.0 &= !(1 << mode as u8);
    }

    fn has(self, mode: RelationLock) -> bool {
        self.0 & (1 << mode as u8) != 0
    }

    fn iter(self) -> impl Iterator<Item = RelationLock> {
        RelationLock::ALL.into_iter().filter(move |m| self.has(*m))
    }

    fn conflict(self, mode: RelationLock) -> bool {
        self.iter().any(|m| m.conflicts(mode))
    }
}

/// Weak locks a session's place has room for; more go to the table.
const SLOTS: usize = 16;

/// The weak locks of a session's present transaction. Only the session writes it.
#[repr(align(64))]
#[derive(Default)]
pub(crate) struct Held {
    /// `relation << 8 | mode`, 0 for none; in the order taken.
    slots: [AtomicU64; SLOTS],
    used: AtomicU32,
    pid: AtomicI32,
    /// Whether the transaction has locks in the table too.
    elsewhere: AtomicBool,
    owner: AtomicU64,
}

fn word(relation: Oid, mode: RelationLock) -> u64 {
    u64::from(relation) << 8 | mode as u64
}

impl Held {
    /// A transaction begins in the place of this number.
    pub(crate) fn begin(&self, place: u32) -> Owner {
        let last = self.owner.load(Ordering::Relaxed) >> 32;
        let owner = (last + 1) << 32 | u64::from(place);
        self.owner.store(owner, Ordering::Relaxed);
        owner
    }

    /// The present transaction.
    pub(crate) fn owner(&self) -> Owner {
        self.owner.load(Ordering::Relaxed)
    }

    /// The weak locks of the present transaction.
    pub(crate) fn locks(&self) -> impl Iterator<Item = (Oid, RelationLock)> {
        self.seen()
    }

    /// Whose the place is.
    pub(crate) fn set_process(&self, pid: i32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    /// How many weak locks there are: the mark of a savepoint.
    pub(crate) fn mark(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }

    fn used(&self) -> impl Iterator<Item = u64> {
        let used = self.used.load(Ordering::Relaxed) as usize;
        self.slots.iter().take(used).map(|s| s.load(Ordering::Relaxed))
    }

    /// Takes a weak lock the short way; `false` if it has to be taken from the table.
    #[inline]
    pub(crate) fn take(&self, locks: &RelationLocks, relation: Oid, mode: RelationLock) -> bool {
        let want = word(relation, mode);
        if self.used().any(|have| have == want) {
            return true;
        }
        let used = self.used.load(Ordering::Relaxed);
        let Some(slot) = self.slots.get(used as usize) else { return false };
        // Said before it is looked whether anybody minds: see the head of this file.
        slot.store(want, Ordering::SeqCst);
        if locks.strong(relation).load(Ordering::SeqCst) != 0 {
            slot.store(0, Ordering::Release);
            return false;
        }
        self.used.store(used + 1, Ordering::Relaxed);
        true
    }

    /// Gives back the weak locks taken since the mark.
    #[inline]
    pub(crate) fn release_to(&self, mark: u32) {
        let used = self.used.load(Ordering::Relaxed);
        if used > mark {
            for slot in self.slots.iter().take(used as usize).skip(mark as usize) {
                slot.store(0, Ordering::Release);
            }
            self.used.store(mark, Ordering::Relaxed);
        }
    }

    /// Whether the transaction has locks in the table.
    #[inline]
    pub(crate) fn elsewhere(&self) -> bool {
        self.elsewhere.load(Ordering::Relaxed)
    }

    pub(crate) fn set_elsewhere(&self, on: bool) {
        self.elsewhere.store(on, Ordering::Relaxed);
    }

    /// Its locks, as others see them.
    fn seen(&self) -> impl Iterator<Item = (Oid, RelationLock)> {
        self.slots.iter().filter_map(|slot| {
            let have = slot.load(Ordering::SeqCst);
            let mode = RelationLock::of((have & 0xff) as u8)?;
            Some((Oid::try_from(have >> 8).ok()?, mode))
        })
    }
}

struct Holder {
    owner: Owner,
    pid: i32,
    modes: Modes,
}

/// Who waits for a relation.
struct Request {
    owner: Owner,
    pid: i32,
    mode: RelationLock,
}

#[derive(Default)]
struct Entry {
    holders: SmallVec<[Holder; 2]>,
    /// First come first.
    queue: Vec<Request>,
}

/// What became of an attempt to take a lock.
pub(crate) enum Attempt {
    /// It is held; whether it was not before.
    Granted(bool),
    Blocked {
        by: Blockers,
        /// They do not have it either: they wait before us.
        queued: bool,
    },
}

/// What a lock is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockTarget {
    /// A relation.
    Relation(Oid),
    /// A transaction with an id, which has itself for as long as it runs.
    Transaction(Xid),
}

/// A lock somebody has or waits for, for `pg_locks`.
#[derive(Clone, Copy, Debug)]
pub struct LockInfo {
    /// What is locked.
    pub target: LockTarget,
    /// The mode.
    pub mode: RelationLock,
    /// The session's process id.
    pub pid: i32,
    /// Had, not waited for.
    pub granted: bool,
    /// Taken without the table of locks.
    pub fast: bool,
    /// The session's place and the number of its transaction: the virtual transaction id.
    pub transaction: (u32, u32),
}

impl LockInfo {
    pub(crate) fn transaction_of(owner: Owner) -> (u32, u32) {
        ((owner & 0xffff_ffff) as u32, (owner >> 32) as u32)
    }
}

const SHARDS: usize = 16;
const COUNTERS: usize = 1024;

type Shard = Mutex<HashMap<Oid, Entry>>;

/// All locks on relations.
pub(crate) struct RelationLocks {
    /// Strong locks had or wanted, by relation modulo [`COUNTERS`].
    strong: Box<[AtomicU32]>,
    shards: [Shard; SHARDS],
    places: Mutex<HashMap<u32, Arc<Held>>>,
    /// The last transactions of places that were given back: who gets one goes on counting.
    left: Mutex<HashMap<u32, Owner>>,
    sleepers: AtomicU32,
    gate: Mutex<()>,
    released: Condvar,
}

impl RelationLocks {
    pub(crate) fn new() -> RelationLocks {
        RelationLocks {
            strong: (0..COUNTERS).map(|_| AtomicU32::new(0)).collect(),
            shards: std::array::from_fn(|_| Mutex::default()),
            places: Mutex::default(),
            left: Mutex::default(),
            sleepers: AtomicU32::new(0),
            gate: Mutex::new(()),
            released: Condvar::new(),
        }
    }

    #[inline]
    fn strong(&self, relation: Oid) -> &AtomicU32 {
        static NONE: AtomicU32 = AtomicU32::new(u32::MAX);
        self.strong.get(relation as usize % COUNTERS).unwrap_or(&NONE)
    }

    fn shard(&self, relation: Oid) -> Option<&Shard> {
        self.shards.get(relation as usize % SHARDS)
    }

    /// A session's room for weak locks. Whoever gets one after a strong locker has looked at all
    /// finds that one's count.
    pub(crate) fn open_place(&self, place: u32) -> Arc<Held> {
        let held = Arc::new(Held::default());
        let last = self.left.lock().remove(&place);
        held.owner.store(last.unwrap_or(0), Ordering::Relaxed);
        self.places.lock().insert(place, held.clone());
        held
    }

    pub(crate) fn close_place(&self, place: u32) {
        if let Some(held) = self.places.lock().remove(&place) {
            self.left.lock().insert(place, held.owner());
        }
    }

    /// Announces a strong lock: from now on nobody takes a conflicting weak one the short way.
    /// Taken back by [`RelationLocks::give_up`], or when the lock is released.
    pub(crate) fn announce(&self, relation: Oid, mode: RelationLock) {
        if mode.is_strong() {
            self.strong(relation).fetch_add(1, Ordering::SeqCst);
        }
    }

    fn retract(&self, relation: Oid, mode: RelationLock) {
        if mode.is_strong() {
            self.strong(relation).fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Takes an announced lock, or gets in the queue for it. `jump` passes over the queue.
    pub(crate) fn attempt(
        &self,
        held: &Held,
        relation: Oid,
        mode: RelationLock,
        jump: bool,
    ) -> Attempt {
        let (owner, pid) = (held.owner.load(Ordering::Relaxed), held.pid.load(Ordering::Relaxed));
        let Some(shard) = self.shard(relation) else { return Attempt::Granted(false) };
        let mut map = shard.lock();
        let entry = map.entry(relation).or_default();
        let mut mine = Modes::default();
        held.seen().filter(|(r, _)| *r == relation).for_each(|(_, m)| mine.add(m));
        let mut by: Blockers = SmallVec::new();
        for holder in &entry.holders {
            if holder.owner == owner {
                mine.0 |= holder.modes.0;
            } else if holder.modes.conflict(mode) {
                by.push(holder.owner);
            }
        }
        if mine.has(mode) {
            entry.queue.retain(|r| r.owner != owner);
            return Attempt::Granted(false);
        }
        if mode.is_strong() {
            self.weak_blockers(held, relation, mode, &mut by);
        }
        let mut queued = false;
        if by.is_empty() && !jump {
            let before = entry.queue.iter().take_while(|r| r.owner != owner);
            let ahead = before.filter(|r| r.mode.conflicts(mode) && !mine.conflict(r.mode));
            by.extend(ahead.map(|r| r.owner));
            queued = !by.is_empty();
        }
        if by.is_empty() {
            entry.queue.retain(|r| r.owner != owner);
            match entry.holders.iter_mut().find(|h| h.owner == owner) {
                Some(holder) => holder.modes.add(mode),
                None => {
                    let mut modes = Modes::default();
                    modes.add(mode);
                    entry.holders.push(Holder { owner, pid, modes });
                }
            }
            return Attempt::Granted(true);
        }
        if !entry.queue.iter().any(|r| r.owner == owner) {
            entry.queue.push(Request { owner, pid, mode });
        }
        Attempt::Blocked { by, queued }
    }

    /// Transactions that have locks which stand in the way of one.
    pub(crate) fn in_the_way(&self, held: &Held, relation: Oid, mode: RelationLock) -> Blockers {
        let owner = held.owner.load(Ordering::Relaxed);
        let mut by = Blockers::new();
        if let Some(shard) = self.shard(relation)
            && let Some(entry) = shard.lock().get(&relation)
        {
            let others = entry.holders.iter().filter(|h| h.owner != owner);
            by.extend(others.filter(|h| h.modes.conflict(mode)).map(|h| h.owner));
        }
        if mode.is_strong() {
            self.weak_blockers(held, relation, mode, &mut by);
        }
        by
    }

    /// Transactions whose weak locks stand in the way.
    fn weak_blockers(&self, own: &Held, relation: Oid, mode: RelationLock, by: &mut Blockers) {
        for held in self.places.lock().values() {
            if std::ptr::eq(&**held, own) {
                continue;
            }
            if held.seen().any(|(r, m)| r == relation && m.conflicts(mode)) {
                by.push(held.owner.load(Ordering::Relaxed));
            }
        }
    }

    /// Leaves the queue without the lock.
    pub(crate) fn give_up(&self, held: &Held, relation: Oid, mode: RelationLock) {
        let owner = held.owner.load(Ordering::Relaxed);
        if let Some(shard) = self.shard(relation) {
            let mut map = shard.lock();
            if let Some(entry) = map.get_mut(&relation) {
                entry.queue.retain(|r| r.owner != owner);
                if entry.holders.is_empty() && entry.queue.is_empty() {
                    map.remove(&relation);
                }
            }
        }
        self.retract(relation, mode);
        self.wake();
    }

    /// A lock that was announced turned out to be held already.
    pub(crate) fn had(&self, relation: Oid, mode: RelationLock) {
        self.retract(relation, mode);
    }

    /// Gives back a lock of the table.
    pub(crate) fn release(&self, held: &Held, relation: Oid, mode: RelationLock) {
        let owner = held.owner.load(Ordering::Relaxed);
        let Some(shard) = self.shard(relation) else { return };
        let mut map = shard.lock();
        let Some(entry) = map.get_mut(&relation) else { return };
        if let Some(holder) = entry.holders.iter_mut().find(|h| h.owner == owner) {
            holder.modes.remove(mode);
        }
        entry.holders.retain(|h| h.modes.0 != 0);
        if entry.holders.is_empty() && entry.queue.is_empty() {
            map.remove(&relation);
        }
        drop(map);
        self.retract(relation, mode);
    }

    /// Locks were given back: whoever waits looks again. A release of weak locks that no sleeper's
    /// count was seen for is found by the sleeper's own clock.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            let _held = self.gate.lock();
            self.released.notify_all();
        }
    }

    /// Sleeps until locks are given back or the time is over.
    pub(crate) fn sleep(&self, at_most: Duration) {
        let mut held = self.gate.lock();
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        self.released.wait_for(&mut held, at_most);
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    /// The process a transaction belongs to.
    pub(crate) fn process(&self, owner: Owner) -> i32 {
        let (place, _) = LockInfo::transaction_of(owner);
        self.places.lock().get(&place).map_or(0, |held| held.pid.load(Ordering::Relaxed))
    }

    /// Every lock there is.
    pub(crate) fn list(&self) -> Vec<LockInfo> {
        let mut out = Vec::new();
        for held in self.places.lock().values() {
            let pid = held.pid.load(Ordering::Relaxed);
            let transaction = LockInfo::transaction_of(held.owner.load(Ordering::Relaxed));
            for (relation, mode) in held.seen() {
                let target = LockTarget::Relation(relation);
                out.push(LockInfo { target, mode, pid, granted: true, fast: true, transaction });
            }
        }
        for shard in &self.shards {
            for (relation, entry) in &*shard.lock() {
                let info = |owner, pid, mode, granted| LockInfo {
                    target: LockTarget::Relation(*relation),
                    mode,
                    pid,
                    granted,
                    fast: false,
                    transaction: LockInfo::transaction_of(owner),
                };
                for h in &entry.holders {
                    out.extend(h.modes.iter().map(|mode| info(h.owner, h.pid, mode, true)));
                }
                out.extend(entry.queue.iter().map(|r| info(r.owner, r.pid, r.mode, false)));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PostgreSQL's documentation, "Conflicting Lock Modes".
    #[test]
    fn modes_conflict_as_documented() {
        let table = [
            "       x", "      xx", "    xxxx", "   xxxxx", "  xx xxx", "  xxxxxx", " xxxxxxx",
            "xxxxxxxx",
        ];
        for (a, row) in RelationLock::ALL.into_iter().zip(table) {
            for (b, cell) in RelationLock::ALL.into_iter().zip(row.chars()) {
                assert_eq!(a.conflicts(b), cell == 'x', "{a:?} {b:?}");
            }
        }
    }
}
