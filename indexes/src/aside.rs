//! Long work steps aside for short.
//!
//! Index builds, version clean-up and checkpoints keep processors busy that statements of microseconds are served on.
//! The system gives each thread a slice of some milliseconds, and who becomes ready meanwhile waits that long: a
//! hundred times what its statement takes. So such work offers its processor every half a millisecond. It goes on at once
//! where nobody waits, and costs a system call then. Not more often: who offers it has given up the rest of a slice, and
//! where all processors are busy would get next to nothing done.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a thread keeps its processor.
const KEEPS: Duration = Duration::from_micros(500);
/// Small steps between two looks at the clock.
const STEPS: u32 = 1 << 12;

thread_local! {
    static DONE: Cell<u32> = const { Cell::new(0) };
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

#[cfg(test)]
pub(crate) static ASKED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Lets threads go first that are ready and have had less of this processor, if it is time to. Not while others wait for a
/// lock.
pub fn step_aside() {
    #[cfg(test)]
    ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    if SINCE.get().is_none_or(|since| since.elapsed() >= KEEPS) {
        std::thread::yield_now();
        SINCE.set(Some(Instant::now()));
    }
}

/// Counts a step of some nanoseconds (an entry, a comparison), and steps aside after many.
#[inline]
pub fn count_step() {
    let done = DONE.get().wrapping_add(1);
    DONE.set(done);
    if done.is_multiple_of(STEPS) {
        step_aside();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::Ordering;

    use super::*;
    use crate::spatial::Entry;
    use crate::{Btree, Hnsw, HnswOptions, Points, Progress, RowId, VectorSource};

    /// At least how often something asks whether it is time; tests beside this one ask too.
    fn asked(work: impl FnOnce()) -> u64 {
        let before = ASKED.load(Ordering::Relaxed);
        work();
        ASKED.load(Ordering::Relaxed) - before
    }

    struct Rows(u64);

    impl VectorSource for Rows {
        fn len_hint(&self) -> usize {
            self.0 as usize
        }

        fn for_each(
            &self,
            f: &mut dyn FnMut(RowId, &[f32]) -> vicinity_types::Result<()>,
        ) -> vicinity_types::Result<()> {
            (0..self.0).try_for_each(|row| f(row, &[row as f32, (row * row % 1009) as f32]))
        }
    }

    #[test]
    fn steps_are_counted() {
        assert!(asked(|| (0..STEPS * 3).for_each(|_| count_step())) >= 3);
    }

    #[test]
    fn builds_step_aside() {
        let n = 200_000u64;
        let btree = || drop(Btree::bulk_load((0..n).map(|i| (i.to_be_bytes(), i))));
        assert!(asked(btree) >= n / u64::from(STEPS));
        let entry = |row: u64| Entry { at: [(row * 7919 % n) as f64, row as f64], row };
        assert!(asked(|| drop(Points::build((0..n).map(entry).collect()))) >= 60);
        let options = HnswOptions { dim: 2, ..HnswOptions::default() };
        let build = || drop(Hnsw::build(&Rows(2000), options.clone(), &Progress::new()).unwrap());
        assert!(asked(build) >= 2000);
    }
}
