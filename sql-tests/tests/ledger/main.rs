//! A server that is killed under load, and started again: every transaction that was acknowledged is there, every one
//! whole or not at all, every index as its table. `VICINITY_LEDGER_ROUNDS` says how often:
//!
//! ```text
//! VICINITY_LEDGER_ROUNDS=200 cargo test --workspace --test ledger -- --nocapture
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(unreachable_pub)]

mod beside;
mod check;
mod disk;
mod load;

use std::path::PathBuf;
use std::time::Duration;

use beside::Beside;
use load::Known;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio_postgres::Client;
use vicinity_sql_tests::process::{Process, serve_if_asked};

const WRITERS: i32 = 4;
const COURIERS: i32 = 4000;

#[tokio::test(flavor = "multi_thread")]
async fn serve() {
    serve_if_asked().await;
}

/// What all writers know of a directory.
struct Ledger {
    data: PathBuf,
    writers: Vec<Known>,
    made: Known,
    /// Transactions that were there without an acknowledgement.
    more: i32,
    _directory: TempDir,
}

/// Writers that run, and what goes on beside them.
struct Load {
    writers: Vec<tokio::task::JoinHandle<Known>>,
    beside: tokio::task::JoinHandle<Known>,
}

impl Ledger {
    /// Tables with couriers that have not moved yet.
    async fn new() -> Ledger {
        let directory = TempDir::with_prefix("vicinity-ledger-").unwrap();
        let data = directory.path().join("data");
        let process = Process::start(&data, &[]);
        let client = process.connect().await;
        client.batch_execute(load::TABLES).await.unwrap();
        let mut random = StdRng::seed_from_u64(0);
        let mut courier =
            |id: i32| format!("({id}, point({id},0), {}, 0, 0)", load::vector(&mut random));
        let couriers: Vec<String> = (0..COURIERS).map(&mut courier).collect();
        for some in couriers.chunks(500) {
            let sql = format!("insert into courier values {}", some.join(","));
            client.batch_execute(&sql).await.unwrap();
        }
        let writers = vec![Known::default(); WRITERS as usize];
        Ledger { data, writers, made: Known::default(), more: 0, _directory: directory }
    }

    /// Starts a server by itself or by another command, and looks at what it has.
    async fn start(&mut self, before: &[String]) -> (Process, Client) {
        let process = Process::start(&self.data, before);
        let client = process.connect().await;
        self.more += check::check(&client, &mut self.writers, &mut self.made).await;
        (process, client)
    }

    async fn load(&self, process: &Process, beside: Beside) -> Load {
        let mut writers = Vec::new();
        for (writer, known) in (0..).zip(&self.writers) {
            writers.push(tokio::spawn(load::write(process.connect().await, writer, *known)));
        }
        let beside = beside::run(process.connect().await, beside, self.made);
        Load { writers, beside: tokio::spawn(beside) }
    }

    /// Takes down what they know when the server is gone.
    async fn note(&mut self, load: Load) {
        self.made = load.beside.await.unwrap();
        for (known, writer) in self.writers.iter_mut().zip(load.writers) {
            *known = writer.await.unwrap();
        }
    }

    fn acknowledged(&self) -> i32 {
        self.writers.iter().chain([&self.made]).map(|k| k.acknowledged).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_the_server() {
    let rounds = std::env::var("VICINITY_LEDGER_ROUNDS").ok().and_then(|n| n.parse().ok());
    let rounds = rounds.unwrap_or(beside::ALL.len());
    let mut random = StdRng::seed_from_u64(1);
    let mut ledger = Ledger::new().await;
    for round in 0..rounds {
        let (process, client) = ledger.start(&[]).await;
        beside::complete(&client).await;
        let load = ledger.load(&process, beside::ALL[round % beside::ALL.len()]).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(20..600))).await;
        process.kill();
        ledger.note(load).await;
    }
    let _ = ledger.start(&[]).await;
    println!(
        "{rounds} rounds: {} transactions, {} of them there without an acknowledgement",
        ledger.acknowledged(),
        ledger.more
    );
}
