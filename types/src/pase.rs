//! `pase`: a query vector with its search width and distance; what a `float4[]` must be to be a vector.

use crate::array::Array;
use crate::error::{PgError, Result, SqlState};

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

/// The floats of a `float4[]`, rows of a nested one end to end: at least one, none of them NULL.
pub fn vector(array: &Array) -> Result<&[f32]> {
    match array.as_f32s() {
        Some([]) => Err(empty()),
        Some(values) => Ok(values),
        None if array.is_empty() => Err(empty()),
        None => Err(PgError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "vector must not contain NULL elements",
        )),
    }
}

/// Error 22000: a vector without elements.
pub fn empty() -> PgError {
    PgError::new(SqlState::DATA_EXCEPTION, "vector must not be empty")
}

/// Error 22000 unless a stored vector and a query's have as many dimensions.
pub fn check_same_dimensions(left: usize, right: usize) -> Result<()> {
    if left == right {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::DATA_EXCEPTION,
        format!("vectors have different dimensions: {left} on the left, {right} on the right"),
    ))
}

/// Squared Euclidean distance of vectors of one length, summed in double precision: values near 10^4 in single
/// precision would come out of order. Every order by nearness is by this value, so that all plans agree on ties.
#[inline]
pub fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0f64; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (x, y) in a8.iter().zip(b8) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            let d = f64::from(*x) - f64::from(*y);
            *lane += d * d;
        }
    }
    for ((lane, x), y) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        let d = f64::from(*x) - f64::from(*y);
        *lane += d * d;
    }
    lanes.iter().sum()
}
