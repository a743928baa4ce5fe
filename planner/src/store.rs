//! Parts of values. Values with a part replaced: what assignments to `c[2]`, `c[1:2]` and `composite.field` give.
//! There need be no value before: the part is then all there is of it.

use std::sync::Arc;

use vicinity_functions::{set_element, set_slice, store_path};
use vicinity_types::array::Array;
use vicinity_types::geo::Point;
use vicinity_types::record::Record;
use vicinity_types::{Datum, Kind, Oid, PgError, Result, SqlState};

fn number(subscript: &Datum) -> Result<i32> {
    match subscript {
        Datum::Int4(n) => Ok(*n),
        _ => Err(null_subscript("array")),
    }
}

fn null_subscript(what: &str) -> PgError {
    PgError::new(
        SqlState::NULL_VALUE_NOT_ALLOWED,
        format!("{what} subscript in assignment must not be null"),
    )
}

fn array_of(container: &Datum) -> Option<&Array> {
    match container {
        Datum::Array(array) => Some(array),
        _ => None,
    }
}

/// `container[subscripts] = value`, for a container of a kind.
pub(crate) fn element(
    container: &Datum,
    kind: Kind,
    elem: Oid,
    value: Datum,
    subscripts: &[Datum],
) -> Result<Datum> {
    let subscripts = subscripts.iter().map(number).collect::<Result<Vec<_>>>()?;
    match container {
        // What has a fixed size cannot be begun with a part.
        Datum::Null if kind != Kind::Array => Ok(Datum::Null),
        Datum::Null | Datum::Array(_) => {
            let made = set_element(array_of(container), elem, &subscripts, value)?;
            Ok(Datum::Array(Arc::new(made)))
        }
        fixed => match subscripts.as_slice() {
            _ if value.is_null() => Ok(fixed.clone()),
            [at] => with_part(fixed, *at, &value),
            _ => Err(no_such_part()),
        },
    }
}

fn no_such_part() -> PgError {
    PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "array subscript out of range")
}

/// A geometric value with one of its parts replaced, counted from 0.
fn with_part(value: &Datum, at: i32, part: &Datum) -> Result<Datum> {
    let number = |part: &Datum| match part {
        Datum::Float8(n) => Ok(*n),
        _ => Err(no_such_part()),
    };
    let point = |part: &Datum| match part {
        Datum::Point(p) => Ok(*p),
        _ => Err(no_such_part()),
    };
    let mut out = value.clone();
    match (&mut out, at) {
        (Datum::Point(Point { x, .. }), 0) => *x = number(part)?,
        (Datum::Point(Point { y, .. }), 1) => *y = number(part)?,
        (Datum::Line(l), 0) => l.a = number(part)?,
        (Datum::Line(l), 1) => l.b = number(part)?,
        (Datum::Line(l), 2) => l.c = number(part)?,
        (Datum::Lseg(l), 0) => Arc::make_mut(l).a = point(part)?,
        (Datum::Lseg(l), 1) => Arc::make_mut(l).b = point(part)?,
        (Datum::Box(b), 0) => Arc::make_mut(b).high = point(part)?,
        (Datum::Box(b), 1) => Arc::make_mut(b).low = point(part)?,
        _ => return Err(no_such_part()),
    }
    Ok(out)
}

/// `container[subscripts]`; NULL where there is no such element.
pub(crate) fn read(container: &Datum, subscripts: &[Datum]) -> Datum {
    let Some(array) = array_of(container) else { return Datum::Null };
    if subscripts.len() != array.dims.len() {
        return Datum::Null;
    }
    let mut at = 0usize;
    for (dim, index) in array.dims.iter().zip(subscripts) {
        let Datum::Int4(index) = index else { return Datum::Null };
        let offset = i64::from(*index) - i64::from(dim.lower);
        let len = usize::try_from(dim.len).unwrap_or(0);
        match usize::try_from(offset) {
            Ok(offset) if offset < len => at = at * len + offset,
            _ => return Datum::Null,
        }
    }
    array.get(at)
}

/// `container[a:b] = source`: two bounds for each dimension, of which those not `given` were left out.
pub(crate) fn slice(
    container: &Datum,
    elem: Oid,
    source: &Datum,
    bounds: &[Datum],
    given: &[bool],
) -> Result<Datum> {
    let bound = |at: usize| match (given.get(at), bounds.get(at)) {
        (Some(true), Some(bound)) => number(bound).map(Some),
        _ => Ok(None),
    };
    let mut pairs = Vec::with_capacity(bounds.len() / 2);
    for at in (0..bounds.len()).step_by(2) {
        pairs.push((bound(at)?, bound(at + 1)?));
    }
    let Datum::Array(source) = source else {
        let empty = || Datum::Array(Arc::new(Array::from_datums(elem, Vec::new())));
        return Ok(if container.is_null() { empty() } else { container.clone() });
    };
    Ok(Datum::Array(Arc::new(set_slice(array_of(container), elem, &pairs, source)?)))
}

/// `container.field = value`, of a row whose fields are of these types.
pub(crate) fn field(
    container: &Datum,
    ty: Oid,
    fields: &[Oid],
    at: usize,
    value: Datum,
) -> Result<Datum> {
    let (mut values, names) = match container {
        Datum::Record(row) => {
            (row.fields.iter().map(|(_, v)| v.clone()).collect(), row.names.clone())
        }
        _ => (Vec::new(), None),
    };
    values.resize(fields.len(), Datum::Null);
    if let Some(slot) = values.get_mut(at) {
        *slot = value;
    }
    let fields = fields.iter().copied().zip(values).collect();
    Ok(Datum::Record(Arc::new(Record::new(ty, fields)?.named(names))))
}

/// `document['key'] = value`; a document that is not there yet is an array if `list`.
pub(crate) fn json(container: &Datum, value: &Datum, keys: &[Datum], list: bool) -> Result<Datum> {
    let mut path = Vec::with_capacity(keys.len());
    for key in keys {
        path.push(match key {
            Datum::Text(key) => key.to_string(),
            Datum::Int4(index) => index.to_string(),
            _ => return Err(null_subscript("jsonb")),
        });
    }
    let document = match container {
        Datum::Jsonb(document) => Some(&document.0),
        _ => None,
    };
    let new = match value {
        Datum::Jsonb(value) => value.0.clone(),
        _ => serde_json::Value::Null,
    };
    Ok(Datum::Jsonb(Arc::new(store_path(document, list, &path, new)?)))
}
