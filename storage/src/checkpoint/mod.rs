//! Checkpoints: images of what is committed, so that a start reads these and the end of the log, not all of it.
//!
//! ```text
//!  image/C-S-I.index  the index I of storage S, written by checkpoint C
//!  image/C-S-P.rows   the rows of part P of storage S, written by checkpoint C; never changed
//!  CHECKPOINT         the manifest, replaced whole: catalog, sequences, which image files, and two places in the log
//! ```
//!
//! # The cut
//!
//! Writers go on while an image is written, but it is of one moment, the *cut*. A commit appends its record, changes
//! the catalog and publishes its timestamp under one lock (`Database::commit`). The cut is taken under that lock too
//! ([`cut`]), for as long as it takes to note
//!
//! - `cut`, the end of the log,
//! - a snapshot of the present, the catalog, and which storages and sequences there are,
//! - `replay`, the first place in the log of anything that a transaction still running has sent ahead, or of the commit
//!   record of a prepared one whose file may come again (see [`crate::txn::prepared`]), or `cut`.
//!
//! So the snapshot sees a transaction exactly if its commit record ends at or before `cut`: what it sees of the catalog
//! and of the rows is written, at leisure and without any lock. Recovery loads that and reads the log from `replay`.
//!
//! **What is applied.** The operations and catalog changes of the transactions whose commit record ends behind `cut`,
//! in the order of the log; nothing else of it but the states of sequences. *None is missing:* such a transaction ran at
//! the cut or began later; of the first kind everything stands at or behind `replay`, and of the second behind `cut`.
//! *None comes twice:* what committed before the cut is known by its commit record standing before it, or by having
//! none in what is read. (Transaction ids do not come again: the manifest has the next one, and every id in what is
//! read is below the one that the next server begins with.)
//!
//! **The order is right.** Let A be in the image and B be applied, both having written one row. A row that a running
//! transaction has written is written by nobody else before it ends. Had B written first, A could have written only
//! after B's end, which is behind the cut, and A's commit is before it. So A wrote first, and B's version goes over it,
//! as it did. Among the transactions applied the order is that of the log, as without a checkpoint.
//!
//! **Row ids** are given out again after a row was deleted, and the deletion committed, or after the insert was rolled
//! back. In the first case the order above is the one between the two transactions that deleted and inserted; the
//! second one's insert is not applied and is in no image.
//!
//! **DDL.** The catalog and the rows are of one moment. A storage that TRUNCATE, DROP or a rewrite replaced before the
//! cut is in no table's definition and is not written; one replaced afterwards is written, and dropped when the commit
//! that did it is replayed. A storage made by a transaction that ran at the cut is filled by replaying that one.
//!
//! **Sequences** are not transactional: a record of the log says where one stands, whoever ends how. What the image has
//! is read after the cut, and is what the last record said by then, not the value last handed out: values up to the one
//! logged ahead were given away without a record. Records behind `cut` are applied in order; those that the image has
//! already set what it has, and the later ones follow.
//!
//! # What lasts when
//!
//! Image files are written under names that no manifest knows, and synced, and their directory is; then the log is
//! waited for up to where the image may know of it; then the manifest is replaced. Only then what no manifest names any
//! more goes: image files, and segments of the log that end at or before `replay`. A crash at any point leaves the old
//! manifest and all it needs, or the new one. A checkpoint that fails removes what it wrote, and nothing else has
//! happened. (Where it is not known whether the new manifest lasts, the files of both stay.) But where it is the disk that
//! failed, and is not merely full, the server ends: what else became of writes nobody knows.
//!
//! # What is written
//!
//! Rows are in parts of [`PART`] row ids. A storage that no commit touched since the last checkpoint keeps its files
//! without being looked at; in the others a part keeps its file if its rows are as old: see [`rows`]. So the cost is
//! that of looking at the tables written to and of writing the parts that changed. A checkpoint is due when the log has
//! grown by `Options::checkpoint_bytes`, or by as much as the last checkpoint wrote if that is more: at most half of
//! what is written to the disk are images.
//!
//! Indexes have images too: vector indexes such as are beginnings only, and at a clean stop all of them such as are
//! exact (see [`indexes`]).

mod blocks;
mod cut;
pub(crate) mod indexes;
pub(crate) mod load;
pub(crate) mod manifest;
mod rows;
mod thread;
pub(crate) mod unlogged;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vicinity_types::{Result, SqlState};

use crate::background::Background;
use crate::database::Database;
use crate::disk::Disk;
use crate::store::Store;
use crate::wal::reader::{self, io_error};
use crate::wal::{self, Lsn};
use blocks::Syncs;
use cut::Cut;
use indexes::{Images, Moment};
use manifest::{Manifest, Part};
use rows::Parts;
pub(crate) use thread::start;

/// The directory of image files.
pub(crate) const DIR: &str = "image";

/// Row ids of a part.
pub(crate) const PART: u64 = 1 << 16;

/// What a checkpoint did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// Its number; 0 if there was nothing to do.
    pub number: u64,
    /// The log is replayed from here.
    pub replay: Lsn,
    /// Bytes of image files written.
    pub written: u64,
    /// Image files that stayed as they were.
    pub kept: usize,
    /// Segments of the log removed.
    pub segments: usize,
    /// How long making its files last took.
    pub syncing: Duration,
}

/// All checkpoints since the database was opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckpointFigures {
    /// Those made because the last one was long ago.
    pub timed: u64,
    /// All others: asked for, or made because the log had grown.
    pub requested: u64,
    /// How long they took, but for making their files last.
    pub writing: Duration,
    /// How long that took.
    pub syncing: Duration,
    /// Bytes of image files written.
    pub written: u64,
}

/// What the checkpoints of a database know of each other.
pub(crate) struct Checkpoints {
    /// One at a time.
    state: Mutex<State>,
    thread: Mutex<Option<Background>>,
    /// The last one was made, or tried.
    ended: AtomicBool,
    figures: Mutex<CheckpointFigures>,
}

struct State {
    /// The last manifest that lasts.
    last: Manifest,
    /// The number of the last attempt.
    number: u64,
    /// The parts of its storages, by storage.
    parts: HashMap<u64, Parts>,
    indexes: Images,
    /// Bytes the last checkpoint wrote.
    written: u64,
}

impl Checkpoints {
    /// Goes on from what recovery read.
    pub(crate) fn after(manifest: Manifest) -> Checkpoints {
        let mut parts: HashMap<u64, Parts> = HashMap::new();
        for part in &manifest.parts {
            parts.entry(part.storage).or_default().recovered(*part);
        }
        let number = manifest.number;
        let indexes = Images::recovered(&manifest.indexes);
        let state = State { last: manifest, number, parts, indexes, written: 0 };
        Checkpoints {
            state: Mutex::new(state),
            thread: Mutex::default(),
            ended: AtomicBool::new(false),
            figures: Mutex::default(),
        }
    }

    /// Lets a thread make them.
    pub(crate) fn run_by(&self, thread: Background) {
        *self.thread.lock() = Some(thread);
    }

    /// Ends the thread.
    pub(crate) fn end(&self) {
        let thread = self.thread.lock().take();
        drop(thread);
    }
}

impl Database {
    /// Writes an image of what is committed, and lets go of the log before it. Writers go on.
    pub fn checkpoint(&self) -> Result<CheckpointInfo> {
        let began = Instant::now();
        let info = self.checkpoint_if(|_| true, false)?;
        self.count(&info, false, began);
        Ok(info)
    }

    /// What checkpoints have done since the database was opened.
    pub fn checkpoint_figures(&self) -> CheckpointFigures {
        *self.checkpoints.figures.lock()
    }

    fn count(&self, info: &CheckpointInfo, timed: bool, began: Instant) {
        if info.number == 0 {
            return;
        }
        let mut figures = self.checkpoints.figures.lock();
        *(if timed { &mut figures.timed } else { &mut figures.requested }) += 1;
        figures.writing += began.elapsed().saturating_sub(info.syncing);
        figures.syncing += info.syncing;
        figures.written += info.written;
    }

    /// The last checkpoint, at a clean stop: values that sequences logged ahead are not lost.
    pub(crate) fn last_checkpoint(&self) -> Result<CheckpointInfo> {
        if self.checkpoints.ended.swap(true, Ordering::AcqRel) {
            return Ok(CheckpointInfo::default());
        }
        self.checkpoint_if(|_| true, true)
    }

    /// A checkpoint if it is due.
    fn checkpoint_if(
        &self,
        due: impl FnOnce(&State) -> bool,
        ending: bool,
    ) -> Result<CheckpointInfo> {
        let mut state = self.checkpoints.state.lock();
        if !due(&state) {
            return Ok(CheckpointInfo::default());
        }
        self.prepared.settle(self.disk.as_ref())?;
        let cut = Cut::take(self)?;
        let sequences = cut.sequences(ending);
        let last = &state.last;
        if !ending && last.number > 0 && cut.lsn == last.cut && sequences == last.sequences {
            return Ok(CheckpointInfo::default());
        }
        state.number += 1;
        let syncs = Syncs::new(self.options.sync);
        let run = Run { db: self, disk: self.disk.as_ref(), number: state.number, ending, syncs };
        let changed = cut.changed.clone();
        let outcome = run.make(&mut state, cut, sequences);
        if outcome.is_err() {
            // What the cut took for written is not.
            changed.iter().for_each(|store| store.touch());
        }
        if let Err(e) = &outcome
            && e.code() == SqlState::IO_ERROR
        {
            self.wal.fail(e.message());
        }
        outcome
    }
}

/// One checkpoint.
struct Run<'a> {
    db: &'a Database,
    disk: &'a dyn Disk,
    number: u64,
    ending: bool,
    syncs: Syncs,
}

impl Run<'_> {
    fn make(
        &self,
        state: &mut State,
        cut: Cut<'_>,
        sequences: Vec<manifest::SequenceImage>,
    ) -> Result<CheckpointInfo> {
        manifest::announce(self.disk, manifest::CHECKPOINTED)?;
        let mut made = Vec::new();
        let (manifest, parts, images) = match self.write(state, cut, sequences, &mut made) {
            Ok(written) => written,
            Err(e) => {
                for path in &made {
                    let _ = self.disk.remove(path);
                }
                return Err(e);
            }
        };
        manifest.write(self.disk)?;
        let rows = manifest.parts.iter().map(|p| (p.file, p.bytes));
        let files: Vec<(u64, u64)> =
            rows.chain(manifest.indexes.iter().map(|i| (i.file, i.bytes))).collect();
        let new = |file: &&(u64, u64)| file.0 == self.number;
        let written = files.iter().filter(new).map(|file| file.1).sum();
        let kept = files.len() - files.iter().filter(new).count();
        let replay = manifest.replay;
        state.last = manifest;
        state.parts = parts;
        state.indexes = images;
        state.written = written;
        sweep(self.disk, &state.last);
        let segments = drop_segments(self.disk, replay);
        let number = self.number;
        tracing::info!(
            "checkpoint {number}: {written} bytes written, {kept} files kept, {segments} segments of the log removed"
        );
        let syncing = self.syncs.time();
        Ok(CheckpointInfo { number, replay, written, kept, segments, syncing })
    }

    /// Writes the files of an image; they last, and so does the log up to where it knows of it.
    fn write(
        &self,
        state: &State,
        mut cut: Cut<'_>,
        sequences: Vec<manifest::SequenceImage>,
        made: &mut Vec<String>,
    ) -> Result<(Manifest, HashMap<u64, Parts>, Images)> {
        let mut parts = HashMap::new();
        for store in &cut.stores {
            let before = state.parts.get(&store.id);
            let now = match before {
                Some(before) if !cut.is_changed(store) => before.clone(),
                _ => self.write_store(store, &cut, before, made)?,
            };
            parts.insert(store.id, now);
        }
        // Old versions are not needed any more.
        cut.let_go();
        let kept = cut.all.iter().filter(|s| indexes::is_kept(s, self.ending));
        let kept: Vec<Arc<Store>> = kept.cloned().collect();
        let moment = Moment {
            disk: self.disk,
            number: self.number,
            syncs: &self.syncs,
            least: self.db.options.index_image_entries,
            is_changed: &|store| cut.is_changed(store),
            rows: &|store| parts.get(&store.id).map_or(0, Parts::rows),
            is_still: &|| self.ending && cut.is_present(self.db),
        };
        let images = state.indexes.update(&kept, &moment, made)?;
        if !made.is_empty() {
            self.syncs
                .run(|| self.disk.sync_dir(DIR))
                .map_err(|e| io_error("sync the directory of images", &e))?;
        }
        self.db.wal.wait_durable(self.db.wal.end())?;
        let mut listed: Vec<Part> = parts.values().flat_map(Parts::files).collect();
        listed.sort_unstable_by_key(|p| (p.storage, p.part));
        let manifest = Manifest {
            number: self.number,
            cut: cut.lsn,
            replay: cut.replay,
            next_xid: cut.next_xid,
            next_oid: cut.next_oid,
            next_storage: cut.next_storage,
            sequences,
            parts: listed,
            indexes: images.files(),
            catalog: cut.catalog.image()?,
        };
        Ok((manifest, parts, images))
    }

    /// The parts of a storage as of the cut: those that changed are written.
    fn write_store(
        &self,
        store: &Arc<Store>,
        cut: &Cut<'_>,
        before: Option<&Parts>,
        made: &mut Vec<String>,
    ) -> Result<Parts> {
        let source = rows::Source { store, snapshot: cut.snapshot(), clock: &self.db.core.clock };
        let mut now = Parts::default();
        for part in 0..store.rows.end().div_ceil(PART) {
            let have = before.and_then(|b| b.get(part));
            let found = source.survey(part);
            if let Some(have) = have.filter(|have| have.is_of(&found)) {
                now.push(*have);
                continue;
            }
            if found.rows == 0 {
                continue;
            }
            let file = Part { storage: store.id, part, file: self.number, bytes: 0, rows: 0 };
            made.push(file.path());
            let file = source.write(self.disk, file, &self.syncs)?;
            now.push(rows::Image { file, ts: source.snapshot.ts });
        }
        Ok(now)
    }
}

/// Removes image files that the manifest does not name. It lasts.
pub(crate) fn sweep(disk: &dyn Disk, manifest: &Manifest) {
    let rows = manifest.parts.iter().map(manifest::Part::name);
    let indexes = manifest.indexes.iter().map(manifest::IndexFile::name);
    let named: std::collections::HashSet<String> = rows.chain(indexes).collect();
    for name in disk.list(DIR).unwrap_or_default() {
        if !named.contains(&name)
            && let Err(e) = disk.remove(&format!("{DIR}/{name}"))
        {
            tracing::warn!("cannot remove \"{DIR}/{name}\": {e}");
        }
    }
}

/// Removes the segments of the log that end at or before `replay`; how many. If the machine stops some may come again:
/// nobody reads them.
fn drop_segments(disk: &dyn Disk, replay: Lsn) -> usize {
    let gone = match reader::segments_before(disk, replay) {
        Ok(gone) => gone,
        Err(e) => {
            tracing::warn!("cannot look for old segments of the log: {e}");
            return 0;
        }
    };
    let remove = |number: &u64| disk.remove(&wal::segment_path(*number));
    let removed = gone.iter().map(remove).take_while(Result::is_ok).count();
    if removed > 0 {
        let _ = disk.sync_dir(wal::DIR);
    }
    removed
}
