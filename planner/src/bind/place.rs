//! Places of expressions that are no part of a query (`ParseExprKind`).

use vicinity_types::{PgError, Result, SqlState};

use super::Binder;

/// What messages call the arguments of a function in FROM.
pub(super) const IN_FROM: &str = "functions in FROM";

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
    ExecuteParameter,
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
            Place::ExecuteParameter => "EXECUTE parameters",
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
            Place::ExecuteParameter => "EXECUTE parameter",
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

    /// Binds a part of a clause that may hold no aggregates, window functions and sets.
    pub(super) fn in_clause<T>(
        &mut self,
        clause: &'static str,
        bind: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let level = self.level();
        let aggregates = level.no_aggregates.replace(clause);
        let windows = level.no_windows.replace(clause);
        let sets = std::mem::replace(&mut level.sets_allowed, false);
        let bound = bind(self);
        let level = self.level();
        level.no_aggregates = aggregates;
        level.no_windows = windows;
        level.sets_allowed = sets;
        bound
    }

    /// Binds what is computed once for a row, or not at all, though the clause may hold sets.
    pub(super) fn without_sets<T>(
        &mut self,
        why: &'static str,
        bind: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let before = self.level().no_sets.replace(why);
        let bound = bind(self);
        self.level().no_sets = before;
        bound
    }

    /// An error where there can be but one value, no set.
    pub(super) fn check_sets_allowed(&mut self) -> Result<()> {
        let level = self.level();
        let refuse = |text: String| PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text);
        match (level.sets_allowed, level.no_sets, level.no_windows) {
            (true, None, _) => Ok(()),
            (true, Some(why), _) => Err(refuse(why.to_owned()).hint(
                "You might be able to move the set-returning function into a LATERAL FROM item.",
            )),
            (false, _, Some(IN_FROM)) => {
                Err(refuse("set-returning functions must appear at top level of FROM".to_owned()))
            }
            (false, _, clause) => {
                let place = clause.map_or_else(|| "here".to_owned(), |c| format!("in {c}"));
                Err(refuse(format!("set-returning functions are not allowed {place}")))
            }
        }
    }
}
