//! Rows in versions, and who sees which.
//!
//! A table is an array of slots indexed by row id (invariant *stable-ids*). A slot points at the
//! newest version of its row; each version points at the next older one:
//!
//! ```text
//!   row id     slot
//!     0      +------+     +-----------+     +-----------+
//!            |   o--+---->| ts 17     |---->| ts 5      |
//!     1      +------+     | (new pos) |     | (old pos) |
//!            |   o--+-+   +-----------+     +-----------+
//!     2      +------+ |   +-----------+     +-----------+
//!            | null | +-->| txn 900   |---->| ts 9      |
//!            +------+     | tombstone |     |           |
//!                         +-----------+     +-----------+
//! ```
//!
//! A snapshot is a timestamp. It sees, of each row, the newest version whose commit timestamp is
//! not after it, and of its own transaction's versions those of earlier commands. Snapshot 12 above
//! sees row 0 at its old position and row 1 as it was; so does 17 for row 1, as transaction 900 has
//! not committed.
//!
//! Readers take no locks: they pin the epoch ([`pin`]) and follow pointers. Writers of a row hold
//! its stripe ([`rows::RowLock`]) for the moment it takes to look at the head and push. Whoever
//! finds another running transaction's version on top waits for that transaction, without the
//! stripe.
//!
//! Old versions go in two ways. An UPDATE that changes no index key cuts what no snapshot needs from
//! the chain it just grew. Versions whose index entries must go with them are left to the vacuum
//! thread, which visits the rows that writers reported, a few at a time, and never the table.
//! A cut version is freed when every guard of that moment is gone (epoch reclamation).

pub(crate) mod clock;
pub(crate) mod place;
pub(crate) mod rows;
pub(crate) mod version;

use crossbeam_epoch::Guard;
use vicinity_indexes::step_aside;

use clock::{Clock, Stamp};
use version::{UNCOMMITTED, VersionRef};

pub use vicinity_indexes::RowId;

/// A transaction id.
pub type Xid = u64;

/// Keeps every version that can be reached now from being freed. Not `Send`: never held over an
/// await, and not for long.
pub fn pin() -> Guard {
    crossbeam_epoch::pin()
}

/// Rows that long work reads between two rests.
const STEP: u64 = 512;

/// Long work comes to a row: every so many of them it lets go of what its guard has kept (versions, blocks of cold rows
/// that were read), and steps aside; whether it did.
pub(crate) fn rest_at(row: RowId, guard: &mut Guard) -> bool {
    let rests = row.is_multiple_of(STEP);
    if rests {
        guard.flush();
        guard.repin();
        step_aside();
    }
    rests
}

/// What a statement sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Commits up to here are seen.
    pub(crate) ts: u64,
    /// The own transaction, 0 if it has written nothing yet.
    pub(crate) xid: Xid,
    /// Own commands before this one are seen.
    pub(crate) cid: u32,
    /// Where the clock keeps this snapshot's versions alive.
    pub(crate) slot: u16,
    /// Of a transaction at SERIALIZABLE that notes what it reads.
    pub(crate) watched: bool,
}

impl Snapshot {
    /// The commit timestamp up to which this snapshot sees.
    pub fn timestamp(&self) -> u64 {
        self.ts
    }

    /// One that notes nothing. There are fewer than 2^16 slots.
    #[inline]
    pub(crate) fn unwatched(ts: u64, xid: Xid, cid: u32, slot: u32) -> Snapshot {
        Snapshot { ts, xid, cid, slot: slot as u16, watched: false }
    }

    #[inline]
    pub(crate) fn slot(&self) -> u32 {
        u32::from(self.slot)
    }

    /// The row's version this snapshot sees, if the row exists for it.
    #[inline]
    pub(crate) fn visible<'g>(
        &self,
        head: Option<VersionRef<'g>>,
        clock: &Clock,
        guard: &'g Guard,
    ) -> Option<VersionRef<'g>> {
        let newest = head?;
        let stamp = newest.stamp();
        // Mostly it is the newest one.
        if stamp & UNCOMMITTED == 0 && stamp <= self.ts {
            return (!newest.is_tombstone()).then_some(newest);
        }
        self.visible_from(newest, clock, guard)
    }

    fn visible_from<'g>(
        &self,
        newest: VersionRef<'g>,
        clock: &Clock,
        guard: &'g Guard,
    ) -> Option<VersionRef<'g>> {
        let mut at = Some(newest);
        while let Some(v) = at {
            let stamp = v.stamp();
            let seen = if stamp & UNCOMMITTED == 0 {
                stamp <= self.ts
            } else if stamp == (self.xid | UNCOMMITTED) {
                v.cid() < self.cid
            } else {
                matches!(clock.resolve(v), Stamp::Committed(ts) if ts <= self.ts)
            };
            if seen {
                return (!v.is_tombstone()).then_some(v);
            }
            if self.watched {
                clock.serializable.passed_by(self, v, clock);
            }
            at = v.older(guard);
        }
        None
    }
}
