//! Types named in declarations.

use vicinity_types::{Oid, PgError, Result, SqlState};

use super::parse::TypeLookup;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::inner;

/// Looks types up in the statement's catalog.
pub(super) struct CatalogTypes<'a> {
    pub(super) ctx: &'a ExecContext,
}

impl CatalogTypes<'_> {
    fn relation(
        &self,
        path: &[String],
    ) -> Result<std::sync::Arc<vicinity_storage::catalog::model::Relation>> {
        let name = path.iter().map(|p| crate::names::quote(p)).collect::<Vec<_>>().join(".");
        self.ctx.session.find_relation(&self.ctx.catalog, &name)?.ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", path.join(".")),
            )
        })
    }
}

impl TypeLookup for CatalogTypes<'_> {
    fn type_named(&self, text: &str) -> Result<PgType> {
        inner::type_named(self.ctx, text)
    }

    fn column_type(&self, path: &[String]) -> Result<PgType> {
        let [table @ .., column] = path else {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "invalid type reference"));
        };
        let relation = self.relation(table)?;
        let columns = relation.table().map_or(&[][..], |t| &t.columns);
        let found = columns.iter().find(|c| c.name == *column && !c.dropped).ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column}\" of relation \"{}\" does not exist", relation.name),
            )
        })?;
        let kind = self.ctx.catalog.kind_of(found.type_oid);
        Ok(PgType::with_kind(found.type_oid, found.typmod, kind))
    }

    fn row_type(&self, path: &[String]) -> Result<Oid> {
        let relation = self.relation(path)?;
        match &relation.kind {
            vicinity_storage::catalog::model::RelationKind::Table(t) => Ok(t.row_type),
            vicinity_storage::catalog::model::RelationKind::View(v) => Ok(v.row_type),
            _ => Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a table", relation.name),
            )),
        }
    }
}
