//! Hermitage's anomalies as scripts: `tests/anomalies/*.script`.
//!
//! A line `A: command` runs in session A. What it answers stands below it behind `>`; a session that
//! waits answers `waits`, and its answer comes below the line that let it go on. The table has the
//! rows (1, 10) and (2, 20). READ COMMITTED statements look again after a concurrent change, as
//! PostgreSQL's do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use common::*;
use vicinity_storage::catalog::model::IndexKey;
use vicinity_storage::{
    Access, Database, Isolation, KeyRange, LockMode, LockOutcome, LockWait, Snapshot, Table,
    Transaction, Write, pin,
};
use vicinity_types::{Datum, Result};

struct Session {
    commands: Sender<String>,
    answers: Receiver<String>,
    waiting: bool,
}

fn start(db: &Arc<Database>) -> Session {
    let (commands, todo) = channel::<String>();
    let (say, answers) = channel();
    let db = db.clone();
    std::thread::spawn(move || {
        let mut txn = None;
        for command in todo {
            let answer = match run(&db, &mut txn, &command) {
                Ok(text) => text,
                Err(e) => {
                    txn = None;
                    format!("{} {}", e.code(), e.message())
                }
            };
            if say.send(answer).is_err() {
                return;
            }
        }
    });
    Session { commands, answers, waiting: false }
}

/// Ids from one to another.
fn ids(low: i32, high: i32) -> Access {
    let key = IndexKey { column: 1, expr: None, opclass: 0, descending: false, nulls_first: false };
    let (low, high) = (Datum::Int4(low), Datum::Int4(high));
    let range = KeyRange::within(&[key], &[], Bound::Included(&low), Bound::Included(&high));
    Access::Btree { index: PK, range, reverse: false }
}

/// The rows of a scan.
fn shown(t: &Arc<Table>, access: Access, snapshot: Snapshot) -> Result<String> {
    let mut cursor = t.open(access, snapshot)?;
    let guard = pin();
    let mut rows = Vec::new();
    while let Some(row) = cursor.next(&guard, &mut |_| Ok(true))? {
        rows.push((int(&row.get(0)), int(&row.get(1))));
    }
    rows.sort_unstable();
    let text: String = rows.iter().map(|(id, v)| format!("({id},{v})")).collect();
    Ok(if text.is_empty() { "nothing".to_owned() } else { text })
}

/// Applies `f` to the row under `id`, as one statement.
fn change(
    db: &Arc<Database>,
    txn: &Transaction,
    id: i32,
    f: impl Fn(i32) -> Option<i32>,
) -> Result<String> {
    let t = table(db);
    loop {
        let s = txn.snapshot();
        let Some(r) = find(&t, id, s) else { return Ok("0 rows".to_owned()) };
        let have = t.fetch(r, &s, &pin()).unwrap().map(|r| int(&r.get(1))).unwrap();
        let done = match f(have) {
            Some(v) => t.update(txn, &s, r, &row(id, v))?,
            None => t.delete(txn, &s, r)?,
        };
        match done {
            Write::Done => return Ok("1 row".to_owned()),
            Write::Concurrent => {}
            Write::Gone | Write::AlreadyMine => return Ok("0 rows".to_owned()),
        }
    }
}

fn run(db: &Arc<Database>, open: &mut Option<Transaction>, command: &str) -> Result<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let number = |i: usize| words[i].parse::<i32>().unwrap();
    match words[0] {
        "begin" => {
            let iso = match words.get(1) {
                Some(&"rr") => Isolation::RepeatableRead,
                Some(&"sr") => Isolation::Serializable,
                _ => Isolation::ReadCommitted,
            };
            *open = Some(db.begin(iso, words.last() == Some(&"ro"))?);
            return Ok("ok".to_owned());
        }
        "commit" => {
            if let Some(txn) = open.take() {
                txn.commit()?;
            }
            return Ok("ok".to_owned());
        }
        "rollback" => {
            *open = None;
            return Ok("ok".to_owned());
        }
        _ => {}
    }
    let txn = open.as_ref().expect("begin first");
    match words[0] {
        "read" => shown(&table(db), Access::Seq, txn.snapshot()),
        "get" => shown(&table(db), ids(number(1), number(1)), txn.snapshot()),
        "range" => shown(&table(db), ids(number(1), number(2)), txn.snapshot()),
        "insert" => {
            txn.snapshot();
            table(db).insert(txn, &row(number(1), number(2)))?;
            Ok("1 row".to_owned())
        }
        "update" => change(db, txn, number(1), |_| Some(number(2))),
        "add" => change(db, txn, number(1), |v| Some(v + number(2))),
        "delete" => change(db, txn, number(1), |_| None),
        "lock" | "share" => {
            let mode = if words[0] == "lock" { LockMode::Exclusive } else { LockMode::Shared };
            let wait = match words.get(2) {
                Some(&"skip") => LockWait::Skip,
                Some(&"nowait") => LockWait::NoWait,
                _ => LockWait::Block,
            };
            loop {
                let s = txn.snapshot();
                let t = table(db);
                let Some(r) = find(&t, number(1), s) else { return Ok("0 rows".to_owned()) };
                match t.lock_row(txn, &s, r, mode, wait)? {
                    LockOutcome::Locked => return Ok("locked".to_owned()),
                    LockOutcome::Skipped => return Ok("skipped".to_owned()),
                    LockOutcome::Gone => return Ok("0 rows".to_owned()),
                    LockOutcome::Concurrent => {}
                }
            }
        }
        other => panic!("unknown command {other}"),
    }
}

/// Runs a script's commands and writes it anew with today's answers.
fn play(script: &str) -> String {
    let db = memory();
    make_table(&db);
    let txn = begin(&db);
    table(&db).insert(&txn, &row(1, 10)).unwrap();
    table(&db).insert(&txn, &row(2, 20)).unwrap();
    finish(&db, txn);
    let mut sessions: BTreeMap<String, Session> = BTreeMap::new();
    let mut out = String::new();
    for line in script.lines() {
        if line.starts_with('>') {
            continue;
        }
        writeln!(out, "{line}").unwrap();
        let Some((name, command)) = line.split_once(": ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let session = sessions.entry(name.to_owned()).or_insert_with(|| start(&db));
        session.commands.send(command.to_owned()).unwrap();
        match session.answers.recv_timeout(Duration::from_millis(150)) {
            Ok(answer) => writeln!(out, "> {answer}").unwrap(),
            Err(RecvTimeoutError::Timeout) => {
                session.waiting = true;
                writeln!(out, "> waits").unwrap();
            }
            Err(e) => panic!("{line}: {e}"),
        }
        for (other, session) in sessions.iter_mut().filter(|(n, s)| s.waiting && *n != name) {
            if let Ok(answer) = session.answers.recv_timeout(Duration::from_millis(150)) {
                session.waiting = false;
                writeln!(out, "> {other}: {answer}").unwrap();
            }
        }
    }
    out
}

#[test]
fn anomalies() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/anomalies");
    let mut scripts: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    let rewrite = std::env::var_os("REWRITE").is_some();
    for path in scripts {
        let script = std::fs::read_to_string(&path).unwrap();
        let played = play(&script);
        if rewrite {
            std::fs::write(&path, played).unwrap();
        } else {
            assert_eq!(played, script, "{}", path.display());
        }
    }
}
