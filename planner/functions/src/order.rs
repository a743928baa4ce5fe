//! Comparison of the kinds that have nothing special about it, by their btree order.

use std::cmp::Ordering;

use vicinity_types::Datum::{Array as Arr, Record as Row};
use vicinity_types::array::Array;
use vicinity_types::record::Record;
use vicinity_types::{Datum, Kind, Oid, PgError, Result, SqlState, compare, equal, oid};

use crate::env::Env;

/// An `oidvector` is first ordered by its length.
fn vectors(a: &Array, b: &Array) -> Ordering {
    let order = || a.iter().zip(b.iter()).map(|(x, y)| compare(&x, &y)).find(|o| o.is_ne());
    a.len().cmp(&b.len()).then_with(|| order().unwrap_or(Ordering::Equal))
}

/// Types with neither a btree nor a hash operator class: their values cannot be told apart or sorted.
pub fn lacks_order(ty: Oid) -> bool {
    matches!(
        ty,
        oid::JSON
            | oid::XML
            | oid::POINT
            | oid::LSEG
            | oid::PATH
            | oid::BOX
            | oid::POLYGON
            | oid::LINE
            | oid::CIRCLE
            | oid::PASE
    )
}

/// `could not identify an equality operator for type point`
pub fn lacks(what: &str, ty: &str) -> PgError {
    PgError::new(SqlState::UNDEFINED_FUNCTION, format!("could not identify {what} for type {ty}"))
}

/// What compares values with one another, and how it calls the means that a type may lack.
#[derive(Clone, Copy)]
enum Means {
    /// `=`
    Equality,
    /// btree order
    Order,
    /// The bytes themselves: `*=`, `*<`. No type lacks it.
    Image,
}

impl Means {
    fn serves(self, ty: Oid) -> Result<()> {
        let what = match self {
            Means::Image => return Ok(()),
            _ if !lacks_order(ty) => return Ok(()),
            Means::Equality => "an equality operator",
            Means::Order => "a comparison function",
        };
        Err(lacks(what, &vicinity_types::typname::format_type(ty, None)))
    }
}

/// The elements of an array can be told apart, or it is an error.
pub(crate) fn distinguishable(a: &Array) -> Result<()> {
    Means::Equality.serves(a.elem)
}

/// Compares two values as rows and arrays are compared: part by part as far as they are alike. An error
/// where parts have no means for it or, in rows, are not of one type.
fn checked(env: &dyn Env, a: &Datum, b: &Datum, by: Means) -> Result<Ordering> {
    match (a, b) {
        (Row(left), Row(right)) => rows(env, left, right, by),
        (Arr(left), Arr(right)) => {
            by.serves(left.elem)?;
            if oid::kind(left.elem).is_none_or(|kind| kind == Kind::Record) {
                for (a, b) in left.iter().zip(right.iter()) {
                    if checked(env, &a, &b, by)?.is_ne() {
                        break;
                    }
                }
            }
            Ok(compare(a, b))
        }
        _ => Ok(compare(a, b)),
    }
}

fn rows(env: &dyn Env, left: &Record, right: &Record, by: Means) -> Result<Ordering> {
    for (at, ((ty, a), (other, b))) in left.fields.iter().zip(&right.fields).enumerate() {
        if ty != other {
            return Err(dissimilar(env, *ty, *other, at + 1));
        }
        by.serves(*ty)?;
        let order = checked(env, a, b, by)?;
        if order.is_ne() {
            return Ok(order);
        }
    }
    if left.fields.len() != right.fields.len() {
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            "cannot compare record types with different numbers of columns",
        ));
    }
    Ok(Ordering::Equal)
}

#[cold]
fn dissimilar(env: &dyn Env, left: Oid, right: Oid, column: usize) -> PgError {
    let name = |ty| env.io().names.reg_out(oid::REGTYPE, ty).unwrap_or_else(|| ty.to_string());
    let (left, right) = (name(left), name(right));
    PgError::new(
        SqlState::DATATYPE_MISMATCH,
        format!(
            "cannot compare dissimilar column types {left} and {right} at record column {column}"
        ),
    )
}

/// Whether two values are equal; NULL equals NULL.
pub(crate) fn same(env: &dyn Env, a: &Datum, b: &Datum) -> Result<bool> {
    Ok(checked(env, a, b, Means::Equality)?.is_eq())
}

fn order(env: &dyn Env, a: &Datum, b: &Datum) -> Result<Ordering> {
    checked(env, a, b, Means::Order)
}

fn image(env: &dyn Env, a: &Datum, b: &Datum) -> Result<Ordering> {
    checked(env, a, b, Means::Image)
}

scalars! { pub(crate) COMPARE, env;
    "record_eq" | "array_eq" [a, b] => same(env, a, b);
    "record_ne" | "array_ne" [a, b] => !same(env, a, b)?;
    "record_lt" | "array_lt" [a, b] => order(env, a, b)?.is_lt();
    "record_le" | "array_le" [a, b] => order(env, a, b)?.is_le();
    "record_gt" | "array_gt" [a, b] => order(env, a, b)?.is_gt();
    "record_ge" | "array_ge" [a, b] => order(env, a, b)?.is_ge();
    "btrecordcmp" | "btarraycmp" [a, b] => order(env, a, b)? as i32;
    "array_larger" [a, b] => if order(env, a, b)?.is_gt() { a.clone() } else { b.clone() };
    "array_smaller" [a, b] => if order(env, a, b)?.is_lt() { a.clone() } else { b.clone() };
    "record_image_eq" [a, b] => image(env, a, b)?.is_eq();
    "record_image_ne" [a, b] => image(env, a, b)?.is_ne();
    "record_image_lt" [a, b] => image(env, a, b)?.is_lt();
    "record_image_le" [a, b] => image(env, a, b)?.is_le();
    "record_image_gt" [a, b] => image(env, a, b)?.is_gt();
    "record_image_ge" [a, b] => image(env, a, b)?.is_ge();
    "btrecordimagecmp" [a, b] => image(env, a, b)? as i32;
    "date_eq" | "time_eq" | "timetz_eq" | "timestamp_eq" | "interval_eq" | "uuid_eq" | "pg_lsn_eq" | "jsonb_eq" | "xid8eq" | "tideq" [a, b] => equal(a, b);
    "date_ne" | "time_ne" | "timetz_ne" | "timestamp_ne" | "interval_ne" | "uuid_ne" | "pg_lsn_ne" | "jsonb_ne" | "xid8ne" | "tidne" [a, b] => !equal(a, b);
    "date_lt" | "time_lt" | "timetz_lt" | "timestamp_lt" | "interval_lt" | "uuid_lt" | "pg_lsn_lt" | "jsonb_lt" | "xid8lt" | "tidlt" [a, b] => compare(a, b).is_lt();
    "date_le" | "time_le" | "timetz_le" | "timestamp_le" | "interval_le" | "uuid_le" | "pg_lsn_le" | "jsonb_le" | "xid8le" | "tidle" [a, b] => compare(a, b).is_le();
    "date_gt" | "time_gt" | "timetz_gt" | "timestamp_gt" | "interval_gt" | "uuid_gt" | "pg_lsn_gt" | "jsonb_gt" | "xid8gt" | "tidgt" [a, b] => compare(a, b).is_gt();
    "date_ge" | "time_ge" | "timetz_ge" | "timestamp_ge" | "interval_ge" | "uuid_ge" | "pg_lsn_ge" | "jsonb_ge" | "xid8ge" | "tidge" [a, b] => compare(a, b).is_ge();
    "date_cmp" | "time_cmp" | "timetz_cmp" | "timestamp_cmp" | "interval_cmp" | "uuid_cmp" | "pg_lsn_cmp" | "jsonb_cmp" | "xid8cmp" | "bttidcmp" [a, b] => compare(a, b) as i32;
    "date_larger" | "time_larger" | "timetz_larger" | "timestamp_larger" | "interval_larger" | "pg_lsn_larger" | "xid8_larger" | "tidlarger" [a, b] => if compare(a, b).is_gt() { a.clone() } else { b.clone() };
    "date_smaller" | "time_smaller" | "timetz_smaller" | "timestamp_smaller" | "interval_smaller" | "pg_lsn_smaller" | "xid8_smaller" | "tidsmaller" [a, b] => if compare(a, b).is_lt() { a.clone() } else { b.clone() };
    "oidvectoreq" [Arr(a), Arr(b)] => vectors(a, b).is_eq();
    "oidvectorne" [Arr(a), Arr(b)] => vectors(a, b).is_ne();
    "oidvectorlt" [Arr(a), Arr(b)] => vectors(a, b).is_lt();
    "oidvectorle" [Arr(a), Arr(b)] => vectors(a, b).is_le();
    "oidvectorgt" [Arr(a), Arr(b)] => vectors(a, b).is_gt();
    "oidvectorge" [Arr(a), Arr(b)] => vectors(a, b).is_ge();
    "btoidvectorcmp" [Arr(a), Arr(b)] => vectors(a, b) as i32;
}
