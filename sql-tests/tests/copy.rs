//! COPY through a driver and in bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bytes::Bytes;
use futures::{SinkExt as _, TryStreamExt as _};
use tokio_postgres::Client;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::types::Type;
use vicinity_sql_tests::TestServer;
use vicinity_sql_tests::raw::{Raw, bind, cstr, execute, frame, parse, query, sync, tags};

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", |c| c.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_copies_in_and_out() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create table t (id int primary key, name text)").await.unwrap();
    let sink = client.copy_in("copy t from stdin").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    for i in 0..1000 {
        sink.send(Bytes::from(format!("{i}\tname {i}\n"))).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 1000);
    let rows = client.copy_out("copy (select * from t order by id limit 2) to stdout").await;
    let rows: Vec<Bytes> = rows.unwrap().try_collect().await.unwrap();
    assert_eq!(rows.concat(), b"0\tname 0\n1\tname 1\n");
    assert_eq!(count(&client, "select count(*) from t where name = 'name ' || id").await, 1000);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_rows_there_and_back() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create table t (id int, v float8[], note text)").await.unwrap();
    let sink = client.copy_in("copy t from stdin (format binary)").await.unwrap();
    let types = [Type::INT4, Type::FLOAT8_ARRAY, Type::TEXT];
    let writer = BinaryCopyInWriter::new(sink, &types);
    let mut writer = std::pin::pin!(writer);
    for i in 0..500i32 {
        let note = (i % 2 == 0).then(|| format!("n{i}"));
        writer.as_mut().write(&[&i, &vec![f64::from(i), 0.5], &note]).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), 500);
    let out = client.copy_out("copy t to stdout (format binary)").await.unwrap();
    let rows: Vec<_> = BinaryCopyOutStream::new(out, &types).try_collect().await.unwrap();
    assert_eq!(rows.len(), 500);
    assert_eq!(rows[7].get::<Vec<f64>>(1), [7.0, 0.5]);
    assert_eq!(rows[7].get::<Option<String>>(2), None);
    assert_eq!(rows[8].get::<Option<String>>(2).as_deref(), Some("n8"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_copy_leaves_nothing() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create table t (id int)").await.unwrap();
    {
        let sink = client.copy_in("copy t from stdin").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        sink.send(Bytes::from_static(b"1\n2\n")).await.unwrap();
        // Dropped without an end: the driver says CopyFail.
    }
    assert_eq!(count(&client, "select count(*) from t").await, 0);
    let sink = client.copy_in("copy t from stdin").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    sink.send(Bytes::from_static(b"1\nx\n")).await.unwrap();
    let error = sink.finish().await.unwrap_err();
    assert_eq!(code(&error), "22P02");
    let context = error.as_db_error().unwrap().where_();
    assert_eq!(context, Some("COPY t, line 2, column id: \"x\""));
    assert_eq!(count(&client, "select count(*) from t").await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_simple_copy() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.ask(&query("create table t (id int, v text)")).await;
    raw.send(&query("copy t from stdin; select 7; copy t to stdout")).await;
    let said = raw.until(b'G').await;
    assert_eq!(said.last().unwrap().body, [0, 0, 2, 0, 0, 0, 0]);
    // Rows need not be whole in a message; Flush and Sync are passed over.
    let data = [frame(b'd', b"1\ta"), sync(), frame(b'H', &[]), frame(b'd', b"b\n2\tc\n")];
    let said = raw.ask(&[data.concat(), frame(b'c', &[])].concat()).await;
    assert_eq!(tags(&said), "CTDCHddcCZ");
    assert_eq!(said[0].body, cstr("COPY 2"));
    assert_eq!(said[5].body, b"1\tab\n");
    assert_eq!(said[8].body, cstr("COPY 2"));
    raw.send(&query("copy t from stdin")).await;
    raw.until(b'G').await;
    let said = raw.ask(&frame(b'f', &cstr("no more"))).await;
    assert_eq!(said[0].error(), "ERROR 57014: COPY from stdin failed: no more");
    assert_eq!(said[0].field(b'W').as_deref(), Some("COPY t, line 1"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_an_extended_copy() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.ask(&query("create table t (id int)")).await;
    let describe = frame(b'D', &[vec![b'P'], cstr("")].concat());
    let batch = [parse("", "copy t from stdin"), bind("", ""), describe, execute("", 0), sync()];
    raw.send(&batch.concat()).await;
    assert_eq!(tags(&raw.until(b'G').await), "12nG");
    let data = [frame(b'd', b"1\n"), frame(b'c', &[]), sync()].concat();
    assert_eq!(tags(&raw.ask(&data).await), "CZ");
    // An error in the middle skips to the Sync behind the data.
    raw.send(&batch.concat()).await;
    raw.until(b'G').await;
    let data = [frame(b'd', b"x\n"), frame(b'd', b"1\n"), frame(b'c', &[]), sync()].concat();
    assert_eq!(tags(&raw.ask(&data).await), "EZ");
    // A row limit means nothing to COPY.
    let batch = [parse("", "copy t to stdout"), bind("", ""), execute("", 1), sync()].concat();
    assert_eq!(tags(&raw.ask(&batch).await), "12HdcCZ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_out_of_place_ends_the_session() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.ask(&query("create table t (id int)")).await;
    raw.send(&query("copy t from stdin")).await;
    raw.until(b'G').await;
    raw.send(&[frame(b'd', b"1\n"), query("select 1")].concat()).await;
    let said: Vec<String> = raw.rest().await.iter().map(|m| m.error()).collect();
    assert_eq!(said[0], "ERROR 08P01: unexpected message type 0x51 during COPY from stdin");
    assert!(said.last().unwrap().starts_with("FATAL 08P01: terminating connection"), "{said:?}");
    let client = server.connect().await;
    assert_eq!(count(&client, "select count(*) from t").await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_is_rolled_back() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.send(&query("copy t from stdin")).await;
    raw.until(b'G').await;
    raw.send(&frame(b'd', b"1\n2\n")).await;
    drop(raw);
    // Waits for the other transaction if it is still there.
    client.batch_execute("insert into t values (1)").await.unwrap();
    assert_eq!(count(&client, "select count(*) from t").await, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_copy_can_be_cancelled() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create table t (id int); set statement_timeout = 200").await.unwrap();
    let sink = client.copy_in("copy t from stdin").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    sink.send(Bytes::from_static(b"1\n")).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(code(&sink.finish().await.unwrap_err()), "57014");
    assert_eq!(count(&client, "select count(*) from t").await, 0);
    server.stop().await;
}
