//! Short statements first: what the connections of one thread have of it.
//!
//! A thread runs one statement after the other. Where some take a few microseconds and some fifty,
//! clients that wait for each answer would all be served equally often, the short ones at the pace
//! of the long ones. So a long one lets by who is ready, and between two long ones everybody short
//! who has become ready meanwhile gets a turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::yield_now;

/// Statements that take longer are long.
const LONG: Duration = Duration::from_micros(20);
/// After so many long statements without a short one nobody is let by.
const LATELY: usize = 32;
/// Others may be first so many times.
const PATIENCE: usize = 8;

/// The turns of one thread.
#[derive(Default)]
pub(crate) struct Turns {
    /// Long statements so far.
    long: AtomicUsize,
    /// Long statements since the last short one.
    alone: AtomicUsize,
}

impl Turns {
    /// A short statement's turn is now.
    pub(crate) fn short(&self) {
        if self.alone.load(Ordering::Relaxed) > 0 {
            self.alone.store(0, Ordering::Relaxed);
        }
    }

    /// Waits for a long statement's turn.
    pub(crate) async fn long(&self) {
        if self.alone.fetch_add(1, Ordering::Relaxed) < LATELY {
            for _ in 0..PATIENCE {
                let before = self.long.load(Ordering::Relaxed);
                // Who yields runs again when the sockets have been asked, but it may be before those
                // who were found ready; the second time it is behind them.
                yield_now().await;
                yield_now().await;
                if self.long.load(Ordering::Relaxed) == before {
                    break;
                }
            }
        }
        self.long.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long the statements of a connection take: as its last ones did.
#[derive(Default)]
pub(crate) struct Pace {
    last: Duration,
    before: Duration,
}

impl Pace {
    pub(crate) fn is_long(&self) -> bool {
        self.time() > LONG
    }

    /// What the last ones took.
    pub(crate) fn time(&self) -> Duration {
        self.last.min(self.before)
    }

    /// What a client asked for took so long. One that waited for the CPU is not taken for a long one:
    /// it takes two in a row.
    pub(crate) fn took(&mut self, time: Duration) {
        (self.before, self.last) = (self.last, time);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn one_slow_statement_makes_no_slow_connection() {
        let mut pace = Pace::default();
        for (micros, is_long) in [(5, false), (900, false), (6, false), (50, false), (60, true)] {
            pace.took(Duration::from_micros(micros));
            assert_eq!(pace.is_long(), is_long);
        }
    }

    /// On one thread, as connections are: between two long ones every short one has a turn, and all
    /// long ones come to theirs.
    #[test]
    fn short_ones_run_between_long_ones() {
        let log = RefCell::new(Vec::new());
        let turns = Turns::default();
        let long = |name| {
            let (turns, log) = (&turns, &log);
            async move {
                for _ in 0..10 {
                    turns.long().await;
                    log.borrow_mut().push(name);
                    yield_now().await;
                }
            }
        };
        let short = async {
            for _ in 0..200 {
                turns.short();
                log.borrow_mut().push('s');
                yield_now().await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { tokio::join!(long('a'), long('b'), long('c'), short) });
        let log: String = log.into_inner().into_iter().collect();
        let busy = log.trim_end_matches('s');
        for name in ['a', 'b', 'c'] {
            assert_eq!(busy.matches(name).count(), 10, "{log}");
        }
        for (one, other) in busy.chars().zip(busy.chars().skip(1)) {
            assert!(one == 's' || other == 's', "{log}");
        }
    }
}
