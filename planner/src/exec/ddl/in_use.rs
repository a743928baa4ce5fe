//! Relations that the session itself uses: no definition changes under an open cursor or loop, or under what waits for the end
//! of the transaction.

use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::context::ExecContext;

/// An error (55006) if an open cursor or loop reads a relation, or a trigger or a foreign key has yet to look at its rows.
/// `what`: the statement.
pub(crate) fn check(ctx: &ExecContext, relation: &Relation, what: &str) -> Result<()> {
    let refuse = |why: &str| {
        let text = format!("cannot {what} \"{}\" because {why}", relation.name);
        Err(PgError::new(SqlState::OBJECT_IN_USE, text))
    };
    let table = relation.index().map_or(relation.oid, |i| i.table);
    let family = above(ctx, table);
    // Those that run now cannot be looked at: they run this statement.
    let reads = |portal: &crate::portal::Handle| {
        portal.try_lock().is_some_and(|p| family.iter().any(|oid| p.reads(*oid)))
    };
    let open = ctx.session.portals().all();
    if open.iter().any(|(_, portal)| reads(portal)) || ctx.session.is_queried(&family) {
        return refuse("it is being used by active queries in this session");
    }
    if ctx.session.deferred().concerns(&ctx.txn.catalog(), table) {
        return refuse("it has pending trigger events");
    }
    Ok(())
}

/// A table and all that it inherits from: who reads one of them may read it.
fn above(ctx: &ExecContext, table: Oid) -> Vec<Oid> {
    let catalog = ctx.txn.catalog();
    let mut found = vec![table];
    let mut at = 0;
    while let Some(next) = found.get(at).copied() {
        at += 1;
        let parents = catalog.relation(next).and_then(|r| r.table()).map(|t| t.parents.clone());
        for parent in parents.unwrap_or_default() {
            if !found.contains(&parent) {
                found.push(parent);
            }
        }
    }
    found
}
