//! Relations: tables, views, system tables.

use std::sync::Arc;

use datafusion::logical_expr::{LogicalPlan, TableSource};
use sqlparser::ast::ObjectName;
use vicinity_storage::catalog::model::{Relation, RelationKind, fixed};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::scope::{Item, ScopeColumn, column};
use super::{Binder, OutputColumn, name_parts, name_position};
use crate::authority;
use crate::call::PgType;
use crate::df::source::{Origin, SourceColumn, SystemColumn};
use crate::df::{StorageSource, VirtualSource, scan};
use crate::uses::Use;

/// What a view within a view counts for, see [`Binder::deeper`].
const VIEW: usize = 8;

fn missing(name: &[String]) -> PgError {
    PgError::new(
        SqlState::UNDEFINED_TABLE,
        format!("relation \"{}\" does not exist", name.join(".")),
    )
}

impl Binder<'_> {
    /// The relation a name means; system tables are not among them.
    pub(super) fn find_relation(&self, name: &ObjectName) -> Result<Arc<Relation>> {
        let parts = name_parts(name);
        self.relation_of(&parts)?
            .ok_or_else(|| missing(&parts))
            .map_err(|e| e.or_at(name_position(name)))
    }

    fn relation_of(&self, parts: &[String]) -> Result<Option<Arc<Relation>>> {
        let catalog = &self.types.catalog;
        Ok(match parts {
            [name] => {
                self.path.iter().find_map(|schema| catalog.relation_named(*schema, name)).cloned()
            }
            [schema, name] | [_, schema, name] => self
                .session
                .schema_oid(catalog, schema)
                .and_then(|schema| catalog.relation_named(schema, name))
                .cloned(),
            _ => None,
        })
    }

    /// A relation by name in FROM, system tables included.
    pub(super) fn table(
        &mut self,
        name: &ObjectName,
        alias: Option<&str>,
    ) -> Result<(LogicalPlan, Item)> {
        let parts = name_parts(name);
        let place = name_position(name);
        let catalog = self.types.catalog.clone();
        let schemas: Vec<Oid> = match parts.as_slice() {
            [_] => self.path.clone(),
            [schema, _] | [_, schema, _] => match self.session.schema_oid(&catalog, schema) {
                Some(oid) => {
                    authority::check_schema(&catalog, self.session, oid)
                        .map_err(|e| e.or_at(place))?;
                    vec![oid]
                }
                None => return Err(missing(&parts).or_at(place)),
            },
            _ => return Err(missing(&parts).or_at(place)),
        };
        let bare = parts.last().cloned().unwrap_or_default();
        if parts.len() == 1
            && let Some(columns) = self.variables.and_then(|v| v.transition(&bare))
        {
            let source = transition_table(&bare, columns);
            let columns = source.columns().to_vec();
            return self.scan_source(&bare, alias, source, &columns, 0);
        }
        for schema in schemas {
            if let Some(relation) = catalog.relation_named(schema, &bare).cloned() {
                let whole = !crate::sql::is_only(name);
                let found = self.scan_relation(&relation, alias, whole);
                return found.map_err(|e| e.or_at(place));
            }
            if let Some(table) = crate::catalog::lookup(schema, &bare)
                && let Some(query) = table.query
            {
                return self.system_view(table, query, alias);
            }
            if let Some(source) = virtual_table(schema, &bare) {
                return self.scan_virtual(schema, source, alias);
            }
        }
        Err(missing(&parts).or_at(place))
    }

    /// The plan and names of a relation; `whole`: with what inherits from it.
    pub(super) fn scan_relation(
        &mut self,
        relation: &Arc<Relation>,
        alias: Option<&str>,
        whole: bool,
    ) -> Result<(LogicalPlan, Item)> {
        self.uses.add(Use::read(relation.oid, self.acting));
        match &relation.kind {
            RelationKind::Table(table) => {
                if table.materialized.as_ref().is_some_and(|m| !m.populated) {
                    return Err(PgError::new(
                        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                        format!("materialized view \"{}\" has not been populated", relation.name),
                    )
                    .hint("Use the REFRESH MATERIALIZED VIEW command."));
                }
                let source = StorageSource::new(&self.types.catalog, relation, whole)?;
                let columns = source.columns().to_vec();
                let row_type = table.row_type;
                let (plan, mut item) =
                    self.scan_source(&relation.name, alias, source, &columns, relation.oid)?;
                item.row_type = Some(row_type);
                item.schema = self.schema_name(relation.schema).filter(|_| alias.is_none());
                Ok((plan, item))
            }
            RelationKind::View(view) => {
                let (query, row_type) = (view.query.clone(), view.row_type);
                let names: Vec<String> = view.columns.iter().map(|c| c.name.clone()).collect();
                let own = ViewName {
                    oid: relation.oid,
                    schema: relation.schema,
                    name: &relation.name,
                    owner: relation.owner,
                };
                let (plan, mut item) =
                    self.deeper(VIEW, |me| me.view(&own, &query, &names, alias))?;
                item.row_type = Some(row_type);
                Ok((plan, item))
            }
            RelationKind::Sequence(_) => self.sequence(relation, alias),
            RelationKind::Index(_) => Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is an index", relation.name),
            )),
            RelationKind::Composite(_) => Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is a composite type", relation.name),
            )),
        }
    }

    /// A sequence read as the table of one row that it is in PostgreSQL.
    fn sequence(
        &mut self,
        relation: &Arc<Relation>,
        alias: Option<&str>,
    ) -> Result<(LogicalPlan, Item)> {
        use vicinity_types::{Datum, oid};
        let column = |name: &str, ty| (name.to_owned(), PgType::new(ty));
        let columns = vec![
            column("last_value", oid::INT8),
            column("log_cnt", oid::INT8),
            column("is_called", oid::BOOL),
        ];
        let own = relation.oid;
        let rows = move |ctx: &crate::context::ExecContext| {
            let state = ctx.txn.sequence(own)?.state();
            let row = vec![Datum::Int8(state.last), Datum::Int8(0), Datum::Bool(state.called)];
            Ok(vec![row])
        };
        let source = VirtualSource::new(own, &relation.name, columns, Arc::new(rows));
        let columns = source.columns().to_vec();
        self.scan_source(&relation.name, alias, source, &columns, own)
    }

    fn schema_name(&self, schema: Oid) -> Option<String> {
        self.types.catalog.schema(schema).map(|s| s.name.clone())
    }

    /// A system's view that is written in SQL.
    fn system_view(
        &mut self,
        table: &crate::catalog::VirtualTable,
        query: &str,
        alias: Option<&str>,
    ) -> Result<(LogicalPlan, Item)> {
        let names: Vec<String> = table.columns.iter().map(|c| c.name.to_owned()).collect();
        let own = ViewName {
            oid: table.oid,
            schema: table.schema,
            name: table.name,
            owner: fixed::SUPERUSER,
        };
        self.deeper(VIEW, |me| me.view(&own, query, &names, alias))
    }

    /// A view is its query, bound without any of the names around it.
    fn view(
        &mut self,
        relation: &ViewName<'_>,
        query: &str,
        names: &[String],
        alias: Option<&str>,
    ) -> Result<(LogicalPlan, Item)> {
        let parsed = crate::sql::parse(query)?;
        let [parsed] = parsed.as_slice() else {
            return Err(PgError::internal(format!("view {} is damaged", relation.name)));
        };
        let crate::sql::Statement::Sql(statement) = &*parsed.stmt else {
            return Err(PgError::internal(format!("view {} is damaged", relation.name)));
        };
        let sqlparser::ast::Statement::Query(query) = statement.as_ref() else {
            return Err(PgError::internal(format!("view {} is damaged", relation.name)));
        };
        self.passed = self.passed_locks(alias.unwrap_or(relation.name));
        let outside = std::mem::take(&mut self.levels);
        let (source, variables) = (self.source.take(), self.variables.take());
        let ctx = self.ctx.take();
        let acting = self.acting.replace(relation.owner);
        let bound = self.bind_query(query);
        self.acting = acting;
        self.levels = outside;
        self.source = source;
        self.variables = variables;
        self.ctx = ctx;
        let mut bound = bound?;
        for (column, name) in bound.columns.iter_mut().zip(names) {
            column.name.clone_from(name);
        }
        let visible = alias.unwrap_or(relation.name);
        let (plan, mut item) = self.named(bound, visible)?;
        item.relation = relation.oid;
        item.schema = self.schema_name(relation.schema).filter(|_| alias.is_none());
        for (i, column) in item.columns.iter_mut().enumerate() {
            column.table = relation.oid;
            column.attr = i16::try_from(i + 1).unwrap_or(0);
        }
        Ok((plan, item))
    }

    fn scan_virtual(
        &mut self,
        schema: Oid,
        source: Arc<VirtualSource>,
        alias: Option<&str>,
    ) -> Result<(LogicalPlan, Item)> {
        let hidden = ["pg_authid", "pg_shadow", "pg_statistic", "pg_user_mapping"];
        let catalog = &self.types.catalog;
        let reader = self.acting.unwrap_or_else(|| authority::current(catalog, self.session));
        if hidden.contains(&source.name()) && !authority::is_superuser(catalog, reader) {
            return Err(authority::Target::system_table(source.oid(), source.name()).denied());
        }
        let columns = source.columns().to_vec();
        let (oid, name) = (source.oid(), source.name().to_owned());
        let (plan, mut item) = self.scan_source(&name, alias, source, &columns, oid)?;
        item.schema = self.schema_name(schema).filter(|_| alias.is_none());
        Ok((plan, item))
    }

    fn scan_source(
        &mut self,
        name: &str,
        alias: Option<&str>,
        source: Arc<dyn TableSource>,
        columns: &[SourceColumn],
        relation: Oid,
    ) -> Result<(LogicalPlan, Item)> {
        let visible = alias.unwrap_or(name);
        let qualifier = self.unique(visible);
        let plan = scan(&qualifier, source)?;
        let columns = columns
            .iter()
            .map(|c| {
                let tableoid = SystemColumn::TableOid;
                let (attr, hidden) = match c.origin {
                    // A computed table's rows have it as their last column.
                    Origin::Stored(_) if relation != 0 && c.name == tableoid.name() => {
                        (tableoid.number(), true)
                    }
                    Origin::Stored(i) => (i16::try_from(i + 1).unwrap_or(0), false),
                    Origin::System(s) => (s.number(), true),
                };
                ScopeColumn {
                    name: c.name.clone(),
                    expr: column(&qualifier, &c.name),
                    ty: c.ty,
                    table: relation,
                    attr,
                    hidden,
                }
            })
            .collect();
        let item = Item {
            alias: visible.to_owned(),
            schema: None,
            columns,
            row_type: None,
            relation,
            scalar: false,
            nullable: false,
        };
        Ok((plan, item))
    }

    /// A query as a table: its plan under a qualifier of its own.
    pub(super) fn named(
        &mut self,
        bound: super::Bound,
        visible: &str,
    ) -> Result<(LogicalPlan, Item)> {
        let qualifier = self.unique(visible);
        let fields: Vec<String> =
            bound.plan.schema().fields().iter().map(|f| f.name().clone()).collect();
        let plan = datafusion::logical_expr::LogicalPlanBuilder::from(bound.plan)
            .alias(qualifier.as_str())
            .and_then(datafusion::logical_expr::LogicalPlanBuilder::build)
            .map_err(crate::call::internal)?;
        let item = derived(visible, &qualifier, bound.columns, &fields);
        self.remember_rows(&plan, &item);
        Ok((plan, item))
    }
}

/// What a view is called, and whose rights it has.
struct ViewName<'a> {
    oid: Oid,
    schema: Oid,
    name: &'a str,
    owner: Oid,
}

/// The type of a column that counts rows.
pub(super) fn bigint() -> PgType {
    PgType::new(vicinity_types::oid::INT8)
}

/// A system table as a source.
fn virtual_table(schema: Oid, name: &str) -> Option<Arc<VirtualSource>> {
    let table = crate::catalog::lookup(schema, name)?;
    let columns =
        table.columns.iter().map(|c| (c.name.to_owned(), PgType::new(c.type_oid))).collect();
    let rows = Arc::new(move |ctx: &crate::context::ExecContext| (table.rows)(ctx, table));
    Some(VirtualSource::new(table.oid, table.name, columns, rows))
}

/// Rows a statement wrote, as the trigger being called names them.
fn transition_table(name: &str, columns: Vec<(String, PgType)>) -> Arc<VirtualSource> {
    let own = name.to_owned();
    let rows = move |ctx: &crate::context::ExecContext| {
        let rows = ctx.transition.as_ref().and_then(|t| t.rows(&own));
        Ok(rows.map(|r| r.to_vec()).unwrap_or_default())
    };
    VirtualSource::new(0, name, columns, Arc::new(rows))
}

/// A derived table's columns, in the fields of the plan that computes them.
pub(super) fn derived(
    visible: &str,
    qualifier: &str,
    columns: Vec<OutputColumn>,
    fields: &[String],
) -> Item {
    let columns = columns
        .into_iter()
        .zip(fields)
        .map(|(c, field)| ScopeColumn {
            name: c.name,
            expr: column(qualifier, field),
            ty: c.ty,
            table: c.table,
            attr: c.attr,
            hidden: false,
        })
        .collect();
    Item {
        alias: visible.to_owned(),
        schema: None,
        columns,
        row_type: None,
        relation: 0,
        scalar: false,
        nullable: false,
    }
}
