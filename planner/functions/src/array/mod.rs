//! Arrays.

pub(crate) mod build;
pub(crate) mod functions;
