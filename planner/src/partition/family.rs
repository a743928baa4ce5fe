//! Who inherits from whom.

use std::collections::HashSet;
use std::sync::Arc;

use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::Oid;

/// Whether a table is cut into partitions and has no rows of its own.
pub(crate) fn is_partitioned(relation: &Relation) -> bool {
    relation.table().is_some_and(|t| t.partitioning.is_some())
}

/// A table and all that inherit from it, each once: first its children, each with its own behind it.
pub(crate) fn descendants(catalog: &Catalog, table: &Arc<Relation>) -> Vec<Arc<Relation>> {
    let mut out: Vec<Arc<Relation>> = vec![table.clone()];
    let mut seen = HashSet::from([table.oid]);
    let mut at = 0;
    while let Some(one) = out.get(at).map(|r| r.oid) {
        at += 1;
        out.extend(catalog.children_of(one).filter(|c| seen.insert(c.oid)).cloned());
    }
    out
}

/// The partitioned tables above a partition, nearest first.
pub(crate) fn ancestors(catalog: &Catalog, partition: &Relation) -> Vec<Arc<Relation>> {
    let up = |r: &Relation| -> Option<Oid> {
        let def = r.table()?;
        def.bound.as_ref()?;
        def.parents.first().copied()
    };
    let mut out: Vec<Arc<Relation>> = Vec::new();
    let mut next = up(partition);
    while let Some(parent) = next.and_then(|oid| catalog.relation(oid)) {
        out.push(parent.clone());
        next = up(parent);
    }
    out
}

/// Whether an index of a partitioned table has a part in every partition: what is made with ONLY has none at first, and
/// is nothing to rely on before all are attached.
pub(crate) fn has_all_parts(catalog: &Catalog, index: &Relation) -> bool {
    let Some(def) = index.index() else { return false };
    if !catalog.relation(def.table).is_some_and(|t| is_partitioned(t)) {
        return true;
    }
    let part_of = |i: &Relation| i.index().is_some_and(|d| d.parent == Some(index.oid));
    catalog
        .children_of(def.table)
        .all(|part| catalog.indexes_of(part.oid).any(|i| part_of(i) && has_all_parts(catalog, i)))
}
