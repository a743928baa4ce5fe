//! Everything that is not a plain query: definitions, writes, transactions, settings.
//!
//! - [`utility`]: which statement is run where; [`ddl`] and `alter` change the catalog.
//! - [`copy`]: COPY in all its formats.
//! - `cursor`: DECLARE, FETCH, MOVE, CLOSE.
//! - [`dml`]: INSERT, UPDATE, DELETE: prepared once, run natively.
//! - [`settings`]: what SET, SHOW and RESET work on.
//! - [`transaction`]: modes and words of transaction control.
//!
//! Statements work on the transaction's own catalog and leave no trace when it is rolled back.

pub(crate) mod after;
mod alter;
mod call;
mod canon;
pub mod copy;
pub(crate) mod cursor;
pub(crate) mod ddl;
pub mod dml;
pub(crate) mod foreign;
pub(crate) mod locking;
mod maintenance;
pub(crate) mod name;
pub mod outcome;
pub(crate) mod query;
mod read_only;
pub(crate) mod respell;
mod rewrite;
mod rights;
mod role_rights;
pub(crate) mod set;
pub mod settings;
pub(crate) mod stored;
pub(crate) mod temporary;
pub mod transaction;
pub mod triggers;
mod types;
pub mod utility;
pub(crate) mod viewtext;
pub(crate) mod written;

pub use call::CallPlan;
pub(crate) use call::is_output;
pub(crate) use ddl::depend::held_constraint;
pub use ddl::session_defaults::of_session as session_defaults;
pub(crate) use ddl::{create_as, grant};
pub use outcome::{Outcome, Rows, Tag};
