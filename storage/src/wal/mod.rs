//! The write-ahead log: one stream of records, appended in memory, written by one thread.
//!
//! A commit appends its record to a buffer and gets the LSN of its end. The writer thread takes
//! whatever the buffer holds, writes it so that it lasts, and wakes everybody whose LSN it passed:
//! group commit without a timer. Nobody holds a lock while the disk works (invariant *durable*).
//!
//! A record is appended only where the file has blocks for it already: a full disk is found before
//! a transaction shows, is an error of its statement (53100), and the log goes on when there is room
//! again.
//!
//! A write that fails is never tried again: the pages may be gone while the kernel calls
//! them clean. The log is dead from then on, every wait ends in an error, and the process is told to
//! end (`Options::on_fatal`). So it is where a checkpoint meets a disk that fails.

pub(crate) mod reader;
pub(crate) mod record;
mod segments;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::database::Options;
use crate::disk::Disk;
use crate::mvcc::Xid;
use crate::sequence::SequenceState;
pub(crate) use segments::{AT_ONCE, DIR, segment_path};
use segments::{Segments, is_full};

/// A position in the log: the bytes of all records before it.
pub type Lsn = u64;

/// What was written of the log since it was begun by this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogFigures {
    /// Records appended.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Writes to disk, each of which lasts when it is done.
    pub writes: u64,
}

/// Called when a position is on disk, or never will be.
type Waker = Box<dyn FnOnce(Result<()>) + Send>;

/// Called once, with the reason, when the log can no longer be written.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Chunks of running transactions wait while more than this is unwritten.
const MOST_UNWRITTEN: usize = 64 << 20;
/// So much is written whether somebody waits or not.
const HEAP: usize = 1 << 20;
/// The log.
pub struct Wal {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// Something to write, or to stop for.
    work: Condvar,
    /// The buffer was taken, or the file has got more blocks, or none are to be had.
    room: Condvar,
    durable: AtomicU64,
    waiters: Mutex<Waiters>,
    /// With nobody waiting, the writer lets records gather this long.
    delay: Duration,
    on_fatal: Option<OnFatal>,
}

struct State {
    buffer: Vec<u8>,
    /// LSN behind the buffer's last record.
    end: Lsn,
    /// Where the first record of this process begins, how many there are, and in how many writes.
    begin: Lsn,
    records: u64,
    writes: u64,
    /// Somebody waits for this much.
    wanted: Lsn,
    /// The writer looks by itself before long: it need not be told of records nobody waits for.
    looks: bool,
    /// Up to here the file has blocks: records may be appended.
    granted: Lsn,
    /// Somebody waits for blocks up to here.
    asked: Lsn,
    /// Where the streams of transactions begin that sent some of theirs ahead and have not committed.
    streams: HashMap<Xid, Lsn>,
    /// How often there were none, and what was said the last time.
    refusals: u64,
    refusal: String,
    stop: bool,
    dead: Option<String>,
}

impl State {
    fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.asked <= self.granted && !self.stop
    }

    /// What is there is to be written at once.
    fn is_urgent(&self, written: Lsn) -> bool {
        self.wanted > written || self.asked > self.granted || self.stop || self.buffer.len() > HEAP
    }
}

#[derive(Default)]
struct Waiters {
    /// In the order they came, which is all but that of their positions.
    list: Vec<(Lsn, Waker)>,
    dead: Option<String>,
}

/// A commit's record ready to be appended.
pub(crate) struct Ready {
    record: Vec<u8>,
    /// The transaction, if it has sent some of its stream ahead.
    streamed: Option<Xid>,
}

fn full_error(why: &str) -> PgError {
    PgError::new(SqlState::DISK_FULL, format!("could not extend the write-ahead log: {why}"))
        .hint("Check free disk space.")
}

fn dead_error(why: &str) -> PgError {
    PgError::new(SqlState::IO_ERROR, why)
}

fn cannot_write(e: &io::Error) -> String {
    format!("could not write the write-ahead log: {e}")
}

impl Wal {
    /// Starts writing behind `start`, in a new segment numbered `segment`.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        start: Lsn,
        segment: u64,
        options: &Options,
    ) -> Result<Wal> {
        let size = options.wal_segment_size;
        let (files, granted) = Segments::begin(disk, start, segment, size, options.sync)
            .map_err(|e| reader::io_error("begin the write-ahead log", &e))?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                buffer: Vec::new(),
                end: start,
                begin: start,
                records: 0,
                writes: 0,
                wanted: start,
                looks: false,
                granted,
                asked: start,
                streams: HashMap::new(),
                refusals: 0,
                refusal: String::new(),
                stop: false,
                dead: None,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            durable: AtomicU64::new(start),
            waiters: Mutex::new(Waiters::default()),
            delay: options.wal_writer_delay,
            on_fatal: options.on_fatal.clone(),
        });
        let thread = shared.clone();
        let writer = std::thread::Builder::new()
            .name("wal-writer".to_owned())
            .spawn(move || thread.write_all(files, start))
            .map_err(|e| PgError::internal(format!("cannot start the WAL writer: {e}")))?;
        Ok(Wal { shared, writer: Mutex::new(Some(writer)) })
    }

    /// The record that commits a transaction.
    pub(crate) fn commit_record(&self, xid: Xid, base: u64, ops: &[u8], changes: &[u8]) -> Ready {
        let record = record::commit(xid, base, ops, changes);
        Ready { record, streamed: (base > 0).then_some(xid) }
    }

    /// Appends a record; the LSN behind it.
    pub(crate) fn append(&self, commit: Ready) -> Result<Lsn> {
        let mut state = self.shared.state.lock();
        let end = self.shared.push(&mut state, &commit.record)?;
        if let Some(xid) = commit.streamed {
            state.streams.remove(&xid);
        }
        Ok(end)
    }

    /// Appends a part of a running transaction's stream. Waits while too much is unwritten.
    pub(crate) fn append_chunk(&self, xid: Xid, base: u64, ops: &[u8]) -> Result<()> {
        let record = record::chunk(xid, base, ops);
        let mut state = self.shared.state.lock();
        while state.buffer.len() > MOST_UNWRITTEN && state.dead.is_none() {
            self.shared.room.wait(&mut state);
        }
        let end = self.shared.push(&mut state, &record)?;
        if base == 0 {
            state.streams.insert(xid, end - record.len() as u64);
        }
        Ok(())
    }

    /// Where the log ends, and where the first stream begins that is not committed. Those that ended otherwise are
    /// forgotten.
    pub(crate) fn streams(&self, is_running: impl Fn(Xid) -> bool) -> (Lsn, Option<Lsn>) {
        let mut state = self.shared.state.lock();
        state.streams.retain(|xid, _| is_running(*xid));
        (state.end, state.streams.values().min().copied())
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

    /// What was written of it since it was begun by this process.
    pub fn figures(&self) -> LogFigures {
        let state = self.shared.state.lock();
        let bytes = state.end - state.begin;
        LogFigures { records: state.records, bytes, writes: state.writes }
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
            waiters.list.push((lsn, then));
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

    /// The disk failed elsewhere: nothing is promised any more, and the server ends.
    pub(crate) fn fail(&self, why: &str) {
        self.shared.die(why);
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
    /// Appends a record where there is room for it; waits for the writer to make some.
    fn push(&self, state: &mut MutexGuard<'_, State>, record: &[u8]) -> Result<Lsn> {
        let refusals = state.refusals;
        loop {
            if let Some(why) = &state.dead {
                return Err(dead_error(why));
            }
            let end = state.end + record.len() as u64;
            if end <= state.granted {
                break;
            }
            if state.refusals > refusals {
                return Err(full_error(&state.refusal));
            }
            state.asked = state.asked.max(end);
            self.work.notify_one();
            self.room.wait(state);
        }
        let was_empty = state.buffer.is_empty();
        state.buffer.extend_from_slice(record);
        state.end += record.len() as u64;
        state.records += 1;
        if was_empty && !state.looks {
            self.work.notify_one();
        }
        Ok(state.end)
    }

    /// The writer's loop.
    fn write_all(&self, mut files: Segments, mut written: Lsn) {
        let (mut batch, mut due) = (Vec::new(), Vec::new());
        loop {
            let promised = {
                let mut state = self.state.lock();
                self.gather(&mut state, written);
                if state.dead.is_some() || (state.buffer.is_empty() && state.stop) {
                    return;
                }
                std::mem::swap(&mut batch, &mut state.buffer);
                state.writes += u64::from(!batch.is_empty());
                self.room.notify_all();
                state.granted
            };
            if let Err(e) = files.write(&batch) {
                return self.die(&cannot_write(&e));
            }
            written += batch.len() as u64;
            batch.clear();
            if batch.capacity() > 8 << 20 {
                batch = Vec::new();
            }
            self.durable.store(written, Ordering::Release);
            self.wake(written, &mut due);
            if let Err(e) = self.make_room(&mut files, written, promised) {
                return self.die(&cannot_write(&e));
            }
        }
    }

    /// Waits for something to do. Who commits waits for the log soon afterwards, and tells so: until then the record
    /// may gather others, and while the writer is about anyway it is not woken for it.
    fn gather(&self, state: &mut MutexGuard<'_, State>, written: Lsn) {
        loop {
            state.looks = true;
            while !state.is_urgent(written) && !self.work.wait_for(state, self.delay).timed_out() {}
            state.looks = false;
            if !state.is_idle() {
                return;
            }
            self.work.wait(state);
        }
    }

    /// Gets blocks for what is asked for, and some before anybody asks. `promised` are those that
    /// records may be appended to already.
    fn make_room(&self, files: &mut Segments, written: Lsn, promised: Lsn) -> io::Result<()> {
        let asked = Some(self.state.lock().asked).filter(|asked| *asked > promised);
        let outcome = match asked {
            Some(asked) => files.grant(written, asked),
            None => files.fill_ahead(written),
        };
        let mut state = self.state.lock();
        match outcome {
            Ok(granted) => state.granted = granted,
            Err(e) if is_full(&e) => {
                if asked.is_some() {
                    state.asked = state.granted;
                    state.refusals += 1;
                    state.refusal = e.to_string();
                }
            }
            Err(e) => return Err(e),
        }
        self.room.notify_all();
        Ok(())
    }

    /// Calls back who waits for what is on disk now. `due` is empty before and after.
    fn wake(&self, durable: Lsn, due: &mut Vec<(Lsn, Waker)>) {
        due.extend(self.waiters.lock().list.extract_if(.., |(lsn, _)| *lsn <= durable));
        for (_, waker) in due.drain(..) {
            waker(Ok(()));
        }
    }

    fn die(&self, why: &str) {
        {
            let mut state = self.state.lock();
            if state.dead.is_some() {
                return;
            }
            state.dead = Some(why.to_owned());
            self.room.notify_all();
        }
        let all = {
            let mut waiters = self.waiters.lock();
            waiters.dead = Some(why.to_owned());
            std::mem::take(&mut waiters.list)
        };
        for (_, waker) in all {
            waker(Err(dead_error(why)));
        }
        tracing::error!("the server must end: {why}");
        if let Some(fatal) = &self.on_fatal {
            fatal(why);
        }
    }
}
