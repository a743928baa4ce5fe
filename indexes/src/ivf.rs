//! `pase_ivfflat`.

use std::path::PathBuf;
use std::sync::Arc;

use vicinity_types::Result;

use crate::vector::{
    CandidateStream, Flat, Metric, SearchParams, VectorIndex, VectorSource, check_dim,
};
use crate::{Progress, RowId};

/// Where the centroids come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clustering {
    /// `clustering_type = 0`: a file on the server.
    External {
        /// `clustering_params`.
        path: PathBuf,
    },
    /// `clustering_type = 1`: k-means over a sample.
    Internal {
        /// Share of the rows to sample, in thousandths.
        sample_permille: u32,
        /// How many.
        k: usize,
    },
}

/// The options of `pase_ivfflat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IvfOptions {
    /// `dimension`: dimensions of every vector.
    pub dim: usize,
    /// `distance_type`.
    pub metric: Metric,
    /// `clustering_type` and `clustering_params`.
    pub clustering: Clustering,
    /// `base64_encoded`: the column is text holding base64 of little-endian float4.
    pub base64_encoded: bool,
    /// `omp_thread_num` when `open_omp = 1`: most threads of a build; 0 = all cores.
    pub threads: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for IvfOptions {
    fn default() -> Self {
        IvfOptions {
            dim: 256,
            metric: Metric::L2,
            clustering: Clustering::Internal { sample_permille: 100, k: 1000 },
            base64_encoded: false,
            threads: 0,
            seed: 1,
        }
    }
}

/// Inverted lists around centroids.
pub struct Ivfflat {
    options: IvfOptions,
    flat: Flat,
}

impl Ivfflat {
    /// An index without entries; with external clustering it reads the file.
    pub fn new(options: IvfOptions) -> Result<Self> {
        Ok(Ivfflat { options, flat: Flat::default() })
    }

    /// Builds from all rows of a source.
    pub fn build(
        source: &dyn VectorSource,
        options: IvfOptions,
        progress: &Progress,
    ) -> Result<Self> {
        let index = Self::new(options)?;
        source.for_each(&mut |row, v| {
            progress.check()?;
            index.insert(row, v)
        })?;
        Ok(index)
    }

    /// The options it was made with.
    pub fn options(&self) -> &IvfOptions {
        &self.options
    }
}

impl VectorIndex for Ivfflat {
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
