//! Indexes in files: what would have to be built anew at a start.
//!
//! ```text
//!  "VICIDX"  version:u16  index:u32  storage:u64  checkpoint:u64  crc of its definition:u32  crc of the bytes before:u32
//!  blocks, whose bodies are one stream: see vicinity_indexes
//! ```
//!
//! **Images of vector indexes** are written while writers change them, and are of no moment. They need not be: entries
//! are hints, and a start holds an image against the rows that it recovered, by the image of these and the log. Every
//! row's entry is looked for, with the code of the row's vector; rows without one are inserted, entries without a row
//! removed (`VectorIndex::reconcile`). So nothing can be missing, whatever the image lacks and however old it is, and
//! the cost of an old one is that of the inserts. That is what says when a new one is written: when more than a
//! thousandth of the entries came or went since.
//!
//! **Exact images**, of all kinds of indexes, are written at a clean stop, when nobody writes any more: the entries in
//! the file are those of the rows in the manifest's files, each once. That is so if they are as many: all the time every
//! row that is committed has its entry in every index, so that more entries are needed for one that is no row's. The
//! manifest says it of a file, and the next ones say it again for as long as no commit touches the storage. A start that
//! finds no commit behind the manifest takes such an image as it is; any other one holds it against the rows, if it is of
//! a vector index, or builds the index from them.
//!
//! An image that cannot be read is no loss either: the index is built from the rows.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use rayon::prelude::*;
use vicinity_indexes::options::MethodOptions;
use vicinity_indexes::{Boxes, Btree, Hnsw, Ivfflat, Points, RowId, RowVectors, VectorIndex};
use vicinity_types::{Kind, Oid, Result, SqlState};

use super::blocks::{Reader, Syncs, Writer, damaged};
use super::manifest::IndexFile;
use crate::catalog::model::Persistence;
use crate::disk::Disk;
use crate::mvcc::{pin, rest_at};
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
/// Indexes of other kinds are built from so many times more entries in no time.
const QUICK: u64 = 10;
/// Rows compared with an image by one thread at a time.
const PART: u64 = 1 << 14;

/// A file, and what it is of.
#[derive(Clone)]
struct Image {
    file: IndexFile,
    /// The vector index, and how often it had changed when the image was begun.
    of: Option<(Weak<dyn VectorIndex>, u64)>,
}

/// The images of all indexes.
#[derive(Clone, Default)]
pub(super) struct Images {
    /// Those that were there at the start, until a checkpoint looks at them.
    read: HashMap<Oid, IndexFile>,
    images: HashMap<Oid, Image>,
}

/// What the images of a checkpoint are of.
pub(super) struct Moment<'a> {
    /// Where they go.
    pub(super) disk: &'a dyn Disk,
    /// The checkpoint.
    pub(super) number: u64,
    /// How they are made to last.
    pub(super) syncs: &'a Syncs,
    /// Indexes of fewer entries have none.
    pub(super) least: u64,
    /// Whether a commit touched a storage since the last one.
    pub(super) is_changed: &'a dyn Fn(&Store) -> bool,
    /// How many rows of a storage are in its files.
    pub(super) rows: &'a dyn Fn(&Store) -> u64,
    /// Whether this is a clean stop, and nobody has written or writes since the cut.
    pub(super) is_still: &'a dyn Fn() -> bool,
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

    /// An index's image, if there is one that goes on being of use.
    fn image(&self, index: &IndexStore, store: &Store) -> Option<Image> {
        if let Some(image) = self.images.get(&index.oid) {
            return (image.file.storage == store.id).then(|| image.clone());
        }
        let file = *self.read.get(&index.oid).filter(|f| f.storage == store.id)?;
        if !index.is_of_image() {
            return None;
        }
        // What recovery made of an image had changed by what that lacked.
        let of = match &**index.body() {
            Body::Vector(body) => Some((Arc::downgrade(body), 0)),
            _ => None,
        };
        Some(Image { file, of })
    }

    /// The image of a vector index, and how much the index has changed since.
    fn of(
        &self,
        index: &IndexStore,
        store: &Store,
        body: &Arc<dyn VectorIndex>,
    ) -> Option<(Image, u64)> {
        let image = self.image(index, store)?;
        let (of, changes) = image.of.as_ref()?;
        let same = of.upgrade().is_some_and(|of| Arc::ptr_eq(&of, body));
        let since = body.changes() - changes;
        same.then_some((image, since))
    }

    /// Whether indexes have changed so much that new images are due.
    pub(super) fn are_due(&self, stores: &[Arc<Store>]) -> bool {
        let due = |store: &Arc<Store>| {
            store.indexes().iter().filter(|i| !i.is_computed()).any(|index| {
                let body = index.body();
                let Body::Vector(body) = &**body else { return false };
                let changes = self.of(index, store, body).map_or(body.len() as u64, |i| i.1);
                changes >= DUE.max(body.len() as u64 / DUE_SHARE)
            })
        };
        stores.iter().filter(|s| s.logged()).any(due)
    }

    /// The images as of now: those that are too old are written. An index whose image cannot be written has none.
    pub(super) fn update(
        &self,
        stores: &[Arc<Store>],
        moment: &Moment<'_>,
        made: &mut Vec<String>,
    ) -> Result<Images> {
        let mut next = Images::default();
        for store in stores {
            for index in store.indexes().iter().filter(|i| !i.is_computed() && i.ready()) {
                let image = match self.exact((store, index), moment, made)? {
                    None => self.inexact((store, index), moment, made)?,
                    exact => exact,
                };
                next.images.extend(image.map(|image| (index.oid, image)));
            }
        }
        if !(moment.is_still)() {
            // What was found to be exact need not be.
            let new = |image: &&mut Image| image.file.file == moment.number;
            next.images.values_mut().filter(new).for_each(|image| image.file.exact = 0);
            next.images.retain(|_, image| image.file.exact > 0 || image.of.is_some());
        }
        Ok(next)
    }

    /// The exact image of an index: the one there is, or at a clean stop a new one.
    fn exact(
        &self,
        (store, index): (&Store, &IndexStore),
        moment: &Moment<'_>,
        made: &mut Vec<String>,
    ) -> Result<Option<Image>> {
        if !store.logged() {
            return Ok(None);
        }
        let before = self.image(index, store).filter(|i| i.file.exact > 0);
        if before.is_some() && !(moment.is_changed)(store) {
            return Ok(before);
        }
        let least = if index.is_vector() { moment.least } else { moment.least * QUICK };
        let entries = index.len() as u64;
        if entries < least.max(1) || !(moment.is_still)() {
            return Ok(None);
        }
        if entries != entries_of_rows(store, index, (moment.rows)(store))? {
            return Ok(None);
        }
        let written = match write((store, index), moment, made) {
            // The log has everything all the same.
            Err(e) if e.code() == SqlState::DISK_FULL => None,
            outcome => outcome?,
        };
        Ok(written.filter(|(_, found)| *found == entries).map(|(image, _)| {
            let file = IndexFile { exact: entries, ..image.file };
            Image { file, ..image }
        }))
    }

    /// The image of a vector index of no exact moment.
    fn inexact(
        &self,
        (store, index): (&Store, &IndexStore),
        moment: &Moment<'_>,
        made: &mut Vec<String>,
    ) -> Result<Option<Image>> {
        let body = index.body();
        let Body::Vector(body) = &**body else { return Ok(None) };
        let enough = LEAST.max(body.len() as u64 / SHARE);
        match self.of(index, store, body) {
            Some((image, since)) if since < enough => {
                Ok(Some(Image { file: IndexFile { exact: 0, ..image.file }, ..image }))
            }
            None if (body.len() as u64) < moment.least.max(1) => Ok(None),
            _ => Ok(write((store, index), moment, made)?.map(|(image, _)| image)),
        }
    }
}

/// How many entries an index has of so many rows, of which no one else has a version.
fn entries_of_rows(store: &Store, index: &IndexStore, rows: u64) -> Result<u64> {
    if !index.is_vector() && !index.is_spatial() {
        return Ok(rows);
    }
    // Those without a value have none.
    let Some((column, _)) = index.column() else { return Ok(0) };
    let layout = store.layout.load_full();
    let count = |part: u64| {
        let mut count = 0;
        let mut guard = pin();
        for row in part * PART..((part + 1) * PART).min(store.rows.end()) {
            rest_at(row, &mut guard);
            let head = store.rows.head(row, &guard)?.filter(|head| !head.is_tombstone());
            count += u64::from(head.is_some_and(|v| layout.raw(v.bytes(), column).is_some()));
        }
        Ok(count)
    };
    (0..store.rows.end().div_ceil(PART)).into_par_iter().map(count).sum()
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
    out.extend_from_slice(&index.definition_crc().to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

/// Writes an image, and says how many entries are in it; none if the index takes other forms all the time.
fn write(
    (store, index): (&Store, &IndexStore),
    moment: &Moment<'_>,
    made: &mut Vec<String>,
) -> Result<Option<(Image, u64)>> {
    let file =
        IndexFile { index: index.oid, storage: store.id, file: moment.number, bytes: 0, exact: 0 };
    let failed = |e: std::io::Error| io_error(&format!("write \"{}\"", file.path()), &e);
    let body = index.body();
    made.push(file.path());
    for _ in 0..3 {
        let mut out =
            Writer::create(moment.disk, &file.path(), &header(index, &file)).map_err(failed)?;
        let mut of = None;
        let entries = match &**body {
            Body::Vector(body) => {
                of = Some((Arc::downgrade(body), body.changes()));
                body.write_image(&mut out)
            }
            Body::Btree(body) => body.write_image(&mut out).map(Some),
            Body::Points(body) => body.write_image(&mut out).map(Some),
            Body::Boxes(body) => body.write_image(&mut out).map(Some),
            Body::Unbuilt | Body::Building(_) => return Ok(None),
        };
        if let Some(entries) = entries.map_err(failed)? {
            let bytes = out.end(moment.syncs).map_err(failed)?;
            let file = IndexFile { bytes, ..file };
            return Ok(Some((Image { file, of }, entries as u64)));
        }
    }
    Ok(None)
}

/// An index as its file has it.
pub(crate) struct Loaded {
    file: IndexFile,
    definition: u32,
    body: Body,
}

/// Reads the image of an index; none if it is no use. `fresh`: no commit is behind the manifest.
pub(crate) fn load(
    disk: &dyn Disk,
    file: &IndexFile,
    index: &IndexStore,
    fresh: bool,
) -> Result<Option<Loaded>> {
    let is_exact = file.exact > 0 && fresh;
    if !is_exact && !index.is_vector() {
        return Ok(None);
    }
    let mut from = Reader::open(disk, &file.path(), file.bytes, &header(index, file))?;
    let failed = |e: std::io::Error| damaged(&file.path(), &e.to_string());
    let kind = index.column().map(|(_, kind)| kind);
    let body = match index.vector_options()? {
        Some(MethodOptions::Hnsw(o)) => {
            Body::Vector(Arc::new(Hnsw::read(o, &mut from).map_err(failed)?))
        }
        Some(MethodOptions::Ivfflat(o)) => {
            Body::Vector(Arc::new(Ivfflat::read(o, &mut from).map_err(failed)?))
        }
        None if !index.is_spatial() => {
            Body::Btree(Arc::new(Btree::read_image(&mut from).map_err(failed)?))
        }
        None if kind == Some(Kind::Point) => {
            Body::Points(Arc::new(Points::read_image(&mut from).map_err(failed)?))
        }
        None => Body::Boxes(Arc::new(Boxes::read_image(&mut from).map_err(failed)?)),
    };
    let whole = body.len() as u64 == file.exact;
    if !whole && !index.is_vector() {
        return Err(damaged(&file.path(), "entries are missing"));
    }
    let file = IndexFile { exact: if is_exact && whole { file.exact } else { 0 }, ..*file };
    Ok(Some(Loaded { file, definition: index.definition_crc(), body }))
}

impl Loaded {
    /// The index of the rows that there are.
    pub(crate) fn fit(self, store: &Store, index: &IndexStore) -> Result<Option<Body>> {
        if index.definition_crc() != self.definition {
            return Ok(None);
        }
        if let (Body::Vector(body), 0) = (&self.body, self.file.exact) {
            let lacked = reconcile(body.as_ref(), store, index)?;
            tracing::debug!("\"{}\" lacked {lacked} entries", self.file.path());
        }
        Ok(Some(self.body))
    }
}

/// Holds the image of a vector index against the rows; how many entries it lacked.
fn reconcile(body: &dyn VectorIndex, store: &Store, index: &IndexStore) -> Result<usize> {
    let rows = Rows { store, index, layout: store.layout.load_full() };
    let missing = body.reconcile(&rows)?;
    missing.par_chunks(64).try_for_each(|ids| {
        ids.iter()
            .try_for_each(|row| rows.each_in(*row..row + 1, &mut |row, v| body.insert(row, v)))
    })?;
    Ok(missing.len())
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
            rest_at(row, &mut guard);
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
