//! Committing: merge the catalog, append to the WAL, become visible, stamp.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use vicinity_types::Result;

use super::undo::Undo;
use super::{Inner, Touched, Transaction};
use crate::catalog::change::LoggedChange;
use crate::mvcc::version::{UNCOMMITTED, VersionRef};
use crate::mvcc::{RowId, Xid, pin};
use crate::wal::Lsn;

/// The proof of a commit.
#[derive(Clone, Copy, Debug)]
pub struct CommitTicket {
    /// Acknowledge only when the WAL is on disk up to here (invariant *durable*); `None` if there is
    /// nothing to wait for.
    pub lsn: Option<Lsn>,
}

impl Transaction {
    /// Commits: visible at once to everybody who begins later; durable when the ticket says so. On
    /// error everything is rolled back. The transaction has ended either way.
    pub fn commit(&self) -> Result<CommitTicket> {
        let xid = self.xid.load(Ordering::Relaxed);
        let mut guard = self.inner.lock();
        if self.ended.load(Ordering::Acquire) {
            return Ok(CommitTicket { lsn: None });
        }
        let watched = self.watched.load(Ordering::Relaxed);
        if watched != 0
            && let Err(e) = self.place.db.core.clock.serializable.prepare(watched)
        {
            drop(guard);
            self.rollback();
            return Err(e);
        }
        let inner = &mut *guard;
        let mut lsn = None;
        if xid != 0 {
            let ts;
            (lsn, ts) = match self.publish(inner, xid) {
                Ok(done) => done,
                Err(e) => {
                    drop(guard);
                    self.rollback();
                    return Err(e);
                }
            };
            self.published(inner, xid, ts);
        }
        if watched != 0 && self.watched.swap(0, Ordering::Relaxed) != 0 {
            self.place.db.core.clock.serializable.commit(self.place.slot, watched, || 0);
        }
        self.end_committed(guard);
        let after = Some(self.after.load(Ordering::Relaxed)).filter(|lsn| *lsn > 0);
        let lsn = lsn.max(after).filter(|_| self.synchronous.load(Ordering::Relaxed));
        Ok(CommitTicket { lsn })
    }

    /// After that moment.
    pub(super) fn published(&self, inner: &mut Inner, xid: Xid, ts: u64) {
        for key in inner.locks.drain(..) {
            self.place.db.core.locks.release(key, xid);
        }
        stamp(inner, xid, ts);
        self.place.db.core.clock.finish(xid, Some(ts));
        inner.stores.iter().for_each(count);
        self.watch_changes(&inner.changes);
        self.place.db.retire(&inner.changes);
    }

    /// It is over.
    pub(super) fn end_committed(&self, mut inner: MutexGuard<'_, Inner>) {
        self.ended.store(true, Ordering::Release);
        let relations = std::mem::take(&mut inner.relations);
        *inner = Inner { relations, ..Inner::default() };
        drop(inner);
        self.unlock_relations();
        self.place.db.core.clock.idle(self.place.slot);
    }

    /// The moment of the commit, alone under the lock.
    pub(super) fn publish(&self, inner: &mut Inner, xid: Xid) -> Result<(Option<Lsn>, u64)> {
        let ddl = logged_changes(inner)?;
        let (base, ops) = inner.log.unsent();
        let said = !ops.is_empty() || inner.log.streamed() || !ddl.is_empty();
        let silent = !said && !inner.prepared;
        let record = (!silent).then(|| self.place.db.wal.commit_record(xid, base, ops, &ddl));
        for (from, to) in inner.log.void() {
            self.place.db.wal.append_void(xid, *from, *to)?;
        }

        let _alone = self.place.db.commit.lock();
        let mut merged = None;
        if !inner.changes.is_empty() {
            let mut catalog = (*self.place.db.catalog()).clone();
            for change in &inner.changes {
                catalog.apply(change)?;
            }
            self.place.db.prepared.allow(&catalog, xid)?;
            merged = Some(Arc::new(catalog));
        }
        let lsn = record.map(|r| self.place.db.wal.append(r)).transpose()?;
        inner.stores.iter().for_each(|t| t.store.touch());
        if let Some(catalog) = merged {
            self.place.db.set_catalog(catalog);
        }
        for (oid, sequence) in inner.sequences.drain(..) {
            self.place.db.publish_sequence(oid, sequence);
        }
        let clock = &self.place.db.core.clock;
        let ts = match self.watched.swap(0, Ordering::Relaxed) {
            0 => clock.publish(xid),
            id => clock.serializable.commit(self.place.slot, id, || clock.publish(xid)),
        };
        Ok((lsn, ts))
    }
}

/// The catalog changes, and where changed sequences stand, as the WAL holds them; empty if there are
/// none.
pub(super) fn logged_changes(inner: &Inner) -> Result<Vec<u8>> {
    if inner.changes.is_empty() && inner.sequences.is_empty() {
        return Ok(Vec::new());
    }
    let changes = inner.changes.iter().map(|c| match &c.after {
        Some(object) => LoggedChange::Put(object.clone()),
        None => LoggedChange::Drop(c.key),
    });
    let sequences = inner.sequences.iter().map(|(oid, s)| LoggedChange::Sequence(*oid, s.state()));
    let logged: Vec<LoggedChange> = changes.chain(sequences).collect();
    crate::wal::record::encode_changes(&logged)
}

/// Replaces the transaction's mark on everything it wrote by its timestamp.
fn stamp(inner: &Inner, xid: Xid, ts: u64) {
    let mark = xid | UNCOMMITTED;
    let mut guard = pin();
    let mut done = 0u32;
    for undo in &inner.undo {
        let (store, first, count) = match *undo {
            Undo::Insert { store, first, count } => (store, first, count),
            Undo::Push { store, row, .. } => (store, row, 1),
            _ => continue,
        };
        let Some(t) = inner.stores.get(store) else { continue };
        for row in first..first + count {
            stamp_row(t, row, mark, ts, &guard);
            done += 1;
            if done.is_multiple_of(1024) {
                guard.repin();
            }
        }
    }
}

fn stamp_row(t: &Touched, row: RowId, mark: u64, ts: u64, guard: &crossbeam_epoch::Guard) {
    // Others may have pushed their versions on ours already, and pruned behind them: a version of
    // ours that is no longer linked is no longer read either.
    let mut at: Option<VersionRef<'_>> = t.store.rows.in_memory(row, guard);
    let mut met = false;
    while let Some(v) = at {
        if v.stamp() == mark {
            v.set_stamp(ts);
            met = true;
        } else if met {
            break;
        }
        at = v.older(guard);
    }
}

/// Adds what was done to the table's counters.
fn count(t: &Touched) {
    let c = &t.store.counters;
    // What all sessions write to is touched only where it changes.
    if t.inserted != t.deleted {
        c.live.fetch_add(t.inserted - t.deleted, Ordering::Relaxed);
    }
    let add = |to: &std::sync::atomic::AtomicU64, n: i64| {
        if n > 0 {
            to.fetch_add(n.cast_unsigned(), Ordering::Relaxed);
        }
    };
    add(&c.inserted, t.inserted);
    add(&c.updated, t.updated);
    add(&c.deleted, t.deleted);
}
