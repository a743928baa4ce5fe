//! The catalog: what exists, under which name, in which version.

pub mod model;
