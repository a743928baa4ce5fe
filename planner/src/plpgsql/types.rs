//! Types named in declarations.

use vicinity_types::{Oid, PgError, Result, SqlState};

use super::parse::TypeLookup;
use crate::call::PgType;
use crate::catalog::VirtualTable;
use crate::context::ExecContext;
use crate::inner;

/// Looks types up in the statement's catalog.
pub(super) struct CatalogTypes<'a> {
    pub(super) ctx: &'a ExecContext,
}

impl CatalogTypes<'_> {
    /// The system table that a name means: those are in no catalog.
    fn system_table(&self, path: &[String]) -> Option<&'static VirtualTable> {
        let (session, catalog) = (&self.ctx.session, &self.ctx.catalog);
        let (schemas, name): (Vec<Oid>, &String) = match path {
            [name] => (session.search_path_oids(catalog), name),
            [schema, name] | [_, schema, name] => {
                (session.schema_oid(catalog, schema).into_iter().collect(), name)
            }
            _ => return None,
        };
        schemas.into_iter().find_map(|schema| crate::catalog::lookup(schema, name))
    }

    /// The type and modifier of a column, if there is such a one.
    fn column_of(&self, table: &[String], column: &str) -> Result<Option<(Oid, i32)>> {
        if let Some(system) = self.system_table(table) {
            let found = system.columns.iter().find(|c| c.name == column);
            return Ok(found.map(|c| (c.type_oid, -1)));
        }
        let relation = self.relation(table)?;
        let found =
            relation.columns().and_then(|all| all.iter().find(|c| !c.dropped && c.name == column));
        Ok(found.map(|c| (c.type_oid, c.typmod)))
    }

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
        let (ty, typmod) = self.column_of(table, column)?.ok_or_else(|| {
            let own = table.last().map_or("", String::as_str);
            PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column}\" of relation \"{own}\" does not exist"),
            )
        })?;
        Ok(PgType::with_kind(ty, typmod, self.ctx.catalog.kind_of(ty)))
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
