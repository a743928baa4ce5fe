#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::{Statement, parse, parse_expression};

fn shape(sql: &str) -> String {
    match parse_expression(sql) {
        Ok(expr) => expr.to_string(),
        Err(e) => format!("{} {} @{:?}", e.code(), e.message(), e.report().position),
    }
}

#[test]
fn operators_follow_postgres_lexing() {
    for (sql, expected) in [
        ("lon>=-180", "lon >= -180"),
        ("a>-1", "a > -1"),
        ("a<>-1", "a <> -1"),
        ("a||-1", "a ||- 1"),
        ("a@-1", "a @- 1"),
        ("vec <?> '1,2'", "vec <?> '1,2'"),
        ("a <-> b", "a <-> b"),
        ("a ?| b", "a ?| b"),
        ("a <<| b", "a <<| b"),
        ("a |>> b", "a |>> b"),
        ("a && b and c @> d", "a && b AND c @> d"),
        ("- 2 ^ 2", "-2 ^ 2"),
        ("pase '1,2'", "pase '1,2'"),
        (
            "x operator(pg_catalog.~) 'y' collate pg_catalog.default",
            "x OPERATOR(pg_catalog.~) 'y' COLLATE pg_catalog.default",
        ),
        ("1 +", "42601 syntax error at end of input @Some(4)"),
        ("a b c", "42601 syntax error at or near \"b\" @Some(3)"),
    ] {
        assert_eq!(shape(sql), expected, "{sql}");
    }
}

#[test]
fn own_statements() {
    for sql in [
        "do language plpgsql $$begin null; end;$$",
        "do $$begin end$$ language plpgsql",
        "create unlogged table t (a int primary key, pos point, crt_time time(0))",
        "CREATE INDEX i ON t USING pase_ivfflat(vec) WITH (clustering_type = 1, clustering_params = \"100,1001\")",
        "create index idx on tbl using ivfflat (vec) include column(y,z)",
        "create index idx_rum on tbl using rum (vec rum_addon_ops) with (addon=y,z)",
        "create unique index on s.t (lower(a) desc nulls last, (a || b), c text_pattern_ops) include (d) where a > 1",
        "create or replace function gen_float4_arr1(int,int) returns float4[] as $$ select 1 $$ language sql strict volatile",
        "create function f(a double precision, out b int, variadic c int[] default '{}') returns setof record language plpgsql cost 10 rows 5 set search_path = a, b as 'x'",
        "create function f() returns table(a int, b text) immutable parallel safe return 1",
        "create or replace function ins() returns trigger as $$begin return null; end;$$ language plpgsql strict",
        "create trigger tg after insert or update of a,b on x for each row execute procedure ins()",
        "create extension if not exists pase",
        "vacuum (analyze, verbose) t",
        "analyze t (a, b)",
        "reindex index i",
        "checkpoint",
        "create type trace as (pos point, crt_time time)",
        "alter sequence s restart with 5",
        "copy t from stdin",
        "copy (select 1) to stdout with (format csv, header)",
        "explain (analyze, verbose, timing, costs, buffers) select 1",
        "table t",
    ] {
        let parsed = parse(sql).unwrap_or_else(|e| panic!("{sql}: {e} {:?}", e.report().position));
        assert_eq!(parsed.len(), 1, "{sql}");
    }
}

#[test]
fn seed_statements_parse() {
    let text = "select 1; ; select /* c */ 'a;b' ;";
    let parsed = parse(text).unwrap();
    assert_eq!(parsed.len(), 2);
    assert_eq!(parsed[1].text, "select /* c */ 'a;b'");
    assert!(matches!(*parsed[0].stmt, Statement::Sql(_)));
    assert!(parse(&"(".repeat(100_000)).unwrap_err().code().as_str() == "54001");
}
