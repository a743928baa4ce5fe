//! Taking a transaction off its session, and going on with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::commit::logged_changes;
use super::super::locks::LockKey;
use super::super::log::TxnLog;
use super::super::relation_lock::{Held, RelationLock};
use super::super::serializable::Id;
use super::super::{Inner, Isolation, Transaction};
use super::Prepare;
use super::effect::{self, Effect};
use super::file::{Counts, Image};
use crate::catalog::Catalog;
use crate::catalog::model::{Object, Persistence, Relation};
use crate::checkpoint::manifest::{PREPARED, announce};
use crate::database::Database;
use crate::mvcc::Xid;
use crate::mvcc::place::SnapshotPlace;
use crate::wal::Lsn;

/// A transaction that no session is in.
pub(crate) struct Suspended {
    slot: u32,
    held: Arc<Held>,
    xid: Xid,
    isolation: Isolation,
    watched: Id,
    pub(super) inner: Inner,
}

impl Suspended {
    pub(super) fn xid(&self) -> Xid {
        self.xid
    }
}

impl Transaction {
    /// `PREPARE TRANSACTION`: from now on it is in no session, and lasts. Its place stays with it: the session needs
    /// another one. On error everything is rolled back. The transaction has ended for its session either way.
    pub fn prepare_transaction(&self, how: &Prepare) -> Result<()> {
        let outcome = self.try_prepare(how);
        if outcome.is_err() {
            self.rollback();
        }
        outcome
    }

    fn try_prepare(&self, how: &Prepare) -> Result<()> {
        let (db, clock) = (&self.place.db, &self.place.db.core.clock);
        if self.ended.load(Ordering::Acquire) {
            return Err(PgError::internal("transaction has ended"));
        }
        let watched = self.watched.load(Ordering::Relaxed);
        if watched != 0 {
            clock.serializable.prepare(watched)?;
        }
        self.refuse_temporary(how.temporary)?;
        let xid = self.assign_xid()?;
        db.prepared.reserve(how, xid, self.place.slot)?;
        let written = self.check_changes(xid).and_then(|()| self.write_image(how, xid));
        match written {
            Ok(()) => {
                db.prepared.put(&how.name, self.suspend());
                Ok(())
            }
            Err(e) => {
                db.prepared.forget(&how.name, xid);
                Err(e)
            }
        }
    }

    /// Temporary objects end with their session.
    fn refuse_temporary(&self, schema: Oid) -> Result<()> {
        let inner = self.inner.lock();
        let catalog = self.place.db.catalog();
        let is_temporary = |r: &Relation| {
            let table = r.table().is_some_and(|t| t.persistence == Persistence::Temporary);
            table || (schema != 0 && r.schema == schema)
        };
        let of =
            |catalog: &Catalog, oid: Oid| catalog.relation(oid).is_some_and(|r| is_temporary(r));
        let own = inner.catalog.as_ref().map_or(&catalog, |(_, own)| own);
        let locked = self.place.held.locks().chain(inner.relations.iter().copied());
        let wrote = inner.stores.iter().any(|t| t.store.persistence == Persistence::Temporary);
        let objects = inner.changes.iter().flat_map(|c| [&c.before, &c.after]).flatten();
        let mut relations = objects.filter_map(|object| match object {
            Object::Relation(r) => Some(r),
            _ => None,
        });
        let changed = relations.any(|r| is_temporary(r));
        if wrote || changed || locked.into_iter().any(|(oid, _)| of(own, oid) || of(&catalog, oid))
        {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot PREPARE a transaction that has operated on temporary objects",
            ));
        }
        Ok(())
    }

    /// Its changes of the catalog can be committed, and nobody takes that away.
    fn check_changes(&self, xid: Xid) -> Result<()> {
        let (db, inner) = (&self.place.db, self.inner.lock());
        if inner.changes.is_empty() {
            return Ok(());
        }
        let _alone = db.commit.lock();
        let mut catalog = (*db.catalog()).clone();
        inner.changes.iter().try_for_each(|change| catalog.apply(change))?;
        db.prepared.allow(&catalog, xid)?;
        db.prepared.protect(xid, &inner.changes);
        Ok(())
    }

    /// Writes the file.
    fn write_image(&self, how: &Prepare, xid: Xid) -> Result<()> {
        let (db, mut inner) = (&self.place.db, self.inner.lock());
        // What it has seen, and built on, lasts.
        db.wal.wait_durable(db.wal.end())?;
        inner.log = TxnLog::after(inner.log.position());
        inner.prepared = true;
        let image = self.image(&inner, how, xid)?;
        announce(db.disk.as_ref(), PREPARED)?;
        image.write(db.disk.as_ref()).map_err(|(e, unknown)| {
            if unknown {
                // The next start may find it: nothing may be built upon that it is rolled back.
                db.wal.fail(&format!("a transaction may be prepared or not: {e}"));
            }
            e
        })
    }

    fn image(&self, inner: &Inner, how: &Prepare, xid: Xid) -> Result<Image> {
        let core = &self.place.db.core;
        let mut ops = TxnLog::default();
        effect::each(&inner.undo, &inner.stores, xid, &mut |touched, row, effect| {
            let store = touched.store.id;
            match effect {
                Effect::Insert(tuple) => ops.insert(store, row, tuple),
                Effect::Update(tuple) => ops.update(store, row, tuple),
                Effect::Delete => ops.delete(store, row),
                Effect::Leave => ops.leave(store, row),
            }
            Ok(())
        })?;
        let held = self.place.held.locks().chain(inner.relations.iter().copied());
        let mode = |key: &LockKey| {
            let LockKey::Row(store, row) = *key else { return None };
            Some((store, row, core.locks.mode(*key, xid)?))
        };
        let watched = self.watched.load(Ordering::Relaxed);
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(Image {
            xid,
            position: inner.log.position(),
            at: how.at,
            owner: how.owner,
            isolation: self.isolation(),
            name: how.name.clone(),
            extra: how.extra.clone(),
            relations: held.collect::<Vec<(Oid, RelationLock)>>(),
            rows: inner.locks.iter().filter_map(mode).collect(),
            watched: (watched != 0).then(|| core.clock.serializable.tables(watched)),
            stores: inner
                .stores
                .iter()
                .map(|t| Counts {
                    storage: t.store.id,
                    inserted: count(t.inserted),
                    updated: count(t.updated),
                    deleted: count(t.deleted),
                })
                .collect(),
            changes: logged_changes(inner)?,
            ops: ops.unsent().1.to_vec(),
        })
    }

    /// Leaves the session, with everything it has.
    pub(super) fn suspend(&self) -> Suspended {
        self.ended.store(true, Ordering::Release);
        self.place.stay();
        self.place.held.set_process(0);
        self.place.db.core.clock.idle(self.place.slot);
        Suspended {
            slot: self.place.slot,
            held: self.place.held.clone(),
            xid: self.xid.load(Ordering::Relaxed),
            isolation: self.isolation(),
            watched: self.watched.swap(0, Ordering::Relaxed),
            inner: std::mem::take(&mut *self.inner.lock()),
        }
    }

    /// Goes on where it was left.
    pub(super) fn resume(db: &Arc<Database>, left: Suspended) -> Transaction {
        let Suspended { slot, held, xid, isolation, watched, inner } = left;
        let owner = held.owner();
        let place = SnapshotPlace::again(db, slot, held);
        let txn = Transaction::new(place, owner, isolation, false);
        txn.xid.store(xid, Ordering::Relaxed);
        txn.watched.store(watched, Ordering::Relaxed);
        *txn.inner.lock() = inner;
        txn
    }

    /// Commits what was prepared. On error it is as prepared as before.
    pub(super) fn commit_suspended(&self) -> Result<Lsn> {
        let xid = self.xid.load(Ordering::Relaxed);
        let mut guard = self.inner.lock();
        let said = self.say_all(&mut guard, xid);
        let published = said.and_then(|()| self.publish(&mut guard, xid));
        let (lsn, ts) = match published {
            Ok(done) => done,
            Err(e) => {
                guard.log = TxnLog::after(guard.log.position());
                return Err(e);
            }
        };
        self.published(&mut guard, xid, ts);
        self.end_committed(guard);
        Ok(lsn.unwrap_or(0))
    }

    /// Says to the log what its writes have come to.
    fn say_all(&self, inner: &mut Inner, xid: Xid) -> Result<()> {
        let Inner { undo, stores, log, .. } = inner;
        effect::each(undo, stores, xid, &mut |touched, row, effect| {
            if !touched.store.logged() {
                return Ok(());
            }
            let store = touched.store.id;
            match effect {
                Effect::Insert(tuple) => log.insert(store, row, tuple),
                Effect::Update(tuple) => log.update(store, row, tuple),
                Effect::Delete | Effect::Leave => log.delete(store, row),
            }
            self.stream(log, xid)
        })
    }
}
