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
//! places with one that is there and would rather be here ([`Seat::look`]).
//!
//! Connections that wait for the log are woken together, by one write of it. Eight of them on one
//! thread share a write, where those of two threads take turns with the disk: as many as one thread
//! serves in little more time than the disk takes gather with one, and the others make room.

use std::io;
use std::sync::Arc;
use std::time::Duration;

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
    /// What a statement each of its connections takes that wait for the log.
    round: Duration,
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
        Some(Seat { board, core, turns, habit: Habit::New, wish: None, insisted: 0 })
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

/// Connections that wait for the log gather while a statement of each takes no longer than this: a few
/// writes of a quick disk.
const ROUND: Duration = Duration::from_micros(400);

/// What a connection was like lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Not known yet.
    New,
    /// It is heard over this CPU.
    Heard(usize),
    /// It waits for the log, after statements that take so long.
    Commits(Duration),
}

impl Habit {
    fn cpu(self) -> Option<usize> {
        if let Habit::Heard(cpu) = self { Some(cpu) } else { None }
    }

    fn work(self) -> Duration {
        if let Habit::Commits(work) = self { work } else { Duration::ZERO }
    }
}

/// A connection's place with a thread; given back when dropped.
pub(crate) struct Seat {
    board: Arc<Mutex<Board>>,
    core: usize,
    /// Those of its thread.
    turns: Arc<Turns>,
    habit: Habit,
    /// The thread it would rather be with.
    wish: Option<usize>,
    insisted: u8,
}

impl Seat {
    /// Takes note of a habit; true if the connection is to go on with another thread, whose the seat
    /// now is.
    pub(crate) fn look(&mut self, habit: Habit) -> bool {
        let board = Arc::clone(&self.board);
        let mut board = board.lock();
        self.leave(&mut board);
        self.habit = habit;
        let wish = self.better(&board);
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

    /// The thread it would rather be with: where there are more of its kind, or fewer connections by two.
    fn better(&self, board: &Board) -> Option<usize> {
        let own = board.get(self.core)?;
        let others = || board.iter().enumerate().filter(|(core, _)| *core != self.core);
        if let Habit::Commits(work) = self.habit {
            let fits = |(_, load): &(usize, &Load)| load.round + work <= ROUND;
            let most = others().filter(fits).max_by_key(|(_, load)| load.round)?;
            return (most.1.round > own.round).then_some(most.0);
        }
        let (least, load) = others().min_by_key(|(_, load)| load.taken)?;
        if load.taken + 1 < own.taken {
            return Some(least);
        }
        let cpu = self.habit.cpu()?;
        let (most, load) = others().max_by_key(|(_, load)| count(&load.heard, cpu))?;
        (count(&load.heard, cpu) > count(&own.heard, cpu)).then_some(most)
    }

    /// Who gathers may leave a thread with few. Of the others nobody gets more connections than the other has: it has
    /// fewer, this one not counted, or one to give back.
    fn may_move(&self, board: &Board, to: usize) -> bool {
        let (Some(from), Some(there)) = (board.get(self.core), board.get(to)) else { return false };
        matches!(self.habit, Habit::Commits(_))
            || there.taken < from.taken
            || there.taken <= from.taken + 1 && count(&there.wishes, self.core) > 0
    }

    /// Off the board.
    fn leave(&self, board: &mut Board) {
        if let Some(load) = board.get_mut(self.core) {
            load.taken = load.taken.saturating_sub(1);
            load.round = load.round.saturating_sub(self.habit.work());
            subtract(&mut load.heard, self.habit.cpu());
            subtract(&mut load.wishes, self.wish);
        }
    }

    fn enter(&mut self, board: &mut Board) {
        if let Some(load) = board.get_mut(self.core) {
            self.turns = Arc::clone(&load.turns);
            load.taken += 1;
            load.round += self.habit.work();
            add(&mut load.heard, self.habit.cpu());
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
                seat.look(Habit::Heard(*cpu));
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

    /// Every connection commits after statements of so many microseconds, so many times.
    fn commit(seats: &mut [Seat], micros: u64, times: usize) {
        for _ in 0..times {
            for seat in &mut *seats {
                seat.look(Habit::Commits(Duration::from_micros(micros)));
            }
        }
    }

    #[test]
    fn those_who_wait_for_the_log_gather() {
        let cores = cores(2);
        let mut seats: Vec<Seat> = (0..12).map(|_| cores.seat().unwrap()).collect();
        let (writers, readers) = seats.split_at_mut(6);
        for _ in 0..20 {
            commit(writers, 20, 1);
            hear(readers, &[1; 6], 1);
        }
        let with = writers.first().unwrap().core;
        assert!(writers.iter().all(|seat| seat.core == with));
        assert!(readers.iter().all(|seat| seat.core != with), "{:?}", taken(&cores));
        // When nobody waits any more they share the threads again.
        hear(&mut seats, &[1; 12], 20);
        assert!(taken(&cores).iter().all(|n| (5..=7).contains(n)), "{:?}", taken(&cores));
    }

    #[test]
    fn no_more_gather_than_a_thread_serves() {
        let cores = cores(2);
        let mut seats: Vec<Seat> = (0..64).map(|_| cores.seat().unwrap()).collect();
        commit(&mut seats, 20, 20);
        assert_eq!(taken(&cores), [32, 32]);
        seats.truncate(24);
        commit(&mut seats, 20, 20);
        assert_eq!(taken(&cores).iter().max(), Some(&20));
        commit(&mut seats, 500, 20);
        assert_eq!(taken(&cores).iter().sum::<usize>(), 24);
    }
}
