//! SQL text to plan to rows: dialect, binder, push-down, the two lanes, functions, EXPLAIN.

// Futures of planning hold plans, whose types nest deep.
#![recursion_limit = "256"]

pub mod activity;
pub mod advisory;
pub mod authority;
pub mod bind;
pub mod call;
pub mod catalog;
pub mod context;
pub mod df;
pub(crate) mod domain;
pub mod engine;
pub mod exec;
pub mod explain;
pub mod hooks;
pub mod inner;
pub(crate) mod key_value;
pub mod measure;
pub mod names;
pub mod nearness;
pub mod news;
pub(crate) mod partition;
pub mod parts;
pub mod plpgsql;
pub mod portal;
pub mod prepared;
pub mod push;
pub mod query;
pub mod resolve;
pub mod row;
pub mod rows;
pub mod session;
pub mod session_state;
pub mod single_row;
pub mod sql;
pub mod sqlfn;
pub(crate) mod store;
pub mod user_call;
pub mod userfn;
pub mod uses;
pub mod vector_search;
