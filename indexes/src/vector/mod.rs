//! What every vector index has in common: input, output, and the promises between index and scan.

mod coder;
pub(crate) mod image;
mod kernels;
mod learn;
mod survey;

use std::io;
use std::sync::Arc;

use vicinity_types::{PgError, Result, SqlState};

use crate::RowId;

pub(crate) use coder::{Coder, Query};
pub use image::RowVectors;
pub use kernels::prefetch_lines;
pub(crate) use kernels::{LANES, ROWS, kernels, prefetch};
pub(crate) use learn::{Coded, Learning};
pub(crate) use survey::Survey;

/// The most dimensions a vector may have.
pub const MAX_DIM: usize = 16_000;

/// The rows an index is built from. NULL vectors are left out by the source.
pub trait VectorSource: Sync {
    /// About how many vectors there are.
    fn len_hint(&self) -> usize;

    /// Calls `f` with every vector once, in any order; stops at the first error and returns it. A build makes two
    /// passes, which must show the same rows.
    fn for_each(&self, f: &mut dyn FnMut(RowId, &[f32]) -> Result<()>) -> Result<()>;
}

/// The distance an index is declared with. PASE orders by Euclidean distance whatever `distance_type` says, and so do
/// the streams of every index here; the metric is kept for what the catalog shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// Euclidean.
    #[default]
    L2,
    /// Inner product.
    Ip,
    /// Cosine.
    Cosine,
}

/// Decides by row id whether a candidate may be returned. It is asked once or more per candidate, inside the scan.
pub type RowFilter = Arc<dyn Fn(RowId) -> bool + Send + Sync>;

/// How to search.
#[derive(Clone, Default)]
pub struct SearchParams {
    /// How many rows are wanted, 0 if unknown: sizes the first batch. A stream goes on beyond it.
    pub limit: usize,
    /// hnsw: ef for this query, 0 = the index's own. ivfflat: permille of clusters, 0 = 20.
    pub extra: i32,
    /// Candidates that fail are traversed but not returned.
    pub filter: Option<RowFilter>,
}

/// A row that may be near, and its squared Euclidean distance to the query as far as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The row.
    pub row: RowId,
    /// Approximate squared distance.
    pub approx: f32,
}

/// The nearest entries in batches. Owns what it needs, so that it can be kept over an await.
pub trait CandidateStream: Send {
    /// Appends the next batch, nearest first within the batch; batches grow. False when every live entry was produced
    /// (what the call appended still counts). Rows that were there when the stream began and still are come out at
    /// least once; twice only if the row has several entries (an updated vector before vacuum).
    fn next_batch(&mut self, out: &mut Vec<Candidate>) -> bool;

    /// Pages read so far: a vertex of a graph whose neighbours were looked at is one, codes and centroids compared one
    /// after the other are as many as they fill.
    fn pages(&self) -> u64;
}

/// What counts as a page where bytes are read one after the other; clients take sizes to come in such.
pub const PAGE: u64 = 8192;

/// A vector index. All calls may run at once from many threads.
pub trait VectorIndex: Send + Sync {
    /// Adds an entry. A vector of the wrong dimension is error 22000.
    fn insert(&self, row: RowId, vector: &[f32]) -> Result<()>;

    /// Removes the entry of this row with this vector; false if there is none.
    fn remove(&self, row: RowId, vector: &[f32]) -> bool;

    /// Live entries.
    fn len(&self) -> usize;

    /// No live entries.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held.
    fn memory(&self) -> usize;

    /// The dimension of every vector in it.
    fn dim(&self) -> usize;

    /// Entries added and removed since it was made or read.
    fn changes(&self) -> u64;

    /// Writes an image of it, while it goes on changing, and says how many entries are in it; `None` if it took another
    /// form meanwhile, and what was written is none.
    fn write_image(&self, out: &mut dyn io::Write) -> io::Result<Option<usize>>;

    /// Removes the entries that are not those of the rows, and names the rows that have none. Nobody uses the index
    /// meanwhile.
    fn reconcile(&self, rows: &dyn RowVectors) -> Result<Vec<RowId>>;

    /// Begins a search. A query of the wrong dimension is error 22000; an `extra` out of range is 22023.
    fn search(
        self: Arc<Self>,
        query: &[f32],
        params: SearchParams,
    ) -> Result<Box<dyn CandidateStream>>;
}

/// Error 22000 unless a vector to be kept has the index's dimension.
pub fn check_dim(index: usize, vector: usize) -> Result<()> {
    if index == vector {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::DATA_EXCEPTION,
        format!("vector dimension mismatch: expected {index} dimensions, not {vector}"),
    ))
}
