//! Files of the server, for superusers.

use std::io::ErrorKind;
use std::path::Path;

use vicinity_types::{PgError, Result, SqlState};

use crate::context::ExecContext;
use crate::exec::ddl::role;

/// An error of the file system in PostgreSQL's words.
pub(super) fn error(e: &std::io::Error, doing: String) -> PgError {
    let (code, reason) = match e.kind() {
        ErrorKind::NotFound => (SqlState::UNDEFINED_FILE, "No such file or directory".to_owned()),
        ErrorKind::PermissionDenied => {
            (SqlState::INSUFFICIENT_PRIVILEGE, "Permission denied".to_owned())
        }
        ErrorKind::IsADirectory => (SqlState::WRONG_OBJECT_TYPE, "Is a directory".to_owned()),
        ErrorKind::StorageFull => (SqlState::DISK_FULL, "No space left on device".to_owned()),
        ErrorKind::NotADirectory => (SqlState::UNDEFINED_FILE, "Not a directory".to_owned()),
        _ => (SqlState::IO_ERROR, e.to_string()),
    };
    PgError::new(code, format!("{doing}: {reason}"))
}

/// Only superusers reach the server's files.
pub(super) fn check_allowed(ctx: &ExecContext, to: bool) -> Result<()> {
    let (group, side) =
        if to { ("pg_write_server_files", "to") } else { ("pg_read_server_files", "from") };
    role::check_server_files(ctx, group, &format!("COPY {side} a file")).map_err(|e| {
        e.hint(
            "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.",
        )
    })
}

/// The error of opening a file, with advice where the client may have meant a file of its own.
fn hinted(e: &std::io::Error, doing: String, hint: &str) -> PgError {
    let error = error(e, doing);
    match e.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => error.hint(hint),
        _ => error,
    }
}

/// Opens a file to read.
pub(super) fn open(path: &str) -> Result<std::fs::File> {
    let file = std::fs::File::open(path).map_err(|e| {
        hinted(
            &e,
            format!("could not open file \"{path}\" for reading"),
            "COPY FROM instructs the PostgreSQL server process to read a file. You may want a \
             client-side facility such as psql's \\copy.",
        )
    })?;
    if Path::new(path).is_dir() {
        let message = format!("\"{path}\" is a directory");
        return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    Ok(file)
}

/// Opens a file to write, emptied.
pub(super) fn create(path: &str) -> Result<std::fs::File> {
    if !Path::new(path).is_absolute() {
        return Err(PgError::new(
            SqlState::INVALID_NAME,
            "relative path not allowed for COPY to file",
        ));
    }
    std::fs::File::create(path).map_err(|e| {
        hinted(
            &e,
            format!("could not open file \"{path}\" for writing"),
            "COPY TO instructs the PostgreSQL server process to write a file. You may want a \
             client-side facility such as psql's \\copy.",
        )
    })
}
