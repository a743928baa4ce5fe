//! What sessions see and do of each other: activity, signals, timeouts, limits, notices.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use vicinity_sql_tests::raw::{Raw, bind, cstr, execute, frame, parse, query, startup, sync, tags};
use vicinity_sql_tests::{Settings, TestServer};

fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or(String::new(), |c| c.code().to_owned())
}

async fn pid(client: &Client) -> i32 {
    client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_what_the_others_do() {
    let server = TestServer::start().await;
    let (watcher, other) = (server.connect().await, server.connect().await);
    let at = pid(&other).await;
    let look = async || {
        let sql = "select state, query, application_name, xact_start is not null, wait_event \
                   from pg_stat_activity where pid = $1";
        let row = watcher.query_one(sql, &[&at]).await.unwrap();
        let text = |i: usize| row.get::<_, Option<String>>(i).unwrap_or_default();
        (text(0), text(1), text(2), row.get::<_, bool>(3), text(4))
    };
    other.batch_execute("set application_name = 'watched'; begin").await.unwrap();
    let (state, query, name, in_transaction, wait) = look().await;
    assert_eq!((state.as_str(), query.as_str()), ("idle in transaction", "begin"));
    assert_eq!((name.as_str(), in_transaction, wait.as_str()), ("watched", true, "ClientRead"));
    let _ = other.batch_execute("select 1/0").await;
    assert_eq!(look().await.0, "idle in transaction (aborted)");
    other.batch_execute("rollback").await.unwrap();
    assert_eq!(look().await.0, "idle");
    let cancel = other.cancel_token();
    let watch = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (state, query, ..) = look().await;
        cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
        (state, query)
    };
    let (slept, seen) = tokio::join!(other.batch_execute("select pg_sleep(20)"), watch);
    assert_eq!(code(&slept.unwrap_err()), "57014");
    assert_eq!(seen, ("active".to_owned(), "select pg_sleep(20)".to_owned()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_are_cancelled_and_terminated_by_their_pid() {
    let server = TestServer::start().await;
    let (boss, worker) = (server.connect().await, server.connect().await);
    let at = pid(&worker).await;
    let signal = async |function: &str| {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let sql = format!("select {function}({at})");
        boss.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0)
    };
    let (slept, told) =
        tokio::join!(worker.batch_execute("select pg_sleep(20)"), signal("pg_cancel_backend"));
    assert_eq!(code(&slept.unwrap_err()), "57014");
    assert!(told);
    let (slept, told) =
        tokio::join!(worker.batch_execute("select pg_sleep(20)"), signal("pg_terminate_backend"));
    assert_eq!(code(&slept.unwrap_err()), "57P01");
    assert!(told);
    assert!(worker.batch_execute("select 1").await.is_err());
    assert!(!signal("pg_terminate_backend").await);
    // One that waits for its client is told at once.
    let (mut idle, said) = Raw::start(server.address()).await;
    let key = said.iter().find(|m| m.tag == b'K').unwrap();
    let at = i32::from_be_bytes(key.body[..4].try_into().unwrap());
    let sql = format!("select pg_terminate_backend({at})");
    assert!(boss.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0));
    let said = idle.rest().await;
    let want = "FATAL 57P01: terminating connection due to administrator command";
    assert_eq!(said[0].error(), want);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_others_are_not_for_everybody() {
    let server = TestServer::start().await;
    let (worker, watcher) = (server.connect().await, server.connect().await);
    let at = pid(&worker).await;
    watcher.batch_execute("create role watcher; set role watcher").await.unwrap();
    let sql = format!("select query, state from pg_stat_activity where pid = {at}");
    let seen = watcher.query_one(&sql, &[]).await.unwrap();
    assert_eq!(seen.get::<_, &str>(0), "<insufficient privilege>");
    assert_eq!(seen.get::<_, Option<&str>>(1), None);
    for function in ["pg_cancel_backend", "pg_terminate_backend"] {
        let refused = watcher.query_one(&format!("select {function}({at})"), &[]).await;
        assert_eq!(code(&refused.unwrap_err()), "42501", "{function}");
    }
    watcher.batch_execute("reset role; grant pg_read_all_stats to watcher").await.unwrap();
    watcher.batch_execute("set role watcher").await.unwrap();
    let seen = watcher.query_one(&sql, &[]).await.unwrap();
    assert_ne!(seen.get::<_, &str>(0), "<insufficient privilege>");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_are_kept() {
    let server = TestServer::start().await;
    let (client, other) = (server.connect().await, server.connect().await);
    client
        .batch_execute("create table t (id int primary key); insert into t values (1)")
        .await
        .unwrap();
    let began = Instant::now();
    client.batch_execute("set statement_timeout = 100").await.unwrap();
    let error = client.batch_execute("select pg_sleep(20)").await.unwrap_err();
    assert_eq!(code(&error), "57014");
    assert_eq!(
        error.as_db_error().unwrap().message(),
        "canceling statement due to statement timeout"
    );
    client.batch_execute("set statement_timeout = 0").await.unwrap();
    other.batch_execute("begin; update t set id = 1").await.unwrap();
    // Inside of a block too, where the setting came after its begin.
    client.batch_execute("begin; set local lock_timeout = 100").await.unwrap();
    let error = client.batch_execute("update t set id = 1").await.unwrap_err();
    assert_eq!(code(&error), "55P03");
    client.batch_execute("rollback; set statement_timeout = 100").await.unwrap();
    let error = client.batch_execute("update t set id = 1").await.unwrap_err();
    assert_eq!(code(&error), "57014");
    assert!(began.elapsed() < Duration::from_secs(10));
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.ask(&query("set idle_in_transaction_session_timeout = 100; begin")).await;
    let said = raw.rest().await;
    let want = "FATAL 25P03: terminating connection due to idle-in-transaction timeout";
    assert_eq!(said[0].error(), want);
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.ask(&query("set idle_session_timeout = 100")).await;
    let said = raw.rest().await;
    assert_eq!(said[0].error(), "FATAL 57P05: terminating connection due to idle-session timeout");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted() {
    let settings = Settings { max_connections: Some(3), ..Settings::default() };
    let server = TestServer::start_with(settings).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(Raw::start(server.address()).await.0);
    }
    let mut more = Raw::open(server.address()).await;
    more.send(&startup(&[("user", "postgres"), ("database", "postgres")])).await;
    let said = more.rest().await;
    assert_eq!(said[0].error(), "FATAL 53300: sorry, too many clients already");
    let said = held[0].ask(&query("show max_connections")).await;
    assert!(said[1].body.ends_with(b"3"));
    drop(held.pop());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (mut again, _) = Raw::start(server.address()).await;
    assert_eq!(tags(&again.ask(&query("")).await), "IZ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_do_not_wait_for_the_end() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let began = Instant::now();
    let slow = "select 1; do $$ begin raise notice 'first'; perform pg_sleep(1); \
                raise notice 'second'; end $$";
    raw.send(&query(slow)).await;
    let said = raw.until(b'N').await;
    assert!(began.elapsed() < Duration::from_millis(900));
    // What came before it was said before it.
    assert_eq!(tags(&said), "TDCN");
    assert_eq!(said[3].field(b'M').as_deref(), Some("first"));
    assert_eq!(tags(&raw.until(b'Z').await), "NCZ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_with_names_are_one_set() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let run = |name: &str| [bind("", name), execute("", 0), sync()].concat();
    assert_eq!(tags(&raw.ask(&[parse("a", "select 1"), sync()].concat()).await), "1Z");
    // The protocol's are SQL's ...
    assert_eq!(tags(&raw.ask(&query("execute a")).await), "TDCZ");
    assert!(raw.ask(&query("prepare a as select 2")).await[0].error().starts_with("ERROR 42P05"));
    // ... and SQL's the protocol's.
    raw.ask(&query("prepare b as select 2")).await;
    assert_eq!(tags(&raw.ask(&run("b")).await), "2DCZ");
    let said =
        raw.ask(&query("select name, from_sql from pg_prepared_statements order by 1")).await;
    assert_eq!(said[1].body, [&[0, 2, 0, 0, 0, 1, b'a', 0, 0, 0, 1, b'f'][..]].concat());
    raw.ask(&query("deallocate a")).await;
    assert!(raw.ask(&run("a")).await[0].error().starts_with("ERROR 26000"));
    let close = [frame(b'C', &[vec![b'S'], cstr("b")].concat()), sync()].concat();
    assert_eq!(tags(&raw.ask(&close).await), "3Z");
    assert!(raw.ask(&query("execute b")).await[0].error().starts_with("ERROR 26000"));
    raw.ask(&[parse("a", "select 1"), parse("b", "select 1"), sync()].concat()).await;
    raw.ask(&query("deallocate all")).await;
    assert!(raw.ask(&run("a")).await[0].error().starts_with("ERROR 26000"));
    raw.ask(&[parse("a", "select 1"), sync()].concat()).await;
    raw.ask(&query("discard all")).await;
    assert!(raw.ask(&run("a")).await[0].error().starts_with("ERROR 26000"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reported_settings_are_told() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let told = |said: &[vicinity_sql_tests::raw::Message]| -> Vec<String> {
        let told = said.iter().filter(|m| m.tag == b'S');
        told.map(|m| String::from_utf8_lossy(&m.body).replace('\0', "=")).collect()
    };
    let said = raw.ask(&query("set application_name = 'x'")).await;
    assert_eq!(told(&said), ["application_name=x="]);
    let said = raw.ask(&query("set timezone = 'Europe/Berlin'; set datestyle = german")).await;
    assert_eq!(told(&said).len(), 2);
    assert!(told(&raw.ask(&query("set search_path = public")).await).is_empty());
    // What a rollback takes back is told again.
    raw.ask(&query("begin; set local application_name = 'y'")).await;
    assert_eq!(told(&raw.ask(&query("rollback")).await), ["application_name=x="]);
    server.stop().await;
}

/// What a statement waits for, of relations, rows and numbers.
#[tokio::test(flavor = "multi_thread")]
async fn waits_are_shown() {
    let server = TestServer::start().await;
    let (holder, waiter, watcher) =
        (server.connect().await, server.connect().await, server.connect().await);
    let setup = "create table t (id int primary key, v int); insert into t values (1, 1)";
    holder.batch_execute(setup).await.unwrap();
    let at = pid(&waiter).await;
    for (held, wanted, event) in [
        ("lock table t", "select * from t", "relation"),
        ("update t set v = 2", "update t set v = 3", "transactionid"),
        ("select pg_advisory_xact_lock(1)", "select pg_advisory_xact_lock(1)", "advisory"),
    ] {
        holder.batch_execute(&format!("begin; {held}")).await.unwrap();
        let watch = async {
            let sql = "select coalesce(wait_event_type || ' ' || wait_event, '') \
                       from pg_stat_activity where pid = $1 and state = 'active'";
            let mut seen = String::new();
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if let Some(row) = watcher.query_opt(sql, &[&at]).await.unwrap() {
                    seen = row.get(0);
                }
                if !seen.is_empty() {
                    break;
                }
            }
            holder.batch_execute("rollback").await.unwrap();
            seen
        };
        let (done, seen) = tokio::join!(waiter.batch_execute(wanted), watch);
        done.unwrap();
        assert_eq!(seen, format!("Lock {event}"), "{wanted}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_what_they_are_about() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let setup =
        "create schema s; create domain s.d as int not null constraint pos check (value > 0)";
    client.batch_execute(setup).await.unwrap();
    for (sql, code, constraint) in
        [("select (-1)::s.d", "23514", Some("pos")), ("select null::s.d", "23502", None)]
    {
        let error = client.batch_execute(sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), code);
        assert_eq!((error.schema(), error.datatype()), (Some("s"), Some("d")));
        assert_eq!(error.constraint(), constraint);
    }
    // `^` is before the character that the error is about.
    for marked in [
        "values (1), (^1,2)",
        "values (1), (^'a')",
        "select case when true then 1 else ^'a' end",
        "select 1 + ^'a'",
        "select ^'a' + 1",
        "select 1 ^+ now()",
        "select coalesce(1, ^'a')",
        "select greatest(1, ^'a')",
        "select array[1, ^'a']",
        "select 1 in (2, ^'a')",
    ] {
        let at = marked.find('^').unwrap() + 1;
        let error = client.batch_execute(&marked.replace('^', "")).await.unwrap_err();
        let found = error.as_db_error().and_then(|e| e.position()).cloned();
        let wanted = tokio_postgres::error::ErrorPosition::Original(u32::try_from(at).unwrap());
        assert_eq!(found, Some(wanted), "{marked}");
    }
    let (mut raw, _) = Raw::start(server.address()).await;
    let long = "Abcde".repeat(14);
    let said = raw.ask(&query(&format!("select 1 as {long}"))).await;
    let cut = long.to_lowercase();
    let want = format!("identifier \"{cut}\" will be truncated to \"{}\"", &cut[..63]);
    assert!(said[0].error().ends_with(&want), "{}", said[0].error());
    server.stop().await;
}
