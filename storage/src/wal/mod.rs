//! The write-ahead log: one stream of records, appended in memory, written by one thread.
//!
//! A commit appends its record to a buffer and gets the LSN of its end. The writer thread takes
//! whatever the buffer holds, writes it, syncs once, and wakes everybody whose LSN it passed: group
//! commit without a timer. Nobody holds a lock while the disk works (invariant *durable*).
//!
//! A write or sync that fails is never tried again: the pages may be gone while the kernel calls
//! them clean. The log is dead from then on, every wait ends in an error, and the process is told to
//! end (`Options::on_fatal`).

pub(crate) mod reader;
pub(crate) mod record;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::disk::{Disk, DiskFile};
use crate::mvcc::Xid;
use crate::sequence::SequenceState;
use record::SEGMENT_HEADER;

/// A position in the log: the bytes of all records before it.
pub type Lsn = u64;

/// Called when a position is on disk, or never will be.
type Waker = Box<dyn FnOnce(Result<()>) + Send>;

/// Called once, with the reason, when the log can no longer be written.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Chunks of running transactions wait while more than this is unwritten.
const MOST_UNWRITTEN: usize = 64 << 20;
/// With nobody waiting, the writer lets records gather this long.
const LINGER: Duration = Duration::from_millis(5);

/// The log.
pub struct Wal {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// Something to write, or to stop for.
    work: Condvar,
    /// The buffer was taken.
    room: Condvar,
    durable: AtomicU64,
    waiters: Mutex<Waiters>,
    on_fatal: Option<OnFatal>,
}

struct State {
    buffer: Vec<u8>,
    /// LSN behind the buffer's last record.
    end: Lsn,
    /// Somebody waits for this much.
    wanted: Lsn,
    stop: bool,
    dead: Option<String>,
}

#[derive(Default)]
struct Waiters {
    by_lsn: BTreeMap<Lsn, Vec<Waker>>,
    dead: Option<String>,
}

/// A record ready to be appended.
pub(crate) struct Ready(Vec<u8>);

fn dead_error(why: &str) -> PgError {
    PgError::new(SqlState::IO_ERROR, format!("the write-ahead log cannot be written: {why}"))
}

impl Wal {
    /// Starts writing behind `start`, in a new segment numbered `segment`.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        start: Lsn,
        segment: u64,
        segment_size: u64,
        sync: bool,
        on_fatal: Option<OnFatal>,
    ) -> Result<Wal> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                buffer: Vec::new(),
                end: start,
                wanted: start,
                stop: false,
                dead: None,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            durable: AtomicU64::new(start),
            waiters: Mutex::new(Waiters::default()),
            on_fatal,
        });
        let mut files =
            Segments { disk, segment, segment_size, file: None, at: 0, filled: 0, sync };
        files.roll(start).map_err(|e| dead_error(&e.to_string()))?;
        let thread = shared.clone();
        let writer = std::thread::Builder::new()
            .name("wal-writer".to_owned())
            .spawn(move || thread.write_all(files, start))
            .map_err(|e| PgError::internal(format!("cannot start the WAL writer: {e}")))?;
        Ok(Wal { shared, writer: Mutex::new(Some(writer)) })
    }

    /// The record that commits a transaction.
    pub(crate) fn commit_record(&self, xid: Xid, base: u64, ops: &[u8], changes: &[u8]) -> Ready {
        Ready(record::commit(xid, base, ops, changes))
    }

    /// Appends a record; the LSN behind it.
    pub(crate) fn append(&self, record: Ready) -> Result<Lsn> {
        let mut state = self.shared.state.lock();
        self.shared.push(&mut state, &record.0)
    }

    /// Appends a part of a running transaction's stream. Waits while too much is unwritten.
    pub(crate) fn append_chunk(&self, xid: Xid, base: u64, ops: &[u8]) -> Result<()> {
        let record = record::chunk(xid, base, ops);
        let mut state = self.shared.state.lock();
        while state.buffer.len() > MOST_UNWRITTEN && state.dead.is_none() {
            self.shared.room.wait(&mut state);
        }
        self.shared.push(&mut state, &record).map(drop)
    }

    /// Declares a sent part of a transaction's stream void.
    pub(crate) fn append_void(&self, xid: Xid, from: u64, to: u64) -> Result<()> {
        let mut state = self.shared.state.lock();
        self.shared.push(&mut state, &record::void(xid, from, to)).map(drop)
    }

    pub(crate) fn append_sequence(&self, oid: Oid, to: SequenceState) -> Result<Lsn> {
        let mut state = self.shared.state.lock();
        self.shared.push(&mut state, &record::sequence(oid, to))
    }

    /// Where the log ends now.
    pub fn end(&self) -> Lsn {
        self.shared.state.lock().end
    }

    /// Everything before this is on disk.
    pub fn durable(&self) -> Lsn {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Calls back, from the writer's thread or at once, when the log is on disk up to `lsn`, or with
    /// an error if it cannot be.
    pub fn on_durable(&self, lsn: Lsn, then: Waker) {
        if self.durable() >= lsn {
            return then(Ok(()));
        }
        {
            let mut waiters = self.shared.waiters.lock();
            if let Some(why) = &waiters.dead {
                let e = dead_error(why);
                drop(waiters);
                return then(Err(e));
            }
            if self.durable() >= lsn {
                drop(waiters);
                return then(Ok(()));
            }
            waiters.by_lsn.entry(lsn).or_default().push(then);
        }
        let mut state = self.shared.state.lock();
        state.wanted = state.wanted.max(lsn);
        self.shared.work.notify_one();
    }

    /// Blocks until the log is on disk up to `lsn`.
    pub fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        if self.durable() >= lsn {
            return Ok(());
        }
        let done = Arc::new((Mutex::new(None), Condvar::new()));
        let tell = done.clone();
        self.on_durable(
            lsn,
            Box::new(move |outcome| {
                *tell.0.lock() = Some(outcome);
                tell.1.notify_one();
            }),
        );
        let mut outcome = Ok(());
        crate::txn::locks::blocking(|| {
            let mut held = done.0.lock();
            loop {
                if let Some(o) = held.take() {
                    outcome = o;
                    return;
                }
                done.1.wait(&mut held);
            }
        });
        outcome
    }

    /// Writes and syncs what is there and ends the writer.
    pub(crate) fn stop(&self) {
        {
            let mut state = self.shared.state.lock();
            state.stop = true;
            self.shared.work.notify_one();
        }
        if let Some(writer) = self.writer.lock().take() {
            let _ = writer.join();
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn push(&self, state: &mut State, record: &[u8]) -> Result<Lsn> {
        if let Some(why) = &state.dead {
            return Err(dead_error(why));
        }
        let was_empty = state.buffer.is_empty();
        state.buffer.extend_from_slice(record);
        state.end += record.len() as u64;
        if was_empty {
            self.work.notify_one();
        }
        Ok(state.end)
    }

    /// The writer's loop.
    fn write_all(&self, mut files: Segments, mut written: Lsn) {
        let mut batch = Vec::new();
        loop {
            {
                let mut state = self.state.lock();
                while state.buffer.is_empty() && !state.stop {
                    self.work.wait(&mut state);
                }
                if state.buffer.is_empty() {
                    return;
                }
                let hurried = |s: &State| s.wanted > written || s.stop || s.buffer.len() > 1 << 20;
                if !hurried(&state) {
                    self.work.wait_for(&mut state, LINGER);
                }
                std::mem::swap(&mut batch, &mut state.buffer);
                self.room.notify_all();
            }
            if let Err(e) = files.write(written, &batch) {
                return self.die(&e.to_string());
            }
            written += batch.len() as u64;
            batch.clear();
            if batch.capacity() > 8 << 20 {
                batch = Vec::new();
            }
            self.durable.store(written, Ordering::Release);
            self.wake(written);
        }
    }

    fn wake(&self, durable: Lsn) {
        let due = {
            let mut waiters = self.waiters.lock();
            let later = waiters.by_lsn.split_off(&(durable + 1));
            std::mem::replace(&mut waiters.by_lsn, later)
        };
        for waker in due.into_values().flatten() {
            waker(Ok(()));
        }
    }

    fn die(&self, why: &str) {
        {
            let mut state = self.state.lock();
            state.dead = Some(why.to_owned());
            self.room.notify_all();
        }
        let all = {
            let mut waiters = self.waiters.lock();
            waiters.dead = Some(why.to_owned());
            std::mem::take(&mut waiters.by_lsn)
        };
        for waker in all.into_values().flatten() {
            waker(Err(dead_error(why)));
        }
        tracing::error!("the write-ahead log cannot be written, the server must end: {why}");
        if let Some(fatal) = &self.on_fatal {
            fatal(why);
        }
    }
}

/// The writer's files.
struct Segments {
    disk: Arc<dyn Disk>,
    /// Number of the next segment.
    segment: u64,
    segment_size: u64,
    file: Option<Arc<dyn DiskFile>>,
    /// Offset in the current segment.
    at: u64,
    /// Up to here the file has blocks of its own.
    filled: u64,
    sync: bool,
}

/// Zeros written ahead of small batches. Writing over blocks that are there lets a sync do without
/// the file system's journal; the zeros themselves ride along once in a thousand commits.
const FILL: usize = 1 << 20;

/// The directory of the log.
pub(crate) const DIR: &str = "wal";

pub(crate) fn segment_path(number: u64) -> String {
    format!("{DIR}/{number:016}.wal")
}

impl Segments {
    /// Begins a new segment.
    fn roll(&mut self, start: Lsn) -> io::Result<()> {
        if let Some(full) = self.file.take() {
            // Without its tail of zeros the old segment says itself where it ends.
            full.set_len(self.at)?;
            full.sync()?;
        }
        let file = self.disk.open(&segment_path(self.segment), true)?;
        // Extending ahead keeps the size out of most syncs.
        file.set_len(self.segment_size)?;
        file.write_at(0, &record::segment_header(start))?;
        file.sync()?;
        self.disk.sync_dir(DIR)?;
        self.segment += 1;
        self.at = SEGMENT_HEADER as u64;
        self.filled = self.at;
        self.file = Some(file);
        Ok(())
    }

    fn write(&mut self, start: Lsn, batch: &[u8]) -> io::Result<()> {
        if self.at + batch.len() as u64 > self.segment_size && self.at > SEGMENT_HEADER as u64 {
            self.roll(start)?;
        }
        let Some(file) = &self.file else { return Err(io::Error::other("no segment")) };
        file.write_at(self.at, batch)?;
        self.at += batch.len() as u64;
        if !self.sync {
            return Ok(());
        }
        if batch.len() < FILL && self.at > self.filled {
            let room = self.segment_size.saturating_sub(self.at).min(FILL as u64);
            file.write_at(self.at, &vec![0; usize::try_from(room).unwrap_or(0)])?;
            self.filled = self.at + room;
        }
        file.sync()
    }
}
