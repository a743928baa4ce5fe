//! Rows that memory has no room for.
//!
//! `memory_limit` is a budget for the versions of rows. Above it, rows that nobody looked up lately are written to
//! files below `cold/`, and the slot of such a row has an [`Address`] in the place of a pointer:
//!
//! ```text
//!   row id     slot
//!     0      +------+     +-----------+
//!            |   o--+---->| ts 17     |      in memory
//!     1      +------+     +-----------+
//!            | 3:8:2|           cold/3: block 8, record 2
//!            +------+
//! ```
//!
//! Only a row of one version leaves memory, whoever made that and whether it has committed or not; its record is the
//! version as it lay in memory. [`sweep`] goes around the slots of all tables and takes the rows that were not
//! looked up since it came by before.
//!
//! A scan reads a cold row where it lies, in a block of the cache. A row that is looked up by an index, or is about
//! to be changed, comes back into memory ([`RowLock::head`]): versions are pushed on versions in memory only. Its
//! record is then nobody's; a file without records of anybody is removed, and one of few has them written again.
//!
//! The files outlive no server: the log and the checkpoints have all rows, and a start removes what is there. So
//! nothing is synced. A file that cannot be written keeps its rows in memory; one that cannot be read is an error of
//! the statement.
//!
//! **Stamps.** A transaction that commits stamps its versions, and a record is not written twice. So a transaction
//! some of whose versions left before they were stamped is remembered with its timestamp ([`Cold::settle`]): the
//! sweeper announces it before it looks at a version's stamp for the last time, and a commit looks for the
//! announcement after it stamped. Either the sweeper sees the stamp or the commit sees the announcement.
//!
//! [`RowLock::head`]: crate::mvcc::rows::RowLock::head
//!
mod address;
mod block;
mod segments;
pub(crate) mod sweep;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use crossbeam_epoch::Guard;
use parking_lot::{Condvar, Mutex};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use vicinity_indexes::Apart;
use vicinity_types::{PgError, Result, SqlState};

use crate::disk::Disk;
use crate::mvcc::Xid;
use crate::mvcc::version::VersionRef;
pub(crate) use address::Address;
pub(crate) use block::Block;
use segments::Segments;

/// The directory of the files.
pub(crate) const DIR: &str = "cold";

/// Of the budget, the part that keeps blocks: one in so many.
const CACHE: u64 = 8;
/// How long a writer waits for room at the most: the budget is not worth a failed statement.
const PATIENCE: Duration = Duration::from_millis(100);

/// Cold rows and what is known of memory.
pub(crate) struct Cold {
    segments: Segments,
    /// Blocks by the address of their first record.
    blocks: Cache<u64, Arc<Block>, Bytes>,
    /// Bytes of versions in memory, of all tables.
    resident: Apart<AtomicI64>,
    limit: u64,
    /// Nothing was found that could leave, or nobody looks.
    stuck: AtomicBool,
    waiting: Mutex<()>,
    room: Condvar,
    /// One moves rows at a time.
    sweeping: Mutex<()>,
    /// Transactions of which versions left that were not stamped yet, and what the stamp is since they committed.
    unstamped: Mutex<HashMap<Xid, Option<u64>>>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<u64, Arc<Block>> for Bytes {
    fn weight(&self, _: &u64, block: &Arc<Block>) -> u64 {
        block.bytes()
    }
}

impl Cold {
    /// Room for `limit` bytes of rows. Removes what an earlier server left.
    pub(crate) fn new(disk: &Arc<dyn Disk>, limit: u64) -> Result<Arc<Cold>> {
        let cache = (limit / CACHE).max(4 * block::BLOCK as u64);
        let blocks = usize::try_from(cache / block::BLOCK as u64).unwrap_or(usize::MAX);
        Ok(Arc::new(Cold {
            segments: Segments::begin(disk)?,
            blocks: Cache::with_weighter(blocks, cache, Bytes),
            resident: Apart::default(),
            limit: limit - limit / CACHE,
            stuck: AtomicBool::new(true),
            waiting: Mutex::new(()),
            room: Condvar::new(),
            sweeping: Mutex::new(()),
            unstamped: Mutex::default(),
        }))
    }

    /// Bytes of versions came into memory, or went.
    pub(crate) fn count(&self, bytes: i64) {
        self.resident.fetch_add(bytes, Ordering::Relaxed);
    }

    fn resident(&self) -> u64 {
        u64::try_from(self.resident.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Bytes in memory above what there is room for.
    fn excess(&self) -> u64 {
        self.resident().saturating_sub(self.limit)
    }

    /// A writer is to wait: the sweeper is far behind, and gets on.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        let excess = self.excess();
        excess > self.limit / CACHE && !self.stuck.load(Ordering::Relaxed)
    }

    /// Waits for the sweeper, not for ever.
    #[cold]
    pub(crate) fn wait_for_room(&self) {
        crate::txn::locks::blocking(|| {
            let mut held = self.waiting.lock();
            while self.is_full() && !self.room.wait_for(&mut held, PATIENCE).timed_out() {}
        });
    }

    /// The version at an address.
    pub(crate) fn read<'g>(&self, at: Address, guard: &'g Guard) -> Result<VersionRef<'g>> {
        let load = || self.segments.read(at).map(Arc::new);
        let block = self.blocks.get_or_insert_with(&at.block(), load)?;
        VersionRef::in_block(&block, at.word(), guard)
            .ok_or_else(|| damaged(at, "a record lies outside of its block"))
    }

    /// A record is nobody's any more.
    pub(crate) fn release(self: &Arc<Self>, at: Address, guard: &Guard) {
        if let Some(file) = self.segments.release(at) {
            self.remove_later(file, guard);
        }
    }

    /// A transaction has stamped its versions, or taken all of them back (`None`).
    pub(crate) fn settle(&self, xid: Xid, stamp: Option<u64>) {
        let mut unstamped = self.unstamped.lock();
        match stamp {
            Some(_) => unstamped.get_mut(&xid).into_iter().for_each(|at| *at = stamp),
            None => drop(unstamped.remove(&xid)),
        }
    }

    /// The stamp of versions that left before they had it.
    pub(crate) fn stamp(&self, xid: Xid) -> Option<u64> {
        self.unstamped.lock().get(&xid).copied().flatten()
    }

    fn remove_later(self: &Arc<Self>, file: u32, guard: &Guard) {
        // Who found an address in it before may still read.
        let cold = self.clone();
        guard.defer(move || cold.segments.remove(file));
    }
}

fn damaged(at: Address, what: &str) -> PgError {
    let file = segments::path(at.segment());
    PgError::new(SqlState::DATA_CORRUPTED, format!("file \"{file}\" is damaged: {what}"))
}
