//! `pase_hnsw`.

use std::sync::Arc;

use vicinity_types::Result;

use crate::vector::{CandidateStream, Flat, SearchParams, VectorIndex, VectorSource, check_dim};
use crate::{Progress, RowId};

/// The options of `pase_hnsw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HnswOptions {
    /// `dim`: dimensions of every vector.
    pub dim: usize,
    /// `base_nb_num`: neighbours a new node links to; twice as many are kept.
    pub m: usize,
    /// `ef_build`: beam width when linking.
    pub ef_build: usize,
    /// `ef_search`: beam width of a search that names none.
    pub ef_search: usize,
    /// `base64_encoded`: the column is text holding base64 of little-endian float4.
    pub base64_encoded: bool,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for HnswOptions {
    fn default() -> Self {
        HnswOptions { dim: 256, m: 16, ef_build: 40, ef_search: 50, base64_encoded: false, seed: 1 }
    }
}

/// A neighbour graph.
pub struct Hnsw {
    options: HnswOptions,
    flat: Flat,
}

impl Hnsw {
    /// An index without entries.
    pub fn new(options: HnswOptions) -> Self {
        Hnsw { options, flat: Flat::default() }
    }

    /// Builds from all rows of a source.
    pub fn build(
        source: &dyn VectorSource,
        options: HnswOptions,
        progress: &Progress,
    ) -> Result<Self> {
        let index = Self::new(options);
        source.for_each(&mut |row, v| {
            progress.check()?;
            index.insert(row, v)
        })?;
        Ok(index)
    }

    /// The options it was made with.
    pub fn options(&self) -> &HnswOptions {
        &self.options
    }
}

impl VectorIndex for Hnsw {
    fn insert(&self, row: RowId, vector: &[f32]) -> Result<()> {
        check_dim(self.options.dim, vector.len())?;
        self.flat.insert(row, vector);
        Ok(())
    }

    fn remove(&self, row: RowId, vector: &[f32]) -> bool {
        self.flat.remove(row, vector)
    }

    fn len(&self) -> usize {
        self.flat.len()
    }

    fn memory(&self) -> usize {
        self.flat.memory()
    }

    fn dim(&self) -> usize {
        self.options.dim
    }

    fn search(
        self: Arc<Self>,
        query: &[f32],
        params: SearchParams,
    ) -> Result<Box<dyn CandidateStream>> {
        check_dim(self.options.dim, query.len())?;
        Ok(self.flat.search(query, params.filter, params.limit))
    }
}
