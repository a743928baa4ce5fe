//! The slots of a table: row id -> newest version, in buckets that double, so that a slot never
//! moves and finding it takes a count of leading zeros and two loads. A slot is a pointer, or says where
//! a row lies that is not in memory ([`crate::cold`]).
#![allow(unsafe_code)]

use std::collections::HashSet;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_epoch::Guard;
use parking_lot::{Mutex, MutexGuard};
use vicinity_indexes::{Apart, prefetch_lines};
use vicinity_types::{PgError, Result, SqlState};

use super::RowId;
use super::clock::{Clock, Stamp};
use super::version::{
    NewVersion, Unlinked, Version, VersionRef, free_chain, free_chain_later, free_later, size,
};
use crate::cold::{Address, Cold};

/// log2 of the first bucket's slots.
const FIRST: u32 = 10;
/// Enough for 2^42 rows.
const BUCKETS: usize = 32;
/// Row locks: writers of one row exclude each other, readers never take them.
const STRIPES: usize = 256;

type Bucket = Box<[AtomicPtr<Version>]>;

/// The rows of one table storage.
pub(crate) struct Rows {
    buckets: [OnceLock<Bucket>; BUCKETS],
    next: AtomicU64,
    free: Mutex<Vec<RowId>>,
    free_hint: AtomicUsize,
    stripes: Box<[Mutex<()>]>,
    /// Bytes of all versions in memory.
    bytes: Apart<AtomicI64>,
    /// Bytes of the rows that are not.
    cold_bytes: AtomicI64,
    /// Where rows go that memory has no room for, if there is a budget.
    cold: Option<Arc<Cold>>,
    /// The slot the sweeper comes to next.
    hand: AtomicU64,
}

/// The right to change a row's chain. Readers go on meanwhile.
pub(crate) struct RowLock<'a> {
    rows: &'a Rows,
    row: RowId,
    _held: Option<MutexGuard<'a, ()>>,
}

/// Rows on their way into slots. What all threads count is counted once for all of them, at the end.
pub(crate) struct Loading<'a> {
    rows: &'a Rows,
    end: RowId,
    bytes: i64,
}

#[inline]
fn locate(row: RowId) -> (usize, usize) {
    let x = row.saturating_add(1 << FIRST);
    let bits = 63 - x.leading_zeros();
    ((bits - FIRST) as usize, (x - (1 << bits)) as usize)
}

impl Rows {
    pub(crate) fn new(cold: Option<Arc<Cold>>) -> Rows {
        Rows {
            buckets: [const { OnceLock::new() }; BUCKETS],
            next: AtomicU64::new(0),
            free: Mutex::new(Vec::new()),
            free_hint: AtomicUsize::new(0),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            bytes: Apart::default(),
            cold_bytes: AtomicI64::new(0),
            cold,
            hand: AtomicU64::new(0),
        }
    }

    /// One past the highest row id ever given out.
    pub(crate) fn end(&self) -> RowId {
        self.next.load(Ordering::Acquire)
    }

    /// Bytes of all versions, in memory or not.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = self.bytes.load(Ordering::Relaxed) + self.cold_bytes.load(Ordering::Relaxed);
        u64::try_from(bytes).unwrap_or(0)
    }

    /// Row ids that wait to be given out again.
    pub(crate) fn free_ids(&self) -> usize {
        self.free_hint.load(Ordering::Relaxed)
    }

    #[inline]
    fn slot(&self, row: RowId) -> Option<&AtomicPtr<Version>> {
        let (bucket, at) = locate(row);
        self.buckets.get(bucket)?.get()?.get(at)
    }

    fn make_slot(&self, row: RowId) -> Result<&AtomicPtr<Version>> {
        let (bucket, at) = locate(row);
        let full = || PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "table has too many rows");
        let bucket_slots = 1usize << (FIRST as usize + bucket);
        let bucket = self.buckets.get(bucket).ok_or_else(full)?;
        let slots = bucket.get_or_init(|| {
            // SAFETY: an AtomicPtr of all zero bytes is a null pointer. Zeroed memory from the
            // system is not touched before it is used, so a doubled bucket costs nothing.
            unsafe { Box::new_zeroed_slice(bucket_slots).assume_init() }
        });
        slots.get(at).ok_or_else(full)
    }

    /// A row id nobody has: a freed one, or the next.
    pub(crate) fn allocate(&self) -> Result<RowId> {
        if self.free_hint.load(Ordering::Relaxed) > 0 {
            let mut free = self.free.lock();
            if let Some(row) = free.pop() {
                self.free_hint.store(free.len(), Ordering::Relaxed);
                return Ok(row);
            }
        }
        let row = self.next.fetch_add(1, Ordering::AcqRel);
        self.make_slot(row)?;
        Ok(row)
    }

    /// Gives a row id back whose slot is empty and which no index entry names any more.
    pub(crate) fn release(&self, row: RowId) {
        let mut free = self.free.lock();
        free.push(row);
        self.free_hint.store(free.len(), Ordering::Relaxed);
    }

    /// The newest version of a row, whoever made it.
    #[inline]
    pub(crate) fn head<'g>(&self, row: RowId, guard: &'g Guard) -> Result<Option<VersionRef<'g>>> {
        let Some(slot) = self.slot(row) else { return Ok(None) };
        let at = slot.load(Ordering::Acquire);
        match Address::of(at.addr()) {
            // SAFETY: loaded from the slot under the guard, and a pointer.
            None => Ok(unsafe { VersionRef::new(at, guard) }),
            Some(cold) => self.read(cold, guard).map(Some),
        }
    }

    /// The same for one who looked for this very row: it comes into memory, and stays there for some time.
    #[inline]
    pub(crate) fn look_up<'g>(
        &self,
        row: RowId,
        guard: &'g Guard,
    ) -> Result<Option<VersionRef<'g>>> {
        if self.cold.is_none() {
            return self.head(row, guard);
        }
        self.look_up_kept(row, guard)
    }

    #[cold]
    fn look_up_kept<'g>(&self, row: RowId, guard: &'g Guard) -> Result<Option<VersionRef<'g>>> {
        let is_cold = self.slot(row).is_some_and(|s| is_cold(s.load(Ordering::Relaxed)));
        let lock = if is_cold { self.try_lock(row) } else { None };
        let head = match lock {
            Some(lock) => lock.head(guard)?,
            None => self.head(row, guard)?,
        };
        if let Some(v) = head {
            v.set_used();
        }
        Ok(head)
    }

    /// The newest version if it is in memory, for the sweeper.
    pub(crate) fn in_memory<'g>(&self, row: RowId, guard: &'g Guard) -> Option<VersionRef<'g>> {
        let at = self.slot(row)?.load(Ordering::Acquire);
        // SAFETY: loaded from the slot under the guard, and a pointer.
        if is_cold(at) { None } else { unsafe { VersionRef::new(at, guard) } }
    }

    /// Whether the row's newest version is in a file, there.
    pub(crate) fn is_at(&self, row: RowId, cold: Address) -> bool {
        let at = self.slot(row).map(|s| s.load(Ordering::Acquire).addr());
        at == Some(cold.slot())
    }

    #[cold]
    fn read<'g>(&self, at: Address, guard: &'g Guard) -> Result<VersionRef<'g>> {
        let cold = self.cold.as_ref().ok_or_else(|| PgError::internal("no rows are cold"))?;
        cold.read(at, guard)
    }

    /// The next row of those below `end` that the sweeper looks at.
    pub(crate) fn sweep_next(&self, end: RowId) -> RowId {
        let row = self.hand.load(Ordering::Relaxed);
        let row = if row < end { row } else { 0 };
        self.hand.store(row + 1, Ordering::Relaxed);
        row
    }

    /// While nobody else does it: lets rows leave, if the budget is used up.
    pub(crate) fn relieve(&self, storage: u64) {
        if let Some(cold) = &self.cold {
            cold.relieve(self, storage);
        }
    }

    /// Waits for room, if the budget is used up.
    #[inline]
    pub(crate) fn wait_for_room(&self) {
        if let Some(cold) = &self.cold
            && cold.is_full()
        {
            cold.wait_for_room();
        }
    }

    /// Asks the cache for the slot of a row.
    #[inline]
    pub(crate) fn prefetch_slot(&self, row: RowId) {
        if let Some(slot) = self.slot(row) {
            prefetch_lines::<1>(ptr::from_ref(slot).cast());
        }
    }

    /// Asks the cache for the newest version of a row: its first line, which holds all of a small one.
    #[inline]
    pub(crate) fn prefetch_head(&self, row: RowId) {
        if let Some(slot) = self.slot(row) {
            prefetch_lines::<1>(slot.load(Ordering::Relaxed).cast());
        }
    }

    fn stripe(&self, row: RowId) -> Option<&Mutex<()>> {
        // There are as many stripes as the modulus says: this is never None.
        self.stripes.get((row as usize) % STRIPES)
    }

    /// Excludes other writers of the row.
    pub(crate) fn lock(&self, row: RowId) -> RowLock<'_> {
        RowLock { rows: self, row, _held: self.stripe(row).map(Mutex::lock) }
    }

    /// The same, if nobody else has it now.
    fn try_lock(&self, row: RowId) -> Option<RowLock<'_>> {
        let held = self.stripe(row)?.try_lock()?;
        Some(RowLock { rows: self, row, _held: Some(held) })
    }

    /// Puts the first version into a slot just allocated.
    pub(crate) fn install(&self, row: RowId, version: NewVersion) -> Result<()> {
        let slot = self.slot(row).ok_or_else(|| PgError::internal("row slot is missing"))?;
        let raw = version.into_raw(ptr::null_mut());
        self.count(raw, 1);
        slot.store(raw, Ordering::Release);
        Ok(())
    }

    fn count(&self, version: *mut Version, sign: i64) {
        // SAFETY: the version is linked or about to be, and the caller holds the row's lock or is
        // the only one who knows the slot.
        self.count_bytes(sign * unsafe { size(version) });
    }

    /// Bytes came into memory, or went.
    fn count_bytes(&self, bytes: i64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(cold) = &self.cold {
            cold.count(bytes);
        }
    }

    /// A record is nobody's any more; its version was of so many bytes.
    fn release_cold(&self, at: Address, bytes: usize, guard: &Guard) {
        self.cold_bytes.fetch_sub(signed(bytes), Ordering::Relaxed);
        if let Some(cold) = &self.cold {
            cold.release(at, guard);
        }
    }

    /// Recovery: sets a row to one committed tuple, or to nothing, whatever was there. Single writer.
    pub(crate) fn restore(
        &self,
        row: RowId,
        version: Option<NewVersion>,
        guard: &Guard,
    ) -> Result<()> {
        if row >= self.next.load(Ordering::Relaxed) {
            if row >> 42 != 0 {
                return Err(PgError::new(SqlState::DATA_CORRUPTED, "row id is out of range"));
            }
            self.next.store(row + 1, Ordering::Release);
        }
        let slot = self.make_slot(row)?;
        let new = version.map_or(ptr::null_mut(), |v| v.into_raw(ptr::null_mut()));
        self.count(new, 1);
        let old = slot.swap(new, Ordering::AcqRel);
        if let Some(at) = Address::of(old.addr()) {
            let size = self.read(at, guard)?.size();
            self.release_cold(at, size, guard);
            return Ok(());
        }
        self.count(old, -1);
        // SAFETY: just unlinked, and a pointer.
        unsafe { free_chain_later(old, guard) };
        Ok(())
    }

    /// Recovery: rows go into empty slots. Those of different ids may come from several threads.
    pub(crate) fn loading(&self) -> Loading<'_> {
        Loading { rows: self, end: 0, bytes: 0 }
    }

    /// After recovery: these rows are about to be inserted again, and are nobody else's.
    pub(crate) fn claim(&self, rows: &HashSet<RowId>) -> Result<()> {
        let Some(last) = rows.iter().max().copied() else { return Ok(()) };
        if last >> 42 != 0 {
            return Err(PgError::new(SqlState::DATA_CORRUPTED, "row id is out of range"));
        }
        let mut free = self.free.lock();
        let end = self.next.fetch_max(last + 1, Ordering::AcqRel);
        free.extend(end..=last);
        free.retain(|row| !rows.contains(row));
        for row in (end..=last).chain(rows.iter().copied()) {
            self.make_slot(row)?;
        }
        self.free_hint.store(free.len(), Ordering::Relaxed);
        Ok(())
    }

    /// After recovery: every empty slot below the end is free again.
    pub(crate) fn collect_free(&self) {
        let end = self.end();
        let empty =
            |row: &RowId| self.slot(*row).is_none_or(|s| s.load(Ordering::Relaxed).is_null());
        let mut found: Vec<RowId> = (0..end).rev().filter(empty).collect();
        for row in &found {
            // A gap may lie in a bucket nobody asked for yet.
            let _ = self.make_slot(*row);
        }
        let mut free = self.free.lock();
        free.append(&mut found);
        self.free_hint.store(free.len(), Ordering::Relaxed);
    }
}

impl Loading<'_> {
    /// Puts a row into its slot.
    pub(crate) fn put(&mut self, row: RowId, version: NewVersion) -> Result<()> {
        if row >> 42 != 0 {
            return Err(PgError::new(SqlState::DATA_CORRUPTED, "row id is out of range"));
        }
        let slot = self.rows.make_slot(row)?;
        self.bytes += signed(version.size());
        self.end = self.end.max(row + 1);
        slot.store(version.into_raw(ptr::null_mut()), Ordering::Release);
        Ok(())
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.rows.count_bytes(self.bytes);
        self.rows.next.fetch_max(self.end, Ordering::AcqRel);
    }
}

fn is_cold(slot: *mut Version) -> bool {
    Address::of(slot.addr()).is_some()
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl RowLock<'_> {
    /// The newest version, in memory.
    #[inline]
    pub(crate) fn head<'g>(&self, guard: &'g Guard) -> Result<Option<VersionRef<'g>>> {
        let Some(slot) = self.rows.slot(self.row) else { return Ok(None) };
        let at = slot.load(Ordering::Acquire);
        match Address::of(at.addr()) {
            // SAFETY: loaded from the slot under the guard, and a pointer.
            None => Ok(unsafe { VersionRef::new(at, guard) }),
            Some(cold) => self.bring_back(slot, cold, guard),
        }
    }

    #[cold]
    fn bring_back<'g>(
        &self,
        slot: &AtomicPtr<Version>,
        at: Address,
        guard: &'g Guard,
    ) -> Result<Option<VersionRef<'g>>> {
        let v = self.rows.read(at, guard)?;
        let new = NewVersion::copy_of(v)?.into_raw(ptr::null_mut());
        self.rows.count(new, 1);
        slot.store(new, Ordering::Release);
        self.rows.release_cold(at, v.size(), guard);
        // SAFETY: in the slot, which nobody else changes while this lock is held.
        Ok(unsafe { VersionRef::new(new, guard) })
    }

    /// Leaves the row in a file, if its slot still is as it was when that was written: pointing at `v`, of that
    /// stamp, or saying that `v` is at another place of the files. A version in memory is `gone` then.
    pub(crate) fn leave(
        &self,
        v: VersionRef<'_>,
        stamp: u64,
        from: Option<Address>,
        to: Address,
        gone: &mut Unlinked,
        guard: &Guard,
    ) -> bool {
        let Some(slot) = self.rows.slot(self.row) else { return false };
        let before = slot.load(Ordering::Acquire);
        let same = match from {
            None => ptr::eq(before, v.raw()) && v.stamp() == stamp,
            Some(from) => Address::of(before.addr()) == Some(from),
        };
        if !same {
            return false;
        }
        slot.store(ptr::without_provenance_mut(to.slot()), Ordering::Release);
        self.rows.cold_bytes.fetch_add(signed(v.size()), Ordering::Relaxed);
        match from {
            Some(from) => self.rows.release_cold(from, v.size(), guard),
            None => {
                self.rows.count(v.raw(), -1);
                // SAFETY: unlinked just now, under the row's lock, and nothing is older.
                unsafe { gone.push(v.raw()) };
            }
        }
        true
    }

    /// Puts a new version on top of the newest one, which is in memory.
    pub(crate) fn push(&self, version: NewVersion) -> Result<()> {
        let slot =
            self.rows.slot(self.row).ok_or_else(|| PgError::internal("row slot is missing"))?;
        let head = slot.load(Ordering::Acquire);
        if is_cold(head) {
            return Err(PgError::internal("a row is changed that was not looked at"));
        }
        let raw = version.into_raw(head);
        self.rows.count(raw, 1);
        slot.store(raw, Ordering::Release);
        Ok(())
    }

    /// Takes the newest version off (its transaction rolls back). True if the slot is empty now.
    pub(crate) fn pop(&self, guard: &Guard) -> Result<bool> {
        let Some(slot) = self.rows.slot(self.row) else { return Ok(true) };
        let Some(head) = self.head(guard)? else { return Ok(true) };
        let older = head.older_raw();
        slot.store(older, Ordering::Release);
        self.rows.count(head.raw(), -1);
        // SAFETY: unlinked just now; the older ones stay linked and are not freed with it.
        unsafe { free_later(head.raw(), guard) };
        Ok(older.is_null())
    }

    /// Empties the slot of a row that lies in a file, without reading it.
    pub(crate) fn forget(&self, guard: &Guard) {
        let Some(slot) = self.rows.slot(self.row) else { return };
        if let Some(at) = Address::of(slot.load(Ordering::Acquire).addr()) {
            slot.store(ptr::null_mut(), Ordering::Release);
            // Of how many bytes it was is not known.
            self.rows.release_cold(at, 0, guard);
        }
    }

    /// Drops everything older than `keep`. The caller knows that no snapshot needs it.
    pub(crate) fn prune(&self, keep: VersionRef<'_>, guard: &Guard) {
        let mut size = 0;
        let mut at = keep.older(guard);
        while let Some(v) = at {
            size += v.size();
            at = v.older(guard);
        }
        let chain = keep.cut();
        self.rows.count_bytes(-signed(size));
        // SAFETY: unlinked just now, under the row's lock.
        unsafe { free_chain_later(chain, guard) };
    }

    /// Cuts what no snapshot needs behind `from`, if no index entry must go with it.
    pub(crate) fn prune_behind(&self, from: VersionRef<'_>, clock: &Clock, guard: &Guard) {
        let horizon = clock.recent_horizon();
        let mut at = Some(from);
        for _ in 0..8 {
            let Some(v) = at else { return };
            if matches!(clock.resolve(v), Stamp::Committed(ts) if ts <= horizon) {
                let mut tail = Some(v);
                for _ in 0..8 {
                    match tail {
                        Some(t) if t.keys_changed() => return,
                        Some(t) => tail = t.older(guard),
                        None => break,
                    }
                }
                if tail.is_none() && v.older(guard).is_some() {
                    self.prune(v, guard);
                }
                return;
            }
            at = v.older(guard);
        }
    }

    /// Empties the slot: the row is deleted for everybody.
    pub(crate) fn clear(&self, guard: &Guard) -> Result<()> {
        if let Some(head) = self.head(guard)? {
            self.prune(head, guard);
        }
        self.pop(guard).map(drop)
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // Rows handed out under a guard may still be read: free after today's guards.
        let buckets: Vec<Bucket> = self.buckets.iter_mut().filter_map(OnceLock::take).collect();
        let guard = crossbeam_epoch::pin();
        self.count_bytes(-self.bytes.load(Ordering::Relaxed));
        let cold = self.cold.take();
        guard.defer(move || {
            for slot in buckets.iter().flatten() {
                let at = slot.load(Ordering::Relaxed);
                match (Address::of(at.addr()), &cold) {
                    (Some(at), Some(cold)) => cold.release(at, &crossbeam_epoch::pin()),
                    // SAFETY: the table is gone and all guards of that time too.
                    _ => unsafe { free_chain(at) },
                }
            }
        });
        guard.flush();
    }
}
