//! Nearness over SQL beside a brute-force oracle: random rows, filters and changes, in one session and in many.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::Client;
use vicinity_sql_tests::TestServer;

const DIM: usize = 6;

/// Coordinates are whole numbers, so that distances are exact and ties abound.
fn vector(random: &mut StdRng) -> String {
    let values: Vec<String> = (0..DIM).map(|_| random.random_range(0..12i32).to_string()).collect();
    values.join(",")
}

fn rows(random: &mut StdRng, ids: std::ops::Range<i32>) -> String {
    let mut text = String::new();
    for id in ids {
        let comma = if text.is_empty() { "" } else { "," };
        let v = vector(random);
        let null = random.random_ratio(1, 40);
        let v = if null { "null".to_owned() } else { format!("'{{{v}}}'") };
        write!(text, "{comma}({id},{v},{},{})", id % 10, id % 97).unwrap();
    }
    text
}

/// `a` has the indexes, `b` has the same rows and none.
const TABLES: &str = "create extension pase;
    create table a (id int primary key, vec float4[], w int, g int);
    create table b (id int primary key, vec float4[], w int, g int);
    create table seen (item int);
    insert into seen select i * 3 from generate_series(1, 200) i;";

fn index(method: &str) -> &'static str {
    match method {
        "<?>" => "create index a_vec on a using pase_hnsw (vec) with (dim = 6, ef_build = 80)",
        _ => {
            "create index a_vec on a using pase_ivfflat (vec)
             with (clustering_type = 1, dimension = 6, clustering_params = '1000,20')"
        }
    }
}

/// The shapes of a query: condition and further sort keys. `t` is the table.
const SHAPES: &[(&str, &str)] = &[
    ("true", ""),
    ("t.w = 3", ""),
    ("t.g = 11", ""),
    ("t.id % 2 = 0 and (t.w < 5 or t.g > 90)", ""),
    ("t.id not in (select item from seen)", ""),
    ("not exists (select from seen where item = t.id)", ""),
    ("t.id in (select item from seen)", ""),
    ("t.id not in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)", ""),
    ("true", ", w desc, id"),
    ("t.w > 2", ", g, id desc"),
    ("t.vec is not null", ", id"),
    ("t.id < 0", ""),
];

/// What a query says: distances where rows may tie, ids where they may not.
async fn ask(
    client: &Client,
    table: &str,
    op: &str,
    query: &str,
    shape: usize,
    page: (i32, i32),
) -> Vec<String> {
    let (condition, keys) = SHAPES[shape];
    let shown = if keys.ends_with("id") || keys.ends_with("id desc") { "id" } else { "0" };
    let extra = if op == "<?>" { 600 } else { 1000 };
    let sql = format!(
        "select {shown}::text || ' ' || coalesce((vec {op} '{query}')::text, '-') from {table} t
         where {condition} order by vec {op} '{query}:{extra}'{keys} limit {} offset {}",
        page.0, page.1
    );
    let rows = client.query(&sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    rows.iter().map(|r| r.get(0)).collect()
}

/// Rows of `a`'s answer that are as near as `b`'s, and how many there should be.
async fn compare(client: &Client, random: &mut StdRng, op: &str) -> (usize, usize) {
    let (mut same, mut all) = (0, 0);
    for (shape, text) in SHAPES.iter().enumerate() {
        let query = vector(random);
        let page = (random.random_range(1..60), random.random_range(0..3) * 40);
        let got = ask(client, "a", op, &query, shape, page).await;
        let want = ask(client, "b", op, &query, shape, page).await;
        // never short
        assert_eq!(got.len(), want.len(), "{text:?} {page:?}");
        same += got.iter().zip(&want).filter(|(g, w)| g == w).count();
        all += want.len();
    }
    (same, all)
}

async fn oracle(op: &'static str, lane: &str) {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let mut random = StdRng::seed_from_u64(7);
    client.batch_execute(&format!("set vicinity.lane = '{lane}'; {TABLES}")).await.unwrap();
    let first = rows(&mut random, 0..1500);
    for table in ["a", "b"] {
        client.batch_execute(&format!("insert into {table} values {first}")).await.unwrap();
    }
    client.batch_execute(index(op)).await.unwrap();
    let (mut same, mut all) = compare(&client, &mut random, op).await;
    let mut next = 1500;
    for round in 0..4 {
        client.batch_execute("begin").await.unwrap();
        let changes = [
            format!("insert into ? values {}", rows(&mut random, next..next + 150)),
            format!("delete from ? where id % 11 = {round}"),
            format!("update ? set vec = '{{{}}}' where id % 13 = {round}", vector(&mut random)),
            format!("update ? set w = w + 1 where id % 7 = {round}"),
            format!("update ? set vec = null where id % 101 = {round}"),
        ];
        for change in &changes {
            for table in ["a", "b"] {
                client.batch_execute(&change.replacen('?', table, 1)).await.unwrap();
            }
        }
        // the transaction's own rows, and then what is left of them
        let (s, n) = compare(&client, &mut random, op).await;
        let end = if round % 3 == 2 { "rollback" } else { "commit" };
        client.batch_execute(end).await.unwrap();
        next += 150;
        let (s2, n2) = compare(&client, &mut random, op).await;
        (same, all) = (same + s + s2, all + n + n2);
    }
    assert!(same * 1000 >= all * 990, "{op} {lane}: {same} of {all}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn graph_answers_as_a_full_sort_does() {
    oracle("<?>", "auto").await;
    oracle("<?>", "batch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_answer_as_a_full_sort_does() {
    oracle("<#>", "auto").await;
    oracle("<#>", "batch").await;
}

/// Inserts, moves and deletes rows of its own, some of it in vain.
async fn writer(client: Client, next: Arc<AtomicI32>, over: Arc<AtomicBool>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut mine: Vec<i32> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let from = next.fetch_add(20, Ordering::Relaxed);
        let mut text =
            format!("begin; insert into a values {};", rows(&mut random, from..from + 20));
        let gone = mine.len() / 3;
        for id in mine.iter().take(gone) {
            write!(text, "delete from a where id = {id};").unwrap();
        }
        for id in mine.iter().skip(gone).take(10) {
            let v = vector(&mut random);
            write!(text, "update a set vec = '{{{v}}}' where id = {id};").unwrap();
        }
        let commit = random.random_ratio(3, 4);
        text.push_str(if commit { "commit" } else { "rollback" });
        client.batch_execute(&text).await.unwrap();
        if commit {
            mine.drain(..gone);
            mine.extend(from..from + 20);
        }
    }
}

/// Asks within snapshots: every row must be there for a plain scan of the same snapshot too, once, as often as asked.
async fn searcher(
    mut client: Client,
    op: &'static str,
    rounds: usize,
    seed: u64,
) -> (usize, usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut same, mut all) = (0, 0);
    for _ in 0..rounds {
        let level = tokio_postgres::IsolationLevel::RepeatableRead;
        let txn = client.build_transaction().isolation_level(level).start().await.unwrap();
        let (query, w) = (vector(&mut random), random.random_range(0..10i32));
        let extra = if op == "<?>" { 600 } else { 1000 };
        let nearest = format!(
            "select id, (vec {op} '{query}')::float8 from a where w <> {w} and vec is not null
             order by vec {op} '{query}:{extra}' limit 30"
        );
        let plain = format!(
            "select id, (vec {op} '{query}')::float8 from a where w <> {w} and vec is not null"
        );
        let got: Vec<(i32, f64)> =
            txn.query(&nearest, &[]).await.unwrap().iter().map(|r| (r.get(0), r.get(1))).collect();
        let mut want: Vec<(i32, f64)> =
            txn.query(&plain, &[]).await.unwrap().iter().map(|r| (r.get(0), r.get(1))).collect();
        txn.commit().await.unwrap();
        want.sort_by(|a, b| a.1.total_cmp(&b.1));
        assert_eq!(got.len(), want.len().min(30));
        let known: std::collections::HashMap<i32, f64> = want.iter().copied().collect();
        let mut ids: Vec<i32> = got.iter().map(|g| g.0).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), got.len(), "a row came out twice");
        for (id, d) in &got {
            assert_eq!(known.get(id), Some(d), "row {id} is not to be seen");
        }
        assert!(got.windows(2).all(|p| p[0].1 <= p[1].1), "out of order");
        same += got.iter().zip(&want).filter(|(g, w)| g.1 <= w.1).count();
        all += got.len();
    }
    (same, all)
}

async fn together(op: &'static str) {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute(TABLES).await.unwrap();
    let first = rows(&mut StdRng::seed_from_u64(1), 0..1000);
    client.batch_execute(&format!("insert into a values {first}")).await.unwrap();
    client.batch_execute(index(op)).await.unwrap();
    let (next, over) = (Arc::new(AtomicI32::new(1000)), Arc::new(AtomicBool::new(false)));
    let mut writers = Vec::new();
    for seed in 0..3 {
        let client = server.connect().await;
        writers.push(tokio::spawn(writer(client, next.clone(), over.clone(), seed)));
    }
    let mut searchers = Vec::new();
    for seed in 10..13 {
        let client = server.connect().await;
        searchers.push(tokio::spawn(searcher(client, op, 60, seed)));
    }
    let (mut same, mut all) = (0, 0);
    for s in searchers {
        let (s, n) = s.await.unwrap();
        (same, all) = (same + s, all + n);
    }
    over.store(true, Ordering::Relaxed);
    for w in writers {
        w.await.unwrap();
    }
    assert!(same * 100 >= all * 98, "{op}: {same} of {all}");
    // what is left answers as a fresh build does
    let (grown, n) = searcher(server.connect().await, op, 40, 99).await;
    client.batch_execute("reindex index a_vec").await.unwrap();
    let (fresh, _) = searcher(server.connect().await, op, 40, 99).await;
    assert!(grown + n / 100 >= fresh, "{op}: {grown} and {fresh} of {n}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn graph_among_writers() {
    together("<?>").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_among_writers() {
    together("<#>").await;
}
