//! What a server does beside the statements that are measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_postgres::Client;
use vicinity_types::Result;

use crate::client::{Place, failed};

/// One of the things that are done again and again during a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Beside {
    Nothing,
    Checkpoint,
    /// Many rows updated, deleted and inserted again while a snapshot keeps all old versions, which then go at once;
    /// those of the couriers too.
    Cleanup,
    /// Indexes of the couriers.
    Btree,
    Gist,
    /// Indexes of another table.
    Hnsw,
    Ivfflat,
}

/// All but nothing.
pub(super) const ALL: [Beside; 6] = [
    Beside::Checkpoint,
    Beside::Cleanup,
    Beside::Btree,
    Beside::Gist,
    Beside::Hnsw,
    Beside::Ivfflat,
];

const DIM: usize = 80;
const LOAD: &str = "
    create extension if not exists pase;
    drop table if exists bench_tail_rows, bench_tail_vectors;
    create table bench_tail_rows (id int primary key, n int, pos point);
    create index on bench_tail_rows (n);
    create index on bench_tail_rows using gist (pos);
    create table bench_tail_vectors (id int primary key, vec float4[])";

impl Beside {
    pub(super) fn name(self) -> &'static str {
        match self {
            Beside::Nothing => "nothing",
            Beside::Checkpoint => "checkpoint",
            Beside::Cleanup => "cleanup",
            Beside::Btree => "btree",
            Beside::Gist => "gist",
            Beside::Hnsw => "hnsw",
            Beside::Ivfflat => "ivfflat",
        }
    }

    /// What is behind ON of the index that is built.
    fn index(self) -> &'static str {
        match self {
            Beside::Btree => "cainiao_trace_realtime (crt_time, uid)",
            Beside::Gist => "cainiao_trace_realtime using gist (pos)",
            Beside::Hnsw => {
                "bench_tail_vectors using pase_hnsw (vec) \
                 with (dim = 80, base_nb_num = 16, ef_build = 40)"
            }
            _ => {
                "bench_tail_vectors using pase_ivfflat (vec) \
                 with (clustering_type = 1, dimension = 80, clustering_params = '100,316')"
            }
        }
    }
}

fn insert(from: u32, to: u32) -> String {
    format!(
        "insert into bench_tail_rows select i, i, point(random() * 1000000, random() * 1000000) \
         from generate_series({from}, {to}) i where not exists (select from bench_tail_rows where id = i)"
    )
}

/// Makes the tables that it needs.
pub(super) async fn load(place: &Place, rows: u32, vectors: u32) -> Result<()> {
    let client = place.connect().await?;
    client.batch_execute(LOAD).await.map_err(failed)?;
    client.batch_execute(&insert(1, rows)).await.map_err(failed)?;
    let vector = vec!["(random() * 1000)::float4"; DIM].join(",");
    let sql = format!(
        "insert into bench_tail_vectors select i, array[{vector}] from generate_series(1, {vectors}) i"
    );
    client.batch_execute(&sql).await.map_err(failed)
}

/// Does it until it is over; how often.
pub(super) async fn run(place: &Place, beside: Beside, over: &AtomicBool) -> Result<u64> {
    let client = place.connect().await?;
    let old = place.connect().await?;
    let mut times = 0;
    while beside != Beside::Nothing && !over.load(Ordering::Relaxed) {
        match beside {
            Beside::Nothing => {}
            Beside::Checkpoint => client.batch_execute("checkpoint").await.map_err(failed)?,
            Beside::Cleanup => clean_up(&client, &old).await?,
            _ => {
                let index = beside.index();
                let make = format!("create index concurrently bench_tail_index on {index}");
                client.batch_execute(&make).await.map_err(failed)?;
                client.batch_execute("drop index bench_tail_index").await.map_err(failed)?;
            }
        }
        times += 1;
    }
    Ok(times)
}

/// Versions that nobody sees any more, many of them at once.
async fn clean_up(client: &Client, old: &Client) -> Result<()> {
    let begin = "begin isolation level repeatable read; select from bench_tail_rows limit 1";
    old.batch_execute(begin).await.map_err(failed)?;
    let rows = client.query_one("select max(id) from bench_tail_rows", &[]).await;
    let rows: i32 = rows.map_err(failed)?.get(0);
    for sql in [
        "update bench_tail_rows set n = n + 1, pos = pos + point(1, 1)",
        "delete from bench_tail_rows where id % 2 = 0",
        &insert(1, rows.unsigned_abs()),
    ] {
        client.batch_execute(sql).await.map_err(failed)?;
    }
    old.batch_execute("commit").await.map_err(failed)?;
    let left = "select sum(n_dead_tup)::int8 from pg_stat_user_tables \
                where relname = 'bench_tail_rows'";
    loop {
        let dead = client.query_one(left, &[]).await.map_err(failed)?;
        if dead.get::<_, Option<i64>>(0).unwrap_or(0) == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
