//! The batch lane: DataFusion with our leaves, calls, aggregates and set-returning functions in it.

pub mod aggregate;
mod aggregate_state;
pub mod append;
mod children;
mod frame;
mod in_turn;
pub mod instrument;
mod lock_exec;
pub mod lock_rows;
pub mod optimize;
pub mod physical;
pub mod project_set;
mod record_set;
pub mod run;
pub mod set;
pub(crate) mod simplify;
mod simplify_logic;
pub mod source;
pub mod stream;
pub mod unary;
pub mod unseen;
mod watch;
pub mod window;
mod window_exec;

pub use aggregate::{OrderKey, PgAggregate, SortKey, aggregate_expr, count_rows};
pub use optimize::optimize;
pub use project_set::project_set;
pub(crate) use record_set::RecordSet;
pub use set::{BuiltinSet, SetCall, SetCallable};
pub use source::{StorageSource, SystemColumn, VirtualSource, scan};
