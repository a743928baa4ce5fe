//! Sequences as a transaction has them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vicinity_types::{Oid, Result};

use super::relation_lock::RelationLock;
use super::undo::Undo;
use super::{Inner, Transaction};
use crate::catalog::model::SequenceDef;
use crate::sequence::{Sequence, SequenceState};

impl Transaction {
    /// A sequence: the transaction's own copy if it changed it, else everybody's.
    pub fn sequence(&self, oid: Oid) -> Result<Arc<Sequence>> {
        if self.has_sequences.load(Ordering::Relaxed)
            && let Some(own) = self.inner.lock().own_sequence(oid)
        {
            return Ok(own.clone());
        }
        self.place.db.sequence(oid)
    }

    /// A sequence whose values are used or set: nobody changes it until the transaction ends, and
    /// who is about to has done so.
    pub fn use_sequence(&self, oid: Oid) -> Result<Arc<Sequence>> {
        self.lock_relation(oid, RelationLock::RowExclusive)?;
        self.sequence(oid)
    }

    /// `ALTER SEQUENCE ... RESTART`, `TRUNCATE ... RESTART IDENTITY`: goes on with this value, for
    /// others when the transaction commits.
    pub fn restart_sequence(&self, oid: Oid, value: i64) -> Result<()> {
        self.lock_relation(oid, RelationLock::ShareRowExclusive)?;
        self.assign_xid()?;
        let before = self.sequence(oid)?;
        let state = SequenceState { last: value, called: false };
        let restarted = Sequence::standing_at(oid, &before.definition(), state, None);
        self.put_sequence(&mut self.inner.lock(), oid, restarted);
        Ok(())
    }

    /// A sequence is new, or has another definition and goes on where it stands.
    pub(super) fn define_sequence(&self, inner: &mut Inner, oid: Oid, def: &SequenceDef) {
        let have = inner.own_sequence(oid).cloned().or_else(|| self.place.db.sequence(oid).ok());
        let next = match have {
            Some(have) if have.definition() == *def => return,
            Some(have) => Sequence::standing_at(oid, def, have.state(), None),
            None => Sequence::new(oid, def, None),
        };
        self.put_sequence(inner, oid, next);
    }

    pub(super) fn put_sequence(&self, inner: &mut Inner, oid: Oid, sequence: Sequence) {
        let before = inner.own_sequence(oid).cloned();
        inner.sequences.retain(|(have, _)| *have != oid);
        inner.sequences.push((oid, Arc::new(sequence)));
        inner.undo.push(Undo::Sequence(oid, before));
        self.has_sequences.store(true, Ordering::Relaxed);
    }
}

impl Inner {
    fn own_sequence(&self, oid: Oid) -> Option<&Arc<Sequence>> {
        self.sequences.iter().find(|(have, _)| *have == oid).map(|(_, own)| own)
    }
}
