//! The manifest: what there is to recover from.
//!
//! ```text
//!  "VICCKP"  version:u16  crc of what follows:u32
//!  number:u64  cut:u64  replay:u64  next xid:u64  next oid:u32  next storage:u64
//!  varint sequences, per sequence: varint oid, last value:i64, is called:u8
//!  varint parts, per part: varint storage, varint part, varint checkpoint, varint bytes, varint rows
//!  varint indexes, per index: varint oid, varint storage, varint checkpoint, varint bytes, varint exact entries
//!  catalog changes, as in a commit record, to what a new database begins with
//! ```

use vicinity_types::{Oid, PgError, Result, SqlState};

use super::DIR;
use crate::catalog::Catalog;
use crate::disk::{Disk, read_all, replace};
use crate::mvcc::Xid;
use crate::sequence::SequenceState;
use crate::txn::log::{put_varint, take_varint};
use crate::wal::Lsn;
use crate::wal::reader::io_error;
use crate::wal::record::{decode_changes, take};

const NAME: &str = "CHECKPOINT";
const MAGIC: &[u8; 8] = b"VICCKP\x02\x00";
/// What had no number of exact entries; it is read.
const BEFORE: &[u8; 8] = b"VICCKP\x01\x00";
/// Bytes before what the crc is of.
const HEADER: usize = 12;

/// Says how the directory is to be read; see [`announce`].
const FORMAT: &str = "FORMAT";
/// The log is all there is.
pub(crate) const LOG_ONLY: &[u8] = b"vicinity 1\n";
/// There may be a manifest.
pub(crate) const CHECKPOINTED: &[u8] = b"vicinity 2\n";
/// There may be prepared transactions too.
pub(crate) const PREPARED: &[u8] = b"vicinity 3\n";

/// A file of the rows of one part of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) storage: u64,
    pub(crate) part: u64,
    /// The checkpoint that wrote it.
    pub(crate) file: u64,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
}

impl Part {
    pub(crate) fn name(&self) -> String {
        format!("{}-{}-{}.rows", self.file, self.storage, self.part)
    }

    pub(crate) fn path(&self) -> String {
        format!("{DIR}/{}", self.name())
    }
}

/// A file of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexFile {
    pub(crate) index: Oid,
    pub(crate) storage: u64,
    /// The checkpoint that wrote it.
    pub(crate) file: u64,
    pub(crate) bytes: u64,
    /// How many entries it has, if they are those of the rows in the manifest's files, each once; 0: nothing is known.
    pub(crate) exact: u64,
}

impl IndexFile {
    pub(crate) fn name(&self) -> String {
        format!("{}-{}-{}.index", self.file, self.storage, self.index)
    }

    pub(crate) fn path(&self) -> String {
        format!("{DIR}/{}", self.name())
    }
}

/// Where a sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SequenceImage {
    pub(crate) oid: Oid,
    pub(crate) state: SequenceState,
}

/// What a checkpoint says of the database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manifest {
    /// 0: there is none.
    pub(crate) number: u64,
    /// Commits whose record ends here or before are in the image.
    pub(crate) cut: Lsn,
    /// The log is read from here.
    pub(crate) replay: Lsn,
    pub(crate) next_xid: Xid,
    pub(crate) next_oid: Oid,
    pub(crate) next_storage: u64,
    pub(crate) sequences: Vec<SequenceImage>,
    pub(crate) parts: Vec<Part>,
    pub(crate) indexes: Vec<IndexFile>,
    /// [`Catalog::image`].
    pub(crate) catalog: Vec<u8>,
}

fn damaged(what: &str) -> PgError {
    PgError::new(SqlState::DATA_CORRUPTED, format!("the checkpoint is damaged: {what}"))
}

fn take_oid(rest: &mut &[u8]) -> Result<Oid> {
    Oid::try_from(take_varint(rest)?).map_err(|_| damaged("an object id is out of range"))
}

/// Makes sure that a server that knows no checkpoints, or no prepared transactions, does not take what it knows for all
/// there is.
pub(crate) fn announce(disk: &dyn Disk, format: &[u8]) -> Result<()> {
    let io = |e: std::io::Error| io_error("mark the data directory", &e);
    // They are in order.
    if read_all(disk, FORMAT).map_err(io)?.as_slice() >= format {
        return Ok(());
    }
    replace(disk, ".", FORMAT, format).map_err(io)
}

impl Manifest {
    /// Replaces the one before.
    pub(super) fn write(&self, disk: &dyn Disk) -> Result<()> {
        let mut body = self.encode();
        let crc = crc32fast::hash(body.get(HEADER..).unwrap_or_default()).to_le_bytes();
        if let Some(place) = body.get_mut(MAGIC.len()..HEADER) {
            place.copy_from_slice(&crc);
        }
        replace(disk, ".", NAME, &body).map_err(|e| io_error("write the checkpoint's manifest", &e))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.resize(HEADER, 0);
        for n in [self.number, self.cut, self.replay, self.next_xid] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out.extend_from_slice(&self.next_oid.to_le_bytes());
        out.extend_from_slice(&self.next_storage.to_le_bytes());
        put_varint(&mut out, self.sequences.len() as u64);
        for s in &self.sequences {
            put_varint(&mut out, u64::from(s.oid));
            out.extend_from_slice(&s.state.last.to_le_bytes());
            out.push(u8::from(s.state.called));
        }
        put_varint(&mut out, self.parts.len() as u64);
        for p in &self.parts {
            for n in [p.storage, p.part, p.file, p.bytes, p.rows] {
                put_varint(&mut out, n);
            }
        }
        put_varint(&mut out, self.indexes.len() as u64);
        for i in &self.indexes {
            for n in [u64::from(i.index), i.storage, i.file, i.bytes, i.exact] {
                put_varint(&mut out, n);
            }
        }
        out.extend_from_slice(&self.catalog);
        out
    }

    /// The one there is; of a directory without, an empty one.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Manifest> {
        let bytes = match read_all(disk, NAME) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Manifest::default()),
            Err(e) => return Err(io_error("read the checkpoint's manifest", &e)),
        };
        let mut rest: &[u8] = &bytes;
        let magic = take::<8>(&mut rest).map_err(|_| damaged("it is cut off"))?;
        if magic.first_chunk::<6>() != MAGIC.first_chunk::<6>() {
            return Err(damaged("it is none"));
        }
        if magic != *MAGIC && magic != *BEFORE {
            let [.., low, high] = magic;
            let version = u16::from_le_bytes([low, high]);
            return Err(damaged(&format!("its version is {version}, this server reads 1 and 2")));
        }
        let crc = take(&mut rest).map_err(|_| damaged("it is cut off"))?;
        if u32::from_le_bytes(crc) != crc32fast::hash(rest) {
            return Err(damaged("its checksum is wrong"));
        }
        Manifest::decode(rest, magic == *MAGIC)
    }

    fn decode(mut rest: &[u8], with_exact: bool) -> Result<Manifest> {
        let rest = &mut rest;
        let mut manifest = Manifest {
            number: u64::from_le_bytes(take(rest)?),
            cut: u64::from_le_bytes(take(rest)?),
            replay: u64::from_le_bytes(take(rest)?),
            next_xid: u64::from_le_bytes(take(rest)?),
            next_oid: u32::from_le_bytes(take(rest)?),
            next_storage: u64::from_le_bytes(take(rest)?),
            ..Manifest::default()
        };
        for _ in 0..take_varint(rest)? {
            let oid = take_oid(rest)?;
            let last = i64::from_le_bytes(take(rest)?);
            let called = take::<1>(rest)? != [0];
            let state = SequenceState { last, called };
            manifest.sequences.push(SequenceImage { oid, state });
        }
        for _ in 0..take_varint(rest)? {
            let [mut storage, mut part, mut file, mut bytes, mut rows] = [0; 5];
            for n in [&mut storage, &mut part, &mut file, &mut bytes, &mut rows] {
                *n = take_varint(rest)?;
            }
            manifest.parts.push(Part { storage, part, file, bytes, rows });
        }
        for _ in 0..take_varint(rest)? {
            let index = take_oid(rest)?;
            let [mut storage, mut file, mut bytes] = [0; 3];
            for n in [&mut storage, &mut file, &mut bytes] {
                *n = take_varint(rest)?;
            }
            let exact = if with_exact { take_varint(rest)? } else { 0 };
            manifest.indexes.push(IndexFile { index, storage, file, bytes, exact });
        }
        manifest.catalog = rest.to_vec();
        Ok(manifest)
    }

    /// The catalog it is of.
    pub(crate) fn catalog(&self) -> Result<Catalog> {
        Ok(Catalog::from_image(decode_changes(&self.catalog)?))
    }
}
