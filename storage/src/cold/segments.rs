//! The files: blocks one behind the other.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use vicinity_types::{PgError, Result, SqlState};

use super::address::{SEGMENTS, UNIT};
use super::block::{self, Block};
use super::{Address, DIR, damaged};
use crate::disk::{Disk, DiskFile};
use crate::wal::reader::io_error;

/// No more blocks go to a file that is this long.
const LENGTH: u64 = 64 << 20;

pub(super) fn path(segment: u32) -> String {
    format!("{DIR}/{segment}")
}

/// One file.
pub(super) struct Segment {
    number: u32,
    file: Arc<dyn DiskFile>,
    /// Bytes written.
    bytes: AtomicU64,
    /// Records written, and those of them that slots have the address of.
    records: AtomicU64,
    live: AtomicU64,
    /// Nothing is written to it any more.
    full: AtomicBool,
}

/// All files.
pub(super) struct Segments {
    disk: Arc<dyn Disk>,
    all: RwLock<BTreeMap<u32, Arc<Segment>>>,
    /// The one written to, and the number of the next.
    current: Mutex<(Option<Arc<Segment>>, u32)>,
}

impl Segment {
    fn is_empty(&self) -> bool {
        self.full.load(Ordering::Acquire) && self.live.load(Ordering::Acquire) == 0
    }

    /// Whether more than half of it is nobody's.
    fn is_sparse(&self) -> bool {
        let (live, records) =
            (self.live.load(Ordering::Acquire), self.records.load(Ordering::Relaxed));
        self.full.load(Ordering::Acquire) && live < records / 2
    }

    fn read(&self, offset: u64) -> io::Result<Option<Block>> {
        let mut header = [0; block::HEADER];
        self.file.read_at(offset, &mut header)?;
        let most = self.bytes.load(Ordering::Acquire).saturating_sub(offset);
        let len = block::len(&header).filter(|len| *len as u64 <= most);
        let Some(len) = len else { return Ok(None) };
        let mut bytes = vec![0; len];
        self.file.read_at(offset, &mut bytes)?;
        Ok(block::read(&bytes))
    }
}

/// Where a block was written, and who counts its records.
pub(super) struct Written {
    segment: Arc<Segment>,
    offset: u64,
}

impl Written {
    /// The address of the record that begins at a word of the block.
    pub(super) fn address(&self, word: usize) -> Option<Address> {
        Address::new(self.segment.number, self.offset, word)
    }

    /// Slots are to have the addresses of so many records.
    pub(super) fn hold(&self, records: usize) {
        self.segment.records.fetch_add(records as u64, Ordering::Relaxed);
        self.segment.live.fetch_add(records as u64, Ordering::AcqRel);
    }
}

impl Segments {
    /// Makes the directory, and removes what is in it.
    pub(super) fn begin(disk: &Arc<dyn Disk>) -> Result<Segments> {
        let begin = || {
            disk.make_dir(DIR)?;
            disk.list(DIR)?.iter().try_for_each(|name| disk.remove(&format!("{DIR}/{name}")))
        };
        begin().map_err(|e| io_error("clear the files of cold rows", &e))?;
        Ok(Segments { disk: disk.clone(), all: RwLock::default(), current: Mutex::new((None, 0)) })
    }

    /// Writes a block; nobody has an address in it yet.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<Written> {
        let mut current = self.current.lock();
        let io = |e: io::Error| {
            if e.kind() == io::ErrorKind::StorageFull {
                PgError::new(SqlState::DISK_FULL, format!("could not write cold rows: {e}"))
            } else {
                io_error("write cold rows", &e)
            }
        };
        let segment = match &current.0 {
            Some(segment) => segment.clone(),
            None => {
                let segment = self.create(current.1).map_err(io)?;
                *current = (Some(segment.clone()), (current.1 + 1) % SEGMENTS);
                segment
            }
        };
        let offset = segment.bytes.load(Ordering::Relaxed).next_multiple_of(UNIT);
        segment.file.write_at(offset, bytes).map_err(io)?;
        let end = offset + bytes.len() as u64;
        segment.bytes.store(end, Ordering::Release);
        if end >= LENGTH {
            current.0 = None;
        }
        Ok(Written { segment, offset })
    }

    fn create(&self, number: u32) -> io::Result<Arc<Segment>> {
        let file = self.disk.open(&path(number), true)?;
        let segment = Arc::new(Segment {
            number,
            file,
            bytes: AtomicU64::new(0),
            records: AtomicU64::new(0),
            live: AtomicU64::new(0),
            full: AtomicBool::new(false),
        });
        self.all.write().insert(number, segment.clone());
        Ok(segment)
    }

    /// The slots have their addresses, but for so many. The file, if it can go.
    pub(super) fn settle(&self, written: &Written, unheld: usize) -> Option<u32> {
        let segment = &written.segment;
        segment.live.fetch_sub(unheld as u64, Ordering::AcqRel);
        if segment.bytes.load(Ordering::Relaxed) >= LENGTH {
            segment.full.store(true, Ordering::Release);
        }
        segment.is_empty().then_some(segment.number)
    }

    /// The block with an address.
    pub(super) fn read(&self, at: Address) -> Result<Block> {
        let segment = self.all.read().get(&at.segment()).cloned();
        let segment = segment.ok_or_else(|| damaged(at, "it is gone"))?;
        segment
            .read(at.offset())
            .map_err(|e| io_error(&format!("read \"{}\"", path(segment.number)), &e))?
            .ok_or_else(|| damaged(at, "a block's checksum is wrong"))
    }

    /// A record is nobody's any more. The file, if it can go.
    pub(super) fn release(&self, at: Address) -> Option<u32> {
        let all = self.all.read();
        let segment = all.get(&at.segment())?;
        segment.live.fetch_sub(1, Ordering::AcqRel);
        segment.is_empty().then_some(segment.number)
    }

    /// Removes a file that has nobody's records.
    pub(super) fn remove(&self, number: u32) {
        if self.all.write().remove(&number).is_some()
            && let Err(e) = self.disk.remove(&path(number))
        {
            tracing::warn!("cannot remove \"{}\": {e}", path(number));
        }
    }

    /// Files that mostly have nobody's records.
    pub(super) fn sparse(&self) -> Vec<Arc<Segment>> {
        self.all.read().values().filter(|s| s.is_sparse()).cloned().collect()
    }
}

/// The blocks of a file, with the address of their first byte.
pub(super) struct Blocks {
    segment: Arc<Segment>,
    offset: u64,
}

impl Blocks {
    pub(super) fn of(segment: Arc<Segment>) -> Blocks {
        Blocks { segment, offset: 0 }
    }

    /// The next block, and where its records are.
    pub(super) fn next(&mut self) -> Result<Option<(Block, Written)>> {
        let offset = self.offset;
        if offset >= self.segment.bytes.load(Ordering::Acquire) {
            return Ok(None);
        }
        let at = Address::new(self.segment.number, offset, 0);
        let block = self.segment.read(offset);
        let block = block.map_err(|e| io_error("read cold rows", &e))?;
        let block = block.zip(at).map(|(block, _)| block);
        let block = block.ok_or_else(|| {
            let file = path(self.segment.number);
            PgError::new(SqlState::DATA_CORRUPTED, format!("file \"{file}\" is damaged"))
        })?;
        self.offset = (offset + block.bytes()).next_multiple_of(UNIT);
        Ok(Some((block, Written { segment: self.segment.clone(), offset })))
    }
}
