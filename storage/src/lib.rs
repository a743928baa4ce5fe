//! Versioned rows, transactions, WAL, catalog; owns the indexes' upkeep.
//!
//! - [`database`]: opening and closing, and the way to everything else.
//! - [`txn`]: transactions: snapshots, locks, savepoints, catalog changes, commit.
//! - [`table`]: inserting, changing, finding and scanning rows.
//! - [`catalog`]: what exists.
//! - [`wal`], [`disk`], and checkpoints: what survives.
//!
//! [`mvcc`] explains versions and visibility; start there.

mod background;
pub mod catalog;
mod checkpoint;
mod cold;
pub mod database;
pub mod disk;
pub mod mvcc;
mod recovery;
pub mod sequence;
mod store;
pub mod table;
pub mod txn;
pub mod wal;

pub use catalog::{Catalog, ObjectKind};
pub use checkpoint::{CheckpointFigures, CheckpointInfo};
pub use crossbeam_epoch::Guard;
pub use database::{Database, Options};
pub use mvcc::place::{SnapshotHold, SnapshotPlace};
pub use mvcc::{RowId, Snapshot, Xid, pin};
pub use sequence::{Sequence, SequenceState};
pub use store::build::BuildInfo;
pub use store::computed::{ExpressionCompiler, IndexExpressions};
pub use store::{Layout, TableStats};
pub use table::{
    Access, Cursor, Filter, Insert, KeyRange, LockOutcome, LockWait, Near, Row, Table, Walk, Write,
    concurrent_update,
};
pub use txn::locks::{LockMode, WaitHook, blocking, set_wait_hook};
pub use txn::relation_lock::{LockInfo, LockTarget, RelationLock};
pub use txn::waits::AdvisoryLock;
pub use txn::{
    CommitTicket, Interrupt, Isolation, Prepare, PreparedInfo, ReadInfo, Savepoint, Transaction,
};
pub use vicinity_indexes::{PAGE, Progress};
pub use wal::{LogFigures, Lsn, Wal};
