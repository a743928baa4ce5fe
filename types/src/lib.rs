//! PostgreSQL values: OIDs, text and binary I/O, ordering, hashing, storage layouts, Arrow mapping.
//!
//! The lowest room: it knows no tables, no SQL and no sockets.
//!
//! A value is a [`Datum`]; its exact SQL type travels beside it as an [`Oid`], its physical layout is
//! its [`Kind`]. Four encodings of a value exist, each in a module of its own:
//!
//! | module | for whom | properties |
//! |---|---|---|
//! | [`io`] | clients | PostgreSQL's text and binary formats, to the letter |
//! | [`raw`] | rows on disk and in memory | self-contained, cheap to read in place |
//! | [`key`] | ordered indexes | byte order is value order |
//! | [`arrow`] | batches | one Arrow type per kind |

pub mod array;
pub mod arrow;
pub mod bits;
pub mod compare;
pub mod datetime;
pub mod datum;
pub mod enums;
pub mod error;
pub mod float;
pub mod geo;
pub mod interval;
pub mod io;
pub mod jsonb;
pub mod key;
pub mod numeric;
pub mod oid;
pub mod pase;
pub mod raw;
pub mod record;
pub mod stack;
pub mod tuple;
pub mod typname;

pub use compare::{compare, equal, hash};
pub use datetime::zone::Zone;
pub use datum::{Datum, Kind, Oid, TimeTz};
pub use error::{Notice, PgError, Report, Result, Severity, SqlState};
pub use io::{
    Io, IoStyle, NoNames, TypeNames, apply_typmod, binary_in, binary_out, text_in, text_out,
};
pub use key::encode_key;
pub use tuple::{Tuple, TupleDesc, encode_tuple};
pub use typname::{format_type, kind_of, lookup_type_name};
