//! `json` and `jsonb`.
//!
//! `json` is kept as the text it was given: its functions cut spans out of that text. `jsonb` is a
//! tree.

pub(crate) mod access;
pub(crate) mod binary;
pub(crate) mod build;
pub(crate) mod modify;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod sets;
pub(crate) mod write;
