//! Benches: recall and build, load, the ceiling of the connection loop.

pub mod ann;
pub mod ceiling;
