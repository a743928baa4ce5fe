//! Programs that users come with, run against a server.

use std::process::{Command, Output, Stdio};

/// Whether a program is not installed here.
pub fn is_missing(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err()
}

/// Runs a program of PostgreSQL's as user postgres in the database postgres.
pub fn run(program: &str, port: u16, args: &[&str]) -> Output {
    let done = Command::new(program)
        .args(["-h", "127.0.0.1", "-U", "postgres", "-p"])
        .arg(port.to_string())
        .args(args)
        .arg("postgres")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {args:?}: {said}");
    done
}
