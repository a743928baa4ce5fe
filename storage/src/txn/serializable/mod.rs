//! SERIALIZABLE: serializable snapshot isolation (Cahill, Röhm, Fekete 2008; Ports and Grittner 2012,
//! PostgreSQL's `predicate.c` and README-SSI).
//!
//! Transactions run on snapshots and never wait for each other's reads. What can go wrong then has one
//! shape: a *dangerous structure* of two read/write dependencies in a row, of which the last
//! transaction commits first.
//!
//! ```text
//!            rw              rw
//!      R ---------> P ---------> W          R --rw--> P: R read what P wrote since, without seeing it
//!                 pivot     commits first
//! ```
//!
//! So all dependencies between transactions that overlap are noted, and of every dangerous structure one
//! transaction is cancelled (40001), the pivot if it can be. A dependency is found from one of its ends:
//!
//! - A reader passes by versions that its snapshot does not see: [`Serializable::passed_by`].
//! - A writer finds what others have noted to have read ([`reads`]): [`Serializable::wrote`].
//!
//! A reader notes first and looks then; a writer links its version first and looks at the notes then: one
//! of the two finds the other. Notes stay after a commit, until all that overlapped have ended.
//!
//! Unlike PostgreSQL, a note on a range of an index holds for the keys that a row had as well as for
//! those it gets. So a scan of an index notes the range alone, however many rows it meets, and one that
//! ends before its range does notes what it has come to ([`predicate::Limit`]).
//!
//! A transaction that says it is READ ONLY reads from a *safe* snapshot, and notes nothing, once all
//! writers that overlapped its beginning have ended without a dependency on somebody who committed
//! before that.
//!
//! Only transactions at SERIALIZABLE take part. Everything here is behind one lock, which holders keep
//! for moments: nothing is computed, waited for or written under it.

mod conflict;
mod ending;
pub(crate) mod predicate;
mod reads;
mod state;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::prepared::file::Watched;
use crate::mvcc::clock::{Clock, Stamp};
use crate::mvcc::version::VersionRef;
use crate::mvcc::{RowId, Snapshot, Xid};
use predicate::Limit;
use state::{State, Xact};

pub(crate) use reads::{Changed, Noted, Target};

/// A transaction at SERIALIZABLE; never 0, never given twice.
pub(crate) type Id = u64;

/// Counts the commits of transactions at SERIALIZABLE; 0 is none.
pub(crate) type Seq = u64;

/// Why a transaction is cancelled, in PostgreSQL's words.
pub(super) type Reason = String;

/// Which transaction runs in a session's place.
#[derive(Default)]
struct Place {
    id: AtomicU64,
    /// It cannot commit any more.
    doomed: AtomicBool,
}

/// All transactions at SERIALIZABLE.
pub(crate) struct Serializable {
    state: Mutex<State>,
    places: Box<[Place]>,
    /// Somebody who waits for a safe snapshot may go on.
    settled: Condvar,
}

/// How a transaction begins.
pub(crate) struct Begun {
    pub(crate) ts: u64,
    /// 0 if its snapshot is safe.
    pub(crate) id: Id,
}

fn failure(reason: &str) -> PgError {
    PgError::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to read/write dependencies among transactions",
    )
    .detail(format!("Reason code: {reason}"))
    .hint("The transaction might succeed if retried.")
}

impl Serializable {
    pub(crate) fn new(places: usize) -> Serializable {
        Serializable {
            state: Mutex::default(),
            places: (0..places).map(|_| Place::default()).collect(),
            settled: Condvar::new(),
        }
    }

    fn place(&self, slot: u32) -> Option<&Place> {
        self.places.get(slot as usize)
    }

    /// Takes the snapshot of a transaction and watches it from now on.
    pub(crate) fn begin(&self, clock: &Clock, slot: u32, xid: Xid, read_only: bool) -> Begun {
        let mut state = self.state.lock();
        let ts = clock.take(slot);
        let id = state.begin(slot, ts, xid, read_only);
        if let Some(place) = self.place(slot) {
            place.doomed.store(false, Ordering::Release);
            place.id.store(id, Ordering::Release);
        }
        Begun { ts, id }
    }

    /// A prepared transaction of before a restart.
    pub(crate) fn resume(&self, clock: &Clock, slot: u32, xid: Xid, of: &Watched) -> Id {
        let mut state = self.state.lock();
        let id = state.resume(slot, clock.now(), xid, of);
        if let Some(place) = self.place(slot) {
            place.id.store(id, Ordering::Release);
        }
        id
    }

    /// The tables a transaction has read and written.
    pub(crate) fn tables(&self, id: Id) -> Watched {
        let state = self.state.lock();
        let of = |x: &Xact| Watched { reads: x.reads.clone(), wrote: x.wrote.clone() };
        state.get(id).map(of).unwrap_or_default()
    }

    /// It has got its id.
    pub(crate) fn set_xid(&self, id: Id, xid: Xid) {
        self.state.lock().set_xid(id, xid);
    }

    /// Whether the transaction's snapshot has turned out to be safe: it is not watched any more.
    pub(crate) fn is_safe(&self, slot: u32, id: Id) -> bool {
        let safe = self.state.lock().leave_if_safe(id);
        if safe {
            self.vacate(slot);
        }
        safe
    }

    /// Waits until it is known whether a snapshot is safe, or the time is over.
    pub(crate) fn wait_until_known(&self, id: Id, at_most: Duration) -> Option<bool> {
        let mut state = self.state.lock();
        state.set_waits(id, true);
        if state.safety(id).is_none() {
            self.settled.wait_for(&mut state, at_most);
        }
        state.safety(id)
    }

    /// Nobody asks any more whether a snapshot is safe.
    pub(crate) fn stop_waiting(&self, id: Id) {
        self.state.lock().set_waits(id, false);
    }

    fn vacate(&self, slot: u32) {
        if let Some(place) = self.place(slot) {
            place.id.store(0, Ordering::Release);
            place.doomed.store(false, Ordering::Release);
        }
    }

    /// Notes what a statement is about to read. `None` if that is noted already, or more than that.
    pub(crate) fn reads(
        &self,
        snapshot: &Snapshot,
        table: Oid,
        target: Target,
    ) -> Option<Box<Noted>> {
        let id = self.place(snapshot.slot())?.id.load(Ordering::Acquire);
        self.state.lock().note(id, table, target).map(Box::new)
    }

    /// A transaction has read something outside of a scan. An error if it cannot commit any more.
    pub(crate) fn read(&self, id: Id, table: Oid, target: Target) -> Result<()> {
        let mut state = self.state.lock();
        state.note(id, table, target);
        match state.is_doomed(id) {
            true => Err(failure(&state.why(id, "during conflict out checking"))),
            false => Ok(()),
        }
    }

    /// A scan has ended before its range did.
    pub(crate) fn read_until(&self, table: Oid, noted: Noted, limit: Limit) {
        self.state.lock().reads.narrow(table, noted, limit);
    }

    /// A reader's snapshot does not see a version: a dependency on its writer, if that is watched too.
    #[cold]
    pub(crate) fn passed_by(&self, snapshot: &Snapshot, version: VersionRef<'_>, clock: &Clock) {
        let Some(place) = self.place(snapshot.slot()) else { return };
        let id = place.id.load(Ordering::Acquire);
        let mut state = self.state.lock();
        // Commits happen under this lock: what is asked here stays true meanwhile.
        let outcome = match clock.resolve(version) {
            Stamp::Running(xid) => state.read_beside(id, snapshot.ts, xid),
            Stamp::Committed(ts) if ts > snapshot.ts => state.read_before(id, snapshot.ts, ts),
            Stamp::Committed(_) | Stamp::Aborted => Ok(()),
        };
        if let Err(reason) = outcome {
            state.fail(id, reason);
        }
        self.publish_doom(&mut state);
    }

    /// Those overlapping writers of a table that a scan cannot be sure to have met.
    pub(crate) fn reads_all_of(&self, snapshot: &Snapshot, table: Oid) {
        let Some(place) = self.place(snapshot.slot()) else { return };
        let id = place.id.load(Ordering::Acquire);
        let mut state = self.state.lock();
        if let Err(reason) = state.read_table(id, table) {
            state.fail(id, reason);
        }
        self.publish_doom(&mut state);
    }

    /// An error if the reader has been cancelled, by itself or another.
    #[inline]
    pub(crate) fn check(&self, snapshot: &Snapshot) -> Result<()> {
        match self.place(snapshot.slot()) {
            Some(place) if place.doomed.load(Ordering::Acquire) => {
                let id = place.id.load(Ordering::Acquire);
                Err(failure(&self.state.lock().why(id, "during conflict out checking")))
            }
            _ => Ok(()),
        }
    }

    /// Which indexes of a table others have read parts of: what a writer of a row has to look at.
    pub(crate) fn indexes_read(&self, table: Oid) -> Vec<Oid> {
        self.state.lock().reads.indexes(table)
    }

    /// A row was written, and its versions are linked: a dependency of all who have read it, or where it
    /// was, or where it is. An error if that is one too many.
    pub(crate) fn wrote(
        &self,
        id: Id,
        table: Oid,
        row: Option<RowId>,
        entries: &[Changed],
    ) -> Result<()> {
        let mut state = self.state.lock();
        let outcome = state.write(id, table, row, entries);
        self.publish_doom(&mut state);
        outcome.map_err(|reason| failure(&reason))
    }

    /// All rows of a table go at once.
    pub(crate) fn wrote_all(&self, id: Id, table: Oid) -> Result<()> {
        let mut state = self.state.lock();
        let outcome = state.write_all(id, table);
        self.publish_doom(&mut state);
        outcome.map_err(|reason| failure(&reason))
    }

    /// Row ids, keys or indexes of a table mean nothing any more: who read something of it has read it.
    pub(crate) fn rewritten(&self, table: Oid) {
        self.state.lock().reads.promote_all(table);
    }

    /// Whether a transaction may commit. From now on it cannot be cancelled by others.
    pub(crate) fn prepare(&self, id: Id) -> Result<()> {
        let mut state = self.state.lock();
        let outcome = state.prepare(id);
        self.publish_doom(&mut state);
        outcome.map_err(|reason| failure(&reason))
    }

    /// It commits: `publish` makes its versions visible and says from when on, 0 if it wrote none.
    pub(crate) fn commit(&self, slot: u32, id: Id, publish: impl FnOnce() -> u64) -> u64 {
        let mut state = self.state.lock();
        let ts = publish();
        state.commit(id, ts);
        self.vacate(slot);
        self.settled.notify_all();
        ts
    }

    /// It rolls back.
    pub(crate) fn roll_back(&self, slot: u32, id: Id) {
        self.state.lock().roll_back(id);
        self.vacate(slot);
        self.settled.notify_all();
    }

    fn publish_doom(&self, state: &mut State) {
        for slot in state.newly_doomed.drain(..) {
            if let Some(place) = self.place(slot) {
                place.doomed.store(true, Ordering::Release);
            }
        }
    }

    /// What transactions have read: whose place, which table, and what of it.
    pub(crate) fn list(&self) -> Vec<(u32, Oid, Target)> {
        let state = self.state.lock();
        let slot = |id| state.slot(id);
        state
            .reads
            .list()
            .into_iter()
            .filter_map(|(id, t, what)| Some((slot(id)?, t, what)))
            .collect()
    }

    /// Who waits to have a safe snapshot, and for whom: their places.
    pub(crate) fn safety_waits(&self) -> Vec<(u32, u32)> {
        self.state.lock().safety_waits()
    }
}
