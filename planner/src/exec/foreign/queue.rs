//! What a statement's writes leave to be looked at when it has ended.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use vicinity_storage::catalog::model::ReferentialAction;
use vicinity_types::{Datum, Oid, Result};

use super::action::Actions;
use super::check;
use super::reference::{Event, Keys, Reference, Values, bytes_of};
use crate::context::ExecContext;

/// Something to look at.
#[derive(Clone)]
pub(crate) enum Task {
    /// A row came to refer to a key.
    Refers(Arc<Reference>, Values),
    /// A key went; the one that came in its place, if it was changed.
    Lost(Arc<Reference>, Values, Option<Values>),
}

/// The tasks of one statement.
#[derive(Default)]
pub(crate) struct Queue {
    tasks: VecDeque<Task>,
    /// Keys to be found, each once.
    seen: HashSet<(Oid, Vec<u8>)>,
}

/// Tasks that wait for the commit, and what SET CONSTRAINTS said.
#[derive(Default)]
pub(crate) struct Deferred {
    pub(crate) tasks: Vec<(Oid, DeferredTask)>,
    pub(crate) all: Option<bool>,
    pub(crate) named: Vec<(Oid, bool)>,
}

/// A deferred task: the constraint may have changed when it comes up.
#[derive(Clone)]
pub(crate) enum DeferredTask {
    Refers(Values),
    Lost(Values),
}

impl Deferred {
    /// Whether a constraint's checks wait now.
    pub(crate) fn waits(&self, reference: &Reference) -> bool {
        let c = &reference.constraint;
        if !c.deferrable {
            return false;
        }
        let named = self.named.iter().rev().find(|(oid, _)| *oid == c.oid).map(|(_, d)| *d);
        named.or(self.all).unwrap_or(c.deferred)
    }
}

fn equal(a: &[Datum], b: &[Datum]) -> bool {
    bytes_of(a) == bytes_of(b)
}

impl Queue {
    /// A row was inserted.
    pub(crate) fn inserted(&mut self, ctx: &ExecContext, keys: &Keys, row: &[Datum]) -> Result<()> {
        for reference in &keys.outgoing {
            self.refers(ctx, reference, reference.of_child(row))?;
        }
        Ok(())
    }

    /// A row was changed.
    pub(crate) fn updated(
        &mut self,
        ctx: &ExecContext,
        keys: &Keys,
        old: &[Datum],
        new: &[Datum],
    ) -> Result<()> {
        for reference in &keys.outgoing {
            let key = reference.of_child(new);
            if !equal(&key, &reference.of_child(old)) {
                self.refers(ctx, reference, key)?;
            }
        }
        for reference in &keys.incoming {
            let (before, after) = (reference.of_parent(old), reference.of_parent(new));
            if !equal(&before, &after) {
                self.lost(ctx, reference, before, Some(after));
            }
        }
        Ok(())
    }

    /// A row was deleted.
    pub(crate) fn deleted(&mut self, ctx: &ExecContext, keys: &Keys, old: &[Datum]) {
        for reference in &keys.incoming {
            self.lost(ctx, reference, reference.of_parent(old), None);
        }
    }

    fn refers(&mut self, ctx: &ExecContext, reference: &Arc<Reference>, key: Values) -> Result<()> {
        if !reference.refers(ctx, &key)? {
            return Ok(());
        }
        let mut deferred = ctx.session.deferred();
        if deferred.waits(reference) {
            deferred.tasks.push((reference.constraint.oid, DeferredTask::Refers(key)));
        } else if self.seen.insert((reference.constraint.oid, bytes_of(&key))) {
            self.tasks.push_back(Task::Refers(reference.clone(), key));
        }
        Ok(())
    }

    fn lost(
        &mut self,
        ctx: &ExecContext,
        reference: &Arc<Reference>,
        old: Values,
        new: Option<Values>,
    ) {
        if old.iter().any(Datum::is_null) {
            return;
        }
        let event = if new.is_some() { Event::Update } else { Event::Delete };
        // Only checks can wait, not what CASCADE and its kin do.
        if reference.action(event) == ReferentialAction::NoAction {
            let mut deferred = ctx.session.deferred();
            if deferred.waits(reference) {
                deferred.tasks.push((reference.constraint.oid, DeferredTask::Lost(old)));
                return;
            }
        }
        self.tasks.push_back(Task::Lost(reference.clone(), old, new));
    }

    /// Puts another queue's tasks behind.
    pub(crate) fn append(&mut self, other: Queue) {
        for task in other.tasks {
            let new = match &task {
                Task::Refers(r, key) => self.seen.insert((r.constraint.oid, bytes_of(key))),
                Task::Lost(..) => true,
            };
            if new {
                self.tasks.push_back(task);
            }
        }
    }

    /// Does it all. What actions write comes behind.
    pub(crate) fn finish(mut self, ctx: &ExecContext) -> Result<()> {
        if self.tasks.is_empty() {
            return Ok(());
        }
        let ctx = &ctx.next_statement();
        let mut actions = Actions::default();
        while let Some(task) = self.tasks.pop_front() {
            ctx.check()?;
            match task {
                Task::Refers(reference, key) => {
                    // What an action writes later in this queue may bring the key in again.
                    self.seen.remove(&(reference.constraint.oid, bytes_of(&key)));
                    check::refers(ctx, &reference, &key)?;
                }
                Task::Lost(reference, old, new) => {
                    actions.run(ctx, &reference, &old, new.as_deref(), &mut self)?;
                }
            }
        }
        Ok(())
    }
}
