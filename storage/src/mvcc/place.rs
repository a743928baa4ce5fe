//! A session's place among the snapshots in use, and among the holders of locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vicinity_types::Result;

use crate::database::Database;
use crate::mvcc::clock::Clock;
use crate::txn::relation_lock::Held;

/// Where a session's transactions, one after the other, announce what they look at: which versions
/// they need, which relations nobody may drop. Kept by the session because getting one is a step all
/// sessions share.
///
/// It is also how they reach the database: a count of references that all sessions' threads changed with
/// every transaction would go from core to core each time.
pub struct SnapshotPlace {
    pub(crate) db: Arc<Database>,
    pub(crate) slot: u32,
    pub(crate) held: Arc<Held>,
    /// A prepared transaction keeps it.
    stays: AtomicBool,
}

impl SnapshotPlace {
    /// A place of its own; 53400 when more transactions run than the server has places for.
    pub fn open(db: &Arc<Database>) -> Result<Arc<SnapshotPlace>> {
        let slot = db.core.clock.open_snapshots()?;
        let held = db.core.relations.open_place(slot);
        Ok(SnapshotPlace::again(db, slot, held))
    }

    /// One that was left with [`SnapshotPlace::stay`].
    pub(crate) fn again(db: &Arc<Database>, slot: u32, held: Arc<Held>) -> Arc<SnapshotPlace> {
        Arc::new(SnapshotPlace { db: db.clone(), slot, held, stays: AtomicBool::new(false) })
    }

    /// It is not given back when nobody has it any more.
    pub(crate) fn stay(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }
}

impl Drop for SnapshotPlace {
    fn drop(&mut self) {
        if self.stays.load(Ordering::Relaxed) {
            return;
        }
        self.db.core.relations.close_place(self.slot);
        self.db.core.clock.close_snapshots(self.slot);
    }
}

/// A snapshot of the present outside of any transaction's: what it sees is kept until it is dropped.
pub(crate) struct OwnPlace<'a> {
    clock: &'a Clock,
    pub(crate) slot: u32,
    pub(crate) ts: u64,
}

impl OwnPlace<'_> {
    /// Takes it; 53400 as [`SnapshotPlace::open`].
    pub(crate) fn take(clock: &Clock) -> Result<OwnPlace<'_>> {
        let slot = clock.open_snapshots()?;
        Ok(OwnPlace { clock, slot, ts: clock.take(slot) })
    }
}

impl Drop for OwnPlace<'_> {
    fn drop(&mut self) {
        self.clock.close_snapshots(self.slot);
    }
}

/// Keeps the versions a snapshot sees, beyond the statement that took it, until it is dropped.
pub struct SnapshotHold(Arc<SnapshotPlace>);

impl SnapshotHold {
    pub(crate) fn new(place: &Arc<SnapshotPlace>) -> SnapshotHold {
        place.db.core.clock.share(place.slot);
        SnapshotHold(place.clone())
    }
}

impl Drop for SnapshotHold {
    fn drop(&mut self) {
        self.0.db.core.clock.close_snapshots(self.0.slot);
    }
}
