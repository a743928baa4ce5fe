//! `bench checker`: every nearest-neighbour answer of the spatial index against a sequential scan in the same snapshot,
//! while couriers move, come and go.
//!
//! Movers write what is hard among what is usual: coordinates that are NaN or infinite, points that many couriers share,
//! NULLs, crowds that are nearly equally far from a point; far moves and small ones, deletions, insertions of what was
//! there before, changes of nothing but another column, and all of that rolled back. A checker reads the whole table at
//! the begin of a REPEATABLE READ transaction, works out from that what many questions have for answers, and compares;
//! meanwhile time goes by. Every other checker asks the batch lane.
#![allow(clippy::indexing_slicing)] // a bench over data it made itself

mod places;
mod question;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use vicinity_types::{PgError, Result};

use self::places::Places;
use self::question::{Courier, Found, Question, order_of};
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
const WHOLE: &str = "select uid, pos, weight from bench_checker";
/// Questions to a snapshot.
const QUESTIONS: usize = 200;

/// Runs it.
pub fn run(args: &Args) -> Result<()> {
    let cities = args.cities.as_deref().map(data::cities).transpose()?.unwrap_or_default();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(args.seed);
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        place: args.place.clone(),
        couriers: args.couriers,
        places: Places::new(cities, &mut rng),
        over: AtomicBool::new(false),
        moves: AtomicU64::new(0),
        checks: AtomicU64::new(0),
        looks: AtomicU64::new(0),
        rows: AtomicU64::new(0),
    }));
    block_on(shared.check(args, rng))
}

/// What all connections know.
struct Shared {
    place: Place,
    couriers: u32,
    places: Places,
    over: AtomicBool,
    moves: AtomicU64,
    checks: AtomicU64,
    looks: AtomicU64,
    rows: AtomicU64,
}

impl Shared {
    async fn check(&'static self, args: &Args, mut rng: Xoshiro256PlusPlus) -> Result<()> {
        let client = self.place.connect().await?;
        client.batch_execute(TABLE).await.map_err(failed)?;
        for from in (1..=self.couriers).step_by(1000) {
            let rows = (from..=self.couriers.min(from + 999))
                .map(|uid| format!("({uid},{},{})", self.place(&mut rng), uid % 10));
            let rows: Vec<String> = rows.collect();
            let insert = format!("insert into bench_checker values {}", rows.join(","));
            client.batch_execute(&insert).await.map_err(failed)?;
        }
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..args.movers {
            tasks.spawn(self.mover(Xoshiro256PlusPlus::seed_from_u64(args.seed + 100 + n)));
        }
        tasks.spawn(self.stage());
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
            "{:.0} s: {} answers of {} rows checked, and {} of one crowd, {} writes beside them: {}",
            start.elapsed().as_secs_f64(),
            count(&self.checks),
            count(&self.rows),
            count(&self.looks),
            count(&self.moves),
            if first.is_ok() { "none differs" } else { "stopped" },
        );
        first?;
        client.batch_execute("drop table bench_checker").await.map_err(failed)
    }

    /// Where to put somebody, as SQL.
    fn place(&self, rng: &mut Xoshiro256PlusPlus) -> String {
        let place = self.places.place(rng);
        place.inspect(|at| self.places.note(*at)).map_or_else(|| "null".to_owned(), sql_point)
    }

    /// A change: mostly the document's upsert.
    fn change(&self, rng: &mut Xoshiro256PlusPlus) -> String {
        let uid = rng.random_range(1..=self.couriers);
        let (place, weight) = (self.place(rng), rng.random_range(0..10));
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

    /// Couriers that go from one place to one next to it and back, all rolled back, and who looks at them all the time:
    /// slots of a leaf are emptied and filled while it is read, and filled by those who have another entry at the
    /// coordinates from before.
    async fn stage(&'static self) -> Result<()> {
        let (swapper, watcher) = (self.place.connect().await?, self.place.connect().await?);
        let [here, there] = self.places.stage().map(sql_point);
        // Nobody else moves these.
        let first = self.couriers + 1000;
        let insert = format!(
            "insert into bench_checker select {first} + i, case i % 2 when 0 then {here} else {there} end, 0 \
             from generate_series(0, 15) i"
        );
        swapper.batch_execute(&insert).await.map_err(failed)?;
        let swaps = format!(
            "do $$ begin for i in 0..999 loop begin \
             update bench_checker set pos = case when pos ~= {here} then {there} else {here} end \
             where uid = {first} + i * 7 % 16; \
             raise exception 'back'; \
             exception when raise_exception then null; end; end loop; end $$"
        );
        // Each once, if their numbers add up.
        let looks = format!(
            "do $$ declare u int; n int; sum bigint; begin for i in 0..999 loop n := 0; sum := 0; \
             for u in select uid from bench_checker order by pos <-> {here} limit 16 loop \
             n := n + 1; sum := sum + (u - {first}); end loop; \
             if n <> 16 or sum <> 120 then \
             raise exception '% came out of 16 who stand together, with the sum %', n, sum; \
             end if; end loop; end $$"
        );
        tokio::try_join!(
            self.over_and_over(&swapper, &swaps, &self.moves),
            self.over_and_over(&watcher, &looks, &self.looks)
        )?;
        Ok(())
    }

    /// Runs what does a thing a thousand times.
    async fn over_and_over(&self, client: &Client, sql: &str, count: &AtomicU64) -> Result<()> {
        while !self.over.load(Ordering::Relaxed) {
            client.batch_execute(sql).await.map_err(failed)?;
            count.fetch_add(1000, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn checker(&'static self, number: u64, mut rng: Xoshiro256PlusPlus) -> Result<()> {
        let client = self.place.connect().await?;
        let lane = if number.is_multiple_of(2) { "auto" } else { "batch" };
        client.batch_execute(&format!("set vicinity.lane = {lane}")).await.map_err(failed)?;
        while !self.over.load(Ordering::Relaxed) {
            client.batch_execute("begin isolation level repeatable read").await.map_err(failed)?;
            self.questions(&client, &mut rng).await?;
            client.batch_execute("commit").await.map_err(failed)?;
        }
        Ok(())
    }

    /// Asks many questions in one snapshot.
    async fn questions(&self, client: &Client, rng: &mut Xoshiro256PlusPlus) -> Result<()> {
        let mut couriers = rows(client, WHOLE, courier).await?;
        couriers.sort_unstable_by_key(|c| c.uid);
        for _ in 0..QUESTIONS {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let question = Question::random(self.places.center(rng), &couriers, rng);
            let found = rows(client, &question.sql(), found).await?;
            if let Some(what) = question.difference(&found, &couriers) {
                return Err(PgError::internal(format!("{what}\n  {}", question.sql())));
            }
            self.checks.fetch_add(1, Ordering::Relaxed);
            self.rows.fetch_add(found.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A point in SQL.
fn sql_point([x, y]: At) -> String {
    format!("point '({x:?},{y:?})'")
}

/// The rows of a query.
async fn rows<T>(
    client: &Client,
    sql: &str,
    read: impl Fn(&SimpleQueryRow) -> Option<T>,
) -> Result<Vec<T>> {
    let messages = client.simple_query(sql).await.map_err(failed)?;
    let row = |message: SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            Some(read(&row).ok_or_else(|| PgError::internal(format!("not read: {row:?}"))))
        }
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

fn courier(row: &SimpleQueryRow) -> Option<Courier> {
    let at = match row.get(1) {
        None => None,
        Some(text) => {
            let (x, y) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
            Some([x.parse().ok()?, y.parse().ok()?])
        }
    };
    Some(Courier { uid: row.get(0)?.parse().ok()?, at, weight: row.get(2)?.parse().ok()? })
}

fn found(row: &SimpleQueryRow) -> Option<Found> {
    let distance = row.get(0).map(str::parse).transpose().ok()?;
    Some((order_of(distance), row.get(1)?.parse().ok()?))
}
