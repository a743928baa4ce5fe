//! `bench soak`: upserts for an hour; the server's memory and its directory at the end, and at the tenth minute.
//!
//! Needs `psql` and `pgbench`, and a server on this machine. Memory and disk are looked at every second: both go up and
//! down with every checkpoint, so that a minute has a mean and a highest value.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use vicinity_types::Result;

use crate::client::Place;
use crate::couriers::scripts::{Script, Shape};
use crate::couriers::side::{How, Side};
use crate::failed;
use crate::process::Listener;

/// Upserts for an hour: what becomes of memory and disk.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The server's directory.
    #[arg(long)]
    data: PathBuf,
    /// Couriers.
    #[arg(long, default_value_t = 1_000_000)]
    couriers: u32,
    /// Where they are is not logged, as in the document.
    #[arg(long)]
    unlogged: bool,
    /// Only run: the tables are there.
    #[arg(long)]
    loaded: bool,
    /// How long.
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    /// The minute that the end is compared with.
    #[arg(long, default_value_t = 10)]
    early: usize,
    /// What is run, and its connections.
    #[arg(long, default_value = "ups@8")]
    script: String,
}

/// Megabytes: resident, proportional, of the directory.
#[derive(Clone, Copy, Default)]
struct Sample([f64; 3]);

/// What a minute's samples were.
#[derive(Clone, Copy)]
struct Minute {
    tps: f64,
    mean: Sample,
    highest: Sample,
}

/// Bytes of the blocks that files below a directory have.
fn on_disk(path: &Path) -> f64 {
    use std::os::unix::fs::MetadataExt as _;
    // Files go while they are looked at.
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => on_disk(&entry.path()),
        Ok(data) => data.blocks() as f64 * 512.0,
        Err(_) => 0.0,
    };
    entries.map(of).sum()
}

fn sample(server: &Listener, data: &Path) -> Sample {
    let (resident, proportional) = server.memory();
    Sample([resident, proportional, on_disk(data)].map(|bytes| bytes / 1e6))
}

impl Minute {
    fn of(tps: f64, samples: &[Sample]) -> Minute {
        let count = samples.len().max(1) as f64;
        let over = |fold: fn(f64, f64) -> f64| {
            let all = samples.iter().fold([0.0; 3], |[a, b, c], Sample([d, e, f])| {
                [fold(a, *d), fold(b, *e), fold(c, *f)]
            });
            Sample(all)
        };
        let mean = Sample(over(|a, b| a + b).0.map(|sum| sum / count));
        Minute { tps, mean, highest: over(f64::max) }
    }

    fn print(&self, minute: usize) {
        let Sample([rss, pss, disk]) = self.mean;
        let Sample([most_rss, most_pss, most_disk]) = self.highest;
        println!(
            "{minute:>6} {:>9.0} {rss:>8.0} {most_rss:>8.0} {pss:>8.0} {most_pss:>8.0} {disk:>8.0} {most_disk:>8.0}",
            self.tps
        );
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<()> {
    let how = How {
        user: "postgres".to_owned(),
        dbname: "postgres".to_owned(),
        seconds: args.minutes * 60,
        each: 1,
        logged: !args.unlogged,
        progress: Some(60),
        ..How::default()
    };
    let side = Side::at(&args.place.host, args.place.port, &how);
    let server = side.listener().ok_or_else(|| failed("the server is not on this machine"))?;
    if !args.loaded {
        side.load(args.couriers, &[])?;
    }
    let under = tempfile::tempdir().map_err(failed)?;
    let shape = Shape { couriers: args.couriers, pipeline: None, cities: Vec::new() };
    let script = Script::parse(&args.script, 8)?;
    let files = shape.files(under.path(), script.name)?;
    let mut pgbench = side.begin(&script, &files)?;
    let said = pgbench.stderr.take().ok_or_else(|| failed("pgbench says nothing"))?;
    let (minutes, over) = channel::<f64>();
    std::thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(|line| line.ok()) {
            let tps =
                line.strip_prefix("progress: ").and_then(|l| l.split(' ').nth(2)?.parse().ok());
            match tps {
                Some(tps) => drop(minutes.send(tps)),
                None => eprintln!("{line}"),
            }
        }
    });
    println!(
        "{:>6} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "minute", "tps", "RSS MB", "highest", "PSS MB", "highest", "disk MB", "highest"
    );
    let (mut all, mut samples) = (Vec::<Minute>::new(), Vec::new());
    loop {
        match over.recv_timeout(Duration::from_secs(1)) {
            Err(RecvTimeoutError::Timeout) => samples.push(sample(server, &args.data)),
            Ok(tps) => {
                let minute = Minute::of(tps, &std::mem::take(&mut samples));
                minute.print(all.len() + 1);
                all.push(minute);
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let rate = side.rate(pgbench)?;
    println!("{:.0} statements, {:.0} tps", rate.count, rate.tps);
    compare(args.early, &all);
    Ok(())
}

/// The end against an early minute.
fn compare(early: usize, all: &[Minute]) {
    let (Some(then), Some(end)) = (all.get(early.saturating_sub(1)), all.last()) else { return };
    for (at, what) in ["RSS", "PSS", "disk"].iter().enumerate() {
        let of = |s: &Sample| s.0.get(at).copied().unwrap_or(0.0);
        let more = |a: &Sample, b: &Sample| (of(b) / of(a) - 1.0) * 100.0;
        println!(
            "{what}: minute {early} {:.0} MB, at most {:.0}; minute {} {:.0} MB, at most {:.0}: {:+.1} %, {:+.1} %",
            of(&then.mean),
            of(&then.highest),
            all.len(),
            of(&end.mean),
            of(&end.highest),
            more(&then.mean, &end.mean),
            more(&then.highest, &end.highest)
        );
    }
}
