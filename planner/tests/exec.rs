//! Statements end to end over a database in memory, with PostgreSQL 15's answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use vicinity_planner::engine::Engine;
use vicinity_planner::names::SessionNames;
use vicinity_planner::rows::Collect;
use vicinity_planner::session::{Execution, RowsTag, Session};
use vicinity_planner::session_state::SessionState;
use vicinity_storage::disk::sim::SimDisk;
use vicinity_storage::{Database, Options};
use vicinity_types::io::to_text;
use vicinity_types::{Io, IoStyle, PgError};

fn engine() -> Arc<Engine> {
    let db = Database::open_on(Arc::new(SimDisk::new()), Options::default()).unwrap();
    Engine::new(db)
}

fn session(engine: &Arc<Engine>) -> Session {
    Session::new(engine.clone(), Arc::new(SessionState::new("postgres", "postgres", 1)))
}

fn one(s: &mut Session, parsed: &vicinity_planner::sql::Parsed) -> Result<String, PgError> {
    let prepared = s.prepare(parsed, &[])?;
    let columns = prepared.columns.clone();
    match s.execute(&prepared, Vec::new())? {
        Execution::Done(tag) => Ok(tag),
        Execution::CopyIn(_) | Execution::CopyOut(_) => Ok("COPY".to_owned()),
        Execution::Rows { mut cursor, tag } => {
            let mut sink = Collect::default();
            while !cursor.fill(&mut sink, usize::MAX)?.done {}
            let style = IoStyle::default();
            let catalog = s.engine().db.catalog();
            let names = SessionNames { catalog: &catalog, session: s.state() };
            let io = Io { style: &style, names: &names };
            let types: Vec<_> = columns.unwrap_or_default().iter().map(|c| c.ty).collect();
            let lines: Vec<String> = sink
                .rows
                .iter()
                .map(|row| {
                    let values = row.iter().zip(&types).map(|(v, ty)| {
                        if v.is_null() {
                            return "NULL".to_owned();
                        }
                        to_text(ty.oid, v, &io)
                    });
                    values.collect::<Vec<_>>().join("|")
                })
                .collect();
            let tag = match tag {
                RowsTag::Count(verb) => format!("{verb} {}", lines.len()),
                RowsTag::Text(text) => text,
            };
            Ok(lines.into_iter().chain([tag]).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// Runs statements; the last one's rows and tag, or its error with DETAIL and HINT; notices first.
fn run(s: &mut Session, sql: &str) -> String {
    let mut last = String::new();
    let parsed = match s.parse(sql) {
        Ok(parsed) => parsed,
        Err(e) => return format!("{e}"),
    };
    for p in parsed {
        let result = one(s, &p);
        let ok = result.is_ok();
        let mut lines: Vec<String> = s
            .state()
            .take_notices()
            .into_iter()
            .map(|n| {
                let mut text = format!("{}: {}", n.severity.as_str(), n.report.message);
                if let Some(detail) = n.report.detail {
                    text = format!("{text}\nDETAIL: {detail}");
                }
                text
            })
            .collect();
        match result {
            Ok(text) => lines.push(text),
            Err(e) => {
                lines.push(format!("{e}"));
                lines.extend(e.report().detail.iter().map(|d| format!("DETAIL: {d}")));
                lines.extend(e.report().hint.iter().map(|h| format!("HINT: {h}")));
            }
        }
        last = lines.join("\n");
        if let Err(e) = s.end(ok) {
            last = format!("{e}");
        }
    }
    last
}

/// A script of `> statement` lines and the answers after them.
fn script(text: &str) {
    let engine = engine();
    let mut s = session(&engine);
    let mut failures = Vec::new();
    for block in text.split("\n> ").map(str::trim).filter(|b| !b.is_empty()) {
        let block = block.strip_prefix("> ").unwrap_or(block);
        let (sql, expected) = block.split_once("\n").unwrap_or((block, ""));
        let expected: Vec<&str> = expected.lines().map(str::trim).collect();
        let got = run(&mut s, sql);
        let got_lines: Vec<&str> = got.lines().map(str::trim).collect();
        if got_lines != expected {
            failures.push(format!("{sql}\n  expected: {}\n  got: {got}", expected.join("\n")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n---\n"));
}

#[test]
fn tables_and_rows() {
    script(
        "
> create table t (id serial primary key, a int not null, b text default 'x', check (a > 0))
CREATE TABLE
> insert into t (a) values (1), (2) returning *
1|1|x
2|2|x
INSERT 0 2
> insert into t (a, b) values (3, default), (4, null)
INSERT 0 2
> insert into t (a) values (0)
23514: new row for relation \"t\" violates check constraint \"t_a_check\"
DETAIL: Failing row contains (5, 0, x).
> insert into t (b) values ('y')
23502: null value in column \"a\" of relation \"t\" violates not-null constraint
DETAIL: Failing row contains (6, null, y).
> insert into t values (1, 1)
23505: duplicate key value violates unique constraint \"t_pkey\"
DETAIL: Key (id)=(1) already exists.
> update t set a = a + 10, b = default where id = 4 returning id, a, b
4|14|x
UPDATE 1
> update t set a = a * 2
UPDATE 4
> delete from t where a > 5 returning id
3
4
DELETE 2
> insert into t (id, a) values (1, 50) on conflict (id) do update set a = excluded.a + t.a returning *
1|52|x
INSERT 0 1
> insert into t (id, a) values (1, 50) on conflict do nothing
INSERT 0 0
> insert into t (id, a) values (1, 7) on conflict on constraint t_pkey do update set a = 1 where t.a > 100
INSERT 0 0
> insert into t select g, g from generate_series(10, 12) g
INSERT 0 3
> select count(*) from t
5
SELECT 1
> insert into t (id, a) select id + 100, a from t order by id returning id
101
102
110
111
112
INSERT 0 5
> update t set a = s.x from (values (1, 77)) s(k, x) where t.id = s.k returning t.id, t.a, s.x
1|77|77
UPDATE 1
> delete from t using (select 2 as k) s where id = s.k
DELETE 1
> insert into t (id, a) values (50, (select max(a) from t))
INSERT 0 1
> insert into t (nope) values (1)
42703: column \"nope\" of relation \"t\" does not exist
> insert into t (a) values (1, 2)
42601: INSERT has more expressions than target columns
> insert into t (a) values (1) on conflict (b) do nothing
42P10: there is no unique or exclusion constraint matching the ON CONFLICT specification
> insert into t (id, a) values (60, 1), (60, 2) on conflict (id) do update set a = 9
21000: ON CONFLICT DO UPDATE command cannot affect row a second time
HINT: Ensure that no rows proposed for insertion within the same command have duplicate constrained values.
> drop table t
DROP TABLE
> drop table if exists t
NOTICE: table \"t\" does not exist, skipping
DROP TABLE
",
    );
}

#[test]
fn definitions() {
    script(
        "
> create table a (x int, y int, unique (x, y), unique (x), constraint c check (x < y))
CREATE TABLE
> select conname from pg_constraint where conrelid = 'a'::regclass order by 1
a_x_key
a_x_y_key
c
SELECT 3
> create table if not exists a (x int)
NOTICE: relation \"a\" already exists, skipping
CREATE TABLE
> create view v as select x from a
CREATE VIEW
> drop table a
2BP01: cannot drop table a because other objects depend on it
DETAIL: view v depends on table a
HINT: Use DROP ... CASCADE to drop the dependent objects too.
> insert into a values (1, 2)
INSERT 0 1
> select * from v
1
SELECT 1
> create index on a (y)
CREATE INDEX
> create index on a (y desc)
CREATE INDEX
> select indexrelid::regclass::text from pg_index where indrelid = 'a'::regclass order by 1
a_x_key
a_x_y_key
a_y_idx
a_y_idx1
SELECT 4
> alter table a add column z int default 5, add column w text
ALTER TABLE
> select * from a
1|2|5|NULL
SELECT 1
> alter table a alter column z type text
ALTER TABLE
> select z || '!' from a
5!
SELECT 1
> alter table a rename column y to yy
ALTER TABLE
> alter table a drop column w
ALTER TABLE
> create table b as select x, yy from (select x, yy from a) q
SELECT 1
> drop table a cascade
NOTICE: drop cascades to view v
DROP TABLE
> create sequence s start 5 increment 2
CREATE SEQUENCE
> select nextval('s'), nextval('s'), currval('s')
5|7|7
SELECT 1
> create type mood as enum ('sad', 'ok')
CREATE TYPE
> create table m (m mood default 'ok')
CREATE TABLE
> insert into m default values returning *
ok
INSERT 0 1
> create index h on m using pase_hnsw (m)
42704: access method \"pase_hnsw\" does not exist
> create extension pase
CREATE EXTENSION
> create index h on m using pase_hnsw (m)
42704: data type mood has no default operator class for access method \"pase_hnsw\"
HINT: You must specify an operator class for the index or define a default operator class for the data type.
> truncate m
TRUNCATE TABLE
> show work_mem
4MB
SHOW
> create table g (a int, b int generated always as (a * 2) stored, i int generated always as identity)
CREATE TABLE
> insert into g (a) values (4) returning *
4|8|1
INSERT 0 1
> insert into g (a, b) values (1, 1)
428C9: cannot insert a non-DEFAULT value into column \"b\"
DETAIL: Column \"b\" is a generated column.
",
    );
}

#[test]
fn blocks() {
    script(
        "
> create table t (a int)
CREATE TABLE
> begin; insert into t values (1); savepoint s; insert into t values (2); rollback to s; commit
COMMIT
> select * from t
1
SELECT 1
> begin; create table u (a int); rollback
ROLLBACK
> select * from u
42P01: relation \"u\" does not exist
> commit
WARNING: there is no transaction in progress
COMMIT
> prepare p (int) as insert into t values ($1) returning a
PREPARE
> execute p(5)
5
INSERT 0 1
> with x as (select 9 as n) insert into t select n from x returning a
9
INSERT 0 1
",
    );
}

/// ALTER COLUMN TYPE copies the rows: one that comes in while it waits for its lock must come along.
#[test]
fn change_type_sees_rows_of_concurrent_writers() {
    let engine = engine();
    let mut a = session(&engine);
    run(&mut a, "create table moving(id int); insert into moving values (1)");
    run(&mut a, "begin; insert into moving values (2)");
    let other = {
        let engine = engine.clone();
        std::thread::spawn(move || {
            run(&mut session(&engine), "alter table moving alter id type bigint")
        })
    };
    std::thread::sleep(std::time::Duration::from_millis(200));
    run(&mut a, "insert into moving values (3); commit");
    assert_eq!(other.join().unwrap(), "ALTER TABLE");
    assert_eq!(run(&mut a, "select id from moving order by id"), "1\n2\n3\nSELECT 3");
}
