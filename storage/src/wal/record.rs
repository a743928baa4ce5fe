//! The byte format of the WAL.
//!
//! ```text
//!  segment:  "VICWAL" version:u16  start lsn:u64  crc of these 16 bytes:u32  0:u32   records ...
//!  record:   length of body:u32  crc of body:u32  body
//!  body:     kind:u8  xid:u64  payload
//!
//!  kind      payload
//!  chunk     stream position:u64, operations (see txn/log.rs)
//!  commit    stream position:u64, length of operations:u32, operations, catalog changes
//!  void      from:u64, to:u64        this part of the transaction's stream was rolled back
//!  sequence  oid:u32, last:i64, called:u8
//! ```
//!
//! Numbers are little-endian. A length of zero ends a segment's records (segments are extended with
//! zeros ahead of time). An LSN counts the bytes of all records from the beginning, headers of
//! segments not included.

use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::catalog::change::LoggedChange;
use crate::mvcc::Xid;
use crate::sequence::SequenceState;

/// Format version of segments and records.
pub(crate) const VERSION: u16 = 1;
const MAGIC: &[u8; 6] = b"VICWAL";
/// Bytes before the first record of a segment.
pub(crate) const SEGMENT_HEADER: usize = 24;
/// Bytes before a record's body.
pub(crate) const RECORD_HEADER: usize = 8;
/// Version of the serialised catalog changes.
const CHANGES_VERSION: u8 = 5;

const KIND_CHUNK: u8 = 1;
const KIND_COMMIT: u8 = 2;
const KIND_VOID: u8 = 3;
const KIND_SEQUENCE: u8 = 4;

/// One record, read back.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    Chunk { xid: Xid, base: u64, ops: &'a [u8] },
    Commit { xid: Xid, base: u64, ops: &'a [u8], changes: &'a [u8] },
    Void { xid: Xid, from: u64, to: u64 },
    Sequence { oid: Oid, state: SequenceState },
}

pub(crate) fn corrupt(what: &str) -> PgError {
    PgError::new(SqlState::DATA_CORRUPTED, format!("WAL is damaged: {what}"))
}

/// A record of `kind` with its header, crc included.
fn framed(kind: u8, xid: Xid, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = 9 + parts.iter().map(|p| p.len()).sum::<usize>();
    let mut out = Vec::with_capacity(RECORD_HEADER + len);
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(kind);
    out.extend_from_slice(&xid.to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    let crc = crc32fast::hash(out.get(RECORD_HEADER..).unwrap_or_default());
    if let Some(place) = out.get_mut(4..8) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
    out
}

pub(crate) fn chunk(xid: Xid, base: u64, ops: &[u8]) -> Vec<u8> {
    framed(KIND_CHUNK, xid, &[&base.to_le_bytes(), ops])
}

pub(crate) fn commit(xid: Xid, base: u64, ops: &[u8], changes: &[u8]) -> Vec<u8> {
    let len = (ops.len() as u32).to_le_bytes();
    framed(KIND_COMMIT, xid, &[&base.to_le_bytes(), &len, ops, changes])
}

pub(crate) fn void(xid: Xid, from: u64, to: u64) -> Vec<u8> {
    framed(KIND_VOID, xid, &[&from.to_le_bytes(), &to.to_le_bytes()])
}

pub(crate) fn sequence(oid: Oid, state: SequenceState) -> Vec<u8> {
    let parts: [&[u8]; 3] =
        [&oid.to_le_bytes(), &state.last.to_le_bytes(), &[u8::from(state.called)]];
    framed(KIND_SEQUENCE, 0, &parts)
}

/// Takes a fixed number of bytes off the front.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or_else(|| corrupt("short record"))?;
    *bytes = rest;
    Ok(*head)
}

/// Reads a body whose crc was right.
pub(crate) fn decode(mut body: &[u8]) -> Result<Record<'_>> {
    let [kind] = take::<1>(&mut body)?;
    let xid = u64::from_le_bytes(take(&mut body)?);
    Ok(match kind {
        KIND_CHUNK => Record::Chunk { xid, base: u64::from_le_bytes(take(&mut body)?), ops: body },
        KIND_COMMIT => {
            let base = u64::from_le_bytes(take(&mut body)?);
            let len = u32::from_le_bytes(take(&mut body)?) as usize;
            let (ops, changes) =
                body.split_at_checked(len).ok_or_else(|| corrupt("short commit record"))?;
            Record::Commit { xid, base, ops, changes }
        }
        KIND_VOID => Record::Void {
            xid,
            from: u64::from_le_bytes(take(&mut body)?),
            to: u64::from_le_bytes(take(&mut body)?),
        },
        KIND_SEQUENCE => Record::Sequence {
            oid: u32::from_le_bytes(take(&mut body)?),
            state: SequenceState {
                last: i64::from_le_bytes(take(&mut body)?),
                called: take::<1>(&mut body)? != [0],
            },
        },
        _ => return Err(corrupt(&format!("record of unknown kind {kind}"))),
    })
}

pub(crate) fn segment_header(start: u64) -> [u8; SEGMENT_HEADER] {
    let mut out = [0; SEGMENT_HEADER];
    let (head, tail) = out.split_at_mut(16);
    let fields = MAGIC.iter().copied().chain(VERSION.to_le_bytes()).chain(start.to_le_bytes());
    for (place, byte) in head.iter_mut().zip(fields) {
        *place = byte;
    }
    let crc = crc32fast::hash(head).to_le_bytes();
    for (place, byte) in tail.iter_mut().zip(crc) {
        *place = byte;
    }
    out
}

/// The LSN a segment begins with; `None` if its header was never written whole.
pub(crate) fn read_segment_header(bytes: &[u8]) -> Result<Option<u64>> {
    let Some((head, rest)) = bytes.split_first_chunk::<16>() else { return Ok(None) };
    let Some((crc, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    if crc32fast::hash(head) != u32::from_le_bytes(*crc) {
        return Ok(None);
    }
    let mut rest: &[u8] = head;
    if &take::<6>(&mut rest)? != MAGIC {
        return Err(corrupt("not a WAL segment"));
    }
    let version = u16::from_le_bytes(take(&mut rest)?);
    if version != VERSION {
        return Err(corrupt(&format!("segment version {version}, this server reads {VERSION}")));
    }
    Ok(Some(u64::from_le_bytes(take(&mut rest)?)))
}

/// Catalog changes with their version in front.
pub(crate) fn encode_changes(changes: &[LoggedChange]) -> Result<Vec<u8>> {
    postcard::to_extend(changes, vec![CHANGES_VERSION])
        .map_err(|e| PgError::internal(format!("cannot write catalog changes: {e}")))
}

pub(crate) fn decode_changes(bytes: &[u8]) -> Result<Vec<LoggedChange>> {
    let Some((&version, rest)) = bytes.split_first() else { return Ok(Vec::new()) };
    if version != CHANGES_VERSION {
        return Err(corrupt(&format!("catalog changes of version {version}")));
    }
    postcard::from_bytes(rest).map_err(|e| corrupt(&format!("catalog changes: {e}")))
}
