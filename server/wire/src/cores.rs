//! The threads that serve connections, each by itself.
//!
//! A connection belongs to one thread, which reads its bytes, runs its short statements and writes
//! the answers, with a poll set of its own: no run queue is shared, nothing is stolen, and the only
//! ones who are woken are clients. Against one runtime that steals, canned answers go out up to
//! half as often again (`bench ceiling`).
//!
//! Connections whose bytes come in over the same CPU (one thread of a client's, one queue of a
//! network card) are best served together: one wake-up brings the requests of all of them, and one
//! answers them all. So a connection that finds more of its kind with another thread changes
//! places with one that is there and would rather be here ([`Seat::heard`]).

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::turns::Turns;

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

/// All of them.
pub struct Cores {
    /// Each of one worker. It is not a current-thread runtime because a statement that waits must be
    /// able to leave the other connections to a spare thread (`block_in_place`).
    runtimes: Vec<Runtime>,
    board: Arc<Mutex<Board>>,
}

/// Who is where.
type Board = Vec<Load>;

/// What one thread has.
#[derive(Default)]
struct Load {
    taken: usize,
    /// Connections last heard over a CPU, by CPU.
    heard: Vec<usize>,
    /// Connections that would rather be with another thread, by thread.
    wishes: Vec<usize>,
    turns: Arc<Turns>,
}

fn change(counts: &mut Vec<usize>, at: usize, by: impl FnOnce(usize) -> usize) {
    if counts.len() <= at {
        counts.resize(at + 1, 0);
    }
    if let Some(count) = counts.get_mut(at) {
        *count = by(*count);
    }
}

fn add(counts: &mut Vec<usize>, at: Option<usize>) {
    if let Some(at) = at {
        change(counts, at, |n| n + 1);
    }
}

fn subtract(counts: &mut Vec<usize>, at: Option<usize>) {
    if let Some(at) = at {
        change(counts, at, |n| n.saturating_sub(1));
    }
}

fn count(counts: &[usize], at: usize) -> usize {
    counts.get(at).copied().unwrap_or(0)
}

impl Cores {
    /// Starts the threads.
    pub fn start(threads: &Threads) -> io::Result<Cores> {
        let start = |_| {
            let mut builder = Builder::new_multi_thread();
            builder
                .worker_threads(1)
                .max_blocking_threads(threads.blocking)
                .thread_name("vicinity")
                .enable_all();
            if let Some(stack) = threads.stack {
                builder.thread_stack_size(stack);
                builder.on_thread_start(move || vicinity_types::stack::begins(stack));
            }
            builder.build()
        };
        let runtimes = (0..threads.count).map(start).collect::<io::Result<_>>()?;
        let board = (0..threads.count).map(|_| Load::default()).collect();
        Ok(Cores { runtimes, board: Arc::new(Mutex::new(board)) })
    }

    /// A seat with whom has the fewest connections; `None` without threads.
    pub(crate) fn seat(&self) -> Option<Seat> {
        let mut board = self.board.lock();
        let (core, load) = board.iter_mut().enumerate().min_by_key(|(_, load)| load.taken)?;
        load.taken += 1;
        let (board, turns) = (Arc::clone(&self.board), Arc::clone(&load.turns));
        Some(Seat { board, core, turns, heard: None, wish: None, insisted: 0 })
    }

    /// The thread of a seat.
    pub(crate) fn thread(&self, seat: &Seat) -> Option<&Handle> {
        self.runtimes.get(seat.core).map(Runtime::handle)
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        // Whoever drops them may itself be a task, which must not wait for threads to end.
        for runtime in self.runtimes.drain(..) {
            runtime.shutdown_background();
        }
    }
}

/// So often in a row a connection must find others of its kind elsewhere before it leaves: clients
/// change CPUs too, and not all their connections are heard of at once.
const INSIST: u8 = 3;

/// A connection's place with a thread; given back when dropped.
pub(crate) struct Seat {
    board: Arc<Mutex<Board>>,
    core: usize,
    /// Those of its thread.
    turns: Arc<Turns>,
    /// The CPU it was last heard over.
    heard: Option<usize>,
    /// The thread it would rather be with.
    wish: Option<usize>,
    insisted: u8,
}

impl Seat {
    /// Takes note of the CPU the client's bytes come in over; true if the connection is to go on
    /// with another thread, whose the seat now is. Nobody gets more connections by that than the
    /// other has.
    pub(crate) fn heard(&mut self, cpu: usize) -> bool {
        let board = Arc::clone(&self.board);
        let mut board = board.lock();
        self.leave(&mut board);
        self.heard = Some(cpu);
        let own = board.get(self.core).map_or(0, |load| count(&load.heard, cpu));
        let most = board.iter().enumerate().max_by_key(|(_, load)| count(&load.heard, cpu));
        let better =
            most.filter(|(core, load)| *core != self.core && count(&load.heard, cpu) > own);
        let wish = better.map(|(core, _)| core);
        self.insisted = if wish == self.wish { self.insisted.saturating_add(1) } else { 0 };
        self.wish = wish;
        let moves = wish.filter(|to| self.insisted >= INSIST && self.may_move(&board, *to));
        if let Some(to) = moves {
            (self.core, self.wish, self.insisted) = (to, None, 0);
        }
        self.enter(&mut board);
        moves.is_some()
    }

    /// The turns of its thread.
    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Whether the other thread has fewer connections, this one not counted, or one to give back.
    fn may_move(&self, board: &Board, to: usize) -> bool {
        let (Some(from), Some(there)) = (board.get(self.core), board.get(to)) else { return false };
        there.taken < from.taken
            || there.taken <= from.taken + 1 && count(&there.wishes, self.core) > 0
    }

    /// Off the board.
    fn leave(&self, board: &mut Board) {
        if let Some(load) = board.get_mut(self.core) {
            load.taken = load.taken.saturating_sub(1);
            subtract(&mut load.heard, self.heard);
            subtract(&mut load.wishes, self.wish);
        }
    }

    fn enter(&mut self, board: &mut Board) {
        if let Some(load) = board.get_mut(self.core) {
            self.turns = Arc::clone(&load.turns);
            load.taken += 1;
            add(&mut load.heard, self.heard);
            add(&mut load.wishes, self.wish);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let board = Arc::clone(&self.board);
        self.leave(&mut board.lock());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cores(count: usize) -> Cores {
        Cores::start(&Threads { count, stack: None, blocking: 1 }).unwrap()
    }

    fn taken(cores: &Cores) -> Vec<usize> {
        cores.board.lock().iter().map(|load| load.taken).collect()
    }

    /// Every connection is heard so many times over the CPU of its number.
    fn hear(seats: &mut [Seat], cpus: &[usize], times: usize) {
        for _ in 0..times {
            for (seat, cpu) in seats.iter_mut().zip(cpus) {
                seat.heard(*cpu);
            }
        }
    }

    #[test]
    fn connections_over_one_cpu_come_together() {
        for cpus in [[0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 1, 1, 0, 1, 0, 0], [5, 5, 5, 2, 2, 5, 2, 2]] {
            let cores = cores(2);
            let mut seats: Vec<Seat> = cpus.iter().map(|_| cores.seat().unwrap()).collect();
            hear(&mut seats, &cpus, 20);
            assert_eq!(taken(&cores), [4, 4]);
            for (seat, cpu) in seats.iter().zip(cpus) {
                for (other, its) in seats.iter().zip(cpus) {
                    assert_eq!(seat.core == other.core, cpu == its, "{cpus:?}");
                }
            }
        }
    }

    #[test]
    fn threads_keep_their_share() {
        let cores = cores(3);
        let mut seats: Vec<Seat> = (0..9).map(|_| cores.seat().unwrap()).collect();
        hear(&mut seats, &[7; 9], 20);
        assert!(taken(&cores).iter().all(|n| (2..=4).contains(n)), "{:?}", taken(&cores));
        drop(seats);
        assert_eq!(taken(&cores), [0, 0, 0]);
        assert!(
            cores.board.lock().iter().all(|l| l.heard.iter().chain(&l.wishes).all(|n| *n == 0))
        );
    }
}
