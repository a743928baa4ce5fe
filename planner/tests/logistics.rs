//! The logistics document's statements, and those of the pgbench scripts that go with it: which take the row lane, and
//! which are short enough for a connection's own task.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use vicinity_planner::engine::Engine;
use vicinity_planner::prepared::{Kind, Prepared};
use vicinity_planner::rows::Collect;
use vicinity_planner::session::{Execution, Session};
use vicinity_planner::session_state::SessionState;
use vicinity_storage::{Database, Options};
use vicinity_types::Datum;

struct Server {
    session: Session,
    _dir: tempfile::TempDir,
}

/// The tables of the pgbench scripts, as the bench makes them.
const SCRIPTED: &str = include_str!("../../bench/sql/couriers.sql");

/// The document's others.
const TABLES: &[&str] = &[
    "create index idx on cainiao_0_2 (uid)",
    "create type trace as (pos point, crt_time time)",
    "create table cainiao_trace_agg (crt_date date, uid int, trace_arr trace[], primary key (crt_date, uid))",
    "create schema hourly",
    "create table hourly.cainiao (uid int, pos point, crt_date date, crt_time time(0)) partition by range (crt_time)",
    "create table hourly.cainiao_00 partition of hourly.cainiao for values from ('00:00:00') to ('01:00:00')",
    "create table hourly.cainiao_01 partition of hourly.cainiao for values from ('01:00:00') to ('02:00:00')",
    "create table hourly.cainiao_02 partition of hourly.cainiao for values from ('02:00:00') to (unbounded)",
    "create index on hourly.cainiao (uid)",
    "create index on hourly.cainiao using gist (pos)",
];

/// Queries, with their values in place of parameters.
const QUERIES: &[(&str, &[&str])] = &[
    ("select 1", &[]),
    ("select * from cainiao_trace_realtime where uid=$1", &["12345"]),
    ("select * from cainiao_0_2 where uid=$1 limit 100", &["340054"]),
    ("select * from cainiao_trace_agg where crt_date=$1 and uid=$2", &["'2017-04-18'", "340054"]),
    (
        "select * from cainiao_trace_realtime where circle(point($1,$2),20000) @> pos order by pos <-> point($1,$2) limit 1",
        &["-1.5", "7"],
    ),
    (
        "select * from cainiao_trace_realtime where circle(point($1,$2),20000) @> pos order by pos <-> point($1,$2) limit 100",
        &["-1.5", "7"],
    ),
    (
        "select *, pos <-> point($1,$2) from cainiao_trace_realtime where pos <@ circle(point($1,$2),20000) \
         order by pos <-> point($1,$2) limit 10 offset 20",
        &["-1.5", "7"],
    ),
    (
        "select uid from cainiao_trace_realtime where box(point($1,$2),point($1,$2)) @> pos limit 100",
        &["-1.5", "7"],
    ),
    ("select * from hourly.cainiao where crt_time=$1 and uid=$2 limit 10", &["'01:30:00'", "7"]),
    ("select * from hourly.cainiao where uid=$1 order by uid limit 10", &["7"]),
    ("select * from hourly.cainiao order by pos <-> point($1,$2) limit 10", &["-1.5", "7"]),
    (
        "select uid, pos from hourly.cainiao where circle(point($1,$2),20000) @> pos order by pos <-> point($1,$2) limit 10",
        &["-1.5", "7"],
    ),
];

/// The document's own, as it spells them.
const SPELLED: &[&str] = &[
    "select * from cainiao_trace_realtime where circle '((0,0),20000)' @> pos order by pos <-> point '(0,0)' limit 100",
    "select * from cainiao_trace_agg where crt_date='2017-04-18' and uid=340054",
];

/// In the row lane, however long they take.
const LONG: &[&str] = &[
    "select count(*),min(uid),max(uid) from cainiao_trace_realtime",
    "select count(*) from cainiao_0_2",
    "select * from cainiao_0_2 where uid=340054",
    "select count(*), max(uid) from hourly.cainiao",
    "select tableoid::regclass, * from hourly.cainiao order by uid",
    "select uid, array_length(trace_arr,1), (trace_arr[1]).pos from cainiao_trace_agg order by uid",
];

/// Writes.
const WRITES: &[(&str, &[&str])] = &[
    (
        "insert into cainiao_trace_realtime (uid,pos) values ($1, point($2,$3)) on conflict (uid) do update set pos=excluded.pos",
        &["12345", "-1.5", "7"],
    ),
    (
        "insert into cainiao_0_2 values ($1, point($2,$3), now()::date, now()::time)",
        &["12345", "-1.5", "7"],
    ),
    (
        "insert into cainiao_0_3 values ($1, point($2,$3), now()::date, now()::time)",
        &["12345", "-1.5", "7"],
    ),
    ("update cainiao_trace_realtime set pos=point($2,$3) where uid=$1", &["12345", "-1.5", "7"]),
    ("delete from cainiao_trace_realtime where uid=$1", &["12345"]),
    (
        "insert into hourly.cainiao values ($1, point($2,$3), '2017-04-18', '23:59:59')",
        &["1", "-1.5", "7"],
    ),
];

impl Server {
    fn new() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { sync: false, vacuum: false, ..Options::default() };
        let db = Database::open(dir.path(), options).unwrap();
        let state = Arc::new(SessionState::new("postgres", "postgres", 1));
        let mut server = Server { session: Session::new(Engine::new(db), state), _dir: dir };
        server.run(SCRIPTED);
        TABLES.iter().for_each(|sql| _ = server.run(sql));
        server
    }

    fn prepare(&mut self, sql: &str) -> Arc<Prepared> {
        let parsed = self.session.parse(sql).unwrap();
        let prepared = self.session.prepare(&parsed[0], &[]);
        self.session.end(prepared.is_ok()).unwrap();
        prepared.unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    fn run(&mut self, sql: &str) -> Vec<Vec<Datum>> {
        let parsed = self.session.parse(sql).unwrap();
        let mut rows = Vec::new();
        for statement in &parsed {
            let prepared = self.session.prepare(statement, &[]);
            let prepared = prepared.unwrap_or_else(|e| panic!("{sql}: {e}"));
            let done = self.session.execute(&prepared, Vec::new());
            if let Execution::Rows { mut cursor, .. } =
                done.unwrap_or_else(|e| panic!("{sql}: {e}"))
            {
                let mut sink = Collect::default();
                while !cursor.fill(&mut sink, 100).unwrap().done {}
                rows = sink.rows;
            }
            self.session.end(true).unwrap();
        }
        rows
    }
}

/// With values in place of parameters.
fn spelled(sql: &str, values: &[&str]) -> String {
    let mut sql = sql.to_owned();
    for (i, value) in values.iter().enumerate() {
        sql = sql.replace(&format!("${}", i + 1), value);
    }
    sql
}

fn both(statements: &[(&str, &[&str])]) -> Vec<String> {
    let each = |(sql, values): &(&str, &[&str])| [(*sql).to_owned(), spelled(sql, values)];
    statements.iter().flat_map(each).collect()
}

/// Tells plans from each other.
fn plan(prepared: &Prepared) -> usize {
    match &prepared.kind {
        Kind::Query(plan) => Arc::as_ptr(plan).addr(),
        Kind::Dml(plan) => Arc::as_ptr(plan).addr(),
        _ => 0,
    }
}

fn in_row_lane(prepared: &Prepared) -> bool {
    match &prepared.kind {
        Kind::Query(plan) => plan.row_plan().is_some(),
        Kind::Dml(_) => prepared.is_short(),
        _ => false,
    }
}

#[test]
fn statements_of_the_document_take_the_row_lane() {
    let mut server = Server::new();
    let spelled = SPELLED.iter().map(|s| (*s).to_owned());
    let mut lost: Vec<String> = (both(QUERIES).into_iter().chain(spelled))
        .filter(|sql| !server.prepare(sql).is_short())
        .collect();
    for sql in both(WRITES) {
        let prepared = server.prepare(&sql);
        // What a trigger does is known once it has run.
        let values = [Datum::Int4(1), Datum::Float8(-1.5), Datum::Float8(7.0)];
        let values = values.into_iter().take(prepared.params.len()).collect();
        server.session.execute(&prepared, values).map(drop).unwrap();
        server.session.end(true).unwrap();
        if !prepared.is_short() {
            lost.push(sql);
        }
    }
    assert!(lost.is_empty(), "not short: {lost:#?}");
    let lost: Vec<&&str> = LONG.iter().filter(|sql| !in_row_lane(&server.prepare(sql))).collect();
    assert!(lost.is_empty(), "not in the row lane: {lost:#?}");
}

#[test]
fn plans_with_parameters_are_shared() {
    let mut server = Server::new();
    for (sql, _) in QUERIES.iter().chain(WRITES) {
        server.prepare(sql);
        let (first, second) = (server.prepare(sql), server.prepare(sql));
        assert_eq!(plan(&first), plan(&second), "{sql}");
    }
}

/// Statements that differ in constants only share a plan when they come again, and answer as they are.
#[test]
fn constants_of_statements_are_parameters() {
    let mut server = Server::new();
    let others = ["1", "2", "3", "4"];
    for (sql, values) in QUERIES.iter().chain(WRITES).filter(|(_, values)| !values.is_empty()) {
        let mut plans = Vec::new();
        for (n, other) in others.iter().enumerate() {
            let dated = |v: &&str| {
                if v.contains('-') && v.len() > 4 {
                    format!("'2017-04-0{}'", n + 1)
                } else if v.contains(':') {
                    format!("'01:0{n}:00'")
                } else {
                    (*other).to_owned()
                }
            };
            let own: Vec<String> = values.iter().map(dated).collect();
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            let sql = spelled(sql, &own);
            plans.push(plan(&server.prepare(&sql)));
            server.run(&sql);
        }
        assert_eq!(plans[2], plans[3], "{sql}");
    }
    for i in 100..110 {
        server.run(&format!(
            "insert into cainiao_trace_realtime (uid,pos) values ({i}, point({i},-{i}.5))"
        ));
        let rows =
            server.run(&format!("select uid, pos[1] from cainiao_trace_realtime where uid = {i}"));
        assert_eq!(format!("{rows:?}"), format!("[[Int4({i}), Float8(-{i}.5)]]"));
        // The wrong value is the statement's own to complain of.
        let wrong =
            server.session.parse("select uid from cainiao_trace_realtime where uid = 'x'").unwrap();
        let wrong = server.session.prepare(&wrong[0], &[]).map(drop).unwrap_err();
        assert_eq!(wrong.message(), "invalid input syntax for type integer: \"x\"");
        server.session.end(false).unwrap();
        let rows = server.run(&format!("select uid, {i} as n, 'a' || '{i}' from cainiao_trace_realtime where uid = '{i}' order by 1"));
        assert_eq!(format!("{rows:?}"), format!("[[Int4({i}), Int4({i}), Text(\"a{i}\")]]"));
    }
}

#[test]
fn thousands_of_partitions_are_planned_in_bounded_time() {
    let mut server = Server::new();
    server.run("create table wide (k int, v int) partition by list (k)");
    server.run(
        "do $$ begin for i in 1..2000 loop \
         execute format('create table wide_%s partition of wide for values in (%s)', i, i); end loop; end $$",
    );
    let mut timed = |sql: &str| {
        let start = Instant::now();
        let prepared = server.prepare(sql);
        assert!(in_row_lane(&prepared), "{sql}");
        let rows = if sql.contains('$') { Vec::new() } else { server.run(sql) };
        (start.elapsed(), rows)
    };
    let limit = Duration::from_secs(2);
    for sql in ["insert into wide values (1777, 1)", "insert into wide values ($1, $2)"] {
        let (took, _) = timed(sql);
        assert!(took < limit, "{sql} took {took:?}");
    }
    let (took, rows) = timed("select v from wide where k = 1777");
    assert!(took < limit, "took {took:?}");
    assert_eq!(format!("{rows:?}"), "[[Int4(1)]]");
}
