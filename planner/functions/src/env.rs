//! What a function may ask of the statement it runs in.

use std::cell::RefCell;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_types::{Datum, Io, Oid, Result};

/// The surroundings of a call: clocks, settings, formats, names.
pub trait Env: Send + Sync {
    /// Formats and names for text input and output.
    fn io(&self) -> Io<'_>;

    /// Start of the transaction, microseconds since 2000-01-01 UTC: `now()`.
    fn transaction_time(&self) -> i64;

    /// Start of the statement: `statement_timestamp()`.
    fn statement_time(&self) -> i64;

    /// Now: `clock_timestamp()`.
    fn clock_time(&self) -> i64;

    /// Whether the statement may go on: what takes long asks now and then.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// A setting's value as `SHOW` prints it.
    fn setting(&self, name: &str) -> Option<String>;

    /// A partition and the tables it is a part of, nearest first; nothing of what is no partition.
    fn partition_ancestors(&self, table: Oid) -> Vec<Oid> {
        let _ = table;
        Vec::new()
    }

    /// Whether a hash partition (modulus and remainder) of a table has rows with this key; NULL where there is no such
    /// table.
    fn satisfies_hash_partition(
        &self,
        table: Oid,
        part: (i32, i32),
        key: &[(Oid, Datum)],
    ) -> Result<Option<bool>> {
        let _ = (table, part, key);
        Ok(None)
    }

    /// A table and its partitions: each with its parent, whether it has rows, and how deep it is.
    fn partition_tree(&self, table: Oid) -> Vec<(Oid, Option<Oid>, bool, i32)> {
        let _ = table;
        Vec::new()
    }

    /// `random()`: uniform in [0, 1).
    fn random(&self) -> f64 {
        GENERATOR.with_borrow_mut(|g| g.random())
    }

    /// `setseed()`, with a seed in [-1, 1].
    fn set_seed(&self, seed: f64) {
        GENERATOR.with_borrow_mut(|g| *g = Xoshiro256PlusPlus::seed_from_u64(seed.to_bits()));
    }
}

thread_local! {
    /// One generator a thread: no lock, and `setseed` repeats within a session's thread.
    static GENERATOR: RefCell<Xoshiro256PlusPlus> = RefCell::new(Xoshiro256PlusPlus::from_os_rng());
}
