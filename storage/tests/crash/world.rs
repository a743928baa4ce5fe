//! One run: rounds of random work, each ended by a crash, a killed process or a clean stop, and what was found then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_storage::disk::sim::{Fault, SimDisk};
use vicinity_storage::{Database, Options, Savepoint, Transaction};
use vicinity_types::{Oid, PgError};

use crate::check::{Verdict, check, same_sequences};
use crate::model::{Effect, Entry, State, possible};
use crate::prepared::same_prepared;
use crate::tables::Kind;
use crate::tamper::{self, Mutation};

/// An open transaction and what it has done.
pub struct Open {
    pub txn: Transaction,
    pub effects: Vec<Effect>,
    pub savepoints: Vec<(Savepoint, usize)>,
}

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The machine stops.
    Crash,
    /// The process is killed; the machine goes on.
    Kill,
    /// All is written that there is.
    Stop,
}

pub struct World {
    pub random: StdRng,
    pub disk: SimDisk,
    pub db: Arc<Database>,
    pub open: Vec<Open>,
    /// What was there when the database was opened.
    pub base: State,
    /// What happened since.
    pub entries: Vec<Entry>,
    /// What is committed now.
    pub live: State,
    /// Prepared transactions whose ROLLBACK PREPARED failed: a crash may roll them back.
    pub doubtful: BTreeSet<String>,
    pub kinds: BTreeMap<Oid, Kind>,
    pub next_oid: Oid,
    /// Most bytes of filling in a row.
    pub most_pad: u32,
    /// The disk may be full.
    pub narrow: bool,
    /// A step of the disk failed: the log is dead.
    pub down: bool,
    faulty: bool,
    segment_size: u64,
    /// Bytes of rows in memory; 0 for no limit.
    memory_limit: u64,
    mutation: Mutation,
    /// What was done and what came of it, in one number.
    pub trace: u64,
}

/// Runs a seed.
pub fn run(seed: u64, mutation: Mutation, memory_limit: u64) -> Result<u64, String> {
    let mut world = World::new(seed, mutation, memory_limit)?;
    for round in 0..world.random.random_range(2..6) {
        world.round().map_err(|why| format!("round {round}: {why}"))?;
    }
    Ok(world.trace)
}

impl World {
    fn new(seed: u64, mutation: Mutation, memory_limit: u64) -> Result<World, String> {
        let mut random = StdRng::seed_from_u64(seed);
        let disk = SimDisk::new();
        let segment_size = 1 << random.random_range(13..19);
        let options = options(segment_size, memory_limit);
        let db = Database::open_on(Arc::new(disk.clone()), options).map_err(|e| e.to_string())?;
        let most_pad = if random.random_bool(0.3) { 40_000 } else { 300 };
        let mut world = World {
            random,
            disk,
            db,
            open: Vec::new(),
            base: State::default(),
            entries: Vec::new(),
            live: State::default(),
            doubtful: BTreeSet::new(),
            kinds: BTreeMap::new(),
            next_oid: 20_000,
            most_pad,
            narrow: false,
            down: false,
            faulty: false,
            segment_size,
            memory_limit,
            mutation,
            trace: 0,
        };
        world.first_tables()?;
        Ok(world)
    }

    pub fn note(&mut self, n: u64) {
        self.trace = (self.trace ^ n).wrapping_mul(0x100_0000_01b3).rotate_left(5);
    }

    pub fn oid(&mut self) -> Oid {
        self.next_oid += 1;
        self.next_oid
    }

    fn round(&mut self) -> Verdict {
        self.arm();
        for _ in 0..self.random.random_range(5..80) {
            if self.down || self.disk.stopped() {
                break;
            }
            self.step()?;
            if self.random.random_bool(0.03) && !self.down {
                self.check_live()?;
            }
        }
        // What goes wrong before the end is told from what goes wrong at it.
        if !self.down && !self.disk.stopped() && self.random.random_bool(0.5) {
            self.check_live()?;
        }
        self.end()
    }

    /// Decides what goes wrong with the disk, if anything.
    fn arm(&mut self) {
        if self.mutation == Mutation::LyingSync {
            let steps = self.random.random_range(0..20);
            return self.disk.fault_after(steps, Fault::Lie);
        }
        let steps = match self.random.random_range(0..3) {
            0 => self.random.random_range(0..8),
            1 => self.random.random_range(0..40),
            _ => self.random.random_range(0..200),
        };
        let fault = match self.random.random_range(0..10) {
            0..5 => Fault::Stop,
            5 => Fault::Error,
            _ => return,
        };
        self.faulty = true;
        self.disk.fault_after(steps, fault);
    }

    /// What is committed and seen by others.
    fn check_live(&mut self) -> Verdict {
        let salt = self.random.random_range(0..100_000);
        let found = check(&self.db, &self.live, salt);
        // Reading brings cold rows back, and removes files that have none any more: the machine may stop there.
        if self.disk.stopped() {
            return Ok(());
        }
        found.map_err(|e| format!("before the end: {e}"))
    }

    /// An error that a statement may end with.
    pub fn tolerate(&mut self, e: &PgError) -> Verdict {
        let code = e.code();
        match code.as_str() {
            "55P03" | "23505" | "40001" | "40P01" | "42P01" | "42704" => Ok(()),
            "53100" if self.narrow => Ok(()),
            "58030" if self.faulty => {
                self.down = true;
                Ok(())
            }
            _ => Err(format!("{code}: {e}")),
        }
    }

    /// Ends the round and finds out what is left.
    fn end(&mut self) -> Verdict {
        let end = match self.random.random_range(0..10) {
            _ if self.mutation != Mutation::None => End::Crash,
            0..6 => End::Crash,
            6..9 => End::Kill,
            _ if self.disk.stopped() => End::Crash,
            _ => End::Stop,
        };
        let mut kept = Vec::new();
        let (mut sure, mut torn) = (false, false);
        if end == End::Stop {
            self.open.clear();
            match self.db.shutdown() {
                Ok(()) if !self.down => sure = true,
                Ok(()) => {}
                Err(e) => self.tolerate(&e)?,
            }
            kept.push(self.live.clone());
            torn = self.random.random_bool(0.5);
        }
        let durable = match self.mutation {
            Mutation::EarlyAcknowledgement => u64::MAX,
            _ => self.db.wal().durable(),
        };
        let seed = self.random.random();
        let image = match end {
            End::Kill => self.disk.killed(),
            End::Stop if !torn && !self.disk.stopped() => self.disk.killed(),
            _ => self.disk.crash(seed),
        };
        self.note(self.disk.steps());
        self.note(durable);
        // What runs still, runs on a machine of the past.
        self.open.clear();
        tamper::apply(self.mutation, &image);
        let first = self.recover(image)?;
        let mut states = possible(&self.base, &self.entries, durable);
        if sure && first {
            states.clear();
        }
        // The whole of it last: it is what is there most often where anything is possible.
        states.extend(kept);
        for name in std::mem::take(&mut self.doubtful) {
            let gone: Vec<State> = states.iter().filter_map(|s| s.without(&name)).collect();
            states.splice(0..0, gone);
        }
        self.compare(states).map_err(|e| format!("{end:?}: {e}"))
    }

    /// Opens what is left, though more may go wrong. Whether it was opened at the first go.
    fn recover(&mut self, mut image: SimDisk) -> Result<bool, String> {
        let mut first = true;
        loop {
            let faulty = self.mutation == Mutation::None && self.random.random_bool(0.3);
            if faulty {
                let fault = if self.random.random_bool(0.7) { Fault::Stop } else { Fault::Error };
                image.fault_after(self.random.random_range(0..12), fault);
            }
            self.narrow = self.random.random_bool(0.1);
            if self.narrow {
                image.set_room(Some(self.random.random_range(0..100_000)));
            }
            let options = options(self.segment_size, self.memory_limit);
            let opened = Database::open_on(Arc::new(image.clone()), options);
            self.note(image.steps());
            let failed = match opened {
                Ok(db) if !image.stopped() => {
                    image.clear_faults();
                    (self.db, self.disk) = (db, image);
                    (self.down, self.faulty) = (false, false);
                    return Ok(first);
                }
                Ok(_) => None,
                Err(e) => Some(e),
            };
            first = false;
            if image.stopped() {
                let seed = self.random.random();
                image = if self.random.random() { image.crash(seed) } else { image.killed() };
            } else if faulty && image.faults_happened() {
                image = image.killed();
            } else {
                return Err(format!("cannot be opened: {failed:?}"));
            }
        }
    }

    /// Finds the state that is there among those that may be.
    fn compare(&mut self, states: Vec<State>) -> Verdict {
        let salt = self.random.random_range(0..100_000);
        let mut whys = BTreeSet::new();
        let mut found: Vec<State> = Vec::new();
        let count = states.len();
        for state in states {
            let same = check(&self.db, &state, salt);
            let same = same.and_then(|()| same_sequences(&self.db, &state));
            match same.and_then(|()| same_prepared(&self.db, &state)) {
                Ok(()) => found.push(state),
                Err(why) => drop(whys.insert(why)),
            }
            // What prepared transactions will have done is not all to be seen.
            if found.first().is_some_and(|s| s.prepared.is_empty()) {
                break;
            }
        }
        self.entries.clear();
        self.settle(&mut found, salt)?;
        let Some(state) = found.into_iter().next() else {
            return Err(format!("none of {count} possible states is there: {whys:#?}"));
        };
        self.base = state;
        self.live = self.base.clone();
        Ok(())
    }

    /// Commits the prepared transactions that the states found differ in: then it is seen which of them is there.
    fn settle(&mut self, found: &mut Vec<State>, salt: u32) -> Verdict {
        let Some(first) = found.first().cloned() else { return Ok(()) };
        let differ = |name: &&String| {
            found.iter().any(|s| s.prepared.get(*name).is_some_and(|e| *e != first.prepared[*name]))
        };
        let names: Vec<String> = first.prepared.keys().filter(differ).cloned().collect();
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            match self.db.commit_prepared(&name, |_| Ok(())) {
                Ok(()) => found.iter_mut().for_each(|s| s.commit(&name)),
                Err(e) => self.tolerate(&e)?,
            }
        }
        found.retain(|state| check(&self.db, state, salt).is_ok());
        Ok(())
    }
}

/// Checkpoints are made when a step says so, and at a clean stop if they are made at all.
fn options(wal_segment_size: u64, memory_limit: u64) -> Options {
    Options {
        wal_segment_size,
        checkpoint_bytes: if wal_segment_size % 3 == 1 { 1 << 40 } else { 0 },
        checkpoint_interval: Duration::from_secs(1 << 20),
        index_image_entries: 0,
        // The log is written when somebody waits for it, and at no other time: each run of a seed is the same.
        wal_writer_delay: Duration::from_secs(1 << 20),
        vacuum: false,
        memory_limit,
        ..Options::default()
    }
}
