//! Integers, floats and booleans.

pub(crate) mod boolean;
pub(crate) mod float;
pub(crate) mod int;
pub(crate) mod math;
