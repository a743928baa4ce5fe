//! `array_agg` and `string_agg`.

use std::sync::Arc;

use vicinity_types::array::{Array, Dim, Elements};
use vicinity_types::io::check_length;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, oid};

use super::{Aggregate, MakeAggregate, maker};
use crate::array::build::Collector;
use crate::env::Env;

pub(super) fn make(name: &str, ty: Oid) -> Option<MakeAggregate> {
    match (name, ty) {
        ("array_agg", oid::ANYARRAY) => maker(ArraysAgg { elem: ty, seen: Vec::new() }),
        ("array_agg", ty) => match oid::element_of(ty) {
            Some(elem) if ty != oid::INT2VECTOR && ty != oid::OIDVECTOR => {
                maker(ArraysAgg { elem, seen: Vec::new() })
            }
            _ => Some(Box::new(move || {
                Box::new(ArrayAgg { collector: Collector::new(ty), arrays: None })
            })),
        },
        ("string_agg", oid::TEXT) => maker(StringAgg { text: None }),
        ("string_agg", oid::BYTEA) => maker(BytesAgg { bytes: None }),
        _ => None,
    }
}

/// `array_agg` of plain values, NULLs included. Arrays of user types come here too, and are told
/// by their values.
struct ArrayAgg {
    collector: Collector,
    arrays: Option<ArraysAgg>,
}

impl Aggregate for ArrayAgg {
    fn step(&mut self, env: &dyn Env, args: &[Datum]) -> Result<()> {
        let [value] = args else { return Ok(()) };
        if let Some(arrays) = &mut self.arrays {
            return arrays.step(env, args);
        }
        if let (Datum::Array(array), 0) = (value, self.collector.len())
            && !matches!(self.collector.elements().0, oid::INT2VECTOR | oid::OIDVECTOR)
        {
            let mut arrays = ArraysAgg { elem: array.elem, seen: Vec::new() };
            arrays.step(env, args)?;
            self.arrays = Some(arrays);
            return Ok(());
        }
        self.collector.push(value);
        Ok(())
    }

    fn finish(&mut self, env: &dyn Env) -> Result<Datum> {
        if let Some(arrays) = &mut self.arrays {
            return arrays.finish(env);
        }
        if self.collector.len() == 0 {
            return Ok(Datum::Null);
        }
        Ok(Datum::Array(Arc::new(self.collector.array())))
    }

    fn size(&self) -> usize {
        match &self.collector {
            Collector::Floats(v) => v.capacity() * 4,
            Collector::Datums(_, v) => v.capacity() * size_of::<Datum>(),
        }
    }
}

/// `array_agg` of arrays: one more dimension.
#[derive(Clone)]
struct ArraysAgg {
    elem: Oid,
    seen: Vec<Arc<Array>>,
}

impl Aggregate for ArraysAgg {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        let [Datum::Array(array)] = args else {
            return Err(PgError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "cannot accumulate null arrays",
            ));
        };
        let refuse = |what| Err(PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, what));
        if array.dims.is_empty() {
            return refuse("cannot accumulate empty arrays");
        }
        vicinity_types::io::array::check_dims(array.dims.len() + 1)?;
        if self.seen.first().is_some_and(|first| first.dims != array.dims) {
            return refuse("cannot accumulate arrays of different dimensionality");
        }
        self.elem = array.elem;
        self.seen.push(array.clone());
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        let Some(first) = self.seen.first() else { return Ok(Datum::Null) };
        let len = i32::try_from(self.seen.len()).unwrap_or(i32::MAX);
        let mut dims = vec![Dim { len, lower: 1 }];
        dims.extend(first.dims.iter().copied());
        let mut collector = Collector::new(self.elem);
        self.seen.iter().flat_map(|a| a.iter()).for_each(|v| collector.push(&v));
        let (elem, elements): (Oid, Elements) = collector.into_elements();
        Ok(Datum::Array(Arc::new(Array { elem, dims, elements })))
    }

    fn size(&self) -> usize {
        self.seen.iter().map(|a| a.len() * 8).sum()
    }
}

/// `ARRAY(SELECT ..)` of arrays: what `array_agg` makes of them, and an empty array of none.
pub fn array_of_arrays(env: &dyn Env, elem: Oid, arrays: &[Datum]) -> Result<Datum> {
    if arrays.is_empty() {
        return Ok(Datum::Array(Arc::new(Array::from_datums(elem, Vec::new()))));
    }
    let mut all = ArraysAgg { elem, seen: Vec::new() };
    for array in arrays {
        all.step(env, std::slice::from_ref(array))?;
    }
    all.finish(env)
}

/// `string_agg(text, text)`: the first value's separator is not used.
#[derive(Clone)]
struct StringAgg {
    text: Option<String>,
}

impl Aggregate for StringAgg {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        let [Datum::Text(value), separator] = args else { return Ok(()) };
        match (&mut self.text, separator) {
            (Some(text), Datum::Text(separator)) => {
                text.push_str(separator);
                text.push_str(value);
            }
            (Some(text), _) => text.push_str(value),
            (none, _) => *none = Some(value.as_ref().to_owned()),
        }
        check_length(self.text.as_ref().map_or(0, String::len))
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        Ok(self.text.as_ref().map_or(Datum::Null, Datum::text))
    }

    fn size(&self) -> usize {
        self.text.as_ref().map_or(0, String::capacity)
    }
}

/// `string_agg(bytea, bytea)`
#[derive(Clone)]
struct BytesAgg {
    bytes: Option<Vec<u8>>,
}

impl Aggregate for BytesAgg {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        let [Datum::Bytea(value), separator] = args else { return Ok(()) };
        match (&mut self.bytes, separator) {
            (Some(bytes), Datum::Bytea(separator)) => {
                bytes.extend_from_slice(separator);
                bytes.extend_from_slice(value);
            }
            (Some(bytes), _) => bytes.extend_from_slice(value),
            (none, _) => *none = Some(value.to_vec()),
        }
        check_length(self.bytes.as_ref().map_or(0, Vec::len))
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        Ok(self.bytes.as_ref().map_or(Datum::Null, |b| Datum::Bytea(Arc::from(b.as_slice()))))
    }

    fn size(&self) -> usize {
        self.bytes.as_ref().map_or(0, Vec::capacity)
    }
}
