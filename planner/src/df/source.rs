//! Tables as DataFusion sees them: a schema, and what filters may come along.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Result as DfResult, TableReference};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableSource,
};
use vicinity_functions::Rows;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Relation, TableDef};
use vicinity_types::{Datum, Kind, Oid, PgError, Result, oid};

use crate::call::{PgType, internal};
use crate::context::ExecContext;
use crate::parts::{self, PartId};

/// A column every table has without declaring it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum SystemColumn {
    Ctid,
    TableOid,
    Xmin,
    Cmin,
    Xmax,
    Cmax,
}

impl SystemColumn {
    /// All of them, in the order they follow the table's own.
    pub const ALL: [SystemColumn; 6] = [
        SystemColumn::Ctid,
        SystemColumn::TableOid,
        SystemColumn::Xmin,
        SystemColumn::Cmin,
        SystemColumn::Xmax,
        SystemColumn::Cmax,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            SystemColumn::Ctid => "ctid",
            SystemColumn::TableOid => "tableoid",
            SystemColumn::Xmin => "xmin",
            SystemColumn::Cmin => "cmin",
            SystemColumn::Xmax => "xmax",
            SystemColumn::Cmax => "cmax",
        }
    }

    /// Its type.
    pub fn ty(self) -> PgType {
        PgType::new(match self {
            SystemColumn::Ctid => oid::TID,
            SystemColumn::TableOid => oid::OID,
            SystemColumn::Xmin | SystemColumn::Xmax => oid::XID,
            SystemColumn::Cmin | SystemColumn::Cmax => oid::CID,
        })
    }

    /// `pg_attribute.attnum`
    pub fn number(self) -> i16 {
        match self {
            SystemColumn::Ctid => -1,
            SystemColumn::Xmin => -2,
            SystemColumn::Cmin => -3,
            SystemColumn::Xmax => -4,
            SystemColumn::Cmax => -5,
            SystemColumn::TableOid => -6,
        }
    }
}

/// Where a source's column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The table's column of this index (dropped ones counted).
    Stored(usize),
    /// Made up.
    System(SystemColumn),
}

/// A column of a source.
#[derive(Clone, Debug)]
pub struct SourceColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: PgType,
    /// Where it comes from.
    pub origin: Origin,
}

/// A table's storage as a source: its columns that are not dropped, then the system columns.
pub struct StorageSource {
    relation: Arc<Relation>,
    /// Whether the rows of tables that inherit from it are among its own.
    whole: bool,
    /// The table that the query names, where this is one that inherits from it.
    family: Option<Oid>,
    columns: Vec<SourceColumn>,
    schema: SchemaRef,
}

impl Debug for StorageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorageSource({})", self.relation.name)
    }
}

fn arrow_schema<'a>(columns: impl Iterator<Item = (&'a str, PgType)>) -> SchemaRef {
    let fields: Vec<Field> = columns.map(|(name, ty)| Field::new(name, ty.arrow(), true)).collect();
    Arc::new(Schema::new(fields))
}

impl StorageSource {
    /// The source of a table; `whole`: with those that inherit from it.
    pub fn new(
        catalog: &Catalog,
        relation: &Arc<Relation>,
        whole: bool,
    ) -> Result<Arc<StorageSource>> {
        let def = relation.table().ok_or_else(|| {
            PgError::internal(format!("relation {} has no storage", relation.name))
        })?;
        let mut columns = stored_columns(catalog, def);
        columns.extend(SystemColumn::ALL.iter().map(|c| SourceColumn {
            name: c.name().to_owned(),
            ty: c.ty(),
            origin: Origin::System(*c),
        }));
        let schema = arrow_schema(columns.iter().map(|c| (c.name.as_str(), c.ty)));
        let relation = relation.clone();
        Ok(Arc::new(StorageSource { relation, whole, family: None, columns, schema }))
    }

    /// One table of those the source stands for, its columns as the source has them.
    pub fn member(&self, member: &Arc<Relation>) -> Result<Arc<StorageSource>> {
        let columns = member.table().map_or(&[][..], |t| &t.columns);
        let place = |name: &str| columns.iter().position(|c| !c.dropped && c.name == name);
        let own = |c: &SourceColumn| {
            let origin = match c.origin {
                Origin::System(s) => Origin::System(s),
                Origin::Stored(_) => Origin::Stored(place(&c.name).ok_or_else(|| {
                    PgError::internal(format!("{} has no column {}", member.name, c.name))
                })?),
            };
            Ok(SourceColumn { origin, ..c.clone() })
        };
        Ok(Arc::new(StorageSource {
            relation: member.clone(),
            whole: false,
            family: Some(self.relation.oid).filter(|own| *own != member.oid),
            columns: self.columns.iter().map(own).collect::<Result<_>>()?,
            schema: self.schema.clone(),
        }))
    }

    /// Whether other tables' rows are among its own.
    pub fn is_family(&self, catalog: &Catalog) -> bool {
        let own = self.relation.table();
        self.whole && catalog.has_children(self.relation.oid)
            || own.is_some_and(|t| t.partitioning.is_some())
    }

    /// Whether it stands for the tables that inherit from it too.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The table that the query names, where this is one that inherits from it.
    pub fn family(&self) -> Option<Oid> {
        self.family
    }

    /// The table.
    pub fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// Its columns, as the schema has them.
    pub fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }
}

fn stored_columns(catalog: &Catalog, def: &TableDef) -> Vec<SourceColumn> {
    let live = def.columns.iter().enumerate().filter(|(_, c)| !c.dropped);
    live.map(|(i, c)| SourceColumn {
        name: c.name.clone(),
        ty: PgType::with_kind(c.type_oid, c.typmod, catalog.kind_of(c.type_oid)),
        origin: Origin::Stored(i),
    })
    .collect()
}

/// Every filter is ours to run: conjuncts become index conditions or the scan's filter.
fn all_exact(filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
    Ok(filters
        .iter()
        .map(|f| {
            if crate::push::can_run_in_scan(f) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        })
        .collect())
}

impl TableSource for StorageSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        all_exact(filters)
    }
}

/// Gives all rows of a computed table.
pub type RowsFn = Arc<dyn Fn(&ExecContext) -> Result<Vec<Vec<Datum>>> + Send + Sync>;

/// A table whose rows are computed when asked for: system catalogs, VALUES of functions.
pub struct VirtualSource {
    oid: Oid,
    name: String,
    columns: Vec<SourceColumn>,
    schema: SchemaRef,
    content: Content,
}

/// What gives the rows of a computed table.
enum Content {
    Computed(RowsFn),
    /// A part of the statement.
    Part(PartId),
}

impl VirtualSource {
    /// A computed table: its columns' names and types, and what gives its rows.
    pub fn new(
        oid: Oid,
        name: &str,
        columns: Vec<(String, PgType)>,
        rows: RowsFn,
    ) -> Arc<VirtualSource> {
        let mut columns: Vec<SourceColumn> = columns
            .into_iter()
            .enumerate()
            .map(|(i, (name, ty))| SourceColumn { name, ty, origin: Origin::Stored(i) })
            .collect();
        if oid != 0 {
            // Its rows have it behind their own columns.
            let tableoid = SystemColumn::TableOid;
            let (name, ty) = (tableoid.name().to_owned(), tableoid.ty());
            columns.push(SourceColumn { name, ty, origin: Origin::Stored(columns.len()) });
        }
        let schema = arrow_schema(columns.iter().map(|c| (c.name.as_str(), c.ty)));
        let content = Content::Computed(rows);
        Arc::new(VirtualSource { oid, name: name.to_owned(), columns, schema, content })
    }

    /// What a part of a statement gives, as a table.
    pub fn of_part(part: PartId, name: &str, columns: Vec<(String, PgType)>) -> Arc<VirtualSource> {
        let column = |(i, (name, ty))| SourceColumn { name, ty, origin: Origin::Stored(i) };
        let columns: Vec<SourceColumn> = columns.into_iter().enumerate().map(column).collect();
        let schema = arrow_schema(columns.iter().map(|c| (c.name.as_str(), c.ty)));
        let content = Content::Part(part);
        Arc::new(VirtualSource { oid: 0, name: name.to_owned(), columns, schema, content })
    }

    /// The part of the statement it is, if it is one.
    pub fn part(&self) -> Option<PartId> {
        match self.content {
            Content::Part(id) => Some(id),
            Content::Computed(_) => None,
        }
    }

    /// Its id.
    pub fn oid(&self) -> Oid {
        self.oid
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its columns.
    pub fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    /// Its rows now.
    pub fn rows(&self, ctx: &ExecContext) -> Result<Rows> {
        match &self.content {
            Content::Part(id) => parts::read(*id, ctx),
            Content::Computed(rows) => {
                let width = self.columns.len();
                let own = self.oid;
                let whole = move |mut row: Vec<Datum>| {
                    if own != 0 {
                        row.resize(width - 1, Datum::Null);
                        row.push(Datum::Oid(own));
                    }
                    Ok(row)
                };
                Ok(Box::new(rows(ctx)?.into_iter().map(whole)))
            }
        }
    }
}

impl TableSource for VirtualSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        all_exact(filters)
    }
}

/// The plan that reads a source under an alias; all columns, system columns last.
pub fn scan(alias: &str, source: Arc<dyn TableSource>) -> Result<LogicalPlan> {
    LogicalPlanBuilder::scan(TableReference::bare(alias), source, None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(internal)
}

/// The value of a system column that a visible row has.
pub fn system_value(column: SystemColumn, row: u64, table: Oid) -> Datum {
    match column {
        SystemColumn::Ctid => Datum::Tid(row),
        SystemColumn::TableOid => Datum::Oid(table),
        SystemColumn::Xmin => Datum::Oid(2),
        SystemColumn::Xmax | SystemColumn::Cmin | SystemColumn::Cmax => Datum::Oid(0),
    }
}

/// The kinds of a source's columns.
pub fn kinds(columns: &[SourceColumn]) -> Vec<Kind> {
    columns.iter().map(|c| c.ty.kind).collect()
}
