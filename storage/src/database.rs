//! The database: everything the rooms above hold on to.

use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use vicinity_indexes::Apart;
use vicinity_types::{Oid, PgError, Result, oid};

use crate::background::Background;
use crate::catalog::Catalog;
use crate::catalog::change::Change;
use crate::catalog::model::{IndexDef, Object, RelationKind};
use crate::checkpoint::{self, Checkpoints, unlogged};
use crate::cold::{Cold, sweep};
use crate::disk::{Disk, RealDisk};
use crate::mvcc::clock::Clock;
use crate::mvcc::place::SnapshotPlace;
use crate::recovery;
use crate::sequence::Sequence;
use crate::store::build::Builds;
use crate::store::computed::ExpressionCompiler;
use crate::store::index::IndexStore;
use crate::store::rebuild::{Job, rebuild_all};
use crate::store::vacuum;
use crate::store::{Layout, Store};
use crate::table::Table;
use crate::txn::locks::Locks;
use crate::txn::relation_lock::{LockInfo, LockTarget, RelationLock, RelationLocks};
use crate::txn::waits::Waits;
use crate::txn::{Isolation, Transaction, prepared};
use crate::wal::{OnFatal, Wal};

/// How a database is opened.
#[derive(Clone)]
pub struct Options {
    /// Whether commits reach the disk (`fsync`); off only for data that can be made again.
    pub sync: bool,
    /// Bytes of a WAL segment.
    pub wal_segment_size: u64,
    /// How long records that nobody waits for may gather before they are written. Tests that must
    /// know what the disk does when make it long.
    pub wal_writer_delay: Duration,
    /// Called once if the WAL can no longer be written; must end the process. `None` leaves the
    /// database refusing every commit.
    pub on_fatal: Option<OnFatal>,
    /// Whether threads clean up behind writers and keep to `memory_limit`; tests that do it themselves say no.
    pub vacuum: bool,
    /// Bytes of log after which a checkpoint is due; 0 makes none, not at a clean stop either, unless asked.
    pub checkpoint_bytes: u64,
    /// The longest time between a change and a checkpoint.
    pub checkpoint_interval: Duration,
    /// Indexes of fewer entries are built at a start as fast as they are read, and have no images.
    pub index_image_entries: u64,
    /// Bytes of rows in memory, above which those not used lately are kept in files; 0 for no limit.
    pub memory_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            sync: true,
            wal_segment_size: 64 << 20,
            wal_writer_delay: Duration::from_millis(5),
            on_fatal: None,
            vacuum: true,
            checkpoint_bytes: 256 << 20,
            checkpoint_interval: Duration::from_secs(300),
            index_image_entries: 1000,
            memory_limit: 0,
        }
    }
}

/// What tables need of their database to be read and written.
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) locks: Locks,
    pub(crate) relations: RelationLocks,
    pub(crate) waits: Waits,
}

/// An open database.
pub struct Database {
    pub(crate) options: Options,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) core: Arc<Core>,
    pub(crate) wal: Arc<Wal>,
    /// Held for the moment of a commit.
    pub(crate) commit: Apart<Mutex<()>>,
    pub(crate) builds: Builds,
    pub(crate) checkpoints: Checkpoints,
    /// Rows out of memory, if there is a budget.
    pub(crate) cold: Option<Arc<Cold>>,
    pub(crate) prepared: prepared::Registry,
    catalog: ArcSwap<Catalog>,
    stores: RwLock<HashMap<u64, Arc<Store>>>,
    sequences: RwLock<HashMap<Oid, Arc<Sequence>>>,
    /// Tables as last opened.
    tables: RwLock<HashMap<Oid, Opened>>,
    next_oid: AtomicU32,
    next_storage: AtomicU64,
    vacuum: Mutex<Option<Background>>,
    sweeper: Mutex<Option<Background>>,
    compiler: OnceLock<Arc<dyn ExpressionCompiler>>,
}

/// A table, and the last version of the catalog that was found to describe it as it is here.
struct Opened {
    table: Arc<Table>,
    version: AtomicU64,
}

/// What recovery hands over.
pub(crate) struct Recovered {
    pub(crate) catalog: Catalog,
    pub(crate) stores: HashMap<u64, Arc<Store>>,
    pub(crate) sequences: HashMap<Oid, Arc<Sequence>>,
    pub(crate) next_xid: u64,
    /// Ids up to this were used, if only by objects that are gone.
    pub(crate) max_oid: Oid,
    pub(crate) max_storage: u64,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) cold: Option<Arc<Cold>>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) prepared: Vec<prepared::file::Image>,
    /// The rows of unlogged tables are there.
    pub(crate) unlogged: bool,
}

impl Database {
    /// Opens the database in a directory, or makes one there, and recovers what was committed.
    pub fn open(dir: &Path, options: Options) -> Result<Arc<Database>> {
        let disk = RealDisk::new(dir).map_err(|e| {
            crate::wal::reader::io_error(&format!("open data directory \"{}\"", dir.display()), &e)
        })?;
        Database::open_on(Arc::new(disk), options)
    }

    /// Opens the database on any disk.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Arc<Database>> {
        let recovered = recovery::recover(&disk, &options)?;
        let max_oid = recovered.catalog.max_oid().max(recovered.max_oid).max(oid::FIRST_USER - 1);
        let max_storage = recovered.stores.keys().max().copied().unwrap_or(0);
        let max_storage = max_storage.max(recovered.max_storage);
        let db = Arc::new(Database {
            disk,
            core: Arc::new(Core {
                clock: Clock::new(recovered.next_xid, recovered.cold.clone()),
                locks: Locks::new(),
                relations: RelationLocks::new(),
                waits: Waits::default(),
            }),
            wal: recovered.wal,
            commit: Apart::default(),
            builds: Builds::default(),
            checkpoints: recovered.checkpoints,
            cold: recovered.cold,
            prepared: prepared::Registry::default(),
            catalog: ArcSwap::from_pointee(recovered.catalog),
            stores: RwLock::new(recovered.stores),
            sequences: RwLock::new(recovered.sequences),
            tables: RwLock::new(HashMap::new()),
            next_oid: AtomicU32::new(max_oid + 1),
            next_storage: AtomicU64::new(max_storage.max(u64::from(oid::FIRST_USER)) + 1),
            vacuum: Mutex::new(None),
            sweeper: Mutex::new(None),
            compiler: OnceLock::new(),
            options,
        });
        for image in recovered.prepared {
            prepared::restore(&db, image, recovered.unlogged)?;
        }
        if db.options.vacuum {
            *db.vacuum.lock() = Some(vacuum::start(&db)?);
        }
        if db.cold.is_some() && db.options.vacuum {
            *db.sweeper.lock() = Some(sweep::start(&db)?);
        }
        if db.options.checkpoint_bytes > 0 {
            db.checkpoints.run_by(checkpoint::start(&db)?);
        }
        Ok(db)
    }

    /// Says what index expressions mean, and builds the indexes that recovery had to leave; once,
    /// before the first statement.
    pub fn set_expression_compiler(&self, compiler: Arc<dyn ExpressionCompiler>) {
        if self.compiler.set(compiler).is_err() {
            return;
        }
        let catalog = self.catalog();
        let mut jobs = Vec::new();
        for index in catalog.relations() {
            let Some(def) = index.index().filter(|d| d.is_computed()) else { continue };
            match self.computed(&catalog, index.oid, def) {
                Ok(Some((store, made))) => jobs.push(Job::new(store, made, &index.name)),
                Ok(None) => {}
                Err(e) => tracing::error!("index {} cannot be rebuilt: {e}", index.name),
            }
        }
        rebuild_all(&jobs, &self.core.clock);
        self.prepared.index_again(self, &jobs);
    }

    /// A computed index that knows what its expressions mean from now on, and its storage.
    fn computed(
        &self,
        catalog: &Arc<Catalog>,
        oid: Oid,
        def: &IndexDef,
    ) -> Result<Option<(Arc<Store>, Arc<IndexStore>)>> {
        let missing = || crate::txn::no_table(def.table);
        let table = catalog.relation(def.table).ok_or_else(missing)?;
        let storage = table.table().ok_or_else(missing)?.storage;
        let store = self.store(storage).ok_or_else(missing)?;
        let Some(index) = store.index(oid) else { return Ok(None) };
        self.compile_expressions(&index, def, catalog)?;
        Ok(Some((store, index)))
    }

    /// Gives an index what it computes, if it computes anything.
    pub(crate) fn compile_expressions(
        &self,
        index: &IndexStore,
        def: &IndexDef,
        catalog: &Arc<Catalog>,
    ) -> Result<()> {
        if !index.lacks_expressions() {
            return Ok(());
        }
        let table = catalog.relation(def.table).ok_or_else(|| crate::txn::no_table(def.table))?;
        let compiler =
            self.compiler.get().ok_or_else(|| PgError::unsupported("index on an expression"))?;
        index.set_expressions(compiler.compile(catalog, table, (index.oid, def))?);
        Ok(())
    }

    /// Stops cleanly: everything committed is on disk, unlogged tables are kept. An error says that the log could not
    /// be written, or the tables not be kept.
    pub fn shutdown(&self) -> Result<()> {
        drop(self.vacuum.lock().take());
        self.checkpoints.end();
        if self.options.checkpoint_bytes > 0 {
            // What nobody needs any more is in no image of an index.
            self.stores().iter().for_each(|store| self.vacuum(store.id));
            if let Err(e) = self.last_checkpoint() {
                // The log has everything all the same.
                tracing::warn!("the last checkpoint failed: {e}");
            }
        }
        drop(self.sweeper.lock().take());
        self.wal.stop();
        let written = self.wal.wait_durable(self.wal.end());
        let kept = written.and_then(|()| unlogged::keep_unlogged(self));
        // Whoever still holds the database cannot write to it: the next server need not wait.
        self.disk.unlock();
        kept
    }

    /// Begins a transaction.
    pub fn begin(self: &Arc<Self>, isolation: Isolation, read_only: bool) -> Result<Transaction> {
        Ok(Database::begin_at(&SnapshotPlace::open(self)?, isolation, read_only))
    }

    /// Begins a transaction of a session that keeps its place.
    pub fn begin_at(
        place: &Arc<SnapshotPlace>,
        isolation: Isolation,
        read_only: bool,
    ) -> Transaction {
        Transaction::begin(place.clone(), isolation, read_only)
    }

    /// Locks on relations and transactions that sessions have or wait for.
    pub fn locks(&self) -> Vec<LockInfo> {
        let mut all = self.core.relations.list();
        let info = |owner, xid, mode, granted| LockInfo {
            target: LockTarget::Transaction(xid),
            mode,
            pid: self.core.relations.process(owner),
            granted,
            fast: false,
            transaction: LockInfo::transaction_of(owner),
        };
        let running = self.core.clock.running().into_iter();
        all.extend(running.map(|(xid, owner)| info(owner, xid, RelationLock::Exclusive, true)));
        let waiting = self.core.waits.for_transactions().into_iter();
        all.extend(waiting.map(|(who, xid)| info(who.owner, xid, RelationLock::Share, false)));
        all
    }

    /// The committed catalog.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Takes the committed catalog in place of an older one.
    pub(crate) fn refresh_catalog(&self, have: &mut Arc<Catalog>) {
        let latest = self.catalog.load();
        if !Arc::ptr_eq(&latest, have) {
            *have = Arc::clone(&latest);
        }
    }

    pub(crate) fn set_catalog(&self, catalog: Arc<Catalog>) {
        self.catalog.store(catalog);
    }

    /// The write-ahead log, to wait for commits.
    pub fn wal(&self) -> &Wal {
        &self.wal
    }

    /// The id the next writing transaction gets.
    pub fn next_xid(&self) -> u64 {
        self.core.clock.next_xid()
    }

    /// A table as a catalog describes it.
    pub fn table(self: &Arc<Self>, oid: Oid, catalog: &Catalog) -> Result<Arc<Table>> {
        let missing = || crate::txn::no_table(oid);
        if let Some(opened) = self.tables.read().get(&oid) {
            if opened.version.load(Ordering::Relaxed) == catalog.version() {
                return Ok(opened.table.clone());
            }
            let relation = catalog.relation(oid).ok_or_else(missing)?;
            if opened.table.matches(relation, catalog.indexes_of(oid)) {
                opened.version.store(catalog.version(), Ordering::Relaxed);
                return Ok(opened.table.clone());
            }
        }
        let relation = catalog.relation(oid).ok_or_else(missing)?;
        let def = relation.table().ok_or_else(missing)?;
        let store = self.store(def.storage).ok_or_else(missing)?;
        let layout = Layout::of(def, catalog);
        let indexes = catalog.indexes_of(oid).cloned().collect();
        let table =
            Arc::new(Table::new(self.core.clone(), relation.clone(), indexes, layout, store));
        // Uncommitted versions of a table are one transaction's own.
        if self.catalog.load().relation(oid).is_some_and(|r| Arc::ptr_eq(r, relation)) {
            let version = AtomicU64::new(catalog.version());
            self.tables.write().insert(oid, Opened { table: table.clone(), version });
        }
        Ok(table)
    }

    /// A sequence's running value, as last committed.
    pub(crate) fn sequence(&self, oid: Oid) -> Result<Arc<Sequence>> {
        let missing = || crate::txn::no_table(oid);
        self.sequences.read().get(&oid).cloned().ok_or_else(missing)
    }

    /// A transaction's own sequence becomes everybody's.
    pub(crate) fn publish_sequence(&self, oid: Oid, sequence: Arc<Sequence>) {
        sequence.publish(self.wal.clone());
        self.sequences.write().insert(oid, sequence);
    }

    /// All sequences as last committed.
    pub(crate) fn sequences(&self) -> Vec<(Oid, Arc<Sequence>)> {
        self.sequences.read().iter().map(|(oid, sequence)| (*oid, sequence.clone())).collect()
    }

    pub(crate) fn forget_sequence(&self, oid: Oid) {
        self.sequences.write().remove(&oid);
    }

    pub(crate) fn store(&self, id: u64) -> Option<Arc<Store>> {
        self.stores.read().get(&id).cloned()
    }

    pub(crate) fn stores(&self) -> Vec<Arc<Store>> {
        self.stores.read().values().cloned().collect()
    }

    pub(crate) fn add_store(&self, store: Arc<Store>) {
        self.stores.write().insert(store.id, store);
    }

    pub(crate) fn forget_store(&self, id: u64) {
        if let Some(store) = self.stores.write().remove(&id) {
            store.retire();
        }
    }

    /// A fresh object id.
    pub fn new_oid(&self) -> Oid {
        self.next_oid.fetch_add(1, Ordering::Relaxed)
    }

    /// Object ids up to this are not given out again.
    pub(crate) fn oids_in_use(&self, last: Oid) {
        self.next_oid.fetch_max(last.saturating_add(1), Ordering::Relaxed);
    }

    /// The next object id and the next storage's.
    pub(crate) fn next_ids(&self) -> (Oid, u64) {
        (self.next_oid.load(Ordering::Relaxed), self.next_storage.load(Ordering::Relaxed))
    }

    pub(crate) fn new_storage(&self) -> u64 {
        self.next_storage.fetch_add(1, Ordering::Relaxed)
    }

    /// Storage ids from the catalog are not given out again.
    pub(crate) fn storage_in_use(&self, id: u64) {
        self.next_storage.fetch_max(id + 1, Ordering::Relaxed);
    }

    /// After a commit: what the changes left without an owner goes. Those who still read a storage
    /// through an older catalog hold it themselves.
    pub(crate) fn retire(&self, changes: &[Change]) {
        for change in changes {
            let Some(Object::Relation(before)) = &change.before else { continue };
            let after = match &change.after {
                Some(Object::Relation(after)) => Some(after),
                _ => None,
            };
            match &before.kind {
                RelationKind::Table(t) => {
                    let storage = after.and_then(|a| a.table()).map(|t| t.storage);
                    if storage != Some(t.storage) {
                        self.forget_store(t.storage);
                    }
                    self.tables.write().remove(&before.oid);
                }
                RelationKind::Index(i) if after.is_none() => {
                    for store in self.stores.read().values().filter(|s| s.table == i.table) {
                        store.detach(before.oid);
                    }
                    self.tables.write().remove(&i.table);
                }
                RelationKind::Sequence(_) if after.is_none() => self.forget_sequence(before.oid),
                _ => {}
            }
        }
    }
}
