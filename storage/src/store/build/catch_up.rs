//! What writers changed while an index was built: they left word of it, and leave more while it is put in.
//!
//! One by one they are slower than we are, but there are many of them, and they are let by as we step aside. So they
//! are counted: one change may come for every two that are put in. Where more came, writers wait until it is so again,
//! which takes as long as twice what came in a moment. The rest gets less with every change, whatever they do.

use parking_lot::Mutex;
use vicinity_types::Result;

use super::{Source, add};
use crate::mvcc::{RowId, pin};
use crate::store::index::{Body, Entry, Keyed, Pending};
use crate::table::Table;
use crate::txn::Transaction;

/// So many writers can wait for, at the end.
const FEW: usize = 64;
/// Changes put in between two looks at what came.
const AT_ONCE: usize = 16;
/// Changes put in for each that comes, at least.
const RATIO: usize = 2;

/// The changes, in the order they were made in.
struct Changes<'a> {
    pending: &'a Mutex<Vec<Pending>>,
    /// Those taken from there that are not put in yet,
    ahead: std::vec::IntoIter<Pending>,
    /// and all that were taken from there.
    taken: usize,
}

impl Changes<'_> {
    /// The next, `None` if none are left.
    fn next(&mut self) -> Option<Pending> {
        if self.ahead.len() == 0 {
            self.ahead = std::mem::take(&mut *self.pending.lock()).into_iter();
            self.taken += self.ahead.len();
        }
        self.ahead.next()
    }

    /// How many there have been, and how many of them are left.
    fn count(&self) -> (usize, usize) {
        let waiting = self.pending.lock().len();
        (self.taken + waiting, self.ahead.len() + waiting)
    }
}

impl Source<'_> {
    /// Puts the changes in, and has the index used.
    pub(super) fn catch_up(
        &self,
        txn: &Transaction,
        table: &Table,
        pending: &Mutex<Vec<Pending>>,
        body: Body,
    ) -> Result<()> {
        let mut changes = Changes { pending, ahead: Vec::new().into_iter(), taken: 0 };
        let (before, _) = changes.count();
        loop {
            let (all, left) = changes.count();
            if left < FEW {
                break;
            }
            let put_in = all - left;
            let came = all - before;
            if came * RATIO > put_in {
                let _alone = self.store.gate.write();
                // Counted again: nobody adds anything now.
                let (all, left) = changes.count();
                let wanted = ((all - before) * RATIO).saturating_sub(all - left);
                self.put_some(txn, table, &body, &mut changes, wanted.max(AT_ONCE))?;
            } else {
                self.put_some(txn, table, &body, &mut changes, AT_ONCE)?;
            }
            self.progress.check()?;
        }
        let _alone = self.store.gate.write();
        self.put_some(txn, table, &body, &mut changes, usize::MAX)?;
        self.index.set_body(body);
        Ok(())
    }

    /// Puts the next changes in, up to so many.
    fn put_some(
        &self,
        txn: &Transaction,
        table: &Table,
        body: &Body,
        changes: &mut Changes<'_>,
        at_most: usize,
    ) -> Result<()> {
        for _ in 0..at_most {
            match changes.next() {
                Some(change) => self.put(txn, table, body, change)?,
                None => break,
            }
        }
        Ok(())
    }

    fn put(&self, txn: &Transaction, table: &Table, body: &Body, change: Pending) -> Result<()> {
        match change {
            Pending::Add(row, entry) => {
                if self.index.unique
                    && let Some(bytes) = self.taken(body, row, &entry)?
                {
                    return Err(table.cannot_be_unique(txn, self.index.oid, &bytes));
                }
                add(body, row, &entry)?;
            }
            Pending::Remove(row, entry) => match (body, &entry) {
                (Body::Btree(b), Entry::Key(k)) => {
                    b.remove(k, row);
                }
                (Body::Vector(v), Entry::Vector(x)) => {
                    v.remove(row, x);
                }
                (body, Entry::Place(place)) => place.remove(body, row),
                _ => {}
            },
        }
        Ok(())
    }

    /// The tuple of another living row with the key a writer added meanwhile.
    fn taken(&self, body: &Body, me: RowId, entry: &Entry) -> Result<Option<Vec<u8>>> {
        let (Body::Btree(btree), Entry::Key(key)) = (body, entry) else { return Ok(None) };
        let guard = pin();
        let mut theirs = Vec::new();
        // A row that is gone or has moved on since does not count, nor do NULLs.
        let mut with_key = |row: RowId| -> Result<_> {
            let head = self.store.rows.head(row, &guard)?;
            let Some(head) = head.filter(|head| !head.is_tombstone()) else { return Ok(None) };
            let counts = match self.index.key(&self.layout, head.bytes(), &mut theirs)? {
                Keyed::Absent => false,
                Keyed::WithNull => self.index.nulls_not_distinct,
                Keyed::Whole => true,
            };
            Ok((counts && theirs == *key).then_some(head))
        };
        if with_key(me)?.is_none() {
            return Ok(None);
        }
        let mut found = Ok(None);
        btree.get(key, |row| {
            if row != me {
                found = with_key(row).map(|head| head.map(|head| head.bytes().to_vec()));
            }
            matches!(found, Ok(None))
        });
        found
    }
}
