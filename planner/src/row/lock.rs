//! `SELECT ... FOR UPDATE` and `FOR SHARE`: rows are locked as they come out.

use sqlparser::ast;
use vicinity_storage::{LockMode, LockOutcome, LockWait, Row, Walk, concurrent_update, pin};
use vicinity_types::Result;

use super::cursor::{Seen, passes};
use super::node::{Frame, Node, RowRef};
use super::plan::RowPlan;
use super::scan::{CompiledScan, OpenScan, Origins};
use crate::sql::locks;

/// How rows are locked.
#[derive(Clone, Copy, Debug)]
pub struct RowLocks {
    /// How strongly.
    pub mode: LockMode,
    /// What to do about rows that somebody else has locked.
    pub wait: LockWait,
}

/// What a plan that locks its rows carries.
pub(super) struct ScanLocks {
    /// How they are locked.
    pub(super) rows: RowLocks,
    /// What the index answered for the row as it was: asked again of one that changed meanwhile.
    pub(super) recheck: Option<Node>,
}

impl RowLocks {
    /// As a query's clause says.
    pub fn of(clause: &ast::LockClause) -> RowLocks {
        let mode = match (&clause.lock_type, locks::of_key(clause)) {
            (ast::LockType::Share, true) => LockMode::KeyShare,
            (ast::LockType::Share, false) => LockMode::Shared,
            (ast::LockType::Update, true) => LockMode::NoKeyExclusive,
            (ast::LockType::Update, false) => LockMode::Exclusive,
        };
        let wait = match clause.nonblock {
            None => LockWait::Block,
            Some(ast::NonBlock::Nowait) => LockWait::NoWait,
            Some(ast::NonBlock::SkipLocked) => LockWait::Skip,
        };
        RowLocks { mode, wait }
    }

    /// What two clauses for the same rows come to.
    #[must_use]
    pub fn and(self, other: RowLocks) -> RowLocks {
        let mode = self.mode.max(other.mode);
        let wait = match (self.wait, other.wait) {
            (LockWait::NoWait, _) | (_, LockWait::NoWait) => LockWait::NoWait,
            (LockWait::Skip, _) | (_, LockWait::Skip) => LockWait::Skip,
            _ => LockWait::Block,
        };
        RowLocks { mode, wait }
    }
}

/// Goes on with a scan, locking each row before it is given out. No guard is held while waiting.
/// READ COMMITTED looks again at rows that changed meanwhile; a snapshot that is older fails.
pub(super) fn locked_rows(
    plan: &RowPlan,
    compiled: &CompiledScan,
    locks: &ScanLocks,
    scan: &mut OpenScan,
    frame: &Frame<'_>,
    seen: &mut Seen<'_>,
    take: &mut dyn FnMut(RowRef<'_>) -> Result<bool>,
) -> Result<bool> {
    let Origins::Table(table) = &compiled.origins else { return Ok(true) };
    let ctx = frame.ctx;
    loop {
        let Some(cursor) = &mut scan.cursor else { return Ok(true) };
        let mut filter = |row: &Row<'_>| {
            let ok = passes(plan, &frame.with_row(RowRef::Stored(row, compiled.oid)))?;
            *seen.removed += u64::from(!ok);
            Ok(ok)
        };
        let mut found = None;
        let walk = cursor.each(&pin(), &mut filter, |row| {
            found = Some(row.id);
            Ok(false)
        })?;
        let id = match (found, walk) {
            (Some(id), _) => id,
            (None, Walk::Ended) if !scan.advance()? => return Ok(true),
            (None, _) => continue,
        };
        *seen.found += 1;
        let mut snapshot = ctx.snapshot;
        let locked = loop {
            match table.lock_row(&ctx.txn, &snapshot, id, locks.rows.mode, locks.rows.wait)? {
                LockOutcome::Locked => break true,
                LockOutcome::Gone | LockOutcome::Skipped => break false,
                LockOutcome::Concurrent if ctx.txn.isolation().is_snapshot() => {
                    return Err(concurrent_update());
                }
                LockOutcome::Concurrent => snapshot = ctx.txn.snapshot(),
            }
        };
        if !locked {
            continue;
        }
        let guard = pin();
        let Some(row) = table.fetch(id, &snapshot, &guard)? else { continue };
        let row = RowRef::Stored(&row, compiled.oid);
        let here = frame.with_row(row);
        let changed = snapshot != ctx.snapshot;
        let found = !changed || locks.recheck.as_ref().map_or(Ok(true), |c| c.passes(&here))?;
        if found && passes(plan, &here)? && !take(row)? {
            return Ok(false);
        }
    }
}
