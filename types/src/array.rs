//! Arrays: any element type, any number of dimensions, any lower bounds.

use crate::datum::{Datum, Oid};

/// Elements in row-major order. Vectors (`float4[]` without NULLs) stay packed.
#[derive(Clone, Debug)]
pub enum Elements {
    /// `float4[]` with no NULL among them.
    Float4(Vec<f32>),
    /// Everything else.
    Datums(Vec<Datum>),
}

/// A dimension: how many elements, and the subscript of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dim {
    /// Number of elements.
    pub len: i32,
    /// Subscript of the first, 1 unless said otherwise.
    pub lower: i32,
}

/// An array value. An empty array has no dimensions.
#[derive(Clone, Debug)]
pub struct Array {
    /// Type of the elements.
    pub elem: Oid,
    /// Outermost first; empty for `{}`.
    pub dims: Vec<Dim>,
    /// The elements; their number is the product of the dimensions.
    pub elements: Elements,
}

impl Array {
    /// A one-dimensional array with subscripts from 1.
    pub fn from_datums(elem: Oid, values: Vec<Datum>) -> Array {
        Array { elem, dims: one_dim(values.len()), elements: Elements::Datums(values) }
    }

    /// A `float4[]`.
    pub fn from_f32s(values: Vec<f32>) -> Array {
        Array {
            elem: crate::oid::FLOAT4,
            dims: one_dim(values.len()),
            elements: Elements::Float4(values),
        }
    }

    /// How many elements in all dimensions together.
    pub fn len(&self) -> usize {
        match &self.elements {
            Elements::Float4(v) => v.len(),
            Elements::Datums(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at a row-major index from 0; NULL past the end.
    pub fn get(&self, index: usize) -> Datum {
        match &self.elements {
            Elements::Float4(v) => v.get(index).map_or(Datum::Null, |x| Datum::Float4(*x)),
            Elements::Datums(v) => v.get(index).cloned().unwrap_or(Datum::Null),
        }
    }

    /// All elements in row-major order.
    pub fn iter(&self) -> impl Iterator<Item = Datum> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    /// The packed floats of a vector; `None` for other element types or where a NULL is among them.
    pub fn as_f32s(&self) -> Option<&[f32]> {
        match &self.elements {
            Elements::Float4(v) => Some(v),
            Elements::Datums(_) => None,
        }
    }
}

fn one_dim(len: usize) -> Vec<Dim> {
    match i32::try_from(len) {
        Ok(0) | Err(_) => Vec::new(),
        Ok(len) => vec![Dim { len, lower: 1 }],
    }
}
