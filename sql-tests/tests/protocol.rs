//! What a client may send after startup, well formed and not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use vicinity_sql_tests::TestServer;
use vicinity_sql_tests::raw::{Message, Raw, bind, cstr, execute, frame, parse, query, sync, tags};

/// Every error has a SQLSTATE, and none is the server's own fault.
fn check(said: &[Message], sent: &dyn std::fmt::Debug) {
    for message in said.iter().filter(|m| m.tag == b'E') {
        let code = message.field(b'C').unwrap_or_default();
        assert_eq!(code.len(), 5, "{} for {sent:?}", message.error());
        assert!(!code.starts_with("XX"), "{} for {sent:?}", message.error());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_skip_to_sync() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let batch = [bind("", "nowhere"), execute("", 0), parse("", ""), sync()].concat();
    let said = raw.ask(&batch).await;
    assert_eq!(tags(&said), "EZ");
    assert!(said[0].error().starts_with("ERROR 26000"), "{said:?}");
    // The empty statement has an answer of its own.
    let batch = [parse("", ""), bind("", ""), execute("", 0), sync()].concat();
    assert_eq!(tags(&raw.ask(&batch).await), "12IZ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_comes_first_in_a_pipeline_or_not_at_all() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let run = |sql: &str| [parse("", sql), bind("", ""), execute("", 0)].concat();
    let behind = raw.ask(&[run("select 1"), run("vacuum"), sync()].concat()).await;
    let error = behind.iter().find(|m| m.tag == b'E').map(Message::error);
    assert_eq!(error.unwrap(), "ERROR 25001: VACUUM cannot be executed within a pipeline");
    let before = raw.ask(&[run("vacuum"), run("select 1"), sync()].concat()).await;
    assert!(before.iter().all(|m| m.tag != b'E'), "{}", tags(&before));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_statements_are_too_many_for_parse() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let said = raw.ask(&[parse("", "select 1; select 2"), sync()].concat()).await;
    let want = "ERROR 42601: cannot insert multiple commands into a prepared statement";
    assert_eq!(said[0].error(), want);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_spoken_here_is_refused_politely() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let said = raw.ask(&frame(b'F', &[0; 10])).await;
    assert!(said[0].error().starts_with("ERROR 0A000"), "{said:?}");
    // Copy messages outside of COPY are passed over.
    let batch = [frame(b'd', b"1\t2\n"), frame(b'c', &[]), frame(b'f', &cstr("no")), query("")];
    assert_eq!(tags(&raw.ask(&batch.concat()).await), "IZ");
    // A message nobody knows ends the session: what follows cannot be told apart.
    raw.send(&frame(b'?', &[])).await;
    let said = raw.rest().await;
    assert!(said[0].error().starts_with("FATAL 08P01: invalid frontend message type 63"));
    server.stop().await;
}

fn well_formed(random: &mut StdRng) -> Vec<u8> {
    let name = *["", "a", "b"].choose(random).unwrap();
    let sql = *["select 1", "", "select $1::int", "values (1),(2)"].choose(random).unwrap();
    match random.random_range(0..8) {
        0 => parse(name, sql),
        1 => bind(name, name),
        2 => execute(name, random.random_range(-1..3)),
        3 => frame(b'D', &[vec![b'S'], cstr(name)].concat()),
        4 => frame(b'C', &[vec![b'P'], cstr(name)].concat()),
        5 => frame(b'H', &[]),
        6 => query(sql),
        _ => sync(),
    }
}

/// A message whose header is right and whose body is not.
fn malformed(random: &mut StdRng) -> Vec<u8> {
    let mut message = well_formed(random);
    let tag = message[0];
    let mut body = message.split_off(5);
    match random.random_range(0..4) {
        0 => {
            let keep = random.random_range(0..=body.len());
            body.truncate(keep);
        }
        1 => body.extend((0..random.random_range(1..20)).map(|_| random.random::<u8>())),
        2 if !body.is_empty() => {
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..body.len());
                body[at] = random.random();
            }
        }
        _ => body = (0..random.random_range(0..60)).map(|_| random.random()).collect(),
    }
    frame(tag, &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_malformed_messages_leave_the_session_usable() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let mut random = StdRng::seed_from_u64(8);
    for _ in 0..1000 {
        let message = malformed(&mut random);
        raw.send(&[message.clone(), sync(), query("")].concat()).await;
        let mut said = Vec::new();
        while said.last().is_none_or(|m: &Message| m.tag != b'I') || said.len() < 2 {
            let next = raw.next().await;
            said.push(next.unwrap_or_else(|e| panic!("{e} after {message:?}: {said:?}")));
            if tags(&said).ends_with("ZI") {
                break;
            }
        }
        said.extend(raw.until(b'Z').await);
        check(&said, &message);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_headers_end_the_session_and_not_the_server() {
    let server = TestServer::start().await;
    let mut random = StdRng::seed_from_u64(9);
    for _ in 0..100 {
        let (mut raw, _) = Raw::start(server.address()).await;
        let mut message = well_formed(&mut random);
        let at = random.random_range(0..5);
        message[at] = random.random_range(0x80..=0xff);
        raw.send(&[message.clone(), sync()].concat()).await;
        drop(raw);
    }
    let (mut raw, _) = Raw::start(server.address()).await;
    assert_eq!(tags(&raw.ask(&query("")).await), "IZ");
    server.stop().await;
}

const STATEMENTS: &[&str] = &[
    "create table cut (id serial primary key, name varchar(20) default 'x' not null, vec float4[])",
    "insert into cut (name, vec) values ('a', '{1,2,3}'), ('b', array[4,5,6]) on conflict do nothing",
    "select id, name, vec[1] from cut where id between 1 and 2 order by vec[1] desc nulls last limit 3",
    "with recursive t(n) as (values (1) union all select n+1 from t where n < 10) select sum(n) from t",
    "select count(*) filter (where n > 1) over (partition by n % 2 order by n) from generate_series(1,5) n",
    "update cut set name = 'c' || $q$text$q$, vec = null where id = 1 returning *",
    "delete from cut using (values (1), (2)) v(x) where v.x = id and not exists (select 1 from cut c where c.id > 99)",
    "create or replace function cutf(int, a text default 'x') returns text as $$ select $2 || $1 $$ language sql strict volatile",
    "do language plpgsql $$ declare v int := 1; begin for i in 1..3 loop v := v + i; end loop; raise notice 'v %', v; exception when others then null; end; $$",
    "create index cuti on cut using pase_hnsw(vec) with (dim = 80, base_nb_num = 16, ef_build = 40)",
    "select array[2,1,1]::float4[] <?> '3,1,1:82:0'::pase as distance, e'a\\nb', U&'\\0041', 1.5e-3, B'101'",
    "explain (analyze, verbose, costs off, format json) select * from cut a join cut b using (id)",
    "set local search_path to public, pg_catalog; show search_path; reset all",
    "prepare cutp (int, text) as select $1, $2; execute cutp(1, 'x'); deallocate cutp",
    "select case when name like 'a%' then 1 else cast('2' as int) end, extract(year from now()) from cut",
    "grant select on cut to postgres; comment on table cut is 'it''s'; vacuum analyze cut",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_statements_cut_off_leave_the_session_usable() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let mut random = StdRng::seed_from_u64(10);
    for i in 0..1000 {
        let sql = STATEMENTS.choose(&mut random).unwrap();
        let cut = random.random_range(0..=sql.len());
        let Some(sql) = sql.get(..cut) else { continue };
        let said = if i % 2 == 0 {
            raw.ask(&query(sql)).await
        } else {
            let batch = [parse("", sql), bind("", ""), execute("", 0), sync()].concat();
            raw.ask(&batch).await
        };
        check(&said, &sql);
        assert_eq!(said.last().unwrap().body, b"I", "{sql}");
    }
    assert_eq!(tags(&raw.ask(&query("")).await), "IZ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn execute_finds_what_declare_made() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.ask(&query("begin; declare c binary cursor for select 7 as seven")).await;
    let describe = frame(b'D', &[vec![b'P'], cstr("c")].concat());
    let said = raw.ask(&[describe, execute("c", 0), execute("c", 0), sync()].concat()).await;
    assert_eq!(tags(&said), "TDCCZ");
    // The format code is the last of the column's fields.
    assert!(said[0].body.ends_with(&[0, 1]));
    assert_eq!(said[1].body, [0, 1, 0, 0, 0, 4, 0, 0, 0, 7]);
    // The same name cannot be bound again; closing frees it, from either side.
    let batch = [parse("", "select 1"), bind("c", ""), sync()].concat();
    assert!(raw.ask(&batch).await[1].error().starts_with("ERROR 42P03"));
    raw.ask(&query("rollback; begin")).await;
    let close = frame(b'C', &[vec![b'P'], cstr("c")].concat());
    let batch = [parse("", "select 1"), bind("c", ""), close, bind("c", ""), sync()].concat();
    assert_eq!(tags(&raw.ask(&batch).await), "1232Z");
    assert_eq!(tags(&raw.ask(&query("close c; commit")).await), "CCZ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_fetched_from_a_binary_cursor_are_binary() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.ask(&query("begin; declare c binary scroll cursor for select 7 as n, true as b")).await;
    let said = raw.ask(&query("fetch c")).await;
    assert_eq!(tags(&said), "TDCZ");
    // The format code is the last of a column's fields.
    assert!(said[0].body.ends_with(&[0, 1]));
    assert_eq!(said[1].body, [0, 2, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 1, 1]);
    assert_eq!(tags(&raw.ask(&query("move prior from c")).await), "CZ");
    // Otherwise Bind says what is binary.
    let fetch = [parse("", "fetch c"), bind("", ""), execute("", 0), sync()].concat();
    let said = raw.ask(&fetch).await;
    assert_eq!(tags(&said), "12DCZ");
    assert_eq!(said[2].body, [0, 2, 0, 0, 0, 1, b'7', 0, 0, 0, 1, b't']);
    server.stop().await;
}

/// JDBC's `{call f(?, ?, ?)}` declares the parameters that stand for OUT arguments `void`.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_type_void_are_no_arguments() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let body = "begin b := a * 2; c := 'v' || a; end";
    let function =
        format!("create function f(a int, out b int, out c text) as '{body}' language plpgsql");
    raw.ask(&query(&function.replace("'v'", "''v''"))).await;
    let types = |oids: &[u32]| oids.iter().flat_map(|o| o.to_be_bytes()).collect::<Vec<u8>>();
    let call = |sql: &str| {
        let count = 3u16.to_be_bytes().to_vec();
        frame(b'P', &[cstr(""), cstr(sql), count, types(&[23, 2278, 2278])].concat())
    };
    let one_and_nulls =
        [0, 0, 0, 3, 0, 0, 0, 2, b'2', b'1', 255, 255, 255, 255, 255, 255, 255, 255, 0, 0];
    let values = frame(b'B', &[cstr(""), cstr(""), one_and_nulls.to_vec()].concat());
    for sql in ["select * from f($1, $2, $3) as result", "select (f($1, $2, $3)).*"] {
        let batch = [call(sql), values.clone(), execute("", 0), sync()].concat();
        let said = raw.ask(&batch).await;
        assert_eq!(tags(&said), "12DCZ", "{sql}");
        assert_eq!(said[2].body, b"\0\x02\0\0\0\x0242\0\0\0\x03v21", "{sql}");
    }
    let said = raw.ask(&[call("select g($1, $2, $3)"), sync()].concat()).await;
    assert!(said[0].error().contains("function g(integer) does not exist"), "{}", said[0].error());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_portal_goes_on() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    raw.ask(&query("begin")).await;
    let begin = [parse("", "select generate_series(1, 5)"), bind("p", ""), execute("p", 2)];
    assert_eq!(tags(&raw.ask(&[begin.concat(), sync()].concat()).await), "12DDsZ");
    assert_eq!(tags(&raw.ask(&[execute("p", 2), sync()].concat()).await), "DDsZ");
    assert_eq!(tags(&raw.ask(&[execute("p", 2), sync()].concat()).await), "DCZ");
    assert_eq!(tags(&raw.ask(&[execute("p", 2), sync()].concat()).await), "CZ");
    // Outside of a block it ends with its transaction.
    raw.ask(&query("commit")).await;
    let said = raw.ask(&[execute("p", 2), sync()].concat()).await;
    assert_eq!(said[0].error(), "ERROR 34000: portal \"p\" does not exist");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_chains_are_refused_and_kill_nobody() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let chain = |first: &str, more: &str, times: usize| format!("{first}{}", more.repeat(times));
    let with = (1..2000).fold("with c0 as (select 1 a)".to_owned(), |sql, i| {
        format!("{sql}, c{i} as (select a + 1 a from c{})", i - 1)
    });
    for sql in [
        chain("select 1", "+1", 20_000),
        chain("select 'a'", "||'a'", 20_000),
        chain("select 1=2", " or 1=2", 20_000),
        chain("select 1", "::int", 20_000),
        chain("select 1", " union all select 1", 20_000),
        format!("{with} select * from c1999"),
    ] {
        let error = client.simple_query(&sql).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "54001", "{error}");
    }
    assert_eq!(client.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    server.stop().await;
}
