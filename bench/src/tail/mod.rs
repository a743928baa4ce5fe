//! `bench tail`: how long the slowest upserts and nearest-neighbour queries take while the server looks after itself,
//! and in comparison with when it does not.
//!
//! Needs `psql` and `pgbench`, which measures: prepared statements, from several connections at once, each asking when
//! the one before was answered. A round is a run of both scripts beside each of [`beside::ALL`], nothing first and last.
#![allow(clippy::indexing_slicing)] // a bench over data it made itself

mod beside;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vicinity_types::Result;

use self::beside::{ALL, Beside};
use crate::client::{Place, block_on};
use crate::couriers::latency::Latencies;
use crate::couriers::median;
use crate::couriers::scripts::{Script, Shape};
use crate::couriers::side::{How, Side};
use crate::failed;

/// Latencies of couriers' scripts beside checkpoints, version clean-up and index builds.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Couriers.
    #[arg(long, default_value_t = 1_000_000)]
    couriers: u32,
    /// Where they are is not logged, as in the document.
    #[arg(long)]
    unlogged: bool,
    /// Vectors of the table whose indexes are built.
    #[arg(long, default_value_t = 100_000)]
    vectors: u32,
    /// Rows of the table that is cleaned up, again and again.
    #[arg(long, default_value_t = 200_000)]
    garbage: u32,
    /// Only run: the tables are there.
    #[arg(long)]
    loaded: bool,
    /// Seconds of a run.
    #[arg(long, default_value_t = 15)]
    seconds: u32,
    /// Runs beside each.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Statements a second that each script's clients begin, whether those before were answered or not.
    #[arg(long)]
    rate: Option<u32>,
    /// Only beside these, and nothing.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Beside>,
    /// Which scripts at once, and their connections.
    #[arg(default_values_t = ["ups@4".to_owned(), "knn100@4".to_owned()])]
    scripts: Vec<String>,
}

/// What one script gave in one run.
struct Figures {
    tps: f64,
    /// Milliseconds: p50, p99, p99.9, the longest.
    took: [f64; 4],
}

impl Figures {
    fn of(tps: f64, latencies: &Latencies) -> Figures {
        Figures { tps, took: [500, 990, 999, 1000].map(|share| latencies.at(share)) }
    }

    /// The medians of several.
    fn median<'a>(all: impl Iterator<Item = &'a Figures> + Clone) -> Figures {
        let took = [0, 1, 2, 3].map(|at| median(all.clone().map(|f| f.took[at])));
        Figures { tps: median(all.map(|f| f.tps)), took }
    }
}

/// A script's figures in one run beside something.
struct Line {
    beside: Beside,
    script: usize,
    figures: Figures,
    /// How often what was beside it was done.
    times: u64,
}

/// Runs it.
pub fn run(args: &Args) -> Result<()> {
    let under = tempfile::tempdir().map_err(failed)?;
    let how = How {
        user: "postgres".to_owned(),
        dbname: "postgres".to_owned(),
        seconds: args.seconds,
        each: 1,
        logged: !args.unlogged,
        latencies: Some(under.path().join("latencies")),
        rate: args.rate,
        progress: None,
    };
    std::fs::create_dir(under.path().join("latencies")).map_err(failed)?;
    let side = Side::at(&args.place.host, args.place.port, &how);
    if !args.loaded {
        side.load(args.couriers, &[])?;
        block_on(beside::load(&args.place, args.garbage, args.vectors))?;
    }
    let shape = Shape { couriers: args.couriers, pipeline: None, cities: Vec::new() };
    let mut scripts = Vec::new();
    for text in &args.scripts {
        let script = Script::parse(text, 4)?;
        let files = shape.files(under.path(), script.name)?;
        scripts.push((script, files));
    }
    let between = ALL.iter().filter(|b| args.only.is_empty() || args.only.contains(b));
    let order: Vec<Beside> =
        [&Beside::Nothing].into_iter().chain(between).chain([&Beside::Nothing]).copied().collect();
    let mut lines = Vec::new();
    head();
    for _ in 0..args.rounds {
        for beside in &order {
            for line in measure(args, &side, &scripts, *beside)? {
                print(&scripts, &line, None);
                lines.push(line);
            }
        }
    }
    println!("\nmedians, and p99.9 and the longest against those beside nothing");
    head();
    for (at, _) in scripts.iter().enumerate() {
        let of =
            |beside: Beside| lines.iter().filter(move |l| l.script == at && l.beside == beside);
        let quiet = Figures::median(of(Beside::Nothing).map(|l| &l.figures));
        for beside in order.iter().take(order.len() - 1) {
            let figures = Figures::median(of(*beside).map(|l| &l.figures));
            let times = of(*beside).map(|l| l.times).sum();
            print(&scripts, &Line { beside: *beside, script: at, figures, times }, Some(&quiet));
        }
    }
    Ok(())
}

/// One run of all scripts beside something.
fn measure(
    args: &Args,
    side: &Side<'_>,
    scripts: &[(Script<'_>, Vec<PathBuf>)],
    beside: Beside,
) -> Result<Vec<Line>> {
    // What the run before left to be cleaned up, and what its load took, is no part of this one.
    std::thread::sleep(Duration::from_secs(1));
    let over = Arc::new(AtomicBool::new(false));
    let other = {
        let (place, over) = (args.place.clone(), over.clone());
        std::thread::spawn(move || block_on(beside::run(&place, beside, &over)))
    };
    let run = side.run(scripts);
    over.store(true, Ordering::Relaxed);
    let times = other.join().map_err(|_| failed("a thread of the bench ended"))??;
    let rates = run?.rates.into_iter().enumerate();
    let line = |(script, rate): (usize, crate::couriers::side::Rate)| Line {
        beside,
        script,
        figures: Figures::of(rate.tps, &rate.latencies),
        times,
    };
    Ok(rates.map(line).collect())
}

fn head() {
    println!(
        "{:12} {:>5} {:8} {:>9} {:>8} {:>8} {:>8} {:>9} {:>13}",
        "beside", "times", "script", "tps", "p50 ms", "p99", "p99.9", "longest", "against quiet"
    );
}

fn print(scripts: &[(Script<'_>, Vec<PathBuf>)], line: &Line, quiet: Option<&Figures>) {
    let name = scripts.get(line.script).map_or("", |(script, _)| script.name);
    let Figures { tps, took: [p50, p99, p999, longest] } = line.figures;
    print!(
        "{:12} {:>5} {name:8} {tps:>9.0} {p50:>8.3} {p99:>8.3} {p999:>8.3} {longest:>9.3}",
        line.beside.name(),
        line.times
    );
    match quiet {
        Some(quiet) => {
            println!(" {:>6.2} {:>6.2}", p999 / quiet.took[2], longest / quiet.took[3]);
        }
        None => println!(),
    }
}
