//! The slots of a table: row id -> newest version, in buckets that double, so that a slot never
//! moves and finding it takes a count of leading zeros and two loads.
#![allow(unsafe_code)]

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use crossbeam_epoch::Guard;
use parking_lot::{Mutex, MutexGuard};
use vicinity_indexes::{Apart, prefetch_lines};
use vicinity_types::{PgError, Result, SqlState};

use super::RowId;
use super::version::{
    NewVersion, Version, VersionRef, free_chain, free_chain_later, free_later, size,
};

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
    /// Bytes of all versions.
    bytes: Apart<AtomicI64>,
}

/// The right to change a row's chain. Readers go on meanwhile.
pub(crate) struct RowLock<'a> {
    rows: &'a Rows,
    row: RowId,
    _held: Option<MutexGuard<'a, ()>>,
}

#[inline]
fn locate(row: RowId) -> (usize, usize) {
    let x = row.saturating_add(1 << FIRST);
    let bits = 63 - x.leading_zeros();
    ((bits - FIRST) as usize, (x - (1 << bits)) as usize)
}

impl Rows {
    pub(crate) fn new() -> Rows {
        Rows {
            buckets: [const { OnceLock::new() }; BUCKETS],
            next: AtomicU64::new(0),
            free: Mutex::new(Vec::new()),
            free_hint: AtomicUsize::new(0),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            bytes: Apart::default(),
        }
    }

    /// One past the highest row id ever given out.
    pub(crate) fn end(&self) -> RowId {
        self.next.load(Ordering::Acquire)
    }

    /// Bytes of all versions.
    pub(crate) fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.load(Ordering::Relaxed)).unwrap_or(0)
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
    pub(crate) fn head<'g>(&self, row: RowId, guard: &'g Guard) -> Option<VersionRef<'g>> {
        let slot = self.slot(row)?;
        // SAFETY: loaded from the slot under the guard.
        unsafe { VersionRef::new(slot.load(Ordering::Acquire), guard) }
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

    /// Excludes other writers of the row.
    pub(crate) fn lock(&self, row: RowId) -> RowLock<'_> {
        let at = (row as usize) % STRIPES;
        // There are as many stripes as the modulus says: this is never None.
        RowLock { rows: self, row, _held: self.stripes.get(at).map(Mutex::lock) }
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
        let size = unsafe { size(version) };
        self.bytes.fetch_add(sign * size, Ordering::Relaxed);
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
        self.count(old, -1);
        // SAFETY: just unlinked.
        unsafe { free_chain_later(old, guard) };
        Ok(())
    }

    /// Recovery: puts a row into an empty slot. Rows of different ids may come from several threads.
    pub(crate) fn load(&self, row: RowId, version: NewVersion) -> Result<()> {
        if row >> 42 != 0 {
            return Err(PgError::new(SqlState::DATA_CORRUPTED, "row id is out of range"));
        }
        self.next.fetch_max(row + 1, Ordering::AcqRel);
        self.make_slot(row)?;
        self.install(row, version)
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

impl RowLock<'_> {
    /// The newest version.
    pub(crate) fn head<'g>(&self, guard: &'g Guard) -> Option<VersionRef<'g>> {
        self.rows.head(self.row, guard)
    }

    /// Puts a new version on top.
    pub(crate) fn push(&self, version: NewVersion) -> Result<()> {
        let slot =
            self.rows.slot(self.row).ok_or_else(|| PgError::internal("row slot is missing"))?;
        let raw = version.into_raw(slot.load(Ordering::Acquire));
        self.rows.count(raw, 1);
        slot.store(raw, Ordering::Release);
        Ok(())
    }

    /// Takes the newest version off (its transaction rolls back). True if the slot is empty now.
    pub(crate) fn pop(&self, guard: &Guard) -> bool {
        let Some(slot) = self.rows.slot(self.row) else { return true };
        let Some(head) = self.head(guard) else { return true };
        let older = head.older_raw();
        slot.store(older, Ordering::Release);
        self.rows.count(head.raw(), -1);
        // SAFETY: unlinked just now; the older ones stay linked and are not freed with it.
        unsafe { free_later(head.raw(), guard) };
        older.is_null()
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
        self.rows.bytes.fetch_sub(i64::try_from(size).unwrap_or(0), Ordering::Relaxed);
        // SAFETY: unlinked just now, under the row's lock.
        unsafe { free_chain_later(chain, guard) };
    }

    /// Empties the slot: the row is deleted for everybody.
    pub(crate) fn clear(&self, guard: &Guard) {
        if let Some(head) = self.head(guard) {
            self.prune(head, guard);
        }
        self.pop(guard);
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // Rows handed out under a guard may still be read: free after today's guards.
        let buckets: Vec<Bucket> = self.buckets.iter_mut().filter_map(OnceLock::take).collect();
        let guard = crossbeam_epoch::pin();
        guard.defer(move || {
            for slot in buckets.iter().flatten() {
                // SAFETY: the table is gone and all guards of that time too.
                unsafe { free_chain(slot.load(Ordering::Relaxed)) };
            }
        });
        guard.flush();
    }
}
