//! Temporary tables: what ON COMMIT does to them, and their end with the session.

use vicinity_storage::catalog::model::OnCommit;
use vicinity_types::Result;

use super::ddl::depend::{self, Node};
use crate::context::ExecContext;

/// ON COMMIT DROP and DELETE ROWS, just before the commit.
pub(crate) fn before_commit(ctx: &ExecContext) -> Result<()> {
    let mut kept = Vec::new();
    for oid in ctx.session.on_commit() {
        let catalog = ctx.txn.catalog();
        match catalog.relation(oid).and_then(|r| r.table()).map(|t| t.on_commit) {
            Some(OnCommit::Drop) => depend::drop_all(ctx, &[Node::Relation(oid)], true)?,
            Some(OnCommit::DeleteRows) => {
                ctx.txn.truncate(oid)?;
                kept.push(oid);
            }
            Some(OnCommit::PreserveRows) => {}
            // Rolled back to before it was made, perhaps not for good.
            None => {}
        }
    }
    ctx.session.set_on_commit(kept);
    Ok(())
}

/// The session ends, or `DISCARD TEMP`: everything in its temporary schema goes.
pub(crate) fn drop_all(ctx: &ExecContext) -> Result<()> {
    let schema = ctx.session.temp_schema();
    let catalog = ctx.txn.catalog();
    if schema == 0 || catalog.schema(schema).is_none() {
        return Ok(());
    }
    let relations = catalog.relations_in(schema).map(|r| Node::Relation(r.oid));
    let types = catalog.types().filter(|t| t.schema == schema).map(|t| Node::Type(t.oid));
    let functions = catalog.functions().filter(|f| f.schema == schema);
    let roots: Vec<Node> =
        relations.chain(types).chain(functions.map(|f| Node::Function(f.oid))).collect();
    // Nobody is there to be told what else goes.
    let told = ctx.session.take_notices();
    let dropped = depend::drop_all(ctx, &roots, true);
    ctx.session.take_notices();
    told.into_iter().for_each(|n| ctx.session.notice(n));
    dropped
}
