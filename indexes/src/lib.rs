//! Native indexes: pure data structures, no SQL, no sockets.
//!
//! - [`btree`]: an ordered map from memcomparable key bytes and row id.
//! - [`hnsw`] and [`ivf`]: nearest vectors, as streams of candidates that resume until every live entry came out
//!   (invariants *hints* and *never-short*: an entry is a hint, the row has the last word).
//! - [`spatial`]: points by distance and region, boxes by region, made for movement.
//! - [`options`]: the `WITH (...)` options of the vector access methods, PASE's names, errors and notices.

mod apart;
mod aside;
pub mod btree;
pub mod centroids;
pub mod hnsw;
mod image;
pub mod ivf;
pub mod options;
pub mod progress;
pub mod spatial;
pub mod vector;

pub use apart::Apart;
pub use aside::{count_step, step_aside};
pub use btree::{Btree, BtreeCursor};
pub use centroids::Centroids;
pub use hnsw::{Hnsw, HnswOptions};
pub use ivf::{Clustering, IvfOptions, Ivfflat};
pub use options::{Options, parse_options};
pub use progress::{Phase, Progress};
pub use spatial::{Boxes, Points};
pub use vector::{
    Candidate, CandidateStream, Metric, PAGE, RowVectors, SearchParams, VectorIndex, VectorSource,
    prefetch_lines,
};

/// A row's id, stable for the row's life (invariant *stable-ids*).
pub type RowId = u64;
