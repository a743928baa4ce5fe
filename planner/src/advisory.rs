//! Advisory locks: numbers that applications lock, which mean nothing to the server.

use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use vicinity_storage::{AdvisoryLock, Transaction};
use vicinity_types::{PgError, Result, SqlState};

/// What is locked: one number, or two; they never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// `(bigint)`
    One(i64),
    /// `(integer, integer)`
    Two(i32, i32),
}

/// One session's hold on a key.
#[derive(Clone, Copy, Debug)]
struct Hold {
    pid: i32,
    shared: bool,
    /// Times it was locked for the session, and for the transaction.
    session: u32,
    transaction: u32,
}

impl Key {
    /// As reports of deadlocks name it.
    fn shown(self, how: How) -> AdvisoryLock {
        let (key, two) = match self {
            Key::One(key) => {
                let bits = key.cast_unsigned();
                (((bits >> 32) as u32, (bits & u64::from(u32::MAX)) as u32), false)
            }
            Key::Two(a, b) => ((a.cast_unsigned(), b.cast_unsigned()), true),
        };
        AdvisoryLock { key, two, shared: how.shared }
    }
}

impl Hold {
    /// Whether it keeps a process from a lock.
    fn is_before(&self, pid: i32, how: How) -> bool {
        self.pid != pid && !(self.shared && how.shared)
    }
}

/// Locks held at once (invariant *bounded*).
const MOST: usize = 1 << 16;

/// All of a server's.
#[derive(Default)]
pub struct Advisory {
    held: Mutex<HashMap<Key, Vec<Hold>>>,
    /// Process ids of those who wait.
    waiting: Mutex<Vec<i32>>,
}

/// How to lock.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// With others that do too.
    pub shared: bool,
    /// Until the transaction ends.
    pub transaction: bool,
}

impl Advisory {
    /// Locks if nobody is in the way.
    pub fn try_lock(&self, pid: i32, key: Key, how: How) -> Result<bool> {
        let mut locks = self.held.lock();
        if locks.len() >= MOST && !locks.contains_key(&key) {
            return Err(PgError::new(SqlState::OUT_OF_MEMORY, "out of shared memory")
                .hint("You might need to increase max_locks_per_transaction."));
        }
        let holds = locks.entry(key).or_default();
        if holds.iter().any(|h| h.is_before(pid, how)) {
            return Ok(false);
        }
        let own = |h: &&mut Hold| h.pid == pid && h.shared == how.shared;
        let hold = match holds.iter_mut().find(own) {
            Some(hold) => hold,
            None => {
                holds.push(Hold { pid, shared: how.shared, session: 0, transaction: 0 });
                let Some(hold) = holds.last_mut() else { return Ok(false) };
                hold
            }
        };
        let count = if how.transaction { &mut hold.transaction } else { &mut hold.session };
        *count = count.saturating_add(1);
        Ok(true)
    }

    /// Locks, waiting as long as the transaction may.
    pub fn lock(&self, pid: i32, key: Key, how: How, txn: &Transaction) -> Result<()> {
        if self.try_lock(pid, key, how)? {
            return Ok(());
        }
        self.waiting.lock().push(pid);
        let began = Instant::now();
        let outcome = loop {
            let waited = txn.wait_for_processes(began, key.shown(how), &self.before(pid, key, how));
            match waited.and_then(|()| self.try_lock(pid, key, how)) {
                Ok(false) => {}
                done => break done.map(drop),
            }
        };
        self.waiting.lock().retain(|waiter| *waiter != pid);
        outcome
    }

    /// Whose locks are in the way.
    fn before(&self, pid: i32, key: Key, how: How) -> Vec<i32> {
        let locks = self.held.lock();
        let holds = locks.get(&key).into_iter().flatten();
        holds.filter(|h| h.is_before(pid, how)).map(|h| h.pid).collect()
    }

    /// Whether a process waits for a lock.
    pub fn is_waiting(&self, pid: i32) -> bool {
        self.waiting.lock().contains(&pid)
    }

    /// Gives one of the session's locks back; `false` if it has none.
    pub fn unlock(&self, pid: i32, key: Key, shared: bool) -> bool {
        let mut found = false;
        self.held.lock().retain(|k, holds| {
            if *k == key {
                let own = holds.iter_mut().find(|h| h.pid == pid && h.shared == shared);
                if let Some(hold) = own.filter(|h| h.session > 0) {
                    hold.session -= 1;
                    found = true;
                }
                holds.retain(|h| h.session + h.transaction > 0);
            }
            !holds.is_empty()
        });
        found
    }

    /// The session's transaction ends.
    pub fn end_transaction(&self, pid: i32) {
        self.release(pid, |hold| hold.transaction = 0);
    }

    /// `pg_advisory_unlock_all`
    pub fn unlock_all(&self, pid: i32) {
        self.release(pid, |hold| hold.session = 0);
    }

    fn release(&self, pid: i32, change: impl Fn(&mut Hold)) {
        self.held.lock().retain(|_, holds| {
            holds.iter_mut().filter(|h| h.pid == pid).for_each(&change);
            holds.retain(|h| h.session + h.transaction > 0);
            !holds.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sharers_go_together_and_owners_alone() {
        let locks = Advisory::default();
        let (own, shared) =
            (How { shared: false, transaction: false }, How { shared: true, transaction: false });
        let key = Key::One(1);
        assert!(locks.try_lock(1, key, shared).unwrap() && locks.try_lock(2, key, shared).unwrap());
        assert!(!locks.try_lock(1, key, own).unwrap());
        assert!(locks.unlock(2, key, true) && locks.try_lock(1, key, own).unwrap());
        assert!(!locks.try_lock(2, key, shared).unwrap());
        assert!(locks.try_lock(2, Key::Two(0, 1), own).unwrap());
        locks.unlock_all(1);
        assert!(locks.try_lock(2, key, How { shared: false, transaction: true }).unwrap());
        assert!(!locks.unlock(2, key, false));
        locks.end_transaction(2);
        assert!(locks.try_lock(1, key, own).unwrap());
    }
}
