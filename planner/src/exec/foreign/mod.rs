//! Foreign keys at run time: what writes leave to be checked, and what follows from them.
//!
//! A write notes the keys it brings in and takes away ([`Queue`]); they are looked at when its
//! statement has ended, in order, and what CASCADE and its kin write notes its own keys behind them:
//! long chains need no stack. Deferred constraints wait for the commit, in the session.
//!
//! A row that refers locks the key it refers to (`FOR KEY SHARE`), so that it cannot go before the
//! writer has ended; the other way round, whoever takes a key away looks with the newest snapshot.

mod action;
mod check;
mod queue;
mod reference;

pub(crate) use check::{check_rows, commit_checks, set_constraints};
pub(crate) use queue::{Deferred, Queue};
pub(crate) use reference::Keys;
