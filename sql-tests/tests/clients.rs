//! Programs that users come with: pgbench as it is, in every protocol mode.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use vicinity_sql_tests::TestServer;

fn pgbench(port: u16, args: &[&str]) -> String {
    let done = Command::new("pgbench")
        .args(["-h", "127.0.0.1", "-U", "postgres", "-p"])
        .arg(port.to_string())
        .args(args)
        .arg("postgres")
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(done.status.success(), "pgbench {args:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbench_runs_unchanged() {
    if Command::new("pgbench").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: pgbench is not installed");
        return;
    }
    let server = TestServer::start().await;
    let port = server.address().port();
    let mut pipeline = tempfile::NamedTempFile::new().unwrap();
    pipeline
        .write_all(
            b"\\set aid random(1, 100000)\n\\startpipeline\nselect abalance from pgbench_accounts \
              where aid = :aid;\nselect 2;\nupdate pgbench_tellers set tbalance = tbalance + 1 \
              where tid = 1;\n\\endpipeline\n",
        )
        .unwrap();
    let script = pipeline.path().to_str().unwrap().to_owned();
    tokio::task::spawn_blocking(move || {
        pgbench(port, &["-i", "-s", "1"]);
        // Twice: what is there is dropped first.
        pgbench(port, &["-i", "-s", "1", "--unlogged-tables"]);
        pgbench(port, &["-i", "-I", "dtGvp", "-s", "1"]);
        for mode in ["simple", "extended", "prepared"] {
            for builtin in ["tpcb-like", "simple-update", "select-only"] {
                let args = ["-n", "-M", mode, "-b", builtin, "-c", "4", "-t", "25"];
                let said = pgbench(port, &args);
                assert!(said.contains("number of failed transactions: 0"), "{said}");
            }
        }
        for mode in ["extended", "prepared"] {
            let args = ["-n", "-M", mode, "-f", &script, "-c", "4", "-t", "25"];
            let said = pgbench(port, &args);
            assert!(said.contains("number of failed transactions: 0"), "{said}");
        }
    })
    .await
    .unwrap();
    let client = server.connect().await;
    let sql = "select (select sum(abalance) from pgbench_accounts) = \
               (select sum(delta) from pgbench_history)";
    assert!(client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
    server.stop().await;
}
