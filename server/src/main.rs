//! The binary `vicinity`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vicinity_server::config::Settings;
use vicinity_server::{demo, serve};
use vicinity_types::{PgError, Result};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Nearest rows, over PostgreSQL's protocol.
#[derive(Parser)]
#[command(name = "vicinity", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves a database directory
    Serve {
        /// Configuration file (TOML); flags and VICINITY_* variables go over it
        #[arg(long, env = "VICINITY_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Loads vectors into a temporary database, indexes and queries them, and keeps serving
    Demo(demo::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve { config, settings } => run(config, *settings),
        Command::Demo(args) => {
            log("warn");
            demo::run(&args)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(file: Option<PathBuf>, settings: Settings) -> Result<()> {
    let below = match file {
        Some(path) => Settings::from_file(&path)?,
        None => Settings::default(),
    };
    let config = settings.over(below).finish()?;
    log(&config.log);
    serve::serve(&config)
}

fn log(filter: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .init();
}

fn say(error: &PgError) {
    eprintln!("vicinity: {}", error.message());
    let report = error.report();
    if let Some(detail) = &report.detail {
        eprintln!("DETAIL:  {detail}");
    }
    if let Some(hint) = &report.hint {
        eprintln!("HINT:  {hint}");
    }
}
