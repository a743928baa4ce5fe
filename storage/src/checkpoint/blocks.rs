//! Files in blocks, each with its checksum: `length:u32 crc32:u32 body`, behind a header of the file's own.

use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vicinity_indexes::step_aside;
use vicinity_types::{PgError, Result, SqlState};

use crate::disk::{Disk, DiskFile};
use crate::wal::reader::io_error;
use crate::wal::record::take;

const BLOCK_HEADER: usize = 8;
/// A block is written when it is this long.
const BLOCK: usize = 256 << 10;

/// How a checkpoint makes its files last.
pub(super) struct Syncs {
    wanted: bool,
    nanoseconds: AtomicU64,
}

impl Syncs {
    /// None are made if they are not `wanted`.
    pub(super) fn new(wanted: bool) -> Syncs {
        Syncs { wanted, nanoseconds: AtomicU64::new(0) }
    }

    /// Makes one.
    pub(super) fn run(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if !self.wanted {
            return Ok(());
        }
        let began = Instant::now();
        let outcome = sync();
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
        outcome
    }

    /// How long they took.
    pub(super) fn time(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

/// Puts bytes into blocks.
pub(super) struct Writer {
    file: Arc<dyn DiskFile>,
    at: u64,
    /// The block begun, its header included.
    block: Vec<u8>,
}

impl Writer {
    pub(super) fn create(disk: &dyn Disk, path: &str, header: &[u8]) -> io::Result<Writer> {
        let file = disk.open(path, true)?;
        file.write_at(0, header)?;
        Ok(Writer { file, at: header.len() as u64, block: Vec::new() })
    }

    /// Where bytes go that stay in one block.
    pub(super) fn block(&mut self) -> io::Result<&mut Vec<u8>> {
        if self.block.len() >= BLOCK {
            self.flush_block()?;
        }
        if self.block.is_empty() {
            self.block.resize(BLOCK_HEADER, 0);
        }
        Ok(&mut self.block)
    }

    fn flush_block(&mut self) -> io::Result<()> {
        let Some((header, body)) = self.block.split_at_mut_checked(BLOCK_HEADER) else {
            return Ok(());
        };
        let len = u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes();
        let crc = crc32fast::hash(body).to_le_bytes();
        for (place, byte) in header.iter_mut().zip(len.into_iter().chain(crc)) {
            *place = byte;
        }
        self.file.write_at(self.at, &self.block)?;
        step_aside();
        self.at += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    /// The file's length. It lasts, but for its name, if files do.
    pub(super) fn end(mut self, syncs: &Syncs) -> io::Result<u64> {
        self.flush_block()?;
        syncs.run(|| self.file.sync())?;
        Ok(self.at)
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let block = self.block()?;
        let n = bytes.len().min(BLOCK);
        block.extend_from_slice(bytes.get(..n).unwrap_or(bytes));
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn damaged(path: &str, what: &str) -> PgError {
    PgError::new(SqlState::DATA_CORRUPTED, format!("\"{path}\" is damaged: {what}"))
}

/// Reads blocks back.
pub(super) struct Reader {
    path: String,
    file: Arc<dyn DiskFile>,
    at: u64,
    bytes: u64,
    /// For who reads without looking at blocks: the present one, and how much of it was read.
    body: Vec<u8>,
    read: usize,
}

impl Reader {
    /// Opens a file of so many bytes that must have this header.
    pub(super) fn open(disk: &dyn Disk, path: &str, bytes: u64, header: &[u8]) -> Result<Reader> {
        let file = disk.open(path, false).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => damaged(path, "it is missing"),
            _ => io_error(&format!("read \"{path}\""), &e),
        })?;
        let path = path.to_owned();
        let mut reader = Reader { path, file, at: 0, bytes, body: Vec::new(), read: 0 };
        let mut begin = vec![0; header.len()];
        reader.fill(&mut begin)?;
        if begin.get(..8) != header.get(..8) {
            return Err(damaged(&reader.path, "it is of an unknown version"));
        }
        if begin != header {
            return Err(damaged(&reader.path, "its header is another file's"));
        }
        Ok(reader)
    }

    /// The next bytes, all of them.
    fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        let failed = |e: io::Error| io_error(&format!("read \"{}\"", self.path), &e);
        if self.file.read_at(self.at, into).map_err(failed)? < into.len() {
            return Err(damaged(&self.path, "it is cut off"));
        }
        self.at += into.len() as u64;
        Ok(())
    }

    /// The next block's body; false at the end.
    pub(super) fn next(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        if self.at >= self.bytes {
            return Ok(false);
        }
        let mut header = [0; BLOCK_HEADER];
        self.fill(&mut header)?;
        let mut fields: &[u8] = &header;
        let len = u64::from(u32::from_le_bytes(take(&mut fields)?));
        let crc = u32::from_le_bytes(take(&mut fields)?);
        if len > self.bytes - self.at {
            return Err(damaged(&self.path, "a block is longer than the file"));
        }
        body.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        self.fill(body)?;
        if crc32fast::hash(body) != crc {
            return Err(damaged(&self.path, "a block's checksum is wrong"));
        }
        Ok(true)
    }
}

impl io::BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read >= self.body.len() {
            let mut body = std::mem::take(&mut self.body);
            let more = self.next(&mut body).map_err(io::Error::other)?;
            if !more {
                body.clear();
            }
            (self.body, self.read) = (body, 0);
        }
        Ok(self.body.get(self.read..).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.read += bytes;
    }
}

impl io::Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(into)?;
        self.consume(n);
        Ok(n)
    }
}
