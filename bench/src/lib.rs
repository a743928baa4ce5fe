//! Benches: recall and build, load, the ceiling of the connection loop.

pub mod ann;
pub mod btree;
pub mod ceiling;
pub mod checker;
mod client;
pub mod couriers;
mod data;
mod process;
pub mod restart;
pub mod search;
pub mod soak;
pub mod spatial;
pub mod storage_rows;
pub mod tail;

use vicinity_types::{PgError, SqlState};

/// Why a bench cannot go on.
fn failed(what: impl std::fmt::Display) -> PgError {
    PgError::new(SqlState::IO_ERROR, what.to_string())
}
