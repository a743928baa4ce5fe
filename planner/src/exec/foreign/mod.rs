//! Foreign keys at run time: what writes leave to be checked, and what follows from them.
//!
//! A write notes the keys it brings in and takes away ([`Keys`]) in the queue of what comes after it
//! (`exec/after`).
//!
//! A row that refers locks the key it refers to (`FOR KEY SHARE`), so that it cannot go before the
//! writer has ended; the other way round, whoever takes a key away looks with the newest snapshot.

mod action;
mod check;
mod note;
pub(crate) mod part;
mod reference;

pub(crate) use action::{Actions, is_check};
pub(crate) use check::{check_parting, check_rows, lost, refers};
pub(crate) use reference::{Keys, Reference, bytes_of, find};
