//! How transactions end, and when they can be forgotten.

use super::state::{FINISHED, OLD, State, Xact};
use super::{Id, Seq};

fn leave(list: &mut Vec<Id>, id: Id) {
    list.retain(|have| *have != id);
}

impl State {
    /// It has committed, visibly from `ts` on.
    pub(super) fn commit(&mut self, id: Id, ts: u64) {
        self.seq += 1;
        let seq = self.seq;
        let Some(me) = self.xacts.get_mut(&id) else { return };
        me.committed = seq;
        me.commit_ts = ts;
        me.read_only |= me.wrote.is_empty();
        if !me.declared_read_only {
            self.writable -= 1;
        }
        if ts != 0 {
            self.by_commit.insert(ts, id);
        }
        self.settle_writers(id);
        self.settle_readers(id);
        self.settle_safety(id, true);
        self.finished.push_back(id);
        self.clear();
    }

    /// It has rolled back: nobody depends on it any more.
    pub(super) fn roll_back(&mut self, id: Id) {
        let Some(me) = self.xacts.get_mut(&id) else { return };
        me.doomed = true;
        if !me.declared_read_only {
            self.writable -= 1;
        }
        self.settle_safety(id, false);
        self.forget(id);
        self.clear();
    }

    /// A READ ONLY transaction with a safe snapshot stops being watched.
    pub(super) fn leave_if_safe(&mut self, id: Id) -> bool {
        let safe = self.get(id).is_some_and(|x| x.is_safe);
        if safe {
            self.forget(id);
            self.clear();
        }
        safe
    }

    /// Of those it depends on, the committed ones are known by the first of their commits.
    fn settle_writers(&mut self, id: Id) {
        let Some(me) = self.get(id) else { return };
        let (read_only, mut earliest) = (me.read_only, Seq::from(me.old_writer && !me.read_only));
        let mut gone = Vec::new();
        for writer in &me.writers {
            let Some(w) = self.get(*writer) else { continue };
            if w.is_committed() && !read_only && (earliest == 0 || w.prepared < earliest) {
                earliest = w.prepared;
            }
            if w.is_committed() || w.seen >= self.seq {
                gone.push(*writer);
            }
        }
        for writer in gone {
            self.part(id, writer);
        }
        if let Some(me) = self.xacts.get_mut(&id) {
            me.earliest_out = earliest;
        }
    }

    /// Dependencies on it matter only of those who may still become pivots.
    fn settle_readers(&mut self, id: Id) {
        let Some(me) = self.get(id) else { return };
        let done = |r: &Xact| r.is_committed() || r.read_only;
        let gone = |reader: &&Id| self.get(**reader).is_none_or(done);
        let gone: Vec<Id> = me.readers.iter().filter(gone).copied().collect();
        for reader in gone {
            self.part(reader, id);
        }
    }

    /// Two transactions are not in a dependency any more.
    fn part(&mut self, reader: Id, writer: Id) {
        if let Some(r) = self.xacts.get_mut(&reader) {
            leave(&mut r.writers, writer);
        }
        if let Some(w) = self.xacts.get_mut(&writer) {
            leave(&mut w.readers, reader);
        }
    }

    /// Tells READ ONLY transactions what has become of a writer that could make them unsafe.
    fn settle_safety(&mut self, id: Id, committed: bool) {
        let Some(me) = self.xacts.get_mut(&id) else { return };
        let earliest = me.earliest_out;
        let harmful = committed && !me.wrote.is_empty() && earliest != 0;
        let (read_only, others) = (me.declared_read_only, std::mem::take(&mut me.possible));
        for other in others {
            let Some(x) = self.xacts.get_mut(&other) else { continue };
            leave(&mut x.possible, id);
            if read_only || x.is_unsafe {
                continue;
            }
            if harmful && earliest <= x.seen {
                x.is_unsafe = true;
                for writer in std::mem::take(&mut x.possible) {
                    if let Some(w) = self.xacts.get_mut(&writer) {
                        leave(&mut w.possible, other);
                    }
                }
            } else if x.possible.is_empty() {
                x.is_safe = true;
            }
        }
    }

    /// Forgets transactions that overlap nobody who still runs, and of those that only readers
    /// overlap what only writers could ask for.
    fn clear(&mut self) {
        let running = self.xacts.values().filter(|x| !x.is_committed());
        let (mut seen, mut ts) = (Seq::MAX, u64::MAX);
        for x in running {
            (seen, ts) = (seen.min(x.seen), ts.min(x.ts));
        }
        while let Some(first) = self.finished.front().copied() {
            if self.get(first).is_some_and(|x| x.committed > seen) {
                break;
            }
            self.finished.pop_front();
            self.forget(first);
        }
        if self.writable == 0 {
            self.clear_reads();
        }
        while self.finished.len() > FINISHED {
            self.shorten();
        }
        let through = if self.writable == 0 { self.seq } else { seen };
        if !self.old.is_empty() || self.older != 0 {
            self.old = self.old.split_off(&ts.saturating_add(1));
            if self.older <= ts {
                self.older = 0;
            }
            self.reads.forget_old(through);
        }
    }

    /// No writer runs: nobody will ask what the committed ones have read.
    fn clear_reads(&mut self) {
        let new = |id: &&Id| self.get(**id).is_some_and(|x| x.committed > self.cleared);
        let new: Vec<Id> = self.finished.iter().rev().take_while(new).copied().collect();
        self.cleared = self.seq;
        for id in new {
            let Some(x) = self.xacts.get_mut(&id) else { continue };
            let read_only = x.read_only;
            for table in std::mem::take(&mut x.reads) {
                self.reads.forget(id, table, 0);
            }
            if let Some(x) = self.xacts.get_mut(&id) {
                for reader in std::mem::take(&mut x.readers) {
                    if let Some(r) = self.xacts.get_mut(&reader) {
                        leave(&mut r.writers, id);
                    }
                }
            }
            if read_only {
                self.forget(id);
            }
        }
        self.finished.retain(|id| self.xacts.contains_key(id));
    }

    /// Keeps of the first committed transaction only what it wrote when, and that it has read.
    fn shorten(&mut self) {
        let Some(id) = self.finished.pop_front() else { return };
        let Some(me) = self.xacts.get_mut(&id) else { return };
        let (readers, writers) = (std::mem::take(&mut me.readers), std::mem::take(&mut me.writers));
        let tables = std::mem::take(&mut me.reads);
        let (committed, ts, earliest) = (me.committed, me.commit_ts, me.earliest_out);
        for reader in readers {
            if let Some(r) = self.xacts.get_mut(&reader) {
                r.old_writer = true;
                leave(&mut r.writers, id);
            }
        }
        for writer in writers {
            if let Some(w) = self.xacts.get_mut(&writer) {
                w.old_reader = true;
                leave(&mut w.readers, id);
            }
        }
        for table in tables {
            self.reads.forget(id, table, committed);
        }
        if ts != 0 {
            self.old.insert(ts, earliest);
        }
        if self.old.len() > OLD
            && let Some(middle) = self.old.keys().nth(OLD / 2).copied()
        {
            self.older = middle;
            self.old = self.old.split_off(&(middle + 1));
        }
        self.forget(id);
    }

    /// Forgets a transaction and everything about it.
    fn forget(&mut self, id: Id) {
        let Some(me) = self.xacts.remove(&id) else { return };
        for table in &me.reads {
            self.reads.forget(id, *table, 0);
        }
        for writer in &me.writers {
            if let Some(w) = self.xacts.get_mut(writer) {
                leave(&mut w.readers, id);
            }
        }
        for reader in &me.readers {
            if let Some(r) = self.xacts.get_mut(reader) {
                leave(&mut r.writers, id);
            }
        }
        for other in &me.possible {
            if let Some(x) = self.xacts.get_mut(other) {
                leave(&mut x.possible, id);
            }
        }
        if me.xid != 0 {
            self.by_xid.remove(&me.xid);
        }
        if me.commit_ts != 0 {
            self.by_commit.remove(&me.commit_ts);
        }
    }
}
