//! The rows of a part of a storage, in a file.
//!
//! ```text
//!  "VICROW"  version:u16  storage:u64  part:u64  checkpoint:u64  crc of the 32 bytes before:u32  0:u32
//!  blocks:   length of body:u32  crc of body:u32  body
//!  body:     per row: varint row id less that of the row before (in the first one, of the part), varint length, tuple
//! ```
//!
//! **Which parts are written.** The file of a part is of a timestamp: that of the snapshot it was written by, or 0 if
//! recovery read it (what that read from files has timestamp 0, and what it replayed has 1). At a later snapshot, if
//! every row visible has a version that is no younger than the file, and there are as many as in the file, they are the
//! same: each was visible to the file's snapshot too, as the newest version of its row not younger than the file; so
//! the rows of now are among those of the file, and as many.

use std::collections::BTreeMap;

use rayon::prelude::*;
use vicinity_types::{PgError, Result, SqlState};

use super::PART;
use super::manifest::Part;
use crate::disk::{Disk, DiskFile};
use crate::mvcc::clock::{Clock, Stamp};
use crate::mvcc::rows::Rows;
use crate::mvcc::version::NewVersion;
use crate::mvcc::{RowId, Snapshot, pin};
use crate::store::Store;
use crate::txn::log::{put_varint, take_varint};
use crate::wal::reader::io_error;
use crate::wal::record::take;

const MAGIC: &[u8; 8] = b"VICROW\x01\x00";
const HEADER: usize = 40;
const BLOCK_HEADER: usize = 8;
/// A block is written when it is this long.
const BLOCK: usize = 256 << 10;
/// Rows between two looks at the epoch.
const STEP: u64 = 512;

/// The timestamp of what is read from a file.
const READ: u64 = 0;

/// A file, and what it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub(super) file: Part,
    pub(super) ts: u64,
}

/// What a part looks like now.
pub(super) struct Survey {
    pub(super) rows: u64,
    youngest: u64,
}

impl Image {
    pub(super) fn is_of(&self, now: &Survey) -> bool {
        now.rows == self.file.rows && now.youngest <= self.ts
    }
}

/// The files of a storage, by part; parts without rows have none.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts(BTreeMap<u64, Image>);

impl Parts {
    /// A file that recovery reads.
    pub(super) fn recovered(&mut self, file: Part) {
        self.push(Image { file, ts: READ });
    }

    pub(super) fn push(&mut self, image: Image) {
        self.0.insert(image.file.part, image);
    }

    pub(super) fn get(&self, part: u64) -> Option<&Image> {
        self.0.get(&part)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = Part> {
        self.0.values().map(|image| image.file)
    }
}

/// Where rows are written from.
pub(super) struct Source<'a> {
    pub(super) store: &'a Store,
    pub(super) snapshot: Snapshot,
    pub(super) clock: &'a Clock,
}

impl Source<'_> {
    /// Every row of a part that the snapshot sees, with the timestamp of its version.
    fn each_row(
        &self,
        part: u64,
        f: &mut dyn FnMut(RowId, u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let rows = &self.store.rows;
        let mut guard = pin();
        for row in part * PART..((part + 1) * PART).min(rows.end()) {
            if row % STEP == 0 {
                guard.repin();
            }
            let head = rows.head(row, &guard);
            let Some(v) = self.snapshot.visible(head, self.clock, &guard) else { continue };
            if let Stamp::Committed(ts) = self.clock.resolve(v) {
                f(row, ts, v.bytes())?;
            }
        }
        Ok(())
    }

    pub(super) fn survey(&self, part: u64) -> Survey {
        let mut found = Survey { rows: 0, youngest: 0 };
        // Counting fails nowhere.
        let _ = self.each_row(part, &mut |_, ts, _| {
            found.rows += 1;
            found.youngest = found.youngest.max(ts);
            Ok(())
        });
        found
    }

    /// Writes a part's file; it lasts if `sync`, but for its name.
    pub(super) fn write(&self, disk: &dyn Disk, part: Part, sync: bool) -> Result<Part> {
        let path = part.path();
        let failed = |e: std::io::Error| io_error(&format!("write \"{path}\""), &e);
        let file = disk.open(&path, true).map_err(failed)?;
        let header = header(&part);
        file.write_at(0, &header).map_err(failed)?;
        let mut out = Writer { file: file.as_ref(), at: header.len() as u64, block: Vec::new() };
        let (mut before, mut rows) = (part.part * PART, 0);
        self.each_row(part.part, &mut |row, _, tuple| {
            out.row(row - before, tuple).map_err(failed)?;
            before = row;
            rows += 1;
            Ok(())
        })?;
        out.flush().map_err(failed)?;
        let bytes = out.at;
        if sync {
            file.sync().map_err(failed)?;
        }
        Ok(Part { bytes, rows, ..part })
    }
}

fn header(part: &Part) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for n in [part.storage, part.part, part.file] {
        out.extend_from_slice(&n.to_le_bytes());
    }
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out.resize(HEADER, 0);
    out
}

/// Puts rows into blocks.
struct Writer<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    /// The block begun, its header included.
    block: Vec<u8>,
}

impl Writer<'_> {
    fn row(&mut self, step: u64, tuple: &[u8]) -> std::io::Result<()> {
        if self.block.len() >= BLOCK {
            self.flush()?;
        }
        if self.block.is_empty() {
            self.block.resize(BLOCK_HEADER, 0);
        }
        put_varint(&mut self.block, step);
        put_varint(&mut self.block, tuple.len() as u64);
        self.block.extend_from_slice(tuple);
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let Some((header, body)) = self.block.split_at_mut_checked(BLOCK_HEADER) else {
            return Ok(());
        };
        let len = u32::try_from(body.len()).map_err(std::io::Error::other)?.to_le_bytes();
        let crc = crc32fast::hash(body).to_le_bytes();
        for (place, byte) in header.iter_mut().zip(len.into_iter().chain(crc)) {
            *place = byte;
        }
        self.file.write_at(self.at, &self.block)?;
        self.at += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }
}

/// Reads files into the rows of their storages, on all cores.
pub(crate) fn load(disk: &dyn Disk, parts: &[Part], rows: &dyn RowsOf) -> Result<()> {
    parts.par_iter().try_for_each(|part| {
        let rows =
            rows.of(part.storage).ok_or_else(|| damaged(part, "its storage is not known"))?;
        Reader::open(disk, part)?.read(rows)
    })
}

/// Where the rows of a storage go.
pub(crate) trait RowsOf: Sync {
    fn of(&self, storage: u64) -> Option<&Rows>;
}

fn damaged(part: &Part, what: &str) -> PgError {
    PgError::new(SqlState::DATA_CORRUPTED, format!("\"{}\" is damaged: {what}", part.path()))
}

struct Reader<'a> {
    part: &'a Part,
    file: std::sync::Arc<dyn DiskFile>,
    at: u64,
}

impl Reader<'_> {
    fn open<'a>(disk: &dyn Disk, part: &'a Part) -> Result<Reader<'a>> {
        let file = disk.open(&part.path(), false).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => damaged(part, "it is missing"),
            _ => io_error(&format!("read \"{}\"", part.path()), &e),
        })?;
        let mut reader = Reader { part, file, at: 0 };
        let mut begin = [0; HEADER];
        reader.fill(&mut begin)?;
        if begin.first_chunk::<8>() != Some(MAGIC) {
            return Err(damaged(part, "it is of an unknown version"));
        }
        if begin[..] != header(part)[..] {
            return Err(damaged(part, "its header is another file's"));
        }
        Ok(reader)
    }

    /// The next bytes, all of them.
    fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        let failed = |e: std::io::Error| io_error(&format!("read \"{}\"", self.part.path()), &e);
        if self.file.read_at(self.at, into).map_err(failed)? < into.len() {
            return Err(damaged(self.part, "it is cut off"));
        }
        self.at += into.len() as u64;
        Ok(())
    }

    fn read(&mut self, into: &Rows) -> Result<()> {
        let (mut row, mut rows) = (self.part.part * PART, 0);
        let mut body = Vec::new();
        while self.at < self.part.bytes {
            let mut header = [0; BLOCK_HEADER];
            self.fill(&mut header)?;
            let mut fields: &[u8] = &header;
            let len = u64::from(u32::from_le_bytes(take(&mut fields)?));
            let crc = u32::from_le_bytes(take(&mut fields)?);
            if len > self.part.bytes - self.at {
                return Err(damaged(self.part, "a block is longer than the file"));
            }
            body.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
            self.fill(&mut body)?;
            if crc32fast::hash(&body) != crc {
                return Err(damaged(self.part, "a block's checksum is wrong"));
            }
            rows += self.put(&body, &mut row, into)?;
        }
        if rows != self.part.rows {
            return Err(damaged(self.part, "rows are missing"));
        }
        Ok(())
    }

    /// Puts the rows of a block in their places; how many.
    fn put(&self, mut body: &[u8], row: &mut RowId, into: &Rows) -> Result<u64> {
        let mut count = 0;
        while !body.is_empty() {
            *row = row.saturating_add(take_varint(&mut body)?);
            let len = usize::try_from(take_varint(&mut body)?).unwrap_or(usize::MAX);
            let (tuple, rest) =
                body.split_at_checked(len).ok_or_else(|| damaged(self.part, "a row is cut off"))?;
            if *row / PART != self.part.part {
                return Err(damaged(self.part, "a row is of another part"));
            }
            into.load(*row, NewVersion::new(READ, 0, 0, tuple)?)?;
            body = rest;
            count += 1;
        }
        Ok(count)
    }
}
