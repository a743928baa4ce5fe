//! The nodes: for every slot a code, a row id, a list of links and the next slot with the same code, in chunks that
//! never move.
//!
//! Everything is an atomic, so that searches read while inserts write: a link list may be seen half changed, which only
//! costs a step in a worse direction. Codes are read as plain bytes by the kernels. What makes that sound:
//!
//! - A code is written while its slot is FREE or DEAD-and-swept, when no link list names it, and before the row id and
//!   the first link to it are stored with Release order.
//! - A slot becomes free again only under the index's write lock, after a sweep took every link to it away
//!   (see `upkeep`), and nobody reads codes by an id that it did not take from a link list, from the landmarks or from
//!   a slot with a row in it, under the same read lock.
#![allow(unsafe_code, clippy::indexing_slicing)] // ids come from the graph itself

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rayon::prelude::*;

use super::region::Region;
use crate::RowId;
use crate::image::In;
use crate::vector::prefetch;

/// The end of a link list.
pub(super) const NONE: u32 = u32::MAX;
/// The row of a slot that is not in use.
pub(super) const FREE: RowId = RowId::MAX;
/// The row of a removed entry that links may still lead to.
pub(super) const DEAD: RowId = RowId::MAX - 1;

const CHUNK_BITS: u32 = 16;
const CHUNK: usize = 1 << CHUNK_BITS;
const LOCKS: usize = 1024;

/// Arrays of a chunk's slots. Links and rows are stored inverted, so that fresh memory means NONE and FREE.
struct Chunk {
    codes: Region<AtomicU64>,
    links: Region<AtomicU32>,
    rows: Region<AtomicU64>,
    dead: Region<AtomicU64>,
}

/// All slots.
pub(super) struct Graph {
    chunks: Vec<Chunk>,
    /// Slots handed out so far; those behind it were never used.
    len: AtomicU32,
    /// Words of a code.
    words: usize,
    /// Places of a list: its links, and the last for a copy.
    places: usize,
    locks: Box<[Mutex<()>]>,
}

impl Graph {
    pub(super) fn new(stride: usize, places: usize) -> Self {
        let locks = (0..LOCKS).map(|_| Mutex::new(())).collect();
        Graph { chunks: Vec::new(), len: AtomicU32::new(0), words: stride / 8, places, locks }
    }

    pub(super) fn grow(&mut self) {
        // Huge pages save a search most of its TLB misses; a small index is better off without.
        let huge = !self.chunks.is_empty();
        self.chunks.push(Chunk {
            codes: Region::zeroed(CHUNK * self.words, huge),
            links: Region::zeroed(CHUNK * self.places, huge),
            rows: Region::zeroed(CHUNK, false),
            dead: Region::zeroed(CHUNK / 64, false),
        });
    }

    /// A slot never used before; `None` when [`Graph::grow`] is needed.
    pub(super) fn next_slot(&self) -> Option<u32> {
        let capacity = (self.chunks.len() * CHUNK) as u32;
        let next = |len| (len < capacity).then_some(len + 1);
        self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed) as usize
    }

    /// The most links of a slot.
    pub(super) fn degree(&self) -> usize {
        self.places - 1
    }

    /// Bytes in use; what is behind the last slot was never touched.
    pub(super) fn memory(&self) -> usize {
        self.len() * (self.words * 8 + self.places * 4 + 8) + self.len() / 8
    }

    #[inline(always)]
    fn place(&self, id: u32) -> (&Chunk, usize) {
        (&self.chunks[(id >> CHUNK_BITS) as usize], id as usize & (CHUNK - 1))
    }

    /// The code of a slot.
    #[inline(always)]
    pub(super) fn code(&self, id: u32) -> &[u8] {
        let (chunk, slot) = self.place(id);
        let words = &chunk.codes[slot * self.words..(slot + 1) * self.words];
        // SAFETY: the words are initialised and live as long as `self`; nobody writes them while an id leads here (see
        // the head of this file), so that a shared reference to their bytes is sound.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), words.len() * 8) }
    }

    /// Stores the code of a slot that nothing leads to.
    pub(super) fn set_code(&self, id: u32, code: &[u8]) {
        let (chunk, slot) = self.place(id);
        for (word, bytes) in chunk.codes[slot * self.words..].iter().zip(code.chunks_exact(8)) {
            let mut b = [0; 8];
            b.copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(b), Ordering::Relaxed);
        }
    }

    #[inline(always)]
    pub(super) fn row(&self, id: u32) -> RowId {
        let (chunk, slot) = self.place(id);
        !chunk.rows[slot].load(Ordering::Acquire)
    }

    pub(super) fn set_row(&self, id: u32, row: RowId) {
        let (chunk, slot) = self.place(id);
        chunk.rows[slot].store(!row, Ordering::Release);
        let bit = 1 << (slot % 64);
        if row == DEAD {
            chunk.dead[slot / 64].fetch_or(bit, Ordering::Release);
        } else {
            chunk.dead[slot / 64].fetch_and(!bit, Ordering::Release);
        }
    }

    #[inline(always)]
    pub(super) fn is_dead(&self, id: u32) -> bool {
        let (chunk, slot) = self.place(id);
        chunk.dead[slot / 64].load(Ordering::Relaxed) >> (slot % 64) & 1 == 1
    }

    /// The place of a slot's copy and those of its links; the links end at [`NONE`] or at the end.
    #[inline(always)]
    fn list(&self, id: u32) -> (&AtomicU32, &[AtomicU32]) {
        let (chunk, slot) = self.place(id);
        let list = &chunk.links[slot * self.places..(slot + 1) * self.places];
        (&list[0], &list[1..])
    }

    /// The links of a slot.
    #[inline(always)]
    pub(super) fn links(&self, id: u32) -> impl Iterator<Item = u32> + '_ {
        self.list(id).1.iter().map(|l| !l.load(Ordering::Acquire)).take_while(|l| *l != NONE)
    }

    /// The next slot with the same code, or [`NONE`].
    #[inline(always)]
    pub(super) fn copy(&self, id: u32) -> u32 {
        !self.list(id).0.load(Ordering::Acquire)
    }

    /// Everything a slot leads to: its copy and its links.
    #[inline(always)]
    pub(super) fn neighbours(&self, id: u32) -> impl Iterator<Item = u32> + '_ {
        Some(self.copy(id)).into_iter().filter(|c| *c != NONE).chain(self.links(id))
    }

    /// The next copy that is not dead.
    pub(super) fn live_copy(&self, id: u32) -> u32 {
        let mut next = self.copy(id);
        while next != NONE && self.is_dead(next) {
            next = self.copy(next);
        }
        next
    }

    /// Stores a slot's copy; the caller holds its lock or is alone with it.
    pub(super) fn set_copy(&self, id: u32, copy: u32) {
        self.list(id).0.store(!copy, Ordering::Release);
    }

    /// Asks the cache for a slot's links.
    #[inline(always)]
    pub(super) fn prefetch_links(&self, id: u32) {
        let list = self.list(id).1;
        // SAFETY: as in `code`; the bytes are not looked at, only their address is.
        prefetch(unsafe { std::slice::from_raw_parts(list.as_ptr().cast::<u8>(), list.len() * 4) });
    }

    /// Stores a slot's links; the caller holds its lock or is alone with it.
    pub(super) fn set_links(&self, id: u32, links: impl Iterator<Item = u32>) {
        let mut links = links.fuse();
        for place in self.list(id).1 {
            place.store(!links.next().unwrap_or(NONE), Ordering::Release);
        }
    }

    /// Whoever changes a slot's links holds this lock (shared by some slots; never take two).
    pub(super) fn lock(&self, id: u32) -> MutexGuard<'_, ()> {
        self.locks[id as usize % LOCKS].lock()
    }

    /// Links of a list, and its copy.
    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// Slots as bytes: their rows, their codes, their lists; how many are entries. The caller keeps slots from becoming
    /// free.
    pub(super) fn copy_out(&self, ids: Range<u32>, out: &mut Vec<u8>) -> usize {
        out.clear();
        let mut entries = 0;
        for id in ids.clone() {
            let row = self.row(id);
            entries += usize::from(row < DEAD);
            out.extend_from_slice(&row.to_le_bytes());
        }
        for id in ids.clone() {
            // The code of a slot whose row is not there yet may be half written, and is no entry's.
            let (chunk, slot) = self.place(id);
            for word in &chunk.codes[slot * self.words..(slot + 1) * self.words] {
                out.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
            }
        }
        for id in ids {
            let (chunk, slot) = self.place(id);
            for link in &chunk.links[slot * self.places..(slot + 1) * self.places] {
                out.extend_from_slice(&(!link.load(Ordering::Acquire)).to_le_bytes());
            }
        }
        entries
    }

    /// Adds slots from bytes of [`Graph::copy_out`]; one more than the greatest slot that one of them leads to.
    pub(super) fn copy_in(&mut self, count: usize, from: &mut In<'_>) -> io::Result<u32> {
        let first = self.len();
        let ids = first..first + count;
        while self.chunks.len() * CHUNK < ids.end {
            self.grow();
        }
        each_run(ids.clone(), |chunk, slots| {
            let chunk = &self.chunks[chunk];
            let mut rows = slots;
            from.words::<8>(rows.len(), &mut |words| {
                for (slot, row) in rows.by_ref().zip(words) {
                    let row = u64::from_le_bytes(*row);
                    chunk.rows[slot].store(!row, Ordering::Relaxed);
                    if row == DEAD {
                        chunk.dead[slot / 64].fetch_or(1 << (slot % 64), Ordering::Relaxed);
                    }
                }
            })
        })?;
        each_run(ids.clone(), |chunk, slots| {
            let mut codes = self.chunks[chunk].codes[slots.start * self.words..].iter();
            from.words::<8>(slots.len() * self.words, &mut |words| {
                for (word, place) in words.iter().zip(codes.by_ref()) {
                    place.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
                }
            })
        })?;
        let mut greatest = 0;
        each_run(ids.clone(), |chunk, slots| {
            let mut lists = self.chunks[chunk].links[slots.start * self.places..].iter();
            from.words::<4>(slots.len() * self.places, &mut |words| {
                for (word, place) in words.iter().zip(lists.by_ref()) {
                    let link = u32::from_le_bytes(*word);
                    greatest = greatest.max(link.wrapping_add(1));
                    place.store(!link, Ordering::Relaxed);
                }
            })
        })?;
        *self.len.get_mut() = u32::try_from(ids.end).map_err(io::Error::other)?;
        Ok(greatest)
    }

    /// Puts all codes into a new form.
    pub(super) fn recode(&mut self, stride: usize, f: &(impl Fn(&[u8], &mut [u8]) + Sync)) {
        let (old, new, len) = (self.words, stride / 8, self.len());
        self.chunks.par_iter_mut().enumerate().for_each(|(c, chunk)| {
            let codes: Region<AtomicU64> = Region::zeroed(CHUNK * new, c > 0);
            let (mut from, mut to) = (vec![0u8; old * 8], vec![0u8; new * 8]);
            for slot in 0..CHUNK.min(len.saturating_sub(c * CHUNK)) {
                for (b, w) in from.chunks_exact_mut(8).zip(&chunk.codes[slot * old..]) {
                    b.copy_from_slice(&w.load(Ordering::Relaxed).to_ne_bytes());
                }
                f(&from, &mut to);
                for (b, w) in to.chunks_exact(8).zip(&codes[slot * new..]) {
                    let mut word = [0; 8];
                    word.copy_from_slice(b);
                    w.store(u64::from_ne_bytes(word), Ordering::Relaxed);
                }
            }
            chunk.codes = codes;
        });
        self.words = new;
    }
}

/// Calls `f` with every chunk that some slots are in, and which of its own these are.
fn each_run(
    mut ids: Range<usize>,
    mut f: impl FnMut(usize, Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    while !ids.is_empty() {
        let (chunk, slot) = (ids.start / CHUNK, ids.start % CHUNK);
        let end = (slot + ids.len()).min(CHUNK);
        f(chunk, slot..end)?;
        ids.start += end - slot;
    }
    Ok(())
}
