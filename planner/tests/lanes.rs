//! Statements through a session, without a wire: which lane they take, and that both lanes agree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use vicinity_planner::engine::Engine;
use vicinity_planner::exec::settings::Source;
use vicinity_planner::prepared::Kind;
use vicinity_planner::rows::Collect;
use vicinity_planner::session::{Execution, Session};
use vicinity_planner::session_state::SessionState;
use vicinity_storage::{Database, Isolation, Options};
use vicinity_types::array::Array;
use vicinity_types::{Datum, PgError, Result};

struct Server {
    session: Session,
    _dir: tempfile::TempDir,
}

impl Server {
    fn new() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { sync: false, vacuum: false, ..Options::default() };
        let db = Database::open(dir.path(), options).unwrap();
        let engine = Engine::new(db);
        let state = Arc::new(SessionState::new("postgres", "postgres", 1));
        let mut server = Server { session: Session::new(engine, state), _dir: dir };
        for sql in [
            "create extension pase",
            "create table t (id int primary key, a int, name text, vec float4[])",
            "create index t_a on t (a)",
        ] {
            server.run(sql).unwrap();
        }
        server.fill();
        server
    }

    /// 1000 rows: a = id % 10, every seventh name NULL, vec = [id, 0].
    fn fill(&mut self) {
        let db = self.session.engine().db.clone();
        let catalog = db.catalog();
        let oid = catalog.relations().find(|r| r.name == "t").unwrap().oid;
        let table = db.table(oid, &catalog).unwrap();
        let txn = db.begin(Isolation::ReadCommitted, false).unwrap();
        for id in 1..=1000i32 {
            let name =
                if id % 7 == 0 { Datum::Null } else { Datum::text(format!("name {}", id % 100)) };
            let vec = Datum::Array(Arc::new(Array::from_f32s(vec![id as f32, 0.0])));
            let row = [Datum::Int4(id), Datum::Int4(id % 10), name, vec];
            table.insert(&txn, &row).unwrap();
        }
        txn.commit().unwrap();
    }

    fn try_run(&mut self, sql: &str, params: &[Datum]) -> Result<Vec<Vec<Datum>>> {
        let parsed = self.session.parse(sql)?;
        let mut rows = Vec::new();
        for statement in &parsed {
            let prepared = self.session.prepare(statement, &[])?;
            if let Execution::Rows { mut cursor, .. } =
                self.session.execute(&prepared, params.to_vec())?
            {
                let mut sink = Collect::default();
                while !cursor.fill(&mut sink, 3)?.done {}
                rows = sink.rows;
            }
        }
        Ok(rows)
    }

    fn run(&mut self, sql: &str) -> Result<Vec<Vec<Datum>>> {
        self.run_with(sql, &[])
    }

    fn run_with(&mut self, sql: &str, params: &[Datum]) -> Result<Vec<Vec<Datum>>> {
        let result = self.try_run(sql, params);
        self.session.end(result.is_ok())?;
        result
    }

    fn lane(&mut self, lane: &str) {
        let state = self.session.state();
        state.change_settings(|s| s.set("vicinity.lane", lane, Source::Session, true)).unwrap();
    }

    fn takes_row_lane(&mut self, sql: &str) -> bool {
        let parsed = self.session.parse(sql).unwrap();
        let prepared =
            self.session.prepare(&parsed[0], &[]).unwrap_or_else(|e| panic!("{sql}: {e}"));
        match &prepared.kind {
            Kind::Query(plan) => plan.row_plan().is_some(),
            _ => panic!("{sql} is no query"),
        }
    }

    fn explain(&mut self, sql: &str) -> String {
        let rows = self.run(&format!("explain (costs off) {sql}")).unwrap();
        let lines: Vec<String> = rows
            .iter()
            .map(|r| match &r[0] {
                Datum::Text(t) => t.to_string(),
                other => format!("{other:?}"),
            })
            .collect();
        lines.join("\n")
    }
}

fn show(rows: &[Vec<Datum>]) -> String {
    rows.iter().map(|r| format!("{r:?}\n")).collect()
}

/// Statements that must take the row lane.
const ROW_LANE: &[&str] = &[
    "select 1",
    "select 1 + 2, 'x'::text, now() is null",
    "select * from t where id = 5",
    "select id, name from t where id = $1",
    "select id from t where id in (3, 1, 2) order by id",
    "select id from t where id between 10 and 20 and a = 3 order by id",
    "select id from t where id > 990 order by id desc limit 3",
    "select id from t where a = 3 and name = 'name 13' order by id",
    "select id from t where name is null order by id limit 5 offset 2",
    "select id, vec <#> '3.1,0'::pase from t order by vec <#> '3.1,0'::pase limit 5",
    "select count(*) from t",
    "select count(name), max(id), min(a) from t where a > 5",
    "select id * 2 + 1 from t where id < 4 order by id",
    "select i * 2 from generate_series(1, 5) i",
    "select id from t where id not in (select x from generate_series(1, 998) x) order by id",
];

#[test]
fn row_lane_statements_stay_in_the_row_lane() {
    let mut server = Server::new();
    let lost: Vec<&str> =
        ROW_LANE.iter().copied().filter(|sql| !server.takes_row_lane(sql)).collect();
    assert!(lost.is_empty(), "not in the row lane: {lost:#?}");
}

#[test]
fn both_lanes_give_the_same_rows() {
    let mut server = Server::new();
    for sql in ROW_LANE.iter().chain(&[
        "select a, count(*) from t group by a order by a",
        "select t1.id, t2.id from t t1 join t t2 on t1.id = t2.id + 1 where t1.id < 5 order by 1",
        "select a, sum(id), avg(id), array_agg(id order by id desc) from t where id < 30 group by a order by a",
        "select distinct a from t order by a",
        "select id from t where id < 3 union all select 7 order by 1",
        "select id, row_number() over (order by id desc) from t where id < 4 order by id",
        "select (select max(id) from t x where x.a = t.a) from t where id = 3",
        "values (1, 'a'), (2, 'b')",
        "with c as (select id from t where id < 5) select sum(id) from c",
    ]) {
        let params = if sql.contains("$1") { vec![Datum::Int4(17)] } else { Vec::new() };
        server.lane("auto");
        let auto = server.run_with(sql, &params).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        server.lane("batch");
        let batch = server.run_with(sql, &params).unwrap_or_else(|e| panic!("{sql} (batch): {e:?}"));
        assert_eq!(show(&auto), show(&batch), "{sql}");
        assert!(!auto.is_empty(), "{sql} gave nothing");
    }
}

#[test]
fn conditions_become_index_scans() {
    let mut server = Server::new();
    assert_eq!(
        server.explain("select * from t where id = 5"),
        "Index Scan using t_pkey on t\n  Index Cond: (id = 5)"
    );
    assert_eq!(
        server.explain("select id from t where a = 3 and name = 'x'"),
        "Index Scan using t_a on t\n  Index Cond: (a = 3)\n  Filter: (name = 'x'::text)"
    );
    assert_eq!(
        server.explain("select id from t order by id desc limit 2"),
        "Limit\n  ->  Index Scan Backward using t_pkey on t"
    );
    assert_eq!(
        server.explain("select id from t where name = 'x' order by name"),
        "Sort\n  Sort Key: name\n  ->  Seq Scan on t\n        Filter: (name = 'x'::text)"
    );
}

#[test]
fn nearest_rows_come_from_the_vector_index() {
    let mut server = Server::new();
    server
        .run(
            "create index t_vec on t using pase_ivfflat (vec) with (clustering_type = 1, \
             distance_type = 0, dimension = 2, clustering_params = \"1000,10\")",
        )
        .unwrap();
    let nearest = "select id from t where a <> 3 order by vec <#> '500.1,0:20:0'::pase limit 4";
    assert_eq!(
        server.explain(nearest),
        "Limit\n  ->  Index Scan using t_vec on t\n        \
         Order By: (vec <#> '500.1,0:20:0'::pase)\n        Filter: (a <> 3)"
    );
    let ids = [500, 501, 499, 502].map(|id| vec![Datum::Int4(id)]);
    assert_eq!(show(&server.run(nearest).unwrap()), show(&ids));
    // Never short: all that match are beyond any share of the clusters (invariant never-short).
    let far = "select id from t where id > 995 and id not in (select 997) \
               order by vec <#> '1,0'::pase limit 10";
    let ids = [996, 998, 999, 1000].map(|id| vec![Datum::Int4(id)]);
    assert_eq!(show(&server.run(far).unwrap()), show(&ids));
    let by_parameter = "select id from t order by vec <#> $1::pase limit 2";
    assert!(server.takes_row_lane(by_parameter));
}

#[test]
fn extremes_come_from_an_index_and_rows_can_be_locked() {
    let mut server = Server::new();
    assert_eq!(show(&server.run("select max(id) from t").unwrap()), "[Int4(1000)]\n");
    assert_eq!(show(&server.run("select min(a) from t where a > 4").unwrap()), "[Int4(5)]\n");
    let locked = server.run("select id from t where id = 5 for update").unwrap();
    assert_eq!(show(&locked), "[Int4(5)]\n");
}

#[test]
fn sql_functions_over_arrays_run_natively() {
    let mut server = Server::new();
    server
        .run(
            "create function spread(float4[], int) returns float4[] as $$ select array_agg((u + \
             u*$2/2.0/100 - u*$2/100*0.5)::float4) from unnest($1) u $$ language sql strict",
        )
        .unwrap();
    let rows = server.run("select spread(array[1,2,4]::float4[], 0)::text").unwrap();
    assert_eq!(show(&rows), "[Text(\"{1,2,4}\")]\n");
    let rows = server.run("select spread(null, 0) is null").unwrap();
    assert_eq!(show(&rows), "[Bool(true)]\n");
}

#[test]
fn errors_have_postgresqls_codes() {
    let mut server = Server::new();
    let code = |r: Result<Vec<Vec<Datum>>>| r.map_err(|e: PgError| e.code().to_string());
    assert_eq!(code(server.run("select 1/0")).unwrap_err(), "22012");
    assert_eq!(code(server.run("select 2147483647 + 1")).unwrap_err(), "22003");
    assert_eq!(code(server.run("select id from t limit -1")).unwrap_err(), "2201W");
    assert_eq!(code(server.run("select id from t order by id offset -1")).unwrap_err(), "2201X");
    assert_eq!(code(server.run("select (select id from t)")).unwrap_err(), "21000");
}

#[test]
fn transaction_blocks_follow_their_errors() {
    let mut server = Server::new();
    assert_eq!(server.session.transaction_status(), b'I');
    server.run("begin").unwrap();
    assert_eq!(server.session.transaction_status(), b'T');
    server.run("savepoint s").unwrap();
    assert!(server.run("select 1/0").is_err());
    assert_eq!(server.session.transaction_status(), b'E');
    let refused = server.run("select 1").unwrap_err();
    assert_eq!(refused.code().to_string(), "25P02");
    server.run("rollback to s").unwrap();
    assert_eq!(server.session.transaction_status(), b'T');
    server.run("select 1").unwrap();
    server.run("commit").unwrap();
    assert_eq!(server.session.transaction_status(), b'I');
}

#[test]
fn what_may_take_any_time_is_not_short() {
    let mut server = Server::new();
    server
        .run(
            "create function slow(n int) returns int language plpgsql as \
             $$ begin perform pg_sleep(0); return n; end $$",
        )
        .unwrap();
    let mut is_short = |sql: &str| {
        let parsed = server.session.parse(sql).unwrap();
        let prepared = server.session.prepare(&parsed[0], &[]).unwrap();
        server.session.end(true).unwrap();
        prepared.is_short()
    };
    for sql in [
        "select name from t where id = 1",
        "select a + 1 from t where id = 1 and a in (1, 2)",
        "insert into t values (2000, 1 + 1, lower('A')) returning id + 1",
        "update t set a = a + 1 where id = 1",
        "delete from t where id = 1",
    ] {
        assert!(is_short(sql), "{sql}");
    }
    for sql in [
        "select slow(1)",
        "select 1 + slow(1) from t where id = 1",
        "select name from t where id = slow(1)",
        "select name from t where id = 1 and (a = 1 or slow(a) = 2)",
        "select case when a = 1 then slow(2) end from t where id = 1",
        "insert into t values (2000, slow(1))",
        "insert into t values (2000, 1) returning slow(id)",
        "insert into t values (2000, 1) on conflict (id) do update set a = slow(1)",
        "update t set a = slow(a) where id = 1",
        "delete from t where id = 1 returning slow(id)",
    ] {
        assert!(!is_short(sql), "{sql}");
    }
}
