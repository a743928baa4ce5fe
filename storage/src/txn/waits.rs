//! Who waits for whom: what finds deadlocks.
//!
//! All waiting is a transaction waiting for transactions: for a writer of a row to end, for holders
//! of a row or a relation to let go. So one graph of transactions is enough, whatever is waited for.

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use smallvec::SmallVec;
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::relation_lock::RelationLock;
use crate::mvcc::Xid;

/// A transaction as locks know it, whether it has an id or not: its session's place, and which of
/// the place's transactions it is.
pub(crate) type Owner = u64;

/// What stands in the way of a lock.
pub(crate) type Blockers = SmallVec<[Owner; 2]>;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The end of a transaction.
    Transaction(Xid),
    /// A lock on a relation.
    Relation(Oid, RelationLock),
    /// A lock that means nothing here.
    Advisory(AdvisoryLock),
}

/// A lock on a number of an application's, as reports name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvisoryLock {
    /// The halves of a `bigint`, or two `integer`s.
    pub key: (u32, u32),
    /// Which of them.
    pub two: bool,
    /// With others that share it.
    pub shared: bool,
}

/// Who waits.
#[derive(Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) owner: Owner,
    pub(crate) pid: i32,
    pub(crate) wanted: Wanted,
    /// Nobody has what it wants: it waits for those who stand before it in the queue.
    pub(crate) queued: bool,
}

struct Edges {
    who: Waiter,
    blockers: Blockers,
    /// It need not wait for those any more.
    passes: bool,
}

impl Edges {
    fn pass(&mut self) {
        self.passes = true;
        self.who.queued = false;
        self.blockers.clear();
    }
}

/// Everybody who waits.
#[derive(Default)]
pub(crate) struct Waits(Mutex<HashMap<Owner, Edges>>);

impl Waits {
    /// Notes who waits for whom. Where that closes a circle, somebody in it who only stands in a queue passes those
    /// before him: of several the last before who asks, as in PostgreSQL. True if that is who asks, and does not wait
    /// then. 40P01 if there is nobody.
    pub(crate) fn enter(&self, who: Waiter, blockers: &Blockers) -> Result<bool> {
        let mut waits = self.0.lock();
        loop {
            let mut circle = vec![who];
            if !leads_to(&waits, who.owner, blockers, &mut HashSet::new(), &mut circle) {
                break;
            }
            match circle.iter().rev().find(|w| w.queued) {
                Some(one) if one.owner == who.owner => return Ok(true),
                Some(one) => waits.get_mut(&one.owner).into_iter().for_each(Edges::pass),
                None => return Err(deadlock(&circle)),
            }
        }
        waits.insert(who.owner, Edges { who, blockers: blockers.clone(), passes: false });
        Ok(false)
    }

    /// Those of some processes' transactions that wait: the others keep nobody for ever.
    pub(crate) fn of_processes(&self, pids: &[i32]) -> Blockers {
        let waits = self.0.lock();
        waits.values().filter(|e| pids.contains(&e.who.pid)).map(|e| e.who.owner).collect()
    }

    /// The waiting is over. Whether it need not wait any more for those who stand before it in the queue.
    pub(crate) fn leave(&self, owner: Owner) -> bool {
        self.0.lock().remove(&owner).is_some_and(|edges| edges.passes)
    }

    /// Who waits for the ends of which transactions.
    pub(crate) fn for_transactions(&self) -> Vec<(Waiter, Xid)> {
        let waits = self.0.lock();
        let of = |who: Waiter| match who.wanted {
            Wanted::Transaction(xid) => Some((who, xid)),
            Wanted::Relation(..) | Wanted::Advisory(_) => None,
        };
        waits.values().filter_map(|e| of(e.who)).collect()
    }
}

/// Whether waiting for `from` comes to waiting for `target`; `circle` is the way there.
fn leads_to(
    waits: &HashMap<Owner, Edges>,
    target: Owner,
    from: &Blockers,
    seen: &mut HashSet<Owner>,
    circle: &mut Vec<Waiter>,
) -> bool {
    for blocker in from {
        if *blocker == target {
            return true;
        }
        let Some(edges) = waits.get(blocker).filter(|_| seen.insert(*blocker)) else { continue };
        circle.push(edges.who);
        if leads_to(waits, target, &edges.blockers, seen, circle) {
            return true;
        }
        circle.pop();
    }
    false
}

fn deadlock(circle: &[Waiter]) -> PgError {
    let mut lines = Vec::with_capacity(circle.len());
    for (i, who) in circle.iter().enumerate() {
        let next = circle.get((i + 1) % circle.len()).map_or(0, |w| w.pid);
        let wanted = match who.wanted {
            Wanted::Transaction(xid) => format!("ShareLock on transaction {xid}"),
            Wanted::Relation(oid, mode) => format!(
                "{} on relation {oid} of database {}",
                mode.name(),
                crate::catalog::model::fixed::DATABASE
            ),
            Wanted::Advisory(lock) => format!(
                "{} on advisory lock [{},{},{},{}]",
                if lock.shared { "ShareLock" } else { "ExclusiveLock" },
                crate::catalog::model::fixed::DATABASE,
                lock.key.0,
                lock.key.1,
                if lock.two { 2 } else { 1 }
            ),
        };
        lines.push(format!("Process {} waits for {wanted}; blocked by process {next}.", who.pid));
    }
    PgError::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
        .detail(lines.join("\n"))
        .hint("See server log for query details.")
}
