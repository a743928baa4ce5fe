//! Scans of families whose tables are found when they begin.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, Kind};

use super::build::{Ask, At, Builder};
use super::tree::PlanNode;
use crate::measure::Place;
use crate::push::family_scan::{FamilyScan, Known, Pruner};

/// The tables of a family.
pub(super) struct Members {
    /// All that a plan made once is about.
    all: Vec<Arc<Relation>>,
    /// Those that PostgreSQL plans.
    pub(super) planned: Vec<Arc<Relation>>,
    /// Those that are left when it begins.
    pub(super) shown: Vec<Arc<Relation>>,
}

impl Builder<'_> {
    /// The tables a scan is about, as far as can be told before it begins.
    pub(super) fn members(&self, scan: &FamilyScan, values: &[Datum], kinds: &[Kind]) -> Members {
        let pruner = Pruner::new(scan, kinds);
        // What cannot be computed fails when it is run, not when it is explained.
        let find = |known| pruner.needed(self.ctx, values, known).unwrap_or_default();
        let planned = find(if self.generic { Known::Written } else { Known::Planned });
        Members { all: find(Known::Written), planned, shown: find(Known::Begun) }
    }

    pub(super) fn family<'l>(&self, scan: &FamilyScan, ask: Ask<'l>, at: At<'l>) -> PlanNode {
        let Members { all, planned, shown } =
            self.members(scan, at.level.values(), at.level.kinds());
        let several = planned.len() > 1;
        let Ok((plan, ordered)) = scan.whole.over(self.ctx, &shown, several) else {
            return PlanNode::new("Append");
        };
        // Each has its figures at its place in the family.
        let level = at.level.beside(Place::root(scan.id));
        let places = shown.iter().map(|m| all.iter().position(|a| a.oid == m.oid));
        let places = places.map(|n| u32::try_from(n.unwrap_or(0)).unwrap_or(0));
        let children: Vec<At<'_>> = places.map(|n| At::top(&level).child(n + 1)).collect();
        let removed = planned.len().saturating_sub(shown.len());
        let scans = |ask: Ask<'_>| match (&plan, children.as_slice()) {
            (LogicalPlan::EmptyRelation(_), _) => self.node(&plan, ask, at),
            (_, [only]) if !several => self.node(&plan, ask, *only),
            _ => self.append(&plan, &ask, at, (&children, removed)),
        };
        let node = match ordered || scan.whole.sort.is_empty() {
            true => scans(ask),
            false => self.sorted((&scan.whole.sort, None), ask, at, scans),
        };
        at.level.inits.borrow_mut().append(&mut level.inits.take());
        node
    }
}
