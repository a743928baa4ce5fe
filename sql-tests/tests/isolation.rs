//! Scripts of sessions side by side, `isolation/*.script`: what Vicinity answers, and what PostgreSQL 15 does.
//! `REWRITE=1` writes into them what PostgreSQL answers.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use vicinity_sql_tests::postgres::Postgres;
use vicinity_sql_tests::{TestServer, isolation};

fn scripts() -> Vec<PathBuf> {
    let under = Path::new(env!("CARGO_MANIFEST_DIR")).join("isolation");
    let entries = std::fs::read_dir(under).unwrap().map(|e| e.unwrap().path());
    let mut scripts: Vec<_> =
        entries.filter(|p| p.extension().is_some_and(|e| e == "script")).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    scripts
}

/// Each run that answers otherwise than its script says.
fn differences(path: &Path, want: &str, got: &str) -> Vec<String> {
    let name = path.file_stem().unwrap().to_string_lossy();
    let (want, got) = (runs(want), runs(got));
    assert_eq!(want.len(), got.len(), "{name}");
    let other = want.iter().zip(&got).filter(|(want, got)| want != got);
    other.map(|(want, got)| format!("{name}\n--- script\n{want}\n--- answer\n{got}")).collect()
}

/// A script's runs, each from its first line to the next blank one.
fn runs(script: &str) -> Vec<&str> {
    script.split("\n\n").map(str::trim_end).filter(|part| part.contains("run ")).collect()
}

async fn play(login: &str, rewrite: bool) {
    let mut failed = Vec::new();
    for path in scripts() {
        let script = std::fs::read_to_string(&path).unwrap();
        let played = isolation::play(login, &script).await;
        if rewrite {
            std::fs::write(&path, played).unwrap();
        } else {
            failed.extend(differences(&path, &script, &played));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_side_by_side() {
    let server = TestServer::start().await;
    let at = server.address();
    play(&format!("host={} port={} user=postgres", at.ip(), at.port()), false).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_side_by_side_in_postgresql() {
    let Some(postgres) = Postgres::start().await else { return };
    play(postgres.login(), std::env::var_os("REWRITE").is_some()).await;
}
