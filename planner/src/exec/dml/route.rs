//! Rows on their way to the partitions they belong to.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, Oid, PgError, Result};

use super::leaf::{Leaf, Level};
use crate::context::ExecContext;
use crate::partition;

/// The tables of a write's family, made ready when a row is first in one of them.
pub(super) struct Leaves {
    target: Arc<Relation>,
    /// Columns of the target that an UPDATE gives values.
    assigned: Vec<usize>,
    made: Mutex<HashMap<Oid, Arc<Leaf>>>,
}

impl Leaves {
    pub(super) fn new(target: &Arc<Relation>, assigned: &[usize]) -> Leaves {
        let made = Mutex::default();
        Leaves { target: target.clone(), assigned: assigned.to_vec(), made }
    }

    /// The one of this id.
    pub(super) fn get(&self, ctx: &ExecContext, table: Oid) -> Result<Arc<Leaf>> {
        if let Some(leaf) = self.made.lock().get(&table) {
            return Ok(leaf.clone());
        }
        let relation = ctx.catalog.relation(table);
        let relation = relation.ok_or_else(|| PgError::internal("a partition is missing"))?;
        let leaf = Arc::new(Leaf::new(ctx, &self.target, relation, &self.assigned)?);
        Ok(self.made.lock().entry(table).or_insert(leaf).clone())
    }
}

/// Finds the partition of a row of a partitioned table.
pub(super) struct Router {
    top: Level,
    /// Partitions that are cut themselves.
    levels: Mutex<HashMap<Oid, Arc<Level>>>,
}

impl Router {
    /// That of a table; `None` if it is not cut.
    pub(super) fn of(ctx: &ExecContext, target: &Arc<Relation>) -> Result<Option<Router>> {
        if !partition::is_partitioned(target) {
            return Ok(None);
        }
        let top = Level::new(ctx, target, target)?;
        Ok(Some(Router { top, levels: Mutex::default() }))
    }

    /// The table a row belongs in.
    pub(super) fn find(&self, ctx: &ExecContext, row: &[Datum]) -> Result<Oid> {
        let mut found = self.top.find(ctx, row)?.ok_or_else(|| self.top.no_partition(ctx, row))?;
        while let Some(level) = self.level(ctx, found)? {
            found = level.find(ctx, row)?.ok_or_else(|| level.no_partition(ctx, row))?;
        }
        Ok(found)
    }

    fn level(&self, ctx: &ExecContext, table: Oid) -> Result<Option<Arc<Level>>> {
        let relation = ctx.catalog.relation(table);
        let Some(relation) = relation.filter(|r| partition::is_partitioned(r)) else {
            return Ok(None);
        };
        if let Some(level) = self.levels.lock().get(&table) {
            return Ok(Some(level.clone()));
        }
        let made = Arc::new(Level::new(ctx, relation, &self.top.relation)?);
        Ok(Some(self.levels.lock().entry(table).or_insert(made).clone()))
    }
}
