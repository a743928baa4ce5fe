//! What a plan asks of relations before it may run: the locks it holds while it does.

use vicinity_storage::{RelationLock, Transaction};
use vicinity_types::{Oid, Result};

/// A relation a plan reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The relation.
    pub relation: Oid,
    /// The lock it takes.
    pub lock: RelationLock,
}

/// All of a plan's, in the order they were met.
#[derive(Clone, Debug, Default)]
pub struct Uses(Vec<Use>);

impl Uses {
    /// Notes one.
    pub fn add(&mut self, relation: Oid, lock: RelationLock) {
        let new = Use { relation, lock };
        if !self.0.contains(&new) {
            self.0.push(new);
        }
    }

    /// Notes all of another plan's.
    pub fn extend(&mut self, other: &Uses) {
        other.0.iter().for_each(|u| self.add(u.relation, u.lock));
    }

    /// Whether it uses no relation.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the locks to the end of the transaction, waiting for each. What the plan was made for may
    /// have changed meanwhile: compare the catalog's version afterwards.
    #[inline]
    pub fn lock(&self, txn: &Transaction) -> Result<()> {
        self.0.iter().try_for_each(|u| txn.lock_relation(u.relation, u.lock))
    }

    /// The same without waiting; whether all of them were to be had.
    pub fn try_lock(&self, txn: &Transaction) -> Result<bool> {
        for u in &self.0 {
            if !txn.try_lock_relation(u.relation, u.lock)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
