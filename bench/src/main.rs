//! `bench`: the measurements of this repository.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Ann(args) => vicinity_bench::ann::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}
