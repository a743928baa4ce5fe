//! One version of a row: a 24-byte header and the tuple's bytes behind it, in one allocation.
//!
//! ```text
//!  0        8        16    20    24
//!  +--------+--------+-----+-----+------------------+
//!  | stamp  | older  | len | cid | tuple bytes ...  |
//!  +--------+--------+-----+-----+------------------+
//! ```
//!
//! `stamp` is the commit timestamp, or, with the top bit set, the id of the transaction that made
//! the version and has not stamped it yet (see [`super::clock`]). `older` is the next older version
//! of the same row. The upper two bits of `len` are flags, and the topmost of `cid`.
//!
//! Everything else in this crate sees versions through [`VersionRef`], which lives no longer than
//! the epoch guard it was read under: a version is freed only when no such guard can be left.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crossbeam_epoch::Guard;
use vicinity_indexes::prefetch_lines;
use vicinity_types::{PgError, Result, SqlState};

use crate::cold::Block;

/// Set in a stamp that holds a transaction id instead of a commit timestamp.
pub(crate) const UNCOMMITTED: u64 = 1 << 63;

/// The row does not exist from this version on.
pub(crate) const TOMBSTONE: u32 = 1 << 31;
/// Some index's key differs between this version and the next older one.
pub(crate) const KEYS_CHANGED: u32 = 1 << 30;
/// Both: the row does not exist from this version on because it went to another partition.
pub(crate) const MOVED: u32 = TOMBSTONE | KEYS_CHANGED;
/// In `cid`: somebody looked the version up since this was asked last (see [`crate::cold`]).
const USED: u32 = 1 << 31;
/// Tuples are shorter than this.
const MAX_TUPLE: usize = (1 << 30) - 1;

#[repr(C)]
pub(crate) struct Version {
    stamp: AtomicU64,
    older: AtomicPtr<Version>,
    len: u32,
    cid: AtomicU32,
}

/// Bytes of a version besides its tuple.
pub(crate) const HEADER: usize = size_of::<Version>();

fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(HEADER.checked_add(len)?, align_of::<Version>()).ok()
}

/// A version that no other thread can see yet.
pub(crate) struct NewVersion(NonNull<Version>);

// SAFETY: the allocation is owned and its contents are plain data and atomics.
unsafe impl Send for NewVersion {}

impl NewVersion {
    /// Copies `tuple` behind a fresh header.
    pub(crate) fn new(stamp: u64, cid: u32, flags: u32, tuple: &[u8]) -> Result<NewVersion> {
        let too_big = || PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too big");
        if tuple.len() > MAX_TUPLE {
            return Err(too_big());
        }
        let len = u32::try_from(tuple.len()).map_err(|_| too_big())?;
        let layout = layout(tuple.len()).ok_or_else(too_big)?;
        // SAFETY: the layout is never of size zero, the header is aligned as the layout asks, and
        // `tuple.len()` bytes follow it.
        unsafe {
            let Some(at) = NonNull::new(alloc(layout).cast::<Version>()) else {
                handle_alloc_error(layout)
            };
            at.as_ptr().write(Version {
                stamp: AtomicU64::new(stamp),
                older: AtomicPtr::new(ptr::null_mut()),
                len: len | flags,
                cid: AtomicU32::new(cid),
            });
            ptr::copy_nonoverlapping(
                tuple.as_ptr(),
                at.as_ptr().cast::<u8>().add(HEADER),
                tuple.len(),
            );
            Ok(NewVersion(at))
        }
    }

    /// The same version in memory of its own; it counts as used.
    pub(crate) fn copy_of(v: VersionRef<'_>) -> Result<NewVersion> {
        let header = v.header();
        let (cid, flags) = (v.cid() | USED, header.len & MOVED);
        NewVersion::new(v.stamp(), cid, flags, v.bytes())
    }

    /// Bytes it takes in memory.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: owned, and initialised when it was made.
        HEADER + (unsafe { self.0.as_ref() }.len & !MOVED) as usize
    }

    /// Gives up ownership; whoever links it frees it through [`free`] or [`free_later`].
    pub(crate) fn into_raw(self, older: *mut Version) -> *mut Version {
        let at = self.0;
        std::mem::forget(self);
        // SAFETY: nobody else knows the version yet.
        unsafe { at.as_ref().older.store(older, Ordering::Relaxed) };
        at.as_ptr()
    }
}

impl Drop for NewVersion {
    fn drop(&mut self) {
        // SAFETY: it was never linked.
        unsafe { free(self.0.as_ptr()) };
    }
}

/// Frees one version.
///
/// # Safety
/// `at` came from [`NewVersion::into_raw`] and nobody can reach it any more.
unsafe fn free(at: *mut Version) {
    // SAFETY: by the caller's promise the header is there and the layout is the one it was made with.
    unsafe {
        let len = ((*at).len & !MOVED) as usize;
        if let Some(layout) = layout(len) {
            dealloc(at.cast(), layout);
        }
    }
}

/// Bytes a version takes; 0 for none.
///
/// # Safety
/// `at` is null or a version that is not freed meanwhile.
pub(super) unsafe fn size(at: *mut Version) -> i64 {
    // SAFETY: by the caller's promise.
    match unsafe { at.as_ref() } {
        Some(v) => (HEADER as i64) + i64::from(v.len & !MOVED),
        None => 0,
    }
}

/// Frees a whole chain at once, when its table goes.
///
/// # Safety
/// As [`free`], for every version of the chain.
pub(super) unsafe fn free_chain(mut at: *mut Version) {
    while !at.is_null() {
        // SAFETY: the chain is exclusively ours.
        unsafe {
            let older = (*at).older.load(Ordering::Relaxed);
            free(at);
            at = older;
        }
    }
}

/// A version as seen under an epoch guard.
#[derive(Clone, Copy)]
pub(crate) struct VersionRef<'g> {
    at: NonNull<Version>,
    guard: PhantomData<&'g Guard>,
}

impl<'g> VersionRef<'g> {
    /// What a slot or an `older` link pointed at.
    ///
    /// # Safety
    /// `at` was loaded (acquire) from a slot or link while the guard was pinned.
    pub(super) unsafe fn new(at: *mut Version, _guard: &'g Guard) -> Option<VersionRef<'g>> {
        NonNull::new(at).map(|at| VersionRef { at, guard: PhantomData })
    }

    /// The version that lies at a word of a block, as [`VersionRef::put`] wrote it; `None` if none can lie there.
    pub(crate) fn in_block(
        block: &Block,
        word: usize,
        _guard: &'g Guard,
    ) -> Option<VersionRef<'g>> {
        let words = block.words();
        let room = words.len().checked_sub(word)? * 8;
        if room < HEADER {
            return None;
        }
        // SAFETY: the header's 24 bytes lie in the block, aligned as it is to eight; any bytes are a header, but for
        // the link, and that is written as null and never stored to. The block is there now, and its words are freed
        // after this guard.
        let v = unsafe {
            let at = words.as_ptr().add(word).cast_mut().cast::<Version>();
            VersionRef { at: NonNull::new(at)?, guard: PhantomData }
        };
        (v.size() <= room).then_some(v)
    }

    /// Appends it as it lies in memory, without what is older, and fills up to whole words.
    pub(crate) fn put(self, stamp: u64, to: &mut Vec<u8>) {
        to.extend_from_slice(&stamp.to_ne_bytes());
        to.extend_from_slice(&0u64.to_ne_bytes());
        to.extend_from_slice(&self.header().len.to_ne_bytes());
        to.extend_from_slice(&self.cid().to_ne_bytes());
        to.extend_from_slice(self.bytes());
        to.resize(to.len().next_multiple_of(8), 0);
    }

    fn header(self) -> &'g Version {
        // SAFETY: linked versions are freed only after every guard that could reach them is gone.
        unsafe { self.at.as_ref() }
    }

    pub(crate) fn raw(self) -> *mut Version {
        self.at.as_ptr()
    }

    /// Commit timestamp, or [`UNCOMMITTED`] and a transaction id.
    #[inline]
    pub(crate) fn stamp(self) -> u64 {
        self.header().stamp.load(Ordering::Acquire)
    }

    /// Replaces the transaction's mark by its commit timestamp.
    pub(crate) fn set_stamp(self, stamp: u64) {
        self.header().stamp.store(stamp, Ordering::Release);
    }

    /// The command that made it.
    #[inline]
    pub(crate) fn cid(self) -> u32 {
        self.header().cid.load(Ordering::Relaxed) & !USED
    }

    /// Somebody looked it up.
    #[inline]
    pub(crate) fn set_used(self) {
        let cid = &self.header().cid;
        let now = cid.load(Ordering::Relaxed);
        if now & USED == 0 {
            // Nothing else of it ever changes.
            cid.store(now | USED, Ordering::Relaxed);
        }
    }

    /// Whether somebody looked it up since this was asked last.
    pub(crate) fn take_used(self) -> bool {
        let cid = &self.header().cid;
        let now = cid.load(Ordering::Relaxed);
        cid.store(now & !USED, Ordering::Relaxed);
        now & USED != 0
    }

    #[inline]
    pub(crate) fn is_tombstone(self) -> bool {
        self.header().len & TOMBSTONE != 0
    }

    pub(crate) fn is_moved(self) -> bool {
        self.header().len & MOVED == MOVED
    }

    pub(crate) fn keys_changed(self) -> bool {
        self.header().len & KEYS_CHANGED != 0
    }

    /// Bytes it takes in memory.
    pub(crate) fn size(self) -> usize {
        HEADER + self.bytes().len()
    }

    /// The tuple.
    #[inline]
    pub(crate) fn bytes(self) -> &'g [u8] {
        let len = (self.header().len & !MOVED) as usize;
        // SAFETY: `len` bytes were copied behind the header when it was made, and never change.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().cast::<u8>().add(HEADER), len) }
    }

    /// The next older version.
    #[inline]
    pub(crate) fn older(self, guard: &'g Guard) -> Option<VersionRef<'g>> {
        // SAFETY: the link is loaded under the guard.
        unsafe { VersionRef::new(self.header().older.load(Ordering::Acquire), guard) }
    }

    /// Asks the cache for the next older version.
    #[inline]
    pub(crate) fn prefetch_older(self) {
        prefetch_lines::<2>(self.header().older.load(Ordering::Relaxed).cast());
    }

    /// Unlinks everything older, and hands it back for [`free_later`].
    pub(super) fn cut(self) -> *mut Version {
        self.header().older.swap(ptr::null_mut(), Ordering::AcqRel)
    }

    pub(super) fn older_raw(self) -> *mut Version {
        self.header().older.load(Ordering::Acquire)
    }
}

/// Frees an unlinked chain once every guard of today is gone.
///
/// # Safety
/// `chain` was unlinked from its slot or newer version: no thread that pins from now on can reach it.
pub(super) unsafe fn free_chain_later(chain: *mut Version, guard: &Guard) {
    if !chain.is_null() {
        let chain = chain.expose_provenance();
        // SAFETY: runs after all current guards are gone; the closure holds a plain number.
        unsafe {
            guard.defer_unchecked(move || free_chain(ptr::with_exposed_provenance_mut(chain)));
        }
    }
}

/// Versions that were unlinked, each without what was older.
#[derive(Default)]
pub(crate) struct Unlinked(Vec<usize>);

impl Unlinked {
    /// # Safety
    /// As [`free_later`], of all versions pushed until they are freed.
    pub(super) unsafe fn push(&mut self, one: *mut Version) {
        self.0.push(one.expose_provenance());
    }

    /// Frees them once every guard of today is gone.
    pub(crate) fn free_later(self, guard: &Guard) {
        let all = self.0;
        // SAFETY: runs after all current guards are gone; who pushed them promised that nobody else can reach them.
        unsafe {
            guard.defer_unchecked(move || {
                for one in all {
                    free(ptr::with_exposed_provenance_mut(one));
                }
            });
        }
    }
}

/// Frees one unlinked version later, leaving what is older alone.
///
/// # Safety
/// As [`free_chain_later`].
pub(super) unsafe fn free_later(one: *mut Version, guard: &Guard) {
    let one = one.expose_provenance();
    // SAFETY: as above.
    unsafe { guard.defer_unchecked(move || free(ptr::with_exposed_provenance_mut(one))) };
}
