//! Geometry against PostgreSQL 15 itself, on both lanes: what there is, random expressions, odd spellings, and regions
//! and nearness through indexes give the same text or the same error. `VICINITY_GEOMETRY` says how many of each to try.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod expressions;
mod regions;
mod spelling;
mod surface;
mod values;

use std::sync::Arc;

use tokio_postgres::Client;
use vicinity_sql_tests::TestServer;
use vicinity_sql_tests::postgres::{Postgres, rows};

/// The types, as PostgreSQL numbers them.
const TYPES: &str = "(600,601,602,603,604,628,718)";

/// How many to try.
fn tries(usual: usize) -> usize {
    std::env::var("VICINITY_GEOMETRY").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// PostgreSQL, and a session of each lane here.
struct Both {
    postgres: Client,
    lanes: Vec<(&'static str, Client)>,
    server: TestServer,
    different: Vec<String>,
    _running: Arc<Postgres>,
}

impl Both {
    /// `None` without a PostgreSQL.
    async fn start() -> Option<Both> {
        let running = Postgres::start().await?;
        let postgres = running.connect().await;
        let server = TestServer::start().await;
        let mut lanes = Vec::new();
        for lane in ["auto", "batch"] {
            let client = server.connect().await;
            client.batch_execute(&format!("set vicinity.lane = '{lane}'")).await.unwrap();
            lanes.push((lane, client));
        }
        Some(Both { postgres, lanes, server, different: Vec::new(), _running: running })
    }

    /// Runs statements in every session.
    async fn set_up(&self, sql: &str) {
        self.postgres.batch_execute(sql).await.unwrap();
        for (_, client) in &self.lanes {
            client.batch_execute(sql).await.unwrap();
        }
    }

    /// Asks everybody, and notes what differs.
    async fn compare(&mut self, sql: &str) {
        let wanted = answer(&self.postgres, sql).await;
        for (lane, client) in &self.lanes {
            let got = answer(client, sql).await;
            if wanted != got {
                let (wanted, got) = apart(&wanted, &got);
                self.different
                    .push(format!("{sql}\n  PostgreSQL: {wanted}\n  here, lane {lane}: {got}"));
            }
        }
    }

    async fn finish(self) {
        self.server.stop().await;
        let count = self.different.len();
        let shown = self.different.get(..count.min(40)).unwrap_or_default();
        assert!(count == 0, "{count} differ:\n{}", shown.join("\n"));
    }
}

/// Two answers from their first different line on.
fn apart(a: &str, b: &str) -> (String, String) {
    let same = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
    let rest = |text: &str| {
        let lines: Vec<&str> = text.lines().skip(same).take(3).collect();
        format!("line {}: {}", same + 1, lines.join(" / "))
    };
    (rest(a), rest(b))
}

async fn answer(client: &Client, sql: &str) -> String {
    rows(client, sql).await.map_or_else(|e| e, |rows| rows.join("\n"))
}
