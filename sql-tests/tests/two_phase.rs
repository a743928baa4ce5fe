//! Two-phase commit over SQL: refusals in PostgreSQL's words, and transactions that wait across stops and kills.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use tempfile::TempDir;
use tokio_postgres::Client;
use vicinity_sql_tests::postgres::rows;
use vicinity_sql_tests::process::{Process, serve_if_asked};
use vicinity_sql_tests::{Settings, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn serve() {
    serve_if_asked().await;
}

fn settings() -> Settings {
    let settings = [("max_prepared_transactions".to_owned(), "4".to_owned())].into();
    Settings { settings, ..Settings::default() }
}

async fn all(client: &Client, sql: &str) -> Vec<String> {
    rows(client, sql).await.unwrap()
}

async fn refused(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.unwrap_err();
    let e = error.as_db_error().unwrap();
    format!("{} {}", e.code().code(), e.message())
}

/// The answer of PREPARE TRANSACTION in a block that has done something.
async fn not_prepared(client: &Client, work: &str, name: &str) -> String {
    client.batch_execute("begin").await.unwrap();
    client.batch_execute(work).await.unwrap();
    let answer = refused(client, &format!("prepare transaction '{name}'")).await;
    // It is over: this statement is no part of it.
    client.batch_execute("select 1").await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_prepared_or_ended_is_refused() {
    let server = TestServer::start_with(settings()).await;
    let client = server.connect().await;
    client.batch_execute("create table t (id int primary key); create role other").await.unwrap();
    let long = "x".repeat(200);
    let cases = [
        ("insert into t values (1)", long.as_str(), "22023 transaction identifier"),
        (
            "create temp table v (a int)",
            "p",
            "0A000 cannot PREPARE a transaction that has operated on temporary objects",
        ),
        (
            "declare c cursor with hold for select 1",
            "p",
            "0A000 cannot PREPARE a transaction that has created a cursor WITH HOLD",
        ),
        (
            "select pg_advisory_lock(1), pg_advisory_xact_lock(1)",
            "p",
            "0A000 cannot PREPARE while holding both session-level and transaction-level locks on the same object",
        ),
    ];
    for (work, name, want) in cases {
        let answer = not_prepared(&client, work, name).await;
        assert!(answer.starts_with(want), "{work}: {answer}");
    }
    client.batch_execute("create temp table v (a int)").await.unwrap();
    assert!(not_prepared(&client, "select * from v", "p").await.starts_with("0A000"));
    assert_eq!(all(&client, "select * from t").await, [""; 0]);
    // Nothing to prepare, and nothing that could be.
    for block in ["", "begin; savepoint a"] {
        client.batch_execute(block).await.unwrap();
        if !block.is_empty() {
            refused(&client, "select 1 / 0").await;
        }
        client.batch_execute("prepare transaction 'p'").await.unwrap();
    }
    assert_eq!(all(&client, "select gid from pg_prepared_xacts").await, [""; 0]);
    client.batch_execute("begin; insert into t values (1); prepare transaction 'p'").await.unwrap();
    let taken = "42710 transaction identifier \"p\" is already in use";
    assert_eq!(not_prepared(&client, "select 1", "p").await, taken);
    for (sql, want) in [
        ("commit prepared 'q'", "42704 prepared transaction with identifier \"q\" does not exist"),
        (
            "rollback prepared 'q'",
            "42704 prepared transaction with identifier \"q\" does not exist",
        ),
        (
            "begin; commit prepared 'p'",
            "25001 COMMIT PREPARED cannot run inside a transaction block",
        ),
        (
            "rollback; begin; rollback prepared 'p'",
            "25001 ROLLBACK PREPARED cannot run inside a transaction block",
        ),
        ("rollback; set role other", ""),
        ("commit prepared 'p'", "42501 permission denied to finish prepared transaction"),
        ("rollback prepared 'p'", "42501 permission denied to finish prepared transaction"),
    ] {
        match want {
            "" => client.batch_execute(sql).await.unwrap(),
            _ => assert_eq!(refused(&client, sql).await, want, "{sql}"),
        }
    }
    client.batch_execute("begin; prepare transaction 'o'; reset role").await.unwrap();
    let listed = "select gid, owner, database, prepared <= now() from pg_prepared_xacts order by 1";
    assert_eq!(all(&client, listed).await, ["o|other|postgres|t", "p|postgres|postgres|t"]);
    let locks = "select locktype, mode from pg_locks where pid is null order by 1, 2";
    assert_eq!(
        all(&client, locks).await,
        ["relation|RowExclusiveLock", "transactionid|ExclusiveLock", "transactionid|ExclusiveLock"]
    );
    client
        .batch_execute("begin; prepare transaction 'a'; begin; prepare transaction 'b'")
        .await
        .unwrap();
    let most = not_prepared(&client, "select 1", "c").await;
    assert_eq!(most, "53200 maximum number of prepared transactions reached");
    client.batch_execute("rollback prepared 'o'").await.unwrap();
    client.batch_execute("commit prepared 'p'").await.unwrap();
    assert_eq!(all(&client, "select * from t").await, ["1"]);
    server.stop().await;
    let server = TestServer::start().await;
    let client = server.connect().await;
    let off = not_prepared(&client, "select 1", "p").await;
    assert_eq!(off, "55000 prepared transactions are disabled");
    server.stop().await;
}

const WORK: &str = "begin; \
    insert into t values (3, 'three'); \
    update t set v = 'new' where id = 1; \
    select from t where id = 2 for update; \
    create table u (id int primary key, e text); \
    create index on u (lower(e)); \
    insert into u values (1, 'E'); \
    select pg_advisory_xact_lock(42); \
    prepare transaction 'p'";

/// Prepares [`WORK`], and leaves.
async fn prepare(client: &Client) {
    client
        .batch_execute(
            "create table t (id int primary key, v text); create unique index on t (lower(v)); \
             insert into t values (1, 'one'), (2, 'two')",
        )
        .await
        .unwrap();
    client.batch_execute(WORK).await.unwrap();
}

/// Nobody sees it, and everybody waits for it.
async fn is_waiting(client: &Client) {
    assert_eq!(all(client, "select gid from pg_prepared_xacts").await, ["p"]);
    assert_eq!(all(client, "select * from t order by id").await, ["1|one", "2|two"]);
    assert_eq!(all(client, "select to_regclass('u') is null").await, ["t"]);
    assert_eq!(all(client, "select pg_try_advisory_xact_lock(42)").await, ["f"]);
    client.batch_execute("set lock_timeout = '20ms'").await.unwrap();
    for sql in [
        "update t set v = 'x' where id = 1",
        "delete from t where id = 2",
        "insert into t values (3, 'x')",
        "insert into t values (4, 'THREE')",
        "insert into t values (4, 'New')",
        "alter table t add column x int",
    ] {
        assert!(refused(client, sql).await.starts_with("55P03"), "{sql}");
    }
    client
        .batch_execute("insert into t values (9, 'nine'); delete from t where id = 9")
        .await
        .unwrap();
}

async fn is_committed(client: &Client) {
    assert_eq!(all(client, "select gid from pg_prepared_xacts").await, [""; 0]);
    let rows = ["1|new", "2|two", "3|three"];
    assert_eq!(all(client, "select * from t order by id").await, rows);
    client.batch_execute("set enable_seqscan = off").await.unwrap();
    assert_eq!(all(client, "select id from t where lower(v) = 'new'").await, ["1"]);
    assert_eq!(all(client, "select id from t where upper(v) = 'THREE'").await, ["3"]);
    assert_eq!(all(client, "select id from u where lower(e) = 'e'").await, ["1"]);
    assert_eq!(all(client, "select pg_try_advisory_xact_lock(42)").await, ["t"]);
    let sql = "begin; delete from t; insert into t values (1, 'x'); rollback";
    client.batch_execute(sql).await.unwrap();
}

async fn is_rolled_back(client: &Client) {
    assert_eq!(all(client, "select gid from pg_prepared_xacts").await, [""; 0]);
    assert_eq!(all(client, "select * from t order by id").await, ["1|one", "2|two"]);
    assert_eq!(all(client, "select to_regclass('u') is null").await, ["t"]);
    let sql = "begin; create table u (); insert into t values (3, 'three'); \
               alter table t add column x int; rollback";
    client.batch_execute(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_across_clean_stops() {
    for commits in [true, false] {
        let mut server = TestServer::start_with(settings()).await;
        prepare(&server.connect().await).await;
        for _ in 0..2 {
            is_waiting(&server.connect().await).await;
            server.restart().await;
        }
        is_waiting(&server.connect().await).await;
        let client = server.connect().await;
        match commits {
            true => client.batch_execute("commit prepared 'p'").await.unwrap(),
            false => client.batch_execute("rollback prepared 'p'").await.unwrap(),
        }
        for _ in 0..2 {
            let client = server.connect().await;
            match commits {
                true => is_committed(&client).await,
                false => is_rolled_back(&client).await,
            }
            server.restart().await;
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_across_kills() {
    for commits in [true, false] {
        let directory = TempDir::with_prefix("vicinity-two-phase-").unwrap();
        let data = directory.path().join("data");
        let mut server = Process::start(&data, &[]);
        prepare(&server.connect().await).await;
        for _ in 0..2 {
            is_waiting(&server.connect().await).await;
            server.kill();
            server = Process::start(&data, &[]);
        }
        is_waiting(&server.connect().await).await;
        let client = server.connect().await;
        match commits {
            true => client.batch_execute("commit prepared 'p'").await.unwrap(),
            false => client.batch_execute("rollback prepared 'p'").await.unwrap(),
        }
        for _ in 0..2 {
            server.kill();
            server = Process::start(&data, &[]);
            let client = server.connect().await;
            match commits {
                true => is_committed(&client).await,
                false => is_rolled_back(&client).await,
            }
        }
        server.kill();
    }
}
