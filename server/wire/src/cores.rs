//! The threads that serve connections, each by itself.
//!
//! A connection belongs to one thread, which reads its bytes, runs its short statements and writes
//! the answers, with a poll set of its own: no run queue is shared, nothing is stolen, and the only
//! ones who are woken are clients. Against one runtime that steals, canned answers go out up to
//! half as often again (`bench ceiling`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};

/// What the threads are made of.
#[derive(Clone, Debug)]
pub struct Threads {
    /// How many serve connections.
    pub count: usize,
    /// The stack of each, in bytes; `None`: what the system gives.
    pub stack: Option<usize>,
    /// Of each: how many statements may wait or run long beside it.
    pub blocking: usize,
}

/// A thread and the connections it has.
struct Core {
    /// Of one worker. It is not a current-thread runtime because a statement that waits must be able
    /// to leave the other connections to a spare thread (`block_in_place`).
    runtime: Runtime,
    taken: Arc<AtomicUsize>,
}

/// All of them.
pub struct Cores {
    cores: Vec<Core>,
}

impl Cores {
    /// Starts the threads.
    pub fn start(threads: &Threads) -> io::Result<Cores> {
        let start = || {
            let mut builder = Builder::new_multi_thread();
            builder
                .worker_threads(1)
                .max_blocking_threads(threads.blocking)
                .thread_name("vicinity")
                .enable_all();
            if let Some(stack) = threads.stack {
                builder.thread_stack_size(stack);
            }
            Ok(Core { runtime: builder.build()?, taken: Arc::default() })
        };
        let cores = (0..threads.count).map(|_| start()).collect::<io::Result<_>>()?;
        Ok(Cores { cores })
    }

    /// A seat with whom has the fewest connections; `None` without threads.
    pub(crate) fn seat(&self) -> Option<(Handle, Seat)> {
        let core = self.cores.iter().min_by_key(|core| core.taken.load(Ordering::Relaxed))?;
        core.taken.fetch_add(1, Ordering::Relaxed);
        Some((core.runtime.handle().clone(), Seat { taken: Arc::clone(&core.taken) }))
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        // Whoever drops them may itself be a task, which must not wait for threads to end.
        for core in self.cores.drain(..) {
            core.runtime.shutdown_background();
        }
    }
}

/// A connection's place with a core; given back when dropped.
pub(crate) struct Seat {
    taken: Arc<AtomicUsize>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
