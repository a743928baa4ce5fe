//! Disks that are full, and disks that fail.

use std::process::Command;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio_postgres::Client;
use vicinity_sql_tests::process::Process;

use crate::Ledger;
use crate::beside::{self, Beside};
use crate::check::number;

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Whether a command can be run as a beginning of others.
fn works(before: &[String]) -> bool {
    let tried = Command::new(&before[0]).args(&before[1..]).arg("true").output();
    tried.is_ok_and(|done| done.status.success())
}

/// A file system of its own for the server, where one may be made.
fn small_disk(data: &std::path::Path, megabytes: u32) -> Option<Vec<String>> {
    let mount =
        format!("mount -t tmpfs -o size={megabytes}m none '{}' && exec \"$@\"", data.display());
    let mut command = words("unshare --user --map-root-user --mount sh -c");
    command.extend([mount, "sh".to_owned()]);
    works(&command).then_some(command)
}

/// Inserts rows until there is no room; the SQLSTATE that said so.
async fn fill(client: &Client, rows: &mut i64) -> Option<String> {
    while *rows < 1_000_000 {
        let sql = format!(
            "insert into t select i, repeat('x', 1000) from generate_series({rows}, {rows} + 499) i"
        );
        match client.batch_execute(&sql).await {
            Ok(()) => *rows += 500,
            Err(e) => return e.code().map(|c| c.code().to_owned()),
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_that_passes() {
    let directory = TempDir::with_prefix("vicinity-full-").unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let Some(before) = small_disk(&data, 64) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let process = Process::start(&data, &before);
    let client = process.connect().await;
    client.batch_execute("create table t (id int primary key, v text)").await.unwrap();
    // Seen from here the directory is empty; this is where the server is.
    let inside = format!("/proc/{}/root{}/ballast", process.id(), data.display());
    std::fs::write(&inside, vec![0u8; 44 << 20]).unwrap();
    let mut rows = 0;
    assert_eq!(fill(&client, &mut rows).await.as_deref(), Some("53100"));
    assert_eq!(number(&client, "select count(*) from t").await, rows, "reading goes on");
    let checkpoint = client.batch_execute("checkpoint").await.unwrap_err();
    assert_eq!(checkpoint.code().map(|c| c.code()), Some("53100"), "{checkpoint:?}");
    assert_eq!(fill(&client, &mut rows).await.as_deref(), Some("53100"));
    std::fs::remove_file(&inside).unwrap();
    client.batch_execute("checkpoint").await.unwrap();
    client.batch_execute(&format!("insert into t values ({rows}, 'more')")).await.unwrap();
    assert_eq!(number(&client, "select count(*) from t").await, rows + 1);
}

/// Lets the calls that write and sync fail from the `when`-th one of a thread on.
fn failing(calls: &str, when: u32) -> Option<Vec<String>> {
    let before = |inject: &str| words(&format!("strace -D -f -qq -o /dev/null {inject}"));
    let inject = format!("-e trace={calls} -e inject={calls}:error=EIO:when={when}+");
    works(&before("-e trace=none")).then(|| before(&inject))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_ends_the_server() {
    if failing("fdatasync", 1).is_none() {
        println!("skipped: strace is not here, or may not trace");
        return;
    }
    let mut random = StdRng::seed_from_u64(2);
    let mut ledger = Ledger::new().await;
    for (calls, beside) in [
        ("pwrite64,fdatasync", Beside::Nothing),
        ("pwrite64,fdatasync", Beside::Definitions),
        ("fdatasync,fsync", Beside::Checkpoints),
    ] {
        let (process, client) = ledger.start(&[]).await;
        beside::complete(&client).await;
        process.kill();
        // A start syncs six times, a checkpoint as often; the log is written otherwise.
        let when = if calls.starts_with("p") { random.random_range(20..100) } else { 10 };
        let (mut process, _client) = ledger.start(&failing(calls, when).unwrap()).await;
        let load = ledger.load(&process, beside).await;
        let ended = process.ended().map(|status| status.success());
        assert_eq!(ended, Some(false), "{calls} from the {when}th on: {}", process.said());
        assert!(process.said().contains("vicinity: PANIC: "), "{}", process.said());
        assert!(process.said().contains("Input/output error"), "{}", process.said());
        ledger.note(load).await;
    }
    let _ = ledger.start(&[]).await;
}
