//! The `pase` extension: constructors and distances.
//!
//! A distance's value follows the query's `ds`: 0 squared Euclidean, 1 dot product, 2 cosine
//! distance. Sums are kept in double precision: over values near 10^4 single precision would lose
//! the digits that order two neighbours.

use vicinity_types::Datum::{self, Array as List, Int4, Pase as Query, Text};
use vicinity_types::array::Array;
use vicinity_types::io::pase as io;
use vicinity_types::pase::{Pase, check_same_dimensions, squared_distance, vector};
use vicinity_types::{PgError, Result};

fn make(array: &Array, extra: i32, ds: i32) -> Result<Pase> {
    let values = vector(array)?;
    io::check_dimensions(values.len())?;
    io::check_ds(ds)?;
    Ok(Pase { values: values.to_vec(), extra, ds })
}

/// The text is a vector alone, as numbers or base64; its width and distance are arguments.
fn make_from_text(text: &str, extra: i32, ds: i32) -> Result<Pase> {
    let mut query = io::parse(text)?;
    if text.contains(':') {
        return Err(PgError::invalid_input("pase", text));
    }
    io::check_ds(ds)?;
    (query.extra, query.ds) = (extra, ds);
    Ok(query)
}

/// Sums `f` over pairs in four independent lanes, so that the loop vectorises.
fn sum(left: &[f32], right: &[f32], f: impl Fn(f64, f64) -> f64) -> f64 {
    let (left4, left_rest) = left.as_chunks::<4>();
    let (right4, right_rest) = right.as_chunks::<4>();
    let mut lanes = [0f64; 4];
    for (l, r) in left4.iter().zip(right4) {
        for ((lane, a), b) in lanes.iter_mut().zip(l).zip(r) {
            *lane += f(f64::from(*a), f64::from(*b));
        }
    }
    let rest: f64 =
        left_rest.iter().zip(right_rest).map(|(a, b)| f(f64::from(*a), f64::from(*b))).sum();
    lanes.iter().sum::<f64>() + rest
}

fn dot(left: &[f32], right: &[f32]) -> f64 {
    sum(left, right, |a, b| a * b)
}

fn distance(left: &[f32], query: &Pase) -> Result<f32> {
    let right = query.values.as_slice();
    check_same_dimensions(left.len(), right.len())?;
    let value = match query.ds {
        1 => dot(left, right),
        2 => 1.0 - dot(left, right) / (dot(left, left) * dot(right, right)).sqrt(),
        _ => squared_distance(left, right),
    };
    Ok(value as f32)
}

fn vector_distance(left: &Array, right: &Array) -> Result<f32> {
    let (left, right) = (vector(left)?, vector(right)?);
    check_same_dimensions(left.len(), right.len())?;
    Ok(squared_distance(left, right) as f32)
}

/// What ORDER BY sorts a distance operator of the extension by: squared Euclidean whatever the query's `ds`, with
/// the digits `float4` has not.
pub fn nearness(left: &Datum, right: &Datum) -> Result<Datum> {
    let by = |left: &[f32], right: &[f32]| {
        check_same_dimensions(left.len(), right.len())?;
        Ok(Datum::Float8(squared_distance(left, right)))
    };
    match (left, right) {
        (List(a), Query(q)) => by(vector(a)?, &q.values),
        (List(a), List(b)) => by(vector(a)?, vector(b)?),
        (Text(a), Query(q)) => by(&decode_base64(a)?, &q.values),
        _ => Ok(Datum::Null),
    }
}

/// A vector as base64 of little-endian `float4`s.
fn decode_base64(text: &str) -> Result<Vec<f32>> {
    io::decode_base64(text).ok_or_else(|| {
        PgError::invalid_input("pase", text).detail("The vector is not base64 of float4.")
    })
}

scalars! { pub(crate) PASE, env;
    "pase_constructor" [List(a), Int4(extra), Int4(ds)] => make(a, *extra, *ds);
    "pase_text_constructor" [Text(t), Int4(extra), Int4(ds)] => make_from_text(t, *extra, *ds);
    "g_pase_distance" [List(a), Query(q)] => vector(a).and_then(|a| distance(a, q));
    "g_pase_distance_3" [Text(a), Query(q)] => decode_base64(a).and_then(|a| distance(&a, q));
    "pase_vector_distance" [List(a), List(b)] => vector_distance(a, b);
}
