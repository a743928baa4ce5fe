//! What a transaction's writes have come to, row by row.

use std::collections::HashSet;

use vicinity_types::Result;

use super::super::Touched;
use super::super::undo::Undo;
use crate::mvcc::version::UNCOMMITTED;
use crate::mvcc::{RowId, Xid, pin};
use crate::store::Store;

/// What has become of a row, whatever happened to it on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect<'a> {
    Insert(&'a [u8]),
    Update(&'a [u8]),
    Delete,
    /// It is deleted here because it went to another partition.
    Leave,
}

/// Calls `f` with every row that the transaction wrote, once.
pub(super) fn each(
    undo: &[Undo],
    stores: &[Touched],
    xid: Xid,
    f: &mut dyn FnMut(&Touched, RowId, Effect<'_>) -> Result<()>,
) -> Result<()> {
    let mut seen = HashSet::new();
    for step in undo {
        let (at, first, count) = match *step {
            Undo::Insert { store, first, count } => (store, first, count),
            Undo::Push { store, row, .. } => (store, row, 1),
            _ => continue,
        };
        let Some(touched) = stores.get(at) else { continue };
        for row in first..first + count {
            if seen.insert((at, row)) {
                of_row(&touched.store, row, xid, |effect| f(touched, row, effect))?;
            }
        }
    }
    Ok(())
}

/// Versions of a running transaction are the newest of their row.
fn of_row(
    store: &Store,
    row: RowId,
    xid: Xid,
    f: impl FnOnce(Effect<'_>) -> Result<()>,
) -> Result<()> {
    let guard = pin();
    let own = xid | UNCOMMITTED;
    let Some(head) = store.rows.head(row, &guard)?.filter(|v| v.stamp() == own) else {
        return Ok(());
    };
    let mut before = head.older(&guard);
    while let Some(v) = before.filter(|v| v.stamp() == own) {
        before = v.older(&guard);
    }
    match (before.is_some(), head.is_tombstone()) {
        // It came and went.
        (false, true) => Ok(()),
        (false, false) => f(Effect::Insert(head.bytes())),
        (true, false) => f(Effect::Update(head.bytes())),
        (true, true) if head.is_moved() => f(Effect::Leave),
        (true, true) => f(Effect::Delete),
    }
}
