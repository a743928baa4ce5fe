//! PostgreSQL's errors on their way through DataFusion.

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use vicinity_types::{PgError, SqlState};

/// A PostgreSQL error on its way through DataFusion.
pub fn external(error: PgError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The PostgreSQL error inside a DataFusion error, or the closest to it.
pub fn internal(error: DataFusionError) -> PgError {
    match error {
        DataFusionError::External(e) => match e.downcast::<PgError>() {
            Ok(e) => *e,
            Err(e) => match e.downcast::<DataFusionError>() {
                Ok(e) => internal(*e),
                Err(e) => PgError::internal(e.to_string()),
            },
        },
        DataFusionError::Context(_, e) | DataFusionError::Diagnostic(_, e) => internal(*e),
        DataFusionError::Shared(e) => match find_shared(&e) {
            Some(e) => e,
            None => PgError::internal(e.to_string()),
        },
        DataFusionError::ArrowError(e, _) => arrow_error(*e),
        DataFusionError::NotImplemented(what) => PgError::unsupported(what),
        DataFusionError::ResourcesExhausted(what) => {
            PgError::new(SqlState::OUT_OF_MEMORY, "out of memory").detail(what)
        }
        DataFusionError::Execution(text) if text.contains("more than one row") => PgError::new(
            SqlState::CARDINALITY_VIOLATION,
            "more than one row returned by a subquery used as an expression",
        ),
        other => PgError::internal(other.strip_backtrace()),
    }
}

fn find_shared(error: &DataFusionError) -> Option<PgError> {
    match error {
        DataFusionError::External(e) => e.downcast_ref::<PgError>().cloned(),
        DataFusionError::Context(_, e) => find_shared(e),
        DataFusionError::Shared(e) => find_shared(e),
        _ => None,
    }
}

fn arrow_error(error: ArrowError) -> PgError {
    match error {
        ArrowError::DivideByZero => PgError::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(_) => PgError::out_of_range("bigint"),
        ArrowError::ExternalError(e) => match e.downcast::<PgError>() {
            Ok(e) => *e,
            Err(e) => match e.downcast::<DataFusionError>() {
                Ok(e) => internal(*e),
                Err(e) => PgError::internal(e.to_string()),
            },
        },
        other => PgError::internal(other.to_string()),
    }
}
