//! EXPLAIN: the figures are those of the data, node by node, in both lanes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use serde_json::Value;
use vicinity_planner::engine::Engine;
use vicinity_planner::exec::settings::Source;
use vicinity_planner::rows::Collect;
use vicinity_planner::session::{Execution, Session};
use vicinity_planner::session_state::SessionState;
use vicinity_storage::{Database, Options};
use vicinity_types::{Datum, Result};

struct Server {
    session: Session,
    _dir: tempfile::TempDir,
}

impl Server {
    /// `t`: 1000 rows, a = id % 10; `u`: 300 rows, tid = id % 3.
    fn new() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { sync: false, vacuum: false, ..Options::default() };
        let db = Database::open(dir.path(), options).unwrap();
        let state = Arc::new(SessionState::new("postgres", "postgres", 1));
        let mut server = Server { session: Session::new(Engine::new(db), state), _dir: dir };
        for sql in [
            "create extension pase",
            "create table t (id int primary key, a int, b text)",
            "create table u (id int, tid int)",
            "create index u_tid on u (tid)",
            "create table v (id int primary key, vec float4[])",
            "insert into t select i, i % 10, 'x' || i from generate_series(1, 1000) i",
            "insert into u select i, i % 3 from generate_series(1, 300) i",
            "insert into v select i, array[i, 0]::float4[] from generate_series(1, 500) i",
            "create index v_hnsw on v using pase_hnsw (vec) with (dim = 2)",
        ] {
            server.run(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        }
        server
    }

    fn try_run(&mut self, sql: &str) -> Result<Vec<Vec<Datum>>> {
        let mut rows = Vec::new();
        for statement in &self.session.parse(sql)? {
            let prepared = self.session.prepare(statement, &[])?;
            if let Execution::Rows { mut cursor, .. } =
                self.session.execute(&prepared, Vec::new())?
            {
                let mut sink = Collect::default();
                while !cursor.fill(&mut sink, 100)?.done {}
                rows = sink.rows;
            }
        }
        Ok(rows)
    }

    fn run(&mut self, sql: &str) -> Result<Vec<Vec<Datum>>> {
        let result = self.try_run(sql);
        self.session.end(result.is_ok())?;
        result
    }

    fn lane(&mut self, lane: &str) {
        let state = self.session.state();
        state.change_settings(|s| s.set("vicinity.lane", lane, Source::Session, true)).unwrap();
    }

    fn lines(&mut self, sql: &str) -> Vec<String> {
        let rows = self.run(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let text = |r: &Vec<Datum>| match &r[0] {
            Datum::Text(t) => t.to_string(),
            other => panic!("{other:?}"),
        };
        rows.iter().map(text).collect()
    }

    /// The plan of a statement that was run.
    fn analyzed(&mut self, sql: &str) -> Value {
        let text =
            self.lines(&format!("explain (analyze, buffers, verbose, format json) {sql}")).concat();
        let document: Value = serde_json::from_str(&text).unwrap();
        document[0]["Plan"].clone()
    }

    fn count(&mut self, sql: &str) -> i64 {
        match self.run(sql).unwrap()[0][0] {
            Datum::Int8(n) => n,
            ref other => panic!("{other:?}"),
        }
    }
}

/// Node type, rows, loops.
fn figures(plan: &Value) -> (&str, u64, u64) {
    let number = |label: &str| plan[label].as_u64().unwrap_or_else(|| panic!("{label} in {plan}"));
    (plan["Node Type"].as_str().unwrap(), number("Actual Rows"), number("Actual Loops"))
}

fn pages(plan: &Value) -> u64 {
    plan["Shared Hit Blocks"].as_u64().unwrap()
}

/// Times and costs of a node lie within those of the node above, and begin before they end.
fn check_nesting(plan: &Value) {
    let time = |plan: &Value, label: &str| plan[label].as_f64().unwrap();
    assert!(time(plan, "Startup Cost") <= time(plan, "Total Cost"), "{plan}");
    assert!(time(plan, "Actual Startup Time") <= time(plan, "Actual Total Time"), "{plan}");
    for child in plan["Plans"].as_array().into_iter().flatten() {
        let (all, loops) = (time(child, "Actual Total Time"), time(child, "Actual Loops"));
        let most = time(plan, "Actual Total Time") * time(plan, "Actual Loops");
        // PostgreSQL's InitPlans run within whatever asks them first.
        assert!(all * loops <= most * 1.01 + 0.05, "{child} in {plan}");
        check_nesting(child);
    }
}

#[test]
fn rows_and_loops_of_every_node() {
    let mut server = Server::new();
    for lane in ["auto", "batch"] {
        server.lane(lane);
        let scan = server.analyzed("select * from t where a = 3");
        assert_eq!(figures(&scan), ("Seq Scan", 100, 1), "{lane}");
        assert_eq!(scan["Rows Removed by Filter"], 900, "{lane}");

        let limit = server.analyzed("select * from t order by b desc limit 5 offset 2");
        assert_eq!(figures(&limit), ("Limit", 5, 1), "{lane}");
        let sort = &limit["Plans"][0];
        assert_eq!(figures(sort), ("Sort", 7, 1), "{lane}");
        assert_eq!(sort["Sort Method"], "top-N heapsort", "{lane}");
        assert_eq!(figures(&sort["Plans"][0]), ("Seq Scan", 1000, 1), "{lane}");

        let sum = server.analyzed("select sum(id) from t where a < 2");
        assert_eq!(figures(&sum), ("Aggregate", 1, 1), "{lane}");
        assert_eq!(figures(&sum["Plans"][0]), ("Seq Scan", 200, 1), "{lane}");

        let groups = server.analyzed("select a, count(*) from t group by a having count(*) > 200");
        assert_eq!(figures(&groups), ("Aggregate", 0, 1), "{lane}");
        assert_eq!(groups["Rows Removed by Filter"], 10, "{lane}");
        check_nesting(&limit);
        check_nesting(&sum);
    }
}

#[test]
fn joins_count_both_sides() {
    let mut server = Server::new();
    let join = server.analyzed("select t.b, u.id from t join u on t.id = u.tid");
    assert_eq!(figures(&join), ("Hash Join", 200, 1));
    let sides: Vec<_> = join["Plans"].as_array().unwrap().iter().map(figures).collect();
    assert_eq!(sides[1].0, "Hash");
    let mut rows: Vec<u64> = sides.iter().map(|s| s.1).collect();
    rows.sort_unstable();
    assert_eq!(rows, [300, 1000]);
    check_nesting(&join);
    let pages: u64 = join["Plans"].as_array().unwrap().iter().map(pages).sum();
    assert_eq!(pages, self::pages(&join), "a node's pages are those below it");
}

#[test]
fn subqueries_run_as_often_as_they_are_asked() {
    let mut server = Server::new();
    for lane in ["auto", "batch"] {
        server.lane(lane);
        let plan = server
            .analyzed("select id, (select count(*) from u where u.tid = t.id) from t where id < 6");
        assert_eq!(figures(&plan).1, 5, "{lane}");
        let sub = &plan["Plans"][0];
        assert_eq!(sub["Parent Relationship"], "SubPlan", "{lane}");
        assert_eq!(sub["Subplan Name"], "SubPlan 1", "{lane}");
        assert_eq!(figures(sub), ("Aggregate", 1, 5), "{lane}");
        // 100 rows each of ids 1 and 2, none of the others: 40 a loop.
        assert_eq!(figures(&sub["Plans"][0]), ("Index Scan", 40, 5), "{lane}");

        let plan = server.analyzed("select id, (select max(tid) from u) from t");
        let init = &plan["Plans"][0];
        assert_eq!(init["Parent Relationship"], "InitPlan", "{lane}");
        assert_eq!(init["Subplan Name"], "InitPlan 1 (returns $0)", "{lane}");
        assert_eq!(figures(init).2, 1, "{lane}: it runs once for all rows");
        assert_eq!(plan["Output"][1], "$0", "{lane}");
    }
    let text = server.lines(
        "explain (analyze, costs off, timing off, summary off)
         select case when id < 0 then (select max(tid) from u) end from t where a = 1",
    );
    assert!(text.iter().any(|l| l.ends_with("(never executed)")), "{text:?}");
}

#[test]
fn pages_are_those_touched() {
    let mut server = Server::new();
    // A whole table: its tuples and slots in units of 8 KiB, as pg_class counts them.
    let relpages = server.count("select relpages::bigint from pg_class where relname = 't'");
    let scan = server.analyzed("select * from t");
    assert_eq!(pages(&scan), u64::try_from(relpages).unwrap());
    assert!(relpages > 3);

    // A key: the blocks from the root to the leaf, and the row.
    let key = server.analyzed("select * from t where id = 500");
    assert_eq!(figures(&key), ("Index Scan", 1, 1));
    assert_eq!(pages(&key), 3);
    let absent = server.analyzed("select * from t where id = 5000");
    assert_eq!(pages(&absent), 2);

    // A range: its rows besides the blocks.
    let range = server.analyzed("select * from t where id between 11 and 30");
    assert_eq!(figures(&range).1, 20);
    let blocks = pages(&range) - 20;
    assert!((2..=6).contains(&blocks), "{blocks}");

    // Nearest rows: less than all there are.
    let near = server.analyzed("select id from v order by vec <?> '7,0'::pase limit 3");
    assert_eq!(figures(&near), ("Limit", 3, 1));
    assert_eq!(figures(&near["Plans"][0]), ("Index Scan", 3, 1));
    assert!((3..1500).contains(&pages(&near)), "{near}");
    assert_eq!(near["Plans"][0]["Order By"], "(v.vec <?> '7,0:0:0'::pase)");
}

#[test]
fn writes_are_done_and_counted() {
    let mut server = Server::new();
    let plain = server.lines("explain (costs off) insert into t values (2000, 1, 'a')");
    assert_eq!(plain, ["Insert on t", "  ->  Result"]);
    assert_eq!(server.count("select count(*) from t where id = 2000"), 0, "only shown");

    let insert = server.analyzed("insert into t values (2000, 1, 'a'), (2001, 1, 'b')");
    assert_eq!(figures(&insert), ("ModifyTable", 0, 1));
    assert_eq!(insert["Operation"], "Insert");
    assert_eq!(figures(&insert["Plans"][0]), ("Values Scan", 2, 1));
    assert_eq!(server.count("select count(*) from t where id >= 2000"), 2, "done");

    let conflict = server.analyzed(
        "insert into t values (2000, 5, 'c'), (2002, 5, 'd')
         on conflict (id) do update set a = excluded.a",
    );
    assert_eq!(conflict["Conflict Resolution"], "UPDATE");
    assert_eq!(conflict["Conflict Arbiter Indexes"][0], "t_pkey");
    assert_eq!(conflict["Tuples Inserted"], 1);
    assert_eq!(conflict["Conflicting Tuples"], 1);

    let copy = server.analyzed("insert into u select id, a from t where a = 3 returning id");
    assert_eq!(figures(&copy), ("ModifyTable", 100, 1));
    assert_eq!(figures(&copy["Plans"][0]), ("Seq Scan", 100, 1));
    check_nesting(&copy);

    let update = server.analyzed("update t set a = a + 1 where id <= 10");
    assert_eq!((figures(&update).1, figures(&update["Plans"][0]).1), (0, 10));
    assert_eq!(update["Plans"][0]["Output"], serde_json::json!(["(a + 1)", "ctid"]));

    // The update moved one row into these and one out of them.
    let delete = server.analyzed("delete from t where a = 9");
    assert_eq!(delete["Operation"], "Delete");
    assert_eq!(figures(&delete["Plans"][0]).1, 100);
    assert_eq!(server.count("select count(*) from t where a = 9"), 0);

    let made = server.analyzed("create table w as select * from u where tid = 0");
    assert_eq!(made["Node Type"], "Index Scan");
    assert_eq!(server.count("select count(*) from w"), i64::try_from(figures(&made).1).unwrap());
}

#[test]
fn prepared_statements_show_their_parameters() {
    let mut server = Server::new();
    server.run("prepare p (int, text) as select * from t where id = $1 and b > $2").unwrap();
    let text = server.lines("explain (costs off) execute p (4, 'x')");
    assert_eq!(
        text,
        ["Index Scan using t_pkey on t", "  Index Cond: (id = 4)", "  Filter: (b > 'x'::text)"]
    );
    server.run("prepare w (int) as delete from t where id = $1").unwrap();
    let text = server.lines("explain (analyze, costs off, timing off, summary off) execute w (4)");
    assert_eq!(text[0], "Delete on t (actual rows=0 loops=1)");
    assert_eq!(server.count("select count(*) from t where id = 4"), 0);
}

#[test]
fn estimates_are_of_the_rows_there_are() {
    let mut server = Server::new();
    let rows = |server: &mut Server, sql: &str| -> (f64, u64) {
        let text = server.lines(&format!("explain (format json) {sql}")).concat();
        let plan: Value = serde_json::from_str(&text).unwrap();
        let plan = &plan[0]["Plan"];
        (plan["Plan Rows"].as_f64().unwrap(), plan["Plan Width"].as_u64().unwrap())
    };
    assert_eq!(rows(&mut server, "select * from t"), (1000.0, 40));
    assert_eq!(rows(&mut server, "select id from t where id = 3"), (1.0, 4));
    assert_eq!(rows(&mut server, "select * from t where id in (1, 2, 3)").0, 3.0);
    assert_eq!(rows(&mut server, "select * from t, u where t.id = u.tid").0, 300.0);
    assert_eq!(rows(&mut server, "select * from t limit 7").0, 7.0);
    assert_eq!(rows(&mut server, "select count(*) from t"), (1.0, 8));
    assert_eq!(rows(&mut server, "select a::numeric(10,2), b::varchar(20) from t").1, 74);
}

#[test]
fn refused_options() {
    let mut server = Server::new();
    for (sql, message) in [
        ("explain (timing) select 1", "EXPLAIN option TIMING requires ANALYZE"),
        ("explain (wal) select 1", "EXPLAIN option WAL requires ANALYZE"),
        ("explain (nosuch) select 1", "unrecognized EXPLAIN option \"nosuch\""),
        (
            "explain (format nosuch) select 1",
            "unrecognized value for EXPLAIN option \"format\": \"nosuch\"",
        ),
        ("explain create table x (a int)", "syntax error at or near \"create\""),
    ] {
        let error = server.run(sql).unwrap_err();
        assert_eq!(error.message(), message, "{sql}");
    }
}
