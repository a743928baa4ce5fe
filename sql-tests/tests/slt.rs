//! Runs every file of slt/ on both lanes (invariant same-rows).
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};
use tokio::runtime::Handle;
use tokio_postgres::{Client, SimpleQueryMessage};
use vicinity_sql_tests::TestServer;

struct Session {
    client: Client,
    runtime: Handle,
}

/// Says what the server said, not only that it did.
#[derive(Debug)]
struct Failure(tokio_postgres::Error);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_db_error() {
            Some(e) => write!(f, "{}: {}", e.code().code(), e.message()),
            None => self.0.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl DB for Session {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Self::Error> {
        let answer = self.runtime.block_on(self.client.simple_query(sql)).map_err(Failure)?;
        let mut types = None;
        let mut rows = Vec::new();
        let mut count = 0;
        for message in answer {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    types = Some(vec![DefaultColumnType::Any; columns.len()]);
                }
                SimpleQueryMessage::Row(row) => {
                    let text = |i| match row.try_get(i).ok().flatten() {
                        None => "NULL".to_owned(),
                        Some("") => "(empty)".to_owned(),
                        Some(text) => text.to_owned(),
                    };
                    rows.push((0..row.len()).map(text).collect());
                }
                SimpleQueryMessage::CommandComplete(n) => count = n,
                _ => {}
            }
        }
        Ok(match types {
            Some(types) => DBOutput::Rows { types, rows },
            None => DBOutput::StatementComplete(count),
        })
    }

    fn engine_name(&self) -> &str {
        "vicinity"
    }

    fn error_sql_state(error: &Self::Error) -> Option<String> {
        error.0.code().map(|c| c.code().to_owned())
    }
}

fn files(under: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(under)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "slt"))
        .collect();
    found.sort();
    // One file or a few: VICINITY_SLT=name runs those that contain it.
    if let Ok(wanted) = std::env::var("VICINITY_SLT") {
        found.retain(|path| path.to_string_lossy().contains(&wanted));
    }
    found
}

/// Each file has a server of its own, so that it can use any name. Gives every failure in it.
fn run(file: &Path, lane: &'static str) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(TestServer::start());
    let handle = runtime.handle().clone();
    let mut runner = Runner::new(|| {
        let (server, runtime) = (&server, handle.clone());
        async move {
            let client = runtime.block_on(server.connect());
            runtime
                .block_on(client.batch_execute(&format!("set vicinity.lane = '{lane}'")))
                .map_err(Failure)?;
            Ok(Session { client, runtime })
        }
    });
    runner.add_label(lane);
    let mut failed = Vec::new();
    for record in sqllogictest::parse_file::<DefaultColumnType>(file).unwrap() {
        if let Err(e) = runner.run(record) {
            failed.push(format!("{lane} lane: {}", e.display(false)));
        }
    }
    drop(runner);
    runtime.block_on(server.stop());
    failed
}

#[test]
fn every_file_on_both_lanes() {
    let mut failed = Vec::new();
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("slt")) {
        for lane in ["auto", "batch"] {
            failed.extend(run(&file, lane));
        }
    }
    assert!(failed.is_empty(), "{} failures:\n{}", failed.len(), failed.join("\n\n"));
}
