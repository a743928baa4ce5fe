//! PostgreSQL's rules of types: what a name, an operator or a cast means for given operand types.
//!
//! Follows `parse_func.c`, `parse_oper.c` and `parse_coerce.c` of PostgreSQL 15.

pub mod cast;
pub mod common;
pub mod function;
pub mod operator;
pub mod polymorphic;
pub mod select;
pub mod types;

pub use cast::{CastPath, Context};
pub use types::Types;
