//! The rows of a part of a storage, in a file.
//!
//! ```text
//!  "VICROW"  version:u16  storage:u64  part:u64  checkpoint:u64  crc of the 32 bytes before:u32  0:u32
//!  blocks:   length of body:u32  crc of body:u32  body
//!  body:     per row: varint row id less that of the row before (in the first one, of the part), varint length, tuple
//! ```
//!
//! **Which parts are written.** The file of a part is of a timestamp: that of the snapshot it was written by, or 0 if
//! recovery read it (what that read from files has timestamp 0, and what it replayed has 1). At a later snapshot, if
//! every row visible has a version that is no younger than the file, and there are as many as in the file, they are the
//! same: each was visible to the file's snapshot too, as the newest version of its row not younger than the file; so
//! the rows of now are among those of the file, and as many.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use vicinity_types::{PgError, Result};

use super::PART;
use super::blocks::{self, Reader, Syncs, Writer};
use super::manifest::Part;
use crate::disk::Disk;
use crate::mvcc::clock::{Clock, Stamp};
use crate::mvcc::rows::Rows;
use crate::mvcc::version::NewVersion;
use crate::mvcc::{RowId, Snapshot, pin, rest_at};
use crate::store::Store;
use crate::txn::log::{put_varint, take_varint};
use crate::wal::reader::io_error;

const MAGIC: &[u8; 8] = b"VICROW\x01\x00";
const HEADER: usize = 40;

/// The timestamp of what is read from a file.
const READ: u64 = 0;

/// A file, and what it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub(super) file: Part,
    pub(super) ts: u64,
}

/// What a part looks like now.
pub(super) struct Survey {
    pub(super) rows: u64,
    youngest: u64,
}

impl Image {
    pub(super) fn is_of(&self, now: &Survey) -> bool {
        now.rows == self.file.rows && now.youngest <= self.ts
    }
}

/// The files of a storage, by part; parts without rows have none.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts(BTreeMap<u64, Image>);

impl Parts {
    /// A file that recovery reads.
    pub(super) fn recovered(&mut self, file: Part) {
        self.push(Image { file, ts: READ });
    }

    pub(super) fn push(&mut self, image: Image) {
        self.0.insert(image.file.part, image);
    }

    pub(super) fn get(&self, part: u64) -> Option<&Image> {
        self.0.get(&part)
    }

    /// Rows in them.
    pub(super) fn rows(&self) -> u64 {
        self.files().map(|file| file.rows).sum()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = Part> {
        self.0.values().map(|image| image.file)
    }
}

/// Where rows are written from.
pub(super) struct Source<'a> {
    pub(super) store: &'a Store,
    pub(super) snapshot: Snapshot,
    pub(super) clock: &'a Clock,
}

impl Source<'_> {
    /// Every row of a part that the snapshot sees, with the timestamp of its version.
    fn each_row(
        &self,
        part: u64,
        f: &mut dyn FnMut(RowId, u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let rows = &self.store.rows;
        let mut guard = pin();
        for row in part * PART..((part + 1) * PART).min(rows.end()) {
            rest_at(row, &mut guard);
            let head = rows.head(row, &guard)?;
            let Some(v) = self.snapshot.visible(head, self.clock, &guard) else { continue };
            if let Stamp::Committed(ts) = self.clock.resolve(v) {
                f(row, ts, v.bytes())?;
            }
        }
        Ok(())
    }

    pub(super) fn survey(&self, part: u64) -> Survey {
        let mut found = Survey { rows: 0, youngest: 0 };
        // Counting fails nowhere.
        let _ = self.each_row(part, &mut |_, ts, _| {
            found.rows += 1;
            found.youngest = found.youngest.max(ts);
            Ok(())
        });
        found
    }

    /// Writes a part's file; it lasts, but for its name, if files do.
    pub(super) fn write(&self, disk: &dyn Disk, part: Part, syncs: &Syncs) -> Result<Part> {
        let path = part.path();
        let failed = |e: std::io::Error| io_error(&format!("write \"{path}\""), &e);
        let mut out = Writer::create(disk, &path, &header(&part)).map_err(failed)?;
        let (mut before, mut rows) = (part.part * PART, 0);
        self.each_row(part.part, &mut |row, _, tuple| {
            let block = out.block().map_err(failed)?;
            put_varint(block, row - before);
            put_varint(block, tuple.len() as u64);
            block.extend_from_slice(tuple);
            before = row;
            rows += 1;
            Ok(())
        })?;
        let bytes = out.end(syncs).map_err(failed)?;
        Ok(Part { bytes, rows, ..part })
    }
}

fn header(part: &Part) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for n in [part.storage, part.part, part.file] {
        out.extend_from_slice(&n.to_le_bytes());
    }
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out.resize(HEADER, 0);
    out
}

/// Reads a file into the rows of its storage.
pub(super) fn load(disk: &dyn Disk, part: &Part, rows: &HashMap<u64, Rows>) -> Result<()> {
    let rows = rows.get(&part.storage).ok_or_else(|| damaged(part, "its storage is not known"))?;
    read(disk, part, rows)
}

fn damaged(part: &Part, what: &str) -> PgError {
    blocks::damaged(&part.path(), what)
}

fn read(disk: &dyn Disk, part: &Part, into: &Rows) -> Result<()> {
    let mut blocks = Reader::open(disk, &part.path(), part.bytes, &header(part))?;
    let (mut row, mut rows) = (part.part * PART, 0);
    let mut body = Vec::new();
    while blocks.next(&mut body)? {
        rows += put(part, &body, &mut row, into)?;
    }
    if rows != part.rows {
        return Err(damaged(part, "rows are missing"));
    }
    Ok(())
}

/// Puts the rows of a block in their places; how many.
fn put(part: &Part, mut body: &[u8], row: &mut RowId, into: &Rows) -> Result<u64> {
    let mut loading = into.loading();
    let mut count = 0;
    while !body.is_empty() {
        *row = row.saturating_add(take_varint(&mut body)?);
        let len = usize::try_from(take_varint(&mut body)?).unwrap_or(usize::MAX);
        let (tuple, rest) =
            body.split_at_checked(len).ok_or_else(|| damaged(part, "a row is cut off"))?;
        if *row / PART != part.part {
            return Err(damaged(part, "a row is of another part"));
        }
        loading.put(*row, NewVersion::new(READ, 0, 0, tuple)?)?;
        body = rest;
        count += 1;
    }
    drop(loading);
    into.relieve(part.storage);
    Ok(count)
}
