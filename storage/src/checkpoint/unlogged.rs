//! The rows of unlogged tables, which only a clean stop keeps.

use vicinity_types::Result;

use crate::catalog::model::Persistence;
use crate::database::Database;
use crate::disk::{Disk, read_all, replace};
use crate::mvcc::rows::Rows;
use crate::mvcc::{RowId, pin};
use crate::recovery::{State, put_row};
use crate::txn::log::{put_varint, take_varint};
use crate::wal::reader::io_error;
use crate::wal::record;

const UNLOGGED: &str = "unlogged";
const UNLOGGED_MAGIC: &[u8; 8] = b"VICUNL\x01\x00";

/// At a clean stop: the rows of unlogged tables, in one file that the next start takes and removes.
///
/// ```text
///  magic and version: 8 bytes   lsn: u64   crc of the rest: u32
///  per storage: varint id, varint rows, per row: varint row id, varint length, tuple
/// ```
pub(crate) fn keep_unlogged(db: &Database) -> Result<()> {
    let mut body = Vec::new();
    let guard = pin();
    for store in db.stores().iter().filter(|s| s.persistence == Persistence::Unlogged) {
        let snapshot = crate::mvcc::Snapshot::unwatched(db.core.clock.now(), 0, 0, 0);
        let shown = |row: RowId| {
            let head = store.rows.head(row, &guard).transpose()?;
            let head = head.map(|head| snapshot.visible(Some(head), &db.core.clock, &guard));
            head.map(|v| v.map(|v| (row, v))).transpose()
        };
        let rows: Vec<_> = (0..store.rows.end()).filter_map(shown).collect::<Result<_>>()?;
        put_varint(&mut body, store.id);
        put_varint(&mut body, rows.len() as u64);
        for (row, v) in rows {
            put_varint(&mut body, row);
            put_varint(&mut body, v.bytes().len() as u64);
            body.extend_from_slice(v.bytes());
        }
    }
    if body.is_empty() {
        return Ok(());
    }
    let mut file = UNLOGGED_MAGIC.to_vec();
    file.extend_from_slice(&db.wal.end().to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    file.extend_from_slice(&body);
    replace(db.disk.as_ref(), ".", UNLOGGED, &file)
        .map_err(|e| io_error("keep unlogged tables", &e))
}

/// Takes the rows of unlogged tables over, if the last stop was clean; whether it was.
pub(crate) fn restore_unlogged(disk: &dyn Disk, lsn: u64, state: &mut State) -> Result<bool> {
    let bytes = match read_all(disk, UNLOGGED) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(io_error("read unlogged tables", &e)),
    };
    let io = |e: std::io::Error| io_error("remove the file of unlogged tables", &e);
    disk.remove(UNLOGGED).map_err(io)?;
    disk.sync_dir(".").map_err(io)?;
    let mut rest: &[u8] = &bytes;
    if record::take::<8>(&mut rest)? != *UNLOGGED_MAGIC {
        return Err(record::corrupt("the file of unlogged tables has an unknown version"));
    }
    let at = u64::from_le_bytes(record::take(&mut rest)?);
    let crc = u32::from_le_bytes(record::take(&mut rest)?);
    if at != lsn || crc != crc32fast::hash(rest) {
        tracing::warn!("the file of unlogged tables does not fit the log; they start empty");
        return Ok(false);
    }
    let guard = pin();
    while !rest.is_empty() {
        let id = take_varint(&mut rest)?;
        let cold = &state.cold;
        let rows = state.rows.entry(id).or_insert_with(|| Rows::new(cold.clone()));
        for _ in 0..take_varint(&mut rest)? {
            let row = take_varint(&mut rest)?;
            let len = usize::try_from(take_varint(&mut rest)?).unwrap_or(usize::MAX);
            let (tuple, after) =
                rest.split_at_checked(len).ok_or_else(|| record::corrupt("short row"))?;
            put_row(rows, row, Some(tuple), &guard)?;
            rows.relieve(id);
            rest = after;
        }
    }
    Ok(true)
}
