//! What a plan asks of relations before it may run: the locks it holds while it does, and the rights.

use std::collections::BTreeSet;
use std::sync::Arc;

use vicinity_storage::catalog::model::Privileges;
use vicinity_storage::{Catalog, RelationLock, Transaction};
use vicinity_types::{Oid, PgError, Result, oid};

use crate::authority;
use crate::exec::transaction;
use crate::session_state::SessionState;

/// A relation a plan reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The relation.
    pub relation: Oid,
    /// The lock it takes.
    pub lock: RelationLock,
    /// The rights it needs.
    pub needs: Privileges,
    /// Columns written.
    pub columns: Vec<i16>,
    /// It is read as the target of a write: rights to read count for the columns named only.
    pub written: bool,
    /// Whose rights count: of what a view reads its owner's.
    pub role: Option<Oid>,
}

impl Use {
    /// A relation that is read.
    pub fn read(relation: Oid, role: Option<Oid>) -> Use {
        Use {
            relation,
            lock: RelationLock::AccessShare,
            needs: Privileges::SELECT,
            columns: Vec::new(),
            written: false,
            role,
        }
    }

    /// A relation whose rows are locked.
    pub fn locked(relation: Oid, role: Option<Oid>) -> Use {
        let needs = Privileges::UPDATE;
        Use { lock: RelationLock::RowShare, needs, ..Use::read(relation, role) }
    }

    /// A relation that is written to.
    pub fn write(relation: Oid, needs: Privileges, columns: Vec<i16>) -> Use {
        Use { lock: RelationLock::RowExclusive, needs, columns, ..Use::read(relation, None) }
    }
}

/// All of a plan's, in the order they were met.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    list: Vec<Use>,
    /// Columns named, by relation.
    columns: BTreeSet<(Oid, i16)>,
    /// What else the text itself names, not the views it reads: users' functions that it calls, types
    /// that it casts to, the primary keys that let it leave columns out of GROUP BY.
    objects: BTreeSet<Oid>,
    refusal: Option<Arc<PgError>>,
    /// The first clause that locks rows: `FOR UPDATE`.
    row_locks: Option<&'static str>,
    /// Of a plan: what it locks, each relation once.
    locks: Vec<(Oid, RelationLock)>,
    /// Of a plan: it changes or locks rows of tables that are not temporary.
    changes: bool,
}

impl Uses {
    /// Notes one.
    pub fn add(&mut self, new: Use) {
        if !self.list.contains(&new) {
            self.list.push(new);
        }
    }

    /// Notes a clause that locks rows.
    pub fn add_row_locks(&mut self, clause: &'static str) {
        self.row_locks.get_or_insert(clause);
    }

    /// Notes that a column was named.
    pub fn add_column(&mut self, relation: Oid, number: i16) {
        if number > 0 {
            self.columns.insert((relation, number));
        }
    }

    /// Notes that a function, a type or a constraint was named.
    pub fn add_object(&mut self, object: Oid) {
        if object >= oid::FIRST_USER {
            self.objects.insert(object);
        }
    }

    /// Whether the text itself names a function, a type or a constraint.
    pub fn names(&self, object: Oid) -> bool {
        self.objects.contains(&object)
    }

    /// What was noted of a relation as if it were read is the target of a write.
    pub fn set_written(&mut self, relation: Oid) {
        let own = self.list.iter_mut().filter(|u| u.relation == relation && u.role.is_none());
        own.for_each(|u| u.written = true);
    }

    /// Notes all of another plan's.
    pub fn extend(&mut self, other: &Uses) {
        other.list.iter().for_each(|u| self.add(u.clone()));
        self.columns.extend(other.columns.iter().copied());
        self.objects.extend(&other.objects);
        self.row_locks = self.row_locks.or(other.row_locks);
    }

    /// All of them.
    pub fn list(&self) -> &[Use] {
        &self.list
    }

    /// Columns of a relation that were named.
    pub fn columns_of(&self, relation: Oid) -> impl Iterator<Item = i16> {
        self.columns.range((relation, i16::MIN)..=(relation, i16::MAX)).map(|(_, n)| *n)
    }

    /// Whether it uses no relation.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, for a plan: with what the session's role lacks ([`Uses::allowed`]), and each relation
    /// under the strongest of its locks from the first on. Taking a weak one first and waiting for the
    /// strong one would be a deadlock with whoever has a lock between the two and wants more.
    #[must_use]
    pub fn judged(mut self, catalog: &Catalog, session: &SessionState) -> Uses {
        for u in &self.list {
            match self.locks.iter_mut().find(|(relation, _)| *relation == u.relation) {
                Some((_, lock)) => *lock = u.lock.max(*lock),
                None => self.locks.push((u.relation, u.lock)),
            }
        }
        let lasting = |relation: Oid| {
            catalog.relation(relation).is_some_and(|r| r.schema != session.temp_schema())
        };
        self.changes =
            self.list.iter().any(|u| u.needs != Privileges::SELECT && lasting(u.relation));
        self.refusal = authority::refusal(catalog, session, &self).map(Arc::new);
        self
    }

    /// What comes before the plan runs: its locks, and errors if its role (42501) or the transaction (25006)
    /// must not run it. `verb`: what it is called.
    #[inline]
    pub fn begin(&self, txn: &Transaction, verb: &str) -> Result<()> {
        self.lock(txn)?;
        self.allowed()?;
        if self.changes && txn.read_only() { Err(self.read_only(verb)) } else { Ok(()) }
    }

    fn read_only(&self, verb: &str) -> PgError {
        match self.row_locks {
            Some(clause) if verb == "SELECT" => transaction::read_only(&format!("{verb} {clause}")),
            _ => transaction::read_only(verb),
        }
    }

    /// An error (42501) unless the role the plan was made for has the rights it needs.
    #[inline]
    pub fn allowed(&self) -> Result<()> {
        self.refusal.as_ref().map_or(Ok(()), |e| Err((**e).clone()))
    }

    /// Takes the locks to the end of the transaction, waiting for each. What the plan was made for may
    /// have changed meanwhile: compare the catalog's version afterwards.
    #[inline]
    pub fn lock(&self, txn: &Transaction) -> Result<()> {
        self.locks.iter().try_for_each(|(relation, lock)| txn.lock_relation(*relation, *lock))
    }

    /// How it locks a relation; one that it does not name is only read.
    pub fn lock_of(&self, relation: Oid) -> RelationLock {
        let found = self.locks.iter().find(|(of, _)| *of == relation);
        found.map_or(RelationLock::AccessShare, |(_, lock)| *lock)
    }

    /// Takes the locks without waiting; whether all of them were to be had.
    pub fn try_lock(&self, txn: &Transaction) -> Result<bool> {
        for (relation, lock) in &self.locks {
            if !txn.try_lock_relation(*relation, *lock)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
