//! Foreign keys that refer to partitioned tables.
//!
//! Beside the key itself its table has one for each partition it refers to, which says what happens when a row of that
//! partition goes: a part of the key. A partition of the table that refers has a copy of it. Only the key itself is
//! somebody's own.

use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Constraint, ConstraintKind, ForeignKey, Relation};
use vicinity_types::Oid;

use crate::partition::ancestors;

fn key_of(c: &Constraint) -> Option<&ForeignKey> {
    match &c.kind {
        ConstraintKind::ForeignKey(f) => Some(f),
        _ => None,
    }
}

/// The constraint of the same table that a constraint is a part of: one that refers to the nearest table above.
pub(crate) fn whole_of<'c>(
    catalog: &Catalog,
    child: &'c Relation,
    c: &Constraint,
) -> Option<&'c Constraint> {
    let own = key_of(c).filter(|_| c.inherited > 0 && !c.local)?;
    let part = catalog.relation(own.table)?;
    let constraints = &child.table()?.constraints;
    let is = |above: Oid| {
        constraints.iter().find(|w| {
            w.columns == c.columns && key_of(w).is_some_and(|f| f.table == above) && w.oid != c.oid
        })
    };
    ancestors(catalog, part).iter().find_map(|above| is(above.oid))
}

/// Whether a constraint of a partition is there because the table above has it.
pub(crate) fn is_copy(catalog: &Catalog, child: &Relation, c: &Constraint) -> bool {
    let is_partition = child.table().is_some_and(|t| t.bound.is_some());
    is_partition && c.inherited > 0 && whole_of(catalog, child, c).is_none()
}

/// Whether a constraint stands for nothing else.
pub(crate) fn is_own(catalog: &Catalog, child: &Relation, c: &Constraint) -> bool {
    !is_copy(catalog, child, c) && whole_of(catalog, child, c).is_none()
}

/// The key that a constraint is a part of, or itself.
pub(crate) fn top_of(catalog: &Catalog, child: &Relation, c: &Constraint) -> Oid {
    let mut at = c;
    while let Some(whole) = whole_of(catalog, child, at) {
        at = whole;
    }
    at.oid
}

/// The parts of a constraint, and theirs.
pub(crate) fn parts_of(catalog: &Catalog, child: &Relation, constraint: Oid) -> Vec<Oid> {
    let constraints = child.table().map_or(&[][..], |t| &t.constraints);
    let below = |c: &&Constraint| {
        let mut at = whole_of(catalog, child, c);
        while let Some(whole) = at {
            if whole.oid == constraint {
                return true;
            }
            at = whole_of(catalog, child, whole);
        }
        false
    };
    constraints.iter().filter(below).map(|c| c.oid).collect()
}
