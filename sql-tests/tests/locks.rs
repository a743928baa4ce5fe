//! Locks on relations: who waits for whom, for how long, and what is seen after the wait.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use tokio_postgres::Client;
use vicinity_sql_tests::TestServer;

fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or(String::new(), |c| c.code().to_owned())
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
}

/// Whether a statement is refused because somebody holds a lock it conflicts with.
async fn blocks(client: &Client, sql: &str) -> bool {
    run(client, "begin").await;
    let outcome = client.batch_execute(sql).await;
    run(client, "rollback").await;
    match outcome {
        Ok(()) => false,
        Err(e) if code(&e) == "55P03" => true,
        Err(e) => panic!("{sql}: {e:?}"),
    }
}

/// The weakest mode that keeps a statement waiting, and whether all stronger ones do, says which lock
/// the statement takes: PostgreSQL's table in "Explicit Locking".
#[tokio::test(flavor = "multi_thread")]
async fn statements_take_the_locks_they_take_in_postgresql() {
    let server = TestServer::start().await;
    let (holder, other) = (server.connect().await, server.connect().await);
    run(
        &holder,
        "create table t (id int primary key, v int); insert into t values (1, 1); \
         create index i on t (v); create table parent (id int primary key); \
         insert into parent values (1), (2); \
         create view w as select * from t; \
         create function f() returns trigger language plpgsql as 'begin return new; end'",
    )
    .await;
    run(&other, "set lock_timeout = '15ms'").await;
    let modes = [
        "access share",
        "row share",
        "row exclusive",
        "share update exclusive",
        "share",
        "share row exclusive",
        "exclusive",
        "access exclusive",
    ];
    // Which of the modes above it conflicts with.
    let (access_share, row_share, row_exclusive) = ("       x", "      xx", "    xxxx");
    let (share_update, share) = ("   xxxxx", "  xx xxx");
    let (share_row, access_exclusive) = ("  xxxxxx", "xxxxxxxx");
    let statements = [
        ("select * from t", access_share),
        ("select * from w where id = 1", access_share),
        ("select count(*) from t a join t b on a.id = b.v", access_share),
        ("copy t to '/dev/null'", access_share),
        ("do 'declare n int; begin select v into n from t; end'", access_share),
        ("select * from t where id = 1 for update", row_share),
        ("select * from w for key share", row_share),
        ("insert into t values (2, 2)", row_exclusive),
        ("update t set v = 2 where id = 1", row_exclusive),
        ("with d as (delete from t where id = 1 returning *) select * from d", row_exclusive),
        ("do 'begin insert into t values (5, 5); end'", row_exclusive),
        ("analyze t", share_update),
        ("alter table t alter v set statistics 10", share_update),
        ("alter index i rename to j", share_update),
        ("create index on t (v)", share),
        ("create trigger g after insert on t for each row execute function f()", share_row),
        ("alter table t add foreign key (v) references parent", share_row),
        ("drop table t cascade", access_exclusive),
        ("truncate t", access_exclusive),
        ("alter table t add column n int", access_exclusive),
        ("alter table t rename to u", access_exclusive),
        ("drop index i", access_exclusive),
    ];
    for (place, mode) in modes.into_iter().enumerate() {
        run(&holder, &format!("begin; lock table t in {mode} mode")).await;
        for (sql, conflicts) in statements {
            let expected = conflicts.as_bytes().get(place) == Some(&b'x');
            assert_eq!(blocks(&other, sql).await, expected, "{sql} beside {mode}");
        }
        for (other_place, name) in modes.into_iter().enumerate() {
            let table = [
                access_share,
                row_share,
                row_exclusive,
                share_update,
                share,
                share_row,
                " xxxxxxx",
                access_exclusive,
            ];
            let expected =
                table.get(other_place).and_then(|t| t.as_bytes().get(place)) == Some(&b'x');
            let sql = format!("lock table t in {name} mode");
            assert_eq!(blocks(&other, &sql).await, expected, "{name} beside {mode}");
            let sql = format!("{sql} nowait");
            assert_eq!(blocks(&other, &sql).await, expected, "{name} beside {mode}, NOWAIT");
        }
        run(&holder, "rollback").await;
    }
    server.stop().await;
}

/// What a transaction read or wrote stays as it is to its end, or to ROLLBACK TO.
#[tokio::test(flavor = "multi_thread")]
async fn locks_last_as_long_as_the_transaction() {
    let server = TestServer::start().await;
    let (reader, other) = (server.connect().await, server.connect().await);
    run(&reader, "create table t (id int primary key, v int); insert into t values (1, 1)").await;
    run(&reader, "create table u (id int)").await;
    run(&other, "set lock_timeout = '30ms'").await;
    run(&reader, "begin; select * from t").await;
    assert!(blocks(&other, "truncate t").await);
    assert!(!blocks(&other, "insert into t values (2, 2)").await);
    run(&reader, "commit").await;
    assert!(!blocks(&other, "truncate t").await);
    run(&reader, "begin; savepoint a; insert into t values (3, 3); select * from u").await;
    assert!(blocks(&other, "create index on t (v)").await);
    assert!(blocks(&other, "drop table u").await);
    run(&reader, "rollback to a").await;
    assert!(!blocks(&other, "create index on t (v)").await);
    assert!(!blocks(&other, "drop table u").await);
    run(&reader, "insert into t values (3, 3)").await;
    assert!(blocks(&other, "create index on t (v)").await);
    run(&reader, "rollback").await;
    // More relations than the session's own place has room for.
    let tables: Vec<String> = (0..40).map(|i| format!("create table n{i} (id int);")).collect();
    run(&reader, &tables.concat()).await;
    run(&reader, "begin").await;
    let reads: Vec<String> = (0..40).map(|i| format!("select * from n{i};")).collect();
    run(&reader, &reads.concat()).await;
    for i in [0, 15, 16, 17, 39] {
        assert!(blocks(&other, &format!("drop table n{i}")).await, "n{i}");
    }
    run(&reader, "commit").await;
    for i in [0, 15, 16, 17, 39] {
        assert!(!blocks(&other, &format!("drop table n{i}")).await, "n{i}");
    }
    // An open portal, a failed block.
    run(&reader, "begin; declare c cursor for select * from t").await;
    assert!(blocks(&other, "drop table t").await);
    let _ = reader.batch_execute("select 1/0").await;
    run(&reader, "rollback").await;
    assert!(!blocks(&other, "drop table t").await);
    server.stop().await;
}

/// Whoever waited sees what the other did: rows, columns, or that there is nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_waited_sees_what_it_waited_for() {
    let server = TestServer::start().await;
    let (first, second) = (server.connect().await, server.connect().await);
    run(&first, "create table t (id int primary key, v int); insert into t values (1, 1)").await;
    let prepared = second.prepare("select v from t where id = $1").await.unwrap();
    assert_eq!(second.query(&prepared, &[&1]).await.unwrap().len(), 1);
    let begin = async |sql: &'static str| {
        run(&first, "begin").await;
        run(&first, sql).await;
    };
    let commit = async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        run(&first, "commit").await;
    };

    begin("truncate t; insert into t values (1, 10)").await;
    let (rows, ()) = tokio::join!(second.query(&prepared, &[&1]), commit());
    assert_eq!(rows.unwrap().first().unwrap().get::<_, i32>(0), 10);

    begin("alter table t add column n int default 7").await;
    let (rows, ()) = tokio::join!(second.simple_query("select * from t"), commit());
    let rows = rows.unwrap();
    let columns = rows.iter().find_map(|m| match m {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.columns().len()),
        _ => None,
    });
    assert_eq!(columns, Some(3));

    begin("truncate t").await;
    let (done, ()) = tokio::join!(second.execute("insert into t values (5, 5, 5)", &[]), commit());
    assert_eq!(done.unwrap(), 1);
    let count = first.query_one("select count(*) from t", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 1);

    run(
        &second,
        "create function g() returns bigint language plpgsql as \
         'begin insert into t values (6, 6, 6); return (select count(*) from t); end'",
    )
    .await;
    run(&second, "select g(); delete from t").await;
    begin("truncate t").await;
    let (row, ()) = tokio::join!(second.query_one("select g()", &[]), commit());
    assert_eq!(row.unwrap().get::<_, i64>(0), 1);
    let count = first.query_one("select count(*) from t", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 1);

    begin("drop table t").await;
    let (rows, ()) = tokio::join!(second.simple_query("select * from t"), commit());
    assert_eq!(code(&rows.unwrap_err()), "42P01");
    server.stop().await;
}

/// A circle through two tables, through a table and a row, one that only stands in the queue, and such with numbers
/// that applications lock.
#[tokio::test(flavor = "multi_thread")]
async fn deadlocks_are_found() {
    let server = TestServer::start().await;
    let (a, b) = (server.connect().await, server.connect().await);
    run(&a, "create table t (id int primary key, v int); create table u (id int)").await;
    run(&a, "insert into t values (1, 1)").await;
    for (first, second, then_a, then_b) in [
        ("lock table t", "lock table u", "select * from u", "select * from t"),
        ("update t set v = 2 where id = 1", "lock table u", "table u", "update t set v = 3"),
        ("select * from t", "select * from u", "drop table u", "drop table t"),
        ("select * from t", "select * from t", "lock table t", "lock table t"),
        (
            "select pg_advisory_xact_lock(1)",
            "select pg_advisory_xact_lock(2)",
            "select pg_advisory_xact_lock(2)",
            "select pg_advisory_xact_lock(1)",
        ),
        (
            "select pg_advisory_xact_lock(1)",
            "update t set v = 2",
            "update t set v = 3",
            "select pg_advisory_xact_lock(1)",
        ),
        (
            "lock table u",
            "select pg_advisory_lock_shared(3, 4)",
            "select pg_advisory_xact_lock(3, 4)",
            "table u",
        ),
    ] {
        run(&a, "begin").await;
        run(&b, "begin").await;
        run(&a, first).await;
        run(&b, second).await;
        let mine = async {
            let outcome = a.batch_execute(then_a).await;
            run(&a, "rollback").await;
            outcome
        };
        let theirs = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let outcome = b.batch_execute(then_b).await;
            run(&b, "rollback").await;
            outcome
        };
        let (mine, theirs) = tokio::join!(mine, theirs);
        let codes = [&mine, &theirs].map(|o| o.as_ref().err().map(code));
        let deadlocks = codes.iter().filter(|c| c.as_deref() == Some("40P01")).count();
        assert_eq!(deadlocks, 1, "{then_a} / {then_b}: {mine:?} {theirs:?}");
    }
    // A reader that waits behind a waiting DROP has to let it pass, unless the DROP waits for it.
    run(&a, "begin; select * from t").await;
    let c = server.connect().await;
    let dropping = async {
        run(&c, "begin").await;
        run(&c, "lock table t").await;
        run(&c, "rollback").await;
    };
    let writing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        run(&b, "set lock_timeout = '30ms'").await;
        assert!(blocks(&b, "select * from t").await);
        run(&a, "insert into t values (9, 9)").await;
        run(&a, "rollback").await;
    };
    tokio::join!(dropping, writing);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_locks_shows_them() {
    let server = TestServer::start().await;
    let (a, b) = (server.connect().await, server.connect().await);
    run(&a, "create table t (id int primary key, v int); insert into t values (1, 1)").await;
    run(&a, "begin; update t set v = 2; select * from t; lock table t in share mode").await;
    let sql = "select locktype, relation::regclass::text, mode, granted from pg_locks \
               where relation = 't'::regclass or locktype = 'transactionid' order by 1, 3";
    let shown = |rows: Vec<tokio_postgres::Row>| -> Vec<String> {
        let text = |r: &tokio_postgres::Row, i| r.get::<_, Option<String>>(i).unwrap_or_default();
        rows.iter()
            .map(|r| {
                format!("{} {} {} {}", text(r, 0), text(r, 1), text(r, 2), r.get::<_, bool>(3))
            })
            .collect()
    };
    let held = shown(a.query(sql, &[]).await.unwrap());
    assert_eq!(
        held,
        [
            "relation t AccessShareLock true",
            "relation t RowExclusiveLock true",
            "relation t ShareLock true",
            "transactionid  ExclusiveLock true",
        ]
    );
    let waiting = async {
        run(&b, "update t set v = 3").await;
    };
    let looking = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let held = shown(a.query(sql, &[]).await.unwrap());
        assert!(held.contains(&"relation t RowExclusiveLock false".to_owned()), "{held:?}");
        run(&a, "commit").await;
    };
    tokio::join!(waiting, looking);
    assert!(shown(a.query(sql, &[]).await.unwrap()).is_empty());
    server.stop().await;
}

/// Statements beside definitions that come and go: none of them notices.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_indexes_that_come_and_go() {
    let server = TestServer::start().await;
    let definer = server.connect().await;
    run(&definer, "create table t (id int primary key, v int, w int)").await;
    run(&definer, "insert into t select n, n, n from generate_series(1, 500) n").await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let reader = async |mode: usize| {
        let client = server.connect().await;
        let by_v = client.prepare("select id from t where v = $1").await.unwrap();
        let mut n = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            n = n % 500 + 1;
            let found = match mode {
                0 => client.query(&by_v, &[&n]).await.unwrap().len(),
                1 => {
                    let sql = format!("select * from t where v = {n} order by v");
                    client.query(&sql, &[]).await.unwrap().len()
                }
                _ => {
                    let sql = format!("update t set w = w + 1 where v = {n} returning id");
                    client.query(&sql, &[]).await.unwrap().len()
                }
            };
            assert_eq!(found, 1, "{n}");
        }
    };
    let define = async {
        for _ in 0..15 {
            run(&definer, "create index i on t (v)").await;
            run(&definer, "create unique index concurrently j on t (w, id)").await;
            run(&definer, "reindex table t; drop index j").await;
            run(&definer, "begin; drop index i; create index i on t (v, w); commit").await;
            run(&definer, "drop index i; alter table t add n int; alter table t drop n").await;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(define, reader(0), reader(1), reader(2));
    server.stop().await;
}

/// A row that was changed while somebody waited for it is looked at again: also by what an index answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_moved_out_of_the_range_is_not_locked() {
    let server = TestServer::start().await;
    let (first, second) = (server.connect().await, server.connect().await);
    run(&first, "create table t (id int primary key, v int); insert into t values (1, 1), (2, 2)")
        .await;
    for sql in [
        "select * from t where id = 1 for update",
        "select * from t where id between 0 and 1 for update",
        "select * from t where id in (1, 7) for share",
        "select * from t where id < 2 and v > 0 order by id for update",
    ] {
        run(&first, "begin; update t set id = id + 10 where id = 1").await;
        let commit = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            run(&first, "commit").await;
        };
        let (rows, ()) = tokio::join!(second.query(sql, &[]), commit);
        assert!(rows.unwrap().is_empty(), "{sql}");
        run(&first, "update t set id = 1 where id = 11").await;
    }
    server.stop().await;
}

/// What a failed transaction holds, it holds no longer than its error takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_block_keeps_nobody_waiting() {
    let server = TestServer::start().await;
    let (first, second) = (server.connect().await, server.connect().await);
    run(&second, "set lock_timeout = '5s'").await;
    run(&first, "create table t (id int primary key, v int); insert into t values (1, 1), (2, 2)")
        .await;

    run(&first, "begin; update t set v = 5; select pg_advisory_xact_lock(7)").await;
    assert!(first.batch_execute("select 1 / 0").await.is_err());
    run(&second, "update t set v = v + 1; select pg_advisory_lock(7)").await;
    assert!(first.batch_execute("select 1").await.is_err());
    run(&first, "rollback").await;

    // What came before a savepoint is kept, and so are its locks.
    run(
        &first,
        "begin; update t set v = 0 where id = 1; savepoint s; update t set v = 0 where id = 2",
    )
    .await;
    assert!(first.batch_execute("select 1 / 0").await.is_err());
    run(&second, "update t set v = 30 where id = 2").await;
    run(&second, "set lock_timeout = '20ms'").await;
    let waited = second.batch_execute("update t set v = 30 where id = 1").await;
    assert_eq!(code(&waited.unwrap_err()), "55P03");
    run(&first, "rollback to s; commit").await;
    let rows = second.query("select v from t order by id", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|r| r.get::<_, i32>(0)).collect::<Vec<_>>(), [0, 30]);
    server.stop().await;
}

/// COMMIT and ROLLBACK among the statements of one message end what came before them there.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_cut_by_commit_and_rollback() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    run(&client, "create table t (id int)").await;
    let cut = "insert into t values (1); commit; insert into t values (2); select 1 / 0";
    assert!(client.batch_execute(cut).await.is_err());
    run(&client, "insert into t values (3); rollback; insert into t values (4)").await;
    let rows = client.query("select id from t order by id", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|r| r.get::<_, i32>(0)).collect::<Vec<_>>(), [1, 4]);
    server.stop().await;
}

/// Values of a sequence are drawn beside each other; a change of it waits until they are, and is
/// waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_sequence_is_waited_for() {
    let server = TestServer::start().await;
    let (first, second) = (server.connect().await, server.connect().await);
    let value = async |client: &Client| {
        client.query_one("select nextval('s')", &[]).await.unwrap().get::<_, i64>(0)
    };
    run(&first, "create sequence s; create table t (id serial, v int)").await;
    run(&second, "set lock_timeout = '30ms'").await;
    run(&first, "begin; insert into t (v) values (1)").await;
    assert_eq!(value(&first).await, 1);
    assert_eq!(value(&second).await, 2);
    assert!(blocks(&second, "alter sequence s restart").await);
    assert!(blocks(&second, "alter sequence t_id_seq restart 10").await);
    assert!(blocks(&second, "drop sequence s").await);
    run(&first, "commit; begin; alter sequence s restart 100").await;
    assert!(blocks(&second, "select nextval('s')").await);
    assert!(blocks(&second, "select setval('s', 7)").await);
    assert!(!blocks(&second, "select last_value, currval('s') from s").await);
    assert_eq!(value(&first).await, 100);
    let seen = second.query_one("select last_value from s", &[]).await.unwrap();
    assert_eq!(seen.get::<_, i64>(0), 2);
    run(&second, "set lock_timeout = 0").await;
    let commit = async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        run(&first, "commit").await;
    };
    let (got, ()) = tokio::join!(value(&second), commit());
    assert_eq!(got, 101);
    server.stop().await;
}

/// Row locks in four strengths: PostgreSQL's table in "Row-Level Locks", and what writes wait for.
#[tokio::test(flavor = "multi_thread")]
async fn row_locks_exclude_each_other_as_in_postgresql() {
    let server = TestServer::start().await;
    let (holder, other) = (server.connect().await, server.connect().await);
    run(
        &holder,
        "create table t (id int primary key, v int, w int); create index on t (w); \
         create unique index on t (v) where w > 100; insert into t values (1, 1, 1)",
    )
    .await;
    run(&other, "set lock_timeout = '15ms'").await;
    let locks = ["key share", "share", "no key update", "update"]
        .map(|mode| format!("select * from t where id = 1 for {mode}"));
    let mut wanted = locks.to_vec();
    wanted.extend([
        "update t set v = v + 1, w = w + 1 where id = 1".to_owned(),
        "update t set id = 2 where id = 1".to_owned(),
        "delete from t where id = 1".to_owned(),
    ]);
    // What is wanted, down; what is held, across: the four locks, and the three writes.
    let table = ["   x xx", "  xxxxx", " xxxxxx", "xxxxxxx", " xxxxxx", "xxxxxxx", "xxxxxxx"];
    for (place, held) in wanted.iter().enumerate() {
        run(&holder, &format!("begin; {held}")).await;
        for (sql, conflicts) in wanted.iter().zip(table) {
            let expected = conflicts.as_bytes().get(place) == Some(&b'x');
            assert_eq!(blocks(&other, sql).await, expected, "{sql} beside {held}");
        }
        run(&holder, "rollback").await;
    }
    let e = other.batch_execute("select 1 from t group by 1 for no key update").await.unwrap_err();
    let text = e.as_db_error().unwrap().message().to_owned();
    assert_eq!(text, "FOR NO KEY UPDATE is not allowed with GROUP BY clause");
    run(&holder, "begin; select 1 from t a, t b for key share of a for update of b").await;
    run(&holder, "commit").await;
    server.stop().await;
}

/// Who waits for a row that goes to another partition would not find it there: PostgreSQL says so, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_moved_to_another_partition_is_an_error_for_who_waited() {
    let server = TestServer::start().await;
    let (mover, other) = (server.connect().await, server.connect().await);
    run(
        &mover,
        "create table mp (id int, reg int, n int) partition by list (reg); \
         create table mp1 partition of mp for values in (1); \
         create table mp2 partition of mp for values in (2); \
         create table more (id int, n int); insert into more values (1, 7)",
    )
    .await;
    let statements = [
        "update mp set n = n + 5 where id = 1",
        "delete from mp where id = 1",
        "select * from mp where id = 1 for update",
        "update mp set n = more.n from more where more.id = mp.id",
        "merge into mp using more on more.id = mp.id when matched then update set n = more.n \
         when not matched then insert values (more.id, 1, more.n)",
    ];
    let moved =
        "tuple to be locked was already moved to another partition due to concurrent update";
    let changed = "could not serialize access due to concurrent update";
    for level in ["read committed", "repeatable read"] {
        for sql in statements {
            run(&mover, "delete from mp; insert into mp values (1, 1, 10)").await;
            run(&other, &format!("begin isolation level {level}; select * from mp")).await;
            run(&mover, "begin; update mp set reg = 2 where id = 1").await;
            let (waited, ()) = tokio::join!(other.batch_execute(sql), async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                run(&mover, "commit").await;
            });
            run(&other, "rollback").await;
            let error = waited.unwrap_err();
            let message = error.as_db_error().map(|e| e.message().to_owned());
            let expected = if level == "read committed" { moved } else { changed };
            assert_eq!(
                (code(&error).as_str(), message.as_deref()),
                ("40001", Some(expected)),
                "{sql}"
            );
            let left = mover.query_one("select count(*), min(n) from mp", &[]).await.unwrap();
            assert_eq!((left.get(0), left.get(1)), (1i64, 10), "{sql}");
        }
    }
    // Taken back, the row is where it was.
    run(&mover, "begin; update mp set reg = 1 where id = 1").await;
    let (waited, ()) = tokio::join!(other.batch_execute("update mp set n = 11"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        run(&mover, "rollback").await;
    });
    waited.unwrap();
    let left = mover.query_one("select count(*), min(n) from mp2", &[]).await.unwrap();
    assert_eq!((left.get(0), left.get(1)), (1i64, 11));
    server.stop().await;
}

/// What a statement writes to without having named it may be another table when the wait is over: nothing is
/// acknowledged that is lost, or that the new definition forbids. Where the parent was waited for as well, the statement
/// goes on with the partitions there are then.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_to_a_partition_as_it_was_before_the_wait() {
    let server = TestServer::start().await;
    let (first, second) = (server.connect().await, server.connect().await);
    let make = "create table p (id int, v int) partition by range (id);
        create table p1 partition of p for values from (0) to (10);
        create table p2 partition of p for values from (10) to (20);
        insert into p values (1, 1), (11, 1);
        create function nothing() returns trigger language plpgsql as 'begin return null; end'";
    let changes = [
        ("truncate p1", "insert into p values (3, 3)", Some("40001")),
        ("drop table p1", "insert into p values (3, 3)", Some("23514")),
        ("drop table p1", "update p set id = 5 where id = 11", Some("23514")),
        ("drop table p1", "delete from p", None),
        ("alter table p1 add check (v < 5)", "insert into p values (3, 50)", Some("40001")),
        ("alter table p1 alter v set not null", "insert into p values (3, null)", Some("40001")),
        (
            "create trigger t before insert on p1 for each row execute function nothing()",
            "insert into p values (3, 3)",
            Some("40001"),
        ),
    ];
    for (change, write, expected) in changes {
        run(&first, "drop table if exists p; drop function if exists nothing").await;
        run(&first, make).await;
        run(&first, &format!("begin; {change}")).await;
        let commit = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            run(&first, "commit").await;
        };
        let (done, ()) = tokio::join!(second.batch_execute(write), commit);
        let error = done.err().map(|e| code(&e));
        assert_eq!(error.as_deref(), expected, "{change}: {write}");
        let rows = first.query_one("select count(*) from p where id >= 10", &[]).await.unwrap();
        let left = i64::from(expected.is_some());
        assert_eq!(rows.get::<_, i64>(0), left, "{change}: {write}");
    }
    server.stop().await;
}
