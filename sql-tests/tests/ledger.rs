//! A server that is killed under load, and started again: every row that was acknowledged is there, every transaction
//! whole, every index as its table. `VICINITY_LEDGER_ROUNDS` says how often.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio_postgres::Client;
use vicinity_sql_tests::process::{Process, serve_if_asked};

const WRITERS: i32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn serve() {
    serve_if_asked().await;
}

const TABLES: &str = "
    create table entry (writer int, n int, note text, primary key (writer, n));
    create index on entry (note);
    create table courier (id int primary key, pos point, last int, weight float8);
    create index on courier using gist (pos);
    create index on courier (last);
    create table half (writer int, n int);
    create unlogged table scratch (id int primary key, n int);
    create sequence ticket;
";

/// What a writer knows when the server is gone.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The last transaction that was begun.
    tried: i32,
    /// The last one that was acknowledged.
    acknowledged: i32,
    /// The largest value of the sequence that came with an acknowledgement.
    ticket: i64,
}

/// One transaction after the other, until the server is gone.
async fn write(client: Client, writer: i32, mut known: Known) -> Known {
    let mut random = StdRng::seed_from_u64(known.tried as u64 * 7 + writer as u64);
    loop {
        known.tried += 1;
        match transaction(&client, writer, known.tried, &mut random).await {
            Ok(ticket) => {
                known.acknowledged = known.tried;
                known.ticket = known.ticket.max(ticket.unwrap_or(0));
            }
            // The server's word that it was not done, as opposed to silence.
            Err(e) if e.code().is_some_and(|c| c.code() != "57P01") => {
                panic!("writer {writer}, {}: {e:?}", known.tried)
            }
            Err(_) => return known,
        }
    }
}

async fn transaction(
    client: &Client,
    writer: i32,
    n: i32,
    random: &mut StdRng,
) -> Result<Option<i64>, tokio_postgres::Error> {
    let id = writer * 100 + random.random_range(0..30);
    let (x, y): (f64, f64) = (random.random_range(0.0..100.0), random.random_range(0.0..100.0));
    let note = "x".repeat(random.random_range(0..200));
    let entry = format!("insert into entry values ({writer}, {n}, '{note}');");
    let courier = format!(
        "insert into courier values ({id}, point({x},{y}), {n}, 1) on conflict (id) \
         do update set pos = excluded.pos, last = excluded.last, weight = courier.weight + 1;"
    );
    match random.random_range(0..5) {
        0 => {
            // Taken back to the savepoint, and then something else.
            let lost =
                format!("insert into half select {writer}, {n} from generate_series(1, 50);");
            let sql = format!("begin; {entry} savepoint a; {lost} rollback to a; {courier} commit");
            client.batch_execute(&sql).await?;
        }
        1 => {
            let row = client.query_one("select nextval('ticket')", &[]).await?;
            client.batch_execute(&format!("begin; {entry} {courier} commit")).await?;
            return Ok(Some(row.get(0)));
        }
        2 => {
            let sql = format!(
                "insert into scratch values ({id}, {n}) on conflict (id) do update set n = {n}"
            );
            client.batch_execute(&sql).await?;
            client.batch_execute(&format!("{entry} {courier}")).await?;
        }
        _ => client.batch_execute(&format!("begin; {entry} {courier} commit")).await?,
    }
    Ok(None)
}

/// Definitions that come and go meanwhile. Each makes or drops a pair.
async fn define(client: Client, round: usize, over: Arc<AtomicBool>) {
    let statements = [
        "create index entry_n on entry (n)",
        "create index courier_weight on courier (weight)",
        "create table pair_a (a int); create table pair_b (b int)",
        "insert into half values (-1, 0)",
        "truncate half",
        "checkpoint",
        "drop index entry_n",
        "drop index courier_weight",
        "drop table pair_a, pair_b",
    ];
    for statement in statements.iter().cycle().skip(round * 5) {
        if over.load(Ordering::Relaxed) {
            return;
        }
        match client.batch_execute(statement).await {
            Ok(()) => {}
            // It was there, or was not there, when the round began.
            Err(e) if e.code().is_some_and(|c| matches!(c.code(), "42P07" | "42P01" | "42704")) => {
            }
            Err(e) if e.code().is_some_and(|c| c.code() != "57P01") => panic!("{statement}: {e:?}"),
            Err(_) => return,
        }
    }
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}")).get(0)
}

/// Compares what is there with what the writers know; what is there from now on was acknowledged.
async fn check(client: &Client, known: &mut [Known]) {
    for (writer, k) in known.iter_mut().enumerate() {
        let of = |what: &str| format!("select {what} from entry where writer = {writer}");
        let last = number(client, &of("coalesce(max(n), 0)::bigint")).await as i32;
        let count = number(client, &of("count(*)")).await as i32;
        assert!(last >= k.acknowledged && last <= k.tried, "writer {writer}: {last}, known {k:?}");
        assert_eq!(count, last, "writer {writer}: none is missing in between");
        let sql =
            format!("select coalesce(max(last), 0)::bigint from courier where id / 100 = {writer}");
        assert_eq!(number(client, &sql).await as i32, last, "writer {writer}: both tables or none");
        k.acknowledged = last;
        k.tried = last;
    }
    assert_eq!(
        number(client, "select count(*) from half where writer >= 0").await,
        0,
        "taken back"
    );
    assert_eq!(
        number(client, "select count(*) from scratch").await,
        0,
        "unlogged tables are empty"
    );
    let ticket = known.iter().map(|k| k.ticket).max().unwrap();
    assert!(number(client, "select nextval('ticket')").await > ticket, "the sequence goes on");
    let pair = "select count(*) from pg_class where relname in ('pair_a', 'pair_b')";
    assert!([0, 2].contains(&number(client, pair).await), "both tables are made, or none");
    same_rows(client).await;
}

/// Every index gives the rows of its table.
async fn same_rows(client: &Client) {
    let all = number(client, "select count(*) from courier").await;
    let sums = [
        (
            "select sum(last)::bigint from (select last from courier order by pos <-> point(50,50) limit 100000) t",
            "gist",
        ),
        ("select sum(last)::bigint from courier where circle(point(50,50),200) @> pos", "gist"),
        ("select sum(last)::bigint from courier where last >= 0", "btree"),
    ];
    let want = number(client, "select coalesce(sum(last), 0)::bigint from courier").await;
    for (sql, index) in sums.iter().filter(|_| all > 0) {
        client.batch_execute("set enable_seqscan = off").await.unwrap();
        assert_eq!(number(client, sql).await, want, "{index}");
        client.batch_execute("reset enable_seqscan").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_the_server() {
    let rounds = std::env::var("VICINITY_LEDGER_ROUNDS").ok().and_then(|n| n.parse().ok());
    let directory = TempDir::with_prefix("vicinity-ledger-").unwrap();
    let data = directory.path().join("data");
    let mut random = StdRng::seed_from_u64(1);
    let mut known = [Known::default(); WRITERS as usize];
    let process = Process::start(&data, &[]);
    process.connect().await.batch_execute(TABLES).await.unwrap();
    process.kill();
    for round in 0..rounds.unwrap_or(4) {
        let process = Process::start(&data, &[]);
        let client = process.connect().await;
        check(&client, &mut known).await;
        let over = Arc::new(AtomicBool::new(false));
        let definer = tokio::spawn(define(client, round, over.clone()));
        let mut writers = Vec::new();
        for (writer, k) in (0..).zip(known) {
            writers.push(tokio::spawn(write(process.connect().await, writer, k)));
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(20..600))).await;
        process.kill();
        over.store(true, Ordering::Relaxed);
        definer.await.unwrap();
        for (k, writer) in known.iter_mut().zip(writers) {
            *k = writer.await.unwrap();
        }
    }
    let process = Process::start(&data, &[]);
    check(&process.connect().await, &mut known).await;
}

/// A file system of its own for the server, where one may be made without being asked for a password.
fn small_disk(data: &std::path::Path, megabytes: u32) -> Option<Vec<String>> {
    let mount =
        format!("mount -t tmpfs -o size={megabytes}m none '{}' && exec \"$@\"", data.display());
    let words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"];
    let mut command: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
    command.extend([mount, "sh".to_owned()]);
    let tried = std::process::Command::new(&command[0]).args(&command[1..]).arg("true").status();
    tried.is_ok_and(|status| status.success()).then_some(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_that_passes() {
    let directory = TempDir::with_prefix("vicinity-full-").unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let Some(before) = small_disk(&data, 24) else { return };
    let process = Process::start(&data, &before);
    let client = process.connect().await;
    client.batch_execute("create table t (id int primary key, v text)").await.unwrap();
    // Seen from here the directory is empty; this is where the server is.
    let inside = format!("/proc/{}/root{}/ballast", process.id(), data.display());
    std::fs::write(&inside, vec![0u8; 12 << 20]).unwrap();
    let mut rows = 0i64;
    let full = loop {
        let sql = format!(
            "insert into t select i, repeat('x', 1000) from generate_series({rows}, {rows} + 499) i"
        );
        match client.batch_execute(&sql).await {
            Ok(()) => rows += 500,
            Err(e) => break e,
        }
        assert!(rows < 100_000, "the disk is full in the end");
    };
    assert_eq!(full.code().map(|c| c.code()), Some("53100"), "{full:?}");
    assert_eq!(number(&client, "select count(*) from t").await, rows, "reading goes on");
    std::fs::remove_file(&inside).unwrap();
    client.batch_execute(&format!("insert into t values ({rows}, 'more')")).await.unwrap();
    assert_eq!(number(&client, "select count(*) from t").await, rows + 1);
}
