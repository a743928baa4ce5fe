//! `pg_dump` of a database, read by psql into an empty one, whose dump is the same.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Write as _;
use std::process::Command;

use vicinity_sql_tests::postgres::Postgres;
use vicinity_sql_tests::{TestServer, program};

const DATABASE: &str = r#"
create extension pase;
create table couriers (id bigint primary key, name text not null, city varchar(40) default 'x', at point, vec float4[],
    updated timestamptz default now(), rating numeric(3,2) check (rating >= 0));
create table orders (id bigserial primary key, courier bigint references couriers (id) on delete cascade,
    amount numeric(10,2) not null, note text, created date);
create index on orders (courier, created desc) where note is not null;
create index on couriers using gist (at);
create index on couriers using pase_hnsw (vec) with (dim = 2);
create view busy as select courier, count(*) as n from orders group by courier;
create function total(c bigint) returns numeric language sql stable as
    'select sum(amount) from public.orders where courier = c';
create function touch() returns trigger language plpgsql as $$ begin new.updated := now(); return new; end $$;
create trigger touch before update on couriers for each row execute function touch();
create schema app;
create domain app.positive as int check (value > 0);
create type app.state as enum ('new', 'done');
create type app.pair as (a int, b text);
create table app.days (id int generated always as identity, d date not null, g int generated always as (extract(day from d)) stored,
    primary key (id, d)) partition by range (d);
create table app.days_1 partition of app.days for values from ('2026-01-01') to ('2026-02-01');
create table app.days_2 partition of app.days default;
create table app.parent (a int, s app.state, p app.pair);
create table app.child (c app.positive) inherits (app.parent);
create function app.a_row(r app.parent) returns int language sql immutable as 'select ($1).a';
create function app.all_days() returns setof app.days language sql stable as 'select * from app.days';
create materialized view app.seen as select a from app.parent;
create sequence app.numbers as smallint increment 2 minvalue -5 cycle;
create role dump_reader;
grant usage on schema app to dump_reader;
grant select (id, name), update on couriers to dump_reader;
comment on table couriers is 'who brings things';
comment on column couriers.at is 'it''s a place';
insert into couriers (id, name, at, vec, rating) values (1, 'Ann', '(1,2)', '{1,2}', 4.5), (2, E'Bo\tb\\', null, null, null);
insert into orders (courier, amount, note) values (1, 10.5, 'x'), (1, 3, null);
insert into app.days (d) values ('2026-01-05'), ('2027-01-01');
insert into app.child values (1, 'done', (1, 'x"y'), 5);
select setval('app.numbers', 7);
"#;

fn run(name: &str, port: u16, args: &[&str]) -> String {
    let done = program::run(name, port, args);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.is_empty(), "{name} {args:?}: {said}");
    String::from_utf8(done.stdout).unwrap()
}

fn restore(port: u16, sql: &str) {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script.write_all(sql.as_bytes()).unwrap();
    let path = script.path().to_str().unwrap();
    run("psql", port, &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", path]);
}

/// Without the lines that are another time's: `\restrict` and its word.
fn dump(port: u16) -> Vec<String> {
    let text = run("pg_dump", port, &[]);
    let lines =
        text.lines().filter(|l| !l.starts_with("\\restrict") && !l.starts_with("\\unrestrict"));
    lines.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dumped_can_be_restored() {
    if program::is_missing("pg_dump") || program::is_missing("psql") {
        eprintln!("skipped: pg_dump or psql is not installed");
        return;
    }
    let (first, second) = (TestServer::start().await, TestServer::start().await);
    let (from, to) = (first.address().port(), second.address().port());
    tokio::task::spawn_blocking(move || {
        restore(from, DATABASE);
        let dumped = dump(from);
        assert!(dumped.iter().any(|l| l.contains("ATTACH PARTITION app.days_1")), "{dumped:?}");
        restore(to, "create role dump_reader");
        restore(to, &dumped.join("\n"));
        let again = dump(to);
        for (a, b) in dumped.iter().zip(&again) {
            assert_eq!(a, b);
        }
        assert_eq!(dumped.len(), again.len());
    })
    .await
    .unwrap();
    first.stop().await;
    second.stop().await;
}

const PARTITIONED: &str = "
drop schema if exists dumped cascade;
create schema dumped;
create table dumped.p (a int, b int, v text, primary key (a, b), unique (b, a)) partition by range (a);
create table dumped.p1 partition of dumped.p for values from (0) to (10) partition by list (b);
create table dumped.p11 partition of dumped.p1 for values in (1, 2);
create table dumped.p1d partition of dumped.p1 default;
create table dumped.p2 partition of dumped.p for values from (10) to (20);
create index on dumped.p (v);
create table dumped.f (x int, a int, b int, foreign key (a, b) references dumped.p on delete cascade);
create function dumped.a_row(dumped.p) returns int language sql immutable as 'select $1.a';
insert into dumped.p values (1, 1, 'a'), (1, 3, 'b'), (11, 1, 'c');
insert into dumped.f values (1, 1, 1), (2, 11, 1);
";

#[tokio::test(flavor = "multi_thread")]
async fn what_postgresql_dumps_can_be_restored() {
    if program::is_missing("pg_dump") || program::is_missing("psql") {
        return;
    }
    let Some(postgres) = Postgres::start().await else { return };
    let client = postgres.connect().await;
    client.batch_execute(PARTITIONED).await.unwrap();
    let login = format!("{} dbname=postgres", postgres.login());
    let done = Command::new("pg_dump").args(["-n", "dumped", "-d", &login]).output().unwrap();
    client.batch_execute("drop schema dumped cascade").await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("ATTACH PARTITION dumped.p11_pkey"), "{text}");
    let server = TestServer::start().await;
    let port = server.address().port();
    tokio::task::spawn_blocking(move || {
        restore(port, &text);
        let asked = "select count(*) filter (where indisvalid), count(*) from pg_index i join pg_class c on c.oid = indrelid \
             where relnamespace = 'dumped'::regnamespace";
        let said = run("psql", port, &["-X", "-A", "-t", "-c", asked]);
        assert_eq!(said.trim(), "15|15");
    })
    .await
    .unwrap();
    server.stop().await;
}
