//! Dependencies between transactions, and the dangerous structures they make.

use vicinity_types::Oid;

use super::reads::Changed;
use super::state::{State, Xact};
use super::{Id, Reason, Seq};
use crate::mvcc::{RowId, Xid};

type Outcome = Result<(), Reason>;

fn doomed(x: &Xact) -> Outcome {
    let why = || "Canceled on identification as a pivot, during conflict out checking.".to_owned();
    if x.doomed { Err(x.why.clone().unwrap_or_else(why)) } else { Ok(()) }
}

impl State {
    /// A reader passes by a version whose writer, `xid`, still runs.
    pub(super) fn read_beside(&mut self, id: Id, ts: u64, xid: Xid) -> Outcome {
        match self.by_xid.get(&xid).copied() {
            Some(writer) => self.read_past(id, ts, writer),
            None => Ok(()),
        }
    }

    /// A reader passes by a version that was committed at `commit`, after its snapshot.
    pub(super) fn read_before(&mut self, id: Id, ts: u64, commit: u64) -> Outcome {
        match self.by_commit.get(&commit).copied() {
            Some(writer) => self.read_past(id, ts, writer),
            None => self.read_before_old(id, ts, commit),
        }
    }

    /// The same of a writer that is not known in full any more.
    fn read_before_old(&mut self, id: Id, ts: u64, commit: u64) -> Outcome {
        let earliest_out = match self.old.get(&commit) {
            Some(earliest) => *earliest,
            // Perhaps not watched, perhaps forgotten.
            None if commit <= self.older => 1,
            None => return Ok(()),
        };
        let Some(me) = self.xacts.get_mut(&id).filter(|me| me.ts == ts && !me.is_safe) else {
            return Ok(());
        };
        doomed(me)?;
        if earliest_out != 0 && (!me.read_only || earliest_out <= me.seen) {
            return Err("Canceled on conflict out to old pivot.".to_owned());
        }
        if me.old_reader || !me.readers.is_empty() {
            return Err(
                "Canceled on identification as a pivot, with conflict out to old committed \
                        transaction."
                    .to_owned(),
            );
        }
        me.old_writer = true;
        Ok(())
    }

    /// A reader with the snapshot `ts` passes by a version of `writer`'s.
    fn read_past(&mut self, id: Id, ts: u64, writer: Id) -> Outcome {
        let Some(me) = self.get(id).filter(|me| me.ts == ts && !me.is_safe) else { return Ok(()) };
        doomed(me)?;
        let Some(w) = self.get(writer).filter(|w| writer != id && !w.doomed) else { return Ok(()) };
        if w.old_writer {
            // What it depends on committed first, and nobody knows when that was.
            if w.is_prepared() {
                return Err("Canceled on conflict out to old pivot.".to_owned());
            }
            self.doom(writer, None);
            return Ok(());
        }
        // Who only reads depends on a committed writer only if that one depended on somebody who had
        // committed before the snapshot.
        let harmless = w.earliest_out == 0 || me.seen < w.earliest_out;
        if me.read_only && w.is_committed() && harmless || me.writers.contains(&writer) {
            return Ok(());
        }
        self.depend(id, writer, id)
    }

    /// Those who overlap and wrote to a table, for a scan that may not meet all their rows.
    pub(super) fn read_table(&mut self, id: Id, table: Oid) -> Outcome {
        let Some(me) = self.get(id) else { return Ok(()) };
        let ts = me.ts;
        let overlaps = |x: &Xact| !x.is_committed() || x.commit_ts > ts;
        let wrote = self.xacts.iter().filter(|(_, x)| x.wrote.contains(&table) && overlaps(x));
        let writers: Vec<Id> = wrote.map(|(writer, _)| *writer).filter(|w| *w != id).collect();
        writers.into_iter().try_for_each(|writer| self.read_past(id, ts, writer))
    }

    /// A row is written: all who have read it, and overlap, depend on the writer.
    pub(super) fn write(
        &mut self,
        id: Id,
        table: Oid,
        row: Option<RowId>,
        entries: &[Changed],
    ) -> Outcome {
        let found = self.reads.find(table, row, entries);
        self.written(id, table, &found.readers, found.old)
    }

    /// All rows of a table are written.
    pub(super) fn write_all(&mut self, id: Id, table: Oid) -> Outcome {
        let found = self.reads.of_table(table);
        self.written(id, table, &found.readers, found.old)
    }

    fn written(&mut self, id: Id, table: Oid, readers: &[Id], old: Seq) -> Outcome {
        let Some(me) = self.xacts.get_mut(&id) else { return Ok(()) };
        if me.doomed {
            let why = "Canceled on identification as a pivot, during conflict in checking.";
            return Err(me.why.clone().unwrap_or_else(|| why.to_owned()));
        }
        if !me.wrote.contains(&table) {
            me.wrote.push(table);
        }
        let seen = me.seen;
        if old > seen && !me.old_reader {
            self.depend_old_reader(id, old)?;
        }
        for reader in readers {
            let Some(r) = self.get(*reader).filter(|_| *reader != id) else { continue };
            let overlaps = !r.is_committed() || r.committed > seen;
            if !r.doomed && overlaps && !r.writers.contains(&id) {
                self.depend(*reader, id, id)?;
            }
        }
        Ok(())
    }

    /// Notes that `reader` has read what `writer` wrote, unless that makes a dangerous structure of
    /// which `me`, one of the two, has to be cancelled.
    fn depend(&mut self, reader: Id, writer: Id, me: Id) -> Outcome {
        if self.is_dangerous(reader, writer) {
            self.resolve(writer, me)?;
        }
        if let Some(r) = self.xacts.get_mut(&reader) {
            r.writers.push(writer);
        }
        if let Some(w) = self.xacts.get_mut(&writer) {
            w.readers.push(reader);
        }
        Ok(())
    }

    /// The same, where the reader is one of those that are not known in full any more.
    fn depend_old_reader(&mut self, writer: Id, old: Seq) -> Outcome {
        let Some(w) = self.get(writer) else { return Ok(()) };
        // Who has committed before the reader is not known in full any more either, as a rule.
        let first = |t: &Xact| t.is_prepared() && t.prepared <= old;
        if w.old_writer || w.writers.iter().filter_map(|id| self.get(*id)).any(first) {
            self.resolve(writer, writer)?;
        }
        if let Some(w) = self.xacts.get_mut(&writer) {
            w.old_reader = true;
        }
        Ok(())
    }

    /// Cancels the writer of a new dependency, or `me` where that is too late.
    fn resolve(&mut self, writer: Id, me: Id) -> Outcome {
        if writer == me {
            return Err("Canceled on identification as a pivot, during write.".to_owned());
        }
        let Some(w) = self.get(writer) else { return Ok(()) };
        if w.is_prepared() {
            let xid = w.xid;
            return Err(format!("Canceled on conflict out to pivot {xid}, during read."));
        }
        self.doom(writer, None);
        Ok(())
    }

    /// Whether a dependency makes a structure that may be part of a circle.
    fn is_dangerous(&self, reader: Id, writer: Id) -> bool {
        let (Some(r), Some(w)) = (self.get(reader), self.get(writer)) else { return false };
        self.writer_is_pivot(r, w) || self.reader_is_pivot(r, w)
    }

    /// `r -> w -> t`, of which t has committed, or will, before both others, and before r's snapshot if
    /// r only reads.
    fn writer_is_pivot(&self, r: &Xact, w: &Xact) -> bool {
        if w.old_writer || (w.is_committed() && w.earliest_out != 0) {
            return true;
        }
        w.writers.iter().filter_map(|id| self.get(*id)).any(|t| {
            t.is_prepared()
                && (!r.is_committed() || t.prepared <= r.committed)
                && (!w.is_committed() || t.prepared <= w.committed)
                && (!r.read_only || t.prepared <= r.seen)
        })
    }

    /// `t -> r -> w`, of which w has committed, or will, before t has, and before t's snapshot if t
    /// only reads.
    fn reader_is_pivot(&self, r: &Xact, w: &Xact) -> bool {
        if !w.is_prepared() || r.read_only {
            return false;
        }
        let from = |t: &Xact| {
            !t.doomed
                && (!t.is_committed() || t.committed >= w.prepared)
                && (!t.read_only || t.seen >= w.prepared)
        };
        r.old_reader || r.readers.iter().filter_map(|id| self.get(*id)).any(from)
    }

    /// A transaction wants to commit: it is the first of any dangerous structure that ends in it, so
    /// the pivots are cancelled.
    pub(super) fn prepare(&mut self, id: Id) -> Outcome {
        let Some(me) = self.get(id) else { return Ok(()) };
        if me.doomed {
            return Err(self.why(id, "during commit attempt"));
        }
        let mut pivots = Vec::new();
        for near in &me.readers {
            let Some(pivot) = self.get(*near).filter(|p| !p.is_committed() && !p.doomed) else {
                continue;
            };
            let counts = |far: &Id| {
                let runs = |x: &Xact| !x.is_committed() && !x.read_only && !x.doomed;
                *far == id || self.get(*far).is_some_and(runs)
            };
            if !pivot.readers.iter().any(counts) {
                continue;
            }
            if pivot.is_prepared() {
                let why = "Canceled on commit attempt with conflict in from prepared pivot.";
                return Err(why.to_owned());
            }
            pivots.push(*near);
        }
        for pivot in pivots {
            self.doom(pivot, None);
        }
        self.seq += 1;
        let seq = self.seq;
        if let Some(me) = self.xacts.get_mut(&id) {
            me.prepared = seq;
        }
        Ok(())
    }
}
