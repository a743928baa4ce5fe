//! What follows writes: keys to be looked at, what CASCADE and its kin do, AFTER triggers.
//!
//! A write notes it all in one [`Queue`], in the order of what happened; it is done when the statement
//! has ended, and what an action writes notes its own behind it: long chains need no stack. What is
//! deferred waits in the session for the commit ([`Deferred`]).

mod deferred;
mod queue;
mod transition;

pub(crate) use deferred::{Deferred, commit, set_constraints};
pub(crate) use queue::{Due, Queue};
pub(crate) use transition::Transition;

/// All columns of a row, or those of a key.
pub(crate) type Values = Vec<vicinity_types::Datum>;
