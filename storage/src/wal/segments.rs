//! The log's files: numbered segments, with blocks before there is anything to write to them.

use std::io;
use std::sync::Arc;

use super::Lsn;
use super::record::{self, SEGMENT_HEADER};
use crate::disk::{Aligned, BLOCK, Disk, DiskFile};

/// The directory of the log.
pub(crate) const DIR: &str = "wal";

/// A segment while it is made; it is not one before it has a number.
const NEXT: &str = "wal/next";

/// Zeros written ahead, once in a thousand commits. They make sure that there is room for what comes, and
/// writing over blocks that are there does without the file system's journal.
const FILL: u64 = 1 << 20;

/// So much is written at once: what a killed server had begun to write and did not see on disk is no more than that.
pub(crate) const AT_ONCE: usize = 1 << 20;

pub(crate) fn segment_path(number: u64) -> String {
    format!("{DIR}/{number:016}.wal")
}

/// Whether it is only that the disk is full.
pub(super) fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The segment that is written to.
struct Segment {
    file: Arc<dyn DiskFile>,
    /// Where the next record goes.
    at: u64,
    /// Up to here the file has blocks of its own, whole ones.
    filled: u64,
    /// Whole blocks on their way: first what is there of the block that the next record begins in, then zeros.
    blocks: Aligned,
}

impl Segment {
    /// Gets blocks up to an offset; whatever was had of them stays.
    fn fill(&mut self, to: u64) -> io::Result<()> {
        let to = to.next_multiple_of(BLOCK as u64);
        let most = to.saturating_sub(self.filled).min(FILL);
        let zeros = Aligned::zeros(usize::try_from(most).unwrap_or(0));
        while self.filled < to {
            let length = usize::try_from(to - self.filled).unwrap_or(usize::MAX);
            let piece = zeros.get(..length).unwrap_or(&zeros);
            self.file.write_at(self.filled, piece)?;
            self.filled += piece.len() as u64;
        }
        Ok(())
    }

    /// Writes behind what there is.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(self.blocks.len() - BLOCK) {
            let begun = (self.at % BLOCK as u64) as usize;
            let end = begun + piece.len();
            if let Some(place) = self.blocks.get_mut(begun..end) {
                place.copy_from_slice(piece);
            }
            let whole = self.blocks.get(..end.next_multiple_of(BLOCK)).unwrap_or_default();
            self.file.write_at(self.at - begun as u64, whole)?;
            self.at += piece.len() as u64;
            let last = end % BLOCK;
            self.blocks.copy_within(end - last..end, 0);
            self.blocks.get_mut(last..end).unwrap_or_default().fill(0);
        }
        Ok(())
    }

    /// Without its tail of zeros a segment says itself where it ends.
    fn end(&self) -> io::Result<()> {
        self.file.set_len(self.at)?;
        self.file.sync()
    }

    /// What may be appended, if the next record is of this LSN.
    fn granted(&self, written: Lsn) -> Lsn {
        written + (self.filled - self.at)
    }
}

/// The writer's files.
pub(super) struct Segments {
    disk: Arc<dyn Disk>,
    /// Number of the next segment.
    number: u64,
    segment_size: u64,
    /// None while the disk has been full since the start.
    now: Option<Segment>,
    sync: bool,
}

impl Segments {
    /// Begins with a segment of this number; up to where records may be appended. On a full disk the segment is made
    /// when there is something to write.
    pub(super) fn begin(
        disk: Arc<dyn Disk>,
        start: Lsn,
        number: u64,
        segment_size: u64,
        sync: bool,
    ) -> io::Result<(Segments, Lsn)> {
        let mut files = Segments { disk, number, segment_size, now: None, sync };
        let granted = match files.first(start, 0) {
            Err(e) if is_full(&e) => start,
            made => made?,
        };
        Ok((files, granted))
    }

    /// Makes the first segment, with blocks for so many bytes.
    fn first(&mut self, start: Lsn, room: u64) -> io::Result<Lsn> {
        let segment = make(self.disk.as_ref(), start, self.segment_size, room, self.sync)?;
        let granted = segment.granted(start);
        self.take(segment)?;
        Ok(granted)
    }

    /// Goes on with a segment.
    fn take(&mut self, segment: Segment) -> io::Result<()> {
        name(self.disk.as_ref(), self.number).map_err(io::Error::other)?;
        self.number += 1;
        self.now = Some(segment);
        Ok(())
    }

    /// Writes records behind the last ones, to blocks that were granted. They last.
    pub(super) fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        match &mut self.now {
            Some(now) => now.write(batch),
            None if batch.is_empty() => Ok(()),
            None => Err(io::Error::other("the log has no segment")),
        }
    }

    /// More blocks before anybody asks, in the present segment; up to where there are some.
    pub(super) fn fill_ahead(&mut self, written: Lsn) -> io::Result<Lsn> {
        let Some(now) = &mut self.now else { return Ok(written) };
        if now.filled - now.at < FILL / 2 {
            let to = (now.filled + FILL).min(self.segment_size).max(now.filled);
            now.fill(to)?;
        }
        Ok(now.granted(written))
    }

    /// Blocks for records up to `asked`, in a new segment if this one has no place for them. On error
    /// all is as it was.
    pub(super) fn grant(&mut self, written: Lsn, asked: Lsn) -> io::Result<Lsn> {
        let Some(now) = &mut self.now else { return self.first(written, asked - written) };
        let to = now.at + (asked - written);
        if to > self.segment_size && now.at > SEGMENT_HEADER as u64 {
            let more = asked.max(now.granted(written)) - written;
            let next = make(self.disk.as_ref(), written, self.segment_size, more, self.sync)?;
            let granted = next.granted(written);
            // From here on there is no way back: blocks that were granted are given away.
            now.end().map_err(io::Error::other)?;
            self.take(next)?;
            return Ok(granted);
        }
        let ahead = (to + FILL).min(self.segment_size).max(to);
        now.fill(ahead).or_else(|_| now.fill(to))?;
        Ok(now.granted(written))
    }
}

/// A file that will be a segment; what is written to it lasts if `sync`.
fn make(
    disk: &dyn Disk,
    start: Lsn,
    segment_size: u64,
    room: u64,
    sync: bool,
) -> io::Result<Segment> {
    let made = (|| -> io::Result<Segment> {
        let file = if sync { disk.create_lasting(NEXT)? } else { disk.open(NEXT, true)? };
        // Extending ahead keeps the size out of most writes.
        file.set_len(segment_size)?;
        let blocks = Aligned::zeros(AT_ONCE);
        let mut segment = Segment { file, at: 0, filled: 0, blocks };
        let at = SEGMENT_HEADER as u64;
        let ahead = (at + room.max(FILL)).min(segment_size).max(at + room);
        segment.fill(ahead).or_else(|_| segment.fill(at + room))?;
        segment.write(&record::segment_header(start))?;
        segment.file.sync()?;
        Ok(segment)
    })();
    made.inspect_err(|_| drop(disk.remove(NEXT)))
}

fn name(disk: &dyn Disk, number: u64) -> io::Result<()> {
    disk.rename(NEXT, &segment_path(number))?;
    disk.sync_dir(DIR)
}
