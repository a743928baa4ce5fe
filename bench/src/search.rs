//! `bench search`: recall and time of vector searches over SQL, in a server that runs.
//!
//! One connection. Every query runs twice: prepared, for the rows and the time on the wall, and under EXPLAIN ANALYZE,
//! for the time in the server.
#![allow(clippy::indexing_slicing)] // a bench over data it made itself

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use tokio_postgres::{Client, Statement};
use vicinity_indexes::RowId;
use vicinity_types::{PgError, Result};

use crate::client::{Place, block_on, failed};
use crate::data::{self, Data};
use crate::process::resident;

/// Neighbours that are looked for.
const K: usize = 10;
/// Rows of one INSERT.
const AT_ONCE: usize = 500;

/// Recall and time of vector searches over SQL.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Its process, whose memory is told.
    #[arg(long)]
    pid: Option<u32>,
    /// Rows of the PASE document's data: 100 clusters, 80 dimensions.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// Tab-separated vectors to use instead.
    #[arg(long)]
    tsv: Option<PathBuf>,
    /// Columns of it that are the vector; the rest is left out.
    #[arg(long, default_value_t = 128)]
    dim: usize,
    /// Queries: a stored row with 8 dimensions changed by up to 10%.
    #[arg(long, default_value_t = 500)]
    queries: usize,
    /// `hnsw`, `ivfflat` or both.
    #[arg(long, value_delimiter = ',', default_values_t = ["ivfflat".to_owned(), "hnsw".to_owned()])]
    index: Vec<String>,
    /// Options of the hnsw index, besides its dimensions.
    #[arg(long, default_value = "base_nb_num = 16, ef_build = 40, ef_search = 200")]
    hnsw: String,
    /// `clustering_params` of the ivfflat index.
    #[arg(long, default_value = "100,1001")]
    clustering: String,
    /// Values of `extra` for hnsw.
    #[arg(long, value_delimiter = ',', default_values_t = [40, 80, 120, 200, 400])]
    ef: Vec<i32>,
    /// Values of `extra` for ivfflat.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 10, 20])]
    extra: Vec<i32>,
    /// Also delete every other row, count what comes back, and insert them again.
    #[arg(long)]
    delete: bool,
    /// Also insert as many rows again, and compare with a fresh build.
    #[arg(long)]
    again: bool,
    /// Seed.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// Runs it.
pub fn run(args: &Args) -> Result<()> {
    block_on(async {
        let client = args.place.connect().await?;
        let data = match &args.tsv {
            Some(path) => Data::read(path, args.dim)?,
            None => Data::document(args.rows, args.seed),
        };
        let bench = Bench { args, client };
        println!("{} x {}, {} queries, k = {K}", data.len(), data.dim, args.queries);
        bench.load(&data).await?;
        for name in &args.index {
            bench.index(name, &data).await?;
        }
        bench.run("drop table bench_search").await
    })
}

struct Bench<'a> {
    args: &'a Args,
    client: Client,
}

impl Bench<'_> {
    async fn run(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(failed)
    }

    /// The server's resident memory, if its process is known.
    fn memory(&self) -> String {
        match self.args.pid {
            Some(pid) => format!(", VmRSS {:.0} MB", resident(&pid.to_string()) / 1e6),
            None => String::new(),
        }
    }

    async fn load(&self, data: &Data) -> Result<()> {
        self.run("create extension if not exists pase; drop table if exists bench_search").await?;
        self.run("create table bench_search (id int primary key, vec float4[])").await?;
        let all = data.ids(0..data.len());
        self.insert("loaded", data, &all).await
    }

    async fn insert(&self, label: &str, data: &Data, rows: &[RowId]) -> Result<()> {
        let start = Instant::now();
        let mut sql = String::new();
        for part in rows.chunks(AT_ONCE) {
            sql.clear();
            sql.push_str("insert into bench_search values ");
            for (i, row) in part.iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                let _ = write!(sql, "{comma}({row},'{{{}}}')", joined(data.row(*row)));
            }
            self.run(&sql).await?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let rate = rows.len() as f64 / seconds;
        println!(
            "  {label} {} rows: {seconds:.1} s, {rate:.0} rows/s{}",
            rows.len(),
            self.memory()
        );
        Ok(())
    }

    async fn build(&self, name: &str, dim: usize) -> Result<()> {
        let (method, options) = match name {
            "hnsw" => ("pase_hnsw", format!("dim = {dim}, {}", self.args.hnsw)),
            _ => (
                "pase_ivfflat",
                format!(
                    "clustering_type = 1, dimension = {dim}, clustering_params = '{}'",
                    self.args.clustering
                ),
            ),
        };
        let start = Instant::now();
        self.run(&format!(
            "create index bench_vec on bench_search using {method} (vec) with ({options})"
        ))
        .await?;
        let seconds = start.elapsed().as_secs_f64();
        let size = "select pg_relation_size('bench_vec')::int8";
        let bytes: i64 = self.client.query_one(size, &[]).await.map_err(failed)?.get(0);
        println!("  build {seconds:.1} s, {:.0} MB{}", bytes as f64 / 1e6, self.memory());
        Ok(())
    }

    async fn index(&self, name: &str, data: &Data) -> Result<()> {
        println!("\n{name}");
        self.build(name, data.dim).await?;
        let queries = data.queries(self.args.queries, self.args.seed + 1);
        let truth = data.truth(&queries, &data.ids(0..data.len()), K);
        self.measure(name, "built", data, &queries, &truth).await?;
        if self.args.delete {
            self.delete_half(name, data, &queries).await?;
        }
        if self.args.again {
            self.insert_again(name, data).await?;
        }
        self.run("drop index bench_vec").await
    }

    /// Recall and times for every width asked for; the last recall.
    async fn measure(
        &self,
        name: &str,
        label: &str,
        data: &Data,
        queries: &[Vec<f32>],
        truth: &[Vec<f32>],
    ) -> Result<f64> {
        let widths = if name == "hnsw" { &self.args.ef } else { &self.args.extra };
        let statement = self.statement(name).await?;
        let mut recall = 0.0;
        for &extra in widths {
            let (mut wall, mut server, mut hits) = (Vec::new(), Vec::new(), 0);
            for (query, truth) in queries.iter().zip(truth) {
                let start = Instant::now();
                let found = self.search(&statement, query, extra).await?;
                wall.push(start.elapsed().as_secs_f64() * 1e3);
                hits += data::hits(found.iter().map(|id| data::l2(query, data.row(*id))), truth);
                server.push(self.explain(name, query, extra).await?);
            }
            let all: usize = truth.iter().map(Vec::len).sum();
            recall = hits as f64 / all as f64;
            println!(
                "  {label}: extra {extra:>3}: recall@{K} {recall:.4}; server {}; wall {}",
                times(&mut server),
                times(&mut wall)
            );
        }
        Ok(recall)
    }

    async fn statement(&self, name: &str) -> Result<Statement> {
        let op = operator(name);
        let sql = format!(
            "select id from bench_search order by vec {op} pase($1::float4[], $2, 0) limit {K}"
        );
        self.client.prepare(&sql).await.map_err(failed)
    }

    async fn search(&self, statement: &Statement, query: &[f32], extra: i32) -> Result<Vec<RowId>> {
        let rows = self.client.query(statement, &[&query, &extra]).await.map_err(failed)?;
        Ok(rows.iter().filter_map(|r| RowId::try_from(r.get::<_, i32>(0)).ok()).collect())
    }

    /// The server's own time for a query, in milliseconds.
    async fn explain(&self, name: &str, query: &[f32], extra: i32) -> Result<f64> {
        let (op, query) = (operator(name), joined(query));
        let sql = format!(
            "explain (analyze, timing off) select id from bench_search \
             order by vec {op} '{query}:{extra}:0'::pase limit {K}"
        );
        let lines = self.client.query(&sql, &[]).await.map_err(failed)?;
        let time = lines.iter().find_map(|r| {
            let line: &str = r.get(0);
            line.trim().strip_prefix("Execution Time: ")?.strip_suffix(" ms")?.parse().ok()
        });
        time.ok_or_else(|| PgError::internal("EXPLAIN ANALYZE told no execution time"))
    }

    async fn delete_half(&self, name: &str, data: &Data, queries: &[Vec<f32>]) -> Result<()> {
        let (gone, left): (Vec<RowId>, Vec<RowId>) =
            data.ids(0..data.len()).into_iter().partition(|r| r % 2 == 1);
        let start = Instant::now();
        self.run("delete from bench_search where id % 2 = 1").await?;
        self.run("vacuum bench_search").await?;
        println!("  deleted half: {:.1} s", start.elapsed().as_secs_f64());
        self.measure(name, "half", data, queries, &data.truth(queries, &left, K)).await?;
        let dead: HashSet<RowId> = gone.iter().copied().collect();
        let statement = self.statement(name).await?;
        let mut back = 0;
        for query in queries {
            let found = self.search(&statement, query, 0).await?;
            back += found.iter().filter(|id| dead.contains(id)).count();
        }
        println!("  deleted rows returned: {back}");
        self.insert("inserted again", data, &gone).await?;
        let truth = data.truth(queries, &data.ids(0..data.len()), K);
        self.measure(name, "refilled", data, queries, &truth).await?;
        Ok(())
    }

    async fn insert_again(&self, name: &str, data: &Data) -> Result<()> {
        let more = data.again(self.args.seed + 1000);
        self.insert("inserted as many again", &more, &more.ids(data.len()..more.len())).await?;
        let queries = more.queries(self.args.queries, self.args.seed + 2);
        let truth = more.truth(&queries, &more.ids(0..more.len()), K);
        let grown = self.measure(name, "grown", &more, &queries, &truth).await?;
        let start = Instant::now();
        self.run("reindex index bench_vec").await?;
        println!("  built anew: {:.1} s{}", start.elapsed().as_secs_f64(), self.memory());
        let fresh = self.measure(name, "fresh", &more, &queries, &truth).await?;
        println!("  fresh minus grown: {:+.4}", fresh - grown);
        self.run(&format!("delete from bench_search where id >= {}", data.len())).await
    }
}

fn operator(name: &str) -> &'static str {
    if name == "hnsw" { "<?>" } else { "<#>" }
}

fn joined(v: &[f32]) -> String {
    let mut text = String::with_capacity(v.len() * 8);
    for (i, x) in v.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(text, "{comma}{x}");
    }
    text
}

/// Mean, median and 99th percentile.
fn times(ms: &mut [f64]) -> String {
    ms.sort_unstable_by(f64::total_cmp);
    let mean = ms.iter().sum::<f64>() / ms.len().max(1) as f64;
    let at = |share: usize| ms.get(ms.len() * share / 100).copied().unwrap_or(0.0);
    format!("{mean:.3} ms (p50 {:.3}, p99 {:.3})", at(50), at(99))
}
