//! The rows of unlogged tables, which only a clean stop keeps.
//!
//! ```text
//!  magic and version: 8 bytes   lsn: u64   crc of the rest: u32
//!  pieces of storages: varint id, varint rows, per row: varint row id, varint length, tuple
//! ```
//!
//! The file is written and read a piece at a time: the rows may be more than memory has room for.

use std::io;
use std::sync::Arc;

use vicinity_types::Result;

use crate::catalog::model::Persistence;
use crate::database::Database;
use crate::disk::{Disk, DiskFile};
use crate::mvcc::clock::Clock;
use crate::mvcc::rows::Rows;
use crate::mvcc::{RowId, Snapshot, pin, rest_at};
use crate::recovery::{State, put_row};
use crate::store::Store;
use crate::txn::log::{put_varint, take_varint};
use crate::wal::Lsn;
use crate::wal::reader::io_error;
use crate::wal::record;

const PATH: &str = "unlogged";
const DRAFT: &str = "unlogged.new";
const MAGIC: &[u8; 8] = b"VICUNL\x01\x00";
const HEADER: usize = MAGIC.len() + 8 + 4;
/// A piece is written when it is this long, and read in reads of this.
const PIECE: usize = 256 << 10;
/// The longest varint.
const VARINT: usize = 10;

/// At a clean stop: the rows of unlogged tables, in one file that the next start takes and removes.
pub(crate) fn keep_unlogged(db: &Database) -> Result<()> {
    let mut stores = db.stores();
    stores.retain(|store| store.persistence == Persistence::Unlogged);
    if stores.is_empty() {
        return Ok(());
    }
    db.prepared.forget_unlogged(db)?;
    let failed = |e: io::Error| io_error("keep unlogged tables", &e);
    let write = || {
        let mut writer = Writer::create(db.disk.as_ref()).map_err(failed)?;
        for store in stores {
            writer.keep(&store, &db.core.clock)?;
        }
        writer.end(db.wal.end()).map_err(failed)
    };
    write().inspect_err(|_| remove_draft(db.disk.as_ref()))?;
    let rename = db.disk.rename(DRAFT, PATH).and_then(|()| db.disk.sync_dir("."));
    rename.map_err(failed)
}

/// What was not written to its end.
fn remove_draft(disk: &dyn Disk) {
    match disk.remove(DRAFT) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("cannot remove \"{DRAFT}\": {e}");
        }
        _ => {}
    }
}

struct Writer {
    file: Arc<dyn DiskFile>,
    at: u64,
    crc: crc32fast::Hasher,
}

impl Writer {
    fn create(disk: &dyn Disk) -> io::Result<Writer> {
        let file = disk.open(DRAFT, true)?;
        Ok(Writer { file, at: HEADER as u64, crc: crc32fast::Hasher::new() })
    }

    /// All committed rows of a storage; one piece at least.
    fn keep(&mut self, store: &Store, clock: &Clock) -> Result<()> {
        let snapshot = Snapshot::unwatched(clock.now(), 0, 0, 0);
        let mut guard = pin();
        let (mut rows, mut count) = (Vec::new(), 0);
        for row in 0..store.rows.end() {
            rest_at(row, &mut guard);
            let head = store.rows.head(row, &guard)?;
            let Some(v) = snapshot.visible(head, clock, &guard) else { continue };
            put_varint(&mut rows, row);
            put_varint(&mut rows, v.bytes().len() as u64);
            rows.extend_from_slice(v.bytes());
            count += 1;
            if rows.len() >= PIECE {
                self.piece(store.id, count, &rows)?;
                rows.clear();
                count = 0;
            }
        }
        self.piece(store.id, count, &rows)
    }

    fn piece(&mut self, storage: u64, count: u64, rows: &[u8]) -> Result<()> {
        let mut head = Vec::new();
        put_varint(&mut head, storage);
        put_varint(&mut head, count);
        for bytes in [&head, rows] {
            self.crc.update(bytes);
            let written = self.file.write_at(self.at, bytes);
            written.map_err(|e| io_error("keep unlogged tables", &e))?;
            self.at += bytes.len() as u64;
        }
        Ok(())
    }

    fn end(self, lsn: Lsn) -> io::Result<()> {
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&lsn.to_le_bytes());
        header.extend_from_slice(&self.crc.finalize().to_le_bytes());
        self.file.write_at(0, &header)?;
        self.file.sync()
    }
}

/// Takes the rows of unlogged tables over, if the last stop was clean; whether it was.
pub(crate) fn restore_unlogged(disk: &dyn Disk, lsn: Lsn, state: &mut State) -> Result<bool> {
    remove_draft(disk);
    let file = match disk.open(PATH, false) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(io_error("read unlogged tables", &e)),
    };
    let fits = is_of(&file, lsn)?;
    let io = |e: io::Error| io_error("remove the file of unlogged tables", &e);
    disk.remove(PATH).map_err(io)?;
    disk.sync_dir(".").map_err(io)?;
    if !fits {
        tracing::warn!("the file of unlogged tables does not fit the log; they start empty");
        return Ok(false);
    }
    let mut reader = Reader::begin(file);
    reader.take(HEADER)?;
    while !reader.peek(1)?.is_empty() {
        let id = reader.varint()?;
        let cold = &state.cold;
        let rows = state.rows.entry(id).or_insert_with(|| Rows::new(cold.clone()));
        take_over(&mut reader, id, rows)?;
    }
    Ok(true)
}

/// Whether all of a file is as it was written, when the log ended here.
fn is_of(file: &Arc<dyn DiskFile>, lsn: Lsn) -> Result<bool> {
    let mut reader = Reader::begin(file.clone());
    if reader.peek(HEADER)?.len() < HEADER {
        return Ok(false);
    }
    let mut header = reader.take(HEADER)?;
    if record::take::<8>(&mut header)? != *MAGIC {
        return Err(record::corrupt("the file of unlogged tables has an unknown version"));
    }
    let at = u64::from_le_bytes(record::take(&mut header)?);
    let crc = u32::from_le_bytes(record::take(&mut header)?);
    if at != lsn {
        return Ok(false);
    }
    let mut found = crc32fast::Hasher::new();
    loop {
        let some = reader.peek(1)?;
        if some.is_empty() {
            return Ok(found.finalize() == crc);
        }
        found.update(some);
        let all = some.len();
        reader.take(all)?;
    }
}

/// The rows of one piece.
fn take_over(reader: &mut Reader, storage: u64, rows: &Rows) -> Result<()> {
    let guard = pin();
    for _ in 0..reader.varint()? {
        let row: RowId = reader.varint()?;
        let len = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        put_row(rows, row, Some(reader.take(len)?), &guard)?;
        rows.relieve(storage);
    }
    Ok(())
}

/// Reads from front to back.
struct Reader {
    file: Arc<dyn DiskFile>,
    /// Where what was not read yet begins in the file.
    at: u64,
    bytes: Vec<u8>,
    /// How much of `bytes` was taken.
    taken: usize,
}

impl Reader {
    fn begin(file: Arc<dyn DiskFile>) -> Reader {
        Reader { file, at: 0, bytes: Vec::new(), taken: 0 }
    }

    /// What comes next: so many bytes at least, but for the end of the file.
    fn peek(&mut self, wanted: usize) -> Result<&[u8]> {
        if self.bytes.len() - self.taken < wanted {
            let failed = |e: io::Error| io_error("read unlogged tables", &e);
            self.bytes.drain(..self.taken);
            self.taken = 0;
            let left = self.file.len().map_err(failed)?.saturating_sub(self.at);
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let have = self.bytes.len();
            self.bytes.resize(have + left.min(wanted.max(PIECE)), 0);
            let room = self.bytes.get_mut(have..).unwrap_or_default();
            let got = self.file.read_at(self.at, room).map_err(failed)?;
            self.bytes.truncate(have + got);
            self.at += got as u64;
        }
        Ok(self.bytes.get(self.taken..).unwrap_or_default())
    }

    fn take(&mut self, len: usize) -> Result<&[u8]> {
        let some = self.peek(len)?.len();
        if some < len {
            return Err(record::corrupt("the file of unlogged tables is cut off"));
        }
        let from = self.taken;
        self.taken += len;
        Ok(self.bytes.get(from..self.taken).unwrap_or_default())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut some = self.peek(VARINT)?;
        let before = some.len();
        let n = take_varint(&mut some)?;
        let len = before - some.len();
        self.taken += len;
        Ok(n)
    }
}
