//! Scripts of sessions side by side, `isolation/*.script`: what Vicinity answers, and what PostgreSQL 15 does.
//! `REWRITE=1` writes into them what PostgreSQL answers.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use vicinity_sql_tests::postgres::{Postgres, rows};
use vicinity_sql_tests::{Settings, TestServer, isolation};

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

/// Plays all scripts, but for one.
async fn play(login: &str, rewrite: bool, not: Option<&str>) {
    let mut failed = Vec::new();
    for path in scripts() {
        if path.file_stem().and_then(|name| name.to_str()) == not {
            continue;
        }
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
    let prepared = ("max_prepared_transactions".to_owned(), "10".to_owned());
    let settings = Settings { settings: [prepared].into(), ..Settings::default() };
    let server = TestServer::start_with(settings).await;
    let at = server.address();
    play(&format!("host={} port={} user=postgres", at.ip(), at.port()), false, None).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_side_by_side_in_postgresql() {
    let Some(postgres) = Postgres::start().await else { return };
    let most = rows(&postgres.connect().await, "show max_prepared_transactions").await.unwrap();
    let off = (most == ["0"]).then_some("prepared_transactions");
    play(postgres.login(), std::env::var_os("REWRITE").is_some(), off).await;
}
