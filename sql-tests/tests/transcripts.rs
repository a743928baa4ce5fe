//! psql reads transcripts/NAME.sql; what it prints must be transcripts/NAME.out.
//!
//! Lines `Time: ...` are left out. Without psql the suite says so and passes.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use vicinity_sql_tests::TestServer;

fn psql(script: &Path, port: u16) -> String {
    let printed = tempfile::NamedTempFile::new().unwrap();
    // Both streams write at the end of the file, wherever the other one left it.
    let both = || Stdio::from(OpenOptions::new().append(true).open(printed.path()).unwrap());
    let status = Command::new("psql")
        .args(["-X", "-a", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "-p"])
        .arg(port.to_string())
        .env("PGOPTIONS", "")
        .stdin(File::open(script).unwrap())
        .stdout(both())
        .stderr(both())
        .status()
        .unwrap();
    assert!(status.code().is_some_and(|c| c < 2), "psql could not connect");
    std::fs::read_to_string(printed.path()).unwrap()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).filter(|l| !l.starts_with("Time: ")).collect()
}

fn first_difference(got: &str, want: &str) -> Option<String> {
    let (got, want) = (lines(got), lines(want));
    let at = (0..got.len().max(want.len())).find(|i| got.get(*i) != want.get(*i))?;
    Some(format!("line {}: got {:?}, want {:?}", at + 1, got.get(at), want.get(at)))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transcript() {
    if Command::new("psql").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: psql is not installed, so transcripts are not compared");
        return;
    }
    let under = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(under)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "sql"))
        .collect();
    scripts.sort();
    let mut failed = Vec::new();
    for script in scripts {
        let server = TestServer::start().await;
        let port = server.address().port();
        let path = script.clone();
        let got = tokio::task::spawn_blocking(move || psql(&path, port)).await.unwrap();
        let want = std::fs::read_to_string(script.with_extension("out")).unwrap();
        if let Some(difference) = first_difference(&got, &want) {
            failed.push(format!("{}: {difference}", script.display()));
        }
        server.stop().await;
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
