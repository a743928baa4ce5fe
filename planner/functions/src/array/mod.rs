//! Arrays.

pub(crate) mod assign;
pub(crate) mod build;
pub(crate) mod functions;
