//! Queries against PostgreSQL itself: random conditions over small tables full of NULLs, in every clause, must give
//! the same rows on both, on both lanes. `VICINITY_LOGIC` says how many queries to try, `VICINITY_SEED`
//! which.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod expression;
mod query;

use expression::Maker;
use query::Query;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_postgres::Client;
use vicinity_sql_tests::TestServer;
use vicinity_sql_tests::postgres::{Postgres, rows};

const TABLES: &str = "
    create table s (id int primary key, a int, b int, c int not null, d bigint, f float8, n numeric, t text, u text,
        p boolean, q boolean);
    create table r (like s);
    create table e (like s);
    insert into s select i, nullif(i % 5, 4), nullif((i * 7) % 4, 0), i % 3, nullif(i % 6, 1), nullif(i % 4, 2) / 2.0,
        nullif(i % 3, 1), nullif(substr('abab%_', i % 6, 2), 'b%'), (array['a', 'b', 'ab', null, ''])[i % 5 + 1],
        nullif(i % 3, 0) = 1, nullif(i % 4, 3) > 1 from generate_series(1, 14) i;
    insert into r select i, nullif(i % 4, 1), nullif(i % 3, 2), i % 2, nullif(i, 3), nullif(i % 3, 0), nullif(i % 5, 2),
        (array['b', 'ab', null, 'a'])[i % 4 + 1], (array['', 'b', null])[i % 3 + 1], i % 2 = 0, nullif(i % 3, 2) = 1
        from generate_series(1, 9) i;
    create index on s (a); create index on s (t, b); create index on r (b); create index on r (n);
    create index on r (d) where a > 0;";

/// The rows in their order or in one of their own; or the error.
async fn answer(client: &Client, query: &Query) -> String {
    match rows(client, &query.text).await {
        Ok(mut rows) => {
            if !query.ordered {
                rows.sort();
            }
            rows.join(" ")
        }
        Err(e) => e,
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_are_postgres_own() {
    let Some(postgres) = Postgres::start().await else { return };
    let pg = postgres.connect().await;
    let server = TestServer::start().await;
    let (auto, batch) = (server.connect().await, server.connect().await);
    pg.batch_execute("create schema logic_test; set search_path = logic_test").await.unwrap();
    pg.batch_execute(TABLES).await.unwrap();
    auto.batch_execute(TABLES).await.unwrap();
    batch.batch_execute("set vicinity.lane = 'batch'").await.unwrap();
    let mut maker = Maker::new(StdRng::seed_from_u64(number("VICINITY_SEED").unwrap_or(3)));
    let mut different = Vec::new();
    for _ in 0..number("VICINITY_LOGIC").unwrap_or(600) {
        let query = maker.query();
        let wanted = answer(&pg, &query).await;
        // What PostgreSQL has no plan for: FULL JOIN on any condition.
        if wanted.starts_with("0A000") {
            continue;
        }
        for (lane, client) in [("auto", &auto), ("batch", &batch)] {
            let got = answer(client, &query).await;
            if wanted != got {
                different
                    .push(format!("{};\n  PostgreSQL: {wanted}\n  {lane} lane: {got}", query.text));
            }
        }
    }
    pg.batch_execute("drop schema logic_test cascade").await.unwrap();
    assert!(different.is_empty(), "{} different:\n{}", different.len(), different.join("\n\n"));
    server.stop().await;
}
