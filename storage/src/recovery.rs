//! Opening a data directory: what was committed before comes back.
//!
//! ```text
//!  FORMAT          "vicinity 3": checked before anything else is touched
//!  LOCK            held while a server runs
//!  CHECKPOINT      what there is to begin with, and from where the log is read
//!  image/          files that it names
//!  wal/N.wal       the log
//!  cold/           rows that memory had no room for; of no use to the next server
//!  prepared/       transactions that wait for COMMIT PREPARED
//!  unlogged        rows of unlogged tables, after a clean stop only
//! ```
//!
//! The last checkpoint's image is loaded (see [`crate::checkpoint`]), and what the log has behind it is
//! applied; without a checkpoint that is the whole log.
//!
//! Two passes over the log. The first one checks every record and learns which transactions
//! committed and which parts of them were rolled back; it ends at the first record that is not whole,
//! which is cut off. The second one applies what counts, in the order of the log: two committed
//! transactions never wrote the same row at once, so a row's operations stand in commit order even
//! where long transactions sent them ahead of their commit. Every row ends with one version, and the
//! indexes are built from the rows.

use std::collections::{HashMap as StdHashMap, HashSet};
use std::sync::Arc;

use hashbrown::HashMap;
use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::catalog::Catalog;
use crate::catalog::change::{Key, LoggedChange};
use crate::catalog::model::{Object, Persistence, RelationKind, TypeKind};
use crate::checkpoint::indexes::Loaded;
use crate::checkpoint::load::Files;
use crate::checkpoint::manifest::{CHECKPOINTED, LOG_ONLY, Manifest, PREPARED};
use crate::checkpoint::{self, Checkpoints, unlogged};
use crate::cold::Cold;
use crate::database::{Options, Recovered};
use crate::disk::{Disk, read_all, replace};
use crate::mvcc::clock::Clock;
use crate::mvcc::rows::Rows;
use crate::mvcc::version::NewVersion;
use crate::mvcc::{RowId, Xid, pin};
use crate::sequence::{Sequence, SequenceState};
use crate::store::index::IndexStore;
use crate::store::rebuild::{Job, rebuild_all};
use crate::store::{Layout, Store};
use crate::txn::log::{Op, Ops};
use crate::txn::prepared::file;
use crate::wal::reader::{self, io_error};
use crate::wal::record::{self, Record, SEGMENT_HEADER};
use crate::wal::{AT_ONCE, DIR, Lsn, Wal, segment_path};

const FORMAT: &str = "FORMAT";

/// The timestamp of everything replayed; what was in an image is older.
const REPLAYED: u64 = 1;

/// What the first pass learns.
struct Outline {
    /// Commits whose record ends here or before are in the image.
    cut: Lsn,
    committed: HashSet<Xid>,
    void: StdHashMap<Xid, Vec<(u64, u64)>>,
    max_xid: Xid,
    max_oid: Oid,
    /// Transactions that were prepared.
    prepared: StdHashMap<Xid, Prepared>,
}

/// What the log has of a transaction that was prepared.
#[derive(Default)]
struct Prepared {
    committed: bool,
    /// Where its stream ends. A COMMIT PREPARED that failed sent some of it, and may have said that it is void.
    position: u64,
}

/// What the second pass fills.
pub(crate) struct State {
    catalog: Catalog,
    pub(crate) rows: HashMap<u64, Rows>,
    /// Storages that the log had something of.
    replayed: HashSet<u64>,
    sequences: HashMap<Oid, SequenceState>,
    /// Indexes as their files have them, with the storages they are of.
    images: HashMap<(Oid, u64), Loaded>,
    /// Where rows go that memory has no room for.
    pub(crate) cold: Option<Arc<Cold>>,
}

pub(crate) fn recover(disk: &Arc<dyn Disk>, options: &Options) -> Result<Recovered> {
    claim(disk.as_ref())?;
    let manifest = Manifest::read(disk.as_ref())?;
    let segments = reader::segments_from(disk.as_ref(), manifest.replay)?;
    let mut prepared = file::read(disk.as_ref())?;
    let mut outline = Outline::behind(&manifest);
    outline.prepared = prepared.iter().map(|p| (p.xid, Prepared::default())).collect();
    let read = |until, f: &mut dyn FnMut(Lsn, Record<'_>) -> Result<()>| {
        reader::read(disk.as_ref(), &segments, (manifest.replay, until), f)
    };
    let extent = read(None, &mut |at, record| outline.note(at, &record))?;
    if extent.end < manifest.cut {
        return Err(record::corrupt("it ends before the last checkpoint"));
    }
    let next_segment = cut(disk.as_ref(), &extent)?;
    // Only now do the commits last that were read of.
    forget_committed(disk.as_ref(), &mut prepared, &outline)?;
    for image in &mut prepared {
        outline.note_prepared(image)?;
    }
    let limit = options.memory_limit;
    let cold = (limit > 0).then(|| Cold::new(disk, limit)).transpose()?;
    let mut state = State::of(disk.as_ref(), &manifest, &outline, cold)?;
    read(Some(extent.last_len), &mut |at, record| state.apply(&outline, at, record))?;
    state.drop_leftovers();
    let wal = Arc::new(Wal::start(disk.clone(), extent.end, next_segment, options)?);
    let unlogged = unlogged::restore_unlogged(disk.as_ref(), extent.end, &mut state)?;
    settle(disk.as_ref(), &manifest)?;
    let recovered = state.finish(wal, &outline, manifest)?;
    Ok(Recovered { prepared, unlogged, ..recovered })
}

/// Removes the files of transactions that have committed since they were prepared.
fn forget_committed(
    disk: &dyn Disk,
    prepared: &mut Vec<file::Image>,
    outline: &Outline,
) -> Result<()> {
    let committed = |xid: Xid| outline.prepared.get(&xid).is_some_and(|seen| seen.committed);
    for image in prepared.extract_if(.., |image| committed(image.xid)) {
        file::remove_of(disk, image.xid)?;
    }
    // A file that was read is relied on from now on, as is one that was removed.
    file::sync(disk)
}

/// A manifest that was read is made to last before anything relies on it; what an interrupted checkpoint left is
/// removed.
fn settle(disk: &dyn Disk, manifest: &Manifest) -> Result<()> {
    if manifest.number > 0 {
        disk.sync_dir(".").map_err(|e| io_error("sync the data directory", &e))?;
    }
    checkpoint::sweep(disk, manifest);
    Ok(())
}

/// The directories every data directory has; a start makes them before it says what they are.
const OURS: [&str; 3] = [DIR, checkpoint::DIR, file::DIR];

/// A directory that has something, but no database of this server's, is somebody else's.
fn check_own(disk: &dyn Disk) -> Result<()> {
    let there = disk.list(".").map_err(|e| io_error("read the data directory", &e))?;
    // What a start that was killed leaves, and file systems make.
    let free = ["LOCK", "FORMAT.new", "lost+found"];
    let own = |name: &&String| {
        let name = name.as_str();
        free.contains(&name) || OURS.contains(&name) || name.starts_with('.')
    };
    match there.iter().find(|name| !own(name)) {
        Some(other) if !there.iter().any(|name| name == FORMAT) => Err(PgError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the data directory exists but is not empty, and is no database of this server",
        )
        .detail(format!("There is \"{other}\" in it."))
        .hint("Give another directory with --data, or empty this one.")),
        _ => Ok(()),
    }
}

/// Takes the directory for this process, checks its format, or makes it new.
fn claim(disk: &dyn Disk) -> Result<()> {
    check_own(disk)?;
    disk.lock().map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => {
            PgError::new(SqlState::OBJECT_IN_USE, "the data directory is in use by another server")
        }
        _ => io_error("lock the data directory", &e),
    })?;
    let io = |e: std::io::Error| io_error("set up the data directory", &e);
    for dir in OURS {
        disk.make_dir(dir).map_err(io)?;
    }
    match read_all(disk, FORMAT) {
        // Whoever made it, or the directories, may have been killed before they lasted.
        Ok(text) if [LOG_ONLY, CHECKPOINTED, PREPARED].contains(&text.as_slice()) => {
            disk.sync_dir(".").map_err(io)
        }
        Ok(text) => Err(PgError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the data directory was written by an incompatible version",
        )
        .detail(format!(
            "It says \"{}\"; this server reads \"{}\".",
            String::from_utf8_lossy(&text).trim(),
            String::from_utf8_lossy(PREPARED).trim()
        ))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            if !reader::segments(disk)?.is_empty() {
                return Err(record::corrupt("there is a log, but no FORMAT file"));
            }
            replace(disk, ".", FORMAT, CHECKPOINTED).map_err(io)
        }
        Err(e) => Err(io(e)),
    }
}

/// Cuts a torn tail off, and makes the rest last. Returns the number of the next segment.
fn cut(disk: &dyn Disk, extent: &reader::Extent) -> Result<u64> {
    let io = |e: std::io::Error| io_error("repair the WAL", &e);
    let Some(&last) = extent.segments.last() else { return Ok(1) };
    let headless = reader::start_of(disk, last)?.is_none();
    if headless || extent.last_len == SEGMENT_HEADER as u64 {
        // Nothing was written to it: the next one takes its name.
        return Ok(last);
    }
    let file = disk.open(&segment_path(last), false).map_err(io)?;
    if extent.torn {
        tracing::warn!("the log ends in the middle of a record; the rest is cut off");
    }
    // What a killed server had written without seeing it synced was read, and will be relied on. A sync alone is not
    // enough: after one that failed, at a start before, the next may say that all is well, and nothing of it lasts. So
    // the cut is made once more, and the end written again.
    if extent.torn || file.len().map_err(io)? == extent.last_len {
        file.set_len(extent.last_len).map_err(io)?;
    }
    let unsure = extent.last_len.saturating_sub(AT_ONCE as u64);
    let mut tail = vec![0; usize::try_from(extent.last_len - unsure).unwrap_or(AT_ONCE)];
    let got = file.read_at(unsure, &mut tail).map_err(io)?;
    file.write_at(unsure, tail.get(..got).unwrap_or_default()).map_err(io)?;
    file.sync().map_err(io)?;
    Ok(last + 1)
}

impl Outline {
    fn behind(manifest: &Manifest) -> Outline {
        Outline {
            cut: manifest.cut,
            committed: HashSet::new(),
            void: StdHashMap::new(),
            max_xid: manifest.next_xid.saturating_sub(1),
            max_oid: manifest.next_oid.saturating_sub(1),
            prepared: StdHashMap::new(),
        }
    }

    /// Takes a record in that ends at `at`.
    fn note(&mut self, at: Lsn, record: &Record<'_>) -> Result<()> {
        match record {
            Record::Chunk { xid, base, ops } => {
                self.max_xid = self.max_xid.max(*xid);
                self.note_position(*xid, base.saturating_add(ops.len() as u64));
            }
            Record::Commit { xid, changes, .. } => {
                self.max_xid = self.max_xid.max(*xid);
                if at > self.cut {
                    self.committed.insert(*xid);
                }
                if let Some(seen) = self.prepared.get_mut(xid) {
                    seen.committed = true;
                }
                for change in record::decode_changes(changes)? {
                    self.max_oid = self.max_oid.max(change.oid());
                }
            }
            Record::Void { xid, from, to } => {
                self.void.entry(*xid).or_default().push((*from, *to));
                self.note_position(*xid, *to);
            }
            Record::Sequence { oid, .. } => self.max_oid = self.max_oid.max(*oid),
        }
        Ok(())
    }

    fn note_position(&mut self, xid: Xid, position: u64) {
        if let Some(seen) = self.prepared.get_mut(&xid) {
            seen.position = seen.position.max(position);
        }
    }

    /// Takes a transaction in that is still prepared. Its stream goes on behind all that the log has of it.
    fn note_prepared(&mut self, image: &mut file::Image) -> Result<()> {
        self.max_xid = self.max_xid.max(image.xid);
        let seen = self.prepared.get(&image.xid).map_or(0, |seen| seen.position);
        image.position = image.position.max(seen);
        for change in record::decode_changes(&image.changes)? {
            self.max_oid = self.max_oid.max(change.oid());
        }
        Ok(())
    }

    fn is_void(&self, xid: Xid, at: u64) -> bool {
        self.void.get(&xid).is_some_and(|v| v.iter().any(|(from, to)| (*from..*to).contains(&at)))
    }
}

impl State {
    /// The state that a checkpoint has an image of; without one, the beginning.
    fn of(
        disk: &dyn Disk,
        manifest: &Manifest,
        outline: &Outline,
        cold: Option<Arc<Cold>>,
    ) -> Result<State> {
        let mut rows: HashMap<u64, Rows> = HashMap::new();
        for part in &manifest.parts {
            rows.entry(part.storage).or_insert_with(|| Rows::new(cold.clone()));
        }
        let catalog = match manifest.number {
            0 => Catalog::bootstrap(),
            _ => manifest.catalog()?,
        };
        let fresh = outline.committed.is_empty();
        let images = Files { disk, catalog: &catalog, rows: &rows, fresh }.read(manifest)?;
        let sequences = manifest.sequences.iter().map(|s| (s.oid, s.state)).collect();
        Ok(State { catalog, rows, replayed: HashSet::new(), sequences, images, cold })
    }

    /// Applies a record that ends at `at`, if it counts.
    fn apply(&mut self, outline: &Outline, at: Lsn, record: Record<'_>) -> Result<()> {
        match record {
            Record::Chunk { xid, base, ops } if outline.committed.contains(&xid) => {
                self.apply_ops(outline, xid, base, ops)
            }
            Record::Commit { xid, base, ops, changes } if at > outline.cut => {
                self.apply_ops(outline, xid, base, ops)?;
                for change in record::decode_changes(changes)? {
                    self.apply_change(change);
                }
                Ok(())
            }
            Record::Sequence { oid, state } if at > outline.cut => {
                self.sequences.insert(oid, state);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn apply_ops(&mut self, outline: &Outline, xid: Xid, base: u64, ops: &[u8]) -> Result<()> {
        let guard = pin();
        let mut ops = Ops::new(base, ops);
        while let Some((at, op)) = ops.next()? {
            if outline.is_void(xid, at) {
                continue;
            }
            let (store, row, tuple) = match op {
                Op::Insert { store, row, tuple } | Op::Update { store, row, tuple } => {
                    (store, row, Some(tuple))
                }
                Op::Delete { store, row } | Op::Leave { store, row } => (store, row, None),
            };
            self.replayed.insert(store);
            let rows = self.rows.entry(store).or_insert_with(|| Rows::new(self.cold.clone()));
            put_row(rows, row, tuple, &guard)?;
            rows.relieve(store);
        }
        Ok(())
    }

    fn apply_change(&mut self, change: LoggedChange) {
        let (key, after) = match change {
            LoggedChange::Put(object) => (Key::of(&object), Some(object)),
            LoggedChange::Drop(key) => (key, None),
            LoggedChange::Sequence(oid, state) => {
                self.sequences.insert(oid, state);
                return;
            }
        };
        let before = self.catalog.get(&key).and_then(|o| storage(&o));
        match after {
            Some(object) => self.catalog.put(object),
            None => {
                self.catalog.drop(&key);
                self.sequences.remove(&key.oid());
            }
        }
        let after = self.catalog.get(&key).and_then(|o| storage(&o));
        if before != after
            && let Some(old) = before
        {
            self.rows.remove(&old);
        }
    }

    /// Temporary tables end with their sessions, index builds with their server.
    fn drop_leftovers(&mut self) {
        let mut gone: Vec<Key> = Vec::new();
        let temporary = |oid: &Oid| {
            self.catalog
                .relation(*oid)
                .and_then(|r| r.table())
                .is_some_and(|t| t.persistence == Persistence::Temporary)
        };
        for r in self.catalog.relations() {
            let drop = match &r.kind {
                RelationKind::Table(_) => temporary(&r.oid),
                RelationKind::Index(i) => !i.valid || temporary(&i.table),
                RelationKind::Sequence(s) => s.owned_by.is_some_and(|(t, _)| temporary(&t)),
                RelationKind::View(_) | RelationKind::Composite(_) => false,
            };
            if drop {
                gone.push(Key::Relation(r.oid));
            }
        }
        for t in self.catalog.types() {
            if matches!(t.kind, TypeKind::Composite { relation } if temporary(&relation)) {
                gone.push(Key::Type(t.oid));
            }
        }
        for t in self.catalog.triggers().filter(|t| temporary(&t.table)) {
            gone.push(Key::Trigger(t.oid));
        }
        for key in gone {
            self.catalog.drop(&key);
        }
    }

    fn finish(mut self, wal: Arc<Wal>, outline: &Outline, manifest: Manifest) -> Result<Recovered> {
        let next_xid = outline.max_xid + 1;
        let clock = Clock::new(next_xid, self.cold.clone());
        let mut stores = HashMap::new();
        let mut jobs: Vec<Job> = Vec::new();
        for relation in self.catalog.relations() {
            let Some(def) = relation.table() else { continue };
            let rows = self.rows.remove(&def.storage);
            let rows = rows.unwrap_or_else(|| Rows::new(self.cold.clone()));
            rows.collect_free();
            let live = rows.end() - rows.free_ids() as u64;
            let layout = Layout::of(def, &self.catalog);
            let store = Store::new(def.storage, relation.oid, def.persistence, layout, rows);
            store.counters.live.store(live as i64, std::sync::atomic::Ordering::Relaxed);
            if !self.replayed.contains(&def.storage) {
                store.take_touched();
            }
            let store = Arc::new(store);
            for index in self.catalog.indexes_of(relation.oid) {
                let Some(index_def) = index.index() else { continue };
                let made = Arc::new(IndexStore::new(index.oid, index_def, def, &self.catalog)?);
                store.attach(made.clone());
                // What an expression means is not known yet: `Database::set_expression_compiler`.
                if !made.lacks_expressions() {
                    let image = self.images.remove(&(index.oid, def.storage));
                    jobs.push(Job::new(store.clone(), made, &index.name).with(image));
                }
            }
            stores.insert(def.storage, store);
        }
        rebuild_all(&jobs, &clock);
        let mut sequences = HashMap::new();
        for relation in self.catalog.relations() {
            let Some(def) = relation.sequence() else { continue };
            let wal = Some(wal.clone());
            let sequence = match self.sequences.get(&relation.oid) {
                Some(state) => Sequence::standing_at(relation.oid, def, *state, wal),
                None => Sequence::new(relation.oid, def, wal),
            };
            sequences.insert(relation.oid, Arc::new(sequence));
        }
        Ok(Recovered {
            catalog: self.catalog,
            stores,
            sequences,
            next_xid,
            max_oid: outline.max_oid,
            max_storage: manifest.next_storage.saturating_sub(1),
            wal,
            checkpoints: Checkpoints::after(manifest),
            cold: self.cold,
            prepared: Vec::new(),
            unlogged: false,
        })
    }
}

fn storage(object: &Object) -> Option<u64> {
    match object {
        Object::Relation(r) => r.table().map(|t| t.storage),
        _ => None,
    }
}

pub(crate) fn put_row(
    rows: &Rows,
    row: RowId,
    tuple: Option<&[u8]>,
    guard: &crossbeam_epoch::Guard,
) -> Result<()> {
    let version = tuple.map(|t| NewVersion::new(REPLAYED, 0, 0, t)).transpose()?;
    rows.restore(row, version, guard)
}
