//! The transactions at SERIALIZABLE, and what is known of each.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;
use vicinity_types::Oid;

use super::reads::{Noted, Reads, Target};
use super::{Id, Reason, Seq};
use crate::mvcc::Xid;
use crate::txn::prepared::file::Watched;

/// Committed transactions known in full, before the oldest are known by what they did only.
pub(super) const FINISHED: usize = 2048;
/// Committed transactions known by what they did.
pub(super) const OLD: usize = 1 << 16;

/// A transaction. It stays after its commit, as long as one runs that overlapped it.
#[derive(Default)]
pub(super) struct Xact {
    pub(super) slot: u32,
    /// 0 before it has one.
    pub(super) xid: Xid,
    /// Its snapshot.
    pub(super) ts: u64,
    /// The last commit before its snapshot.
    pub(super) seen: Seq,
    /// It may commit: cancelling it is too late.
    pub(super) prepared: Seq,
    /// It has committed.
    pub(super) committed: Seq,
    /// When its versions became visible; 0 for none.
    pub(super) commit_ts: u64,
    /// It said READ ONLY when it began, or has committed without a write.
    pub(super) read_only: bool,
    /// It said so.
    pub(super) declared_read_only: bool,
    pub(super) doomed: bool,
    pub(super) why: Option<Reason>,
    /// The tables it wrote to.
    pub(super) wrote: Vec<Oid>,
    /// The tables it has noted something of.
    pub(super) reads: Vec<Oid>,
    /// The first commit among those it depends on, at its own commit; 0 for none.
    pub(super) earliest_out: Seq,
    /// Who has read what it wrote since, and whose writes it has read past.
    pub(super) readers: Vec<Id>,
    pub(super) writers: Vec<Id>,
    /// The same, of transactions that are not known in full any more.
    pub(super) old_reader: bool,
    pub(super) old_writer: bool,
    /// Of a READ ONLY one: writers that may yet make its snapshot unsafe. Of a writer: whose.
    pub(super) possible: Vec<Id>,
    /// A writer has made its snapshot unsafe.
    pub(super) is_unsafe: bool,
    /// Its snapshot is safe.
    pub(super) is_safe: bool,
    /// It is DEFERRABLE, and waits to know that.
    pub(super) waits: bool,
}

impl Xact {
    pub(super) fn is_committed(&self) -> bool {
        self.committed != 0
    }

    pub(super) fn is_prepared(&self) -> bool {
        self.prepared != 0
    }
}

/// Everything behind the lock.
#[derive(Default)]
pub(super) struct State {
    pub(super) last_id: Id,
    /// The last commit.
    pub(super) seq: Seq,
    pub(super) xacts: HashMap<Id, Xact>,
    /// Committed ones, in that order.
    pub(super) finished: VecDeque<Id>,
    pub(super) by_xid: HashMap<Xid, Id>,
    pub(super) by_commit: BTreeMap<u64, Id>,
    /// How many run that may write.
    pub(super) writable: usize,
    /// What those who committed up to here have read is forgotten.
    pub(super) cleared: Seq,
    pub(super) reads: Reads,
    /// Committed writers that are not known in full any more: the first commit among those they
    /// depended on, 0 for none.
    pub(super) old: BTreeMap<u64, Seq>,
    /// Commits up to here may have been theirs too.
    pub(super) older: u64,
    /// Places of transactions that were cancelled and do not know yet.
    pub(super) newly_doomed: Vec<u32>,
}

impl State {
    pub(super) fn get(&self, id: Id) -> Option<&Xact> {
        self.xacts.get(&id)
    }

    pub(super) fn slot(&self, id: Id) -> Option<u32> {
        self.get(id).map(|x| x.slot)
    }

    /// A transaction whose snapshot was taken just now; 0 if that is safe at once.
    pub(super) fn begin(&mut self, slot: u32, ts: u64, xid: Xid, read_only: bool) -> Id {
        if read_only && self.writable == 0 {
            return 0;
        }
        self.last_id += 1;
        let id = self.last_id;
        let mut xact = Xact {
            slot,
            xid,
            ts,
            seen: self.seq,
            read_only,
            declared_read_only: read_only,
            ..Xact::default()
        };
        if read_only {
            for (other, x) in &mut self.xacts {
                if !x.is_committed() && !x.doomed && !x.read_only {
                    x.possible.push(id);
                    xact.possible.push(*other);
                }
            }
            if xact.possible.is_empty() {
                return 0;
            }
        } else {
            self.writable += 1;
        }
        if xid != 0 {
            self.by_xid.insert(xid, id);
        }
        self.xacts.insert(id, xact);
        id
    }

    /// A prepared transaction of before a restart: whom it depends on and who on it is not known any more, so
    /// everybody may.
    pub(super) fn resume(&mut self, slot: u32, ts: u64, xid: Xid, of: &Watched) -> Id {
        let id = self.begin(slot, ts, xid, false);
        self.seq += 1;
        let seq = self.seq;
        if let Some(xact) = self.xacts.get_mut(&id) {
            xact.prepared = seq;
            xact.old_reader = true;
            xact.old_writer = true;
            xact.wrote.clone_from(&of.wrote);
        }
        for table in &of.reads {
            self.note(id, *table, Target::Table);
        }
        id
    }

    pub(super) fn set_xid(&mut self, id: Id, xid: Xid) {
        if let Some(xact) = self.xacts.get_mut(&id) {
            xact.xid = xid;
            self.by_xid.insert(xid, id);
        }
    }

    /// Notes what is about to be read.
    pub(super) fn note(&mut self, id: Id, table: Oid, target: Target) -> Option<Noted> {
        let xact = self.xacts.get_mut(&id)?;
        if xact.is_safe {
            return None;
        }
        let (first, noted) = self.reads.note(id, table, target);
        if first && !xact.reads.contains(&table) {
            xact.reads.push(table);
        }
        noted
    }

    /// Whether a snapshot is safe, once that is known.
    pub(super) fn safety(&self, id: Id) -> Option<bool> {
        match self.get(id) {
            Some(x) if x.is_unsafe => Some(false),
            Some(x) if x.is_safe => Some(true),
            Some(_) => None,
            None => Some(true),
        }
    }

    /// It waits to know that, or does not any more.
    pub(super) fn set_waits(&mut self, id: Id, waits: bool) {
        if let Some(xact) = self.xacts.get_mut(&id) {
            xact.waits = waits;
        }
    }

    /// Who waits to have a safe snapshot, and for whom: their places.
    pub(super) fn safety_waits(&self) -> Vec<(u32, u32)> {
        let of = |x: &Xact| {
            let slot = x.slot;
            let writers = x.possible.iter().filter_map(|id| self.slot(*id));
            writers.map(move |writer| (slot, writer)).collect::<Vec<_>>()
        };
        self.xacts.values().filter(|x| x.waits && !x.is_committed()).flat_map(of).collect()
    }

    pub(super) fn is_doomed(&self, id: Id) -> bool {
        self.get(id).is_some_and(|x| x.doomed)
    }

    /// Cancels a transaction.
    pub(super) fn doom(&mut self, id: Id, why: Option<Reason>) {
        if let Some(xact) = self.xacts.get_mut(&id)
            && !xact.doomed
        {
            xact.doomed = true;
            xact.why = why;
            self.newly_doomed.push(xact.slot);
        }
    }

    /// A reader has found that it cannot commit.
    pub(super) fn fail(&mut self, id: Id, why: Reason) {
        self.doom(id, Some(why));
    }

    /// Why a transaction was cancelled, found out now.
    pub(super) fn why(&self, id: Id, when: &str) -> Reason {
        let known = self.get(id).and_then(|x| x.why.clone());
        known.unwrap_or_else(|| format!("Canceled on identification as a pivot, {when}."))
    }
}
