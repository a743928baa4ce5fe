//! SQL text to plan to rows: dialect, binder, push-down, the two lanes, functions, EXPLAIN.

pub mod call;
pub mod catalog;
pub mod context;
pub mod df;
pub mod engine;
pub mod exec;
mod hooks;
pub mod names;
pub mod push;
pub mod query;
pub mod row;
pub mod rows;
pub mod session_state;
pub mod sql;
