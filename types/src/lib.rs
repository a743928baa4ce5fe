//! PostgreSQL values: OIDs, text and binary I/O, ordering, hashing, Arrow mapping.
//!
//! The lowest room: it knows no tables, no SQL and no sockets.

pub mod array;
pub mod datum;
pub mod error;
pub mod geo;
pub mod interval;
pub mod jsonb;
pub mod numeric;
pub mod oid;
pub mod pase;
pub mod record;

pub use datum::{Datum, Kind, Oid, TimeTz};
pub use error::{Notice, PgError, Report, Result, Severity, SqlState};
