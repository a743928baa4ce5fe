//! `bench couriers`: the logistics document's pgbench scripts against PostgreSQL, Vicinity and canned answers in turn.
//!
//! Needs `psql` and `pgbench`. Both servers get the same tables; each round runs a script on one after the other, so
//! that what the machine does meanwhile falls on all. Canned answers come from this process over the engine's own
//! connection loop: the limit. pgbench works on the same cores; the CPU columns are the servers' alone.

pub(crate) mod latency;
pub(crate) mod scripts;
pub(crate) mod side;

use std::path::PathBuf;

use scripts::{ALL, Script, Shape};
use side::{How, Run, Side};
use vicinity_types::Result;

use crate::process::resident;
use crate::{ceiling, data, failed};

/// PostgreSQL and Vicinity side by side.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// PostgreSQL, as host:port.
    #[arg(long, default_value = "127.0.0.1:5432")]
    peer: String,
    /// Vicinity, as host:port.
    #[arg(long, default_value = "127.0.0.1:5433")]
    ours: String,
    /// User of both.
    #[arg(long, default_value = "postgres")]
    user: String,
    /// Database of both.
    #[arg(long, default_value = "postgres")]
    dbname: String,
    /// Couriers.
    #[arg(long, default_value_t = 1_000_000)]
    couriers: u32,
    /// Airports in OpenFlights' format: couriers and questions are scattered around them, not over all of the map.
    #[arg(long)]
    cities: Option<PathBuf>,
    /// Vicinity's process, whose memory is told.
    #[arg(long)]
    pid: Option<u32>,
    /// Only run: the tables are there.
    #[arg(long)]
    loaded: bool,
    /// Where couriers are is logged as well; in the document it is not.
    #[arg(long)]
    logged: bool,
    /// Seconds of a run.
    #[arg(long, default_value_t = 6)]
    seconds: u32,
    /// Runs on each.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Connections, where a script does not say them.
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// So many statements in one pipeline.
    #[arg(long)]
    pipeline: Option<u32>,
    /// Which scripts; `name@clients` says its connections, `a+b` runs two at once. All of them by default.
    scripts: Vec<String>,
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    // Of an even number: between the two in the middle.
    (at(values.len().saturating_sub(1) / 2) + at(values.len() / 2)) / 2.0
}

/// What the three gave in one round.
type Round = [Run; 3];

/// A line of the table.
struct Line {
    label: String,
    /// Statements a second of the three, for each round.
    tps: Vec<[f64; 3]>,
    /// Microseconds of CPU of a statement of the three, where they are known.
    cpu: Option<[f64; 3]>,
}

impl Line {
    fn print(&self) {
        let of = |side: usize| median(self.tps.iter().filter_map(|t| t.get(side).copied()));
        let ratios: Vec<f64> = self.tps.iter().map(|[p, o, _]| o / p.max(1.0)).collect();
        let (low, high) = ratios
            .iter()
            .fold((f64::INFINITY, 0.0f64), |(low, high), r| (low.min(*r), high.max(*r)));
        let limit = median(self.tps.iter().map(|[_, o, c]| o / c.max(1.0)));
        print!(
            "{:16} {:>10.0} {:>10.0} {:>7.2} {low:>6.2}..{high:<5.2} {:>10.0} {limit:>6.2}",
            self.label,
            of(0),
            of(1),
            median(ratios.iter().copied()),
            of(2)
        );
        match self.cpu {
            Some([peer, ours, canned]) => {
                let ratio = peer / ours.max(0.001);
                println!(" {peer:>9.1} {ours:>8.1} {ratio:>6.2} {canned:>9.1}");
            }
            None => println!(),
        }
    }
}

/// The lines of scripts that ran at once: each, and all of them together where they are several.
fn lines(name: &str, scripts: &[(Script<'_>, Vec<PathBuf>)], rounds: &[Round]) -> Vec<Line> {
    let one = |at: usize, round: &Round| {
        [0, 1, 2].map(|side| {
            round.get(side).and_then(|run| run.rates.get(at)).map_or(0.0, |rate| rate.tps)
        })
    };
    let cpu = |side: usize| {
        let known: Option<Vec<f64>> =
            rounds.iter().map(|round| round.get(side).and_then(|run| run.cpu)).collect();
        known.map(|all| median(all.into_iter()))
    };
    let cpu = match (cpu(0), cpu(1), cpu(2)) {
        (Some(peer), Some(ours), Some(canned)) => Some([peer, ours, canned]),
        _ => None,
    };
    if scripts.len() == 1 {
        let tps = rounds.iter().map(|round| one(0, round)).collect();
        return vec![Line { label: name.to_owned(), tps, cpu }];
    }
    let each = scripts.iter().enumerate().map(|(at, (script, _))| Line {
        label: format!("{} (mixed)", script.name),
        tps: rounds.iter().map(|round| one(at, round)).collect(),
        cpu: None,
    });
    let mut lines: Vec<Line> = each.collect();
    let all = |round: &Round| {
        (0..scripts.len()).fold([0.0; 3], |[a, b, c], at| {
            let [p, o, l] = one(at, round);
            [a + p, b + o, c + l]
        })
    };
    let tps = rounds.iter().map(all).collect();
    lines.push(Line { label: name.to_owned(), tps, cpu });
    lines
}

/// Runs the bench.
pub fn run(args: &Args) -> Result<()> {
    let how = How {
        user: args.user.clone(),
        dbname: args.dbname.clone(),
        seconds: args.seconds,
        each: args.pipeline.unwrap_or(1),
        logged: args.logged,
        ..How::default()
    };
    let cities = args.cities.as_deref().map(data::cities).transpose()?.unwrap_or_default();
    let (peer, ours) = (Side::new(&args.peer, &how)?, Side::new(&args.ours, &how)?);
    if !args.loaded {
        let theirs = peer.load(args.couriers, &cities)?;
        // What the server has at all, and after its first statements, is no courier's.
        ours.load(1, &cities)?;
        let own = args.pid.map(|pid| (pid.to_string(), resident(&pid.to_string())));
        let took = ours.load(args.couriers, &cities)?;
        println!("loading: PostgreSQL {theirs:.1} s, Vicinity {took:.1} s, {:.2}", theirs / took);
        if let Some((pid, before)) = own {
            ours.settle()?;
            let each = (resident(&pid) - before) / f64::from(args.couriers);
            println!("VmRSS per courier {each:.0} bytes");
        }
    }
    let under = tempfile::tempdir().map_err(failed)?;
    let shape = Shape { couriers: args.couriers, pipeline: args.pipeline, cities };
    let canned = ceiling::background()?;
    let canned = Side::own(canned.port(), &how);
    let chosen: Vec<&str> = match args.scripts.as_slice() {
        [] => ALL.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    println!(
        "{:16} {:>10} {:>10} {:>7} {:>13} {:>10} {:>6} {:>9} {:>8} {:>6} {:>9}",
        "script",
        "PostgreSQL",
        "Vicinity",
        "ratio",
        "min..max",
        "canned",
        "of it",
        "us of CPU",
        "Vicinity",
        "ratio",
        "canned"
    );
    for name in chosen {
        let parts: Vec<&str> = name.split('+').collect();
        let usual = args.clients / u32::try_from(parts.len()).unwrap_or(1).max(1);
        let mut scripts = Vec::with_capacity(parts.len());
        for part in parts {
            let script = Script::parse(part, usual)?;
            let files = shape.files(under.path(), script.name)?;
            scripts.push((script, files));
        }
        let mut rounds = Vec::new();
        for _ in 0..args.rounds.max(1) {
            rounds.push([peer.run(&scripts)?, ours.run(&scripts)?, canned.run(&scripts)?]);
        }
        lines(name, &scripts, &rounds).iter().for_each(Line::print);
    }
    Ok(())
}
