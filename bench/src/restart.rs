//! `bench restart`: how long a start takes after a server was killed, after a clean stop, and from the log alone.
//!
//! Every step is a process of its own (`--step`, over the directory of `--data`). The time is from opening the
//! directory to the answers of one query of each index that was asked for its nearest ten.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_storage::catalog::model::IndexMethod;
use vicinity_storage::{Access, Database, Isolation, Options, Progress, pin};
use vicinity_types::array::Array;
use vicinity_types::geo::Point;
use vicinity_types::{Datum, Oid, PgError, Result, oid};

use crate::failed;
use crate::storage_rows::{index, table};

/// Options of `bench restart`.
#[derive(clap::Args)]
pub struct Args {
    /// Vectors, and as many couriers.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Where the databases go; a temporary directory otherwise.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Starts of each kind.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// One step only, in this process.
    #[arg(long, hide = true)]
    step: Option<Step>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    /// Tables with indexes, a checkpoint, and a tail of the log: half as many couriers again and a thousand vectors.
    Load,
    /// Rows of both tables in the log, and nothing else.
    Log,
    /// A start that is killed.
    Open,
    /// A start and a clean stop.
    Stop,
}

const DIM: usize = 80;
const VECTORS: Oid = 20_000;
const COURIERS: Oid = 20_100;
const HNSW: Oid = VECTORS + 2;
const IVFFLAT: Oid = VECTORS + 3;
const POSITIONS: Oid = COURIERS + 2;

/// Runs the bench.
pub fn run(args: &Args) -> Result<()> {
    let Some(step) = args.step else { return run_all(args) };
    let dir = args.data.as_deref().ok_or_else(|| failed("a step needs --data"))?;
    match step {
        Step::Load => load(dir, args.rows),
        Step::Log => log(dir, args.rows),
        Step::Open | Step::Stop => open(dir, step),
    }
}

fn run_all(args: &Args) -> Result<()> {
    let temporary = tempfile::tempdir().map_err(failed)?;
    let under = args.data.as_deref().unwrap_or(temporary.path());
    let step = |step: &str, dir: &str| {
        println!("{step}:");
        let rows = args.rows.to_string();
        let mut own = Command::new(std::env::current_exe().map_err(failed)?);
        own.args(["restart", "--step", step, "--rows", &rows, "--data"]).arg(under.join(dir));
        // Steps end by dying, most of them.
        own.status().map(drop).map_err(failed)
    };
    step("load", "image")?;
    for _ in 0..args.rounds {
        step("open", "image")?;
    }
    step("stop", "image")?;
    for _ in 0..args.rounds {
        step("open", "image")?;
    }
    step("log", "log")?;
    for _ in 0..args.rounds {
        step("open", "log")?;
    }
    Ok(())
}

/// Rows of both tables.
struct Filler {
    db: Arc<Database>,
    random: Xoshiro256PlusPlus,
}

impl Filler {
    fn new(dir: &Path) -> Result<Filler> {
        let db = Database::open(dir, Options { checkpoint_bytes: u64::MAX, ..Options::default() })?;
        let txn = db.begin(Isolation::ReadCommitted, false)?;
        txn.put(table(VECTORS, "v", &[("id", oid::INT8), ("v", oid::FLOAT4_ARRAY)]))?;
        txn.put(table(COURIERS, "c", &[("id", oid::INT8), ("pos", oid::POINT)]))?;
        txn.commit()?;
        Ok(Filler { db, random: Xoshiro256PlusPlus::seed_from_u64(1) })
    }

    fn row(&mut self, oid: Oid, id: u64) -> [Datum; 2] {
        let key = Datum::Int8(id.cast_signed());
        let mut number = || self.random.random_range(0.0..1000.0);
        if oid == COURIERS {
            return [key, Datum::Point(Point { x: number(), y: number() })];
        }
        // A hundred clusters.
        let center = |d: usize| (id * 7919 % 100 * (d as u64 + 3) % 97) as f32;
        let v = (0..DIM).map(|d| center(d) + number() as f32 / 100.0).collect();
        [key, Datum::Array(Arc::new(Array::from_f32s(v)))]
    }

    fn fill(&mut self, oid: Oid, ids: std::ops::Range<u64>) -> Result<()> {
        let table = self.db.table(oid, &self.db.catalog())?;
        for from in ids.clone().step_by(1000) {
            let txn = self.db.begin(Isolation::ReadCommitted, false)?;
            for id in from..(from + 1000).min(ids.end) {
                table.insert(&txn, &self.row(oid, id))?;
            }
            txn.commit()?;
        }
        Ok(())
    }

    /// Adds an index and builds it.
    fn index(
        &self,
        table: Oid,
        at: Oid,
        (method, column): (IndexMethod, i16),
        options: &[(&str, &str)],
    ) -> Result<()> {
        let began = Instant::now();
        let txn = self.db.begin(Isolation::ReadCommitted, false)?;
        txn.put(index(table, at, (method, column), options))?;
        self.db.build_index(&txn, at, &Arc::new(Progress::new()))?;
        txn.commit()?;
        println!("    {method:?} built in {:.2} s", began.elapsed().as_secs_f64());
        Ok(())
    }

    /// All of it is on the disk, and this process ends.
    fn die(&self) -> Result<()> {
        let end = self.db.wal().end();
        self.db.wal().wait_durable(end)?;
        println!("    the log ends at {:.0} MB", end as f64 / 1e6);
        std::process::abort()
    }
}

fn load(dir: &Path, rows: u64) -> Result<()> {
    let mut filler = Filler::new(dir)?;
    filler.fill(VECTORS, 0..rows)?;
    filler.fill(COURIERS, 0..rows)?;
    let graph = [("dim", "80"), ("base_nb_num", "16"), ("ef_build", "40")];
    let lists = [("dimension", "80"), ("clustering_type", "1"), ("clustering_params", "100,1000")];
    filler.index(VECTORS, VECTORS + 1, (IndexMethod::Btree, 1), &[])?;
    filler.index(VECTORS, HNSW, (IndexMethod::Hnsw, 2), &graph)?;
    filler.index(VECTORS, IVFFLAT, (IndexMethod::Ivfflat, 2), &lists)?;
    filler.index(COURIERS, COURIERS + 1, (IndexMethod::Btree, 1), &[])?;
    filler.index(COURIERS, POSITIONS, (IndexMethod::Spatial, 2), &[])?;
    let began = Instant::now();
    let done = filler.db.checkpoint()?;
    let (took, written) = (began.elapsed().as_secs_f64(), done.written as f64 / 1e6);
    println!("    checkpoint in {took:.2} s, {written:.0} MB");
    filler.fill(COURIERS, rows..rows * 3 / 2)?;
    filler.fill(VECTORS, rows..rows + 1000)?;
    filler.die()
}

fn log(dir: &Path, rows: u64) -> Result<()> {
    let mut filler = Filler::new(dir)?;
    filler.fill(VECTORS, 0..rows)?;
    filler.fill(COURIERS, 0..rows)?;
    filler.die()
}

/// Asks an index for ten rows.
fn ask(db: &Arc<Database>, table: Oid, access: Access) -> Result<u64> {
    let txn = db.begin(Isolation::ReadCommitted, true)?;
    let mut cursor = db.table(table, &db.catalog())?.open(access, txn.snapshot())?;
    let (guard, mut rows) = (pin(), 0);
    while rows < 10 && cursor.next(&guard, &mut |_| Ok(true))?.is_some() {
        rows += 1;
    }
    Ok(rows)
}

fn open(dir: &Path, step: Step) -> Result<()> {
    let (began, cpu) = (Instant::now(), crate::process::cpu());
    let db = Database::open(dir, Options::default())?;
    let opened = began.elapsed().as_secs_f64();
    let vector = |index| Access::Vector { index, query: [50.0; DIM].into(), extra: 0, limit: 10 };
    let near = Some([500.0, 500.0]);
    let point = Access::Points { index: POSITIONS, region: None, near, limit: 10 };
    let indexes = db.table(COURIERS, &db.catalog())?.indexes().len();
    if indexes > 0 {
        for (table, access) in
            [(VECTORS, vector(HNSW)), (VECTORS, vector(IVFFLAT)), (COURIERS, point)]
        {
            let rows = ask(&db, table, access)?;
            if rows < 10 {
                return Err(failed(format!("{rows} rows instead of ten")));
            }
        }
    }
    let answered = began.elapsed().as_secs_f64();
    let cpu = crate::process::cpu() - cpu;
    let live = |oid| Ok::<_, PgError>(db.table(oid, &db.catalog())?.stats().live);
    println!(
        "    opened in {opened:.2} s, answers after {answered:.2} s ({cpu:.2} s of CPU); {} and {} rows",
        live(VECTORS)?,
        live(COURIERS)?
    );
    if step == Step::Open {
        std::process::abort();
    }
    let began = Instant::now();
    db.shutdown()?;
    println!("    stopped in {:.2} s", began.elapsed().as_secs_f64());
    Ok(())
}
