//! Enums: held as their labels, ordered by the labels' places.

use std::cmp::Ordering;
use std::sync::Arc;

use vicinity_types::Datum::{self, Null, Text};
use vicinity_types::array::Array;
use vicinity_types::io::TypeShape;
use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::call::Signature;
use crate::env::Env;

fn labels(env: &dyn Env, ty: Oid) -> Option<Arc<[String]>> {
    match env.io().names.type_info(ty)?.shape {
        TypeShape::Enum(labels) => Some(labels),
        _ => None,
    }
}

/// The order of two labels of an enum type.
pub(crate) fn compare(env: &dyn Env, ty: Oid, a: &str, b: &str) -> Ordering {
    match labels(env, ty) {
        Some(labels) => {
            let place = |label: &str| labels.iter().position(|l| l == label);
            place(a).cmp(&place(b))
        }
        None => a.cmp(b),
    }
}

fn enum_type(types: &Signature) -> Result<Oid> {
    match types.args.first() {
        Some(ty) => Ok(*ty),
        None => Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "could not determine actual enum type",
        )),
    }
}

/// The first or last label.
fn edge(env: &dyn Env, types: &Signature, last: bool) -> Result<Datum> {
    let labels = labels(env, enum_type(types)?).unwrap_or_default();
    let label = if last { labels.last() } else { labels.first() };
    Ok(label.map_or(Null, Datum::text))
}

/// The labels between two, NULL standing for either end.
fn range(env: &dyn Env, types: &Signature, from: &Datum, to: &Datum) -> Result<Array> {
    let ty = enum_type(types)?;
    let labels = labels(env, ty).unwrap_or_default();
    let place = |bound: &Datum, end: usize| match bound {
        Text(label) => labels.iter().position(|l| l.as_str() == label.as_ref()).unwrap_or(end),
        _ => end,
    };
    let (first, last) = (place(from, 0), place(to, labels.len().saturating_sub(1)));
    let values = labels.get(first..=last).unwrap_or(&[]).iter().map(Datum::text).collect();
    Ok(Array::from_datums(ty, values))
}

typed_scalars! { pub(crate) ENUMS, env, types;
    "enum_eq" [Text(a), Text(b)] => a == b;
    "enum_ne" [Text(a), Text(b)] => a != b;
    "enum_lt" [Text(a), Text(b)] => compare(env, types.arg(0), a, b).is_lt();
    "enum_le" [Text(a), Text(b)] => compare(env, types.arg(0), a, b).is_le();
    "enum_gt" [Text(a), Text(b)] => compare(env, types.arg(0), a, b).is_gt();
    "enum_ge" [Text(a), Text(b)] => compare(env, types.arg(0), a, b).is_ge();
    "enum_cmp" [Text(a), Text(b)] => compare(env, types.arg(0), a, b) as i32;
    "enum_larger" [Text(a), Text(b)] => if compare(env, types.arg(0), a, b).is_gt() { a.clone() } else { b.clone() };
    "enum_smaller" [Text(a), Text(b)] => if compare(env, types.arg(0), a, b).is_lt() { a.clone() } else { b.clone() };
    "enum_first" [_] => edge(env, types, false);
    "enum_last" [_] => edge(env, types, true);
    "enum_range_all" [_] => range(env, types, &Null, &Null);
    "enum_range_bounds" [a, b] => range(env, types, a, b);
}
