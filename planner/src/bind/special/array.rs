//! `ARRAY[...]`, and arrays of a shape.

use std::sync::Arc;

use vicinity_types::array::{Array, Dim, Elements};
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::Special;
use crate::call::{PgType, Typed};

/// `ARRAY[...]` of elements, or of arrays where `nested`.
pub(crate) fn array_ctor(args: Vec<Typed>, target: PgType, elem: u32, nested: bool) -> Typed {
    let types = args.iter().map(|a| a.ty).collect();
    Special::new("array", types, target, move |_, args| {
        if nested {
            nest(elem, args)
        } else {
            let len = i32::try_from(args.len()).map_err(|_| too_large())?;
            let dims = if len == 0 { Vec::new() } else { vec![Dim { len, lower: 1 }] };
            Ok(Datum::Array(Arc::new(shaped(elem, dims, args.to_vec()))))
        }
    })
    .lenient()
    .detail(if nested { "nested" } else { "" })
    .shown(|args| format!("ARRAY[{}]", args.join(", ")))
    .over(args.into_iter().map(|a| a.expr).collect())
}

fn nest(elem: u32, args: &[Datum]) -> Result<Datum> {
    let unlike = || {
        PgError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "multidimensional arrays must have array expressions with matching dimensions",
        )
    };
    let mut dims: Option<Vec<Dim>> = None;
    let mut values = Vec::new();
    let mut count = 0i32;
    for arg in args {
        let Datum::Array(array) = arg else { continue };
        if array.is_empty() {
            continue;
        }
        vicinity_types::io::array::check_dims(array.dims.len() + 1)?;
        match &dims {
            Some(have) if *have != array.dims => return Err(unlike()),
            _ => dims = Some(array.dims.clone()),
        }
        values.extend(array.iter());
        count += 1;
    }
    let Some(inner) = dims else {
        return Ok(Datum::Array(Arc::new(shaped(elem, Vec::new(), Vec::new()))));
    };
    if usize::try_from(count).unwrap_or(0) != args.len() {
        return Err(unlike());
    }
    let mut dims = vec![Dim { len: count, lower: 1 }];
    dims.extend(inner);
    Ok(Datum::Array(Arc::new(shaped(elem, dims, values))))
}

/// An array of a shape; float4 elements without NULLs are kept packed.
pub(crate) fn shaped(elem: u32, dims: Vec<Dim>, values: Vec<Datum>) -> Array {
    if elem == oid::FLOAT4 {
        let packed: Option<Vec<f32>> = values
            .iter()
            .map(|v| match v {
                Datum::Float4(x) => Some(*x),
                _ => None,
            })
            .collect();
        if let Some(packed) = packed {
            return Array { elem, dims, elements: Elements::Float4(packed) };
        }
    }
    Array { elem, dims, elements: Elements::Datums(values) }
}

fn too_large() -> PgError {
    PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed")
}
