//! Enums. A value is its label's place: a fixed-point number whose order is the labels' order, so
//! that values are compared, sorted and kept in indexes without asking the catalog.
//!
//! Labels made together are whole numbers apart; one added between two takes the middle, which is
//! what `pg_enum.enumsortorder` shows. A label keeps its place for life: rows and indexes hold it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::datum::{Datum, Oid};
use crate::error::{PgError, Result, SqlState};
use crate::io::Io;
use crate::oid;

/// The distance between two labels made together.
const UNIT: i64 = 1 << 32;

/// A label of an enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Its row in `pg_enum`.
    pub oid: Oid,
    /// What rows hold.
    pub place: i64,
    /// How it is written.
    pub text: Arc<str>,
}

impl Label {
    /// `enumsortorder`
    #[allow(clippy::cast_precision_loss, reason = "PostgreSQL shows no more digits either")]
    pub fn sort_order(&self) -> f32 {
        (self.place as f64 / UNIT as f64) as f32
    }
}

/// A place behind `before` and ahead of `after`; `None` if there is no room between them.
pub fn place_between(before: Option<i64>, after: Option<i64>) -> Option<i64> {
    match (before, after) {
        (None, None) => Some(UNIT),
        (Some(before), None) => before.checked_add(UNIT),
        (None, Some(after)) => after.checked_sub(UNIT),
        (Some(before), Some(after)) => {
            let middle = before.midpoint(after);
            (before < middle && middle < after).then_some(middle)
        }
    }
}

/// The name of an enum, for messages.
fn type_name(ty: Oid, io: &Io<'_>) -> String {
    io.names.reg_out(oid::REGTYPE, ty).unwrap_or_else(|| ty.to_string())
}

/// Reads a label of an enum.
pub(crate) fn parse(ty: Oid, labels: &[Label], text: &str, io: &Io<'_>) -> Result<Datum> {
    let found = labels.iter().find(|label| &*label.text == text).ok_or_else(|| {
        PgError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input value for enum {}: \"{text}\"", type_name(ty, io)),
        )
    })?;
    if io.names.is_new_label(found.oid) {
        return Err(unsafe_use(text, &type_name(ty, io)));
    }
    Ok(Datum::Enum(found.place))
}

/// A label that may not stay: an index that holds it could not be made sense of.
pub fn unsafe_use(label: &str, name: &str) -> PgError {
    PgError::new(
        SqlState::UNSAFE_NEW_ENUM_VALUE_USAGE,
        format!("unsafe use of new value \"{label}\" of enum type {name}"),
    )
    .hint("New enum values must be committed before they can be used.")
}

/// The text of the label at a place.
pub(crate) fn label(ty: Oid, place: i64, io: &Io<'_>) -> Arc<str> {
    let labels = io.names.labels(ty).unwrap_or_default();
    match labels.iter().find(|label| label.place == place) {
        Some(label) => label.text.clone(),
        None => Arc::from(place.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn labels_fit_between_until_there_is_no_room() {
        let (first, mut second) = (UNIT, 2 * UNIT);
        let mut added = 0;
        while let Some(place) = place_between(Some(first), Some(second)) {
            assert!(first < place && place < second);
            second = place;
            added += 1;
        }
        assert_eq!(added, 32);
        assert!(place_between(None, Some(first)).unwrap() < first);
        assert!(place_between(Some(first), None).unwrap() > first);
    }
}
