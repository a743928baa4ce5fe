//! The scan of a family whose tables are found when it begins: a plan is compiled for those it is about, and kept.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, Kind, Oid, PgError, Result};

use super::append;
use super::build::compile_at;
use super::node::Node;
use super::plan::{Leaf, RowPlan};
use super::walk::Walk;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::df::append::appended;
use crate::measure::Place;
use crate::push::family_scan::{FamilyScan, Known, Pruner};
use crate::push::lower::scan_of;

/// Plans kept (invariant *bounded*).
const PLANS: usize = 4096;

/// Everything that is to be done with the family's rows: what stands above has nothing left to do.
pub struct Family {
    scan: FamilyScan,
    pruner: Pruner,
    walk: Walk,
    /// The walk's order is the scan's.
    own_order: bool,
    types: Vec<PgType>,
    params: Vec<Kind>,
    /// By the tables it is about.
    plans: Mutex<HashMap<Vec<Oid>, Arc<RowPlan>>>,
    /// Whether there is one table at most, and its plan is short with a LIMIT above, and by itself.
    short: (bool, bool),
    pub(super) runs_statements: bool,
}

/// Compiles a family's scan; `None` if what is done with its rows is beyond the row lane.
pub(super) fn compile(
    scan: &FamilyScan,
    walk: &Walk,
    types: &[PgType],
    params: &[Kind],
    ctx: &ExecContext,
    place: Place,
) -> Result<Option<RowPlan>> {
    if walk.locks.is_some() {
        return Ok(None);
    }
    // An order asked for above is the one that counts.
    let own = walk.sort.is_empty();
    let mut walk = walk.clone();
    if own {
        walk.sort.clone_from(&scan.whole.sort);
    }
    let pruner = Pruner::new(scan, params);
    // What can be compiled over one of its tables can be over all.
    let Some(some) = scan.some_member(ctx)? else { return Ok(None) };
    let (one, ordered) = scan.whole.over(ctx, std::slice::from_ref(&some), false)?;
    let Some(plan) = compile_at(&one, &walk.over(ordered && own), types, params, ctx, place)?
    else {
        return Ok(None);
    };
    let single = pruner.is_single(ctx)?;
    let short = (single && plan.is_short_within(true), single && plan.is_short());
    let outputs = types.iter().enumerate().map(|(i, ty)| (Node::Column(i), *ty)).collect();
    let family = Family {
        scan: scan.clone(),
        pruner,
        walk,
        own_order: own,
        types: types.to_vec(),
        params: params.to_vec(),
        plans: Mutex::default(),
        short,
        runs_statements: plan.runs_statements(),
    };
    Ok(Some(RowPlan::over(Leaf::Family(Box::new(family)), outputs, 0, place)))
}

impl Walk {
    /// The same where rows come in the order asked for.
    fn over(&self, ordered: bool) -> Walk {
        let mut walk = self.clone();
        if ordered {
            walk.sort.clear();
        }
        walk
    }
}

impl Family {
    pub(super) fn is_short_within(&self, limited: bool) -> bool {
        if limited { self.short.0 } else { self.short.1 }
    }

    /// The plan for these parameters; its topmost node is at `place`.
    pub(super) fn plan(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        place: Place,
    ) -> Result<Arc<RowPlan>> {
        if ctx.measure.is_some() {
            return self.measured(ctx, params, place);
        }
        let members = self.pruner.needed(ctx, params, Known::All)?;
        self.planned(ctx, &members, place)
    }

    fn planned(
        &self,
        ctx: &ExecContext,
        members: &[Arc<Relation>],
        place: Place,
    ) -> Result<Arc<RowPlan>> {
        let key: Vec<Oid> = members.iter().map(|m| m.oid).collect();
        if let Some(plan) = self.plans.lock().get(&key) {
            return Ok(plan.clone());
        }
        let (logical, ordered) = self.scan.whole.over(ctx, members, false)?;
        let walk = self.walk_over(ordered);
        let made = compile_at(&logical, &walk, &self.types, &self.params, ctx, place)?;
        let mut made = made.ok_or_else(beyond)?;
        if let Some(scan) = scan_of(&logical) {
            made = made.with_rows(scan.spec.limit, scan.spec.pace);
        }
        let made = Arc::new(made);
        let mut plans = self.plans.lock();
        if plans.len() >= PLANS {
            plans.clear();
        }
        plans.insert(key, made.clone());
        Ok(made)
    }

    /// Where it is measured every table has its place in the family, and one table is still a family.
    fn measured(&self, ctx: &ExecContext, params: &[Datum], place: Place) -> Result<Arc<RowPlan>> {
        let members = self.pruner.needed(ctx, params, Known::All)?;
        if members.is_empty() {
            return self.planned(ctx, &members, place);
        }
        let all = self.pruner.needed(ctx, params, Known::Written)?;
        let places: HashMap<Oid, u32> = all.iter().map(|m| m.oid).zip(1..).collect();
        let at = |n: u32| {
            let member = usize::try_from(n).ok().and_then(|n| members.get(n));
            let number = member.and_then(|m| places.get(&m.oid)).copied().unwrap_or(0);
            Place::root(self.scan.id).below(number)
        };
        let (logical, ordered) = self.scan.whole.over(ctx, &members, true)?;
        let walk = self.walk_over(ordered);
        let inputs = appended(&logical).ok_or_else(beyond)?;
        let made = append::compile(inputs, &walk, &self.types, &self.params, ctx, (place, &at))?;
        made.map(Arc::new).ok_or_else(beyond)
    }

    fn walk_over(&self, ordered: bool) -> Walk {
        self.walk.over(ordered && self.own_order)
    }
}

#[cold]
fn beyond() -> PgError {
    PgError::internal("a table of a family is planned unlike the others")
}
