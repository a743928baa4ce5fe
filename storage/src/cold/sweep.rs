//! What leaves memory, and what is written again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_epoch::Guard;
use vicinity_types::Result;

use super::block::{self, Draft};
use super::segments::{Blocks, Segment};
use super::{Address, CACHE, Cold};
use crate::background::Background;
use crate::database::Database;
use crate::mvcc::clock::Clock;
use crate::mvcc::rows::Rows;
use crate::mvcc::version::{UNCOMMITTED, Unlinked, VersionRef};
use crate::mvcc::{RowId, Xid, pin};
use crate::store::Store;

/// How often the thread looks.
const PERIOD: Duration = Duration::from_millis(10);
/// After a file that could not be written or read, so much later.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that leave one table before another has its turn.
const SLICE: u64 = 4 << 20;

/// The thread that keeps to the budget.
pub(crate) fn start(db: &Arc<Database>) -> Result<Background> {
    Background::start(db, "cold-rows", PERIOD, |db| {
        let Some(cold) = &db.cold else { return PATIENCE };
        if cold.excess() > 0 {
            cold.say(true);
        }
        let done = db.sweep_step();
        cold.say(done.as_ref().is_ok_and(|fits| *fits));
        match done {
            Ok(_) => PERIOD,
            Err(e) => {
                tracing::warn!("rows stay in memory above memory_limit: {e}");
                PATIENCE
            }
        }
    })
}

impl Database {
    /// Lets rows leave memory until the rest fits, and writes again what lies in files of which most is nobody's. The
    /// thread does this by itself. Whether the rest fits now.
    pub fn sweep_step(&self) -> Result<bool> {
        let Some(cold) = &self.cold else { return Ok(true) };
        let fits = self.sweep_all(cold)?;
        for segment in cold.segments.sparse() {
            cold.rewrite(segment, &|storage| self.store(storage))?;
        }
        pin().flush();
        Ok(fits)
    }

    /// Bytes of row versions in memory, of those that count: with `memory_limit` only.
    pub fn resident_bytes(&self) -> Option<u64> {
        self.cold.as_ref().map(|cold| cold.resident())
    }

    /// Whether it fits now.
    fn sweep_all(&self, cold: &Arc<Cold>) -> Result<bool> {
        let mut stores = self.stores();
        stores.sort_by_key(|store| store.id);
        while cold.excess() > 0 {
            let mut freed = 0;
            for store in &stores {
                let wanted = cold.excess().min(SLICE);
                freed += cold.sweep(&store.rows, store.id, wanted, Some(&self.core.clock))?;
                cold.room.notify_all();
            }
            pin().flush();
            if freed == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Versions that are to leave together, and where they are in the files, if there.
struct Batch<'g> {
    draft: Draft,
    records: Vec<Record<'g>>,
    /// The transaction announced last, and whether this batch was the first to.
    announced: Option<(Xid, bool)>,
}

struct Record<'g> {
    row: RowId,
    v: VersionRef<'g>,
    stamp: u64,
    from: Option<Address>,
}

impl<'g> Batch<'g> {
    fn new() -> Batch<'g> {
        Batch { draft: Draft::new(), records: Vec::new(), announced: None }
    }

    fn push(&mut self, row: RowId, v: VersionRef<'g>, stamp: u64, from: Option<Address>) {
        self.draft.push(row, v, stamp);
        self.records.push(Record { row, v, stamp, from });
    }
}

impl Cold {
    /// Lets rows of a storage leave, at least `wanted` bytes if there are so many that were not looked up for a
    /// while. How many it were. The clock tells what older versions are needed, if there can be any.
    fn sweep(
        self: &Arc<Self>,
        rows: &Rows,
        storage: u64,
        wanted: u64,
        clock: Option<&Clock>,
    ) -> Result<u64> {
        let _alone = self.sweeping.lock();
        let end = rows.end();
        // Who was used the first time is not the second time.
        let (mut freed, mut left) = (0, end.saturating_mul(2));
        while freed < wanted && left > 0 {
            let guard = pin();
            let mut batch = Batch::new();
            while left > 0 && !batch.draft.is_full() {
                left -= 1;
                let row = rows.sweep_next(end);
                let Some(v) = rows.in_memory(row, &guard) else { continue };
                if v.is_tombstone() || v.take_used() {
                    continue;
                }
                if let Some(clock) = clock
                    && v.older(&guard).is_some()
                {
                    let lock = rows.lock(row);
                    if let Some(head) = rows.in_memory(row, &guard) {
                        lock.prune_behind(head, clock, &guard);
                    }
                }
                if v.older(&guard).is_some() {
                    continue;
                }
                let stamp = v.stamp();
                if stamp & UNCOMMITTED != 0 && !self.announce(stamp & !UNCOMMITTED, &mut batch) {
                    break;
                }
                batch.push(row, v, stamp, None);
            }
            freed += self.leave(rows, storage, batch, &guard)?;
        }
        Ok(freed)
    }

    /// Lets rows of a storage leave that is being loaded, when there are some more than fit. Those that cannot be written
    /// stay: a start needs no room on the disk.
    pub(crate) fn relieve(self: &Arc<Self>, rows: &Rows, storage: u64) {
        let excess = self.excess();
        if excess > SLICE.min(self.limit / CACHE) {
            if let Err(e) = self.sweep(rows, storage, excess, None) {
                tracing::debug!("rows stay in memory above memory_limit: {e}");
            }
            pin().flush();
        }
    }

    /// Says of a transaction that versions leave which it has not stamped. A batch has those of one.
    fn announce(&self, xid: Xid, batch: &mut Batch<'_>) -> bool {
        match batch.announced {
            None => {
                let mut unstamped = self.unstamped.lock();
                let first = !unstamped.contains_key(&xid);
                unstamped.entry(xid).or_default();
                batch.announced = Some((xid, first));
                true
            }
            Some((other, _)) => other == xid,
        }
    }

    /// Writes a batch, and has the slots say where it is. Bytes that left memory.
    fn leave(
        self: &Arc<Self>,
        rows: &Rows,
        storage: u64,
        batch: Batch<'_>,
        guard: &Guard,
    ) -> Result<u64> {
        let count = batch.records.len();
        if count == 0 {
            return Ok(0);
        }
        let (words, bytes) = batch.draft.end(storage);
        let written = self.segments.write(&bytes)?;
        written.hold(count);
        let (mut freed, mut left, mut unstamped) = (0, 0, false);
        let mut gone = Unlinked::default();
        for (record, word) in batch.records.iter().zip(words) {
            let Some(to) = written.address(word) else { continue };
            let lock = rows.lock(record.row);
            if lock.leave(record.v, record.stamp, record.from, to, &mut gone, guard) {
                left += 1;
                unstamped |= record.stamp & UNCOMMITTED != 0;
                freed += if record.from.is_none() { record.v.size() as u64 } else { 0 };
            }
        }
        gone.free_later(guard);
        guard.flush();
        if let Some((xid, true)) = batch.announced
            && !unstamped
        {
            self.unstamped.lock().remove(&xid);
        }
        if let Some(file) = self.segments.settle(&written, count - left) {
            self.remove_later(file, guard);
        }
        Ok(freed)
    }

    /// Writes the records of a file again that are somebody's.
    fn rewrite(
        self: &Arc<Self>,
        segment: Arc<Segment>,
        store: &dyn Fn(u64) -> Option<Arc<Store>>,
    ) -> Result<()> {
        let _alone = self.sweeping.lock();
        let mut blocks = Blocks::of(segment);
        while let Some((block, place)) = blocks.next()? {
            let Some(store) = store(block.storage()) else { continue };
            let guard = pin();
            let mut batch = Batch::new();
            block::each(&block, &guard, |row, v, word| {
                let from = place.address(word).filter(|from| store.rows.is_at(row, *from));
                if from.is_some() {
                    batch.push(row, v, v.stamp(), from);
                }
            });
            self.leave(&store.rows, store.id, batch, &guard)?;
        }
        Ok(())
    }

    /// Whether writers can hope for room.
    fn say(&self, hope: bool) {
        self.stuck.store(!hope, Ordering::Relaxed);
        let _held = self.waiting.lock();
        self.room.notify_all();
    }
}
