//! What clients do wrong, or not at all: fuzz in COPY and after errors, long messages, slow readers,
//! sudden ends, many at once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio_postgres::Client;
use vicinity_sql_tests::raw::{
    Message, Raw, bind, cstr, execute, frame, parse, query, startup, sync, tags,
};
use vicinity_sql_tests::{Settings, TestServer};

/// Every error has a SQLSTATE, and none is the server's own fault.
fn check(said: &[Message], sent: &dyn std::fmt::Debug) {
    for message in said.iter().filter(|m| m.tag == b'E') {
        let code = message.field(b'C').unwrap_or_default();
        assert!(code.len() == 5 && !code.starts_with("XX"), "{} for {sent:?}", message.error());
    }
}

fn noise(random: &mut StdRng, most: usize) -> Vec<u8> {
    let length = random.random_range(0..most);
    let odd = b"\t\n\\.\"',N\r\0x1a{}";
    (0..length)
        .map(|_| if random.random() { *odd.choose(random).unwrap() } else { random.random() })
        .collect()
}

/// Any message of the protocol, its body right, wrong or noise.
fn any_message(random: &mut StdRng) -> Vec<u8> {
    let name = *["", "a", "b"].choose(random).unwrap();
    let sql = *[
        "select 1",
        "",
        "select $1::int",
        "copy t from stdin",
        "copy t to stdout",
        "begin",
        "rollback",
        "select 1/0",
        "declare a cursor for select 1",
        "fetch a",
        "deallocate all",
    ]
    .choose(random)
    .unwrap();
    let message = match random.random_range(0..14) {
        0 => parse(name, sql),
        1 => bind(name, name),
        2 => execute(name, random.random_range(-1..3)),
        3 => frame(b'D', &[vec![b'S'], cstr(name)].concat()),
        4 => frame(b'D', &[vec![b'P'], cstr(name)].concat()),
        5 => frame(b'C', &[vec![b'S'], cstr(name)].concat()),
        6 => frame(b'C', &[vec![b'P'], cstr(name)].concat()),
        7 => frame(b'H', &[]),
        8 => query(sql),
        9 => frame(b'd', &noise(random, 60)),
        10 => frame(b'c', &[]),
        11 => frame(b'f', &cstr("enough")),
        12 => frame(b'F', &noise(random, 20)),
        _ => sync(),
    };
    match random.random_range(0..6) {
        0 => frame(message[0], &noise(random, 40)),
        1 => {
            let keep = random.random_range(5..=message.len());
            frame(message[0], &message[5..keep])
        }
        _ => message,
    }
}

/// A session that works, made anew if the last one was ended.
async fn alive(server: &TestServer, raw: &mut Raw, random: &mut StdRng) -> Vec<Message> {
    // Whatever state the noise left: end a COPY, skip to Sync, leave a failed block.
    raw.send(&[frame(b'f', &cstr("end")), sync(), query("rollback"), query("")].concat()).await;
    let mut said = Vec::new();
    loop {
        match raw.next().await {
            Ok(message) => said.push(message),
            Err(_) => {
                // Only a message out of place in COPY may end the session.
                let last = said.last().map(|m: &Message| m.error()).unwrap_or_default();
                assert!(last.starts_with("FATAL 08P01"), "{last} {:?}", random.random::<u8>());
                *raw = Raw::start(server.address()).await.0;
                return said;
            }
        }
        if tags(&said).ends_with("IZ") && said.iter().rev().nth(2).is_some_and(|m| m.tag == b'Z') {
            return said;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_messages_in_any_order() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create table t (id int, v text)").await.unwrap();
    let mut random = StdRng::seed_from_u64(11);
    let (mut raw, _) = Raw::start(server.address()).await;
    for _ in 0..400 {
        let count = random.random_range(1..12);
        let batch: Vec<u8> = (0..count).flat_map(|_| any_message(&mut random)).collect();
        raw.send(&batch).await;
        let said = alive(&server, &mut raw, &mut random).await;
        check(&said, &batch);
    }
    client.batch_execute("select 1").await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_as_copy_data() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.ask(&query("create table t (id int, v text, a float8[])")).await;
    let mut random = StdRng::seed_from_u64(12);
    for round in 0..300 {
        let form = ["text", "csv", "csv, header match", "binary"][round % 4];
        raw.send(&query(&format!("copy t from stdin (format {form})"))).await;
        raw.until(b'G').await;
        let mut data = Vec::new();
        if form == "binary" && random.random() {
            data.extend(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
            data.extend([0, 3]);
        }
        data.extend(noise(&mut random, 200));
        let cut = random.random_range(0..=data.len());
        let batch = [frame(b'd', &data[..cut]), frame(b'd', &data[cut..]), frame(b'c', &[])];
        let said = raw.ask(&batch.concat()).await;
        check(&said, &data);
        assert!(matches!(said[0].tag, b'E' | b'C'), "{said:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_in_pipelines_skip_what_depends_on_them() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let one = |sql: &str| [parse("", sql), bind("", ""), execute("", 0)].concat();
    let mut batch = Vec::new();
    for i in 0..50 {
        batch.extend(one("select 1"));
        batch.extend(one(if i % 3 == 0 { "select 1/0" } else { "select 2" }));
        batch.extend(one("select 3"));
        batch.extend(sync());
    }
    raw.send(&batch).await;
    for i in 0..50 {
        let want = if i % 3 == 0 { "12DC12EZ" } else { "12DC12DC12DCZ" };
        assert_eq!(tags(&raw.until(b'Z').await), want);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_have_a_limit() {
    let settings = Settings { max_message: Some(1 << 20), ..Settings::default() };
    let server = TestServer::start_with(settings).await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let long = format!("select length('{}')", "x".repeat(1_000_000));
    assert_eq!(tags(&raw.ask(&query(&long)).await), "TDCZ");
    // A header that announces more is believed in nothing: no memory is taken for it.
    for announced in [(1u32 << 20) + 1, 0x7fff_ffff, 0xffff_ffff, 3] {
        let (mut raw, _) = Raw::start(server.address()).await;
        raw.send(&[&b"Q"[..], &announced.to_be_bytes()].concat()).await;
        let said = raw.rest().await;
        assert_eq!(said[0].error(), "FATAL 08P01: invalid message length");
    }
    raw.ask(&query("create table t (v text)")).await;
    raw.send(&query("copy t from stdin")).await;
    raw.until(b'G').await;
    raw.send(&[&b"d"[..], &0x7fff_ffffu32.to_be_bytes()].concat()).await;
    let said = raw.rest().await;
    assert_eq!(said[0].error(), "ERROR 08P01: invalid message length");
    server.stop().await;
}

async fn active(client: &Client) -> i64 {
    let sql =
        "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and state = 'active'";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn quiet(client: &Client) {
    let began = Instant::now();
    while active(client).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "a backend goes on without its client");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_stops_its_statement() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    for sql in [
        "select n, repeat('x', 1000) from generate_series(1, 100000000) n",
        "copy (select n from generate_series(1, 100000000) n) to stdout",
        "select pg_sleep(1000)",
        "select count(*) from generate_series(1, 10000000000) n",
    ] {
        let (mut raw, _) = Raw::start(server.address()).await;
        raw.send(&query(sql)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(raw);
        quiet(&client).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_up_only_itself() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let (mut slow, _) = Raw::start(server.address()).await;
    slow.send(&query("select repeat('x', 10000) from generate_series(1, 20000) n")).await;
    // Two hundred megabytes wait for it; the others are served.
    for _ in 0..20 {
        client.batch_execute("select 1").await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut rows = 0;
    loop {
        let message = slow.next().await.unwrap();
        rows += usize::from(message.tag == b'D');
        if message.tag == b'Z' {
            break;
        }
    }
    assert_eq!(rows, 20_000);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_in_pieces() {
    let server = TestServer::start().await;
    let mut raw = Raw::open(server.address()).await;
    for byte in startup(&[("user", "postgres"), ("database", "postgres")]) {
        raw.send(&[byte]).await;
    }
    raw.until(b'Z').await;
    for byte in [query("select 1"), query("select 2")].concat() {
        raw.send(&[byte]).await;
    }
    assert_eq!(tags(&raw.until(b'Z').await), "TDCZ");
    assert_eq!(tags(&raw.until(b'Z').await), "TDCZ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_at_once() {
    let settings = Settings { max_connections: Some(520), ..Settings::default() };
    let server = TestServer::start_with(settings).await;
    let mut sessions = Vec::new();
    for _ in 0..500 {
        sessions.push(Raw::start(server.address()).await.0);
    }
    for raw in &mut sessions {
        raw.send(&query("select count(*) from generate_series(1, 100)")).await;
    }
    for raw in &mut sessions {
        assert_eq!(tags(&raw.until(b'Z').await), "TDCZ");
    }
    drop(sessions);
    let client = server.connect().await;
    let began = Instant::now();
    loop {
        let row = client.query_one("select count(*) from pg_stat_activity", &[]).await.unwrap();
        if row.get::<_, i64>(0) == 1 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "sessions stay without their clients");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;
}
