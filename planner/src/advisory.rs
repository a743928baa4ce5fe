//! Advisory locks: numbers that applications lock, which mean nothing to the server.

use std::sync::atomic::Ordering;
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use vicinity_storage::{AdvisoryLock, Transaction, Xid};
use vicinity_types::{PgError, Result, SqlState};

use crate::session_state::SessionState;

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
    fn shown(self, shared: bool) -> AdvisoryLock {
        let (key, two) = match self {
            Key::One(key) => {
                let bits = key.cast_unsigned();
                (((bits >> 32) as u32, (bits & u64::from(u32::MAX)) as u32), false)
            }
            Key::Two(a, b) => ((a.cast_unsigned(), b.cast_unsigned()), true),
        };
        AdvisoryLock { key, two, shared }
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
    /// Those who wait.
    waiting: Mutex<Vec<Listed>>,
}

/// A lock that a process has, or waits for, as `pg_locks` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// The process; a prepared transaction's is below zero.
    pub pid: i32,
    /// What is locked.
    pub lock: AdvisoryLock,
    /// Whether it has it.
    pub granted: bool,
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
        self.waiting.lock().push(Listed { pid, lock: key.shown(how.shared), granted: false });
        let began = Instant::now();
        let outcome = loop {
            let waited =
                txn.wait_for_processes(began, key.shown(how.shared), &self.before(pid, key, how));
            match waited.and_then(|()| self.try_lock(pid, key, how)) {
                Ok(false) => {}
                done => break done.map(drop),
            }
        };
        self.waiting.lock().retain(|waiter| waiter.pid != pid);
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
        self.waiting.lock().iter().any(|waiter| waiter.pid == pid)
    }

    /// Every lock that somebody has or waits for.
    pub fn list(&self) -> Vec<Listed> {
        let mut out = self.waiting.lock().clone();
        for (key, holds) in self.held.lock().iter() {
            let of = |h: &Hold| Listed { pid: h.pid, lock: key.shown(h.shared), granted: true };
            out.extend(holds.iter().map(of));
        }
        out
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

    /// Gives back what a session's transaction has taken since it had so many: ROLLBACK TO.
    pub fn rollback_to(&self, session: &SessionState, mark: usize) {
        let mut taken = session.advisory.lock();
        if taken.len() <= mark {
            return;
        }
        let mut held = self.held.lock();
        for (key, shared) in taken.drain(mark..) {
            let Some(holds) = held.get_mut(&key) else { continue };
            let own = |h: &&mut Hold| h.pid == session.pid() && h.shared == shared;
            if let Some(hold) = holds.iter_mut().find(own) {
                hold.transaction = hold.transaction.saturating_sub(1);
            }
            holds.retain(|h| h.session + h.transaction > 0);
            if holds.is_empty() {
                held.remove(&key);
            }
        }
    }

    /// A session's transaction has ended: its locks go, or have an heir.
    #[inline]
    pub fn leave(&self, session: &SessionState, heir: Option<i32>) {
        if !session.locks_advisory.load(Ordering::Relaxed) {
            return;
        }
        session.advisory.lock().clear();
        match heir {
            Some(heir) => self.hand_over(session.pid(), heir),
            None => self.end_transaction(session.pid()),
        }
    }

    /// A prepared transaction has ended.
    pub fn end_transaction(&self, pid: i32) {
        self.release(pid, |hold| hold.transaction = 0);
    }

    /// Who has the locks of a prepared transaction: no process.
    pub fn of_prepared(xid: Xid) -> i32 {
        -1 - i32::try_from(xid & 0x3fff_ffff).unwrap_or(0)
    }

    /// The locks of a session's transaction, for [`Advisory::restore`]. An error if the session has one of them too.
    pub fn of_transaction(&self, pid: i32) -> Result<Vec<u8>> {
        let held = self.held.lock();
        let mut out = Vec::new();
        for (key, holds) in held.iter() {
            let own = || holds.iter().filter(|h| h.pid == pid);
            if own().any(|h| h.session > 0) && own().any(|h| h.transaction > 0) {
                return Err(PgError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot PREPARE while holding both session-level and transaction-level locks on \
                     the same object",
                ));
            }
            for hold in own().filter(|h| h.transaction > 0) {
                let (two, bytes) = match *key {
                    Key::One(key) => (false, key.to_le_bytes()),
                    Key::Two(a, b) => {
                        let both =
                            u64::from(a.cast_unsigned()) | u64::from(b.cast_unsigned()) << 32;
                        (true, both.to_le_bytes())
                    }
                };
                out.extend([u8::from(two), u8::from(hold.shared)]);
                out.extend(bytes);
            }
        }
        Ok(out)
    }

    /// The locks of a session's transaction are somebody else's from now on.
    fn hand_over(&self, pid: i32, to: i32) {
        let mut held = self.held.lock();
        let own = |h: &&mut Hold| h.pid == pid && h.transaction > 0;
        held.values_mut().flatten().filter(own).for_each(|hold| hold.pid = to);
    }

    /// A prepared transaction has its locks again.
    pub fn restore(&self, pid: i32, mut locks: &[u8]) {
        let mut held = self.held.lock();
        while let Some(([two, shared, key @ ..], rest)) = locks.split_first_chunk::<10>() {
            let bits = u64::from_le_bytes(*key);
            let key = match *two {
                0 => Key::One(bits.cast_signed()),
                _ => Key::Two((bits as u32).cast_signed(), ((bits >> 32) as u32).cast_signed()),
            };
            let hold = Hold { pid, shared: *shared != 0, session: 0, transaction: 1 };
            held.entry(key).or_default().push(hold);
            locks = rest;
        }
    }

    /// `pg_advisory_unlock_all`
    pub fn unlock_all(&self, pid: i32) {
        self.release(pid, |hold| hold.session = 0);
    }

    /// A session that was for one moment only has ended.
    pub fn leave_all(&self, session: &SessionState) {
        if session.locks_advisory.swap(false, Ordering::Relaxed) {
            session.advisory.lock().clear();
            self.release(session.pid(), |hold| (hold.session, hold.transaction) = (0, 0));
        }
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
    fn locks_of_prepared_transactions_are_nobodys() {
        let locks = Advisory::default();
        let how = |shared| How { shared, transaction: true };
        assert!(locks.try_lock(1, Key::One(-5), how(false)).unwrap());
        assert!(locks.try_lock(1, Key::Two(-1, 7), how(true)).unwrap());
        let kept = locks.of_transaction(1).unwrap();
        locks.hand_over(1, Advisory::of_prepared(9));
        let again = Advisory::default();
        again.restore(Advisory::of_prepared(9), &kept);
        for locks in [locks, again] {
            locks.end_transaction(1);
            assert!(!locks.try_lock(1, Key::One(-5), how(false)).unwrap());
            assert!(locks.try_lock(1, Key::Two(-1, 7), how(true)).unwrap());
            locks.end_transaction(Advisory::of_prepared(9));
            assert!(locks.try_lock(1, Key::One(-5), how(false)).unwrap());
        }
    }

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
