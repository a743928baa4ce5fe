//! What a new table has from those it inherits from, or is a partition of.

use std::sync::Arc;

use sqlparser::ast;
use vicinity_storage::catalog::model::{Persistence, Relation};
use vicinity_types::{PgError, Result, SqlState};

use super::Draft;
use crate::context::ExecContext;
use crate::exec::ddl::{inherit, partition};

/// Puts what a table has from others into its draft; the table it is a partition of.
pub(super) fn family_into(
    ctx: &ExecContext,
    draft: &mut Draft,
    table: &ast::CreateTable,
) -> Result<Option<Arc<Relation>>> {
    if let (Some(of), Some(bound)) = (&table.partition_of, &table.for_values) {
        let parent = partition::parent(ctx, of)?;
        check_family(&parent, table.temporary, true)?;
        draft.bound = Some(partition::new_bound(ctx, &parent, &draft.name, bound)?);
        inherit::columns_into(ctx, draft, std::slice::from_ref(&parent))?;
        return Ok(Some(parent));
    }
    let mut parents: Vec<Arc<Relation>> = Vec::new();
    for given in table.inherits.iter().flatten() {
        let parent = partition::plain_parent(ctx, given)?;
        check_family(&parent, table.temporary, false)?;
        if parents.iter().any(|p| p.oid == parent.oid) {
            return Err(PgError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{}\" would be inherited from more than once", parent.name),
            ));
        }
        parents.push(parent);
    }
    if draft.partition_by.is_some() && !parents.is_empty() {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot create partitioned table as inheritance child",
        ));
    }
    inherit::columns_into(ctx, draft, &parents)?;
    Ok(None)
}

/// Temporary tables have only temporary children.
fn check_family(parent: &Relation, temporary: bool, partition: bool) -> Result<()> {
    let above = parent.table().is_some_and(|t| t.persistence == Persistence::Temporary);
    let own = &parent.name;
    let text = match (above, temporary, partition) {
        (true, false, true) => {
            format!(
                "cannot create a permanent relation as partition of temporary relation \"{own}\""
            )
        }
        (false, true, true) => {
            format!(
                "cannot create a temporary relation as partition of permanent relation \"{own}\""
            )
        }
        (true, false, false) => format!("cannot inherit from temporary relation \"{own}\""),
        _ => return Ok(()),
    };
    Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, text))
}
