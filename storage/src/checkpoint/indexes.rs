//! Vector indexes in files: what costs most to build anew.
//!
//! ```text
//!  "VICIDX"  version:u16  index:u32  storage:u64  checkpoint:u64  crc of its options:u32  crc of the bytes before:u32
//!  blocks, whose bodies are one stream: see vicinity_indexes
//! ```
//!
//! An image of an index is written while writers change it, and is of no moment. It need not be: entries are hints, and
//! a start holds the image against the rows that it recovered, by the image of these and the log. Every row's entry is
//! looked for, with the code of the row's vector; rows without one are inserted, entries without a row removed
//! (`VectorIndex::reconcile`). So nothing can be missing, whatever the image lacks and however old it is, and the cost
//! of an old one is that of the inserts. That is what says when a new one is written: when more than a thousandth of
//! the entries came or went since.
//!
//! An image that cannot be read is no loss either: the index is built from the rows.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use rayon::prelude::*;
use vicinity_indexes::options::MethodOptions;
use vicinity_indexes::{Hnsw, Ivfflat, RowId, RowVectors, VectorIndex};
use vicinity_types::{Oid, Result};

use super::blocks::{Reader, Writer};
use super::manifest::IndexFile;
use crate::catalog::model::Persistence;
use crate::disk::Disk;
use crate::mvcc::pin;
use crate::store::index::{Body, IndexStore};
use crate::store::{Layout, Store};
use crate::wal::reader::io_error;

const MAGIC: &[u8; 8] = b"VICIDX\x01\x00";
/// An image is as good as new with fewer changes than this,
const LEAST: u64 = 1000;
/// or than one in so many entries.
const SHARE: u64 = 1000;
/// Changes after which a checkpoint is due for their sake alone: some seconds of inserts,
const DUE: u64 = 1 << 16;
/// or one in so many entries.
const DUE_SHARE: u64 = 16;
/// Rows compared with an image by one thread at a time.
const PART: u64 = 1 << 14;
/// Rows between two looks at the epoch.
const STEP: u64 = 512;

/// A file, and what it is of.
#[derive(Clone)]
struct Image {
    file: IndexFile,
    of: Weak<dyn VectorIndex>,
    /// How often it had changed when the image was begun.
    changes: u64,
}

/// The images of all indexes.
#[derive(Clone, Default)]
pub(super) struct Images {
    /// Those that were there at the start, until a checkpoint looks at them.
    read: HashMap<Oid, IndexFile>,
    images: HashMap<Oid, Image>,
}

impl Images {
    /// Those of a manifest.
    pub(super) fn recovered(files: &[IndexFile]) -> Images {
        let read = files.iter().map(|f| (f.index, *f)).collect();
        Images { read, images: HashMap::new() }
    }

    pub(super) fn files(&self) -> Vec<IndexFile> {
        let mut all: Vec<IndexFile> = self.images.values().map(|i| i.file).collect();
        all.sort_unstable_by_key(|f| f.index);
        all
    }

    /// An index's image, and how much the index has changed since.
    fn of(
        &self,
        index: &IndexStore,
        store: u64,
        body: &Arc<dyn VectorIndex>,
    ) -> Option<(Image, u64)> {
        if let Some(image) = self.images.get(&index.oid) {
            let same = image.of.upgrade().is_some_and(|of| Arc::ptr_eq(&of, body));
            return same.then(|| (image.clone(), body.changes() - image.changes));
        }
        // What recovery made of an image had changed by what that lacked.
        let file = *self.read.get(&index.oid).filter(|f| f.storage == store)?;
        let of = Arc::downgrade(body);
        index.is_of_image().then(|| (Image { file, of, changes: 0 }, body.changes()))
    }

    /// Whether indexes have changed so much that new images are due.
    pub(super) fn are_due(&self, stores: &[Arc<Store>]) -> bool {
        let due = |store: &Arc<Store>| {
            store.indexes().iter().filter(|i| !i.is_computed()).any(|index| {
                let body = index.body();
                let Body::Vector(body) = &**body else { return false };
                let changes = self.of(index, store.id, body).map_or(body.len() as u64, |i| i.1);
                changes >= DUE.max(body.len() as u64 / DUE_SHARE)
            })
        };
        stores.iter().filter(|s| s.logged()).any(due)
    }

    /// The images as of now: those that are too old are written. An index whose image cannot be written has none.
    pub(super) fn update(
        &self,
        disk: &dyn Disk,
        stores: &[Arc<Store>],
        (number, sync): (u64, bool),
        made: &mut Vec<String>,
    ) -> Result<Images> {
        let mut next = Images::default();
        for store in stores {
            for index in store.indexes().iter().filter(|i| !i.is_computed()) {
                let body = index.body();
                let Body::Vector(body) = &**body else { continue };
                let enough = LEAST.max(body.len() as u64 / SHARE);
                let image = match self.of(index, store.id, body) {
                    Some((image, since)) if since < enough => Some(image),
                    None if (body.len() as u64) < LEAST => None,
                    _ => {
                        let file = IndexFile {
                            index: index.oid,
                            storage: store.id,
                            file: number,
                            bytes: 0,
                        };
                        made.push(file.path());
                        write(disk, index, body, file, sync)?
                    }
                };
                next.images.extend(image.map(|image| (index.oid, image)));
            }
        }
        Ok(next)
    }
}

/// Whether the rows of a storage are there after a crash, or at least after a clean stop.
pub(super) fn is_kept(store: &Store, ending: bool) -> bool {
    store.logged() || (ending && store.persistence == Persistence::Unlogged)
}

fn header(index: &IndexStore, file: &IndexFile) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&file.index.to_le_bytes());
    out.extend_from_slice(&file.storage.to_le_bytes());
    out.extend_from_slice(&file.file.to_le_bytes());
    out.extend_from_slice(&index.options_crc().to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

/// Writes an image; none if the index takes other forms all the time.
fn write(
    disk: &dyn Disk,
    index: &IndexStore,
    body: &Arc<dyn VectorIndex>,
    file: IndexFile,
    sync: bool,
) -> Result<Option<Image>> {
    let failed = |e: std::io::Error| io_error(&format!("write \"{}\"", file.path()), &e);
    for _ in 0..3 {
        let changes = body.changes();
        let mut out = Writer::create(disk, &file.path(), &header(index, &file)).map_err(failed)?;
        if body.write_image(&mut out).map_err(failed)? {
            let bytes = out.end(sync).map_err(failed)?;
            let file = IndexFile { bytes, ..file };
            return Ok(Some(Image { file, of: Arc::downgrade(body), changes }));
        }
    }
    Ok(None)
}

/// Makes an index of its image and the rows that there are.
pub(crate) fn read(
    disk: &dyn Disk,
    file: &IndexFile,
    store: &Store,
    index: &IndexStore,
) -> Result<Option<Body>> {
    let mut from = Reader::open(disk, &file.path(), file.bytes, &header(index, file))?;
    let failed = |e: std::io::Error| super::blocks::damaged(&file.path(), &e.to_string());
    let body: Arc<dyn VectorIndex> = match index.vector_options()? {
        Some(MethodOptions::Hnsw(o)) => Arc::new(Hnsw::read(o, &mut from).map_err(failed)?),
        Some(MethodOptions::Ivfflat(o)) => Arc::new(Ivfflat::read(o, &mut from).map_err(failed)?),
        None => return Ok(None),
    };
    let rows = Rows { store, index, layout: store.layout.load_full() };
    let missing = body.reconcile(&rows)?;
    let lacked = missing.len();
    missing.par_chunks(64).try_for_each(|ids| {
        ids.iter()
            .try_for_each(|row| rows.each_in(*row..row + 1, &mut |row, v| body.insert(row, v)))
    })?;
    tracing::debug!("\"{}\" lacked {lacked} entries", file.path());
    Ok(Some(Body::Vector(body)))
}

/// The recovered rows of a storage, of one version each.
struct Rows<'a> {
    store: &'a Store,
    index: &'a IndexStore,
    layout: Arc<Layout>,
}

impl Rows<'_> {
    fn each_in(
        &self,
        ids: std::ops::Range<RowId>,
        f: &mut dyn FnMut(RowId, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let mut scratch = Vec::new();
        let mut guard = pin();
        for row in ids {
            if row % STEP == 0 {
                guard.repin();
            }
            if let Some(v) = self.store.rows.head(row, &guard)? {
                self.index
                    .vector(&self.layout, v.bytes(), &mut scratch, |v| f(row, v))?
                    .transpose()?;
            }
        }
        Ok(())
    }
}

impl RowVectors for Rows<'_> {
    fn parts(&self) -> usize {
        usize::try_from(self.store.rows.end().div_ceil(PART)).unwrap_or(usize::MAX)
    }

    fn each_of(&self, part: usize, f: &mut dyn FnMut(RowId, &[f32]) -> Result<()>) -> Result<()> {
        let from = part as u64 * PART;
        self.each_in(from..(from + PART).min(self.store.rows.end()), f)
    }
}
