//! Two-phase commit: what was prepared is there after any crash, with its locks, until it is ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use vicinity_storage::{Database, Isolation, Prepare, RelationLock, Transaction};
use vicinity_types::{Oid, Result, SqlState};

use crate::check::{Verdict, ensure};
use crate::model::{Effect, Entry, State};
use crate::tables::Content;
use crate::work::open_table;
use crate::world::World;

/// More stand in everybody's way.
const MOST: usize = 2;

impl World {
    pub fn prepare(&mut self, i: usize) -> Verdict {
        if self.live.prepared.len() >= MOST {
            return Ok(());
        }
        let open = self.open.swap_remove(i);
        let name = format!("p{}", self.oid());
        let how = Prepare { name: name.clone(), owner: 10, most: MOST, ..Prepare::default() };
        let outcome = open.txn.prepare_transaction(&how);
        let effects = lasting(&self.live, open.effects);
        self.happens(vec![Effect::Prepare(name, effects)], outcome)
    }

    pub fn commit_prepared(&mut self) -> Verdict {
        let Some(name) = self.any_prepared() else { return Ok(()) };
        let mut effects = vec![Effect::End(name.clone())];
        effects.extend(self.live.prepared[&name].iter().cloned());
        let outcome = self.db.commit_prepared(&name, |_| Ok(()));
        self.happens(effects, outcome)
    }

    /// Something that lasts when it returns well, with all that came before.
    fn happens(&mut self, effects: Vec<Effect>, outcome: Result<()>) -> Verdict {
        match outcome {
            Ok(()) => {
                effects.iter().for_each(|e| self.live.apply(e));
                self.entries.push(Entry::Commit(Some(self.db.wal().durable()), effects));
                Ok(())
            }
            Err(e) => {
                if e.code() == SqlState::IO_ERROR {
                    // It may be found after the crash that ends the round.
                    self.entries.push(Entry::Commit(Some(u64::MAX), effects));
                }
                self.tolerate(&e)
            }
        }
    }

    pub fn rollback_prepared(&mut self) -> Verdict {
        let Some(name) = self.any_prepared() else { return Ok(()) };
        let outcome = self.db.rollback_prepared(&name, |_| Ok(()));
        if outcome.is_ok() {
            // It never happened, whatever else lasts.
            self.doubtful.remove(&name);
            self.base.prepared.remove(&name);
            self.live.prepared.remove(&name);
            for entry in &mut self.entries {
                if let Entry::Commit(_, effects) = entry {
                    effects.retain(|e| !matches!(e, Effect::Prepare(n, _) if *n == name));
                }
            }
        } else {
            self.doubtful.insert(name);
        }
        self.beside_the_log(outcome)
    }

    fn any_prepared(&mut self) -> Option<String> {
        let count = self.live.prepared.len();
        let at = if count == 0 { return None } else { self.random.random_range(0..count) };
        self.live.prepared.keys().nth(at).cloned()
    }
}

/// What a transaction comes to: of rows that it made and took away again others may make their own.
fn lasting(before: &State, mut effects: Vec<Effect>) -> Vec<Effect> {
    let mut gone = BTreeSet::new();
    for effect in &effects {
        match effect {
            Effect::Set(oid, id, None) => drop(gone.insert((*oid, *id))),
            Effect::Set(oid, id, Some(_)) => drop(gone.remove(&(*oid, *id))),
            _ => {}
        }
    }
    gone.retain(|(oid, id)| before.tables.get(oid).is_none_or(|t| !t.rows.contains_key(id)));
    effects.retain(|e| !matches!(e, Effect::Set(oid, id, _) if gone.contains(&(*oid, *id))));
    effects
}

/// Whether those are prepared that should be, and have what they have written to themselves.
pub fn same_prepared(db: &Arc<Database>, state: &State) -> Verdict {
    let mut have: Vec<String> = db.prepared_transactions().into_iter().map(|p| p.name).collect();
    have.sort();
    let want: Vec<String> = state.prepared.keys().cloned().collect();
    ensure!(have == want, "prepared are {have:?}, should be {want:?}");
    state.prepared.iter().try_for_each(|(name, effects)| {
        locked(db, state, effects).map_err(|e| format!("prepared transaction {name}: {e}"))
    })
}

fn locked(db: &Arc<Database>, state: &State, effects: &[Effect]) -> Verdict {
    let mut after = state.clone();
    effects.iter().for_each(|e| after.apply(e));
    for (oid, before) in &state.tables {
        let rows = after.tables.get(oid).map(|t| &t.rows);
        let ids = before.rows.keys().chain(rows.into_iter().flat_map(|rows| rows.keys()));
        let changed = |id: &&i32| rows.and_then(|rows| rows.get(id)) != before.rows.get(id);
        let Some(id) = ids.copied().find(|id| changed(&id)) else { continue };
        refused(db, &format!("row {id} of {oid}"), |txn| {
            open_table(txn, *oid)?.insert(txn, &Content { v: 0, pad: 0 }.row(id)).map(drop)
        })?;
        refused(db, &format!("table {oid}"), |txn| lock(txn, *oid))?;
    }
    Ok(())
}

fn lock(txn: &Transaction, table: Oid) -> Result<()> {
    txn.lock_relation(table, RelationLock::AccessExclusive)
}

/// Whether somebody would have to wait.
fn refused(
    db: &Arc<Database>,
    what: &str,
    work: impl FnOnce(&Transaction) -> Result<()>,
) -> Verdict {
    let txn = db.begin(Isolation::ReadCommitted, false).map_err(|e| e.to_string())?;
    txn.set_lock_timeout(Some(Duration::ZERO));
    txn.snapshot();
    match work(&txn) {
        Err(e) if e.code() == SqlState::LOCK_NOT_AVAILABLE => Ok(()),
        Err(e) => Err(format!("{what}: {e}")),
        Ok(()) => Err(format!("{what} is not locked")),
    }
}
