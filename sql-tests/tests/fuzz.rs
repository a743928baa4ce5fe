//! Statements of slt/ changed at random, from the parser to the plan: a description or an error of the statement's,
//! never the server's own fault. See `fuzz/README.md`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../../types/tests/mutator/mod.rs"]
#[allow(unreachable_pub)]
mod mutator;

use std::ops::Range;
use std::path::{Path, PathBuf};

use mutator::{Mutator, rounds};
use sqllogictest::{DefaultColumnType, Record};
use vicinity_sql_tests::TestServer;
use vicinity_sql_tests::raw::{Raw, frame, parse, query, sync};

/// Files looked at in one round: all of them in ten.
const FILES: usize = 7;
/// What is made of each statement.
const EACH: usize = 3;

fn files() -> Vec<PathBuf> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/slt");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn statements(file: &Path) -> Vec<String> {
    let records = sqllogictest::parse_file::<DefaultColumnType>(file).unwrap();
    let sql = |record| match record {
        Record::Statement { sql, .. } | Record::Query { sql, .. } => Some(sql),
        _ => None,
    };
    records.into_iter().filter_map(sql).collect()
}

/// Words, spaces, quoted texts and single signs.
fn tokens(sql: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), sql);
    while let Some(first) = rest.chars().next() {
        let same: fn(char) -> bool = match first {
            c if c.is_whitespace() => char::is_whitespace,
            c if c.is_alphanumeric() || c == '_' => |c| c.is_alphanumeric() || c == '_',
            _ => |_| false,
        };
        let end = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |at| at + 2),
            _ => rest.find(|c| !same(c)).unwrap_or(rest.len()).max(first.len_utf8()),
        };
        tokens.push(&rest[..end]);
        rest = &rest[end..];
    }
    tokens
}

/// A few tokens in a row.
fn some(random: &mut Mutator, of: &[&str]) -> Range<usize> {
    let from = random.below(of.len() + 1);
    from..from + random.below((of.len() - from).min(12) + 1)
}

/// A statement with a few changes, which may take parts of another.
fn changed(random: &mut Mutator, sql: &str, other: &str) -> String {
    if random.below(6) == 0 {
        return random.text(sql, other);
    }
    let (mut own, others) = (tokens(sql), tokens(other));
    for _ in 0..=random.below(3) {
        let run = some(random, &own);
        match random.below(6) {
            0 => drop(own.drain(run)),
            1 => {
                let again = own[run.clone()].to_vec();
                own.splice(run.end..run.end, again);
            }
            2 => {
                let (depth, whole) = (1 << random.below(9), own[run.clone()].to_vec());
                let open = std::iter::repeat_n("(", depth);
                own.splice(run, open.chain(whole).chain(std::iter::repeat_n(")", depth)));
            }
            3 if !own.is_empty() => {
                let (one, another) = (random.below(own.len()), random.below(own.len()));
                own.swap(one, another);
            }
            _ => {
                let theirs = others[some(random, &others)].to_vec();
                own.splice(run, theirs);
            }
        }
    }
    own.concat()
}

/// Sends something and reads to ReadyForQuery; what the server says is its own fault. Its end is a failure.
async fn ask(raw: &mut Raw, message: &[u8], sql: &str) -> Option<String> {
    raw.send(message).await;
    let mut fault = None;
    loop {
        let Ok(answer) = raw.next().await else { panic!("the session ended after:\n{sql}") };
        let code = answer.field(b'C').filter(|_| answer.tag == b'E').unwrap_or_default();
        // PostgreSQL has this one, too, for what would take more than a gigabyte.
        if code.starts_with("XX") && !answer.error().contains("invalid memory alloc request") {
            fault = Some(format!("{} after:\n{sql}\n", answer.error()));
        }
        if answer.tag == b'Z' {
            return fault;
        }
    }
}

/// What a statement is planned for is there: the statements before it in its file have run.
#[tokio::test(flavor = "multi_thread")]
async fn changed_statements_are_planned_or_refused() {
    let all: Vec<Vec<String>> = files().iter().map(|file| statements(file)).collect();
    let mut faults = Vec::new();
    for round in 0..rounds(1) {
        let mut random = Mutator::new(round);
        for _ in 0..FILES {
            let server = TestServer::start().await;
            let (mut raw, _) = Raw::start(server.address()).await;
            for sql in random.pick(&all) {
                // The session would wait for data.
                if sql.to_lowercase().contains("stdin") {
                    continue;
                }
                for _ in 0..EACH {
                    let other = random.pick(&all);
                    let other = random.pick(other);
                    let sql = changed(&mut random, sql, other).replace('\0', "");
                    let message = [parse("", &sql), frame(b'D', b"S\0"), sync()].concat();
                    faults.extend(ask(&mut raw, &message, &sql).await);
                }
                faults.extend(ask(&mut raw, &query(sql), sql).await);
            }
            drop(raw);
            server.stop().await;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
