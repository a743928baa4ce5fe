//! Enums: a value is its label's place, so that only what deals in labels asks for the type.

use std::sync::Arc;

use vicinity_types::Datum::{self, Enum, Null};
use vicinity_types::array::Array;
use vicinity_types::enums::{Label, unsafe_use};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use crate::call::Signature;
use crate::env::Env;

fn enum_type(types: &Signature) -> Result<Oid> {
    match types.args.first() {
        Some(ty) => Ok(*ty),
        None => Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "could not determine actual enum type",
        )),
    }
}

fn labels(env: &dyn Env, ty: Oid) -> Arc<[Label]> {
    env.io().names.labels(ty).unwrap_or_default()
}

/// An error (55P04) for a label that the transaction of now has added.
fn check_label(env: &dyn Env, ty: Oid, label: &Label) -> Result<()> {
    let io = env.io();
    if !io.names.is_new_label(label.oid) {
        return Ok(());
    }
    let name = io.names.reg_out(oid::REGTYPE, ty).unwrap_or_default();
    Err(unsafe_use(&label.text, &name))
}

/// The first or last label.
fn edge(env: &dyn Env, types: &Signature, last: bool) -> Result<Datum> {
    let ty = enum_type(types)?;
    let labels = labels(env, ty);
    let label = if last { labels.last() } else { labels.first() };
    label.map_or(Ok(()), |label| check_label(env, ty, label))?;
    Ok(label.map_or(Null, |l| Enum(l.place)))
}

/// The labels between two, NULL standing for either end.
fn range(env: &dyn Env, types: &Signature, from: &Datum, to: &Datum) -> Result<Array> {
    let ty = enum_type(types)?;
    let bound = |bound: &Datum, end: i64| if let Enum(place) = bound { *place } else { end };
    let within = bound(from, i64::MIN)..=bound(to, i64::MAX);
    let all = labels(env, ty);
    let found = || all.iter().filter(|label| within.contains(&label.place));
    found().try_for_each(|label| check_label(env, ty, label))?;
    Ok(Array::from_datums(ty, found().map(|label| Enum(label.place)).collect()))
}

typed_scalars! { pub(crate) ENUMS, env, types;
    "enum_eq" [Enum(a), Enum(b)] => a == b;
    "enum_ne" [Enum(a), Enum(b)] => a != b;
    "enum_lt" [Enum(a), Enum(b)] => a < b;
    "enum_le" [Enum(a), Enum(b)] => a <= b;
    "enum_gt" [Enum(a), Enum(b)] => a > b;
    "enum_ge" [Enum(a), Enum(b)] => a >= b;
    "enum_cmp" [Enum(a), Enum(b)] => a.cmp(b) as i32;
    "enum_larger" [Enum(a), Enum(b)] => Enum(*a.max(b));
    "enum_smaller" [Enum(a), Enum(b)] => Enum(*a.min(b));
    "enum_first" [_] => edge(env, types, false);
    "enum_last" [_] => edge(env, types, true);
    "enum_range_all" [_] => range(env, types, &Null, &Null);
    "enum_range_bounds" [a, b] => range(env, types, a, b);
}
