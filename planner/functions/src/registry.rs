//! Implementations by `prosrc`.

use std::collections::HashMap;
use std::sync::LazyLock;

use vicinity_types::{Datum, PgError, Result};

use crate::aggregate;
use crate::call::Signature;
use crate::catalog::Proc;
use crate::env::Env;
use crate::{array, datetime, geo, json, number, numeric, text};

/// A function of values alone. Strict ones are never called with a NULL: the caller checks
/// [`Proc::strict`].
pub type ScalarFn = fn(&dyn Env, &[Datum]) -> Result<Datum>;

/// A function that also asks for the types of its arguments and result (`to_json`, `concat`).
pub type TypedFn = fn(&dyn Env, &Signature, &[Datum]) -> Result<Datum>;

/// Rows of output columns, one column where the function returns a set of plain values.
pub type Rows = Box<dyn Iterator<Item = Result<Vec<Datum>>> + Send>;

/// A set-returning function.
pub type SetFn = fn(&dyn Env, &[Datum]) -> Result<Rows>;

type Table<F> = &'static [(&'static [&'static str], F)];

const SCALARS: &[Table<ScalarFn>] = &[
    number::int::COMPARE,
    number::int::ARITHMETIC,
    number::int::CAST,
    number::float::COMPARE,
    number::float::ARITHMETIC,
    number::float::CAST,
    number::math::MATH,
    number::boolean::BOOLEAN,
    crate::pase::PASE,
    crate::order::COMPARE,
    crate::in_range::IN_RANGE,
    crate::system::acl::ACL,
    crate::system::hash::HASH,
    crate::system::hash_parts::HASH_PARTS,
    crate::system::information::INFORMATION,
    crate::system::misc::MISC,
    crate::system::size::SIZE,
    crate::formatting::number::NUMBER,
    crate::formatting::read::READ,
    crate::formatting::write::WRITE,
    array::functions::PLAIN,
    json::access::ACCESS,
    json::binary::BINARY,
    json::build::PLAIN,
    json::modify::MODIFY,
    datetime::arithmetic::ARITHMETIC,
    datetime::convert::CONVERT,
    datetime::extract::EXTRACT,
    datetime::interval::INTERVAL,
    datetime::mixed::MIXED,
    datetime::truncate::TRUNCATE,
    numeric::arithmetic::ARITHMETIC,
    numeric::cast::CAST,
    numeric::functions::FUNCTIONS,
    geo::point::POINT,
    geo::boxes::BOXES,
    geo::line::LINE,
    geo::lseg::LSEG,
    geo::path::PATH,
    geo::polygon::POLYGON,
    geo::circle::CIRCLE,
    crate::bits::BITS,
    text::compare::COMPARE,
    text::basic::BASIC,
    text::convert::CONVERT,
    text::bytes::BYTES,
    text::like::LIKE,
    text::search::SEARCH,
    text::normal::NORMAL,
    text::regexp::REGEXP,
];

const TYPED: &[Table<TypedFn>] = &[
    crate::partition::TYPED,
    crate::enums::ENUMS,
    array::functions::TYPED,
    json::build::TYPED,
    json::record::RECORD,
    text::format::FORMAT,
];

const SETS: &[Table<SetFn>] = &[
    crate::partition::PARTITION,
    crate::series::SERIES,
    crate::system::acl::ACL_SETS,
    crate::system::information::OPTIONS,
    crate::system::keywords::KEYWORDS,
    json::sets::SETS,
    text::search::SETS,
    text::regexp::SETS,
];

fn index<F: Copy>(tables: &[Table<F>]) -> HashMap<&'static str, F> {
    let mut map = HashMap::new();
    for (names, function) in tables.iter().flat_map(|table| table.iter()) {
        map.extend(names.iter().map(|name| (*name, *function)));
    }
    map
}

static SCALAR_INDEX: LazyLock<HashMap<&'static str, ScalarFn>> = LazyLock::new(|| index(SCALARS));
static TYPED_INDEX: LazyLock<HashMap<&'static str, TypedFn>> = LazyLock::new(|| index(TYPED));
static SET_INDEX: LazyLock<HashMap<&'static str, SetFn>> = LazyLock::new(|| index(SETS));

/// The implementation of a scalar function that depends on its values alone.
pub fn scalar(src: &str) -> Option<ScalarFn> {
    SCALAR_INDEX.get(src).copied()
}

/// The implementation of a scalar function that needs its argument types; see [`crate::Call`].
pub fn typed(src: &str) -> Option<TypedFn> {
    TYPED_INDEX.get(src).copied()
}

/// The implementation of a set-returning function.
pub fn set_returning(src: &str) -> Option<SetFn> {
    SET_INDEX.get(src).copied()
}

/// Whether a row of `pg_proc` has an implementation in this crate.
pub(crate) fn implements(proc: &Proc) -> bool {
    match proc.kind {
        b'a' => aggregate::implements(proc),
        b'f' if json::record::gives_rows(proc.src) => true,
        b'f' if proc.retset => SET_INDEX.contains_key(proc.src),
        b'f' => SCALAR_INDEX.contains_key(proc.src) || TYPED_INDEX.contains_key(proc.src),
        _ => false,
    }
}

/// A function was given values of other kinds than its declaration says.
#[cold]
pub(crate) fn mismatch(names: &[&str], args: &[Datum]) -> PgError {
    let name = names.first().copied().unwrap_or("?");
    PgError::internal(format!("function {name} was called with arguments {args:?}"))
}

/// The result of a set-returning function that is called with a NULL it does not take.
pub(crate) fn no_rows() -> Result<Rows> {
    Ok(Box::new(std::iter::empty()))
}
