//! A driver's view: tokio-postgres over the simple and the extended protocol.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, SystemTime};

use futures::TryStreamExt as _;
use tokio_postgres::NoTls;
use tokio_postgres::types::{Oid, Type};
use vicinity_sql_tests::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn statements_with_parameters() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create table t (id int primary key, name text)").await.unwrap();
    let insert = client.prepare("insert into t values ($1, $2)").await.unwrap();
    assert_eq!(insert.params(), [Type::INT4, Type::TEXT]);
    for i in 0..10i32 {
        assert_eq!(client.execute(&insert, &[&i, &format!("n{i}")]).await.unwrap(), 1);
    }
    let one = client.query_one("select name from t where id = $1", &[&7i32]).await.unwrap();
    assert_eq!(one.get::<_, &str>(0), "n7");
    let none = client.query_opt("select name from t where id = $1", &[&70i32]).await.unwrap();
    assert!(none.is_none());
    let null: Option<&str> = None;
    client.execute("update t set name = $1 where id = 3", &[&null]).await.unwrap();
    let row = client.query_one("select name from t where id = 3", &[]).await.unwrap();
    assert_eq!(row.get::<_, Option<String>>(0), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_commit_and_roll_back() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let txn = client.transaction().await.unwrap();
    txn.execute("insert into t values (1)", &[]).await.unwrap();
    txn.commit().await.unwrap();
    let txn = client.transaction().await.unwrap();
    txn.execute("insert into t values (2)", &[]).await.unwrap();
    let e = txn.execute("insert into t values (1)", &[]).await.unwrap_err();
    assert_eq!(e.code().unwrap().code(), "23505");
    let e = txn.query("select 1", &[]).await.unwrap_err();
    assert_eq!(e.code().unwrap().code(), "25P02");
    txn.rollback().await.unwrap();
    let count: i64 = client.query_one("select count(*) from t", &[]).await.unwrap().get(0);
    assert_eq!(count, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_are_one_transaction() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let failed = client.batch_execute("insert into t values (1); insert into t values (1)").await;
    assert_eq!(failed.unwrap_err().code().unwrap().code(), "23505");
    let count = "select count(*) from t";
    assert_eq!(client.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
    client
        .batch_execute("insert into t values (1); begin; insert into t values (2); rollback")
        .await
        .unwrap();
    assert_eq!(client.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn portals_give_rows_a_few_at_a_time() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let txn = client.transaction().await.unwrap();
    let sql = "select n from generate_series(1, 10) n order by n";
    let portal = txn.bind(sql, &[]).await.unwrap();
    for (ask, want) in [(4, 4), (4, 4), (4, 2), (4, 0)] {
        assert_eq!(txn.query_portal(&portal, ask).await.unwrap().len(), want);
    }
    txn.commit().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_results_stream() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let none: [&str; 0] = [];
    let rows =
        client.query_raw("select n, repeat('x', 100) from generate_series(1, 50000) n", none);
    let mut rows = std::pin::pin!(rows.await.unwrap());
    let mut want = 1i32;
    while let Some(row) = rows.try_next().await.unwrap() {
        assert_eq!(row.get::<_, i32>(0), want);
        want += 1;
    }
    assert_eq!(want, 50_001);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_statements_can_be_cancelled() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let token = client.cancel_token();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let slow = client.query_one("select count(*) from generate_series(1, 10000000000) n", &[]);
    let (answer, ()) = tokio::join!(slow, cancel);
    assert_eq!(answer.unwrap_err().code().unwrap().code(), "57014");
    assert_eq!(client.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    server.stop().await;
}

/// A value there and back in the binary format.
async fn round<T>(client: &tokio_postgres::Client, ty: &str, value: T)
where
    T: tokio_postgres::types::ToSql
        + for<'a> tokio_postgres::types::FromSql<'a>
        + Sync
        + PartialEq
        + std::fmt::Debug,
{
    let sql = format!("select $1::{ty}, $1::{ty} is null");
    let row = client.query_one(&sql, &[&value]).await.unwrap();
    assert_eq!(row.get::<_, T>(0), value, "{ty}");
    assert!(!row.get::<_, bool>(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_formats_there_and_back() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    round(&client, "bool", true).await;
    round(&client, "int2", -7i16).await;
    round(&client, "int4", i32::MIN).await;
    round(&client, "int8", i64::MAX).await;
    round(&client, "float4", 1.5e-10f32).await;
    round(&client, "float8", f64::MAX).await;
    round(&client, "text", "gr\u{fc}n".to_owned()).await;
    round(&client, "varchar", "x".to_owned()).await;
    round(&client, "bytea", vec![0u8, 255, 10]).await;
    round(&client, "oid", 4_000_000_000 as Oid).await;
    round(&client, "int4[]", vec![Some(1i32), None, Some(3)]).await;
    round(&client, "float4[]", vec![1.0f32, 2.5]).await;
    round(&client, "text[]", vec!["a,b".to_owned(), String::new(), "\"".to_owned()]).await;
    round(&client, "\"char\"", 65i8).await;
    let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    round(&client, "timestamptz", time).await;
    round(&client, "timestamp", time).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_is_there_after_a_restart() {
    let mut server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create table t (id int primary key, v float4[])").await.unwrap();
    client.execute("insert into t values (1, '{1,2}')", &[]).await.unwrap();
    drop(client);
    server.restart().await;
    let client = server.connect().await;
    let row = client.query_one("select v from t where id = 1", &[]).await.unwrap();
    assert_eq!(row.get::<_, Vec<f32>>(0), [1.0, 2.0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn do_nothing_tells_no_lasting_snapshot_of_newer_rows() {
    let server = TestServer::start().await;
    let (a, b) = (server.connect().await, server.connect().await);
    b.batch_execute(
        "create table t (id int primary key, v int); insert into t values (1, 0), (2, 0)",
    )
    .await
    .unwrap();
    let tries = async |id: i32| {
        let sql = format!("insert into t values ({id}, 1) on conflict do nothing");
        let found = a.execute(&sql, &[]).await;
        found.map_err(|e| e.code().map_or(String::new(), |c| c.code().to_owned()))
    };
    for (change, id, wanted) in [
        ("select 1", 1, Ok(0)),
        ("insert into t values (3, 0)", 3, Err("40001".to_owned())),
        ("update t set v = 5 where id = 2", 2, Err("40001".to_owned())),
        ("delete from t where id = 2", 1, Ok(0)),
    ] {
        a.batch_execute("begin isolation level repeatable read; select from t").await.unwrap();
        b.batch_execute(change).await.unwrap();
        assert_eq!(tries(id).await, wanted, "{change}");
        a.batch_execute("rollback").await.unwrap();
    }
    // Each statement of the default level sees what was committed before it.
    assert_eq!(tries(3).await, Ok(0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn portals_and_cursors_are_one() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("select n from generate_series(1, 10) n", &[]).await.unwrap();
    let first = transaction.query_portal(&portal, 3).await.unwrap();
    assert_eq!(first.len(), 3);
    // SQL sees the driver's portal, and goes on where it stopped.
    let names = transaction.query("select name from pg_cursors", &[]).await.unwrap();
    let name: String = names[0].get(0);
    let next = transaction.query(&format!("fetch 2 from \"{name}\""), &[]).await.unwrap();
    assert_eq!(next.iter().map(|r| r.get::<_, i32>(0)).collect::<Vec<_>>(), [4, 5]);
    let rest = transaction.query_portal(&portal, 0).await.unwrap();
    assert_eq!(rest.len(), 5);
    transaction.rollback().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_are_declared_with_parameters() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.batch_execute("create table t as select generate_series(1,10) id").await.unwrap();
    let txn = client.transaction().await.unwrap();
    let text = "declare c scroll cursor for select id from t where id > $1 order by id";
    let declare = txn.prepare(text).await.unwrap();
    assert_eq!(declare.params(), [Type::INT4]);
    txn.execute(&declare, &[&7i32]).await.unwrap();
    let fetch = "fetch all from c";
    let ids = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|r| r.get(0)).collect::<Vec<i32>>();
    assert_eq!(ids(txn.query(fetch, &[]).await.unwrap()), [8, 9, 10]);
    assert_eq!(ids(txn.query("fetch backward 2 from c", &[]).await.unwrap()), [10, 9]);
    txn.execute("declare d cursor for select id from t where id = $1", &[&3i32]).await.unwrap();
    txn.batch_execute("fetch 1 from d").await.unwrap();
    txn.execute("update t set id = 30 where current of d", &[]).await.unwrap();
    let e = txn.batch_execute("declare e cursor for select $1::int").await.unwrap_err();
    assert_eq!(e.code().unwrap().code(), "42P02");
    txn.rollback().await.unwrap();
    server.stop().await;
}
