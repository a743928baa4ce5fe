//! `bench ann`: recall and time of the vector indexes beside a brute-force truth.
#![allow(clippy::indexing_slicing)] // a bench over data it made itself

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vicinity_indexes::{
    Clustering, Hnsw, HnswOptions, IvfOptions, Ivfflat, Phase, Progress, RowId, SearchParams,
    VectorIndex,
};
use vicinity_types::{PgError, Result};

use crate::data::{self, Data};
use crate::process::{cpu, resident};

/// Recall and time of the vector indexes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Rows of the PASE document's data: 100 clusters, 80 dimensions.
    #[arg(long, default_value_t = 1_000_000)]
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
    /// Neighbours that are looked for.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// `hnsw`, `ivfflat` or both.
    #[arg(long, value_delimiter = ',', default_values_t = ["ivfflat".to_owned(), "hnsw".to_owned()])]
    index: Vec<String>,
    /// `base_nb_num`.
    #[arg(long, default_value_t = 16)]
    m: usize,
    /// `ef_build`.
    #[arg(long, default_value_t = 40)]
    ef_build: usize,
    /// Values of `extra` for hnsw.
    #[arg(long, value_delimiter = ',', default_values_t = [40, 80, 120, 200, 400])]
    ef: Vec<i32>,
    /// `clustering_params`: sample permille and centroids; 0 centroids means sqrt(rows).
    #[arg(long, default_value = "100,1001")]
    clustering: String,
    /// Values of `extra` for ivfflat.
    #[arg(long, value_delimiter = ',', default_values_t = [4, 10, 20])]
    extra: Vec<i32>,
    /// Also insert as many rows again one by one, from new clusters, and compare with a fresh build.
    #[arg(long)]
    again: bool,
    /// Also make the index from nothing by inserts alone.
    #[arg(long)]
    empty: bool,
    /// Also delete every other row, insert them again, and count what comes back.
    #[arg(long)]
    delete: bool,
    /// Seed.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// Runs it.
pub fn run(args: &Args) -> Result<()> {
    let data = match &args.tsv {
        Some(path) => Data::read(path, args.dim)?,
        None => Data::document(args.rows, args.seed),
    };
    println!(
        "{} x {}, {} queries, k = {}, seed {}",
        data.len(),
        data.dim,
        args.queries,
        args.k,
        args.seed
    );
    for name in &args.index {
        bench_index(args, name, &data)?;
    }
    Ok(())
}

fn bench_index(args: &Args, name: &str, data: &Data) -> Result<()> {
    let queries = data.queries(args.queries, args.seed + 1);
    let first = data.ids(0..data.len());
    let truth = data.truth(&queries, &first, args.k);
    println!("\n{name}");
    let index = build(args, name, data, data.len())?;
    measure(args, name, "built", &index, data, &queries, &truth)?;
    if args.empty {
        from_nothing(args, name, data, &queries, &truth)?;
    }
    if args.delete {
        delete_half(args, name, &index, data, &queries)?;
    }
    if args.again {
        insert_again(args, name, &index, data)?;
    }
    Ok(())
}

fn empty_index(args: &Args, name: &str, dim: usize) -> Result<Arc<dyn VectorIndex>> {
    Ok(match name {
        "hnsw" => Arc::new(Hnsw::new(hnsw_options(args, dim))),
        _ => Arc::new(Ivfflat::new(ivf_options(args, dim, args.rows)?)?),
    })
}

fn hnsw_options(args: &Args, dim: usize) -> HnswOptions {
    HnswOptions { dim, m: args.m, ef_build: args.ef_build, seed: args.seed, ..Default::default() }
}

fn ivf_options(args: &Args, dim: usize, rows: usize) -> Result<IvfOptions> {
    let parts: Vec<usize> = args.clustering.split(',').flat_map(str::parse).collect();
    let [permille, k] = parts[..] else { return Err(PgError::internal("--clustering permille,k")) };
    let k = if k == 0 { rows.isqrt() } else { k };
    let sample_permille = u32::try_from(permille).unwrap_or(1000);
    let clustering = Clustering::Internal { sample_permille, k };
    Ok(IvfOptions { dim, clustering, seed: args.seed, ..Default::default() })
}

fn build(args: &Args, name: &str, data: &Data, rows: usize) -> Result<Arc<dyn VectorIndex>> {
    let source = data.source(rows);
    let progress = Progress::new();
    let (before, cpu_before) = (resident("self"), cpu());
    let start = Instant::now();
    let index: Arc<dyn VectorIndex> = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch_phases(&progress));
        let built: Result<Arc<dyn VectorIndex>> = match name {
            "hnsw" => Hnsw::build(&source, hnsw_options(args, data.dim), &progress)
                .map(|i| Arc::new(i) as Arc<dyn VectorIndex>),
            _ => ivf_options(args, data.dim, rows)
                .and_then(|o| Ivfflat::build(&source, o, &progress))
                .map(|i| Arc::new(i) as Arc<dyn VectorIndex>),
        };
        progress.cancel();
        println!("  phases: {}", watch.join().unwrap_or_default());
        built
    })?;
    println!(
        "  build {:.1} s ({:.1} s of CPU), {:.0} MB by its own count, {:.0} MB more resident",
        start.elapsed().as_secs_f64(),
        cpu() - cpu_before,
        index.memory() as f64 / 1e6,
        (resident("self") - before) / 1e6
    );
    Ok(index)
}

/// How long each phase took, until the build ends.
fn watch_phases(progress: &Progress) -> String {
    let mut phases: Vec<(Phase, Instant)> = vec![(Phase::Initializing, Instant::now())];
    while !progress.is_cancelled() {
        std::thread::sleep(Duration::from_millis(10));
        let (phase, ..) = progress.read();
        if phases.last().is_none_or(|(p, _)| *p != phase) {
            phases.push((phase, Instant::now()));
        }
    }
    let ends = phases.iter().skip(1).map(|p| p.1).chain([Instant::now()]);
    let text = |((phase, start), end): (&(Phase, Instant), Instant)| {
        format!("{} {:.1} s", phase.as_str(), (end - *start).as_secs_f64())
    };
    phases.iter().zip(ends).map(text).collect::<Vec<_>>().join(", ")
}

/// Recall and time per query for every width asked for.
fn measure(
    args: &Args,
    name: &str,
    label: &str,
    index: &Arc<dyn VectorIndex>,
    data: &Data,
    queries: &[Vec<f32>],
    truth: &[Vec<f32>],
) -> Result<f64> {
    let widths = if name == "hnsw" { &args.ef } else { &args.extra };
    let mut last = 0.0;
    for &extra in widths {
        let (mut hits, mut candidates) = (0, 0);
        let (start, cpu_before) = (Instant::now(), cpu());
        for (q, t) in queries.iter().zip(truth) {
            let (found, seen) = search(index, data, q, args.k, extra)?;
            candidates += seen;
            hits += data::hits(found.iter().map(|f| f.0), t);
        }
        let us = start.elapsed().as_secs_f64() * 1e6 / queries.len() as f64;
        let cpu_us = (cpu() - cpu_before) * 1e6 / queries.len() as f64;
        let all: usize = truth.iter().map(Vec::len).sum();
        last = hits as f64 / all as f64;
        let per = candidates / queries.len();
        println!(
            "  {label}: extra {extra:>3}: recall@{} {last:.4}, {us:.0} us/query ({cpu_us:.0} of CPU), {per} candidates",
            args.k
        );
    }
    Ok(last)
}

/// The k nearest as a scan would show them: the first batch, reranked by the rows' own vectors.
fn search(
    index: &Arc<dyn VectorIndex>,
    data: &Data,
    query: &[f32],
    k: usize,
    extra: i32,
) -> Result<(Vec<(f32, RowId)>, usize)> {
    let params = SearchParams { limit: k, extra, filter: None };
    let mut stream = Arc::clone(index).search(query, params)?;
    let mut batch = Vec::new();
    while batch.len() < k && stream.next_batch(&mut batch) {}
    let mut found: Vec<(f32, RowId)> =
        batch.iter().map(|c| (data::l2(query, data.row(c.row)), c.row)).collect();
    found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    found.dedup();
    found.truncate(k);
    Ok((found, batch.len()))
}

fn from_nothing(
    args: &Args,
    name: &str,
    data: &Data,
    queries: &[Vec<f32>],
    truth: &[Vec<f32>],
) -> Result<()> {
    let index = empty_index(args, name, data.dim)?;
    let start = Instant::now();
    for row in 0..data.len() as u64 {
        index.insert(row, data.row(row))?;
    }
    println!(
        "  by inserts alone: {:.1} s ({:.0} us each), {:.0} MB",
        start.elapsed().as_secs_f64(),
        start.elapsed().as_secs_f64() * 1e6 / data.len() as f64,
        index.memory() as f64 / 1e6
    );
    measure(args, name, "inserted", &index, data, queries, truth)?;
    Ok(())
}

fn delete_half(
    args: &Args,
    name: &str,
    index: &Arc<dyn VectorIndex>,
    data: &Data,
    queries: &[Vec<f32>],
) -> Result<()> {
    let before = index.memory();
    let start = Instant::now();
    let gone: HashSet<RowId> = (0..data.len() as u64).filter(|r| r % 2 == 1).collect();
    let mut ordered: Vec<RowId> = gone.iter().copied().collect();
    ordered.sort_unstable();
    for row in &ordered {
        if !index.remove(*row, data.row(*row)) {
            return Err(PgError::internal(format!("row {row} was not found")));
        }
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / ordered.len() as f64;
    println!("  deleted half: {us:.0} us each, {} left", index.len());
    let left: Vec<RowId> = (0..data.len() as u64).filter(|r| r % 2 == 0).collect();
    let truth = data.truth(queries, &left, args.k);
    measure(args, name, "half", index, data, queries, &truth)?;
    let mut back = 0;
    for q in queries {
        back += search(index, data, q, args.k, 0)?.0.iter().filter(|f| gone.contains(&f.1)).count();
    }
    println!("  deleted rows returned: {back}");
    let start = Instant::now();
    for row in &ordered {
        index.insert(*row, data.row(*row))?;
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / ordered.len() as f64;
    let (old, new) = (before as f64 / 1e6, index.memory() as f64 / 1e6);
    println!("  inserted them again: {us:.0} us each; {old:.0} MB before, {new:.0} MB now");
    let truth = data.truth(queries, &data.ids(0..data.len()), args.k);
    measure(args, name, "refilled", index, data, queries, &truth)?;
    Ok(())
}

fn insert_again(args: &Args, name: &str, index: &Arc<dyn VectorIndex>, data: &Data) -> Result<()> {
    let more = data.again(args.seed + 1000);
    let start = Instant::now();
    for row in data.len() as u64..more.len() as u64 {
        index.insert(row, more.row(row))?;
    }
    let rows = more.len() - data.len();
    let us = start.elapsed().as_secs_f64() * 1e6 / rows as f64;
    println!("  inserted {rows} again: {us:.0} us each, {:.0} MB", index.memory() as f64 / 1e6);
    let queries = more.queries(args.queries, args.seed + 2);
    let truth = more.truth(&queries, &more.ids(0..more.len()), args.k);
    let grown = measure(args, name, "grown", index, &more, &queries, &truth)?;
    let fresh = build(args, name, &more, more.len())?;
    let built = measure(args, name, "fresh", &fresh, &more, &queries, &truth)?;
    println!("  fresh minus grown: {:+.4}", built - grown);
    Ok(())
}
