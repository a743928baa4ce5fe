//! kill -9, over and over: what was acknowledged is there, a statement is there whole or not at all,
//! and no half-built index answers anything.
//!
//! `VICINITY_CRASH_ROUNDS` sets the rounds of each test; the default is short.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::Rng;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// The server, in a process of its own.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(data: &Path) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vicinity"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| {
                let line = line.unwrap();
                let rest = line.trim().strip_prefix("psql ")?.split("-p ").nth(1)?;
                rest.split(' ').next()?.parse().ok()
            })
            .expect("the server says where it listens");
        Server { child, port }
    }

    async fn connect(&self) -> Client {
        let login = format!("host=127.0.0.1 port={} user=postgres", self.port);
        let (client, connection) = tokio_postgres::connect(&login, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn kill(self) {
        drop(self);
    }
}

/// kill -9
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rounds() -> u32 {
    std::env::var("VICINITY_CRASH_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(3)
}

fn pause(most: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(5..most))
}

const WRITERS: i32 = 3;
/// Rows of a statement.
const BATCH: i64 = 40;

/// Inserts batch after batch until the connection breaks; how many were acknowledged.
async fn write(client: Client, writer: i32, from: i64) -> i64 {
    let insert = "insert into ledger (writer, batch, n, vec) \
                  select $1, $2, n, array[n, $2, $1]::float4[] from generate_series(1, 40) n";
    let mut next = from;
    while client.execute(insert, &[&writer, &next]).await.is_ok() {
        next += 1;
    }
    next
}

/// Every acknowledged batch of a writer is there, and none in part. How far it came.
async fn check(client: &Client, writer: i32, acknowledged: i64) -> i64 {
    let row = client
        .query_one(
            "select count(*), coalesce(min(c), 40), coalesce(max(c), 40), coalesce(max(batch), -1) \
             from (select batch, count(*) c from ledger where writer = $1 group by batch) b",
            &[&writer],
        )
        .await
        .unwrap();
    let (batches, least, most, last): (i64, i64, i64, i64) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    assert!(batches >= acknowledged, "{acknowledged} acknowledged, {batches} found");
    assert_eq!((least, most), (BATCH, BATCH), "a statement in part");
    // One statement may have been committed without its answer arriving; none may be missing before.
    assert!(batches <= acknowledged + 1);
    assert_eq!(last + 1, batches);
    batches
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost() {
    let directory = TempDir::with_prefix("vicinity-crash-").unwrap();
    let mut server = Server::start(directory.path());
    let client = server.connect().await;
    client
        .batch_execute(
            "create table ledger (id bigserial primary key, writer int, batch bigint, n int, \
             vec float4[], unique (writer, batch, n))",
        )
        .await
        .unwrap();
    let mut done = [0i64; WRITERS as usize];
    for _ in 0..rounds() {
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let client = server.connect().await;
            writers.push(tokio::spawn(write(client, writer, done[writer as usize])));
        }
        tokio::time::sleep(pause(700)).await;
        server.kill();
        for (writer, task) in writers.into_iter().enumerate() {
            done[writer] = task.await.unwrap();
        }
        server = Server::start(directory.path());
        let client = server.connect().await;
        for writer in 0..WRITERS {
            let batches = check(&client, writer, done[writer as usize]).await;
            done[writer as usize] = batches;
        }
    }
    assert!(done.iter().sum::<i64>() > 0);
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_of_a_sequence_comes_again() {
    let directory = TempDir::with_prefix("vicinity-crash-").unwrap();
    let mut server = Server::start(directory.path());
    server.connect().await.batch_execute("create sequence s").await.unwrap();
    let mut last = 0i64;
    for round in 0..rounds() {
        let client = server.connect().await;
        for _ in 0..=round * 7 {
            let next: i64 = client.query_one("select nextval('s')", &[]).await.unwrap().get(0);
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        server.kill();
        server = Server::start(directory.path());
    }
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_recursion_is_an_error() {
    let directory = TempDir::with_prefix("vicinity-crash-").unwrap();
    let server = Server::start(directory.path());
    let client = server.connect().await;
    client
        .batch_execute(
            "create function endless(n int) returns int language sql as 'select 1'; \
             create or replace function endless(n int) returns int language sql \
             as 'select endless(n + 1)'",
        )
        .await
        .unwrap();
    let error = client.query_one("select endless(1)", &[]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "54001", "{error}");
    assert_eq!(client.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    server.kill();
}

/// Rows to index: long enough a build to be met in the middle.
const VECTORS: i64 = 20_000;
/// With an effort that makes either index exact; each operator's effort is for its own kind.
const NEAREST: [&str; 2] = [
    "select id from vectors order by vec <?> '50,50,50,50,50,50,50,50:1000'::pase, id limit 5",
    "select id from vectors order by vec <#> '50,50,50,50,50,50,50,50:1000'::pase, id limit 5",
];

async fn ids(client: &Client, sql: &str) -> Vec<i32> {
    client.query(sql, &[]).await.unwrap().iter().map(|r| r.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_half_built_index_is_used() {
    let directory = TempDir::with_prefix("vicinity-crash-").unwrap();
    let mut server = Server::start(directory.path());
    let client = server.connect().await;
    client
        .batch_execute(&format!(
            "create extension pase; create table vectors (id int primary key, vec float4[]); \
             insert into vectors select i, array_agg(trunc(random() * 100)::float4) \
             from generate_series(1, {VECTORS}) i, generate_series(1, 8) d group by i"
        ))
        .await
        .unwrap();
    let nearest = ids(&client, NEAREST[0]).await;
    let builds = [
        "create index v on vectors using pase_hnsw (vec) \
         with (dim = 8, base_nb_num = 16, ef_build = 40, ef_search = 200, base64_encoded = 0)",
        "create index v on vectors using pase_ivfflat (vec) \
         with (clustering_type = 1, distance_type = 0, dimension = 8, clustering_params = \"100,50\")",
        "create unique index v on vectors (vec, id)",
    ];
    for round in 0..rounds() as usize {
        let client = server.connect().await;
        client.batch_execute("drop index if exists v").await.unwrap();
        let build = tokio::spawn(async move {
            client.batch_execute(builds[round % builds.len()]).await.is_ok()
        });
        tokio::time::sleep(pause(1500)).await;
        server.kill();
        let built = build.await.unwrap();
        server = Server::start(directory.path());
        let client = server.connect().await;
        let valid: Vec<bool> = client
            .query("select indisvalid from pg_index where indexrelid = to_regclass('v')", &[])
            .await
            .unwrap()
            .iter()
            .map(|r| r.get(0))
            .collect();
        assert!(!built || valid == [true], "an acknowledged index is gone");
        assert!(valid.iter().all(|v| *v), "a half-built index is left");
        assert_eq!(ids(&client, "select count(*)::int from vectors").await, [VECTORS as i32]);
        let how = (builds[round % builds.len()], built, valid);
        assert_eq!(ids(&client, NEAREST[round % 3 % 2]).await, nearest, "{how:?}");
    }
    server.kill();
}
