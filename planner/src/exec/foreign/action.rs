//! What follows when a key goes that rows refer to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use vicinity_storage::catalog::model::ReferentialAction;
use vicinity_storage::{RelationLock, concurrent_update};
use vicinity_types::{Datum, Oid, PgError, Result};

use super::check;
use super::reference::{Event, Reference, table_name};
use crate::authority;
use crate::bind::{Binder, ParamTypes};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::after::Queue;
use crate::exec::dml::{self, DmlPlan};
use crate::rows::Discard;
use crate::{names, sql};

/// Whether nothing but a check follows from a key's going, or its changing, which can be deferred.
pub(crate) fn is_check(reference: &Reference, changed: bool) -> bool {
    let event = if changed { Event::Update } else { Event::Delete };
    *reference.action(event) == ReferentialAction::NoAction
}

/// The writes of the actions a statement needs, each planned once.
#[derive(Default)]
pub(crate) struct Actions {
    plans: HashMap<(Oid, bool), DmlPlan>,
}

/// The statement of an action; `$1`... are the old key, then the new one.
fn text(ctx: &ExecContext, reference: &Reference, event: Event) -> String {
    let own = Reference::column_names(&reference.child, &reference.constraint.columns);
    let table = table_name(ctx, &reference.child);
    let conditions: Vec<String> =
        (1..).zip(&own).map(|(i, c)| format!("{} = ${i}", names::quote(c))).collect();
    let condition = conditions.join(" AND ");
    let listed = reference.action(event).listed_columns();
    let listed = listed.map(|numbers| Reference::column_names(&reference.child, numbers));
    let set = |value: &dyn Fn(usize) -> String| {
        let parts: Vec<String> = listed
            .as_ref()
            .unwrap_or(&own)
            .iter()
            .enumerate()
            .map(|(at, c)| format!("{} = {}", names::quote(c), value(at)))
            .collect();
        format!("UPDATE {table} SET {} WHERE {condition}", parts.join(", "))
    };
    match (reference.action(event), event) {
        (ReferentialAction::Cascade, Event::Delete) => {
            format!("DELETE FROM {table} WHERE {condition}")
        }
        (ReferentialAction::Cascade, Event::Update) => {
            set(&|at| format!("${}", own.len() + at + 1))
        }
        (action, _) if action.sets_default() => set(&|_| "DEFAULT".to_owned()),
        _ => set(&|_| "NULL".to_owned()),
    }
}

impl Actions {
    /// The row with the key `old` went, or has the key `new` now.
    pub(crate) fn run(
        &mut self,
        ctx: &ExecContext,
        reference: &Reference,
        old: &[Datum],
        new: Option<&[Datum]>,
        queue: &mut Queue,
    ) -> Result<()> {
        let event = if new.is_some() { Event::Update } else { Event::Delete };
        match reference.action(event) {
            ReferentialAction::NoAction => return check::lost(ctx, reference, old),
            ReferentialAction::Restrict => return check::unreferenced(ctx, reference, old),
            _ => {}
        }
        ctx.txn.lock_relation(reference.child.oid, RelationLock::RowExclusive)?;
        let ctx = &ctx.next_statement();
        // It may have changed while it was waited for.
        let Some(reference) = reference.now(ctx) else { return Ok(()) };
        let reference = &*reference;
        let cascades = *reference.action(event) == ReferentialAction::Cascade;
        let sets_default = reference.action(event).sets_default();
        if sets_default {
            refuse_newer(ctx, reference, old)?;
        }
        let mut params = old.to_vec();
        if cascades {
            params.extend_from_slice(new.unwrap_or_default());
        }
        let _owner = authority::as_owner(ctx, &reference.child);
        let key = (reference.constraint.oid, event == Event::Delete);
        if let Entry::Vacant(vacant) = self.plans.entry(key) {
            let mut types = reference.parent_types(ctx);
            if cascades && event == Event::Update {
                types.extend(types.clone());
            }
            vacant.insert(plan(ctx, &text(ctx, reference, event), &types)?);
        }
        if let Some(plan) = self.plans.get(&key) {
            dml::run_noting(plan, ctx, &params, &mut Discard, queue)?;
        }
        if sets_default {
            // The default may be the very key that went.
            return check::lost(ctx, reference, old);
        }
        refuse_newer(ctx, reference, old)
    }
}

/// A snapshot that lasts does not see rows that began to refer after it: the action misses them.
fn refuse_newer(ctx: &ExecContext, reference: &Reference, key: &[Datum]) -> Result<()> {
    if !ctx.txn.isolation().is_snapshot() {
        return Ok(());
    }
    let ctx = &ctx.next_statement();
    let newest = ctx.txn.with_latest(|latest| check::referred(ctx, reference, key, latest))?;
    if newest && !check::referred(ctx, reference, key, ctx.snapshot)? {
        return Err(concurrent_update());
    }
    Ok(())
}

fn plan(ctx: &ExecContext, text: &str, types: &[PgType]) -> Result<DmlPlan> {
    let oids: Vec<Oid> = types.iter().map(|t| t.oid).collect();
    let parsed = sql::parse(text)?.into_iter().next();
    let Some(sql::Statement::Sql(statement)) = parsed.map(|p| Arc::unwrap_or_clone(p.stmt)) else {
        return Err(PgError::internal("an action is no statement"));
    };
    let binder = Binder::new(&ctx.catalog, &ctx.session, ParamTypes::fixed(&oids));
    dml::prepare(ctx, binder, &statement)
}
