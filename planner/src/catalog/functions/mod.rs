//! Functions that need the catalog, the session or storage: found by `prosrc` like the built-in ones.

mod advisory;
mod definitions;
mod privileges;
mod sequences;
mod session;
mod sizes;
mod visibility;

use vicinity_types::{Datum, Result};

use crate::context::ExecContext;

pub use sequences::last_value as sequence_last_value;

/// A function over the statement's context. Strict ones are never called with a NULL.
pub type CatalogFn = fn(&ExecContext, &[Datum]) -> Result<Datum>;

/// The implementation behind a `prosrc`.
pub fn lookup(src: &str) -> Option<CatalogFn> {
    definitions::lookup(src)
        .or_else(|| advisory::lookup(src))
        .or_else(|| visibility::lookup(src))
        .or_else(|| privileges::lookup(src))
        .or_else(|| sequences::lookup(src))
        .or_else(|| session::lookup(src))
        .or_else(|| sizes::lookup(src))
}

/// The id among the arguments at a place; 0 where there is none.
fn oid_at(args: &[Datum], at: usize) -> vicinity_types::Oid {
    match args.get(at) {
        Some(Datum::Oid(oid)) => *oid,
        _ => 0,
    }
}

fn int_at(args: &[Datum], at: usize) -> i64 {
    match args.get(at) {
        Some(Datum::Int2(n)) => i64::from(*n),
        Some(Datum::Int4(n)) => i64::from(*n),
        Some(Datum::Int8(n)) => *n,
        _ => 0,
    }
}

fn text_at(args: &[Datum], at: usize) -> &str {
    match args.get(at) {
        Some(Datum::Text(s)) => s,
        _ => "",
    }
}

fn text_or_null(s: Option<impl AsRef<str>>) -> Datum {
    s.map_or(Datum::Null, Datum::text)
}
