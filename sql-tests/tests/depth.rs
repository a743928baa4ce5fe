//! Statements that nest deeply run, as deep as PostgreSQL lets them, and beyond that are refused: on
//! the stacks of a real server, which no statement overflows.
#![allow(clippy::unwrap_used)]

use tokio_postgres::SimpleQueryMessage;
use vicinity_sql_tests::TestServer;

/// A statement's first value, or its SQLSTATE.
async fn answer(client: &tokio_postgres::Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Ok(rows) => rows
            .iter()
            .find_map(|m| match m {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |c| c.code().to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_expressions_and_chains_run() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let with = (1..250).fold("with c0 as (select 1 a)".to_owned(), |sql, i| {
        format!("{sql}, c{i} as (select a + 1 a from c{})", i - 1)
    });
    let nested = |n: usize| format!("select {}1{}", "(".repeat(n), ")".repeat(n));
    for (sql, want) in [
        (format!("select 1{}", "+1".repeat(4000)), "4001"),
        (format!("select length('a'{})", "||'a'".repeat(4000)), "4001"),
        (format!("select a{} from generate_series(1, 1) a", "+a".repeat(1600)), "1601"),
        (
            format!(
                "select a from generate_series(1, 1) a where a = 1{}",
                " or a = 2".repeat(4000)
            ),
            "1",
        ),
        (format!("select 1 where true{}", " and 1 = 1".repeat(4000)), "1"),
        (
            format!("select count(*) from (select 1{}) q", " union all select 1".repeat(2500)),
            "2501",
        ),
        (format!("{with} select a from c249"), "250"),
        (nested(900), "1"),
        (format!("select {}1{}", "abs(".repeat(900), ")".repeat(900)), "1"),
        (format!("select {}1{} is null", "row(".repeat(900), ")".repeat(900)), "f"),
        (format!("select {}1{}", "case when true then ".repeat(450), " end".repeat(450)), "1"),
        (format!("{}select 1{}", "select * from (".repeat(250), ") q".repeat(250)), "1"),
    ] {
        assert_eq!(answer(&client, &sql).await, want, "{}", &sql[..60]);
    }
    for sql in [
        format!("select 1{}", "+1".repeat(20_000)),
        nested(20_000),
        format!("select 1{}", " union all select 1".repeat(20_000)),
        "do 'declare r record; begin r := row(1); \
         for i in 1..20000 loop r := row(r); end loop; end'"
            .to_owned(),
    ] {
        assert_eq!(answer(&client, &sql).await, "54001", "{}", &sql[..60]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_upon_views_run() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create view v0 as select 1 as a").await.unwrap();
    let mut last = 0;
    for i in 1..=310 {
        let sql = format!("create view v{i} as select * from v{last}");
        if answer(&client, &sql).await == "54001" {
            break;
        }
        last = i;
    }
    assert!(last >= 300, "{last}");
    // Reading one is a step more than making it.
    last -= 1;
    assert_eq!(answer(&client, &format!("select a from v{last}")).await, "1");
    let wide = format!("select x.a from v{last} x join v{last} y using (a) where x.a = 1");
    assert_eq!(answer(&client, &wide).await, "1");
    server.stop().await;
}
