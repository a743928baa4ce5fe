//! `bench btree`: point lookups, inserts and memory of the ordered index, in CPU time.
#![allow(clippy::indexing_slicing)] // a bench over data it made itself

use std::ops::Bound;
use std::sync::Arc;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_indexes::Btree;

use crate::process::cpu;

/// Point lookups, inserts and memory of the ordered index.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Entries.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
    /// Lookups per thread.
    #[arg(long, default_value_t = 2_000_000)]
    lookups: u32,
}

/// A key as the encoder writes an int4.
fn int(v: u32) -> [u8; 5] {
    let [a, b, c, d] = (v ^ 1 << 31).to_be_bytes();
    [1, a, b, c, d]
}

/// Runs it.
pub fn run(args: &Args) {
    let mut order: Vec<u32> = (0..args.rows).collect();
    for how in ["bulk", "ascending", "random"] {
        if how == "random" {
            order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(1));
        }
        let start = cpu();
        let tree = if how == "bulk" {
            Btree::bulk_load(order.iter().map(|i| (int(*i), u64::from(*i))))
        } else {
            let tree = Btree::new();
            order.iter().for_each(|i| {
                tree.insert(&int(*i), u64::from(*i));
            });
            tree
        };
        let ns = (cpu() - start) * 1e9 / f64::from(args.rows);
        let bytes = tree.memory() as f64 / f64::from(args.rows);
        println!("{how}: {ns:.0} ns an insert, {bytes:.1} bytes an entry");
        let tree = Arc::new(tree);
        for threads in [1, 2] {
            println!("  {threads} threads: {:.0} ns a lookup", lookups(args, &tree, threads));
        }
        let start = cpu();
        let mut cursor = tree.range(Bound::Unbounded, Bound::Unbounded, false);
        let mut sum = 0u64;
        while let Some(row) = cursor.next() {
            sum = sum.wrapping_add(row);
        }
        let ns = (cpu() - start) * 1e9 / f64::from(args.rows);
        println!("  {ns:.1} ns an entry of a scan ({sum})");
    }
}

fn lookups(args: &Args, tree: &Arc<Btree>, threads: u64) -> f64 {
    let start = cpu();
    std::thread::scope(|scope| {
        for seed in 0..threads {
            scope.spawn(move || {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                for _ in 0..args.lookups {
                    let i = rng.random_range(0..args.rows);
                    assert_eq!(tree.get_one(&int(i)), Some(u64::from(i)));
                }
            });
        }
    });
    (cpu() - start) * 1e9 / (f64::from(args.lookups) * threads as f64)
}
