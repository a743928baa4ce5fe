//! `bench checker`: every nearest-neighbour answer of the spatial index against a sequential scan in the same snapshot,
//! while couriers move, come and go.
//!
//! Movers write what is hard among what is usual: coordinates that are NaN or infinite, points that many couriers share,
//! NULLs. A checker asks in one REPEATABLE READ transaction, first as the document does, then so that no index fits.
#![allow(clippy::indexing_slicing)] // a bench over data it made itself

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use vicinity_types::{PgError, Result, SqlState};

use crate::data::{self, At};

/// Answers of the spatial index against sequential scans, beside writers.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Host of the server.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Its port.
    #[arg(long, default_value_t = 5432)]
    port: u16,
    /// Couriers.
    #[arg(long, default_value_t = 50_000)]
    couriers: u32,
    /// Airports in OpenFlights' format: couriers are scattered around them, not over all of the map.
    #[arg(long)]
    cities: Option<PathBuf>,
    /// Seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Connections that move couriers.
    #[arg(long, default_value_t = 4)]
    movers: u64,
    /// Connections that check.
    #[arg(long, default_value_t = 4)]
    checkers: u64,
    /// Seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const TABLE: &str = "
    drop table if exists bench_checker;
    create unlogged table bench_checker (uid int primary key, pos point);
    create index on bench_checker using gist (pos)";

fn failed(e: tokio_postgres::Error) -> PgError {
    let text = e.as_db_error().map_or_else(|| e.to_string(), |d| d.message().to_owned());
    PgError::new(SqlState::IO_ERROR, text)
}

/// Runs it.
pub fn run(args: &Args) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| PgError::internal(e.to_string()))?;
    let cities = args.cities.as_deref().map(data::cities).transpose()?.unwrap_or_default();
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        login: format!("host={} port={} user=postgres", args.host, args.port),
        couriers: args.couriers,
        cities,
        over: AtomicBool::new(false),
        moves: AtomicU64::new(0),
        checks: AtomicU64::new(0),
        rows: AtomicU64::new(0),
    }));
    runtime.block_on(shared.check(args))
}

/// What all connections know.
struct Shared {
    login: String,
    couriers: u32,
    cities: Vec<At>,
    over: AtomicBool,
    moves: AtomicU64,
    checks: AtomicU64,
    rows: AtomicU64,
}

impl Shared {
    async fn check(&'static self, args: &Args) -> Result<()> {
        let client = self.connect().await?;
        client.batch_execute(TABLE).await.map_err(failed)?;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(args.seed);
        for from in (1..=self.couriers).step_by(1000) {
            let rows = (from..=self.couriers.min(from + 999))
                .map(|uid| format!("({uid},{})", self.place(&mut rng)));
            let rows: Vec<String> = rows.collect();
            let insert = format!("insert into bench_checker values {}", rows.join(","));
            client.batch_execute(&insert).await.map_err(failed)?;
        }
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..args.movers {
            tasks.spawn(self.mover(Xoshiro256PlusPlus::seed_from_u64(args.seed + 100 + n)));
        }
        for n in 0..args.checkers {
            tasks.spawn(self.checker(Xoshiro256PlusPlus::seed_from_u64(args.seed + 200 + n)));
        }
        let start = Instant::now();
        let end = tokio::time::sleep(Duration::from_secs(args.seconds));
        tokio::pin!(end);
        let mut first = Ok(());
        loop {
            tokio::select! {
                () = &mut end, if !self.over.load(Ordering::Relaxed) => self.over.store(true, Ordering::Relaxed),
                done = tasks.join_next() => match done {
                    None => break,
                    Some(done) => {
                        let done = done.map_err(|e| PgError::internal(e.to_string())).flatten();
                        self.over.store(true, Ordering::Relaxed);
                        first = first.and(done);
                    }
                },
            }
        }
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        println!(
            "{:.0} s: {} answers of {} rows checked, {} writes beside them: {}",
            start.elapsed().as_secs_f64(),
            count(&self.checks),
            count(&self.rows),
            count(&self.moves),
            if first.is_ok() { "none differs" } else { "stopped" },
        );
        first?;
        client.batch_execute("drop table bench_checker").await.map_err(failed)
    }

    async fn connect(&self) -> Result<Client> {
        let (client, connection) =
            tokio_postgres::connect(&self.login, NoTls).await.map_err(failed)?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A place couriers are at.
    fn usual(&self, rng: &mut Xoshiro256PlusPlus) -> At {
        if self.cities.is_empty() {
            return [0; 2].map(|_| rng.random_range(-500_000.0..500_000.0));
        }
        let city = self.cities[rng.random_range(0..self.cities.len())];
        city.map(|v| v + rng.random_range(-2_000.0..2_000.0))
    }

    /// A point as SQL: one in ten is hard.
    fn place(&self, rng: &mut Xoshiro256PlusPlus) -> String {
        let odd = ["NaN", "Infinity", "-Infinity", "0", "-0", "1e300", "1e-300"];
        match rng.random_range(0..100) {
            0 => "null".to_owned(),
            1..3 => {
                let [x, y] = [0; 2].map(|_| odd[rng.random_range(0..odd.len())]);
                format!("point '({x},{y})'")
            }
            // Many share these.
            3..10 => {
                let [x, y] = [0; 2].map(|_| f64::from(rng.random_range(-3..=3)) * 1e5);
                format!("point({x},{y})")
            }
            _ => {
                let [x, y] = self.usual(rng);
                format!("point({x},{y})")
            }
        }
    }

    /// Moves couriers, and takes some away for a while.
    async fn mover(&'static self, mut rng: Xoshiro256PlusPlus) -> Result<()> {
        let client = self.connect().await?;
        while !self.over.load(Ordering::Relaxed) {
            let uid = rng.random_range(1..=self.couriers);
            let place = self.place(&mut rng);
            let upsert = format!(
                "insert into bench_checker (uid,pos) values ({uid},{place}) on conflict (uid) do update set pos=excluded.pos"
            );
            let sql = match rng.random_range(0..20) {
                0 => format!("delete from bench_checker where uid={uid}"),
                1 => format!("begin; {upsert}; rollback"),
                2 => format!(
                    "update bench_checker set pos={place} where uid between {uid} and {uid}+20"
                ),
                _ => upsert,
            };
            match client.simple_query(&sql).await {
                // Two that change the same rows in different orders.
                Err(e) if e.code().is_some_and(|c| c.code() == "40P01") => {}
                other => _ = other.map_err(failed)?,
            }
            self.moves.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn checker(&'static self, mut rng: Xoshiro256PlusPlus) -> Result<()> {
        let client = self.connect().await?;
        while !self.over.load(Ordering::Relaxed) {
            let question = self.question(&mut rng);
            let rows = question.check(&client).await?;
            self.checks.fetch_add(1, Ordering::Relaxed);
            self.rows.fetch_add(rows, Ordering::Relaxed);
        }
        Ok(())
    }

    fn question(&self, rng: &mut Xoshiro256PlusPlus) -> Question {
        let [x, y] = match rng.random_range(0..4) {
            0 => [0; 2].map(|_| f64::from(rng.random_range(-3..=3)) * 1e5),
            _ => self.usual(rng),
        };
        let point = format!("point({x},{y})");
        let size = 10f64.powf(rng.random_range(1.0..5.5));
        let inside = match rng.random_range(0..5) {
            0 => None,
            1 => Some(format!(
                "pos <@ box(point({},{}),point({},{}))",
                x - size,
                y - size,
                x + size,
                y + size / 2.0
            )),
            2 => Some(format!("circle(point({},{}),{size}) @> pos", x + size / 3.0, y)),
            _ => Some(format!("circle({point},{size}) @> pos")),
        };
        let limit = match rng.random_range(0..50) {
            0 => None,
            1..10 => Some(1),
            10..20 => Some(rng.random_range(2..1000)),
            _ => Some(100),
        };
        let offset = if rng.random_ratio(1, 10) { rng.random_range(0..200) } else { 0 };
        Question { point, inside, limit, offset }
    }
}

/// A search.
struct Question {
    point: String,
    inside: Option<String>,
    limit: Option<usize>,
    offset: usize,
}

/// A row of an answer: its distance as text, and who it is.
type Found = (String, i32);

impl Question {
    fn indexed(&self) -> String {
        let Question { point, inside, limit, offset } = self;
        let filter = inside.as_ref().map_or_else(String::new, |c| format!("where {c}"));
        let limit = limit.map_or_else(String::new, |n| format!("limit {n}"));
        format!(
            "select pos <-> {point}, uid from bench_checker {filter} order by pos <-> {point} {limit} offset {offset}"
        )
    }

    /// The same of all rows, with nothing an index could serve, in full.
    fn scanned(&self) -> String {
        let Question { point, inside, .. } = self;
        let filter = inside.as_ref().map_or_else(String::new, |c| format!("where ({c}) is true"));
        format!(
            "select d, uid from (select (pos <-> {point}) + 0 as d, uid from bench_checker {filter}) q order by d, uid"
        )
    }

    /// Asks both ways in one snapshot and compares; rows compared.
    async fn check(&self, client: &Client) -> Result<u64> {
        let sql = format!(
            "begin isolation level repeatable read; {}; {}; commit",
            self.indexed(),
            self.scanned()
        );
        let messages = client.simple_query(&sql).await.map_err(failed)?;
        let mut answers: [Vec<Found>; 2] = Default::default();
        let mut which = 0;
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(_) => which += 1,
                SimpleQueryMessage::Row(row) => {
                    let uid = row.get(1).and_then(|v| v.parse().ok()).unwrap_or(-1);
                    answers[which - 1].push((row.get(0).unwrap_or("null").to_owned(), uid));
                }
                _ => {}
            }
        }
        let [found, all] = answers;
        match self.difference(&found, &all) {
            None => Ok(found.len() as u64),
            Some(what) => Err(PgError::internal(format!("{what}\n  {}", self.indexed()))),
        }
    }

    /// What of `found` is not as in `all`, the rows of a whole scan in order. Rows equally far may come in any order.
    fn difference(&self, found: &[Found], all: &[Found]) -> Option<String> {
        let from = self.offset.min(all.len());
        let to = self.limit.map_or(all.len(), |n| all.len().min(from + n));
        if found.len() != to - from {
            return Some(format!("{} rows, not {}", found.len(), to - from));
        }
        let wrong = found.iter().zip(&all[from..to]).position(|((a, _), (b, _))| a != b);
        if let Some(at) = wrong {
            return Some(format!("row {at} is {:?}, not {:?}", found[at], all[from + at]));
        }
        let mut sorted = found.to_vec();
        sorted.sort_unstable();
        let twice = sorted.windows(2).find(|w| w[0] == w[1]);
        if let Some(twice) = twice {
            return Some(format!("{:?} comes twice", twice[0]));
        }
        let mut known = all.to_vec();
        known.sort_unstable();
        let strange = found.iter().find(|f| known.binary_search(f).is_err())?;
        Some(format!("{strange:?} is not there"))
    }
}
