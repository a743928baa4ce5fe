//! Random statements.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use vicinity_storage::catalog::model::Persistence;
use vicinity_storage::{
    Insert, Isolation, KeyRange, ObjectKind, Progress, RelationLock, Table, Transaction, Write, pin,
};
use vicinity_types::{Datum, Oid, Result};

use crate::check::Verdict;
use crate::common::sequence_object;
use crate::model::{Effect, Entry};
use crate::tables::{Content, KINDS, Kind, new_index, new_table};
use crate::world::{Open, World};

impl World {
    /// Tables that every run begins with.
    pub fn first_tables(&mut self) -> Verdict {
        self.begin()?;
        for _ in 0..2 {
            self.create_table(0)?;
        }
        for _ in 0..3 {
            self.create_index(0)?;
        }
        self.create_sequence(0)?;
        self.commit(0)?;
        self.flush()
    }

    pub fn step(&mut self) -> Verdict {
        if self.open.is_empty() {
            self.begin()?;
        }
        let i = self.random.random_range(0..self.open.len());
        let what = self.random.random_range(0..210);
        self.note(what);
        match what {
            0..12 if self.open.len() < 4 => self.begin(),
            0..45 => self.insert(i),
            45..60 => self.upsert(i),
            60..66 => self.bulk(i),
            66..90 => self.update(i),
            90..97 => self.update_key(i),
            97..107 => self.delete(i),
            107..109 => self.update_all(i),
            109..118 => self.savepoint(i),
            118..126 => self.rollback_to(i),
            126..150 => self.commit(i),
            150..155 => {
                drop(self.open.swap_remove(i));
                Ok(())
            }
            155..160 => self.checkpoint(),
            160..163 => self.flush(),
            163..171 => self.nextval(i),
            171..173 => self.restart(i),
            173..175 => self.create_sequence(i),
            175..176 => self.drop_sequence(i),
            176..179 => self.create_table(i),
            179..181 => self.drop_table(i),
            181..184 => self.truncate(i),
            184..189 => self.create_index(i),
            189..191 => self.drop_index(i),
            191..194 => {
                self.db.vacuum_step();
                Ok(())
            }
            194..196 if !self.narrow => {
                self.narrow = true;
                let room = self.random.random_range(0..400_000);
                self.disk.set_room(Some(room));
                Ok(())
            }
            194..198 => {
                self.narrow = false;
                self.disk.set_room(None);
                Ok(())
            }
            198..199 => self.sweep(),
            199..200 => self.flush(),
            200..204 => self.prepare(i),
            204..208 => self.commit_prepared(),
            _ => self.rollback_prepared(),
        }
    }

    fn begin(&mut self) -> Verdict {
        let levels = [Isolation::ReadCommitted, Isolation::RepeatableRead];
        let isolation = levels[self.random.random_range(0..2)];
        let txn = self.db.begin(isolation, false).map_err(|e| e.to_string())?;
        txn.set_lock_timeout(Some(Duration::ZERO));
        self.open.push(Open { txn, effects: Vec::new(), savepoints: Vec::new() });
        Ok(())
    }

    /// Runs a statement; an error takes it back, as the session above would.
    fn statement(
        &mut self,
        i: usize,
        work: impl FnOnce(&Transaction, &mut Vec<Effect>) -> Result<()>,
    ) -> Verdict {
        let open = &mut self.open[i];
        let before = open.txn.savepoint();
        let mut effects = Vec::new();
        let Err(e) = work(&open.txn, &mut effects) else {
            open.effects.extend(effects);
            return Ok(());
        };
        let back = open.txn.rollback_to(&before);
        self.note(u64::from(e.code().0[4]));
        self.tolerate(&e)?;
        back.or_else(|e| self.tolerate(&e))
    }

    fn content(&mut self) -> Content {
        let most = if self.random.random_bool(0.2) { self.most_pad } else { 40 };
        let pad = self.random.random_range(0..most);
        Content { v: self.random.random_range(0..4000), pad }
    }

    fn id(&mut self) -> i32 {
        self.random.random_range(0..40)
    }

    /// The tables there are for a transaction, oldest first.
    fn tables(&self, i: usize) -> Vec<Oid> {
        let catalog = self.open[i].txn.catalog();
        let mut all: Vec<Oid> =
            catalog.relations().filter(|r| r.table().is_some()).map(|r| r.oid).collect();
        all.sort_unstable();
        all
    }

    fn any(&mut self, all: &[Oid]) -> Option<Oid> {
        if all.is_empty() {
            return None;
        }
        Some(all[self.random.random_range(0..all.len())])
    }

    fn any_table(&mut self, i: usize) -> Option<Oid> {
        let all = self.tables(i);
        self.any(&all)
    }

    fn insert(&mut self, i: usize) -> Verdict {
        let Some(oid) = self.any_table(i) else { return Ok(()) };
        let (id, content) = (self.id(), self.content());
        self.statement(i, |txn, effects| {
            txn.snapshot();
            open_table(txn, oid)?.insert(txn, &content.row(id))?;
            effects.push(Effect::Set(oid, id, Some(content)));
            Ok(())
        })
    }

    fn upsert(&mut self, i: usize) -> Verdict {
        let Some(oid) = self.any_table(i) else { return Ok(()) };
        let (id, content) = (self.id(), self.content());
        let pk = oid + 1;
        self.statement(i, |txn, effects| {
            let t = open_table(txn, oid)?;
            txn.snapshot();
            let done = match t.insert_unless_conflict(txn, &content.row(id), &[pk])? {
                Insert::Inserted(_) => true,
                Insert::Conflict(row) => {
                    let s = txn.snapshot();
                    t.update(txn, &s, row, &content.row(id))? == Write::Done
                }
            };
            if done {
                effects.push(Effect::Set(oid, id, Some(content)));
            }
            Ok(())
        })
    }

    /// Many rows, often long ones: parts of the transaction go to the log before it ends.
    /// Some end at a key that is there already, and all of it is taken back.
    fn bulk(&mut self, i: usize) -> Verdict {
        let Some(oid) = self.any_table(i) else { return Ok(()) };
        let fails = self.random.random_bool(0.3);
        let count = self.random.random_range(1..25);
        let rows: Vec<(i32, Content)> = (0..count)
            .map(|_| {
                let pad = self.random.random_range(0..self.most_pad);
                (self.random.random_range(100..200), Content { pad, ..self.content() })
            })
            .collect();
        self.statement(i, |txn, effects| {
            let t = open_table(txn, oid)?;
            txn.snapshot();
            for &(id, content) in &rows {
                if let Insert::Inserted(_) = t.insert_unless_conflict(txn, &content.row(id), &[])? {
                    effects.push(Effect::Set(oid, id, Some(content)));
                }
            }
            match rows.last().filter(|_| fails) {
                Some((id, content)) => t.insert(txn, &content.row(*id)).map(drop),
                None => Ok(()),
            }
        })
    }

    /// Changes a row that the transaction sees.
    fn change(&mut self, i: usize, to: impl FnOnce(i32) -> Option<(i32, Content)>) -> Verdict {
        let Some(oid) = self.any_table(i) else { return Ok(()) };
        let wanted = if self.random.random_bool(0.2) {
            self.random.random_range(100..200)
        } else {
            self.id()
        };
        self.statement(i, |txn, effects| {
            let t = open_table(txn, oid)?;
            let s = txn.snapshot();
            let Some(row) = find(&t, oid + 1, wanted, &s)? else { return Ok(()) };
            let next = to(wanted);
            let done = match next {
                Some((id, content)) => t.update(txn, &s, row, &content.row(id))?,
                None => t.delete(txn, &s, row)?,
            };
            if done == Write::Done {
                effects.push(Effect::Set(oid, wanted, None));
                effects.extend(next.map(|(id, content)| Effect::Set(oid, id, Some(content))));
            }
            Ok(())
        })
    }

    fn update(&mut self, i: usize) -> Verdict {
        let content = self.content();
        self.change(i, |id| Some((id, content)))
    }

    fn update_key(&mut self, i: usize) -> Verdict {
        let (id, content) = (self.id(), self.content());
        self.change(i, |_| Some((id, content)))
    }

    fn delete(&mut self, i: usize) -> Verdict {
        self.change(i, |_| None)
    }

    /// Moves every row of a table.
    fn update_all(&mut self, i: usize) -> Verdict {
        let Some(oid) = self.any_table(i) else { return Ok(()) };
        let by = self.random.random_range(1..1000);
        self.statement(i, |txn, effects| {
            let t = open_table(txn, oid)?;
            let s = txn.snapshot();
            for id in 0..200 {
                let Some(row) = find(&t, oid + 1, id, &s)? else { continue };
                let content = Content { v: (id as u32) * 20 + by, pad: by % 64 };
                if t.update(txn, &s, row, &content.row(id))? == Write::Done {
                    effects.push(Effect::Set(oid, id, Some(content)));
                }
            }
            Ok(())
        })
    }

    fn savepoint(&mut self, i: usize) -> Verdict {
        let open = &mut self.open[i];
        open.savepoints.push((open.txn.savepoint(), open.effects.len()));
        Ok(())
    }

    fn rollback_to(&mut self, i: usize) -> Verdict {
        let release = self.random.random_bool(0.2);
        let open = &mut self.open[i];
        let Some((savepoint, effects)) = open.savepoints.pop() else { return Ok(()) };
        if release {
            open.txn.release(savepoint);
            return Ok(());
        }
        open.effects.truncate(effects);
        let back = open.txn.rollback_to(&savepoint);
        back.or_else(|e| self.tolerate(&e))
    }

    fn commit(&mut self, i: usize) -> Verdict {
        let open = self.open.swap_remove(i);
        let ticket = match open.txn.commit() {
            Ok(ticket) => ticket,
            Err(e) => return self.tolerate(&e),
        };
        for effect in &open.effects {
            self.live.apply(effect);
        }
        self.entries.push(Entry::Commit(ticket.lsn, open.effects));
        match ticket.lsn {
            Some(lsn) if self.random.random_bool(0.6) => self.wait(lsn),
            _ => Ok(()),
        }
    }

    fn wait(&mut self, lsn: u64) -> Verdict {
        self.note(lsn);
        match self.db.wal().wait_durable(lsn) {
            Ok(()) => Ok(()),
            Err(e) => self.tolerate(&e),
        }
    }

    fn flush(&mut self) -> Verdict {
        self.wait(self.db.wal().end())
    }

    fn checkpoint(&mut self) -> Verdict {
        let done = self.db.checkpoint();
        self.beside_the_log(done)
    }

    fn sweep(&mut self) -> Verdict {
        let done = self.db.sweep_step();
        self.beside_the_log(done)
    }

    /// What goes wrong there need not end the log.
    pub fn beside_the_log<T>(&mut self, done: Result<T>) -> Verdict {
        let Err(e) = done else { return Ok(()) };
        let down = self.down;
        let tolerated = self.tolerate(&e);
        self.down = down;
        tolerated
    }

    fn sequences(&self, i: usize) -> Vec<Oid> {
        let catalog = self.open[i].txn.catalog();
        let mut all: Vec<Oid> =
            catalog.relations().filter(|r| r.sequence().is_some()).map(|r| r.oid).collect();
        all.sort_unstable();
        all
    }

    fn nextval(&mut self, i: usize) -> Verdict {
        let all = self.sequences(i);
        let Some(oid) = self.any(&all) else { return Ok(()) };
        let count = self.random.random_range(1..40);
        let is_own = self.open[i]
            .effects
            .iter()
            .rev()
            .any(|e| matches!(e, Effect::Sequence(o, _) if *o == oid));
        let mut told = Vec::new();
        let outcome = self.statement(i, |txn, effects| {
            let sequence = txn.use_sequence(oid)?;
            for _ in 0..count {
                let value = sequence.nextval("s")?;
                let lsn = sequence.logged_at();
                txn.acknowledge_after(lsn);
                if is_own {
                    effects.push(Effect::Sequence(oid, value + 1));
                } else {
                    told.push(Entry::Told(oid, value, lsn));
                }
            }
            Ok(())
        });
        for entry in told {
            self.live.enter(&entry, u64::MAX);
            self.entries.push(entry);
        }
        outcome
    }

    fn restart(&mut self, i: usize) -> Verdict {
        let all = self.sequences(i);
        let Some(oid) = self.any(&all) else { return Ok(()) };
        let value = self.random.random_range(1..1000);
        self.statement(i, |txn, effects| {
            txn.restart_sequence(oid, value)?;
            effects.push(Effect::Sequence(oid, value));
            Ok(())
        })
    }

    fn create_sequence(&mut self, i: usize) -> Verdict {
        let oid = self.oid();
        self.statement(i, |txn, effects| {
            txn.put(sequence_object(oid))?;
            effects.push(Effect::Sequence(oid, 1));
            Ok(())
        })
    }

    fn drop_sequence(&mut self, i: usize) -> Verdict {
        let all = self.sequences(i);
        let Some(oid) = self.any(&all) else { return Ok(()) };
        self.statement(i, |txn, effects| {
            txn.drop_object(ObjectKind::Relation, oid)?;
            effects.push(Effect::DropSequence(oid));
            Ok(())
        })
    }

    fn create_table(&mut self, i: usize) -> Verdict {
        if self.tables(i).len() >= 5 {
            return Ok(());
        }
        let (oid, pk) = (self.oid(), self.oid());
        let unlogged = self.random.random_bool(0.2);
        let persistence = if unlogged { Persistence::Unlogged } else { Persistence::Permanent };
        self.kinds.insert(pk, Kind::Primary);
        self.statement(i, |txn, effects| {
            txn.put(new_table(oid, persistence))?;
            effects.push(Effect::Create(oid, unlogged));
            add_index(txn, effects, oid, pk, Kind::Primary)
        })
    }

    fn drop_table(&mut self, i: usize) -> Verdict {
        let Some(oid) = self.any_table(i) else { return Ok(()) };
        self.statement(i, |txn, effects| {
            txn.lock_relation(oid, RelationLock::AccessExclusive)?;
            let catalog = txn.catalog();
            for index in catalog.indexes_of(oid) {
                txn.drop_object(ObjectKind::Relation, index.oid)?;
            }
            txn.drop_object(ObjectKind::Relation, oid)?;
            effects.push(Effect::Drop(oid));
            Ok(())
        })
    }

    fn truncate(&mut self, i: usize) -> Verdict {
        let Some(oid) = self.any_table(i) else { return Ok(()) };
        self.statement(i, |txn, effects| {
            txn.truncate(oid)?;
            effects.push(Effect::Truncate(oid));
            Ok(())
        })
    }

    fn create_index(&mut self, i: usize) -> Verdict {
        let Some(oid) = self.any_table(i) else { return Ok(()) };
        if self.open[i].txn.catalog().indexes_of(oid).count() >= 5 {
            return Ok(());
        }
        let index = self.oid();
        let kind = KINDS[self.random.random_range(0..KINDS.len())];
        self.kinds.insert(index, kind);
        self.statement(i, |txn, effects| add_index(txn, effects, oid, index, kind))
    }

    fn drop_index(&mut self, i: usize) -> Verdict {
        let Some(oid) = self.any_table(i) else { return Ok(()) };
        let catalog = self.open[i].txn.catalog();
        let mut all: Vec<Oid> = catalog.indexes_of(oid).map(|r| r.oid).collect();
        all.retain(|index| *index != oid + 1);
        all.sort_unstable();
        let Some(index) = self.any(&all) else { return Ok(()) };
        self.statement(i, |txn, effects| {
            txn.lock_relation(oid, RelationLock::AccessExclusive)?;
            txn.drop_object(ObjectKind::Relation, index)?;
            effects.push(Effect::DropIndex(oid, index));
            Ok(())
        })
    }
}

pub fn open_table(txn: &Transaction, oid: Oid) -> Result<Arc<Table>> {
    txn.database().table(oid, &txn.catalog())
}

fn add_index(
    txn: &Transaction,
    effects: &mut Vec<Effect>,
    table: Oid,
    index: Oid,
    kind: Kind,
) -> Result<()> {
    // As CREATE INDEX does: no rows come while it is made, and the table does not go.
    txn.lock_relation(table, RelationLock::Share)?;
    txn.put(new_index(index, table, kind))?;
    txn.database().build_index(txn, index, &Arc::new(Progress::new()))?;
    effects.push(Effect::AddIndex(table, index, kind));
    Ok(())
}

/// The row of an id, by the primary key.
fn find(
    t: &Table,
    pk: Oid,
    id: i32,
    s: &vicinity_storage::Snapshot,
) -> Result<Option<vicinity_storage::RowId>> {
    let indexes = t.indexes();
    let Some(def) = indexes.iter().find(|i| i.oid == pk).and_then(|i| i.index()) else {
        return Ok(None);
    };
    let key = KeyRange::key(&def.keys, &[Datum::Int4(id)]);
    let guard = pin();
    Ok(t.lookup(pk, &key, s, &guard)?.map(|row| row.id))
}
