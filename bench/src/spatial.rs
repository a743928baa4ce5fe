//! `bench spatial`: inserts, moves, nearest searches and memory of the spatial index, in CPU time.
#![allow(clippy::indexing_slicing)] // a bench over data it made itself

use std::path::PathBuf;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_indexes::Points;
use vicinity_indexes::spatial::{Batch, Entry, Nearest, Region};
use vicinity_types::Result;

use crate::data::{self, At};
use crate::process::cpu;

/// Inserts, moves, nearest searches and memory of the spatial index.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Points.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Moves and searches of each kind.
    #[arg(long, default_value_t = 1_000_000)]
    operations: u64,
    /// Airports as openflights has them: the cities of skewed points.
    #[arg(long)]
    airports: Option<PathBuf>,
}

fn even(rng: &mut Xoshiro256PlusPlus) -> At {
    [rng.random_range(-500_000.0..500_000.0), rng.random_range(-500_000.0..500_000.0)]
}

/// Runs it.
pub fn run(args: &Args) -> Result<()> {
    measure(args, "even", &even);
    if let Some(path) = &args.airports {
        let cities = data::cities(path)?;
        measure(args, "airports", &|rng| {
            let [x, y] = cities[rng.random_range(0..cities.len())];
            let mut near = || {
                let r: f64 = rng.random_range(-1.0..1.0);
                r * r * r * 500.0
            };
            [x + near(), y + near()]
        });
    }
    Ok(())
}

fn measure(args: &Args, name: &str, place: &dyn Fn(&mut Xoshiro256PlusPlus) -> At) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut at: Vec<At> = (0..args.rows).map(|_| place(&mut rng)).collect();
    let each = |from: f64, n: u64| (cpu() - from) * 1e9 / n as f64;
    let bytes = |index: &Points| index.memory() as f64 / index.len() as f64;

    let entries: Vec<_> = (0..args.rows).map(|row| Entry { at: at[row as usize], row }).collect();
    let start = cpu();
    let built = Points::build(entries);
    println!("{name}: build {:.0} ns, {:.1} bytes an entry", each(start, args.rows), bytes(&built));
    drop(built);

    let index = Points::new();
    let start = cpu();
    for (row, at) in at.iter().enumerate() {
        index.insert(*at, row as u64);
    }
    println!("  insert {:.0} ns, {:.1} bytes an entry", each(start, args.rows), bytes(&index));
    let to: Vec<(usize, At)> =
        (0..args.operations).map(|_| (rng.random_range(0..at.len()), place(&mut rng))).collect();
    let start = cpu();
    for (row, new) in to {
        index.insert(new, row as u64);
        index.remove(std::mem::replace(&mut at[row], new), row as u64);
    }
    println!("  move {:.0} ns, {:.1} bytes an entry", each(start, args.operations), bytes(&index));
    let mut found = Batch::default();
    for (k, n) in [(1, args.operations), (100, args.operations / 20)] {
        let points: Vec<At> = (0..n).map(|_| place(&mut rng)).collect();
        let (start, mut sum) = (cpu(), 0);
        for q in points {
            let region = Region::all().in_circle(q, 20_000.0).unwrap_or_else(Region::all);
            Nearest::new(q, region).next_batch(&index, k, |_| (), &mut found);
            sum += found.len();
        }
        println!("  nearest {k} within a circle {:.0} ns ({sum} found)", each(start, n));
    }
}
