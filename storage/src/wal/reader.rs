//! Reading the log back, segment by segment, up to its last whole record.

use std::sync::Arc;

use vicinity_types::{PgError, Result, SqlState};

use super::record::{self, RECORD_HEADER, Record, SEGMENT_HEADER};
use super::{DIR, Lsn, segment_path};
use crate::disk::{Disk, DiskFile};

/// Bytes of a segment that are in memory at once, unless a record has more.
const PIECE: u64 = 2 << 20;

/// What the log consists of.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    /// Segment numbers, oldest first.
    pub(crate) segments: Vec<u64>,
    /// The LSN behind the last whole record.
    pub(crate) end: Lsn,
    /// Length of the last segment up to there.
    pub(crate) last_len: u64,
    /// Whether bytes follow that are no whole record.
    pub(crate) torn: bool,
}

pub(crate) fn io_error(what: &str, e: &std::io::Error) -> PgError {
    let code = match (e.kind(), e.raw_os_error()) {
        (std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded, _) => {
            SqlState::DISK_FULL
        }
        (_, Some(libc::EMFILE | libc::ENFILE)) => SqlState::INSUFFICIENT_RESOURCES,
        _ => SqlState::IO_ERROR,
    };
    PgError::new(code, format!("could not {what}: {e}"))
}

/// The numbers of all segments there are.
pub(crate) fn segments(disk: &dyn Disk) -> Result<Vec<u64>> {
    let names = disk.list(DIR).map_err(|e| io_error("list the WAL directory", &e))?;
    let number = |n: &String| n.strip_suffix(".wal").and_then(|n| n.parse::<u64>().ok());
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The LSN a segment begins with; `None` if its header was never written whole.
pub(crate) fn start_of(disk: &dyn Disk, number: u64) -> Result<Option<Lsn>> {
    let path = segment_path(number);
    let failed = |e: std::io::Error| io_error(&format!("read \"{path}\""), &e);
    let mut header = [0; SEGMENT_HEADER];
    let file = disk.open(&path, false).map_err(failed)?;
    let got = file.read_at(0, &mut header).map_err(failed)?;
    record::read_segment_header(header.get(..got).unwrap_or_default())
}

/// The segments that end at or before an LSN, but for the last one there is.
pub(crate) fn segments_before(disk: &dyn Disk, lsn: Lsn) -> Result<Vec<u64>> {
    let mut all = segments(disk)?;
    let mut needed = all.len().saturating_sub(1);
    for (i, number) in all.iter().enumerate().rev() {
        if start_of(disk, *number)?.is_some_and(|start| start <= lsn) {
            needed = needed.min(i);
            break;
        }
        needed = needed.min(i);
    }
    all.truncate(needed);
    Ok(all)
}

/// The segments to be read for what follows an LSN: a gap before it is no matter.
pub(crate) fn segments_from(disk: &dyn Disk, lsn: Lsn) -> Result<Vec<u64>> {
    let before = segments_before(disk, lsn)?.len();
    let needed = segments(disk)?.split_off(before);
    match needed.first() {
        Some(first) => match start_of(disk, *first)? {
            Some(start) if start > lsn => Err(record::corrupt(&format!(
                "records before \"{}\" are missing",
                segment_path(*first)
            ))),
            None if lsn > 0 => Err(record::corrupt("all of it is missing")),
            _ => Ok(needed),
        },
        None if lsn > 0 => Err(record::corrupt("all of it is missing")),
        None => Ok(needed),
    }
}

/// A segment's bytes, a piece at a time.
struct Segment {
    path: String,
    file: Arc<dyn DiskFile>,
    len: u64,
    /// Where the piece in memory begins.
    at: u64,
    piece: Vec<u8>,
}

impl Segment {
    fn open(disk: &dyn Disk, number: u64, piece: Vec<u8>) -> Result<Segment> {
        let path = segment_path(number);
        let opened = disk.open(&path, false).and_then(|file| Ok((file.len()?, file)));
        let (len, file) = opened.map_err(|e| io_error(&format!("read \"{path}\""), &e))?;
        Ok(Segment { path, file, len, at: len, piece })
    }

    /// So many bytes from an offset on; fewer only at the end of the file.
    fn bytes(&mut self, offset: u64, count: u64) -> Result<&[u8]> {
        let end = offset.saturating_add(count).min(self.len);
        if offset < self.at || end > self.at + self.piece.len() as u64 {
            let whole = (end - offset.min(end)).max(PIECE).min(self.len - offset.min(self.len));
            self.piece.resize(usize::try_from(whole).unwrap_or(usize::MAX), 0);
            let got = self.file.read_at(offset, &mut self.piece);
            self.piece.truncate(got.map_err(|e| io_error(&format!("read \"{}\"", self.path), &e))?);
            self.at = offset;
        }
        let place = |at: u64| usize::try_from(at.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let there = place(end).min(self.piece.len());
        Ok(self.piece.get(place(offset).min(there)..there).unwrap_or_default())
    }

    /// Whether there are but zeros from an offset on.
    fn is_clear_from(&mut self, mut offset: u64) -> Result<bool> {
        while offset < self.len {
            let bytes = self.bytes(offset, PIECE)?;
            // All of them at a time: most often there is nothing.
            if bytes.is_empty() || bytes.iter().fold(0, |all, byte| all | byte) != 0 {
                return Ok(bytes.is_empty());
            }
            offset += bytes.len() as u64;
        }
        Ok(true)
    }
}

/// Calls `f` with the records of the given segments in order that end behind `from`. Returns where the log ends. `until`:
/// an offset of the last segment at which it is known to end.
pub(crate) fn read(
    disk: &dyn Disk,
    segments: &[u64],
    (from, until): (Lsn, Option<u64>),
    f: &mut dyn FnMut(Lsn, Record<'_>) -> Result<()>,
) -> Result<Extent> {
    let mut extent = Extent::default();
    let mut lsn = None;
    let mut piece = Vec::new();
    for (i, &number) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        let mut segment = Segment::open(disk, number, piece)?;
        let start = record::read_segment_header(segment.bytes(0, SEGMENT_HEADER as u64)?)?;
        let Some(start) = start else {
            if last {
                // The machine stopped while this segment was made; nothing was in it.
                extent.torn = true;
                extent.segments.push(number);
                break;
            }
            return Err(record::corrupt(&format!("\"{}\" has no header", segment.path)));
        };
        if lsn.is_some_and(|lsn| lsn != start) {
            return Err(record::corrupt(&format!(
                "records before \"{}\" are missing",
                segment.path
            )));
        }
        let until = until.filter(|_| last);
        let (end, len, torn) = read_segment(&mut segment, (start, from), until, f)?;
        if torn && !last {
            return Err(record::corrupt(&format!("\"{}\" has a damaged record", segment.path)));
        }
        extent.segments.push(number);
        extent.end = end;
        extent.last_len = len;
        extent.torn = torn;
        lsn = Some(end);
        piece = segment.piece;
        piece.clear();
    }
    Ok(extent)
}

/// The end of one segment's records: LSN, offset, and whether something unreadable follows.
fn read_segment(
    segment: &mut Segment,
    (start, from): (Lsn, Lsn),
    until: Option<u64>,
    f: &mut dyn FnMut(Lsn, Record<'_>) -> Result<()>,
) -> Result<(Lsn, u64, bool)> {
    let mut lsn = start;
    let mut offset = SEGMENT_HEADER as u64;
    while Some(offset) != until {
        let (len, crc) = match header(segment.bytes(offset, RECORD_HEADER as u64)?) {
            Some((len, crc)) if len > 0 => (len, crc),
            _ => return Ok((lsn, offset, !segment.is_clear_from(offset)?)),
        };
        let whole = (RECORD_HEADER + len) as u64;
        let body = segment.bytes(offset, whole)?.get(RECORD_HEADER..).unwrap_or_default();
        if body.len() < len || crc32fast::hash(body) != crc {
            return Ok((lsn, offset, true));
        }
        lsn += whole;
        offset += whole;
        if lsn > from {
            f(lsn, record::decode(body)?)?;
        }
    }
    Ok((lsn, offset, false))
}

fn header(bytes: &[u8]) -> Option<(usize, u32)> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*len) as usize, u32::from_le_bytes(*crc)))
}
