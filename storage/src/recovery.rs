//! Opening a data directory: what was committed before comes back.
//!
//! ```text
//!  FORMAT          "vicinity 1": checked before anything else is touched
//!  LOCK            held while a server runs
//!  wal/N.wal       the log
//!  unlogged        rows of unlogged tables, after a clean stop only
//! ```
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
use crate::database::{Database, Options, Recovered};
use crate::disk::{Disk, read_all, replace};
use crate::mvcc::clock::Clock;
use crate::mvcc::rows::Rows;
use crate::mvcc::version::NewVersion;
use crate::mvcc::{RowId, Xid, pin};
use crate::sequence::{Sequence, SequenceState};
use crate::store::index::IndexStore;
use crate::store::rebuild::{Job, rebuild_all};
use crate::store::{Layout, Store};
use crate::txn::log::{Op, Ops, put_varint, take_varint};
use crate::wal::reader::{self, io_error};
use crate::wal::record::{self, Record, SEGMENT_HEADER};
use crate::wal::{DIR, Wal, segment_path};

const FORMAT: &str = "FORMAT";
const FORMAT_TEXT: &[u8] = b"vicinity 1\n";
const UNLOGGED: &str = "unlogged";
const UNLOGGED_MAGIC: &[u8; 8] = b"VICUNL\x01\x00";

/// The timestamp of everything recovered.
const RECOVERED: u64 = 1;

/// What the first pass learns.
#[derive(Default)]
struct Outline {
    committed: HashSet<Xid>,
    void: StdHashMap<Xid, Vec<(u64, u64)>>,
    max_xid: Xid,
    max_oid: Oid,
}

/// What the second pass fills.
struct State {
    catalog: Catalog,
    rows: HashMap<u64, Rows>,
    sequences: HashMap<Oid, SequenceState>,
}

pub(crate) fn recover(disk: &Arc<dyn Disk>, options: &Options) -> Result<Recovered> {
    claim(disk.as_ref())?;
    let segments = reader::segments(disk.as_ref())?;
    let mut outline = Outline::default();
    let extent = reader::read(disk.as_ref(), &segments, &mut |_, record| outline.note(&record))?;
    let next_segment = cut(disk.as_ref(), &extent)?;
    let mut state =
        State { catalog: Catalog::bootstrap(), rows: HashMap::new(), sequences: HashMap::new() };
    reader::read(disk.as_ref(), &segments_kept(disk.as_ref())?, &mut |_, record| {
        state.apply(&outline, record)
    })?;
    state.drop_leftovers();
    let wal = Arc::new(Wal::start(disk.clone(), extent.end, next_segment, options)?);
    restore_unlogged(disk.as_ref(), extent.end, &mut state)?;
    let max_oid = outline.max_oid;
    state.finish(wal, outline.max_xid + 1, max_oid)
}

/// Takes the directory for this process, checks its format, or makes it new.
fn claim(disk: &dyn Disk) -> Result<()> {
    disk.lock().map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => {
            PgError::new(SqlState::OBJECT_IN_USE, "the data directory is in use by another server")
        }
        _ => io_error("lock the data directory", &e),
    })?;
    let io = |e: std::io::Error| io_error("set up the data directory", &e);
    disk.make_dir(DIR).map_err(io)?;
    match read_all(disk, FORMAT) {
        Ok(text) if text == FORMAT_TEXT => Ok(()),
        Ok(text) => Err(PgError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the data directory was written by an incompatible version",
        )
        .detail(format!(
            "It says \"{}\"; this server reads \"{}\".",
            String::from_utf8_lossy(&text).trim(),
            String::from_utf8_lossy(FORMAT_TEXT).trim()
        ))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            if !reader::segments(disk)?.is_empty() {
                return Err(record::corrupt("there is a log, but no FORMAT file"));
            }
            replace(disk, ".", FORMAT, FORMAT_TEXT).map_err(io)
        }
        Err(e) => Err(io(e)),
    }
}

fn segments_kept(disk: &dyn Disk) -> Result<Vec<u64>> {
    reader::segments(disk)
}

/// Cuts a torn tail off. Returns the number of the next segment.
fn cut(disk: &dyn Disk, extent: &reader::Extent) -> Result<u64> {
    let io = |e: std::io::Error| io_error("repair the WAL", &e);
    let Some(&last) = extent.segments.last() else { return Ok(1) };
    let path = segment_path(last);
    let header = read_all(disk, &path).map_err(io)?;
    let headless = record::read_segment_header(&header)?.is_none();
    if headless || extent.last_len == SEGMENT_HEADER as u64 {
        // Nothing was written to it: its number is used again.
        disk.remove(&path).map_err(io)?;
        disk.sync_dir(DIR).map_err(io)?;
        return Ok(last);
    }
    if extent.torn {
        tracing::warn!("the log ends in the middle of a record; the rest is cut off");
        let file = disk.open(&path, false).map_err(io)?;
        file.set_len(extent.last_len).map_err(io)?;
        file.sync().map_err(io)?;
    }
    Ok(last + 1)
}

impl Outline {
    fn note(&mut self, record: &Record<'_>) -> Result<()> {
        match record {
            Record::Chunk { xid, .. } => self.max_xid = self.max_xid.max(*xid),
            Record::Commit { xid, changes, .. } => {
                self.max_xid = self.max_xid.max(*xid);
                self.committed.insert(*xid);
                for change in record::decode_changes(changes)? {
                    self.max_oid = self.max_oid.max(change.oid());
                }
            }
            Record::Void { xid, from, to } => {
                self.void.entry(*xid).or_default().push((*from, *to));
            }
            Record::Sequence { oid, .. } => self.max_oid = self.max_oid.max(*oid),
        }
        Ok(())
    }

    fn is_void(&self, xid: Xid, at: u64) -> bool {
        self.void.get(&xid).is_some_and(|v| v.iter().any(|(from, to)| (*from..*to).contains(&at)))
    }
}

impl State {
    fn apply(&mut self, outline: &Outline, record: Record<'_>) -> Result<()> {
        match record {
            Record::Chunk { xid, base, ops } if outline.committed.contains(&xid) => {
                self.apply_ops(outline, xid, base, ops)
            }
            Record::Commit { xid, base, ops, changes } => {
                self.apply_ops(outline, xid, base, ops)?;
                for change in record::decode_changes(changes)? {
                    self.apply_change(change);
                }
                Ok(())
            }
            Record::Sequence { oid, state } => {
                self.sequences.insert(oid, state);
                Ok(())
            }
            Record::Chunk { .. } | Record::Void { .. } => Ok(()),
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
                Op::Delete { store, row } => (store, row, None),
            };
            let rows = self.rows.entry(store).or_insert_with(Rows::new);
            put_row(rows, row, tuple, &guard)?;
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

    fn finish(mut self, wal: Arc<Wal>, next_xid: Xid, max_oid: Oid) -> Result<Recovered> {
        let clock = Clock::new(next_xid);
        let mut stores = HashMap::new();
        let mut jobs: Vec<Job> = Vec::new();
        for relation in self.catalog.relations() {
            let Some(def) = relation.table() else { continue };
            let rows = self.rows.remove(&def.storage).unwrap_or_else(Rows::new);
            rows.collect_free();
            let live = rows.end() - rows.free_ids() as u64;
            let layout = Layout::of(def, &self.catalog);
            let store = Store::with_rows(def.storage, relation.oid, def.persistence, layout, rows);
            store.counters.live.store(live as i64, std::sync::atomic::Ordering::Relaxed);
            let store = Arc::new(store);
            for index in self.catalog.indexes_of(relation.oid) {
                let Some(index_def) = index.index() else { continue };
                let made = Arc::new(IndexStore::new(index.oid, index_def, def, &self.catalog)?);
                store.attach(made.clone());
                // What an expression means is not known yet: `Database::set_expression_compiler`.
                if !made.lacks_expressions() {
                    jobs.push(Job::new(store.clone(), made, &index.name));
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
        Ok(Recovered { catalog: self.catalog, stores, sequences, next_xid, max_oid, wal })
    }
}

fn storage(object: &Object) -> Option<u64> {
    match object {
        Object::Relation(r) => r.table().map(|t| t.storage),
        _ => None,
    }
}

fn put_row(
    rows: &Rows,
    row: RowId,
    tuple: Option<&[u8]>,
    guard: &crossbeam_epoch::Guard,
) -> Result<()> {
    let version = tuple.map(|t| NewVersion::new(RECOVERED, 0, 0, t)).transpose()?;
    rows.restore(row, version, guard)
}

/// At a clean stop: the rows of unlogged tables, in one file that the next start takes and removes.
///
/// ```text
///  magic and version: 8 bytes   lsn: u64   crc of the rest: u32
///  per storage: varint id, varint rows, per row: varint row id, varint length, tuple
/// ```
pub(crate) fn keep_unlogged(db: &Database) -> Result<()> {
    let mut body = Vec::new();
    let guard = pin();
    for store in db.stores().iter().filter(|s| s.persistence == Persistence::Unlogged) {
        let snapshot = crate::mvcc::Snapshot { ts: db.core.clock.now(), xid: 0, cid: 0, slot: 0 };
        let shown = |row: RowId| {
            let head = store.rows.head(row, &guard);
            snapshot.visible(head, &db.core.clock, &guard).map(|v| (row, v))
        };
        let rows: Vec<_> = (0..store.rows.end()).filter_map(shown).collect();
        put_varint(&mut body, store.id);
        put_varint(&mut body, rows.len() as u64);
        for (row, v) in rows {
            put_varint(&mut body, row);
            put_varint(&mut body, v.bytes().len() as u64);
            body.extend_from_slice(v.bytes());
        }
    }
    if body.is_empty() {
        return Ok(());
    }
    let mut file = UNLOGGED_MAGIC.to_vec();
    file.extend_from_slice(&db.wal.end().to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    file.extend_from_slice(&body);
    replace(db.disk.as_ref(), ".", UNLOGGED, &file)
        .map_err(|e| io_error("keep unlogged tables", &e))
}

/// Takes the rows of unlogged tables over, if the last stop was clean.
fn restore_unlogged(disk: &dyn Disk, lsn: u64, state: &mut State) -> Result<()> {
    let bytes = match read_all(disk, UNLOGGED) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io_error("read unlogged tables", &e)),
    };
    let io = |e: std::io::Error| io_error("remove the file of unlogged tables", &e);
    disk.remove(UNLOGGED).map_err(io)?;
    disk.sync_dir(".").map_err(io)?;
    let mut rest: &[u8] = &bytes;
    if record::take::<8>(&mut rest)? != *UNLOGGED_MAGIC {
        return Err(record::corrupt("the file of unlogged tables has an unknown version"));
    }
    let at = u64::from_le_bytes(record::take(&mut rest)?);
    let crc = u32::from_le_bytes(record::take(&mut rest)?);
    if at != lsn || crc != crc32fast::hash(rest) {
        tracing::warn!("the file of unlogged tables does not fit the log; they start empty");
        return Ok(());
    }
    let guard = pin();
    while !rest.is_empty() {
        let id = take_varint(&mut rest)?;
        let rows = state.rows.entry(id).or_insert_with(Rows::new);
        for _ in 0..take_varint(&mut rest)? {
            let row = take_varint(&mut rest)?;
            let len = usize::try_from(take_varint(&mut rest)?).unwrap_or(usize::MAX);
            let (tuple, after) =
                rest.split_at_checked(len).ok_or_else(|| record::corrupt("short row"))?;
            put_row(rows, row, Some(tuple), &guard)?;
            rest = after;
        }
    }
    Ok(())
}
