//! What is there after a start, compared with what was acknowledged, and indexes with their tables.

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::beside::INDEXES;
use crate::load::Known;
use crate::{COURIERS, WRITERS};

pub async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}")).get(0)
}

/// All rows, as text.
async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let said = client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let rows = said.iter().filter_map(|m| match m {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |row: &tokio_postgres::SimpleQueryRow| -> Vec<String> {
        (0..row.len()).map(|i| row.get(i).unwrap_or("NULL").to_owned()).collect()
    };
    rows.map(|row| text(row).join("|")).collect()
}

/// What is there is at least what was acknowledged, and nothing that was not begun; from now on it counts as
/// acknowledged. Returns how many transactions were there without an acknowledgement.
async fn settle(client: &Client, k: &mut Known, last: &str, what: &str) -> i32 {
    let last = number(client, last).await as i32;
    assert!(last >= k.acknowledged && last <= k.tried, "{what}: {last} is there, known {k:?}");
    let more = last - k.acknowledged;
    k.acknowledged = last;
    k.tried = last;
    more
}

/// Compares what is there with what the writers know, and `made` with what was defined.
pub async fn check(client: &Client, known: &mut [Known], made: &mut Known) -> i32 {
    let mut more = 0;
    for (writer, k) in known.iter_mut().enumerate() {
        let of = |what: &str, table: &str| {
            format!("select coalesce({what}, 0)::bigint from {table} where writer = {writer}")
        };
        more += settle(client, k, &of("max(n)", "entry"), &format!("writer {writer}")).await;
        let last = i64::from(k.acknowledged);
        for (what, sql) in [
            ("none is missing in between", of("count(*)", "entry")),
            ("what the trigger wrote", of("count(distinct n)", "trail")),
            ("it wrote it once", of("count(*)", "trail")),
        ] {
            assert_eq!(number(client, &sql).await, last, "writer {writer}: {what}");
        }
        let own = |what: &str| {
            let own = format!("id % {WRITERS} = {writer}");
            format!("select coalesce({what}, 0)::bigint from courier where {own}")
        };
        assert_eq!(number(client, &own("max(last)")).await, last, "writer {writer}: both or none");
        assert_eq!(number(client, &own("sum(moved)")).await, last, "writer {writer}: each once");
    }
    let all: i64 = known.iter().map(|k| i64::from(k.acknowledged)).sum();
    let ticket = known.iter().map(|k| k.ticket).max().unwrap();
    for (what, sql, want) in [
        ("rows that all write to", "select coalesce(sum(n), 0)::bigint from busy", all),
        ("taken back", "select count(*) from half where writer >= 0", 0),
        ("unlogged tables are empty", "select count(*) from scratch", 0),
        ("couriers", "select count(*) from courier", i64::from(COURIERS)),
        ("indexes half made", "select count(*) from pg_index where not indisvalid", 0),
    ] {
        assert_eq!(number(client, sql).await, want, "{what}");
    }
    assert!(number(client, "select nextval('ticket')").await > ticket, "the sequence goes on");
    more += settle(client, made, "select coalesce(max(n), 0)::bigint from made", "tables").await;
    let tables = "select count(*) from pg_class where relname ~ '^made_[0-9]+$'";
    assert_eq!(number(client, tables).await, i64::from(made.acknowledged), "tables and rows");
    if made.acknowledged > 0 {
        let sql = format!("select count(*) from made_{} where b = 'b'", made.acknowledged);
        assert_eq!(number(client, &sql).await, 100, "a table and what was inserted with it");
    }
    same_rows(client).await;
    more
}

/// Rows that an index gives, in its order, and those of a sequential scan.
async fn same(client: &Client, index: &str, ordered: &str, rest: &str, exact: bool) {
    let sql = format!("select * from {ordered} {rest}");
    client.batch_execute("set enable_seqscan = off; set enable_sort = off").await.unwrap();
    let plan = rows(client, &format!("explain {sql}")).await.join("\n");
    assert!(plan.contains(&format!("using {index} ")), "{sql}: {plan}");
    let mut by_index = rows(client, &sql).await;
    client.batch_execute("reset enable_seqscan; reset enable_sort").await.unwrap();
    client
        .batch_execute("set enable_indexscan = off; set enable_indexonlyscan = off")
        .await
        .unwrap();
    let plan = rows(client, &format!("explain {sql}")).await.join("\n");
    assert!(plan.contains("Seq Scan"), "{sql}: {plan}");
    let mut by_table = rows(client, &sql).await;
    client.batch_execute("reset enable_indexscan; reset enable_indexonlyscan").await.unwrap();
    if !exact {
        by_index.sort();
        by_table.sort();
    }
    assert!(by_index == by_table, "{index}: {} and {} rows", by_index.len(), by_table.len());
}

/// Every index gives the rows of its table.
async fn same_rows(client: &Client) {
    let there = rows(client, "select relname from pg_class where relkind = 'i'").await;
    for (name, _, order) in INDEXES.iter().filter(|(name, ..)| there.iter().any(|n| n == name)) {
        // As many as there are: a graph that lost a part of itself does not reach all.
        let all = format!("order by {order} limit {COURIERS}");
        same(client, name, "courier", &all, false).await;
        if order.starts_with("pos") {
            let nearest = format!("order by {order}, id limit 50");
            same(client, name, "courier", &nearest, true).await;
        }
    }
    same(client, "courier_pkey", "courier", "where id >= 0", false).await;
    same(client, "entry_courier", "entry", "where courier >= 0", false).await;
    same(client, "entry_pkey", "entry", "where writer >= 0", false).await;
    same(client, "busy_pkey", "busy", "where id >= 0", false).await;
}
