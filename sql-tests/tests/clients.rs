//! Programs that users come with: pgbench as it is, in every protocol mode.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Write as _;

use vicinity_sql_tests::{TestServer, program};

fn pgbench(port: u16, args: &[&str]) -> String {
    let done = program::run("pgbench", port, args);
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbench_runs_unchanged() {
    if program::is_missing("pgbench") {
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
