//! Random work on a disk that loses what was not synced, stopped at every kind of point: what was acknowledged is there,
//! what was not is there whole or not at all and without gaps, and every index is what its table is.
//!
//! A run is made of one number and is the same every time. `VICINITY_CRASH_SEEDS` says how many runs,
//! `VICINITY_CRASH_FIRST` with which number they begin:
//!
//! ```text
//! VICINITY_CRASH_SEEDS=20000 cargo test --release -p vicinity-storage --test crash
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod check;
mod model;
mod prepared;
mod tables;
mod tamper;
mod work;
mod world;

use tamper::Mutation;
use world::run;

fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(or)
}

#[test]
fn what_was_acknowledged_is_there_after_any_crash() {
    let first = number("VICINITY_CRASH_FIRST", 0);
    let seeds = number("VICINITY_CRASH_SEEDS", 100);
    all_hold(first..first + seeds, 0);
}

/// The same with rows that memory has no room for. What leaves it when is not the same every time.
#[test]
fn what_was_acknowledged_is_there_when_memory_is_small() {
    let first = number("VICINITY_CRASH_FIRST", 0);
    let seeds = number("VICINITY_CRASH_SEEDS", 100);
    all_hold(first..first + seeds, 8 << 10);
}

fn all_hold(seeds: std::ops::Range<u64>, memory_limit: u64) {
    let mut failed = Vec::new();
    for seed in seeds {
        if let Err(why) = run(seed, Mutation::None, memory_limit) {
            println!("VICINITY_CRASH_FIRST={seed} VICINITY_CRASH_SEEDS=1: {why}");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "{} runs failed: {failed:?}", failed.len());
}

#[test]
fn a_run_is_the_same_every_time() {
    for seed in 0..5 {
        assert_eq!(run(seed, Mutation::None, 0), run(seed, Mutation::None, 0));
    }
}

/// Whether one of some runs fails with a mistake, and does not without.
fn is_found(mutation: Mutation) {
    let failed = (0..300)
        .find(|seed| run(*seed, mutation, 0).is_err() && run(*seed, Mutation::None, 0).is_ok());
    assert!(failed.is_some(), "{mutation:?} is not noticed");
}

#[test]
fn a_disk_that_lies_about_a_sync_is_noticed() {
    is_found(Mutation::LyingSync);
}

#[test]
fn an_acknowledgement_before_the_sync_is_noticed() {
    is_found(Mutation::EarlyAcknowledgement);
}

#[test]
fn a_rollback_to_a_savepoint_that_is_forgotten_is_noticed() {
    is_found(Mutation::ForgottenVoid);
}

#[test]
fn a_chunk_of_nobody_is_noticed() {
    is_found(Mutation::UncommittedChunk);
}

#[test]
fn a_gap_between_commits_is_noticed() {
    is_found(Mutation::MissingCommit);
}

#[test]
fn a_sequence_that_goes_back_is_noticed() {
    is_found(Mutation::ForgottenSequence);
}

#[test]
fn a_prepared_transaction_that_is_lost_is_noticed() {
    is_found(Mutation::LostPrepared);
}
