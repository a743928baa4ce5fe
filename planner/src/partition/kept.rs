//! The bounds of tables, kept for all sessions: a table may have many partitions, and a statement about one of them
//! should not look at the others.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Oid, Result};

use super::bounds::Bounds;
use crate::engine::Engine;

/// Tables whose bounds are kept (invariant *bounded*).
const TABLES: usize = 1024;

/// What is known of families.
#[derive(Default)]
pub(crate) struct Families {
    /// With the state of the table's partitions they are of.
    bounds: Mutex<HashMap<Oid, (u64, Arc<Bounds>)>>,
    /// Whether writes to what is below a table may wait, with the version of the catalog that is of.
    waits: Mutex<HashMap<Oid, (u64, bool)>>,
}

fn keep<T>(kept: &mut HashMap<Oid, (u64, T)>, table: Oid, value: (u64, T)) {
    if kept.len() >= TABLES {
        kept.clear();
    }
    kept.insert(table, value);
}

impl Families {
    /// The bounds of a partitioned table.
    fn bounds(&self, catalog: &Catalog, table: &Relation) -> Result<Arc<Bounds>> {
        let now = catalog.partitions(table.oid);
        let mut kept = self.bounds.lock();
        let state = kept.get(&table.oid).map(|(state, _)| *state);
        if let Some((_, bounds)) = kept.get(&table.oid).filter(|(state, _)| *state == now.state) {
            return Ok(bounds.clone());
        }
        if let Some((_, part)) = now.grown.filter(|(before, _)| Some(*before) == state)
            && let Some(added) = catalog.relation(part).and_then(|r| r.table())
            && let Some(bound) = &added.bound
            && let Some((_, mut bounds)) = kept.remove(&table.oid)
        {
            Arc::make_mut(&mut bounds).add(part, bound)?;
            kept.insert(table.oid, (now.state, bounds.clone()));
            return Ok(bounds);
        }
        drop(kept);
        let made = Arc::new(Bounds::new(catalog, table)?);
        keep(&mut self.bounds.lock(), table.oid, (now.state, made.clone()));
        Ok(made)
    }

    /// What `ask` says about a table's family under a catalog.
    pub(crate) fn waits(&self, catalog: &Catalog, table: Oid, ask: impl FnOnce() -> bool) -> bool {
        let version = catalog.version();
        if let Some((at, waits)) = self.waits.lock().get(&table)
            && *at == version
        {
            return *waits;
        }
        let waits = ask();
        keep(&mut self.waits.lock(), table, (version, waits));
        waits
    }
}

/// The bounds of a partitioned table.
pub(crate) fn bounds(engine: &Engine, catalog: &Catalog, table: &Relation) -> Result<Arc<Bounds>> {
    engine.families.bounds(catalog, table)
}

/// A table's children in PostgreSQL's order: partitions by their bounds, others as they were made.
pub(crate) fn children(
    engine: &Engine,
    catalog: &Catalog,
    table: &Relation,
) -> Result<Vec<Arc<Relation>>> {
    if !super::is_partitioned(table) {
        return Ok(catalog.children_of(table.oid).cloned().collect());
    }
    let parts = bounds(engine, catalog, table)?.all();
    Ok(parts.iter().filter_map(|part| catalog.relation(*part)).cloned().collect())
}
