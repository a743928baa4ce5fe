//! Rows that expressions of a write are evaluated over: the target's columns, its system columns, and
//! whatever stands beside them (`excluded`, FROM).

use std::sync::Arc;

use datafusion::common::{Column as PlanColumn, TableReference};
use datafusion::logical_expr::Expr;
use vicinity_storage::catalog::model::{Column, Relation, RelationKind, TableDef};
use vicinity_storage::{Catalog, RowId};
use vicinity_types::{Datum, Kind, Oid, PgError, Result};

use crate::bind::{Item, Scope, ScopeColumn};
use crate::call::PgType;
use crate::df::source::{SystemColumn, system_value};
use crate::row;

/// A value of the row, with the names that reach it.
struct Slot {
    qualifier: TableReference,
    name: String,
    kind: Kind,
}

/// The order of the values, and what each is called.
#[derive(Default)]
pub(crate) struct Layout {
    slots: Vec<Slot>,
    scope: Scope,
}

/// The name of a column that [`Layout`] numbered: `3:name`.
pub(crate) fn bare_name(column: &str) -> &str {
    match column.split_once(':') {
        Some((number, name)) if number.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => column,
    }
}

/// The type of a table's column.
pub(crate) fn column_type(catalog: &Catalog, c: &Column) -> PgType {
    PgType::with_kind(c.type_oid, c.typmod, catalog.kind_of(c.type_oid))
}

pub(crate) fn table_def(relation: &Relation) -> Result<&TableDef> {
    relation.table().ok_or_else(|| PgError::internal("target is not a table"))
}

/// The columns of a table or view, dropped ones included, and its row type.
pub(crate) fn columns_of(relation: &Relation) -> (&[Column], Oid) {
    match &relation.kind {
        RelationKind::Table(t) => (&t.columns, t.row_type),
        RelationKind::View(v) => (&v.columns, v.row_type),
        _ => (&[], 0),
    }
}

/// The columns alone.
pub(super) fn columns(relation: &Relation) -> &[Column] {
    columns_of(relation).0
}

impl Layout {
    /// A table's row: all of its columns, dropped ones included, then the system columns, which views
    /// have not.
    pub(crate) fn of_table(
        catalog: &Catalog,
        relation: &Arc<Relation>,
        alias: Option<&str>,
    ) -> Result<Layout> {
        let mut layout = Layout::default();
        let qualifier = alias.unwrap_or(&relation.name);
        let schema = match alias {
            Some(_) => None,
            None => catalog.schema(relation.schema).map(|s| s.name.clone()),
        };
        layout.add_table(catalog, relation, qualifier, schema)?;
        Ok(layout)
    }

    /// Adds a table's row under a name.
    pub(crate) fn add_table(
        &mut self,
        catalog: &Catalog,
        relation: &Arc<Relation>,
        qualifier: &str,
        schema: Option<String>,
    ) -> Result<()> {
        let (own, row_type) = columns_of(relation);
        let mut columns = Vec::new();
        for (i, c) in own.iter().enumerate() {
            let ty = column_type(catalog, c);
            let number = i16::try_from(i + 1).unwrap_or(i16::MAX);
            let made = self.slot(qualifier, &c.name, ty, relation.oid, number, false);
            if !c.dropped {
                columns.push(made);
            }
        }
        for c in SystemColumn::ALL.into_iter().filter(|_| relation.table().is_some()) {
            columns.push(self.slot(qualifier, c.name(), c.ty(), relation.oid, c.number(), true));
        }
        let item = Item {
            alias: qualifier.to_owned(),
            schema,
            columns,
            row_type: Some(row_type),
            relation: relation.oid,
            scalar: false,
            nullable: false,
        };
        self.add_item(item);
        Ok(())
    }

    /// Adds plain columns under a name.
    pub(crate) fn add_columns(&mut self, qualifier: &str, columns: &[(String, PgType)]) {
        let made =
            columns.iter().map(|(name, ty)| self.slot(qualifier, name, *ty, 0, 0, false)).collect();
        let item = Item {
            alias: qualifier.to_owned(),
            schema: None,
            columns: made,
            row_type: None,
            relation: 0,
            scalar: false,
            nullable: false,
        };
        self.add_item(item);
    }

    fn add_item(&mut self, item: Item) {
        self.scope = Scope::pair(std::mem::take(&mut self.scope), Scope::of(item));
    }

    fn slot(
        &mut self,
        qualifier: &str,
        visible: &str,
        ty: PgType,
        table: u32,
        attr: i16,
        hidden: bool,
    ) -> ScopeColumn {
        // Names inside expressions are the slots' own: visible ones need not be unique.
        let name = format!("{}:{visible}", self.slots.len());
        let expr =
            Expr::Column(PlanColumn::new(Some(TableReference::bare(qualifier)), name.clone()));
        self.slots.push(Slot { qualifier: TableReference::bare(qualifier), name, kind: ty.kind });
        ScopeColumn { name: visible.to_owned(), expr, ty, table, attr, hidden }
    }

    /// The names, for the binder.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The names, for the compiler.
    pub(crate) fn values(&self) -> row::Scope {
        let slots = self.slots.iter();
        row::Scope::values(slots.map(|s| (Some(&s.qualifier), s.name.as_str(), s.kind)))
    }
}

/// The row was locked before it was updated: PostgreSQL leaves the locker's id in the new version,
/// which is how `RETURNING xmax = 0` tells an insert from an update.
pub(crate) fn set_xmax(extended: &mut [Datum], xid: Option<u64>) {
    let place = SystemColumn::ALL.iter().rev().position(|c| *c == SystemColumn::Xmax);
    if let Some(slot) = place.and_then(|at| extended.iter_mut().nth_back(at)) {
        *slot = Datum::Oid(xid.and_then(|x| u32::try_from(x & 0xffff_ffff).ok()).unwrap_or(0));
    }
}

/// Puts the system columns' values behind a row's own.
pub(crate) fn extend(values: &mut Vec<Datum>, row: RowId, table: u32) {
    values.reserve_exact(SystemColumn::ALL.len());
    for c in SystemColumn::ALL {
        values.push(system_value(c, row, table));
    }
}
