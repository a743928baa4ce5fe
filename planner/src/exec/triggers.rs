//! Row triggers around writes.

use std::sync::Arc;

use vicinity_storage::catalog::model::{Relation, Trigger};
use vicinity_types::{Datum, Result};

use crate::context::ExecContext;

/// What happens to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// INSERT
    Insert,
    /// UPDATE
    Update,
    /// DELETE
    Delete,
}

impl Event {
    /// Its bit in `pg_trigger.tgtype`.
    pub fn bit(self) -> i16 {
        match self {
            Event::Insert => 4,
            Event::Delete => 8,
            Event::Update => 16,
        }
    }

    /// `TG_OP`
    pub fn name(self) -> &'static str {
        match self {
            Event::Insert => "INSERT",
            Event::Update => "UPDATE",
            Event::Delete => "DELETE",
        }
    }
}

/// A trigger's function is called for a row: what it returns, NULL as `None`.
pub struct Call<'a> {
    /// The trigger.
    pub trigger: &'a Arc<Trigger>,
    /// Its table.
    pub relation: &'a Arc<Relation>,
    /// What happens.
    pub event: Event,
    /// Whether before it.
    pub before: bool,
    /// All columns of the old row.
    pub old: Option<&'a [Datum]>,
    /// All columns of the new row.
    pub new: Option<&'a [Datum]>,
}

/// The triggers of one table and event that fire for every row.
pub(crate) struct Row {
    relation: Arc<Relation>,
    event: Event,
    before: Vec<Arc<Trigger>>,
    after: Vec<Arc<Trigger>>,
}

impl Row {
    /// Those there are; `None` if there are none, which is what most tables have.
    pub(crate) fn of(ctx: &ExecContext, relation: &Arc<Relation>, event: Event) -> Option<Row> {
        let mut all: Vec<Arc<Trigger>> = ctx
            .catalog
            .triggers_of(relation.oid)
            .filter(|t| t.enabled != 'D' && t.kind & event.bit() != 0)
            .cloned()
            .collect();
        if all.is_empty() {
            return None;
        }
        // They fire in the order of their names.
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let (before, after) = all.into_iter().partition(|t| t.kind & 2 != 0);
        Some(Row { relation: relation.clone(), event, before, after })
    }

    fn call<'a>(
        &'a self,
        trigger: &'a Arc<Trigger>,
        before: bool,
        old: Option<&'a [Datum]>,
        new: Option<&'a [Datum]>,
    ) -> Call<'a> {
        Call { trigger, relation: &self.relation, event: self.event, before, old, new }
    }

    /// Before the row is written: what to write in its place, `None` to leave it.
    pub(crate) fn before(
        &self,
        ctx: &ExecContext,
        old: Option<&[Datum]>,
        mut new: Option<Vec<Datum>>,
    ) -> Result<Option<Vec<Datum>>> {
        for t in &self.before {
            let call = self.call(t, true, old, new.as_deref());
            match fire(ctx, &call)? {
                Some(row) => new = Some(row),
                None => return Ok(None),
            }
        }
        Ok(new.or_else(|| old.map(<[Datum]>::to_vec)))
    }

    /// After it was written.
    pub(crate) fn after(
        &self,
        ctx: &ExecContext,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
    ) -> Result<()> {
        for t in &self.after {
            fire(ctx, &self.call(t, false, old, new))?;
        }
        Ok(())
    }
}

/// Calls a trigger's function, under a clock where the statement is being measured.
fn fire(ctx: &ExecContext, call: &Call<'_>) -> Result<Option<Vec<Datum>>> {
    let run = || crate::hooks::fire_trigger(ctx, call);
    match &ctx.measure {
        Some(measure) => measure.trigger(&call.trigger.name, &call.relation.name, run),
        None => run(),
    }
}
