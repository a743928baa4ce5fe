//! What a statement's writes leave to be done when it has ended.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;
use vicinity_types::{Datum, Oid, Result};

use super::Values;
use super::deferred::{self, Waiting};
use super::transition::{self, Kept};
use crate::context::ExecContext;
use crate::exec::foreign::{self, Actions, Keys, Reference};
use crate::exec::triggers::{Rows, Triggers};

/// Places of triggers in their list.
pub(crate) type Due = SmallVec<[usize; 4]>;

/// Something to do.
enum Task {
    /// A row came to refer to a key.
    Refers(Arc<Reference>, Values),
    /// A key went; the one that came in its place, if it was changed.
    Lost(Arc<Reference>, Values, Option<Values>),
    /// A row was written; the triggers whose WHEN it passed.
    Row(Arc<Triggers>, Rows, Due),
    /// The statement is over: one of its triggers.
    Statement(Arc<Triggers>, usize),
}

/// The tasks of one statement, in the order of what happened.
#[derive(Default)]
pub(crate) struct Queue {
    tasks: VecDeque<Task>,
    /// Keys to be found, each once.
    seen: HashSet<(Oid, Vec<u8>)>,
    kept: Vec<Kept>,
}

impl Queue {
    /// A row was inserted, changed or deleted.
    pub(crate) fn written(
        &mut self,
        ctx: &ExecContext,
        keys: &Keys,
        triggers: Option<&Arc<Triggers>>,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
    ) -> Result<()> {
        if !keys.is_empty() {
            keys.written(ctx, old, new, self)?;
        }
        match triggers {
            None => Ok(()),
            Some(triggers) => triggers.after_row(ctx, old, new, self),
        }
    }

    /// A key is to be found.
    pub(crate) fn refers(&mut self, reference: &Arc<Reference>, key: Values) {
        if self.seen.insert((reference.constraint.oid, foreign::bytes_of(&key))) {
            self.tasks.push_back(Task::Refers(reference.clone(), key));
        }
    }

    /// A key went.
    pub(crate) fn lost(&mut self, reference: &Arc<Reference>, old: Values, new: Option<Values>) {
        self.tasks.push_back(Task::Lost(reference.clone(), old, new));
    }

    /// Triggers are due for a row.
    pub(crate) fn row(&mut self, triggers: &Arc<Triggers>, rows: Rows, due: Due) {
        self.tasks.push_back(Task::Row(triggers.clone(), rows, due));
    }

    /// A trigger is due for the statement.
    pub(crate) fn statement(&mut self, triggers: &Arc<Triggers>, at: usize) {
        self.tasks.push_back(Task::Statement(triggers.clone(), at));
    }

    /// Notes a row for transition tables.
    pub(crate) fn keep(
        &mut self,
        triggers: &Arc<Triggers>,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
    ) {
        transition::keep(&mut self.kept, triggers, old, new);
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
                Task::Refers(reference, key) => self.find(ctx, &reference, key)?,
                Task::Lost(reference, old, new) => {
                    if foreign::is_check(&reference, new.is_some())
                        && deferred::waits(ctx, &reference.constraint)
                    {
                        let what = Waiting::Lost(reference.constraint.oid, old);
                        deferred::wait(ctx, what);
                        continue;
                    }
                    actions.run(ctx, &reference, &old, new.as_deref(), &mut self)?;
                }
                Task::Row(triggers, rows, due) => self.fire(ctx, &triggers, rows, &due)?,
                Task::Statement(triggers, at) => {
                    let Some(t) = triggers.after_statement.get(at) else { continue };
                    let tables = transition::of(&self.kept, &triggers, &t.trigger);
                    triggers.fire(ctx, t, Rows::default(), tables)?;
                }
            }
        }
        Ok(())
    }

    fn find(&mut self, ctx: &ExecContext, reference: &Reference, key: Values) -> Result<()> {
        let constraint = reference.constraint.oid;
        // What an action writes later in this queue may bring the key in again.
        self.seen.remove(&(constraint, foreign::bytes_of(&key)));
        if deferred::waits(ctx, &reference.constraint) {
            deferred::wait(ctx, Waiting::Refers(constraint, key));
            return Ok(());
        }
        foreign::refers(ctx, reference, &key)
    }

    fn fire(
        &self,
        ctx: &ExecContext,
        triggers: &Arc<Triggers>,
        mut rows: Rows,
        due: &[usize],
    ) -> Result<()> {
        for (n, at) in due.iter().enumerate() {
            let Some(t) = triggers.after_row.get(*at) else { continue };
            let last = n + 1 == due.len();
            let given = if last { std::mem::take(&mut rows) } else { rows.clone() };
            let constraint = t.trigger.constraint.as_ref();
            if let Some(c) = constraint.filter(|c| deferred::waits(ctx, *c)) {
                deferred::wait(ctx, Waiting::Trigger(c.oid, triggers.clone(), *at, given));
                continue;
            }
            let tables = transition::of(&self.kept, triggers, &t.trigger);
            triggers.fire(ctx, t, given, tables)?;
        }
        Ok(())
    }
}
