//! Arrays with some of their elements replaced, as `a[2] = x` and `a[1:2] = ..` do.

use vicinity_types::array::{Array, Dim};
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

/// Most elements an array may have.
const MOST: i64 = 134_217_727;

fn subscript_error(text: &str) -> PgError {
    PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, text)
}

fn wrong_number() -> PgError {
    subscript_error("wrong number of array subscripts")
}

fn out_of_range() -> PgError {
    subscript_error("array subscript out of range")
}

fn checked_size(elements: i64) -> Result<()> {
    if (0..=MOST).contains(&elements) {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("array size exceeds the maximum allowed ({MOST})"),
    ))
}

/// Subscripts of a dimension, `first..=last`.
type Range = (i64, i64);

fn range_of(dim: &Dim) -> Range {
    (i64::from(dim.lower), i64::from(dim.lower) + i64::from(dim.len) - 1)
}

fn dim_of((first, last): Range) -> Result<Dim> {
    checked_size(last - first + 1)?;
    let number = |n: i64| i32::try_from(n).map_err(|_| PgError::out_of_range("integer"));
    Ok(Dim { len: number(last - first + 1)?, lower: number(first)? })
}

/// The elements and the only dimension, made to take in a range: what comes between is NULL.
fn extended(array: &Array, dim: &Dim, (from, to): Range) -> Result<(Vec<Datum>, Dim)> {
    let (first, last) = range_of(dim);
    let (new_first, new_last) = (first.min(from), last.max(to));
    let made = dim_of((new_first, new_last))?;
    let nulls = |n: i64| std::iter::repeat_n(Datum::Null, usize::try_from(n).unwrap_or(0));
    let values = nulls(first - new_first).chain(array.iter()).chain(nulls(new_last - last));
    Ok((values.collect(), made))
}

fn made(elem: Oid, dims: Vec<Dim>, values: Vec<Datum>) -> Array {
    Array { dims, ..Array::from_datums(elem, values) }
}

/// `array[subscripts] = value`; no array is an empty one.
pub fn set_element(
    array: Option<&Array>,
    elem: Oid,
    subscripts: &[i32],
    value: Datum,
) -> Result<Array> {
    let array = array.filter(|a| !a.dims.is_empty());
    let Some(array) = array else {
        let dims = subscripts.iter().map(|lower| Dim { len: 1, lower: *lower }).collect();
        return Ok(made(elem, dims, vec![value]));
    };
    if array.dims.len() != subscripts.len() {
        return Err(wrong_number());
    }
    if let ([dim], [subscript]) = (array.dims.as_slice(), subscripts) {
        let at = i64::from(*subscript);
        let (mut values, dim) = extended(array, dim, (at, at))?;
        let place = usize::try_from(at - i64::from(dim.lower)).ok();
        if let Some(slot) = place.and_then(|i| values.get_mut(i)) {
            *slot = value;
        }
        return Ok(made(elem, vec![dim], values));
    }
    let mut place = 0usize;
    for (dim, subscript) in array.dims.iter().zip(subscripts) {
        let (first, last) = range_of(dim);
        let at = i64::from(*subscript);
        if !(first..=last).contains(&at) {
            return Err(out_of_range());
        }
        place = place * usize::try_from(dim.len).unwrap_or(0)
            + usize::try_from(at - first).unwrap_or(0);
    }
    let mut values: Vec<Datum> = array.iter().collect();
    if let Some(slot) = values.get_mut(place) {
        *slot = value;
    }
    Ok(made(elem, array.dims.clone(), values))
}

/// `array[a:b] = source`; `None` for a bound left out. No array is an empty one.
pub fn set_slice(
    array: Option<&Array>,
    elem: Oid,
    bounds: &[(Option<i32>, Option<i32>)],
    source: &Array,
) -> Result<Array> {
    let array = array.filter(|a| !a.dims.is_empty());
    let Some(array) = array else { return first_slice(elem, bounds, source) };
    if array.dims.len() < bounds.len() {
        return Err(wrong_number());
    }
    let mut ranges = Vec::with_capacity(array.dims.len());
    for (i, dim) in array.dims.iter().enumerate() {
        let (first, last) = range_of(dim);
        let (from, to) = bounds.get(i).copied().unwrap_or((None, None));
        let (from, to) = (from.map_or(first, i64::from), to.map_or(last, i64::from));
        if from > to {
            return Err(subscript_error("upper bound cannot be less than lower bound"));
        }
        if array.dims.len() > 1 && (from < first || to > last) {
            return Err(out_of_range());
        }
        ranges.push((from, to));
    }
    let wanted = ranges.iter().try_fold(1i64, |n, (from, to)| n.checked_mul(to - from + 1));
    let enough = wanted.and_then(|n| usize::try_from(n).ok()).is_some_and(|n| n <= source.len());
    if !enough {
        return Err(subscript_error("source array too small"));
    }
    let (mut values, dims) = match (array.dims.as_slice(), ranges.as_slice()) {
        ([dim], [range]) => {
            let (values, dim) = extended(array, dim, *range)?;
            (values, vec![dim])
        }
        _ => (array.iter().collect(), array.dims.clone()),
    };
    for (place, value) in places(&dims, &ranges).into_iter().zip(source.iter()) {
        if let Some(slot) = values.get_mut(place) {
            *slot = value;
        }
    }
    Ok(made(elem, dims, values))
}

/// A slice of an array that has nothing yet.
fn first_slice(elem: Oid, bounds: &[(Option<i32>, Option<i32>)], source: &Array) -> Result<Array> {
    let mut dims = Vec::with_capacity(bounds.len());
    let mut wanted = 1i64;
    for bound in bounds {
        let (Some(from), Some(to)) = bound else {
            return Err(subscript_error("array slice subscript must provide both boundaries")
                .detail(
                    "When assigning to a slice of an empty array value, slice boundaries must be \
                     fully specified.",
                ));
        };
        let dim = dim_of((i64::from(*from), i64::from(*to)))?;
        wanted = wanted.saturating_mul(i64::from(dim.len));
        checked_size(wanted)?;
        dims.push(dim);
    }
    let wanted = usize::try_from(wanted).unwrap_or(0);
    if source.len() < wanted {
        return Err(subscript_error("source array too small"));
    }
    if wanted == 0 {
        dims.clear();
    }
    Ok(made(elem, dims, source.iter().take(wanted).collect()))
}

/// Where the elements of a slice are, in order.
fn places(dims: &[Dim], ranges: &[Range]) -> Vec<usize> {
    let mut out = vec![0usize];
    for (dim, (from, to)) in dims.iter().zip(ranges) {
        let len = usize::try_from(dim.len).unwrap_or(0);
        let first = i64::from(dim.lower);
        let within = |at: i64| usize::try_from(at - first).unwrap_or(0);
        out = out
            .into_iter()
            .flat_map(|base| (*from..=*to).map(move |at| base * len + within(at)))
            .collect();
    }
    out
}
