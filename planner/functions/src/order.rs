//! Comparison of the kinds that have nothing special about it, by their btree order.

use std::cmp::Ordering;

use vicinity_types::Datum::{Array as Arr, Record as Row};
use vicinity_types::array::Array;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, compare, equal, oid};

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

fn elements(a: &Array, what: &str) -> Result<()> {
    if lacks_order(a.elem) {
        return Err(lacks(what, &vicinity_types::typname::format_type(a.elem, -1)));
    }
    Ok(())
}

/// The elements of an array can be told apart, or it is an error.
pub(crate) fn distinguishable(a: &Array) -> Result<()> {
    elements(a, "an equality operator")
}

fn arrays_equal(a: &Datum, b: &Datum) -> Result<bool> {
    if let Arr(array) = a {
        distinguishable(array)?;
    }
    Ok(equal(a, b))
}

fn arrays(a: &Datum, b: &Datum) -> Result<Ordering> {
    if let Arr(array) = a {
        elements(array, "a comparison function")?;
    }
    Ok(compare(a, b))
}

/// Rows are told apart, or ordered, field by field as far as they are alike: an error where one has no means for it.
fn checked(a: &Datum, b: &Datum, what: &str) -> Result<Ordering> {
    match (a, b) {
        (Row(left), Row(right)) => {
            for ((ty, a), (_, b)) in left.fields.iter().zip(&right.fields) {
                if lacks_order(*ty) {
                    return Err(lacks(what, &vicinity_types::typname::format_type(*ty, -1)));
                }
                let order = checked(a, b, what)?;
                if order.is_ne() {
                    return Ok(order);
                }
            }
        }
        (Arr(array), _) => elements(array, what)?,
        _ => {}
    }
    Ok(compare(a, b))
}

fn rows_equal(a: &Datum, b: &Datum) -> Result<bool> {
    Ok(checked(a, b, "an equality operator")?.is_eq())
}

fn rows(a: &Datum, b: &Datum) -> Result<Ordering> {
    checked(a, b, "a comparison function")
}

scalars! { pub(crate) COMPARE, env;
    "record_eq" [a, b] => rows_equal(a, b);
    "record_ne" [a, b] => !rows_equal(a, b)?;
    "record_lt" [a, b] => rows(a, b)?.is_lt();
    "record_le" [a, b] => rows(a, b)?.is_le();
    "record_gt" [a, b] => rows(a, b)?.is_gt();
    "record_ge" [a, b] => rows(a, b)?.is_ge();
    "btrecordcmp" [a, b] => rows(a, b)? as i32;
    "array_eq" [a, b] => arrays_equal(a, b);
    "array_ne" [a, b] => !arrays_equal(a, b)?;
    "array_lt" [a, b] => arrays(a, b)?.is_lt();
    "array_le" [a, b] => arrays(a, b)?.is_le();
    "array_gt" [a, b] => arrays(a, b)?.is_gt();
    "array_ge" [a, b] => arrays(a, b)?.is_ge();
    "btarraycmp" [a, b] => arrays(a, b)? as i32;
    "array_larger" [a, b] => if arrays(a, b)?.is_gt() { a.clone() } else { b.clone() };
    "array_smaller" [a, b] => if arrays(a, b)?.is_lt() { a.clone() } else { b.clone() };
    "date_eq" | "time_eq" | "timetz_eq" | "timestamp_eq" | "interval_eq" | "uuid_eq" | "pg_lsn_eq" | "jsonb_eq" | "record_image_eq" | "xid8eq" | "tideq" [a, b] => equal(a, b);
    "date_ne" | "time_ne" | "timetz_ne" | "timestamp_ne" | "interval_ne" | "uuid_ne" | "pg_lsn_ne" | "jsonb_ne" | "record_image_ne" | "xid8ne" | "tidne" [a, b] => !equal(a, b);
    "date_lt" | "time_lt" | "timetz_lt" | "timestamp_lt" | "interval_lt" | "uuid_lt" | "pg_lsn_lt" | "jsonb_lt" | "record_image_lt" | "xid8lt" | "tidlt" [a, b] => compare(a, b).is_lt();
    "date_le" | "time_le" | "timetz_le" | "timestamp_le" | "interval_le" | "uuid_le" | "pg_lsn_le" | "jsonb_le" | "record_image_le" | "xid8le" | "tidle" [a, b] => compare(a, b).is_le();
    "date_gt" | "time_gt" | "timetz_gt" | "timestamp_gt" | "interval_gt" | "uuid_gt" | "pg_lsn_gt" | "jsonb_gt" | "record_image_gt" | "xid8gt" | "tidgt" [a, b] => compare(a, b).is_gt();
    "date_ge" | "time_ge" | "timetz_ge" | "timestamp_ge" | "interval_ge" | "uuid_ge" | "pg_lsn_ge" | "jsonb_ge" | "record_image_ge" | "xid8ge" | "tidge" [a, b] => compare(a, b).is_ge();
    "date_cmp" | "time_cmp" | "timetz_cmp" | "timestamp_cmp" | "interval_cmp" | "uuid_cmp" | "pg_lsn_cmp" | "jsonb_cmp" | "xid8cmp" | "bttidcmp" | "btrecordimagecmp" [a, b] => compare(a, b) as i32;
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
