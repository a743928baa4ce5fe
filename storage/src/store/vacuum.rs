//! Cleaning up behind writers, a few rows at a time: versions no snapshot needs, the index entries
//! that only they had, and row ids to be used again.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_epoch::Guard;
use smallvec::SmallVec;
use vicinity_indexes::step_aside;
use vicinity_types::Result;

use super::Store;
use super::columns::Stored;
use crate::background::Background;
use crate::database::Database;
use crate::mvcc::clock::{Clock, Stamp};
use crate::mvcc::version::VersionRef;
use crate::mvcc::{RowId, pin};

/// How often the thread looks.
const PERIOD: Duration = Duration::from_millis(20);
/// Rows cleaned before it looks at another table.
const STEP: usize = 256;
/// Rows whose memory is asked for at once: most of the work is waiting for it.
const AHEAD: usize = 16;

/// The vacuum thread.
pub(crate) fn start(db: &Arc<Database>) -> Result<Background> {
    Background::start(db, "vacuum", PERIOD, |db| {
        db.vacuum_step();
        PERIOD
    })
}

/// Versions of one row.
type Versions<'g> = SmallVec<[VersionRef<'g>; 4]>;

/// What can be done about a row now.
enum Cleaned {
    Done,
    /// A snapshot still needs the old versions.
    Later,
}

impl Database {
    /// One look at every table with reported rows. The thread does this by itself.
    pub fn vacuum_step(&self) {
        let horizon = self.core.clock.horizon();
        for store in self.stores() {
            // Enough to keep up with any writer, short enough to share a core with it.
            for _ in 0..64 {
                if !store.clean_some(&self.core.clock, horizon) {
                    break;
                }
            }
        }
        pin().flush();
    }

    /// `VACUUM table`: cleans what can be cleaned now.
    pub fn vacuum(&self, storage: u64) {
        let Some(store) = self.store(storage) else { return };
        let horizon = self.core.clock.horizon();
        while store.clean_some(&self.core.clock, horizon) {}
        pin().flush();
    }
}

impl Store {
    /// Cleans some reported rows; false when there are none left that can be cleaned.
    fn clean_some(&self, clock: &Clock, horizon: u64) -> bool {
        let batch: Vec<RowId> = {
            let mut garbage = self.garbage.lock();
            let n = garbage.len().min(STEP);
            garbage.drain(..n).collect()
        };
        let mut later = Vec::new();
        let mut done = 0;
        for rows in batch.chunks(AHEAD) {
            let guard = pin();
            // Building indexes take removals down; they must not change state in between.
            let _gate = self.gate.read();
            self.prefetch(rows, &guard);
            for row in rows {
                match self.clean(*row, clock, horizon, &guard) {
                    Ok(Cleaned::Done) => done += 1,
                    Ok(Cleaned::Later) => later.push(*row),
                    Err(e) => tracing::warn!(storage = self.id, row, "cannot clean a row: {e}"),
                }
            }
        }
        let more = done > 0 && batch.len() == STEP;
        if !later.is_empty() {
            self.garbage.lock().extend(later);
        }
        step_aside();
        more
    }

    /// Asks the cache for the versions of rows, and for where the spatial indexes have those that may go.
    fn prefetch(&self, rows: &[RowId], guard: &Guard) {
        rows.iter().for_each(|row| self.rows.prefetch_slot(*row));
        rows.iter().for_each(|row| self.rows.prefetch_head(*row));
        let heads = rows.iter().filter_map(|row| self.rows.in_memory(*row, guard));
        let heads: SmallVec<[VersionRef<'_>; AHEAD]> = heads.collect();
        heads.iter().for_each(|head| head.prefetch_older());
        let layout = self.layout.load();
        for index in self.indexes().iter() {
            let older = heads.iter().filter_map(|head| head.older(guard));
            index.prefetch_places(older.map(|v| Stored { layout: &layout, bytes: v.bytes() }));
        }
    }

    fn clean(&self, row: RowId, clock: &Clock, horizon: u64, guard: &Guard) -> Result<Cleaned> {
        let lock = self.rows.lock(row);
        let Some(head) = lock.head(guard)? else { return Ok(Cleaned::Done) };
        let mut keep = Some(head);
        let mut alive = Versions::new();
        // The newest version everybody sees, and all that are newer.
        let base = loop {
            let Some(v) = keep else { return Ok(Cleaned::Later) };
            if !v.is_tombstone() {
                alive.push(v);
            }
            if matches!(clock.resolve(v), Stamp::Committed(ts) if ts <= horizon) {
                break v;
            }
            keep = v.older(guard);
        };
        let mut dead = Versions::new();
        let mut at = base.older(guard);
        while let Some(v) = at {
            if !v.is_tombstone() {
                dead.push(v);
            }
            at = v.older(guard);
        }
        self.remove_entries(row, &dead, &alive)?;
        let gone = base.is_tombstone() && base.raw() == head.raw();
        if gone {
            lock.clear(guard)?;
            drop(lock);
            self.rows.release(row);
            return Ok(Cleaned::Done);
        }
        lock.prune(base, guard);
        // Something newer than the base was reported too and cannot go yet.
        Ok(if base.raw() == head.raw() { Cleaned::Done } else { Cleaned::Later })
    }

    /// Removes the index entries of dead versions that no living version shares.
    fn remove_entries(
        &self,
        row: RowId,
        dead: &[VersionRef<'_>],
        alive: &[VersionRef<'_>],
    ) -> Result<()> {
        let layout = self.layout.load();
        for index in self.indexes().iter() {
            for (i, d) in dead.iter().enumerate() {
                let same = |v: &VersionRef<'_>| index.same_entry(&layout, d.bytes(), v.bytes());
                let twice = dead.iter().take(i).any(same);
                if !twice && !alive.iter().any(same) {
                    index.remove(&layout, d.bytes(), row)?;
                }
            }
        }
        Ok(())
    }
}
