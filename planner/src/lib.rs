//! SQL text to plan to rows: dialect, binder, push-down, the two lanes, functions, EXPLAIN.

pub mod exec;
pub mod sql;
