//! Arrays.

pub(crate) mod build;
