//! `pase`: a query vector with its search width and distance.

/// A PASE query: `v1,v2,...[:extra[:ds]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pase {
    /// The vector.
    pub values: Vec<f32>,
    /// ef_search for hnsw, permille of clusters for ivfflat; 0 means the default.
    pub extra: i32,
    /// 0 squared Euclidean, 1 dot product, 2 cosine distance.
    pub ds: i32,
}
