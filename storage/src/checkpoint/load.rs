//! Reading what a manifest names, at a start.

use hashbrown::HashMap;
use parking_lot::Mutex;
use rayon::prelude::*;
use vicinity_types::{Oid, Result};

use super::indexes::{self, Loaded};
use super::manifest::{IndexFile, Manifest, Part};
use super::rows;
use crate::catalog::Catalog;
use crate::disk::Disk;
use crate::mvcc::rows::Rows;
use crate::store::index::IndexStore;

/// The files that a manifest names, and where they are read to.
pub(crate) struct Files<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) catalog: &'a Catalog,
    pub(crate) rows: &'a HashMap<u64, Rows>,
    /// No commit is behind the manifest.
    pub(crate) fresh: bool,
}

/// One of them.
enum File<'a> {
    Rows(&'a Part),
    Index(&'a IndexFile),
}

impl Files<'_> {
    /// Reads them all, on all cores: the longest first, and the indexes beside the rows.
    pub(crate) fn read(&self, manifest: &Manifest) -> Result<HashMap<(Oid, u64), Loaded>> {
        let parts = manifest.parts.iter().map(|part| (part.bytes, File::Rows(part)));
        let indexes = manifest.indexes.iter().map(|index| (index.bytes, File::Index(index)));
        let mut files: Vec<(u64, File<'_>)> = indexes.chain(parts).collect();
        files.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let images = Mutex::new(HashMap::new());
        files.par_iter().with_max_len(1).try_for_each(|(_, file)| {
            match file {
                File::Rows(part) => rows::load(self.disk, part, self.rows)?,
                File::Index(file) => {
                    let image = self.read_index(file);
                    images.lock().extend(image.map(|image| ((file.index, file.storage), image)));
                }
            }
            Ok(())
        })?;
        Ok(images.into_inner())
    }

    /// An index as its file has it; one that cannot be read is built.
    fn read_index(&self, file: &IndexFile) -> Option<Loaded> {
        let relation = self.catalog.relation(file.index)?;
        let def = relation.index()?;
        let table = self.catalog.relation(def.table)?.table()?;
        let index = IndexStore::new(relation.oid, def, table, self.catalog);
        match index.and_then(|index| indexes::load(self.disk, file, &index, self.fresh)) {
            Ok(image) => image,
            Err(e) => {
                tracing::warn!("index {} is rebuilt: {e}", relation.name);
                None
            }
        }
    }
}
