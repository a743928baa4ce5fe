//! COPY: tables and queries as text, CSV or binary data, to and from the client or a file of the
//! server.
//!
//! [`CopyFrom`] pulls blocks of bytes from a [`Source`], [`CopyTo`] appends messages to a buffer; what
//! moves them is the caller's business.

mod binary;
mod fields;
mod file;
mod from;
mod input;
mod lines;
mod options;
mod to;

use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName};
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{PgError, Result, SqlState};

pub use from::CopyFrom;
pub use input::Source;
pub use to::CopyTo;

use super::name;
use super::outcome::{Outcome, Tag};
use crate::context::ExecContext;
use crate::sql::{Copy, CopyEnd};

/// A COPY that has begun.
pub enum Started {
    /// Rows come from the client.
    From(Box<CopyFrom>),
    /// Rows go to the client.
    To(Box<CopyTo>),
    /// The rows of a file were copied.
    Done(Tag),
}

/// Begins a COPY; one with a file is done at once.
pub fn start(ctx: &ExecContext, copy: &Copy) -> Result<Started> {
    let done = |rows| Ok(Started::Done(Tag::counted("COPY", rows)));
    match &copy.end {
        CopyEnd::Client if copy.to => Ok(Started::To(Box::new(CopyTo::begin(ctx, copy)?))),
        CopyEnd::Client => Ok(Started::From(Box::new(CopyFrom::prepare(ctx, copy)?))),
        CopyEnd::Program(_) => Err(PgError::unsupported("COPY ... PROGRAM")),
        CopyEnd::File(path) => {
            file::check_allowed(ctx, copy.to)?;
            if copy.to {
                return done(CopyTo::begin(ctx, copy)?.into_file(path)?);
            }
            let plan = CopyFrom::prepare(ctx, copy)?;
            let mut source = input::File { file: file::open(path)?, path: path.clone() };
            done(plan.run(&mut source)?)
        }
    }
}

/// An error for a COPY that talks to the client.
pub(crate) fn refuse_client(copy: &Copy) -> Result<()> {
    if copy.end == CopyEnd::Client {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot COPY to/from client in PL/pgSQL",
        ));
    }
    Ok(())
}

/// Runs a COPY where there is no client to talk to: inside of a function.
pub(crate) fn run(ctx: &ExecContext, copy: &Copy) -> Result<Outcome> {
    refuse_client(copy)?;
    match start(ctx, copy)? {
        Started::Done(tag) => Ok(tag.into()),
        _ => Err(PgError::internal("COPY with a file is done at once")),
    }
}

/// A table by name; PostgreSQL gives no position here.
fn relation(ctx: &ExecContext, given: &ObjectName) -> Result<Arc<Relation>> {
    name::relation(ctx, given).map_err(|mut e| {
        e.report_mut().position = None;
        e
    })
}

/// `22P04`
fn bad_format(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

/// Data is UTF-8 without zero bytes.
fn data_text(bytes: &[u8]) -> Result<&str> {
    vicinity_types::io::utf8(bytes)
}

/// The column of that name, wherever it is in the table.
fn known_column(relation: &Relation, own: &str) -> Result<usize> {
    let columns = crate::exec::dml::columns_of(relation).0;
    let at = columns.iter().position(|c| !c.dropped && c.name == own).ok_or_else(|| {
        PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{own}\" of relation \"{}\" does not exist", relation.name),
        )
    })?;
    if columns.get(at).is_some_and(|c| c.generated.is_some()) {
        return Err(PgError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!("column \"{own}\" is a generated column"),
        )
        .detail("Generated columns cannot be used in COPY."));
    }
    Ok(at)
}

fn not_referenced(option: &str, own: &str) -> PgError {
    PgError::new(
        SqlState::INVALID_COLUMN_REFERENCE,
        format!("{option} column \"{own}\" not referenced by COPY"),
    )
}

/// The places of the columns copied: all that are not generated, unless some are named.
fn columns_of(relation: &Relation, given: &[Ident]) -> Result<Vec<usize>> {
    let columns = crate::exec::dml::columns_of(relation).0;
    if given.is_empty() {
        let plain = columns.iter().enumerate();
        let plain = plain.filter(|(_, c)| !c.dropped && c.generated.is_none());
        return Ok(plain.map(|(at, _)| at).collect());
    }
    let mut places = Vec::with_capacity(given.len());
    for column in given {
        let own = name::ident(column);
        let at = known_column(relation, &own)?;
        if places.contains(&at) {
            return Err(PgError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{own}\" specified more than once"),
            ));
        }
        places.push(at);
    }
    Ok(places)
}
