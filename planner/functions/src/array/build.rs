//! Collecting elements into an array.

use vicinity_types::array::{Array, Elements};
use vicinity_types::{Datum, Oid, oid};

/// Elements on their way into an array: floats stay packed until a NULL comes.
#[derive(Debug)]
pub(crate) enum Collector {
    Floats(Vec<f32>),
    Datums(Oid, Vec<Datum>),
}

impl Collector {
    pub(crate) fn new(elem: Oid) -> Collector {
        if elem == oid::FLOAT4 {
            Collector::Floats(Vec::new())
        } else {
            Collector::Datums(elem, Vec::new())
        }
    }

    pub(crate) fn push(&mut self, value: &Datum) {
        match (&mut *self, value) {
            (Collector::Floats(floats), Datum::Float4(v)) => floats.push(*v),
            (Collector::Floats(floats), other) => {
                let mut datums: Vec<Datum> = floats.drain(..).map(Datum::Float4).collect();
                datums.push(other.clone());
                *self = Collector::Datums(oid::FLOAT4, datums);
            }
            (Collector::Datums(_, datums), value) => datums.push(value.clone()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Collector::Floats(v) => v.len(),
            Collector::Datums(_, v) => v.len(),
        }
    }

    /// The elements and their type.
    pub(crate) fn elements(&self) -> (Oid, Elements) {
        match self {
            Collector::Floats(v) => (oid::FLOAT4, Elements::Float4(v.clone())),
            Collector::Datums(elem, v) => (*elem, Elements::Datums(v.clone())),
        }
    }

    /// The same, without a copy.
    pub(crate) fn into_elements(self) -> (Oid, Elements) {
        match self {
            Collector::Floats(v) => (oid::FLOAT4, Elements::Float4(v)),
            Collector::Datums(elem, v) => (elem, Elements::Datums(v)),
        }
    }

    /// A one-dimensional array of what was collected.
    pub(crate) fn array(&self) -> Array {
        match self {
            Collector::Floats(v) => Array::from_f32s(v.clone()),
            Collector::Datums(elem, v) => Array::from_datums(*elem, v.clone()),
        }
    }
}

/// A one-dimensional array, packed where it can be.
pub(crate) fn one_dimensional(elem: Oid, values: impl IntoIterator<Item = Datum>) -> Array {
    let mut collector = Collector::new(elem);
    values.into_iter().for_each(|v| collector.push(&v));
    match collector {
        Collector::Floats(v) => Array::from_f32s(v),
        Collector::Datums(elem, v) => Array::from_datums(elem, v),
    }
}
