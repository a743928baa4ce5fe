//! What waits for the end of the transaction, and `SET CONSTRAINTS`.

use std::sync::Arc;

use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Constraint, ConstraintKind, TriggerConstraint};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::Values;
use crate::context::ExecContext;
use crate::exec::foreign::{self, part};
use crate::exec::triggers::{Rows, Triggers};

/// Something that waits, by its constraint: that may have changed when it comes up.
#[derive(Clone)]
pub(super) enum Waiting {
    /// A row came to refer to a key.
    Refers(Oid, Values),
    /// A key went.
    Lost(Oid, Values),
    /// A trigger, by its place among those that fire after a row, with its rows.
    Trigger(Oid, Arc<Triggers>, usize, Rows),
}

impl Waiting {
    fn constraint(&self) -> Oid {
        match self {
            Waiting::Refers(c, _) | Waiting::Lost(c, _) | Waiting::Trigger(c, ..) => *c,
        }
    }

    fn run(&self, ctx: &ExecContext) -> Result<()> {
        match self {
            Waiting::Refers(constraint, key) => match foreign::find(ctx, *constraint) {
                Some(reference) => foreign::refers(ctx, &reference, key),
                None => Ok(()),
            },
            Waiting::Lost(constraint, key) => match foreign::find(ctx, *constraint) {
                Some(reference) => foreign::lost(ctx, &reference, key),
                None => Ok(()),
            },
            Waiting::Trigger(_, triggers, at, rows) => match triggers.after_row.get(*at) {
                Some(t) => triggers.fire(ctx, t, rows.clone(), None),
                None => Ok(()),
            },
        }
    }
}

/// What waits for the commit of a session's transaction, and what SET CONSTRAINTS said.
#[derive(Clone, Default)]
pub(crate) struct Deferred {
    waiting: Vec<Arc<Waiting>>,
    all: Option<bool>,
    named: Vec<(Oid, bool)>,
    /// Labels that were added to enums: nobody uses them before the commit.
    labels: Vec<Oid>,
}

impl Deferred {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether something that waits is about rows of a table.
    pub(crate) fn concerns(&self, catalog: &Catalog, table: Oid) -> bool {
        self.waiting.iter().any(|waiting| {
            match &**waiting {
            Waiting::Refers(c, _) => catalog.constraint(*c).is_some_and(|(t, _)| t.oid == table),
            Waiting::Lost(c, _) => catalog.constraint(*c).is_some_and(|(_, found)| {
                matches!(&found.kind, ConstraintKind::ForeignKey(f) if f.table == table)
            }),
            Waiting::Trigger(c, ..) => catalog
                .triggers_of(table)
                .any(|t| t.constraint.as_ref().is_some_and(|have| have.oid == *c)),
        }
        })
    }

    /// A label was added to an enum.
    pub(crate) fn add_label(&mut self, label: Oid) {
        self.labels.push(label);
    }

    /// Whether a label is one of those.
    pub(crate) fn is_new_label(&self, label: Oid) -> bool {
        self.labels.contains(&label)
    }

    /// Whether nothing waits or was said.
    pub(crate) fn is_untouched(&self) -> bool {
        self.waiting.is_empty()
            && self.all.is_none()
            && self.named.is_empty()
            && self.labels.is_empty()
    }
}

/// What can be deferred.
pub(super) trait Deferrable {
    /// Its oid, if it is DEFERRABLE, and whether it is INITIALLY DEFERRED.
    fn deferrable(&self) -> Option<(Oid, bool)>;
}

impl Deferrable for Constraint {
    fn deferrable(&self) -> Option<(Oid, bool)> {
        self.deferrable.then_some((self.oid, self.deferred))
    }
}

impl Deferrable for TriggerConstraint {
    fn deferrable(&self) -> Option<(Oid, bool)> {
        self.deferrable.then_some((self.oid, self.deferred))
    }
}

/// Whether what belongs to a constraint waits now.
pub(super) fn waits(ctx: &ExecContext, constraint: &impl Deferrable) -> bool {
    let Some((oid, initially)) = constraint.deferrable() else { return false };
    let deferred = ctx.session.deferred();
    let named = deferred.named.iter().rev().find(|(have, _)| *have == oid).map(|(_, d)| *d);
    named.or(deferred.all).unwrap_or(initially)
}

/// Keeps something for its time.
pub(super) fn wait(ctx: &ExecContext, what: Waiting) {
    Arc::make_mut(&mut *ctx.session.deferred()).waiting.push(Arc::new(what));
}

/// The transaction ends: does what waits, and what comes of it.
pub(crate) fn commit(ctx: &ExecContext) -> Result<()> {
    run(ctx, &|_| true)
}

fn run(ctx: &ExecContext, due: &dyn Fn(Oid) -> bool) -> Result<()> {
    loop {
        let now: Vec<Arc<Waiting>> = {
            let mut state = ctx.session.deferred();
            if !state.waiting.iter().any(|w| due(w.constraint())) {
                return Ok(());
            }
            let state = Arc::make_mut(&mut *state);
            let all = std::mem::take(&mut state.waiting);
            let (now, later) = all.into_iter().partition(|w| due(w.constraint()));
            state.waiting = later;
            now
        };
        for one in now {
            ctx.check()?;
            one.run(&ctx.next_statement())?;
        }
    }
}

/// `SET CONSTRAINTS`: to the end of the transaction; IMMEDIATE does at once what waits.
pub(crate) fn set_constraints(
    ctx: &ExecContext,
    names: Option<&[Vec<String>]>,
    deferred: bool,
) -> Result<()> {
    let Some(names) = names else {
        {
            let mut state = ctx.session.deferred();
            let state = Arc::make_mut(&mut *state);
            state.all = Some(deferred);
            state.named.clear();
        }
        return if deferred { Ok(()) } else { run(ctx, &|_| true) };
    };
    let mut found = Vec::new();
    for parts in names {
        found.extend(named(ctx, parts)?);
    }
    let said = found.iter().map(|oid| (*oid, deferred));
    Arc::make_mut(&mut *ctx.session.deferred()).named.extend(said);
    if deferred { Ok(()) } else { run(ctx, &|oid| found.contains(&oid)) }
}

/// The deferrable constraints of a name.
fn named(ctx: &ExecContext, parts: &[String]) -> Result<Vec<Oid>> {
    let (schemas, own) = match parts {
        [own] => (ctx.session.search_path_oids(&ctx.catalog), own),
        [schema, own] => (ctx.session.schema_oid(&ctx.catalog, schema).into_iter().collect(), own),
        _ => return Err(PgError::new(SqlState::SYNTAX_ERROR, "improper constraint name")),
    };
    for schema in schemas {
        let found = in_schema(ctx, schema, own);
        if found.is_empty() {
            continue;
        }
        let oids: Option<Vec<Oid>> = found.into_iter().collect();
        return oids.ok_or_else(|| {
            PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("constraint \"{own}\" is not deferrable"),
            )
        });
    }
    Err(PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("constraint \"{}\" does not exist", parts.join(".")),
    ))
}

/// The constraints of a name in a schema; `None` for one that is not deferrable.
fn in_schema(ctx: &ExecContext, schema: Oid, own: &str) -> Vec<Option<Oid>> {
    let oid_of = |c: &dyn Deferrable| c.deferrable().map(|(oid, _)| oid);
    let mut found = Vec::new();
    for r in ctx.catalog.relations_in(schema) {
        let constraints = r.table().map_or(&[][..], |t| &t.constraints);
        let keys = constraints.iter().filter(|c| matches!(c.kind, ConstraintKind::ForeignKey(_)));
        for c in keys.filter(|c| c.name == own) {
            found.push(oid_of(c));
            found.extend(part::parts_of(&ctx.catalog, r, c.oid).into_iter().map(Some));
        }
    }
    let schema_of = |table| ctx.catalog.relation(table).map(|r| r.schema);
    for t in ctx.catalog.triggers().filter(|t| t.name == own) {
        if schema_of(t.table) == Some(schema) {
            found.extend(t.constraint.as_ref().map(|c| oid_of(c)));
        }
    }
    found
}
