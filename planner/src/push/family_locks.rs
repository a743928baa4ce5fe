//! The locks of tables that are read through one they inherit from: those that the statement's values leave.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use vicinity_types::{Datum, Kind, Oid, Result, SqlState};

use super::family_scan::{Known, Pruner, family_of};
use super::lower::scan_of;
use super::spec::ScanSource;
use crate::call::internal;
use crate::context::ExecContext;
use crate::uses::Uses;

/// What a plan reads of families.
#[derive(Default)]
pub(crate) struct FamilyLocks {
    /// Tables known since it was planned, each behind the one the query names.
    members: Vec<(Oid, Oid)>,
    /// Scans whose tables depend on values.
    scans: Vec<Pruner>,
}

/// What came of taking them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All were to be had, and the catalog is the one the statement runs with.
    AtOnce,
    /// Others may have changed what the statement knows.
    Late,
}

impl FamilyLocks {
    /// Those of a plan with its scans in place; `params`: how its parameters are held.
    pub(crate) fn of(plan: &LogicalPlan, params: &[Kind]) -> Result<FamilyLocks> {
        let mut found = FamilyLocks::default();
        let walked = plan.apply_with_subqueries(|node| {
            if let Some(scan) = family_of(node) {
                found.scans.push(Pruner::new(scan, params));
            }
            if let Some(ScanSource::Storage(source)) = scan_of(node).map(|s| &s.spec.source)
                && let Some(named) = source.family()
            {
                found.members.push((named, source.relation().oid));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        walked.map_err(internal)?;
        Ok(found)
    }

    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.scans.is_empty()
    }

    /// Takes them to the end of the transaction, each as `uses` locks the table the query names.
    pub(crate) fn take(&self, ctx: &ExecContext, params: &[Datum], uses: &Uses) -> Result<Taken> {
        let mut taken = Taken::AtOnce;
        self.each(ctx, params, &mut |named, table| {
            let mode = uses.lock_of(named);
            if !ctx.txn.try_lock_relation(table, mode)? {
                ctx.txn.lock_relation(table, mode)?;
                taken = Taken::Late;
            }
            Ok(())
        })?;
        let same = ctx.txn.catalog().version() == ctx.catalog.version();
        Ok(if same { taken } else { Taken::Late })
    }

    /// The same for a plan that cannot be made anew: 40001 if who had a table locked has changed it.
    pub(crate) fn take_unchanged(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        uses: &Uses,
    ) -> Result<()> {
        self.each(ctx, params, &mut |named, table| {
            ctx.txn.lock_unchanged(table, uses.lock_of(named), &ctx.catalog)
        })
    }

    /// Each table, behind the one the query names.
    fn each(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        f: &mut dyn FnMut(Oid, Oid) -> Result<()>,
    ) -> Result<()> {
        self.members.iter().try_for_each(|(named, table)| f(*named, *table))?;
        for scan in &self.scans {
            let needed = match scan.needed(ctx, params, Known::Begun) {
                Err(e) if e.code() == SqlState::QUERY_CANCELED => return Err(e),
                // A value that cannot be computed is the scan's to complain of, if it ever begins.
                Err(_) => scan.needed(ctx, params, Known::Written)?,
                Ok(needed) => needed,
            };
            needed.iter().try_for_each(|table| f(scan.named(), table.oid))?;
        }
        Ok(())
    }
}
