//! What a transaction at SERIALIZABLE tells of itself: see [`super::serializable`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use vicinity_types::{Oid, Result};

use super::locks::blocking;
use super::serializable::{Begun, Changed, Id, Target};
use super::{Isolation, Transaction};
use crate::catalog::change::Change;
use crate::catalog::model::{Object, RelationKind};
use crate::database::Database;
use crate::mvcc::{RowId, Xid};

/// How long a sleeper goes without looking whether its statement was cancelled.
const TICK: Duration = Duration::from_millis(10);

impl Transaction {
    /// Takes the snapshot of the whole transaction.
    #[cold]
    pub(super) fn fix(&self, isolation: Isolation) -> u64 {
        let clock = &self.place.db.core.clock;
        let ts = if isolation == Isolation::Serializable {
            self.fix_watched()
        } else {
            clock.take(self.place.slot)
        };
        self.fixed.store(ts, Ordering::Relaxed);
        ts
    }

    /// The snapshot of a transaction that is watched from now on, unless that is safe.
    fn fix_watched(&self) -> u64 {
        let (core, slot) = (&self.place.db.core, self.place.slot);
        let watch = &core.clock.serializable;
        loop {
            let xid = self.xid.load(Ordering::Relaxed);
            let Begun { ts, id } = watch.begin(&core.clock, slot, xid, self.read_only());
            self.watched.store(id, Ordering::Relaxed);
            if id == 0 || !self.read_only() || !self.deferrable() || !self.waits_for_safety(id) {
                return ts;
            }
            if watch.is_safe(slot, id) {
                self.watched.store(0, Ordering::Relaxed);
                return ts;
            }
            // Somebody has made it unsafe: another one.
            watch.roll_back(slot, id);
        }
    }

    /// Waits until it is known whether the snapshot is safe. False if the statement was cancelled
    /// meanwhile: it will say so itself.
    fn waits_for_safety(&self, id: Id) -> bool {
        let watch = &self.place.db.core.clock.serializable;
        let interrupt = self.control.lock().interrupt.clone();
        loop {
            let mut known = None;
            blocking(|| known = watch.wait_until_known(id, TICK));
            if known.is_some() {
                return true;
            }
            if interrupt.as_ref().is_some_and(|check| check().is_err()) {
                watch.stop_waiting(id);
                return false;
            }
        }
    }

    /// Whether it notes what it reads and writes.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed) != 0 && !self.is_safe()
    }

    /// Whether nothing needs to be noted any more, as its snapshot has turned out to be safe.
    fn is_safe(&self) -> bool {
        let id = self.watched.load(Ordering::Relaxed);
        let watch = &self.place.db.core.clock.serializable;
        let safe = self.read_only() && watch.is_safe(self.place.slot, id);
        if safe {
            self.watched.store(0, Ordering::Relaxed);
        }
        safe
    }

    /// It has got its id.
    pub(super) fn watch_xid(&self, xid: Xid) {
        let id = self.watched.load(Ordering::Relaxed);
        if id != 0 {
            self.place.db.core.clock.serializable.set_xid(id, xid);
        }
    }

    /// What it has read of a table outside of a scan.
    pub(crate) fn watch_read(&self, table: Oid, target: Target) -> Result<()> {
        let id = self.watched.load(Ordering::Relaxed);
        self.place.db.core.clock.serializable.read(id, table, target)
    }

    /// What it wrote of a table: a row, and its entries in indexes that somebody has read parts of.
    pub(crate) fn watch_write(
        &self,
        table: Oid,
        row: Option<RowId>,
        entries: &[Changed],
    ) -> Result<()> {
        let id = self.watched.load(Ordering::Relaxed);
        self.place.db.core.clock.serializable.wrote(id, table, row, entries)
    }

    /// All rows of a table go, or are written anew.
    pub(super) fn watch_truncate(&self, table: Oid) -> Result<()> {
        if self.fixed.load(Ordering::Relaxed) == 0 && self.isolation() == Isolation::Serializable {
            self.fix(Isolation::Serializable);
        }
        match self.watched.load(Ordering::Relaxed) {
            0 => Ok(()),
            id => self.place.db.core.clock.serializable.wrote_all(id, table),
        }
    }

    /// Where rows of a table are others now, or an index is gone, notes on parts of it mean nothing: those
    /// who made them have read all of it.
    pub(super) fn watch_changes(&self, changes: &[Change]) {
        let rewritten = |change: &Change| {
            let Some(Object::Relation(before)) = &change.before else { return None };
            let after = match &change.after {
                Some(Object::Relation(after)) => after.table(),
                _ => None,
            };
            match &before.kind {
                RelationKind::Table(t) if after.is_none_or(|a| a.storage != t.storage) => {
                    Some(before.oid)
                }
                RelationKind::Index(i) if change.after.is_none() => Some(i.table),
                _ => None,
            }
        };
        for table in changes.iter().filter_map(rewritten) {
            self.place.db.core.clock.serializable.rewritten(table);
        }
    }

    /// It rolls back.
    pub(crate) fn watch_end(&self) {
        let id = self.watched.swap(0, Ordering::Relaxed);
        if id != 0 {
            self.place.db.core.clock.serializable.roll_back(self.place.slot, id);
        }
    }
}

/// Something a transaction at SERIALIZABLE has read, for `pg_locks`.
#[derive(Clone, Copy, Debug)]
pub struct ReadInfo {
    /// The session's process id.
    pub pid: i32,
    /// The table, or the index of which a part was read.
    pub relation: Oid,
    /// The row, if it was one.
    pub row: Option<RowId>,
    /// The session's place.
    pub place: u32,
}

impl Database {
    /// What transactions at SERIALIZABLE have read.
    pub fn reads(&self) -> Vec<ReadInfo> {
        let all = self.core.clock.serializable.list().into_iter();
        let info = |(place, table, target): (u32, Oid, Target)| {
            let (relation, row) = match target {
                Target::Table => (table, None),
                Target::Row(row) => (table, Some(row)),
                Target::Key(index, _) | Target::Part(index, _) => (index, None),
            };
            ReadInfo { pid: self.core.relations.process(place.into()), relation, row, place }
        };
        all.map(info).collect()
    }

    /// Processes that wait to have a safe snapshot, and those they wait for.
    pub fn safe_snapshot_waits(&self) -> Vec<(i32, i32)> {
        let pid = |place: u32| self.core.relations.process(place.into());
        let waits = self.core.clock.serializable.safety_waits().into_iter();
        waits.map(|(who, by)| (pid(who), pid(by))).collect()
    }
}
