//! `bench checker`: every nearest-neighbour answer of the spatial index against a sequential scan in the same snapshot,
//! while couriers move, come and go.
//!
//! Movers write what is hard among what is usual: coordinates that are NaN or infinite, points that many couriers share,
//! NULLs; far moves and small ones, deletions, insertions of what was there before, changes of nothing but another
//! column, and all of that rolled back. A checker asks in one REPEATABLE READ transaction, first so that no index fits,
//! then, at times after a while, as the document does; every other checker asks the batch lane.
#![allow(clippy::indexing_slicing)] // a bench over data it made itself

mod question;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_types::{PgError, Result};

use self::question::Question;
use crate::client::{Place, block_on, failed};
use crate::data::{self, At};

/// Answers of the spatial index against sequential scans, beside writers.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    place: Place,
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
    create unlogged table bench_checker (uid int primary key, pos point, weight int);
    create index on bench_checker using gist (pos)";

/// Runs it.
pub fn run(args: &Args) -> Result<()> {
    let cities = args.cities.as_deref().map(data::cities).transpose()?.unwrap_or_default();
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        place: args.place.clone(),
        couriers: args.couriers,
        cities,
        over: AtomicBool::new(false),
        moves: AtomicU64::new(0),
        checks: AtomicU64::new(0),
        rows: AtomicU64::new(0),
    }));
    block_on(shared.check(args))
}

/// What all connections know.
struct Shared {
    place: Place,
    couriers: u32,
    cities: Vec<At>,
    over: AtomicBool,
    moves: AtomicU64,
    checks: AtomicU64,
    rows: AtomicU64,
}

impl Shared {
    async fn check(&'static self, args: &Args) -> Result<()> {
        let client = self.place.connect().await?;
        client.batch_execute(TABLE).await.map_err(failed)?;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(args.seed);
        for from in (1..=self.couriers).step_by(1000) {
            let rows = (from..=self.couriers.min(from + 999))
                .map(|uid| format!("({uid},{},{})", self.point(&mut rng), uid % 10));
            let rows: Vec<String> = rows.collect();
            let insert = format!("insert into bench_checker values {}", rows.join(","));
            client.batch_execute(&insert).await.map_err(failed)?;
        }
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..args.movers {
            tasks.spawn(self.mover(Xoshiro256PlusPlus::seed_from_u64(args.seed + 100 + n)));
        }
        for n in 0..args.checkers {
            tasks.spawn(self.checker(n, Xoshiro256PlusPlus::seed_from_u64(args.seed + 200 + n)));
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

    /// A place couriers are at.
    fn usual(&self, rng: &mut Xoshiro256PlusPlus) -> At {
        if self.cities.is_empty() {
            return [0; 2].map(|_| rng.random_range(-500_000.0..500_000.0));
        }
        let city = self.cities[rng.random_range(0..self.cities.len())];
        city.map(|v| v + rng.random_range(-2_000.0..2_000.0))
    }

    /// A point as SQL: one in ten is hard.
    fn point(&self, rng: &mut Xoshiro256PlusPlus) -> String {
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

    /// A change: mostly the document's upsert.
    fn change(&self, rng: &mut Xoshiro256PlusPlus) -> String {
        let uid = rng.random_range(1..=self.couriers);
        let (place, weight) = (self.point(rng), rng.random_range(0..10));
        let upsert = format!(
            "insert into bench_checker (uid,pos,weight) values ({uid},{place},{weight}) \
             on conflict (uid) do update set pos=excluded.pos"
        );
        // Mostly within a cell.
        let [dx, dy] = [0; 2].map(|_| rng.random_range(-5.0..5.0f64));
        let nudge = format!(
            "update bench_checker set pos=pos+point({dx},{dy}) where uid between {uid} and {uid}+5"
        );
        let delete = format!("delete from bench_checker where uid={uid}");
        match rng.random_range(0..20) {
            0 => delete,
            1 => format!("begin; {upsert}; rollback"),
            2 => {
                format!("update bench_checker set pos={place} where uid between {uid} and {uid}+20")
            }
            3..5 => nudge,
            5 => format!("begin; {delete}; {upsert}; commit"),
            6 => format!("begin; {delete}; {upsert}; rollback"),
            7 => format!("begin; {nudge}; savepoint s; {upsert}; rollback to s; {nudge}; commit"),
            8 => format!("update bench_checker set weight={weight} where uid={uid}"),
            _ => upsert,
        }
    }

    async fn mover(&'static self, mut rng: Xoshiro256PlusPlus) -> Result<()> {
        let client = self.place.connect().await?;
        while !self.over.load(Ordering::Relaxed) {
            let sql = self.change(&mut rng);
            match client.simple_query(&sql).await {
                // Two that change the same rows in different orders.
                Err(e) if e.code().is_some_and(|c| c.code() == "40P01") => {
                    client.batch_execute("rollback").await.map_err(failed)?;
                }
                other => _ = other.map_err(failed)?,
            }
            self.moves.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn checker(&'static self, number: u64, mut rng: Xoshiro256PlusPlus) -> Result<()> {
        let client = self.place.connect().await?;
        let lane = if number.is_multiple_of(2) { "auto" } else { "batch" };
        client.batch_execute(&format!("set vicinity.lane = {lane}")).await.map_err(failed)?;
        while !self.over.load(Ordering::Relaxed) {
            let near = match rng.random_range(0..4) {
                0 => [0; 2].map(|_| f64::from(rng.random_range(-3..=3)) * 1e5),
                _ => self.usual(&mut rng),
            };
            let rows = Question::random(near, &mut rng).check(&client).await?;
            self.checks.fetch_add(1, Ordering::Relaxed);
            self.rows.fetch_add(rows, Ordering::Relaxed);
        }
        Ok(())
    }
}
