//! PostgreSQL's protocol 3.0 over sockets, with anything behind it that implements [`Backend`].
//!
//! The engine and the canned bench server share this loop, so that what the bench measures is
//! what the engine runs on. It knows neither SQL nor storage.
//!
//! A connection is a synchronous state machine ([`protocol::Protocol`]: one message in, bytes
//! appended to one buffer) inside an asynchronous shell ([`connection`]: reads, writes, waits for
//! the log, moves the whole state machine to a blocking thread when a statement may run long).
//! Whatever the statement, its answer leaves in one write when the read buffer holds no further
//! message, which is once per Sync for a client that waits.

pub mod auth;
pub mod backend;
pub mod connection;
pub mod copy;
pub mod cores;
pub mod encode;
pub mod message;
pub mod protocol;
pub mod read;
pub mod server;
pub mod startup;
pub mod stream;
mod turns;

pub use backend::{
    Auth, Backend, Column, CopyShape, Description, Event, Named, Opened, Progress, Service,
    Session, Tag, Values,
};
pub use copy::{CopyData, Supply};
pub use cores::{Cores, Threads};
pub use server::{Limits, Server, ServerHandle, Tls};
