//! Whatever runs, or is being planned, can be stopped: by its time limit, by a cancel request, by the
//! client's going, and by the server's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};
use vicinity_sql_tests::TestServer;
use vicinity_sql_tests::raw::{Raw, query, tags};

/// Statements that would run for hours.
const ENDLESS: &[&str] = &[
    "with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t",
    "with recursive t(n) as (select 1::numeric union select n + 1 from t) select count(*) from t",
    "with recursive t(n) as (select 1 union all select n from t) select * from t where n < 0",
    "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b",
    "select * from generate_series(1, 1000000) a, generate_series(1, 1000000) b where a + b < 0",
    "select count(*) from generate_series(1, 300000) a left join generate_series(1, 300000) b \
     on a < -b",
    "select count(*) from generate_series(1, 1000000) a join generate_series(1, 1000000) b \
     on a % 2 = b % 2 and a + b < 0",
    "select length(string_agg(a::text, ',')) from generate_series(1, 100000000000) a",
    "select array_length(array_agg(a order by a desc), 1) from generate_series(1, 100000000000) a",
    "select a from generate_series(1, 100000000000) a order by a % 1000, a limit 10",
    "select distinct a % 1000 from generate_series(1, 100000000000) a",
    "select a, row_number() over (order by a desc) from generate_series(1, 100000000000) a",
    "select a from generate_series(1, 100000000000) a union select 1",
    "select count(*) from generate_series(1, 100000) a \
     where exists (select from generate_series(1, 1000000) b where b < -a)",
    "select generate_series(1, 100000000000) offset 100000000000 limit 1",
];

fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or(String::new(), |c| c.code().to_owned())
}

/// Runs a statement that is to end with 57014, soon after it was told to.
async fn ends(client: &Client, sql: &str) {
    let began = Instant::now();
    let error = client.simple_query(sql).await.unwrap_err();
    assert_eq!(code(&error), "57014", "{sql}: {error}");
    assert!(began.elapsed() < Duration::from_secs(3), "{sql}: {:?}", began.elapsed());
    assert_eq!(client.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_statements_run_out_of_time() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("set statement_timeout = '200ms'").await.unwrap();
    for sql in ENDLESS {
        ends(&client, sql).await;
        ends(&client, &format!("explain analyze {sql}")).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_statements_can_be_cancelled() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    for sql in ENDLESS {
        let token = client.cancel_token();
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        tokio::join!(ends(&client, sql), cancel);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_can_be_stopped() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    // Views of which each reads the one below twice.
    client.batch_execute("create view v0 as select 1 as a").await.unwrap();
    for i in 1..=8 {
        let below = format!("select * from v{}", i - 1);
        let view = format!("create view v{i} as {below} union all {below}");
        client.batch_execute(&view).await.unwrap();
    }
    client.batch_execute("set statement_timeout = '200ms'").await.unwrap();
    // What is bound in time is optimised, and made ready to run, for longer.
    for times in [1, 2, 5, 10, 50, 200] {
        let tables: Vec<String> = (0..times).map(|i| format!("v8 a{i}")).collect();
        let began = Instant::now();
        let sql = format!("select count(*) from {}", tables.join(", "));
        if let Err(error) = client.simple_query(&sql).await {
            assert_eq!(code(&error), "57014", "{error}");
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{times}: {:?}", began.elapsed());
    }
    server.stop().await;
}

/// Waits until nothing but the asking session is active.
async fn until_idle(client: &Client) {
    let began = Instant::now();
    let sql = "select count(*) from pg_stat_activity \
               where state = 'active' and pid <> pg_backend_pid()";
    while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(began.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_ends_its_statement() {
    let server = TestServer::start().await;
    let watcher = server.connect().await;
    for sql in ENDLESS {
        let (mut raw, _) = Raw::start(server.address()).await;
        raw.send(&query(sql)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(raw);
        until_idle(&watcher).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_client_takes_nothing_can_be_ended() {
    let server = TestServer::start().await;
    let watcher = server.connect().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.send(&query("select repeat('x', 1000) from generate_series(1, 1000000)")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
               where query like 'select repeat%' and pid <> pg_backend_pid()";
    assert_eq!(watcher.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 1);
    until_idle(&watcher).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_nothing_else() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.send(&query("select pg_sleep(60)")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (said, ()) = tokio::join!(raw.rest(), server.stop());
    assert_eq!(tags(&said), "TE");
    let want = "FATAL 57P01: terminating connection due to administrator command";
    assert_eq!(said[1].error(), want);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_all_statements() {
    let server = TestServer::start().await;
    let mut running = Vec::new();
    for sql in ENDLESS {
        let client = server.connect().await;
        running.push(tokio::spawn(async move { client.simple_query(sql).await.is_err() }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for ended in running {
        assert!(ended.await.unwrap());
    }
}
