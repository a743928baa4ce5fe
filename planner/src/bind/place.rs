//! Places of expressions that are no part of a query (`ParseExprKind`).

use vicinity_types::{PgError, Result, SqlState};

use super::Binder;

/// Where an expression stands by itself: its names in messages. It computes one value from one row,
/// or from none, so that aggregates, window functions, sets and queries are errors in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    IndexExpression,
    IndexPredicate,
    PartitionKey,
    PartitionBound,
    Generated,
    Check,
    Default,
    /// `ALTER COLUMN ... TYPE ... USING`
    Transform,
    TriggerWhen,
    CopyWhere,
    CallArgument,
}

impl Place {
    /// In `aggregate functions are not allowed in ...`.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Place::IndexExpression => "index expressions",
            Place::IndexPredicate => "index predicates",
            Place::PartitionKey => "partition key expressions",
            Place::PartitionBound => "partition bound",
            Place::Generated => "column generation expressions",
            Place::Check => "check constraints",
            Place::Default => "DEFAULT expressions",
            Place::Transform => "transform expressions",
            Place::TriggerWhen => "trigger WHEN conditions",
            Place::CopyWhere => "COPY FROM WHERE conditions",
            Place::CallArgument => "CALL arguments",
        }
    }

    /// In `cannot use subquery in ...`.
    fn singular(self) -> &'static str {
        match self {
            Place::IndexExpression => "index expression",
            Place::IndexPredicate => "index predicate",
            Place::PartitionKey => "partition key expression",
            Place::PartitionBound => "partition bound",
            Place::Generated => "column generation expression",
            Place::Check => "check constraint",
            Place::Default => "DEFAULT expression",
            Place::Transform => "transform expression",
            Place::TriggerWhen => "trigger WHEN condition",
            Place::CopyWhere => "COPY FROM WHERE condition",
            Place::CallArgument => "CALL argument",
        }
    }
}

impl Binder<'_> {
    /// An error where a query may not be within the expression that is bound.
    pub(super) fn check_query_allowed(&mut self) -> Result<()> {
        let Some(place) = self.level().own_place else { return Ok(()) };
        let text = format!("cannot use subquery in {}", place.singular());
        Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text))
    }

    /// The error of a set where there can be but one value.
    pub(super) fn no_sets_here(&mut self) -> PgError {
        let text = match self.level().own_place {
            Some(place) => {
                format!("set-returning functions are not allowed in {}", place.plural())
            }
            None => "set-returning functions are not allowed here".to_owned(),
        };
        PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text)
    }
}
