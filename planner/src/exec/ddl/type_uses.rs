//! Columns that hold values of a type, as they are or within others
//! (`find_composite_type_dependencies`).

use std::sync::Arc;

use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Relation, RelationKind, TypeDef, TypeKind};
use vicinity_types::{Oid, PgError, SqlState};

/// A column of a table.
pub(crate) struct User {
    table: String,
    column: String,
}

impl User {
    /// Its values would have to change with the type, and cannot.
    pub(crate) fn keeps_type(&self, shown: &str) -> PgError {
        PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "cannot alter type \"{shown}\" because column \"{}.{}\" uses it",
                self.table, self.column
            ),
        )
    }
}

/// The domains whose values are a type's.
pub(crate) fn domains_over(catalog: &Catalog, ty: Oid) -> impl Iterator<Item = &Arc<TypeDef>> {
    let over =
        move |d: &&Arc<TypeDef>| matches!(d.kind, TypeKind::Domain { base, .. } if base == ty);
    catalog.types().filter(over)
}

/// The type of a relation's rows.
pub(crate) fn row_type(catalog: &Catalog, relation: &Relation) -> Option<Oid> {
    match &relation.kind {
        RelationKind::Table(t) => Some(t.row_type),
        RelationKind::View(v) => Some(v.row_type),
        RelationKind::Composite(_) => {
            let is = |ty: &&Arc<TypeDef>| matches!(ty.kind, TypeKind::Composite { relation: own } if own == relation.oid);
            catalog.types().find(is).map(|ty| ty.oid)
        }
        RelationKind::Index(_) | RelationKind::Sequence(_) => None,
    }
}

/// A column of a table that holds values of a type: as they are, in arrays, domains or rows.
pub(crate) fn column_of(catalog: &Catalog, ty: Oid) -> Option<User> {
    let array = catalog.array_of(ty).filter(|array| *array != ty);
    if let Some(user) = array.and_then(|array| column_of(catalog, array)) {
        return Some(user);
    }
    // As they were made.
    let domains = domains_over(catalog, ty).map(|d| (d.oid, None));
    let relations = catalog.dependents_of(ty).map(|r| (r.oid, Some(r)));
    let mut over: Vec<_> = domains.chain(relations).collect();
    over.sort_by_key(|(oid, _)| *oid);
    over.into_iter().find_map(|(oid, relation)| {
        let Some(relation) = relation else { return column_of(catalog, oid) };
        let column = relation.columns()?.iter().find(|c| !c.dropped && c.type_oid == ty)?;
        match relation.kind {
            RelationKind::Table(_) => {
                Some(User { table: relation.name.clone(), column: column.name.clone() })
            }
            _ => column_of(catalog, row_type(catalog, relation)?),
        }
    })
}
