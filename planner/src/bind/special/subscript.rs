//! Subscripts and slices of arrays, and the parts of values of fixed length.

use std::sync::Arc;

use vicinity_types::array::{Array, Dim};
use vicinity_types::{Datum, Result, oid};

use super::{Special, shaped};
use crate::call::{PgType, Typed};

/// What stands in brackets behind an array.
pub(crate) enum Subscripts {
    Element(Vec<Typed>),
    /// A lower and an upper bound each, where they were not left out.
    Slice(Vec<(Option<Typed>, Option<Typed>)>),
}

/// `array[i][j]`: arguments are the array and its subscripts.
pub(crate) fn subscript(array: Typed, indices: Vec<Typed>, ret: PgType) -> Typed {
    let mut types = vec![array.ty];
    types.extend(indices.iter().map(|i| i.ty));
    let mut exprs = vec![array.expr];
    exprs.extend(indices.into_iter().map(|i| i.expr));
    Special::new("subscript", types, ret, |_, args| {
        Ok(match args.split_first() {
            Some((array @ Datum::Array(_), indices)) => crate::store::read(array, indices),
            Some((fixed, [Datum::Int4(index)])) => part(fixed, *index),
            _ => Datum::Null,
        })
    })
    .shown(|args| match args.split_first() {
        Some((array, indices)) => {
            let indices: Vec<String> = indices.iter().map(|i| format!("[{i}]")).collect();
            format!("{array}{}", indices.concat())
        }
        None => String::new(),
    })
    .over(exprs)
}

/// A part of a value of fixed length, counted from 0.
fn part(value: &Datum, index: i32) -> Datum {
    match (value, index) {
        (Datum::Point(p), 0) => Datum::Float8(p.x),
        (Datum::Point(p), 1) => Datum::Float8(p.y),
        (Datum::Line(l), 0) => Datum::Float8(l.a),
        (Datum::Line(l), 1) => Datum::Float8(l.b),
        (Datum::Line(l), 2) => Datum::Float8(l.c),
        (Datum::Lseg(l), 0) => Datum::Point(l.a),
        (Datum::Lseg(l), 1) => Datum::Point(l.b),
        (Datum::Box(b), 0) => Datum::Point(b.high),
        (Datum::Box(b), 1) => Datum::Point(b.low),
        (Datum::Text(name), at @ 0..64) => {
            let at = usize::try_from(at).unwrap_or_default();
            Datum::text(name.as_bytes().get(at).map_or_else(String::new, |b| match b.is_ascii() {
                true => char::from(*b).to_string(),
                false => format!("\\{b:03o}"),
            }))
        }
        _ => Datum::Null,
    }
}

/// `array[a:b][c:d]`: arguments are the array and a lower and an upper bound each (NULL where it
/// was left out).
pub(crate) fn slice(array: Typed, bounds: Vec<(Option<Typed>, Option<Typed>)>) -> Result<Typed> {
    let ret = array.ty;
    let int4 = PgType::new(oid::INT4);
    let mut types = vec![array.ty];
    let mut exprs = vec![array.expr];
    let mut given = Vec::new();
    for bound in bounds.into_iter().flat_map(|(a, b)| [a, b]) {
        types.push(int4);
        given.push(bound.is_some());
        exprs.push(match bound {
            Some(bound) => bound.expr,
            None => crate::call::literal(&Datum::Null, int4)?,
        });
    }
    let detail = format!("{given:?}");
    Ok(Special::new("slice", types, ret, move |_, args| {
        let Some((Datum::Array(array), bounds)) = args.split_first() else {
            return Ok(Datum::Null);
        };
        cut(array, bounds, &given)
    })
    .lenient()
    .detail(detail)
    .over(exprs))
}

fn cut(array: &Array, bounds: &[Datum], given: &[bool]) -> Result<Datum> {
    let empty = || Ok(Datum::Array(Arc::new(shaped(array.elem, Vec::new(), Vec::new()))));
    if bounds.len() / 2 > array.dims.len() {
        return empty();
    }
    let mut ranges = Vec::new();
    for (i, dim) in array.dims.iter().enumerate() {
        let (low, high) = (i64::from(dim.lower), i64::from(dim.lower) + i64::from(dim.len) - 1);
        let bound = |at: usize, missing: i64| match (given.get(at), bounds.get(at)) {
            (Some(true), Some(Datum::Int4(v))) => Some(i64::from(*v)),
            (Some(true), _) => None,
            _ => Some(missing),
        };
        let (Some(from), Some(to)) = (bound(2 * i, low), bound(2 * i + 1, high)) else {
            return Ok(Datum::Null);
        };
        let (from, to) = (from.max(low), to.min(high));
        if from > to {
            return empty();
        }
        ranges.push((from - low, to - low));
    }
    let mut offsets = vec![0usize];
    for (dim, (from, to)) in array.dims.iter().zip(&ranges) {
        let len = usize::try_from(dim.len).unwrap_or(0);
        let mut next = Vec::new();
        for base in offsets {
            for at in *from..=*to {
                next.push(base * len + usize::try_from(at).unwrap_or(0));
            }
        }
        offsets = next;
    }
    let dims = ranges
        .iter()
        .map(|(from, to)| Dim { len: i32::try_from(to - from + 1).unwrap_or(0), lower: 1 })
        .collect();
    let values = offsets.into_iter().map(|at| array.get(at)).collect();
    Ok(Datum::Array(Arc::new(shaped(array.elem, dims, values))))
}
