//! Reading the log back, segment by segment, up to its last whole record.

use vicinity_types::{PgError, Result, SqlState};

use super::record::{self, RECORD_HEADER, Record, SEGMENT_HEADER};
use super::{DIR, Lsn, segment_path};
use crate::disk::{Disk, read_all};

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
    let code = match e.kind() {
        std::io::ErrorKind::StorageFull => SqlState::DISK_FULL,
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

/// Calls `f` with every record of the given segments in order. Returns where the log ends.
pub(crate) fn read(
    disk: &dyn Disk,
    segments: &[u64],
    f: &mut dyn FnMut(Lsn, Record<'_>) -> Result<()>,
) -> Result<Extent> {
    let mut extent = Extent::default();
    let mut lsn = None;
    for (i, &number) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        let path = segment_path(number);
        let bytes = read_all(disk, &path).map_err(|e| io_error(&format!("read \"{path}\""), &e))?;
        let Some(start) = record::read_segment_header(&bytes)? else {
            if last {
                // The machine stopped while this segment was made; nothing was in it.
                extent.torn = true;
                extent.segments.push(number);
                break;
            }
            return Err(record::corrupt(&format!("\"{path}\" has no header")));
        };
        if lsn.is_some_and(|lsn| lsn != start) {
            return Err(record::corrupt(&format!("records before \"{path}\" are missing")));
        }
        let (end, len, torn) = read_segment(&bytes, start, f)?;
        if torn && !last {
            return Err(record::corrupt(&format!("\"{path}\" has a damaged record")));
        }
        extent.segments.push(number);
        extent.end = end;
        extent.last_len = len;
        extent.torn = torn;
        lsn = Some(end);
    }
    Ok(extent)
}

/// The end of one segment's records: LSN, offset, and whether something unreadable follows.
fn read_segment(
    bytes: &[u8],
    start: Lsn,
    f: &mut dyn FnMut(Lsn, Record<'_>) -> Result<()>,
) -> Result<(Lsn, u64, bool)> {
    let mut rest = bytes.get(SEGMENT_HEADER..).unwrap_or_default();
    let mut lsn = start;
    let mut offset = SEGMENT_HEADER as u64;
    loop {
        let Some((len, crc)) = header(rest) else {
            return Ok((lsn, offset, rest.iter().any(|b| *b != 0)));
        };
        if len == 0 {
            return Ok((lsn, offset, rest.iter().any(|b| *b != 0)));
        }
        let body = rest.get(RECORD_HEADER..).and_then(|r| r.get(..len));
        let Some(body) = body.filter(|b| crc32fast::hash(b) == crc) else {
            return Ok((lsn, offset, true));
        };
        let whole = RECORD_HEADER + len;
        lsn += whole as u64;
        offset += whole as u64;
        f(lsn, record::decode(body)?)?;
        rest = rest.get(whole..).unwrap_or_default();
    }
}

fn header(bytes: &[u8]) -> Option<(usize, u32)> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*len) as usize, u32::from_le_bytes(*crc)))
}
