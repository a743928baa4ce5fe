//! Random transactions on threads, and a judge of what they saw (Adya's phenomena, found as Elle does it).
//!
//! Every key holds the list of the numbers that were appended to it, each number once in a run, so that a list read says
//! who wrote the key and in which order. From that follow the dependencies between transactions: who wrote behind whom
//! (ww), who read whose version (wr), who read a version that another replaced (rw). A level of isolation is a set of
//! cycles that there must not be. `VICINITY_HISTORIES` says how many runs of each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod graph;
mod run;

use graph::{Phenomenon, judge};
use run::history;
use vicinity_storage::Isolation;

fn runs() -> u64 {
    std::env::var("VICINITY_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

/// The phenomena in some histories at a level; none may be among those it excludes.
fn check(isolation: Isolation, excluded: &[Phenomenon]) -> Vec<Phenomenon> {
    let mut met = Vec::new();
    for seed in 0..runs() {
        let history = history(seed, isolation);
        let committed = history.iter().filter(|t| t.committed).count();
        assert!(committed > 50, "seed {seed}: only {committed} of {} committed", history.len());
        for (phenomenon, why) in judge(&history) {
            assert!(
                !excluded.contains(&phenomenon),
                "seed {seed}, {isolation:?}: {phenomenon:?}: {why}"
            );
            met.push(phenomenon);
        }
    }
    met
}

use Phenomenon::*;

#[test]
fn read_committed_sees_what_is_committed() {
    let met = check(
        Isolation::ReadCommitted,
        &[LostUpdate, AbortedRead, IntermediateRead, Internal, G0, G1c],
    );
    assert!(met.contains(&GSingle), "the judge has eyes: read skew is there to be found");
}

#[test]
fn repeatable_read_is_a_snapshot() {
    let excluded =
        [LostUpdate, AbortedRead, IntermediateRead, Internal, NonRepeatable, G0, G1c, GSingle];
    let met = check(Isolation::RepeatableRead, &excluded);
    assert!(met.contains(&G2), "the judge has eyes: write skew is there to be found");
}

#[test]
fn serializable_is_as_if_one_behind_the_other() {
    check(
        Isolation::Serializable,
        &[LostUpdate, AbortedRead, IntermediateRead, Internal, NonRepeatable, G0, G1c, GSingle, G2],
    );
}
