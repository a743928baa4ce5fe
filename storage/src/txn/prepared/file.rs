//! The file of a prepared transaction.
//!
//! ```text
//!  "VICPRE"  version:u16  crc of what follows:u32
//!  xid:u64  position:u64  prepared at:i64  owner:u32  isolation:u8
//!  varint length, name     varint length, what the room above adds
//!  varint locks on relations, per lock: varint oid, mode:u8
//!  varint locks on rows, per lock: varint storage, varint row, mode:u8
//!  watched:u8, if it is 1: varint tables read, per table varint oid; varint tables written, per table varint oid
//!  varint storages, per storage: varint id, varint inserted, varint updated, varint deleted
//!  varint length, catalog changes as in a commit record
//!  operations as in a commit record, to the end; and
//!    leave  5, varint row                deleted here, inserted into another partition
//! ```
//!
//! The operations are what the transaction's writes have come to. `position` is where its stream in the log goes on:
//! what it had sent before is void.

use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::Isolation;
use super::super::locks::LockMode;
use super::super::log::{put_varint, take_varint};
use super::super::relation_lock::RelationLock;
use crate::disk::{Disk, read_all, replace};
use crate::mvcc::{RowId, Xid};
use crate::wal::reader::io_error;
use crate::wal::record::take;

/// The directory of the files; each has its transaction's id for a name.
pub(crate) const DIR: &str = "prepared";
const MAGIC: &[u8; 8] = b"VICPRE\x01\x00";
/// Bytes before what the crc is of.
const HEADER: usize = 12;

/// What was done to the rows of a storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) storage: u64,
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
}

/// What a transaction at SERIALIZABLE has read and written: tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) reads: Vec<Oid>,
    pub(crate) wrote: Vec<Oid>,
}

/// A prepared transaction as its file has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Image {
    pub(crate) xid: Xid,
    pub(crate) position: u64,
    pub(crate) at: i64,
    pub(crate) owner: Oid,
    pub(crate) isolation: Isolation,
    pub(crate) name: String,
    pub(crate) extra: Vec<u8>,
    pub(crate) relations: Vec<(Oid, RelationLock)>,
    pub(crate) rows: Vec<(u64, RowId, LockMode)>,
    pub(crate) watched: Option<Watched>,
    pub(crate) stores: Vec<Counts>,
    pub(crate) changes: Vec<u8>,
    pub(crate) ops: Vec<u8>,
}

fn path(xid: Xid) -> String {
    format!("{DIR}/{xid}")
}

fn damaged(what: &str) -> PgError {
    PgError::new(
        SqlState::DATA_CORRUPTED,
        format!("the file of a prepared transaction is damaged: {what}"),
    )
}

fn take_oid(rest: &mut &[u8]) -> Result<Oid> {
    Oid::try_from(take_varint(rest)?).map_err(|_| damaged("an object id is out of range"))
}

fn take_bytes(rest: &mut &[u8]) -> Result<Vec<u8>> {
    let len = usize::try_from(take_varint(rest)?).map_err(|_| damaged("a length is too long"))?;
    let (bytes, after) = rest.split_at_checked(len).ok_or_else(|| damaged("it is cut off"))?;
    *rest = after;
    Ok(bytes.to_vec())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_oids(out: &mut Vec<u8>, oids: &[Oid]) {
    put_varint(out, oids.len() as u64);
    oids.iter().for_each(|oid| put_varint(out, u64::from(*oid)));
}

fn take_list<T>(rest: &mut &[u8], one: impl Fn(&mut &[u8]) -> Result<T>) -> Result<Vec<T>> {
    // Every item takes a byte or more: a wrong number ends with the bytes.
    (0..take_varint(rest)?).map(|_| one(rest)).collect()
}

const LEVELS: [Isolation; 3] =
    [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];
const ROW_LOCKS: [LockMode; 4] =
    [LockMode::KeyShare, LockMode::Shared, LockMode::NoKeyExclusive, LockMode::Exclusive];

/// A value's place in a list of all there are.
fn number<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|have| have == one).unwrap_or(0) as u8
}

fn of_number<T: Copy>(all: &[T], number: u8, what: &str) -> Result<T> {
    all.get(usize::from(number)).copied().ok_or_else(|| damaged(what))
}

impl Image {
    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.resize(HEADER, 0);
        out.extend_from_slice(&self.xid.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(&self.owner.to_le_bytes());
        out.push(number(&LEVELS, &self.isolation));
        put_bytes(&mut out, self.name.as_bytes());
        put_bytes(&mut out, &self.extra);
        put_varint(&mut out, self.relations.len() as u64);
        for (relation, mode) in &self.relations {
            put_varint(&mut out, u64::from(*relation));
            out.push(*mode as u8);
        }
        put_varint(&mut out, self.rows.len() as u64);
        for (storage, row, mode) in &self.rows {
            put_varint(&mut out, *storage);
            put_varint(&mut out, *row);
            out.push(number(&ROW_LOCKS, mode));
        }
        out.push(u8::from(self.watched.is_some()));
        if let Some(watched) = &self.watched {
            put_oids(&mut out, &watched.reads);
            put_oids(&mut out, &watched.wrote);
        }
        put_varint(&mut out, self.stores.len() as u64);
        for s in &self.stores {
            for n in [s.storage, s.inserted, s.updated, s.deleted] {
                put_varint(&mut out, n);
            }
        }
        put_bytes(&mut out, &self.changes);
        out.extend_from_slice(&self.ops);
        let crc = crc32fast::hash(out.get(HEADER..).unwrap_or_default()).to_le_bytes();
        if let Some(place) = out.get_mut(MAGIC.len()..HEADER) {
            place.copy_from_slice(&crc);
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Image> {
        let mut rest = bytes;
        let magic = take::<8>(&mut rest).map_err(|_| damaged("it is cut off"))?;
        if magic != *MAGIC {
            return Err(damaged("it is none, or of another version"));
        }
        let crc = take(&mut rest).map_err(|_| damaged("it is cut off"))?;
        if u32::from_le_bytes(crc) != crc32fast::hash(rest) {
            return Err(damaged("its checksum is wrong"));
        }
        let rest = &mut rest;
        let byte = |rest: &mut &[u8]| take::<1>(rest).map(|[byte]| byte);
        Ok(Image {
            xid: u64::from_le_bytes(take(rest)?),
            position: u64::from_le_bytes(take(rest)?),
            at: i64::from_le_bytes(take(rest)?),
            owner: u32::from_le_bytes(take(rest)?),
            isolation: of_number(&LEVELS, byte(rest)?, "its isolation level is unknown")?,
            name: String::from_utf8(take_bytes(rest)?)
                .map_err(|_| damaged("its name is no text"))?,
            extra: take_bytes(rest)?,
            relations: take_list(rest, |rest| {
                let relation = take_oid(rest)?;
                let mode = RelationLock::of(byte(rest)?);
                Ok((relation, mode.ok_or_else(|| damaged("the mode of a lock is unknown"))?))
            })?,
            rows: take_list(rest, |rest| {
                let (storage, row) = (take_varint(rest)?, take_varint(rest)?);
                let mode = of_number(&ROW_LOCKS, byte(rest)?, "the mode of a lock is unknown")?;
                Ok((storage, row, mode))
            })?,
            watched: match byte(rest)? {
                0 => None,
                _ => Some(Watched {
                    reads: take_list(rest, take_oid)?,
                    wrote: take_list(rest, take_oid)?,
                }),
            },
            stores: take_list(rest, |rest| {
                let [mut storage, mut inserted, mut updated, mut deleted] = [0; 4];
                for n in [&mut storage, &mut inserted, &mut updated, &mut deleted] {
                    *n = take_varint(rest)?;
                }
                Ok(Counts { storage, inserted, updated, deleted })
            })?,
            changes: take_bytes(rest)?,
            ops: rest.to_vec(),
        })
    }

    /// Writes the file. It lasts, or there is none: `Err(true)` says that this is not known.
    pub(super) fn write(&self, disk: &dyn Disk) -> Result<(), (PgError, bool)> {
        self.rewrite(disk).map_err(|e| {
            let gone = remove(disk, &path(self.xid)).and_then(|()| disk.sync_dir(DIR));
            (e, gone.is_err())
        })
    }

    /// Writes the file over the one that is there. On error it is the one or the other.
    pub(super) fn rewrite(&self, disk: &dyn Disk) -> Result<()> {
        let path = path(self.xid);
        replace(disk, DIR, &path, &self.encode()).map_err(|e| {
            // The next start removes what is left of it.
            let _ = remove(disk, &format!("{path}.new"));
            io_error("write the file of a prepared transaction", &e)
        })
    }
}

/// Removes a file if it is there.
fn remove(disk: &dyn Disk, path: &str) -> std::io::Result<()> {
    match disk.remove(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes a transaction's file; it is gone for good when the directory was synced.
pub(crate) fn remove_of(disk: &dyn Disk, xid: Xid) -> Result<()> {
    let failed = |e: std::io::Error| io_error("remove the file of a prepared transaction", &e);
    remove(disk, &path(xid)).map_err(failed)
}

/// Makes removals last.
pub(crate) fn sync(disk: &dyn Disk) -> Result<()> {
    disk.sync_dir(DIR).map_err(|e| io_error("sync the directory of prepared transactions", &e))
}

/// All the files there are, in the order of their transactions. What was being written is removed.
pub(crate) fn read(disk: &dyn Disk) -> Result<Vec<Image>> {
    let failed = |e: std::io::Error| io_error("read the files of prepared transactions", &e);
    let mut all = Vec::new();
    for name in disk.list(DIR).map_err(failed)? {
        let path = format!("{DIR}/{name}");
        let Ok(xid) = name.parse::<Xid>() else {
            disk.remove(&path).map_err(failed)?;
            continue;
        };
        let image = Image::decode(&read_all(disk, &path).map_err(failed)?)?;
        if image.xid != xid {
            return Err(damaged("it is another transaction's"));
        }
        all.push(image);
    }
    all.sort_unstable_by_key(|image| image.xid);
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn image() -> Image {
        Image {
            xid: 77,
            position: 5,
            at: -3,
            owner: 10,
            isolation: Isolation::Serializable,
            name: "gid".to_owned(),
            extra: vec![1, 2],
            relations: vec![(16384, RelationLock::AccessExclusive), (3, RelationLock::AccessShare)],
            rows: vec![(9, 1 << 40, LockMode::NoKeyExclusive)],
            watched: Some(Watched { reads: vec![1], wrote: vec![2, 3] }),
            stores: vec![Counts { storage: 9, inserted: 300, updated: 0, deleted: 1 }],
            changes: vec![5, 6],
            ops: vec![4, 1],
        }
    }

    #[test]
    fn a_file_reads_back() {
        assert_eq!(Image::decode(&image().encode()).unwrap(), image());
        let plain = Image { watched: None, ops: Vec::new(), ..image() };
        assert_eq!(Image::decode(&plain.encode()).unwrap(), plain);
    }

    #[test]
    fn damage_is_found() {
        let whole = image().encode();
        for cut in 0..whole.len() {
            assert!(Image::decode(&whole[..cut]).is_err());
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert!(Image::decode(&bytes).is_err());
        }
    }
}
