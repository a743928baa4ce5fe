//! Transaction modes and the words around transaction control.

use vicinity_storage::Isolation;
use vicinity_types::{Notice, PgError, Severity, SqlState};

use crate::session_state::SessionState;
pub use crate::sql::Modes;

/// A level by the setting's word.
pub fn isolation_named(name: &str) -> Option<Isolation> {
    match name {
        "read uncommitted" | "read committed" => Some(Isolation::ReadCommitted),
        "repeatable read" => Some(Isolation::RepeatableRead),
        "serializable" => Some(Isolation::Serializable),
        _ => None,
    }
}

/// The word `SHOW transaction_isolation` gives.
pub fn isolation_name(level: Isolation) -> &'static str {
    match level {
        Isolation::ReadCommitted => "read committed",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::Serializable => "serializable",
    }
}

/// The modes a new transaction begins with: those asked for, else the session's defaults.
pub fn initial(session: &SessionState, asked: Modes) -> (Isolation, bool, bool) {
    let settings = session.settings();
    let default = settings.get("default_transaction_isolation").and_then(isolation_named);
    let isolation = asked.isolation.or(default).unwrap_or_default();
    let read_only =
        asked.read_only.unwrap_or_else(|| settings.is_on("default_transaction_read_only"));
    let deferrable = || settings.is_on("default_transaction_deferrable");
    let deferrable = asked.deferrable.unwrap_or_else(deferrable);
    (isolation, read_only, deferrable)
}

/// `there is already a transaction in progress` and the other warnings of transaction control.
pub fn warn(session: &SessionState, code: SqlState, text: &str) {
    session.notice(Notice::new(Severity::Warning, code, text));
}

/// BEGIN inside a block.
pub fn warn_in_progress(session: &SessionState) {
    let code = SqlState::ACTIVE_SQL_TRANSACTION;
    warn(session, code, "there is already a transaction in progress");
}

/// COMMIT and ROLLBACK outside one.
pub fn warn_none(session: &SessionState) {
    let code = SqlState::NO_ACTIVE_SQL_TRANSACTION;
    warn(session, code, "there is no transaction in progress");
}

/// What has no effect outside of a block.
pub fn warn_no_block(session: &SessionState, what: &str) {
    let message = format!("{what} can only be used in transaction blocks");
    warn(session, SqlState::NO_ACTIVE_SQL_TRANSACTION, &message);
}

/// Savepoints, cursors and LOCK need a block.
pub fn needs_block(what: &str) -> PgError {
    PgError::new(
        SqlState::NO_ACTIVE_SQL_TRANSACTION,
        format!("{what} can only be used in transaction blocks"),
    )
}

/// Some statements cannot be part of one.
pub fn refuse_block(what: &str) -> PgError {
    PgError::new(
        SqlState::ACTIVE_SQL_TRANSACTION,
        format!("{what} cannot run inside a transaction block"),
    )
}

/// The same for statements that others came before without a Sync.
pub fn refuse_pipeline(what: &str) -> PgError {
    let text = format!("{what} cannot be executed within a pipeline");
    PgError::new(SqlState::ACTIVE_SQL_TRANSACTION, text)
}

/// A savepoint nobody made.
pub fn no_savepoint(name: &str) -> PgError {
    PgError::new(
        SqlState::INVALID_SAVEPOINT_SPECIFICATION,
        format!("savepoint \"{name}\" does not exist"),
    )
}

/// Everything but ROLLBACK after an error.
pub fn aborted() -> PgError {
    PgError::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// A definition or write in a READ ONLY transaction.
pub fn read_only(statement: &str) -> PgError {
    PgError::new(
        SqlState::READ_ONLY_SQL_TRANSACTION,
        format!("cannot execute {statement} in a read-only transaction"),
    )
}
