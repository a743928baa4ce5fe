//! Scripts of sessions that run side by side: `sql-tests/isolation/*.script`.
//!
//! ```text
//! # What it shows.
//! setup
//! create table t (id int primary key, v int);
//!
//! session one
//! begin: begin isolation level serializable
//! read: select * from t
//!   where id = 1
//!
//! run begin read write commit
//! begin: ok
//! read: 1,10
//! write: waits
//! ```
//!
//! A step's name is its own in the whole script; lines that are indented belong to the one before. Each `run` begins
//! with a schema that only `setup` has filled and new sessions, and goes through steps in order. What they answer
//! stands below it: rows, `ok`, `3 rows`, an error, or `waits`; the answer of a step that waited comes below the step
//! that let it go on. What `begin` steps answer is left out if it is `ok`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage};

type Answer = Result<Vec<SimpleQueryMessage>, Error>;

/// A script without its answers.
#[derive(Default)]
struct Script {
    setup: String,
    /// By step: the session, and the statement.
    steps: BTreeMap<String, (usize, String)>,
    /// What sessions do first.
    first: Vec<String>,
}

/// How long a session must be seen to wait.
const LOOKS: usize = 3;
const BETWEEN: Duration = Duration::from_millis(10);

/// Runs a script's steps where `login` says and writes it anew with the answers of today.
pub async fn play(login: &str, text: &str) -> String {
    let script = Script::read(text);
    let control = connect(login).await;
    let mut out = String::new();
    let mut in_answers = false;
    for line in text.lines() {
        if let Some(steps) = line.strip_prefix("run ") {
            writeln!(out, "{line}").unwrap();
            let steps: Vec<&str> = steps.split_whitespace().collect();
            out.push_str(&run(login, &control, &script, &steps).await);
            in_answers = true;
        } else if line.trim().is_empty() || !in_answers {
            in_answers = false;
            writeln!(out, "{line}").unwrap();
        }
    }
    out
}

impl Script {
    fn read(text: &str) -> Script {
        let mut script = Script::default();
        let (mut section, mut last) = (String::new(), String::new());
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let head = line.split_whitespace().next().unwrap_or_default();
            match head {
                _ if line.starts_with(' ') && section == "session" => {
                    let (_, sql) = script.steps.get_mut(&last).unwrap();
                    writeln!(sql, "\n{line}").unwrap();
                }
                "setup" | "run" => section = head.to_owned(),
                "session" => {
                    section = head.to_owned();
                    script.first.push(String::new());
                }
                _ if section == "setup" => writeln!(script.setup, "{line}").unwrap(),
                _ if section == "session" && !line.trim().is_empty() => {
                    let (name, sql) = line.split_once(": ").expect(line);
                    let at = script.first.len() - 1;
                    if name == "first" {
                        script.first[at] = sql.to_owned();
                        continue;
                    }
                    last = name.to_owned();
                    let before = script.steps.insert(last.clone(), (at, sql.to_owned()));
                    assert!(before.is_none(), "two steps {name}");
                }
                _ => {}
            }
        }
        script
    }
}

async fn connect(login: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(login, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

struct Session {
    client: std::sync::Arc<Client>,
    pid: i32,
    /// The step it is in, since when it was seen to wait.
    busy: Option<(String, JoinHandle<Answer>)>,
}

impl Session {
    fn begin(&mut self, step: &str, sql: &str) {
        let (client, sql) = (self.client.clone(), sql.to_owned());
        let task = tokio::spawn(async move { client.simple_query(&sql).await });
        self.busy = Some((step.to_owned(), task));
    }

    /// Its step's answer, or nothing if it waits for another session.
    async fn settle(&mut self, control: &Client) -> Option<(String, Answer)> {
        let (step, mut task) = self.busy.take()?;
        let mut seen = 0;
        for _ in 0..3000 {
            tokio::select! {
                answer = &mut task => return Some((step, answer.unwrap())),
                () = tokio::time::sleep(BETWEEN) => {}
            }
            seen = if is_blocked(control, self.pid).await { seen + 1 } else { 0 };
            if seen == LOOKS {
                self.busy = Some((step, task));
                return None;
            }
        }
        panic!("step {step} neither ends nor waits");
    }
}

async fn is_blocked(control: &Client, pid: i32) -> bool {
    let sql = format!(
        "select exists (select from pg_locks where pid = {pid} and not granted) \
         or cardinality(pg_safe_snapshot_blocking_pids({pid})) > 0"
    );
    matches!(control.simple_query(&sql).await.unwrap().iter().find_map(|m| match m {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }), Some(value) if value == "t")
}

/// One order of steps: what they answer.
async fn run(login: &str, control: &Client, script: &Script, steps: &[&str]) -> String {
    let fresh = "drop schema if exists side_by_side cascade; create schema side_by_side; \
                 set search_path to side_by_side; ";
    control.simple_query(fresh).await.unwrap();
    control.simple_query(&script.setup).await.unwrap();
    let mut sessions = Vec::new();
    for first in &script.first {
        let client = std::sync::Arc::new(connect(login).await);
        client.simple_query("set search_path to side_by_side").await.unwrap();
        client.simple_query(first).await.unwrap();
        let pid = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
        sessions.push(Session { client, pid, busy: None });
    }
    let mut out = String::new();
    for step in steps {
        let (at, sql) = script.steps.get(*step).unwrap_or_else(|| panic!("no step {step}"));
        match finish(&mut sessions[*at]).await {
            Finish::Idle => {}
            Finish::Answer(before, answer) => {
                writeln!(out, "{before}: {}", shown(&answer)).unwrap();
            }
            Finish::Never(before) => return out + &before + ": never ends\n",
        }
        sessions[*at].begin(step, sql);
        match sessions[*at].settle(control).await {
            Some((step, answer)) => {
                let answer = shown(&answer);
                if !(step.starts_with("begin") && answer == "ok") {
                    writeln!(out, "{step}: {answer}").unwrap();
                }
            }
            None => writeln!(out, "{step}: waits").unwrap(),
        }
        for (other, session) in sessions.iter_mut().enumerate() {
            if other != *at
                && let Some((step, answer)) = session.settle(control).await
            {
                writeln!(out, "{step}: {}", shown(&answer)).unwrap();
            }
        }
    }
    for session in &mut sessions {
        match finish(session).await {
            Finish::Idle => {}
            Finish::Answer(step, answer) => {
                writeln!(out, "{step}: {}", shown(&answer)).unwrap();
            }
            Finish::Never(step) => return out + &step + ": never ends\n",
        }
        let _ = session.client.simple_query("rollback").await;
    }
    out
}

/// What came of a step that must come to its end now.
enum Finish {
    Idle,
    Answer(String, Answer),
    Never(String),
}

async fn finish(session: &mut Session) -> Finish {
    let Some((step, task)) = session.busy.take() else { return Finish::Idle };
    match tokio::time::timeout(Duration::from_secs(10), task).await {
        Ok(answer) => Finish::Answer(step, answer.unwrap()),
        Err(_) => Finish::Never(step),
    }
}

/// An answer as scripts have it.
fn shown(answer: &Answer) -> String {
    let messages = match answer {
        Ok(messages) => messages,
        Err(e) => {
            let Some(e) = e.as_db_error() else { return e.to_string() };
            let reason = e.detail().filter(|d| d.starts_with("Reason code"));
            let reason = reason.map_or_else(String::new, |r| format!(" ({})", without_when(r)));
            return format!("error {}: {}{reason}", e.code().code(), e.message());
        }
    };
    let (mut rows, mut count, mut query) = (Vec::new(), 0, false);
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|at| row.get(at).unwrap_or("null"));
                rows.push(values.collect::<Vec<_>>().join(","));
            }
            SimpleQueryMessage::RowDescription(_) => query = true,
            SimpleQueryMessage::CommandComplete(n) => count = *n,
            _ => {}
        }
    }
    match (rows.is_empty(), query, count) {
        (false, ..) => rows.join("; "),
        (true, true, _) => "no rows".to_owned(),
        (true, false, 0) => "ok".to_owned(),
        (true, false, 1) => "1 row".to_owned(),
        (true, false, n) => format!("{n} rows"),
    }
}

/// Why a transaction was cancelled: not which other one did it, nor at which of its steps.
fn without_when(reason: &str) -> &str {
    let why = reason.split(',').next().unwrap_or(reason);
    why.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end()
}
