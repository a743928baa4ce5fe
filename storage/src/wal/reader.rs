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
fn start_of(disk: &dyn Disk, number: u64) -> Result<Option<Lsn>> {
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

/// Calls `f` with the records of the given segments in order that end behind `from`. Returns where the log ends.
pub(crate) fn read(
    disk: &dyn Disk,
    segments: &[u64],
    from: Lsn,
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
        let (end, len, torn) = read_segment(&bytes, (start, from), f)?;
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
    (start, from): (Lsn, Lsn),
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
        if lsn > from {
            f(lsn, record::decode(body)?)?;
        }
        rest = rest.get(whole..).unwrap_or_default();
    }
}

fn header(bytes: &[u8]) -> Option<(usize, u32)> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*len) as usize, u32::from_le_bytes(*crc)))
}
