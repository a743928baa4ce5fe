//! Index builds as other sessions see them: how far they are, that they let writers go on, that they can be stopped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use tokio_postgres::{Client, NoTls};
use vicinity_sql_tests::TestServer;

const ROWS: i64 = 12_000;

async fn filled(server: &TestServer) -> Client {
    let client = server.connect().await;
    let fill = format!(
        "create extension pase;
         create table v (id serial primary key, vec float4[]);
         insert into v (vec) select array_agg((random() * 1000)::float4)
         from generate_series(1, {ROWS}) i, generate_series(1, 32) d group by i"
    );
    client.batch_execute(&fill).await.unwrap();
    client
}

/// Waits until a build counts rows: its phase, rows done and rows in all.
async fn progress(client: &Client) -> (String, i64, i64) {
    let sql = "select phase, tuples_done, tuples_total from pg_stat_progress_create_index
               where tuples_done > 0 and phase like '%linking%'";
    for _ in 0..2000 {
        if let Some(row) = client.query_opt(sql, &[]).await.unwrap() {
            return (row.get(0), row.get(1), row.get(2));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("no build was seen");
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

const BUILD: &str = "create index v_vec on v using pase_hnsw (vec) with (dim = 32, ef_build = 200)";
const ALL: &str = "select count(*) from (
    select id from v order by vec <?> (select pase(vec) from v where id = 1) limit 100000) x";

#[tokio::test(flavor = "multi_thread")]
async fn a_build_tells_how_far_it_is_and_lets_writers_go_on() {
    let server = TestServer::start().await;
    let client = filled(&server).await;
    let other = server.connect().await;
    let build = BUILD.replace("index", "index concurrently");
    let built = tokio::spawn(async move { client.batch_execute(&build).await });
    let (phase, done, total) = progress(&other).await;
    assert_eq!(phase, "building index: linking neighbors");
    assert!(done <= total && total == ROWS, "{done} of {total}");
    other.batch_execute("insert into v (vec) select vec from v where id <= 20").await.unwrap();
    other.batch_execute("delete from v where id between 30 and 39").await.unwrap();
    other
        .batch_execute("update v set vec = (select vec from v where id = 1) where id = 50")
        .await
        .unwrap();
    // all of that went by while the index was being built
    assert_eq!(count(&other, "select count(*) from pg_stat_progress_create_index").await, 1);
    built.await.unwrap().unwrap();
    assert_eq!(count(&other, "select count(*) from pg_stat_progress_create_index").await, 0);
    assert_eq!(count(&other, ALL).await, ROWS + 20 - 10);
    let nearest = "select count(*) from (select id, vec from v
        order by vec <?> (select pase(vec) from v where id = 1) limit 3) x
        where vec = (select vec from v where id = 1)";
    assert_eq!(count(&other, nearest).await, 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_stopped_leaves_nothing() {
    let server = TestServer::start().await;
    let client = filled(&server).await;
    let other = server.connect().await;
    let cancel = client.cancel_token();
    let built = tokio::spawn(async move { (client.batch_execute(BUILD).await, client) });
    progress(&other).await;
    cancel.cancel_query(NoTls).await.unwrap();
    let (outcome, client) = built.await.unwrap();
    assert_eq!(outcome.unwrap_err().code().unwrap().code(), "57014");
    let left = "select (select count(*) from pg_class where relname = 'v_vec')
                     + (select count(*) from pg_stat_progress_create_index)";
    assert_eq!(count(&other, left).await, 0);
    // and its name is free
    client.batch_execute(&BUILD.replace("200", "40")).await.unwrap();
    assert_eq!(count(&other, ALL).await, ROWS);
    client.batch_execute("reindex index v_vec").await.unwrap();
    assert_eq!(count(&other, ALL).await, ROWS);
    client.batch_execute("drop index v_vec").await.unwrap();
    assert_eq!(count(&other, ALL).await, ROWS);
    server.stop().await;
}
