//! `bench`: the measurements of this repository.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measurements: recall and build of the indexes")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Recall and time of the vector indexes.
    Ann(vicinity_bench::ann::Args),
    /// Point lookups, inserts and memory of the ordered index.
    Btree(vicinity_bench::btree::Args),
    /// A server of canned answers over the engine's connection loop.
    Ceiling(vicinity_bench::ceiling::Args),
    /// Answers of the spatial index against sequential scans, beside writers.
    Checker(vicinity_bench::checker::Args),
    /// The logistics document's pgbench scripts against PostgreSQL and a Vicinity that run.
    Couriers(vicinity_bench::couriers::Args),
    /// How long a start takes, after a kill and after a clean stop.
    Restart(vicinity_bench::restart::Args),
    /// Recall and time of vector searches over SQL, in a server that runs.
    Search(vicinity_bench::search::Args),
    /// Cost of a row in storage: load, key lookup, scan, update, commit, recovery.
    Rows(vicinity_bench::storage_rows::Args),
    /// Upserts for an hour: memory and disk at the end, and at the tenth minute.
    Soak(vicinity_bench::soak::Args),
    /// Inserts, moves, nearest searches and memory of the spatial index.
    Spatial(vicinity_bench::spatial::Args),
    /// The slowest of couriers' statements beside checkpoints, version clean-up and index builds.
    Tail(vicinity_bench::tail::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Ann(args) => vicinity_bench::ann::run(&args),
        Command::Btree(args) => {
            vicinity_bench::btree::run(&args);
            Ok(())
        }
        Command::Ceiling(args) => vicinity_bench::ceiling::run(&args),
        Command::Checker(args) => vicinity_bench::checker::run(&args),
        Command::Couriers(args) => vicinity_bench::couriers::run(&args),
        Command::Restart(args) => vicinity_bench::restart::run(&args),
        Command::Search(args) => vicinity_bench::search::run(&args),
        Command::Rows(args) => vicinity_bench::storage_rows::run(&args),
        Command::Soak(args) => vicinity_bench::soak::run(&args),
        Command::Spatial(args) => vicinity_bench::spatial::run(&args),
        Command::Tail(args) => vicinity_bench::tail::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}
