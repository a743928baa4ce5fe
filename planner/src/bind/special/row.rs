//! Rows: their fields, whether they are NULL, and how two of them compare.

use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::Special;
use crate::call::{PgType, Typed};

/// `(composite).field`
pub(crate) fn field_select(value: Typed, index: usize, name: String, ret: PgType) -> Typed {
    Special::new("field", vec![value.ty], ret, move |_, args| match args.first() {
        Some(Datum::Record(r)) => {
            Ok(r.fields.get(index).map_or(Datum::Null, |(_, value)| value.clone()))
        }
        _ => Ok(Datum::Null),
    })
    .detail(index.to_string())
    .shown(move |args| format!("({}).{name}", args.concat()))
    .over(vec![value.expr])
}

/// `row IS NULL`, `row IS NOT NULL`: of all its fields.
pub(crate) fn row_is_null(value: Typed, want_null: bool) -> Typed {
    Special::new("row_is_null", vec![value.ty], PgType::new(oid::BOOL), move |_, args| {
        Ok(Datum::Bool(match args.first() {
            Some(Datum::Record(r)) => r.fields.iter().all(|(_, v)| v.is_null() == want_null),
            Some(Datum::Null) | None => want_null,
            Some(_) => !want_null,
        }))
    })
    .lenient()
    .detail(if want_null { "null" } else { "not null" })
    .over(vec![value.expr])
}

/// A comparison of two rows by an operator's name.
pub(crate) fn row_test(left: Typed, right: Typed, name: &str) -> Result<Typed> {
    Ok(match name {
        "=" => row_equal(left, right, false),
        "<>" | "!=" => row_equal(left, right, true),
        "<" => row_compare(left, right, "<"),
        "<=" => row_compare(left, right, "<="),
        ">" => row_compare(left, right, ">"),
        ">=" => row_compare(left, right, ">="),
        other => {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("could not determine interpretation of row comparison operator {other}"),
            )
            .hint("Row comparison operators must be associated with btree operator families."));
        }
    })
}

/// Whether two rows are equal (or unequal, where `negated`), field by field: unknown if only NULLs
/// leave it open.
fn row_equal(left: Typed, right: Typed, negated: bool) -> Typed {
    Special::new("row_equal", vec![left.ty, right.ty], PgType::new(oid::BOOL), move |_, args| {
        let [Datum::Record(a), Datum::Record(b)] = args else { return Ok(Datum::Null) };
        let mut unknown = false;
        for ((_, x), (_, y)) in a.fields.iter().zip(&b.fields) {
            if x.is_null() || y.is_null() {
                unknown = true;
            } else if !vicinity_types::equal(x, y) {
                return Ok(Datum::Bool(negated));
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(!negated) })
    })
    .detail(if negated { "not" } else { "" })
    .shown(move |args| format!("({})", args.join(if negated { " <> " } else { " = " })))
    .over(vec![left.expr, right.expr])
}

/// Compares two rows field by field (`<`, `<=`, `>`, `>=` of rows).
fn row_compare(left: Typed, right: Typed, op: &'static str) -> Typed {
    Special::new("row_compare", vec![left.ty, right.ty], PgType::new(oid::BOOL), move |_, args| {
        let [Datum::Record(a), Datum::Record(b)] = args else { return Ok(Datum::Null) };
        for ((_, x), (_, y)) in a.fields.iter().zip(&b.fields) {
            if x.is_null() || y.is_null() {
                return Ok(Datum::Null);
            }
            let order = vicinity_types::compare(x, y);
            if order.is_ne() {
                return Ok(Datum::Bool(match op {
                    "<" | "<=" => order.is_lt(),
                    _ => order.is_gt(),
                }));
            }
        }
        Ok(Datum::Bool(matches!(op, "<=" | ">=")))
    })
    .detail(op)
    .shown(move |args| format!("({})", args.join(&format!(" {op} "))))
    .over(vec![left.expr, right.expr])
}
