//! Taking arrays apart and putting them together.

use std::sync::Arc;

use vicinity_types::Datum::{self, Array as Arr, Int4, Null, Text};
use vicinity_types::array::{Array, Dim, Elements};
use vicinity_types::io::{TypeShape, as_text};
use vicinity_types::{Kind, Oid, PgError, Result, SqlState, compare, oid};

use super::build::{Collector, one_dimensional};
use crate::call::Signature;
use crate::env::Env;
use crate::order::{distinguishable, same};
use crate::out::check_size;

/// The element type of an array type.
pub(crate) fn element_type(env: &dyn Env, array: Oid) -> Oid {
    oid::element_of(array).unwrap_or_else(|| match env.io().names.type_info(array) {
        Some(info) => match info.shape {
            TypeShape::Array { elem } => elem,
            _ => array,
        },
        None => array,
    })
}

fn subscript_error(what: &str) -> PgError {
    PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, what)
}

fn dim(a: &Array, n: i32) -> Option<Dim> {
    a.dims.get(usize::try_from(n.checked_sub(1)?).ok()?).copied()
}

/// `[1:2][0:3]`
fn dims_text(a: &Array) -> Option<String> {
    if a.dims.is_empty() {
        return None;
    }
    let one = |d: &Dim| format!("[{}:{}]", d.lower, i64::from(d.lower) + i64::from(d.len) - 1);
    Some(a.dims.iter().map(one).collect())
}

fn with_elements(elem: Oid, dims: Vec<Dim>, values: impl Iterator<Item = Datum>) -> Array {
    let mut collector = Collector::new(elem);
    values.for_each(|v| collector.push(&v));
    let (elem, elements): (Oid, Elements) = collector.into_elements();
    Array { elem, dims, elements }
}

/// An array of one value many times: enough of them that somebody may want it to stop.
fn repeated(
    env: &dyn Env,
    elem: Oid,
    dims: Vec<Dim>,
    value: &Datum,
    count: usize,
) -> Result<Array> {
    const UNASKED: usize = 1 << 16;
    let mut collector = Collector::new(elem);
    for i in 0..count {
        if i % UNASKED == 0 {
            env.check()?;
        }
        collector.push(value);
    }
    let (elem, elements) = collector.into_elements();
    Ok(Array { elem, dims, elements })
}

fn one_dim_only(a: &Array) -> Result<()> {
    if a.dims.len() > 1 {
        return Err(PgError::new(
            SqlState::DATA_EXCEPTION,
            "argument must be empty or one-dimensional array",
        ));
    }
    Ok(())
}

/// A one-dimensional array with an element more at either end; its first subscript stays.
fn extend(a: Option<&Array>, elem: Oid, value: &Datum, front: bool) -> Result<Array> {
    let Some(a) = a.filter(|a| !a.is_empty()) else {
        return Ok(one_dimensional(elem, [value.clone()]));
    };
    one_dim_only(a)?;
    let lower = a.dims.first().map_or(1, |d| d.lower);
    let len = i32::try_from(a.len() + 1).map_err(|_| too_big())?;
    let dims = vec![Dim { len, lower }];
    let value = std::iter::once(value.clone());
    Ok(if front {
        with_elements(a.elem, dims, value.chain(a.iter()))
    } else {
        with_elements(a.elem, dims, a.iter().chain(value))
    })
}

fn too_big() -> PgError {
    PgError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "array size exceeds the maximum allowed (134217727)",
    )
}

/// `a || b`: along the first dimension, one of them possibly being an element of the other.
fn concatenate(a: &Arc<Array>, b: &Arc<Array>) -> Result<Arc<Array>> {
    if a.is_empty() {
        return Ok(b.clone());
    }
    if b.is_empty() {
        return Ok(a.clone());
    }
    let refuse = |detail: &str| {
        Err(subscript_error("cannot concatenate incompatible arrays").detail(detail))
    };
    let (m, n) = (a.dims.len(), b.dims.len());
    let first = |d: &[Dim]| d.first().copied().unwrap_or(Dim { len: 0, lower: 1 });
    let lens = |d: &[Dim]| d.iter().map(|d| d.len).collect::<Vec<_>>();
    let (head, rest): (Dim, Vec<Dim>) = if m == n {
        let rest = a.dims.get(1..).unwrap_or(&[]);
        if lens(rest) != lens(b.dims.get(1..).unwrap_or(&[])) {
            return refuse(
                "Arrays with differing element dimensions are not compatible for concatenation.",
            );
        }
        let (x, y) = (first(&a.dims), first(&b.dims));
        (Dim { len: x.len.checked_add(y.len).ok_or_else(too_big)?, lower: x.lower }, rest.to_vec())
    } else if m == n + 1 || n == m + 1 {
        let (outer, inner) = if m > n { (a, b) } else { (b, a) };
        let rest = outer.dims.get(1..).unwrap_or(&[]);
        if lens(rest) != lens(&inner.dims) {
            return refuse(
                "Arrays with differing dimensions are not compatible for concatenation.",
            );
        }
        let x = first(&outer.dims);
        // An element put in front takes the subscript before the first.
        (Dim { len: x.len.checked_add(1).ok_or_else(too_big)?, lower: x.lower }, rest.to_vec())
    } else {
        return Err(subscript_error("cannot concatenate incompatible arrays").detail(format!(
            "Arrays of {m} and {n} dimensions are not compatible for concatenation."
        )));
    };
    let dims = std::iter::once(head).chain(rest).collect();
    Ok(Arc::new(with_elements(a.elem, dims, a.iter().chain(b.iter()))))
}

fn one_dim_search(a: &Array) -> Result<()> {
    if a.dims.len() > 1 {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "searching for elements in multidimensional arrays is not supported",
        ));
    }
    Ok(())
}

/// NULL finds NULL here.
fn position(env: &dyn Env, a: &Array, value: &Datum, start: i32) -> Result<Option<i32>> {
    one_dim_search(a)?;
    // What the elements are does not matter then.
    if value.is_null() && !a.iter().any(|v| v.is_null()) {
        return Ok(None);
    }
    distinguishable(a)?;
    let lower = a.dims.first().map_or(1, |d| d.lower);
    let skip = usize::try_from(i64::from(start) - i64::from(lower)).unwrap_or(0);
    for (i, v) in a.iter().enumerate().skip(skip) {
        if same(env, &v, value)? {
            return Ok(i32::try_from(i).ok().map(|i| i + lower));
        }
    }
    Ok(None)
}

fn null_start() -> Result<Datum> {
    Err(PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "initial position must not be null"))
}

fn positions(env: &dyn Env, a: &Array, value: &Datum) -> Result<Array> {
    one_dim_search(a)?;
    distinguishable(a)?;
    let lower = a.dims.first().map_or(1, |d| d.lower);
    let mut found = Vec::new();
    for (i, v) in (lower..).zip(a.iter()) {
        if same(env, &v, value)? {
            found.push(Int4(i));
        }
    }
    Ok(Array::from_datums(oid::INT4, found))
}

fn remove(env: &dyn Env, a: &Arc<Array>, value: &Datum) -> Result<Arc<Array>> {
    if a.dims.len() > 1 {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "removing elements from multidimensional arrays is not supported",
        ));
    }
    distinguishable(a)?;
    let mut kept = Vec::with_capacity(a.len());
    for v in a.iter() {
        if !same(env, &v, value)? {
            kept.push(v);
        }
    }
    if kept.len() == a.len() {
        return Ok(a.clone());
    }
    let lower = a.dims.first().map_or(1, |d| d.lower);
    let mut shorter = one_dimensional(a.elem, kept);
    if let Some(d) = shorter.dims.first_mut() {
        d.lower = lower;
    }
    Ok(Arc::new(shorter))
}

fn replace(env: &dyn Env, a: &Array, from: &Datum, to: &Datum) -> Result<Array> {
    distinguishable(a)?;
    let swap = |v: Datum| Ok(if same(env, &v, from)? { to.clone() } else { v });
    let swapped = a.iter().map(swap).collect::<Result<Vec<_>>>()?;
    Ok(with_elements(a.elem, a.dims.clone(), swapped.into_iter()))
}

/// Whether a value that is not NULL is among an array's elements. A NULL is in nothing.
fn among(env: &dyn Env, value: &Datum, a: &Array) -> Result<bool> {
    for v in a.iter().filter(|v| !v.is_null()) {
        if same(env, value, &v)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether every element of `b` is in `a`.
fn contains(env: &dyn Env, a: &Array, b: &Array) -> Result<bool> {
    distinguishable(a)?;
    for v in b.iter() {
        if v.is_null() || !among(env, &v, a)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn overlaps(env: &dyn Env, a: &Array, b: &Array) -> Result<bool> {
    distinguishable(a)?;
    for v in b.iter().filter(|v| !v.is_null()) {
        if among(env, &v, a)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn trim(a: &Array, n: i32) -> Result<Array> {
    let len = a.dims.first().map_or(0, |d| d.len);
    if n < 0 || n > len {
        return Err(PgError::new(
            SqlState(*b"2202E"),
            format!("number of elements to trim must be between 0 and {len}"),
        ));
    }
    if n == len {
        return Ok(one_dimensional(a.elem, []));
    }
    let mut dims = a.dims.clone();
    let width = a.len() / usize::try_from(len).unwrap_or(1).max(1);
    if let Some(d) = dims.first_mut() {
        d.len = len - n;
    }
    let keep = width * usize::try_from(len - n).unwrap_or(0);
    for d in &mut dims {
        d.lower = 1;
    }
    Ok(with_elements(a.elem, dims, a.iter().take(keep)))
}

/// The ints of a dimensions argument.
fn bounds(a: &Array, what: &str) -> Result<Vec<i32>> {
    if a.dims.len() > 1 {
        return Err(subscript_error("wrong number of array subscripts")
            .detail("Dimension array must be one dimensional."));
    }
    let bound = |v: Datum| match v {
        Int4(n) => Ok(n),
        _ => Err(PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, format!("{what} cannot be null"))),
    };
    a.iter().map(bound).collect()
}

fn fill(
    env: &dyn Env,
    elem: Oid,
    value: &Datum,
    lens: &Datum,
    lowers: Option<&Datum>,
) -> Result<Array> {
    let missing = || {
        PgError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "dimension array or low bound array cannot be null",
        )
    };
    let Arr(lens) = lens else { return Err(missing()) };
    let lens = bounds(lens, "dimension values")?;
    let lowers = match lowers {
        None => vec![1; lens.len()],
        Some(Arr(lowers)) => bounds(lowers, "dimension values")?,
        Some(_) => return Err(missing()),
    };
    vicinity_types::io::array::check_dims(lens.len())?;
    if lens.len() != lowers.len() {
        return Err(subscript_error("wrong number of array subscripts")
            .detail("Low bound array has different size than dimensions array."));
    }
    let count = lens.iter().try_fold(1usize, |product, len| {
        product.checked_mul(usize::try_from(*len).ok()?).filter(|n| *n <= 134_217_727)
    });
    let count = count.ok_or_else(too_big)?;
    let width = value.kind().and_then(Kind::width).unwrap_or(1);
    check_size(count * width + 12 + 8 * lens.len())?;
    if count == 0 || lens.is_empty() {
        return Ok(one_dimensional(elem, []));
    }
    let dims = lens.iter().zip(&lowers).map(|(len, lower)| Dim { len: *len, lower: *lower });
    repeated(env, elem, dims.collect(), value, count)
}

/// `array_to_string`: NULLs are skipped or shown as a text.
fn join(env: &dyn Env, a: &Array, separator: &str, null: Option<&str>) -> Result<String> {
    let io = env.io();
    let mut text = String::new();
    let mut first = true;
    for value in a.iter() {
        let shown = match (&value, null) {
            (Null, None) => continue,
            (Null, Some(null)) => null.to_owned(),
            (value, _) => as_text(a.elem, value, &io)?,
        };
        if !first {
            text.push_str(separator);
        }
        first = false;
        text.push_str(&shown);
    }
    Ok(text)
}

/// The place of a value among sorted thresholds.
fn width_bucket(value: &Datum, thresholds: &Array) -> Result<i32> {
    if thresholds.dims.len() > 1 {
        return Err(subscript_error("thresholds must be one-dimensional array"));
    }
    if thresholds.iter().any(|t| t.is_null()) {
        return Err(PgError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "thresholds array must not contain NULLs",
        ));
    }
    let below = thresholds.iter().filter(|t| compare(t, value).is_le()).count();
    Ok(crate::text::int4(below))
}

fn elem(env: &dyn Env, types: &Signature, array: usize) -> Oid {
    element_type(env, types.arg(array))
}

scalars! { pub(crate) PLAIN, env;
    "array_length" [Arr(a), Int4(n)] => dim(a, *n).map(|d| d.len);
    "array_lower" [Arr(a), Int4(n)] => dim(a, *n).map(|d| d.lower);
    "array_upper" [Arr(a), Int4(n)] => dim(a, *n).map(|d| d.lower.saturating_add(d.len - 1));
    "array_ndims" [Arr(a)] => if a.dims.is_empty() { None } else { i32::try_from(a.dims.len()).ok() };
    "array_dims" [Arr(a)] => dims_text(a);
    "array_cardinality" [Arr(a)] => crate::text::int4(a.len());
    "arraycontains" [Arr(a), Arr(b)] => contains(env, a, b);
    "arraycontained" [Arr(a), Arr(b)] => contains(env, b, a);
    "arrayoverlap" [Arr(a), Arr(b)] => overlaps(env, a, b);
    "array_position" [Arr(a), v] => position(env, a, v, i32::MIN), [_, _] => Null;
    "array_position_start" [_, _, Null] => null_start(),
        [Arr(a), v, Int4(s)] => position(env, a, v, *s), [_, _, _] => Null;
    "array_positions" [Arr(a), v] => positions(env, a, v), [_, _] => Null;
    "array_remove" [Arr(a), v] => remove(env, a, v).map(Arr), [_, _] => Null;
    "array_replace" [Arr(a), from, to] => replace(env, a, from, to), [_, _, _] => Null;
    "trim_array" [Arr(a), Int4(n)] => trim(a, *n);
    "array_to_text" [Arr(a), Text(s)] => join(env, a, s, None);
    "array_to_text_null" [Arr(a), Text(s), Text(n)] => join(env, a, s, Some(n)),
        [Arr(a), Text(s), Null] => join(env, a, s, None), [_, _, _] => Null;
    "width_bucket_array" [v, Arr(a)] => width_bucket(v, a);
    "array_cat" [Arr(a), Arr(b)] => concatenate(a, b).map(Arr),
        [Arr(a), Null] => Arr(a.clone()), [Null, Arr(b)] => Arr(b.clone()), [_, _] => Null;
}

typed_scalars! { pub(crate) TYPED, env, types;
    "array_append" [Arr(a), v] => extend(Some(a), elem(env, types, 0), v, false),
        [Null, v] => extend(None, elem(env, types, 0), v, false);
    "array_prepend" [v, Arr(a)] => extend(Some(a), elem(env, types, 1), v, true),
        [v, Null] => extend(None, elem(env, types, 1), v, true);
    "array_fill" [v, lens] => fill(env, types.arg(0), v, lens, None);
    "array_fill_with_lower_bounds" [v, lens, lowers] => fill(env, types.arg(0), v, lens, Some(lowers));
}
