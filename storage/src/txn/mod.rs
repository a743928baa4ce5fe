//! Transactions: what one sees, what it wrote, and how it ends.

mod commit;
mod ddl;
mod locking;
pub(crate) mod locks;
pub(crate) mod log;
mod object_lock;
pub(crate) mod prepared;
pub(crate) mod relation_lock;
mod sequence;
pub(crate) mod serializable;
mod undo;
pub(crate) mod waits;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use smallvec::SmallVec;
use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::catalog::Catalog;
use crate::catalog::change::Change;
use crate::database::Database;
use crate::mvcc::place::{OwnPlace, SnapshotHold, SnapshotPlace};
use crate::mvcc::version::UNCOMMITTED;
use crate::mvcc::{RowId, Snapshot, Xid};
use crate::sequence::Sequence;
use crate::store::Store;
use crate::wal::Lsn;
pub use commit::CommitTicket;
pub(crate) use ddl::no_table;
use locks::LockKey;
use log::TxnLog;
pub use prepared::{Prepare, PreparedInfo};
use relation_lock::RelationLock;
use undo::Undo;
use waits::Owner;
pub use watch::ReadInfo;

/// How much a transaction sees of those that run beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Every statement sees what was committed when it began. (READ UNCOMMITTED is the same.)
    #[default]
    ReadCommitted,
    /// Every statement sees what was committed when the transaction's first one began; writing a
    /// row that changed since is an error (40001).
    RepeatableRead,
    /// As REPEATABLE READ, and transactions that could not have run one after the other are errors (40001).
    Serializable,
}

impl Isolation {
    /// Whether one snapshot serves the whole transaction.
    pub fn is_snapshot(self) -> bool {
        self != Isolation::ReadCommitted
    }
}

/// Tells a waiting statement that it was cancelled, by an error.
pub type Interrupt = Arc<dyn Fn() -> Result<()> + Send + Sync>;

struct Control {
    pid: i32,
    lock_timeout: Option<Duration>,
    interrupt: Option<Interrupt>,
    /// Who was waited for last, by which command, and since when: waiting goes in pieces.
    waiting: Option<(Xid, u32, Instant)>,
}

/// A transaction. Dropped without [`Transaction::commit`] it is rolled back.
pub struct Transaction {
    isolation: Mutex<Isolation>,
    read_only: AtomicBool,
    /// Savepoints within savepoints.
    nesting: AtomicU32,
    /// A statement has run: see [`Transaction::settle`].
    settled: AtomicBool,
    /// It may have sequences of its own.
    has_sequences: AtomicBool,
    /// Wait for the disk at commit.
    synchronous: AtomicBool,
    place: Arc<SnapshotPlace>,
    /// Who it is to those who wait for its locks.
    owner: Owner,
    /// The snapshot of the whole transaction, 0 before it is taken.
    fixed: AtomicU64,
    /// Who it is among those at SERIALIZABLE, 0 if nothing of it is watched.
    watched: AtomicU64,
    /// At SERIALIZABLE and READ ONLY it waits for a snapshot that is safe.
    deferrable: AtomicBool,
    /// 0 until the first write.
    xid: AtomicU64,
    cid: AtomicU32,
    control: Mutex<Control>,
    inner: Mutex<Inner>,
    ended: AtomicBool,
    /// A place in the log that its acknowledgement waits for besides its own record; 0 for none.
    after: AtomicU64,
}

/// A storage the transaction wrote to.
struct Touched {
    store: Arc<Store>,
    inserted: i64,
    updated: i64,
    deleted: i64,
}

#[derive(Default)]
struct Inner {
    undo: SmallVec<[Undo; 2]>,
    /// Entries of `undo` below this belong to an outer savepoint and are not extended.
    floor: usize,
    stores: SmallVec<[Touched; 2]>,
    log: TxnLog,
    /// It waits for COMMIT PREPARED: that has to be in the log, even if nothing was written.
    prepared: bool,
    changes: Vec<Change>,
    /// Sequences it made, changed or restarted.
    sequences: Vec<(Oid, Arc<Sequence>)>,
    /// The catalog with our changes, and the version of the committed one it stands on.
    catalog: Option<(u64, Arc<Catalog>)>,
    locks: Vec<LockKey>,
    /// Locks on relations that are not in the session's own place.
    relations: Vec<(Oid, RelationLock)>,
}

/// A place to roll back to.
#[derive(Clone, Debug)]
pub struct Savepoint {
    undo: usize,
    log: u64,
    /// Storages touched.
    stores: usize,
    /// Weak locks on relations.
    locks: u32,
    read_only: bool,
    /// Savepoints it stands within, itself included.
    nesting: u32,
}

/// A transaction's right to write to one storage.
#[derive(Clone, Copy)]
pub(crate) struct Writer {
    pub(crate) xid: Xid,
    pub(crate) cid: u32,
    /// Which of the transaction's storages.
    at: usize,
}

impl Writer {
    pub(crate) fn stamp(&self) -> u64 {
        self.xid | UNCOMMITTED
    }
}

/// What was done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change1 {
    Update,
    Delete,
    /// Deleted here, inserted into another partition.
    Leave,
}

impl Transaction {
    pub(crate) fn begin(place: Arc<SnapshotPlace>, isolation: Isolation, read_only: bool) -> Self {
        let owner = place.held.begin(place.slot);
        Transaction::new(place, owner, isolation, read_only)
    }

    fn new(
        place: Arc<SnapshotPlace>,
        owner: Owner,
        isolation: Isolation,
        read_only: bool,
    ) -> Transaction {
        Transaction {
            owner,
            isolation: Mutex::new(isolation),
            read_only: AtomicBool::new(read_only),
            nesting: AtomicU32::new(0),
            settled: AtomicBool::new(false),
            has_sequences: AtomicBool::new(false),
            synchronous: AtomicBool::new(true),
            place,
            fixed: AtomicU64::new(0),
            watched: AtomicU64::new(0),
            deferrable: AtomicBool::new(false),
            xid: AtomicU64::new(0),
            cid: AtomicU32::new(0),
            control: Mutex::new(Control {
                pid: 0,
                lock_timeout: None,
                interrupt: None,
                waiting: None,
            }),
            inner: Mutex::new(Inner::default()),
            ended: AtomicBool::new(false),
            after: AtomicU64::new(0),
        }
    }

    /// The database it runs in.
    pub fn database(&self) -> &Arc<Database> {
        &self.place.db
    }

    /// Its isolation level.
    pub fn isolation(&self) -> Isolation {
        *self.isolation.lock()
    }

    /// A statement looks at rows, or changes some: the isolation level is settled.
    pub fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// `SET TRANSACTION ISOLATION LEVEL`: an error (25001) once it is settled, or behind a savepoint.
    pub fn set_isolation(&self, isolation: Isolation) -> Result<()> {
        let mut have = self.isolation.lock();
        if *have == isolation {
            return Ok(());
        }
        let late = |what: &str| {
            let message = format!("SET TRANSACTION ISOLATION LEVEL must {what}");
            Err(PgError::new(SqlState::ACTIVE_SQL_TRANSACTION, message))
        };
        if self.settled.load(Ordering::Relaxed) {
            return late("be called before any query");
        }
        if self.nesting.load(Ordering::Relaxed) > 0 {
            return late("not be called in a subtransaction");
        }
        *have = isolation;
        // A snapshot that something took in passing was another level's.
        self.watch_end();
        self.fixed.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Whether writes to anything but temporary tables are refused.
    pub fn read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// `SET TRANSACTION READ ONLY`, and back: an error (25001) once it is settled, or behind a savepoint.
    pub fn set_read_only(&self, read_only: bool) -> Result<()> {
        let active = |message: &str| PgError::new(SqlState::ACTIVE_SQL_TRANSACTION, message);
        if !read_only && self.read_only() {
            if self.nesting.load(Ordering::Relaxed) > 0 {
                return Err(active(
                    "cannot set transaction read-write mode inside a read-only transaction",
                ));
            }
            if self.settled.load(Ordering::Relaxed) {
                return Err(active("transaction read-write mode must be set before any query"));
            }
        }
        self.read_only.store(read_only, Ordering::Relaxed);
        Ok(())
    }

    /// `DEFERRABLE`: at SERIALIZABLE and READ ONLY it waits for a snapshot it need not be watched with.
    pub fn set_deferrable(&self, deferrable: bool) -> Result<()> {
        let refused = |must: &str| {
            let message = format!("SET TRANSACTION [NOT] DEFERRABLE {must}");
            Err(PgError::new(SqlState::ACTIVE_SQL_TRANSACTION, message))
        };
        if self.nesting.load(Ordering::Relaxed) > 0 {
            return refused("cannot be called within a subtransaction");
        }
        if self.settled.load(Ordering::Relaxed) {
            return refused("must be called before any query");
        }
        self.deferrable.store(deferrable, Ordering::Relaxed);
        Ok(())
    }

    /// See [`Transaction::set_deferrable`].
    pub fn deferrable(&self) -> bool {
        self.deferrable.load(Ordering::Relaxed)
    }

    /// `synchronous_commit`: whether the commit's ticket asks to wait for the disk.
    pub fn set_synchronous(&self, on: bool) {
        self.synchronous.store(on, Ordering::Relaxed);
    }

    /// Whose it is, for deadlock reports.
    pub fn set_process(&self, pid: i32) {
        self.control.lock().pid = pid;
        self.place.held.set_process(pid);
    }

    /// See [`Transaction::set_process`].
    pub fn process(&self) -> i32 {
        self.control.lock().pid
    }

    /// `lock_timeout`; `None` waits for ever.
    pub fn set_lock_timeout(&self, timeout: Option<Duration>) {
        self.control.lock().lock_timeout = timeout;
    }

    /// Asked a hundred times a second while waiting.
    pub fn set_interrupt(&self, interrupt: Interrupt) {
        self.control.lock().interrupt = Some(interrupt);
    }

    /// What the next statement sees. READ COMMITTED: call it when a statement begins. The
    /// transaction's own earlier statements are seen, the statement itself and later ones are not.
    pub fn snapshot(&self) -> Snapshot {
        let cid = self.cid.fetch_add(1, Ordering::Relaxed) + 1;
        let isolation = self.isolation();
        let (xid, slot) = (self.xid.load(Ordering::Relaxed), self.place.slot);
        if !isolation.is_snapshot() {
            return Snapshot::unwatched(self.place.db.core.clock.take(slot), xid, cid, slot);
        }
        let ts = match self.fixed.load(Ordering::Relaxed) {
            0 => self.fix(isolation),
            ts => ts,
        };
        Snapshot { watched: self.is_watched(), ..Snapshot::unwatched(ts, xid, cid, slot) }
    }

    /// Its acknowledgement waits for the log up to here: what it says depends on it (a sequence's
    /// value must not come again).
    pub fn acknowledge_after(&self, lsn: Option<Lsn>) {
        self.after.fetch_max(lsn.unwrap_or(0), Ordering::Relaxed);
    }

    /// Keeps what its last snapshot sees beyond the statement, for as long as the hold lives.
    pub fn hold(&self) -> SnapshotHold {
        SnapshotHold::new(&self.place)
    }

    /// Runs with a snapshot of everything committed by now, and of our own writes, at any isolation
    /// level: what a check must see that keeps others from breaking a rule.
    pub fn with_latest<R>(&self, f: impl FnOnce(Snapshot) -> Result<R>) -> Result<R> {
        let place = OwnPlace::take(&self.place.db.core.clock)?;
        let cid = self.cid.fetch_add(1, Ordering::Relaxed) + 1;
        let xid = self.xid.load(Ordering::Relaxed);
        f(Snapshot::unwatched(place.ts, xid, cid, place.slot))
    }

    /// Between two statements of a READ COMMITTED transaction nothing needs to be kept for it.
    pub fn end_statement(&self) {
        if !self.isolation().is_snapshot() {
            self.place.db.core.clock.idle(self.place.slot);
        }
    }

    /// Its id if it has written anything (`txid_current_if_assigned`).
    pub fn xid(&self) -> Option<Xid> {
        match self.xid.load(Ordering::Relaxed) {
            0 => None,
            xid => Some(xid),
        }
    }

    /// Its id, given now if it has none yet (`txid_current`).
    pub fn assign_xid(&self) -> Result<Xid> {
        let _inner = self.inner.lock();
        self.assign_xid_locked()
    }

    fn assign_xid_locked(&self) -> Result<Xid> {
        match self.xid.load(Ordering::Relaxed) {
            0 => {
                let xid = self.place.db.core.clock.start(self.owner)?;
                self.xid.store(xid, Ordering::Relaxed);
                self.watch_xid(xid);
                Ok(xid)
            }
            xid => Ok(xid),
        }
    }

    /// The right to write to a storage: takes the id, the table's lock, and its place in the
    /// transaction, at the first write.
    pub(crate) fn writer(&self, store: &Arc<Store>) -> Result<Writer> {
        let mut inner = self.inner.lock();
        let cid = self.cid.load(Ordering::Relaxed);
        let known = |t: &Touched| Arc::ptr_eq(&t.store, store);
        let last = inner.stores.len().wrapping_sub(1);
        let at = if inner.stores.last().is_some_and(known) {
            Some(last)
        } else {
            inner.stores.iter().position(known)
        };
        if let Some(at) = at {
            return Ok(Writer { xid: self.xid.load(Ordering::Relaxed), cid, at });
        }
        if self.ended.load(Ordering::Relaxed) {
            return Err(PgError::internal("transaction has ended"));
        }
        if self.read_only() && store.persistence != crate::catalog::model::Persistence::Temporary {
            return Err(PgError::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                "cannot write in a read-only transaction",
            ));
        }
        if self.fixed.load(Ordering::Relaxed) == 0 && self.isolation() == Isolation::Serializable {
            self.fix(Isolation::Serializable);
        }
        let xid = self.assign_xid_locked()?;
        let (locks, table) = (&self.place.db.core.relations, store.table);
        // The statement has locked it, as a rule.
        if !self.place.held.take(locks, table, RelationLock::RowExclusive) {
            drop(inner);
            self.lock_unchanged(table, RelationLock::RowExclusive, &self.catalog())?;
            inner = self.inner.lock();
        }
        if store.is_retired() {
            return Err(self.changed_meanwhile(table));
        }
        let store = store.clone();
        inner.stores.push(Touched { store, inserted: 0, updated: 0, deleted: 0 });
        Ok(Writer { xid, cid, at: inner.stores.len() - 1 })
    }

    /// Notes an inserted row for rollback, stamping and the WAL. Returns the log's position before.
    pub(crate) fn wrote_insert(&self, w: Writer, row: RowId, tuple: &[u8]) -> Result<u64> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        inner.note_insert(w.at, row);
        let before = inner.log.position();
        let Some(touched) = inner.stores.get_mut(w.at) else { return Ok(before) };
        touched.inserted += 1;
        if touched.store.logged() {
            inner.log.insert(touched.store.id, row, tuple);
            self.stream(&mut inner.log, w.xid)?;
        }
        Ok(before)
    }

    /// Notes an updated or deleted row.
    pub(crate) fn wrote_change(
        &self,
        w: Writer,
        row: RowId,
        change: Change1,
        tuple: &[u8],
    ) -> Result<()> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        inner.undo.push(Undo::Push { store: w.at, row, change });
        let Some(touched) = inner.stores.get_mut(w.at) else { return Ok(()) };
        let (store, logged) = (touched.store.id, touched.store.logged());
        match change {
            Change1::Update => {
                touched.updated += 1;
                if logged {
                    inner.log.update(store, row, tuple);
                }
            }
            Change1::Delete | Change1::Leave => {
                touched.deleted += 1;
                if logged {
                    inner.log.delete(store, row);
                }
            }
        }
        self.stream(&mut inner.log, w.xid)
    }

    /// Sends a long log's bytes ahead.
    fn stream(&self, log: &mut TxnLog, xid: Xid) -> Result<()> {
        if log.is_long() {
            let (base, bytes) = log.unsent();
            self.place.db.wal.append_chunk(xid, base, bytes)?;
            log.sent();
        }
        Ok(())
    }

    /// The committed catalog with the transaction's own changes.
    pub fn catalog(&self) -> Arc<Catalog> {
        let mut inner = self.inner.lock();
        self.catalog_locked(&mut inner)
    }

    /// Takes the catalog of now in place of an older one.
    pub fn refresh_catalog(&self, catalog: &mut Arc<Catalog>) {
        if self.xid.load(Ordering::Relaxed) == 0 {
            return self.place.db.refresh_catalog(catalog);
        }
        let mut inner = self.inner.lock();
        if inner.changes.is_empty() {
            return self.place.db.refresh_catalog(catalog);
        }
        *catalog = self.catalog_locked(&mut inner);
    }

    fn catalog_locked(&self, inner: &mut Inner) -> Arc<Catalog> {
        let latest = self.place.db.catalog();
        if inner.changes.is_empty() {
            return latest;
        }
        if let Some((base, catalog)) = &inner.catalog
            && *base == latest.version()
        {
            return catalog.clone();
        }
        let mut merged = (*latest).clone();
        for change in &inner.changes {
            if merged.apply(change).is_err() {
                // The commit will say so; until then our own view stands.
                if let Some((_, catalog)) = &inner.catalog {
                    return catalog.clone();
                }
            }
        }
        let merged = Arc::new(merged);
        inner.catalog = Some((latest.version(), merged.clone()));
        merged
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.abort();
        }
    }
}
